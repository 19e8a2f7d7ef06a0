//! Settings of functions, read from variables. A fault names the variable and never its value.

use wire::RegionName;
use wire::keys::FleetSecret;
use wire::problem::ProblemKind;

use crate::Refusal;
use crate::homes::HomeRegions;
use crate::policy::Policy;
use crate::ports::{VariableFault, Variables};
use crate::token::{KeySet, Verifier};

/// The fleet secret: 32 bytes in base64. Required.
pub const FLEET_SECRET: &str = "fleet_secret";
/// The keys that sign player tokens: see [`KeySet::from_json`]. Required.
pub const TOKEN_KEYS: &str = "token_keys";
/// The audience that player tokens must name; [`DEFAULT_AUDIENCE`] when not set.
pub const TOKEN_AUDIENCE: &str = "token_audience";
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

/// Reads [`FLEET_SECRET`].
///
/// # Errors
/// `misconfigured`, or `store-unavailable` for a moment.
pub async fn fleet_secret<V: Variables>(variables: &V) -> Result<FleetSecret, Refusal> {
    let wanted = "32 bytes in base64 (44 characters)";
    let text = required(variables, FLEET_SECRET, wanted).await?;
    FleetSecret::from_base64(&text).map_err(|_| Refusal::misconfigured(FLEET_SECRET, wanted))
}

/// Reads [`TOKEN_KEYS`], [`TOKEN_AUDIENCE`] and [`FLEET_SECRET`], by which functions know the
/// tokens that functions made.
///
/// # Errors
/// `misconfigured`, or `store-unavailable` for a moment.
pub async fn verifier<V: Variables>(variables: &V) -> Result<Verifier, Refusal> {
    let wanted = "a JSON array of verification keys";
    let text = required(variables, TOKEN_KEYS, wanted).await?;
    let keys = KeySet::from_json(&text)
        .map_err(|fault| Refusal::misconfigured(TOKEN_KEYS, &fault.to_string()))?;
    let keys = keys.with_edge_key(&fleet_secret(variables).await?);
    Ok(Verifier::new(keys, audience(variables).await?))
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
