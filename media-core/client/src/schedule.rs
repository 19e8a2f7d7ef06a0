//! When to try again, and how long to wait for what; as `functions/web/sdk/schedule.js`.

use std::time::Duration;

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// First pause after a failed attempt.
const DELAY_FIRST: Duration = Duration::from_millis(250);
/// Longest pause between attempts.
const DELAY_MAX: Duration = Duration::from_secs(5);
/// A connection that lived this long makes the next loss a first one.
pub const STABLE_AFTER: Duration = Duration::from_secs(5);
/// Time over which those come back who lost the same relay.
pub(crate) const RETURN_WITHIN: Duration = Duration::from_millis(500);
/// The first wait for the relay's answer to connectivity checks.
const ICE_FIRST: Duration = Duration::from_millis(1500);
/// Enough for a satellite link.
const ICE_MAX: Duration = Duration::from_secs(6);
/// The longest wait for the edge's reply to a join.
pub const JOIN_MAX: Duration = Duration::from_secs(6);
/// Doublings after which no pause grows any more.
const DOUBLINGS_MAX: u32 = 16;

/// Chance from a seed, so that a run can be repeated. Give each client another one.
#[derive(Debug)]
pub struct Jitter(ChaCha8Rng);

impl Jitter {
    /// From a seed.
    pub fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// The next number, from 0 up to 1.
    pub fn draw(&mut self) -> f64 {
        self.0.random_range(0.0..1.0)
    }
}

/// The pause before attempt `attempt`. The first is made at once; then 250 ms doubling to 5 s, of
/// which the lower half is certain and the upper half is chance (`random`, 0 to 1), so that a
/// thousand players who lost the same relay do not come back in the same millisecond. What the edge
/// asked for (`retry_after`) is the least, up to 5 s.
pub fn delay_before(attempt: u32, random: f64, retry_after: Option<Duration>) -> Duration {
    let Some(doublings) = attempt.checked_sub(1) else {
        return Duration::ZERO;
    };
    let doubled = DELAY_FIRST * (1 << doublings.min(DOUBLINGS_MAX));
    let ceiling = doubled.min(DELAY_MAX);
    let delay = ceiling.mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0);
    delay.max(retry_after.unwrap_or_default().min(DELAY_MAX))
}

/// How long attempt `attempt` waits for the relay to answer connectivity checks. Short at first: a
/// dead relay is the usual reason for silence, and the next join goes to another one.
pub fn ice_patience(attempt: u32) -> Duration {
    let factor = 1.5_f64.powi(attempt.min(DOUBLINGS_MAX) as i32);
    ICE_FIRST.mul_f64(factor).min(ICE_MAX)
}

/// The attempt number to go on with after a connection was lost: 0 when it had been stable, one
/// more than before when it hardly `lived`, so that a relay which accepts and drops is not
/// hammered.
pub fn attempt_after_loss(attempt: u32, lived: Duration) -> u32 {
    if lived >= STABLE_AFTER {
        0
    } else {
        attempt.saturating_add(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn pauses_double_from_a_quarter_of_a_second_to_five_and_half_of_each_is_chance() {
        let most: Vec<_> = (0..8).map(|it| delay_before(it, 1.0, None)).collect();
        let expected = [0, 250, 500, 1000, 2000, 4000, 5000, 5000].map(ms);
        assert_eq!(most, expected);
        let least: Vec<_> = (0..8).map(|it| delay_before(it, 0.0, None)).collect();
        assert_eq!(least, expected.map(|most| most / 2));
        assert_eq!(delay_before(u32::MAX, 1.0, None), ms(5000));
    }

    #[test]
    fn what_the_edge_asks_for_is_waited_for_within_bounds() {
        assert_eq!(delay_before(1, 0.0, Some(ms(3000))), ms(3000));
        assert_eq!(delay_before(1, 0.0, Some(ms(60_000))), ms(5000));
        assert_eq!(delay_before(6, 1.0, Some(ms(1))), ms(5000));
        assert_eq!(delay_before(0, 1.0, Some(ms(3000))), Duration::ZERO);
    }

    #[test]
    fn patience_grows_and_a_short_life_counts_as_a_failure() {
        assert_eq!(ice_patience(0), ms(1500));
        assert_eq!(ice_patience(1), ms(2250));
        assert_eq!(ice_patience(u32::MAX), ms(6000));
        assert_eq!(attempt_after_loss(3, ms(5000)), 0);
        assert_eq!(attempt_after_loss(3, ms(4999)), 4);
    }

    #[test]
    fn a_seed_repeats_its_chance_and_another_has_another() {
        let draw = |seed| {
            let mut jitter = Jitter::new(seed);
            [jitter.draw(), jitter.draw(), jitter.draw()]
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
        assert!(draw(7).iter().all(|it| (0.0..1.0).contains(it)));
    }
}
