//! The command line of a relay.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use wire::fleet::shard_ids;
use wire::keys::{EPOCHS, FleetSecret, ShardKey};
use wire::limits::MAX_SHARDS;
use wire::{RegionName, ShardId};

use crate::config::{Config, EdgeUrl, StartError};
use crate::enrolment::{self, EnrolArguments, Place, Wanted};

/// Environment variable that may hold the shard keys instead of a file.
pub const KEY_VARIABLE: &str = "RELAY_SHARD_KEYS";

/// Environment variable with the folder that systemd keeps for a service.
const STATE_FOLDER_VARIABLE: &str = "STATE_DIRECTORY";

/// Name of the state file there.
const STATE_FILE: &str = "enrolment.json";

/// The help text.
pub const HELP: &str = "\
relay: carries voice between the players of a room

usage: relay --enrol URL --enrol-token-file FILE [options]
       relay --enrol URL --enrol-aws [options]
       relay --shard NAME --region NAME --edge URL --key-file FILE [options]
       relay key --shard NAME [--epoch N] [--shards N] < FLEET-SECRET
       relay check URL

  --enrol URL             join the fleet at this edge, which gives names, keys and region
  --enrol-token-file FILE a token of `cargo xtask enrolment-token`, used once; or env
                          RELAY_ENROL_TOKEN [$CREDENTIALS_DIRECTORY/enrolment-token]
  --enrol-aws             prove it by the role of this machine on AWS instead of a token
  --enrol-plain           over http too, where everybody on the way could read the keys
  --state FILE            where the place in the fleet is kept, so that the next start needs no
                          token [$STATE_DIRECTORY/enrolment.json]
  --shard NAME            name in the fleet; NAME-0, NAME-1.. with several shards
  --shards N              shards, one core and one UDP port each [1]
  --region NAME           region in the fleet
  --edge URL              base address of the edge, https or http
  --listen ADDRESS        UDP address for media, once per address family; shard n takes the
                          n-th port from there, port 0 takes free ones [0.0.0.0:7410]
  --listen-tcp ADDRESS    TCP address for media of players without UDP, once per address family,
                          one port for all shards; 443 passes most firewalls [none]
  --advertise IP          address that clients reach; repeatable, best first [that of --listen]
  --control ADDRESS       TCP address of /v1/control, for the edge [127.0.0.1:7411]
  --control-url URL       how the edge reaches --control [http://ADDRESS]
  --health ADDRESS        TCP address of /healthz, /readyz and /metrics, which ask for no proof and
                          are for this machine or a private network [127.0.0.1:7412]
  --key-file FILE         shard keys, base64, one a line; or env RELAY_SHARD_KEYS
  --key-epoch N           epoch of the keys, 0 to 15 [0]
  --max-participants N    most participants of each shard [1000]
  --full-cpu-percent N    share of a core above which a shard takes no more sessions, 1 to 100;
                          100 for no limit [80]
  --full-packets N        the same for datagrams sent in a second, 0 for no limit [0]
  --drain-seconds N       time over which a drain moves the participants [10]
  --drain-on-term         on SIGTERM move the participants first, then end; a second signal ends
                          at once
  --drain-limit-seconds N end after this long, whoever is left; at least --drain-seconds [60]
  --help                  this text; relay key --help tells of keys
  --version

relay check asks http://HOST:PORT/PATH, such as /readyz at --health, and fails unless it says 200.
Log level: env RUST_LOG [info]. Logs go to stderr, usage records to stdout.
";

/// The help text of `relay key`.
pub const KEY_HELP: &str = "\
relay key: derives the keys of a relay from the fleet secret on standard input

usage: relay key --shard NAME [--epoch N] [--shards N] < FLEET-SECRET > KEY-FILE

Prints what --key-file takes: one key a line, in base64. Run it where the fleet secret is, and
bring the relay its keys alone. infra/ops/KEYS.md says who holds what.

  --shard NAME            name in the fleet; NAME-0, NAME-1.. with several shards
  --shards N              shards [1]
  --epoch N               epoch of the keys, 0 to 15; the relay's --key-epoch [0]
  --help                  this text
";

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Run a relay.
    Run(Box<Arguments>),
    /// Derive the keys of a relay.
    Key(KeyArguments),
    /// Ask this health address.
    Check(String),
    /// Print [`HELP`].
    Help,
    /// Print [`KEY_HELP`].
    KeyHelp,
    /// Print the version.
    Version,
}

