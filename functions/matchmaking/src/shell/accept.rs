//! Accepting a match.

use std::ops::ControlFlow::{self, Break, Continue};

use edge::Refusal;
use edge::change::{unless_lost, until_done_from};
use edge::http::Response;
use edge::items::Over;
use edge::store::Store;
use wire::matching::AcceptRequest;
use wire::problem::ProblemKind;
use wire::routes::{ACCEPT, MATCH_STATE};

use super::Ports;
use super::caller::{Caller, conflict};
use super::formed::{Accepts, Formed, Phase};

/// `GET /v1/match/matches/{match}`.
pub(super) async fn show<H: Ports, S: Store>(
    caller: &Caller<'_, H, S>,
) -> Result<Response, Refusal> {
    let mut formed = caller.formed_of_path().await?;
    if !caller.is_game_server() && !caller.is_of_match(&formed, caller.me()) {
        return Err(not_in_match());
    }
    if let Some(Phase::Proposed(until_ms)) = formed.phase(0)
        && until_ms <= caller.now_ms
    {
        let queue = formed.first()?.queue.clone();
        caller.abandon(&queue, &formed, 0, true).await?;
        formed = caller.formed(&formed.id).await?;
    }
    let reply = caller.match_reply(&formed).await?;
    Ok(Response::json(MATCH_STATE.status, &reply))
}

fn not_in_match() -> Refusal {
    Refusal::new(
        ProblemKind::NotInMatch,
        "Only who plays in the match, or watches it, may do this.",
    )
}

fn not_accepted() -> Refusal {
    Refusal::new(
        ProblemKind::NotAccepted,
        "The match was not accepted by all in time; ask for the ticket, which may wait again.",
    )
}

/// `POST /v1/match/matches/{match}/acceptance`.
pub(super) async fn accept<H: Ports, S: Store>(
    caller: &Caller<'_, H, S>,
) -> Result<Response, Refusal> {
    let formed = caller.formed_of_path().await?;
    let request: AcceptRequest = caller.call.body()?;
    if formed.team_of(caller.me()).is_none() {
        return Err(not_in_match());
    }
    until_done_from(caller.host, formed, |formed| {
        try_accept(caller, formed, request.accept)
    })
    .await
}

async fn try_accept<H: Ports, S: Store>(
    caller: &Caller<'_, H, S>,
    formed: Formed,
    accepts: bool,
) -> Result<ControlFlow<Response, Formed>, Refusal> {
    let queue = formed.first()?.queue.clone();
    match formed.phase(0) {
        Some(Phase::Ready) => {
            caller.note_match(&formed).await?;
            return answered(caller, &formed).await;
        }
        Some(Phase::Proposed(until_ms)) if caller.now_ms < until_ms => {}
        Some(Phase::Proposed(_)) => {
            caller.abandon(&queue, &formed, 0, true).await?;
            return Err(not_accepted());
        }
        Some(Phase::Abandoned { timed_out }) => {
            caller.release(&queue, &formed, 0, timed_out).await?;
            return Err(not_accepted());
        }
        None => return Err(conflict()),
    }
    caller.answer(&formed, accepts).await?;
    let formed = caller.formed(&formed.id).await?;
    if formed.accepts.values().any(|accepted| !accepted) {
        caller.abandon(&queue, &formed, 0, false).await?;
        if !accepts {
            return answered(caller, &caller.formed(&formed.id).await?).await;
        }
    } else if all_accepted(&formed) && caller.decide(&formed, 0, Phase::Ready).await? {
        caller.open_room(&formed.id, formed.first()?).await;
    } else if matches!(formed.phase(0), Some(Phase::Proposed(_))) && !all_accepted(&formed) {
        return answered(caller, &formed).await;
    }
    Ok(Continue(caller.formed(&formed.id).await?))
}

async fn answered<H: Ports, S: Store>(
    caller: &Caller<'_, H, S>,
    formed: &Formed,
) -> Result<ControlFlow<Response, Formed>, Refusal> {
    let reply = caller.match_reply(formed).await?;
    Ok(Break(Response::json(ACCEPT.status, &reply)))
}

fn all_accepted(formed: &Formed) -> bool {
    let teams = formed.teams();
    let mut members = teams.iter().flat_map(|(_, members)| members);
    members.all(|member| formed.accepts.get(&member.id) == Some(&true))
}

impl<H: Ports, S: Store> Caller<'_, H, S> {
    /// Notes the caller's answer. The first one counts, unless it was yes and becomes no.
    pub(super) async fn answer(&self, formed: &Formed, accepts: bool) -> Result<(), Refusal> {
        let sort = format!("accept#{}", self.me());
        let over = match accepts {
            true => Over::NOTHING,
            false => Over::ANYTHING,
        };
        unless_lost(
            self.keep_of_match(&formed.id, &sort, &Accepts(accepts), over)
                .await,
        )?;
        Ok(())
    }
}
