//! What requests use of each partition, measured on the real functions.

use std::collections::BTreeMap;

use edge::directory::GROWS_AFTER_MS;
use edge::homes::evacuation;
use edge::http::{Request, Response};
use edge::testing::schedule::block_on;
use edge::testing::{Units, calls};
use serde_json::{Value, json};
use wire::enrolment::{Claim, EnrolmentRequest, Proof, Secret};

use crate::demand;
use crate::game::{CAPACITY, Function, Game, MODERATOR, REGION, shard};

/// The kinds of partitions, by their names with what varies in capitals.
pub const KINDS: [&str; 25] = [
    "chat#CHANNEL",
    "chat-audit#CHANNEL",
    "chat-floor#CHANNEL",
    "chat-player#PLAYER",
    "chat-react#CHANNEL",
    "chat-report#CHANNEL",
    "chat-report-queue#REGION#DAY",
    "enrolment-nonce#N",
    "enrolment-tokens",
    "evacuation",
    "home#ROOM",
    "match#MATCH",
    "match-details#MATCH",
    "match-player#PLAYER",
    "match-pool#QUEUE#LANE",
    "match-queue#QUEUE",
    "match-world",
    "region#REGION",
    "region#REGION#BUCKET",
    "region#REGION#buckets",
    "regions",
    "relay#RELAY",
    "shard#SHARD",
    "shard#SHARD#moved",
    "usage#SHARD",
];

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// A heartbeat of a shard that is known.
    Heartbeat,
    /// A join of a room that has a home.
    Join,
    /// A join of a room that has none.
    NewRoom,
    /// The end of a session.
    Leave,
    /// A message to a room by somebody who wrote there lately.
    Post,
    /// The same, of which the floor of the channel's log is raised: every 64th.
    FloorPost,
    /// One by somebody who did not write lately.
    PostAfterAWhile,
    /// A message to a hall of a world channel, one of many.
    WorldPost,
    /// The last twenty messages of a channel.
    History,
    /// What has been read.
    MarkRead,
    /// A reaction.
    React,
    /// A report of a message.
    Report,
    /// A message deleted by a moderator.
    Moderate,
    /// Whether twenty players are there.
    Presence,
    /// A ticket.
    QueueUp,
    /// What became of it, while it waits.
    Ask,
    /// The ticket with which a match is complete.
    Match,
    /// What became of a ticket that is matched.
    AskMatched,
    /// A pass of a lane that holds what it holds at a million players.
    Pass,
    /// The same, which finds that the summary of the regions is old.
    Summary,
    /// A relay of two shards that enrols with a token.
    Enrol,
    /// An instance of a function that looks which regions are given up.
    Evacuation,
}

/// The most that an operation uses of one partition of a kind.
pub type Footprint = BTreeMap<&'static str, Units>;

/// All that is measured.
#[derive(Debug)]
pub struct Measured {
    footprints: BTreeMap<Operation, Footprint>,
    /// Shards of each bucket of the largest region.
    pub buckets: Vec<usize>,
}

impl Measured {
    /// Shards of the fullest bucket.
    pub fn fullest(&self) -> usize {
        self.buckets.iter().copied().max().unwrap_or(0)
    }

    /// Shards that are told of a message to a hall: of one that is drawn as players are spread.
    pub fn told(&self) -> f64 {
        let (mut shards, mut squares) = (0, 0);
        for bucket in &self.buckets {
            shards += bucket;
            squares += bucket * bucket;
        }
        squares as f64 / shards.max(1) as f64
    }

    /// What an operation uses of the hottest partition of a kind.
    pub fn of(&self, operation: Operation, kind: &str) -> Units {
        // Bucket 0 is one like the others: what was measured went to whichever was drawn.
        let kind = match kind {
            "region#REGION" => "region#REGION#BUCKET",
            kind => kind,
        };
        let footprint = self.footprints.get(&operation);
        let units = footprint.and_then(|footprint| footprint.get(kind));
        units.copied().unwrap_or_default()
    }
}

/// The kind of a partition.
///
/// # Panics
/// When it is none of [`KINDS`]: then that list is not complete.
pub fn kind(partition: &str) -> &'static str {
    let parts: Vec<&str> = partition.split('#').collect();
    let is = |kind: &&&str| {
        let wanted: Vec<&str> = kind.split('#').collect();
        let same = |(wanted, part): (&&str, &&str)| {
            let varies = wanted.chars().all(|letter| letter.is_ascii_uppercase());
            wanted == part || varies && *part != "buckets"
        };
        wanted.len() == parts.len() && wanted.iter().zip(&parts).all(same)
    };
    let mut kinds = KINDS.iter();
    kinds
        .find(is)
        .unwrap_or_else(|| panic!("{partition} is of no kind that is known"))
}

