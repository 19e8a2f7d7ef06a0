//! The E-model of ITU-T G.107 (narrowband) and G.107.1 (wideband), as far as loss and delay go:
//! all else has the default values of those recommendations (clause 7.7).

use std::time::Duration;

/// Absolute delay that nobody notices, ms: mT of G.107 clause 7.4 for the default class.
const UNNOTICED_MS: f64 = 100.0;
/// Sharpness of the delay's effect: sT is 1 there, so the exponent is 6.
const DELAY_EXPONENT: f64 = 6.0;
/// Impairment of a connection on which nothing arrives (clause 7.5).
const ALL_LOST: f64 = 95.0;
/// Bounds of the burst ratio. Below 1 losses would be more even than chance; G.107 knows the
/// formula to hold up to 2, and beyond 8 it would say that nothing is wrong.
const BURST_RATIOS: (f64, f64) = (1.0, 8.0);

/// A scale of ratings.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale {
    /// R without any of our impairments: `Ro - Is` with all defaults.
    best: f64,
    /// What a rating is divided by to be on the scale of 0 to 100.
    span: f64,
}

impl Scale {
    /// ITU-T G.107: 93.2 with all defaults.
    pub const NARROWBAND: Self = Self {
        best: 93.2,
        span: 1.0,
    };
    /// ITU-T G.107.1: 129 with all defaults; annex A divides by 1.29.
    pub const WIDEBAND: Self = Self {
        best: 129.0,
        span: 1.29,
    };
}

/// What a codec does to voice.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Impairment {
    /// Equipment impairment factor Ie without loss.
    pub ie: f64,
    /// Packet-loss robustness factor Bpl.
    pub bpl: f64,
}

/// What the network does to it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Path {
    /// Share of packets lost, 0 to 1.
    pub lost: f64,
    /// Mean length of bursts over that of independent losses.
    pub burst_ratio: f64,
    /// One way, from mouth to ear.
    pub delay: Duration,
}

/// A rating: R of the E-model, on the scale of 0 to 100.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Rating(f64);

impl Rating {
    /// R, 0 to 100: from 90 on everybody is satisfied, below 50 nearly nobody is (G.107 annex B).
    pub fn r(self) -> f64 {
        self.0
    }

    /// Mean opinion score of a conversation, 1 to 4.5 (G.107 annex B, G.107.1 annex A).
    pub fn mos(self) -> f64 {
        let r = self.0;
        // The cubic dips below 1 near 0.
        (1.0 + 0.035 * r + r * (r - 60.0) * (100.0 - r) * 7e-6).clamp(1.0, 4.5)
    }
}

/// Rates a connection.
pub fn rating(scale: &Scale, codec: Impairment, path: &Path) -> Rating {
    let r = scale.best - delay_impairment(path.delay) - effective_impairment(codec, path);
    Rating((r / scale.span).clamp(0.0, 100.0))
}

/// Idd of G.107 clause 7.4: what delay does to a conversation without echo.
pub fn delay_impairment(delay: Duration) -> f64 {
    let over = delay.as_secs_f64() * 1000.0 / UNNOTICED_MS;
    if over <= 1.0 {
        return 0.0;
    }
    let x = over.log2();
    let bend = |x: f64| (1.0 + x.powf(DELAY_EXPONENT)).powf(1.0 / DELAY_EXPONENT);
    25.0 * (bend(x) - 3.0 * bend(x / 3.0) + 2.0)
}

/// Ie,eff of clause 7.5: what the codec and loss do together.
pub fn effective_impairment(codec: Impairment, path: &Path) -> f64 {
    let Impairment { ie, bpl } = codec;
    let percent = path.lost.clamp(0.0, 1.0) * 100.0;
    let (least, most) = BURST_RATIOS;
    let burst_ratio = path.burst_ratio.max(least).min(most);
    ie + (ALL_LOST - ie) * percent / (percent / burst_ratio + bpl)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(lost: f64, delay_ms: u64) -> Path {
        Path {
            lost,
            burst_ratio: 1.0,
            delay: Duration::from_millis(delay_ms),
        }
    }

    const TRANSPARENT: Impairment = Impairment { ie: 0.0, bpl: 4.3 };

    /// ITU-T G.107: the reference connection, and the limits of satisfaction in annex B.
    #[test]
    fn opinions_are_those_of_annex_b() {
        let reference = rating(&Scale::NARROWBAND, TRANSPARENT, &path(0.0, 0));
        assert_eq!(reference.r(), 93.2);
        assert!((reference.mos() - 4.41).abs() < 0.005);
        for (r, mos) in [
            (90.0, 4.34),
            (80.0, 4.03),
            (70.0, 3.60),
            (60.0, 3.10),
            (50.0, 2.58),
        ] {
            let found = Rating(r).mos();
            assert!((found - mos).abs() < 0.01, "{r}: {found}");
        }
        assert_eq!(Rating(100.0).mos(), 4.5);
        assert_eq!(Rating(0.0).mos(), 1.0);
    }

    /// ITU-T G.113 appendix I: Ie of G.729A with VAD by random loss, and its Ie 11 and Bpl 19.
    #[test]
    fn loss_impairs_a_codec_as_g_113_lists_it() {
        let codec = Impairment {
            ie: 11.0,
            bpl: 19.0,
        };
        for (percent, listed) in [
            (0.0, 11.0),
            (0.5, 13.0),
            (1.0, 15.0),
            (1.5, 17.0),
            (2.0, 19.0),
            (3.0, 23.0),
            (4.0, 26.0),
            (8.0, 36.0),
            (16.0, 49.0),
        ] {
            let found = effective_impairment(codec, &path(percent / 100.0, 0));
            assert!((found - listed).abs() < 0.75, "{percent} %: {found}");
        }
    }

    /// Calculated by hand from the formula: 2 doublings of 100 ms, and half of one.
    #[test]
    fn delay_impairs_from_100_ms_on() {
        let idd = |ms| delay_impairment(Duration::from_millis(ms));
        assert_eq!((idd(0), idd(100)), (0.0, 0.0));
        assert!((idd(150) - 0.16).abs() < 0.01, "{}", idd(150));
        assert!((idd(400) - 24.07).abs() < 0.03, "{}", idd(400));
    }

    #[test]
    fn bursts_are_worse_than_single_losses() {
        let single = path(0.05, 0);
        let bursts = Path {
            burst_ratio: 2.0,
            ..single
        };
        let impairment = |path| effective_impairment(TRANSPARENT, path);
        assert!(impairment(&bursts) > impairment(&single));
    }
}
