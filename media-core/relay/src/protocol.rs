//! The core's [`sfu::Protocol`] over the messages of `wire`: tickets, hellos, JSON.
//!
//! Pure functions of their arguments and the shard's keys: no tokio, no clock. The simulation uses
//! this module too.

use std::sync::Arc;

use sfu::{
    Admission, BadMessage, BadTicket, ChannelGrant, Crossing, DataChannel, Notice, Permissions,
    Protocol, Request, RosterEntry, SlotChange, Source,
};
use wire::channel::{
    ClientMessage, EndReason, LABEL, POSITIONS_LABEL, Participant, RelayMessage, SlotState, Way,
};
use wire::hello::Hello;
use wire::keys::ShardKeys;
use wire::limits::{MAX_MESSAGE_BYTES, MAX_SLOTS, MAX_TOPICS, TICKET_LIFETIME_S};
use wire::ticket::{self, Ticket, ice_password};
use wire::{BootId, ChannelName, PlayerId, RegionName, RoomKey, RoomName, TopicKey};

/// Opens what the edge sealed for one run of one shard.
#[derive(Debug)]
pub struct SealedProtocol {
    keys: ShardKeys,
    boot: BootId,
    /// What hellos of version 1 call the world.
    world: TopicKey,
}

/// What the roster shows of a participant, from his hello.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Player id.
    pub player: PlayerId,
    /// Display name.
    pub name: String,
    /// The room's name.
    pub room: RoomName,
    /// Channels by name.
    pub channels: Vec<ChannelName>,
    /// The same as the core knows them, in the same order.
    pub channel_keys: Vec<sfu::ChannelKey>,
}

impl SealedProtocol {
    /// For the shard in `region` that holds `keys` and runs as `boot`.
    pub fn new(keys: ShardKeys, boot: BootId, region: &RegionName) -> Self {
        let world = TopicKey::world(region);
        Self { keys, boot, world }
    }
}

impl Protocol for SealedProtocol {
    /// Shared, since whoever asks who is in a room gets many at once.
    type Profile = Arc<Profile>;

    fn open(&self, ufrag: &str) -> Result<Admission, BadTicket> {
        let ticket = Ticket::open_expired(ufrag, &self.keys, self.boot).map_err(bad_ticket)?;
        let slots = ticket.slots.min(MAX_SLOTS as u8);
        Ok(Admission {
            issued_at_ms: u64::from(ticket.expires_at).saturating_sub(TICKET_LIFETIME_S) * 1000,
            expires_at_unix_s: u64::from(ticket.expires_at),
            session: sfu::SessionId(ticket.session.0),
            player: sfu::PlayerKey(ticket.player.0),
            fingerprint: ticket.fingerprint,
            room: sfu::RoomKey(ticket.room.0),
            home_epoch: ticket.home_epoch,
            channel: sfu::ChannelKey(ticket.channel.0),
            permissions: permissions(ticket.permissions),
            server_muted: ticket.server_muted,
            says_hello: ticket.says_hello,
            opus_payload_type: ticket.opus_payload_type,
            red_payload_type: Some(ticket.red_payload_type).filter(|pt| *pt != 0),
            audio_level_id: Some(ticket.audio_level_id).filter(|id| *id != 0),
            slot_ssrcs: (0..slots)
                .map(|slot| ticket.session.slot_ssrc(slot))
                .collect(),
            ice_password: ice_password(&self.keys, ufrag),
        })
    }

    fn data_channel(&self, label: &str) -> Option<DataChannel> {
        match label {
            LABEL => Some(DataChannel::Messages),
            POSITIONS_LABEL => Some(DataChannel::Positions),
            _ => None,
        }
    }

    fn read(
        &self,
        session: sfu::SessionId,
        message: &[u8],
    ) -> Result<Request<Arc<Profile>>, BadMessage> {
        if message.len() > MAX_MESSAGE_BYTES {
            return Err(BadMessage);
        }
        match ClientMessage::read(message).map_err(|_| BadMessage)? {
            ClientMessage::Hello { sealed } => self.read_hello(session, &sealed),
            ClientMessage::Ping { id } => Ok(Request::Ping { id }),
            ClientMessage::State { muted, deafened } => Ok(Request::State { muted, deafened }),
            ClientMessage::Leave => Ok(Request::Leave),
            ClientMessage::Unknown => Ok(Request::Unknown),
        }
    }

    fn write(&self, notice: &Notice<'_, Arc<Profile>>) -> Vec<u8> {
        let message = match notice {
            Notice::Welcome {
                participant,
                profile,
                slots,
                participants,
                count,
            } => RelayMessage::Welcome {
                participant: *participant,
                room: profile.room.clone(),
                slots: *slots,
                participants: participants.iter().map(entry).collect(),
                count: *count,
            },
            Notice::Roster {
                joined,
                left,
                changed,
                count,
            } => RelayMessage::Roster {
                joined: joined.iter().map(entry).collect(),
                left: left.to_vec(),
                changed: changed.iter().map(entry).collect(),
                count: *count,
            },
            Notice::Slots { profile, changes } => RelayMessage::Slots {
                slots: changes.iter().map(|one| slot(profile, one)).collect(),
            },
            Notice::Speaking { started, stopped } => RelayMessage::Speaking {
                started: started.to_vec(),
                stopped: stopped.to_vec(),
            },
            Notice::Pong { id } => RelayMessage::Pong { id: *id },
            Notice::Quality(quality) => RelayMessage::Quality {
                up: quality.up.map(way),
                down: quality.down.map(way),
                rtt_ms: quality.rtt_ms,
                listeners_lost_permille: quality.listeners_lost_permille,
            },
            Notice::Migrate => RelayMessage::Migrate,
            Notice::Ended(reason) => RelayMessage::Ended {
                reason: end_reason(*reason),
            },
        };
        serde_json::to_vec(&message).expect("our messages have string keys only")
    }
}

