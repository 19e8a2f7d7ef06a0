//! The metrics of a program of ours, as it tells them.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Result, bail};

/// Longest wait for a reply.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest reply that is read, bytes.
const REPLY_BYTES_MAX: u64 = 16 << 20;

/// Reads the metrics of the relay whose health endpoint is at `address`.
///
/// # Errors
/// When it does not answer.
pub fn figures(address: SocketAddr) -> Result<Figures> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(
        stream,
        "GET /metrics HTTP/1.1\r\nhost: relay\r\nconnection: close\r\n\r\n"
    )?;
    let mut text = String::new();
    stream.take(REPLY_BYTES_MAX).read_to_string(&mut text)?;
    if !text.starts_with("HTTP/1.1 200") {
        bail!("the relay does not tell its metrics: {text}");
    }
    Ok(Figures { text })
}

/// The metrics of a relay at one moment; those of a shard are all of the same moment.
#[derive(Debug)]
pub struct Figures {
    text: String,
}

impl Figures {
    /// The sum of all samples of a family whose labels contain `label`.
    pub fn sum(&self, family: &str, label: &str) -> f64 {
        self.text
            .lines()
            .filter_map(|line| line.strip_prefix(family))
            .filter(|rest| rest.starts_with([' ', '{']) && rest.contains(label))
            .filter_map(|rest| rest.rsplit_once(' ')?.1.parse::<f64>().ok())
            .sum()
    }

    /// The only sample of a family.
    pub fn get(&self, family: &str) -> f64 {
        self.sum(family, "")
    }

    /// Upper bounds of a histogram's buckets in seconds, and how many were at most that.
    pub fn buckets(&self, family: &str) -> Vec<(f64, f64)> {
        let samples = self
            .text
            .lines()
            .filter_map(|line| line.strip_prefix(family));
        let bucket = |rest: &str| {
            let (labels, count) = rest.strip_prefix("_bucket{")?.rsplit_once("} ")?;
            let (_, bound) = labels.rsplit_once("le=\"")?;
            let bound = bound.strip_suffix('"')?;
            // What is more than all bounds is infinite in Rust's spelling too.
            Some((
                bound.trim_start_matches('+').parse().ok()?,
                count.parse().ok()?,
            ))
        };
        samples.filter_map(bucket).collect()
    }

    /// CPU seconds of the shard's thread.
    pub fn cpu_s(&self) -> f64 {
        self.get("relay_cpu_seconds_total")
    }

    /// Voice packets forwarded, one for each listener.
    pub fn forwarded(&self) -> f64 {
        self.get("relay_voice_packets_forwarded_total")
    }

    /// Voice and datagrams that the relay or its socket dropped, silence apart.
    pub fn dropped(&self) -> f64 {
        let all = self.get("relay_drops_total") + self.get("relay_send_drops_total");
        let silence = self.sum("relay_drops_total", "\"silence\"");
        all - silence + self.get("relay_receive_overflows_total")
    }

    /// Resident memory of the process in bytes.
    pub fn resident_bytes(&self) -> f64 {
        self.get("process_resident_memory_bytes")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_summed_by_label_and_not_by_prefix() {
        let text = "# TYPE relay_drops_total counter\n\
            relay_drops_total{shard=\"a\",reason=\"silence\"} 5\n\
            relay_drops_total{shard=\"a\",reason=\"late\"} 2\n\
            relay_drops_total_other{shard=\"a\"} 9\n\
            relay_receive_overflows_total{shard=\"a\"} 1\n\
            process_resident_memory_bytes 4096\n";
        let figures = Figures {
            text: text.to_owned(),
        };
        assert_eq!(figures.get("relay_drops_total"), 7.0);
        assert_eq!(figures.sum("relay_drops_total", "\"late\""), 2.0);
        assert_eq!(figures.dropped(), 3.0);
        assert_eq!(figures.resident_bytes(), 4096.0);
        assert_eq!(figures.get("absent"), 0.0);
    }

    #[test]
    fn buckets_are_read_with_their_bounds() {
        let text = "t_seconds_bucket{shard=\"a\",le=\"0.0005\"} 4\n\
            t_seconds_bucket{shard=\"a\",le=\"+Inf\"} 5\n\
            t_seconds_sum{shard=\"a\"} 2\n";
        let figures = Figures {
            text: text.to_owned(),
        };
        let expected = [(0.0005, 4.0), (f64::INFINITY, 5.0)];
        assert_eq!(figures.buckets("t_seconds"), expected);
    }
}
