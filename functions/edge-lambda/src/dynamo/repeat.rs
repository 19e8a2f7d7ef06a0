//! What is tried again, how often, and what a caller hears when it stays in vain.

use std::fmt::Debug;
use std::pin::Pin;
use std::time::Duration;

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use edge::store::StoreError;
use tokio::time::Instant;

use crate::log;
use crate::permissions::TableAction;

/// Times that a request is sent before the caller hears that the store is not available.
const MAX_ATTEMPTS: u32 = 5;
/// Before the second attempt at most this long passes, and twice as long before each further one.
const FIRST_PAUSE_MS: u64 = 20;

/// Whether a request may be sent again when nobody knows what became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeat {
    /// Doing it twice is as good as doing it once. A condition that no longer holds the second
    /// time is told as unavailability, because it may be our own first attempt that broke it.
    Always,
    /// Doing it twice would be wrong.
    UnlessUnclear,
}

/// Why an attempt failed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// A condition did not hold; nothing was written.
    Condition,
    /// Over a limit of DynamoDB; nothing was written.
    TooLarge,
    /// DynamoDB refused for the moment; nothing was written.
    Busy(String),
    /// No answer, or one that says nothing of what was written.
    Unclear(String),
    /// It would fail again; nothing was written.
    Final(String),
}

impl Fault {
    pub(super) fn unreadable() -> Self {
        Self::Unclear("an answer without attributes".into())
    }

    pub(super) fn of<E: ProvideErrorMetadata + Debug>(error: SdkError<E, HttpResponse>) -> Self {
        let SdkError::ServiceError(failed) = &error else {
            return Self::Unclear(kind(&error).to_owned());
        };
        let code = failed.err().code().unwrap_or("unknown").to_owned();
        match code.as_str() {
            "ConditionalCheckFailedException" => Self::Condition,
            code if is_busy(code) => Self::Busy(code.to_owned()),
            _ if failed.raw().status().is_server_error() => Self::Unclear(code),
            // The message may hold a key, and a key may hold a player's id.
            _ => Self::Final(code),
        }
    }

    pub(super) fn of_commit(error: SdkError<TransactWriteItemsError, HttpResponse>) -> Self {
        let reasons = match error.as_service_error() {
            Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
                cancelled.cancellation_reasons().iter()
            }
            _ => return Self::of(error),
        };
        Self::of_reasons(reasons.filter_map(|reason| reason.code()))
    }

    /// One reason for each write; `None` for those that were not at fault.
    fn of_reasons<'a>(codes: impl Iterator<Item = &'a str>) -> Self {
        let codes: Vec<&str> = codes.filter(|code| *code != "None").collect();
        if codes.contains(&"ConditionalCheckFailed") {
            return Self::Condition;
        }
        if codes.contains(&"ItemCollectionSizeLimitExceeded") {
            return Self::TooLarge;
        }
        let text = format!("transaction cancelled: {}", codes.join(", "));
        if !codes.is_empty() && codes.iter().all(|code| is_busy(code)) {
            Self::Busy(text)
        } else {
            Self::Final(text)
        }
    }
}

fn kind<E>(error: &SdkError<E, HttpResponse>) -> &'static str {
    match error {
        SdkError::TimeoutError(_) => "no answer in time",
        SdkError::DispatchFailure(failure) if failure.is_timeout() => "no connection in time",
        SdkError::DispatchFailure(_) => "no connection, or it broke",
        SdkError::ResponseError(_) => "an answer that cannot be read",
        _ => "a request that cannot be built",
    }
}

/// Codes of errors and of reasons for cancelling, after which the same request may succeed.
fn is_busy(code: &str) -> bool {
    matches!(
        code.strip_suffix("Exception").unwrap_or(code),
        "ProvisionedThroughputExceeded"
            | "Throttling"
            | "ThrottlingError"
            | "RequestLimitExceeded"
            | "TransactionConflict"
            | "TransactionInProgress"
            | "ReplicatedWriteConflict"
    )
}

/// A name for one transaction.
pub(super) fn token() -> Result<String, StoreError> {
    let mut bytes = [0; 16];
    fill(&mut bytes)?;
    Ok(format!("{:032x}", u128::from_le_bytes(bytes)))
}

