//! Which answer a request gets.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{
    ACCEPT_ENCODING, ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_ENCODING,
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap, HeaderValue, REFRESH, VARY, WWW_AUTHENTICATE,
};
use hyper::{Method, Request, Response, StatusCode};

use super::exposition::{Coding, Exposition, accepts_gzip};
use super::handshake::Client;
use super::settings::Settings;
use super::site::Site;
use crate::render::{metrics, page};

type Answer = Response<Full<Bytes>>;

const HTML: &str = "text/html; charset=utf-8";
const JSON: &str = "application/json";

/// A view is old by the next poll.
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// The poller is stuck if it has not advanced for so long, or for three intervals if those are longer.
const STUCK: Duration = Duration::from_secs(60);

/// These need neither password nor certificate: the kubelet has none to show.
const HEALTHY: &str = "/-/healthy";
const READY: &str = "/-/ready";

/// Answers one request. The body, if it has one, is never read.
pub async fn answer<B>(
    site: &Site,
    client: Client,
    request: &Request<B>,
) -> Result<Answer, Infallible> {
    let settings = Arc::clone(&site.settings.borrow());
    let mut response = match refusal(&settings, client, request).await {
        Some(refusal) => refusal,
        None => page(site, request).await,
    };
    // In place of our own where it has one: what is configured is what is sent.
    for (name, value) in &settings.headers {
        response.headers_mut().insert(name, value.clone());
    }
    Ok(response)
}

/// What is said to whom a page is not shown.
async fn refusal<B>(settings: &Settings, client: Client, request: &Request<B>) -> Option<Answer> {
    if [HEALTHY, READY].contains(&request.uri().path()) {
        return None;
    }
    if client == Client::Unidentified {
        return Some(text(StatusCode::FORBIDDEN, "a client certificate is required"));
    }
    if settings.users.admit(request.headers().get(AUTHORIZATION)).await {
        return None;
    }
    let mut response = text(StatusCode::UNAUTHORIZED, "user and password are required");
    let challenge = HeaderValue::from_static("Basic realm=\"hugetlb-exporter\", charset=\"UTF-8\"");
    response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    Some(response)
}

async fn page<B>(site: &Site, request: &Request<B>) -> Answer {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    match request.uri().path() {
        path if path == site.telemetry_path.as_str() => {
            site.requested.notify_one();
            encoded(site, &site.metrics, metrics::CONTENT_TYPE, request.headers()).await
        }
        "/" => {
            site.requested.notify_one();
            status_page(site, request).await
        }
        "/api/v1/view" => json(site, &site.report, request.headers()).await,
        "/api/v1/incidents" => json(site, &site.incidents, request.headers()).await,
        HEALTHY => healthy(site),
        READY => ready(site),
        _ => text(StatusCode::NOT_FOUND, "no such page"),
    }
}

/// The newest view in one form.
async fn encoded(
    site: &Site,
    form: &Exposition,
    content_type: &'static str,
    headers: &HeaderMap,
) -> Answer {
    let Some(view) = site.view.borrow().clone() else {
        return text(StatusCode::SERVICE_UNAVAILABLE, "the first snapshot is not taken yet");
    };
    let encodings: Vec<_> =
        headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok()).collect();
    let gzip = accepts_gzip(&encodings.join(","));
    let coding = if gzip { Coding::Gzip } else { Coding::Plain };
    let body = match form.body(view, coding).await {
        Ok(body) => body,
        Err(error) => {
            tracing::error!(%error, content_type, "the view could not be encoded");
            return text(StatusCode::INTERNAL_SERVER_ERROR, "the view could not be encoded");
        }
    };
    let mut response = Response::new(Full::new(body));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    if gzip {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

async fn json(site: &Site, form: &Exposition, headers: &HeaderMap) -> Answer {
    let mut answer = encoded(site, form, JSON, headers).await;
    answer.headers_mut().insert(CACHE_CONTROL, NO_STORE);
    answer
}

/// The page, which asks for itself again unless it is to stand still; so does the word that there is no view yet.
async fn status_page<B>(site: &Site, request: &Request<B>) -> Answer {
    let is_still = request.uri().query() == Some(page::STILL);
    let page = if is_still { &site.still_page } else { &site.page };
    let mut answer = encoded(site, page, HTML, request.headers()).await;
    let headers = answer.headers_mut();
    headers.insert(CACHE_CONTROL, NO_STORE);
    headers
        .insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(page::CONTENT_SECURITY_POLICY));
    if !is_still {
        headers.insert(REFRESH, HeaderValue::from(page::REFRESH_SECONDS));
    }
    answer
}

fn healthy(site: &Site) -> Answer {
    let now = Instant::now().saturating_duration_since(site.started);
    let (last, interval) = match &*site.view.borrow() {
        Some(view) => (view.snapshot.taken.since_start, view.poll.next),
        None => (Duration::ZERO, site.poll_interval),
    };
    let age = now.saturating_sub(last);
    if age <= STUCK.max(interval * 3) {
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

#[cfg(test)]
mod tests;
