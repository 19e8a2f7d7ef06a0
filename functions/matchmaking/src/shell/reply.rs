//! Tickets and matches as replies.

use edge::ports::Variables;
use edge::{Caller, Refusal, config, token};
use wire::claims::{Grant, Permission};
use wire::limits::MAX_CHANNELS;
use wire::matching::{
    ALL_CHANNEL, MatchReply, MatchSeat, MatchStatus, MatchTeam, Member, SPECTATORS_CHANNEL,
    TicketReply, TicketStatus,
};
use wire::{ChannelName, PlayerId};

use super::formed::{Formed, Phase, channel_of, room_of};
use super::ticket::{self, State, StoredTicket, TicketRef};

/// How long a token for a match is good at most, in seconds; never longer than the caller's own.
const TOKEN_S: u64 = 60 * 60;
/// Shortest and longest time after which a waiting client asks again, in milliseconds. In between,
/// a third of what it has waited.
const POLL_MS: (u64, u64) = (1_000, 3_000);

/// A ticket, without what became of it.
pub(super) fn of_ticket(now_ms: u64, at: &TicketRef, ticket: &StoredTicket) -> TicketReply {
    let waited_ms = now_ms.saturating_sub(ticket.since_ms);
    let poll_ms = (waited_ms / 3).clamp(POLL_MS.0, POLL_MS.1);
    let (status, ended, poll_after_ms) = match &ticket.state {
        State::Gathering => (TicketStatus::Gathering, None, Some(POLL_MS.0)),
        State::Waiting | State::Claimed(_) => (TicketStatus::Waiting, None, Some(poll_ms)),
        State::Ended(end) => (TicketStatus::Ended, Some(*end), None),
        State::Backfill(_) => (TicketStatus::Ended, None, None),
    };
    let member = |member: &ticket::Member| Member {
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
        now_ms,
        poll_after_ms,
        typical_wait_s: None,
        ended,
        found: None,
    }
}

/// A match, with a seat for the caller if he plays in it or watches.
pub(super) async fn of_match(
    host: &impl Variables,
    caller: &Caller,
    formed: &Formed,
) -> Result<MatchReply, Refusal> {
    let body = formed.first()?;
    let (status, accept_until_ms) = match formed.phase(0) {
        _ if formed.result.is_some() => (MatchStatus::Over, None),
        Some(Phase::Ready) => (MatchStatus::Ready, None),
        Some(Phase::Proposed(until_ms)) => (MatchStatus::Proposed, Some(until_ms)),
        Some(Phase::Abandoned { .. }) | None => (MatchStatus::Abandoned, None),
    };
    let accepted = formed.accepts.iter().filter(|(_, accepted)| **accepted);
    let accepted = accepted.map(|(player, _)| player.clone()).collect();
    let teams = formed.teams().into_iter().enumerate();
    let team = |(at, (name, members)): (usize, (String, Vec<&ticket::Member>))| MatchTeam {
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
        let grants = grants(caller.me(), formed, &reply.teams);
        reply.seat = match grants.is_empty() {
            true => None,
            false => Some(seat(host, caller, formed, grants).await?),
        };
    }
    Ok(reply)
}

/// What a player may do in which channels of a match; nothing if he neither plays nor watches. Of
/// more teams than he may have channels, a spectator hears the first.
fn grants(
    me: &PlayerId,
    formed: &Formed,
    teams: &[MatchTeam],
) -> Vec<(ChannelName, Vec<Permission>)> {
    let speak = [Permission::Speak, Permission::Listen, Permission::Chat];
    let own = teams.iter().find(|team| team.players.contains(me));
    let mut grants = match own {
        // All read what a player writes to everybody; nobody of the other team hears him.
        Some(team) => vec![
            (team.channel.clone(), speak.to_vec()),
            (
                name(ALL_CHANNEL),
                vec![Permission::Listen, Permission::Chat],
            ),
        ],
        None if formed.watchers.contains(me) => {
            let hears = [name(ALL_CHANNEL)].into_iter();
            let hears = hears.chain(teams.iter().map(|team| team.channel.clone()));
            let hears = hears.map(|channel| (channel, vec![Permission::Listen]));
            [(name(SPECTATORS_CHANNEL), speak.to_vec())]
                .into_iter()
                .chain(hears)
                .collect()
        }
        None => Vec::new(),
    };
    grants.truncate(MAX_CHANNELS);
    grants
}

async fn seat(
    host: &impl Variables,
    caller: &Caller,
    formed: &Formed,
    grants: Vec<(ChannelName, Vec<Permission>)>,
) -> Result<MatchSeat, Refusal> {
    let channels = grants.iter().map(|(channel, _)| channel.clone()).collect();
    let grant = |(channel, permissions): (ChannelName, Vec<Permission>)| Grant {
        room: room_of(&formed.id).to_string(),
        channels: vec![channel.to_string()],
        permissions,
    };
    let claims = caller.lent(TOKEN_S, grants.into_iter().map(grant).collect());
    let key = config::edge_token_secret(host).await?;
    Ok(MatchSeat {
        token: token::sign_as_edge(&claims, &key),
        expires_at: claims.exp,
        channels,
    })
}

fn name(text: &'static str) -> ChannelName {
    ChannelName::new(text).expect("of its alphabet")
}
