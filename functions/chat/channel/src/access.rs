//! Who asks, for which channel, and what he may do there.

use std::borrow::Cow;

use edge::Refusal;
use edge::http::Call;
use edge::policy::{Policy, Rights, TextRight, WorldRight};
use edge::ports::Variables;
use serde::de::DeserializeOwned;
use wire::chat::{ChatChannel, DIRECT_ROOM, PARTY_CHANNEL, WORLD_ROOM};
use wire::claims::Claims;
use wire::problem::ProblemKind;
use wire::ticket::Permissions;
use wire::{Hall, PlayerId};

use crate::log::MAX_SEQ;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// Who asks, and what the policy lets him do.
#[derive(Debug)]
pub struct Access<'a> {
    /// What his token says.
    pub claims: &'a Claims,
    /// When the request began, Unix milliseconds.
    pub now_ms: u64,
    /// The policy.
    pub policy: Policy,
    /// What it lets him do.
    pub rights: Rights,
}

/// What a request wants to do in a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intent {
    /// Read it.
    Read,
    /// Write into it.
    Write,
    /// Act as a moderator.
    Moderate,
}

/// A channel, and what the caller may do there.
#[derive(Debug, Clone)]
pub struct Place {
    /// As the caller addresses it.
    pub channel: ChatChannel,
    /// As the store names it, the same for all of its members.
    pub key: String,
    /// How long its messages are kept, in milliseconds.
    pub retention_ms: u64,
    /// What his token grants there.
    pub permissions: Permissions,
}

impl Place {
    /// The channel's key as its authors know it: of all halls of a region's world channel the same,
    /// so that who is muted, or writes too much, is so in each of them.
    pub fn authors(&self) -> Cow<'_, str> {
        match &self.channel {
            ChatChannel::World(hall) => ChatChannel::World(Hall::first(hall.region.clone()))
                .to_string()
                .into(),
            _ => self.key.as_str().into(),
        }
    }

    /// Which hall of a region's world channel it is; 0 for every other channel.
    pub fn hall(&self) -> u8 {
        match &self.channel {
            ChatChannel::World(hall) => hall.number,
            _ => 0,
        }
    }

    /// Whether the caller may moderate it.
    pub fn may_moderate(&self) -> bool {
        self.permissions.contains(Permissions::MODERATE)
    }
}

impl<'a> Access<'a> {
    /// Of the caller of `call`.
    ///
    /// # Errors
    /// `misconfigured`; `internal` where the route wants no token.
    pub async fn of<H: Variables>(host: &H, call: &'a Call<'_>) -> Result<Self, Refusal> {
        let caller = call.caller()?;
        let (policy, rights) = caller.rights(host).await?;
        Ok(Self {
            claims: &caller.claims,
            now_ms: caller.now_ms,
            policy,
            rights,
        })
    }

