//! 200,000 garbage and half-valid datagrams: no session, no memory, and a running call goes on.

use std::net::UdpSocket;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::client::{Client, Offer, Options, Seen, join, post_join};
use e2e::now;
use e2e::service::{Edge, Relay};
use str0m::ice::{StunMessage, TransId};
use tokio::time::MissedTickBehavior;
use wire::join::JoinReply;

const DATAGRAMS: u32 = 200_000;
/// Datagrams between two looks at the relay's counter, so that its socket buffer never overflows.
const BURST: u32 = 2000;
/// Longest wait for a burst to be taken in; the relay publishes its counters every 200 ms.
const BURST_MAX: Duration = Duration::from_secs(5);
/// Between two looks: more would take from the relay the time that it needs.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);
/// What allocators may keep for themselves after the flood, KiB.
const MEMORY_SLACK_KIB: u64 = 1024;

/// Shapes of datagrams, from a real ticket that was never used.
struct Shapes {
    ufrag: String,
    password: String,
    random: u64,
}

impl Shapes {
    fn next(&mut self, n: u32) -> Vec<u8> {
        match n % 8 {
            0 => self.noise(0),
            1 => self.noise(22),
            2 => self.noise(128),
            3 => self.request(&self.ufrag.clone(), "not the password"),
            4 => {
                // One character of the ticket changed.
                let at = n as usize / 8 % self.ufrag.len();
                let mut bytes = self.ufrag.clone().into_bytes();
                bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
                let ufrag = String::from_utf8(bytes).expect("still ASCII");
                let password = self.password.clone();
                self.request(&ufrag, &password)
            }
            5 => self.request("short", "password of nothing at all"),
            6 => {
                // Valid but for a flipped bit somewhere.
                let (ufrag, password) = (self.ufrag.clone(), self.password.clone());
                let mut data = self.request(&ufrag, &password);
                let bit = self.random() as usize % (data.len() * 8);
                // Behind MESSAGE-INTEGRITY, FINGERPRINT is not authenticated.
                let bit = bit % ((data.len() - 32) * 8);
                data[bit / 8] ^= 1 << (bit % 8);
                data
            }
            _ => {
                let (ufrag, password) = (self.ufrag.clone(), self.password.clone());
                let data = self.request(&ufrag, &password);
                data[..self.random() as usize % data.len()].to_vec()
            }
        }
    }

    fn random(&mut self) -> u64 {
        // Knuth's MMIX generator: the same datagrams in every run, ticket apart.
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        self.random >> 33
    }

    fn noise(&mut self, first: u8) -> Vec<u8> {
        let length = self.random() as usize % 200 + 1;
        let mut data: Vec<u8> = (0..length).map(|_| self.random() as u8).collect();
        data[0] = first;
        data
    }

