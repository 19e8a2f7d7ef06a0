//! The one call of Parameter Store that is made: `GetParameters`. It is put together from the parts
//! of AWS's own clients, which bring connections, repetitions, time limits and signatures: the
//! whole client has thousands of calls and takes longer to build than wasmtime (decision 18).

use std::fmt;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_runtime::client::orchestrator::operation::Operation;
use aws_smithy_runtime::client::retries::classifiers::{
    HttpStatusCodeClassifier, TransientErrorClassifier,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse, OrchestratorError};
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::retry::RetryConfig;
use serde::Deserialize;
use serde_json::json;

/// As in `Credential=../ssm/aws4_request`.
const SERVICE: &str = "ssm";
const TARGET: &str = "AmazonSSM.GetParameters";

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

/// A request that is signed already. Its headers are a credential, so they are not shown.
struct Signed(http::Request<String>);

impl fmt::Debug for Signed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(TARGET)
    }
}

/// Names and values. The values are secrets.
pub(crate) struct Values(pub(crate) Vec<(String, String)>);

impl fmt::Debug for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} parameters", self.0.len())
    }
}

/// A client of Parameter Store.
pub(crate) struct ParameterStore {
    operation: Operation<Signed, Values, Fault>,
    credentials: SharedCredentialsProvider,
    region: Region,
    url: String,
    config: SdkConfig,
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
        let missing = |what: &str| format!("{what} of AWS is not set");
        let region = config.region().cloned();
        let region = region.ok_or_else(|| missing("the region (AWS_REGION)"))?;
        let credentials = config.credentials_provider();
        let credentials = credentials.ok_or_else(|| missing("a source of credentials"))?;
        let url = config
            .endpoint_url()
            .map_or_else(|| endpoint(&region), str::to_owned);
        let limits = config.timeout_config().cloned();
        let sleep = config.sleep_impl();
        let operation = Operation::builder()
            .service_name(SERVICE)
            .operation_name("GetParameters")
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url(&url)
            // It is signed by then.
            .no_auth()
            .standard_retry(&RetryConfig::standard())
            .retry_classifier(TransientErrorClassifier::<Fault>::new())
            .retry_classifier(HttpStatusCodeClassifier::default())
            .timeout_config(limits.ok_or_else(|| missing("a time limit"))?)
            .sleep_impl(sleep.ok_or_else(|| missing("a timer"))?)
            .serializer(|Signed(request)| Ok(HttpRequest::try_from(request.map(SdkBody::from))?))
            .deserializer(read)
            .build();
        Ok(Self {
            operation,
            credentials,
            region,
            url,
            config,
        })
    }

    /// Those of `names` that exist, decrypted; 10 names at most.
    pub(crate) async fn parameters(&self, names: &[String]) -> Result<Values, Fault> {
        let body = json!({ "Names": names, "WithDecryption": true }).to_string();
        let request = self.signed(body).await?;
        self.operation
            .invoke(request)
            .await
            .map_err(|error| match error {
                SdkError::ServiceError(refused) => refused.into_err(),
                _ => Fault::Unavailable("no answer".to_owned()),
            })
    }

    async fn signed(&self, body: String) -> Result<Signed, Fault> {
        let credentials = self.credentials.provide_credentials().await;
        let credentials =
            credentials.map_err(|_| Fault::Unavailable("no credentials".to_owned()))?;
        let time = self.config.time_source().unwrap_or_default().now();
        let identity = credentials.into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(self.region.as_ref())
            .name(SERVICE)
            .time(time)
            .settings(SigningSettings::default())
            .build()
            .expect("everything is given")
            .into();
        let mut request = http::Request::post(&self.url)
            .header("content-type", "application/x-amz-json-1.1")
            .header("x-amz-target", TARGET)
            .body(body)
            .map_err(|_| Fault::Refused("the endpoint is no URL".to_owned()))?;
        let headers = request.headers().iter();
        let signable = SignableRequest::new(
            "POST",
            &self.url,
            headers.filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?))),
            SignableBody::Bytes(request.body().as_bytes()),
        );
        let signature = signable.and_then(|signable| sign(signable, &parameters));
        let signature = signature.map_err(|_| Fault::Refused("it cannot be signed".to_owned()))?;
        let (instructions, _) = signature.into_parts();
        instructions.apply_to_request_http1x(&mut request);
        Ok(Signed(request))
    }
}

/// Where Parameter Store is in a region.
fn endpoint(region: &Region) -> String {
    let region = region.as_ref();
    let suffix = if region.starts_with("cn-") { ".cn" } else { "" };
    format!("https://ssm.{region}.amazonaws.com{suffix}/")
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
        let request = http::Request::post("/").header("authorization", "hush");
        let signed = Signed(request.body("hush".to_owned()).unwrap());
        assert!(!format!("{signed:?}").contains("hush"));
    }

    #[test]
    fn what_is_missing_is_named_at_the_start() {
        let error = ParameterStore::new(SdkConfig::builder().build()).err();
        assert!(error.unwrap().contains("AWS_REGION"));
    }
}
