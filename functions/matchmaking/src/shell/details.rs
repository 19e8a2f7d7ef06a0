//! What is known of a player who waits, from his request, his token, chat and the ratings.

use std::collections::{BTreeMap, HashMap};

use data_encoding::BASE64URL_NOPAD;
use edge::blocks::{blocked_by, of_caller};
use edge::ports::Variables;
use edge::store::Store;
use edge::{Caller, Refusal};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use wire::claims::Role;
use wire::matching::{
    AttributeValue, MAX_DETAILS_BYTES, MAX_NAMED, MAX_TEXT_BYTES, PlayerDetails, Rating,
};
use wire::problem::ProblemKind;
use wire::{PlayerId, RegionName};

use super::refusals::body_invalid;
use crate::attribute;
use crate::ticket as core;

/// A player's details as the store keeps them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Details {
    #[serde(rename = "m")]
    mu: f64,
    #[serde(rename = "s")]
    sigma: f64,
    #[serde(rename = "a", default, skip_serializing_if = "BTreeMap::is_empty")]
    attributes: BTreeMap<String, AttributeValue>,
    #[serde(rename = "l", default, skip_serializing_if = "BTreeMap::is_empty")]
    latency_ms: BTreeMap<RegionName, u32>,
    #[serde(rename = "p")]
    platform: String,
    #[serde(rename = "c")]
    cross_play: bool,
    #[serde(rename = "n", default, skip_serializing_if = "Vec::is_empty")]
    languages: Vec<String>,
    /// Hashes of the players whom he does not want to meet, one after the other.
    #[serde(rename = "b", default, skip_serializing_if = "String::is_empty")]
    blocks: String,
}

/// Characters of one [`player_hash`].
const HASH_CHARS: usize = 11;

/// Refuses what is too much or not a name.
fn check(details: &PlayerDetails) -> Result<(), Refusal> {
    let counts = [
        details.attributes.len(),
        details.latency_ms.len(),
        details.languages.len(),
        details.blocks.len(),
    ];
    let sets = details.attributes.values().map(|value| match value {
        AttributeValue::Set(set) => set.len(),
        _ => 0,
    });
    if counts
        .into_iter()
        .chain(sets)
        .any(|count| count > MAX_NAMED)
    {
        return Err(body_invalid(format!(
            "Name at most {MAX_NAMED} attributes, elements of a set, regions, languages and blocks."
        )));
    }
    let texts = details.attributes.iter().flat_map(|(name, value)| {
        let values: Vec<&String> = match value {
            AttributeValue::Number(_) => Vec::new(),
            AttributeValue::Text(text) => vec![text],
            AttributeValue::Set(set) => set.iter().collect(),
        };
        values.into_iter().chain([name])
    });
    if texts
        .chain(&details.languages)
        .any(|text| text.len() > MAX_TEXT_BYTES)
    {
        return Err(body_invalid(format!(
            "Use at most {MAX_TEXT_BYTES} bytes for an attribute, its texts and a language."
        )));
    }
    let bytes = serde_json::to_vec(details).expect("string keys only").len();
    if bytes > MAX_DETAILS_BYTES {
        return Err(body_invalid(format!(
            "Use at most {MAX_DETAILS_BYTES} bytes for the details of a player."
        )));
    }
    Ok(())
}

/// What is known of `player`, who has this rating. A game server may say more of him than he may
/// himself.
pub(super) async fn of(
    host: &impl Variables,
    store: &impl Store,
    caller: &Caller,
    (player, rating): (&PlayerId, Rating),
    asked: &PlayerDetails,
) -> Result<Details, Refusal> {
    check(asked)?;
    let claims_more =
        asked.rating.is_some() || asked.platform.is_some() || asked.cross_play.is_some();
    if claims_more && !caller.is(Role::GameServer) {
        return Err(Refusal::new(
            ProblemKind::GameServerOnly,
            "Leave out rating, platform and cross_play: only a game server may give them.",
        ));
    }
    let (_, rights) = caller.rights(host).await?;
    let platform = asked.platform.unwrap_or(rights.platform);
    let mut blocks = asked.blocks.clone();
    blocks.extend(match player == caller.me() {
        true => of_caller(store, caller.now_ms, &caller.claims).await?,
        false => blocked_by(store, caller.now_ms, player).await?,
    });
    blocks.sort();
    blocks.dedup();
    let rating = asked.rating.unwrap_or(rating);
    Ok(Details {
        mu: rating.mu,
        sigma: rating.sigma,
        attributes: asked.attributes.clone(),
        latency_ms: asked.latency_ms.clone(),
        platform: text_of(&platform),
        cross_play: asked.cross_play.unwrap_or(rights.cross_play),
        languages: asked.languages.clone(),
        blocks: blocks.iter().map(player_hash).collect(),
    })
}

/// A value that serializes as a text, as that text.
fn text_of(value: &impl Serialize) -> String {
    let value = serde_json::to_value(value).ok();
    let text = value.as_ref().and_then(|value| value.as_str());
    text.unwrap_or_default().to_owned()
}

/// The players of a pool by what stands for them in lists of blocks.
pub(super) type Known = HashMap<String, PlayerId>;

/// These players.
pub(super) fn known<'a>(players: impl Iterator<Item = &'a PlayerId>) -> Known {
    players
        .map(|player| (player_hash(player), player.clone()))
        .collect()
}

/// Eight bytes that stand for a player in lists of blocks.
fn player_hash(player: &PlayerId) -> String {
    let hash = Sha256::digest(player.as_str().as_bytes());
    BASE64URL_NOPAD.encode(&hash[..8])
}

/// A player as the matcher takes him. Blocks of players who are not in the pool are left out.
pub(super) fn core_player(id: &PlayerId, details: &Details, known: &Known) -> core::Player {
    let value = |value: &AttributeValue| match value {
        AttributeValue::Number(number) => attribute::AttributeValue::Number(*number),
        AttributeValue::Text(text) => attribute::AttributeValue::Text(text.clone()),
        AttributeValue::Set(set) => attribute::AttributeValue::Set(set.iter().cloned().collect()),
    };
    let blocks = details.blocks.as_bytes().chunks(HASH_CHARS);
    core::Player {
        id: id.clone(),
        rating: crate::ratings::Rating {
            mu: details.mu,
            sigma: details.sigma,
        },
        attributes: details
            .attributes
            .iter()
            .map(|(name, held)| (name.clone(), value(held)))
            .collect(),
        latency_ms: details.latency_ms.clone(),
        platform: details.platform.clone(),
        cross_play: details.cross_play,
        languages: details.languages.clone(),
        blocks: blocks
            .filter_map(|hash| known.get(std::str::from_utf8(hash).ok()?).cloned())
            .collect(),
    }
}
