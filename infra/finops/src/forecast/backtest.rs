//! The forecast held against weeks that it has not seen, beside a seasonal naive one (the same hour
//! a week before; Hyndman and Athanasopoulos, chapter 5.2). The weeks are those of the planner's
//! population: no real ones exist yet.

use std::collections::BTreeMap;

use wire::RoomKey;
use wire::record::{UsageKind, UsageRecord, VoiceMode};

use super::model::Model;
use super::{Interval, PATHS, TAIL};
use crate::allocation::Allocation;
use crate::book::Book;
use crate::calendar::{Calendar, Event, Hour, Kind, first_hour};
use crate::chance::Chance;
use crate::date::Date;
use crate::measured::PACKET_BYTES;
use crate::plan::{Demand, PACKETS_PER_S, Squads};
use crate::usage::Usage;

const WEEK: i64 = 168;
/// Weeks of the population, and of them those before the first forecast.
const WEEKS: i64 = 26;
const WEEKS_BEFORE: i64 = 8;
/// Weeks of a long forecast, which is about a month.
const WEEKS_OF_SUM: i64 = 4;
/// What the calendar says of a patch day; what it brings is another number.
const PATCH: f64 = 1.6;
const PATCH_HOURS: u32 = 30;
/// Of the traffic, what an outage leaves, and how long it lasts.
const OUTAGE: (f64, i64) = (0.03, 5);
/// Hours in a row of which no record came, and the share of others that are lost.
const LOST_HOURS: i64 = 12;
const LOST_SHARE: f64 = 0.01;

/// How good forecasts of one region's weeks were.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Score {
    /// Hours that were foretold, a week ahead.
    pub hours: u32,
    /// Of them, those within the interval, which are to be 80 %.
    pub covered: u32,
    /// Sums of four weeks that were foretold.
    pub sums: u32,
    /// Of them, those within the interval.
    pub sums_covered: u32,
    /// Dollars of the hours, and how far the forecast and the naive one were off.
    pub dollars: f64,
    /// The same.
    pub off: f64,
    /// The same.
    pub naive_off: f64,
}

impl Score {
    /// Weighted absolute percentage error.
    pub fn wmape(&self) -> f64 {
        100.0 * self.off / self.dollars.max(1e-9)
    }

    /// That of the naive forecast.
    pub fn naive_wmape(&self) -> f64 {
        100.0 * self.naive_off / self.dollars.max(1e-9)
    }

    /// Per cent of the hours that are within the interval.
    pub fn coverage(&self) -> f64 {
        100.0 * f64::from(self.covered) / f64::from(self.hours.max(1))
    }

    /// Per cent of the sums that are within the interval.
    pub fn coverage_of_sums(&self) -> f64 {
        100.0 * f64::from(self.sums_covered) / f64::from(self.sums.max(1))
    }

    /// Both together.
    pub fn join(&mut self, other: &Self) {
        self.hours += other.hours;
        self.covered += other.covered;
        self.sums += other.sums;
        self.sums_covered += other.sums_covered;
        self.dollars += other.dollars;
        self.off += other.off;
        self.naive_off += other.naive_off;
    }
}

/// Forecasts of each week from the ninth on, of 26 weeks that `seed` makes.
pub fn backtest(seed: u64) -> Score {
    let weeks = Weeks::new(seed);
    let mut score = Score::default();
    for week in WEEKS_BEFORE..WEEKS {
        let at = weeks.from + week * WEEK;
        let known: BTreeMap<Hour, f64> = weeks.known.range(..at).map(|it| (*it.0, *it.1)).collect();
        let factor = |hour| weeks.calendar.factor(REGION, hour);
        let Some(model) = Model::fit(&known, &factor) else {
            continue;
        };
        let length = WEEKS_OF_SUM.min(WEEKS - week) * WEEK;
        let ahead: Vec<_> = (at..at + length)
            .map(|hour| model.ahead(hour, factor(hour)))
            .collect();
        let mut chance = Chance(seed ^ at as u64);
        let paths: Vec<Vec<f64>> = (0..PATHS)
            .map(|_| {
                let steps: Vec<f64> = ahead.iter().map(|_| chance.uniform()).collect();
                model.path(&ahead, &steps, &mut chance)
            })
            .collect();
        for (hour, at) in (at..at + WEEK).enumerate() {
            let mut dollars: Vec<f64> = paths.iter().map(|path| path[hour]).collect();
            weeks.judge(at, Interval::of(&mut dollars), &known, &mut score);
        }
        if length == WEEKS_OF_SUM * WEEK {
            let mut sums: Vec<f64> = paths.iter().map(|path| path.iter().sum()).collect();
            let truth: f64 = weeks.all.range(at..at + length).map(|it| it.1).sum();
            score.sums += 1;
            score.sums_covered += u32::from(Interval::of(&mut sums).has(truth));
        }
    }
    score
}

impl Interval {
    fn has(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }
}

const REGION: &str = "us";

/// The weeks of one region.
struct Weeks {
    from: Hour,
    calendar: Calendar,
    /// What was spent, and what of it records came of.
    all: BTreeMap<Hour, f64>,
    known: BTreeMap<Hour, f64>,
}

