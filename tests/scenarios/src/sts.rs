//! The identity service of AWS, for hosts that ask it who signed a proof of enrolment.

use std::sync::Arc;

use anyhow::Result;
use edge::testing::sts::{FakeSession, FakeSts};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use wire::enrolment::Secret;
use wire::enrolment::aws::AwsCredentials;

use crate::http::serve;
use crate::tokens::unix_ms;

/// Name of the edge in proofs; nobody asks for its address.
pub const EDGE: &str = "edge.test";
/// Region of the service.
pub const REGION: &str = "eu-west-1";
/// The one instance that it knows.
pub const INSTANCE: &str = "i-0123456789abcdef0";

const ACCOUNT: &str = "123456789012";
const ROLE: &str = "lifeverse-relay";

/// A service that knows one instance; stopped when dropped.
pub struct Sts {
    /// Where it answers: host and port, as proofs name it.
    pub host: String,
    session: FakeSession,
    server: JoinHandle<()>,
}

impl Sts {
    /// Starts it on a free port.
    ///
    /// # Errors
    /// When there is none.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let host = listener.local_addr()?.to_string();
        let session = FakeSession::of_instance(ACCOUNT, ROLE, INSTANCE);
        let service = Arc::new(FakeSts {
            host: host.clone(),
            region: REGION.to_owned(),
            sessions: vec![session.clone()],
        });
        let server = tokio::spawn(serve(listener, move |request| {
            let service = Arc::clone(&service);
            async move { answer(&service, &request) }
        }));
        Ok(Self {
            host,
            session,
            server,
        })
    }

    /// The settings of an edge that lets its instance in: `edge_url`, `enrolment_aws` and
    /// `sts_hosts`, under the names that its host has for them.
    pub fn settings(&self, names: [&'static str; 3]) -> Vec<(&'static str, String)> {
        let rules = json!({
            "sts": { REGION: format!("http://{}", self.host) },
            "allow": [
                { "account": ACCOUNT, "role": ROLE, "region": "identified", "capacity": 100 },
            ],
        });
        let values = [
            format!("https://{EDGE}"),
            rules.to_string(),
            format!("http://{}", self.host),
        ];
        names.into_iter().zip(values).collect()
    }

    /// What the instance signs with.
    ///
    /// # Errors
    /// Never: the id is well formed.
    pub fn credentials(&self) -> Result<AwsCredentials> {
        Ok(AwsCredentials {
            access_key: self.session.access_key.parse()?,
            secret_key: Secret(self.session.secret_key.clone()),
            session_token: Secret(self.session.session_token.clone()),
        })
    }
}

impl Drop for Sts {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn answer(
    service: &FakeSts,
    request: &Request<Incoming>,
) -> Result<Response<Full<Bytes>>, hyper::http::Error> {
    let headers: Vec<(String, String)> = request
        .headers()
        .iter()
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.as_str().to_owned(), value)
        })
        .collect();
    let target = request.uri().path_and_query().map_or("/", |p| p.as_str());
    let method = request.method().as_str();
    let (status, body) = service.answer(unix_ms() / 1000, method, target, &headers);
    Response::builder()
        .status(status)
        .body(Full::new(Bytes::from(body)))
}
