//! Objects in S3, with the one call that is made of it, `PutObject`.

use std::fmt;

use aws_config::{Region, SdkConfig};
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SigningSettings, UriPathNormalizationMode,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpResponse, OrchestratorError};
use edge::ports::{OBJECT_TIMEOUT_MS, ObjectFault};
use http::Method;

use crate::log;
use crate::signed::{self, Names, SignedCall};

const NAMES: Names = Names {
    service: "s3",
    call: "PutObject",
};
const HEADERS: [(&str, &str); 1] = [("content-type", "application/x-ndjson")];

/// Why S3 did not take an object: the status of its reply.
#[derive(Debug)]
struct Refused(u16);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "status {}", self.0)
    }
}

impl std::error::Error for Refused {}

/// Where a function puts objects.
pub struct Objects {
    call: SignedCall<(), Refused>,
    /// That of the bucket, with a `/` at its end.
    url: String,
    /// Beginnings of names that the function may put.
    prefixes: Vec<String>,
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
        let region = signed::region(&config)?;
        // What stands in for S3 has no names of buckets in its own.
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
        let call = SignedCall::new(config, (NAMES, settings()), &origin, read)?;
        Ok(Self {
            call,
            url,
            prefixes,
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
        let url = format!("{}{name}", self.url);
        let put = self.call.invoke((Method::PUT, &url), &HEADERS, bytes).await;
        put.map_err(|failure| failure.to_string())
    }
}

/// As S3 signs, unlike all others.
fn settings() -> SigningSettings {
    let mut settings = SigningSettings::default();
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    settings
}

/// Where a bucket is in a region.
fn endpoint(region: &Region, bucket: &str) -> String {
    signed::endpoint(&format!("{bucket}.s3"), region)
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
