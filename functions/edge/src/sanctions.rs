//! What holds against players in a room: who is silenced and who is kept out, and until when. The
//! truth is here; a relay is told as well, so that it holds at once, and learns it again from the
//! ticket and the hello of each join. It is kept beside the room's home, so that a join reads both
//! in one query.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use wire::control::ControlCommand;
use wire::problem::ProblemKind;
use wire::{PlayerId, PlayerKey, RoomKey, RoomName};

use crate::Refusal;
use crate::change::{unless_lost, until_done};
use crate::items::{self, Held};
use crate::ports::{Clock, Entropy, RelayLink, Timer};
use crate::relays::{Delivery, Secrets};
use crate::store::{Key, Store, StoreError};
use crate::{directory, relays, stored};

/// Sort key beside `home`.
pub const SORT: &str = "sanctions";
/// Most players silenced in one room, and most kept out, at a time: a join reads them all.
pub const MAX_SANCTIONS: usize = 200;

/// Sanctions of a room: until when, in Unix milliseconds, by player.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sanctions {
    /// Nobody hears them.
    #[serde(default, rename = "m", skip_serializing_if = "BTreeMap::is_empty")]
    muted: BTreeMap<PlayerId, u64>,
    /// They may not join.
    #[serde(default, rename = "b", skip_serializing_if = "BTreeMap::is_empty")]
    banned: BTreeMap<PlayerId, u64>,
}

stored!(sanctions: Sanctions);

/// A kind of sanction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sanction {
    /// Nobody hears the player.
    Mute,
    /// The player may not join.
    Ban,
}

impl Sanctions {
    /// Until when it holds against `player`; none where it does not at `now_ms`.
    pub fn until_ms(&self, now_ms: u64, sanction: Sanction, player: &PlayerId) -> Option<u64> {
        let until_ms = self.of(sanction).get(player).copied();
        until_ms.filter(|until_ms| *until_ms > now_ms)
    }

    fn of(&self, sanction: Sanction) -> &BTreeMap<PlayerId, u64> {
        match sanction {
            Sanction::Mute => &self.muted,
            Sanction::Ban => &self.banned,
        }
    }

    fn of_mut(&mut self, sanction: Sanction) -> &mut BTreeMap<PlayerId, u64> {
        match sanction {
            Sanction::Mute => &mut self.muted,
            Sanction::Ban => &mut self.banned,
        }
    }

    /// Has it hold against `player` until then, or not any more. Those whose time is over are
    /// forgotten.
    fn set(
        &mut self,
        now_ms: u64,
        (sanction, player): (Sanction, &PlayerId),
        until_ms: Option<u64>,
    ) -> Result<(), Refusal> {
        for all in [&mut self.muted, &mut self.banned] {
            all.retain(|_, until_ms| *until_ms > now_ms);
        }
        let all = self.of_mut(sanction);
        match until_ms {
            Some(until_ms) => all.insert(player.clone(), until_ms),
            None => all.remove(player),
        };
        if all.len() > MAX_SANCTIONS {
            let detail = format!(
                "At most {MAX_SANCTIONS} players of a room can be sanctioned at a time: end \
                 another's first, or give the player no token."
            );
            return Err(Refusal::new(ProblemKind::LimitReached, detail));
        }
        Ok(())
    }

    fn last_ms(&self) -> Option<u64> {
        self.muted
            .values()
            .chain(self.banned.values())
            .copied()
            .max()
    }
}

/// Has a sanction hold against a player of a room until then, in Unix milliseconds, or not any
/// more.
///
/// # Errors
/// `limit-reached` beyond [`MAX_SANCTIONS`]; `conflict`; `store-unavailable`.
pub async fn sanction<H: Entropy + Timer, S: Store>(
    host: &H,
    store: &S,
    now_ms: u64,
    room: &RoomName,
    of: (Sanction, &PlayerId),
    until_ms: Option<u64>,
) -> Result<(), Refusal> {
    let partition = format!("home#{room}");
    let changed = until_done(host, || async {
        let key = Key::new(&partition, SORT);
        let held: Held<Sanctions> = items::get(store, now_ms, key).await?.unwrap_or_default();
        let mut new = held.value.clone();
        new.set(now_ms, of, until_ms)?;
        if new == held.value {
            return Ok(Some(()));
        }
        let expires_at_ms = new.last_ms().unwrap_or(now_ms);
        let put = items::put(store, now_ms, key, &new, Some(expires_at_ms), held.over()).await;
        Ok(unless_lost(put)?.map(drop))
    });
    changed.await
}

