//! A pass: the tickets of a shard, matched mode by mode, and written down.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use edge::Refusal;
use edge::http::Response;
use edge::items::Held;
use edge::store::Store;
use wire::matching::TickReply;
use wire::routes::TICK;
use wire::{ModeName, QueueName, TicketId};

use super::Ports;
use super::caller::Caller;
use super::details::{Known, core_ticket, known};
use super::pool::{Lease, MAX_TICKETS, Turn, group, is_settled, looks_again};
use super::queue::Queue;
use super::ticket::{Claim, Member, State, Ticket, TicketRef};
use crate::matcher::{Region, World, form};
use crate::rules::RuleSet;

/// Most matches in doubt that one pass looks at.
const MAX_LOOKS: usize = 32;
/// Longest time after the beginning of its request at which a pass begins to write a match down, in
/// milliseconds: well before any host ends the request.
const PASS_MAX_MS: u64 = 2_500;

/// Most work of one pass for one mode, as the matcher counts it: about a quarter of a second of a
/// core, and two seconds where a function has an eighth of one.
const WORK: u64 = 1_000_000;

/// Tickets that a pass can match, by id.
pub(super) type Free = HashMap<TicketId, (TicketRef, Held<Ticket>)>;

/// What a pass goes by.
pub(super) struct Scene {
    pub(super) free: Free,
    /// Running matches that take players: their tickets in the pool.
    pub(super) open: Vec<(TicketRef, Held<Ticket>)>,
    pub(super) regions: Vec<Region>,
    /// Sort key of the oldest ticket of the first shard of which something may still come.
    oldest: String,
}

impl<H: Ports, S: Store> Caller<'_, H, S> {
    /// Does the pass of a shard if it is due. Matches that it formed, or `None`. Only who has the
    /// turn reads the rules, which are one item of the queue for all of its players.
    pub(super) async fn drive(
        &self,
        queue: &QueueName,
        shard: u32,
        held: Option<Held<Lease>>,
    ) -> Result<Option<u32>, Refusal> {
        match self.take_turn(queue, shard, held).await? {
            Some(turn) => {
                self.has_passed.store(true, Ordering::Relaxed);
                let queue = self.queue(queue).await?;
                Ok(Some(self.go_through(&queue, shard, turn).await?))
            }
            None => Ok(None),
        }
    }

    async fn go_through(&self, queue: &Queue, shard: u32, mut turn: Turn) -> Result<u32, Refusal> {
        let shards = group(queue, shard, turn.lease.passes);
        let (oldest, before_ms) = (turn.lease.oldest.clone(), turn.before_ms);
        let (at, name) = ((shards.as_slice(), oldest.as_str()), &queue.name);
        let mut scene = self.scene(name, at, MAX_TICKETS, before_ms).await?;
        let (tickets, arrived) = (scene.free.len(), arrivals(&scene.free, turn.before_ms));
        let since = |(id, (_, held)): (&TicketId, &(TicketRef, Held<Ticket>))| {
            (id.clone(), held.value.since_ms)
        };
        let before: Vec<(TicketId, u64)> = scene.free.iter().map(since).collect();
        // What fails of it costs the pass neither its other matches nor its notes.
        let filled = self.fill_open(queue, &turn.lease, &mut scene).await;
        let mut formed = filled.unwrap_or(0);
        for mode in modes_in_turn(queue, turn.lease.passes) {
            formed += self.form_mode(queue, mode, &mut scene, &turn).await;
        }
        let gone = before.iter().filter(|(id, _)| !scene.free.contains_key(id));
        let waits: Vec<u32> = gone
            .map(|(_, since_ms)| self.now_ms.saturating_sub(*since_ms) / 1000)
            .map(|wait_s| u32::try_from(wait_s).unwrap_or(u32::MAX))
            .collect();
        turn.lease.oldest = std::mem::take(&mut scene.oldest);
        // What was seen is worth a write only when there is news.
        if formed > 0 || tickets as u64 > 2 * turn.lease.tickets() {
            turn.lease.note(turn.before_ms, tickets, arrived, &waits);
            self.end_turn(name, shard, &turn).await;
        }
        Ok(formed)
    }

    /// Reads tickets of some shards, of the first from a sort key on and `most` in all, and
    /// releases those whose match came to nothing.
    pub(super) async fn scene(
        &self,
        queue: &QueueName,
        (shards, oldest): (&[u32], &str),
        most: usize,
        before_ms: u64,
    ) -> Result<Scene, Refusal> {
        let mut scene = Scene {
            free: Free::new(),
            open: Vec::new(),
            regions: self.regions().await?,
            oldest: String::new(),
        };
        let mut doubtful: Vec<Claim> = Vec::new();
        let own = shards[0];
        for (at, held) in self.pool(queue, shards, oldest, most).await? {
            // They come by age.
            let is_open = at.shard == own && !is_settled(&held.value, before_ms);
            if is_open && scene.oldest.is_empty() {
                scene.oldest = at.sort();
            }
            match &held.value.state {
                State::Waiting => {
                    scene.free.insert(at.id(), (at, held));
                }
                State::Backfill(_) => scene.open.push((at, held)),
                State::Claimed(claim) => {
                    let look = looks_again(claim.until_ms, before_ms, self.now_ms);
                    if look && !doubtful.contains(claim) && doubtful.len() < MAX_LOOKS {
                        doubtful.push(claim.clone());
                    }
                }
                State::Gathering | State::Ended(_) => {}
            }
        }
        for claim in &doubtful {
            // What is released waits for the next pass.
            self.standing(queue, claim).await?;
        }
        Ok(scene)
    }

    async fn form_mode(
        &self,
        queue: &Queue,
        rules: &RuleSet,
        scene: &mut Scene,
        turn: &Turn,
    ) -> u32 {
        let known = known(players(&scene.free));
        let tickets: Vec<_> = wanting(&scene.free, &rules.mode, &known);
        if tickets.is_empty() || self.is_late() {
            return 0;
        }
        let world = world(&scene.regions, &turn.lease);
        let outcome = form(&tickets, rules, &world, self.now_ms, turn.lease.passes);
        let mut formed = 0;
        for found in &outcome.matches {
            if self.is_late() {
                break;
            }
            // One that cannot be written down is not in the way of the others.
            let placed = self.place(queue, rules, found, &mut scene.free).await;
            formed += u32::from(placed.unwrap_or(false));
        }
        formed
    }

    /// Whether the request has taken as long as a pass may: what it has not written down by then,
    /// the next one will find.
    fn is_late(&self) -> bool {
        self.host.now_ms() >= self.now_ms + PASS_MAX_MS
    }
}

