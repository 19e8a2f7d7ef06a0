//! Objects in S3, with the one call that is made of it, `PutObject`; put together from the parts of
//! AWS's own clients, as the one of Parameter Store is (decision 18).

use std::fmt;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use aws_smithy_runtime::client::orchestrator::operation::Operation;
use aws_smithy_runtime::client::retries::classifiers::{
    HttpStatusCodeClassifier, TransientErrorClassifier,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse, OrchestratorError};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::retry::RetryConfig;
use edge::ports::{OBJECT_TIMEOUT_MS, ObjectFault};

use crate::log;

/// As in `Credential=../s3/aws4_request`.
const SERVICE: &str = "s3";

/// Why S3 did not take an object: the status of its reply.
#[derive(Debug)]
struct Refused(u16);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "status {}", self.0)
    }
}

impl std::error::Error for Refused {}

/// A request that is signed already. Its headers are a credential, so they are not shown.
struct Signed(http::Request<Vec<u8>>);

impl fmt::Debug for Signed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PutObject")
    }
}

/// Where a function puts objects.
pub struct Objects {
    operation: Operation<Signed, (), Refused>,
    credentials: SharedCredentialsProvider,
    region: Region,
    /// That of the bucket, with a `/` at its end.
    url: String,
    /// Beginnings of names that the function may put.
    prefixes: Vec<String>,
    config: SdkConfig,
}

impl fmt::Debug for Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Objects").field("url", &self.url).finish()
    }
}

impl Objects {
    /// A client of a bucket with the region, credentials, limits and endpoint of `config`, for
    /// objects whose names begin as `prefixes` say.
    ///
    /// # Errors
    /// A sentence that says which of them is missing.
    pub fn new(config: SdkConfig, bucket: &str, prefixes: Vec<String>) -> Result<Self, String> {
        let missing = |what: &str| format!("{what} of AWS is not set");
        let region = config.region().cloned();
        let region = region.ok_or_else(|| missing("the region (AWS_REGION)"))?;
        let credentials = config.credentials_provider();
        let credentials = credentials.ok_or_else(|| missing("a source of credentials"))?;
        // What stands in for S3 has no names of buckets in its own. A path of the endpoint would
        // go before that of the request.
        let (origin, url) = match config.endpoint_url() {
            Some(url) => {
                let origin = url.trim_end_matches('/').to_owned();
                let url = format!("{origin}/{bucket}/");
                (origin, url)
            }
            None => {
                let url = endpoint(&region, bucket);
                (url.trim_end_matches('/').to_owned(), url)
            }
        };
        let limits = config.timeout_config().cloned();
        let sleep = config.sleep_impl();
        let operation = Operation::builder()
            .service_name(SERVICE)
            .operation_name("PutObject")
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url(&origin)
            // It is signed by then.
            .no_auth()
            .standard_retry(&RetryConfig::standard())
            .retry_classifier(TransientErrorClassifier::<Refused>::new())
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
            prefixes,
            config,
        })
    }

    /// Puts an object, in place of what has its name.
    ///
    /// # Errors
    /// When S3 did not take it, for a reason that is in the log.
    ///
    /// # Panics
    /// When the permissions do not list its name.
    pub async fn put(&self, name: &str, bytes: Vec<u8>) -> Result<(), ObjectFault> {
        let is_listed = self.prefixes.iter().any(|prefix| name.starts_with(prefix));
        assert!(is_listed, "permissions.json lists no object {name}");
        let limit = std::time::Duration::from_millis(OBJECT_TIMEOUT_MS);
        let put = tokio::time::timeout(limit, self.try_put(name, bytes)).await;
        let put = put.unwrap_or_else(|_| Err("no answer in time".to_owned()));
        put.map_err(|why| {
            log::fault("s3", &why);
            ObjectFault::Unavailable
        })
    }

    async fn try_put(&self, name: &str, bytes: Vec<u8>) -> Result<(), String> {
        let request = self.signed(name, bytes).await?;
        let put = self.operation.invoke(request).await;
        put.map_err(|error| match error.as_service_error() {
            Some(refused) => refused.to_string(),
            None => "no answer".to_owned(),
        })
    }

    async fn signed(&self, name: &str, bytes: Vec<u8>) -> Result<Signed, String> {
        let credentials = self.credentials.provide_credentials().await;
        let credentials = credentials.map_err(|_| "no credentials".to_owned())?;
        let time = self.config.time_source().unwrap_or_default().now();
        let identity = credentials.into();
        let mut settings = SigningSettings::default();
        // As S3 does it, unlike all others.
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(self.region.as_ref())
            .name(SERVICE)
            .time(time)
            .settings(settings)
            .build()
            .expect("everything is given")
            .into();
        let url = format!("{}{name}", self.url);
        let mut request = http::Request::put(&url)
            .header("content-type", "application/x-ndjson")
            .body(bytes)
            .map_err(|_| "the endpoint is no URL".to_owned())?;
        let headers = request.headers().iter();
        let signable = SignableRequest::new(
            "PUT",
            &url,
            headers.filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?))),
            SignableBody::Bytes(request.body()),
        );
        let signature = signable.and_then(|signable| sign(signable, &parameters));
        let signature = signature.map_err(|_| "it cannot be signed".to_owned())?;
        let (instructions, _) = signature.into_parts();
        instructions.apply_to_request_http1x(&mut request);
        Ok(Signed(request))
    }
}

/// Where a bucket is in a region.
fn endpoint(region: &Region, bucket: &str) -> String {
    let region = region.as_ref();
    let suffix = if region.starts_with("cn-") { ".cn" } else { "" };
    format!("https://{bucket}.s3.{region}.amazonaws.com{suffix}/")
}

fn read(response: &HttpResponse) -> Result<(), OrchestratorError<Refused>> {
    match response.status().is_success() {
        true => Ok(()),
        false => Err(OrchestratorError::operation(Refused(
            response.status().as_u16(),
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bucket_has_its_endpoint() {
        let of = |region: &'static str| endpoint(&Region::new(region), "b");
        assert_eq!(of("eu-west-1"), "https://b.s3.eu-west-1.amazonaws.com/");
        assert_eq!(
            of("cn-north-1"),
            "https://b.s3.cn-north-1.amazonaws.com.cn/"
        );
    }

    #[test]
    fn what_is_missing_is_named_at_the_start() {
        let error = Objects::new(SdkConfig::builder().build(), "b", Vec::new()).err();
        assert!(error.unwrap().contains("AWS_REGION"));
    }
}
