//! What Opus does to voice, as the E-model wants it told. **Estimates**: ITU-T G.113 has no figures
//! for Opus.
//!
//! The figures are those that Alahmadi, Pocta and Melvin fitted to instrumental measurements (An
//! Adaptive Bitrate Switching Algorithm for Speech Applications in Context of WebRTC, ACM TOMM
//! 17(4), 2021, doi 10.1145/3458751; their data are on GitHub), super-wideband, variable bitrate,
//! random loss. Here they stand on the wideband scale, which has no room for what a wider band
//! adds: the rating errs low. They know neither in-band FEC nor RED; those are in what is told as
//! concealed.

use crate::emodel::Impairment;

/// Bitrate in kbit/s, Ie at that bitrate.
const IE: [(f64, f64); 11] = [
    (14.0, 38.1),
    (15.0, 34.1),
    (16.0, 30.2),
    (19.0, 23.8),
    (22.0, 20.2),
    (25.0, 20.2),
    (28.0, 18.5),
    (31.0, 16.8),
    (34.0, 14.8),
    (37.0, 12.1),
    (40.0, 10.7),
];

/// Packet-loss robustness. Theirs are 9.8 to 11.8 from 16 kbit/s on, without an order that would
/// mean anything; this is the mean.
const BPL: f64 = 10.6;

/// What Opus at `bitrate_bps` does to voice; beyond the ends of the table as at them.
pub fn impairment(bitrate_bps: u32) -> Impairment {
    let kbps = f64::from(bitrate_bps) / 1000.0;
    let above = IE.iter().position(|(at, _)| kbps <= *at);
    let ie = match above {
        Some(0) => IE[0].1,
        Some(n) => {
            let ((from, high), (to, low)) = (IE[n - 1], IE[n]);
            high + (low - high) * (kbps - from) / (to - from)
        }
        None => IE[IE.len() - 1].1,
    };
    Impairment { ie, bpl: BPL }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_bits_are_never_worse() {
        let ie = |bps| impairment(bps).ie;
        assert_eq!((ie(0), ie(14_000)), (38.1, 38.1));
        assert_eq!((ie(40_000), ie(u32::MAX)), (10.7, 10.7));
        assert!((ie(17_500) - 27.0).abs() < 1e-9, "half way");
        let all: Vec<f64> = (0..60).map(|n| ie(n * 1000)).collect();
        assert!(all.is_sorted_by(|less, more| less >= more));
    }
}
