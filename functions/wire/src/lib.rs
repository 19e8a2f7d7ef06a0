//! Every message that crosses a process: requests, replies, ids, claims, the sealed ticket,
//! data-channel messages, and the records that cost is computed from.
//!
//! Nothing here does I/O, reads a clock or draws randomness. Each message type has a golden JSON
//! file under `tests/golden/`, so that a change of the wire format is a visible change of a file.

pub mod channel;
pub mod chat;
pub mod claims;
pub mod control;
pub mod day;
pub mod enrolment;
pub mod fleet;
pub mod hall;
pub mod hello;
pub mod ids;
pub mod join;
pub mod json;
pub mod keys;
pub mod limits;
pub mod matching;
pub mod moderation;
#[cfg(feature = "schema")]
pub mod openapi;
pub mod problem;
pub mod record;
pub mod routes;
mod seal;
pub mod source;
pub mod ticket;
pub mod until;
pub mod usage;

pub use hall::Hall;
pub use ids::{
    AttachmentId, BootId, ChannelKey, ChannelName, EnrolmentId, MatchId, MessageKey, ModeName,
    PhraseId, PlayerId, PlayerKey, QueueName, RegionName, RoomKey, RoomName, SessionId, SessionRef,
    ShardId, TicketId, TopicKey,
};
