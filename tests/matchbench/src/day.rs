//! A day of queueing: who arrives, what a pass makes of it, and what came out, hour by hour.

use std::collections::BTreeMap;
use std::f64::consts::TAU;

use matchmaking::{Match, RuleSet, Ticket, form};
use wire::TicketId;

use crate::population::Population;
use crate::report::quantile;

/// What is simulated.
#[derive(Debug, Clone)]
pub struct Day {
    /// Decides everything random.
    pub seed: u64,
    /// Parties that arrive in a minute of the busiest hour.
    pub peak_per_min: f64,
    /// The same in the quietest.
    pub low_per_min: f64,
    /// Seconds between passes.
    pub pass_s: u64,
    /// How long it is; 24 but for tests.
    pub hours: usize,
    /// Players that each region's relays can take at a time.
    pub room: u32,
}

/// What came out in an hour.
#[derive(Debug, Clone, Default)]
pub struct Hour {
    /// Parties that arrived.
    pub arrived: usize,
    /// Matches that were formed.
    pub matches: usize,
    /// Of each party matched: seconds waited.
    pub waits_s: Vec<f64>,
    /// Of each match: largest difference of two parties' ratings.
    pub spreads: Vec<f64>,
    /// Of each match: predicted probability that the better team wins.
    pub favourites: Vec<f64>,
    /// Of each match: distance of the teams' rating distributions.
    pub distributions: Vec<f64>,
    /// Of each player: milliseconds to the match's region more than to his own best.
    pub detours_ms: Vec<f64>,
    /// Of each match: worst round-trip time, milliseconds.
    pub latencies_ms: Vec<f64>,
    /// Matches in which everybody shares a language.
    pub shared_language: usize,
}

/// What came out in a day.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// By the time of arrival or match.
    pub hours: Vec<Hour>,
    /// Parties that still waited at the end.
    pub left: usize,
    /// The longest that one of them, or of those that were matched, had waited, seconds.
    pub wait_max_s: f64,
    /// Estimated wait at the first pass over the wait that followed, of those not matched at once.
    pub estimates: Vec<f64>,
}

/// How many recent waits the matcher is told.
const RECENT: usize = 200;

/// Simulates a day.
pub fn simulate(day: &Day, rules: &RuleSet) -> Outcome {
    let mut population = Population::new(day.seed);
    let mut world = population.world(day.room);
    let mut waiting: Vec<Ticket> = Vec::new();
    let mut estimated: BTreeMap<TicketId, f64> = BTreeMap::new();
    let mut out = Outcome {
        hours: vec![Hour::default(); day.hours],
        ..Outcome::default()
    };
    let end_s = day.hours as u64 * 3600;
    for at_s in (0..end_s).step_by(day.pass_s as usize) {
        let hour = &mut out.hours[(at_s / 3600) as usize];
        let per_min = day.per_min(at_s as f64 / 3600.0);
        let arrived = population.arrivals(per_min * day.pass_s as f64 / 60.0);
        hour.arrived += arrived;
        let since = |n: usize| at_s * 1000 + (n as u64 * day.pass_s * 1000) / arrived.max(1) as u64;
        waiting.extend((0..arrived).map(|n| population.ticket(since(n))));
        let now_ms = (at_s + day.pass_s) * 1000;
        world.arrivals_per_min = per_min * 1.6;
        let found = form(&waiting, rules, &world, now_ms, day.seed ^ at_s);
        let mut matched: BTreeMap<&TicketId, &Match> = BTreeMap::new();
        for made in &found.matches {
            hour.add(made);
            let tickets = made.teams.iter().flat_map(|team| &team.tickets);
            matched.extend(tickets.map(|id| (id, made)));
        }
        for ticket in &waiting {
            let Some(made) = matched.get(&ticket.id) else {
                continue;
            };
            let wait_s = (now_ms - ticket.since_ms) as f64 / 1000.0;
            hour.waits_s.push(wait_s);
            hour.detours_ms.extend(detours(ticket, made));
            world.recent_waits_s.push(wait_s);
            out.wait_max_s = out.wait_max_s.max(wait_s);
            if let Some(total) = estimated.remove(&ticket.id) {
                out.estimates.push(total / wait_s);
            }
        }
        let surplus = world.recent_waits_s.len().saturating_sub(RECENT);
        world.recent_waits_s.drain(..surplus);
        for left in &found.waiting {
            if let Some(more) = left.estimate_s {
                estimated
                    .entry(left.ticket.clone())
                    .or_insert(left.waited_s as f64 + more);
            }
        }
        waiting.retain(|ticket| !matched.contains_key(&ticket.id));
    }
    let longest = waiting
        .iter()
        .map(|t| (end_s * 1000 - t.since_ms) as f64 / 1000.0);
    out.wait_max_s = longest.fold(out.wait_max_s, f64::max);
    out.left = waiting.len();
    out
}

fn detours<'a>(ticket: &'a Ticket, made: &'a Match) -> impl Iterator<Item = f64> + 'a {
    ticket.players.iter().filter_map(|player| {
        let best = player.latency_ms.values().min()?;
        Some(f64::from(player.latency_ms.get(&made.region)? - best))
    })
}

impl Day {
    /// Arrivals in a minute: quietest at 5 o'clock, busiest at 17.
    fn per_min(&self, hour: f64) -> f64 {
        let share = (1.0 - ((hour - 5.0) / 24.0 * TAU).cos()) / 2.0;
        self.low_per_min + (self.peak_per_min - self.low_per_min) * share
    }
}

impl Hour {
    fn add(&mut self, made: &Match) {
        let quality = &made.quality;
        self.matches += 1;
        self.spreads.push(quality.rating_spread);
        self.favourites.push(quality.favourite);
        self.distributions.push(quality.distribution);
        self.latencies_ms
            .extend(quality.latency_worst_ms.map(f64::from));
        self.shared_language += usize::from(quality.language.is_some());
    }
}

impl Outcome {
    /// All values of one kind.
    pub fn all(&self, of: impl Fn(&Hour) -> &Vec<f64>) -> Vec<f64> {
        self.hours
            .iter()
            .flat_map(|hour| of(hour).iter().copied())
            .collect()
    }
}

/// A quantile, or 0 of nothing.
pub fn quantile_or_zero(values: &[f64], share: f64) -> f64 {
    if values.is_empty() {
        0.0
    } else {
        quantile(&mut values.to_vec(), share)
    }
}
