//! How long what takes, and waiting for what is not ours.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::clock;

/// What took how long.
pub(super) struct Times {
    began: Instant,
    last: Instant,
}

impl Times {
    pub(super) fn start() -> Self {
        let began = clock::now();
        Self { began, last: began }
    }

    /// Says that something is done.
    pub(super) fn done(&mut self, what: &str) {
        let now = clock::now();
        let (step, all) = (now - self.last, now - self.began);
        self.last = now;
        println!(
            "{:>8.1} s {:>8.1} s  {what}",
            step.as_secs_f64(),
            all.as_secs_f64()
        );
    }
}

/// Asks until it is so.
pub(super) fn wait_until(
    what: &str,
    every: Duration,
    limit: Duration,
    mut is_so: impl FnMut() -> Result<bool>,
) -> Result<()> {
    let began = clock::now();
    while !is_so()? {
        if clock::now() - began > limit {
            let limit = limit.as_secs();
            bail!("after {limit} s still not: {what}. Run the same command again to go on waiting");
        }
        clock::pause(every);
    }
    Ok(())
}
