//! What a million players do: every assumption of the table, once. What a player does in an hour is
//! what `finops plan` assumes where nothing else is said (decision record 0023 and infra/finops).

/// Players online at once.
pub const PLAYERS: f64 = 1_000_000.0;
/// The busiest second over the mean of its hour: an evening on which something starts.
pub const BUSY: f64 = 3.0;
/// Share of the players in the largest voice region.
pub const LARGEST_REGION: f64 = 0.4;
/// Joins of a player in an hour; as many leave.
pub const JOINS_PER_H: f64 = 2.0;
/// Of the joins, those of rooms that have no home yet: rooms of five, each opened by one of them.
pub const NEW_ROOMS: f64 = 0.2;
/// Participants of a shard.
pub const SHARD_PLAYERS: f64 = 500.0;
/// Heartbeats of a shard in a second.
pub const HEARTBEATS_PER_S: f64 = 0.5;
/// Messages of a player in an hour.
pub const MESSAGES_PER_H: f64 = 4.0;
/// Of them, those to the world channel of a region.
pub const WORLD_SHARE: f64 = 0.1;
/// Players of the largest room, who all join it within a minute.
pub const EVENT_PLAYERS: f64 = 5_000.0;
/// Messages in that room in a second: as fast as anybody reads.
pub const EVENT_MESSAGES_PER_S: f64 = 10.0;
/// A message looks up where its room is when its author did not within the last half minute.
pub const ROUTE_S: f64 = 30.0;
/// Tickets of a player in an hour, all of one queue.
pub const TICKETS_PER_H: f64 = 1.0;
/// What a ticket waits, in seconds.
pub const WAIT_S: f64 = 10.0;
/// How often a client asks for its ticket in that time.
pub const ASKS: f64 = 5.0;
/// Lanes of that queue, as its documentation recommends: one for each hundred tickets a second, and
/// a power of two.
pub const LANES: u32 = 16;
/// Players of a match.
pub const MATCH_PLAYERS: f64 = 10.0;
/// Of the most watched player: those who ask in a minute whether he is there.
pub const WATCHERS_PER_MIN: f64 = 10_000.0;
/// Relays that enrol in ten minutes after a release, of two shards each.
pub const ENROL_S: f64 = 600.0;
/// Seconds that a function takes, from which the instances follow that look for evacuations.
pub const FUNCTION_S: f64 = 0.05;
/// Seconds from one such look of an instance to the next.
pub const EVACUATION_S: f64 = 5.0;

/// So many of an hour and a player, in the busiest second of the whole game.
pub fn busy(per_hour: f64) -> f64 {
    PLAYERS * per_hour / 3_600.0 * BUSY
}

/// The same in the largest region.
pub fn busy_in_region(per_hour: f64) -> f64 {
    busy(per_hour) * LARGEST_REGION
}

/// Shards of the whole game.
pub fn shards() -> f64 {
    PLAYERS / SHARD_PLAYERS
}

/// Shards of the largest region.
pub fn region_shards() -> usize {
    (shards() * LARGEST_REGION) as usize
}

/// Tickets that wait in a lane.
pub fn waiting_in_lane() -> usize {
    (busy(TICKETS_PER_H) * WAIT_S / f64::from(LANES)) as usize
}

/// Passes of a lane in a second: a quarter of a second apart, and a millisecond more for each four
/// tickets (`functions/matchmaking/src/shell/pool.rs`).
pub fn passes_per_s() -> f64 {
    1_000.0 / (250.0 + waiting_in_lane() as f64 / 4.0)
}

/// How many passes read a lane when its own goes through it once: every second pass takes in the
/// lane beside, every fourth the four around, and so on.
pub fn readers() -> f64 {
    1.0 + f64::from(LANES.trailing_zeros()) / 2.0
}

/// The assumptions as rows of the table: what, and how much.
pub fn rows() -> Vec<(&'static str, String)> {
    let percent = |share: f64| format!("{} %", (share * 100.0).round());
    let number = |number: f64| thousands(number);
    vec![
        ("players online at once", number(PLAYERS)),
        (
            "of them in the largest voice region",
            percent(LARGEST_REGION),
        ),
        ("busiest second over the mean of its hour", number(BUSY)),
        (
            "joins of a player in an hour, and leaves",
            number(JOINS_PER_H),
        ),
        (
            "of the joins, of a room that has no home yet",
            percent(NEW_ROOMS),
        ),
        ("participants of a shard", number(SHARD_PLAYERS)),
        (
            "heartbeats of a shard in a second",
            number(HEARTBEATS_PER_S),
        ),
        ("messages of a player in an hour", number(MESSAGES_PER_H)),
        (
            "of them to the world channel of his region",
            percent(WORLD_SHARE),
        ),
        (
            "players of the largest room, who join within a minute",
            number(EVENT_PLAYERS),
        ),
        ("messages in it in a second", number(EVENT_MESSAGES_PER_S)),
        (
            "tickets of a player in an hour, all of one queue",
            number(TICKETS_PER_H),
        ),
        ("seconds that a ticket waits", number(WAIT_S)),
        ("times that its client asks for it", number(ASKS)),
        ("lanes of that queue", LANES.to_string()),
        ("players of a match", number(MATCH_PLAYERS)),
        (
            "who ask in a minute whether the most watched player is there",
            number(WATCHERS_PER_MIN),
        ),
        (
            "seconds in which all relays enrol, of two shards each",
            number(ENROL_S),
        ),
        ("seconds that a function takes", number(FUNCTION_S)),
    ]
}

/// A number as people write it: 1,000,000 and 0.5.
pub fn thousands(number: f64) -> String {
    if number.fract() != 0.0 && number < 100.0 {
        return format!("{:.2}", number)
            .trim_end_matches('0')
            .trim_end_matches('.')
            .to_owned();
    }
    let digits = format!("{:.0}", number);
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
