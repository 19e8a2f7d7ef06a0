//! The planner: what so many players need by region and hour, what breaks first, and what it costs,
//! from measured figures and from what machines can do always.

mod machine;
mod replay;

use std::collections::{BTreeMap, BTreeSet};

use crate::allocation::Allocation;
use crate::book::{AWS, Book, HOME_REGION, Missing};
use crate::calendar::{Calendar, Hour};
use crate::cost::{Cost, Rates, Used};
use crate::measured::{Measured, PACKET_BYTES};
use crate::money::Money;

pub use machine::{Limit, Machine, Machines};
pub(crate) use replay::Squads;
pub use replay::{Replay, replay};

/// Packets of a stream in a second, at 20 ms.
pub(crate) const PACKETS_PER_S: f64 = 50.0;
/// Of the players of the busiest hour, those who are online in the quietest: the population of
/// tests/matchbench has a day like this.
const QUIET_SHARE: f64 = 0.2;
/// The quietest hour of a region's own time.
const QUIET_HOUR: f64 = 5.0;

/// What is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Demand {
    /// Players of a day.
    pub players: f64,
    /// Of them, those who are online in the busiest hour.
    pub concurrent_share: f64,
    /// Of those who are online, those who are in a room.
    pub voice_share: f64,
    /// Streams that a participant hears at once, on average over the whole time.
    pub streams: f64,
    /// Joins, chat messages and matchmaking tickets of an online player in an hour.
    pub joins_per_hour: f64,
    /// The same.
    pub messages_per_hour: f64,
    /// The same.
    pub tickets_per_hour: f64,
    /// By region: its share of the players, and how many hours its time is before UTC.
    pub regions: BTreeMap<String, (f64, f64)>,
    /// The first hour.
    pub from: Hour,
    /// How many hours.
    pub hours: u32,
    /// Of what a machine can do always, what is kept free.
    pub headroom: f64,
    /// Zones of each region: one of them may be lost.
    pub zones: u32,
}

/// A region in an hour.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Need {
    /// The hour.
    pub hour: Hour,
    /// Players online.
    pub online: f64,
    /// Streams at once.
    pub streams: f64,
    /// Traffic, Mbit/s.
    pub mbit: f64,
    /// Cores.
    pub cores: f64,
    /// Relays, one zone's loss included.
    pub relays: u32,
}

/// What it comes to.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// By region, hour by hour.
    pub needs: BTreeMap<String, Vec<Need>>,
    /// What ends first when there are more streams than planned.
    pub limit: Limit,
    /// Streams that a relay takes, with headroom.
    pub streams_per_relay: f64,
    /// Relays for their hours, when they follow the need.
    pub machines: Money,
    /// The same when each region has what its busiest hour needs all the time.
    pub machines_at_peak: Money,
    /// Voice to the internet.
    pub egress: Money,
    /// GB of it.
    pub egress_gb: f64,
    /// Functions, gateway, table, logs.
    pub edge: Cost,
    /// Units of the table: read, written.
    pub units: (u128, u128),
    /// Prices that a region does not have, for which the home region's were taken.
    pub substituted: BTreeSet<Missing>,
}

impl Plan {
    /// Everything, when relays follow the need.
    pub fn total(&self) -> Money {
        self.machines + self.egress + self.edge.total()
    }
}

/// What a plan goes by besides the demand.
#[derive(Debug, Clone, Copy)]
pub struct Basis<'a> {
    /// Prices.
    pub book: &'a Book,
    /// Processor time of a packet.
    pub allocation: &'a Allocation,
    /// What joins, messages and tickets use.
    pub measured: &'a Measured,
    /// Events.
    pub calendar: &'a Calendar,
    /// What relays run on.
    pub machine: &'a Machine,
}

impl Demand {
    /// What is wrong with it.
    ///
    /// # Errors
    /// A sentence.
    pub fn check(&self) -> Result<(), String> {
        let share = |name: &str, value: f64| match value {
            value if (0.0..=1.0).contains(&value) => Ok(()),
            value => Err(format!("{name} is {value}; a share is within 0 and 1")),
        };
        share("the concurrent share", self.concurrent_share)?;
        share("the voice share", self.voice_share)?;
        if !(0.0..0.95).contains(&self.headroom) {
            return Err(format!(
                "a headroom of {} leaves nothing; give 0 to 0.94",
                self.headroom
            ));
        }
        for (what, value) in [
            ("players", self.players),
            ("streams", self.streams),
            ("joins", self.joins_per_hour),
            ("messages", self.messages_per_hour),
            ("tickets", self.tickets_per_hour),
        ] {
            if !(0.0..=1e10).contains(&value) {
                return Err(format!("{value} {what}: give 0 to 10^10"));
            }
        }
        let shares: f64 = self.regions.values().map(|(share, _)| share).sum();
        if (shares - 1.0).abs() > 0.001 {
            return Err(format!(
                "the shares of the regions are {shares} together, and should be 1"
            ));
        }
        if self.hours == 0 || self.hours > 24 * 366 || self.zones == 0 {
            return Err("plan 1 to 8784 hours, in at least one zone".to_owned());
        }
        Ok(())
    }

