//! The table of every partition key: how many there are at a million players, and what the hottest
//! one takes a second. The file [`FILE`] is made of it.

use std::fmt::Write as _;
use std::path::PathBuf;

use edge::testing::{READS_PER_S, Units, WRITES_PER_S};

use crate::demand::{
    ASKS, BUSY, ENROL_S, EVACUATION_S, EVENT_MESSAGES_PER_S, EVENT_PLAYERS, FUNCTION_S,
    HEARTBEATS_PER_S, JOINS_PER_H, LANES, MATCH_PLAYERS, MESSAGES_PER_H, NEW_ROOMS, PLAYERS,
    ROUTE_S, SHARD_PLAYERS, TICKETS_PER_H, WATCHERS_PER_MIN, WORLD_SHARE, busy, busy_in_region,
    passes_per_s, readers, region_shards, rows, shards, thousands,
};
use crate::measure::{Measured, Operation};

/// Where the table is, from the root of the repository.
pub const FILE: &str = "infra/ops/CAPACITY.md";
/// The lines between which it is.
const MARKS: (&str, &str) = ("<!-- partitions -->", "<!-- end of partitions -->");

/// Requests of one kind that meet in the hottest partition.
#[derive(Debug, Clone)]
pub struct Source {
    operation: Operation,
    /// How many a second.
    per_s: f64,
    /// Where the number comes from.
    formula: &'static str,
}

/// A kind of partitions.
#[derive(Debug, Clone)]
pub struct Row {
    /// Its name, as in [`crate::measure::KINDS`].
    pub kind: &'static str,
    /// How many there are at a million players.
    count: String,
    /// Which is the hottest.
    hottest: &'static str,
    sources: Vec<Source>,
}

/// What the hottest partition of a kind takes a second.
#[derive(Debug, Clone, Copy)]
pub struct Heat {
    /// Read units.
    pub reads: f64,
    /// Write units.
    pub writes: f64,
}

impl Heat {
    /// The larger share of a limit; above 1 requests are refused.
    pub fn share(self) -> f64 {
        let reads = self.reads / f64::from(READS_PER_S);
        reads.max(self.writes / f64::from(WRITES_PER_S))
    }
}

impl Row {
    /// What its hottest partition takes.
    pub fn heat(&self, measured: &Measured) -> Heat {
        let mut heat = Heat {
            reads: 0.0,
            writes: 0.0,
        };
        for source in &self.sources {
            let units = measured.of(source.operation, self.kind);
            heat.reads += source.per_s * units.reads as f64;
            heat.writes += source.per_s * units.writes as f64;
        }
        heat
    }

    /// `556 (joins: 2 an hour) x 1 r`, and so on.
    fn formula(&self, measured: &Measured) -> String {
        let mut parts = Vec::new();
        for source in &self.sources {
            let Units { reads, writes, .. } = measured.of(source.operation, self.kind);
            let mut units = Vec::new();
            if reads > 0 {
                units.push(format!("{reads} r"));
            }
            if writes > 0 {
                units.push(format!("{writes} w"));
            }
            if !units.is_empty() {
                let per_s = significant(source.per_s);
                parts.push(format!("{per_s} {} x {}", source.formula, units.join(" ")));
            }
        }
        parts.join("; ")
    }
}

fn source(operation: Operation, per_s: f64, formula: &'static str) -> Source {
    Source {
        operation,
        per_s,
        formula,
    }
}

fn row(
    kind: &'static str,
    count: impl Into<String>,
    hottest: &'static str,
    sources: Vec<Source>,
) -> Row {
    Row {
        kind,
        count: count.into(),
        hottest,
        sources,
    }
}

/// Every kind of partition.
pub fn table(measured: &Measured) -> Vec<Row> {
    let mut rows = region_rows(measured);
    rows.extend(room_rows());
    rows.extend(chat_rows());
    rows.extend(player_rows());
    rows.extend(match_rows());
    rows.extend(rare_rows());
    rows.sort_by_key(|row| row.kind);
    rows
}

