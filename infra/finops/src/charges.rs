//! Charges: what was used of what, on which day, and whose it is. As CSV for showback, and as rows
//! of FOCUS 1.2.

pub mod focus;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use wire::record::{InvocationRecord, UsageRecord};

use crate::allocation::{Allocation, NOBODY, Owner};
use crate::book::Unit;
use crate::cost::{Cost, Used};
use crate::csv::field;
use crate::date::Date;
use crate::money::Money;
use crate::usage::Voice;

/// Charges that are told apart; the rest belong to nobody.
const CHARGES_MAX: usize = 50_000;

/// What is paid for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Item {
    /// Requests of API Gateway.
    Gateway,
    /// Lambda: time and invocations; the quantity is the time.
    Compute,
    /// DynamoDB; the quantity is read and write units together.
    Store,
    /// CloudWatch Logs.
    Logs,
    /// Replies of the edge.
    EdgeEgress,
    /// Voice.
    VoiceEgress,
    /// Relays' machines, for the time that forwarding takes.
    Relay,
}

impl Item {
    /// Name, service as AWS calls it, FOCUS category, and the unit of quantities.
    pub fn names(self) -> (&'static str, &'static str, &'static str, Unit) {
        match self {
            Self::Gateway => (
                "gateway",
                "Amazon API Gateway",
                "Networking",
                Unit::MillionRequests,
            ),
            Self::Compute => ("compute", "AWS Lambda", "Compute", Unit::GbSecond),
            Self::Store => ("store", "Amazon DynamoDB", "Databases", Unit::MillionUnits),
            Self::Logs => (
                "logs",
                "AmazonCloudWatch",
                "Management and Governance",
                Unit::Gb,
            ),
            Self::EdgeEgress => ("edge-egress", "AWS Data Transfer", "Networking", Unit::Gb),
            Self::VoiceEgress => ("voice-egress", "AWS Data Transfer", "Networking", Unit::Gb),
            Self::Relay => (
                "relay",
                "Amazon Elastic Compute Cloud",
                "Compute",
                Unit::ThousandParticipantMinutes,
            ),
        }
    }
}

/// What is told apart. No player, no room.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChargeKey {
    /// The day.
    pub day: Date,
    /// Region of AWS.
    pub region: String,
    /// Whose it is.
    pub owner: Owner,
    /// The function, or `relay`.
    pub resource: String,
    /// What is paid for.
    pub item: Item,
}

/// How much, in parts of the item's unit, and what it costs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Charge {
    /// In parts of the unit.
    pub quantity: u128,
    /// Dollars.
    pub cost: Money,
}

/// All charges.
#[derive(Debug)]
pub struct Charges<'a> {
    allocation: &'a Allocation,
    /// Which environment they are of.
    pub environment: String,
    /// By day, region, owner, resource and item.
    pub all: BTreeMap<ChargeKey, Charge>,
}

impl<'a> Charges<'a> {
    /// None yet.
    pub fn new(allocation: &'a Allocation, environment: &str) -> Self {
        Self {
            allocation,
            environment: environment.to_owned(),
            all: BTreeMap::new(),
        }
    }

    /// Adds an invocation.
    pub fn add_invocation(&mut self, record: &InvocationRecord, used: &Used, cost: &Cost) {
        let at = (Date::of_ms(record.at_ms), record.region.as_str());
        let owner = self.allocation.owner(&record.function);
        for (item, quantity, cost) in [
            (Item::Gateway, used.gateway_requests, cost.gateway),
            (Item::Compute, used.mb_ms, cost.compute),
            (Item::Store, used.read_units + used.write_units, cost.store),
            (Item::Logs, used.log_bytes, cost.logs),
            (Item::EdgeEgress, used.egress_bytes, cost.egress),
        ] {
            self.add(
                at,
                owner.clone(),
                &record.function,
                item,
                Charge { quantity, cost },
            );
        }
    }

    /// Adds a minute of a room.
    pub fn add_usage(&mut self, record: &UsageRecord, voice: &Voice) {
        let at = (Date::of_ms(record.minute_ms), record.region.as_str());
        let relays = &self.allocation.relays;
        let owner = Owner {
            feature: relays.feature.clone(),
            team: relays.team.clone(),
        };
        let egress = Charge {
            quantity: voice.bytes,
            cost: voice.egress,
        };
        let machine = Charge {
            quantity: voice.participant_ms,
            cost: voice.compute,
        };
        self.add(at, owner.clone(), "relay", Item::VoiceEgress, egress);
        self.add(at, owner, "relay", Item::Relay, machine);
    }

    fn add(&mut self, at: (Date, &str), owner: Owner, resource: &str, item: Item, charge: Charge) {
        let region = self.allocation.region(at.1).to_owned();
        let mut key = ChargeKey {
            day: at.0,
            region,
            owner,
            resource: resource.to_owned(),
            item,
        };
        if self.all.len() >= CHARGES_MAX && !self.all.contains_key(&key) {
            key.owner = Owner {
                feature: NOBODY.to_owned(),
                team: NOBODY.to_owned(),
            };
            key.resource = "(others)".to_owned();
            key.day = Date::of_ms(0);
        }
        let sum = self.all.entry(key).or_default();
        sum.quantity += charge.quantity;
        sum.cost += charge.cost;
    }

    /// All of them together.
    pub fn total(&self) -> Money {
        self.all.values().map(|charge| charge.cost).sum()
    }

    /// What belongs to nobody.
    pub fn untagged(&self) -> Money {
        let nobodys = self.all.iter().filter(|(key, _)| key.owner.team == NOBODY);
        nobodys.map(|(_, charge)| charge.cost).sum()
    }

    /// As CSV (RFC 4180), with exact dollars.
    pub fn csv(&self) -> String {
        let mut out =
            "day,environment,feature,team,region,resource,item,quantity,unit,usd\n".to_owned();
        for (key, charge) in &self.all {
            let (item, _, _, unit) = key.item.names();
            let cells = [
                key.day.to_string(),
                field(&self.environment),
                field(&key.owner.feature),
                field(&key.owner.team),
                field(&key.region),
                field(&key.resource),
                item.to_owned(),
                decimal(charge.quantity, unit.parts()),
                unit.name().to_owned(),
                charge.cost.text(12),
            ];
            let _ = writeln!(out, "{}", cells.join(","));
        }
        out
    }
}

/// A quotient with nine digits after the point, rounded down.
fn decimal(quantity: u128, parts: u128) -> String {
    const DIGITS: u128 = 1_000_000_000;
    let (whole, rest) = (quantity / parts, quantity % parts);
    format!("{whole}.{:09}", rest.saturating_mul(DIGITS) / parts)
}

#[cfg(test)]
#[path = "charges_tests.rs"]
mod tests;
