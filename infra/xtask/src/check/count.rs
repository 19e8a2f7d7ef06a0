//! How many tests ran: read from what each runner prints.

use std::fmt;

/// Tests that passed and failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) passed: u32,
    pub(crate) failed: u32,
}

impl Count {
    pub(crate) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }

    /// Something ran and nothing failed.
    pub(crate) fn is_success(self) -> bool {
        self.failed == 0 && self.passed > 0
    }

    /// Sums the `test result:` lines of `cargo test`.
    pub(crate) fn of_cargo(output: &str) -> Self {
        let mut count = Self::default();
        for line in output.lines() {
            let Some(result) = line.strip_prefix("test result: ") else {
                continue;
            };
            count.passed += before(result, " passed;");
            count.failed += before(result, " failed;");
        }
        count
    }

    /// Sums the totals of `node --test`, in its TAP (`# pass 3`) or spec (`ℹ pass 3`) form.
    /// A cancelled test did not pass.
    pub(crate) fn of_node(output: &str) -> Self {
        let mut count = Self::default();
        for line in output.lines() {
            let Some(total) = line.strip_prefix("# ").or_else(|| line.strip_prefix("ℹ ")) else {
                continue;
            };
            match total.split_once(' ') {
                Some(("pass", n)) => count.passed += n.trim().parse().unwrap_or(0),
                Some(("fail" | "cancelled", n)) => count.failed += n.trim().parse().unwrap_or(0),
                _ => {}
            }
        }
        count
    }

    /// Reads the last line of the form `3 passed, 0 failed`, such as our own scripts print.
    pub(crate) fn of_last_line(output: &str) -> Self {
        output
            .lines()
            .rev()
            .find_map(Self::parse)
            .unwrap_or_default()
    }

    fn parse(line: &str) -> Option<Self> {
        let (passed, failed) = line.trim().split_once(" passed, ")?;
        Some(Self {
            passed: passed.parse().ok()?,
            failed: failed.strip_suffix(" failed")?.parse().ok()?,
        })
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

/// The number that stands right before `marker`; 0 when there is none.
fn before(text: &str, marker: &str) -> u32 {
    let Some(end) = text.find(marker) else {
        return 0;
    };
    let word = text[..end].rsplit(' ').next().unwrap_or_default();
    word.parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_results_add_up_over_binaries_and_doc_tests() {
        let output = "\
running 2 tests
test tests::a ... ok
test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s

test result: FAILED. 10 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.2s
   Doc-tests wire
test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
";
        assert_eq!(
            Count::of_cargo(output),
            Count {
                passed: 12,
                failed: 3
            }
        );
    }

    #[test]
    fn node_totals_are_read_in_both_forms() {
        let tap = "TAP version 13\n# Subtest: a\nok 1 - a\n1..4\n# tests 5\n# suites 0\n# pass 3\n\
                   # fail 1\n# cancelled 1\n# skipped 0\n# todo 0\n# duration_ms 51.2\n";
        assert_eq!(
            Count::of_node(tap),
            Count {
                passed: 3,
                failed: 2
            }
        );
        let spec = "✔ a (1.2ms)\nℹ tests 3\nℹ pass 3\nℹ fail 0\nℹ cancelled 0\n";
        assert_eq!(
            Count::of_node(spec),
            Count {
                passed: 3,
                failed: 0
            }
        );
    }

    #[test]
    fn the_last_counting_line_of_a_script_wins() {
        let output = "1 passed, 0 failed\nmore\n4 passed, 2 failed\nbye\n";
        assert_eq!(
            Count::of_last_line(output),
            Count {
                passed: 4,
                failed: 2
            }
        );
    }

    #[test]
    fn output_without_totals_counts_nothing() {
        for read in [Count::of_cargo, Count::of_node, Count::of_last_line] {
            assert_eq!(
                read("error: could not compile\nx passed, y failed\n"),
                Count::default()
            );
        }
    }

    #[test]
    fn it_prints_the_line_that_ci_reads() {
        let count = Count {
            passed: 12,
            failed: 3,
        };
        assert_eq!(count.to_string(), "12 passed, 3 failed");
        assert_eq!(Count::of_last_line(&count.to_string()), count);
        assert!(!count.is_success());
        assert!(
            Count {
                passed: 1,
                failed: 0
            }
            .is_success()
        );
    }
}
