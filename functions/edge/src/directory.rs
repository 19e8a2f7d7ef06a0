//! Relays and the homes of rooms, as the store keeps them. The fleet function writes heartbeats
//! here; every function that needs a room's relay finds it here.
//!
//! | partition | sort | holds | written |
//! |---|---|---|---|
//! | `region#R`, `region#R#BUCKET` | `S#shard` | what S says, and has yet to hear | each beat |
//! | the same | `S#placed` | counter of rooms ever placed on S | each placement |
//! | `region#R#buckets` | `count` | how many buckets R has ([`bucket`]) | when it grows |
//! | the same | `ended` | whose sessions end there ([`Ended`]) | when tokens are revoked |
//! | `shard#S` | `region` | region and bucket of S, for who knows only S | once per month |
//! | `shard#S` | `registration` | what S may be, when its relay enrolled | at enrolment |
//! | `shard#S` | `revocation` | the least epoch of its keys | when it is revoked |
//! | `shard#S#moved` | `ROOM` | that the room left S, which was silent ([`moved`]) | when it does |
//! | `regions` | `R` | that R has shards | once per month |
//! | `home#ROOM` | `home` | the room's shard, by compare-and-swap | when it moves |
//! | `home#ROOM` | `sanctions` | sanctions ([`crate::sanctions`]) | when it changes |
//!
//! A join into a room that has a home reads two of these items, and writes none.

mod bucket;
mod ended;
mod hall;
mod home;
mod moved;
mod placed;
mod record;
mod registration;
mod shard;
mod terms;

pub use bucket::{GROWS_AFTER_MS, MAX_BUCKET_SHARDS, MAX_BUCKETS, MAX_DRAWN};
pub use ended::{Ended, MAX_ENDED};
pub use hall::{check_hall, shards_of_hall};
pub use home::{
    Answer, Evidence, HOME_TTL_MS, Hearsay, Joinable, Placement, home, home_for, home_of, placement,
};
pub(crate) use home::{StoredHome, stored as stored_home, with_sanctions};
pub use record::{SHARD_TTL_MS, is_live};
pub use registration::{
    Registration, known as known_registration, register, registration, unregister,
};
pub use shard::{
    INDEX_TTL_MS, MAX_LISTED_SHARDS, Orders, end_sessions, record_heartbeat, revoke_shard,
    set_draining, shard, shards, shards_everywhere,
};
pub(crate) use shard::{ShardAt, keep_pending, last_seen};
pub use terms::{StaticShards, Terms};
