//! What a request gets: an embedded file, "not modified", or a refusal.

use crate::assets::{ASSETS, Asset};

/// The page at `/`.
const INDEX: &str = "/demo/index.html";

/// Only what the page itself ships runs, and it talks to its own origin alone.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     img-src 'self'; font-src 'self'; connect-src 'self'; media-src 'self'; form-action 'self'; \
     base-uri 'none'; frame-ancestors 'none'";

/// The microphone and the choice of a loudspeaker, for this origin only.
const PERMISSIONS_POLICY: &str = "microphone=(self), speaker-selection=(self), autoplay=(self), \
     camera=(), geolocation=(), display-capture=()";

/// A reply, ready for any host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Header names in lower case, with their values.
    pub headers: Vec<(&'static str, String)>,
    /// Empty for HEAD and 304.
    pub body: &'static [u8],
}

impl Answer {
    /// The value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(header, _)| *header == name)?;
        Some(&found.1)
    }
}

/// Answers `method path`, where `path` has no query and `if_none_match` is that header's value.
#[must_use]
pub fn answer(method: &str, path: &str, if_none_match: Option<&str>) -> Answer {
    let Some(asset) = find(path) else {
        return refusal(404, "unknown-route", NOT_FOUND);
    };
    if method != "GET" && method != "HEAD" {
        let mut refused = refusal(405, "method-not-allowed", NOT_ALLOWED);
        refused.headers.push(("allow", "GET, HEAD".to_owned()));
        return refused;
    }
    let mut headers = file_headers(asset);
    if if_none_match.is_some_and(|tags| matches(tags, asset.etag)) {
        headers.push(record("not-modified"));
        return Answer {
            status: 304,
            headers,
            body: b"",
        };
    }
    headers.push(record("served"));
    headers.push(("content-type", asset.content_type.to_owned()));
    if method == "HEAD" {
        return Answer {
            status: 200,
            headers,
            body: b"",
        };
    }
    headers.push(("content-length", asset.body.len().to_string()));
    Answer {
        status: 200,
        headers,
        body: asset.body,
    }
}

fn find(path: &str) -> Option<&'static Asset> {
    let path = if path == "/" || path == "/demo/" {
        INDEX
    } else {
        path
    };
    let index = ASSETS.binary_search_by(|asset| asset.path.cmp(path)).ok()?;
    Some(&ASSETS[index])
}

fn file_headers(asset: &Asset) -> Vec<(&'static str, String)> {
    // Names carry no version, so every use asks whether the file changed. The font never does.
    let lasting = asset.path.ends_with(".woff2");
    let cache = if lasting {
        "public, max-age=604800"
    } else {
        "no-cache"
    };
    let mut headers = vec![
        ("etag", asset.etag.to_owned()),
        ("cache-control", cache.to_owned()),
        (
            "content-security-policy",
            CONTENT_SECURITY_POLICY.to_owned(),
        ),
        ("permissions-policy", PERMISSIONS_POLICY.to_owned()),
        ("referrer-policy", "no-referrer".to_owned()),
        ("x-content-type-options", "nosniff".to_owned()),
    ];
    if asset.path.starts_with("/sdk/") {
        // A game's own page may import the SDK from here.
        headers.push(("access-control-allow-origin", "*".to_owned()));
    } else {
        headers.push(("cross-origin-opener-policy", "same-origin".to_owned()));
    }
    headers
}

/// Whether an If-None-Match value names this tag (RFC 9110, 13.1.2: weak comparison).
fn matches(tags: &str, etag: &str) -> bool {
    tags.split(',')
        .map(str::trim)
        .any(|tag| tag == "*" || tag.trim_start_matches("W/") == etag)
}

const NOT_FOUND: &str = concat!(
    r#"{"type":"https://lifeverse.dev/problems/unknown-route","#,
    r#""title":"There is nothing at this address","status":404,"#,
    r#""detail":"The page is at /, the browser SDK at /sdk/index.js."}"#,
);

const NOT_ALLOWED: &str = concat!(
    r#"{"type":"https://lifeverse.dev/problems/method-not-allowed","#,
    r#""title":"This address does not take this method","status":405,"#,
    r#""detail":"Only a file is served here. Use GET or HEAD."}"#,
);

fn refusal(status: u16, outcome: &str, body: &'static str) -> Answer {
    let headers = vec![
        ("content-type", "application/problem+json".to_owned()),
        ("content-length", body.len().to_string()),
        ("cache-control", "no-store".to_owned()),
        ("x-content-type-options", "nosniff".to_owned()),
        ("access-control-allow-origin", "*".to_owned()),
        record(outcome),
    ];
    Answer {
        status,
        headers,
        body: body.as_bytes(),
    }
}

/// This function's share of the invocation record; the host strips the header.
fn record(outcome: &str) -> (&'static str, String) {
    (
        "lv-record",
        format!(r#"{{"route":"page","outcome":"{outcome}"}}"#),
    )
}
