//! What a run of a shard used, by its records and by what happened there.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use sfu::{Event, SessionId};

/// The books of one run of a shard.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// Sessions that are in a room, since when.
    inside: BTreeMap<SessionId, Instant>,
    /// How long those were who have left.
    stayed: Duration,
    /// What records said of it.
    recorded: Duration,
    /// Datagrams to participants, by the records.
    pub(super) packets: u64,
    /// Records so far.
    pub(super) records: u64,
    /// Leaves out every other record: to see that it is seen.
    pub(super) is_cooked: bool,
}

impl Ledger {
    pub(super) fn new() -> Self {
        Self::default()
    }

    pub(super) fn handle_event(&mut self, now: Instant, event: &Event) {
        match *event {
            Event::Connected { session } => {
                self.inside.insert(session, now);
            }
            Event::Ended { session, .. } => {
                let since = self.inside.remove(&session);
                let stayed = since.map(|since| now.saturating_duration_since(since));
                self.stayed += stayed.unwrap_or_default();
            }
            Event::Used {
                participant_time,
                packets_out,
                ..
            } => {
                self.records += 1;
                if !(self.is_cooked && self.records.is_multiple_of(2)) {
                    self.recorded += participant_time;
                    self.packets += packets_out;
                }
            }
        }
    }

    /// Checks that records add up, of a run in which nobody is left. `datagrams` is how many the
    /// core gave out: those to who is not in a room yet are in no record.
    pub(super) fn check(&self, datagrams: u64) -> Result<(), String> {
        if !self.inside.is_empty() {
            return Err(format!("{} sessions never end", self.inside.len()));
        }
        let wrong_ms = self.stayed.abs_diff(self.recorded).as_millis();
        if wrong_ms > 0 {
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
