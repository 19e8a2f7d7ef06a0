//! What came of a match, and the ratings after it.

use std::collections::BTreeSet;

use edge::Refusal;
use edge::change::unless_lost;
use edge::http::{Call, Response};
use edge::items::Over;
use edge::ports::{Entropy, Timer};
use edge::store::Store;
use wire::PlayerId;
use wire::matching::{Rating, RatingChange, ResultReply, ResultRequest};
use wire::routes::RESULT;

use crate::ratings::{TeamResult, after};
use crate::shell::formed::{self, Body, Formed, MatchResult, Noted};
use crate::shell::player::{self, Rated, StoredPlayer};
use crate::shell::refusals::{body_invalid, not_running};
use crate::shell::ticket::{Member, TicketRef};
use crate::ticket as core;

/// `POST /v1/match/matches/{match}/result`. The first report counts; the same again finishes what
/// it left half done.
pub(super) async fn report(
    host: &(impl Entropy + Timer),
    store: &impl Store,
    call: &Call<'_>,
) -> Result<Response, Refusal> {
    let now_ms = call.caller()?.now_ms;
    let mut formed = formed::of_path(store, now_ms, call).await?;
    let request: ResultRequest = call.body()?;
    if formed.result.is_none() {
        if !formed.is_running() {
            return Err(not_running());
        }
        let (result, absent) = (
            result(store, now_ms, &formed, &request).await?,
            Over::NOTHING,
        );
        let written = formed::keep(store, now_ms, &formed.id, "result", &result, absent).await;
        match unless_lost(written)? {
            Some(_) => formed.result = Some(result),
            None => formed = formed::get(store, now_ms, &formed.id).await?,
        }
    }
    let changes = formed
        .result
        .as_ref()
        .map_or(&[][..], |result| &result.changes);
    if !formed.is_rated {
        conclude(host, store, now_ms, &formed, changes).await?;
        let always = Over::ANYTHING;
        formed::keep(store, now_ms, &formed.id, "rated", &Noted, always).await?;
    }
    let reply = ResultReply {
        ratings: changes.to_vec(),
    };
    Ok(Response::json(RESULT.status, &reply))
}

async fn result(
    store: &impl Store,
    now_ms: u64,
    formed: &Formed,
    request: &ResultRequest,
) -> Result<MatchResult, Refusal> {
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
    let known = player::get_many(store, now_ms, &ids).await?;
    let mut before: Vec<Vec<(PlayerId, Rated)>> = Vec::new();
    let mut results = Vec::new();
    for (name, members) in &teams {
        let mut players = Vec::new();
        for member in members.iter().copied().filter(stayed) {
            let unknown = StoredPlayer::default();
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
    Ok(MatchResult {
        changes: changes.collect(),
    })
}

/// Puts the changes into the players' ratings, each once, and lets everybody queue again. What
/// other matches did to a rating meanwhile stays.
async fn conclude(
    host: &(impl Entropy + Timer),
    store: &impl Store,
    now_ms: u64,
    formed: &Formed,
    changes: &[RatingChange],
) -> Result<(), Refusal> {
    for body in formed.ready() {
        for party in body.parties() {
            let at = TicketRef::parse(&body.queue, &party.ticket)?;
            for member in &party.players {
                let change = changes.iter().find(|change| change.player == member.id);
                player::change(host, store, now_ms, &member.id, |player| {
                    let rated = change.is_some_and(|change| rate(player, formed, body, change));
                    let seated = player.seat.as_ref().is_some_and(|seat| seat.is_of(&at));
                    (seated && player.end(&at)) || rated
                })
                .await?;
            }
        }
    }
    Ok(())
}

/// Whether that changed anything.
fn rate(player: &mut StoredPlayer, formed: &Formed, body: &Body, change: &RatingChange) -> bool {
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
