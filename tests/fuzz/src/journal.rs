//! The journal of usage, as a relay finds it when it starts: whatever is there, what is read of it
//! is what somebody wrote, and batches of it are the same usage.

use relay::journal::{self, Journal};
use wire::usage::RoomUsage;

/// Runs one input: the bytes of a file; and the same as what a killed relay left behind whole
/// lines.
pub fn run(input: &[u8]) {
    if let Ok(journal) = journal::read(input) {
        check(&journal);
        let behind = [written(&journal), input.to_vec()].concat();
        let again = journal::read(&behind).expect("it has a head");
        let kept = &again.records[..journal.records.len()];
        assert_eq!(
            kept, journal.records,
            "what is torn cost what came before it"
        );
    }
}

fn written(journal: &Journal) -> Vec<u8> {
    let lines = journal.records.iter().flat_map(journal::line);
    journal::line(&journal.head)
        .into_iter()
        .chain(lines)
        .collect()
}

fn check(journal: &Journal) {
    let Journal { records, .. } = journal;
    assert!(records.is_sorted_by(|a, b| a.sequence < b.sequence));
    let again = journal::read(&written(journal)).expect("it was just written");
    assert_eq!((&again.records, again.torn), (records, 0));
    let sum = |of: &mut dyn Iterator<Item = &RoomUsage>| {
        of.fold(0_u64, |sum, one| sum.saturating_add(one.bytes_out))
    };
    let batches = journal::batches(records);
    assert_eq!(sum(&mut batches.iter().flatten()), sum(&mut records.iter()));
    let sequences = || batches.iter().flatten().map(|one| one.sequence);
    assert!(sequences().is_sorted_by(|a, b| a < b), "in two batches");
}
