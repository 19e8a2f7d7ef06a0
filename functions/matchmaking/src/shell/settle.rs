//! What becomes of a match that is not decided yet, and of its tickets.
//!
//! The phase item decides: it is written once if absent, and from `Proposed` on by
//! compare-and-swap, so all who look agree, whoever crashed before them. Only when it says that the
//! match is abandoned may its tickets be claimed for another one.

use edge::change::unless_lost;
use edge::items::Over;
use edge::store::{Store, StoreError};
use wire::matching::TicketEnd;
use wire::{MatchId, QueueName, TicketId};

use super::Ports;
use super::caller::Caller;
use super::formed::{FORM_MS, Formed, Phase, phase_sort};
use super::ticket::{Claim, State, TicketRef};

/// What a claim means now.
#[derive(Debug, Clone)]
pub(super) enum Standing {
    /// Somebody is forming the match.
    Undecided,
    /// All must accept.
    Proposed(Formed),
    /// It is a match.
    Ready(Formed),
    /// It is none; the tickets were released.
    Abandoned,
}

impl<H: Ports, S: Store> Caller<'_, H, S> {
    /// What became of the part of a match that a ticket is claimed for. Decides if it is time to,
    /// and then releases the tickets.
    pub(super) async fn standing(
        &self,
        queue: &QueueName,
        claim: &Claim,
    ) -> Result<Standing, StoreError> {
        let formed = self.formed(&claim.id).await?;
        let overdue = match formed.bodies.get(&claim.part) {
            Some(body) => body.at_ms + FORM_MS <= self.now_ms,
            None => claim.until_ms <= self.now_ms,
        };
        let timed_out = match formed.phase(claim.part) {
            Some(Phase::Ready) => return Ok(Standing::Ready(formed)),
            Some(Phase::Proposed(until_ms)) if self.now_ms < until_ms => {
                return Ok(Standing::Proposed(formed));
            }
            Some(Phase::Proposed(_)) => true,
            Some(Phase::Abandoned { timed_out }) => {
                self.release(queue, &formed, claim.part, timed_out).await?;
                return Ok(Standing::Abandoned);
            }
            None if !overdue => return Ok(Standing::Undecided),
            None => false,
        };
        match self.abandon(queue, &formed, claim.part, timed_out).await? {
            true => Ok(Standing::Abandoned),
            // Somebody else decided just now; the next look will tell.
            false => Ok(Standing::Undecided),
        }
    }

    /// Abandons a part of a match if it is as `formed` says, and releases its tickets. Whether it
    /// was so.
    pub(super) async fn abandon(
        &self,
        queue: &QueueName,
        formed: &Formed,
        part: u32,
        timed_out: bool,
    ) -> Result<bool, StoreError> {
        let phase = Phase::Abandoned { timed_out };
        if !self.decide(formed, part, phase).await? {
            return Ok(false);
        }
        self.release(queue, formed, part, timed_out).await?;
        Ok(true)
    }

    /// Moves a part of a match on from the phase in `formed`. Whether it was still in that. What is
    /// ready or abandoned stays so.
    pub(super) async fn decide(
        &self,
        formed: &Formed,
        part: u32,
        phase: Phase,
    ) -> Result<bool, StoreError> {
        let before = formed.phases.get(&part);
        if before.is_some_and(|held| !matches!(held.value, Phase::Proposed(_))) {
            return Ok(false);
        }
        let written = self
            .keep_of_match(&formed.id, &phase_sort(part), &phase, Over::read(before))
            .await;
        Ok(unless_lost(written)?.is_some())
    }

    /// Releases the tickets of an abandoned part of a match.
    pub(super) async fn release(
        &self,
        queue: &QueueName,
        formed: &Formed,
        part: u32,
        timed_out: bool,
    ) -> Result<(), StoreError> {
        let Some(body) = formed.bodies.get(&part) else {
            return Ok(());
        };
        for party in body.teams.iter().flat_map(|team| &team.tickets) {
            let goes_on = formed.goes_on(timed_out, &party.players);
            self.unclaim(queue, &party.ticket, (&formed.id, part), goes_on)
                .await?;
        }
        Ok(())
    }

    /// Puts a ticket that is claimed for an abandoned match back into the pool, or ends it.
    pub(super) async fn unclaim(
        &self,
        queue: &QueueName,
        id: &TicketId,
        of: (&MatchId, u32),
        goes_on: bool,
    ) -> Result<(), StoreError> {
        let Ok(at) = TicketRef::parse(queue, id) else {
            return Ok(());
        };
        let Some(held) = self.ticket(&at).await? else {
            return Ok(());
        };
        match &held.value.state {
            State::Claimed(claim) if (&claim.id, claim.part) == of => {}
            _ => return Ok(()),
        }
        let ticket = match goes_on {
            true => held.value.waiting(),
            false => held.value.ended(TicketEnd::NotAccepted),
        };
        // Whoever was first did the same.
        unless_lost(self.keep_ticket(&at, &ticket, held.over()).await)?;
        Ok(())
    }
}
