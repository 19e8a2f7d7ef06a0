//! What the control endpoint looks at.

use std::sync::{Arc, Mutex};

use wire::keys::ShardKeys;
use wire::{BootId, RegionName};

use crate::accepted::Accepted;
use crate::handle::ShardHandle;
use crate::replay::ReplayGuard;
use crate::usage;

/// A running relay.
#[derive(Debug)]
pub(crate) struct Relay {
    pub(crate) shards: Vec<Shard>,
    /// Of the TCP listeners for media.
    pub(crate) accepted: Accepted,
    /// Of the control listener.
    pub(crate) control: Accepted,
    /// What became of usage.
    pub(crate) usage: Arc<usage::Stats>,
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
