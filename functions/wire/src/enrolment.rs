//! Messages by which a relay joins the fleet: it shows a proof and gets its name and keys.

pub mod aws;
mod secret;

use std::fmt;

use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use secret::Secret;

use aws::AwsProof;

use crate::ids::{BadId, EnrolmentId, EnrolmentNonce, RegionName, ShardId};
use crate::keys::{BadShardKey, ShardKey};

/// What every enrolment token begins with, so that a scanner of leaked secrets knows one.
pub const TOKEN_PREFIX: &str = "lve1_";

/// Bytes of an enrolment token: its id, and as many as nobody guesses.
const TOKEN_BYTES: usize = 8 + SECRET_BYTES;

/// The secret bytes of an enrolment token.
const SECRET_BYTES: usize = 24;

/// 32 random bytes that a relay makes once and keeps. A proof works once, but as often as it
/// takes for the relay that used it first: a reply may be lost. The claim says that it is that one.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Claim([u8; 32]);

impl Claim {
    /// Wraps 32 random bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// What the edge keeps of it: enough to know it again, and too little to use it.
    pub fn digest(&self) -> String {
        digest(&[b"lifeverse/claim/v1", &self.0])
    }
}

impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Claim(..)")
    }
}

impl TryFrom<String> for Claim {
    type Error = BadId;
    fn try_from(text: String) -> Result<Self, BadId> {
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).ok();
        bytes
            .and_then(|bytes| bytes.try_into().ok())
            .map(Self)
            .ok_or(BadId::new("claim", "32 random bytes in base64url"))
    }
}

impl From<Claim> for String {
    fn from(claim: Claim) -> String {
        BASE64URL_NOPAD.encode(&claim.0)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Claim {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Claim".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^[A-Za-z0-9_-]{43}$" })
    }
}

/// An enrolment token: what an operator makes for one relay.
#[derive(Clone, PartialEq, Eq)]
pub struct EnrolmentToken {
    /// By which the edge finds it; no secret.
    pub id: EnrolmentId,
    secret: [u8; SECRET_BYTES],
}

impl EnrolmentToken {
    /// A token of random bytes.
    pub fn new(random: [u8; 32]) -> Self {
        let (id, secret) = random.split_at(TOKEN_BYTES - SECRET_BYTES);
        Self {
            id: EnrolmentId(id.try_into().expect("split there")),
            secret: secret.try_into().expect("split there"),
        }
    }

    /// Reads a token; white space around it is ignored.
    ///
    /// # Errors
    /// [`BadId`] when it is none, whatever is known of it.
    pub fn parse(text: &str) -> Result<Self, BadId> {
        let bytes = text.trim().strip_prefix(TOKEN_PREFIX);
        let bytes = bytes.and_then(|text| BASE64URL_NOPAD.decode(text.as_bytes()).ok());
        bytes
            .and_then(|bytes| bytes.try_into().ok())
            .map(Self::new)
            .ok_or(BadId::new("enrolment token", "lve1_ and 43 characters"))
    }

    /// The token as an operator hands it on.
    pub fn text(&self) -> Secret {
        let bytes = [self.id.0.as_slice(), &self.secret].concat();
        Secret(format!("{TOKEN_PREFIX}{}", BASE64URL_NOPAD.encode(&bytes)))
    }

    /// What the edge keeps of it.
    pub fn digest(&self) -> String {
        digest(&[b"lifeverse/enrolment-token/v1", &self.id.0, &self.secret])
    }
}

impl fmt::Debug for EnrolmentToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EnrolmentToken({}, ..)", self.id)
    }
}

/// What a relay asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EnrolmentRequest {
    /// Of this relay, the same for each attempt.
    pub claim: Claim,
    /// Its shards, 1 to [`crate::limits::MAX_SHARDS`].
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 128)))]
    pub shards: u16,
    /// Most participants of each of them.
    #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
    pub capacity: u32,
    /// Where it believes to be; none takes what the proof allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<RegionName>,
    /// Why it may.
    pub proof: Proof,
}

impl EnrolmentRequest {
    /// What is asked, in 64 characters that a signature covers: whoever overhears a proof cannot
    /// use it for other terms.
    pub fn terms(&self, nonce: EnrolmentNonce) -> String {
        let region = self.region.as_ref();
        terms(&self.claim, self.shards, self.capacity, region, nonce)
    }
}

/// As [`EnrolmentRequest::terms`], for who has yet to sign them.
pub fn terms(
    claim: &Claim,
    shards: u16,
    capacity: u32,
    region: Option<&RegionName>,
    nonce: EnrolmentNonce,
) -> String {
    digest(&[
        b"lifeverse/enrolment/v1",
        &claim.0,
        &shards.to_be_bytes(),
        &capacity.to_be_bytes(),
        region.map_or("", |region| region.as_str()).as_bytes(),
        &nonce.0,
    ])
}

/// What proves that a relay may join.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "by", rename_all = "kebab-case")]
pub enum Proof {
    /// A token that an operator made.
    Token {
        /// [`EnrolmentToken::text`].
        token: Secret,
    },
    /// The identity of a machine on AWS.
    Aws(AwsProof),
}

