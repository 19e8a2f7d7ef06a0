//! What was reported in a region on a day, wherever it was said, until somebody has settled it. The
//! queue has pointers: the reports stay with their channels, and are erased there.

use chat_channel::access::Access;
use chat_channel::audit::{Act, Trail, record};
use edge::http::{Call, Response};
use edge::items::{self, Held};
use edge::store::{Delete, Direction, Item, Key, Query, Store, StoreError};
use edge::{Refusal, config, stored};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use wire::RegionName;
use wire::chat::{AuditAction, QueuedReport, ReportQueueReply};
use wire::day::day_of;
use wire::problem::ProblemKind;

use crate::Ports;
use crate::kept::Kept;

/// Reports of a reply.
const ENTRIES: usize = 20;
/// Where the acts of this module are noted in the audit trail.
const TRAIL: &str = "reports";

/// Where a report is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Pointer {
    #[serde(rename = "p")]
    partition: String,
    #[serde(rename = "s")]
    sort: String,
}

stored!(queued_report: Pointer);

/// One queue: what was reported in a region on a day.
struct Queue {
    region: RegionName,
    /// As ISO 8601 writes it; a day that never was has no reports.
    day: String,
}

impl Queue {
    fn new(region: &str, day: &str) -> Result<Self, Refusal> {
        let shape = |(at, byte): (usize, u8)| match at {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        };
        let is_day = day.len() == 10 && day.bytes().enumerate().all(shape);
        match region.parse() {
            Ok(region) if is_day => Ok(Self {
                region,
                day: day.to_owned(),
            }),
            _ => Err(Refusal::new(
                ProblemKind::NameInvalid,
                "Name a region, and a day as 2026-11-30.",
            )),
        }
    }

    fn partition(&self) -> String {
        format!("chat-report-queue#{}#{}", self.region, self.day)
    }

    /// A report's id: the queue and where it stands there.
    fn id(&self, sort: &str) -> String {
        format!("{}~{}~{sort}", self.region, self.day)
    }
}

/// The place of a report in the queue of this region: the same one whenever it is asked.
pub(crate) async fn place<H: Ports>(
    host: &H,
    at_ms: u64,
    (partition, sort): &(String, String),
) -> Result<(String, String), Refusal> {
    let queue = Queue {
        region: config::region(host).await?,
        day: day_of(at_ms),
    };
    let digest = Sha256::digest(format!("{partition}\n{sort}"));
    let tag = data_encoding::HEXLOWER.encode(&digest[..8]);
    Ok((queue.partition(), format!("{at_ms:016}~{tag}")))
}

/// Puts a report there.
pub(crate) async fn add<S: Store>(
    store: &S,
    now_ms: u64,
    days: u32,
    place: (String, String),
    (partition, sort): (String, String),
) -> Result<(), StoreError> {
    record(store, now_ms, place, days, &Pointer { partition, sort }).await
}

/// `GET /v1/chat/reports`.
pub(crate) async fn list<H: Ports, S: Store>(
    host: &H,
    store: &S,
    call: &Call<'_>,
) -> Result<Response, Refusal> {
    let access = Access::of(host, call).await?;
    let asked = |name: &str| call.request.query_value(name);
    let region = match asked("region") {
        Some(region) => region,
        None => config::region(host).await?.to_string(),
    };
    let day = asked("day").unwrap_or_else(|| day_of(access.now_ms));
    let queue = Queue::new(&region, &day)?;
    let after = asked("after").unwrap_or_default();
    if !after.is_empty() && !is_place(&after) {
        let detail = "Set after to the next of the reply before, or leave it out.";
        return Err(Refusal::new(ProblemKind::CursorInvalid, detail));
    }
    let act = Act::new(AuditAction::ReadReports);
    Trail::of(host, store, &access).note(TRAIL, act).await?;
    let partition = queue.partition();
    let from = format!("{after}~");
    let query = Query {
        from: (!after.is_empty()).then_some(&from),
        direction: Direction::Forward,
        ..Query::all(&partition, ENTRIES)
    };
    let found = store.query(access.now_ms, query).await?;
    let next = (found.len() == ENTRIES).then(|| found.last().map(|item| item.sort.clone()));
    let reports = read(store, access.now_ms, (&queue, &partition), &found).await?;
    let reply = ReportQueueReply {
        reports,
        next: next.flatten(),
    };
    let response = Response::json(call.route.status, &reply);
    Ok(response.with("cache-control", "no-store"))
}

/// The reports that pointers lead to and that are still there.
async fn read<S: Store>(
    store: &S,
    now_ms: u64,
    (queue, partition): (&Queue, &str),
    found: &[Item],
) -> Result<Vec<QueuedReport>, StoreError> {
    let pointer = |item| Ok(Held::<Pointer>::read(partition, item)?.value);
    let pointers: Vec<Pointer> = found.iter().map(pointer).collect::<Result<_, _>>()?;
    let keys: Vec<Key<'_>> = pointers
        .iter()
        .map(|at| Key::new(&at.partition, &at.sort))
        .collect();
    let reports = items::get_many::<_, Kept>(store, now_ms, &keys).await?;
    let entries = found.iter().zip(reports);
    let entries = entries.filter_map(|(item, report)| {
        Some(QueuedReport {
            id: queue.id(&item.sort),
            report: report?.value.report,
        })
    });
    Ok(entries.collect())
}

/// `DELETE /v1/chat/reports/{report}`.
pub(crate) async fn settle<H: Ports, S: Store>(
    host: &H,
    store: &S,
    call: &Call<'_>,
) -> Result<Response, Refusal> {
    let access = Access::of(host, call).await?;
    let id = &call.parameters[0];
    let mut parts = id.splitn(3, '~');
    let mut part = || parts.next().unwrap_or_default();
    let (region, day, sort) = (part(), part(), part());
    let queue = Queue::new(region, day)?;
    if !is_place(sort) {
        let detail = "Name a report by the id that the queue gives it.";
        return Err(Refusal::new(ProblemKind::NameInvalid, detail));
    }
    let act = Act {
        reason: id.clone(),
        ..Act::new(AuditAction::SettleReport)
    };
    Trail::of(host, store, &access).note(TRAIL, act).await?;
    let partition = queue.partition();
    let delete = Delete {
        key: Key::new(&partition, sort),
        version: None,
    };
    store.delete(access.now_ms, delete).await?;
    Ok(Response::empty(call.route.status))
}

/// Where a report stands in a queue: its time and a tag.
fn is_place(text: &str) -> bool {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    text.split_once('~').is_some_and(|(at_ms, tag)| {
        at_ms.len() == 16 && digits(at_ms) && tag.len() == 16 && hex(tag)
    })
}
