//! What benchmarks measured, kept with where and when: `measured.json`. Dollars are made of it and
//! the book of prices each time, so that they are never older than the prices.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::allocation::Allocation;
use crate::book::{AWS, Book, HOME_REGION, Missing};
use crate::cost::{Cost, Rates, Used};
use crate::money::Money;
use crate::usage::{HEADERS_BYTES, STREAM_PACKETS_PER_MINUTE};

/// What a million of something used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Million {
    /// Requests that API Gateway counts.
    pub gateway_requests: u64,
    /// Invocations.
    pub requests: u64,
    /// Billed milliseconds times MB.
    pub mb_ms: u64,
    /// Read units.
    pub read_units: u64,
    /// Write units.
    pub write_units: u64,
    /// Bytes of logs.
    pub log_bytes: u64,
    /// Bytes to the internet.
    pub egress_bytes: u64,
}

/// One measurement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The commit that was measured.
    pub commit: String,
    /// The day.
    pub date: String,
    /// The machine.
    pub machine: String,
    /// The command that repeats it.
    pub command: String,
    /// What a million of them used.
    pub million: Million,
}

/// The file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Measured(pub BTreeMap<String, Entry>);

impl From<Used> for Million {
    /// Of what a million used.
    fn from(used: Used) -> Self {
        let whole = |part: u128| u64::try_from(part).unwrap_or(u64::MAX);
        Self {
            gateway_requests: whole(used.gateway_requests),
            requests: whole(used.requests),
            mb_ms: whole(used.mb_ms),
            read_units: whole(used.read_units),
            write_units: whole(used.write_units),
            log_bytes: whole(used.log_bytes),
            egress_bytes: whole(used.egress_bytes),
        }
    }
}

impl From<Million> for Used {
    fn from(million: Million) -> Self {
        Self {
            gateway_requests: million.gateway_requests.into(),
            requests: million.requests.into(),
            mb_ms: million.mb_ms.into(),
            read_units: million.read_units.into(),
            write_units: million.write_units.into(),
            log_bytes: million.log_bytes.into(),
            egress_bytes: million.egress_bytes.into(),
        }
    }
}

impl Measured {
    /// The file of this repository.
    ///
    /// # Panics
    /// Never: a test reads it.
    pub fn built_in() -> Self {
        let text = include_str!("../measured.json");
        serde_json::from_str(text).expect("the repository's file is read by a test")
    }

    /// What a million of something costs in the home region.
    ///
    /// # Errors
    /// What is missing: the measurement, or a price.
    pub fn cost(&self, name: &str, book: &Book) -> Result<Cost, String> {
        let million = self.million(name)?;
        let rates = Rates::of(book, HOME_REGION, &mut Default::default());
        let rates = rates.map_err(|missing| missing.to_string())?;
        Ok(rates.of_part(&million.into()))
    }

    /// What a million of something uses.
    ///
    /// # Errors
    /// That nobody measured it.
    pub fn million(&self, name: &str) -> Result<Million, String> {
        let found = self.0.get(name).map(|entry| entry.million);
        found.ok_or_else(|| {
            format!("measured.json has no `{name}`; run its benchmark and `finops measured`")
        })
    }
}

/// Bytes of an Opus packet of 20 ms at the bitrate that the answer asks for, 32 kbit/s, with RTP,
/// header extension and AES-GCM tag.
const PAYLOAD_BYTES: u128 = 112;
/// The same on the wire.
pub const PACKET_BYTES: u128 = PAYLOAD_BYTES + HEADERS_BYTES;
/// Of a squad of five of whom one talks, what each hears: four fifths of a stream.
const SQUAD: (u128, u128) = (4, 5);

/// Dollars of 1,000 stream-minutes, and of 1,000 voice-minutes of a squad of five of whom one talks
/// at any time: egress of the home region, and machines.
///
/// # Errors
/// [`Missing`].
pub fn voice(book: &Book, allocation: &Allocation) -> Result<(Money, Money), Missing> {
    let relays = &allocation.relays;
    let egress = book.price("egress-internet", AWS, HOME_REGION)?;
    let machine = book.price(&relays.machine, AWS, HOME_REGION)?;
    let of = |packets: u128| {
        let ns = packets * u128::from(relays.packet_cpu_ns);
        let hour = 3_600_000_000_000 * u128::from(relays.cores);
        egress.of_part(packets * PACKET_BYTES) + machine.list().scaled(ns, hour)
    };
    let packets = 1_000 * STREAM_PACKETS_PER_MINUTE;
    Ok((of(packets), of(packets * SQUAD.0 / SQUAD.1)))
}

/// Lines of the table "Measured" of the README that are dollars: how each begins, and the whole of
/// it as it must be.
///
/// # Errors
/// What is missing.
pub fn readme(
    measured: &Measured,
    book: &Book,
    allocation: &Allocation,
) -> Result<Vec<(String, String)>, String> {
    let (messages, joins, tickets) = (
        measured.cost("chat-post", book)?,
        measured.cost("join", book)?,
        measured.cost("ticket", book)?,
    );
    let (stream, squad) = voice(book, allocation).map_err(|missing| missing.to_string())?;
    let bare = |cost: &Cost| (cost.store + cost.compute).text(2);
    let all = |cost: &Cost| cost.total().text(2);
    let line = |what: &str, figure: String, aim: &str, command: &str| {
        (
            format!("| {what} |"),
            format!("| {what} | {figure} | {aim} | {command} |"),
        )
    };
    Ok(vec![
        line(
            "a million chat messages on Lambda and DynamoDB at list prices, fan-out apart; with \
             gateway, logs and egress",
            format!("{} $; {} $", bare(&messages), all(&messages)),
            "2 $",
            "`cargo xtask bench edge`",
        ),
        line(
            "a million joins on Lambda, gateway, logs and egress included",
            format!("{} $", all(&joins)),
            "2.5 $",
            "same",
        ),
        line(
            "a million matchmaking tickets of a 5v5 queue, store and Lambda; with gateway, logs \
             and egress",
            format!("{} $; {} $", bare(&tickets), all(&tickets)),
            "5 $",
            "`cargo xtask bench queue`",
        ),
        line(
            "1,000 stream-minutes, one stream that is always on, 32 kbit/s: egress and machines at \
             list prices",
            format!("{} $", stream.text(4)),
            "",
            "[finops](infra/finops/README.md)",
        ),
        line(
            "1,000 voice-minutes, one player connected, in a squad of five of whom one talks",
            format!("{} $", squad.text(4)),
            "",
            "same",
        ),
    ])
}
