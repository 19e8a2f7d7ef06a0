//! Reads records: lines of JSON as hosts and relays print them. What cannot be read is counted and
//! named by its reason and its first places; nothing is dropped in silence, and nothing panics.

use std::collections::{BTreeMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, BufRead, Read};

use serde::Deserialize;
use serde::de::IgnoredAny;
use wire::record::{InvocationRecord, RECORD_FORM, USAGE_FORM, UsageRecord};

/// Longest line that is read; a longer one is skipped to its end.
const LINE_BYTES_MAX: u64 = 64 << 10;
/// Places of each fault that are kept.
const PLACES_MAX: usize = 3;

/// A record and how long its line was.
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    /// One invocation, and the bytes of its line without the line break.
    Invocation(Box<InvocationRecord>, u64),
    /// One minute of one room.
    Usage(Box<UsageRecord>),
}

/// Why a line is no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// It is no whole JSON value: it was cut, or is no JSON.
    Torn,
    /// It is longer than a record can be.
    TooLong,
    /// It is JSON that says of no kind that is known here, such as a host's own events.
    OtherKind,
    /// Its form is newer than what this program knows.
    UnknownForm,
    /// A field is missing, or is not what it should be.
    BadField,
}

impl Fault {
    /// What a report says.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Torn => "torn: not one whole line of JSON",
            Self::TooLong => "too long for a record",
            Self::OtherKind => "not a record: another kind of line",
            Self::UnknownForm => "a newer form than this program knows: build it again",
            Self::BadField => "a field is missing or wrong",
        }
    }
}

/// What came in.
#[derive(Debug, Default)]
pub struct Intake {
    /// Lines, empty ones apart.
    pub lines: u64,
    /// Records of invocations, duplicates apart.
    pub invocations: u64,
    /// Records of usage, duplicates apart.
    pub usages: u64,
    /// Records that had come before.
    pub duplicates: u64,
    /// Records of the first form: without an id nobody can tell whether one came twice.
    pub without_id: u64,
    /// Lines that are no records, by reason: how many, and the first places as `file:line`.
    pub faults: BTreeMap<Fault, (u64, Vec<String>)>,
    seen: HashSet<u128>,
    hasher: RandomState,
    expects_usage: bool,
}

impl Intake {
    /// Reads all lines of `input`, which reports call `name`, and hands each record on once.
    ///
    /// # Errors
    /// When reading fails.
    pub fn read(
        &mut self,
        name: &str,
        mut input: impl BufRead,
        mut each: impl FnMut(Record),
    ) -> io::Result<()> {
        let mut line = Vec::new();
        for number in 1_u64.. {
            line.clear();
            let mut bounded = (&mut input).take(LINE_BYTES_MAX + 1);
            if bounded.read_until(b'\n', &mut line)? == 0 {
                break;
            }
            let is_whole = line.last() == Some(&b'\n') || line.len() as u64 <= LINE_BYTES_MAX;
            if !is_whole {
                skip_line(&mut input)?;
                self.lines += 1;
                self.note(Fault::TooLong, name, number);
                continue;
            }
            let text = line.trim_ascii();
            if text.is_empty() {
                continue;
            }
            self.lines += 1;
            match self.record(text) {
                Ok(record) if self.is_new(&record) => each(record),
                Ok(_) => self.duplicates += 1,
                Err(fault) => self.note(fault, name, number),
            }
        }
        Ok(())
    }

    /// Lines that are no records, of all reasons.
    pub fn faulty(&self) -> u64 {
        self.faults.values().map(|(count, _)| count).sum()
    }

    fn note(&mut self, fault: Fault, name: &str, number: u64) {
        let (count, places) = self.faults.entry(fault).or_default();
        *count += 1;
        if places.len() < PLACES_MAX {
            places.push(format!("{name}:{number}"));
        }
    }

    /// Of the kind of the line before, since lines of one kind come together; else by its head.
    fn record(&mut self, line: &[u8]) -> Result<Record, Fault> {
        // An array of a record's fields is taken for one by serde, and is none.
        let is_object = line.first() == Some(&b'{');
        if is_object && let Some(record) = parse(line, self.expects_usage) {
            return known_form(record);
        }
        serde_json::from_slice::<IgnoredAny>(line).map_err(|_| Fault::Torn)?;
        let head: Option<Head> = serde_json::from_slice(line).ok();
        let head = head.filter(|_| is_object).ok_or(Fault::OtherKind)?;
        let (is_usage, form) = match head.kind.as_deref() {
            Some("usage") => (true, USAGE_FORM),
            Some("invocation") => (false, RECORD_FORM),
            _ => return Err(Fault::OtherKind),
        };
        if head.form.is_some_and(|of_line| of_line > u64::from(form)) {
            return Err(Fault::UnknownForm);
        }
        self.expects_usage = is_usage;
        known_form(parse(line, is_usage).ok_or(Fault::BadField)?)
    }

    fn is_new(&mut self, record: &Record) -> bool {
        let key = match record {
            Record::Invocation(record, _) => match record.id {
                Some(id) => (u128::from(u64::from_be_bytes(id.0)) << 64) | u128::from(record.at_ms),
                None => {
                    self.without_id += 1;
                    self.invocations += 1;
                    return true;
                }
            },
            // Whatever files say: a batch that was put twice, or put and printed.
            Record::Usage(record) if record.boot.is_some() && record.sequence > 0 => {
                let whole = (record.shard.as_str(), record.boot, record.sequence);
                (u128::from(self.hasher.hash_one((2_u8, whole))) << 64)
                    | u128::from(self.hasher.hash_one((3_u8, whole)))
            }
            // Of form 1: a room that ends and comes back within a minute has two records of it,
            // which differ.
            Record::Usage(record) => {
                let figures = (record.participant_ms, record.talk_ms, record.packets_out);
                let place = (record.shard.as_str(), record.room, record.minute_ms);
                let whole = (place, figures, record.bytes_out);
                (u128::from(self.hasher.hash_one(whole)) << 64)
                    | u128::from(self.hasher.hash_one((1_u8, whole)))
            }
        };
        let is_new = self.seen.insert(key);
        if is_new {
            match record {
                Record::Invocation(..) => self.invocations += 1,
                Record::Usage(_) => self.usages += 1,
            }
        }
        is_new
    }
}

#[derive(Deserialize)]
struct Head {
    kind: Option<String>,
    form: Option<u64>,
}

fn parse(line: &[u8], is_usage: bool) -> Option<Record> {
    if is_usage {
        let record = serde_json::from_slice(line).ok()?;
        return Some(Record::Usage(Box::new(record)));
    }
    let record = serde_json::from_slice(line).ok()?;
    Some(Record::Invocation(Box::new(record), line.len() as u64))
}

fn known_form(record: Record) -> Result<Record, Fault> {
    let (form, newest) = match &record {
        Record::Invocation(record, _) => (record.form, RECORD_FORM),
        Record::Usage(record) => (record.form, USAGE_FORM),
    };
    if form > newest {
        Err(Fault::UnknownForm)
    } else {
        Ok(record)
    }
}

fn skip_line(input: &mut impl BufRead) -> io::Result<()> {
    loop {
        let buffer = input.fill_buf()?;
        if buffer.is_empty() {
            return Ok(());
        }
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let used = end.map_or(buffer.len(), |at| at + 1);
        input.consume(used);
        if end.is_some() {
            return Ok(());
        }
    }
}

#[cfg(test)]
#[path = "records_tests.rs"]
mod tests;
