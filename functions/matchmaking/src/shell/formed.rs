//! Matches as the store keeps them, in a partition each.
//!
//! | sort | holds | written |
//! |---|---|---|
//! | `body#PP` | who plays where, of part PP | once, before any ticket is claimed for it |
//! | `phase#PP` | what was decided of it | if absent, then by compare-and-swap |
//! | `accept#PLAYER` | yes or no | by the player |
//! | `left` | who is gone | by a game server |
//! | `quit` | who has left, and is rated all the same | by himself |
//! | `result` | what became of the ratings | once |
//! | `rated` | that all ratings have it | after that |
//! | `watch#PLAYER` | a spectator | by the spectator |
//!
//! Part 0 is the match as it was formed; later parts are players who came in place of others.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow::{self, Break, Continue};

use edge::Refusal;
use edge::change::{unless_lost, until_done_from};
use edge::http::Call;
use edge::items::{self, Held, Over, Stored};
use edge::ports::{Entropy, Timer};
use edge::store::{Key, Store, StoreError};
use serde::{Deserialize, Serialize};
use wire::matching::{MatchQuality, ROOM_PREFIX, RatingChange};
use wire::problem::ProblemKind;
use wire::until::Watch;
use wire::{ChannelName, MatchId, ModeName, PlayerId, QueueName, RegionName, RoomName, TicketId};

use super::ticket::Member;

/// How long a match is remembered, in milliseconds.
pub(super) const MATCH_TTL_MS: u64 = 6 * 60 * 60 * 1000;
/// Most items of one match.
const MAX_ITEMS: usize = 1_000;
/// Longest time from the first claim to the decision, in milliseconds; then anybody may abandon
/// the match.
pub(super) const FORM_MS: u64 = 10_000;

/// Players of a match who came together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Body {
    #[serde(rename = "q")]
    pub(super) queue: QueueName,
    #[serde(rename = "m")]
    pub(super) mode: ModeName,
    /// Version of the queue's rules.
    #[serde(rename = "v")]
    pub(super) version: u32,
    #[serde(rename = "r")]
    pub(super) region: RegionName,
    #[serde(rename = "a")]
    pub(super) at_ms: u64,
    /// Until when it takes players in place of others, Unix milliseconds; 0 if it never does.
    #[serde(rename = "b", default)]
    pub(super) backfill_until_ms: u64,
    /// Scale of the ratings.
    #[serde(rename = "s")]
    pub(super) beta: f64,
    #[serde(rename = "t")]
    pub(super) teams: Vec<Team>,
    #[serde(rename = "y")]
    pub(super) quality: MatchQuality,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Team {
    #[serde(rename = "n")]
    pub(super) name: String,
    #[serde(rename = "t")]
    pub(super) tickets: Vec<Party>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Party {
    #[serde(rename = "t")]
    pub(super) ticket: TicketId,
    /// Without details: see [`super::substitutes`].
    #[serde(rename = "p")]
    pub(super) players: Vec<Member>,
}

/// What was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Phase {
    /// All must accept until then, Unix milliseconds.
    #[serde(rename = "p")]
    Proposed(u64),
    #[serde(rename = "r")]
    Ready,
    #[serde(rename = "a")]
    Abandoned {
        /// Because not all answered, rather than because one declined or it could not be formed.
        #[serde(rename = "t")]
        timed_out: bool,
    },
}

/// The result as it was first reported.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct MatchResult {
    pub(super) changes: Vec<RatingChange>,
}

edge::stored!(match_body: Body);
edge::stored!(match_phase: Phase);
edge::stored!(match_result: MatchResult);

/// Whether a player accepts the match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Accepts(pub(super) bool);

edge::stored!(match_accept: Accepts);

/// Players who left.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Absent(pub(super) BTreeSet<PlayerId>);

edge::stored!(match_absent: Absent);

/// That something is so: its key says what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Noted;

edge::stored!(match_note: Noted);

/// Everything that is kept of a match.
#[derive(Debug, Clone)]
pub(super) struct Formed {
    pub(super) id: MatchId,
    pub(super) bodies: BTreeMap<u32, Body>,
    pub(super) phases: BTreeMap<u32, Held<Phase>>,
    pub(super) accepts: BTreeMap<PlayerId, bool>,
    pub(super) left: Option<Held<Absent>>,
    pub(super) quit: Option<Held<Absent>>,
    pub(super) result: Option<MatchResult>,
    /// Whether the result is in all ratings.
    pub(super) is_rated: bool,
    pub(super) watchers: BTreeSet<PlayerId>,
}

impl Body {
    pub(super) fn parties(&self) -> impl Iterator<Item = &Party> {
        self.teams.iter().flat_map(|team| &team.tickets)
    }
}

impl Formed {
    /// The match as it was formed.
    ///
    /// # Errors
    /// `unknown-match`.
    pub(super) fn first(&self) -> Result<&Body, Refusal> {
        self.bodies.get(&0).ok_or_else(|| {
            Refusal::new(
                ProblemKind::UnknownMatch,
                "Give the match as a ticket's reply has named it; it is forgotten after six hours.",
            )
        })
    }

