//! Writing a match down: its body, then a claim on each ticket, then the phase. The last decides;
//! before it, nothing has happened that is not undone by whoever finds it half done.

use data_encoding::BASE32_NOPAD;
use edge::Refusal;
use edge::change::unless_lost;
use edge::directory;
use edge::items::Over;
use edge::ports::{Clock, Entropy, Timer};
use edge::store::{Store, StoreError};
use wire::matching::MatchQuality;
use wire::{MatchId, RegionName, TicketId};

use super::formed::{self, Body, FORM_MS, Party, Phase, Team, body_sort, phase_sort, room_of};
use super::queue::Queue;
use super::scene::Free;
use super::settle;
use super::substitutes;
use super::ticket::{self, Claim, State, StoredTicket, bare};
use crate::matcher::{Match, MatchTeam};
use crate::rules::RuleSet;

/// Makes what the matcher found a match. Its tickets are not free any more, whatever comes of it.
/// Whether it came to be.
pub(super) async fn place(
    host: &(impl Clock + Entropy + Timer),
    store: &impl Store,
    now_ms: u64,
    queue: &Queue,
    rules: &RuleSet,
    found: &Match,
    free: &mut Free,
) -> Result<bool, Refusal> {
    let id = new_match_id(host, &found.region);
    // A pass takes its time, which those who must accept shall not miss.
    let placed_ms = host.now_ms().max(now_ms);
    let backfill_s = rules.backfill_until_s.map(u64::from);
    let body = Body {
        queue: queue.name.clone(),
        mode: rules.mode.clone(),
        version: queue.version,
        region: found.region.clone(),
        at_ms: placed_ms,
        backfill_until_ms: backfill_s.map_or(0, |seconds| placed_ms + seconds * 1000),
        beta: rules.limits_at(0).beta,
        teams: teams(found, free),
        quality: MatchQuality {
            rating_spread: found.quality.rating_spread,
            favourite: found.quality.favourite,
            latency_worst_ms: found.quality.latency_worst_ms,
            language: found.quality.language.clone(),
        },
    };
    let accept_ms = rules
        .acceptance_timeout_s
        .map(|seconds| u64::from(seconds) * 1000);
    let phase = match accept_ms {
        Some(accept_ms) => Phase::Proposed(placed_ms + accept_ms),
        None => Phase::Ready,
    };
    let came_to_be = write_part(store, now_ms, (&id, 0), &body, phase, free).await?;
    if came_to_be && phase == Phase::Ready {
        open_room(host, store, now_ms, &id, &body).await;
    }
    Ok(came_to_be)
}

/// Writes a part of a match and claims its tickets. Whether it came to be.
pub(super) async fn write_part(
    store: &impl Store,
    now_ms: u64,
    (id, part): (&MatchId, u32),
    body: &Body,
    phase: Phase,
    free: &mut Free,
) -> Result<bool, Refusal> {
    let mut tickets = Vec::new();
    for party in body.parties() {
        tickets.extend(free.remove(&party.ticket));
    }
    let sort = body_sort(part);
    let written = formed::keep(store, now_ms, id, &sort, body, Over::NOTHING).await;
    if unless_lost(written)?.is_none() {
        // Another pass gives the match players.
        return Ok(false);
    }
    if body.backfill_until_ms > 0 {
        substitutes::keep(store, now_ms, (id, part), &tickets).await?;
    }
    let until_ms = match phase {
        Phase::Proposed(until_ms) => until_ms,
        _ => body.at_ms,
    };
    let claim = Claim {
        id: id.clone(),
        part,
        until_ms: until_ms + FORM_MS,
    };
    let mut claimed = true;
    for (at, held) in &tickets {
        let ticket = StoredTicket {
            state: State::Claimed(claim.clone()),
            ..held.value.clone()
        };
        let kept = ticket::keep(store, now_ms, at, &ticket, held.over()).await;
        if kept.is_err() {
            // Cancelled in this moment, or a write that may have happened: it is undone below.
            claimed = false;
            break;
        }
    }
    if claimed {
        let sort = phase_sort(part);
        match formed::keep(store, now_ms, id, &sort, &phase, Over::NOTHING).await {
            Ok(_) => return Ok(true),
            // It may have happened; whoever looks will know.
            Err(StoreError::Unavailable(_)) => return Ok(false),
            Err(_) => {}
        }
    }
    let formed = formed::get(store, now_ms, id).await?;
    if formed.phase(part).is_none() {
        settle::abandon(store, now_ms, &body.queue, &formed, part, false).await?;
    } else if let Some(Phase::Abandoned { timed_out }) = formed.phase(part) {
        settle::release(store, now_ms, &body.queue, &formed, part, timed_out).await?;
    }
    Ok(false)
}

/// Gives the match's room its home, so that it is in the match's region whoever joins first. If
/// that fails now, the first join does it.
pub(super) async fn open_room(
    host: &(impl Entropy + Timer),
    store: &impl Store,
    now_ms: u64,
    id: &MatchId,
    body: &Body,
) {
    let room = room_of(id);
    let players: usize = body.parties().map(|party| party.players.len()).sum();
    let players = u32::try_from(players).unwrap_or(u32::MAX);
    let _ = directory::home_for(host, store, now_ms, &room, &body.region, players).await;
}

/// It begins with the region, by which the match and its room are at home there
/// ([`edge::homes`]), unless that is too long.
fn new_match_id(host: &impl Entropy, region: &RegionName) -> MatchId {
    let mut bytes = [0; 10];
    host.fill(&mut bytes);
    let text = BASE32_NOPAD.encode(&bytes).to_ascii_lowercase();
    MatchId::new(format!("{region}.{text}"))
        .or_else(|_| MatchId::new(text))
        .expect("of its alphabet and length")
}

fn teams(found: &Match, free: &Free) -> Vec<Team> {
    let party = |id: &TicketId| {
        let (_, held) = &free[id];
        Party {
            ticket: id.clone(),
            players: bare(&held.value.players),
        }
    };
    let team = |team: &MatchTeam| Team {
        name: team.name.clone(),
        tickets: team.tickets.iter().map(party).collect(),
    };
    found.teams.iter().map(team).collect()
}