fn region_rows(measured: &Measured) -> Vec<Row> {
    use Operation::{Heartbeat, Join, NewRoom, PostAfterAWhile, Summary, WorldPost};
    let (buckets, fullest) = (measured.buckets.len() as f64, measured.fullest() as f64);
    let share = fullest / region_shards() as f64;
    let joins = busy_in_region(JOINS_PER_H);
    let world = busy_in_region(MESSAGES_PER_H * WORLD_SHARE);
    let messages = busy_in_region(MESSAGES_PER_H);
    let of_a_bucket = || {
        vec![
            source(
                Heartbeat,
                fullest * HEARTBEATS_PER_S,
                "heartbeats of its shards",
            ),
            source(
                Join,
                joins * share,
                "joins of the region, by its share of the shards",
            ),
            source(Join, EVENT_PLAYERS / 60.0, "joins of the largest room"),
            source(
                NewRoom,
                joins * NEW_ROOMS * (2.0 / buckets).min(1.0),
                "new rooms of the region that draw it",
            ),
            source(
                PostAfterAWhile,
                messages * share + EVENT_MESSAGES_PER_S,
                "messages, by its share of the shards and of the largest room",
            ),
            source(WorldPost, world * share, "messages to its hall"),
            source(Summary, 1.0 / 3.0, "summaries of matchmaking"),
        ]
    };
    vec![
        row(
            "region#REGION",
            "one a region",
            "bucket 0 of the largest",
            of_a_bucket(),
        ),
        row(
            "region#REGION#BUCKET",
            format!("{} in the largest region", measured.buckets.len() - 1),
            "the fullest bucket, with the largest room",
            of_a_bucket(),
        ),
        row(
            "region#REGION#buckets",
            "one a region",
            "the largest region",
            vec![
                source(
                    Heartbeat,
                    region_shards() as f64 * HEARTBEATS_PER_S,
                    "heartbeats of the region",
                ),
                source(NewRoom, joins * NEW_ROOMS, "new rooms of the region"),
                source(WorldPost, world, "messages to its halls"),
                source(Summary, 1.0 / 3.0, "summaries of matchmaking"),
            ],
        ),
    ]
}

fn room_rows() -> Vec<Row> {
    use Operation::{Enrol, Join, Leave, NewRoom, PostAfterAWhile};
    vec![
        row(
            "home#ROOM",
            thousands(PLAYERS / 5.0),
            "the largest room",
            vec![
                source(Join, EVENT_PLAYERS / 60.0, "joins of the largest room"),
                source(
                    PostAfterAWhile,
                    (EVENT_PLAYERS / ROUTE_S).min(EVENT_MESSAGES_PER_S),
                    "messages there",
                ),
                source(NewRoom, 1.0, "first join"),
            ],
        ),
        row(
            "shard#SHARD",
            thousands(shards()),
            "any",
            vec![
                source(
                    Leave,
                    SHARD_PLAYERS * JOINS_PER_H * BUSY / 3_600.0,
                    "ends of sessions of the shard",
                ),
                source(Enrol, 1.0 / ENROL_S, "enrolments"),
            ],
        ),
    ]
}

