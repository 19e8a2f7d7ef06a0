//! Tickets: what a party asks for.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use wire::{ModeName, PlayerId, RegionName, TicketId};

use crate::rules::{AttributeKind, RuleSet};

/// A party that waits for a match. Its players are matched together, on one team.
#[derive(Debug, Clone, PartialEq)]
pub struct QueueTicket {
    /// Unique in the pool.
    pub id: TicketId,
    /// The party, one player or more.
    pub players: Vec<Player>,
    /// The modes that the party wants; any of them will do.
    pub modes: Vec<ModeName>,
    /// When the wait began, Unix milliseconds. A requeued ticket keeps its own.
    pub since_ms: u64,
}

/// One player of a party.
#[derive(Debug, Clone, PartialEq)]
pub struct Player {
    /// Who it is.
    pub id: PlayerId,
    /// How good he is believed to be.
    pub rating: Rating,
    /// What the mode's requirements look at.
    pub attributes: BTreeMap<String, AttributeValue>,
    /// Measured round-trip times, milliseconds.
    pub latency_ms: BTreeMap<RegionName, u32>,
    /// What he plays on.
    pub platform: String,
    /// Whether he plays with people on other platforms.
    pub cross_play: bool,
    /// Languages that he speaks, as the game names them.
    pub languages: Vec<String>,
    /// Whom he never wants to meet.
    pub blocks: Vec<PlayerId>,
}

/// A belief about skill: a normal distribution, on whatever scale the game uses.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rating {
    /// Mean.
    pub mu: f64,
    /// Standard deviation, above 0.
    pub sigma: f64,
}

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq)]
pub enum AttributeValue {
    /// A finite number.
    Number(f64),
    /// A text, compared as it is.
    Text(String),
    /// A set of texts.
    Set(BTreeSet<String>),
}

impl AttributeValue {
    fn kind(&self) -> AttributeKind {
        match self {
            Self::Number(_) => AttributeKind::Number,
            Self::Text(_) => AttributeKind::Text,
            Self::Set(_) => AttributeKind::Set,
        }
    }
}

/// Why a ticket can never be matched under a rule set, however long it waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TicketFault {
    /// Fewer players than `party.min` or more than `party.max` (or than any team holds).
    PartySize,
    /// The players' ratings are further apart than `party.rating_spread`.
    PartyRatingSpread,
    /// A rating that is not finite, or whose sigma is not above zero.
    RatingInvalid,
    /// The player has no value of the attribute, and the rule set no default.
    AttributeMissing(String),
    /// The attribute has a value of another kind, or a number that is not finite.
    AttributeInvalid(String),
    /// The party mixes platforms although one of it does not want that.
    PlatformsMixed,
    /// Two players of the party have blocked each other.
    BlockWithin,
    /// A ticket with this id, or with one of the players, is in the pool already.
    Duplicate,
}

impl fmt::Display for TicketFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PartySize => f.write_str("party size"),
            Self::PartyRatingSpread => f.write_str("party.rating_spread"),
            Self::RatingInvalid => f.write_str("rating invalid"),
            Self::AttributeMissing(name) => write!(f, "attributes.{name} missing"),
            Self::AttributeInvalid(name) => write!(f, "attributes.{name} invalid"),
            Self::PlatformsMixed => f.write_str("platforms mixed without cross-play"),
            Self::BlockWithin => f.write_str("party members block each other"),
            Self::Duplicate => f.write_str("duplicate ticket or player"),
        }
    }
}

impl std::error::Error for TicketFault {}

impl QueueTicket {
    /// Whether the ticket by itself can be matched under `rules`; a shell refuses it when not.
    ///
    /// # Errors
    /// The first [`TicketFault`] found; never [`TicketFault::Duplicate`], which needs the pool.
    pub fn check(&self, rules: &RuleSet) -> Result<(), TicketFault> {
        let size = self.players.len();
        let party = &rules.party;
        if size < party.min as usize || size > party.max as usize {
            return Err(TicketFault::PartySize);
        }
        let valid = |rating: &Rating| {
            let Rating { mu, sigma } = *rating;
            mu.abs() <= MAX_RATING && sigma > 0.0 && sigma <= MAX_RATING
        };
        if !self.players.iter().all(|player| valid(&player.rating)) {
            return Err(TicketFault::RatingInvalid);
        }
        let mus = || self.players.iter().map(|player| player.rating.mu);
        let spread = mus().fold(f64::MIN, f64::max) - mus().fold(f64::MAX, f64::min);
        if party.rating_spread.is_some_and(|limit| spread > limit) {
            return Err(TicketFault::PartyRatingSpread);
        }
        let mixed = self
            .players
            .iter()
            .any(|player| player.platform != self.players[0].platform);
        if mixed && self.players.iter().any(|player| !player.cross_play) {
            return Err(TicketFault::PlatformsMixed);
        }
        let blocked = |player: &Player| {
            player
                .blocks
                .iter()
                .any(|id| self.players.iter().any(|other| other.id == *id))
        };
        if self.players.iter().any(blocked) {
            return Err(TicketFault::BlockWithin);
        }
        self.players
            .iter()
            .try_for_each(|player| check_attributes(player, rules))
    }
}

/// Largest magnitude of a rating's mean and deviation: sums of 200 stay exact enough.
const MAX_RATING: f64 = 1e9;

fn check_attributes(player: &Player, rules: &RuleSet) -> Result<(), TicketFault> {
    for (name, attribute) in &rules.attributes {
        match player.attributes.get(name).or(attribute.default.as_ref()) {
            None => return Err(TicketFault::AttributeMissing(name.clone())),
            Some(AttributeValue::Number(number)) if !number.is_finite() => {
                return Err(TicketFault::AttributeInvalid(name.clone()));
            }
            Some(value) if value.kind() != attribute.kind => {
                return Err(TicketFault::AttributeInvalid(name.clone()));
            }
            Some(_) => {}
        }
    }
    Ok(())
}
