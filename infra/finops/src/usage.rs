//! What voice costs: minutes of rooms, priced.

use std::collections::{BTreeMap, BTreeSet};

use wire::RoomKey;
use wire::record::{UsageRecord, VoiceMode};

use crate::allocation::Allocation;
use crate::book::{AWS, Book, HOME_REGION, Missing, Price};
use crate::money::Money;

/// IPv4 and UDP headers of a packet, bytes.
pub const HEADERS_BYTES: u128 = 28;
/// Packets of a stream in a minute, at 20 ms.
pub const STREAM_PACKETS_PER_MINUTE: u128 = 3_000;
/// Rooms that are told apart; the rest are one.
const ROOMS_MAX: usize = 200_000;
const PER_MINUTE_MS: u128 = 60_000;

/// Voice, and what it costs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Voice {
    /// Participants times the time that each was there, milliseconds.
    pub participant_ms: u128,
    /// Voice received, milliseconds.
    pub talk_ms: u128,
    /// Media packets sent.
    pub packets: u128,
    /// Bytes of them, headers included.
    pub bytes: u128,
    /// What the traffic costs.
    pub egress: Money,
    /// What forwarding costs, of the machines.
    pub compute: Money,
}

impl Voice {
    /// Traffic and machines together.
    pub fn total(&self) -> Money {
        self.egress + self.compute
    }

    /// Dollars of 1,000 voice-minutes: of a participant connected for a minute, with all that he
    /// hears.
    pub fn per_1000_voice_minutes(&self) -> Money {
        let minutes = self.participant_ms.max(1);
        self.total().scaled(1_000 * PER_MINUTE_MS, minutes)
    }

    /// Dollars of 1,000 stream-minutes: of one stream that is always on, to one listener.
    pub fn per_1000_stream_minutes(&self) -> Money {
        let packets = self.packets.max(1);
        self.total()
            .scaled(1_000 * STREAM_PACKETS_PER_MINUTE, packets)
    }

    fn add(&mut self, other: &Self) {
        self.participant_ms += other.participant_ms;
        self.talk_ms += other.talk_ms;
        self.packets += other.packets;
        self.bytes += other.bytes;
        self.egress += other.egress;
        self.compute += other.compute;
    }
}

/// What is paid for voice in one region.
#[derive(Debug, Clone, Copy)]
struct VoiceRates<'a> {
    egress: &'a Price,
    machine: &'a Price,
}

/// All room-minutes, priced as they come.
#[derive(Debug)]
pub struct Usage<'a> {
    book: &'a Book,
    allocation: &'a Allocation,
    rates: BTreeMap<String, VoiceRates<'a>>,
    /// Prices that a region does not have, for which the home region's were taken.
    pub substituted: BTreeSet<Missing>,
    /// By region of the fleet and mode.
    pub regions: BTreeMap<(String, VoiceMode), Voice>,
    /// By room; `None` is all rooms beyond the bound.
    pub rooms: BTreeMap<Option<RoomKey>, Voice>,
}

impl<'a> Usage<'a> {
    /// Of nothing yet.
    pub fn new(book: &'a Book, allocation: &'a Allocation) -> Self {
        Self {
            book,
            allocation,
            rates: BTreeMap::new(),
            substituted: BTreeSet::new(),
            regions: BTreeMap::new(),
            rooms: BTreeMap::new(),
        }
    }

    /// Prices a minute of a room and counts it.
    ///
    /// # Errors
    /// [`Missing`] when neither its region nor the home region has a price.
    pub fn add(&mut self, record: &UsageRecord) -> Result<Voice, Missing> {
        let rates = self.rates(&record.region)?;
        let packets = u128::from(record.packets_out);
        let bytes = u128::from(record.bytes_out) + packets * HEADERS_BYTES;
        let voice = Voice {
            participant_ms: record.participant_ms.into(),
            talk_ms: record.talk_ms.into(),
            packets,
            bytes,
            egress: rates.egress.of_part(bytes),
            compute: self.machine_time(rates.machine, packets),
        };
        let region = (record.region.clone(), record.mode);
        self.regions.entry(region).or_default().add(&voice);
        let room = Some(record.room);
        let is_full = self.rooms.len() >= ROOMS_MAX && !self.rooms.contains_key(&room);
        let room = if is_full { None } else { room };
        self.rooms.entry(room).or_default().add(&voice);
        Ok(voice)
    }

    /// A core's share of a machine for the time that packets take.
    fn machine_time(&self, machine: &Price, packets: u128) -> Money {
        const NS_PER_HOUR: u128 = 3_600_000_000_000;
        let relays = &self.allocation.relays;
        let ns = packets * u128::from(relays.packet_cpu_ns);
        machine
            .list()
            .scaled(ns, NS_PER_HOUR * u128::from(relays.cores))
    }

    fn rates(&mut self, region: &str) -> Result<VoiceRates<'a>, Missing> {
        if let Some(rates) = self.rates.get(region) {
            return Ok(*rates);
        }
        let of_aws = self.allocation.region(region);
        let mut price = |item: &str| match self.book.price(item, AWS, of_aws) {
            Ok(price) => Ok(price),
            Err(missing) => {
                let price = self.book.price(item, AWS, HOME_REGION)?;
                self.substituted.insert(missing);
                Ok(price)
            }
        };
        let egress = price("egress-internet")?;
        let machine = price(&self.allocation.relays.machine)?;
        let rates = VoiceRates { egress, machine };
        self.rates.insert(region.to_owned(), rates);
        Ok(rates)
    }

    /// All voice together.
    pub fn total(&self) -> Voice {
        let mut sum = Voice::default();
        self.regions.values().for_each(|voice| sum.add(voice));
        sum
    }

    /// Rooms, the dearest first.
    pub fn dearest_rooms(&self) -> Vec<(Option<RoomKey>, &Voice)> {
        let mut rooms: Vec<_> = self
            .rooms
            .iter()
            .map(|(room, voice)| (*room, voice))
            .collect();
        rooms.sort_by_key(|(room, voice)| (std::cmp::Reverse(voice.total()), *room));
        rooms
    }
}

#[cfg(test)]
#[path = "usage_tests.rs"]
mod tests;
