//! What a relay is told at its start.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, FromArgMatches as _, value_parser};
use wire::fleet::{Candidate, Transport, shard_ids};
use wire::keys::ShardKey;
use wire::limits::MAX_CANDIDATES;
use wire::{RegionName, ShardId};

use crate::doors::DoorLimits;
use crate::overload::Limits;

const SPEAKER: sfu::SpeakerLimits = sfu::SpeakerLimits::DEFAULT;
const WORK: sfu::WorkLimits = sfu::WorkLimits::DEFAULT;
const PLACES: sfu::PlaceLimits = sfu::PlaceLimits::DEFAULT;
const DOORS: DoorLimits = DoorLimits::DEFAULT;
const PATHS: sfu::PathLimits = sfu::PathLimits::DEFAULT;
const CONSENT_SECONDS: u8 = PATHS.consent.as_secs() as u8;
const PUSH: sfu::PushLimits = sfu::PushLimits::DEFAULT;

/// Datagrams sent in a second at 80 % of a core, in large rooms, whose packets cost least: 3.44 us
/// each (`cargo xtask bench relay`, 10 speakers to 100 listeners; 2026-11-30). Other rooms are
/// stopped earlier, by the CPU; this one holds where the CPU does not say how busy it is.
const FULL_PACKETS: u32 = 230_000;

/// Time for a hello: as long as DTLS has for its handshake.
const HELLO_S: u8 = 10;

/// Why a relay cannot start: a sentence that says what to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartError(pub String);

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StartError {}

/// What a relay is told at its start.
#[derive(Clone, Debug)]
pub struct Config {
    /// Name in the fleet; the name of the only shard, or the stem of several.
    pub shard: ShardId,
    /// Region in the fleet.
    pub region: RegionName,
    /// Base address of the edge, such as `http://127.0.0.1:7400`.
    pub edge: EdgeUrl,
    /// One key per shard; 1 to [`wire::limits::MAX_SHARDS`].
    pub keys: Vec<ShardKey>,
    /// Addresses and limits.
    pub settings: Settings,
    /// The folder of the journal of usage; none to print it.
    pub usage_journal: Option<PathBuf>,
}

/// Addresses and limits: flags of `relay`, whose help these comments are.
#[derive(Clone, Debug, Args)]
pub struct Settings {
    /// UDP address for media, once per address family; shard n takes
    /// the n-th port from there, 0 takes free ones
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:7410", value_parser = address)]
    #[arg(verbatim_doc_comment)]
    pub listen: Vec<SocketAddr>,

    /// TCP address for media of players without UDP, once per address
    /// family, one port for all shards; 443 passes most firewalls
    #[arg(long, value_name = "ADDRESS", value_parser = address, verbatim_doc_comment)]
    pub listen_tcp: Vec<SocketAddr>,

    /// Address that clients reach; repeatable, best first
    /// [default: that of --listen]
    #[arg(long, value_name = "IP", verbatim_doc_comment)]
    pub advertise: Vec<IpAddr>,

    /// TCP address of /v1/control, for the edge
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7411", value_parser = address)]
    pub control: SocketAddr,

    /// How the edge reaches --control [default: http:// and its address]
    #[arg(long, value_name = "URL")]
    pub control_url: Option<String>,

    /// TCP address of /healthz, /readyz and /metrics: no proof is asked,
    /// it is for this machine or a private net
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7412", value_parser = address)]
    #[arg(verbatim_doc_comment)]
    pub health: SocketAddr,

    /// Most participants of each shard
    #[arg(long, value_name = "N", default_value_t = 1000)]
    #[arg(value_parser = value_parser!(u32).range(1..))]
    pub max_participants: u32,

    /// Most participants of a room, 1 to 10000
    #[arg(long, value_name = "N", default_value_t = 5000)]
    #[arg(value_parser = value_parser!(u32).range(1..=10_000))]
    pub max_room: u32,

    /// Share of a core above which a shard takes no more sessions,
    /// 1 to 100; 100 for no limit
    #[arg(long, value_name = "N", default_value_t = 80, verbatim_doc_comment)]
    #[arg(value_parser = value_parser!(u8).range(1..=100))]
    pub full_cpu_percent: u8,

    /// The same for datagrams sent in a second; 0 for
    /// no limit
    #[arg(long, value_name = "N", default_value_t = FULL_PACKETS, verbatim_doc_comment)]
    pub full_packets: u32,

