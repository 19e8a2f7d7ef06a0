//! What a relay is told at its start, and the command line that says it.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use wire::fleet::{Candidate, Transport};
use wire::keys::ShardKey;
use wire::limits::MAX_CANDIDATES;
use wire::{RegionName, ShardId};

use crate::overload::Limits;

/// Most shards of one process: more cores than any machine that we would rent.
pub const SHARDS_MAX: u16 = 128;

/// Environment variable that may hold the shard keys instead of a file.
pub const KEY_VARIABLE: &str = "RELAY_SHARD_KEYS";

/// The help text.
pub const HELP: &str = "\
relay: carries voice between the players of a room

usage: relay --shard NAME --region NAME --edge URL --key-file FILE [options]

  --shard NAME            name in the fleet; NAME-0, NAME-1.. with several shards
  --shards N              shards, one core and one UDP port each [1]
  --region NAME           region in the fleet
  --edge URL              base address of the edge, https or http
  --listen ADDRESS        UDP address for media, once per address family; shard n takes the
                          n-th port from there, port 0 takes free ones [0.0.0.0:7410]
  --listen-tcp ADDRESS    TCP address for media of players without UDP, once per address family,
                          one port for all shards; 443 passes most firewalls [none]
  --advertise IP          address that clients reach; repeatable, best first [that of --listen]
  --control ADDRESS       TCP address of /v1/control, /healthz and /metrics [127.0.0.1:7411]
  --control-url URL       how the edge reaches --control [http://ADDRESS]
  --key-file FILE         shard keys, base64, one a line; or env RELAY_SHARD_KEYS
  --key-epoch N           epoch of the keys, 0 to 15 [0]
  --max-participants N    most participants of each shard [1000]
  --full-cpu-percent N    share of a core above which a shard takes no more sessions, 1 to 100;
                          100 for no limit [80]
  --full-packets N        the same for datagrams sent in a second, 0 for no limit [0]
  --drain-seconds N       time over which a drain moves the participants [10]
  --help, --version

Log level: env RUST_LOG [info]. Logs go to stderr, usage records to stdout.
";

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
    /// Where the control endpoint listens.
    pub control: SocketAddr,
    /// How the edge reaches it. `None`: `http://` and the address it is bound to.
    pub control_url: Option<String>,
    /// One key per shard; 1 to [`SHARDS_MAX`].
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
        if self.keys.len() == 1 {
            return Ok(vec![self.shard.clone()]);
        }
        (0..self.keys.len())
            .map(|number| {
                ShardId::new(format!("{}-{number}", self.shard)).map_err(|_| {
                    StartError(format!("--shard {} is too long to be numbered", self.shard))
                })
            })
            .collect()
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

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Run a relay.
    Run(Box<Arguments>),
    /// Print [`HELP`].
    Help,
    /// Print the version.
    Version,
}

/// The command line, read but for the keys, which are in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arguments {
    shard: ShardId,
    shards: u16,
    region: RegionName,
    edge: EdgeUrl,
    listen: Vec<SocketAddr>,
    listen_tcp: Vec<SocketAddr>,
    advertise: Vec<IpAddr>,
    control: SocketAddr,
    control_url: Option<String>,
    key_file: Option<String>,
    key_epoch: u8,
    participants_max: u32,
    full_cpu_percent: u8,
    full_packets_per_s: u32,
    drain_seconds: u16,
}

/// Flags as they were given.
#[derive(Default)]
struct Given {
    values: Vec<(String, String)>,
}

const FLAGS: [&str; 16] = [
    "--shard",
    "--shards",
    "--region",
    "--edge",
    "--listen",
    "--listen-tcp",
    "--advertise",
    "--control",
    "--control-url",
    "--key-file",
    "--key-epoch",
    "--max-participants",
    "--full-cpu-percent",
    "--full-packets",
    "--drain-seconds",
    "--help",
];

impl Command {
    /// Reads the command line, the program's name left out.
    ///
    /// # Errors
    /// A sentence that names the flag and what it takes.
    pub fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Self, StartError> {
        let mut given = Given::default();
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--help" | "-h" => return Ok(Self::Help),
                "--version" | "-V" => return Ok(Self::Version),
                _ => {}
            }
            let (flag, value) = match argument.split_once('=') {
                Some((flag, value)) => (flag.to_owned(), Some(value.to_owned())),
                None => (argument, None),
            };
            if !FLAGS.contains(&flag.as_str()) {
                return Err(StartError(format!(
                    "{flag} is not a flag of relay; see --help"
                )));
            }
            let Some(value) = value.or_else(|| arguments.next()) else {
                return Err(StartError(format!("{flag} needs a value; see --help")));
            };
            given.values.push((flag, value));
        }
        given.read().map(|arguments| Self::Run(Box::new(arguments)))
    }
}

