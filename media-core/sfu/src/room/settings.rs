//! How a room behaves.

use std::time::Duration;

use super::allowance::SpeakerLimits;
use super::speaking::SpeakingConfig;

/// How a room behaves.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    /// Time over which roster and speaking changes are gathered into one message.
    pub(crate) roster_interval: Duration,
    pub(crate) speaking: SpeakingConfig,
    pub(crate) speaker: SpeakerLimits,
    /// How often in a second the others are told what a member set for himself.
    pub(crate) states_per_s: u32,
    /// Members whom a roster shows to everybody, at most.
    pub(crate) max_shown: usize,
}
