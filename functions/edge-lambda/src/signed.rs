//! One call of an AWS service. It is put together from the parts of AWS's own clients, which bring
//! connections, repetitions, time limits and signatures: the whole client of Parameter Store has
//! thousands of calls and takes longer to build than wasmtime (decision 18).

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
use http::Method;

/// Which call it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Names {
    /// As in `Credential=../ssm/aws4_request`.
    pub(crate) service: &'static str,
    /// As in AWS's reference.
    pub(crate) call: &'static str,
}

/// Why a call came to nothing.
#[derive(Debug)]
pub(crate) enum Failure<R> {
    /// There are no credentials now.
    NoCredentials,
    /// Its address is none.
    NoUrl,
    /// It is nothing that can be signed.
    Unsignable,
    /// Nobody answered.
    NoAnswer,
    /// The service answered, and did not do it.
    Refused(R),
}

impl<R: fmt::Display> fmt::Display for Failure<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCredentials => f.write_str("no credentials"),
            Self::NoUrl => f.write_str("the endpoint is no URL"),
            Self::Unsignable => f.write_str("it cannot be signed"),
            Self::NoAnswer => f.write_str("no answer"),
            Self::Refused(why) => why.fmt(f),
        }
    }
}

/// A request that is signed already. Its headers are a credential, so they are not shown.
struct Signed {
    call: &'static str,
    request: http::Request<Vec<u8>>,
}

impl fmt::Debug for Signed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.call)
    }
}

/// A call that is answered with a `T`, or refused with an `R`.
pub(crate) struct SignedCall<T, R> {
    names: Names,
    settings: SigningSettings,
    operation: Operation<Signed, T, R>,
    credentials: SharedCredentialsProvider,
    region: Region,
    config: SdkConfig,
}

impl<T, R> SignedCall<T, R>
where
    T: fmt::Debug + Send + Sync + 'static,
    R: std::error::Error + fmt::Debug + Send + Sync + 'static,
{
    /// A call with the region, credentials and limits of `config`, at `origin`: a URL without a
    /// path, which would go before those of requests. `read` understands answers.
    ///
    /// # Errors
    /// A sentence that says which of them is missing.
    pub(crate) fn new(
        config: SdkConfig,
        (names, settings): (Names, SigningSettings),
        origin: &str,
        read: impl Fn(&HttpResponse) -> Result<T, OrchestratorError<R>> + Send + Sync + 'static,
    ) -> Result<Self, String> {
        let region = region(&config)?;
        let credentials = config.credentials_provider();
        let credentials = credentials.ok_or_else(|| missing("a source of credentials"))?;
        let limits = config.timeout_config().cloned();
        let sleep = config.sleep_impl();
        let operation = Operation::builder()
            .service_name(names.service)
            .operation_name(names.call)
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url(origin)
            // It is signed by then.
            .no_auth()
            .standard_retry(&RetryConfig::standard())
            .retry_classifier(TransientErrorClassifier::<R>::new())
            .retry_classifier(HttpStatusCodeClassifier::default())
            .timeout_config(limits.ok_or_else(|| missing("a time limit"))?)
            .sleep_impl(sleep.ok_or_else(|| missing("a timer"))?)
            .serializer(|signed: Signed| {
                Ok(HttpRequest::try_from(signed.request.map(SdkBody::from))?)
            })
            .deserializer(read)
            .build();
        Ok(Self {
            names,
            settings,
            operation,
            credentials,
            region,
            config,
        })
    }

    /// Makes the call.
    ///
    /// # Errors
    /// [`Failure`].
    pub(crate) async fn invoke(
        &self,
        (method, url): (Method, &str),
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Result<T, Failure<R>> {
        let signed = self.signed((method, url), headers, body).await?;
        let invoked = self.operation.invoke(signed).await;
        invoked.map_err(|error| match error {
            SdkError::ServiceError(refused) => Failure::Refused(refused.into_err()),
            _ => Failure::NoAnswer,
        })
    }

    async fn signed(
        &self,
        (method, url): (Method, &str),
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Result<Signed, Failure<R>> {
        let credentials = self.credentials.provide_credentials().await;
        let credentials = credentials.map_err(|_| Failure::NoCredentials)?;
        let time = self.config.time_source().unwrap_or_default().now();
        let identity = credentials.into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(self.region.as_ref())
            .name(self.names.service)
            .time(time)
            .settings(self.settings.clone())
            .build()
            .expect("everything is given")
            .into();
        let mut request = http::Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(body).map_err(|_| Failure::NoUrl)?;
        let signable = SignableRequest::new(
            request.method().as_str(),
            url,
            headers.iter().copied(),
            SignableBody::Bytes(request.body()),
        );
        let signature = signable.and_then(|signable| sign(signable, &parameters));
        let signature = signature.map_err(|_| Failure::Unsignable)?;
        let (instructions, _) = signature.into_parts();
        instructions.apply_to_request_http1x(&mut request);
        Ok(Signed {
            call: self.names.call,
            request,
        })
    }
}

fn missing(what: &str) -> String {
    format!("{what} of AWS is not set")
}

/// The region of a configuration.
///
/// # Errors
/// A sentence when there is none.
pub(crate) fn region(config: &SdkConfig) -> Result<Region, String> {
    let region = config.region().cloned();
    region.ok_or_else(|| missing("the region (AWS_REGION)"))
}

/// Where a service, or a part of it, is in a region.
pub(crate) fn endpoint(of: &str, region: &Region) -> String {
    let region = region.as_ref();
    let suffix = if region.starts_with("cn-") { ".cn" } else { "" };
    format!("https://{of}.{region}.amazonaws.com{suffix}/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_is_shown() {
        let request = http::Request::post("/").header("authorization", "hush");
        let signed = Signed {
            call: "GetParameters",
            request: request.body(b"hush".to_vec()).unwrap(),
        };
        assert!(!format!("{signed:?}").contains("hush"));
    }
}
