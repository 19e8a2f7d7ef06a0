//! Players for running matches: a match that wants some has a ticket of its own in the pool.

use std::collections::BTreeMap;

use edge::Refusal;
use edge::items::Over;
use edge::ports::{Entropy, Timer};
use edge::store::Store;
use wire::matching::TicketEnd;
use wire::{MatchId, PlayerId};

use super::details::{Known, core_player, known};
use super::formed::{self, Body, FORM_MS, Formed, Party, Phase, Team};
use super::lane::{self, Lease};
use super::place::write_part;
use super::queue::Queue;
use super::scene::{Scene, players, wanting, world};
use super::settle;
use super::substitutes::{self, DetailsOfMatch};
use super::ticket::{self, Member, Open, State, StoredTicket, TicketRef, bare};
use crate::matcher::{Running, Substitute, backfill};
use crate::rules::RuleSet;

/// Most parts of one match: two digits name them.
const MAX_PARTS: u32 = 99;

/// Puts the ticket of a match into the pool, if it takes anybody.
pub(super) async fn open(
    host: &(impl Entropy + Timer),
    store: &impl Store,
    now_ms: u64,
    queue: &Queue,
    formed: &Formed,
    wanted: &BTreeMap<String, u32>,
) -> Result<(), Refusal> {
    if wanted.values().all(|players| *players == 0) {
        return Ok(());
    }
    let body = formed.first()?;
    let ticket = StoredTicket {
        players: Vec::new(),
        modes: vec![body.mode.clone()],
        since_ms: now_ms,
        state: State::Backfill(Open {
            id: formed.id.clone(),
            until_ms: body.backfill_until_ms,
        }),
    };
    let at = ticket_of(queue, &formed.id, body);
    ticket::keep(store, now_ms, &at, &ticket, Over::ANYTHING).await?;
    lane::reveal_for_sure(host, store, now_ms, &at).await
}

/// Takes the ticket of a match out of the pool.
pub(super) async fn close(
    store: &impl Store,
    now_ms: u64,
    queue: &Queue,
    formed: &Formed,
) -> Result<(), Refusal> {
    let at = ticket_of(queue, &formed.id, formed.first()?);
    let tombstone = StoredTicket::tombstone(TicketEnd::Cancelled);
    ticket::keep(store, now_ms, &at, &tombstone, Over::ANYTHING).await?;
    Ok(())
}

/// The ticket of a match: always the same one.
fn ticket_of(queue: &Queue, id: &MatchId, body: &Body) -> TicketRef {
    let player = PlayerId::new(id.as_str()).expect("a narrower alphabet");
    let key = "backfill".parse().expect("of its alphabet");
    TicketRef::new(&queue.name, 1, body.at_ms, &player, &key)
}

/// Players whom each team still takes.
pub(super) fn wanted(formed: &Formed, rules: &RuleSet) -> BTreeMap<String, u32> {
    let max = |name: &str| {
        let mut teams = rules.limits_at(0).teams.iter();
        teams
            .find(|team| team.name == name)
            .map_or(0, |team| team.max)
    };
    let teams = formed.teams().into_iter();
    let free = |(name, members): (String, Vec<_>)| {
        let free = max(&name).saturating_sub(u32::try_from(members.len()).unwrap_or(u32::MAX));
        (name, free)
    };
    teams.map(free).collect()
}