    pub(super) fn phase(&self, part: u32) -> Option<Phase> {
        self.phases.get(&part).map(|held| held.value)
    }

    /// The parts that came to be.
    pub(super) fn ready(&self) -> impl Iterator<Item = &Body> {
        let ready = |part: u32| self.phase(part) == Some(Phase::Ready);
        let bodies = self.bodies.iter();
        bodies
            .filter(move |(part, _)| ready(**part))
            .map(|(_, body)| body)
    }

    /// Parts of which nothing is decided yet.
    pub(super) fn undecided(&self) -> impl Iterator<Item = (u32, &Body)> {
        let bodies = self.bodies.iter().map(|(part, body)| (*part, body));
        bodies.filter(|(part, _)| self.phase(*part).is_none())
    }

    pub(super) fn is_running(&self) -> bool {
        self.phase(0) == Some(Phase::Ready) && self.result.is_none()
    }

    pub(super) fn has_left(&self, player: &PlayerId) -> bool {
        let of = |held: &Option<Held<Absent>>| {
            held.as_ref()
                .is_some_and(|held| held.value.0.contains(player))
        };
        of(&self.left) || of(&self.quit)
    }

    /// The teams as they are now: those of the formed match, with whom came later and without who
    /// left.
    pub(super) fn teams(&self) -> Vec<(String, Vec<&Member>)> {
        self.teams_of(|player| !self.has_left(player))
    }

    /// The teams as the result counts for them: who left on his own does not escape it.
    pub(super) fn rated_teams(&self) -> Vec<(String, Vec<&Member>)> {
        let excused = self.left.as_ref().map(|held| &held.value.0);
        self.teams_of(|player| excused.is_none_or(|left| !left.contains(player)))
    }

    fn teams_of(&self, counts: impl Fn(&PlayerId) -> bool) -> Vec<(String, Vec<&Member>)> {
        let names = self.bodies.get(&0).map_or(&[][..], |body| &body.teams);
        let joined = |name: &str| {
            self.bodies
                .iter()
                .filter(|(part, _)| **part == 0 || self.phase(**part) == Some(Phase::Ready))
                .flat_map(|(_, body)| &body.teams)
                .filter(|team| team.name == name)
                .flat_map(|team| &team.tickets)
                .flat_map(|party| &party.players)
                .filter(|member| counts(&member.id))
                .collect()
        };
        names
            .iter()
            .map(|team| (team.name.clone(), joined(&team.name)))
            .collect()
    }

    /// The team of a player who is there.
    pub(super) fn team_of(&self, player: &PlayerId) -> Option<String> {
        let mut teams = self.teams().into_iter();
        let team = teams.find(|(_, members)| members.iter().any(|member| member.id == *player));
        team.map(|(name, _)| name)
    }

    /// Whether a player belongs to it, playing or watching.
    pub(super) fn has(&self, player: &PlayerId) -> bool {
        self.team_of(player).is_some() || self.watchers.contains(player)
    }

    /// Whether a party of an abandoned match goes on waiting: nobody of it declined, and nobody of
    /// it kept the others waiting in vain.
    pub(super) fn goes_on(&self, timed_out: bool, players: &[Member]) -> bool {
        players
            .iter()
            .all(|member| match self.accepts.get(&member.id) {
                Some(accepted) => *accepted,
                None => !timed_out,
            })
    }
}

/// How a player went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gone {
    /// A game server says so; the result does not count for him.
    Left,
    /// On his own.
    Quit,
}

/// The room of a match.
pub(super) fn room_of(id: &MatchId) -> RoomName {
    RoomName::new(format!("{ROOM_PREFIX}{id}")).expect("of its alphabet and length")
}

/// The voice and chat channel of a team: its name in the alphabet of channels, and its number if
/// that changes anything, so that no two teams share one.
pub(super) fn channel_of(at: usize, team: &str) -> ChannelName {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let text: String = team.chars().filter(|c| plain(*c)).take(20).collect();
    let name = if text == team && !text.is_empty() {
        format!("team-{text}")
    } else {
        format!("team-{text}.{at}")
    };
    ChannelName::new(name).expect("of its alphabet and length")
}

/// From the first to the last sort key.
const ALL: (&str, &str) = ("a", "~");

fn partition(id: &MatchId) -> String {
    format!("match#{id}")
}

/// Everything that is kept of a match, to be told of changes.
pub(super) fn watch(id: &MatchId) -> Watch {
    let (from, to) = ALL;
    Watch {
        partition: partition(id),
        from: from.into(),
        to: to.into(),
    }
}

