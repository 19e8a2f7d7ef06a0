//! Requests at the rates of a million players, on a store that refuses what DynamoDB would.

use edge::testing::Units;

use crate::demand::{
    ASKS, HEARTBEATS_PER_S, JOINS_PER_H, LANES, MESSAGES_PER_H, NEW_ROOMS, TICKETS_PER_H,
    WORLD_SHARE, busy, busy_in_region, region_shards,
};
use wire::Hall;

use crate::game::{CAPACITY, Game, REGION};
use crate::measure::{buckets, set_queue};

/// Virtual seconds of a load.
pub const SECONDS: u64 = 3;
/// Rooms that have a home before.
const KNOWN: u64 = 400;

/// What became of requests of one kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Answers {
    /// Done.
    pub done: u64,
    /// Refused.
    pub refused: u64,
}

impl Answers {
    fn note(&mut self, status: u16) {
        if status < 300 {
            self.done += 1;
        } else {
            self.refused += 1;
        }
    }

    /// Share of them that were refused.
    pub fn refused_share(self) -> f64 {
        self.refused as f64 / (self.done + self.refused).max(1) as f64
    }
}

/// The partition that was used most, a second.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hottest {
    /// Read units of the one that was read most.
    pub reads: u64,
    /// Write units of the one that was written most.
    pub writes: u64,
    /// Requests that partitions refused, all together, a second.
    pub refused: u64,
}

/// One of many: what is kept of a player is read when he joins.
fn player(number: u64) -> String {
    format!("player-{}", number % 1_000)
}

/// Requests that come evenly: whole ones of a rate.
struct Pace {
    per_s: f64,
    sent: u64,
}

impl Pace {
    fn new(per_s: f64) -> Self {
        Self { per_s, sent: 0 }
    }

    /// Numbers of the requests that are due at a moment.
    fn due(&mut self, ms: u64) -> std::ops::Range<u64> {
        let until = (self.per_s * ms as f64 / 1_000.0) as u64;
        let due = self.sent..until.max(self.sent);
        self.sent = due.end;
        due
    }
}

fn hottest(game: &Game) -> Hottest {
    let used = game.store.take_used();
    let most = |units: fn(&Units) -> u64| used.values().map(units).max().unwrap_or(0) / SECONDS;
    Hottest {
        reads: most(|units| units.reads),
        writes: most(|units| units.writes),
        refused: used.values().map(|units| units.refused).sum::<u64>() / SECONDS,
    }
}

/// The largest region in its busiest seconds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RegionLoad {
    /// Heartbeats of its shards.
    pub heartbeats: Answers,
    /// Joins of rooms that have a home.
    pub joins: Answers,
    /// Joins of rooms that have none.
    pub new_rooms: Answers,
    /// What that came to in the store.
    pub hottest: Hottest,
}

/// Drives it.
pub fn region(game: Game) -> RegionLoad {
    for room in 0..KNOWN {
        game.join("ann", &format!("known-{room}"));
    }
    let game = game.limited();
    let joins = busy_in_region(JOINS_PER_H);
    let mut heartbeats = Pace::new(region_shards() as f64 * HEARTBEATS_PER_S);
    let mut known = Pace::new(joins * (1.0 - NEW_ROOMS));
    let mut new_rooms = Pace::new(joins * NEW_ROOMS);
    let mut load = RegionLoad::default();
    for ms in 1..=SECONDS * 1_000 {
        game.pass(1);
        for number in heartbeats.due(ms) {
            let reply = game.beat(number as usize % region_shards(), CAPACITY / 2);
            load.heartbeats.note(reply.status);
        }
        for number in known.due(ms) {
            let reply = game.join(&player(number), &format!("known-{}", number % KNOWN));
            load.joins.note(reply.status);
        }
        for number in new_rooms.due(ms) {
            let reply = game.join(&player(number), &format!("new-{number}"));
            load.new_rooms.note(reply.status);
        }
    }
    load.hottest = hottest(&game);
    load
}

/// The world channel of the largest region in its busiest seconds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct WorldLoad {
    /// Messages.
    pub messages: Answers,
    /// Requests to relays, a second.
    pub pushes: u64,
    /// Shards that were told of a message, on average, of all in whose hall it was.
    pub told: f64,
    /// What that came to in the store.
    pub hottest: Hottest,
}

/// Drives it: as many messages from each shard, each to the hall of those there.
pub fn world(game: Game) -> WorldLoad {
    let mut halls = Vec::new();
    for (number, shards) in buckets(&game) {
        let hall = Hall {
            region: REGION.parse().expect("a name"),
            number,
        };
        halls.extend(std::iter::repeat_n((hall, shards as u64), shards));
    }
    let game = game.limited();
    game.take_posts();
    let mut there = 0;
    let mut messages = Pace::new(busy_in_region(MESSAGES_PER_H * WORLD_SHARE));
    let mut load = WorldLoad::default();
    for ms in 1..=SECONDS * 1_000 {
        game.pass(1);
        for number in messages.due(ms) {
            let author = format!("author-{}", number % 50);
            // A step that divides no number of shards here: neighbours are in one hall.
            let (hall, shards) = &halls[(number * 37) as usize % halls.len()];
            let reply = game.post(&author, &format!("world~{hall}"), &format!("k{number}"));
            load.messages.note(reply.status);
            if reply.status < 300 {
                there += shards;
            }
        }
    }
    let pushes = game.take_posts();
    load.pushes = pushes / SECONDS;
    load.told = pushes as f64 / there.max(1) as f64;
    load.hottest = hottest(&game);
    load
}

/// One queue with all tickets of the game in its busiest seconds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueueLoad {
    /// Tickets.
    pub tickets: Answers,
    /// What that came to in the store.
    pub hottest: Hottest,
}

/// Drives it, on so many lanes.
pub fn queue(game: Game, lanes: u32) -> QueueLoad {
    set_queue(&game, "five", lanes, true);
    let game = game.limited();
    let mut tickets = Pace::new(busy(TICKETS_PER_H));
    let mut asks = Pace::new(busy(TICKETS_PER_H) * ASKS);
    let mut known: Vec<(String, String)> = Vec::new();
    let mut load = QueueLoad::default();
    for ms in 1..=SECONDS * 1_000 {
        game.pass(1);
        for number in tickets.due(ms) {
            let player = format!("player-{number}");
            let reply = game.queue_up(&player, "five");
            load.tickets.note(reply.status);
            if reply.status < 300 {
                let ticket: serde_json::Value = edge::testing::calls::read(&reply);
                let id = ticket["ticket"].as_str().unwrap_or_default();
                known.push((player, id.to_owned()));
            }
        }
        for number in asks.due(ms) {
            // Of the last second's.
            let last = known.len().min(800);
            if last > 0 {
                let (player, id) = &known[known.len() - 1 - number as usize % last];
                game.ask(player, "five", id);
            }
        }
    }
    load.hottest = hottest(&game);
    load
}

/// Lanes that a queue has when nobody sets them, and those that its documentation recommends.
pub const LANES_BEFORE_AND_AFTER: (u32, u32) = (1, LANES);
