//! By how much something grows in an hour, told from samples that jump.

use bench_report::quantile;

/// A sample: seconds since the beginning, and what there was.
pub(crate) type Sample = (f64, f64);

const HOUR_S: f64 = 3600.0;

/// The growth in an hour, by the median of the slopes between the medians of windows of `window_s`
/// seconds (Theil and Sen's estimate): neither a peak in a window nor a single window bends it.
/// None when there are fewer than three windows.
pub(crate) fn per_hour(samples: &[Sample], window_s: f64) -> Option<f64> {
    let medians = medians(samples, window_s);
    if medians.len() < 3 {
        return None;
    }
    let mut slopes = Vec::new();
    for (index, (at, value)) in medians.iter().enumerate() {
        for (later_at, later) in &medians[index + 1..] {
            slopes.push((later - value) / (later_at - at));
        }
    }
    Some(quantile(&mut slopes, 0.5) * HOUR_S)
}

/// The middle of each window and the median in it.
fn medians(samples: &[Sample], window_s: f64) -> Vec<Sample> {
    let mut windows: Vec<(f64, Vec<f64>)> = Vec::new();
    for (at, value) in samples {
        let begins = (at / window_s).floor() * window_s;
        match windows.last_mut() {
            Some((last, values)) if *last == begins => values.push(*value),
            _ => windows.push((begins, vec![*value])),
        }
    }
    let median = |(begins, mut values): (f64, Vec<f64>)| {
        (begins + window_s / 2.0, quantile(&mut values, 0.5))
    };
    windows.into_iter().map(median).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(value: impl Fn(f64) -> f64) -> Vec<Sample> {
        let at = |second| (f64::from(second), value(f64::from(second)));
        (0..120).map(at).collect()
    }

    #[test]
    fn what_grows_steadily_has_its_slope_and_what_is_flat_none() {
        let grows = per_hour(&samples(|at| 7.0 + at * 2.0), 10.0).unwrap();
        assert!((grows - 7200.0).abs() < 1e-6, "{grows}");
        assert_eq!(per_hour(&samples(|_| 5.0), 10.0), Some(0.0));
    }

    #[test]
    fn peaks_bend_nothing() {
        let peaks = |at: f64| {
            if (at as u32).is_multiple_of(7) {
                900.0
            } else {
                5.0
            }
        };
        assert_eq!(per_hour(&samples(peaks), 10.0), Some(0.0));
        // A whole window of them, as while a relay is away.
        let fault = |at: f64| {
            if (50.0..60.0).contains(&at) {
                900.0
            } else {
                5.0
            }
        };
        assert_eq!(per_hour(&samples(fault), 10.0), Some(0.0));
    }

    #[test]
    fn a_leak_under_noise_is_seen() {
        let leak = |at: f64| at * 0.5 + f64::from((at as u32 * 37) % 11);
        let slope = per_hour(&samples(leak), 10.0).unwrap();
        assert!((1_500.0..2_100.0).contains(&slope), "{slope}");
    }

    #[test]
    fn too_little_says_nothing() {
        assert_eq!(per_hour(&samples(|at| at)[..20], 10.0), None);
    }
}
