//! Parties: queueing up, joining, and going.

use edge::Refusal;
use edge::change::{unless_lost, until_done};
use edge::http::Response;
use edge::items::{Held, Over};
use edge::store::Store;
use wire::matching::{MAX_PARTY, PlayerDetails, TicketEnd, TicketPlayer, TicketRequest};
use wire::problem::ProblemKind;
use wire::routes::{CANCEL, JOIN_PARTY, QUEUE_UP};
use wire::{ModeName, PlayerId};

use super::Ports;
use super::caller::{Caller, body_invalid};
use super::details::{core_ticket, known};
use super::formed::{Formed, Gone};
use super::player::{NEWCOMER, Player, ended};
use super::queue::Queue;
use super::settle::Standing;
use super::ticket::{Member, State, Ticket, TicketRef};
use crate::rules::RuleSet;

/// `POST /v1/match/queues/{queue}/tickets`.
pub(super) async fn queue_up<H: Ports, S: Store>(
    caller: &Caller<'_, H, S>,
) -> Result<Response, Refusal> {
    let queue = caller.queue_of_path().await?;
    let request: TicketRequest = caller.call.body()?;
    caller.check_party(&queue, &request)?;
    let (me, now_ms) = (caller.me(), caller.now_ms);
    let mut at = TicketRef::new(&queue.name, queue.shards, now_ms, me, &request.key);
    let mut ticket = Ticket {
        players: Vec::new(),
        modes: modes_of(&queue, &request),
        since_ms: 0,
        state: State::Gathering,
    };
    // Everything that can be wrong is found before any seat is taken.
    let mut known = Vec::new();
    for TicketPlayer { player, details } in &request.players {
        let held = caller.player(player).await?;
        let rated = held.as_ref().map(|held| held.value.rating(&queue.name));
        let details = match details {
            Some(asked) => Some(
                caller
                    .details(player, asked, rated.unwrap_or(NEWCOMER))
                    .await?,
            ),
            None => None,
        };
        let id = player.clone();
        ticket.players.push(Member { id, details });
        known.push(held);
    }
    start(&queue, &at, &mut ticket, now_ms)?;
    let is_old = caller.seat_party(&mut at, &ticket.players, known).await?;
    // An old seat whose ticket is gone is of a ticket that ended.
    if is_old && caller.ticket(&at).await?.is_none() {
        return Err(ended());
    }
    // A retry finds what the first try wrote.
    let written = unless_lost(caller.keep_ticket(&at, &ticket, Over::NOTHING).await)?;
    let absent = ticket
        .players
        .iter()
        .filter(|member| member.details.is_none());
    let absent: Vec<PlayerId> = absent.map(|member| member.id.clone()).collect();
    caller.invite(&absent, &at).await?;
    let written = written.map(|version| Held::written(ticket, version));
    let reply = caller.look(&at, written).await?;
    Ok(Response::json(QUEUE_UP.status, &reply))
}

/// `PUT /v1/match/queues/{queue}/tickets/{ticket}/party`.
pub(super) async fn join<H: Ports, S: Store>(
    caller: &Caller<'_, H, S>,
) -> Result<Response, Refusal> {
    let queue = caller.queue_of_path().await?;
    let at = caller.ticket_of_path()?;
    let asked: PlayerDetails = caller.call.body()?;
    let written = until_done(caller.host, || try_join(caller, &queue, &at, &asked));
    let reply = caller.look(&at, written.await?).await?;
    Ok(Response::json(JOIN_PARTY.status, &reply))
}

