//! The proof of a machine on AWS: it signs the question "who am I?" for the edge to ask.
//!
//! The question goes to the Security Token Service (STS), which answers with the account, the role
//! and the session of whoever signed. The relay sends **no request**, no address and no header,
//! only what the edge cannot know: who signs, when, and the signature. The edge makes the request
//! anew from that and from its own settings ([`AwsProof::question`]), so a proof that was signed
//! for another edge, another service or other terms is one whose signature is wrong. Why:
//! `infra/decisions/0016-enrolment-proofs-are-rebuilt.md`.
//!
//! Signature Version 4, in the query: AWS General Reference, "Create a signed AWS API request".

use std::fmt::Write as _;

use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::secret::Secret;
use crate::day::civil;
use crate::ids::{AccessKeyId, AwsRegion, AwsSignature, EnrolmentNonce};
use crate::limits::{MAX_PROOF_AGE_S, MAX_SESSION_TOKEN_CHARS};

/// Signed header with the edge that the proof is for: host, and port where it is not the usual one.
pub const EDGE_HEADER: &str = "x-lifeverse-edge";
/// Signed header with what is asked of that edge: [`super::EnrolmentRequest::terms`].
pub const TERMS_HEADER: &str = "x-lifeverse-terms";

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const SIGNED_HEADERS: &str = "host;x-lifeverse-edge;x-lifeverse-terms";
const SERVICE: &str = "sts";

/// What a machine on AWS shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AwsProof {
    /// The region whose STS is to be asked; the edge has the address.
    pub sts_region: AwsRegion,
    /// Whose signature it is.
    pub access_key: AccessKeyId,
    /// Of the role's credentials; letters, digits, `+`, `/` and `=`.
    pub session_token: Secret,
    /// When it was signed, Unix seconds.
    pub signed_at_s: u64,
    /// Random; a proof counts once.
    pub nonce: EnrolmentNonce,
    /// Signature Version 4.
    pub signature: AwsSignature,
}

/// Credentials of a role, as the metadata service of an instance gives them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsCredentials {
    /// Public.
    pub access_key: AccessKeyId,
    /// Never leaves the machine.
    pub secret_key: Secret,
    /// Says that they are a role's.
    pub session_token: Secret,
}

/// Who is asked, and what the answer is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// Host of STS, with its port where that is not the usual one.
    pub host: &'a str,
    /// The edge.
    pub edge: &'a str,
    /// [`super::EnrolmentRequest::terms`].
    pub terms: &'a str,
}

/// The request that the edge sends to STS: a `GET` without a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// From the slash on.
    pub path_and_query: String,
    /// Besides `host`.
    pub headers: [(&'static str, String); 3],
}

impl AwsProof {
    /// Signs the question.
    pub fn sign(
        credentials: &AwsCredentials,
        sts_region: AwsRegion,
        envelope: Envelope<'_>,
        signed_at_s: u64,
        nonce: EnrolmentNonce,
    ) -> Self {
        let mut proof = Self {
            sts_region,
            access_key: credentials.access_key.clone(),
            session_token: credentials.session_token.clone(),
            signed_at_s,
            nonce,
            signature: AwsSignature([0; 32]),
        };
        let (date, _) = timestamp(signed_at_s);
        let secret = format!("AWS4{}", credentials.secret_key.0);
        let key = [
            date.as_str(),
            proof.sts_region.as_str(),
            SERVICE,
            "aws4_request",
        ]
        .iter()
        .fold(secret.into_bytes(), |key, part| {
            mac(&key, part.as_bytes()).to_vec()
        });
        proof.signature = AwsSignature(mac(&key, proof.to_sign(envelope).as_bytes()));
        proof
    }

    /// Whether every part has the form that it must have. What has not is never sent to anybody.
    pub fn is_well_formed(&self) -> bool {
        let Secret(token) = &self.session_token;
        let is_base64 = |b: u8| b.is_ascii_alphanumeric() || b"+/=".contains(&b);
        !token.is_empty()
            && token.len() <= MAX_SESSION_TOKEN_CHARS
            && token.bytes().all(is_base64)
            && self.access_key.as_str().len() >= 16
            // Year 9999: the date has four digits.
            && self.signed_at_s < 253_402_300_800
    }

    /// The question, made anew.
    pub fn question(&self, envelope: Envelope<'_>) -> Question {
        Question {
            path_and_query: format!("/?{}&X-Amz-Signature={}", self.query(), self.signature),
            headers: [
                ("accept", "application/json".to_owned()),
                (EDGE_HEADER, envelope.edge.to_owned()),
                (TERMS_HEADER, envelope.terms.to_owned()),
            ],
        }
    }

    /// Everything but the signature, in the order of its names.
    fn query(&self) -> String {
        let (date, time) = timestamp(self.signed_at_s);
        let credential = format!("{}/{}", self.access_key, self.scope(&date));
        let mut query = "Action=GetCallerIdentity&Version=2011-06-15".to_owned();
        for (name, value) in [
            ("X-Amz-Algorithm", ALGORITHM),
            ("X-Amz-Credential", &credential),
            ("X-Amz-Date", &time),
            ("X-Amz-Expires", &MAX_PROOF_AGE_S.to_string()),
            ("X-Amz-Security-Token", &self.session_token.0),
            ("X-Amz-SignedHeaders", SIGNED_HEADERS),
        ] {
            query.push('&');
            query.push_str(name);
            query.push('=');
            percent_encode(&mut query, value);
        }
        query
    }

    fn scope(&self, date: &str) -> String {
        format!("{date}/{}/{SERVICE}/aws4_request", self.sts_region)
    }

    fn to_sign(&self, envelope: Envelope<'_>) -> String {
        let Envelope { host, edge, terms } = envelope;
        let nothing = HEXLOWER.encode(&Sha256::digest(b""));
        let canonical = format!(
            "GET\n/\n{}\nhost:{host}\n{EDGE_HEADER}:{edge}\n{TERMS_HEADER}:{terms}\n\n\
             {SIGNED_HEADERS}\n{nothing}",
            self.query()
        );
        let (date, time) = timestamp(self.signed_at_s);
        let canonical = HEXLOWER.encode(&Sha256::digest(canonical));
        format!("{ALGORITHM}\n{time}\n{}\n{canonical}", self.scope(&date))
    }
}

/// Host of a URL in lower case, with its port where that is not the scheme's: what both sides put
/// into a signature, however the address was written.
pub fn authority(url: &str) -> Option<String> {
    let (rest, usual) = match url.split_once("://") {
        Some(("https", rest)) => (rest, ":443"),
        Some(("http", rest)) => (rest, ":80"),
        _ => return None,
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let authority = rest[..end].to_ascii_lowercase();
    let authority = authority.strip_suffix(usual).unwrap_or(&authority);
    let is_fine = |b: u8| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b);
    let fine = !authority.is_empty() && authority.bytes().all(is_fine);
    fine.then(|| authority.to_owned())
}

fn mac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes any key length");
    mac.chain_update(message).finalize().into_bytes().into()
}

