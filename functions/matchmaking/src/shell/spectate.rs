//! Spectators: they hear all teams and have a channel of their own. Who may watch is the game's
//! decision, because he hears both sides: his token must grant it.

use edge::Refusal;
use edge::http::Response;
use edge::items::Over;
use edge::store::Store;
use wire::ChannelName;
use wire::matching::{MAX_SPECTATORS, SPECTATORS_CHANNEL};
use wire::problem::ProblemKind;
use wire::routes::SPECTATE;
use wire::ticket::Permissions;

use super::Ports;
use super::caller::Caller;
use super::formed::{Noted, room_of};

/// `POST /v1/match/matches/{match}/spectators`. Two who come in the same moment may both get the
/// last seat.
pub(super) async fn spectate<H: Ports, S: Store>(
    caller: &Caller<'_, H, S>,
) -> Result<Response, Refusal> {
    let mut formed = caller.formed_of_path().await?;
    let channel = ChannelName::new(SPECTATORS_CHANNEL).expect("of its alphabet");
    let granted = caller.claims.permissions(&room_of(&formed.id), &channel);
    if !granted.contains(Permissions::LISTEN) {
        return Err(Refusal::new(
            ProblemKind::ChannelNotGranted,
            "Get a token from the game that grants the channel spectators of the match's room.",
        ));
    }
    if !formed.is_running() {
        return Err(not_running());
    }
    if !caller.is_of_match(&formed, caller.me()) {
        if formed.watchers.len() >= MAX_SPECTATORS {
            let detail = format!("A match takes {MAX_SPECTATORS} spectators.");
            return Err(Refusal::new(ProblemKind::LimitReached, detail));
        }
        let sort = format!("watch#{}", caller.me());
        caller
            .keep_of_match(&formed.id, &sort, &Noted, Over::ANYTHING)
            .await?;
        formed.watchers.insert(caller.me().clone());
    }
    let reply = caller.match_reply(&formed).await?;
    Ok(Response::json(SPECTATE.status, &reply))
}

pub(super) fn not_running() -> Refusal {
    Refusal::new(
        ProblemKind::MatchNotRunning,
        "The match is over, or not all have accepted it.",
    )
}
