//! An edge that accepts heartbeats, and a relay that sends them there; both in this process.

pub(crate) mod fleet;
pub(crate) mod player;

use std::convert::Infallible;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use relay::{Config, LINES_MAX, Running, Settings};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::PrivatePkcs8KeyDer;
use tempfile::NamedTempFile;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use wire::control::{PendingCommand, seal_pending};
use wire::fleet::{Heartbeat, HeartbeatReply, MovedRoom, verify_heartbeat};
use wire::keys::ShardKey;

/// Longest wait for anything that must happen.
pub(crate) const WAIT_MAX: Duration = Duration::from_secs(20);

/// The key of every shard in these tests.
pub(crate) fn key() -> ShardKey {
    ShardKey::new(0, [5; 32])
}

/// What the edge says to a heartbeat.
#[derive(Clone)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) draining: bool,
    /// Handed over with each reply until a heartbeat says that it is taken.
    pub(crate) pending: Vec<PendingCommand>,
    /// Handed over with each reply.
    pub(crate) moved: Vec<MovedRoom>,
    /// What the edge's clock says, Unix milliseconds; as the relay's where none is given.
    pub(crate) clock_ms: Option<u64>,
}

/// An edge that takes heartbeats and nothing else.
pub(crate) struct FakeEdge {
    pub(crate) url: String,
    pub(crate) answer: Arc<Mutex<Answer>>,
    heartbeats: mpsc::UnboundedReceiver<Heartbeat>,
    server: JoinHandle<()>,
}

impl FakeEdge {
    pub(crate) async fn start() -> Self {
        Self::start_with(None).await
    }

    /// One that speaks TLS, and its certificate: an authority of its own.
    pub(crate) async fn start_tls() -> (Self, NamedTempFile) {
        let own = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let key = PrivatePkcs8KeyDer::from(own.signing_key.serialize_der());
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![own.cert.der().clone()], key.into())
            .unwrap();
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(own.cert.pem().as_bytes()).unwrap();
        (Self::start_with(Some(Arc::new(config).into())).await, file)
    }

    async fn start_with(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let url = match &tls {
            Some(_) => format!("https://localhost:{port}"),
            None => format!("http://127.0.0.1:{port}"),
        };
        let answer = Arc::new(Mutex::new(Answer {
            status: StatusCode::OK,
            draining: false,
            pending: Vec::new(),
            moved: Vec::new(),
            clock_ms: None,
        }));
        let (sender, heartbeats) = mpsc::unbounded_channel();
        let server = tokio::spawn(serve(listener, tls, answer.clone(), sender));
        Self {
            url,
            answer,
            heartbeats,
            server,
        }
    }

    /// The next heartbeat; its path and signature were checked.
    pub(crate) async fn heartbeat(&mut self) -> Heartbeat {
        let heartbeat = timeout(WAIT_MAX, self.heartbeats.recv()).await;
        heartbeat
            .expect("a heartbeat in time")
            .expect("the edge lives")
    }

    /// Heartbeats that came and were not looked at.
    pub(crate) fn waiting(&mut self) -> usize {
        std::iter::from_fn(|| self.heartbeats.try_recv().ok()).count()
    }

    pub(crate) fn set(&self, status: StatusCode, draining: bool) {
        let mut answer = self.answer.lock().unwrap();
        (answer.status, answer.draining) = (status, draining);
    }

    /// Hands commands over.
    pub(crate) fn hand_over(&self, pending: Vec<PendingCommand>) {
        self.answer.lock().unwrap().pending = pending;
    }
}

impl Drop for FakeEdge {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    answer: Arc<Mutex<Answer>>,
    sender: mpsc::UnboundedSender<Heartbeat>,
) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (answer, sender) = (answer.clone(), sender.clone());
        let service = service_fn(move |request| {
            let (answer, sender) = (answer.clone(), sender.clone());
            async move { Ok::<_, Infallible>(take(request, &answer, &sender).await) }
        });
        let (tls, http) = (tls.clone(), http1::Builder::new());
        // What a client breaks off is its own affair.
        tokio::spawn(async move {
            let Some(tls) = tls else {
                return drop(http.serve_connection(TokioIo::new(stream), service).await);
            };
            if let Ok(stream) = tls.accept(stream).await {
                drop(http.serve_connection(TokioIo::new(stream), service).await);
            }
        });
    }
}

