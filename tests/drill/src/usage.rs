//! What a process takes, as Linux tells it in `/proc`.

use anyhow::{Context as _, Result};

/// Clock ticks of `/proc` in a second: 100 on every Linux that a program sees (`USER_HZ`).
const TICKS_PER_S: f64 = 100.0;

/// What a process has at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Usage {
    /// Resident memory, KiB.
    pub resident_kib: f64,
    /// Open descriptors.
    pub descriptors: f64,
    /// Threads.
    pub threads: f64,
    /// CPU seconds since its start, the kernel's for it included.
    pub cpu_s: f64,
}

impl Usage {
    /// Of the process with this id.
    ///
    /// # Errors
    /// When it is gone.
    pub fn of(id: u32) -> Result<Self> {
        let folder = format!("/proc/{id}");
        let read = |name: &str| {
            let file = format!("{folder}/{name}");
            std::fs::read_to_string(&file).context(file)
        };
        let (status, stat) = (read("status")?, read("stat")?);
        let descriptors = std::fs::read_dir(format!("{folder}/fd"))?.count();
        Ok(Self {
            resident_kib: field(&status, "VmRSS:").context("it has memory")?,
            descriptors: descriptors as f64,
            threads: field(&status, "Threads:").context("it has threads")?,
            cpu_s: cpu_s(&stat).context("its stat has times")?,
        })
    }

    /// Of this program.
    ///
    /// # Errors
    /// When there is no `/proc`.
    pub fn own() -> Result<Self> {
        Self::of(std::process::id())
    }
}

fn field(status: &str, name: &str) -> Option<f64> {
    let rest = status.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

/// User and system time: the 12th and 13th field after the name, which is in parentheses and may
/// hold anything.
fn cpu_s(stat: &str) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS_PER_S)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_behind_any_name() {
        let stat = "7 (a) b (c)) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20";
        assert_eq!(cpu_s(stat), Some(2.0));
        let status = "Name:\tx\nVmRSS:\t  2048 kB\nThreads:\t3\n";
        assert_eq!(field(status, "VmRSS:"), Some(2048.0));
        assert_eq!(field(status, "Threads:"), Some(3.0));
        assert_eq!(field(status, "VmSwap:"), None);
    }

    #[test]
    fn this_program_takes_something() {
        let usage = Usage::own().unwrap();
        assert!(usage.resident_kib > 100.0 && usage.threads >= 1.0);
        assert!(usage.descriptors >= 3.0);
    }
}
