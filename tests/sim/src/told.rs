//! How often a room is told what one member has set for himself is at most what a compliant one
//! could cause, whatever he does.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// What a member may cause, at once and in a second; the relay's limits, said again. He himself is
/// told of his own coming too.
const BURST: f64 = 5.0 + 1.0;
const PER_S: f64 = 2.0;
/// Of the sum of many small numbers.
const ROUNDING: f64 = 1e-6;

/// A member of whom others are told how he is now: his player and his number in the room.
pub(crate) type Member = (u64, u32);

/// Of whom the relay wrote, in order, once for each group who gets the same.
pub(crate) type Log = Rc<RefCell<Vec<Member>>>;

/// How often others were told of each member.
#[derive(Default)]
pub(crate) struct Told {
    /// What he may still cause, and as of when: the last time that they were told.
    left: BTreeMap<Member, (f64, Instant)>,
}

impl Told {
    /// The relay wrote this at `now`.
    pub(crate) fn handle_written(
        &mut self,
        now: Instant,
        of: impl IntoIterator<Item = Member>,
    ) -> Result<(), String> {
        // Several groups are told of one change.
        let of: BTreeSet<Member> = of.into_iter().collect();
        for member in of {
            let (left, at) = self.left.entry(member).or_insert((BURST, now));
            let since = now.saturating_duration_since(*at).as_secs_f64();
            *left = (*left + PER_S * since).min(BURST) - 1.0;
            *at = now;
            if *left < -ROUNDING {
                let (player, number) = member;
                return Err(format!(
                    "others are told of player {player} (number {number}) more often than a \
                     compliant member causes"
                ));
            }
        }
        Ok(())
    }
}

/// A member who changes his mind again and again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Toggler {
    left: u32,
    pub(crate) at: Instant,
}

/// Times, and the time between two: fewer messages than a relay reads in a second.
const TOGGLES: u32 = 60;
const TOGGLE_TIME: Duration = Duration::from_millis(60);

impl Toggler {
    /// From `now` on.
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            left: TOGGLES,
            at: now,
        }
    }

    /// After one more time; none when that was the last.
    pub(crate) fn next(self) -> Option<Self> {
        let left = self.left.checked_sub(1)?;
        let at = self.at + TOGGLE_TIME;
        Some(Self { left, at })
    }
}
