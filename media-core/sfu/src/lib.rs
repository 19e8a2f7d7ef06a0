//! The sans-IO media core of a relay shard: it admits sessions by sealed ticket, keeps rooms and
//! their participants, and forwards voice from speakers to the slots of listeners.
//!
//! No sockets, threads, clock reads or async: [`Sfu`] is a state machine that its owner drives.
//!
//! # Contract
//!
//! 1. Feed inputs: [`Sfu::handle_datagram`] for each datagram of a batch,
//!    [`Sfu::handle_timeout`] when [`Sfu::poll_timeout`] is due, [`Sfu::handle_command`].
//! 2. Then drain: [`Sfu::poll_transmit`] until `None`, and only then [`Sfu::poll_event`] until
//!    `None` and [`Sfu::poll_timeout`] once. Draining after a whole batch of inputs is what makes
//!    one wake-up cheap: everything for one listener leaves together.
//! 3. `now` never goes backwards.
//!
//! Everything that decides is a function of the inputs, `now` and the seed; randomness inside the
//! crypto provider aside.

mod bucket;
mod budget;
mod config;
mod deadline;
mod ended;
mod idents;
mod link;
mod orders;
mod path;
mod places;
mod protocol;
mod push;
mod room;
mod rtp;
mod sfu;
mod stats;
mod timers;

pub use budget::{CostTable, Meter, Work, WorkLimits};
pub use config::{Config, WallClock};
pub use idents::{ChannelKey, Permissions, PlayerKey, RoomKey, SessionId, TopicKey};
pub use path::{Path, PathLimits, Transport};
pub use places::PlaceLimits;
pub use protocol::{
    Admission, BadMessage, BadTicket, Carried, ChannelGrant, Crossing, DataChannel, Hello, Notice,
    Present, Protocol, Quality, Request, RosterEntry, SlotChange, Source, Way,
};
pub use push::{Audience, Author, News, Push, PushLimits};
pub use room::{SpeakerLimits, SpeakingConfig};
pub use sfu::{Command, Event, Sfu, Transmit, ticket_of};
pub use stats::{
    DropReason, EndReason, QualityStats, Queues, RejectReason, ReportFlaw, Spread, Stats, WayStats,
};
