//! Who may not write in a channel, and until when.

use chat_channel::access::{Access, Intent, body, body_invalid};
use chat_channel::audit::{Act, Trail};
use chat_channel::author::Authors;
use chat_channel::plain::check_reason;
use edge::Refusal;
use edge::change::{unless_lost, until_done};
use edge::http::{Call, Response};
use edge::store::Store;
use wire::PlayerId;
use wire::chat::{AuditAction, MuteRequest};
use wire::routes::MUTE;

use crate::Ports;

/// Longest mute, in seconds.
const MAX_MUTE_S: u32 = 365 * 24 * 60 * 60;

/// `PUT` and `DELETE /v1/chat/channels/{channel}/mutes/{player}`.
pub(crate) async fn mute<H: Ports, S: Store>(
    host: &H,
    store: &S,
    call: &Call<'_>,
    mutes: bool,
) -> Result<Response, Refusal> {
    let access = &Access::of(host, call).await?;
    let place = &access.place(call.parameter(0)?, Intent::Moderate)?;
    let player = &call.parameter(1)?;
    let (mut until_ms, mut act) = (0, Act::new(AuditAction::Unmute));
    if mutes {
        let request: MuteRequest = body(call)?;
        check_reason(&request.reason)?;
        if request.seconds == 0 || request.seconds > MAX_MUTE_S {
            return Err(body_invalid(format!("Mute for 1 to {MAX_MUTE_S} seconds.")));
        }
        until_ms = access.now_ms + u64::from(request.seconds) * 1000;
        (act.action, act.reason) = (AuditAction::Mute, request.reason);
    }
    act.player = Some(PlayerId::clone(player));
    let trail = Trail::of(host, store, access);
    // With the mute, which holds in each hall of a region.
    trail.note(&place.authors(), act).await?;
    let authors = Authors::of(store, access.now_ms, place);
    let muted = until_done(host, || async {
        let mut held = authors.read(player).await?;
        held.value.muted_until_ms = until_ms;
        Ok(unless_lost(authors.keep(player, &mut held).await)?)
    });
    muted.await?;
    Ok(Response::empty(MUTE.status))
}
