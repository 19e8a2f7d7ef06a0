//! Player tokens: JWT in compact form (RFC 7519, RFC 7515), signed with Ed25519 (RFC 8037) or,
//! where a key of that kind is configured, with HMAC-SHA-256. Why by hand:
//! `infra/decisions/0003-jwt-by-hand.md`.
//!
//! The key decides the algorithm: a token whose header names another one than its key is refused,
//! so there is nothing to confuse, and `none` is the algorithm of no key.

use std::fmt;

use data_encoding::{BASE64, BASE64URL_NOPAD};
use ed25519_dalek::{Signature, Signer, VerifyingKey};
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use wire::claims::{Claims, Role};
use wire::limits::MAX_NAME_CHARS;
use wire::problem::ProblemKind;

use crate::Refusal;

/// Longest token, in bytes.
pub const MAX_TOKEN_BYTES: usize = 4 * 1024;
/// How far `nbf` may lie in the future, in seconds: the issuer's clock may be ahead of ours. `exp`
/// has no leeway, because a short life is what limits a stolen token.
pub const NOT_BEFORE_LEEWAY_S: u64 = 30;
/// Most keys of a set.
pub const MAX_KEYS: usize = 16;
/// Name of the key of [`sign_as_edge`].
pub const EDGE_KID: &str = "edge";
/// Longest life of a token where no setting says another, in seconds.
pub const DEFAULT_LIFE_S: u64 = 24 * 60 * 60;
/// Shortest HMAC secret, in bytes (RFC 7518, section 3.2).
pub const MIN_SECRET_BYTES: usize = 32;

/// The keys that tokens may be signed with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySet {
    keys: Vec<(String, VerificationKey)>,
}

#[derive(Clone, PartialEq, Eq)]
enum VerificationKey {
    /// Kept as bytes: unpacking the point costs as much as half a verification, so only the key
    /// that a token names is unpacked.
    Ed25519([u8; 32]),
    Hmac(Vec<u8>),
}

/// Keys never print.
impl fmt::Debug for VerificationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ed25519(_) => "Ed25519(..)",
            Self::Hmac(_) => "Hmac(..)",
        })
    }
}

#[derive(Deserialize)]
struct KeyConfig {
    kid: String,
    alg: String,
    #[serde(default)]
    public: Option<String>,
    #[serde(default)]
    secret: Option<String>,
}

/// What is wrong with a key set, without its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadKeySet {
    /// Not the JSON that is wanted.
    Shape,
    /// No key, or more than [`MAX_KEYS`].
    Count,
    /// Two keys have one `kid`, or it is empty or longer than 64 bytes.
    Kid,
    /// Another algorithm than `EdDSA` and `HS256`.
    Algorithm,
    /// An Ed25519 key is not 32 bytes of base64 in `public`.
    Public,
    /// An HMAC secret is not base64 in `secret`, or shorter than [`MIN_SECRET_BYTES`].
    Secret,
}

impl fmt::Display for BadKeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Shape => "a JSON array of objects with kid, alg and public or secret",
            Self::Count => "an array of 1 to 16 keys",
            Self::Kid => "keys with distinct kids of 1 to 64 characters",
            Self::Algorithm => "keys whose alg is EdDSA or HS256",
            Self::Public => "EdDSA keys whose public is 32 bytes in base64",
            Self::Secret => "HS256 keys whose secret is at least 32 bytes in base64",
        })
    }
}

impl std::error::Error for BadKeySet {}

impl KeySet {
    /// Reads `[{"kid":"a","alg":"EdDSA","public":"BASE64"},{"kid":"b","alg":"HS256",
    /// "secret":"BASE64"}]` (standard alphabet, padded).
    ///
    /// # Errors
    /// [`BadKeySet`].
    pub fn from_json(text: &str) -> Result<Self, BadKeySet> {
        let configs: Vec<KeyConfig> = serde_json::from_str(text).map_err(|_| BadKeySet::Shape)?;
        if configs.is_empty() || configs.len() > MAX_KEYS {
            return Err(BadKeySet::Count);
        }
        let mut keys: Vec<(String, VerificationKey)> = Vec::with_capacity(configs.len());
        for config in configs {
            let known = keys.iter().any(|(kid, _)| *kid == config.kid);
            if known || config.kid.is_empty() || config.kid.len() > 64 {
                return Err(BadKeySet::Kid);
            }
            let key = VerificationKey::from_config(&config)?;
            keys.push((config.kid, key));
        }
        Ok(Self { keys })
    }

    /// The set and the public half of the key with which functions sign ([`sign_as_edge`]), in
    /// base64; two with white space between, while one takes the other's place. A configured key
    /// of that `kid` counts no more. None where the text is anything else.
    #[must_use]
    pub fn with_edge_keys(mut self, publics: &str) -> Option<Self> {
        let public = |text: &str| BASE64.decode(text.as_bytes()).ok()?.try_into().ok();
        let keys: Option<Vec<[u8; 32]>> = publics.split_whitespace().map(public).collect();
        let keys = keys.filter(|keys| (1..=2).contains(&keys.len()))?;
        self.keys.retain(|(kid, _)| kid != EDGE_KID);
        let edge = keys.into_iter().map(VerificationKey::Ed25519);
        self.keys.extend(edge.map(|key| (EDGE_KID.to_owned(), key)));
        Some(self)
    }

