//! Reports: a message with those around it, kept for the moderators whatever becomes of them.

use std::collections::BTreeSet;

use chat_channel::access::{Access, Intent, body, seq};
use chat_channel::audit::{Act, Trail, name, record, records};
use chat_channel::author::Authors;
use chat_channel::log::Log;
use chat_channel::message::existing;
use chat_channel::plain::check_reason;
use edge::Refusal;
use edge::http::{Call, Response};
use edge::items;
use edge::store::{Direction, Key, Store};
use sha2::{Digest, Sha256};
use wire::PlayerId;
use wire::chat::{AuditAction, Report, ReportRequest, ReportsReply};
use wire::routes::{REPORT, REPORTS};

use crate::Ports;
use crate::kept::{Kept, reports_partition};
use crate::queue;

/// Messages before and after a reported one that go with the report.
const AROUND: u64 = 5;
/// Reports of a reply.
const REPORT_ENTRIES: usize = 20;

/// `POST /v1/chat/channels/{channel}/messages/{seq}/report`.
pub(crate) async fn report<H: Ports, S: Store>(
    host: &H,
    store: &S,
    call: &Call<'_>,
) -> Result<Response, Refusal> {
    let access = Access::of(host, call).await?;
    let place = access.place(call.parameter(0)?, Intent::Read)?;
    let seq = seq(call)?;
    let request: ReportRequest = body(call)?;
    check_reason(&request.reason)?;
    let (now_ms, me) = (access.now_ms, access.me());
    let log = Log::of(host, store, now_ms, &place.key);
    existing(log.message(seq).await?)?;
    let authors = Authors::of(store, now_ms, &place);
    let mut held = authors.read(me).await?;
    held.value.charge(now_ms, &access.rights)?;
    authors.keep(me, &mut held).await?;
    let range = (seq.saturating_sub(AROUND), seq + AROUND);
    let limit = 2 * AROUND as usize + 1;
    // One report of one player about one message: a retry replaces it, with its place in the queue.
    let tag = data_encoding::HEXLOWER.encode(&Sha256::digest(me.as_str())[..8]);
    let (partition, sort) = (reports_partition(&place.key), format!("{seq:016}#{tag}"));
    let earlier = items::get::<_, Kept>(store, now_ms, Key::new(&partition, &sort)).await?;
    let at_ms = earlier.map_or(now_ms, |held| held.value.report.at_ms);
    let messages = log.messages(range, limit, Direction::Forward).await?;
    let report = Report {
        at_ms,
        reporter: me.clone(),
        seq,
        reason: request.reason,
        messages: messages.into_iter().map(|stored| stored.message).collect(),
        channel: Some(place.key.clone()),
    };
    let (days, at) = (access.policy.report_days, (partition, sort));
    let queued = queue::place(host, at_ms, &at).await?;
    let kept = Kept {
        report,
        queued: Some(queued.clone()),
    };
    let authors = kept
        .report
        .messages
        .iter()
        .filter_map(|one| one.author.as_ref());
    let named: BTreeSet<&PlayerId> = authors.chain([me]).collect();
    for player in named {
        name(store, now_ms, player, &place.key, &access.policy).await?;
    }
    record(store, now_ms, at.clone(), days, &kept).await?;
    queue::add(store, now_ms, days, queued, at).await?;
    Ok(Response::empty(REPORT.status))
}

/// `GET /v1/chat/channels/{channel}/reports`.
pub(crate) async fn reports<H: Ports, S: Store>(
    host: &H,
    store: &S,
    call: &Call<'_>,
) -> Result<Response, Refusal> {
    let access = Access::of(host, call).await?;
    let place = access.place(call.parameter(0)?, Intent::Moderate)?;
    let act = Act::new(AuditAction::ReadReports);
    Trail::of(host, store, &access)
        .note(&place.key, act)
        .await?;
    let partition = reports_partition(&place.key);
    let kept: Vec<Kept> = records(store, access.now_ms, &partition, REPORT_ENTRIES).await?;
    let reports = kept.into_iter().map(|kept| kept.report).collect();
    Ok(Response::json(REPORTS.status, &ReportsReply { reports }))
}