    /// Voice packets of one speaker that are passed on
    /// in a second
    #[arg(long, value_name = "N", default_value_t = SPEAKER.packets_per_s)]
    #[arg(value_parser = value_parser!(u32).range(1..), verbatim_doc_comment)]
    pub speaker_packets: u32,

    /// The same in bytes of Opus; of RED twice as many
    #[arg(long, value_name = "N", default_value_t = SPEAKER.bytes_per_s)]
    #[arg(value_parser = value_parser!(u32).range(1..))]
    pub speaker_bytes: u32,

    /// Times in a second that others are told what one
    /// player has set for himself, mute and deafen
    #[arg(long, value_name = "N", default_value_t = 2)]
    #[arg(value_parser = value_parser!(u32).range(1..), verbatim_doc_comment)]
    pub session_states: u32,

    /// Readers whom what the edge pushes reaches on a
    /// shard in a second; the rest leaves later, together
    #[arg(long, value_name = "N", default_value_t = PUSH.readers_per_s)]
    #[arg(value_parser = value_parser!(u32).range(1..), verbatim_doc_comment)]
    pub push_readers: u32,

    /// Datagrams of one session, voice apart, that are
    /// looked at in a second; of one player in all his
    /// sessions twice as many
    #[arg(long, value_name = "N", default_value_t = WORK.datagrams_per_s)]
    #[arg(value_parser = value_parser!(u32).range(1..), verbatim_doc_comment)]
    pub session_datagrams: u32,

    /// The same in bytes
    #[arg(long, value_name = "N", default_value_t = WORK.bytes_per_s)]
    #[arg(value_parser = value_parser!(u32).range(1..))]
    pub session_bytes: u32,

    /// The same in microseconds of CPU time
    #[arg(long, value_name = "N", default_value_t = WORK.cpu_us_per_s)]
    #[arg(value_parser = value_parser!(u32).range(1..))]
    pub session_cpu_us: u32,

    /// Sessions of one player on a shard
    #[arg(long, value_name = "N", default_value_t = PLACES.player_sessions)]
    #[arg(value_parser = value_parser!(u32).range(1..))]
    pub player_sessions: u32,

    /// Those of them that may be half-open: their handshake
    /// or their hello is to come; the next one ends the
    /// oldest
    #[arg(long, value_name = "N", default_value_t = PLACES.player_half_open)]
    #[arg(value_parser = value_parser!(u32).range(1..), verbatim_doc_comment)]
    pub player_half_open: u32,

    /// Part of a shard's sessions that is kept for players
    /// who have none, percent, 0 to 50
    #[arg(long, value_name = "N", default_value_t = PLACES.reserve_percent)]
    #[arg(value_parser = value_parser!(u8).range(0..=50), verbatim_doc_comment)]
    pub reserve_percent: u8,

    /// Seconds for the hello of a session that is to say one
    #[arg(long, value_name = "N", default_value_t = HELLO_S)]
    #[arg(value_parser = value_parser!(u8).range(1..))]
    pub hello_seconds: u8,

    /// Connections that may wait at --control, and at
    /// --listen-tcp, before they have shown who they are;
    /// the next one ends the oldest of the source with
    /// most
    #[arg(long, value_name = "N", default_value_t = DOORS.strangers)]
    #[arg(value_parser = value_parser!(u32).range(1..=100_000), verbatim_doc_comment)]
    pub door_strangers: u32,

    /// The same of one source: an IPv4 address, or 64 bits
    /// of an IPv6 address
    #[arg(long, value_name = "N", default_value_t = DOORS.strangers_of_source)]
    #[arg(value_parser = value_parser!(u32).range(1..), verbatim_doc_comment)]
    pub door_source: u32,

    /// Seconds for the head of a stranger's request, and
    /// again for its body; for a ticket at --listen-tcp
    #[arg(long, value_name = "N", default_value_t = 3)]
    #[arg(value_parser = value_parser!(u8).range(1..), verbatim_doc_comment)]
    pub door_seconds: u8,

    /// Bytes sent for each that came, to an address that has
    /// not proved to be the client's
    #[arg(long, value_name = "N", default_value_t = PATHS.unproved_factor)]
    #[arg(value_parser = value_parser!(u32).range(1..), verbatim_doc_comment)]
    pub unproved_factor: u32,

    /// Seconds for which such a proof holds after the last
    /// authentic datagram, 4 to 30
    #[arg(long, value_name = "N", default_value_t = CONSENT_SECONDS)]
    #[arg(value_parser = value_parser!(u8).range(4..=30), verbatim_doc_comment)]
    pub consent_seconds: u8,

