//! Which answer a request gets.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{
    ACCEPT_ENCODING, ALLOW, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue, VARY,
};
use hyper::{Method, Request, Response, StatusCode};

use super::exposition::accepts_gzip;
use super::site::Site;
use crate::render::{metrics, page};

type Answer = Response<Full<Bytes>>;

/// The poller is stuck if it has not advanced for so long, or for three intervals if those are longer.
const STUCK: Duration = Duration::from_secs(60);

/// Answers one request. The body, if it has one, is never read.
pub(super) async fn answer<B>(site: &Site, request: &Request<B>) -> Result<Answer, Infallible> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return Ok(response);
    }
    Ok(match request.uri().path() {
        path if path == site.telemetry_path.as_str() => scrape(site, request.headers()).await,
        "/" => html(page::landing(site.telemetry_path.as_str())),
        "/-/healthy" => healthy(site),
        "/-/ready" => ready(site),
        _ => text(StatusCode::NOT_FOUND, "no such page"),
    })
}

async fn scrape(site: &Site, headers: &HeaderMap) -> Answer {
    let Some(view) = site.view.borrow().clone() else {
        return text(StatusCode::SERVICE_UNAVAILABLE, "the first snapshot is not taken yet");
    };
    let encodings: Vec<_> =
        headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok()).collect();
    let gzip = accepts_gzip(&encodings.join(","));
    let body =
        if gzip { site.exposition.gzip(view).await } else { site.exposition.plain(view).await };
    let Ok(body) = body else {
        return text(StatusCode::INTERNAL_SERVER_ERROR, "the metrics could not be encoded");
    };
    let mut response = Response::new(Full::new(body));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(metrics::CONTENT_TYPE));
    headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    if gzip {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

fn healthy(site: &Site) -> Answer {
    let now = Instant::now().saturating_duration_since(site.started);
    let last =
        site.view.borrow().as_ref().map(|view| view.snapshot.taken.since_start).unwrap_or_default();
    let age = now.saturating_sub(last);
    if age <= STUCK.max(site.poll_interval * 3) {
        text(StatusCode::OK, "healthy")
    } else {
        text(StatusCode::SERVICE_UNAVAILABLE, &format!("no snapshot for {} s", age.as_secs()))
    }
}

fn ready(site: &Site) -> Answer {
    if *site.ending.borrow() {
        text(StatusCode::SERVICE_UNAVAILABLE, "ending")
    } else if site.view.borrow().is_none() {
        text(StatusCode::SERVICE_UNAVAILABLE, "the first snapshot is not taken yet")
    } else {
        text(StatusCode::OK, "ready")
    }
}

fn text(status: StatusCode, line: &str) -> Answer {
    let mut response = Response::new(Full::new(Bytes::from(format!("{line}\n"))));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

fn html(page: String) -> Answer {
    let mut response = Response::new(Full::new(Bytes::from(page)));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    response
}
