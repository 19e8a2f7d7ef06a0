//! Settings of functions, read from variables. A fault names the variable and never its value.

use wire::RegionName;
use wire::keys::{
    AdmissionSecret, ControlSecret, FleetSecret, PlayerSecret, Purpose, PurposeSecret,
};
use wire::problem::ProblemKind;

use crate::Refusal;
use crate::directory::StaticShards;
use crate::homes::HomeRegions;
use crate::policy::Policy;
use crate::ports::{VariableFault, Variables};
use crate::token::{DEFAULT_LIFE_S, KeySet, Signers, SigningKey, Verifier};

/// The fleet secret: 32 bytes in base64. Required by the function that lets relays in, and by no
/// other.
pub const FLEET_SECRET: &str = "fleet_secret";
/// What tickets and hellos are sealed with; like all of the following derived from the fleet
/// secret: [`derived`]. Each is required by the functions that list it.
pub const ADMISSION_SECRET: &str = "admission_secret";
/// What commands to relays are sealed with.
pub const CONTROL_SECRET: &str = "control_secret";
/// What the keys of players are made with.
pub const PLAYER_SECRET: &str = "player_secret";
/// What tails of chat channels are sealed with.
pub const TAIL_SECRET: &str = "tail_secret";
/// What the tokens of functions are signed with.
pub const EDGE_TOKEN_SECRET: &str = "edge_token_secret";
/// By what they are known; no secret.
pub const EDGE_TOKEN_PUBLIC: &str = "edge_token_public";
/// The keys that sign player tokens: see [`KeySet::from_json`]. Required.
pub const TOKEN_KEYS: &str = "token_keys";
/// The audience that player tokens must name; [`DEFAULT_AUDIENCE`] when not set.
pub const TOKEN_AUDIENCE: &str = "token_audience";
/// Longest life of a token, in seconds; [`DEFAULT_LIFE_S`] when not set. One that is issued for
/// longer is refused.
pub const TOKEN_LIFE_S: &str = "token_life_s";
/// Relays whose keys come in files, as [`StaticShards`]; none when not set, and then only those
/// that enrolled are heard.
pub const STATIC_SHARDS: &str = "static_shards";
/// The region where rooms are placed that name none; [`DEFAULT_REGION`] when not set.
pub const REGION: &str = "region";

/// Base address of the edge, as relays and players reach it. Relays that enrol are told it.
pub const EDGE_URL: &str = "edge_url";

/// Which machines on AWS may join the fleet by themselves: a JSON object, see the `fleet` function.
pub const ENROLMENT_AWS: &str = "enrolment_aws";

/// The regions that share the table, when there are several: see [`HomeRegions::from_json`].
pub const HOME_REGIONS: &str = "home_regions";

/// A policy table in place of the one that is compiled in: see [`Policy`].
pub const POLICY: &str = "policy";

/// See [`TOKEN_AUDIENCE`].
pub const DEFAULT_AUDIENCE: &str = "lifeverse-voice";
/// See [`REGION`].
pub const DEFAULT_REGION: &str = "dev";

