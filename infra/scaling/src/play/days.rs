//! The days that are played, and the weeks before them.

use std::collections::BTreeMap;
use std::f64::consts::TAU;

use finops::calendar::{Event, Hour, Kind, first_hour};
use finops::chance::Chance;
use finops::date::Date;

use crate::outlook::{begins_s, hour_of};

/// The region that is played.
pub(super) const REGION: &str = "eu";
/// Participants of an ordinary evening.
const EVENING: f64 = 15_000.0;
/// Of those, the share in the quietest hour of a night.
const QUIET_SHARE: f64 = 0.2;
const QUIET_HOUR: f64 = 4.0;
/// Weekdays from Monday on: a weekend has more players, and the evening before it a few.
const WEEKDAYS: [f64; 7] = [0.94, 0.94, 0.96, 1.0, 1.1, 1.25, 1.2];
/// How much an hour differs from the curve (one standard deviation), and how much of that stays.
const SPREAD: f64 = 0.05;
const STAYS: f64 = 0.7;
/// Weeks that are known before.
const KNOWN_HOURS: Hour = 5 * 168;
/// What a patch brings: times the players, who come within minutes of its hour.
const PATCH: f64 = 1.6;
const PATCH_HOURS: u32 = 30;
const RUSH_S: f64 = 900.0;

/// Something goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// One relay hangs: its calls go on, and nobody hears of it.
    Hangs {
        /// When, Unix seconds.
        at_s: u64,
    },
    /// Nothing can be launched.
    NoLaunches {
        /// From when, Unix seconds.
        from_s: u64,
        /// Until when.
        until_s: u64,
    },
    /// A zone and all in it is gone.
    ZoneLost {
        /// From when, Unix seconds.
        from_s: u64,
        /// Until when.
        until_s: u64,
    },
}

/// Days to play.
#[derive(Debug, Clone)]
pub struct Days {
    /// What they are.
    pub day: Day,
    /// The first hour.
    pub from: Hour,
    /// How many.
    pub hours: u32,
    /// Zones of the region.
    pub zones: u32,
    /// What the calendar knows.
    pub calendar: Vec<Event>,
    /// What goes wrong.
    pub faults: Vec<Fault>,
    /// When the patch comes, if one does.
    patch: Option<Hour>,
    /// How much each hour differs from the curve, from the first known one on.
    noise: Vec<f64>,
}

/// Which days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Day {
    /// A week in which three relays hang.
    Week,
    /// The day of a patch that the calendar knows.
    Patch,
    /// The day of a patch that nobody wrote down.
    Surprise,
    /// A Saturday on which nothing can be launched.
    NoLaunches,
    /// An evening on which a zone is lost.
    ZoneLost,
}

impl Day {
    /// As tables have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Week => "a week, three relays hang",
            Self::Patch => "patch day, in the calendar",
            Self::Surprise => "patch day, in no calendar",
            Self::NoLaunches => "Saturday without launches",
            Self::ZoneLost => "a zone lost in the evening",
        }
    }
}

/// All of them, with a seed.
pub fn all(seed: u64) -> Vec<Days> {
    let days = [
        Day::Week,
        Day::Patch,
        Day::Surprise,
        Day::NoLaunches,
        Day::ZoneLost,
    ];
    days.into_iter().map(|day| Days::new(day, seed)).collect()
}

