//! A relay that runs as a process of its own, the fleet endpoint that it needs, and its figures.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use wire::fleet::{Heartbeat, HeartbeatReply};
use wire::keys::ShardKey;

use crate::peer::Entry;

/// Name of the shard, and so of its thread and its metrics.
pub const SHARD: &str = "bench";
/// Longest wait for the relay's first heartbeat, or for any reply of it.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest body that is read here.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// The relay beside this program.
///
/// # Errors
/// When it is not built.
#[expect(clippy::disallowed_methods, reason = "only its folder is looked at")]
pub fn program() -> Result<PathBuf> {
    let relay = std::env::current_exe()?.with_file_name("relay");
    if !relay.is_file() {
        bail!("{} is missing: cargo build -p relay", relay.display());
    }
    Ok(relay)
}

/// The key of the shard; the relay serves nobody but the swarm.
pub fn shard_key() -> ShardKey {
    ShardKey::new(0, [5; 32])
}

/// Takes heartbeats as the edge would, and hands them over.
pub struct FakeFleet {
    /// Base address.
    pub url: String,
    heartbeats: Receiver<Heartbeat>,
}

impl FakeFleet {
    /// Serves on a free port of loopback, in a thread that ends with the process.
    ///
    /// # Errors
    /// When there is no port.
    pub fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let url = format!("http://{}", listener.local_addr()?);
        let (sender, heartbeats) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let sender = sender.clone();
                // A relay that goes away ends its connection, which is no error here.
                std::thread::spawn(move || drop(serve(&stream, &sender)));
            }
        });
        Ok(Self { url, heartbeats })
    }

    /// The next heartbeat.
    ///
    /// # Errors
    /// When none comes in time.
    pub fn heartbeat(&self) -> Result<Heartbeat> {
        self.heartbeats
            .recv_timeout(PATIENCE)
            .context("the relay sends no heartbeat")
    }
}

/// Answers the requests of one connection until it is closed.
fn serve(stream: &TcpStream, sender: &Sender<Heartbeat>) -> Result<()> {
    let mut reader = BufReader::new(stream);
    while let Some(length) = read_head(&mut reader)? {
        let mut body = vec![0; length.min(BODY_BYTES_MAX)];
        reader.read_exact(&mut body)?;
        let heartbeat: Heartbeat = serde_json::from_slice(&body)?;
        let now_ms = heartbeat.sent_at_ms;
        let draining = false;
        let reply = serde_json::to_string(&HeartbeatReply { draining, now_ms })?;
        // Nobody may be interested any more.
        let _ = sender.send(heartbeat);
        write!(
            &mut &*stream,
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{reply}",
            reply.len()
        )?;
    }
    Ok(())
}

/// Reads the head of a request and returns the length of its body; none at the end.
fn read_head(reader: &mut impl BufRead) -> Result<Option<usize>> {
    let (mut length, mut line, mut lines) = (0, String::new(), 0);
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        lines += 1;
        if line.trim().is_empty() && lines > 1 {
            return Ok(Some(length));
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse()?;
        }
    }
}

/// A relay in its own process, killed when dropped.
pub struct RelayProcess {
    /// Its first heartbeat: boot id, address, fingerprint, control endpoint.
    pub heartbeat: Heartbeat,
    health: SocketAddr,
    child: Child,
    _fleet: FakeFleet,
    _key_file: tempfile::NamedTempFile,
}

impl RelayProcess {
    /// Starts the binary and waits for its first heartbeat.
    ///
    /// # Errors
    /// When the binary is not there or does not come up.
    pub fn start(binary: &Path) -> Result<Self> {
        let fleet = FakeFleet::start()?;
        let mut key_file = tempfile::NamedTempFile::new()?;
        writeln!(key_file, "{}", shard_key().to_base64())?;
        let mut child = Command::new(binary)
            .args(["--shard", SHARD, "--region", "bench", "--edge", &fleet.url])
            .args(["--listen", "127.0.0.1:0", "--control", "127.0.0.1:0"])
            .args(["--health", "127.0.0.1:0"])
            // What a shard does under load is measured, not refused.
            .args(["--full-cpu-percent", "100"])
            .args(["--max-participants", "20000", "--key-file"])
            .arg(key_file.path())
            .env("RUST_LOG", "error")
            .stdout(Stdio::piped())
            .stdin(Stdio::null())
            .spawn()
            .with_context(|| format!("{} cannot be started", binary.display()))?;
        let output = child.stdout.take().context("standard output is piped")?;
        let heartbeat = fleet.heartbeat()?;
        Ok(Self {
            heartbeat,
            health: health(output)?,
            child,
            _fleet: fleet,
            _key_file: key_file,
        })
    }

    /// How peers get into it.
    pub fn entry(&self) -> Entry {
        Entry::Sealed {
            keys: Box::new(shard_key().subkeys()),
            heartbeat: Box::new(self.heartbeat.clone()),
        }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its figures as it last published them, at most a fifth of a second ago.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn figures(&self) -> Result<Figures> {
        figures(self.health)
    }
}

impl Drop for RelayProcess {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The health endpoint, from the ready line. What follows it is read and left, since a full pipe
/// would cost the relay its records.
fn health(output: ChildStdout) -> Result<SocketAddr> {
    let mut lines = BufReader::new(output).lines();
    let ready = lines
        .next()
        .context("the relay ended before it was ready")??;
    let ready: serde_json::Value = serde_json::from_str(&ready)?;
    let address = ready["health"].as_str().context("a health address")?;
    let address = address.parse()?;
    std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
    Ok(address)
}

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
    stream.read_to_string(&mut text)?;
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

    #[test]
    fn a_head_ends_at_the_empty_line_and_says_the_length() {
        let mut text = &b"POST /x HTTP/1.1\r\nContent-Length: 12\r\na: b\r\n\r\nrest"[..];
        assert_eq!(read_head(&mut text).unwrap(), Some(12));
        assert_eq!(text, b"rest");
        assert_eq!(read_head(&mut &b""[..]).unwrap(), None);
    }
}
