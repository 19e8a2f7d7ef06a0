//! Starts the host with the fixture component, and talks to it.

#![allow(unreachable_pub, reason = "each module of tests uses its part")]

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use edge_host::{Config, InvocationRecord, LANES, Limits, RecordSink, Running};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// Longest that a test waits for something that is to happen at once.
pub const PATIENCE: Duration = Duration::from_secs(20);
pub const SECRET: &str = "fixture-secret-value";

/// A folder that is removed when dropped.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("edge-host-{}-{number}", std::process::id());
        let path = scratch().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Cargo's folder for tests; an example has none.
fn scratch() -> PathBuf {
    option_env!("CARGO_TARGET_TMPDIR").map_or_else(std::env::temp_dir, PathBuf::from)
}

/// The fixture component, which `cargo xtask wasm` builds.
pub fn fixture() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"),
        PathBuf::from,
    );
    let file = target.join("wasm32-wasip2/wasm/edge_host_fixture.wasm");
    assert!(
        file.exists(),
        "{} is missing: run cargo xtask wasm",
        file.display()
    );
    file
}

/// The fixture's manifest with its source where this build has it.
pub fn manifest(folder: &Path) -> PathBuf {
    let text = include_str!("../../../fixture/spin.toml");
    let source = "../../../target/wasm32-wasip2/wasm/edge_host_fixture.wasm";
    assert!(text.contains(source));
    let file = folder.join("spin.toml");
    std::fs::write(&file, text.replace(source, fixture().to_str().unwrap())).unwrap();
    file
}

/// A configuration for the fixture: everything in the folder, compiled code shared by all tests.
pub fn config(folder: &Path) -> Config {
    let mut config = Config::new(manifest(folder), folder.join("state"));
    config.cache_dir = scratch().join("edge-host-cache");
    config
        .variables
        .insert("fixture_secret".into(), SECRET.into());
    config.limits.concurrent_requests = 16;
    // The fixture has no routes of the API: all of them are for what is none.
    config.limits.shares = [0; LANES];
    config.limits.shares[LANES - 1] = 1;
    config
}

/// A running host and a client.
pub struct Rig {
    pub running: Running,
    pub records: UnboundedReceiver<InvocationRecord>,
    pub client: Client<HttpConnector, Full<Bytes>>,
    pub folder: Folder,
}

/// A whole reply.
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

impl Reply {
    /// Checks that it is the host's refusal of this name, whole and readable by a page.
    #[track_caller]
    pub fn assert_problem(&self, status: u16, name: &str) {
        assert_eq!(self.status.as_u16(), status, "{}", self.body);
        assert_eq!(self.headers["content-type"], "application/problem+json");
        assert_eq!(self.headers["access-control-allow-origin"], "*");
        let problem: serde_json::Value = serde_json::from_str(&self.body).unwrap();
        assert_eq!(
            problem["type"],
            format!("https://lifeverse.dev/problems/{name}")
        );
        assert_eq!(problem["status"], status);
        assert!(problem["title"].as_str().unwrap().len() > 5);
        assert!(
            problem["detail"].as_str().unwrap().ends_with('.'),
            "{}",
            self.body
        );
    }

    #[track_caller]
    pub fn assert_ok(&self, body: &str) {
        assert_eq!((self.status.as_u16(), self.body.as_str()), (200, body));
    }
}

impl Rig {
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with_limits(change: impl FnOnce(&mut Limits)) -> Self {
        Self::with(|config| change(&mut config.limits)).await
    }

    pub async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let folder = Folder::new();
        let mut config = config(&folder.0);
        change(&mut config);
        Self::of(folder, config).await
    }

    pub async fn of(folder: Folder, mut config: Config) -> Self {
        let (sender, records) = unbounded_channel();
        config.records = RecordSink::Channel(sender);
        let running = edge_host::start(config).await.unwrap();
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self {
            running,
            records,
            client,
            folder,
        }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.running.address())
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.send("GET", path, "").await
    }

    pub async fn post(&self, path: &str, body: impl Into<Bytes>) -> Reply {
        self.send("POST", path, body).await
    }

    pub async fn send(&self, method: &str, path: &str, body: impl Into<Bytes>) -> Reply {
        let request = Request::builder().method(method).uri(self.url(path));
        self.request(request.body(Full::new(body.into())).unwrap())
            .await
    }

    pub async fn request(&self, request: Request<Full<Bytes>>) -> Reply {
        let reply = tokio::time::timeout(PATIENCE, self.client.request(request));
        whole(reply.await.expect("a reply in time").expect("a reply")).await
    }

    /// The record of the next request.
    pub async fn record(&mut self) -> InvocationRecord {
        let record = tokio::time::timeout(PATIENCE, self.records.recv());
        record
            .await
            .expect("a record in time")
            .expect("the host runs")
    }

    /// Waits until so many requests are in components.
    pub async fn until_in_flight(&self, requests: usize) {
        let arrived = async {
            while self.running.in_flight() < requests {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, arrived)
            .await
            .expect("requests arrive in time");
    }

    /// Sends bytes as they are and reads until the host closes.
    pub async fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect().await;
        stream.write_all(bytes).await.unwrap();
        read_to_end(&mut stream).await
    }

    pub async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.running.address()).await.unwrap()
    }
}

pub async fn whole(reply: Response<hyper::body::Incoming>) -> Reply {
    let (parts, body) = reply.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let body = String::from_utf8(body.to_vec()).unwrap();
    Reply {
        status: parts.status,
        headers: parts.headers,
        body,
    }
}

pub async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    // A reset after the reply is as good an end as any.
    let reading = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes));
    let _ = reading.await.expect("the host closes the connection");
    String::from_utf8(bytes).unwrap()
}
