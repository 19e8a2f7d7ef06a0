//! A question of the edge about a room. The shard's thread looks its answer up between two batches;
//! what is sent back is written elsewhere.

use std::sync::Arc;
use std::time::Instant;

use sfu::{Present, RosterEntry, Sfu};
use tokio::sync::oneshot;
use wire::limits::MAX_ROOM_PLAYERS;
use wire::moderation::RoomPlayer;

use crate::protocol::{Profile, SealedProtocol, entry};

/// Who is in a room, from a number on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question {
    pub(crate) room: sfu::RoomKey,
    /// Those with a number above this one.
    pub(crate) after: u32,
}

/// A participant as the shard's thread hands him on: his profile is shared and not copied.
#[derive(Debug)]
pub(crate) struct Seen {
    session: sfu::SessionId,
    number: u32,
    profile: Option<Arc<Profile>>,
    muted: bool,
    server_muted: bool,
    deafened: bool,
    speaker: bool,
    talks: bool,
    since_ms: u64,
}

/// Whoever waits for an answer.
pub(crate) type Asker = oneshot::Sender<Vec<Seen>>;

impl Question {
    /// Answers from the core, unless nobody waits any more: a page, and the first of the next one.
    pub(crate) fn answer(self, core: &Sfu<SealedProtocol>, now: Instant, asker: Asker) {
        if asker.is_closed() {
            return;
        }
        // Who hung up meanwhile needs none.
        let _ = asker.send(self.seen(core, now).collect());
    }

    /// The answer of a core that its owner drives, as it is sent.
    pub fn look(self, core: &Sfu<SealedProtocol>, now: Instant) -> Vec<RoomPlayer> {
        self.seen(core, now).map(RoomPlayer::from).collect()
    }

    fn seen(self, core: &Sfu<SealedProtocol>, now: Instant) -> impl Iterator<Item = Seen> {
        let present = core.present(now, self.room, self.after, MAX_ROOM_PLAYERS + 1);
        present.map(Seen::from)
    }
}

impl From<Present<'_, Arc<Profile>>> for Seen {
    fn from(present: Present<'_, Arc<Profile>>) -> Self {
        let entry = present.entry;
        Self {
            session: present.session,
            number: entry.id,
            profile: entry.profile.cloned(),
            muted: entry.muted,
            server_muted: entry.server_muted,
            deafened: entry.deafened,
            speaker: entry.speaker,
            talks: present.talks,
            since_ms: present.since_ms,
        }
    }
}

impl From<Seen> for RoomPlayer {
    fn from(seen: Seen) -> Self {
        let roster_entry = RosterEntry {
            id: seen.number,
            profile: seen.profile.as_ref(),
            muted: seen.muted,
            server_muted: seen.server_muted,
            deafened: seen.deafened,
            speaker: seen.speaker,
        };
        Self {
            participant: entry(&roster_entry),
            session: wire::SessionId(seen.session.0),
            talking: seen.talks,
            since_ms: seen.since_ms,
        }
    }
}
