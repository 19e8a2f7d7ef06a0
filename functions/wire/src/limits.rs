//! Size limits that both sides of a wire know.

/// Largest request body that a function reads, in bytes.
pub const MAX_BODY_BYTES: usize = 64 * 1024;
/// Most slots (receiving audio m-lines) of one session.
pub const MAX_SLOTS: usize = 16;
/// Most channels that one join may name.
pub const MAX_CHANNELS: usize = 16;
/// Most topics that one hello may subscribe to.
pub const MAX_TOPICS: usize = 16;
/// Most blocked players that one hello may name.
pub const MAX_HELLO_BLOCKS: usize = 100;
/// Longest display name, in characters (Unicode scalar values).
pub const MAX_NAME_CHARS: usize = 64;
/// Longest data-channel message, in bytes, in both directions.
pub const MAX_MESSAGE_BYTES: usize = 16 * 1024;
/// Longest sealed answer of a relay to a question of the edge, in bytes: a page of a room's
/// participants, most of whom take 300.
pub const MAX_ANSWER_BYTES: usize = 512 * 1024;
/// Most participants of a room in one reply.
pub const MAX_ROOM_PLAYERS: usize = 1000;
/// Longest ICE ufrag that we may issue, in characters: str0m as a client rejects a STUN USERNAME
/// (`server:client`, its own part 16 long) above 128 bytes.
pub const MAX_UFRAG_CHARS: usize = 111;
/// Seconds between the issue of a ticket and its last use for opening a session.
pub const TICKET_LIFETIME_S: u64 = 60;
/// Most transport candidates that one shard may publish.
pub const MAX_CANDIDATES: usize = 8;
/// Most shards of one relay: more cores than any machine that we would rent.
pub const MAX_SHARDS: u16 = 128;
/// Longest life of an enrolment token, in seconds: 30 days.
pub const MAX_ENROLMENT_TOKEN_S: u64 = 30 * 24 * 3600;
/// Age after which a signed proof of enrolment is too old, in seconds.
pub const MAX_PROOF_AGE_S: u64 = 60;
/// Longest session token of AWS credentials, in characters; they have about 1,000.
pub const MAX_SESSION_TOKEN_CHARS: usize = 4 * 1024;
/// Most rooms whose joins a full shard names in a heartbeat.
pub const MAX_REFUSED_ROOMS: usize = 64;
/// Most commands that are kept for one shard until it has them: as many as fit into one reply.
pub const MAX_PENDING_COMMANDS: usize = 48;
/// Most rooms of [`crate::fleet::LARGE_ROOM`] participants and more that one heartbeat names.
pub const MAX_LARGE_ROOMS: usize = 64;
/// Most moved rooms of one reply to a heartbeat.
pub const MAX_MOVED_ROOMS: usize = 500;
/// Seconds after its last heartbeat during which a shard counts as live.
pub const SHARD_LIVE_S: u64 = 10;
/// Largest difference between the clocks of a shard and of the edge, in milliseconds.
pub const MAX_CLOCK_SKEW_MS: u64 = 30_000;
