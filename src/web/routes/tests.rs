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
