//! How often something may be done: the generic cell rate algorithm (ITU-T I.371), of which one
//! number is kept, until when all is spent.

/// So many at once after a pause, and one more each so many milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gcra {
    /// At least 1.
    pub at_once: u64,
    /// Milliseconds.
    pub every_ms: u64,
}

impl Gcra {
    /// Takes one at `now_ms` of what was spent until then (0 where nothing was): until when it is
    /// now. All in Unix milliseconds.
    ///
    /// # Errors
    /// How many milliseconds later there is one again.
    pub fn take(self, spent_until_ms: u64, now_ms: u64) -> Result<u64, u64> {
        debug_assert!(self.at_once > 0, "or there never is one");
        let spent_until_ms = spent_until_ms.max(now_ms);
        let most_ms = self.at_once.saturating_sub(1) * self.every_ms;
        match (spent_until_ms - now_ms).saturating_sub(most_ms) {
            0 => Ok(spent_until_ms + self.every_ms),
            wait_ms => Err(wait_ms),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Over any time there are at most as many as at once and one for each interval of it; who
        /// is refused gets one after as long as he is told, and not a moment sooner.
        #[test]
        fn the_rate_holds_over_any_time_and_the_wait_is_exact(
            at_once in 1_u64..20,
            every_ms in 1_u64..10_000,
            pauses in prop::collection::vec(0_u64..20_000, 1..120),
        ) {
            let gcra = Gcra { at_once, every_ms };
            let (mut spent_ms, mut now_ms, mut taken) = (0, 1_000_000, Vec::new());
            for pause_ms in pauses {
                now_ms += pause_ms;
                match gcra.take(spent_ms, now_ms) {
                    Ok(until_ms) => {
                        spent_ms = until_ms;
                        taken.push(now_ms);
                    }
                    Err(wait_ms) => {
                        prop_assert_eq!(gcra.take(spent_ms, now_ms + wait_ms - 1), Err(1));
                        prop_assert!(gcra.take(spent_ms, now_ms + wait_ms).is_ok());
                    }
                }
            }
            for (first, from) in taken.iter().enumerate() {
                for (count, until) in (1..).zip(&taken[first..]) {
                    prop_assert!(count <= at_once + (until - from) / every_ms);
                }
            }
        }
    }
}
