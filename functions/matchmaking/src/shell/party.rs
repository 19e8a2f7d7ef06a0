//! Parties: queueing up, joining, and going.

use edge::Refusal;
use edge::http::Response;
use edge::store::{Condition, Store, StoreError};
use wire::PlayerId;
use wire::matching::{MAX_PARTY, PlayerDetails, TicketEnd, TicketPlayer, TicketRequest};
use wire::problem::ProblemKind;
use wire::routes::{CANCEL, JOIN_PARTY, QUEUE_UP};

use super::Ports;
use super::caller::{Caller, MAX_ATTEMPTS, body_invalid, conflict};
use super::details::{core_ticket, known};
use super::items::Held;
use super::player::{Taken, ended};
use super::queue::Queue;
use super::settle::Standing;
use super::ticket::{Member, State, Ticket, TicketRef};

/// `POST /v1/match/queues/{queue}/tickets`.
pub(super) async fn queue_up<H: Ports, S: Store>(
    caller: &Caller<'_, H, S>,
) -> Result<Response, Refusal> {
    let queue = caller.queue_of_path().await?;
    let request: TicketRequest = caller.call.body()?;
    caller.check_party(&queue, &request)?;
    let wanted = TicketRef::new(
        &queue.name,
        queue.shards,
        caller.now_ms,
        caller.me(),
        &request.key,
    );
    let mut at = wanted;
    let mut players: Vec<Member> = Vec::with_capacity(request.players.len());
    let mut is_old = false;
    for TicketPlayer { player, details } in &request.players {
        let details = match details {
            None => None,
            Some(details) => {
                let taken = match caller.take_seat(player, &at).await {
                    Ok(taken) => taken,
                    Err(refusal) => {
                        caller.leave_seats(&players, &at).await;
                        return Err(refusal);
                    }
                };
                let Taken {
                    player: known,
                    ticket,
                    is_old: old,
                } = taken;
                if !players.is_empty() && ticket != at {
                    caller.leave_seats(&players, &at).await;
                    return Err(ended());
                }
                (at, is_old) = (ticket, is_old || old);
                let rated = known.rating(&queue.name);
                Some(caller.details(player, details, rated).await?)
            }
        };
        let id = player.clone();
        players.push(Member { id, details });
    }
    let modes = match request.modes.is_empty() {
        true => queue.modes.iter().map(|rules| rules.mode.clone()).collect(),
        false => request.modes,
    };
    let mut ticket = Ticket {
        players,
        modes,
        since_ms: 0,
        state: State::Gathering,
    };
    if let Err(refusal) = start(&queue, &at, &mut ticket, caller.now_ms) {
        caller.leave_seats(&ticket.players, &at).await;
        return Err(refusal);
    }
    // An old seat whose ticket is gone is of a ticket that ended.
    if is_old && caller.ticket(&at).await?.is_none() {
        return Err(ended());
    }
    match caller.keep_ticket(&at, &ticket, Condition::Absent).await {
        // A retry finds what the first try wrote.
        Ok(_) | Err(StoreError::ConditionFailed) => {}
        Err(error) => return Err(error.into()),
    }
    let absent = ticket
        .players
        .iter()
        .filter(|member| member.details.is_none());
    let absent: Vec<PlayerId> = absent.map(|member| member.id.clone()).collect();
    caller.invite(&absent, &at).await?;
    let reply = caller.look(&queue, &at, true).await?;
    Ok(Response::json(QUEUE_UP.status, &reply))
}

/// `PUT /v1/match/queues/{queue}/tickets/{ticket}/party`.
pub(super) async fn join<H: Ports, S: Store>(
    caller: &Caller<'_, H, S>,
) -> Result<Response, Refusal> {
    let queue = caller.queue_of_path().await?;
    let at = caller.ticket_of_path()?;
    let asked: PlayerDetails = caller.call.body()?;
    for attempt in 0..MAX_ATTEMPTS {
        caller.pause(attempt).await;
        let held = caller.ticket_of_party(&at).await?;
        if held.value.state != State::Gathering || has_joined(&held.value, caller.me()) {
            break;
        }
        let taken = caller.take_seat(caller.me(), &at).await?;
        if taken.ticket != at {
            return Err(ended());
        }
        let rated = taken.player.rating(&queue.name);
        let details = caller.details(caller.me(), &asked, rated).await?;
        let mut ticket = held.value;
        for member in &mut ticket.players {
            if member.id == *caller.me() {
                member.details = Some(details.clone());
            }
        }
        if let Err(refusal) = start(&queue, &at, &mut ticket, caller.now_ms) {
            caller.stand_up(caller.me(), &at).await;
            return Err(refusal);
        }
        match caller
            .keep_ticket(&at, &ticket, Condition::Version(held.version))
            .await
        {
            Ok(_) => break,
            Err(StoreError::ConditionFailed) if attempt + 1 < MAX_ATTEMPTS => {}
            Err(error) => return Err(error.into()),
        }
    }
    let reply = caller.look(&queue, &at, true).await?;
    Ok(Response::json(JOIN_PARTY.status, &reply))
}

fn has_joined(ticket: &Ticket, player: &PlayerId) -> bool {
    let mut members = ticket.players.iter();
    members.any(|member| member.id == *player && member.details.is_some())
}

