//! Answers before there is anything to show.

use std::sync::Arc;

use tokio::sync::watch;

use super::*;
use crate::view::View;
use crate::web::WebConfig;

fn site(view: watch::Receiver<Option<Arc<View>>>) -> Site {
    let path = "/metrics".parse().expect("a path");
    let config = WebConfig::load(None).expect("no configuration");
    let interval = Duration::from_secs(2);
    Site::new(view, path, Instant::now(), interval, watch::channel(false).1, &config)
        .expect("threads")
}

#[tokio::test]
async fn before_the_first_view_nothing_is_shown_as_if_it_were_one() {
    let (_views, view) = watch::channel(None);
    let site = site(view);
    for path in ["/", "/?still", "/metrics", "/api/v1/view", "/api/v1/incidents", "/-/ready"] {
        for method in [Method::GET, Method::HEAD] {
            let request = Request::builder().method(method).uri(path).body(()).expect("a request");
            let answer = answer(&site, Client::Welcome, &request).await.expect("an answer");
            assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE, "{path}");
            let kind = answer.headers().get(CONTENT_TYPE).expect("a type");
            assert_eq!(kind, "text/plain; charset=utf-8", "{path}");
            // Who waits for the page is shown it once it is there.
            assert_eq!(answer.headers().contains_key(REFRESH), path == "/", "{path}");
        }
    }
}

#[tokio::test]
async fn a_poller_that_has_not_advanced_is_unhealthy() {
    let (views, view) = watch::channel(None);
    let mut site = site(view);
    let health = async |site: &Site| {
        let request = Request::builder().uri(HEALTHY).body(()).expect("a request");
        answer(site, Client::Welcome, &request).await.expect("an answer").status()
    };
    let before = |age| Instant::now().checked_sub(age).expect("the machine runs for longer");
    assert_eq!(health(&site).await, StatusCode::OK, "it has just started");
    site.started = before(STUCK + Duration::from_secs(2));
    assert_eq!(health(&site).await, StatusCode::SERVICE_UNAVAILABLE, "there is no view yet");
    let nowhere = std::path::PathBuf::from("/nonexistent");
    let mut shown = crate::look(crate::Looking::at(crate::Roots {
        proc: nowhere.clone(),
        sys: nowhere.clone(),
        cgroup: Some(nowhere.clone()),
        pod_logs: nowhere.clone(),
        container_logs: nowhere,
    }));
    shown.snapshot.taken.since_start = Duration::from_secs(1);
    views.send_replace(Some(Arc::new(shown.clone())));
    assert_eq!(health(&site).await, StatusCode::SERVICE_UNAVAILABLE, "the view is old");
    shown.poll.next = STUCK;
    views.send_replace(Some(Arc::new(shown.clone())));
    assert_eq!(health(&site).await, StatusCode::OK, "the next is due after so long");
    shown.poll.next = Duration::ZERO;
    shown.snapshot.taken.since_start = STUCK;
    views.send_replace(Some(Arc::new(shown)));
    assert_eq!(health(&site).await, StatusCode::OK, "the view is new");
}
