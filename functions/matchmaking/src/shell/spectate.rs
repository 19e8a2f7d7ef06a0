//! Spectators: they hear everybody's channel and have one of their own.

use edge::Refusal;
use edge::http::Response;
use edge::store::{Condition, Store};
use wire::matching::MAX_SPECTATORS;
use wire::problem::ProblemKind;
use wire::routes::SPECTATE;

use super::Ports;
use super::caller::Caller;

/// `POST /v1/match/matches/{match}/spectators`. Two who come in the same moment may both get the
/// last seat.
pub(super) async fn spectate<H: Ports, S: Store>(
    caller: &Caller<'_, H, S>,
) -> Result<Response, Refusal> {
    let mut formed = caller.formed_of_path().await?;
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
            .keep_of_match(&formed.id, &sort, &(), Condition::Always)
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
