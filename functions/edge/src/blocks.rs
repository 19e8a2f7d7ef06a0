//! Whom players have blocked: safety writes it, and whoever brings players together reads it.
//!
//! | partition | sort | holds |
//! |---|---|---|
//! | `chat-player#P` | `block#Q` | P has blocked Q |
//! | `chat-player#P` | `blocked-by#Q` | Q has blocked P |
//! | `chat-player#P` | `blocked-newest` | whom P has blocked last, for his hellos |

use std::collections::{BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};
use wire::claims::Claims;
use wire::control::ControlCommand;
use wire::limits::MAX_HELLO_BLOCKS;
use wire::problem::ProblemKind;
use wire::{PlayerId, PlayerKey, RoomKey, RoomName};

use crate::Refusal;
use crate::change::{unless_lost, until_done};
use crate::items::{self, Held};
pub use crate::player::player_partition;
use crate::ports::{Clock, Entropy, RelayLink, Timer};
use crate::relays::{self, Delivery, Secrets};
use crate::revocation::{self, Revocation, is_revocation};
use crate::store::{
    Condition, Delete, Direction, Item, Key, MAX_QUERY_ITEMS, Put, Query, Store, StoreError, Write,
};
use crate::stored;

/// Prefix of the sort key of a block; the blocked player's id follows.
pub const BLOCK_PREFIX: &str = "block#";
/// The same of the players who have blocked one. Nothing else of a player sorts between.
pub const BLOCKED_BY_PREFIX: &str = "blocked-by#";
/// Most players whom one player blocks.
pub const MAX_BLOCKS: usize = 500;
/// Sort key of [`Newest`].
const NEWEST_SORT: &str = "blocked-newest";

/// The players whom one has blocked last, the last one at the end: as many as a hello names. Who
/// has blocked more hears on voice those whom he blocked longest ago, in rooms that he joins since.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Newest {
    #[serde(rename = "n", default)]
    players: VecDeque<PlayerId>,
}

stored!(blocked_newest: Newest);

impl Newest {
    fn set(&mut self, other: &PlayerId, blocks: bool) {
        self.players.retain(|known| known != other);
        if blocks {
            self.players.push_back(other.clone());
        }
        while self.players.len() > MAX_HELLO_BLOCKS {
            self.players.pop_front();
        }
    }
}

/// The players whom `player` has blocked.
///
/// # Errors
/// [`StoreError::Unavailable`] or [`StoreError::Unreadable`].
pub async fn blocked_by<S: Store>(
    store: &S,
    now_ms: u64,
    player: &PlayerId,
) -> Result<Vec<PlayerId>, StoreError> {
    let (players, _) = listed(store, now_ms, player, BLOCK_PREFIX).await?;
    Ok(players)
}

/// The players whom a caller has blocked, if his token was not revoked.
///
/// # Errors
/// `token-revoked` or `store-unavailable`.
pub async fn of_caller<S: Store>(
    store: &S,
    now_ms: u64,
    claims: &Claims,
) -> Result<Vec<PlayerId>, Refusal> {
    let (players, revocation) = listed(store, now_ms, &claims.sub, BLOCK_PREFIX).await?;
    revocation.check(claims)?;
    Ok(players)
}

/// The players whom a caller has blocked last, as many as a hello names, if his token was not
/// revoked. Reads two small items, which lie side by side.
///
/// # Errors
/// `token-revoked` or `store-unavailable`.
pub async fn newest<S: Store>(
    store: &S,
    now_ms: u64,
    claims: &Claims,
) -> Result<Vec<PlayerId>, Refusal> {
    let partition = player_partition(&claims.sub);
    let between = (NEWEST_SORT, revocation::AFTER_BLOCKS);
    let found = items::range(store, now_ms, &partition, between, 2).await?;
    Revocation::among(&partition, &found)?.check(claims)?;
    match found.iter().find(|item| item.sort == NEWEST_SORT) {
        Some(item) => Ok(Held::<Newest>::read(&partition, item)?.value.players.into()),
        None => Ok(Vec::new()),
    }
}

/// Has `player` block another, or not any more.
///
/// # Errors
/// `limit-reached` beyond [`MAX_BLOCKS`]; `conflict`; `store-unavailable`.
pub async fn set<H: Entropy + Timer, S: Store>(
    host: &H,
    store: &S,
    now_ms: u64,
    (player, other): (&PlayerId, &PlayerId),
    blocks: bool,
) -> Result<(), Refusal> {
    if blocks && blocked_by(store, now_ms, player).await?.len() >= MAX_BLOCKS {
        let detail = format!("Block at most {MAX_BLOCKS} players.");
        return Err(Refusal::new(ProblemKind::LimitReached, detail));
    }
    let (mine, his) = (player_partition(player), player_partition(other));
    let my_sort = format!("{BLOCK_PREFIX}{other}");
    let his_sort = format!("{BLOCKED_BY_PREFIX}{player}");
    let write = |key| match blocks {
        true => Write::Put(Put {
            key,
            value: b"",
            expires_at_ms: None,
            condition: Condition::Always,
        }),
        false => Write::Delete(Delete { key, version: None }),
    };
    until_done(host, || async {
        let key = Key::new(&mine, NEWEST_SORT);
        let held = items::get::<_, Newest>(store, now_ms, key).await?;
        let mut held: Held<Newest> = held.unwrap_or_default();
        held.value.set(other, blocks);
        let others = [
            write(Key::new(&mine, &my_sort)),
            write(Key::new(&his, &his_sort)),
        ];
        let to = (key, held.over());
        let written = items::put_with(store, now_ms, to, &held.value, None, &others).await;
        Ok(unless_lost(written)?)
    })
    .await
}