    /// Players online in a region in an hour.
    pub fn online(&self, region: &str, hour: Hour, calendar: &Calendar) -> f64 {
        let (share, offset) = self.regions.get(region).copied().unwrap_or_default();
        let own = hour.rem_euclid(24) as f64 + offset;
        let wave = (1.0 - ((own - QUIET_HOUR) / 24.0 * std::f64::consts::TAU).cos()) / 2.0;
        let of_peak = QUIET_SHARE + (1.0 - QUIET_SHARE) * wave;
        self.players * share * self.concurrent_share * of_peak * calendar.factor(region, hour)
    }
}

/// Relays for so many streams, of which a zone may be lost: what is left takes them all.
fn relays(streams: f64, per_relay: f64, zones: u32) -> u32 {
    let needed = (streams / per_relay.max(1e-9)).ceil().clamp(1.0, 1e9) as u32;
    if zones < 2 {
        return needed;
    }
    needed.div_ceil(zones - 1) * zones
}

/// Plans.
///
/// # Errors
/// What is wrong with the demand, or missing of measurements and prices.
pub fn plan(demand: &Demand, basis: &Basis<'_>) -> Result<Plan, String> {
    demand.check()?;
    let packet_cpu_ns = basis.allocation.relays.packet_cpu_ns;
    let (limit, most) = basis.machine.streams(packet_cpu_ns);
    let per_relay = most * (1.0 - demand.headroom);
    let mut needs = BTreeMap::new();
    for region in demand.regions.keys() {
        let hours = (0..i64::from(demand.hours)).map(|at| {
            let hour = demand.from + at;
            let online = demand.online(region, hour, basis.calendar);
            let streams = online * demand.voice_share * demand.streams;
            let packets = streams * PACKETS_PER_S;
            Need {
                hour,
                online,
                streams,
                mbit: packets * PACKET_BYTES as f64 * 8.0 / 1e6,
                cores: packets * packet_cpu_ns as f64 / 1e9,
                relays: relays(streams, per_relay, demand.zones),
            }
        });
        needs.insert(region.clone(), hours.collect());
    }
    let mut plan = Plan {
        needs,
        limit,
        streams_per_relay: per_relay,
        machines: Money::ZERO,
        machines_at_peak: Money::ZERO,
        egress: Money::ZERO,
        egress_gb: 0.0,
        edge: Cost::default(),
        units: (0, 0),
        substituted: BTreeSet::new(),
    };
    price(&mut plan, demand, basis)?;
    Ok(plan)
}

fn price(plan: &mut Plan, demand: &Demand, basis: &Basis<'_>) -> Result<(), String> {
    let (mut online_hours, mut substituted) = (0.0, BTreeSet::new());
    for (region, needs) in &plan.needs {
        let of_aws = basis.allocation.region(region);
        let mut price = |item: &str| match basis.book.price(item, AWS, of_aws) {
            Ok(price) => Ok(price),
            Err(missing) => {
                let price = basis.book.price(item, AWS, HOME_REGION);
                let price = price.map_err(|missing| missing.to_string())?;
                substituted.insert(missing);
                Ok::<_, String>(price)
            }
        };
        let hour = price(&basis.machine.item)?.list() + price("public-ipv4")?.list();
        let hours: u128 = needs.iter().map(|need| u128::from(need.relays)).sum();
        let most = needs.iter().map(|need| need.relays).max().unwrap_or(0);
        plan.machines += hour.scaled(hours, 1);
        plan.machines_at_peak += hour.scaled(u128::from(most) * needs.len() as u128, 1);
        let bytes: f64 = needs
            .iter()
            .map(|need| need.mbit * 1e6 / 8.0 * 3_600.0)
            .sum();
        plan.egress += price("egress-internet")?.of_month(bytes.round() as u128);
        plan.egress_gb += bytes / 1e9;
        online_hours += needs.iter().map(|need| need.online).sum::<f64>();
    }
    let mut used = Used::default();
    for (name, per_hour) in [
        ("join", demand.joins_per_hour),
        ("chat-post", demand.messages_per_hour),
        ("ticket", demand.tickets_per_hour),
    ] {
        let of_million: Used = basis.measured.million(name)?.into();
        let count = (online_hours * per_hour).round() as u128;
        used += of_million.scaled(count, 1_000_000);
    }
    let rates = Rates::of(basis.book, HOME_REGION, &mut Default::default());
    plan.edge = rates
        .map_err(|missing| missing.to_string())?
        .of_month(&used);
    plan.units = (used.read_units, used.write_units);
    plan.substituted = substituted;
    Ok(())
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
