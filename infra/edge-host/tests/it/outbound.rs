//! Requests that components send.
#![expect(
    clippy::disallowed_methods,
    reason = "tests with real processes need deadlines"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::support::Rig;
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// A server on loopback: `/big` answers 64 kB, `/silent` never, others with the path.
struct Upstream {
    port: u16,
    connections: Arc<AtomicUsize>,
}

impl Upstream {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(AtomicUsize::new(0));
        let accepted = connections.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                accepted.fetch_add(1, Ordering::Relaxed);
                let service = service_fn(|request: http::Request<_>| async move {
                    let _: &hyper::body::Incoming = request.body();
                    let body = match request.uri().path() {
                        "/big" => "z".repeat(64 << 10),
                        "/silent" => std::future::pending().await,
                        path => format!("{path} {:?}", request.headers()["host"]),
                    };
                    Ok::<_, std::convert::Infallible>(http::Response::new(Full::new(
                        bytes::Bytes::from(body),
                    )))
                });
                let serving = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                tokio::spawn(serving);
            }
        });
        Self { port, connections }
    }

    async fn rig(&self, limit: impl FnOnce(&mut edge_host::Limits)) -> Rig {
        Rig::with(|config| {
            config
                .variables
                .insert("upstream_port".into(), self.port.to_string());
            limit(&mut config.limits);
        })
        .await
    }

    fn fetch(&self, path: &str) -> String {
        format!("/fetch?http://127.0.0.1:{}{path}", self.port)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_allowed_host_is_reached_over_one_connection() {
    let upstream = Upstream::start().await;
    let rig = upstream.rig(|_| {}).await;
    for _ in 0..5 {
        let reply = rig.get(&upstream.fetch("/a")).await;
        reply.assert_ok(&format!("/a \"127.0.0.1:{}\"", upstream.port));
    }
    // Five instances, one connection: the pool is the host's.
    assert_eq!(upstream.connections.load(Ordering::Relaxed), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_the_manifest_does_not_allow_is_denied_and_not_contacted() {
    let upstream = Upstream::start().await;
    // Allows another port only.
    let rig = Rig::start().await;
    let urls = [
        format!("http://127.0.0.1:{}/", upstream.port),
        format!("http://localhost:{}/", upstream.port),
        "http://127.0.0.1/".to_owned(),
        "http://169.254.169.254/latest/meta-data".to_owned(),
        // The same address and port are another permission over TLS.
        "https://127.0.0.1:1/".to_owned(),
    ];
    for url in urls {
        let reply = rig.get(&format!("/fetch?{url}")).await;
        assert_eq!(reply.body, "ErrorCode::HttpRequestDenied", "{url}");
    }
    assert_eq!(upstream.connections.load(Ordering::Relaxed), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outbound_request_is_bounded_in_time() {
    let upstream = Upstream::start().await;
    let rig = upstream.rig(|limits| limits.outbound_ms = 150).await;
    let started = Instant::now();
    let reply = rig.get(&upstream.fetch("/silent")).await;
    assert_eq!(reply.body, "ErrorCode::ConnectionTimeout");
    assert!(started.elapsed() >= Duration::from_millis(150));
    // Nothing listens on port 1, which the fixture is allowed by default.
    let rig = Rig::start().await;
    let reply = rig.get("/fetch?http://127.0.0.1:1/").await;
    assert_eq!(reply.body, "ErrorCode::ConnectionRefused");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outbound_reply_is_bounded_in_size() {
    let upstream = Upstream::start().await;
    let rig = upstream
        .rig(|limits| limits.outbound_body_bytes = 64 << 10)
        .await;
    assert_eq!(rig.get(&upstream.fetch("/big")).await.body.len(), 64 << 10);
    let rig = upstream
        .rig(|limits| limits.outbound_body_bytes = (64 << 10) - 1)
        .await;
    let reply = rig.get(&upstream.fetch("/big")).await;
    assert!(
        reply.body.contains("HttpResponseBodySize"),
        "{}",
        reply.body
    );
}