/// The command line; [`configure`] adds what is not on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arguments {
    origin: Origin,
    shards: u16,
    listen: Vec<SocketAddr>,
    listen_tcp: Vec<SocketAddr>,
    advertise: Vec<IpAddr>,
    health: SocketAddr,
    control: SocketAddr,
    control_url: Option<String>,
    participants_max: u32,
    full_cpu_percent: u8,
    full_packets_per_s: u32,
    drain_seconds: u16,
    drain_on_term: bool,
    drain_limit_seconds: u16,
}

/// Whence a relay has its place in the fleet.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Origin {
    /// The command line.
    Given {
        shard: ShardId,
        region: RegionName,
        edge: EdgeUrl,
        key_file: Option<String>,
        key_epoch: u8,
    },
    /// The edge.
    Enrolled(EnrolArguments),
}

/// Whose keys to derive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyArguments {
    shard: ShardId,
    shards: u16,
    epoch: u8,
}

/// A flag.
struct Flag {
    name: &'static str,
    takes_value: bool,
}

const fn value(name: &'static str) -> Flag {
    Flag {
        name,
        takes_value: true,
    }
}

const fn switch(name: &'static str) -> Flag {
    Flag {
        name,
        takes_value: false,
    }
}

const FLAGS: &[Flag] = &[
    value("--enrol"),
    value("--enrol-token-file"),
    switch("--enrol-aws"),
    switch("--enrol-plain"),
    value("--state"),
    value("--shard"),
    value("--shards"),
    value("--region"),
    value("--edge"),
    value("--listen"),
    value("--listen-tcp"),
    value("--advertise"),
    value("--health"),
    value("--control"),
    value("--control-url"),
    value("--key-file"),
    value("--key-epoch"),
    value("--max-participants"),
    value("--full-cpu-percent"),
    value("--full-packets"),
    value("--drain-seconds"),
    switch("--drain-on-term"),
    value("--drain-limit-seconds"),
];

const KEY_FLAGS: &[Flag] = &[value("--shard"), value("--shards"), value("--epoch")];

/// Flags as they were given.
struct Given {
    /// What the help is asked of.
    program: &'static str,
    values: Vec<(&'static str, String)>,
}

impl Command {
    /// Reads the command line, the program's name left out.
    ///
    /// # Errors
    /// A sentence that names the flag and what it takes.
    pub fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Self, StartError> {
        let mut arguments = arguments.into_iter().peekable();
        if arguments.next_if(|first| first == "check").is_some() {
            let url = arguments.next();
            return url
                .map(Self::Check)
                .ok_or_else(|| StartError("check needs the URL to ask".to_owned()));
        }
        let is_key = arguments.next_if(|first| first == "key").is_some();
        let (flags, help) = match is_key {
            true => (KEY_FLAGS, Self::KeyHelp),
            false => (FLAGS, Self::Help),
        };
        let mut given = Given {
            program: if is_key { "relay key" } else { "relay" },
            values: Vec::new(),
        };
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--help" | "-h" => return Ok(help),
                "--version" | "-V" => return Ok(Self::Version),
                _ => {}
            }
            let (name, value) = match argument.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (argument.as_str(), None),
            };
            let Some(flag) = flags.iter().find(|flag| flag.name == name) else {
                return Err(given.fault(&format!("{name} is not a flag of {}", given.program)));
            };
            let value = match (flag.takes_value, value) {
                (true, value) => value.or_else(|| arguments.next()),
                (false, None) => Some(String::new()),
                (false, Some(_)) => {
                    return Err(given.fault(&format!("{name} takes no value")));
                }
            };
            let Some(value) = value else {
                return Err(given.fault(&format!("{name} needs a value")));
            };
            given.values.push((flag.name, value));
        }
        if is_key {
            return given.read_key().map(Self::Key);
        }
        given.read().map(|arguments| Self::Run(Box::new(arguments)))
    }
}

fn check(fine: bool, rule: &str) -> Result<(), StartError> {
    match fine {
        true => Ok(()),
        false => Err(StartError(rule.to_owned())),
    }
}

