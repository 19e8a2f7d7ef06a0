use std::pin::pin;
use std::task::Poll;

use crate::ports::Timer;

/// Runs two futures to their end at the same time: two reads that do not need each other take as
/// long as one.
pub async fn both<A: Future, B: Future>(one: A, other: B) -> (A::Output, B::Output) {
    let (mut one, mut other) = (pin!(one), pin!(other));
    let (mut of_one, mut of_other) = (None, None);
    std::future::poll_fn(move |context| {
        if of_one.is_none()
            && let Poll::Ready(output) = one.as_mut().poll(context)
        {
            of_one = Some(output);
        }
        if of_other.is_none()
            && let Poll::Ready(output) = other.as_mut().poll(context)
        {
            of_other = Some(output);
        }
        match (of_one.take(), of_other.take()) {
            (Some(one), Some(other)) => Poll::Ready((one, other)),
            (one, other) => {
                (of_one, of_other) = (one, other);
                Poll::Pending
            }
        }
    })
    .await
}

/// What a future gives that is ready within `ms` milliseconds; none of one that is not, which is
/// dropped.
pub(crate) async fn within<T: Timer, F: Future>(
    timer: &T,
    ms: u64,
    future: F,
) -> Option<F::Output> {
    let (mut future, mut over) = (pin!(future), pin!(timer.sleep(ms)));
    std::future::poll_fn(move |context| {
        if let Poll::Ready(output) = future.as_mut().poll(context) {
            return Poll::Ready(Some(output));
        }
        over.as_mut().poll(context).map(|()| None)
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::schedule::{block_on, yield_now};

    #[test]
    fn both_end_whichever_does_first() {
        let after = |turns: u32| async move {
            for _ in 0..turns {
                yield_now().await;
            }
            turns
        };
        for (one, other) in [(0, 0), (0, 3), (3, 0), (2, 2)] {
            assert_eq!(block_on(both(after(one), after(other))), (one, other));
        }
    }
}
