//! The relay daemon: carries voice between the players of a room.
//!
//! A relay is a few shards. Each shard is one thread with its own UDP port, key, fleet entry and
//! [`sfu::Sfu`]; shards share nothing. Around them, on tokio: heartbeats to the fleet, the control
//! endpoint (`/v1/control`), the health endpoint (`/healthz`, `/readyz`, `/metrics`), and the way
//! to a clean end.
//!
//! [`start`] runs a relay inside any tokio runtime, so tests start one in-process; the binary adds
//! the command line, signals and logs.

mod accepted;
mod acceptor;
mod arguments;
mod check;
mod clock;
mod command;
mod config;
mod doors;
mod drain;
mod enrolment;
mod exposition;
mod frames;
mod handle;
mod health;
mod heartbeat;
mod metrics;
mod outcome;
mod overload;
mod protocol;
mod question;
mod replay;
mod running;
mod server;
mod shard;
mod state;
mod streams;
mod usage;

pub use arguments::{Arguments, Command, CommandLine, KEY_VARIABLE, KeyArguments, configure};
pub use check::check;
pub use clock::EdgeClock;
pub use command::{Wish, wish};
pub use config::{Config, EdgeUrl, Settings, StartError};
pub use enrolment::TOKEN_VARIABLE;
pub use protocol::{Profile, SealedProtocol};
pub use question::Question;
pub use replay::{Refusal, ReplayGuard};
pub use running::{LINES_MAX, Running, Starting, start};
pub use usage::journal;
