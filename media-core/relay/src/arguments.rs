//! The command line of a relay.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::RangedI64ValueParser;
use clap::error::ErrorKind;
use clap::{Args, CommandFactory as _, Parser, Subcommand, value_parser};
use wire::fleet::shard_ids;
use wire::keys::{EPOCHS, FleetSecret, ShardKey};
use wire::limits::MAX_SHARDS;
use wire::{RegionName, ShardId};

use crate::config::{Config, EdgeUrl, Settings, StartError};
use crate::enrolment::{self, EnrolArguments, Place, Wanted};

/// Environment variable that may hold the shard keys instead of a file.
pub const KEY_VARIABLE: &str = "RELAY_SHARD_KEYS";

/// Environment variable with the folder that systemd keeps for a service.
const STATE_FOLDER_VARIABLE: &str = "STATE_DIRECTORY";

/// Name of the state file there.
const STATE_FILE: &str = "enrolment.json";

/// Name of the folder of the journal of usage there.
const JOURNAL_FOLDER: &str = "usage";

const USAGE: &str = "\
relay --enrol URL --enrol-token-file FILE [options]
       relay --enrol URL --enrol-aws [options]
       relay --shard NAME --region NAME --edge URL --key-file FILE [options]
       relay key --shard NAME [--epoch N] [--shards N] < FLEET-SECRET
       relay check URL";

const KEY_USAGE: &str = "\
relay key --shard NAME [--epoch N] [--shards N] < FLEET-SECRET > KEY-FILE";

/// Carries voice between the players of a room
#[derive(Clone, Debug, Parser)]
#[command(
    name = "relay",
    version,
    override_usage = USAGE,
    after_help = "Log level: env RUST_LOG [default: info]. Logs go to stderr, usage records to \
                  stdout.",
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    disable_help_subcommand = true
)]
pub struct CommandLine {
    /// What to do instead of carrying voice.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The relay to run where there is no command.
    #[command(flatten)]
    pub run: Arguments,
}

/// What a relay's program does besides.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Derive the keys of a relay from the fleet secret on standard input
    #[command(
        override_usage = KEY_USAGE,
        after_help = "Prints what --key-file takes: one key a line, in base64. Run it where the \
                      fleet secret is, and\nbring the relay its keys alone. infra/ops/KEYS.md \
                      says who holds what."
    )]
    Key(KeyArguments),
    /// Ask http://HOST:PORT/PATH, such as /readyz at --health, and fail unless it says 200
    Check {
        /// The URL to ask
        url: String,
    },
}

/// The flags of a relay; [`configure`] adds what is not among them.
#[derive(Clone, Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    enrol: Option<EnrolArguments>,
    #[command(flatten)]
    given: Option<Given>,

    /// Region in the fleet; with --enrol it may be left to the edge
    #[arg(long, value_name = "NAME", required_unless_present = "enrol")]
    region: Option<RegionName>,

    /// Shards, one core and one UDP port each, 1 to 128
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = shards())]
    shards: u16,

    #[command(flatten)]
    settings: Settings,

    /// Folder where usage is kept until the edge has it
    /// [default: $STATE_DIRECTORY/usage; usage is printed where there is
    /// neither]
    #[arg(long, value_name = "DIR", verbatim_doc_comment)]
    usage_journal: Option<PathBuf>,

    /// On SIGTERM move the participants first, then end; a second signal
    /// ends at once
    #[arg(long, verbatim_doc_comment)]
    drain_on_term: bool,

    /// End such a drain after this; at least --drain-seconds
    #[arg(long, value_name = "N", default_value_t = 60)]
    drain_limit_seconds: u16,
}

/// A place in the fleet that is not got by enrolling.
#[derive(Clone, Debug, Args)]
#[group(id = "given", conflicts_with = "enrolment")]
struct Given {
    /// Name in the fleet; NAME-0, NAME-1.. with several shards
    #[arg(
        long,
        value_name = "NAME",
        required = false,
        required_unless_present = "enrol"
    )]
    shard: ShardId,

    /// Base address of the edge, https or http
    #[arg(
        long,
        value_name = "URL",
        required = false,
        required_unless_present = "enrol"
    )]
    edge: EdgeUrl,

    /// Shard keys, base64, one a line; or env RELAY_SHARD_KEYS
    #[arg(long, value_name = "FILE")]
    key_file: Option<String>,

    /// Epoch of the keys, 0 to 15
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = epoch())]
    key_epoch: u8,
}

