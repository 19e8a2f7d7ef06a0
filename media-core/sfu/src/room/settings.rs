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
    /// Members whom a roster shows to everybody, at most.
    pub(crate) max_shown: usize,
}
