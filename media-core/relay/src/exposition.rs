//! The Prometheus text format, version 0.0.4.

use std::fmt::{Display, Write};
use std::time::Duration;

/// Content type of the text.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Upper bounds of the buckets of a [`Histogram`], in seconds: from a turn that found nothing to
/// one that players hear.
const BOUNDS_SECONDS: [f64; 13] = [
    1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2e-3, 3e-3, 5e-3, 1e-2, 2.5e-2, 1e-1,
];

/// Text under construction, family by family.
#[derive(Debug, Default)]
pub(crate) struct Exposition {
    text: String,
}

/// Kind of a family.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// One family, to which samples are added.
pub(crate) struct Family<'a> {
    name: &'static str,
    text: &'a mut String,
}

/// Label names and values of a sample.
pub(crate) type Labels<'a> = &'a [(&'a str, &'a str)];

impl Exposition {
    /// Begins a family. Each name is begun once.
    pub(crate) fn family(&mut self, name: &'static str, kind: Kind, help: &str) -> Family<'_> {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        put(
            &mut self.text,
            format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"),
        );
        Family {
            name,
            text: &mut self.text,
        }
    }

    /// The whole text.
    pub(crate) fn finish(self) -> String {
        self.text
    }
}

impl Family<'_> {
    /// Adds one sample.
    pub(crate) fn sample(&mut self, labels: Labels<'_>, value: impl Display) -> &mut Self {
        self.line("", labels, None, value);
        self
    }

    /// Adds the samples of a histogram.
    pub(crate) fn histogram(&mut self, labels: Labels<'_>, histogram: &Histogram) -> &mut Self {
        let mut total = 0;
        for (bound, count) in BOUNDS_SECONDS.iter().zip(histogram.counts) {
            total += count;
            self.line("_bucket", labels, Some(&bound.to_string()), total);
        }
        self.line("_bucket", labels, Some("+Inf"), histogram.count);
        self.line("_sum", labels, None, histogram.sum.as_secs_f64());
        self.line("_count", labels, None, histogram.count);
        self
    }

    /// Adds the samples of a histogram with bounds of its own.
    pub(crate) fn buckets(&mut self, labels: Labels<'_>, buckets: &Buckets) -> &mut Self {
        let mut total = 0;
        for (bound, count) in &buckets.bounds {
            total += count;
            self.line("_bucket", labels, Some(&bound.to_string()), total);
        }
        self.line("_bucket", labels, Some("+Inf"), buckets.count);
        self.line("_sum", labels, None, buckets.sum);
        self.line("_count", labels, None, buckets.count);
        self
    }

    fn line(&mut self, suffix: &str, labels: Labels<'_>, bound: Option<&str>, value: impl Display) {
        let labels = labels
            .iter()
            .copied()
            .chain(bound.map(|bound| ("le", bound)));
        put(self.text, format_args!("{}{suffix}", self.name));
        let mut separator = '{';
        for (name, text) in labels {
            put(
                self.text,
                format_args!("{separator}{name}=\"{}\"", escape(text)),
            );
            separator = ',';
        }
        let end = if separator == '{' { "" } else { "}" };
        put(self.text, format_args!("{end} {value}\n"));
    }
}

fn put(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    text.write_fmt(arguments)
        .expect("writing to a string does not fail");
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

/// Values, counted by size.
pub(crate) struct Buckets {
    /// Upper bounds, and how many values are up to each and above the one before.
    pub(crate) bounds: Vec<(f64, u64)>,
    pub(crate) count: u64,
    pub(crate) sum: f64,
}

/// Durations, counted by size.
#[derive(Clone, Debug, Default)]
pub(crate) struct Histogram {
    counts: [u64; BOUNDS_SECONDS.len()],
    count: u64,
    sum: Duration,
}

impl Histogram {
    /// Counts one duration.
    pub(crate) fn observe(&mut self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        if let Some(bucket) = BOUNDS_SECONDS.iter().position(|bound| seconds <= *bound) {
            self.counts[bucket] += 1;
        }
        self.count += 1;
        self.sum += duration;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_written_as_prometheus_reads_them() {
        let mut text = Exposition::default();
        text.family("a_total", Kind::Counter, "Things.")
            .sample(&[], 3)
            .sample(&[("shard", "x\"y"), ("reason", "z")], 0.5);
        assert_eq!(
            text.finish(),
            "# HELP a_total Things.\n# TYPE a_total counter\n\
             a_total 3\na_total{shard=\"x\\\"y\",reason=\"z\"} 0.5\n"
        );
    }

    #[test]
    fn buckets_of_any_bounds_add_up() {
        let mut text = Exposition::default();
        let buckets = Buckets {
            bounds: vec![(0.0, 3), (0.005, 2)],
            count: 6,
            sum: 0.5,
        };
        text.family("t_ratio", Kind::Histogram, "Share.")
            .buckets(&[("way", "up")], &buckets);
        assert_eq!(
            text.finish(),
            "# HELP t_ratio Share.\n# TYPE t_ratio histogram\n\
             t_ratio_bucket{way=\"up\",le=\"0\"} 3\nt_ratio_bucket{way=\"up\",le=\"0.005\"} 5\n\
             t_ratio_bucket{way=\"up\",le=\"+Inf\"} 6\n\
             t_ratio_sum{way=\"up\"} 0.5\nt_ratio_count{way=\"up\"} 6\n"
        );
    }

    #[test]
    fn buckets_add_up() {
        let mut histogram = Histogram::default();
        for micros in [5, 10, 11, 400, 2_000_000] {
            histogram.observe(Duration::from_micros(micros));
        }
        let mut text = Exposition::default();
        text.family("t_seconds", Kind::Histogram, "Time.")
            .histogram(&[("s", "a")], &histogram);
        let text = text.finish();
        for line in [
            "t_seconds_bucket{s=\"a\",le=\"0.00001\"} 2",
            "t_seconds_bucket{s=\"a\",le=\"0.000025\"} 3",
            "t_seconds_bucket{s=\"a\",le=\"0.0005\"} 4",
            "t_seconds_bucket{s=\"a\",le=\"0.1\"} 4",
            "t_seconds_bucket{s=\"a\",le=\"+Inf\"} 5",
            "t_seconds_sum{s=\"a\"} 2.000426",
            "t_seconds_count{s=\"a\"} 5",
        ] {
            assert!(
                text.lines().any(|found| found == line),
                "{line} is not in\n{text}"
            );
        }
    }
}
