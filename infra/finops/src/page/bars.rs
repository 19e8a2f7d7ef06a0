//! Bars that are made of parts, as inline SVG.

use std::fmt::Write as _;

use super::text::html as html_text;

/// A chart of bars, each the sum of its parts.
#[derive(Debug, Clone, Default)]
pub struct Bars {
    /// What it shows.
    pub caption: String,
    /// Unit of the values.
    pub unit: String,
    /// Names of the parts.
    pub parts: Vec<String>,
    /// The bars, from above.
    pub bars: Vec<Bar>,
}

/// One bar.
#[derive(Debug, Clone, Default)]
pub struct Bar {
    /// What it stands for.
    pub name: String,
    /// Its parts, none negative.
    pub values: Vec<f64>,
}

/// Width of everything, of the names, and of what is left for figures, in units of the picture.
const WIDTH: f64 = 820.0;
const NAMES: f64 = 280.0;
const FIGURES: f64 = 70.0;
const ROW: f64 = 24.0;
const LEGEND: f64 = 28.0;

impl Bars {
    pub(super) fn svg(&self) -> String {
        let sum = |bar: &Bar| bar.values.iter().filter(|v| v.is_finite()).sum::<f64>();
        let most = self.bars.iter().map(sum).fold(0.0, f64::max);
        let scale = if most > 0.0 {
            (WIDTH - NAMES - FIGURES) / most
        } else {
            0.0
        };
        let height = LEGEND + ROW * self.bars.len() as f64;
        let mut out = format!(
            "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{}\">\n",
            html_text(&self.caption)
        );
        self.legend(&mut out);
        for (row, bar) in self.bars.iter().enumerate() {
            let y = LEGEND + ROW * row as f64;
            let _ = writeln!(
                out,
                "<text x=\"{}\" y=\"{}\" class=\"name\">{}</text>",
                NAMES - 8.0,
                y + 16.0,
                html_text(&bar.name)
            );
            let mut x = NAMES;
            for (part, value) in bar.values.iter().enumerate() {
                let width = if value.is_finite() {
                    value * scale
                } else {
                    0.0
                };
                let _ = writeln!(
                    out,
                    "<rect x=\"{x:.1}\" y=\"{}\" width=\"{width:.1}\" height=\"16\" class=\"p{}\">\
                     <title>{}: {} {value:.4} {}</title></rect>",
                    y + 3.0,
                    part % 5,
                    html_text(&bar.name),
                    html_text(self.parts.get(part).map_or("", String::as_str)),
                    html_text(&self.unit)
                );
                x += width;
            }
            let figure = match sum(bar) {
                little if little < 0.1 => format!("{little:.4}"),
                figure => format!("{figure:.2}"),
            };
            let (x, y) = (x + 6.0, y + 16.0);
            let _ = writeln!(out, "<text x=\"{x:.1}\" y=\"{y}\">{figure}</text>");
        }
        out.push_str("</svg>\n");
        out
    }

    fn legend(&self, out: &mut String) {
        let mut x = NAMES;
        for (part, name) in self.parts.iter().enumerate() {
            let _ = writeln!(
                out,
                "<rect x=\"{x}\" y=\"4\" width=\"12\" height=\"12\" class=\"p{}\"/>\
                 <text x=\"{}\" y=\"14\">{}</text>",
                part % 5,
                x + 17.0,
                html_text(name)
            );
            x += 34.0 + 7.0 * name.chars().count() as f64;
        }
    }
}
