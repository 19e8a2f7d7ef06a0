//! What members' reports come to.

use std::time::Duration;

use super::Room;
use crate::rtp::ReportBlock;
use crate::stats::ReportFlaw;
use crate::ways::Quality;

/// Listeners who are asked how they hear a speaker: enough to tell, and a bound on the work.
const MAX_ASKED: usize = 64;

impl<F> Room<F> {
    /// Takes what a member says of one of his slots.
    ///
    /// # Errors
    /// Why it is not believed.
    pub(crate) fn note_report(
        &mut self,
        member: usize,
        block: &ReportBlock,
    ) -> Result<(), ReportFlaw> {
        let participant = &mut self.members[member];
        let slots = &mut participant.slots;
        let slot = slots.iter_mut().find(|slot| slot.ssrc() == block.source);
        let slot = slot.ok_or(ReportFlaw::UnknownSource)?;
        participant.measures.down.note_block(slot, block)
    }

    /// How a member is heard and hears since the last time; none while there is nothing new.
    pub(crate) fn take_quality(
        &mut self,
        member: usize,
        round_trip: Option<Duration>,
        jitter_ticks: u32,
    ) -> Option<Quality> {
        let measures = &mut self.members[member].measures;
        let (up, down) = measures.take(round_trip, jitter_ticks);
        if up.is_none() && down.is_none() {
            return None;
        }
        let listeners = self.listeners_lost(member);
        let measures = &mut self.members[member].measures;
        // Between two spurts nobody listens, but they will.
        measures.listeners_lost = listeners.or(measures.listeners_lost);
        let millis = |time: Duration| u16::try_from(time.as_millis()).unwrap_or(u16::MAX);
        Some(Quality {
            up,
            down,
            rtt_ms: round_trip.map(millis),
            listeners_lost_permille: measures.listeners_lost,
        })
    }

    /// Whether a member has introduced himself.
    pub(crate) fn is_introduced(&self, member: usize) -> bool {
        self.members[member].is_introduced()
    }

    /// What those lose who hear `speaker`, on average; none while he does not talk, or none of
    /// them has told.
    fn listeners_lost(&self, speaker: usize) -> Option<u16> {
        let audience = self.audiences.get(speaker)?;
        let told = audience.iter().take(MAX_ASKED).filter_map(|listener| {
            let listener = self.members.get(listener)?;
            listener.measures.down.lost_permille.map(u32::from)
        });
        let (count, sum) = told.fold((0, 0), |(count, sum), lost| (count + 1, sum + lost));
        u16::try_from(sum.checked_div(count)?).ok()
    }
}
