//! A day of queueing: who arrives, what the passes make of it, and what came out.

use std::collections::{BTreeMap, BTreeSet};
use std::f64::consts::TAU;

use matchmaking::{Match, QueueTicket, RuleSet, World, form};
use wire::TicketId;

use crate::population::{MODES, Population};

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

/// A party that was matched.
#[derive(Debug, Clone)]
pub struct Party {
    /// Hour of the match.
    pub hour: usize,
    /// Mode of the match, an index of [`MODES`].
    pub mode: usize,
    /// Mean rating.
    pub rating: f64,
    /// Whether it plays across platforms.
    pub crosses: bool,
    /// Seconds waited.
    pub wait_s: f64,
    /// Milliseconds to the match's region more than to the player's own best, of each player.
    pub detours_ms: Vec<f64>,
    /// Predicted probability that the better team of its match wins.
    pub favourite: f64,
}

/// A match.
#[derive(Debug, Clone)]
pub struct Made {
    /// Hour of the match.
    pub hour: usize,
    /// Its mode, an index of [`MODES`].
    pub mode: usize,
    /// Its players.
    pub players: usize,
    /// Largest difference of two parties' ratings.
    pub spread: f64,
    /// Predicted probability that the better team wins, of the most unequal pair of teams.
    pub favourite: f64,
    /// Distance of the teams' rating distributions, of the least alike pair of teams.
    pub distribution: f64,
    /// Worst round-trip time, milliseconds; absent if somebody measured none.
    pub worst_ms: Option<f64>,
    /// Whether everybody shares a language.
    pub shares_language: bool,
}

/// What came out in a day.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// Parties that arrived, hour by hour.
    pub arrived: Vec<usize>,
    /// Players who arrived in all.
    pub players: usize,
    /// Parties that waited at the end of each hour.
    pub waiting: Vec<usize>,
    /// Parties that were matched.
    pub parties: Vec<Party>,
    /// Matches.
    pub made: Vec<Made>,
    /// How long those who still waited at the end had waited, seconds.
    pub left_s: Vec<f64>,
    /// Estimated wait at the first pass over the wait that followed, of those not matched at once.
    pub estimates: Vec<f64>,
    /// Passes, of one mode each.
    pub passes: usize,
}

/// How many recent waits the matcher is told.
const RECENT: usize = 200;

/// Simulates a day in which the population queues for modes with these rule sets, in the order
/// of [`MODES`].
pub fn simulate(day: &Day, rules: &[RuleSet]) -> Outcome {
    let mut run = Run {
        day,
        population: Population::new(day.seed),
        worlds: Vec::new(),
        waiting: Vec::new(),
        estimated: BTreeMap::new(),
        out: Outcome::default(),
    };
    run.worlds = vec![run.population.world(day.room); rules.len()];
    let end_s = day.hours as u64 * 3600;
    for at_s in (0..end_s).step_by(day.pass_s as usize) {
        let hour = (at_s / 3600) as usize;
        run.arrive(at_s, hour);
        for turn in 0..rules.len() {
            // Each mode is first in its turn, for tickets that want several.
            let mode = (turn + (at_s / day.pass_s) as usize) % rules.len();
            run.pass(mode, &rules[mode], (at_s + day.pass_s) * 1000, hour);
        }
        run.out.waiting[hour] = run.waiting.len();
    }
    let left = run.waiting.iter();
    run.out.left_s = left
        .map(|ticket| (end_s * 1000 - ticket.since_ms) as f64 / 1000.0)
        .collect();
    run.out
}

struct Run<'a> {
    day: &'a Day,
    population: Population,
    /// What the matcher is told of each mode.
    worlds: Vec<World>,
    waiting: Vec<QueueTicket>,
    /// Of those who waited: the whole wait, as it was first estimated.
    estimated: BTreeMap<TicketId, f64>,
    out: Outcome,
}