/// The variables that are derived from the fleet secret, with their values. Whoever deploys holds
/// the one and hands each function what `functions/permissions.json` lists for it.
pub fn derived(secret: &FleetSecret) -> [(&'static str, String); 6] {
    let of = |purpose| secret.purpose(purpose);
    let tokens = of(Purpose::Token);
    let known: Vec<String> = tokens
        .bytes()
        .map(|seed| SigningKey::new(*seed).public_base64())
        .collect();
    [
        (ADMISSION_SECRET, of(Purpose::Admission).to_base64()),
        (CONTROL_SECRET, of(Purpose::Control).to_base64()),
        (PLAYER_SECRET, of(Purpose::Player).to_base64()),
        (TAIL_SECRET, of(Purpose::Tail).to_base64()),
        (EDGE_TOKEN_SECRET, tokens.to_base64()),
        (EDGE_TOKEN_PUBLIC, known.join(" ")),
    ]
}

/// Reads [`FLEET_SECRET`].
///
/// # Errors
/// `misconfigured`, or `store-unavailable` for a moment.
pub async fn fleet_secret<V: Variables>(variables: &V) -> Result<FleetSecret, Refusal> {
    key(variables, FLEET_SECRET, FleetSecret::from_base64).await
}

/// Reads [`ADMISSION_SECRET`].
///
/// # Errors
/// `misconfigured`, or `store-unavailable` for a moment.
pub async fn admission_secret<V: Variables>(variables: &V) -> Result<AdmissionSecret, Refusal> {
    let secret = key(variables, ADMISSION_SECRET, PurposeSecret::from_base64);
    secret.await.map(AdmissionSecret)
}

/// Reads [`CONTROL_SECRET`].
///
/// # Errors
/// `misconfigured`, or `store-unavailable` for a moment.
pub async fn control_secret<V: Variables>(variables: &V) -> Result<ControlSecret, Refusal> {
    let secret = key(variables, CONTROL_SECRET, PurposeSecret::from_base64);
    secret.await.map(ControlSecret)
}

/// Reads [`PLAYER_SECRET`].
///
/// # Errors
/// `misconfigured`, or `store-unavailable` for a moment.
pub async fn player_secret<V: Variables>(variables: &V) -> Result<PlayerSecret, Refusal> {
    let secret = key(variables, PLAYER_SECRET, PurposeSecret::from_base64);
    secret.await.map(PlayerSecret)
}

/// Reads [`TAIL_SECRET`].
///
/// # Errors
/// `misconfigured`, or `store-unavailable` for a moment.
pub async fn tail_secret<V: Variables>(variables: &V) -> Result<PurposeSecret, Refusal> {
    key(variables, TAIL_SECRET, PurposeSecret::from_base64).await
}

/// Reads [`EDGE_TOKEN_SECRET`]. Making the key of it costs as much as a signature: only where one
/// is made.
///
/// # Errors
/// `misconfigured`, or `store-unavailable` for a moment.
pub async fn edge_token_secret<V: Variables>(variables: &V) -> Result<SigningKey, Refusal> {
    let secret = key(variables, EDGE_TOKEN_SECRET, PurposeSecret::from_base64).await?;
    let seed = secret.bytes().next().expect("it has the one that signs");
    Ok(SigningKey::new(*seed))
}

async fn key<V: Variables, T>(
    variables: &V,
    name: &str,
    read: impl Fn(&str) -> Result<T, wire::keys::BadKey>,
) -> Result<T, Refusal> {
    let wanted = "32 bytes in base64 (44 characters), or two while one is replaced";
    let text = required(variables, name, wanted).await?;
    read(&text).map_err(|_| Refusal::misconfigured(name, wanted))
}

/// Reads [`TOKEN_KEYS`], [`TOKEN_AUDIENCE`], [`TOKEN_LIFE_S`] and, where a function's signature may
/// count, [`EDGE_TOKEN_PUBLIC`]. It counts nowhere in the function that lets in relays.
///
/// # Errors
/// `misconfigured`, or `store-unavailable` for a moment.
pub async fn verifier<V: Variables>(variables: &V, signers: Signers) -> Result<Verifier, Refusal> {
    let wanted = "a JSON array of verification keys";
    let text = required(variables, TOKEN_KEYS, wanted).await?;
    let keys = KeySet::from_json(&text)
        .map_err(|fault| Refusal::misconfigured(TOKEN_KEYS, &fault.to_string()))?;
    let audience = audience(variables).await?;
    let life_s = token_life_s(variables).await?;
    let verifier = |keys| Ok(Verifier::new(keys, audience).with_life_s(life_s));
    if signers == Signers::Game {
        return verifier(keys);
    }
    let wanted = "one or two public keys, each 32 bytes in base64 (44 characters)";
    let text = required(variables, EDGE_TOKEN_PUBLIC, wanted).await?;
    let keys = keys
        .with_edge_keys(&text)
        .ok_or_else(|| Refusal::misconfigured(EDGE_TOKEN_PUBLIC, wanted))?;
    verifier(keys)
}

/// Reads [`TOKEN_LIFE_S`].
///
/// # Errors
/// `misconfigured`, or `store-unavailable` for a moment.
pub async fn token_life_s<V: Variables>(variables: &V) -> Result<u64, Refusal> {
    match optional(variables, TOKEN_LIFE_S).await? {
        None => Ok(DEFAULT_LIFE_S),
        Some(text) => text.parse().map_err(|_| {
            Refusal::misconfigured(TOKEN_LIFE_S, "a number of seconds, such as 86400")
        }),
    }
}

/// Reads [`STATIC_SHARDS`].
///
/// # Errors
/// `misconfigured`, or `store-unavailable` for a moment.
pub async fn static_shards<V: Variables>(variables: &V) -> Result<Vec<StaticShards>, Refusal> {
    let Some(text) = optional(variables, STATIC_SHARDS).await? else {
        return Ok(Vec::new());
    };
    serde_json::from_str(&text).map_err(|_| {
        let wanted = "a JSON array of shards, region, capacity, control_host and least_epoch";
        Refusal::misconfigured(STATIC_SHARDS, wanted)
    })
}

/// Reads [`TOKEN_AUDIENCE`].
///
/// # Errors
/// `misconfigured`, or `store-unavailable` for a moment.
pub async fn audience<V: Variables>(variables: &V) -> Result<String, Refusal> {
    let audience = optional(variables, TOKEN_AUDIENCE).await?;
    Ok(audience.unwrap_or_else(|| DEFAULT_AUDIENCE.to_owned()))
}

/// Reads [`REGION`].
///
/// # Errors
/// `misconfigured`, or `store-unavailable` for a moment.
pub async fn region<V: Variables>(variables: &V) -> Result<RegionName, Refusal> {
    let text = optional(variables, REGION).await?;
    RegionName::new(text.unwrap_or_else(|| DEFAULT_REGION.to_owned()))
        .map_err(|_| Refusal::misconfigured(REGION, "a region name: 1 to 32 of A-Z a-z 0-9 _ . -"))
}

/// Reads [`EDGE_URL`], without a slash at its end; none when it is not set.
///
/// # Errors
/// `misconfigured`, or `store-unavailable` for a moment.
pub async fn edge_url<V: Variables>(variables: &V) -> Result<Option<String>, Refusal> {
    let Some(text) = optional(variables, EDGE_URL).await? else {
        return Ok(None);
    };
    let rest = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    let is_address = |rest: &str| {
        !rest.trim_end_matches('/').is_empty()
            && rest
                .bytes()
                .all(|b| b.is_ascii_graphic() && !b"@?#\\\"".contains(&b))
    };
    match rest {
        Some(rest) if is_address(rest) => Ok(Some(text.trim_end_matches('/').to_owned())),
        _ => Err(Refusal::misconfigured(
            EDGE_URL,
            "the edge's address, https://HOST",
        )),
    }
}

/// Reads [`HOME_REGIONS`]; none when it is not set.
///
/// # Errors
/// `misconfigured`, or `store-unavailable` for a moment.
pub async fn home_regions<V: Variables>(variables: &V) -> Result<Option<HomeRegions>, Refusal> {
    let Some(text) = optional(variables, HOME_REGIONS).await? else {
        return Ok(None);
    };
    HomeRegions::from_json(&text)
        .map(Some)
        .map_err(|bad| Refusal::misconfigured(HOME_REGIONS, &bad.to_string()))
}

/// Reads [`ENROLMENT_AWS`]; none when it is not set.
///
/// # Errors
/// `misconfigured`, or `store-unavailable` for a moment.
pub async fn enrolment_aws<V: Variables>(variables: &V) -> Result<Option<String>, Refusal> {
    optional(variables, ENROLMENT_AWS).await
}

/// Reads [`POLICY`].
///
/// # Errors
/// `misconfigured`, or `store-unavailable` for a moment.
pub async fn policy<V: Variables>(variables: &V) -> Result<Policy, Refusal> {
    match optional(variables, POLICY).await? {
        None => Ok(Policy::built_in()),
        Some(text) => Policy::from_json(&text)
            .map_err(|fault| Refusal::misconfigured(POLICY, &fault.to_string())),
    }
}

async fn required<V: Variables>(v: &V, name: &str, wanted: &str) -> Result<String, Refusal> {
    optional(v, name)
        .await?
        .ok_or_else(|| Refusal::misconfigured(name, wanted))
}

/// An empty variable counts as not set: manifests cannot leave one out.
async fn optional<V: Variables>(v: &V, name: &str) -> Result<Option<String>, Refusal> {
    let value = v.variable(name).await.map_err(|fault| match fault {
        VariableFault::Refused => Refusal::misconfigured(name, "a value that the host can read"),
        VariableFault::Unavailable => Refusal::new(
            ProblemKind::StoreUnavailable,
            "The service cannot read its settings; send the request again in a moment.",
        ),
    })?;
    Ok(value.filter(|text| !text.is_empty()))
}