impl Weeks {
    fn new(seed: u64) -> Self {
        let mut chance = Chance(seed);
        let from = first_hour(Date::from_civil(2027, 1, 4).expect("there is such a day"));
        let mut within =
            |from: i64, end: i64| from + (chance.uniform() * (end - from) as f64) as i64;
        // Patch days in the past of all forecasts, and within what is foretold.
        let patches = [within(2, 8), within(10, 17), within(17, 26)];
        let patches = patches.map(|week| from + week * WEEK + 2 * 24 + 16);
        let outages = [within(4, 8), within(8, 25)].map(|week| from + week * WEEK + 19);
        let outages = outages.map(|hour| hour + within(0, 6) * 24);
        let lost = from + within(6 * WEEK, 24 * WEEK);
        let turn = from + within(6 * WEEK, 20 * WEEK);
        let mut rate = || -0.01 + 0.05 * chance.uniform();
        let (growth, growth_after) = (rate(), rate());
        let brings = 1.35 + 0.5 * chance.uniform();
        let calendar = Calendar {
            events: patches.map(patch).to_vec(),
        };
        let demand = demand(from);
        let mut squads = Squads::new(Chance(seed.wrapping_add(1)));
        let (mut all, mut known) = (BTreeMap::new(), BTreeMap::new());
        let (book, allocation) = (Book::built_in(), Allocation::built_in());
        let mut usage = Usage::new(&book, &allocation);
        for hour in from..from + WEEKS * WEEK {
            let weeks = |from: Hour, end: Hour| (end - from).max(0) as f64 / WEEK as f64;
            let grown = growth * weeks(from, hour.min(turn)) + growth_after * weeks(turn, hour);
            let mut online = demand.online(REGION, hour, &Calendar::default()) * grown.exp();
            online *= of_weekday(hour);
            if calendar.factor(REGION, hour) > 1.0 {
                online *= brings;
            }
            let mut streams = squads.streams(online, &demand);
            let is_out = |from: &Hour| (0..OUTAGE.1).contains(&(hour - from));
            if outages.iter().any(is_out) {
                streams *= OUTAGE.0;
            }
            let voice = usage
                .add(&record(hour, streams))
                .expect("the home region has prices");
            let dollars = voice.total().dollars();
            all.insert(hour, dollars);
            if !(0..LOST_HOURS).contains(&(hour - lost)) && chance.uniform() > LOST_SHARE {
                known.insert(hour, dollars);
            }
        }
        Self {
            from,
            calendar,
            all,
            known,
        }
    }

    /// An hour whose records are lost is not held against anybody.
    fn judge(&self, at: Hour, said: Interval, known: &BTreeMap<Hour, f64>, score: &mut Score) {
        let Some(truth) = self.known.get(&at) else {
            return;
        };
        let before = (1..WEEKS).find_map(|back| known.get(&(at - back * WEEK)));
        let naive = before.copied().unwrap_or_default();
        score.hours += 1;
        score.covered += u32::from(said.has(*truth));
        score.dollars += truth;
        score.off += (said.likely - truth).abs();
        score.naive_off += (naive - truth).abs();
    }
}

fn patch(from: Hour) -> Event {
    Event {
        name: "patch".to_owned(),
        kind: Kind::Product,
        from,
        hours: PATCH_HOURS,
        regions: Vec::new(),
        factor: PATCH,
        peak: None,
        owner: "product".to_owned(),
    }
}

/// A weekend has more players, and the evening before it a few.
fn of_weekday(hour: Hour) -> f64 {
    // Day 0 was a Thursday.
    match (hour.div_euclid(24) + 4).rem_euclid(7) {
        0 | 6 => 1.3,
        5 => 1.1,
        _ => 1.0,
    }
}

fn demand(from: Hour) -> Demand {
    Demand {
        players: 100_000.0,
        concurrent_share: 0.1,
        voice_share: 0.5,
        streams: 0.8,
        joins_per_hour: 0.0,
        messages_per_hour: 0.0,
        tickets_per_hour: 0.0,
        regions: BTreeMap::from([(REGION.to_owned(), (1.0, -6.0))]),
        from,
        hours: (WEEKS * WEEK) as u32,
        headroom: 0.3,
        zones: 3,
    }
}

/// All rooms of an hour as one, so that dollars are made as they are of real records.
fn record(hour: Hour, streams: f64) -> UsageRecord {
    let packets = (streams * PACKETS_PER_S * 3_600.0).round() as u64;
    UsageRecord {
        kind: UsageKind::Usage,
        form: 1,
        minute_ms: hour as u64 * 3_600_000,
        shard: "backtest".parse().expect("a shard's name"),
        boot: None,
        sequence: 0,
        room: RoomKey([0; 8]),
        region: REGION.to_owned(),
        mode: VoiceMode::Forward,
        participant_ms: (streams / 0.8 * 3_600_000.0) as u64,
        talk_ms: 0,
        packets_in: 0,
        bytes_in: 0,
        packets_out: packets,
        bytes_out: packets * (PACKET_BYTES as u64 - 28),
        mixed_frames: 0,
        cpu_us: 0,
        quality: None,
    }
}

/// The share of the hours that an interval is to have, per cent.
pub const WANTED: f64 = 100.0 * (1.0 - 2.0 * TAIL);
