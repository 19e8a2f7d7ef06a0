//! Participants by hour, of the usage records that relays write for each room and minute.

use std::collections::BTreeMap;

use finops::calendar::Hour;
use wire::record::UsageRecord;

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;
/// Minutes that are kept, of all regions together: a quarter of a year of ten regions.
const MINUTES_MAX: usize = 1_400_000;

/// Participants by region and minute.
#[derive(Debug, Default)]
pub struct History {
    minutes: BTreeMap<(String, u64), u64>,
    /// Records beyond the bound, which are in no hour.
    pub left_out: u64,
}

impl History {
    /// Adds a room's minute.
    pub fn add(&mut self, record: &UsageRecord) {
        let key = (record.region.clone(), record.minute_ms / MINUTE_MS);
        if self.minutes.len() >= MINUTES_MAX && !self.minutes.contains_key(&key) {
            self.left_out += 1;
            return;
        }
        let sum = self.minutes.entry(key).or_default();
        *sum = sum.saturating_add(record.participant_ms);
    }

    /// By hour the participants of a region's fullest minute, on average over that minute.
    pub fn hours(&self, region: &str) -> BTreeMap<Hour, f64> {
        let mut hours = BTreeMap::new();
        let of_region = (region.to_owned(), 0)..=(region.to_owned(), u64::MAX);
        for ((_, minute), participant_ms) in self.minutes.range(of_region) {
            let hour = (minute * MINUTE_MS / HOUR_MS) as Hour;
            let participants = *participant_ms as f64 / MINUTE_MS as f64;
            let most: &mut f64 = hours.entry(hour).or_default();
            *most = most.max(participants);
        }
        hours
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(region: &str, minute: u64, participants: u64) -> UsageRecord {
        let record = serde_json::json!({
            "kind": "usage", "minute_ms": minute * MINUTE_MS, "shard": "eu-1",
            "room": "0011223344556677", "region": region,
            "participant_ms": participants * MINUTE_MS, "talk_ms": 0, "packets_out": 0,
            "bytes_out": 0,
        });
        serde_json::from_value(record).unwrap()
    }

    #[test]
    fn an_hour_has_its_fullest_minute_of_all_rooms() {
        let mut history = History::default();
        for (region, minute, participants) in [
            ("eu", 60, 4),
            ("eu", 60, 6),
            ("eu", 119, 7),
            ("eu", 120, 3),
            ("us", 60, 90),
        ] {
            history.add(&record(region, minute, participants));
        }
        assert_eq!(history.hours("eu"), [(1, 10.0), (2, 3.0)].into());
        assert!(history.hours("ap").is_empty());
    }

    #[test]
    fn a_record_that_says_anything_is_no_panic() {
        let mut history = History::default();
        let mut odd = record("eu", 1, 1);
        odd.participant_ms = u64::MAX;
        odd.minute_ms = u64::MAX;
        history.add(&odd);
        history.add(&odd);
        assert_eq!(history.hours("eu").len(), 1);
    }
}