/// The ticket with him in it; none inside when it did not wait for him.
async fn try_join<H: Ports, S: Store>(
    caller: &Caller<'_, H, S>,
    queue: &Queue,
    at: &TicketRef,
    asked: &PlayerDetails,
) -> Result<Option<Option<Held<Ticket>>>, Refusal> {
    let held = caller.ticket_of_party(at).await?;
    if !held.value.waits_for(caller.me()) {
        return Ok(Some(None));
    }
    let known = caller.player(caller.me()).await?;
    let rated = known.as_ref().map(|held| held.value.rating(&queue.name));
    let rated = rated.unwrap_or(NEWCOMER);
    let details = caller.details(caller.me(), asked, rated).await?;
    let (over, kept, mut ticket) = (held.over(), held.kept, held.value);
    for member in &mut ticket.players {
        if member.id == *caller.me() {
            member.details = Some(details.clone());
        }
    }
    start(queue, at, &mut ticket, caller.now_ms)?;
    let (seated, _) = caller.take_seat(caller.me(), at, known).await?;
    if seated != *at {
        return Err(ended());
    }
    let written = unless_lost(caller.keep_ticket(at, &ticket, over).await)?;
    let written = written.map(|version| Held {
        kept,
        ..Held::written(ticket, version)
    });
    Ok(written.map(Some))
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

/// The modes that a request asks for; when it names none, all that take parties of its size.
fn modes_of(queue: &Queue, request: &TicketRequest) -> Vec<ModeName> {
    if !request.modes.is_empty() {
        return request.modes.clone();
    }
    let players = request.players.len();
    let takes =
        |rules: &RuleSet| (rules.party.min as usize..=rules.party.max as usize).contains(&players);
    // Where none does, all are asked for: why not is told of the modes one by one.
    let any = queue.modes.iter().any(takes);
    let wanted = queue.modes.iter().filter(|rules| takes(rules) || !any);
    wanted.map(|rules| rules.mode.clone()).collect()
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
    until_done(caller.host, || try_end(caller, &at, only_leader)).await?;
    Ok(Response::empty(CANCEL.status))
}

async fn try_end<H: Ports, S: Store>(
    caller: &Caller<'_, H, S>,
    at: &TicketRef,
    only_leader: bool,
) -> Result<Option<()>, Refusal> {
    let held = match caller.ticket_of_party(at).await {
        Ok(held) => held,
        // Cancelled twice, or after it expired: it is as he wants it.
        Err(refusal) if refusal.kind == ProblemKind::TicketExpired => {
            caller.leave_seat(at).await?;
            return Ok(Some(()));
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
    let players = held.value.players.iter().map(|member| &member.id);
    match caller.end_once(at, &held).await? {
        End::Changed => return Ok(None),
        End::Done => {
            for player in players {
                caller.end_seat(player, at).await?;
            }
        }
        End::Plays(formed) => {
            let all = only_leader || caller.is_game_server();
            let goes = players.filter(|player| all || *player == caller.me());
            caller.leave(*formed, at, goes.cloned().collect()).await?;
        }
    }
    Ok(Some(()))
}

/// What came of ending a ticket.
enum End {
    /// It has changed since it was read.
    Changed,
    Done,
    /// It led to a match, which is left instead.
    Plays(Box<Formed>),
}

impl<H: Ports, S: Store> Caller<'_, H, S> {
    /// Seats those of a party whose details are there. The first may have a ticket of an earlier
    /// try, which is then the party's. Whether such a try must have come to its end by now.
    async fn seat_party(
        &self,
        at: &mut TicketRef,
        members: &[Member],
        known: Vec<Option<Held<Player>>>,
    ) -> Result<bool, Refusal> {
        let mut any_is_old = false;
        for (number, (member, held)) in members.iter().zip(known).enumerate() {
            if member.details.is_none() {
                continue;
            }
            let refusal = match self.take_seat(&member.id, at, held).await {
                Ok((seated, is_old)) if number == 0 || seated == *at => {
                    *at = seated;
                    any_is_old |= is_old;
                    continue;
                }
                Ok(_) => ended(),
                Err(refusal) => refusal,
            };
            // After a fault the seats stay: a retry goes on with them.
            if refusal.kind.status() < 500 {
                self.leave_seats(&members[..number], at).await?;
            }
            return Err(refusal);
        }
        Ok(any_is_old)
    }

    /// Takes players out of a running match, and then from their seats.
    async fn leave(
        &self,
        formed: Formed,
        at: &TicketRef,
        players: Vec<PlayerId>,
    ) -> Result<(), Refusal> {
        if formed.is_running() {
            self.note_gone(formed, Gone::Quit, &players).await?;
        }
        for player in &players {
            self.end_seat(player, at).await?;
        }
        Ok(())
    }

    /// Ends the caller's part in a ticket that is gone, and in the match that it led to.
    async fn leave_seat(&self, at: &TicketRef) -> Result<(), Refusal> {
        let seat = self
            .player(self.me())
            .await?
            .and_then(|held| held.value.seat);
        let found = seat.filter(|seat| at.is(seat)).and_then(|seat| seat.found);
        match found {
            Some(id) => {
                let formed = self.formed(&id).await?;
                self.leave(formed, at, vec![self.me().clone()]).await
            }
            None => self.end_seat(self.me(), at).await,
        }
    }

    /// Ends a ticket as it was read.
    async fn end_once(&self, at: &TicketRef, held: &Held<Ticket>) -> Result<End, Refusal> {
        if let State::Claimed(claim) = &held.value.state {
            return match self.standing(&at.queue, claim).await? {
                Standing::Ready(formed) => Ok(End::Plays(Box::new(formed))),
                Standing::Proposed(formed) => {
                    self.answer(&formed, false).await?;
                    let formed = self.formed(&formed.id).await?;
                    self.abandon(&at.queue, &formed, claim.part, false).await?;
                    Ok(End::Changed)
                }
                Standing::Undecided => {
                    let formed = self.formed(&claim.id).await?;
                    if formed.phase(claim.part).is_none() {
                        self.abandon(&at.queue, &formed, claim.part, false).await?;
                    }
                    Ok(End::Changed)
                }
                Standing::Abandoned => Ok(End::Changed),
            };
        }
        if let State::Ended(_) = held.value.state {
            return Ok(End::Done);
        }
        let ended = held.value.ended(TicketEnd::Cancelled);
        let written = unless_lost(self.keep_ticket(at, &ended, held.over()).await)?;
        Ok(written.map_or(End::Changed, |_| End::Done))
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
        if request.modes.iter().any(|mode| queue.mode(mode).is_none()) {
            return Err(unknown_mode());
        }
        let named = queue.modes.iter();
        let named = named.filter(|rules| request.modes.contains(&rules.mode));
        let most = match request.modes.is_empty() {
            true => queue.modes.iter().map(|rules| rules.party.max).max(),
            false => named.map(|rules| rules.party.max).min(),
        };
        let most = (most.unwrap_or(0) as usize).min(MAX_PARTY);
        if players.len() > most {
            let detail = format!("The modes take parties of up to {most} players.");
            return Err(Refusal::new(ProblemKind::PartyTooLarge, detail));
        }
        Ok(())
    }

    /// Leaves the seats that a refused request has taken, once its ticket cannot come to be.
    async fn leave_seats(&self, members: &[Member], at: &TicketRef) -> Result<(), Refusal> {
        if members.is_empty() {
            return Ok(());
        }
        let tombstone = Ticket::tombstone(TicketEnd::Cancelled);
        let put = self.keep_ticket(at, &tombstone, Over::NOTHING).await;
        if unless_lost(put)?.is_none() {
            // An earlier try made it: it lives, and they have their seats.
            return Ok(());
        }
        for member in members.iter().filter(|member| member.details.is_some()) {
            self.end_seat(&member.id, at).await?;
        }
        Ok(())
    }
}
