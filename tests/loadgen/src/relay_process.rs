//! A relay that runs as a process of its own, the fleet endpoint that it needs, and its figures.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use process::Process;
pub use process::{Figures, figures};
use wire::fleet::{Heartbeat, HeartbeatReply};
use wire::keys::ShardKey;

use crate::peer::Entry;

/// Name of the shard, and so of its thread and its metrics.
pub const SHARD: &str = "bench";
/// Longest wait for the relay's first heartbeat, or for any reply of it.
const PATIENCE: Duration = Duration::from_secs(10);
/// Participants of a relay that is to be measured and not to refuse anybody.
pub const PARTICIPANTS: u32 = 20_000;
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
    while let Some(head) = read_head(&mut reader)? {
        let mut body = vec![0; head.length.min(BODY_BYTES_MAX)];
        reader.read_exact(&mut body)?;
        let heartbeat: Heartbeat = serde_json::from_slice(&body)?;
        let now_ms = heartbeat.sent_at_ms;
        let reply = serde_json::to_string(&HeartbeatReply {
            draining: false,
            now_ms,
            commands: None,
            moved: Vec::new(),
        })?;
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

/// The head of a request or of an answer.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Head {
    /// Its first line.
    pub(crate) first: String,
    /// Length of its body.
    pub(crate) length: usize,
}

/// Reads a head; none at the end.
pub(crate) fn read_head(reader: &mut impl BufRead) -> Result<Option<Head>> {
    let (mut head, mut line) = (Head::default(), String::new());
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        if head.first.is_empty() {
            line.trim().clone_into(&mut head.first);
        } else if line.trim().is_empty() {
            return Ok(Some(head));
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            head.length = value.trim().parse()?;
        }
    }
}

/// A relay in its own process, killed when dropped.
pub struct RelayProcess {
    /// Its first heartbeat: boot id, address, fingerprint, control endpoint.
    pub heartbeat: Heartbeat,
    /// Where it takes messages of the edge.
    pub control: SocketAddr,
    /// Where it takes players without UDP.
    pub media_tcp: SocketAddr,
    health: SocketAddr,
    process: Process,
    _fleet: FakeFleet,
    _key_file: tempfile::NamedTempFile,
}

impl RelayProcess {
    /// Starts the binary and waits until it is ready.
    ///
    /// # Errors
    /// When the binary is not there or does not come up.
    pub fn start(binary: &Path) -> Result<Self> {
        Self::start_with(binary, PARTICIPANTS, &[])
    }

    /// The same with places for so many participants, and further flags.
    ///
    /// # Errors
    /// When the binary is not there or does not come up.
    pub fn start_with(binary: &Path, participants: u32, flags: &[&str]) -> Result<Self> {
        let fleet = FakeFleet::start()?;
        let mut key_file = tempfile::NamedTempFile::new()?;
        writeln!(key_file, "{}", shard_key().to_base64())?;
        let mut command = process::command(binary);
        command
            .args(["--shard", SHARD, "--region", "bench", "--edge", &fleet.url])
            .args(["--listen", "127.0.0.1:0", "--control", "127.0.0.1:0"])
            .args(["--health", "127.0.0.1:0", "--listen-tcp", "127.0.0.1:0"])
            // What a shard does under load is measured, not refused.
            .args(["--full-cpu-percent", "100", "--full-packets", "0"])
            .args(["--max-participants", &participants.to_string()])
            .args(["--max-room", "10000", "--key-file"])
            .arg(key_file.path())
            .args(flags)
            .env("RUST_LOG", "error");
        let process = Process::start("relay", command)?;
        let ready = process.ready("ready", PATIENCE)?;
        let address = |at: &serde_json::Value| -> Result<SocketAddr> {
            Ok(at.as_str().context("an address")?.parse()?)
        };
        Ok(Self {
            heartbeat: fleet.heartbeat()?,
            control: address(&ready["control"])?,
            media_tcp: address(&ready["media_tcp"][0])?,
            health: address(&ready["health"])?,
            process,
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
        self.process.id()
    }

    /// Its figures as it last published them, at most a fifth of a second ago.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn figures(&self) -> Result<Figures> {
        figures(self.health)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_ends_at_the_empty_line_and_says_the_length() {
        let mut text = &b"POST /x HTTP/1.1\r\nContent-Length: 12\r\na: b\r\n\r\nrest"[..];
        let head = Head {
            first: "POST /x HTTP/1.1".to_owned(),
            length: 12,
        };
        assert_eq!(read_head(&mut text).unwrap(), Some(head));
        assert_eq!(text, b"rest");
        assert_eq!(read_head(&mut &b""[..]).unwrap(), None);
    }
}