/// Whose keys to derive.
#[derive(Clone, Debug, Args)]
pub struct KeyArguments {
    /// Name in the fleet; NAME-0, NAME-1.. with several shards
    #[arg(long, value_name = "NAME")]
    shard: ShardId,

    /// Shards, 1 to 128
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = shards())]
    shards: u16,

    /// Epoch of the keys, 0 to 15; the relay's --key-epoch
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = epoch())]
    epoch: u8,
}

fn shards() -> RangedI64ValueParser<u16> {
    value_parser!(u16).range(1..=MAX_SHARDS.into())
}

fn epoch() -> RangedI64ValueParser<u8> {
    value_parser!(u8).range(0..=i64::from(EPOCHS) - 1)
}

impl CommandLine {
    /// Reads the command line, the program's name first.
    ///
    /// # Errors
    /// A text that names the flag and what it takes; also the help and the version, where they are
    /// asked for.
    pub fn read<T>(arguments: impl IntoIterator<Item = T>) -> Result<Self, clap::Error>
    where
        T: Into<OsString> + Clone,
    {
        let line = Self::try_parse_from(arguments)?;
        if line.run.drain_limit_seconds < line.run.settings.drain_seconds {
            return Err(Self::command().error(
                ErrorKind::ValueValidation,
                "--drain-limit-seconds must be at least --drain-seconds: the last are asked then",
            ));
        }
        Ok(line)
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
    let folder = || variable(STATE_FOLDER_VARIABLE).map(PathBuf::from);
    let journal = arguments.usage_journal.clone();
    let journal = journal.or_else(|| folder().map(|folder| folder.join(JOURNAL_FOLDER)));
    let place = match &arguments.enrol {
        None => arguments.given(variable(KEY_VARIABLE).as_deref())?,
        Some(enrol) => {
            let file = enrol.state.clone();
            let file = file.or_else(|| folder().map(|folder| folder.join(STATE_FILE)));
            let file = file.ok_or_else(|| {
                StartError(format!(
                    "--state is missing: where a relay that enrols keeps its keys (or env \
                     {STATE_FOLDER_VARIABLE})"
                ))
            })?;
            let wanted = Wanted {
                shards: arguments.shards,
                capacity: arguments.settings.max_participants,
                region: arguments.region.as_ref(),
            };
            enrolment::place(enrol, &file, wanted, variable).await?
        }
    };
    Ok(arguments.complete(place, journal))
}

impl Arguments {
    /// How long a drain on SIGTERM may take; none to end without one.
    pub fn drain_on_term(&self) -> Option<Duration> {
        let limit = Duration::from_secs(self.drain_limit_seconds.into());
        self.drain_on_term.then_some(limit)
    }

    fn complete(self, place: Place, usage_journal: Option<PathBuf>) -> Config {
        Config {
            shard: place.relay,
            region: place.region,
            edge: place.edge,
            keys: place.keys,
            settings: self.settings,
            usage_journal,
        }
    }

    /// The place on the command line, with the keys of its file or of the environment variable
    /// [`KEY_VARIABLE`] where no file was named.
    fn given(&self, variable: Option<&str>) -> Result<Place, StartError> {
        let (Some(given), Some(region)) = (&self.given, &self.region) else {
            unreachable!("clap asks for them where --enrol is not");
        };
        let (source, text) = match (&given.key_file, variable) {
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
            .map(|key| ShardKey::from_base64(given.key_epoch, key))
            .collect::<Result<_, _>>()
            .map_err(|error| StartError(format!("{source}: {error}")))?;
        if keys.len() != usize::from(self.shards) {
            let (held, wanted) = (keys.len(), self.shards);
            return Err(StartError(format!(
                "{source} holds {held} keys, but --shards is {wanted}; give one key a line"
            )));
        }
        Ok(Place {
            relay: given.shard.clone(),
            region: region.clone(),
            edge: given.edge.clone(),
            keys,
        })
    }
}

#[cfg(test)]
#[path = "arguments_tests.rs"]
mod tests;
