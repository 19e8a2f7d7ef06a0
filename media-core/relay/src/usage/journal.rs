//! The journal of usage, as bytes: lines of a checksum and JSON, the first of which says what the
//! others are of. A line is there or it is not: what a killed relay, or a full disk, left of its
//! last one does not match its checksum.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use wire::limits::MAX_BODY_BYTES;
use wire::usage::RoomUsage;
use wire::{BootId, RegionName, ShardId};

/// The form of the lines.
const FORM: u8 = 1;
/// Hex digits of the checksum (CRC-32), and the space behind.
const CHECK_CHARS: usize = 9;
/// Bytes of a batch that its records do not take, amply.
const ENVELOPE_BYTES: usize = 1024;

/// What the lines of a journal are of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    journal: u8,
    /// The shard.
    pub shard: ShardId,
    /// The run of it.
    pub boot: BootId,
    /// Where it was.
    pub region: RegionName,
}

/// What a journal says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Journal {
    /// Of what.
    pub head: Head,
    /// By rising sequence.
    pub records: Vec<RoomUsage>,
    /// Lines that are none, or that come again.
    pub torn: u64,
}

/// The first line is not there, or of another form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoHead;

impl Head {
    /// Of a run of a shard.
    pub fn new(shard: ShardId, boot: BootId, region: RegionName) -> Self {
        Self {
            journal: FORM,
            shard,
            boot,
            region,
        }
    }
}

/// A line of the journal, with its end.
pub fn line(of: &impl Serialize) -> Vec<u8> {
    let json = serde_json::to_vec(of).expect("string keys only");
    let mut line = format!("{:08x} ", crc32fast::hash(&json)).into_bytes();
    line.extend(json);
    line.push(b'\n');
    line
}

/// Reads a journal.
///
/// # Errors
/// [`NoHead`].
pub fn read(bytes: &[u8]) -> Result<Journal, NoHead> {
    let mut lines = bytes.split_inclusive(|byte| *byte == b'\n');
    let head: Head = lines.next().and_then(parse).ok_or(NoHead)?;
    if head.journal != FORM {
        return Err(NoHead);
    }
    let mut journal = Journal {
        head,
        records: Vec::new(),
        torn: 0,
    };
    let mut last = 0;
    for line in lines {
        let record: Option<RoomUsage> = parse(line);
        // What was written twice is counted once.
        match record.filter(|record| record.sequence > last) {
            Some(record) => {
                last = record.sequence;
                journal.records.push(record);
            }
            None => journal.torn += 1,
        }
    }
    Ok(journal)
}

fn parse<'a, T: Deserialize<'a>>(line: &'a [u8]) -> Option<T> {
    let (check, json) = line.strip_suffix(b"\n")?.split_at_checked(CHECK_CHARS)?;
    let check = str::from_utf8(check.strip_suffix(b" ")?).ok()?;
    let is_whole = u32::from_str_radix(check, 16) == Ok(crc32fast::hash(json));
    is_whole.then(|| serde_json::from_slice(json).ok())?
}