fn chat_rows() -> Vec<Row> {
    use Operation::{FloorPost, History, Moderate, Post, React, Report};
    let channels = format!("about {}", thousands(PLAYERS / 5.0));
    vec![
        row(
            "chat#CHANNEL",
            channels.clone(),
            "the largest room",
            vec![
                source(Post, EVENT_MESSAGES_PER_S, "messages to it"),
                source(History, EVENT_PLAYERS / 60.0, "joins of it"),
            ],
        ),
        row(
            "chat-floor#CHANNEL",
            channels.clone(),
            "the same",
            vec![source(
                FloorPost,
                EVENT_MESSAGES_PER_S / 64.0,
                "every 64th message",
            )],
        ),
        row(
            "chat-react#CHANNEL",
            channels.clone(),
            "the largest room",
            vec![
                source(
                    React,
                    EVENT_MESSAGES_PER_S * 5.0,
                    "five reactions a message",
                ),
                source(History, EVENT_PLAYERS / 60.0, "joins of the largest room"),
            ],
        ),
        row(
            "chat-report#CHANNEL",
            channels.clone(),
            "the largest room",
            vec![source(
                Report,
                EVENT_MESSAGES_PER_S,
                "reports, one a message",
            )],
        ),
        row(
            "chat-report-queue#REGION#DAY",
            "one a day and home region".to_owned(),
            "today, while the largest room reports",
            vec![source(
                Report,
                EVENT_MESSAGES_PER_S,
                "reports, one a message of that room",
            )],
        ),
        row(
            "chat-audit#CHANNEL",
            channels,
            "the largest room",
            vec![source(
                Moderate,
                EVENT_MESSAGES_PER_S,
                "deletions, one a message",
            )],
        ),
    ]
}

fn player_rows() -> Vec<Row> {
    use Operation::{MarkRead, Post, PostAfterAWhile, Presence, QueueUp};
    vec![row(
        "chat-player#PLAYER",
        thousands(PLAYERS),
        "the most watched player",
        vec![
            source(
                Presence,
                WATCHERS_PER_MIN / 60.0,
                "who look whether he is there",
            ),
            source(Post, 2.0, "messages of his"),
            source(PostAfterAWhile, 1.0, "the first of them"),
            source(MarkRead, 1.0, "what he has read"),
            source(QueueUp, 1.0, "ticket of his"),
        ],
    )]
}

fn match_rows() -> Vec<Row> {
    use Operation::{Ask, AskMatched, Match, Pass, QueueUp, Summary};
    let tickets = busy(TICKETS_PER_H);
    let passes = passes_per_s();
    let lanes = f64::from(LANES);
    vec![
        row(
            "match-pool#QUEUE#LANE",
            format!("{LANES} a queue"),
            "any lane of the one queue",
            vec![
                source(QueueUp, tickets / lanes, "tickets of the lane"),
                source(Ask, tickets * ASKS / lanes, "asks for them"),
                source(Pass, passes * readers(), "passes that read the lane"),
                source(
                    Match,
                    tickets / lanes / MATCH_PLAYERS,
                    "matches of its tickets",
                ),
                source(AskMatched, tickets / lanes, "asks of those who are matched"),
            ],
        ),
        row(
            "match-queue#QUEUE",
            "one a queue",
            "the one queue",
            vec![
                source(QueueUp, tickets, "tickets"),
                source(Pass, passes * lanes, "passes of all lanes"),
            ],
        ),
        row(
            "match-world",
            "1",
            "it",
            vec![
                source(Pass, passes * lanes, "passes of all lanes"),
                source(Summary, 1.0 / 3.0, "summaries"),
            ],
        ),
        row(
            "match#MATCH",
            thousands(PLAYERS * TICKETS_PER_H / MATCH_PLAYERS),
            "any",
            vec![
                source(Match, 1.0, "its begin"),
                source(AskMatched, MATCH_PLAYERS, "asks of its players"),
            ],
        ),
        row(
            "match-details#MATCH",
            "one a match that takes players later: not measured",
            "any",
            Vec::new(),
        ),
        row(
            "match-player#PLAYER",
            thousands(PLAYERS),
            "any",
            vec![
                source(QueueUp, 1.0, "ticket of his"),
                source(Match, 1.0, "match of his"),
                source(AskMatched, 1.0, "ask of his"),
            ],
        ),
    ]
}

