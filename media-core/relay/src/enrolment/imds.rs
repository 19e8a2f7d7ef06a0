//! The metadata service of a machine on AWS, version 2: its role's credentials, and its region.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Deserialize;
use tokio::time::timeout;
use wire::enrolment::Secret;
use wire::enrolment::aws::AwsCredentials;
use wire::ids::AwsRegion;

use crate::config::StartError;

/// Where it is on every machine of AWS.
const ENDPOINT: &str = "http://169.254.169.254";

/// Longest wait for an answer; it comes from the same machine.
const ANSWER_MAX: Duration = Duration::from_secs(2);

/// Longest answer, in bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// How long a session with it lasts, in seconds: as long as a few questions take.
const SESSION_S: &str = "60";

/// The service.
pub(super) struct Imds {
    endpoint: String,
    client: Client<HttpConnector, Full<Bytes>>,
}

#[derive(Deserialize)]
struct Credentials {
    #[serde(rename = "AccessKeyId")]
    access_key: String,
    #[serde(rename = "SecretAccessKey")]
    secret_key: Secret,
    #[serde(rename = "Token")]
    session_token: Secret,
}

impl Imds {
    /// The service at `endpoint`, or where it always is.
    pub(super) fn new(endpoint: Option<&str>) -> Self {
        let endpoint = endpoint.unwrap_or(ENDPOINT).trim_end_matches('/');
        Self {
            endpoint: endpoint.to_owned(),
            client: Client::builder(TokioExecutor::new()).build_http(),
        }
    }

    /// The credentials of the machine's role.
    pub(super) async fn credentials(&self) -> Result<AwsCredentials, StartError> {
        let session = self.session().await?;
        let folder = "/latest/meta-data/iam/security-credentials/";
        let roles = self.get(&session, folder).await?;
        let role = roles.lines().next().unwrap_or_default().trim();
        let found = self.get(&session, &format!("{folder}{role}")).await?;
        // The parser's own words may repeat a key.
        let bad = || fault("its credentials cannot be read");
        let found: Credentials = serde_json::from_str(&found).map_err(|_| bad())?;
        Ok(AwsCredentials {
            access_key: found.access_key.parse().map_err(|_| bad())?,
            secret_key: found.secret_key,
            session_token: found.session_token,
        })
    }

    /// The machine's region.
    pub(super) async fn region(&self) -> Result<AwsRegion, StartError> {
        let session = self.session().await?;
        let region = self.get(&session, "/latest/meta-data/placement/region");
        let region = region.await?;
        region
            .trim()
            .parse()
            .map_err(|_| fault("its region cannot be read"))
    }

    /// Version 2: nothing is told without a token, which no page and no proxy can ask for.
    async fn session(&self) -> Result<String, StartError> {
        let header = ("x-aws-ec2-metadata-token-ttl-seconds", SESSION_S);
        self.send(Method::PUT, "/latest/api/token", header).await
    }

    async fn get(&self, session: &str, path: &str) -> Result<String, StartError> {
        let header = ("x-aws-ec2-metadata-token", session);
        self.send(Method::GET, path, header).await
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        (name, value): (&'static str, &str),
    ) -> Result<String, StartError> {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.endpoint))
            .header(name, value)
            .body(Full::default())
            .map_err(|_| fault("its address or answer is none"))?;
        let answer = async {
            let reply = self.client.request(request).await.ok()?;
            let status = reply.status();
            let body = Limited::new(reply.into_body(), ANSWER_BYTES_MAX).collect();
            let body = body.await.ok()?.to_bytes();
            Some((status, String::from_utf8(body.to_vec()).ok()?))
        };
        match timeout(ANSWER_MAX, answer).await {
            Ok(Some((StatusCode::OK, text))) => Ok(text),
            Ok(Some((StatusCode::NOT_FOUND, _))) => Err(fault(
                "this machine has no role; give it an instance profile",
            )),
            Ok(Some((status, _))) => Err(fault(&format!("it says {}", status.as_u16()))),
            Ok(None) | Err(_) => Err(fault(
                "there is no answer; outside AWS enrol with a token, and in a container on a \
                 bridge the hop limit must be 2",
            )),
        }
    }
}

fn fault(what: &str) -> StartError {
    StartError(format!(
        "--enrol-aws: the machine's metadata service: {what}"
    ))
}
