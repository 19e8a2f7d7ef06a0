//! What relays run on: `machines.toml`.

use serde::Deserialize;

use super::PACKETS_PER_S;
use crate::date::Date;
use crate::measured::PACKET_BYTES;

/// A kind of machine, by what it can do always.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// As the provider calls it.
    pub name: String,
    /// Its price in the book.
    pub item: String,
    /// Virtual processors.
    pub vcpus: u32,
    /// Of each, before credits are spent, per cent.
    pub baseline_cpu_percent: u32,
    /// Bandwidth before credits are spent, Mbit/s.
    pub baseline_mbit: u32,
    /// When that was read.
    pub date: String,
    /// Where.
    pub source: String,
    /// Whether no primary page was read for all of it.
    #[serde(default)]
    pub check: bool,
}

/// What ends first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// The network's baseline.
    Bandwidth,
    /// The processors' baseline.
    Processor,
}

/// The file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machines {
    machine: Vec<Machine>,
}

impl Machines {
    /// The file of this repository.
    ///
    /// # Panics
    /// Never: a test reads it.
    pub fn built_in() -> Self {
        let text = include_str!("../../machines.toml");
        Self::read(text).expect("the repository's file is read by a test")
    }

    /// Reads a file's text.
    ///
    /// # Errors
    /// What is wrong.
    pub fn read(text: &str) -> Result<Self, String> {
        let read: Self = toml::from_str(text).map_err(|fault| fault.to_string())?;
        for machine in &read.machine {
            machine.date.parse::<Date>()?;
            let is_one = machine.vcpus > 0 && machine.baseline_mbit > 0;
            if !is_one || !(1..=100).contains(&machine.baseline_cpu_percent) {
                return Err(format!(
                    "{}: it can do nothing, or more than it has",
                    machine.name
                ));
            }
            if machine.source.trim().is_empty() {
                return Err(format!("{}: no source, no row", machine.name));
            }
        }
        Ok(read)
    }

    /// A machine by its name.
    ///
    /// # Errors
    /// A sentence that lists those that are known.
    pub fn find(&self, name: &str) -> Result<&Machine, String> {
        self.machine
            .iter()
            .find(|machine| machine.name == name)
            .ok_or_else(|| {
                let known: Vec<&str> = self.machine.iter().map(|it| it.name.as_str()).collect();
                format!(
                    "no baseline of {name} is known; machines.toml has {}",
                    known.join(", ")
                )
            })
    }
}

impl Machine {
    /// Streams that it can send always, and what ends first.
    pub fn streams(&self, packet_cpu_ns: u64) -> (Limit, f64) {
        let stream_bit = PACKETS_PER_S * PACKET_BYTES as f64 * 8.0;
        let network = f64::from(self.baseline_mbit) * 1e6 / stream_bit;
        let cores = f64::from(self.vcpus) * f64::from(self.baseline_cpu_percent) / 100.0;
        let processor = cores * 1e9 / (PACKETS_PER_S * packet_cpu_ns.max(1) as f64);
        if network < processor {
            (Limit::Bandwidth, network)
        } else {
            (Limit::Processor, processor)
        }
    }
}
