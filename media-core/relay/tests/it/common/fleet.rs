//! The fleet function behind HTTP, on a store in memory.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use edge::ports::{
    Clock, Entropy, IdentityLink, IdentityReply, ObjectFault, Objects, Storage, Timer, Unreachable,
    VariableFault, Variables,
};
use edge::testing::imds::FakeImds;
use edge::testing::schedule::yield_now;
use edge::testing::sts::{FakeSession, FakeSts};
use edge::testing::{MemoryStore, calls};
use edge::token::SigningKey;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::LocalSet;
use wire::claims::{Claims, Role};

const SECRET: &str = "BQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQU=";

/// An edge of the fleet function alone.
pub(crate) struct Fleet {
    pub(crate) url: String,
    pub(crate) host: Arc<Host>,
    /// Dropped with it, which ends its server.
    _server: oneshot::Sender<()>,
}

pub(crate) struct Host {
    store: MemoryStore,
    variables: Mutex<BTreeMap<String, String>>,
    /// So many requests, heartbeats apart, are answered with 503, and nothing is done.
    pub(crate) refuse: AtomicU32,
    /// So many replies are lost after all was done.
    pub(crate) lose: AtomicU32,
    /// Requests by which relays asked to join.
    pub(crate) asked: AtomicU32,
    /// What was put.
    pub(crate) objects: Mutex<BTreeMap<String, Vec<u8>>>,
    /// Who says whose a signature is.
    pub(crate) sts: Mutex<Option<FakeSts>>,
}

impl Fleet {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let keys = SigningKey::new([1; 32]).key_set_json("dev");
        let variables = [
            ("fleet_secret", SECRET),
            ("token_keys", keys.as_str()),
            ("token_life_s", "18446744073709551615"),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let host = Arc::new(Host {
            store: MemoryStore::default(),
            variables: Mutex::new(variables.into()),
            refuse: AtomicU32::new(0),
            lose: AtomicU32::new(0),
            asked: AtomicU32::new(0),
            objects: Mutex::default(),
            sts: Mutex::new(None),
        });
        let (stop, stopped) = oneshot::channel();
        let (listener, served) = (listener.into_std().unwrap(), host.clone());
        std::thread::spawn(move || run(listener, served, stopped));
        Self {
            url,
            host,
            _server: stop,
        }
    }

    /// Whatever an operator asks.
    pub(crate) async fn operator(&self, method: &str, path: &str, body: Value) -> Value {
        let claims = Claims {
            sub: "ops".parse().unwrap(),
            aud: "lifeverse-voice".into(),
            exp: self.host.now_ms() / 1000 + 3_600,
            nbf: None,
            iat: None,
            name: None,
            profile: wire::claims::Profile::default(),
            role: Some(Role::Operator),
            grants: vec![],
        };
        let caller = calls::bearer(&claims, &SigningKey::new([1; 32]));
        let reply = fleet::handle(&*self.host, calls::request(caller, method, path, &body)).await;
        serde_json::from_slice(&reply.body).unwrap_or(Value::Null)
    }

    /// A token for the relay `eu-1` in the region `eu`, for 1,000 participants.
    pub(crate) async fn token(&self) -> String {
        let body = json!({
            "region": "eu", "capacity": 1000, "expires_in_s": 600, "relay": "eu-1",
        });
        let made = self
            .operator("POST", "/v1/relays/enrolment-tokens", body)
            .await;
        made["token"].as_str().unwrap().to_owned()
    }

    /// Sets a variable of the function.
    pub(crate) fn set(&self, name: &str, value: &str) {
        let mut variables = self.host.variables.lock().unwrap();
        variables.insert(name.to_owned(), value.to_owned());
    }

    /// Names of the live shards.
    pub(crate) async fn live(&self) -> Vec<String> {
        let list = self.operator("GET", "/v1/relays", Value::Null).await;
        let relays = list["relays"].as_array().unwrap().iter();
        let live = relays.filter(|relay| relay["live"] == true);
        live.map(|relay| relay["heartbeat"]["shard"].as_str().unwrap().to_owned())
            .collect()
    }
}

/// Serves until `stopped`, on a thread of its own: what a function does stays on one, as on its
/// hosts.
fn run(listener: std::net::TcpListener, host: Arc<Host>, stopped: oneshot::Receiver<()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    LocalSet::new().block_on(&runtime.unwrap(), async move {
        let listener = TcpListener::from_std(listener).unwrap();
        tokio::select! {
            () = serve(listener, host) => {}
            _ = stopped => {}
        }
    });
}