fn fill(bytes: &mut [u8]) -> Result<(), StoreError> {
    getrandom::fill(bytes).map_err(|_| StoreError::Unavailable("no randomness".into()))
}

/// A pause before the attempt after `failed` ones: up to a bound that doubles, so that those who
/// collided do not meet again.
fn pause(failed: u32, chance: u64) -> Duration {
    let most_us = (FIRST_PAUSE_MS * 1000) << (failed - 1).min(10);
    Duration::from_micros(chance % (most_us + 1))
}

/// Attempts a request until it succeeds, fails for good, or the time is over. All of its actions
/// must be among the `allowed` ones.
pub(super) async fn run<T>(
    (allowed, deadline): (&[TableAction], Instant),
    actions: &[TableAction],
    repeat: Repeat,
    attempt: impl AsyncFn() -> Result<T, Fault>,
) -> Result<T, StoreError> {
    if !actions.iter().all(|action| allowed.contains(action)) {
        return Err(unavailable(actions, "not among the function's permissions"));
    }
    let attempts = attempts(actions, repeat, attempt);
    match tokio::time::timeout_at(deadline, attempts).await {
        Ok(result) => result,
        Err(_) => Err(unavailable(actions, "the invocation's time is over")),
    }
}

async fn attempts<T>(
    actions: &[TableAction],
    repeat: Repeat,
    attempt: impl AsyncFn() -> Result<T, Fault>,
) -> Result<T, StoreError> {
    let mut is_unclear = false;
    for failed in 1.. {
        // In a box and without its type, which is too deep for the compiler once a function is
        // around it.
        let sent: Pin<Box<dyn Future<Output = _> + '_>> = Box::pin(attempt());
        let why = match sent.await {
            Ok(value) => return Ok(value),
            Err(Fault::Condition) if is_unclear => {
                return Err(unavailable(actions, "a condition failed after no answer"));
            }
            Err(Fault::Condition) => return Err(StoreError::ConditionFailed),
            Err(Fault::TooLarge) => return Err(StoreError::TooLarge),
            Err(Fault::Final(why)) => return Err(unavailable(actions, &why)),
            Err(Fault::Unclear(why)) if repeat == Repeat::UnlessUnclear => {
                return Err(unavailable(actions, &why));
            }
            Err(Fault::Unclear(why)) => {
                is_unclear = true;
                why
            }
            Err(Fault::Busy(why)) => why,
        };
        if failed == MAX_ATTEMPTS {
            return Err(unavailable(actions, &why));
        }
        let mut chance = [0; 8];
        fill(&mut chance)?;
        tokio::time::sleep(pause(failed, u64::from_le_bytes(chance))).await;
    }
    unreachable!("the loop ends with the last attempt")
}

fn unavailable(actions: &[TableAction], why: &str) -> StoreError {
    let names: Vec<&str> = actions.iter().map(|action| action.name()).collect();
    let names = names.join(" and ");
    log::fault(&names, why);
    StoreError::Unavailable(format!("{names}: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cancelled_transaction_is_told_by_its_reasons() {
        let of = |codes: &[&'static str]| Fault::of_reasons(codes.iter().copied());
        assert_eq!(of(&["None", "ConditionalCheckFailed"]), Fault::Condition);
        assert_eq!(
            of(&["TransactionConflict", "ConditionalCheckFailed"]),
            Fault::Condition
        );
        assert!(matches!(
            of(&["TransactionConflict", "None", "ThrottlingError"]),
            Fault::Busy(_)
        ));
        assert!(matches!(
            of(&["ValidationError", "TransactionConflict"]),
            Fault::Final(_)
        ));
        assert!(matches!(of(&["None"]), Fault::Final(_)));
    }

    #[test]
    fn pauses_double_and_stay_bounded() {
        for failed in 1..MAX_ATTEMPTS {
            let most = Duration::from_millis(FIRST_PAUSE_MS << (failed - 1));
            for chance in [0, 1, 12_345, u64::MAX] {
                assert!(pause(failed, chance) <= most);
            }
            // The whole of it is used, evenly.
            let (longest, middle) = (most.as_micros() as u64, most.as_micros() as u64 / 2);
            assert_eq!(pause(failed, longest), most);
            assert_eq!(pause(failed, middle), most / 2);
            assert_eq!(pause(failed, longest + 1), Duration::ZERO);
        }
    }
}
