//! The one call of Parameter Store that is made: `GetParameters`.

use std::fmt;

use aws_config::{Region, SdkConfig};
use aws_sigv4::http_request::SigningSettings;
use aws_smithy_runtime_api::client::orchestrator::{HttpResponse, OrchestratorError};
use http::Method;
use serde::Deserialize;
use serde_json::json;

use crate::signed::{self, Failure, Names, SignedCall};

const NAMES: Names = Names {
    service: "ssm",
    call: "GetParameters",
};
const HEADERS: [(&str, &str); 2] = [
    ("content-type", "application/x-amz-json-1.1"),
    ("x-amz-target", "AmazonSSM.GetParameters"),
];

/// What [`ParameterStore::parameters`] fails with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It answers, and not what was asked: the code says why, such as `AccessDeniedException`.
    Refused(String),
    /// It does not answer, or says that it cannot now.
    Unavailable(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(why) | Self::Unavailable(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for Fault {}

/// Names and values. The values are secrets.
pub(crate) struct Values(pub(crate) Vec<(String, String)>);

impl fmt::Debug for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} parameters", self.0.len())
    }
}

/// A client of Parameter Store.
pub(crate) struct ParameterStore {
    call: SignedCall<Values, Fault>,
    url: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Reply {
    parameters: Vec<Parameter>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Parameter {
    name: String,
    value: String,
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(rename = "__type", default)]
    kind: String,
}

impl ParameterStore {
    /// A client with the region, credentials, limits and endpoint of `config`.
    ///
    /// # Errors
    /// A sentence that says which of them is missing.
    pub(crate) fn new(config: SdkConfig) -> Result<Self, String> {
        let region = signed::region(&config)?;
        let url = config
            .endpoint_url()
            .map_or_else(|| endpoint(&region), str::to_owned);
        let call = SignedCall::new(config, (NAMES, SigningSettings::default()), &url, read)?;
        Ok(Self { call, url })
    }

    /// Those of `names` that exist, decrypted; 10 names at most.
    pub(crate) async fn parameters(&self, names: &[String]) -> Result<Values, Fault> {
        let body = json!({ "Names": names, "WithDecryption": true }).to_string();
        let at = (Method::POST, self.url.as_str());
        let invoked = self.call.invoke(at, &HEADERS, body.into_bytes()).await;
        invoked.map_err(|failure| match failure {
            Failure::Refused(fault) => fault,
            Failure::NoCredentials | Failure::NoAnswer => Fault::Unavailable(failure.to_string()),
            Failure::NoUrl | Failure::Unsignable => Fault::Refused(failure.to_string()),
        })
    }
}

/// Where Parameter Store is in a region.
fn endpoint(region: &Region) -> String {
    signed::endpoint(NAMES.service, region)
}

fn read(response: &HttpResponse) -> Result<Values, OrchestratorError<Fault>> {
    let body = response.body().bytes().unwrap_or_default();
    if response.status().is_success() {
        let reply: Reply = serde_json::from_slice(body).map_err(OrchestratorError::other)?;
        let pairs = reply.parameters.into_iter();
        return Ok(Values(pairs.map(|it| (it.name, it.value)).collect()));
    }
    let refusal: Option<Refusal> = serde_json::from_slice(body).ok();
    // As in com.amazonaws.ssm#ThrottlingException.
    let code = refusal.map(|refusal| refusal.kind).unwrap_or_default();
    let code = code.rsplit('#').next().unwrap_or_default().to_owned();
    let is_ours = response.status().is_client_error() && !code.contains("Throttl");
    Err(OrchestratorError::operation(match is_ours {
        true => Fault::Refused(code),
        false => Fault::Unavailable(code),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_region_has_its_endpoint() {
        let of = |region: &'static str| endpoint(&Region::new(region));
        assert_eq!(of("eu-west-1"), "https://ssm.eu-west-1.amazonaws.com/");
        assert_eq!(of("cn-north-1"), "https://ssm.cn-north-1.amazonaws.com.cn/");
    }

    #[test]
    fn no_secret_is_shown() {
        let values = Values(vec![("a".to_owned(), "hush".to_owned())]);
        assert!(!format!("{values:?}").contains("hush"));
    }

    #[test]
    fn what_is_missing_is_named_at_the_start() {
        let error = ParameterStore::new(SdkConfig::builder().build()).err();
        assert!(error.unwrap().contains("AWS_REGION"));
    }
}
