//! Answers before there is anything to show.

use std::sync::Arc;

use tokio::sync::watch;

use super::*;
use crate::view::View;

fn site(view: watch::Receiver<Option<Arc<View>>>) -> Site {
    let path = "/metrics".parse().expect("a path");
    Site::new(view, path, Instant::now(), Duration::from_secs(2), watch::channel(false).1)
}

#[tokio::test]
async fn before_the_first_view_nothing_is_shown_as_if_it_were_one() {
    let (_views, view) = watch::channel(None);
    let site = site(view);
    for path in ["/", "/?still", "/metrics", "/api/v1/view", "/-/ready"] {
        for method in [Method::GET, Method::HEAD] {
            let request = Request::builder().method(method).uri(path).body(()).expect("a request");
            let answer = answer(&site, &request).await.expect("an answer");
            assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE, "{path}");
            let kind = answer.headers().get(CONTENT_TYPE).expect("a type");
            assert_eq!(kind, "text/plain; charset=utf-8", "{path}");
            // Who waits for the page is shown it once it is there.
            assert_eq!(answer.headers().contains_key(REFRESH), path == "/", "{path}");
        }
    }
}
