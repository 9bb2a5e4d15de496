//! What every request must pass: nobody gets in through the browser of whoever works on this machine, and nobody keeps the
//! interface busy.
//!
//! A page of a foreign site can have a browser send requests here. Its name is in `Origin` then, or, if it has the browser believe
//! that its name is this machine's address (DNS rebinding), in `Host`.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Shared;
use super::answer::Refusal;

/// Bytes of a body. No request needs more: the largest names all vertices of a job.
const MAX_BODY: usize = 1 << 20;
/// How long the body of a request may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Refuses what comes from a foreign page, and reads the body.
pub(super) async fn guard(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    if let Err(refusal) = check(request.headers(), &shared.hosts) {
        return refusal.into_response();
    }
    let (parts, body) = request.into_parts();
    let bytes = match tokio::time::timeout(BODY_TIMEOUT, to_bytes(body, MAX_BODY)).await {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(_)) => {
            let message = format!("the body of the request is cut off, or has more than {MAX_BODY} bytes");
            return Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, message).into_response();
        }
        Err(_) => {
            let message = format!("the body of the request did not come within {} s", BODY_TIMEOUT.as_secs());
            return Refusal::new(StatusCode::REQUEST_TIMEOUT, message).into_response();
        }
    };
    let response = next.run(Request::from_parts(parts, Body::from(bytes))).await;
    // What the router refuses by itself, such as a path that is no text, it says in plain words.
    let is_plain =
        response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == "text/plain; charset=utf-8");
    if !is_plain {
        return response;
    }
    let status = response.status();
    let words = to_bytes(response.into_body(), MAX_BODY).await.unwrap_or_default();
    Refusal::new(status, String::from_utf8_lossy(&words)).into_response()
}

fn check(headers: &HeaderMap, hosts: &[String]) -> Result<(), Refusal> {
    let forbidden = |message: String| Refusal::new(StatusCode::FORBIDDEN, message);
    let host = text(headers, header::HOST.as_str())
        .ok_or_else(|| Refusal::bad("the request has no header 'Host'"))?;
    if !is_known(host_name(host), hosts) {
        return Err(forbidden(format!(
            "this is not '{}': ask for an address of this machine, for localhost, or for the name that 'rest.address' is set to",
            host_name(host)
        )));
    }
    if let Some(origin) = text(headers, header::ORIGIN.as_str())
        && !origin.strip_prefix("http://").is_some_and(|origin| origin.eq_ignore_ascii_case(host))
    {
        return Err(forbidden(format!("requests of pages from '{origin}' are not answered")));
    }
    match text(headers, "sec-fetch-site") {
        None | Some("same-origin" | "none") => Ok(()),
        Some(other) => Err(forbidden(format!("requests of pages from elsewhere ({other}) are not answered"))),
    }
}

/// A header that is there once, as text; what is no text is nothing that could be known.
fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    Some(if values.next().is_some() { "" } else { value.to_str().unwrap_or("") })
}

/// Without the port.
fn host_name(host: &str) -> &str {
    if host.starts_with('[') {
        return host.split_once(']').map_or(host, |(name, _)| name.trim_start_matches('['));
    }
    host.rsplit_once(':').map_or(host, |(name, _)| name)
}

fn is_known(host: &str, names: &[String]) -> bool {
    // An address that is written out is no name that somebody could have led here.
    host.parse::<IpAddr>().is_ok()
        || host.eq_ignore_ascii_case("localhost")
        || names.iter().any(|name| name.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(headers: &[(&'static str, &'static str)]) -> u16 {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        match check(&map, &["engine.example".to_owned()]) {
            Ok(()) => 200,
            Err(refusal) => refusal.into_response().status().as_u16(),
        }
    }

    #[test]
    fn only_this_machine_is_asked_for_and_only_by_its_own_pages() {
        for (headers, expected) in [
            (&[("host", "localhost:8081")][..], 200),
            (&[("host", "LOCALHOST")], 200),
            (&[("host", "127.0.0.1:8081")], 200),
            (&[("host", "[::1]:8081")], 200),
            (&[("host", "engine.example:8081")], 200),
            (&[], 400),
            (&[("host", "evil.example:8081")], 403),
            (&[("host", "localhost.evil.example")], 403),
            (&[("host", "localhost"), ("host", "evil.example")], 403),
            (&[("host", "localhost:8081"), ("origin", "http://localhost:8081")], 200),
            (&[("host", "localhost:8081"), ("origin", "http://localhost:3000")], 403),
            (&[("host", "localhost:8081"), ("origin", "https://localhost:8081")], 403),
            (&[("host", "localhost:8081"), ("origin", "null")], 403),
            (&[("host", "localhost:8081"), ("origin", "http://evil.example")], 403),
            (&[("host", "localhost:8081"), ("sec-fetch-site", "same-origin")], 200),
            (&[("host", "localhost:8081"), ("sec-fetch-site", "none")], 200),
            (&[("host", "localhost:8081"), ("sec-fetch-site", "same-site")], 403),
            (&[("host", "localhost:8081"), ("sec-fetch-site", "cross-site")], 403),
        ] {
            assert_eq!(status(headers), expected, "{headers:?}");
        }
    }
}