impl Given {
    fn read(&self) -> Result<Arguments, StartError> {
        let arguments = Arguments {
            origin: match self.texts("--enrol").next() {
                Some(_) => Origin::Enrolled(self.enrol()?),
                None => self.place()?,
            },
            shards: self.shards()?,
            listen: self.all(
                "--listen",
                "ADDRESS:PORT, such as 0.0.0.0:7410 or [::]:7410",
            )?,
            listen_tcp: self.all("--listen-tcp", "ADDRESS:PORT, such as 0.0.0.0:443")?,
            advertise: self.all("--advertise", "an IP address without a port")?,
            health: self.local("--health", 7412)?,
            control: self.local("--control", 7411)?,
            control_url: self.one("--control-url")?,
            participants_max: self.one("--max-participants")?.unwrap_or(1000),
            full_cpu_percent: self.one("--full-cpu-percent")?.unwrap_or(80),
            full_packets_per_s: self.one("--full-packets")?.unwrap_or(0),
            drain_seconds: self.one("--drain-seconds")?.unwrap_or(10),
            drain_on_term: self.texts("--drain-on-term").next().is_some(),
            drain_limit_seconds: self.one("--drain-limit-seconds")?.unwrap_or(60),
        };
        check(
            arguments.participants_max > 0,
            "--max-participants must be at least 1",
        )?;
        check(
            (1..=100).contains(&arguments.full_cpu_percent),
            "--full-cpu-percent must be 1 to 100",
        )?;
        check(
            arguments.drain_limit_seconds >= arguments.drain_seconds,
            "--drain-limit-seconds must be at least --drain-seconds: the last are asked then",
        )?;
        Ok(arguments)
    }

    fn place(&self) -> Result<Origin, StartError> {
        let of_enrol = [
            "--enrol-aws",
            "--enrol-token-file",
            "--enrol-plain",
            "--state",
        ];
        self.none_of(&of_enrol, "is for --enrol")?;
        Ok(Origin::Given {
            shard: self.required("--shard")?,
            region: self.required("--region")?,
            edge: self.required("--edge")?,
            key_file: self.one("--key-file")?,
            key_epoch: self.epoch("--key-epoch")?,
        })
    }

    fn enrol(&self) -> Result<EnrolArguments, StartError> {
        let told = ["--shard", "--edge", "--key-file", "--key-epoch"];
        self.none_of(&told, "is what --enrol asks the edge for; leave it out")?;
        let aws = self.texts("--enrol-aws").next().is_some();
        if aws {
            self.none_of(&["--enrol-token-file"], "is not needed with --enrol-aws")?;
        }
        Ok(EnrolArguments {
            aws,
            edge: self.required("--enrol")?,
            region: self.one("--region")?,
            token_file: self.one("--enrol-token-file")?,
            state: self.one::<PathBuf>("--state")?,
            plain: self.texts("--enrol-plain").next().is_some(),
        })
    }

    fn none_of(&self, flags: &[&str], why: &str) -> Result<(), StartError> {
        let given = |flag: &&&str| self.texts(flag).next().is_some();
        match flags.iter().find(given) {
            Some(flag) => Err(StartError(format!("{flag} {why}"))),
            None => Ok(()),
        }
    }

    fn read_key(&self) -> Result<KeyArguments, StartError> {
        Ok(KeyArguments {
            shard: self.required("--shard")?,
            shards: self.shards()?,
            epoch: self.epoch("--epoch")?,
        })
    }

    fn local(&self, flag: &str, port: u16) -> Result<SocketAddr, StartError> {
        let usual = SocketAddr::from(([127, 0, 0, 1], port));
        Ok(self.one(flag)?.unwrap_or(usual))
    }

    fn shards(&self) -> Result<u16, StartError> {
        let shards = self.one("--shards")?.unwrap_or(1);
        let fine = (1..=MAX_SHARDS).contains(&shards);
        check(fine, "--shards must be 1 to 128").map(|()| shards)
    }

    fn epoch(&self, flag: &str) -> Result<u8, StartError> {
        let epoch = self.one(flag)?.unwrap_or(0);
        check(epoch < EPOCHS, &format!("{flag} must be 0 to 15")).map(|()| epoch)
    }

    fn fault(&self, what: &str) -> StartError {
        let ask = match self.program {
            "relay" => "--help".to_owned(),
            program => format!("{program} --help"),
        };
        StartError(format!("{what}; see {ask}"))
    }

    fn texts(&self, flag: &str) -> impl Iterator<Item = &str> {
        self.values
            .iter()
            .filter(move |(given, _)| *given == flag)
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
            .ok_or_else(|| self.fault(&format!("{flag} is missing")))
    }
}