/// The tickets that want a mode, as the matcher takes them.
pub(super) fn wanting(free: &Free, mode: &ModeName, known: &Known) -> Vec<crate::Ticket> {
    free.values()
        .filter(|(_, held)| held.value.modes.contains(mode))
        .map(|(at, held)| core_ticket(at, &held.value, known))
        .collect()
}

/// Everybody who waits.
pub(super) fn players(free: &Free) -> impl Iterator<Item = &Member> {
    free.values().flat_map(|(_, held)| &held.value.players)
}

pub(super) fn world(regions: &[Region], lease: &Lease) -> World {
    World {
        regions: regions.to_vec(),
        arrivals_per_min: lease.per_min,
        recent_waits_s: lease.waits_s.iter().copied().map(f64::from).collect(),
        work: WORK,
    }
}

fn arrivals(free: &Free, before_ms: u64) -> usize {
    let new = |held: &Held<Ticket>| held.value.since_ms > before_ms;
    let arrived = free.values().filter(|(_, held)| new(held));
    arrived.map(|(_, held)| held.value.players.len()).sum()
}

/// The modes, each first in turn.
fn modes_in_turn(queue: &Queue, pass: u64) -> impl Iterator<Item = &RuleSet> {
    let first = (pass % queue.modes.len() as u64) as usize;
    queue.modes[first..].iter().chain(&queue.modes[..first])
}

/// `POST /v1/match/queues/{queue}/tick`.
pub(super) async fn tick<H: Ports, S: Store>(
    caller: &Caller<'_, H, S>,
) -> Result<Response, Refusal> {
    let queue = caller.queue_of_path().await?;
    let mut reply = TickReply::default();
    for shard in 0..queue.shards {
        let held = caller.lease(&queue.name, shard).await?;
        if let Some(turn) = caller.take_turn(&queue.name, shard, held).await? {
            reply.passes += 1;
            reply.matches += caller.go_through(&queue, shard, turn).await?;
        }
    }
    Ok(Response::json(TICK.status, &reply))
}