/// Has the relay of a room let two players not hear each other, or let them again: as it is written
/// down by now, so that the last of several changes counts.
///
/// # Errors
/// `overloaded` when too much is kept for that relay; `conflict`; `store-unavailable`.
pub async fn enforce<H, S>(
    host: &H,
    store: &S,
    secrets: &Secrets,
    room: &RoomName,
    (player, other): (&PlayerId, &PlayerId),
) -> Result<Delivery, Refusal>
where
    H: Clock + Entropy + RelayLink + Timer,
    S: Store,
{
    let at_ms = host.now_ms();
    let (partition, sort) = (player_partition(player), format!("{BLOCK_PREFIX}{other}"));
    let held = store.get(at_ms, Key::new(&partition, &sort)).await?;
    let (room_key, blocked) = (RoomKey::of(room), held.is_some());
    let command = |key: &dyn Fn(&PlayerId) -> PlayerKey| ControlCommand::Block {
        room: room_key,
        player: key(player),
        other: key(other),
        blocked,
    };
    relays::tell(host, store, secrets, room, (at_ms, &command)).await
}

/// The players whom a caller has blocked or who have blocked him, if his token was not revoked.
///
/// # Errors
/// `token-revoked` or `store-unavailable`.
pub async fn blocked_either_way<S: Store>(
    store: &S,
    now_ms: u64,
    claims: &Claims,
) -> Result<BTreeSet<PlayerId>, Refusal> {
    let (players, revocation) = listed(store, now_ms, &claims.sub, BLOCKED_BY_PREFIX).await?;
    revocation.check(claims)?;
    Ok(players.into_iter().collect())
}

/// The players whom blocks up to those of a prefix name, and what was revoked.
async fn listed<S: Store>(
    store: &S,
    now_ms: u64,
    player: &PlayerId,
    last: &str,
) -> Result<(Vec<PlayerId>, Revocation), StoreError> {
    let (partition, to) = (player_partition(player), format!("{last}~"));
    let query = Query {
        partition: &partition,
        from: Some(revocation::BEFORE_BLOCKS),
        to: Some(&to),
        limit: MAX_QUERY_ITEMS,
        direction: Direction::Forward,
    };
    let found = store.query(now_ms, query).await?;
    let player = |item: &Item| {
        let (_, player) = item.sort.split_once('#').unwrap_or_default();
        items::name(Key::new(&partition, &item.sort), player)
    };
    let blocks = found.iter().filter(|item| !is_revocation(&item.sort));
    let players = blocks.map(player).collect::<Result<_, _>>()?;
    Ok((players, Revocation::among(&partition, &found)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::schedule::{Chance, block_on, interleave};
    use crate::testing::{FaultyStore, MemoryStore, Patience};

    fn id(n: u64) -> PlayerId {
        format!("p{n}").parse().unwrap()
    }

    #[test]
    fn the_newest_are_those_whom_he_blocked_last() {
        let mut newest = Newest::default();
        (0..150).for_each(|n| newest.set(&id(n), true));
        newest.set(&id(60), true);
        newest.set(&id(149), false);
        newest.set(&id(3), false);
        let wanted: Vec<PlayerId> = (50..149).filter(|n| *n != 60).chain([60]).map(id).collect();
        assert_eq!(Vec::from(newest.players), wanted);
    }

    #[test]
    fn who_blocks_much_at_once_has_blocked_all_of_it() {
        for seed in 0..50 {
            let store = FaultyStore::new(MemoryStore::default(), seed, 0);
            let (me, chance) = (id(1_000), Chance::new(seed));
            let players: Vec<(PlayerId, bool)> =
                (0..8).map(|n| (id(n), chance.below(2) == 0)).collect();
            for n in 0..4 {
                let pair = (&me, &id(n));
                block_on(set(&Patience, &store, 1, pair, true)).unwrap();
            }
            let change = |(other, blocks): &(PlayerId, bool)| {
                let (store, me, other, blocks) = (&store, &me, other.clone(), *blocks);
                Box::pin(async move { set(&Patience, store, 1, (me, &other), blocks).await }) as _
            };
            let done: Vec<Result<(), Refusal>> =
                interleave(seed, players.iter().map(change).collect());
            done.into_iter().for_each(Result::unwrap);
            let mut wanted: Vec<PlayerId> = players
                .into_iter()
                .filter(|one| one.1)
                .map(|one| one.0)
                .collect();
            wanted.sort();
            let his = crate::testing::host::claims(me.as_str(), None);
            let mut newest = block_on(newest(&store, 1, &his)).unwrap();
            newest.sort();
            assert_eq!(newest, wanted, "seed {seed}");
            assert_eq!(block_on(blocked_by(&store, 1, &me)).unwrap(), wanted);
        }
    }
}
