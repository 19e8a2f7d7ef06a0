//! What a relay is told at its start.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use wire::fleet::{Candidate, Transport, shard_ids};
use wire::keys::ShardKey;
use wire::limits::MAX_CANDIDATES;
use wire::{RegionName, ShardId};

use crate::overload::Limits;

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
    /// Where media arrives; at most one address per family. Shard n takes the n-th port from
    /// there, or a free one where the port is 0.
    pub listen: Vec<SocketAddr>,
    /// Where media arrives over TCP, for players whose network has no UDP; at most one address per
    /// family, the same for all shards. Port 0 takes a free one. Empty: nowhere.
    pub listen_tcp: Vec<SocketAddr>,
    /// Addresses that clients reach, best first. Empty: those of `listen`.
    pub advertise: Vec<IpAddr>,
    /// Where the health endpoint listens; nobody but the machine's own operators should reach it.
    pub health: SocketAddr,
    /// Where the control endpoint listens.
    pub control: SocketAddr,
    /// How the edge reaches it. `None`: `http://` and the address it is bound to.
    pub control_url: Option<String>,
    /// One key per shard; 1 to [`wire::limits::MAX_SHARDS`].
    pub keys: Vec<ShardKey>,
    /// Most participants of each shard.
    pub participants_max: u32,
    /// Share of a core, in percent, above which a shard takes no more sessions; 100 for no limit.
    pub full_cpu_percent: u8,
    /// Datagrams sent in a second above which a shard takes no more sessions; 0 for no limit.
    pub full_packets_per_s: u32,
    /// Time over which a drain moves the participants, in seconds.
    pub drain_seconds: u16,
}

impl Config {
    /// Above which load a shard is full.
    pub(crate) fn limits(&self) -> Limits {
        let (percent, packets) = (self.full_cpu_percent, self.full_packets_per_s);
        Limits {
            sessions: self.participants_max.into(),
            cpu_permille: (percent < 100).then_some(u64::from(percent) * 10),
            packets_per_s: (packets > 0).then_some(packets.into()),
        }
    }

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
