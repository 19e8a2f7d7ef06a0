//! The loop of every compare-and-swap: read, decide, write if nothing has changed, and again if
//! something has.

use std::ops::ControlFlow::{self, Break, Continue};

use crate::Refusal;
use crate::ports::{Entropy, Timer};
use crate::store::StoreError;

/// Tries after which a request is refused with `conflict`.
pub const MAX_ATTEMPTS: u32 = 24;
/// Longest wait before a try, in milliseconds per try that was lost before, but for the first.
const PAUSE_MS_PER_TRY: u64 = 2;

/// Makes tries until one is done; a try that is lost, because others were faster, comes to
/// nothing. The second follows the first at once: whoever won has finished, and a fresh read
/// decides. Before the others it waits, for as long as chance says and longer each time, so that
/// many who want the same come one after the other.
///
/// # Errors
/// That of a try; `conflict` after [`MAX_ATTEMPTS`].
pub async fn until_done<H: Entropy + Timer, T, F>(
    host: &H,
    mut attempt: impl FnMut() -> F,
) -> Result<T, Refusal>
where
    F: Future<Output = Result<Option<T>, Refusal>>,
{
    until_done_from(host, (), |()| {
        let tried = attempt();
        async { Ok(tried.await?.map_or(Continue(()), Break)) }
    })
    .await
}

/// The same for tries of which each goes on from what the last one came to: it breaks with what is
/// done, or continues.
///
/// # Errors
/// As [`until_done`].
pub async fn until_done_from<H: Entropy + Timer, T, L, F>(
    host: &H,
    mut last: L,
    mut attempt: impl FnMut(L) -> F,
) -> Result<T, Refusal>
where
    F: Future<Output = Result<ControlFlow<T, L>, Refusal>>,
{
    for lost in 0..MAX_ATTEMPTS {
        if lost > 1 {
            let mut chance = [0];
            host.fill(&mut chance);
            host.sleep(pause_ms(lost, chance[0])).await;
        }
        match attempt(last).await? {
            Break(done) => return Ok(done),
            Continue(next) => last = next,
        }
    }
    Err(StoreError::ConditionFailed.into())
}

/// What a write came to: none when its condition did not hold, because others were faster.
///
/// # Errors
/// Any other [`StoreError`].
pub fn unless_lost<T>(written: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
    match written {
        Ok(written) => Ok(Some(written)),
        Err(StoreError::ConditionFailed) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Milliseconds before a try after so many lost ones, two or more.
fn pause_ms(lost: u32, chance: u8) -> u64 {
    let longest = u64::from(lost - 1) * PAUSE_MS_PER_TRY;
    1 + u64::from(chance) % longest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_any_of_its_range_and_no_other() {
        for lost in 2..MAX_ATTEMPTS {
            let mut all: Vec<u64> = (0..=u8::MAX).map(|chance| pause_ms(lost, chance)).collect();
            all.sort_unstable();
            all.dedup();
            let longest = u64::from(lost - 1) * PAUSE_MS_PER_TRY;
            assert!(all.into_iter().eq(1..=longest), "{lost}");
        }
    }
}
