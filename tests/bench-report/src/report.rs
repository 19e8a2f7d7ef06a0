//! The table and the JSON file of a benchmark.

use std::path::Path;

use anyhow::Result;
use serde_json::json;

/// What a figure shall be.
#[derive(Debug, Clone, Copy)]
pub enum Aim {
    /// At most this.
    AtMost(f64),
    /// At least this.
    AtLeast(f64),
    /// Told, not judged.
    None,
}

/// The figures of one benchmark.
#[derive(Debug, Default)]
pub struct Report {
    rows: Vec<(String, f64, &'static str, Aim)>,
}

impl Report {
    /// Adds a figure.
    pub fn row(&mut self, name: impl Into<String>, value: f64, unit: &'static str, aim: Aim) {
        self.rows.push((name.into(), value, unit, aim));
    }

    /// Prints the table and writes `target/bench/NAME.json`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn finish(&self, name: &str) -> Result<()> {
        self.print();
        self.write(name)
    }

    /// How many aims are met, and how many are missed.
    pub fn judged(&self) -> (usize, usize) {
        let verdicts = self.rows.iter();
        let verdicts = verdicts.filter_map(|(_, value, _, aim)| aim.is_met(*value));
        let (met, missed): (Vec<_>, Vec<_>) = verdicts.partition(|is_met| *is_met);
        (met.len(), missed.len())
    }

    /// Prints the table.
    #[expect(clippy::print_stdout, reason = "the table is a benchmark's output")]
    pub fn print(&self) {
        let width = self
            .rows
            .iter()
            .map(|(name, ..)| name.len())
            .max()
            .unwrap_or(0);
        println!(
            "{:width$}  {:>12}  {:12}  {:>12}  met",
            "", "value", "unit", "aim"
        );
        for (name, value, unit, aim) in &self.rows {
            let text = match aim.limit() {
                Some(limit) => format!("{} {limit}", aim.sign()),
                None => "-".to_owned(),
            };
            let verdict = aim.is_met(*value);
            let verdict = verdict.map_or("-", |met| if met { "yes" } else { "NO" });
            let value_text = four_digits(*value);
            println!("{name:width$}  {value_text:>12}  {unit:12}  {text:>12}  {verdict}");
        }
    }

    /// Writes `target/bench/NAME.json`.
    ///
    /// # Errors
    /// When the file cannot be written.
    #[expect(
        clippy::print_stdout,
        reason = "where the file is belongs to the table"
    )]
    pub fn write(&self, name: &str) -> Result<()> {
        let row = |(name, value, unit, aim): &(String, f64, &str, Aim)| {
            json!({
                "name": name, "value": value, "unit": unit,
                "aim": aim.limit(), "met": aim.is_met(*value),
            })
        };
        let rows: Vec<_> = self.rows.iter().map(row).collect();
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/bench");
        std::fs::create_dir_all(&folder)?;
        let file = folder.join(format!("{name}.json"));
        std::fs::write(&file, format!("{:#}\n", json!({ "rows": rows })))?;
        println!("written: target/bench/{name}.json");
        Ok(())
    }
}

impl Aim {
    fn limit(self) -> Option<f64> {
        match self {
            Self::AtMost(limit) | Self::AtLeast(limit) => Some(limit),
            Self::None => None,
        }
    }

    fn sign(self) -> &'static str {
        match self {
            Self::AtMost(_) => "<=",
            Self::AtLeast(_) => ">=",
            Self::None => "",
        }
    }

    /// Whether `value` is what it shall be; none where nothing is said.
    pub fn is_met(self, value: f64) -> Option<bool> {
        match self {
            Self::AtMost(limit) => Some(value <= limit),
            Self::AtLeast(limit) => Some(value >= limit),
            Self::None => None,
        }
    }
}

/// `value` with four significant digits, and no fewer than its whole ones.
fn four_digits(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return value.to_string();
    }
    let magnitude = value.abs().log10().floor() as i32;
    let decimals = usize::try_from(3 - magnitude).unwrap_or(0);
    format!("{value:.decimals$}")
}

/// The value below which `share` (0 to 1) of the values lie; they are sorted here.
pub fn quantile(values: &mut [f64], share: f64) -> f64 {
    assert!(!values.is_empty(), "a benchmark measured nothing");
    values.sort_by(f64::total_cmp);
    let rank = (values.len() as f64 * share).ceil() as usize;
    values[rank.clamp(1, values.len()) - 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_values_keep_their_digits_and_large_ones_are_whole() {
        assert_eq!(four_digits(0.000_123_456), "0.0001235");
        assert_eq!(four_digits(9.112_34), "9.112");
        assert_eq!(four_digits(85_432.1), "85432");
        assert_eq!(four_digits(0.0), "0");
        assert_eq!(four_digits(-0.5), "-0.5000");
    }

    #[test]
    fn what_is_only_told_is_not_judged() {
        let mut report = Report::default();
        report.row("a", 1.0, "", Aim::AtMost(1.0));
        report.row("b", 1.0, "", Aim::AtLeast(2.0));
        report.row("c", 1.0, "", Aim::None);
        assert_eq!(report.judged(), (1, 1));
    }

    #[test]
    fn quantiles_are_nearest_rank() {
        let mut values: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!(quantile(&mut values, 0.5), 50.0);
        assert_eq!(quantile(&mut values, 0.99), 99.0);
        assert_eq!(quantile(&mut values, 1.0), 100.0);
        assert_eq!(quantile(&mut [7.0], 0.99), 7.0);
    }
}
