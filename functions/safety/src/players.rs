//! Who is in a room's voice now. Nothing of it is written down: the room's relay says it.

use edge::http::{Call, Response};
use edge::ports::{Clock, Entropy, RelayInquiry, Variables};
use edge::store::Store;
use edge::{Metered, Refusal, config, relays};
use wire::problem::ProblemKind;

use crate::sanction::moderated;

/// `GET /v1/rooms/{room}/players`.
pub(crate) async fn list<H, S>(
    host: &H,
    store: &Metered<'_, S>,
    call: &Call<'_>,
) -> Result<Response, Refusal>
where
    H: Clock + Entropy + Variables + RelayInquiry,
    S: Store,
{
    let room = moderated(call)?;
    let after = after(call)?;
    let secret = config::control_secret(host).await?;
    let players = relays::players(host, store, &secret, &room, after).await?;
    Ok(Response::json(call.route.status, &players).with("cache-control", "no-store"))
}

/// The number of the participant behind whom the list begins.
fn after(call: &Call<'_>) -> Result<u32, Refusal> {
    let asked = call.request.query_value("after");
    let number = asked.map_or(Ok(0), |text| text.parse());
    number.map_err(|_| {
        let detail = "Set after to the next of the reply before, or leave it out.";
        Refusal::new(ProblemKind::CursorInvalid, detail)
    })
}
