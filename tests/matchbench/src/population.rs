//! Random tickets: modes, ratings, parties, regions, languages, platforms, blocks.

use std::collections::BTreeMap;

use matchmaking::{AttributeValue, Player, QueueTicket, Rating, Region, World};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use wire::{ModeName, PlayerId, RegionName, TicketId};

/// Region, share of the population, place on a line of milliseconds, language.
const REGIONS: [(&str, f64, f64, &str); 6] = [
    ("us-west", 0.15, 0.0, "en"),
    ("us-east", 0.22, 60.0, "en"),
    ("eu-west", 0.27, 135.0, "en"),
    ("eu-east", 0.14, 165.0, "de"),
    ("asia", 0.16, 300.0, "ja"),
    ("south-america", 0.06, -110.0, "pt"),
];
/// Share of parties with one to five players.
const PARTIES: [f64; 5] = [0.68, 0.18, 0.07, 0.04, 0.03];
/// Share of players who have blocked somebody who queued not long ago.
const BLOCKERS: f64 = 0.05;
/// Share of parties that stay on their own platform.
const CLOSED: f64 = 0.05;
/// Platforms and their shares of the players.
const PLATFORMS: [(&str, f64); 3] = [("pc", 0.6), ("console-a", 0.25), ("console-b", 0.15)];
/// Modes and the share of parties that want each.
pub const MODES: [(&str, f64); 3] = [("five", 0.5), ("ranked", 0.3), ("royale", 0.2)];
/// Share of parties of the first two modes that take either.
const FLEXIBLE: f64 = 0.1;
/// How far back that is, players.
const BLOCKED_AMONG: u64 = 5_000;
/// Mean and deviation of the population's ratings.
const RATINGS: (f64, f64) = (25.0, 7.0);

/// Makes tickets, the same ones from the same seed.
pub struct Population {
    rng: ChaCha8Rng,
    tickets: u64,
    players: u64,
    modes: Vec<ModeName>,
    regions: Vec<RegionName>,
}

impl Population {
    /// A population by its seed.
    pub fn new(seed: u64) -> Self {
        let name = |region: &(&str, f64, f64, &str)| {
            RegionName::new(region.0).expect("the names above are valid")
        };
        Self {
            rng: ChaCha8Rng::seed_from_u64(seed),
            tickets: 0,
            players: 0,
            modes: MODES
                .iter()
                .map(|mode| ModeName::new(mode.0).expect("the names above are valid"))
                .collect(),
            regions: REGIONS.iter().map(name).collect(),
        }
    }

    /// The world that it lives in, with the same room everywhere.
    pub fn world(&self, room: u32) -> World {
        let regions = self
            .regions
            .iter()
            .map(|name| Region::of_one_shard(name.clone(), room));
        World {
            regions: regions.collect(),
            ..World::default()
        }
    }

    /// How many arrive in a time in which `mean` arrive on average (Poisson).
    pub fn arrivals(&mut self, mean: f64) -> usize {
        // Sums of exponential gaps; the means here are small.
        let (mut sum, mut count) = (0.0, 0);
        loop {
            sum -= (1.0 - self.rng.random::<f64>()).ln();
            if sum > mean {
                return count;
            }
            count += 1;
        }
    }

    /// The next party.
    pub fn ticket(&mut self, since_ms: u64) -> QueueTicket {
        let size = 1 + self.choose(&PARTIES);
        let home = self.choose(&REGIONS.map(|region| region.1));
        let (mean, deviation) = RATINGS;
        let strength = mean + deviation * self.normal();
        let platform = self.rng.random_bool(CLOSED).then(|| self.platform());
        let mode = self.choose(&MODES.map(|mode| mode.1));
        let modes = if mode < 2 && self.rng.random_bool(FLEXIBLE) {
            self.modes[..2].to_vec()
        } else {
            vec![self.modes[mode].clone()]
        };
        self.tickets += 1;
        let roles = self.roles(size);
        QueueTicket {
            id: TicketId::new(format!("t{}", self.tickets)).expect("it is a valid id"),
            players: roles
                .into_iter()
                .map(|role| self.player(home, strength, platform, role))
                .collect(),
            modes,
            since_ms,
        }
    }

    fn platform(&mut self) -> &'static str {
        PLATFORMS[self.choose(&PLATFORMS.map(|platform| platform.1))].0
    }

    /// Singles play what they like; friends agree on places of one team.
    fn roles(&mut self, size: usize) -> Vec<&'static str> {
        if size == 1 {
            return vec![["healer", "tank", "dps"][self.choose(&[0.17, 0.23, 0.6])]];
        }
        let mut places = vec!["healer", "tank", "dps", "dps", "dps"];
        (0..size)
            .map(|_| places.swap_remove(self.rng.random_range(0..places.len())))
            .collect()
    }

    /// Friends are not far apart in strength or place. `only` is the platform of a party that
    /// does not play across platforms.
    fn player(
        &mut self,
        home: usize,
        strength: f64,
        only: Option<&'static str>,
        role: &str,
    ) -> Player {
        let id = self.players;
        self.players += 1;
        // To the next city, and over whatever line it is.
        let own = 12.0 + 14.0 * self.rng.random::<f64>().powi(3) * 6.0;
        let latency_ms = self
            .regions
            .clone()
            .into_iter()
            .zip(REGIONS)
            .map(|(name, region)| {
                let way = (region.2 - REGIONS[home].2).abs();
                (name, (own + way + 6.0 * self.rng.random::<f64>()) as u32)
            });
        let latency_ms: BTreeMap<RegionName, u32> = latency_ms.collect();
        let mut languages = vec![REGIONS[home].3.to_owned()];
        if self.rng.random_bool(0.5) && languages[0] != "en" {
            languages.push("en".to_owned());
        }
        let platform = only.unwrap_or_else(|| self.platform());
        let mut blocks = Vec::new();
        if id > 0 && self.rng.random_bool(BLOCKERS) {
            let back = self.rng.random_range(1..=BLOCKED_AMONG.min(id));
            blocks.push(player_id(id - back));
        }
        let sigma = 1.5 + 6.0 * self.rng.random::<f64>().powi(2);
        Player {
            id: player_id(id),
            rating: Rating {
                mu: strength + 2.0 * self.normal(),
                sigma,
            },
            attributes: BTreeMap::from([(
                "role".to_owned(),
                AttributeValue::Text(role.to_owned()),
            )]),
            latency_ms,
            platform: platform.to_owned(),
            cross_play: only.is_none(),
            languages,
            blocks,
        }
    }

    fn choose(&mut self, shares: &[f64]) -> usize {
        let mut left = self.rng.random::<f64>() * shares.iter().sum::<f64>();
        for (index, share) in shares.iter().enumerate() {
            left -= share;
            if left < 0.0 {
                return index;
            }
        }
        shares.len() - 1
    }

    /// A standard normal number (Box and Muller).
    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.rng.random::<f64>()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.rng.random::<f64>()).cos()
    }
}

fn player_id(number: u64) -> PlayerId {
    PlayerId::new(format!("p{number}")).expect("it is a valid id")
}
