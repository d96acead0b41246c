//! The headers that are added to every answer.

use hyper::header::{HeaderMap, HeaderName, HeaderValue};

use super::error::Wrong;
use super::file::WrittenHeaders;

/// Checks them. A blank one is not set.
pub(super) fn headers(written: WrittenHeaders) -> Result<HeaderMap, Wrong> {
    let any: &[&str] = &[];
    let mut headers = HeaderMap::new();
    for (name, value, allowed) in [
        ("Content-Security-Policy", written.content_security_policy, any),
        ("X-Frame-Options", written.x_frame_options, &["deny", "sameorigin"]),
        ("X-Content-Type-Options", written.x_content_type_options, &["nosniff"]),
        ("X-XSS-Protection", written.x_xss_protection, any),
        ("Strict-Transport-Security", written.strict_transport_security, any),
    ] {
        let Some(value) = value.filter(|value| !value.is_empty()) else { continue };
        let wrong = |expected: String| {
            let key = format!("http_server_config.headers.{name}");
            Wrong::key(key, format!("'{value}' can't be sent"), expected)
        };
        if !allowed.is_empty() && !allowed.contains(&value.as_str()) {
            return Err(wrong(allowed.join(" or ")));
        }
        let sent = (HeaderName::from_bytes(name.as_bytes()).ok())
            .zip(HeaderValue::from_str(&value).ok())
            .ok_or_else(|| wrong("one line of printable text".to_owned()))?;
        headers.insert(sent.0, sent.1);
    }
    Ok(headers)
}