/// The most of each kind.
fn footprint(used: BTreeMap<String, Units>) -> Footprint {
    let mut footprint = Footprint::new();
    for (partition, units) in used {
        let most = footprint.entry(kind(&partition)).or_default();
        most.reads = most.reads.max(units.reads);
        most.writes = most.writes.max(units.writes);
    }
    footprint
}

#[track_caller]
fn done(reply: &Response) {
    assert!(reply.status < 300, "{}", calls::text(reply));
}

/// Lets all shards of the largest region beat, each with half of what it takes.
pub fn beat_all(game: &Game) {
    for number in 0..demand::region_shards() {
        done(&game.beat(number, CAPACITY / 2));
    }
}

/// A game whose largest region has all its shards; they have come just now, so all are in one
/// bucket.
pub fn just_begun(seed: u64) -> Game {
    let game = Game::new(seed);
    beat_all(&game);
    game
}

/// The same a day later.
pub fn grown(seed: u64) -> Game {
    let game = just_begun(seed);
    game.pass(GROWS_AFTER_MS);
    beat_all(&game);
    game
}

/// The same another day later, when nobody is there any more who was before it grew.
pub fn settled(seed: u64) -> Game {
    let game = grown(seed);
    game.pass(GROWS_AFTER_MS);
    beat_all(&game);
    game
}

/// Sets the rules of a queue with so many lanes: two teams of five, who may be matched as soon as
/// they are there, or never, since none has measured how far a region is.
pub fn set_queue(game: &Game, queue: &str, lanes: u32, is_matched: bool) {
    let mut mode = json!({
        "mode": "m", "version": 1, "max_wait_s": 600,
        "teams": [{ "name": "t", "count": 2, "players": { "min": 5, "max": 5 } }],
    });
    if !is_matched {
        mode["latency"] = json!({ "max_ms": 60 });
    }
    let rules = json!({ "version": 1, "shards": lanes, "modes": [mode] });
    let path = format!("/v1/match/queues/{queue}");
    done(&game.operator(Function::Matchmaking, "PUT", &path, &rules));
}

/// Measures everything, always alike.
///
/// # Panics
/// When a request is not answered as it should be.
pub fn measure() -> Measured {
    let game = grown(1);
    let mut footprints = BTreeMap::new();
    let mut note = |operation, request: &dyn Fn(&Game) -> Response| {
        game.store.take_used();
        done(&request(&game));
        footprints.insert(operation, footprint(game.store.take_used()));
    };
    game.pass(2_000);
    note(Operation::Heartbeat, &|game| game.beat(7, CAPACITY / 2));
    note(Operation::NewRoom, &|game| game.join("ann", "lobby"));
    note(Operation::Join, &|game| game.join("bob", "lobby"));
    let session = format!("/v1/rooms/lobby/sessions/{}~{:016x}", shard(3), 7);
    note(Operation::Leave, &|game| {
        game.player(
            Function::Signalling,
            "ann",
            "DELETE",
            &session,
            &Value::Null,
        )
    });
    measure_chat(&game, &mut note);
    measure_matches(&game, &mut note);
    let token = json!({
        "region": REGION, "capacity": 2 * CAPACITY, "expires_in_s": 600, "relay": "new",
    });
    let path = "/v1/relays/enrolment-tokens";
    let token: Value = calls::read(&game.operator(Function::Fleet, "POST", path, &token));
    let request = EnrolmentRequest {
        claim: Claim::new([1; 32]),
        shards: 2,
        capacity: CAPACITY,
        region: None,
        proof: Proof::Token {
            token: Secret(token["token"].as_str().unwrap_or_default().to_owned()),
        },
    };
    let request = serde_json::to_value(&request).expect("string keys only");
    note(Operation::Enrol, &|game| {
        let path = "/v1/relays/enrolment";
        let request = calls::request(String::new(), "POST", path, &request);
        game.send(
            Function::Fleet,
            Request {
                authorization: None,
                ..request
            },
        )
    });
    note(Operation::Evacuation, &|game| {
        let read = block_on(evacuation::read(&game.store, game.now_ms()));
        Response::json(200, &read.expect("it is read").value)
    });
    Measured {
        footprints,
        buckets: buckets(&game).into_values().collect(),
    }
}

