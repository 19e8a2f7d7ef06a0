//! Results and ratings.

use std::collections::BTreeSet;

use edge::Refusal;
use edge::change::unless_lost;
use edge::http::Response;
use edge::items::Over;
use edge::store::Store;
use wire::PlayerId;
use wire::claims::Role;
use wire::matching::{Rating, RatingChange, RatingReply, ResultReply, ResultRequest};
use wire::routes::{RATING, RESULT};

use super::Ports;
use super::caller::{Caller, body_invalid};
use super::formed::{Body, Formed, Noted, Outcome};
use super::player::{Player, Rated};
use super::spectate::not_running;
use super::ticket::{Member, TicketRef};
use crate::ratings::{TeamResult, after};
use crate::ticket as core;

/// `POST /v1/match/matches/{match}/result`. The first report counts; the same again finishes what
/// it left half done.
pub(super) async fn report<H: Ports, S: Store>(
    caller: &Caller<'_, H, S>,
) -> Result<Response, Refusal> {
    let mut formed = caller.formed_of_path().await?;
    let request: ResultRequest = caller.call.body()?;
    if formed.outcome.is_none() {
        if !formed.is_running() {
            return Err(not_running());
        }
        let outcome = caller.outcome(&formed, &request).await?;
        let absent = Over::NOTHING;
        let written = caller
            .keep_of_match(&formed.id, "result", &outcome, absent)
            .await;
        match unless_lost(written)? {
            Some(_) => formed.outcome = Some(outcome),
            None => formed = caller.formed(&formed.id).await?,
        }
    }
    let changes = formed
        .outcome
        .as_ref()
        .map_or(&[][..], |outcome| &outcome.changes);
    if !formed.is_rated {
        caller.conclude(&formed, changes).await?;
        caller
            .keep_of_match(&formed.id, "rated", &Noted, Over::ANYTHING)
            .await?;
    }
    let reply = ResultReply {
        ratings: changes.to_vec(),
    };
    Ok(Response::json(RESULT.status, &reply))
}

impl<H: Ports, S: Store> Caller<'_, H, S> {
    async fn outcome(&self, formed: &Formed, request: &ResultRequest) -> Result<Outcome, Refusal> {
        let body = formed.first()?;
        let teams = formed.rated_teams();
        let names: BTreeSet<&str> = teams.iter().map(|(name, _)| name.as_str()).collect();
        let ranked: BTreeSet<&str> = request.ranks.keys().map(String::as_str).collect();
        if names != ranked {
            return Err(body_invalid(
                "Give each team of the match its place, by its name.",
            ));
        }
        let left: BTreeSet<&PlayerId> = request.left.iter().collect();
        let stayed = |member: &&Member| !left.contains(&member.id);
        let members = teams.iter().flat_map(|(_, members)| members).copied();
        let ids: Vec<&PlayerId> = members.filter(stayed).map(|member| &member.id).collect();
        let known = self.players(&ids).await?;
        let mut before: Vec<Vec<(PlayerId, Rated)>> = Vec::new();
        let mut results = Vec::new();
        for (name, members) in &teams {
            let mut players = Vec::new();
            for member in members.iter().copied().filter(stayed) {
                let unknown = Player::default();
                let player = known.get(&member.id).unwrap_or(&unknown);
                players.push((member.id.clone(), player.rating(&body.queue)));
            }
            results.push(TeamResult {
                players: players
                    .iter()
                    .map(|(_, rated)| core_rating(*rated))
                    .collect(),
                rank: request.ranks[name],
            });
            before.push(players);
        }
        // A team of which nobody is left, or a single team, changes no rating.
        let changed = after(&results, body.beta).unwrap_or_default();
        let pairs = before.iter().flatten().zip(changed.iter().flatten());
        let changes = pairs.map(|((player, rated), after)| RatingChange {
            player: player.clone(),
            before: (*rated).into(),
            after: Rating {
                mu: after.mu,
                sigma: after.sigma,
            },
        });
        Ok(Outcome {
            changes: changes.collect(),
        })
    }

    /// Puts the changes into the players' ratings, each once, and lets everybody queue again. What
    /// other matches did to a rating meanwhile stays.
    async fn conclude(&self, formed: &Formed, changes: &[RatingChange]) -> Result<(), Refusal> {
        for body in formed.ready() {
            for party in body.teams.iter().flat_map(|team| &team.tickets) {
                let at = TicketRef::parse(&body.queue, &party.ticket)?;
                for member in &party.players {
                    let change = changes.iter().find(|change| change.player == member.id);
                    self.change_player(&member.id, |player| {
                        let rated = change.is_some_and(|change| rate(player, formed, body, change));
                        let seated = player.seat.as_ref().is_some_and(|seat| at.is(seat));
                        (seated && player.end(&at)) || rated
                    })
                    .await?;
                }
            }
        }
        Ok(())
    }
}

/// Whether that changed anything.
fn rate(player: &mut Player, formed: &Formed, body: &Body, change: &RatingChange) -> bool {
    if player.note_rated(&formed.id) {
        return false;
    }
    let now = player.rating(&body.queue);
    let rated = Rated {
        mu: now.mu + change.after.mu - change.before.mu,
        sigma: now.sigma * change.after.sigma / change.before.sigma,
        n: now.n + 1,
    };
    player.ratings.insert(body.queue.clone(), rated);
    true
}

fn core_rating(rated: Rated) -> core::Rating {
    core::Rating {
        mu: rated.mu,
        sigma: rated.sigma,
    }
}

/// `GET /v1/match/queues/{queue}/ratings/{player}`.
pub(super) async fn rating<H: Ports, S: Store>(
    caller: &Caller<'_, H, S>,
) -> Result<Response, Refusal> {
    let queue = caller.queue_of_path().await?;
    let player: PlayerId = caller.call.parameter(1)?;
    if player != *caller.me() {
        caller.call.caller()?.check_role(Role::GameServer)?;
    }
    let known = caller.player(&player).await?;
    let rated = known
        .map(|held| held.value)
        .unwrap_or_default()
        .rating(&queue.name);
    let reply = RatingReply {
        player,
        rating: rated.into(),
        matches: rated.n,
    };
    Ok(Response::json(RATING.status, &reply))
}