/// The records of each batch in which a journal is brought to the edge: what a room used in a
/// minute is one record, under the lowest sequence of its parts. Always the same of the same
/// journal, so that a batch that is brought twice is the same batch.
pub fn batches(records: &[RoomUsage]) -> Vec<Vec<RoomUsage>> {
    let mut rooms: BTreeMap<_, RoomUsage> = BTreeMap::new();
    for record in records {
        let of = (record.minute_ms, record.room, record.mode);
        rooms
            .entry(of)
            .and_modify(|sum| sum.add(record))
            .or_insert(*record);
    }
    let mut merged: Vec<RoomUsage> = rooms.into_values().collect();
    merged.sort_by_key(|record| record.sequence);
    let (mut all, mut batch, mut bytes) = (Vec::new(), Vec::new(), ENVELOPE_BYTES);
    for record in merged {
        let more = serde_json::to_vec(&record).expect("string keys only").len() + 1;
        if bytes + more > MAX_BODY_BYTES {
            all.push(std::mem::take(&mut batch));
            bytes = ENVELOPE_BYTES;
        }
        bytes += more;
        batch.push(record);
    }
    if !batch.is_empty() {
        all.push(batch);
    }
    all
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn head() -> Head {
        let (shard, region) = ("eu-1".parse().unwrap(), "eu".parse().unwrap());
        Head::new(shard, BootId([7; 8]), region)
    }

    fn record(sequence: u64, room: u8, minute: u64) -> RoomUsage {
        let text = format!(
            r#"{{"seq":{sequence},"minute_ms":{},"room":"{}","participant_ms":{sequence}}}"#,
            minute * 60_000,
            format!("{room:02x}").repeat(8)
        );
        serde_json::from_str(&text).unwrap()
    }

    fn written(records: &[RoomUsage]) -> Vec<u8> {
        let lines = records.iter().flat_map(line);
        line(&head()).into_iter().chain(lines).collect()
    }

    fn some_records() -> impl Strategy<Value = Vec<RoomUsage>> {
        let one = (1..5_u64, 0..4_u8, 0..3_u64);
        prop::collection::vec(one, 0..60).prop_map(|all| {
            let mut sequence = 0;
            let next = |(step, room, minute)| {
                sequence += step;
                record(sequence, room, minute)
            };
            all.into_iter().map(next).collect()
        })
    }

    proptest! {
        #[test]
        fn what_is_cut_off_is_the_last_line_alone(records in some_records(), cut: usize) {
            let bytes = written(&records);
            let cut = cut % (bytes.len() + 1);
            let ends: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] == b'\n').collect();
            let whole = ends.iter().filter(|end| **end < cut).count();
            match read(&bytes[..cut]) {
                Ok(journal) => {
                    prop_assert_eq!(&journal.records[..], &records[..whole - 1]);
                    prop_assert_eq!(journal.torn, u64::from(!bytes[..cut].ends_with(b"\n")));
                }
                Err(NoHead) => prop_assert_eq!(whole, 0),
            }
        }

        #[test]
        fn a_changed_byte_costs_the_lines_that_it_is_in(
            records in some_records(),
            at: usize,
            to: u8,
        ) {
            let mut bytes = written(&records);
            let at = at % bytes.len();
            prop_assume!(bytes[at] != to);
            bytes[at] = to;
            if let Ok(journal) = read(&bytes) {
                prop_assert!(journal.records.iter().all(|one| records.contains(one)));
                // A line that is torn in two, or two that are one: no other is lost.
                prop_assert!(journal.records.len() + 2 >= records.len());
            }
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes: Vec<u8>) {
            let _ = read(&bytes);
            let _ = read(&[line(&head()), bytes].concat());
        }

        #[test]
        fn batches_are_the_records_and_no_sequence_is_in_two(records in some_records()) {
            let all = batches(&records);
            let sum = |records: &[RoomUsage]| -> u64 {
                records.iter().map(|one| one.participant_ms).sum()
            };
            prop_assert_eq!(sum(&all.concat()), sum(&records));
            let merged = all.concat();
            prop_assert!(merged.is_sorted_by(|a, b| a.sequence < b.sequence));
            let key = |one: &RoomUsage| (one.room, one.minute_ms);
            let mut keys: Vec<_> = merged.iter().map(key).collect();
            keys.sort_unstable();
            prop_assert!(keys.is_sorted_by(|a, b| a < b), "a room and minute once");
        }
    }

    #[test]
    fn what_was_written_twice_counts_once() {
        let records = [record(1, 1, 1), record(2, 1, 1), record(2, 1, 1)];
        let journal = read(&written(&records)).unwrap();
        assert_eq!((journal.records.len(), journal.torn), (2, 1));
    }

    #[test]
    fn a_batch_is_within_a_body() {
        let records: Vec<RoomUsage> = (0..5_000_u64)
            .map(|n| record(n + 1, (n % 251) as u8, n / 251))
            .collect();
        let all = batches(&records);
        assert!(all.len() > 1);
        for records in &all {
            let batch = wire::usage::UsageBatch {
                shard: "a".repeat(32).parse().unwrap(),
                boot: BootId([1; 8]),
                epoch: 15,
                region: "r".repeat(32).parse().unwrap(),
                records: records.clone(),
            };
            assert!(serde_json::to_vec(&batch).unwrap().len() <= MAX_BODY_BYTES);
        }
        assert_eq!(all.concat().len(), 5_000);
    }
}
