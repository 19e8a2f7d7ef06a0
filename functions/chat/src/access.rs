//! Who asks, for which channel, and what he may do there.

use edge::http::Call;
use edge::policy::{Policy, Rights, TextRight, WorldRight};
use edge::store::Store;
use edge::{Metered, Refusal, config};
use serde::de::DeserializeOwned;
use wire::PlayerId;
use wire::chat::{ChatChannel, DIRECT_ROOM, PARTY_CHANNEL, WORLD_ROOM};
use wire::claims::Claims;
use wire::keys::{ControlSecret, PlayerSecret};
use wire::problem::ProblemKind;
use wire::ticket::Permissions;

use crate::Ports;
use crate::tail::{MAX_SEQ, TailKey};

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// One request of somebody whose token is good.
pub(crate) struct Chat<'a, H, S> {
    pub(crate) host: &'a H,
    pub(crate) store: &'a Metered<'a, S>,
    pub(crate) call: &'a Call<'a>,
    pub(crate) now_ms: u64,
    pub(crate) claims: &'a Claims,
    pub(crate) policy: Policy,
    pub(crate) rights: Rights,
    pub(crate) control: ControlSecret,
    pub(crate) players: PlayerSecret,
    pub(crate) tails: TailKey,
}

/// What a request wants to do in a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Intent {
    Read,
    Write,
    Moderate,
}

/// A channel, and what the caller may do there.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// As the caller addresses it.
    pub(crate) channel: ChatChannel,
    /// As the store names it, the same for all of its members.
    pub(crate) key: String,
    /// How long its messages are kept, in milliseconds.
    pub(crate) retention_ms: u64,
    pub(crate) permissions: Permissions,
}

impl Place {
    pub(crate) fn may_moderate(&self) -> bool {
        self.permissions.contains(Permissions::MODERATE)
    }
}

impl<'a, H: Ports, S: Store> Chat<'a, H, S> {
    pub(crate) async fn enter(
        host: &'a H,
        store: &'a Metered<'a, S>,
        call: &'a Call<'a>,
    ) -> Result<Self, Refusal> {
        let caller = call.caller()?;
        let (policy, rights) = caller.rights(host).await?;
        Ok(Self {
            host,
            store,
            call,
            now_ms: caller.now_ms,
            claims: &caller.claims,
            rights,
            tails: TailKey::new(&config::tail_secret(host).await?),
            policy,
            control: config::control_secret(host).await?,
            players: config::player_secret(host).await?,
        })
    }

    /// The caller.
    pub(crate) fn me(&self) -> &PlayerId {
        &self.claims.sub
    }

    /// The channel of the path, if the caller may do what he wants there.
    pub(crate) fn place(&self, intent: Intent) -> Result<Place, Refusal> {
        let channel = self.call.parameter(0)?;
        self.place_of(channel, intent)
    }

    pub(crate) fn place_of(&self, channel: ChatChannel, intent: Intent) -> Result<Place, Refusal> {
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
            ChatChannel::World(region) => (
                self.claims.permissions_in(WORLD_ROOM, region.as_str()),
                kept.world,
            ),
        };
        let place = Place {
            key: self.key_of(&channel)?,
            channel,
            retention_ms: u64::from(days) * DAY_MS,
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
            Intent::Write
                if matches!(place.channel, ChatChannel::Direct(_)) && !self.rights.direct =>
            {
                Err(policy_refused("The player may not write direct messages."))
            }
            Intent::Write => Ok(()),
        }
    }

    /// The JSON body.
    pub(crate) fn body<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        if std::str::from_utf8(&self.call.request.body).is_err() {
            let detail = "Send the body in UTF-8.";
            return Err(Refusal::new(ProblemKind::TextInvalid, detail));
        }
        self.call.body()
    }

    /// The number of the path's second parameter.
    pub(crate) fn seq(&self) -> Result<u64, Refusal> {
        number(&self.call.parameters[1])
    }

    /// The player of a parameter of the path.
    pub(crate) fn player(&self, at: usize) -> Result<PlayerId, Refusal> {
        self.call.parameter(at)
    }

    /// Random hex digits.
    pub(crate) fn nonce(&self) -> [u8; 8] {
        let mut bytes = [0; 8];
        self.host.fill(&mut bytes);
        bytes
    }
}

/// The key of the direct channel of two players, the same for both.
pub(crate) fn direct_key(one: &PlayerId, other: &PlayerId) -> String {
    let (first, second) = if one < other {
        (one, other)
    } else {
        (other, one)
    };
    format!("direct~{first}~{second}")
}

/// A number in a path or query; not above what a sort key can hold.
pub(crate) fn number(text: &str) -> Result<u64, Refusal> {
    let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| is_plain);
    number.filter(|number| *number <= MAX_SEQ).ok_or_else(|| {
        Refusal::new(
            ProblemKind::CursorInvalid,
            "Give the position as a decimal number that a reply has named.",
        )
    })
}

pub(crate) fn body_invalid(detail: impl Into<std::borrow::Cow<'static, str>>) -> Refusal {
    Refusal::new(ProblemKind::BodyInvalid, detail)
}

pub(crate) fn policy_refused(detail: &'static str) -> Refusal {
    Refusal::new(ProblemKind::PolicyRefused, detail)
}

pub(crate) fn not_moderator(detail: &'static str) -> Refusal {
    Refusal::new(ProblemKind::NotModerator, detail)
}
