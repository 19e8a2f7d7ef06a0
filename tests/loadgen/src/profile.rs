//! What the shard's CPU time goes to, sampled by `perf` where it is installed.

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::NamedTempFile;

/// Samples in a second: odd, so as not to fall in step with a timer.
const SAMPLES_HZ: &str = "997";

/// Categories, in the order in which they claim a symbol, by what its name contains.
const CATEGORIES: &[(&str, &[&str])] = &[
    (
        "cryptography",
        &[
            "aws_lc", "aes", "gcm", "sha1", "sha256", "ghash", "hmac", "rtc_srtp",
        ],
    ),
    (
        "str0m, DTLS and SCTP",
        &["str0m", "dimpl", "sctp_proto", "is::"],
    ),
    (
        "memory",
        &[
            "malloc", "calloc", "realloc", "free", "alloc::", "memcpy", "memmove", "memset",
        ],
    ),
    ("the core", &["sfu::"]),
    ("system-call batches", &["udp::"]),
    ("the relay", &["relay::", "tokio", "wire::", "serde"]),
];

/// A recording of one thread.
pub struct Recording {
    perf: Child,
    file: NamedTempFile,
}

impl Recording {
    /// Samples the thread called `name` of process `pid`; none when perf is not installed or may
    /// not.
    ///
    /// # Errors
    /// When the process has no such thread.
    pub fn start(pid: u32, name: &str) -> Result<Option<Self>> {
        let thread = thread_of(pid, name)?;
        let file = NamedTempFile::new()?;
        let perf = Command::new("perf")
            .args(["record", "-q", "-e", "cpu-clock", "-F", SAMPLES_HZ])
            .args(["-t", &thread, "-o"])
            .arg(file.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Ok(perf.ok().map(|perf| Self { perf, file }))
    }

    /// Ends the recording: shares of the thread's CPU time by category, in percent; none when perf
    /// could not read its samples.
    ///
    /// # Errors
    /// When perf cannot be waited for.
    pub fn finish(mut self) -> Result<Option<BTreeMap<&'static str, f64>>> {
        // perf writes its file when it is interrupted. It may have ended by itself.
        let _ = kill(Pid::from_raw(self.perf.id().try_into()?), Signal::SIGINT);
        self.perf.wait()?;
        let report = Command::new("perf")
            .args([
                "report",
                "--stdio",
                "--no-children",
                "-F",
                "overhead,dso,symbol",
            ])
            .args(["-t", "|", "-i"])
            .arg(self.file.path())
            .stderr(Stdio::null())
            .output()?;
        let shares = by_category(&String::from_utf8_lossy(&report.stdout));
        Ok(Some(shares).filter(|shares| !shares.is_empty()))
    }
}

fn thread_of(pid: u32, name: &str) -> Result<String> {
    for entry in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let entry = entry?;
        // A thread may end while one looks.
        let comm = std::fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
        if comm.trim() == name {
            return Ok(entry.file_name().to_string_lossy().into_owned());
        }
    }
    None.with_context(|| format!("the relay has no thread called {name}"))
}

fn by_category(report: &str) -> BTreeMap<&'static str, f64> {
    let mut shares = BTreeMap::new();
    for line in report.lines().filter(|line| !line.starts_with('#')) {
        let mut fields = line.split('|');
        let (Some(share), Some(object), Some(symbol)) =
            (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        let Ok(share) = share.trim().trim_end_matches('%').parse::<f64>() else {
            continue;
        };
        *shares.entry(category(object, symbol)).or_default() += share;
    }
    shares
}

fn category(object: &str, symbol: &str) -> &'static str {
    if object.contains("kernel") || symbol.starts_with("[k]") {
        return "kernel";
    }
    let symbol = symbol.to_ascii_lowercase();
    let claims = |(_, parts): &&(&str, &[&str])| parts.iter().any(|part| symbol.contains(part));
    CATEGORIES
        .iter()
        .find(claims)
        .map_or("other", |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_summed_by_category() {
        let report = "# Overhead|Shared Object|Symbol\n\
             40.00% |[kernel.kallsyms] |[k] sock_sendmsg\n\
             20.50% |relay            |[.] aws_lc_0_32_aes_gcm_enc\n\
             9.50%  |relay            |[.] <str0m::Rtc>::poll_output\n\
             5.00%  |libc.so.6        |[.] malloc\n\
             3.00%  |relay            |[.] <sfu::sfu::Sfu<_>>::forward_to_next\n\
             2.00%  |libc.so.6        |[.] qsort\n\nnot a line\n";
        let shares = by_category(report);
        let expected = [
            ("cryptography", 20.5),
            ("kernel", 40.0),
            ("memory", 5.0),
            ("other", 2.0),
            ("str0m, DTLS and SCTP", 9.5),
            ("the core", 3.0),
        ];
        assert_eq!(shares, BTreeMap::from(expected));
    }
}