fn rare_rows() -> Vec<Row> {
    use Operation::{Enrol, Evacuation, Summary};
    let relays = shards() / 2.0;
    // A join, an end, a message with a look at a history, and a ticket with its asks.
    let per_h = 2.0 * JOINS_PER_H + 2.0 * MESSAGES_PER_H + TICKETS_PER_H * (1.0 + ASKS);
    let instances = busy(per_h) * FUNCTION_S;
    vec![
        row(
            "enrolment-nonce#N",
            "one a proof",
            "any: written once, not measured",
            Vec::new(),
        ),
        row(
            "enrolment-tokens",
            "1",
            "it",
            vec![source(Enrol, relays / ENROL_S, "relays that enrol")],
        ),
        row(
            "relay#RELAY",
            thousands(relays),
            "any",
            vec![source(Enrol, 1.0, "enrolment")],
        ),
        row(
            "shard#SHARD#moved",
            "one a shard that was silent",
            "any: read for ten seconds by a shard that is back, not measured",
            Vec::new(),
        ),
        row(
            "usage#SHARD",
            thousands(shards()),
            "any: one batch in minutes, not measured",
            Vec::new(),
        ),
        row(
            "regions",
            "1",
            "it",
            vec![source(Summary, 1.0 / 3.0, "summaries of matchmaking")],
        ),
        row(
            "evacuation",
            "1",
            "it",
            vec![source(
                Evacuation,
                instances / EVACUATION_S,
                "looks of instances, where there are several home regions",
            )],
        ),
    ]
}

/// The table as Markdown.
pub fn markdown(measured: &Measured) -> String {
    let mut text = String::from("| assumed | |\n|---|---|\n");
    for (what, how_much) in rows() {
        let _ = writeln!(text, "| {what} | {how_much} |");
    }
    let _ = write!(
        text,
        "\n| partition | how many | hottest | reads a second, of {} | writes, of {} | formula |\n\
         |---|---|---|---|---|---|\n",
        thousands(READS_PER_S.into()),
        thousands(WRITES_PER_S.into())
    );
    for row in table(measured) {
        let heat = row.heat(measured);
        let _ = writeln!(
            text,
            "| `{}` | {} | {} | {} | {} | {} |",
            row.kind,
            row.count,
            row.hottest,
            significant(heat.reads),
            significant(heat.writes),
            row.formula(measured)
        );
    }
    text.push_str(&told(measured));
    text
}

/// What world channels are to relays, as Markdown.
fn told(measured: &Measured) -> String {
    let messages = busy_in_region(MESSAGES_PER_H * WORLD_SHARE);
    let share = measured.fullest() as f64 / region_shards() as f64;
    let row = |what: &str, messages: f64, shards: f64, of: &str| {
        let [told, messages, shards] = [messages * shards, messages, shards].map(significant);
        format!("| {what} | {told} | {messages} messages x {shards} {of} |\n")
    };
    [
        "\n| requests to relays for world channels | a second | formula |\n|---|---|---|\n"
            .to_owned(),
        row(
            "the largest region",
            messages,
            measured.told(),
            "shards of a hall, on average",
        ),
        row(
            "its fullest hall, each shard",
            messages * share,
            1.0,
            "request",
        ),
        row(
            "the largest region, were all of it one hall",
            messages,
            region_shards() as f64,
            "shards",
        ),
    ]
    .concat()
}

/// Two digits, or whole numbers.
fn significant(number: f64) -> String {
    match number {
        0.0 => "0".to_owned(),
        ..0.01 => "<0.01".to_owned(),
        ..10.0 => thousands((number * 100.0).round() / 100.0),
        _ => thousands(number.round()),
    }
}

/// The file as it should be.
///
/// # Errors
/// When it cannot be read, or lacks the lines between which the table is.
pub fn file(measured: &Measured) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(path())?;
    let (before, rest) = text
        .split_once(MARKS.0)
        .ok_or_else(|| anyhow::anyhow!("{FILE} lacks the line {}", MARKS.0))?;
    let (_, after) = rest
        .split_once(MARKS.1)
        .ok_or_else(|| anyhow::anyhow!("{FILE} lacks the line {}", MARKS.1))?;
    Ok(format!(
        "{before}{}\n{}{}{after}",
        MARKS.0,
        markdown(measured),
        MARKS.1
    ))
}

/// Where the file is.
pub fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(FILE)
}