impl SealedProtocol {
    /// A hello counts on the session that it was sealed for and on no other.
    fn read_hello(
        &self,
        session: sfu::SessionId,
        sealed: &str,
    ) -> Result<Request<Arc<Profile>>, BadMessage> {
        let hello = Hello::open(sealed, &self.keys, self.boot).map_err(|_| BadMessage)?;
        if hello.session.0 != session.0 {
            return Err(BadMessage);
        }
        let channels: Vec<ChannelGrant> = hello
            .channels
            .iter()
            .map(|grant| ChannelGrant {
                channel: sfu::ChannelKey(wire::ChannelKey::of(&hello.room, &grant.channel).0),
                permissions: permissions(ticket::Permissions(grant.permissions)),
            })
            .collect();
        let world = hello.world.then_some(self.world);
        // An edge of an earlier release does not say who reads the party channel.
        let party = TopicKey::party(RoomKey::of(&hello.room));
        let party = hello.party.unwrap_or(true).then_some(party);
        let topics = world.into_iter().chain(hello.topics).take(MAX_TOPICS);
        let topics = party.into_iter().chain(topics);
        let profile = Profile {
            player: hello.player,
            name: hello.name,
            room: hello.room,
            channel_keys: channels.iter().map(|grant| grant.channel).collect(),
            channels: hello
                .channels
                .into_iter()
                .map(|grant| grant.channel)
                .collect(),
        };
        Ok(Request::Hello(sfu::Hello {
            issued_at_ms: hello.issued_at_ms,
            profile: Arc::new(profile),
            channels,
            topics: topics.map(|topic| sfu::TopicKey(topic.0)).collect(),
            muted_until_ms: hello.muted_until_ms,
            until_ms: hello.until_ms,
            blocked: hello
                .blocked
                .iter()
                .map(|other| sfu::PlayerKey(other.0))
                .collect(),
            crossing: Crossing {
                platform: platform(&hello.platform),
                one_platform: hello.one_platform,
            },
        }))
    }
}

/// A platform's name as the core compares it.
pub(crate) fn platform(name: &str) -> [u8; 8] {
    let mut bytes = [0; 8];
    let length = name.len().min(bytes.len());
    bytes[..length].copy_from_slice(&name.as_bytes()[..length]);
    bytes
}

fn bad_ticket(bad: ticket::BadTicket) -> BadTicket {
    match bad {
        ticket::BadTicket::Malformed => BadTicket::Malformed,
        ticket::BadTicket::Version => BadTicket::Version,
        // The core looks at the time itself, so this opening knows no expiry.
        ticket::BadTicket::Sealed | ticket::BadTicket::Expired => BadTicket::Sealed,
    }
}

fn permissions(bits: ticket::Permissions) -> Permissions {
    Permissions {
        speak: bits.contains(ticket::Permissions::SPEAK),
        listen: bits.contains(ticket::Permissions::LISTEN),
    }
}

/// What a client is told. The two reasons that he never hears, since his data channel is not open
/// then, fall to their nearest kin.
fn end_reason(reason: sfu::EndReason) -> EndReason {
    match reason {
        sfu::EndReason::Left => EndReason::Left,
        sfu::EndReason::Kicked => EndReason::Kicked,
        sfu::EndReason::Replaced | sfu::EndReason::HalfOpen => EndReason::Replaced,
        sfu::EndReason::RelayStopping => EndReason::RelayStopping,
        sfu::EndReason::Protocol | sfu::EndReason::Fingerprint | sfu::EndReason::Budget => {
            EndReason::Protocol
        }
        // He comes again with the token that he has then, and hears from the edge what is wrong.
        sfu::EndReason::TokenExpired => EndReason::Timeout,
        sfu::EndReason::Timeout | sfu::EndReason::Handshake | sfu::EndReason::NoHello => {
            EndReason::Timeout
        }
    }
}

fn way(way: sfu::Way) -> Way {
    Way {
        lost_permille: way.lost_permille,
        concealed_permille: way.concealed_permille,
        jitter_ms: way.jitter_ms,
        rating: way.rating,
        mos_centi: way.mos_centi,
    }
}

/// A slot as its listener knows its channel.
fn slot(listener: &Profile, change: &SlotChange) -> SlotState {
    let carried = change.carries;
    let key = carried.and_then(|carried| carried.channel);
    let named = listener.channel_keys.iter().zip(&listener.channels);
    let mut named = named.filter(|(known, _)| Some(**known) == key);
    SlotState {
        slot: change.slot,
        participant: carried.map(|carried| match carried.source {
            Source::Participant(number) => number,
        }),
        channel: named.next().map(|(_, name)| name.clone()),
    }
}

/// A participant as the roster names him.
pub(crate) fn entry(entry: &RosterEntry<'_, Arc<Profile>>) -> Participant {
    Participant {
        id: entry.id,
        player: entry.profile.map(|profile| profile.player.clone()),
        name: entry
            .profile
            .map(|profile| profile.name.clone())
            .unwrap_or_default(),
        channels: entry
            .profile
            .map(|profile| profile.channels.clone())
            .unwrap_or_default(),
        muted: entry.muted,
        server_muted: entry.server_muted,
        deafened: entry.deafened,
        speaker: entry.speaker,
    }
}

#[cfg(test)]
#[path = "protocol_tests.rs"]
mod tests;