/// A relay's place in the fleet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EnrolmentReply {
    /// Its name.
    pub relay: ShardId,
    /// Its region.
    pub region: RegionName,
    /// Most participants of each shard.
    pub capacity: u32,
    /// Epoch of the keys.
    pub epoch: u8,
    /// Its shards, as [`crate::fleet::shard_ids`] names them.
    pub shards: Vec<EnrolledShard>,
    /// Base address of the edge for heartbeats; none is the one that was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edge: Option<String>,
}

/// A shard with its key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EnrolledShard {
    /// Its name.
    pub shard: ShardId,
    /// Its key, 96 bytes in base64.
    pub key: Secret,
}

impl EnrolledShard {
    /// The shard's key in `epoch` (0 to 15).
    ///
    /// # Errors
    /// [`BadShardKey`] when it is not exactly 96 bytes.
    pub fn key(&self, epoch: u8) -> Result<ShardKey, BadShardKey> {
        ShardKey::from_base64(epoch, &self.key.0)
    }
}

/// A token that an operator wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TokenRequest {
    /// Where the relay will be.
    pub region: RegionName,
    /// Most participants of all its shards together.
    #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
    pub capacity: u32,
    /// Seconds until it expires, up to [`crate::limits::MAX_ENROLMENT_TOKEN_S`].
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 2_592_000)))]
    pub expires_in_s: u64,
    /// Name of the relay; none makes one of the token's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relay: Option<ShardId>,
}

/// A token that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TokenReply {
    /// For the relay. It is told here and never again.
    pub token: Secret,
    /// What is kept of it.
    #[serde(flatten)]
    pub record: TokenRecord,
}

/// What the edge tells of a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TokenRecord {
    /// Its id.
    pub id: EnrolmentId,
    /// Where its relay will be.
    pub region: RegionName,
    /// Most participants of the relay.
    pub capacity: u32,
    /// What its relay will be called.
    pub relay: ShardId,
    /// When it was made, Unix milliseconds.
    pub made_at_ms: u64,
    /// From when on it is of no use, Unix milliseconds.
    pub expires_at_ms: u64,
    /// When a relay used it, Unix milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_at_ms: Option<u64>,
}

/// Tokens that are valid or were, a day after they expired at most.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TokenList {
    /// By id.
    pub tokens: Vec<TokenRecord>,
}

/// What the edge keeps of a relay that joined.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Enrolment {
    /// Its name.
    pub relay: ShardId,
    /// Its region.
    pub region: RegionName,
    /// Its shards.
    pub shards: u16,
    /// Most participants of each of them.
    pub capacity: u32,
    /// Epoch of the keys that it was given.
    pub epoch: u8,
    /// By what it proved itself.
    pub by: ProofKind,
    /// When, Unix milliseconds.
    pub enrolled_at_ms: u64,
}

/// The kind of a [`Proof`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ProofKind {
    /// An operator's token.
    Token,
    /// The identity of a machine on AWS.
    Aws,
}

/// SHA-256 of the parts, each after its length, in hex.
fn digest(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    data_encoding::HEXLOWER.encode(&hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_back_and_only_whole() {
        let token = EnrolmentToken::new(std::array::from_fn(|i| i as u8));
        let Secret(text) = token.text();
        assert_eq!(EnrolmentToken::parse(&text), Ok(token.clone()));
        assert_eq!(EnrolmentToken::parse(&format!(" {text}\n")), Ok(token));
        for broken in ["", "lve1_", &text[5..], &text[..47], &format!("{text}A")] {
            assert!(EnrolmentToken::parse(broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn what_is_kept_of_a_secret_differs_with_each_of_its_bytes() {
        let mut seen = std::collections::BTreeSet::new();
        for at in 0..32 {
            let mut bytes = [7; 32];
            bytes[at] ^= 1;
            assert!(seen.insert(EnrolmentToken::new(bytes).digest()));
            assert!(seen.insert(Claim::new(bytes).digest()));
        }
    }

    #[test]
    fn terms_differ_with_everything_that_is_asked() {
        let token = EnrolmentToken::new([1; 32]).text();
        let asked = EnrolmentRequest {
            claim: Claim::new([1; 32]),
            shards: 1,
            capacity: 1,
            region: None,
            proof: Proof::Token { token },
        };
        let changed = [
            EnrolmentRequest {
                claim: Claim::new([2; 32]),
                ..asked.clone()
            },
            EnrolmentRequest {
                shards: 2,
                ..asked.clone()
            },
            EnrolmentRequest {
                capacity: 2,
                ..asked.clone()
            },
            EnrolmentRequest {
                region: "eu".parse().ok(),
                ..asked.clone()
            },
        ];
        let nonce = EnrolmentNonce([1; 16]);
        let mut seen = std::collections::BTreeSet::from([asked.terms(nonce)]);
        assert!(seen.insert(asked.terms(EnrolmentNonce([2; 16]))));
        assert!(
            changed
                .iter()
                .all(|changed| seen.insert(changed.terms(nonce)))
        );
    }

    #[test]
    fn nothing_secret_prints() {
        let token = EnrolmentToken::new([9; 32]);
        let request = EnrolmentRequest {
            claim: Claim::new([9; 32]),
            shards: 1,
            capacity: 1,
            region: None,
            proof: Proof::Token {
                token: token.text(),
            },
        };
        let shown = format!("{request:?} {token:?}");
        let secrets = [token.text().0[5..].to_owned(), String::from(request.claim)];
        assert!(secrets.iter().all(|text| !shown.contains(text)), "{shown}");
    }
}
