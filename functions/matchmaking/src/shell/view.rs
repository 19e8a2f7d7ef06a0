//! A ticket and its match as replies; asking for a ticket is also what drives the matching.

use edge::Refusal;
use edge::change::unless_lost;
use edge::http::Response;
use edge::items::Held;
use edge::store::{Store, StoreError};
use edge::{config, token};
use wire::claims::{Claims, Grant, Permission, Profile};
use wire::limits::MAX_CHANNELS;
use wire::matching::{
    ALL_CHANNEL, MatchReply, MatchSeat, MatchStatus, MatchTeam, Member, SPECTATORS_CHANNEL,
    TicketReply, TicketStatus,
};
use wire::routes::TICKET_STATE;
use wire::{ChannelName, PlayerId};

use super::Ports;
use super::caller::Caller;
use super::formed::{Formed, Phase, channel_of, room_of};
use super::pool::Revealed;
use super::settle::Standing;
use super::ticket::{State, TICKET_TTL_MS, Ticket, TicketRef};

/// How long a token for a match is good, in seconds.
const TOKEN_S: u64 = 60 * 60;
/// Shortest and longest time after which a waiting client asks again, in milliseconds. In between,
/// a third of what it has waited.
const POLL_MS: (u64, u64) = (1_000, 3_000);
/// The same while its match is being formed or accepted.
const POLL_SOON_MS: u64 = 500;

/// `GET /v1/match/queues/{queue}/tickets/{ticket}`.
pub(super) async fn show<H: Ports, S: Store>(
    caller: &Caller<'_, H, S>,
) -> Result<Response, Refusal> {
    let at = caller.ticket_of_path()?;
    let reply = caller.look(&at, None).await?;
    Ok(Response::json(TICKET_STATE.status, &reply))
}

