//! Our signature is the one that AWS's own crate makes.

use std::time::{Duration, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PercentEncodingMode, SessionTokenMode, SignableBody, SignableRequest, SignatureLocation,
    SigningSettings, UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use proptest::prelude::*;
use wire::enrolment::Secret;
use wire::enrolment::aws::{AwsCredentials, AwsProof, Envelope};
use wire::ids::EnrolmentNonce;

/// The signature by `aws-sigv4`, of the same request presigned in its query.
fn theirs(credentials: &AwsCredentials, proof: &AwsProof, envelope: Envelope<'_>) -> String {
    let identity = Credentials::new(
        credentials.access_key.as_str(),
        credentials.secret_key.0.as_str(),
        Some(credentials.session_token.0.clone()),
        None,
        "test",
    )
    .into();
    let mut settings = SigningSettings::default();
    settings.signature_location = SignatureLocation::QueryParams;
    settings.expires_in = Some(Duration::from_secs(60));
    settings.percent_encoding_mode = PercentEncodingMode::Double;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Enabled;
    settings.session_token_mode = SessionTokenMode::Include;
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(proof.sts_region.as_str())
        .name("sts")
        .time(UNIX_EPOCH + Duration::from_secs(proof.signed_at_s))
        .settings(settings)
        .build()
        .expect("every part is given")
        .into();
    let question = proof.question(envelope);
    let headers = question.headers.iter().skip(1);
    let headers = headers.map(|(name, value)| (*name, value.as_str()));
    let request = SignableRequest::new(
        "GET",
        format!(
            "https://{}/?Action=GetCallerIdentity&Version=2011-06-15",
            envelope.host
        ),
        headers,
        SignableBody::Bytes(b""),
    );
    let signed = sign(request.expect("a request"), &parameters);
    signed.expect("a signature").signature().to_owned()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn signatures_are_those_of_aws(
        secret in "[A-Za-z0-9+/]{40}",
        token in "[A-Za-z0-9+/]{1,200}={0,2}",
        region in "[a-z]{2}-[a-z]{4,9}-[1-9]",
        edge in "[a-z]{1,20}\\.example(:[1-9][0-9]{0,3})?",
        terms in "[0-9a-f]{64}",
        signed_at_s in 1_000_000_000_u64..4_000_000_000,
    ) {
        let credentials = AwsCredentials {
            access_key: "ASIAEXAMPLEEXAMPLE00".parse().expect("an id"),
            secret_key: Secret(secret),
            session_token: Secret(token),
        };
        let host = format!("sts.{region}.amazonaws.com");
        let envelope = Envelope { host: &host, edge: &edge, terms: &terms };
        let region = region.parse().expect("a region");
        let nonce = EnrolmentNonce([3; 16]);
        let proof = AwsProof::sign(&credentials, region, envelope, signed_at_s, nonce);
        prop_assert!(proof.is_well_formed());
        prop_assert_eq!(proof.signature.to_string(), theirs(&credentials, &proof, envelope));
    }
}