async fn serve(listener: TcpListener, host: Arc<Host>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let host = host.clone();
        let service = service_fn(move |request| {
            let host = host.clone();
            async move { answer(request, &host).await.ok_or(Lost) }
        });
        // What a client breaks off is its own affair, and so is what we lose on purpose.
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        tokio::task::spawn_local(connection);
    }
}

/// The metadata service of the machine whose session it is; lives as long as the test.
pub(crate) async fn metadata(session: &FakeSession) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let imds = Arc::new(FakeImds {
        region: "eu-west-1".to_owned(),
        role: "relay".to_owned(),
        session: session.clone(),
    });
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let imds = imds.clone();
            let service = service_fn(move |request| {
                let told = told(&imds, &request);
                async move { Ok::<_, Lost>(told) }
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    url
}

fn told(imds: &FakeImds, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let headers = request.headers().iter().map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes());
        (name.to_string(), value.into_owned())
    });
    let headers: Vec<_> = headers.collect();
    let (method, path) = (request.method().as_str(), request.uri().path());
    let (status, body) = imds.answer(method, path, &headers);
    let reply = Response::builder().status(status);
    reply.body(Full::new(body.into())).unwrap()
}

/// Ends the connection without a reply.
#[derive(Debug)]
struct Lost;

impl std::fmt::Display for Lost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("lost on purpose")
    }
}

impl std::error::Error for Lost {}

fn takes_one(counter: &AtomicU32) -> bool {
    let taken = counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1));
    taken.is_ok()
}

async fn answer(request: Request<Incoming>, host: &Host) -> Option<Response<Full<Bytes>>> {
    let (parts, body) = request.into_parts();
    let header = |name: &str| {
        let value = parts.headers.get(name)?;
        value.to_str().ok().map(str::to_owned)
    };
    let is_enrolment = parts.uri.path().ends_with("/enrolment");
    host.asked
        .fetch_add(u32::from(is_enrolment), Ordering::Relaxed);
    let is_usage = parts.uri.path().ends_with("/usage");
    let may_fail = is_enrolment || is_usage;
    if may_fail && takes_one(&host.refuse) {
        let reply = Response::builder().status(StatusCode::SERVICE_UNAVAILABLE);
        return Some(reply.body(Full::default()).unwrap());
    }
    let asked = edge::http::Request {
        method: parts.method.as_str().to_owned(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().map(str::to_owned),
        authorization: header("authorization"),
        content_type: header("content-type"),
        body: body.collect().await.unwrap().to_bytes().to_vec(),
    };
    let reply = fleet::handle(host, asked).await;
    if may_fail && takes_one(&host.lose) {
        return None;
    }
    let status = reply.status;
    let built = Response::builder().status(status);
    Some(built.body(Full::new(reply.body.into())).unwrap())
}

impl Storage for Host {
    type Store = MemoryStore;

    fn store(&self) -> &MemoryStore {
        &self.store
    }
}

impl Clock for Host {
    #[expect(
        clippy::disallowed_methods,
        reason = "a shell reads clocks, in one place"
    )]
    fn now_ms(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        u64::try_from(since.as_millis()).unwrap()
    }
}

impl Timer for Host {
    async fn sleep(&self, _ms: u64) {
        yield_now().await;
    }
}

impl Entropy for Host {
    fn fill(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).unwrap();
    }
}

impl Objects for Host {
    async fn put_object(&self, name: &str, bytes: Vec<u8>) -> Result<(), ObjectFault> {
        let mut objects = self.objects.lock().unwrap();
        objects.insert(name.to_owned(), bytes);
        Ok(())
    }
}

impl IdentityLink for Host {
    async fn ask(
        &self,
        url: &str,
        headers: &[(&'static str, String)],
    ) -> Result<IdentityReply, Unreachable> {
        let (host, target) = url.split_once("://").unwrap().1.split_once('/').unwrap();
        let mut sent = vec![("host".to_owned(), host.to_owned())];
        sent.extend(
            headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.clone())),
        );
        let sts = self.sts.lock().unwrap();
        let sts = sts.as_ref().ok_or(Unreachable)?;
        let (status, body) = sts.answer(self.now_ms() / 1000, "GET", &format!("/{target}"), &sent);
        Ok(IdentityReply {
            status,
            body: body.into_bytes(),
        })
    }
}

impl Variables for Host {
    async fn variable(&self, name: &str) -> Result<Option<String>, VariableFault> {
        Ok(self.variables.lock().unwrap().get(name).cloned())
    }
}
