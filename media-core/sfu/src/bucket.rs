//! A bucket of tokens: how much of something may come, in the long run and at once.

use std::time::{Duration, Instant};

/// So much in a second, and so much at once after a pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rate {
    pub(crate) per_s: u64,
    pub(crate) burst: u64,
}

/// What was spent lately of one kind of thing, by one who may spend it at a [`Rate`]. In any time
/// `t` what passes [`Bucket::has`] is at most `burst + per_s * t`.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Bucket {
    /// Spent and not yet given back by time, in millionths.
    spent: u64,
    /// To which moment time has given back; none before anything was spent.
    at: Option<Instant>,
}

const MILLION: u64 = 1_000_000;
/// Most that may be spent beyond the burst, in bursts.
const DEBT_BURSTS: u64 = 10;

impl Bucket {
    /// Whether `amount` more may be spent at `now`.
    pub(crate) fn has(&mut self, now: Instant, rate: Rate, amount: u64) -> bool {
        self.give_back(now, rate);
        let wanted = amount.saturating_mul(MILLION);
        self.spent.saturating_add(wanted) <= rate.burst.saturating_mul(MILLION)
    }

    /// Spends `amount`, whether or not there is as much: what it costs is known for some things
    /// only afterwards. A debt is at most [`DEBT_BURSTS`] bursts, so that it is paid off in time.
    pub(crate) fn spend(&mut self, now: Instant, rate: Rate, amount: u64) {
        self.give_back(now, rate);
        let most = rate.burst.saturating_mul((1 + DEBT_BURSTS) * MILLION);
        let spent = self.spent.saturating_add(amount.saturating_mul(MILLION));
        self.spent = spent.min(most);
    }

    /// The first moment from `now` on at which `amount`, at most a burst, may be spent.
    pub(crate) fn ready_at(&mut self, now: Instant, rate: Rate, amount: u64) -> Instant {
        debug_assert!(amount <= rate.burst, "or it never may");
        self.give_back(now, rate);
        let wanted = self.spent.saturating_add(amount.saturating_mul(MILLION));
        let over = wanted.saturating_sub(rate.burst.saturating_mul(MILLION));
        let at = self.at.unwrap_or(now);
        (at + Duration::from_micros(over.div_ceil(rate.per_s.max(1)))).max(now)
    }

    fn give_back(&mut self, now: Instant, rate: Rate) {
        let at = self.at.unwrap_or(now);
        // Whole microseconds, so that nothing is lost to rounding: the rest counts the next time.
        let us = now.saturating_duration_since(at).as_micros();
        let us = u64::try_from(us).unwrap_or(u64::MAX);
        self.spent = self.spent.saturating_sub(us.saturating_mul(rate.per_s));
        self.at = Some(at + Duration::from_micros(us));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[expect(
        clippy::disallowed_methods,
        reason = "a test needs some instant to start from"
    )]
    fn some_instant() -> Instant {
        Instant::now()
    }

    /// Asks for each amount after each pause, in microseconds; what passed, and when.
    fn passed(rate: Rate, asked: &[(u64, u64)]) -> Vec<(u64, u64)> {
        let (start, mut at_us) = (some_instant(), 0);
        let mut bucket = Bucket::default();
        let mut passed = Vec::new();
        for &(pause_us, amount) in asked {
            at_us += pause_us;
            let now = start + Duration::from_micros(at_us);
            if bucket.has(now, rate, amount) {
                bucket.spend(now, rate, amount);
                passed.push((at_us, amount));
            }
        }
        passed
    }

    fn rates() -> impl Strategy<Value = Rate> {
        (1..20_000_u64, 1..5000_u64).prop_map(|(per_s, burst)| Rate { per_s, burst })
    }

    proptest! {
        /// The bound of the documentation, over every span of what passed.
        #[test]
        fn no_span_has_more_than_its_burst_and_its_time(
            rate in rates(),
            asked in prop::collection::vec((0..200_000_u64, 1..3000_u64), 1..80),
        ) {
            let passed = passed(rate, &asked);
            for (n, (from_us, _)) in passed.iter().enumerate() {
                let mut sum = 0;
                for (to_us, amount) in &passed[n..] {
                    sum += amount * MILLION;
                    let most = rate.burst * MILLION + rate.per_s * (to_us - from_us);
                    prop_assert!(sum <= most, "{sum} of {most} from {from_us} to {to_us}");
                }
            }
        }

        /// However unevenly his packets are late, within the burst.
        #[test]
        fn who_keeps_to_the_rate_loses_nothing(
            rate in rates(),
            delays_us in prop::collection::vec(0..1_000_000_u64, 1..80),
        ) {
            let step_us = MILLION.div_ceil(rate.per_s);
            let most_late_us = step_us * (rate.burst - 1);
            let mut before = 0;
            let due = delays_us.iter().zip(1..).map(|(delay_us, n)| {
                let late_us = if most_late_us == 0 { 0 } else { delay_us % most_late_us };
                // Datagrams keep their order.
                before = before.max(n * step_us + late_us);
                before
            });
            let mut last = 0;
            let asked: Vec<_> = due.map(|at| (at - std::mem::replace(&mut last, at), 1)).collect();
            prop_assert_eq!(passed(rate, &asked).len(), asked.len());
        }

        /// Neither before nor after.
        #[test]
        fn it_is_ready_when_it_says(rate in rates(), debt in 0..20_000_u64, wait_us in 0..99_u64) {
            let now = some_instant() + Duration::from_micros(wait_us);
            let mut bucket = Bucket::default();
            bucket.spend(now, rate, debt);
            let at = bucket.ready_at(now, rate, 1);
            if at > now {
                prop_assert!(!bucket.has(at - Duration::from_micros(1), rate, 1));
            }
            prop_assert!(bucket.has(at, rate, 1));
        }

        /// However large it is.
        #[test]
        fn a_debt_is_paid_off(rate in rates(), debt in 0..u64::MAX) {
            let now = some_instant();
            let mut bucket = Bucket::default();
            bucket.spend(now, rate, debt);
            let later = now + Duration::from_micros(11 * rate.burst * MILLION / rate.per_s + 1);
            prop_assert!(bucket.has(later, rate, rate.burst));
        }
    }

    #[test]
    fn what_was_not_spent_is_not_saved_up_beyond_the_burst() {
        let rate = Rate {
            per_s: 100,
            burst: 5,
        };
        let asked = [vec![(0, 1); 3], vec![(3_600_000_000, 1)], vec![(0, 1); 9]].concat();
        assert_eq!(passed(rate, &asked).len(), 3 + 5);
    }
}