/// Gives waiting tickets to the running matches that want players. How many matches got some.
pub(super) async fn fill_open(
    store: &impl Store,
    now_ms: u64,
    queue: &Queue,
    lease: &Lease,
    scene: &mut Scene,
) -> Result<u32, Refusal> {
    let mut filled = 0;
    for (at, held) in std::mem::take(&mut scene.open) {
        let State::Backfill(open) = &held.value.state else {
            continue;
        };
        let formed = formed::get(store, now_ms, &open.id).await?;
        if is_being_filled(store, now_ms, queue, &formed).await? {
            continue;
        }
        let rules = formed.first().ok().and_then(|body| queue.mode(&body.mode));
        let rules = rules.filter(|rules| {
            formed.is_running() && wanted(&formed, rules).values().any(|free| *free > 0)
        });
        let Some(rules) = rules else {
            let tombstone = StoredTicket::tombstone(TicketEnd::Cancelled);
            // Changed means asked for anew; the next pass sees it.
            let _ = ticket::keep(store, now_ms, &at, &tombstone, held.over()).await;
            continue;
        };
        let open = (&formed, held.value.since_ms);
        filled += u32::from(fill_one(store, now_ms, open, rules, lease, scene).await?);
    }
    Ok(filled)
}

/// Whether somebody is giving it players now: their places are not free then. What was begun and
/// left undone is abandoned, and the places are free for the next pass.
async fn is_being_filled(
    store: &impl Store,
    now_ms: u64,
    queue: &Queue,
    formed: &Formed,
) -> Result<bool, Refusal> {
    let mut any = false;
    for (part, body) in formed.undecided() {
        any = true;
        if body.at_ms + FORM_MS <= now_ms {
            settle::abandon(store, now_ms, &queue.name, formed, part, false).await?;
        }
    }
    Ok(any)
}

async fn fill_one(
    store: &impl Store,
    now_ms: u64,
    (formed, since_ms): (&Formed, u64),
    rules: &RuleSet,
    lease: &Lease,
    scene: &mut Scene,
) -> Result<bool, Refusal> {
    let first = formed.first()?;
    let playing = formed.bodies.values().flat_map(Body::parties);
    let playing = playing.flat_map(|party| &party.players);
    let playing = playing.map(|member| &member.id);
    let known = known(players(&scene.free).chain(playing));
    let mut tickets = wanting(&scene.free, &rules.mode, &known);
    // Whoever has left does not come back to this match.
    let has_left = |player: &crate::ticket::Player| formed.has_left(&player.id);
    tickets.retain(|ticket| !ticket.players.iter().any(has_left));
    let details = substitutes::get(store, now_ms, &formed.id).await?;
    let Some(running) = running(formed, first, since_ms, (&details, &known)) else {
        return Ok(false);
    };
    let world = world(&scene.regions, lease);
    let found = backfill(&tickets, rules, &world, &running, now_ms, lease.passes);
    let part = formed.bodies.keys().max().map_or(1, |last| last + 1);
    if found.is_empty() || part > MAX_PARTS {
        return Ok(false);
    }
    let body = Body {
        at_ms: now_ms,
        teams: newcomers(first, &found, scene),
        ..first.clone()
    };
    let of = (&formed.id, part);
    write_part(store, now_ms, of, &body, Phase::Ready, &mut scene.free).await
}

/// The match as the matcher takes it; none if too little is known of its players.
fn running(
    formed: &Formed,
    first: &Body,
    since_ms: u64,
    (details, known): (&DetailsOfMatch, &Known),
) -> Option<Running> {
    let player = |member: &&Member| {
        let details = details.get(&member.id)?;
        Some(core_player(&member.id, details, known))
    };
    let teams = formed.teams();
    let teams = teams
        .iter()
        .map(|(_, members)| members.iter().map(player).collect());
    Some(Running {
        region: first.region.clone(),
        teams: teams.collect::<Option<_>>()?,
        since_ms,
    })
}

fn newcomers(first: &Body, found: &[Substitute], scene: &Scene) -> Vec<Team> {
    let team = |(at, team): (usize, &Team)| Team {
        name: team.name.clone(),
        tickets: found
            .iter()
            .filter(|substitute| substitute.team == at)
            .map(|substitute| Party {
                ticket: substitute.ticket.clone(),
                players: bare(&scene.free[&substitute.ticket].1.value.players),
            })
            .collect(),
    };
    first.teams.iter().enumerate().map(team).collect()
}