/// Begins the wait if all have joined and the party can be matched at all.
fn start(queue: &Queue, at: &TicketRef, ticket: &mut Ticket, now_ms: u64) -> Result<(), Refusal> {
    if ticket.players.iter().any(|member| member.details.is_none()) {
        return Ok(());
    }
    let core = core_ticket(at, ticket, &known(ticket.players.iter()));
    for mode in &ticket.modes {
        let rules = queue.mode(mode).ok_or_else(unknown_mode)?;
        core.check(rules).map_err(|fault| {
            let detail = format!("The party cannot play {mode}: {fault}.");
            Refusal::new(ProblemKind::TicketInvalid, detail)
        })?;
    }
    ticket.since_ms = now_ms;
    ticket.state = State::Waiting;
    Ok(())
}

fn unknown_mode() -> Refusal {
    Refusal::new(
        ProblemKind::UnknownMode,
        "Name modes of the queue, or none for all of them.",
    )
}

/// `DELETE` of a ticket, or of the caller's place in it.
pub(super) async fn end<H: Ports, S: Store>(
    caller: &Caller<'_, H, S>,
    only_leader: bool,
) -> Result<Response, Refusal> {
    let at = caller.ticket_of_path()?;
    for attempt in 0..MAX_ATTEMPTS {
        caller.pause(attempt).await;
        let held = match caller.ticket_of_party(&at).await {
            Ok(held) => held,
            // Cancelled twice, or after it expired: it is as he wants it.
            Err(refusal) if refusal.kind == ProblemKind::TicketExpired => {
                caller.end_seat(caller.me(), &at).await?;
                return Ok(Response::empty(CANCEL.status));
            }
            Err(refusal) => return Err(refusal),
        };
        let is_leader = held.value.leader() == Some(caller.me());
        if only_leader && !is_leader && !caller.is_game_server() {
            return Err(Refusal::new(
                ProblemKind::NotLeader,
                "Leave the party instead, or ask its leader.",
            ));
        }
        if caller.end_once(&at, &held).await? {
            for member in &held.value.players {
                caller.end_seat(&member.id, &at).await?;
            }
            return Ok(Response::empty(CANCEL.status));
        }
    }
    Err(conflict())
}

impl<H: Ports, S: Store> Caller<'_, H, S> {
    /// Ends a ticket as it was read. Whether that is done; if not, it has changed.
    async fn end_once(&self, at: &TicketRef, held: &Held<Ticket>) -> Result<bool, Refusal> {
        if let State::Claimed(claim) = &held.value.state {
            return match self.standing(&at.queue, claim).await? {
                // A match is left by leaving its seat.
                Standing::Ready(_) => Ok(true),
                Standing::Proposed(formed) => {
                    self.answer(&formed, false).await?;
                    let formed = self.formed(&formed.id).await?;
                    self.abandon(&at.queue, &formed, claim.part, false).await?;
                    Ok(false)
                }
                Standing::Undecided => {
                    let formed = self.formed(&claim.id).await?;
                    if formed.phase(claim.part).is_none() {
                        self.abandon(&at.queue, &formed, claim.part, false).await?;
                    }
                    Ok(false)
                }
                Standing::Abandoned => Ok(false),
            };
        }
        if let State::Ended(_) = held.value.state {
            return Ok(true);
        }
        let ended = held.value.ended(TicketEnd::Cancelled);
        match self
            .keep_ticket(at, &ended, Condition::Version(held.version))
            .await
        {
            Ok(_) => Ok(true),
            Err(StoreError::ConditionFailed) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// A ticket of the caller's party; game servers see all.
    pub(super) async fn ticket_of_party(&self, at: &TicketRef) -> Result<Held<Ticket>, Refusal> {
        let held = self.ticket(at).await?.ok_or_else(ended)?;
        if self.is_game_server() || held.value.has(self.me()) {
            return Ok(held);
        }
        if held.value.players.is_empty() {
            return Err(ended());
        }
        Err(Refusal::new(
            ProblemKind::NotInParty,
            "Only players of the party may do this.",
        ))
    }

    fn check_party(&self, queue: &Queue, request: &TicketRequest) -> Result<(), Refusal> {
        let players = &request.players;
        let Some(first) = players.first() else {
            return Err(body_invalid(
                "Name the players of the party, its leader first.",
            ));
        };
        let twice = |at: usize| {
            players[..at]
                .iter()
                .any(|other| other.player == players[at].player)
        };
        if (0..players.len()).any(twice) {
            return Err(body_invalid("Name each player once."));
        }
        if self.is_game_server() {
            if players.iter().any(|player| player.details.is_none()) {
                return Err(body_invalid("Give the details of every player."));
            }
        } else {
            let others = players
                .iter()
                .skip(1)
                .any(|player| player.details.is_some());
            if first.player != *self.me() || first.details.is_none() || others {
                return Err(body_invalid(
                    "Name yourself first, with your details, and the others without: they join.",
                ));
            }
        }
        let modes = || {
            queue
                .modes
                .iter()
                .filter(|rules| request.modes.is_empty() || request.modes.contains(&rules.mode))
        };
        if request.modes.iter().any(|mode| queue.mode(mode).is_none()) {
            return Err(unknown_mode());
        }
        let most = modes()
            .map(|rules| rules.party.max as usize)
            .min()
            .unwrap_or(0);
        if players.len() > most.min(MAX_PARTY) {
            let most = most.min(MAX_PARTY);
            let detail = format!("The modes take parties of up to {most} players.");
            return Err(Refusal::new(ProblemKind::PartyTooLarge, detail));
        }
        Ok(())
    }

    /// Leaves the seats that a refused request has taken.
    async fn leave_seats(&self, players: &[Member], at: &TicketRef) {
        for member in players.iter().filter(|member| member.details.is_some()) {
            self.stand_up(&member.id, at).await;
        }
    }
}