impl Days {
    /// Days of a kind. The same seed has the same noise.
    pub fn new(day: Day, seed: u64) -> Self {
        // Monday the 7th.
        let monday = Date::from_civil(2026, 12, 7).map_or(0, first_hour);
        let (from, hours) = match day {
            Day::Week => (monday, 168),
            Day::Patch | Day::Surprise => (monday + 48, 48),
            Day::NoLaunches => (monday + 5 * 24, 24),
            Day::ZoneLost => (monday + 4 * 24, 24),
        };
        let patch = matches!(day, Day::Patch | Day::Surprise).then_some(from + 16);
        let begin_s = begins_s(from);
        let span =
            |from_h: u64, until_h: u64| (begin_s + from_h * 3_600, begin_s + until_h * 3_600);
        let faults = match day {
            Day::Week => [30, 75, 140]
                .map(|hour| Fault::Hangs {
                    at_s: begin_s + hour * 3_600,
                })
                .to_vec(),
            Day::Patch | Day::Surprise => Vec::new(),
            Day::NoLaunches => {
                let (from_s, until_s) = span(0, 24);
                vec![Fault::NoLaunches { from_s, until_s }]
            }
            Day::ZoneLost => {
                let (from_s, until_s) = span(19, 22);
                vec![Fault::ZoneLost { from_s, until_s }]
            }
        };
        let calendar = match (day, patch) {
            (Day::Patch, Some(from)) => vec![event(from)],
            _ => Vec::new(),
        };
        let count = KNOWN_HOURS + Hour::from(hours) + 2;
        Self {
            day,
            from,
            hours,
            zones: 3,
            calendar,
            faults,
            patch,
            noise: noise(count as usize, seed),
        }
    }

    /// Participants who want to be in a call at a moment.
    pub fn people(&self, at_s: u64) -> u32 {
        let of_day = (at_s % 86_400) as f64 / 3_600.0;
        let wave = (1.0 - ((of_day - QUIET_HOUR) / 24.0 * TAU).cos()) / 2.0;
        let curve = QUIET_SHARE + (1.0 - QUIET_SHARE) * wave;
        let off = 1.0 + SPREAD * self.off(at_s);
        let people = EVENING * curve * self.weekday(at_s) * off * self.patched(at_s);
        people.max(0.0).round() as u32
    }

    /// The factor of the day of the week, which changes from noon to noon.
    fn weekday(&self, at_s: u64) -> f64 {
        let days = at_s as f64 / 86_400.0 - 0.5;
        let part = days.rem_euclid(1.0);
        // Day 0 was a Thursday.
        let of = |day: i64| WEEKDAYS[(day + 3).rem_euclid(7) as usize];
        let day = days.floor() as i64;
        of(day) * (1.0 - part) + of(day + 1) * part
    }

    fn patched(&self, at_s: u64) -> f64 {
        let Some(from) = self.patch else {
            return 1.0;
        };
        let since_s = at_s as f64 - begins_s(from) as f64;
        let end_s = f64::from(PATCH_HOURS) * 3_600.0;
        let in_s = since_s.min(end_s - since_s);
        1.0 + (PATCH - 1.0) * (in_s / RUSH_S).clamp(0.0, 1.0)
    }

    /// From one hour's noise to the next's.
    fn off(&self, at_s: u64) -> f64 {
        let hour = hour_of(at_s) - (self.from - KNOWN_HOURS);
        let at = usize::try_from(hour).unwrap_or(0);
        let part = (at_s % 3_600) as f64 / 3_600.0;
        let of = |at: usize| self.noise.get(at).copied().unwrap_or(0.0);
        of(at) * (1.0 - part) + of(at + 1) * part
    }

    /// Most participants of each hour before `until`.
    pub(super) fn history(&self, until: Hour) -> BTreeMap<Hour, f64> {
        let hours = self.from - KNOWN_HOURS..until;
        let most = |hour| {
            let quarters = (0..4).map(|quarter| self.people(begins_s(hour) + quarter * 900));
            f64::from(quarters.max().unwrap_or(0))
        };
        hours.map(|hour| (hour, most(hour))).collect()
    }
}

fn event(from: Hour) -> Event {
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

fn noise(count: usize, seed: u64) -> Vec<f64> {
    let mut chance = Chance(seed);
    let mut drift = 0.0;
    let mut next = || {
        drift = STAYS * drift + (1.0 - STAYS * STAYS).sqrt() * chance.normal();
        drift
    };
    (0..count).map(|_| next()).collect()
}