    /// The keys of this name: one, or two of the edge's.
    fn of(&self, kid: &str) -> impl Iterator<Item = &VerificationKey> {
        let named = self.keys.iter().filter(move |(known, _)| known == kid);
        named.map(|(_, key)| key)
    }
}

impl VerificationKey {
    fn from_config(config: &KeyConfig) -> Result<Self, BadKeySet> {
        let decode = |text: &Option<String>| {
            text.as_ref()
                .and_then(|text| BASE64.decode(text.as_bytes()).ok())
        };
        match config.alg.as_str() {
            "EdDSA" => {
                let bytes = decode(&config.public).ok_or(BadKeySet::Public)?;
                Ok(Self::Ed25519(
                    bytes.try_into().map_err(|_| BadKeySet::Public)?,
                ))
            }
            "HS256" => {
                let secret = decode(&config.secret).ok_or(BadKeySet::Secret)?;
                if secret.len() < MIN_SECRET_BYTES {
                    return Err(BadKeySet::Secret);
                }
                Ok(Self::Hmac(secret))
            }
            _ => Err(BadKeySet::Algorithm),
        }
    }

    fn algorithm(&self) -> &'static str {
        match self {
            Self::Ed25519(_) => "EdDSA",
            Self::Hmac(_) => "HS256",
        }
    }

    /// Whether `signature` is this key's signature of `input`.
    fn verifies(&self, input: &[u8], signature: &[u8]) -> bool {
        match self {
            // The strict check also refuses keys and signatures of small order.
            Self::Ed25519(public) => VerifyingKey::from_bytes(public)
                .and_then(|key| key.verify_strict(input, &Signature::from_slice(signature)?))
                .is_ok(),
            Self::Hmac(secret) => Hmac::<Sha256>::new_from_slice(secret)
                .expect("HMAC takes any key length")
                .chain_update(input)
                .verify_slice(signature)
                .is_ok(),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Header {
    alg: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    typ: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kid: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    crit: Option<serde_json::Value>,
}

/// Whose signature counts besides the game's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signers {
    /// Nobody's.
    Game,
    /// That of functions under seats in matches.
    Seats,
    /// That of a function under its own schedule's token.
    Schedule,
}

impl Signers {
    /// Whether a token of this role may be one that a function signed.
    fn take_edge(self, role: Option<Role>) -> bool {
        match self {
            Self::Game => false,
            Self::Seats => role.is_none(),
            Self::Schedule => role == Some(Role::Operator),
        }
    }
}

/// Verifies bearer tokens.
#[derive(Debug, Clone)]
pub struct Verifier {
    keys: KeySet,
    audience: String,
    life_s: u64,
}

fn invalid(detail: &'static str) -> Refusal {
    Refusal::new(ProblemKind::TokenInvalid, detail)
}

impl Verifier {
    /// A verifier of tokens for `audience` that live [`DEFAULT_LIFE_S`] at most.
    pub fn new(keys: KeySet, audience: String) -> Self {
        Self {
            keys,
            audience,
            life_s: DEFAULT_LIFE_S,
        }
    }

    /// One of tokens that live so many seconds at most.
    #[must_use]
    pub fn with_life_s(self, life_s: u64) -> Self {
        Self { life_s, ..self }
    }

    /// Checks the `authorization` header of a request at `now_s` (Unix time), which may be signed
    /// by the game and by `signers`.
    ///
    /// # Errors
    /// `token-invalid`, `token-expired` or `token-audience`.
    pub fn verify(
        &self,
        signers: Signers,
        authorization: Option<&str>,
        now_s: u64,
    ) -> Result<Claims, Refusal> {
        let header = authorization
            .ok_or_else(|| invalid("Send the player token in the header authorization: Bearer."))?;
        let token = match header.split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
            _ => {
                return Err(invalid(
                    "The authorization header must be Bearer and a token.",
                ));
            }
        };
        let claims = self.authenticate(signers, token)?;
        self.check(&claims, now_s)?;
        Ok(claims)
    }

    /// The claims of a token that one of our keys signed.
    fn authenticate(&self, signers: Signers, token: &str) -> Result<Claims, Refusal> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(invalid(
                "The token is longer than 4096 bytes; grant less in it.",
            ));
        }
        let malformed = || invalid("The token is not a JWT in compact form.");
        let (input, signature) = token.rsplit_once('.').ok_or_else(malformed)?;
        let (header, payload) = input.split_once('.').ok_or_else(malformed)?;
        let decode = |part: &str| {
            BASE64URL_NOPAD
                .decode(part.as_bytes())
                .map_err(|_| malformed())
        };
        let header: Header = serde_json::from_slice(&decode(header)?).map_err(|_| malformed())?;
        if header.crit.is_some() {
            return Err(invalid(
                "The token uses a critical header that is not supported.",
            ));
        }
        let kid = header
            .kid
            .ok_or_else(|| invalid("The token's header must name its key: kid."))?;
        let untrusted = || invalid("The token is not signed by a key that this service trusts.");
        let lent = || {
            invalid("A seat's token is for the voice and chat of its match; send the game's own.")
        };
        if kid == EDGE_KID && signers == Signers::Game {
            return Err(lent());
        }
        let signature = decode(signature)?;
        let signed = |key: &VerificationKey| {
            header.alg == key.algorithm() && key.verifies(input.as_bytes(), &signature)
        };
        if !self.keys.of(&kid).any(signed) {
            return Err(untrusted());
        }
        let claims: Claims = serde_json::from_slice(&decode(payload)?).map_err(|_| {
            invalid("The token's claims are not complete: it needs sub, aud and exp.")
        })?;
        if kid == EDGE_KID && !signers.take_edge(claims.role) {
            return Err(lent());
        }
        Ok(claims)
    }

    fn check(&self, claims: &Claims, now_s: u64) -> Result<(), Refusal> {
        if now_s >= claims.exp {
            let detail = "The token's time is over; get a new one from the game.";
            return Err(Refusal::new(ProblemKind::TokenExpired, detail));
        }
        if claims
            .nbf
            .is_some_and(|nbf| nbf > now_s.saturating_add(NOT_BEFORE_LEEWAY_S))
        {
            return Err(invalid(
                "The token is not valid yet; check the issuer's clock.",
            ));
        }
        // From when it was issued if it says so, and from now on if that is earlier.
        let since = claims.iat.map_or(now_s, |iat| iat.min(now_s));
        let longest_s = self.life_s.saturating_add(NOT_BEFORE_LEEWAY_S);
        if claims.exp.saturating_sub(since) > longest_s {
            let detail = format!(
                "The token lives too long; issue one for at most {} seconds.",
                self.life_s
            );
            return Err(Refusal::new(ProblemKind::TokenInvalid, detail));
        }
        if claims.aud != self.audience {
            let detail = format!(
                "The token must be issued for the audience {}.",
                self.audience
            );
            return Err(Refusal::new(ProblemKind::TokenAudience, detail));
        }
        let name = claims.name.as_deref().unwrap_or_default();
        if name.chars().count() > MAX_NAME_CHARS || name.chars().any(char::is_control) {
            return Err(invalid(
                "The token's name must have at most 64 characters and no control characters.",
            ));
        }
        Ok(())
    }
}