    /// Megabytes of usage that wait in --usage-journal; the
    /// oldest is dropped first
    #[arg(long, value_name = "N", default_value_t = 256, verbatim_doc_comment)]
    #[arg(value_parser = value_parser!(u32).range(1..=100_000))]
    pub usage_megabytes: u32,

    /// Seconds of usage that the edge is brought at once
    #[arg(long, value_name = "N", default_value_t = 300)]
    #[arg(value_parser = value_parser!(u16).range(1..=3600))]
    pub usage_seconds: u16,

    /// Time over which a drain moves the participants
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub drain_seconds: u16,
}

impl Default for Settings {
    /// What a command line without flags says.
    fn default() -> Self {
        let command = Self::augment_args(clap::Command::new("relay"));
        let matches = command.try_get_matches_from(["relay"]);
        let matches = matches.expect("none of these flags is required");
        Self::from_arg_matches(&matches).expect("every flag has a default or may be left out")
    }
}

impl Settings {
    /// Above which load a shard is full.
    pub(crate) fn limits(&self) -> Limits {
        let (percent, packets) = (self.full_cpu_percent, self.full_packets);
        Limits {
            sessions: self.max_participants.into(),
            cpu_permille: (percent < 100).then_some(u64::from(percent) * 10),
            packets_per_s: (packets > 0).then_some(packets.into()),
        }
    }

    /// How much of one speaker's voice is passed on.
    pub(crate) fn speaker(&self) -> sfu::SpeakerLimits {
        sfu::SpeakerLimits {
            packets_per_s: self.speaker_packets,
            bytes_per_s: self.speaker_bytes,
        }
    }

    /// How many places of a shard one player may have.
    pub(crate) fn places(&self) -> sfu::PlaceLimits {
        sfu::PlaceLimits {
            player_sessions: self.player_sessions,
            player_half_open: self.player_half_open,
            reserve_percent: self.reserve_percent,
        }
    }

    /// How many may wait at a door, and for how long.
    pub(crate) fn doors(&self) -> DoorLimits {
        DoorLimits {
            strangers: self.door_strangers,
            strangers_of_source: self.door_source,
            patience: Duration::from_secs(self.door_seconds.into()),
        }
    }

    /// What is sent to where a client may not be.
    pub(crate) fn paths(&self) -> sfu::PathLimits {
        sfu::PathLimits {
            unproved_factor: self.unproved_factor,
            consent: Duration::from_secs(self.consent_seconds.into()),
        }
    }

    /// How many readers pushes may reach.
    pub(crate) fn push(&self) -> sfu::PushLimits {
        sfu::PushLimits {
            readers_per_s: self.push_readers,
        }
    }

    /// What one session may make a shard do.
    pub(crate) fn work(&self) -> sfu::WorkLimits {
        sfu::WorkLimits {
            datagrams_per_s: self.session_datagrams,
            bytes_per_s: self.session_bytes,
            cpu_us_per_s: self.session_cpu_us,
        }
    }
}

fn address(text: &str) -> Result<SocketAddr, StartError> {
    let use_this = || StartError("use ADDRESS:PORT, such as 0.0.0.0:7410 or [::]:7410".to_owned());
    text.parse().map_err(|_| use_this())
}

impl Config {
    /// Ids of the shards.
    ///
    /// # Errors
    /// When the name is too long to be numbered.
    pub fn shard_ids(&self) -> Result<Vec<ShardId>, StartError> {
        let shards = u16::try_from(self.keys.len()).unwrap_or(u16::MAX);
        shard_ids(&self.shard, shards)
            .map_err(|_| StartError(format!("--shard {} is too long to be numbered", self.shard)))
    }
}

/// Base address of the edge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EdgeUrl {
    base: String,
}

impl EdgeUrl {
    /// Whether heartbeats go over TLS.
    pub(crate) fn is_https(&self) -> bool {
        // A scheme may be written in either case.
        self.base
            .get(..6)
            .is_some_and(|scheme| scheme.eq_ignore_ascii_case("https:"))
    }

    /// Whether it is on this machine.
    pub(crate) fn is_loopback(&self) -> bool {
        let uri = self.base.parse::<http::Uri>().ok();
        let host = uri.as_ref().and_then(http::Uri::host).unwrap_or_default();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        host.eq_ignore_ascii_case("localhost")
            || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }

    /// The address, as it was given.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// Where relays join the fleet.
    pub(crate) fn enrolment(&self) -> String {
        format!("{}/v1/relays/enrolment", self.base)
    }

    /// The address of usage of `shard`.
    pub(crate) fn usage(&self, shard: &ShardId) -> String {
        format!("{}/v1/relays/{shard}/usage", self.base)
    }

