//! What a run of a shard used, by its records and by what its core counted.

use std::time::{Duration, Instant};

use sfu::Event;

/// The books of one run of a shard.
#[derive(Debug)]
pub(super) struct Ledger {
    /// How many the core has said were in its rooms, since when.
    inside: (usize, Instant),
    /// How long they were there, together.
    stayed: Duration,
    /// What records said of it.
    recorded: Duration,
    /// Datagrams to participants, by the records.
    packets: u64,
    records: u64,
    /// Leaves out every other record: to see that it is seen.
    pub(super) is_cooked: bool,
}

impl Ledger {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            inside: (0, now),
            stayed: Duration::ZERO,
            recorded: Duration::ZERO,
            packets: 0,
            records: 0,
            is_cooked: false,
        }
    }

    /// So many are in rooms from now on.
    pub(super) fn handle_count(&mut self, now: Instant, participants: usize) {
        let (before, since) = self.inside;
        self.stayed += now.saturating_duration_since(since) * before as u32;
        self.inside = (participants, now);
    }

    pub(super) fn handle_event(&mut self, event: &Event) {
        let Event::Used(record) = event else {
            return;
        };
        self.records += 1;
        if !(self.is_cooked && self.records.is_multiple_of(2)) {
            self.recorded += record.usage.participant_time;
            self.packets += record.usage.packets_out;
        }
    }

    /// Checks that records add up, of a run in which nobody is left. `datagrams` is how many the
    /// core gave out: those to who is not in a room yet are in no record.
    pub(super) fn check(&self, datagrams: u64) -> Result<(), String> {
        if self.stayed != self.recorded {
            let (stayed, recorded) = (self.stayed.as_millis(), self.recorded.as_millis());
            return Err(format!(
                "players stayed for {stayed} ms, and usage records say {recorded} ms"
            ));
        }
        if self.packets > datagrams {
            let packets = self.packets;
            return Err(format!(
                "usage records say {packets} datagrams, and {datagrams} were sent"
            ));
        }
        Ok(())
    }
}
