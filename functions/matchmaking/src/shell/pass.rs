//! A pass: the tickets of a lane, matched mode by mode, and written down.

use edge::Refusal;
use edge::items::Held;
use edge::ports::{Clock, Entropy, Timer};
use edge::store::Store;
use wire::{QueueName, TicketId};

use super::backfill;
use super::details::known;
use super::lane::{self, Lease, Turn, group};
use super::place::place;
use super::queue::{self, Queue};
use super::scene::{self, Free, Scene, players, wanting, world};
use super::ticket::{StoredTicket, TicketRef};
use crate::matcher::form;
use crate::rules::RuleSet;

/// Most tickets that one pass goes through; the oldest come first.
const MAX_TICKETS: usize = 20_000;
/// Longest time after the beginning of its request at which a pass begins to write a match down, in
/// milliseconds: well before any host ends the request.
const PASS_MAX_MS: u64 = 2_500;

/// Does the pass of a lane if it is due. Matches that it formed, or `None`. Only who has the turn
/// reads the rules, which are one item of the queue for all of its players. A pass that fails is
/// somebody else's next, and has formed none.
pub(super) async fn drive(
    host: &(impl Clock + Entropy + Timer),
    store: &impl Store,
    now_ms: u64,
    queue: &QueueName,
    lane: u32,
    held: Option<Held<Lease>>,
) -> Option<u32> {
    let turn = lane::take_turn(store, now_ms, queue, lane, held).await;
    let turn = turn.unwrap_or(None)?;
    let Ok(queue) = queue::get(store, now_ms, queue).await else {
        return Some(0);
    };
    let formed = go_through(host, store, now_ms, &queue, lane, turn).await;
    Some(formed.unwrap_or(0))
}

/// Goes through a lane. Matches that came of it.
pub(super) async fn go_through(
    host: &(impl Clock + Entropy + Timer),
    store: &impl Store,
    now_ms: u64,
    queue: &Queue,
    lane: u32,
    mut turn: Turn,
) -> Result<u32, Refusal> {
    let lanes = group(queue, lane, turn.lease.passes);
    let (oldest, before_ms) = (turn.lease.oldest.clone(), turn.before_ms);
    let (at, name) = ((lanes.as_slice(), oldest.as_str()), &queue.name);
    let mut scene = scene::read(store, now_ms, name, at, MAX_TICKETS, before_ms).await?;
    let (tickets, arrived) = (scene.free.len(), arrivals(&scene.free, before_ms));
    let since = |(id, (_, held)): (&TicketId, &(TicketRef, Held<StoredTicket>))| {
        (id.clone(), held.value.since_ms)
    };
    let before: Vec<(TicketId, u64)> = scene.free.iter().map(since).collect();
    // What fails of it costs the pass neither its other matches nor its notes.
    let filled = backfill::fill_open(store, now_ms, queue, &turn.lease, &mut scene).await;
    let mut formed = filled.unwrap_or(0);
    for mode in modes_in_turn(queue, turn.lease.passes) {
        formed += form_mode(host, store, now_ms, queue, mode, &mut scene, &turn).await;
    }
    let gone = before.iter().filter(|(id, _)| !scene.free.contains_key(id));
    let waits: Vec<u32> = gone
        .map(|(_, since_ms)| now_ms.saturating_sub(*since_ms) / 1000)
        .map(|wait_s| u32::try_from(wait_s).unwrap_or(u32::MAX))
        .collect();
    turn.lease.oldest = std::mem::take(&mut scene.oldest);
    // What was seen is worth a write only when there is news.
    if formed > 0 || tickets as u64 > 2 * turn.lease.tickets() {
        turn.lease.note(before_ms, tickets, arrived, &waits);
        lane::end_turn(store, now_ms, name, lane, &turn).await;
    }
    Ok(formed)
}

async fn form_mode(
    host: &(impl Clock + Entropy + Timer),
    store: &impl Store,
    now_ms: u64,
    queue: &Queue,
    rules: &RuleSet,
    scene: &mut Scene,
    turn: &Turn,
) -> u32 {
    // What the request has not written down by then, the next one will find.
    let is_late = || host.now_ms() >= now_ms + PASS_MAX_MS;
    let known = known(players(&scene.free));
    let tickets = wanting(&scene.free, &rules.mode, &known);
    if tickets.is_empty() || is_late() {
        return 0;
    }
    let world = world(&scene.regions, &turn.lease);
    let outcome = form(&tickets, rules, &world, now_ms, turn.lease.passes);
    let mut formed = 0;
    for found in &outcome.matches {
        if is_late() {
            break;
        }
        // One that cannot be written down is not in the way of the others.
        let placed = place(host, store, now_ms, queue, rules, found, &mut scene.free).await;
        formed += u32::from(placed.unwrap_or(false));
    }
    formed
}

fn arrivals(free: &Free, before_ms: u64) -> usize {
    let new = |held: &Held<StoredTicket>| held.value.since_ms > before_ms;
    let arrived = free.values().filter(|(_, held)| new(held));
    arrived.map(|(_, held)| held.value.players.len()).sum()
}

/// The modes, each first in turn.
fn modes_in_turn(queue: &Queue, pass: u64) -> impl Iterator<Item = &RuleSet> {
    let first = (pass % queue.modes.len() as u64) as usize;
    queue.modes[first..].iter().chain(&queue.modes[..first])
}
