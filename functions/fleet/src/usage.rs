//! What rooms used, as relays report it.
//!
//! | partition | sort | holds | written |
//! |---|---|---|---|
//! | `usage#SHARD` | `BOOT-FIRST` | that a batch counts | once, with the batch |
//!
//! A batch is an object, and counts once there is a receipt of it. The object is put first: its
//! name and content are those of the batch, so that whoever puts it again, since the last attempt
//! ended in between, changes nothing; and a receipt without its object is never there. What is put
//! and gets no receipt comes again until it does.

use edge::directory::{self, StaticShards};
use edge::http::{Call, Response};
use edge::items::{self, Over};
use edge::ports::{Clock, ObjectFault, Objects, Variables};
use edge::store::{Direction, Query, Store, StoreError};
use edge::{Metered, Refusal, config, stored};
use serde::{Deserialize, Serialize};
use wire::ShardId;
use wire::day::day_of;
use wire::limits::{MAX_CLOCK_SKEW_MS, MAX_USAGE_AGE_MS};
use wire::problem::ProblemKind;
use wire::routes::USAGE;
use wire::usage::{MINUTE_MS, UsageBatch, UsageReceipt};

use crate::{body_invalid, signature};

/// A receipt is kept for longer than the batch that it is of is taken.
const RECEIPT_MS: u64 = MAX_USAGE_AGE_MS + 24 * 3600 * 1000;

/// That a batch counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Receipt {
    /// Its lowest sequence.
    #[serde(rename = "f")]
    first: u64,
    /// Its highest.
    #[serde(rename = "l")]
    last: u64,
    /// Of its lines.
    #[serde(rename = "d")]
    digest: String,
}

stored!(usage_receipt: Receipt);

/// `POST /v1/relays/{shard}/usage`.
pub(crate) async fn usage<H: Clock + Objects + Variables, S: Store>(
    host: &H,
    store: &Metered<'_, S>,
    call: &Call<'_>,
) -> Result<Response, Refusal> {
    let shard: ShardId = call.parameter(0)?;
    // The body names the key that it is signed with; nothing else of it is believed before.
    let batch: UsageBatch = wire::json::read(&call.request.body)
        .map_err(|error| body_invalid(format!("The body is not a batch of usage: {error}.")))?;
    let secret = config::fleet_secret(host).await?;
    signature::check(&secret, (&shard, batch.epoch), call)?;
    if batch.shard != shard {
        return Err(body_invalid("The body must be of the shard in the path."));
    }
    let now_ms = host.now_ms();
    let (first, last) = check(&batch, now_ms)?;
    let declared = async |shard: &ShardId| {
        let list = config::static_shards(host).await?;
        Ok(StaticShards::terms(&list, shard))
    };
    let speaker = (batch.epoch, &batch.region);
    directory::check_speaker(store, now_ms, &shard, speaker, &declared).await?;
    let receipt = Receipt {
        first,
        last,
        digest: batch.digest(),
    };
    let is_new = !is_known(store, now_ms, &batch, &receipt).await? && {
        put(host, &batch, &receipt).await?;
        count(store, now_ms, &batch, &receipt).await?
    };
    let reply = UsageReceipt {
        first,
        last,
        is_new,
    };
    Ok(Response::json(USAGE.status, &reply))
}