impl<H: Ports, S: Store> Caller<'_, H, S> {
    /// What became of a ticket, which is `written` when the caller has just written it. If it
    /// waits, does the pass of its shard when that is due.
    pub(super) async fn look(
        &self,
        at: &TicketRef,
        written: Option<Held<Ticket>>,
    ) -> Result<TicketReply, Refusal> {
        let is_new = written.is_some();
        let mut held = match written {
            Some(held) => held,
            None => self.ticket_of_party(at).await?,
        };
        let mut typical_wait_s = None;
        if held.value.state == State::Waiting {
            let lease = self.lease(&at.queue, at.shard).await?;
            typical_wait_s = lease.as_ref().and_then(|held| held.value.typical_wait_s());
            let passed = match self.reveal(&at.queue, at, lease).await? {
                // A pass that fails is somebody else's next; this ticket is as it was.
                Revealed::Is(lease) => {
                    let driven = self.drive(&at.queue, at.shard, lease).await;
                    driven.unwrap_or(None)
                }
                Revealed::NotYet => None,
            };
            if passed.is_some_and(|formed| formed > 0) {
                held = self.ticket_of_party(at).await?;
            }
        }
        let mut standing = None;
        if let State::Claimed(claim) = &held.value.state {
            standing = Some(self.standing(&at.queue, claim).await?);
            if matches!(standing, Some(Standing::Abandoned)) {
                held = self.ticket_of_party(at).await?;
            }
        }
        if !is_new {
            self.renew(at, &held).await?;
        }
        let mut reply = self.reply(at, &held.value);
        reply.typical_wait_s = typical_wait_s;
        match standing {
            Some(Standing::Undecided) => reply.poll_after_ms = Some(POLL_SOON_MS),
            Some(Standing::Proposed(formed)) => {
                reply.status = TicketStatus::Proposed;
                reply.poll_after_ms = Some(2 * POLL_SOON_MS);
                reply.found = Some(self.match_reply(&formed).await?);
            }
            Some(Standing::Ready(formed)) => {
                reply.status = TicketStatus::Matched;
                self.note_match(&formed).await?;
                reply.poll_after_ms = None;
                reply.found = Some(self.match_reply(&formed).await?);
            }
            Some(Standing::Abandoned) | None => {}
        }
        Ok(reply)
    }

    /// Lets everybody find the match again, which outlives its tickets: a player whose own client
    /// never asked must not be free for another one. Whoever asks first does it, himself last, so
    /// that it is done again if it was done by half.
    pub(super) async fn note_match(&self, formed: &Formed) -> Result<(), Refusal> {
        let mine = self
            .player(self.me())
            .await?
            .and_then(|held| held.value.seat);
        if mine.is_some_and(|seat| seat.found.as_ref() == Some(&formed.id)) {
            return Ok(());
        }
        let mut all = Vec::new();
        for body in formed.ready() {
            for party in body.teams.iter().flat_map(|team| &team.tickets) {
                let at = TicketRef::parse(&body.queue, &party.ticket)?;
                all.extend(party.players.iter().map(|member| (at.clone(), &member.id)));
            }
        }
        all.sort_by_key(|(_, player)| *player == self.me());
        for (at, player) in all
            .into_iter()
            .filter(|(_, player)| !formed.has_left(player))
        {
            self.change_player(player, |known| known.note_match(&at, &formed.id))
                .await?;
        }
        Ok(())
    }

    /// Keeps a ticket alive whose time is half over.
    async fn renew(&self, at: &TicketRef, held: &Held<Ticket>) -> Result<(), StoreError> {
        let waits = matches!(held.value.state, State::Waiting | State::Gathering);
        let left_ms = held.expires_at_ms.unwrap_or(0).saturating_sub(self.now_ms);
        if !waits || left_ms > TICKET_TTL_MS / 2 {
            return Ok(());
        }
        // Whoever changed it renewed it.
        unless_lost(self.keep_ticket(at, &held.value, held.over()).await)?;
        Ok(())
    }

    fn reply(&self, at: &TicketRef, ticket: &Ticket) -> TicketReply {
        let waited_ms = self.now_ms.saturating_sub(ticket.since_ms);
        let poll_ms = (waited_ms / 3).clamp(POLL_MS.0, POLL_MS.1);
        let (status, ended, poll_after_ms) = match &ticket.state {
            State::Gathering => (TicketStatus::Gathering, None, Some(POLL_MS.0)),
            State::Waiting | State::Claimed(_) => (TicketStatus::Waiting, None, Some(poll_ms)),
            State::Ended(end) => (TicketStatus::Ended, Some(*end), None),
            State::Backfill(_) => (TicketStatus::Ended, None, None),
        };
        let member = |member: &super::ticket::Member| Member {
            player: member.id.clone(),
            joined: member.details.is_some() || !matches!(ticket.state, State::Gathering),
        };
        TicketReply {
            ticket: at.id(),
            queue: at.queue.clone(),
            modes: ticket.modes.clone(),
            status,
            players: ticket.players.iter().map(member).collect(),
            since_ms: (ticket.since_ms > 0).then_some(ticket.since_ms),
            now_ms: self.now_ms,
            poll_after_ms,
            typical_wait_s: None,
            ended,
            found: None,
        }
    }

    /// A match, with a seat for the caller if he plays in it or watches.
    pub(super) async fn match_reply(&self, formed: &Formed) -> Result<MatchReply, Refusal> {
        let body = formed.first()?;
        let (status, accept_until_ms) = match formed.phase(0) {
            _ if formed.outcome.is_some() => (MatchStatus::Over, None),
            Some(Phase::Ready) => (MatchStatus::Ready, None),
            Some(Phase::Proposed(until_ms)) => (MatchStatus::Proposed, Some(until_ms)),
            Some(Phase::Abandoned { .. }) | None => (MatchStatus::Abandoned, None),
        };
        let accepted = formed.accepts.iter().filter(|(_, accepted)| **accepted);
        let accepted = accepted.map(|(player, _)| player.clone()).collect();
        let teams = formed.teams().into_iter().enumerate();
        let team =
            |(at, (name, members)): (usize, (String, Vec<&super::ticket::Member>))| MatchTeam {
                channel: channel_of(at, &name),
                name,
                players: members.iter().map(|member| member.id.clone()).collect(),
            };
        let mut reply = MatchReply {
            id: formed.id.clone(),
            queue: body.queue.clone(),
            mode: body.mode.clone(),
            rules_version: body.version,
            region: body.region.clone(),
            room: room_of(&formed.id),
            status,
            formed_at_ms: body.at_ms,
            accept_until_ms,
            accepted: if accept_until_ms.is_some() {
                accepted
            } else {
                Vec::new()
            },
            teams: teams.map(team).collect(),
            quality: body.quality.clone(),
            seat: None,
        };
        if status == MatchStatus::Ready {
            reply.seat = self.match_seat(formed, &reply.teams).await?;
        }
        Ok(reply)
    }

    async fn match_seat(
        &self,
        formed: &Formed,
        teams: &[MatchTeam],
    ) -> Result<Option<MatchSeat>, Refusal> {
        let own = teams.iter().find(|team| team.players.contains(self.me()));
        let speak = [Permission::Speak, Permission::Listen, Permission::Chat];
        let grants: Vec<(ChannelName, Vec<Permission>)> = match own {
            // All read what a player writes to everybody; nobody of the other team hears him.
            Some(team) => vec![
                (team.channel.clone(), speak.to_vec()),
                (
                    name(ALL_CHANNEL),
                    vec![Permission::Listen, Permission::Chat],
                ),
            ],
            None if formed.watchers.contains(self.me()) => {
                // Of more teams than he may have channels, he hears the first.
                let hears = [name(ALL_CHANNEL)].into_iter();
                let hears = hears.chain(teams.iter().map(|team| team.channel.clone()));
                let hears = hears.map(|channel| (channel, vec![Permission::Listen]));
                [(name(SPECTATORS_CHANNEL), speak.to_vec())]
                    .into_iter()
                    .chain(hears)
                    .collect()
            }
            None => return Ok(None),
        };
        let channels: Vec<ChannelName> = grants
            .iter()
            .take(MAX_CHANNELS)
            .map(|(channel, _)| channel.clone())
            .collect();
        let expires_at = self.now_ms / 1000 + TOKEN_S;
        let grant = |(channel, permissions): (ChannelName, Vec<Permission>)| Grant {
            room: room_of(&formed.id).to_string(),
            channels: vec![channel.to_string()],
            permissions,
        };
        let claims = Claims {
            sub: self.me().clone(),
            aud: config::audience(self.host).await?,
            exp: expires_at,
            nbf: None,
            iat: Some(self.now_ms / 1000),
            name: self.claims.name.clone(),
            profile: Profile {
                ..self.claims.profile
            },
            role: None,
            grants: grants.into_iter().take(MAX_CHANNELS).map(grant).collect(),
        };
        let key = config::edge_token_secret(self.host).await?;
        Ok(Some(MatchSeat {
            token: token::sign_as_edge(&claims, &key),
            expires_at,
            channels,
        }))
    }

    /// Whether a player belongs to a match, playing or watching.
    pub(super) fn is_of_match(&self, formed: &Formed, player: &PlayerId) -> bool {
        formed.team_of(player).is_some() || formed.watchers.contains(player)
    }
}

fn name(text: &'static str) -> ChannelName {
    ChannelName::new(text).expect("of its alphabet")
}
