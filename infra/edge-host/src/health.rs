//! `/healthz` and `/readyz`: for supervisors and load balancers. No function runs for them.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, Response, StatusCode};

use crate::refusal::Refusal;

/// Whether the process answers at all.
pub(crate) const HEALTH_PATH: &str = "/healthz";
/// Whether it may be sent requests.
pub(crate) const READY_PATH: &str = "/readyz";

/// The answer, if the path is one of ours. They come before every route of the manifest.
///
/// A host that is busy is ready all the same: it is the only one of its database, and refuses what
/// is too much itself.
pub(crate) fn answer(method: &Method, path: &str, is_stopping: bool) -> Option<Response<Bytes>> {
    let is_fine = match path {
        HEALTH_PATH => true,
        READY_PATH => !is_stopping,
        _ => return None,
    };
    if *method != Method::GET && *method != Method::HEAD {
        return Some(Refusal::MethodNotAllowed { allow: "GET, HEAD" }.response());
    }
    let (status, body) = match is_fine {
        true => (StatusCode::OK, r#"{"status":"ok"}"#),
        false => (
            StatusCode::SERVICE_UNAVAILABLE,
            r#"{"status":"unready","faults":[{"reason":"stopping"}]}"#,
        ),
    };
    let mut reply = Response::new(Bytes::from_static(body.as_bytes()));
    *reply.status_mut() = status;
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Some(reply)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(method: Method, path: &str, is_stopping: bool) -> Option<u16> {
        answer(&method, path, is_stopping).map(|reply| reply.status().as_u16())
    }

    #[test]
    fn a_host_that_stops_is_alive_and_not_ready() {
        for (path, stopping, wanted) in [
            (HEALTH_PATH, false, Some(200)),
            (HEALTH_PATH, true, Some(200)),
            (READY_PATH, false, Some(200)),
            (READY_PATH, true, Some(503)),
            ("/healthz/more", false, None),
        ] {
            assert_eq!(status(Method::GET, path, stopping), wanted, "{path}");
        }
        assert_eq!(status(Method::POST, READY_PATH, false), Some(405));
        assert_eq!(status(Method::HEAD, READY_PATH, false), Some(200));
    }
}
