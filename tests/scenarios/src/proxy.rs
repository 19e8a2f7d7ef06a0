//! A proxy before the emulator of AWS, that does what networks and overloaded services do.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use anyhow::Result;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::net::TcpListener;
use tokio::time::Instant;

use crate::http::serve;

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is served.
    Pass,
    /// It is served so much later: it goes to another region.
    Late(Duration),
    /// AWS refuses it with this error code and never sees it.
    Refuse(&'static str),
    /// As [`Fate::Refuse`], by a 500.
    Fail,
    /// The connection breaks before AWS sees it.
    BreakBefore,
    /// The connection breaks after AWS has done it.
    BreakAfter,
    /// AWS has done it and the answer never comes.
    Silence,
}

/// A request as the proxy saw it.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Its action, such as `GetItem`.
    pub operation: String,
    /// The token of a transaction.
    pub token: Option<String>,
    /// How many keys a batch asks for.
    pub keys: usize,
    /// The region that is asked, as the signature names it.
    pub region: String,
}

type Fates = Box<dyn FnMut(&Seen) -> Fate + Send>;

/// A running proxy; everything passes until it is told otherwise.
#[derive(Clone)]
pub struct Proxy {
    /// Where it listens, for `AWS_ENDPOINT_URL`.
    pub url: String,
    upstream: Arc<Mutex<String>>,
    fates: Arc<Mutex<Fates>>,
    seen: Arc<Mutex<Vec<Seen>>>,
    busy: Arc<Mutex<Duration>>,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Proxy {
    /// Starts one on a free port, before the emulator at `upstream`.
    ///
    /// # Errors
    /// When there is no port.
    pub async fn start(upstream: &str) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let proxy = Self {
            url: format!("http://{}", listener.local_addr()?),
            upstream: Arc::new(Mutex::new(upstream.to_owned())),
            fates: Arc::new(Mutex::new(Box::new(|_| Fate::Pass))),
            seen: Arc::default(),
            busy: Arc::default(),
            client: Client::builder(TokioExecutor::new()).build_http(),
        };
        let served = proxy.clone();
        tokio::spawn(serve(listener, move |request| {
            served.clone().answer(request)
        }));
        Ok(proxy)
    }

    /// From now on, another emulator serves what passes.
    pub fn turn_to(&self, upstream: &str) {
        upstream.clone_into(&mut lock(&self.upstream));
    }

    /// From now on, `fates` decides, and what was seen before is forgotten.
    pub fn decide(&self, fates: impl FnMut(&Seen) -> Fate + Send + 'static) {
        lock(&self.seen).clear();
        *lock(&self.busy) = Duration::ZERO;
        *lock(&self.fates) = Box::new(fates);
    }

    /// Gives the first requests these fates; the others pass.
    pub fn script<const N: usize>(&self, fates: [Fate; N]) {
        let mut fates = fates.into_iter();
        self.decide(move |_| fates.next().unwrap_or(Fate::Pass));
    }

    /// Requests since the last decision.
    pub fn seen(&self) -> Vec<Seen> {
        lock(&self.seen).clone()
    }

    /// Time that AWS took for them, all together.
    pub fn busy(&self) -> Duration {
        *lock(&self.busy)
    }

    async fn answer(self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Broken> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(|_| Broken)?.to_bytes();
        let target = head.headers.get("x-amz-target");
        let target = target.and_then(|target| target.to_str().ok());
        let target = target.unwrap_or_default().rsplit('.').next();
        let json: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
        let tables = json["RequestItems"].as_object().into_iter().flatten();
        let signed = head.headers.get("authorization");
        let signed = signed.and_then(|signed| signed.to_str().ok());
        let scope = signed.unwrap_or_default().split("Credential=").nth(1);
        let region = scope.unwrap_or_default().split('/').nth(2);
        let seen = Seen {
            region: region.unwrap_or_default().to_owned(),
            operation: target.unwrap_or_default().to_owned(),
            token: json["ClientRequestToken"].as_str().map(str::to_owned),
            keys: tables
                .filter_map(|(_, asked)| asked["Keys"].as_array())
                .map(Vec::len)
                .sum(),
        };
        lock(&self.seen).push(seen.clone());
        let fate = (*lock(&self.fates))(&seen);
        match fate {
            Fate::Refuse(code) => return Ok(refusal(400, code)),
            Fate::Fail => return Ok(refusal(500, "InternalServerError")),
            Fate::BreakBefore => return Err(Broken),
            Fate::Late(by) => tokio::time::sleep(by).await,
            Fate::Pass | Fate::BreakAfter | Fate::Silence => {}
        }
        let upstream = lock(&self.upstream).clone();
        let mut forwarded = Request::post(upstream);
        for (name, value) in head.headers.iter().filter(|(name, _)| *name != "host") {
            forwarded = forwarded.header(name, value);
        }
        let forwarded = forwarded.body(Full::new(body)).map_err(|_| Broken)?;
        let started = Instant::now();
        let reply = self.client.request(forwarded).await.map_err(|_| Broken)?;
        let (head, body) = reply.into_parts();
        let body = body.collect().await.map_err(|_| Broken)?.to_bytes();
        *lock(&self.busy) += started.elapsed();
        match fate {
            Fate::BreakAfter => Err(Broken),
            Fate::Silence => std::future::pending().await,
            _ => Ok(Response::from_parts(head, Full::new(body))),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("a test's decision does not panic")
}

/// Why a connection ends.
#[derive(Debug)]
struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection breaks")
    }
}

impl std::error::Error for Broken {}

fn refusal(status: u16, code: &str) -> Response<Full<Bytes>> {
    let kind = format!("com.amazonaws.dynamodb.v20120810#{code}");
    let body = serde_json::json!({ "__type": kind, "message": "as the test wants" });
    let mut reply = Response::new(Full::new(Bytes::from(body.to_string())));
    *reply.status_mut() = hyper::StatusCode::from_u16(status).expect("a status");
    reply
}
