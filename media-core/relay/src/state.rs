//! What the control endpoint looks at.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

use wire::keys::ShardKeys;
use wire::{BootId, RegionName};

use crate::accepted::AcceptStats;
use crate::handle::ShardHandle;
use crate::replay::ReplayGuard;

/// A running relay.
#[derive(Debug)]
pub(crate) struct Relay {
    pub(crate) shards: Vec<Shard>,
    /// Of the TCP listeners for media.
    pub(crate) accepted: AcceptStats,
    /// Control connections that were over their source's share.
    pub(crate) control_refused: AtomicU64,
}

/// One of its shards, as the edge addresses it.
#[derive(Debug)]
pub(crate) struct Shard {
    pub(crate) handle: Arc<ShardHandle>,
    pub(crate) keys: ShardKeys,
    pub(crate) boot: BootId,
    pub(crate) region: RegionName,
    pub(crate) replay: Mutex<ReplayGuard>,
}