impl KeyArguments {
    /// The keys that the fleet secret of `text` gives, one a line.
    ///
    /// # Errors
    /// When the text is no fleet secret, or the name is too long to be numbered.
    pub fn derive(&self, text: &str) -> Result<String, StartError> {
        let secret = FleetSecret::from_base64(text)
            .map_err(|error| StartError(format!("standard input is no fleet secret: {error}")))?;
        let ids = shard_ids(&self.shard, self.shards)
            .map_err(|error| StartError(format!("--shard {}: {error}", self.shard)))?;
        let lines = ids
            .iter()
            .map(|id| secret.shard_key(id, self.epoch).to_base64() + "\n");
        Ok(lines.collect())
    }
}

/// Adds to the command line what is not on it: the keys from a file or an environment variable, or
/// the place in the fleet that the edge gives.
///
/// # Errors
/// When there are no keys, too few or too many, a file cannot be used, or the edge refuses.
pub async fn configure(
    arguments: Arguments,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Config, StartError> {
    let (shards, capacity) = (arguments.shards, arguments.participants_max);
    let place = match &arguments.origin {
        Origin::Given { .. } => arguments.given(variable(KEY_VARIABLE).as_deref())?,
        Origin::Enrolled(enrol) => {
            let file = enrol.state.clone();
            let folder = || variable(STATE_FOLDER_VARIABLE).map(PathBuf::from);
            let file = file.or_else(|| folder().map(|folder| folder.join(STATE_FILE)));
            let file = file.ok_or_else(|| {
                StartError(format!(
                    "--state is missing: where a relay that enrols keeps its keys (or env \
                     {STATE_FOLDER_VARIABLE})"
                ))
            })?;
            let wanted = Wanted { shards, capacity };
            enrolment::place(enrol, &file, wanted, variable).await?
        }
    };
    Ok(arguments.complete(place))
}

impl Arguments {
    /// How long a drain on SIGTERM may take; none to end without one.
    pub fn drain_on_term(&self) -> Option<Duration> {
        let limit = Duration::from_secs(self.drain_limit_seconds.into());
        self.drain_on_term.then_some(limit)
    }

    fn complete(self, place: Place) -> Config {
        let listen = match self.listen.is_empty() {
            true => vec![SocketAddr::from(([0, 0, 0, 0], 7410))],
            false => self.listen,
        };
        Config {
            shard: place.relay,
            region: place.region,
            edge: place.edge,
            listen,
            listen_tcp: self.listen_tcp,
            advertise: self.advertise,
            health: self.health,
            control: self.control,
            control_url: self.control_url,
            keys: place.keys,
            participants_max: self.participants_max,
            full_cpu_percent: self.full_cpu_percent,
            full_packets_per_s: self.full_packets_per_s,
            drain_seconds: self.drain_seconds,
        }
    }

    /// The place on the command line, with the keys of its file or of the environment variable
    /// [`KEY_VARIABLE`] where no file was named.
    fn given(&self, variable: Option<&str>) -> Result<Place, StartError> {
        let Origin::Given {
            shard,
            region,
            edge,
            key_file,
            key_epoch,
        } = &self.origin
        else {
            unreachable!("the caller looked");
        };
        let (source, text) = match (key_file, variable) {
            (Some(file), _) => {
                let text = std::fs::read_to_string(file).map_err(|error| {
                    StartError(format!("--key-file {file} cannot be read: {error}"))
                })?;
                (format!("--key-file {file}"), text)
            }
            (None, Some(text)) => (KEY_VARIABLE.to_owned(), text.to_owned()),
            (None, None) => {
                return Err(StartError(format!(
                    "--key-file is missing (or env {KEY_VARIABLE}); `relay key` derives the keys"
                )));
            }
        };
        let keys: Vec<ShardKey> = text
            .split_whitespace()
            .map(|key| ShardKey::from_base64(*key_epoch, key))
            .collect::<Result<_, _>>()
            .map_err(|error| StartError(format!("{source}: {error}")))?;
        if keys.len() != usize::from(self.shards) {
            let (held, wanted) = (keys.len(), self.shards);
            return Err(StartError(format!(
                "{source} holds {held} keys, but --shards is {wanted}; give one key a line"
            )));
        }
        Ok(Place {
            relay: shard.clone(),
            region: region.clone(),
            edge: edge.clone(),
            keys,
        })
    }
}

#[cfg(test)]
#[path = "arguments_tests.rs"]
mod tests;
