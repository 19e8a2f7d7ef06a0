//! Everything that a run leaves to chance comes from one seed.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The run's randomness.
pub(crate) struct Chance(ChaCha8Rng);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    pub(crate) fn any(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// From `low` to `high`, both included.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.any() % (high - low + 1)
    }

    pub(crate) fn percent(&mut self, percent: u64) -> bool {
        self.any() % 100 < percent
    }

    /// One of `items`; none when there is none.
    pub(crate) fn pick<T: Copy>(&mut self, items: &[T]) -> Option<T> {
        let last = items.len().checked_sub(1)? as u64;
        items.get(self.between(0, last) as usize).copied()
    }
}
