//! Who moderated what in a channel, for its moderators to read.

use chat_channel::access::{Access, Intent};
use chat_channel::audit::{audit_partition, records};
use edge::Refusal;
use edge::http::{Call, Response};
use edge::store::Store;
use wire::chat::AuditReply;
use wire::routes::AUDIT;

use crate::Ports;

/// Entries of an audit reply.
const AUDIT_ENTRIES: usize = 100;

/// `GET /v1/chat/channels/{channel}/audit`.
pub(crate) async fn audit<H: Ports, S: Store>(
    host: &H,
    store: &S,
    call: &Call<'_>,
) -> Result<Response, Refusal> {
    let access = Access::of(host, call).await?;
    let place = access.place(call.parameter(0)?, Intent::Moderate)?;
    let partition = audit_partition(&place.key);
    let entries = records(store, access.now_ms, &partition, AUDIT_ENTRIES).await?;
    Ok(Response::json(AUDIT.status, &AuditReply { entries }))
}