async fn take(
    request: Request<Incoming>,
    answer: &Mutex<Answer>,
    sender: &mpsc::UnboundedSender<Heartbeat>,
) -> Response<Full<Bytes>> {
    let path = request.uri().path().to_owned();
    let authorization = request.headers()[header::AUTHORIZATION]
        .to_str()
        .unwrap()
        .to_owned();
    let body = request.into_body().collect().await.unwrap().to_bytes();
    assert!(verify_heartbeat(&key().subkeys(), &body, &authorization));
    let heartbeat: Heartbeat = serde_json::from_slice(&body).unwrap();
    assert_eq!(path, format!("/v1/relays/{}/heartbeat", heartbeat.shard));
    let (now_ms, boot) = (heartbeat.sent_at_ms, heartbeat.boot);
    let mut answer = answer.lock().unwrap();
    let taken = |one: &PendingCommand| heartbeat.taken.contains(&one.nonce);
    answer.pending.retain(|one| !taken(one));
    let sealed = seal_pending(&answer.pending, &key().subkeys(), boot, now_ms);
    let reply = HeartbeatReply {
        draining: answer.draining,
        now_ms: answer.clock_ms.unwrap_or(now_ms),
        commands: Some(sealed).filter(|_| !answer.pending.is_empty()),
        moved: answer.moved.clone(),
    };
    let status = answer.status;
    let date = answer
        .clock_ms
        .map(|ms| UNIX_EPOCH + Duration::from_millis(ms));
    drop(answer);
    let _ = sender.send(heartbeat);
    let reply = serde_json::to_vec(&reply).unwrap();
    let mut response = Response::builder().status(status);
    if let Some(date) = date {
        response = response.header(header::DATE, httpdate::fmt_http_date(date));
    }
    response.body(Full::new(reply.into())).unwrap()
}

/// A configuration on loopback with free ports.
pub(crate) fn config(edge: &str, shards: usize) -> Config {
    Config {
        shard: "dev-0".parse().unwrap(),
        region: "dev".parse().unwrap(),
        edge: edge.parse().unwrap(),
        keys: vec![key(); shards],
        settings: Settings {
            listen: vec!["127.0.0.1:0".parse().unwrap()],
            health: "127.0.0.1:0".parse().unwrap(),
            control: "127.0.0.1:0".parse().unwrap(),
            max_participants: 100,
            full_cpu_percent: 100,
            drain_seconds: 0,
            ..Settings::default()
        },
    }
}

/// Starts a relay whose output nobody reads.
pub(crate) async fn start(config: Config) -> Running {
    let (lines, _) = mpsc::channel(LINES_MAX);
    relay::start(config, lines).await.unwrap()
}

/// Sends a request to one of the two endpoints: status and body.
pub(crate) async fn call(
    control: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> (StatusCode, String) {
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let mut request = Request::builder()
        .method(method)
        .uri(format!("http://{control}{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(body.into())).unwrap();
    let reply = timeout(WAIT_MAX, client.request(request))
        .await
        .unwrap()
        .unwrap();
    let status = reply.status();
    let body = reply.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

pub(crate) async fn get(control: SocketAddr, path: &str) -> (StatusCode, String) {
    call(control, "GET", path, &[], Bytes::new()).await
}

/// Repeats a look at `/metrics` until `wanted` is satisfied, and returns that text.
pub(crate) async fn metrics_until(health: SocketAddr, wanted: impl Fn(&str) -> bool) -> String {
    let look = async {
        loop {
            let (_, text) = get(health, "/metrics").await;
            if wanted(&text) {
                return text;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(WAIT_MAX, look)
        .await
        .expect("the metrics show it in time")
}

/// The value of one sample.
pub(crate) fn sample(text: &str, name: &str) -> f64 {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{name} is not in\n{text}"))
        .parse()
        .unwrap()
}