/// Everything that is kept of a match; empty when nothing is.
pub(super) async fn get(
    store: &impl Store,
    now_ms: u64,
    id: &MatchId,
) -> Result<Formed, StoreError> {
    let mut formed = Formed {
        id: id.clone(),
        bodies: BTreeMap::new(),
        phases: BTreeMap::new(),
        accepts: BTreeMap::new(),
        left: None,
        quit: None,
        result: None,
        is_rated: false,
        watchers: BTreeSet::new(),
    };
    let partition = partition(id);
    for item in items::range(store, now_ms, &partition, ALL, MAX_ITEMS).await? {
        let (kind, rest) = item.sort.split_once('#').unwrap_or((&item.sort, ""));
        let part = || rest.parse().unwrap_or(u32::MAX);
        match kind {
            "body" => {
                let body = Held::read(&partition, &item)?.value;
                formed.bodies.insert(part(), body);
            }
            "phase" => {
                let phase = Held::read(&partition, &item)?;
                formed.phases.insert(part(), phase);
            }
            "left" => formed.left = Some(Held::read(&partition, &item)?),
            "quit" => formed.quit = Some(Held::read(&partition, &item)?),
            "result" => formed.result = Some(Held::read(&partition, &item)?.value),
            "rated" => formed.is_rated = true,
            "accept" => {
                if let Ok(player) = PlayerId::new(rest) {
                    let Accepts(accepts) = Held::read(&partition, &item)?.value;
                    formed.accepts.insert(player, accepts);
                }
            }
            "watch" => formed.watchers.extend(PlayerId::new(rest).ok()),
            _ => {}
        }
    }
    Ok(formed)
}

/// The match of the path.
///
/// # Errors
/// `unknown-match`.
pub(super) async fn of_path(
    store: &impl Store,
    now_ms: u64,
    call: &Call<'_>,
) -> Result<Formed, Refusal> {
    let id: MatchId = call.parameter(0)?;
    let formed = get(store, now_ms, &id).await?;
    formed.first()?;
    Ok(formed)
}

/// Writes an item of a match.
pub(super) async fn keep<T: Stored>(
    store: &impl Store,
    now_ms: u64,
    id: &MatchId,
    sort: &str,
    value: &T,
    over: Over,
) -> Result<u64, StoreError> {
    let partition = partition(id);
    let (key, expires) = (Key::new(&partition, sort), Some(now_ms + MATCH_TTL_MS));
    items::put(store, now_ms, key, value, expires, over).await
}

/// Moves a part of a match on from the phase in `formed`. Whether it was still in that. What is
/// ready or abandoned stays so.
pub(super) async fn decide(
    store: &impl Store,
    now_ms: u64,
    formed: &Formed,
    part: u32,
    phase: Phase,
) -> Result<bool, StoreError> {
    let before = formed.phases.get(&part);
    if before.is_some_and(|held| !matches!(held.value, Phase::Proposed(_))) {
        return Ok(false);
    }
    let (sort, over) = (phase_sort(part), Over::read(before));
    let written = keep(store, now_ms, &formed.id, &sort, &phase, over).await;
    Ok(unless_lost(written)?.is_some())
}

/// Notes a player's answer. The first one counts, unless it was yes and becomes no.
pub(super) async fn answer(
    store: &impl Store,
    now_ms: u64,
    id: &MatchId,
    player: &PlayerId,
    accepts: bool,
) -> Result<(), StoreError> {
    let over = match accepts {
        true => Over::NOTHING,
        false => Over::ANYTHING,
    };
    let sort = format!("accept#{player}");
    unless_lost(keep(store, now_ms, id, &sort, &Accepts(accepts), over).await)?;
    Ok(())
}

/// Notes that players are gone, those who are there; the match as it is then.
pub(super) async fn note_gone(
    host: &(impl Entropy + Timer),
    store: &impl Store,
    now_ms: u64,
    formed: Formed,
    how: Gone,
    players: &[PlayerId],
) -> Result<Formed, Refusal> {
    until_done_from(host, formed, |formed| {
        try_note_gone(store, now_ms, formed, how, players)
    })
    .await
}

async fn try_note_gone(
    store: &impl Store,
    now_ms: u64,
    formed: Formed,
    how: Gone,
    players: &[PlayerId],
) -> Result<ControlFlow<Formed, Formed>, Refusal> {
    let (sort, held, teams) = match how {
        // One who left on his own may be excused afterwards.
        Gone::Left => ("left", &formed.left, formed.rated_teams()),
        Gone::Quit => ("quit", &formed.quit, formed.teams()),
    };
    let mut all = held
        .as_ref()
        .map_or_else(Absent::default, |held| held.value.clone());
    let here = |player: &&PlayerId| {
        let mut members = teams.iter().flat_map(|(_, members)| members);
        members.any(|member| member.id == **player)
    };
    let known = all.0.len();
    all.0.extend(players.iter().filter(here).cloned());
    if all.0.len() == known {
        return Ok(Break(formed));
    }
    let over = Over::read(held.as_ref());
    unless_lost(keep(store, now_ms, &formed.id, sort, &all, over).await)?;
    Ok(Continue(get(store, now_ms, &formed.id).await?))
}

pub(super) fn body_sort(part: u32) -> String {
    format!("body#{part:02}")
}

pub(super) fn phase_sort(part: u32) -> String {
    format!("phase#{part:02}")
}
