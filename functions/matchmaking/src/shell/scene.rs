//! What a pass goes by: the tickets of some lanes, and the regions that take players.

use std::collections::HashMap;

use edge::Refusal;
use edge::items::Held;
use edge::store::Store;
use wire::{ModeName, PlayerId, QueueName, TicketId};

use super::details::Known;
use super::lane::{self, Lease, is_settled, looks_again};
use super::regions;
use super::settle;
use super::ticket::{Claim, State, StoredTicket, TicketRef, core_ticket};
use crate::QueueTicket;
use crate::matcher::{Region, World};

/// Most matches in doubt that one pass looks at.
const MAX_LOOKS: usize = 32;

/// Most work of one pass for one mode, as the matcher counts it: about a quarter of a second of a
/// core, and two seconds where a function has an eighth of one.
const WORK: u64 = 1_000_000;

/// Tickets that a pass can match, by id.
pub(super) type Free = HashMap<TicketId, (TicketRef, Held<StoredTicket>)>;

pub(super) struct Scene {
    pub(super) free: Free,
    /// Running matches that take players: their tickets in the pool.
    pub(super) open: Vec<(TicketRef, Held<StoredTicket>)>,
    pub(super) regions: Vec<Region>,
    /// Sort key of the oldest ticket of the first lane of which something may still come.
    pub(super) oldest: String,
}

/// Reads tickets of some lanes, of the first from a sort key on and `most` in all, and releases
/// those whose match came to nothing.
pub(super) async fn read(
    store: &impl Store,
    now_ms: u64,
    queue: &QueueName,
    (lanes, oldest): (&[u32], &str),
    most: usize,
    before_ms: u64,
) -> Result<Scene, Refusal> {
    let mut scene = Scene {
        free: Free::new(),
        open: Vec::new(),
        regions: regions::open(store, now_ms).await?,
        oldest: String::new(),
    };
    let mut doubtful: Vec<Claim> = Vec::new();
    let own = lanes[0];
    for (at, held) in lane::tickets(store, now_ms, queue, (lanes, oldest), most).await? {
        // They come by age.
        let is_open = at.lane == own && !is_settled(&held.value, before_ms);
        if is_open && scene.oldest.is_empty() {
            scene.oldest = at.sort();
        }
        match &held.value.state {
            State::Waiting => {
                scene.free.insert(at.id(), (at, held));
            }
            State::Backfill(_) => scene.open.push((at, held)),
            State::Claimed(claim) => {
                let look = looks_again(claim.until_ms, before_ms, now_ms);
                if look && !doubtful.contains(claim) && doubtful.len() < MAX_LOOKS {
                    doubtful.push(claim.clone());
                }
            }
            State::Gathering | State::Ended(_) => {}
        }
    }
    for claim in &doubtful {
        // What is released waits for the next pass.
        settle::standing(store, now_ms, queue, claim).await?;
    }
    Ok(scene)
}

/// The tickets that want a mode, as the matcher takes them.
pub(super) fn wanting(free: &Free, mode: &ModeName, known: &Known) -> Vec<QueueTicket> {
    free.values()
        .filter(|(_, held)| held.value.modes.contains(mode))
        .map(|(at, held)| core_ticket(at, &held.value, known))
        .collect()
}

/// Everybody who waits.
pub(super) fn players(free: &Free) -> impl Iterator<Item = &PlayerId> {
    let members = free.values().flat_map(|(_, held)| &held.value.players);
    members.map(|member| &member.id)
}

pub(super) fn world(regions: &[Region], lease: &Lease) -> World {
    World {
        regions: regions.to_vec(),
        arrivals_per_min: lease.per_min,
        recent_waits_s: lease.waits_s.iter().copied().map(f64::from).collect(),
        work: WORK,
    }
}
