//! What came of drills: figures of all runs, and their rows in the table.

use std::time::Duration;

use bench_report::{Aim, Report, quantile};

use crate::kind::Kind;

/// Everybody is heard again within this, seconds.
pub(crate) const FAILOVER_AIM_S: f64 = 4.0;
/// A longer gap is heard, milliseconds.
pub(crate) const GAP_AIM_MS: f64 = 100.0;
/// Nobody hears only a part of his room for longer, seconds.
const SPLIT_AIM_S: f64 = 2.5;

/// What came of all runs of one drill.
#[derive(Debug, Default)]
pub struct Seen {
    /// Until somebody who had missed anybody heard all of his room, seconds.
    pub again_s: Vec<f64>,
    /// Longest times in which somebody heard a part of his room, seconds.
    pub parts_s: Vec<f64>,
    /// Longest times without a packet, one for each listener and speaker, milliseconds.
    pub gaps_ms: Vec<f64>,
    /// How long a relay took to drain, seconds.
    pub drains_s: Vec<f64>,
    /// Until somebody new heard his room after edge or store were back, seconds.
    pub newcomers_s: Vec<f64>,
    /// Callers who did not hear their room in the end.
    pub silent: usize,
    /// Calls that were lost in drains and outages.
    pub lost: u64,
    /// Rooms into which somebody new was sent elsewhere than where they were.
    pub moved: usize,
    /// By how much this program itself was too late at most.
    pub stood_still: Duration,
}

impl Seen {
    /// Adds rows to a report.
    pub fn tell(&mut self, kind: Kind, report: &mut Report) {
        let mut rows = Rows { kind, report };
        match kind {
            Kind::Kill | Kind::Freeze => self.tell_failover(&mut rows),
            Kind::Thaw => self.tell_parts(&mut rows),
            Kind::Drain => {
                self.tell_gaps(&mut rows);
                let longest = at(&mut self.drains_s, 1.0);
                rows.add("until the relay ended, longest", longest, "s", Aim::None);
            }
            Kind::EdgeRestart | Kind::StoreOutage => {
                self.tell_gaps(&mut rows);
                rows.add("rooms moved", self.moved as f64, "", Aim::AtMost(0.0));
                let longest = at(&mut self.newcomers_s, 1.0);
                rows.add("newcomers in after, longest", longest, "s", Aim::None);
            }
        }
        let silent = self.silent as f64;
        rows.add(
            "callers who did not come back",
            silent,
            "",
            Aim::AtMost(0.0),
        );
        let still_ms = self.stood_still.as_secs_f64() * 1e3;
        rows.add("the drill itself stood still", still_ms, "ms", Aim::None);
    }

    fn tell_failover(&mut self, rows: &mut Rows<'_>) {
        let affected = self.again_s.len() as f64;
        rows.add("callers who missed somebody", affected, "", Aim::None);
        let p50 = at(&mut self.again_s, 0.5);
        rows.add("audible again, p50", p50, "s", Aim::None);
        let (p99, aim) = (at(&mut self.again_s, 0.99), Aim::AtMost(FAILOVER_AIM_S));
        rows.add("audible again, p99", p99, "s", aim);
    }

    fn tell_parts(&mut self, rows: &mut Rows<'_>) {
        let affected = self.parts_s.len() as f64;
        rows.add(
            "callers who heard a part of a room",
            affected,
            "",
            Aim::None,
        );
        let p50 = at(&mut self.parts_s, 0.5);
        rows.add("hearing a part, p50", p50, "s", Aim::None);
        let (longest, aim) = (at(&mut self.parts_s, 1.0), Aim::AtMost(SPLIT_AIM_S));
        rows.add("hearing a part, longest", longest, "s", aim);
        let p99 = at(&mut self.again_s, 0.99);
        rows.add("whole again, p99", p99, "s", Aim::None);
    }

    fn tell_gaps(&mut self, rows: &mut Rows<'_>) {
        let over = self.gaps_ms.iter().filter(|gap| **gap > GAP_AIM_MS).count();
        let name = format!("gaps over {GAP_AIM_MS} ms, of {}", self.gaps_ms.len());
        let p99 = at(&mut self.gaps_ms, 0.99);
        rows.add("gap of a listener and speaker, p99", p99, "ms", Aim::None);
        let (longest, aim) = (at(&mut self.gaps_ms, 1.0), Aim::AtMost(GAP_AIM_MS));
        rows.add("gap, longest", longest, "ms", aim);
        rows.add(&name, over as f64, "", Aim::AtMost(0.0));
        rows.add("calls lost", self.lost as f64, "", Aim::AtMost(0.0));
    }
}

/// Rows of one drill.
struct Rows<'r> {
    kind: Kind,
    report: &'r mut Report,
}

impl Rows<'_> {
    fn add(&mut self, what: &str, value: f64, unit: &'static str, aim: Aim) {
        let name = format!("{}: {what}", self.kind.name());
        self.report.row(name, value, unit, aim);
    }
}

/// A quantile of what may be nothing.
fn at(values: &mut [f64], share: f64) -> f64 {
    match values {
        [] => 0.0,
        values => quantile(values, share),
    }
}
