//! Which slot of a listener carries a speaker: the loudest are heard where not all can be, and
//! nobody comes and goes with every syllable.

use std::time::{Duration, Instant};

use super::slot::Slot;

/// How much stronger a speaker must ask than the one whose slot he takes, hundredths of a decibel.
const MARGIN: i32 = 600;
/// A slot keeps its speaker for so long at least.
const SHORTEST_HOLD: Duration = Duration::from_millis(500);

/// How strongly somebody who talks asks to be heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Claim {
    /// Number in the room.
    pub(crate) speaker: u32,
    /// Hundredths of a decibel, the more the stronger.
    pub(crate) strength: i32,
}

/// What becomes of a speaker's packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Choice {
    /// It goes to the slot that carries him.
    Own(usize),
    /// It goes to a slot that carries nobody, or somebody who fell silent.
    Free(usize),
    /// It takes the slot of somebody who asks less strongly.
    Instead(usize),
    /// Nowhere: all slots carry others who have more right to them.
    None,
}

/// Finds a slot for `speaker` among those of a listener. `claims` are those of all who talk.
pub(crate) fn choose(
    now: Instant,
    slots: &[Slot],
    speaker: u32,
    claims: &[Claim],
    hang_over: Duration,
) -> Choice {
    if let Some(own) = slots
        .iter()
        .position(|slot| slot.speaker() == Some(speaker))
    {
        return Choice::Own(own);
    }
    if let Some(free) = slots.iter().position(|slot| slot.speaker().is_none()) {
        return Choice::Free(free);
    }
    let idle = slots.iter().map(|slot| slot.idle(now)).enumerate();
    match idle.max_by_key(|(_, idle)| *idle) {
        Some((n, idle)) if idle >= hang_over => return Choice::Free(n),
        _ => {}
    }
    let strength = |of: u32| {
        let claim = claims.iter().find(|claim| claim.speaker == of);
        claim.map_or(i32::MIN, |claim| claim.strength)
    };
    let held = slots.iter().enumerate().filter_map(|(n, slot)| {
        let (holder, held) = (slot.speaker()?, slot.held(now));
        // Of two who ask alike, the one who has been heard for longer gives way.
        (held >= SHORTEST_HOLD).then_some((strength(holder), std::cmp::Reverse(held), n))
    });
    match held.min() {
        Some((weakest, _, n)) if weakest.saturating_add(MARGIN) <= strength(speaker) => {
            Choice::Instead(n)
        }
        _ => Choice::None,
    }
}

#[cfg(test)]
#[path = "select_tests.rs"]
mod tests;