/// The lowest and the highest sequence of a batch that may count at this time.
fn check(batch: &UsageBatch, now_ms: u64) -> Result<(u64, u64), Refusal> {
    let records = &batch.records;
    let (Some(first), Some(last)) = (records.first(), records.last()) else {
        return Err(body_invalid("Send at least one record."));
    };
    if first.sequence == 0 || !records.is_sorted_by(|a, b| a.sequence < b.sequence) {
        return Err(body_invalid(
            "Sequences begin at 1, and rise from record to record.",
        ));
    }
    for record in records {
        if !record.minute_ms.is_multiple_of(MINUTE_MS) {
            return Err(body_invalid("minute_ms must be the start of a minute."));
        }
        if record.minute_ms.saturating_add(MAX_USAGE_AGE_MS) < now_ms {
            return Err(Refusal::new(
                ProblemKind::UsageOld,
                "Usage counts for a week; drop what is older.",
            ));
        }
        if record.minute_ms > now_ms.saturating_add(MAX_CLOCK_SKEW_MS) {
            return Err(Refusal::new(
                ProblemKind::UsageEarly,
                "Set the relay's clock, and send this again when its time has come.",
            ));
        }
    }
    Ok((first.sequence, last.sequence))
}

fn partition(batch: &UsageBatch) -> String {
    format!("usage#{}", batch.shard)
}

/// Sorted as the sequences of a run are.
fn sort(batch: &UsageBatch, sequence: u64) -> String {
    format!("{}-{sequence:020}", batch.boot)
}

/// Whether a batch counts already. One of which only a part does is none of a relay that keeps to
/// its journal.
async fn is_known<S: Store>(
    store: &S,
    now_ms: u64,
    batch: &UsageBatch,
    receipt: &Receipt,
) -> Result<bool, Refusal> {
    let partition = partition(batch);
    let (from, to) = (sort(batch, 0), sort(batch, receipt.last));
    // The last that begins before this one ends: all before it have ended when it begins.
    let query = Query {
        partition: &partition,
        from: Some(&from),
        to: Some(&to),
        limit: 1,
        direction: Direction::Backward,
    };
    let found = store.query(now_ms, query).await?;
    let Some(item) = found.first() else {
        return Ok(false);
    };
    let known = items::Held::<Receipt>::read(&partition, item)?.value;
    if known == *receipt {
        return Ok(true);
    }
    if known.last >= receipt.first {
        return Err(overlap(&known));
    }
    Ok(false)
}

fn overlap(known: &Receipt) -> Refusal {
    let Receipt { first, last, .. } = known;
    let detail = format!(
        "Records {first} to {last} of this run came in one batch that counts; send batches again \
         as they were."
    );
    Refusal::new(ProblemKind::UsageOverlap, detail)
}

/// Puts a batch where those who bill look for it.
async fn put<H: Objects>(host: &H, batch: &UsageBatch, receipt: &Receipt) -> Result<(), Refusal> {
    let Receipt { first, last, .. } = receipt;
    let UsageBatch { shard, boot, .. } = batch;
    let day = day_of(batch.records[0].minute_ms);
    let name = format!("usage/{day}/{shard}/{boot}-{first:012}-{last:012}.jsonl");
    let put = host.put_object(&name, batch.lines().into_bytes()).await;
    put.map_err(|fault| match fault {
        ObjectFault::Nowhere => Refusal::new(
            ProblemKind::Misconfigured,
            "Say where usage is kept: the setting usage_objects of the function fleet.",
        ),
        ObjectFault::Unavailable => Refusal::new(
            ProblemKind::StoreUnavailable,
            "What usage is kept in did not take it; send it again in a moment.",
        ),
    })
}

/// Lets a batch count; false when it does already, since the same request came twice at once.
async fn count<S: Store>(
    store: &S,
    now_ms: u64,
    batch: &UsageBatch,
    receipt: &Receipt,
) -> Result<bool, Refusal> {
    let (partition, sort) = (partition(batch), sort(batch, receipt.first));
    let key = edge::store::Key::new(&partition, &sort);
    let expires_at_ms = Some(now_ms + RECEIPT_MS);
    let written = items::put(store, now_ms, key, receipt, expires_at_ms, Over::NOTHING).await;
    match written {
        Ok(_) => Ok(true),
        Err(StoreError::ConditionFailed) => {
            is_known(store, now_ms, batch, receipt).await.map(|_| false)
        }
        Err(error) => Err(error.into()),
    }
}
