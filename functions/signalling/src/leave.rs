use edge::directory;
use edge::http::{Call, Response};
use edge::ports::{Clock, Entropy, RelayLink, Variables};
use edge::store::Store;
use edge::{Metered, Refusal, config};
use wire::channel::EndReason;
use wire::control::{CONTROL_PATH, ControlCommand, ControlMessage};
use wire::routes::LEAVE;
use wire::{SessionId, SessionRef};

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
    let secret = config::fleet_secret(host).await?;
    let now_ms = host.now_ms();
    let mut response = Response::empty(LEAVE.status);
    let Some(record) = directory::shard(store, now_ms, &session.shard).await? else {
        response.outcome = "relay-unknown";
        return Ok(response);
    };
    let heartbeat = record.heartbeat;
    let keys = secret
        .shard_key(&heartbeat.shard, heartbeat.epoch)
        .subkeys();
    let mut nonce = SessionId([0; 8]);
    host.fill(&mut nonce.0);
    let message = ControlMessage {
        at_ms: now_ms,
        nonce,
        command: ControlCommand::End {
            session: session.session,
            player: secret.player_key(&claims.sub),
            reason: EndReason::Left,
        },
    };
    let url = format!(
        "{}{CONTROL_PATH}",
        heartbeat.control_url.trim_end_matches('/')
    );
    let sealed = message.seal(&keys, heartbeat.boot);
    response.outcome = match host.post(&url, &heartbeat.shard, sealed).await {
        Ok(status) if status < 300 => "ok",
        Ok(_) => "relay-refused",
        Err(_) => "relay-silent",
    };
    Ok(response)
}
