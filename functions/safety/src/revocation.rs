//! Taking back a player's tokens.

use edge::http::{Call, Response};
use edge::ports::{Clock, Entropy, Timer, Variables};
use edge::store::Store;
use edge::{Metered, Refusal, config, directory, revocation};
use wire::moderation::RevocationReply;

/// `PUT /v1/players/{player}/revocation`. Sent again, it ends what has come since as well.
pub(crate) async fn revoke<H, S>(
    host: &H,
    store: &Metered<'_, S>,
    call: &Call<'_>,
) -> Result<Response, Refusal>
where
    H: Clock + Entropy + Timer + Variables,
    S: Store,
{
    let player = call.parameter(0)?;
    let life_s = config::token_life_s(host).await?;
    let now_ms = host.now_ms();
    let not_before = revocation::revoke(host, store, now_ms, &player, life_s).await?;
    // The time again: whoever joins later has read what was written.
    directory::end_sessions(host, store, host.now_ms(), &player).await?;
    Ok(Response::json(
        call.route.status,
        &RevocationReply { not_before },
    ))
}