impl Given {
    fn read(&self) -> Result<Arguments, StartError> {
        let arguments = Arguments {
            shard: self.required("--shard")?,
            shards: self.one("--shards")?.unwrap_or(1),
            region: self.required("--region")?,
            edge: self.required("--edge")?,
            listen: self.all(
                "--listen",
                "ADDRESS:PORT, such as 0.0.0.0:7410 or [::]:7410",
            )?,
            listen_tcp: self.all("--listen-tcp", "ADDRESS:PORT, such as 0.0.0.0:443")?,
            advertise: self.all("--advertise", "an IP address without a port")?,
            control: self
                .one("--control")?
                .unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 7411))),
            control_url: self.one("--control-url")?,
            key_file: self.one("--key-file")?,
            key_epoch: self.one("--key-epoch")?.unwrap_or(0),
            participants_max: self.one("--max-participants")?.unwrap_or(1000),
            full_cpu_percent: self.one("--full-cpu-percent")?.unwrap_or(80),
            full_packets_per_s: self.one("--full-packets")?.unwrap_or(0),
            drain_seconds: self.one("--drain-seconds")?.unwrap_or(10),
        };
        let check = |fine: bool, rule: &str| match fine {
            true => Ok(()),
            false => Err(StartError(rule.to_owned())),
        };
        check(
            (1..=SHARDS_MAX).contains(&arguments.shards),
            "--shards must be 1 to 128",
        )?;
        check(arguments.key_epoch < 16, "--key-epoch must be 0 to 15")?;
        check(
            arguments.participants_max > 0,
            "--max-participants must be at least 1",
        )?;
        check(
            (1..=100).contains(&arguments.full_cpu_percent),
            "--full-cpu-percent must be 1 to 100",
        )?;
        Ok(arguments)
    }

    fn texts(&self, flag: &str) -> impl Iterator<Item = &str> {
        self.values
            .iter()
            .filter(move |(given, _)| given == flag)
            .map(|(_, value)| value.as_str())
    }

    fn all<T: FromStr>(&self, flag: &str, wanted: &str) -> Result<Vec<T>, StartError> {
        self.texts(flag)
            .map(|text| {
                text.parse()
                    .map_err(|_| StartError(format!("{flag} {text}: use {wanted}")))
            })
            .collect()
    }

    fn one<T: FromStr>(&self, flag: &str) -> Result<Option<T>, StartError>
    where
        T::Err: fmt::Display,
    {
        let mut texts = self.texts(flag);
        let Some(text) = texts.next() else {
            return Ok(None);
        };
        if texts.next().is_some() {
            return Err(StartError(format!("{flag} is given twice")));
        }
        text.parse()
            .map(Some)
            .map_err(|error| StartError(format!("{flag} {text}: {error}")))
    }

    fn required<T: FromStr>(&self, flag: &str) -> Result<T, StartError>
    where
        T::Err: fmt::Display,
    {
        self.one(flag)?
            .ok_or_else(|| StartError(format!("{flag} is missing; see --help")))
    }
}

impl Arguments {
    /// Adds the keys from the file, or from the text of the environment variable
    /// [`KEY_VARIABLE`] where no file was named.
    ///
    /// # Errors
    /// When there are no keys, too few or too many, or the file cannot be read.
    pub fn load(self, variable: Option<&str>) -> Result<Config, StartError> {
        let (source, text) = match (&self.key_file, variable) {
            (Some(file), _) => {
                let text = std::fs::read_to_string(file).map_err(|error| {
                    StartError(format!("--key-file {file} cannot be read: {error}"))
                })?;
                (format!("--key-file {file}"), text)
            }
            (None, Some(text)) => (KEY_VARIABLE.to_owned(), text.to_owned()),
            (None, None) => {
                return Err(StartError(format!(
                    "--key-file is missing (or env {KEY_VARIABLE})"
                )));
            }
        };
        let keys: Vec<ShardKey> = text
            .split_whitespace()
            .map(|key| ShardKey::from_base64(self.key_epoch, key))
            .collect::<Result<_, _>>()
            .map_err(|error| StartError(format!("{source}: {error}")))?;
        if keys.len() != usize::from(self.shards) {
            let (held, wanted) = (keys.len(), self.shards);
            return Err(StartError(format!(
                "{source} holds {held} keys, but --shards is {wanted}; give one key a line"
            )));
        }
        let listen = match self.listen.is_empty() {
            true => vec![SocketAddr::from(([0, 0, 0, 0], 7410))],
            false => self.listen,
        };
        Ok(Config {
            shard: self.shard,
            region: self.region,
            edge: self.edge,
            listen,
            listen_tcp: self.listen_tcp,
            advertise: self.advertise,
            control: self.control,
            control_url: self.control_url,
            keys,
            participants_max: self.participants_max,
            full_cpu_percent: self.full_cpu_percent,
            full_packets_per_s: self.full_packets_per_s,
            drain_seconds: self.drain_seconds,
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
