use edge::directory;
use edge::http::{Call, Response};
use edge::ports::{Clock, Entropy, RelayLink, Variables};
use edge::relays::{self, Secrets};
use edge::store::Store;
use edge::{Metered, Refusal};
use wire::SessionRef;
use wire::channel::EndReason;
use wire::control::ControlCommand;
use wire::routes::LEAVE;

use crate::authenticate;

/// `DELETE /v1/rooms/{room}/sessions/{session}`: asks the session's relay to end it. Leaving is
/// done whether or not the relay hears of it, because a silent session times out there; the
/// record's outcome tells the difference.
pub(crate) async fn leave<H, S>(
    host: &H,
    store: &Metered<'_, S>,
    call: &Call<'_>,
) -> Result<Response, Refusal>
where
    H: Clock + Entropy + Variables + RelayLink,
    S: Store,
{
    let (claims, _room) = authenticate(call)?;
    let session: SessionRef = call.parameter(1)?;
    let secrets = Secrets::read(host).await?;
    let now_ms = host.now_ms();
    let mut response = Response::empty(LEAVE.status);
    let Some(record) = directory::shard(store, now_ms, &session.shard).await? else {
        response.outcome = "relay-unknown";
        return Ok(response);
    };
    let command = ControlCommand::End {
        session: session.session,
        player: secrets.player_key(&claims.sub, record.heartbeat.epoch),
        reason: EndReason::Left,
    };
    let delivery = relays::send(host, &secrets, (&record.heartbeat).into(), command).await;
    response.outcome = delivery.label();
    Ok(response)
}
