//! The real store on the real emulator, with a proxy between them that does what networks and
//! overloaded services do.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use edge_lambda::dynamo::{DynamoStore, Table};
use edge_lambda::permissions::TableAction;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use scenarios::moto::Moto;
use tokio::net::TcpListener;
use tokio::time::Instant;

pub const ALL_ACTIONS: [TableAction; 4] = [
    TableAction::GetItem,
    TableAction::Query,
    TableAction::UpdateItem,
    TableAction::DeleteItem,
];

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is served.
    Pass,
    /// DynamoDB refuses it with this error code and never sees it.
    Refuse(&'static str),
    /// As [`Fate::Refuse`], by a 500.
    Fail,
    /// The connection breaks before DynamoDB sees it.
    BreakBefore,
    /// The connection breaks after DynamoDB has done it.
    BreakAfter,
    /// DynamoDB has done it and the answer never comes.
    Silence,
}

/// A request as the proxy saw it.
#[derive(Debug, Clone)]
pub struct Seen {
    pub operation: String,
    pub token: Option<String>,
}

type Fates = Box<dyn FnMut(&Seen) -> Fate + Send>;

#[derive(Clone)]
pub struct Proxy {
    upstream: Arc<Mutex<String>>,
    fates: Arc<Mutex<Fates>>,
    seen: Arc<Mutex<Vec<Seen>>>,
    client: Client<HttpConnector, Full<Bytes>>,
    pub url: String,
}

impl Proxy {
    pub async fn start(upstream: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Self {
            upstream: Arc::new(Mutex::new(upstream.to_owned())),
            fates: Arc::new(Mutex::new(Box::new(|_| Fate::Pass))),
            seen: Arc::default(),
            client: Client::builder(TokioExecutor::new()).build_http(),
            url: format!("http://{}", listener.local_addr().unwrap()),
        };
        let served = proxy.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let proxy = served.clone();
                let service = service_fn(move |request| proxy.clone().serve(request));
                let connection = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service);
                // An error is what `Break` makes.
                tokio::spawn(async move { drop(connection.await) });
            }
        });
        proxy
    }

    /// From now on, `fates` decides.
    pub fn decide(&self, fates: impl FnMut(&Seen) -> Fate + Send + 'static) {
        self.seen.lock().unwrap().clear();
        *self.fates.lock().unwrap() = Box::new(fates);
    }

    /// Gives the first requests these fates, the others pass.
    pub fn script<const N: usize>(&self, fates: [Fate; N]) {
        let mut fates = fates.into_iter();
        self.decide(move |_| fates.next().unwrap_or(Fate::Pass));
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    async fn serve(self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Broken> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(|_| Broken)?.to_bytes();
        let target = head.headers["x-amz-target"].to_str().unwrap();
        let json: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
        let seen = Seen {
            operation: target.rsplit('.').next().unwrap().to_owned(),
            token: json["ClientRequestToken"].as_str().map(str::to_owned),
        };
        self.seen.lock().unwrap().push(seen.clone());
        let fate = (*self.fates.lock().unwrap())(&seen);
        match fate {
            Fate::Refuse(code) => return Ok(refusal(400, code)),
            Fate::Fail => return Ok(refusal(500, "InternalServerError")),
            Fate::BreakBefore => return Err(Broken),
            Fate::Pass | Fate::BreakAfter | Fate::Silence => {}
        }
        let upstream = self.upstream.lock().unwrap().clone();
        let mut forwarded = Request::post(upstream);
        for (name, value) in head.headers.iter().filter(|(name, _)| *name != "host") {
            forwarded = forwarded.header(name, value);
        }
        let forwarded = forwarded.body(Full::new(body)).unwrap();
        let reply = self.client.request(forwarded).await.map_err(|_| Broken)?;
        let (head, body) = reply.into_parts();
        let body = body.collect().await.map_err(|_| Broken)?.to_bytes();
        match fate {
            Fate::BreakAfter => Err(Broken),
            Fate::Silence => std::future::pending::<Result<_, Infallible>>()
                .await
                .map_err(|_| Broken),
            _ => Ok(Response::from_parts(head, Full::new(body))),
        }
    }
}

#[derive(Debug)]
pub struct Broken;

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the connection breaks")
    }
}

impl std::error::Error for Broken {}

fn refusal(status: u16, code: &str) -> Response<Full<Bytes>> {
    let kind = format!("com.amazonaws.dynamodb.v20120810#{code}");
    let body = serde_json::json!({ "__type": kind, "message": "as the test wants" });
    Response::builder()
        .status(status)
        .header("content-type", "application/x-amz-json-1.0")
        .body(Full::new(Bytes::from(body.to_string())))
        .unwrap()
}

/// An emulator behind a proxy, and a table in it.
pub struct Rig {
    pub moto: Moto,
    pub proxy: Proxy,
    pub table: Table,
}

impl Rig {
    /// With a client that waits for a busy emulator.
    pub async fn start() -> Self {
        Self::start_with(Duration::from_secs(20)).await
    }

    /// With a client that gives up as soon as tests of silence can wait for.
    pub async fn impatient() -> Self {
        Self::start_with(Duration::from_secs(1)).await
    }

    async fn start_with(attempt_timeout: Duration) -> Self {
        let moto = Moto::start().await.unwrap();
        moto.create_table("items").await.unwrap();
        let proxy = Proxy::start(moto.url()).await;
        let table = table(&proxy.url, attempt_timeout).await;
        Self { moto, proxy, table }
    }

    pub fn store(&self) -> DynamoStore<'_> {
        self.store_until(Duration::from_secs(60))
    }

    pub fn store_until(&self, limit: Duration) -> DynamoStore<'_> {
        DynamoStore::new(&self.table, Instant::now() + limit)
    }
}

/// A client as the host makes it, but for its patience.
async fn table(url: &str, attempt_timeout: Duration) -> Table {
    let credentials = aws_sdk_dynamodb::config::Credentials::new("t", "t", None, None, "test");
    let config = aws_config::from_env()
        .endpoint_url(url)
        .region("us-east-1")
        .credentials_provider(credentials)
        .load()
        .await;
    let timeouts = aws_config::timeout::TimeoutConfig::builder()
        .operation_attempt_timeout(attempt_timeout)
        .build();
    let config = aws_sdk_dynamodb::config::Builder::from(&config)
        .retry_config(aws_config::retry::RetryConfig::disabled())
        .timeout_config(timeouts)
        .build();
    Table {
        client: aws_sdk_dynamodb::Client::from_conf(config),
        name: "items".to_owned(),
        actions: ALL_ACTIONS.to_vec(),
    }
}

/// How often each operation was sent.
pub fn counts(seen: &[Seen]) -> HashMap<&str, usize> {
    let mut counts = HashMap::new();
    for seen in seen {
        *counts.entry(seen.operation.as_str()).or_default() += 1;
    }
    counts
}
