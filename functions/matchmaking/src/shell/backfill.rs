//! Players for running matches: a match that wants some has a ticket of its own in the pool.

use std::collections::BTreeMap;

use edge::Refusal;
use edge::http::Response;
use edge::items::Over;
use edge::store::Store;
use wire::matching::{BackfillReply, BackfillRequest, TicketEnd};
use wire::routes::{BACKFILL, END_BACKFILL};
use wire::{MatchId, PlayerId};

use super::Ports;
use super::caller::{Caller, body_invalid};
use super::details::{Known, core_player, known};
use super::formed::{Body, FORM_MS, Formed, Gone, Party, Phase, Team};
use super::pass::{Scene, players, wanting, world};
use super::pool::Lease;
use super::queue::Queue;
use super::spectate::not_running;
use super::substitutes::{DetailsOfMatch, bare};
use super::ticket::{Member, Open, State, Ticket, TicketRef};
use crate::matcher::{Running, Substitute, backfill};
use crate::rules::RuleSet;

/// Most players whom one request may name.
const MAX_LEFT: usize = crate::rules::MAX_PLAYERS as usize;
/// Most parts of one match: two digits name them.
const MAX_PARTS: u32 = 99;

/// `PUT /v1/match/matches/{match}/backfill`.
pub(super) async fn ask<H: Ports, S: Store>(
    caller: &Caller<'_, H, S>,
) -> Result<Response, Refusal> {
    let formed = caller.formed_of_path().await?;
    let request: BackfillRequest = caller.call.body()?;
    if request.left.len() > MAX_LEFT {
        return Err(body_invalid(format!("Name at most {MAX_LEFT} players.")));
    }
    let body = formed.first()?;
    let queue = caller.queue(&body.queue).await?;
    let Some(rules) = queue.mode(&body.mode) else {
        return Err(not_running());
    };
    if !formed.is_running() || caller.now_ms >= body.backfill_until_ms {
        return Err(not_running());
    }
    let formed = caller.note_gone(formed, Gone::Left, &request.left).await?;
    let body = formed.first()?;
    let wanted = wanted(&formed, rules);
    let ticket = Ticket {
        players: Vec::new(),
        modes: vec![body.mode.clone()],
        since_ms: caller.now_ms,
        state: State::Backfill(Open {
            id: formed.id.clone(),
            until_ms: body.backfill_until_ms,
        }),
    };
    let at = ticket_of(&queue, &formed.id, body);
    if wanted.values().any(|players| *players > 0) {
        caller.keep_ticket(&at, &ticket, Over::ANYTHING).await?;
        caller.reveal_for_sure(&queue.name, &at).await?;
    }
    let reply = BackfillReply {
        wanted,
        until_ms: body.backfill_until_ms,
    };
    Ok(Response::json(BACKFILL.status, &reply))
}

/// `DELETE /v1/match/matches/{match}/backfill`.
pub(super) async fn end<H: Ports, S: Store>(
    caller: &Caller<'_, H, S>,
) -> Result<Response, Refusal> {
    let formed = caller.formed_of_path().await?;
    let body = formed.first()?;
    let queue = caller.queue(&body.queue).await.ok();
    if let Some(queue) = queue {
        let at = ticket_of(&queue, &formed.id, body);
        let tombstone = Ticket::tombstone(TicketEnd::Cancelled);
        caller.keep_ticket(&at, &tombstone, Over::ANYTHING).await?;
    }
    Ok(Response::empty(END_BACKFILL.status))
}

/// The ticket of a match: always the same one.
fn ticket_of(queue: &Queue, id: &MatchId, body: &Body) -> TicketRef {
    let player = PlayerId::new(id.as_str()).expect("a narrower alphabet");
    let key = "backfill".parse().expect("of its alphabet");
    TicketRef::new(&queue.name, 1, body.at_ms, &player, &key)
}

/// Players whom each team still takes.
fn wanted(formed: &Formed, rules: &RuleSet) -> BTreeMap<String, u32> {
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

impl<H: Ports, S: Store> Caller<'_, H, S> {
    /// Gives waiting tickets to the running matches that want players. How many matches got some.
    pub(super) async fn fill_open(
        &self,
        queue: &Queue,
        lease: &Lease,
        scene: &mut Scene,
    ) -> Result<u32, Refusal> {
        let mut filled = 0;
        for (at, held) in std::mem::take(&mut scene.open) {
            let State::Backfill(open) = &held.value.state else {
                continue;
            };
            let formed = self.formed(&open.id).await?;
            if self.is_being_filled(queue, &formed).await? {
                continue;
            }
            let rules = formed.first().ok().and_then(|body| queue.mode(&body.mode));
            let rules = rules.filter(|rules| {
                formed.is_running() && wanted(&formed, rules).values().any(|free| *free > 0)
            });
            let Some(rules) = rules else {
                let tombstone = Ticket::tombstone(TicketEnd::Cancelled);
                let unchanged = held.over();
                // Changed means asked for anew; the next pass sees it.
                let _ = self.keep_ticket(&at, &tombstone, unchanged).await;
                continue;
            };
            let since_ms = held.value.since_ms;
            filled += u32::from(
                self.fill_one(&formed, since_ms, rules, lease, scene)
                    .await?,
            );
        }
        Ok(filled)
    }

    /// Whether somebody is giving it players now: their places are not free then. What was begun
    /// and left undone is abandoned, and the places are free for the next pass.
    async fn is_being_filled(&self, queue: &Queue, formed: &Formed) -> Result<bool, Refusal> {
        let mut any = false;
        for (part, body) in formed.undecided() {
            any = true;
            if body.at_ms + FORM_MS <= self.now_ms {
                self.abandon(&queue.name, formed, part, false).await?;
            }
        }
        Ok(any)
    }

    async fn fill_one(
        &self,
        formed: &Formed,
        since_ms: u64,
        rules: &RuleSet,
        lease: &Lease,
        scene: &mut Scene,
    ) -> Result<bool, Refusal> {
        let first = formed.first()?;
        let playing = formed.bodies.values().flat_map(|body| &body.teams);
        let playing = playing.flat_map(|team| &team.tickets);
        let known = known(players(&scene.free).chain(playing.flat_map(|party| &party.players)));
        let mut tickets = wanting(&scene.free, &rules.mode, &known);
        // Whoever has left does not come back to this match.
        let has_left = |player: &crate::ticket::Player| formed.has_left(&player.id);
        tickets.retain(|ticket| !ticket.players.iter().any(has_left));
        let details = self.details_of_match(&formed.id).await?;
        let Some(running) = running(formed, first, since_ms, (&details, &known)) else {
            return Ok(false);
        };
        let world = world(&scene.regions, lease);
        let found = backfill(&tickets, rules, &world, &running, self.now_ms, lease.passes);
        let part = formed.bodies.keys().max().map_or(1, |last| last + 1);
        if found.is_empty() || part > MAX_PARTS {
            return Ok(false);
        }
        let body = Body {
            at_ms: self.now_ms,
            teams: newcomers(first, &found, scene),
            ..first.clone()
        };
        self.write_part((&formed.id, part), &body, Phase::Ready, &mut scene.free)
            .await
    }
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
