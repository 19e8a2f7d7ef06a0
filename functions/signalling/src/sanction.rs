//! Sanctions: written down first, so that they hold for whoever joins, and then told to the relay,
//! so that they hold at once. A relay that does not hear of it learns it with the player's next
//! join; the record's outcome tells the difference.

use edge::http::{Call, Response};
use edge::ports::{Clock, Entropy, RelayLink, Timer, Variables};
use edge::sanctions::{Sanction, sanction};
use edge::store::Store;
use edge::{Metered, Refusal, config, directory, relays};
use wire::control::ControlCommand;
use wire::moderation::{MAX_SANCTION_S, SanctionRequest};
use wire::problem::ProblemKind;
use wire::{PlayerId, PlayerKey, RoomKey, RoomName};

use crate::authenticate;

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
    let of = (kind, &about.player);
    sanction(host, store, now_ms, &about.room, of, until_ms).await?;
    // Nobody is there who could be let in.
    if (kind, until_ms) == (Sanction::Ban, None) {
        return Ok(Response::empty(call.route.status));
    }
    let command = |room, player| match kind {
        Sanction::Mute => ControlCommand::Mute {
            room,
            player,
            until_ms,
        },
        Sanction::Ban => ControlCommand::Kick { room, player },
    };
    tell(host, store, call, &about, command).await
}

/// `DELETE /v1/rooms/{room}/players/{player}`.
pub(crate) async fn kick<H, S>(
    host: &H,
    store: &Metered<'_, S>,
    call: &Call<'_>,
) -> Result<Response, Refusal>
where
    H: Clock + Entropy + Variables + RelayLink,
    S: Store,
{
    let about = About::read(call)?;
    let command = |room, player| ControlCommand::Kick { room, player };
    tell(host, store, call, &about, command).await
}

impl About {
    fn read(call: &Call<'_>) -> Result<Self, Refusal> {
        let (claims, room) = authenticate(call)?;
        let player = call.parameter(1)?;
        if !claims.moderates(&room) {
            let detail = "Get a token from the game that grants moderate in all channels of it.";
            return Err(Refusal::new(ProblemKind::NotModerator, detail));
        }
        Ok(Self { room, player })
    }
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

/// Tells the room's relay, if there is one.
async fn tell<H, S>(
    host: &H,
    store: &Metered<'_, S>,
    call: &Call<'_>,
    about: &About,
    command: impl FnOnce(RoomKey, PlayerKey) -> ControlCommand,
) -> Result<Response, Refusal>
where
    H: Clock + Entropy + Variables + RelayLink,
    S: Store,
{
    let mut response = Response::empty(call.route.status);
    let Some(seat) = directory::seat(store, host.now_ms(), &about.room).await? else {
        response.outcome = "relay-unknown";
        return Ok(response);
    };
    let heartbeat = &seat.shard.heartbeat;
    let players = config::player_secret(host).await?;
    let player = players.player_key(&about.player, heartbeat.epoch & 0x0f);
    let command = command(RoomKey::of(&about.room), player);
    let secret = config::control_secret(host).await?;
    let outcome = relays::send(host, &secret, heartbeat.into(), command).await;
    response.outcome = outcome.label();
    Ok(response)
}
