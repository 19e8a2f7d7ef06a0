//! Charts as inline SVG, coloured by the style sheet of the page they are in.

use std::fmt::Write as _;

/// Width and height of the inside of a chart, and its margins left, top, right and bottom, in
/// user units.
const SIZE: (f64, f64) = (500.0, 190.0);
const MARGIN: (f64, f64, f64, f64) = (52.0, 14.0, 12.0, 36.0);

/// A line or a group of bars: what it is called, and a value for each place on the x axis.
pub type Series = (&'static str, Vec<f64>);

/// What a chart shows.
pub struct Chart {
    /// What it is about, with the unit.
    pub title: &'static str,
    /// What the x axis is.
    pub axis: &'static str,
    /// Names of the places on the x axis.
    pub places: Vec<String>,
    /// Bars instead of lines.
    pub bars: bool,
    /// Where the y axis begins; 0 nearly always.
    pub base: f64,
    /// Powers of ten from 1 on instead, for what has a long tail.
    pub log: bool,
    /// At most five.
    pub series: Vec<Series>,
}

impl Chart {
    /// The chart as a `figure`.
    pub fn draw(&self) -> String {
        let (width, height) = (SIZE.0 + MARGIN.0 + MARGIN.2, SIZE.1 + MARGIN.1 + MARGIN.3);
        let mut out = format!("<figure><figcaption>{}</figcaption><p>", self.title);
        for (index, (name, _)) in self.series.iter().enumerate() {
            let _ = write!(out, "<span><i class=\"c{index}\"></i>{name}</span>");
        }
        let _ = write!(
            out,
            "</p><svg viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{}\">",
            self.title
        );
        self.draw_axes(&mut out);
        for (index, series) in self.series.iter().enumerate() {
            if self.bars {
                self.draw_bars(&mut out, index, series);
            } else {
                self.draw_line(&mut out, index, series);
            }
        }
        out.push_str("</svg></figure>\n");
        out
    }

    fn top(&self) -> f64 {
        let values = self.series.iter().flat_map(|series| &series.1);
        let highest = values.copied().fold(self.base, f64::max);
        if self.log {
            return 10_f64.powf(highest.max(10.0).log10().ceil());
        }
        self.base + round_up(highest - self.base)
    }

    fn y(&self, value: f64) -> f64 {
        let share = if self.log {
            value.max(1.0).log10() / self.top().log10()
        } else {
            (value - self.base) / (self.top() - self.base)
        };
        MARGIN.1 + SIZE.1 * (1.0 - share.clamp(0.0, 1.0))
    }

    /// The middle of a place on the x axis.
    fn x(&self, place: usize) -> f64 {
        MARGIN.0 + SIZE.0 * (place as f64 + 0.5) / self.places.len().max(1) as f64
    }

    fn draw_axes(&self, out: &mut String) {
        let (left, bottom) = (MARGIN.0, MARGIN.1 + SIZE.1);
        for value in self.ticks() {
            let y = self.y(value);
            let _ = write!(
                out,
                "<path class=\"grid\" d=\"M{left} {y:.1}h{}\"/>\
                 <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                SIZE.0,
                left - 6.0,
                y + 4.0,
                short(value)
            );
        }
        let step = self.places.len().div_ceil(12).max(1);
        for (place, name) in self.places.iter().enumerate().step_by(step) {
            let _ = write!(
                out,
                "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{name}</text>",
                self.x(place),
                bottom + 15.0
            );
        }
        let _ = write!(
            out,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            left + SIZE.0 / 2.0,
            bottom + 31.0,
            self.axis
        );
    }

    fn ticks(&self) -> Vec<f64> {
        if self.log {
            let powers = self.top().log10().round() as i32;
            return (0..=powers).map(|power| 10_f64.powi(power)).collect();
        }
        let step = (self.top() - self.base) / 4.0;
        (0..=4).map(|n| self.base + step * f64::from(n)).collect()
    }

    fn draw_line(&self, out: &mut String, index: usize, (name, values): &Series) {
        let place =
            |(place, value): (usize, &f64)| format!("{:.1},{:.1}", self.x(place), self.y(*value));
        let points: Vec<String> = values.iter().enumerate().map(place).collect();
        let _ = write!(
            out,
            "<polyline class=\"c{index}\" points=\"{}\"><title>{name}</title></polyline>",
            points.join(" ")
        );
    }

    fn draw_bars(&self, out: &mut String, index: usize, (name, values): &Series) {
        let each = SIZE.0 / self.places.len().max(1) as f64;
        let width = each * 0.8 / self.series.len() as f64;
        for (place, value) in values.iter().enumerate() {
            let x = self.x(place) - each * 0.4 + width * index as f64;
            let y = self.y(*value);
            let _ = write!(
                out,
                "<rect class=\"c{index}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{:.1}\" \
                 height=\"{:.1}\"><title>{name}: {}</title></rect>",
                width - 1.0,
                MARGIN.1 + SIZE.1 - y,
                short(*value)
            );
        }
    }
}

/// A number as short as it is useful.
pub fn short(value: f64) -> String {
    if value == value.trunc() || value >= 100.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.1}")
    }
}

/// The next 1, 2, 2.5, 5 or 8 times a power of ten.
fn round_up(value: f64) -> f64 {
    let power = 10_f64.powf(value.max(1e-3).log10().floor());
    let step = [1.0, 2.0, 2.5, 4.0, 5.0, 8.0, 10.0]
        .into_iter()
        .find(|step| step * power >= value);
    step.unwrap_or(10.0) * power
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_drawn_stays_inside_the_chart() {
        let mut chart = Chart {
            title: "t",
            axis: "a",
            places: (0..3).map(|n| n.to_string()).collect(),
            bars: false,
            base: 50.0,
            log: false,
            series: vec![("s", vec![50.0, 73.0, 101.0])],
        };
        assert_eq!(chart.top(), 130.0);
        for value in [0.0, 50.0, 73.0, 130.0, 1e9] {
            assert!(
                (MARGIN.1..=MARGIN.1 + SIZE.1).contains(&chart.y(value)),
                "{value}"
            );
        }
        chart.log = true;
        assert_eq!(chart.ticks(), [1.0, 10.0, 100.0, 1_000.0]);
        assert_eq!(chart.y(1_000.0), MARGIN.1);
        assert_eq!(chart.y(0.0), MARGIN.1 + SIZE.1);
        chart.log = false;
        assert!(chart.x(2) < MARGIN.0 + SIZE.0);
        assert!(
            chart.draw().contains("points=\"135.3,204.0"),
            "{}",
            chart.draw()
        );
    }

    #[test]
    fn axes_end_at_round_numbers() {
        assert_eq!(round_up(0.0), 0.001);
        assert_eq!(round_up(121.0), 200.0);
        assert_eq!(round_up(2.4), 2.5);
        assert_eq!(round_up(99.0), 100.0);
    }
}