/// What holds against players of a room.
///
/// # Errors
/// [`StoreError::Unavailable`] or [`StoreError::Unreadable`].
pub async fn of<S: Store>(
    store: &S,
    now_ms: u64,
    room: &RoomName,
) -> Result<Sanctions, StoreError> {
    let partition = format!("home#{room}");
    let held = items::get(store, now_ms, Key::new(&partition, SORT)).await?;
    Ok(held.map_or_else(Sanctions::default, |held: Held<_>| held.value))
}

/// Has the room's relay enforce what is written down of a sanction against a player: whatever that
/// is by now, so that the last of several who changed it at once tells the truth. A ban that holds
/// removes him; one that does not changes nothing for a relay.
///
/// # Errors
/// `overloaded` when too much is kept for that relay; `conflict`; `store-unavailable`.
pub async fn enforce<H, S>(
    host: &H,
    store: &S,
    secrets: &Secrets,
    room: &RoomName,
    (sanction, player): (Sanction, &PlayerId),
) -> Result<Delivery, Refusal>
where
    H: Clock + Entropy + RelayLink + Timer,
    S: Store,
{
    // The time first: a command of a later time was read later, and counts.
    let at_ms = host.now_ms();
    let (home, held) = directory::with_sanctions(store, at_ms, room).await?;
    let until_ms = held.until_ms(at_ms, sanction, player);
    if (sanction, until_ms) == (Sanction::Ban, None) {
        return Ok(Delivery::Taken);
    }
    let room = RoomKey::of(room);
    let command = |key: &dyn Fn(&PlayerId) -> PlayerKey| match sanction {
        Sanction::Mute => ControlCommand::Mute {
            room,
            player: key(player),
            until_ms,
        },
        Sanction::Ban => ControlCommand::Kick {
            room,
            player: key(player),
        },
    };
    match home {
        Some(home) => relays::deliver(host, store, secrets, &home.value, (at_ms, &command)).await,
        None => Ok(Delivery::Unknown),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::schedule::block_on;
    use crate::testing::{MemoryStore, Patience};

    const ANN: &str = "ann";

    fn id(name: &str) -> PlayerId {
        name.parse().unwrap()
    }

    #[test]
    fn a_sanction_holds_until_its_time_and_other_ones_are_kept() {
        let (store, room) = (MemoryStore::default(), "lobby".parse().unwrap());
        let set = |now_ms, kind, player: &str, until_ms| {
            let player = id(player);
            let of = (kind, &player);
            block_on(sanction(&Patience, &store, now_ms, &room, of, until_ms)).unwrap();
        };
        set(10, Sanction::Mute, ANN, Some(100));
        set(10, Sanction::Ban, "bob", Some(50));
        let now = |now_ms| block_on(of(&store, now_ms, &room)).unwrap();
        assert_eq!(now(20).until_ms(20, Sanction::Mute, &id(ANN)), Some(100));
        assert_eq!(now(20).until_ms(20, Sanction::Ban, &id(ANN)), None);
        assert_eq!(
            now(20).until_ms(50, Sanction::Ban, &id("bob")),
            None,
            "it is over"
        );
        set(60, Sanction::Mute, "cyd", Some(70));
        assert_eq!(now(61).banned.len(), 0, "what is over is forgotten");
        set(62, Sanction::Mute, ANN, None);
        assert_eq!(now(63).until_ms(63, Sanction::Mute, &id(ANN)), None);
        assert_eq!(now(63).until_ms(63, Sanction::Mute, &id("cyd")), Some(70));
        assert_eq!(now(71), Sanctions::default(), "the store forgets it too");
    }

    #[test]
    fn there_are_only_so_many_at_a_time() {
        let mut all = Sanctions::default();
        for n in 0..MAX_SANCTIONS {
            let player = id(&format!("p{n}"));
            all.set(1, (Sanction::Ban, &player), Some(9)).unwrap();
        }
        let one_more = all.clone().set(1, (Sanction::Ban, &id(ANN)), Some(9));
        assert_eq!(one_more.unwrap_err().kind, ProblemKind::LimitReached);
        all.set(1, (Sanction::Mute, &id(ANN)), Some(9)).unwrap();
        all.set(9, (Sanction::Ban, &id(ANN)), Some(10)).unwrap();
        assert_eq!(all.banned.len(), 1, "the others' time is over");
    }
}
