//! What is broken on purpose, so that each invariant is seen to fail.

use edge::store::{Delete, Key, Store};
use edge::testing::MemoryStore;
use edge::testing::schedule::block_on;
use wire::ShardId;

use super::ground::REGION;

/// What is broken on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sabotage {
    /// Nothing.
    #[default]
    None,
    /// Relays say that they do what the edge posts, and do nothing.
    DeafRelays,
    /// A player gets one answer of the edge, and no more.
    DeafPlayers,
    /// A player's token is for another room.
    ForeignToken,
    /// A player is sent to another room.
    Astray,
    /// A drain asks nobody to go.
    SilentDrains,
    /// Everybody is told that it is somebody else who talks.
    WrongNames,
    /// No voice reaches a relay.
    NoVoice,
    /// The store forgets a shard that is well.
    ForgetfulStore,
    /// Relays leave out every other usage record.
    CookedBooks,
}

/// Takes away what is stored of a shard.
pub(super) fn forget(items: &MemoryStore, now_ms: u64, shard: &ShardId) {
    let partition = format!("region#{REGION}");
    let sort = format!("{shard}#shard");
    let delete = Delete {
        key: Key::new(&partition, &sort),
        version: None,
    };
    // There may be nothing yet.
    let _ = block_on(items.delete(now_ms, delete));
}
