//! The work that sessions ask for, and what comes of asking for too much.

use std::time::Duration;

use super::Sfu;
use crate::budget::{Verdict, Work};
use crate::idents::{PlayerKey, SessionId};
use crate::link::Phase;
use crate::protocol::Protocol;
use crate::stats::{EndReason, RejectReason};

impl<P: Protocol> Sfu<P> {
    /// Counts a datagram that str0m is to look at.
    ///
    /// # Errors
    /// When it must not: there was too much, or the session ends for that.
    pub(super) fn take_work(&mut self, index: usize, bytes: usize) -> Result<(), RejectReason> {
        let link = &mut self.links[index];
        // Its last message is on the way; it has nothing to say that anybody waits for.
        if let Phase::Ending { reason, .. } = link.phase
            && matches!(reason, EndReason::Budget | EndReason::Protocol)
        {
            return Err(RejectReason::Budget);
        }
        let payer = (&mut link.budget, link.entry.player);
        let verdict = self.budgets.take(self.now, payer, bytes);
        self.heed(index, verdict);
        match verdict {
            Verdict::Within => Ok(()),
            Verdict::Over | Verdict::OverForLong => Err(RejectReason::Budget),
        }
    }

    /// Counts the time of work that was done for a session, which may be gone since.
    pub(super) fn note_work(
        &mut self,
        index: usize,
        (session, player): (SessionId, PlayerKey),
        (began, work): (Duration, Work),
    ) {
        let time = self.config.meter.spent(began, work);
        let link = self.links.get_mut(index);
        let Some(link) = link.filter(|link| link.id == session) else {
            return self.budgets.take_players_time(self.now, player, time);
        };
        let payer = (&mut link.budget, player);
        let verdict = self.budgets.take_time(self.now, payer, time);
        self.heed(index, verdict);
    }

    fn heed(&mut self, index: usize, verdict: Verdict) {
        let phase = self.links[index].phase;
        // Once: ending has it served, which is work that is counted too.
        let is_over = matches!(phase, Phase::Ending { .. } | Phase::Gone { .. });
        if verdict == Verdict::OverForLong && !is_over {
            self.end(index, EndReason::Budget);
        }
    }
}
