//! What is known of the players of a match that takes others in their place. Only that looks at it,
//! so it has a partition of its own: a match is read with every request about it, and what is known
//! of 200 players is more than one item holds.

use std::collections::HashMap;

use edge::items::{self, Held, Over};
use edge::store::{Key, Store, StoreError};
use serde::{Deserialize, Serialize};
use wire::{MatchId, PlayerId};

use super::details::Details;
use super::formed::MATCH_TTL_MS;
use super::ticket::{Member, StoredTicket, TicketRef};

/// Players of one item: at most about 10 kB is known of each, and an item may have 256 kB.
const PLAYERS_PER_ITEM: usize = 20;
/// More than the parts of a match can have.
const MAX_ITEMS: usize = 1_000;

/// What is known of players.
pub(super) type DetailsOfMatch = HashMap<PlayerId, Details>;

/// Some of the players of a part, with what is known of them.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Known(Vec<Member>);

edge::stored!(match_details: Known);

fn partition(id: &MatchId) -> String {
    format!("match-details#{id}")
}

/// Keeps what is known of the players of a part.
pub(super) async fn keep(
    store: &impl Store,
    now_ms: u64,
    (id, part): (&MatchId, u32),
    tickets: &[(TicketRef, Held<StoredTicket>)],
) -> Result<(), StoreError> {
    let players = tickets.iter().flat_map(|(_, held)| &held.value.players);
    let all: Vec<Member> = players.cloned().collect();
    let partition = partition(id);
    for (number, players) in all.chunks(PLAYERS_PER_ITEM).enumerate() {
        let sort = format!("{part:02}.{number:02}");
        let (key, expires) = (Key::new(&partition, &sort), Some(now_ms + MATCH_TTL_MS));
        let known = Known(players.to_vec());
        items::put(store, now_ms, key, &known, expires, Over::ANYTHING).await?;
    }
    Ok(())
}

/// What is known of the players of all parts.
pub(super) async fn get(
    store: &impl Store,
    now_ms: u64,
    id: &MatchId,
) -> Result<DetailsOfMatch, StoreError> {
    let mut found = DetailsOfMatch::new();
    let partition = partition(id);
    let all = ("0", "~");
    for item in items::range(store, now_ms, &partition, all, MAX_ITEMS).await? {
        let Known(players) = Held::read(&partition, &item)?.value;
        let pairs = players.into_iter();
        found.extend(pairs.filter_map(|member| Some((member.id, member.details?))));
    }
    Ok(found)
}
