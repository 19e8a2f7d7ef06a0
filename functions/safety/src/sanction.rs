//! Sanctions: written down first, so that they hold for whoever joins, and then told to the relay,
//! so that they hold at once. A relay that does not answer is told with its next heartbeat
//! ([`edge::relays`]), and learns it with the player's next join; the record's outcome tells the
//! difference.

use edge::blocks::player_partition;
use edge::http::{Call, Response};
use edge::ports::{Clock, Entropy, RelayLink, Timer, Variables};
use edge::relays::{self, Delivery, Made, Secrets};
use edge::sanctions::{self, Sanction};
use edge::store::{Condition, Key, Put, Store};
use edge::{Metered, Refusal};
use wire::control::ControlCommand;
use wire::moderation::{MAX_SANCTION_S, SanctionRequest};
use wire::problem::ProblemKind;
use wire::{PlayerId, PlayerKey, RoomKey, RoomName};

/// Sort key with a player of what names a room in which something holds against him; the room
/// follows.
pub(crate) const INDEX_PREFIX: &str = "sanction#";

/// A moderator's request about a player of a room.
struct About {
    room: RoomName,
    player: PlayerId,
}

/// `PUT` and `DELETE /v1/rooms/{room}/mutes/{player}` and `/bans/{player}`.
pub(crate) async fn change<H, S>(
    host: &H,
    store: &Metered<'_, S>,
    call: &Call<'_>,
    kind: Sanction,
) -> Result<Response, Refusal>
where
    H: Clock + Entropy + Timer + Variables + RelayLink,
    S: Store,
{
    let about = About::read(call)?;
    let now_ms = host.now_ms();
    let until_ms = match call.route.body {
        Some(_) => Some(now_ms + u64::from(seconds(call)?) * 1000),
        None => None,
    };
    if let Some(until_ms) = until_ms {
        note(store, now_ms, &about, until_ms).await?;
    }
    let of = (kind, &about.player);
    sanctions::sanction(host, store, now_ms, &about.room, of, until_ms).await?;
    let secrets = Secrets::read(host).await?;
    let outcome = sanctions::enforce(host, store, &secrets, &about.room, of).await?;
    Ok(reply(call, outcome))
}

/// `DELETE /v1/rooms/{room}/players/{player}`.
pub(crate) async fn kick<H, S>(
    host: &H,
    store: &Metered<'_, S>,
    call: &Call<'_>,
) -> Result<Response, Refusal>
where
    H: Clock + Entropy + Timer + Variables + RelayLink,
    S: Store,
{
    let about = About::read(call)?;
    let secrets = Secrets::read(host).await?;
    let room = RoomKey::of(&about.room);
    let command = |key: &dyn Fn(&PlayerId) -> PlayerKey| ControlCommand::Kick {
        room,
        player: key(&about.player),
    };
    let now = (host.now_ms(), &command as Made<'_>);
    let outcome = relays::tell(host, store, &secrets, &about.room, now).await?;
    Ok(reply(call, outcome))
}

/// Notes with the player in which room something holds against him, before it does: what is kept of
/// him can be found. Until the last of it is over.
async fn note<S: Store>(
    store: &S,
    now_ms: u64,
    about: &About,
    until_ms: u64,
) -> Result<(), Refusal> {
    let partition = player_partition(&about.player);
    let sort = format!("{INDEX_PREFIX}{}", about.room);
    let key = Key::new(&partition, &sort);
    let noted = store.get(now_ms, key).await?;
    let noted_ms = noted.and_then(|item| item.expires_at_ms).unwrap_or(0);
    if noted_ms < until_ms {
        let put = Put {
            key,
            value: &[],
            expires_at_ms: Some(until_ms),
            condition: Condition::Always,
        };
        store.put(now_ms, put).await?;
    }
    Ok(())
}

impl About {
    fn read(call: &Call<'_>) -> Result<Self, Refusal> {
        let player = call.parameter(1)?;
        let room = moderated(call)?;
        Ok(Self { room, player })
    }
}

/// The room that the path names first, if the caller moderates it.
pub(crate) fn moderated(call: &Call<'_>) -> Result<RoomName, Refusal> {
    let room = call.parameter(0)?;
    if !call.caller()?.claims.moderates(&room) {
        let detail = "Get a token from the game that grants moderate in all channels of it.";
        return Err(Refusal::new(ProblemKind::NotModerator, detail));
    }
    Ok(room)
}

/// For how long the body says.
fn seconds(call: &Call<'_>) -> Result<u32, Refusal> {
    let request: SanctionRequest = call.body()?;
    if !(1..=MAX_SANCTION_S).contains(&request.seconds) {
        let detail = format!("Set seconds to 1 to {MAX_SANCTION_S}.");
        return Err(Refusal::new(ProblemKind::BodyInvalid, detail));
    }
    Ok(request.seconds)
}

/// That it is done, and what came of it at the relay.
fn reply(call: &Call<'_>, outcome: Delivery) -> Response {
    let mut response = Response::empty(call.route.status);
    response.outcome = outcome.label();
    response
}
