//! Writing a match down: its body, then a claim on each ticket, then the phase. The last decides;
//! before it, nothing has happened that is not undone by whoever finds it half done.

use edge::Refusal;
use edge::change::unless_lost;
use edge::directory;
use edge::items::Over;
use edge::store::{Store, StoreError};
use wire::matching::MatchQuality;
use wire::{MatchId, RegionName};

use super::Ports;
use super::caller::Caller;
use super::formed::{Body, FORM_MS, Party, Phase, Team, body_sort, phase_sort, room_of};
use super::pass::Free;
use super::queue::Queue;
use super::substitutes::bare;
use super::ticket::{Claim, State, Ticket};
use crate::matcher::Match;
use crate::rules::RuleSet;

impl<H: Ports, S: Store> Caller<'_, H, S> {
    /// Makes what the matcher found a match. Its tickets are not free any more, whatever comes of
    /// it. Whether it came to be.
    pub(super) async fn place(
        &self,
        queue: &Queue,
        rules: &RuleSet,
        found: &Match,
        free: &mut Free,
    ) -> Result<bool, Refusal> {
        let id = self.new_match_id(&found.region);
        // A pass takes its time, which those who must accept shall not miss.
        let now_ms = self.host.now_ms().max(self.now_ms);
        let backfill_s = rules.backfill_until_s.map(u64::from);
        let body = Body {
            queue: queue.name.clone(),
            mode: rules.mode.clone(),
            version: queue.version,
            region: found.region.clone(),
            at_ms: now_ms,
            backfill_until_ms: backfill_s.map_or(0, |seconds| now_ms + seconds * 1000),
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
            Some(accept_ms) => Phase::Proposed(now_ms + accept_ms),
            None => Phase::Ready,
        };
        let came_to_be = self.write_part((&id, 0), &body, phase, free).await?;
        if came_to_be && phase == Phase::Ready {
            self.open_room(&id, &body).await;
        }
        Ok(came_to_be)
    }

    /// Writes a part of a match and claims its tickets. Whether it came to be.
    pub(super) async fn write_part(
        &self,
        (id, part): (&MatchId, u32),
        body: &Body,
        phase: Phase,
        free: &mut Free,
    ) -> Result<bool, Refusal> {
        let mut tickets = Vec::new();
        for party in body.teams.iter().flat_map(|team| &team.tickets) {
            tickets.extend(free.remove(&party.ticket));
        }
        let sort = body_sort(part);
        let written = self.keep_of_match(id, &sort, body, Over::NOTHING);
        if unless_lost(written.await)?.is_none() {
            // Another pass gives the match players.
            return Ok(false);
        }
        if body.backfill_until_ms > 0 {
            self.keep_details((id, part), &tickets).await?;
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
            let ticket = Ticket {
                state: State::Claimed(claim.clone()),
                ..held.value.clone()
            };
            let unchanged = held.over();
            match self.keep_ticket(at, &ticket, unchanged).await {
                Ok(_) => {}
                // Cancelled in this moment, or a write that may have happened: it is undone below.
                Err(_) => {
                    claimed = false;
                    break;
                }
            }
        }
        if claimed {
            match self
                .keep_of_match(id, &phase_sort(part), &phase, Over::NOTHING)
                .await
            {
                Ok(_) => return Ok(true),
                // It may have happened; whoever looks will know.
                Err(StoreError::Unavailable(_)) => return Ok(false),
                Err(_) => {}
            }
        }
        let formed = self.formed(id).await?;
        if formed.phase(part).is_none() {
            self.abandon(&body.queue, &formed, part, false).await?;
        } else if let Some(Phase::Abandoned { timed_out }) = formed.phase(part) {
            self.release(&body.queue, &formed, part, timed_out).await?;
        }
        Ok(false)
    }

    /// Gives the match's room its home, so that it is in the match's region whoever joins first.
    /// If that fails now, the first join does it.
    pub(super) async fn open_room(&self, id: &MatchId, body: &Body) {
        let room = room_of(id);
        let parties = body.teams.iter().flat_map(|team| &team.tickets);
        let players: usize = parties.map(|party| party.players.len()).sum();
        let players = u32::try_from(players).unwrap_or(u32::MAX);
        let (host, now_ms) = (self.host, self.now_ms);
        let _ = directory::home_for(host, self.store, now_ms, &room, &body.region, players).await;
    }

    /// It begins with the region, by which the match and its room are at home there
    /// ([`edge::homes`]), unless that is too long.
    fn new_match_id(&self, region: &RegionName) -> MatchId {
        let bytes: [u8; 10] = self.random();
        let text = data_encoding::BASE32_NOPAD
            .encode(&bytes)
            .to_ascii_lowercase();
        MatchId::new(format!("{region}.{text}"))
            .or_else(|_| MatchId::new(text))
            .expect("of its alphabet and length")
    }
}

fn teams(found: &Match, free: &Free) -> Vec<Team> {
    let party = |id: &wire::TicketId| {
        let (_, held) = &free[id];
        Party {
            ticket: id.clone(),
            players: bare(&held.value.players),
        }
    };
    let team = |team: &crate::matcher::MatchTeam| Team {
        name: team.name.clone(),
        tickets: team.tickets.iter().map(party).collect(),
    };
    found.teams.iter().map(team).collect()
}
