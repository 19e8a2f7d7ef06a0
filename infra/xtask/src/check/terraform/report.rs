//! What a part of the step found.

use crate::check::count::Count;

/// What one part of the step found; parts go on beside each other.
#[derive(Default)]
pub(super) struct Report {
    pub(super) count: Count,
}

impl Report {
    pub(super) fn say(&self, line: &str) {
        println!("{line}");
    }

    /// Of a program that ran tests: what it said, and how many there were.
    pub(super) fn ran(&mut self, said: &str, count: Count) {
        println!("{}", said.trim());
        self.count.add(count);
    }
}

/// Counts what was checked, and prints what is wrong with it.
pub(super) fn note(report: &mut Report, what: &str, faults: Vec<String>) {
    let mut lines = vec![match faults.is_empty() {
        true => format!("ok     {what}"),
        false => format!("FAILED {what}"),
    }];
    lines.extend(faults.iter().map(|fault| format!("  {fault}")));
    // At once: others print too.
    println!("{}", lines.join("\n"));
    report.count.add(Count {
        passed: u32::from(faults.is_empty()),
        failed: u32::from(!faults.is_empty()),
    });
}