    /// The address of a heartbeat of `shard`.
    pub(crate) fn heartbeat(&self, shard: &ShardId) -> String {
        format!("{}/v1/relays/{shard}/heartbeat", self.base)
    }
}

impl FromStr for EdgeUrl {
    type Err = StartError;

    fn from_str(text: &str) -> Result<Self, StartError> {
        let bad = |why: &str| Err(StartError(why.to_owned()));
        let Ok(uri) = text.parse::<http::Uri>() else {
            return bad("not a URL");
        };
        match uri.scheme_str() {
            Some("http" | "https") => {}
            _ => return bad("use https://HOST or http://HOST:PORT"),
        }
        if uri.query().is_some() || uri.authority().is_none() {
            return bad("use https://HOST or http://HOST:PORT");
        }
        Ok(Self {
            base: text.trim_end_matches('/').to_owned(),
        })
    }
}

/// Refuses two addresses of one family.
pub(crate) fn check_families(flag: &str, listen: &[SocketAddr]) -> Result<(), StartError> {
    let v4 = listen.iter().filter(|address| address.is_ipv4()).count();
    if v4 > 1 || listen.len() - v4 > 1 {
        return Err(StartError(format!(
            "give {flag} once per address family (IPv4, IPv6)"
        )));
    }
    Ok(())
}

/// The addresses where shard `number` listens.
///
/// # Errors
/// When there is no address, two of one family, or no such port.
pub(crate) fn listen_addresses(
    listen: &[SocketAddr],
    number: u16,
) -> Result<Vec<SocketAddr>, StartError> {
    check_families("--listen", listen)?;
    if listen.is_empty() {
        return Err(StartError("--listen is missing".to_owned()));
    }
    listen
        .iter()
        .map(|address| {
            let port = match address.port() {
                0 => Some(0),
                first => first.checked_add(number),
            };
            let port = port.ok_or_else(|| {
                StartError(format!(
                    "--listen {address}: no port is left for shard {number}"
                ))
            })?;
            Ok(SocketAddr::new(address.ip(), port))
        })
        .collect()
}

/// What clients are told: the advertised addresses with the ports of the sockets, in the order in
/// which they were advertised, and after them those of the TCP listeners.
///
/// # Errors
/// When an address has no socket of its family, or nothing tells which address clients reach.
pub(crate) fn candidates(
    bound: &[SocketAddr],
    bound_tcp: &[SocketAddr],
    advertise: &[IpAddr],
) -> Result<Vec<Candidate>, StartError> {
    let mut found = reachable(Transport::Udp, bound, advertise)?;
    if !bound_tcp.is_empty() {
        // Not every family needs a way around a firewall.
        let has_listener = |ip: &&IpAddr| bound_tcp.iter().any(|a| a.is_ipv4() == ip.is_ipv4());
        let advertise: Vec<IpAddr> = advertise.iter().filter(has_listener).copied().collect();
        found.extend(reachable(Transport::Tcp, bound_tcp, &advertise)?);
    }
    if found.len() > MAX_CANDIDATES {
        return Err(StartError(format!(
            "clients may be told {MAX_CANDIDATES} addresses at most, those of --listen-tcp \
             included; give --advertise less often"
        )));
    }
    Ok(found)
}

fn reachable(
    transport: Transport,
    bound: &[SocketAddr],
    advertise: &[IpAddr],
) -> Result<Vec<Candidate>, StartError> {
    let flag = match transport {
        Transport::Udp => "--listen",
        Transport::Tcp => "--listen-tcp",
    };
    let candidate = |address| Candidate { transport, address };
    let found: Vec<Candidate> = if advertise.is_empty() {
        let fixed = bound
            .iter()
            .filter(|address| !address.ip().is_unspecified());
        fixed.copied().map(candidate).collect()
    } else {
        advertise
            .iter()
            .map(|ip| {
                let socket = bound
                    .iter()
                    .find(|address| address.is_ipv4() == ip.is_ipv4());
                socket
                    .map(|socket| candidate(SocketAddr::new(*ip, socket.port())))
                    .ok_or_else(|| {
                        StartError(format!("--advertise {ip} needs a {flag} of its family"))
                    })
            })
            .collect::<Result<_, _>>()?
    };
    match found.is_empty() {
        true => Err(StartError(format!(
            "{flag} takes any address; say with --advertise IP which one clients reach"
        ))),
        false => Ok(found),
    }
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "limits_tests.rs"]
mod limits_tests;