/// A private Ed25519 key that signs tokens. Only the game's backend and development tools hold one.
#[derive(Clone)]
pub struct SigningKey(ed25519_dalek::SigningKey);

/// Secrets never print.
impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

impl SigningKey {
    /// The key with this seed: 32 secret random bytes.
    pub fn new(seed: [u8; 32]) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(&seed))
    }

    /// Reads a seed in base64 (standard alphabet, padded; surrounding white space ignored).
    ///
    /// # Errors
    /// [`wire::keys::BadKey`] when it is not exactly 32 bytes.
    pub fn from_base64(text: &str) -> Result<Self, wire::keys::BadKey> {
        let bytes = BASE64
            .decode(text.trim().as_bytes())
            .map_err(|_| wire::keys::BadKey)?;
        Ok(Self::new(bytes.try_into().map_err(|_| wire::keys::BadKey)?))
    }

    /// The seed in base64.
    pub fn to_base64(&self) -> String {
        BASE64.encode(self.0.as_bytes())
    }

    /// The public key in base64, as [`KeySet::from_json`] reads it.
    pub fn public_base64(&self) -> String {
        BASE64.encode(self.0.verifying_key().as_bytes())
    }

    /// A key set of this key alone, as JSON: the value of the variable `token_keys`.
    pub fn key_set_json(&self, kid: &str) -> String {
        serde_json::json!([{ "kid": kid, "alg": "EdDSA", "public": self.public_base64() }])
            .to_string()
    }
}

/// Makes a token with `claims`, signed with `key`, which verifiers know as `kid`.
pub fn sign(claims: &Claims, key: &SigningKey, kid: &str) -> String {
    compact(claims, "EdDSA", kid, |input| {
        key.0.sign(input).to_bytes().to_vec()
    })
}

/// Makes a token with `claims` that only functions of this fleet accept: `key` is derived from the
/// fleet secret.
pub fn sign_as_edge(claims: &Claims, key: &SigningKey) -> String {
    sign(claims, key, EDGE_KID)
}

fn compact(claims: &Claims, alg: &str, kid: &str, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let header = Header {
        alg: alg.to_owned(),
        typ: Some("JWT".to_owned()),
        kid: Some(kid.to_owned()),
        crit: None,
    };
    let header = serde_json::to_vec(&header).expect("a header has string keys only");
    let claims = serde_json::to_vec(claims).expect("claims have string keys only");
    let mut token = BASE64URL_NOPAD.encode(&header);
    token.push('.');
    BASE64URL_NOPAD.encode_append(&claims, &mut token);
    let signature = sign(token.as_bytes());
    token.push('.');
    BASE64URL_NOPAD.encode_append(&signature, &mut token);
    token
}

#[cfg(test)]
#[path = "token_tests.rs"]
mod tests;
