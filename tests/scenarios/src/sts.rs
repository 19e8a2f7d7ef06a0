//! The identity service of AWS, for hosts that ask it who signed a proof of enrolment, and the
//! metadata service of the one machine that it knows.

use std::sync::Arc;

use anyhow::Result;
use edge::testing::imds::FakeImds;
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

/// Name of the edge in proofs that name no real one; nobody asks for its address.
pub const EDGE: &str = "edge.test";
/// Its address.
pub const EDGE_URL: &str = "https://edge.test";
/// Region of the service.
pub const REGION: &str = "eu-west-1";
/// The one instance that it knows.
pub const INSTANCE: &str = "i-0123456789abcdef0";

const ACCOUNT: &str = "123456789012";
const ROLE: &str = "lifeverse-relay";

/// Services that know one instance; stopped when dropped.
pub struct Sts {
    /// Where it answers: host and port, as proofs name it.
    pub host: String,
    /// Address of the instance's metadata service.
    pub metadata: String,
    session: FakeSession,
    servers: [JoinHandle<()>; 2],
}

impl Sts {
    /// Starts both on free ports.
    ///
    /// # Errors
    /// When there are none.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let host = listener.local_addr()?.to_string();
        let session = FakeSession::of_instance(ACCOUNT, ROLE, INSTANCE);
        let service = Arc::new(FakeSts {
            host: host.clone(),
            region: REGION.to_owned(),
            sessions: vec![session.clone()],
        });
        let imds = Arc::new(FakeImds {
            region: REGION.to_owned(),
            role: ROLE.to_owned(),
            session: session.clone(),
        });
        let beside = TcpListener::bind("127.0.0.1:0").await?;
        let metadata = format!("http://{}", beside.local_addr()?);
        let sts = serve(listener, move |request| {
            let told = asked(&request, |method, target, headers| {
                service.answer(unix_ms() / 1000, method, target, headers)
            });
            async move { told }
        });
        let imds = serve(beside, move |request| {
            let told = asked(&request, |method, target, headers| {
                imds.answer(method, target, headers)
            });
            async move { told }
        });
        Ok(Self {
            host,
            metadata,
            session,
            servers: [tokio::spawn(sts), tokio::spawn(imds)],
        })
    }

    /// The settings of an edge at `edge_url` that lets its instance in: `edge_url`, `enrolment_aws`
    /// and `sts_hosts`, under the names that its host has for them.
    pub fn settings(
        &self,
        edge_url: &str,
        names: [&'static str; 3],
    ) -> Vec<(&'static str, String)> {
        let rules = json!({
            "sts": { REGION: format!("http://{}", self.host) },
            "allow": [
                { "account": ACCOUNT, "role": ROLE, "region": "identified", "capacity": 100 },
            ],
        });
        let values = [
            edge_url.to_owned(),
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
        self.servers.iter().for_each(JoinHandle::abort);
    }
}

fn asked(
    request: &Request<Incoming>,
    answer: impl FnOnce(&str, &str, &[(String, String)]) -> (u16, String),
) -> Result<Response<Full<Bytes>>, hyper::http::Error> {
    let headers = request.headers().iter().map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        (name.as_str().to_owned(), value)
    });
    let headers: Vec<_> = headers.collect();
    let target = request.uri().path_and_query().map_or("/", |p| p.as_str());
    let (status, body) = answer(request.method().as_str(), target, &headers);
    Response::builder()
        .status(status)
        .body(Full::new(Bytes::from(body)))
}
