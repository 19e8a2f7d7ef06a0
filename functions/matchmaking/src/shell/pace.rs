//! How fast one player may queue up, and when again after he declined matches.
//!
//! A ticket that comes and goes is found by some pass all the same, and a match that is declined
//! has cost the others their wait. Both are counted in the player's own item, which taking a seat
//! reads and writes anyway.

use edge::gcra::Gcra;
use serde::{Deserialize, Serialize};
use wire::MatchId;
use wire::json::is_default;

/// How many tickets a player has.
const TICKETS: Gcra = Gcra {
    at_once: 10,
    every_ms: 6_000,
};
/// How long he waits after matches that he declined in a row, seconds.
const COOL_DOWN_S: [u64; 5] = [0, 10, 60, 300, 900];
/// Time after which one declined match is forgotten, milliseconds.
const FORGOTTEN_MS: u64 = 30 * 60 * 1000;
/// Declined matches that are told apart: whoever looks at one notes it, and several may.
const REMEMBERED: usize = 4;

/// What is kept of how fast a player queues up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pace {
    /// Until when his tickets are spent, Unix milliseconds.
    #[serde(rename = "t", default)]
    spent_until_ms: u64,
    /// Matches that he declined and that are not forgotten.
    #[serde(rename = "n", default, skip_serializing_if = "is_default")]
    declined: u32,
    /// When he declined last, Unix milliseconds.
    #[serde(rename = "a", default, skip_serializing_if = "is_default")]
    declined_ms: u64,
    /// The last ones.
    #[serde(rename = "m", default, skip_serializing_if = "Vec::is_empty")]
    matches: Vec<MatchId>,
}

impl Pace {
    /// Takes one ticket.
    ///
    /// # Errors
    /// How long he must wait for it, milliseconds.
    pub(super) fn take(&mut self, now_ms: u64) -> Result<(), u64> {
        let cools_ms = self.cools_ms(now_ms);
        match TICKETS.take(self.spent_until_ms, now_ms) {
            Ok(until_ms) if cools_ms == 0 => {
                self.spent_until_ms = until_ms;
                Ok(())
            }
            taken => Err(cools_ms.max(taken.err().unwrap_or(0))),
        }
    }

    /// Notes that he declined a match, or did not answer in time. Whether that changed anything.
    pub(super) fn note_declined(&mut self, id: &MatchId, now_ms: u64) -> bool {
        if self.matches.contains(id) {
            return false;
        }
        if self.matches.len() == REMEMBERED {
            self.matches.remove(0);
        }
        self.matches.push(id.clone());
        self.declined = self.declined_by(now_ms).saturating_add(1);
        self.declined_ms = now_ms;
        true
    }

    /// Declined matches that are not forgotten by then.
    fn declined_by(&self, now_ms: u64) -> u32 {
        let forgotten = now_ms.saturating_sub(self.declined_ms) / FORGOTTEN_MS;
        let forgotten = u32::try_from(forgotten).unwrap_or(u32::MAX);
        self.declined.saturating_sub(forgotten)
    }

    fn cools_ms(&self, now_ms: u64) -> u64 {
        let level = match self.declined {
            0 => return 0,
            declined => (declined as usize - 1).min(COOL_DOWN_S.len() - 1),
        };
        (self.declined_ms + COOL_DOWN_S[level] * 1000).saturating_sub(now_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: u64 = 1_800_000_000_000;

    fn id(n: u32) -> MatchId {
        format!("m-{n}").parse().expect("a match id")
    }

    #[test]
    fn over_any_time_there_are_as_many_tickets_as_its_rate_allows() {
        for step_ms in [1, 40, 999, 5_000, 6_000, 6_001] {
            let mut pace = Pace::default();
            let mut taken = Vec::new();
            for now_ms in (NOW_MS..NOW_MS + 300_000).step_by(step_ms) {
                if pace.take(now_ms).is_ok() {
                    taken.push(now_ms);
                }
            }
            for (n, from) in taken.iter().enumerate() {
                for (count, until) in (1..).zip(&taken[n..]) {
                    let most = TICKETS.at_once + (until - from) / TICKETS.every_ms;
                    assert!(count <= most, "{count} in {} ms", until - from);
                }
            }
            assert!(
                taken.len() >= 50,
                "{} at one each {step_ms} ms",
                taken.len()
            );
        }
    }

    #[test]
    fn who_waits_as_long_as_he_is_told_gets_one() {
        let mut pace = Pace::default();
        let mut now_ms = NOW_MS;
        for n in 0..100 {
            pace.note_declined(&id(n), now_ms);
            if let Err(wait_ms) = pace.take(now_ms) {
                assert!(
                    pace.take(now_ms + wait_ms - 1).is_err(),
                    "a moment too early"
                );
                now_ms += wait_ms;
                assert_eq!(pace.take(now_ms), Ok(()));
            }
        }
    }

    #[test]
    fn the_pause_grows_with_each_match_that_is_declined_and_is_forgotten() {
        let mut pace = Pace::default();
        let mut waits_s = Vec::new();
        for n in 0..7 {
            assert!(pace.note_declined(&id(n), NOW_MS));
            assert!(!pace.note_declined(&id(n), NOW_MS), "it counts once");
            waits_s.push(pace.clone().take(NOW_MS).err().unwrap_or(0) / 1000);
        }
        assert_eq!(waits_s, [0, 10, 60, 300, 900, 900, 900]);
        let later_ms = NOW_MS + 7 * FORGOTTEN_MS;
        assert!(pace.note_declined(&id(9), later_ms));
        assert_eq!(pace.take(later_ms), Ok(()), "as the first one");
    }
}