    /// The caller.
    pub fn me(&self) -> &'a PlayerId {
        &self.claims.sub
    }

    /// A channel, if the caller may do what he wants there.
    ///
    /// # Errors
    /// `name-invalid`, `channel-not-granted`, `policy-refused` or `not-moderator`.
    pub fn place(&self, channel: ChatChannel, intent: Intent) -> Result<Place, Refusal> {
        let kept = self.policy.retention_days;
        let (permissions, days) = match &channel {
            ChatChannel::Room(room, name) => (self.claims.permissions(room, name), kept.room),
            ChatChannel::Party(room) => (
                self.claims.permissions_in(room.as_str(), PARTY_CHANNEL),
                kept.party,
            ),
            ChatChannel::Direct(player) => (
                self.claims.permissions_in(DIRECT_ROOM, player.as_str()),
                kept.direct,
            ),
            ChatChannel::World(hall) => (
                self.claims.permissions_in(WORLD_ROOM, hall.region.as_str()),
                kept.world,
            ),
        };
        let place = Place {
            key: self.key_of(&channel)?,
            channel,
            retention_ms: days_ms(days),
            permissions,
        };
        self.check(&place, intent)?;
        Ok(place)
    }

    fn key_of(&self, channel: &ChatChannel) -> Result<String, Refusal> {
        match channel {
            ChatChannel::Direct(other) if other == self.me() => Err(Refusal::new(
                ProblemKind::NameInvalid,
                "Name another player: nobody has a direct channel with himself.",
            )),
            ChatChannel::Direct(other) => Ok(direct_key(self.me(), other)),
            other => Ok(other.to_string()),
        }
    }

    fn check(&self, place: &Place, intent: Intent) -> Result<(), Refusal> {
        let granted = place.permissions;
        let not_granted = |what: &str| {
            let detail = format!("Get a token from the game that lets the player {what} there.");
            Err(Refusal::new(ProblemKind::ChannelNotGranted, detail))
        };
        if granted == Permissions::default() {
            return not_granted("read");
        }
        let world = match place.channel {
            ChatChannel::World(_) => self.rights.world,
            _ => WorldRight::Write,
        };
        if world == WorldRight::Off {
            return Err(policy_refused("Use another channel than the world's."));
        }
        // Who may not write direct messages gets none either: policy protects both ends.
        if matches!(place.channel, ChatChannel::Direct(_)) && !self.rights.direct {
            return Err(policy_refused("The player may not use direct messages."));
        }
        match intent {
            Intent::Read => Ok(()),
            Intent::Moderate if place.may_moderate() => Ok(()),
            Intent::Moderate => Err(not_moderator("Ask somebody who may moderate the channel.")),
            Intent::Write if !granted.contains(Permissions::CHAT) => not_granted("chat"),
            Intent::Write if world != WorldRight::Write => {
                Err(policy_refused("Read the world channel without writing."))
            }
            Intent::Write if self.rights.text == TextRight::Off => {
                Err(policy_refused("The player may not write."))
            }
            Intent::Write => Ok(()),
        }
    }
}

/// So many days in milliseconds.
pub fn days_ms(days: u32) -> u64 {
    u64::from(days) * DAY_MS
}

/// The key of the direct channel of two players, the same for both.
pub fn direct_key(one: &PlayerId, other: &PlayerId) -> String {
    let (first, second) = if one < other {
        (one, other)
    } else {
        (other, one)
    };
    format!("direct~{first}~{second}")
}

/// The JSON body of a request.
///
/// # Errors
/// `text-invalid` where it is not UTF-8; `body-invalid`.
pub fn body<T: DeserializeOwned>(call: &Call<'_>) -> Result<T, Refusal> {
    if std::str::from_utf8(&call.request.body).is_err() {
        let detail = "Send the body in UTF-8.";
        return Err(Refusal::new(ProblemKind::TextInvalid, detail));
    }
    call.body()
}

/// The number of a message in the path's second parameter.
///
/// # Errors
/// `cursor-invalid`.
pub fn seq(call: &Call<'_>) -> Result<u64, Refusal> {
    number(&call.parameters[1])
}

/// A number in a path or query; not above what a sort key can hold.
///
/// # Errors
/// `cursor-invalid`.
pub fn number(text: &str) -> Result<u64, Refusal> {
    let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| is_plain);
    number.filter(|number| *number <= MAX_SEQ).ok_or_else(|| {
        Refusal::new(
            ProblemKind::CursorInvalid,
            "Give the position as a decimal number that a reply has named.",
        )
    })
}

/// A `body-invalid`.
pub fn body_invalid(detail: impl Into<std::borrow::Cow<'static, str>>) -> Refusal {
    Refusal::new(ProblemKind::BodyInvalid, detail)
}

/// A `policy-refused`.
pub fn policy_refused(detail: &'static str) -> Refusal {
    Refusal::new(ProblemKind::PolicyRefused, detail)
}

/// A `not-moderator`.
pub fn not_moderator(detail: &'static str) -> Refusal {
    Refusal::new(ProblemKind::NotModerator, detail)
}