    fn request(&self, ufrag: &str, password: &str) -> Vec<u8> {
        let crypto = str0m::crypto::from_feature_flags().sha1_hmac_provider;
        let username = format!("{ufrag}:stranger");
        let request = StunMessage::binding_request(&username, TransId::new(), true, 1, 1, true);
        let mut buffer = vec![0; 1024];
        let hmac = |key: &[u8], parts: &[&[u8]]| crypto.sha1_hmac(key, parts);
        let length = request
            .to_bytes(Some(password.as_bytes()), &mut buffer, hmac)
            .expect("the buffer is long enough");
        buffer.truncate(length);
        buffer
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_makes_no_session_takes_no_memory_and_disturbs_no_call() -> Result<()> {
    let edge = Edge::start().await?;
    let relay = edge.start_relay("test").await?;
    let (mut ann, mut bob) = (talker(&edge, 1).await?, talker(&edge, 2).await?);
    ann.hears(2).await?;
    bob.hears(1).await?;
    let offer = Offer::new(&Options::new(3)).await?.sdp;
    let token = edge.secrets.token("p3", "lobby");
    let reply = post_join(&edge.http, &edge.url(), "lobby", &token, &offer).await?;
    let unused: JoinReply = reply.json()?;
    let attribute = |name: &str| {
        let line = unused
            .answer
            .lines()
            .find_map(|line| line.strip_prefix(name));
        line.map(str::to_owned)
            .context("the answer has ICE credentials")
    };
    let mut shapes = Shapes {
        ufrag: attribute("a=ice-ufrag:")?,
        password: attribute("a=ice-pwd:")?,
        random: 7,
    };
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    let to = relay.running.media()[0];
    // The first part brings every table and buffer to its size.
    flood(&edge, &relay, &socket, to, &mut shapes, 0..DATAGRAMS / 4).await?;
    let (sessions, before) = (sessions(&edge, &relay).await?, resident_kib()?);
    ann.drain();
    flood(
        &edge,
        &relay,
        &socket,
        to,
        &mut shapes,
        DATAGRAMS / 4..DATAGRAMS,
    )
    .await?;
    let after = resident_kib()?;
    assert_eq!(sessions_now(&edge, &relay).await?, sessions);
    assert_eq!(sessions, 2.0);
    assert!(
        after <= before + MEMORY_SLACK_KIB,
        "memory grew from {before} to {after} KiB"
    );
    let lost = lost_voice(&mut ann);
    assert_eq!(lost, 0, "packets of the running call were lost");
    bob.hears(1).await?;
    for reason in [
        "unknown-kind",
        "no-session",
        "stun-malformed",
        "ticket-malformed",
        "ticket-sealed",
        "integrity",
    ] {
        let name = format!("relay_datagrams_rejected_total{{shard=\"test\",reason=\"{reason}\"}}");
        let count = relay.metric(&edge.http, &name).await?;
        // Garbage of kinds that no shape makes is not asked for.
        if reason != "unknown-kind" {
            assert!(count > 0.0, "{reason} was counted");
        }
    }
    Ok(())
}

async fn talker(edge: &Edge, mark: u8) -> Result<Client> {
    let token = edge.secrets.token(&format!("p{mark}"), "lobby");
    let options = Options {
        talks: true,
        ..Options::new(mark)
    };
    join(&edge.http, &edge.url(), "lobby", &token, options).await
}

/// Sends datagrams in bursts, each taken in before the next.
async fn flood(
    edge: &Edge,
    relay: &Relay,
    socket: &UdpSocket,
    to: std::net::SocketAddr,
    shapes: &mut Shapes,
    range: std::ops::Range<u32>,
) -> Result<()> {
    let name = "relay_datagrams_received_total{shard=\"test\"}";
    for burst in range.clone().step_by(BURST as usize) {
        let target = relay.metric(&edge.http, name).await? + f64::from(BURST);
        for n in burst..(burst + BURST).min(range.end) {
            socket.send_to(&shapes.next(n), to)?;
        }
        let until = now() + BURST_MAX;
        let mut looks = tokio::time::interval(LOOK_INTERVAL);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while relay.metric(&edge.http, name).await? < target {
            ensure!(
                now() < until,
                "datagrams were lost in the relay's socket buffer"
            );
            looks.tick().await;
        }
    }
    Ok(())
}

async fn sessions_now(edge: &Edge, relay: &Relay) -> Result<f64> {
    relay
        .metric(&edge.http, "relay_sessions{shard=\"test\"}")
        .await
}

use sessions_now as sessions;

/// Holes in the sequence numbers of what a client heard.
fn lost_voice(client: &mut Client) -> u64 {
    let numbers = client
        .drain()
        .into_iter()
        .filter_map(|(_, seen)| match seen {
            Seen::Voice { seq, .. } => Some(seq),
            _ => None,
        });
    let numbers: std::collections::BTreeSet<u64> = numbers.collect();
    let (Some(first), Some(last)) = (numbers.first(), numbers.last()) else {
        return u64::MAX;
    };
    last - first + 1 - numbers.len() as u64
}

/// Resident memory of this process, the relay included, KiB.
fn resident_kib() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    Ok(line
        .context("VmRSS")?
        .trim()
        .trim_end_matches(" kB")
        .trim()
        .parse()?)
}
