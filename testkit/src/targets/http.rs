//! A request's head, as hyper gives it to us: a line `METHOD URI`, then a line `name: value` for each header.

use std::cell::RefCell;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use flate2::read::GzDecoder;
use http_body_util::BodyExt;
use hugetlb_exporter::fuzzing::{Client, Site, WebConfig, answer};
use hugetlb_exporter::{Looking, Roots, look, metrics};
use hyper::header::{ACCEPT_ENCODING, ALLOW, CONTENT_ENCODING, HeaderName, HeaderValue};
use hyper::{Method, Request, StatusCode};
use tokio::runtime::Runtime;
use tokio::sync::watch;

/// Answers it.
pub fn http(bytes: &[u8]) {
    // What hyper refuses we never see.
    if let Some(request) = request(bytes) {
        SERVER.with_borrow(|server| server.check(&request));
    }
}

fn request(bytes: &[u8]) -> Option<Request<()>> {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let (method, uri) = std::str::from_utf8(lines.next()?).ok()?.split_once(' ')?;
    let mut request = Request::builder().method(method).uri(uri);
    for line in lines {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let (name, value) = line.split_at(colon);
        let value = HeaderValue::from_bytes(value.get(1..)?.trim_ascii()).ok()?;
        request = request.header(HeaderName::from_bytes(name).ok()?, value);
    }
    request.body(()).ok()
}

thread_local! {
    static SERVER: RefCell<Server> = RefCell::new(Server::new());
}

/// A site with one view, and what awaits its answers.
struct Server {
    runtime: Runtime,
    site: Site,
    metrics: String,
}

impl Server {
    fn new() -> Self {
        let nowhere = PathBuf::from("/nonexistent");
        let view = look(Looking::at(Roots {
            proc: nowhere.clone(),
            sys: nowhere.clone(),
            cgroup: Some(nowhere.clone()),
            pod_logs: nowhere.clone(),
            container_logs: nowhere,
        }));
        let metrics = metrics::encode(&view);
        // Their receivers keep the last value when the senders are gone.
        let (view, ending) = (watch::channel(Some(Arc::new(view))).1, watch::channel(false).1);
        let path = "/metrics".parse().expect("a path");
        let config = WebConfig::load(None).expect("nothing");
        let site = Site::new(view, path, Instant::now(), Duration::MAX / 4, ending, &config);
        let site = site.expect("threads");
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        Self { runtime, site, metrics }
    }

    fn check(&self, request: &Request<()>) {
        let (response, body) = self.runtime.block_on(async {
            let Ok(response) = answer(&self.site, Client::Welcome, request).await;
            let (head, body) = response.into_parts();
            (head, body.collect().await.map(http_body_util::Collected::to_bytes))
        });
        let body = body.expect("a whole body");
        let reads = [Method::GET, Method::HEAD].contains(request.method());
        let path = request.uri().path();
        let expected = match path {
            _ if !reads => StatusCode::METHOD_NOT_ALLOWED,
            "/metrics" | "/" | "/api/v1/view" | "/-/healthy" | "/-/ready" => StatusCode::OK,
            _ => StatusCode::NOT_FOUND,
        };
        assert_eq!(response.status, expected);
        assert_eq!(response.headers.contains_key(ALLOW), !reads);
        let packed = response.headers.contains_key(CONTENT_ENCODING);
        if reads && ["/metrics", "/", "/api/v1/view"].contains(&path) {
            let mut text = String::new();
            if packed {
                GzDecoder::new(&*body).read_to_string(&mut text).expect("gzip");
            } else {
                text = String::from_utf8(body.to_vec()).expect("text");
            }
            match path {
                "/metrics" => assert_eq!(text, self.metrics),
                "/" => assert!(text.starts_with("<!DOCTYPE html>"), "{text}"),
                _ => assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{text}"),
            }
            check_encoding(request, packed);
        } else {
            assert!(!packed);
        }
    }
}

/// Gzip goes to those who name it, or anything, and to them unless they say how much they like it.
fn check_encoding(request: &Request<()>, packed: bool) {
    let headers = request.headers().get_all(ACCEPT_ENCODING).iter();
    let headers: Vec<&str> = headers.filter_map(|value| value.to_str().ok()).collect();
    let accepts = headers.join(",").to_ascii_lowercase();
    let named = accepts.split([',', ';']).any(|word| ["gzip", "*"].contains(&word.trim()));
    assert!(named || !packed, "{accepts}");
    assert!(accepts.contains(';') || named == packed, "{accepts}");
}
