//! How good voice is, and what its sender does about loss. Pure functions and counters: no clock,
//! no network, no codec.
//!
//! - [`Tally`] counts what came of a stream, and what its repetitions made good;
//!   [`repeats`] tells which those are.
//! - [`score`] rates it by the E-model of ITU-T: [`emodel`] is the model, [`opus`] what it is told
//!   of the codec, which is an estimate.
//! - [`adapt`] chooses redundancy, packet time and bitrate. The browser SDK has the same table
//!   (`functions/web/sdk/adapt.js`); one golden file holds both to it.

pub mod adapt;
pub mod emodel;
pub mod opus;
pub mod repeats;
mod tally;

pub use adapt::{Adaptation, Measured, Settings};
pub use emodel::{Rating, Scale};
pub use tally::{Carries, Counts, Tally};

use std::time::Duration;

/// What a stream is rated by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Heard {
    /// Share of frames that had to be concealed, 0 to 1: those that neither came nor were made
    /// good by a repetition.
    pub concealed: f64,
    /// Share that a repetition of less quality made good, 0 to 1 (in-band FEC of Opus).
    pub coarse: f64,
    /// Burst ratio of what had to be concealed (G.107 clause 7.5), 1 for losses that have nothing
    /// to do with each other.
    pub burst_ratio: f64,
    /// From mouth to ear.
    pub delay: Duration,
    /// Of the codec, without repetitions.
    pub bitrate_bps: u32,
}

/// Of a frame from in-band FEC, what counts as lost. An estimate of ours: libopus codes it at a
/// fraction of the rate and for speech only, and nobody has published a figure that we know of.
const COARSE_AS_LOST: f64 = 0.25;

/// Rates voice in Opus by the wideband E-model (ITU-T G.107.1), everything that is not told at its
/// default there: no echo, a quiet room, a good headset. Values out of range count as the nearest
/// within, and what is not a number as the worst.
pub fn score(heard: &Heard) -> Rating {
    let share = |value: f64| {
        if value.is_nan() {
            1.0
        } else {
            value.clamp(0.0, 1.0)
        }
    };
    let lost = share(share(heard.concealed) + COARSE_AS_LOST * share(heard.coarse));
    let codec = opus::impairment(heard.bitrate_bps);
    let path = emodel::Path {
        lost,
        burst_ratio: heard.burst_ratio,
        delay: heard.delay,
    };
    emodel::rating(&Scale::WIDEBAND, codec, &path)
}
