//! The page, the SDK and their headers, as a browser meets them.
#![allow(clippy::unwrap_used, reason = "a test may end at once")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use web_spin::{ASSETS, answer};

#[test]
fn every_file_of_sdk_and_demo_is_served_as_it_lies_there() {
    let web = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut expected = BTreeSet::new();
    for folder in ["sdk", "demo"] {
        for entry in fs::read_dir(web.join(folder)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let path = format!("/{folder}/{name}");
            let reply = answer("GET", &path, None);
            assert_eq!(reply.status, 200, "{path}");
            assert_eq!(
                reply.body,
                fs::read(web.join(folder).join(&name)).unwrap(),
                "{path}"
            );
            expected.insert(path);
        }
    }
    let served: BTreeSet<_> = ASSETS.iter().map(|asset| asset.path.to_owned()).collect();
    assert_eq!(served, expected);
    assert!(ASSETS.is_sorted_by_key(|asset| asset.path));
}

#[test]
fn the_root_is_the_page() {
    let reply = answer("GET", "/", None);
    assert_eq!(reply.status, 200);
    assert_eq!(
        reply.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert_eq!(reply, answer("GET", "/demo/index.html", None));
}

#[test]
fn modules_have_the_type_that_browsers_insist_on() {
    let reply = answer("GET", "/sdk/index.js", None);
    assert_eq!(
        reply.header("content-type"),
        Some("text/javascript; charset=utf-8")
    );
    assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
}

#[test]
fn head_has_the_headers_and_no_body() {
    let reply = answer("HEAD", "/", None);
    assert_eq!((reply.status, reply.body), (200, &b""[..]));
    assert!(reply.header("etag").is_some());
}

#[test]
fn an_unchanged_file_is_not_sent_again() {
    let etag = answer("GET", "/", None).header("etag").unwrap().to_owned();
    for tags in [
        etag.clone(),
        format!("W/{etag}"),
        format!("\"x\", {etag}"),
        "*".to_owned(),
    ] {
        let reply = answer("GET", "/", Some(&tags));
        assert_eq!((reply.status, reply.body), (304, &b""[..]), "{tags}");
        assert_eq!(reply.header("etag"), Some(etag.as_str()));
    }
    assert_eq!(answer("GET", "/", Some("\"x\"")).status, 200);
}

#[test]
fn different_files_have_different_tags() {
    let tags: BTreeSet<_> = ASSETS.iter().map(|asset| asset.etag).collect();
    assert_eq!(tags.len(), ASSETS.len());
}

#[test]
fn nothing_else_is_served() {
    for path in [
        "/nothing",
        "/sdk",
        "/sdk/",
        "/sdk/../Cargo.toml",
        "",
        "/demo/%2e%2e/x",
    ] {
        let reply = answer("GET", path, None);
        assert_eq!(reply.status, 404, "{path}");
        assert_eq!(
            reply.header("content-type"),
            Some("application/problem+json")
        );
        let body = std::str::from_utf8(reply.body).unwrap();
        assert!(body.contains("problems/unknown-route"), "{body}");
    }
}

#[test]
fn other_methods_are_refused_with_the_allowed_ones() {
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "get"] {
        let reply = answer(method, "/", None);
        assert_eq!(reply.status, 405, "{method}");
        assert_eq!(reply.header("allow"), Some("GET, HEAD"));
    }
}

#[test]
fn the_page_may_run_only_its_own_code() {
    let reply = answer("GET", "/", None);
    let policy = reply.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'"));
    assert!(policy.contains("connect-src 'self'") && !policy.contains("unsafe"));
    assert!(
        reply
            .header("permissions-policy")
            .unwrap()
            .contains("microphone=(self)")
    );
    assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(reply.header("referrer-policy"), Some("no-referrer"));
    // The policy is only worth something when the page needs no exception from it.
    let page = std::str::from_utf8(reply.body).unwrap();
    for inline in ["<style", " style=", "javascript:", " onclick="] {
        assert!(!page.contains(inline), "the page has {inline}");
    }
    assert_eq!(
        page.matches("<script").count(),
        page.matches("<script type=\"module\" src=").count()
    );
}

#[test]
fn the_record_says_what_happened_and_nothing_about_whom() {
    let cases = [
        (answer("GET", "/", None), "served"),
        (answer("GET", "/", Some("*")), "not-modified"),
        (answer("GET", "/x", None), "unknown-route"),
        (answer("POST", "/", None), "method-not-allowed"),
    ];
    for (reply, outcome) in cases {
        let expected = format!(r#"{{"route":"page","outcome":"{outcome}"}}"#);
        assert_eq!(reply.header("lv-record"), Some(expected.as_str()));
    }
}