/// Encodes all but the unreserved characters of RFC 3986, with upper-case digits.
fn percent_encode(out: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").expect("writing to a string does not fail");
        }
    }
}

/// `20261129` and `20261129T225208Z`.
fn timestamp(unix_s: u64) -> (String, String) {
    let (days, second) = (unix_s / 86_400, unix_s % 86_400);
    let (year, month, day) = civil(days);
    let date = format!("{year:04}{month:02}{day:02}");
    let (hour, minute) = (second / 3_600, second / 60 % 60);
    let time = format!("{date}T{hour:02}{minute:02}{:02}Z", second % 60);
    (date, time)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn times_are_written_as_aws_writes_them() {
        for (unix_s, wanted) in [
            (0, "19700101T000000Z"),
            (951_782_399, "20000228T235959Z"),
            (951_782_400, "20000229T000000Z"),
            (1_709_251_199, "20240229T235959Z"),
            (1_735_689_600, "20250101T000000Z"),
            (4_107_542_400, "21000301T000000Z"),
            (253_402_300_799, "99991231T235959Z"),
        ] {
            assert_eq!(timestamp(unix_s).1, wanted);
        }
    }

    #[test]
    fn an_authority_is_the_same_however_it_is_written() {
        for (url, wanted) in [
            ("https://Voice.example.com", Some("voice.example.com")),
            (
                "https://voice.example.com:443/prod?x",
                Some("voice.example.com"),
            ),
            ("http://127.0.0.1:7400/", Some("127.0.0.1:7400")),
            ("http://[::1]:80", Some("[::1]")),
            ("https://voice.example.com:80", Some("voice.example.com:80")),
            ("https://user@voice.example.com", None),
            ("https://voice.example.com\r\nx", None),
            ("https:///x", None),
            ("ftp://voice.example.com", None),
        ] {
            assert_eq!(authority(url).as_deref(), wanted, "{url}");
        }
    }

    proptest! {
        /// Nothing that passes the check can add a parameter or a header.
        #[test]
        fn a_question_has_the_parameters_that_it_must_have(token in ".{0,40}", at in any::<u64>()) {
            let proof = AwsProof {
                sts_region: "eu-west-1".parse().unwrap(),
                access_key: "ASIAEXAMPLEEXAMPLE00".parse().unwrap(),
                session_token: Secret(token),
                signed_at_s: at,
                nonce: EnrolmentNonce([1; 16]),
                signature: AwsSignature([2; 32]),
            };
            if proof.is_well_formed() {
                let envelope = Envelope { host: "sts.example", edge: "edge.example", terms: "t" };
                let question = proof.question(envelope);
                let query = question.path_and_query.strip_prefix("/?").unwrap();
                let names: Vec<&str> = query
                    .split('&')
                    .map(|pair| pair.split_once('=').unwrap().0)
                    .collect();
                prop_assert_eq!(names, [
                    "Action", "Version", "X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date",
                    "X-Amz-Expires", "X-Amz-Security-Token", "X-Amz-SignedHeaders",
                    "X-Amz-Signature",
                ]);
                prop_assert!(query.bytes().all(|b| b.is_ascii_graphic() && b != b'#'));
            }
        }
    }
}