impl Run<'_> {
    fn arrive(&mut self, at_s: u64, hour: usize) {
        let pass_s = self.day.pass_s;
        let per_min = self.day.per_min(at_s as f64 / 3600.0);
        let count = self.population.arrivals(per_min * pass_s as f64 / 60.0);
        let since = |n: usize| at_s * 1000 + (n as u64 * pass_s * 1000) / count.max(1) as u64;
        for number in 0..count {
            let ticket = self.population.ticket(since(number));
            self.out.players += ticket.players.len();
            self.waiting.push(ticket);
        }
        self.out.arrived.resize(hour + 1, 0);
        self.out.waiting.resize(hour + 1, 0);
        self.out.arrived[hour] += count;
        let players =
            self.out.players as f64 / self.out.arrived.iter().sum::<usize>().max(1) as f64;
        for (world, (_, share)) in self.worlds.iter_mut().zip(MODES) {
            world.arrivals_per_min = per_min * players * share;
        }
    }

    fn pass(&mut self, mode: usize, rules: &RuleSet, now_ms: u64, hour: usize) {
        let seed = self.day.seed ^ now_ms;
        let found = form(&self.waiting, rules, &self.worlds[mode], now_ms, seed);
        self.out.passes += 1;
        let mut matched: BTreeMap<&TicketId, &Match> = BTreeMap::new();
        for made in &found.matches {
            self.out.made.push(Made::of(made, mode, hour));
            let tickets = made.teams.iter().flat_map(|team| &team.tickets);
            matched.extend(tickets.map(|id| (id, made)));
        }
        let recent = &mut self.worlds[mode].recent_waits_s;
        for ticket in &self.waiting {
            let Some(made) = matched.get(&ticket.id) else {
                continue;
            };
            let party = Party::of(ticket, made, mode, hour, now_ms);
            recent.push(party.wait_s);
            if let Some(total) = self.estimated.remove(&ticket.id) {
                self.out.estimates.push(total / party.wait_s);
            }
            self.out.parties.push(party);
        }
        let surplus = recent.len().saturating_sub(RECENT);
        recent.drain(..surplus);
        for left in &found.waiting {
            if let Some(more) = left.estimate_s {
                let total = left.waited_s as f64 + more;
                self.estimated.entry(left.ticket.clone()).or_insert(total);
            }
        }
        let gone: BTreeSet<TicketId> = matched.into_keys().cloned().collect();
        self.waiting.retain(|ticket| !gone.contains(&ticket.id));
    }
}

impl Day {
    /// Arrivals in a minute: quietest at 5 o'clock, busiest at 17.
    fn per_min(&self, hour: f64) -> f64 {
        let share = (1.0 - ((hour - 5.0) / 24.0 * TAU).cos()) / 2.0;
        self.low_per_min + (self.peak_per_min - self.low_per_min) * share
    }
}

impl Party {
    fn of(ticket: &QueueTicket, made: &Match, mode: usize, hour: usize, now_ms: u64) -> Self {
        let mus = ticket.players.iter().map(|player| player.rating.mu);
        let detour = |player: &matchmaking::Player| {
            let best = player.latency_ms.values().min()?;
            Some(f64::from(player.latency_ms.get(&made.region)? - best))
        };
        Self {
            hour,
            mode,
            rating: mus.sum::<f64>() / ticket.players.len() as f64,
            crosses: ticket.players.iter().all(|player| player.cross_play),
            wait_s: (now_ms - ticket.since_ms) as f64 / 1000.0,
            detours_ms: ticket.players.iter().filter_map(detour).collect(),
            favourite: made.quality.favourite,
        }
    }
}

impl Made {
    fn of(made: &Match, mode: usize, hour: usize) -> Self {
        let quality = &made.quality;
        Self {
            hour,
            mode,
            players: made.teams.iter().map(|team| team.players.len()).sum(),
            spread: quality.rating_spread,
            favourite: quality.favourite,
            distribution: quality.distribution,
            worst_ms: quality.latency_worst_ms.map(f64::from),
            shares_language: quality.language.is_some(),
        }
    }
}

impl Outcome {
    /// A value of each party that `wanted` picks.
    pub fn of_parties(
        &self,
        wanted: impl Fn(&Party) -> bool,
        value: impl Fn(&Party) -> f64,
    ) -> Vec<f64> {
        let parties = self.parties.iter().filter(|party| wanted(party));
        parties.map(value).collect()
    }

    /// A value of each match that `wanted` picks and that has one.
    pub fn of_made(
        &self,
        wanted: impl Fn(&Made) -> bool,
        value: impl Fn(&Made) -> Option<f64>,
    ) -> Vec<f64> {
        let made = self.made.iter().filter(|made| wanted(made));
        made.filter_map(value).collect()
    }

    /// The matched parties in ten groups of one size, the weakest first.
    pub fn deciles(&self) -> Vec<Vec<&Party>> {
        let mut all: Vec<&Party> = self.parties.iter().collect();
        all.sort_by(|a, b| a.rating.total_cmp(&b.rating));
        let size = all.len().div_ceil(10).max(1);
        all.chunks(size).map(<[&Party]>::to_vec).collect()
    }

    /// The longest wait of all, matched or not, seconds.
    pub fn wait_max_s(&self) -> f64 {
        let waits = self.parties.iter().map(|party| party.wait_s);
        waits.chain(self.left_s.iter().copied()).fold(0.0, f64::max)
    }
}
