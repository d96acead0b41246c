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

/// A log that is kept.
#[derive(Clone, Default)]
struct Said(Arc<std::sync::Mutex<Vec<u8>>>);

impl std::io::Write for Said {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("the log").write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn view_of_nothing() -> View {
    let nowhere = std::path::PathBuf::from("/nonexistent");
    crate::look(crate::Looking::at(crate::Roots {
        proc: nowhere.clone(),
        sys: nowhere.clone(),
        cgroup: Some(nowhere.clone()),
        pod_logs: nowhere.clone(),
        container_logs: nowhere,
    }))
}

#[tokio::test]
async fn a_view_that_can_not_be_encoded_is_an_error_of_ours_and_is_logged() {
    let (_views, view) = watch::channel(Some(Arc::new(view_of_nothing())));
    let mut site = site(view);
    let worker = crate::worker::Worker::start("test").expect("a thread");
    site.metrics = Exposition::new(&worker, |view| panic!("a bug at poll {}", view.poll.number));
    let said = Said::default();
    let log = said.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || log.clone()).finish();
    let _logging = tracing::subscriber::set_default(subscriber);
    let request = Request::builder().uri("/metrics").body(()).expect("a request");
    let failed = answer(&site, Client::Welcome, &request).await.expect("an answer");
    assert_eq!(failed.status(), StatusCode::INTERNAL_SERVER_ERROR);
    let log = String::from_utf8(said.0.lock().expect("the log").clone()).expect("text");
    assert!(log.contains("ERROR") && log.contains("could not be encoded"), "{log}");
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
    let mut shown = view_of_nothing();
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