type Note<'a> = dyn FnMut(Operation, &dyn Fn(&Game) -> Response) + 'a;

fn measure_chat(game: &Game, note: &mut Note<'_>) {
    let room = "room~lobby~main";
    let channel = format!("/v1/chat/channels/{room}");
    note(Operation::PostAfterAWhile, &|game| {
        game.post("ann", room, "k1")
    });
    for n in 2..63 {
        done(&game.post("ann", room, &format!("k{n}")));
    }
    note(Operation::Post, &|game| game.post("ann", room, "k63"));
    note(Operation::FloorPost, &|game| game.post("ann", room, "k64"));
    note(Operation::WorldPost, &|game| {
        game.post("ann", "world~eu~7", "w")
    });
    let chat = |player: &'static str, method: &'static str, path: &str, body: Value| {
        let path = path.to_owned();
        move |game: &Game| game.player(Function::Chat, player, method, &path, &body)
    };
    let bob = |method, path: &str, body| chat("bob", method, path, body);
    let history = format!("{channel}/messages?limit=20");
    note(Operation::History, &bob("GET", &history, Value::Null));
    let read = format!("{channel}/read");
    note(
        Operation::MarkRead,
        &bob("PUT", &read, json!({ "seq": 20 })),
    );
    let message = format!("{channel}/messages/9");
    let react = format!("{message}/reactions/wave");
    note(Operation::React, &bob("PUT", &react, Value::Null));
    let report = format!("{message}/report");
    note(Operation::Report, &|game| {
        let reason = json!({ "reason": "rude" });
        game.player(Function::Safety, "bob", "POST", &report, &reason)
    });
    note(
        Operation::Moderate,
        &chat(MODERATOR, "DELETE", &message, Value::Null),
    );
    let players: Vec<String> = (0..20).map(|friend| format!("p{friend}")).collect();
    let presence = format!("/v1/chat/presence?players={}", players.join(","));
    note(Operation::Presence, &bob("GET", &presence, Value::Null));
}

/// A ticket's id.
fn queue_up(game: &Game, player: &str, queue: &str) -> String {
    let ticket: Value = calls::read(&game.queue_up(player, queue));
    ticket["ticket"].as_str().unwrap_or_default().to_owned()
}

fn measure_matches(game: &Game, note: &mut Note<'_>) {
    set_queue(game, "five", 1, true);
    for n in 1..10 {
        done(&game.queue_up(&format!("f{n}"), "five"));
    }
    // Of those who come while no pass is due, as most do.
    set_queue(game, "five-more", 1, true);
    let first = queue_up(game, "first", "five-more");
    done(&game.ask("first", "five-more", &first));
    note(Operation::QueueUp, &|game| {
        game.queue_up("elsewhere", "duel")
    });
    let ticket = queue_up(game, "f1", "five");
    note(Operation::Ask, &|game| game.ask("f1", "five", &ticket));
    game.pass(1_000);
    // The pass is due, and he who asks for it is the tenth.
    note(Operation::Match, &|game| game.queue_up("f10", "five"));
    note(Operation::AskMatched, &|game| {
        game.ask("f1", "five", &ticket)
    });
    // A lane as full as all are, in which nobody is matched.
    set_queue(game, "lane", 1, false);
    for n in 0..demand::waiting_in_lane() {
        done(&game.queue_up(&format!("w{n}"), "lane"));
    }
    let tick = |game: &Game| {
        let path = "/v1/match/queues/lane/tick";
        game.operator(Function::Matchmaking, "POST", path, &Value::Null)
    };
    game.pass(10_000);
    // The fleet lives on.
    beat_all(game);
    note(Operation::Summary, &tick);
    game.pass(2_000);
    note(Operation::Pass, &tick);
}

/// Shards of each bucket of the largest region, by the bucket's number.
///
/// # Panics
/// When a bucket has no number.
pub fn buckets(game: &Game) -> BTreeMap<u8, usize> {
    let mut shards = BTreeMap::<u8, usize>::new();
    for (partition, item) in game.store.inner.inner.everything() {
        let is_there = item.expires_at_ms.is_none_or(|at| at > game.now_ms());
        if is_there && item.sort.ends_with("#shard") {
            let number = partition.split('#').nth(2).unwrap_or("0");
            let number = number.parse().expect("buckets have numbers");
            *shards.entry(number).or_default() += 1;
        }
    }
    shards
}
