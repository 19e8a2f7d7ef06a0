//! A ticket: what became of it, and why it waits, worked out when somebody asks.

use edge::Refusal;
use edge::http::{Call, Response};
use edge::store::Store;
use wire::matching::{CandidatesLeft, Explanation, ModeExplanation};
use wire::routes::{EXPLAIN, TICKET_STATE};
use wire::{ModeName, TicketId};

use crate::matcher::{Outcome, Waiting, form};
use crate::shell::details::known;
use crate::shell::lane::{self, group};
use crate::shell::look::look;
use crate::shell::ports::Ports;
use crate::shell::queue;
use crate::shell::scene::{self, players, wanting, world};
use crate::shell::ticket::{self, State, TicketRef};

/// Most tickets that an explanation goes by, the oldest of the ticket's own lane first: any player
/// may ask for one, and a large pool is hundreds of times as much as a poll reads.
const MAX_LOOKED_AT: usize = 64;

/// `GET /v1/match/queues/{queue}/tickets/{ticket}`.
pub(super) async fn show(
    host: &impl Ports,
    store: &impl Store,
    call: &Call<'_>,
) -> Result<Response, Refusal> {
    let (caller, at) = (call.caller()?, TicketRef::of_path(call)?);
    let wait_ms = call.request.wait_ms()?;
    let look = look(host, store, caller, &at, None).await?;
    Ok(look.response_until(TICKET_STATE.status, caller, wait_ms))
}

/// `GET /v1/match/queues/{queue}/tickets/{ticket}/explanation`.
pub(super) async fn explain(store: &impl Store, call: &Call<'_>) -> Result<Response, Refusal> {
    let caller = call.caller()?;
    let now_ms = caller.now_ms;
    let at = TicketRef::of_path(call)?;
    let queue = queue::get(store, now_ms, &at.queue).await?;
    let held = ticket::of_party(store, caller, &at).await?;
    let mut explanation = Explanation { modes: Vec::new() };
    if held.value.state == State::Waiting {
        let lease = lane::lease(store, now_ms, &at.queue, at.lane).await?;
        let lease = lease.map(|held| held.value).unwrap_or_default();
        let lanes = group(&queue, at.lane, u64::from(queue.lanes));
        let of = (lanes.as_slice(), lease.oldest.as_str());
        let mut scene = scene::read(store, now_ms, &at.queue, of, MAX_LOOKED_AT, now_ms).await?;
        // It may be younger than those.
        scene.free.insert(at.id(), (at.clone(), held.clone()));
        let known = known(players(&scene.free));
        let modes = queue.modes.iter();
        for rules in modes.filter(|rules| held.value.modes.contains(&rules.mode)) {
            let tickets = wanting(&scene.free, &rules.mode, &known);
            let world = world(&scene.regions, &lease);
            let outcome = form(&tickets, rules, &world, now_ms, lease.passes);
            let of_mode = of_mode(&rules.mode, &at.id(), outcome);
            explanation.modes.push(of_mode);
        }
    }
    Ok(Response::json(EXPLAIN.status, &explanation))
}

fn of_mode(mode: &ModeName, ticket: &TicketId, outcome: Outcome) -> ModeExplanation {
    let mut matched = outcome.matches.iter().flat_map(|found| &found.teams);
    let is_matched = matched.any(|team| team.tickets.contains(ticket));
    let waiting = outcome
        .waiting
        .into_iter()
        .find(|waiting| waiting.ticket == *ticket);
    let mut explained = ModeExplanation {
        mode: mode.clone(),
        matchable: waiting.is_none() && is_matched,
        waited_s: 0,
        fault: None,
        players_missing: 0,
        blocked_by: Vec::new(),
        candidates: Vec::new(),
        next_expansion_s: None,
        next_expansion_paths: Vec::new(),
        estimate_s: None,
    };
    if let Some(waiting) = waiting {
        fill(&mut explained, waiting);
    }
    explained
}

fn fill(explained: &mut ModeExplanation, waiting: Waiting) {
    explained.waited_s = waiting.waited_s;
    explained.fault = waiting.fault.map(|fault| fault.to_string());
    explained.players_missing = waiting.players_missing;
    explained.blocked_by = waiting.blocked_by;
    let left = waiting.candidates.into_iter().map(|left| CandidatesLeft {
        rule: left.rule,
        tickets: left.tickets,
    });
    explained.candidates = left.collect();
    explained.next_expansion_s = waiting.next_expansion.as_ref().map(|next| next.in_s);
    explained.next_expansion_paths = waiting.next_expansion.map_or(Vec::new(), |next| next.paths);
    explained.estimate_s = waiting.estimate_s;
}
