//! Why a ticket waits, worked out when somebody asks.

use edge::Refusal;
use edge::http::Response;
use edge::store::Store;
use wire::matching::{CandidatesLeft, Explanation, ModeExplanation};
use wire::routes::EXPLAIN;
use wire::{ModeName, TicketId};

use super::Ports;
use super::caller::Caller;
use super::details::known;
use super::pass::{players, wanting, world};
use super::pool::group;
use super::ticket::State;
use crate::matcher::{Outcome, Waiting, form};

/// Most tickets that an explanation goes by, the oldest of the ticket's own shard first: any player
/// may ask for one, and a large pool is hundreds of times as much as a poll reads.
const MAX_LOOKED_AT: usize = 2_000;

/// `GET /v1/match/queues/{queue}/tickets/{ticket}/explanation`.
pub(super) async fn explain<H: Ports, S: Store>(
    caller: &Caller<'_, H, S>,
) -> Result<Response, Refusal> {
    let at = caller.ticket_of_path()?;
    let queue = caller.queue(&at.queue).await?;
    let held = caller.ticket_of_party(&at).await?;
    let mut explanation = Explanation { modes: Vec::new() };
    if held.value.state == State::Waiting {
        let lease = caller.lease(&at.queue, at.shard).await?;
        let lease = lease.map(|held| held.value).unwrap_or_default();
        let shards = group(&queue, at.shard, u64::from(queue.shards));
        let of = (shards.as_slice(), lease.oldest.as_str());
        let mut scene = caller
            .scene(&at.queue, of, MAX_LOOKED_AT, caller.now_ms)
            .await?;
        // It may be younger than those.
        scene.free.insert(at.id(), (at.clone(), held.clone()));
        let known = known(players(&scene.free));
        for rules in queue
            .modes
            .iter()
            .filter(|rules| held.value.modes.contains(&rules.mode))
        {
            let tickets = wanting(&scene.free, &rules.mode, &known);
            let world = world(&scene.regions, &lease);
            let outcome = form(&tickets, rules, &world, caller.now_ms, lease.passes);
            explanation
                .modes
                .push(of_mode(&rules.mode, &at.id(), outcome));
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
