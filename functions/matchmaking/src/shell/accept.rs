//! Accepting a match.

use edge::Refusal;
use edge::http::Response;
use edge::store::{Condition, Store, StoreError};
use wire::matching::AcceptRequest;
use wire::problem::ProblemKind;
use wire::routes::{ACCEPT, MATCH_STATE};

use super::Ports;
use super::caller::{Caller, MAX_ATTEMPTS, conflict};
use super::formed::{Formed, Phase};

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
    let mut formed = caller.formed_of_path().await?;
    let request: AcceptRequest = caller.call.body()?;
    if formed.team_of(caller.me()).is_none() {
        return Err(not_in_match());
    }
    let queue = formed.first()?.queue.clone();
    for attempt in 0..MAX_ATTEMPTS {
        caller.pause(attempt).await;
        match formed.phase(0) {
            Some(Phase::Ready) => {
                caller.note_match(&formed).await?;
                let reply = caller.match_reply(&formed).await?;
                return Ok(Response::json(ACCEPT.status, &reply));
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
        caller.answer(&formed, request.accept).await?;
        formed = caller.formed(&formed.id).await?;
        if formed.accepts.values().any(|accepted| !accepted) {
            caller.abandon(&queue, &formed, 0, false).await?;
            if !request.accept {
                let formed = caller.formed(&formed.id).await?;
                let reply = caller.match_reply(&formed).await?;
                return Ok(Response::json(ACCEPT.status, &reply));
            }
        } else if all_accepted(&formed) && caller.decide(&formed, 0, Phase::Ready).await? {
            caller.open_room(&formed.id, formed.first()?).await;
        } else if matches!(formed.phase(0), Some(Phase::Proposed(_))) && !all_accepted(&formed) {
            let reply = caller.match_reply(&formed).await?;
            return Ok(Response::json(ACCEPT.status, &reply));
        }
        formed = caller.formed(&formed.id).await?;
    }
    Err(conflict())
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
        let condition = match accepts {
            true => Condition::Absent,
            false => Condition::Always,
        };
        match self
            .keep_of_match(&formed.id, &sort, &accepts, condition)
            .await
        {
            Ok(_) | Err(StoreError::ConditionFailed) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
