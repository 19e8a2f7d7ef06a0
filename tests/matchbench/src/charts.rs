//! The report of a day as one HTML page that needs nothing else.

use std::fmt::Write as _;

use crate::day::{Hour, Outcome, quantile_or_zero};

/// Width and height of the inside of a chart, and its margins, in user units.
const SIZE: (f64, f64) = (560.0, 180.0);
const MARGIN: (f64, f64) = (48.0, 24.0);
const COLOURS: [&str; 3] = ["#2563eb", "#d97706", "#dc2626"];

/// A line: what it is called, and a value for each hour.
pub type Line = (&'static str, Vec<f64>);

/// Quantiles of something, hour by hour.
pub fn quantiles(
    outcome: &Outcome,
    shares: &[(&'static str, f64)],
    of: impl Fn(&Hour) -> &Vec<f64>,
) -> Vec<Line> {
    let line = |share: f64| {
        outcome
            .hours
            .iter()
            .map(|hour| quantile_or_zero(of(hour), share))
            .collect()
    };
    shares
        .iter()
        .map(|(name, share)| (*name, line(*share)))
        .collect()
}

/// The page.
pub fn page(outcome: &Outcome, about: &str) -> String {
    let all = [("p50", 0.5), ("p95", 0.95), ("p99", 0.99)];
    let two = &all[..2];
    let count = |of: fn(&Hour) -> usize| -> Vec<f64> {
        outcome.hours.iter().map(|hour| of(hour) as f64).collect()
    };
    let share = |hour: &Hour| 100.0 * hour.shared_language as f64 / hour.matches.max(1) as f64;
    let charts = [
        (
            "Arrivals and matches per hour",
            vec![
                ("parties", count(|hour| hour.arrived)),
                ("matches", count(|hour| hour.matches)),
            ],
        ),
        (
            "Wait, seconds",
            quantiles(outcome, &all, |hour| &hour.waits_s),
        ),
        (
            "Rating spread of a match",
            quantiles(outcome, two, |hour| &hour.spreads),
        ),
        ("Predicted win of the better team, %", {
            let mut lines = quantiles(outcome, two, |hour| &hour.favourites);
            lines
                .iter_mut()
                .flat_map(|line| &mut line.1)
                .for_each(|value| *value *= 100.0);
            lines
        }),
        (
            "Distance of the teams' rating distributions",
            quantiles(outcome, two, |hour| &hour.distributions),
        ),
        (
            "Worst round trip in a match, ms",
            quantiles(outcome, two, |hour| &hour.latencies_ms),
        ),
        (
            "Round trip above the player's best region, ms",
            quantiles(outcome, &all, |hour| &hour.detours_ms),
        ),
        (
            "Matches in which all share a language, %",
            vec![("share", outcome.hours.iter().map(share).collect())],
        ),
    ];
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Matchmaking: a day</title>\
         <style>body{{font:15px system-ui;margin:2rem;max-width:1300px}}main{{display:grid;\
         grid-template-columns:repeat(auto-fill,minmax(520px,1fr));gap:1rem}}figure{{margin:0}}\
         svg{{width:100%;height:auto}}text{{font:11px system-ui;fill:#555}}\
         table{{border-collapse:collapse}}td,th{{padding:.15rem .7rem;text-align:right}}\
         </style><h1>Matchmaking: a simulated day</h1><p>{about}</p><main>"
    );
    for (title, lines) in &charts {
        chart(&mut page, title, lines);
    }
    page.push_str("</main><h2>Hour by hour</h2>");
    table(&mut page, outcome);
    page.push_str("</html>\n");
    page
}

fn chart(page: &mut String, title: &str, lines: &[Line]) {
    let (width, height) = (SIZE.0 + MARGIN.0 + 10.0, SIZE.1 + 2.0 * MARGIN.1);
    let highest = lines
        .iter()
        .flat_map(|line| &line.1)
        .copied()
        .fold(0.0, f64::max);
    let top = round_up(highest);
    let hours = lines.iter().map(|line| line.1.len()).max().unwrap_or(0);
    let x = |hour: usize| MARGIN.0 + SIZE.0 * hour as f64 / (hours.max(2) - 1) as f64;
    let y = |value: f64| MARGIN.1 + SIZE.1 * (1.0 - value / top);
    let _ = write!(
        page,
        "<figure><figcaption>{title}</figcaption><svg viewBox=\"0 0 {width} {height}\" \
         role=\"img\" aria-label=\"{title}\">"
    );
    for step in 0..=4 {
        let value = top * f64::from(step) / 4.0;
        let _ = write!(
            page,
            "<path d=\"M{} {:.1}h{}\" stroke=\"#ddd\"/><text x=\"{}\" y=\"{:.1}\" \
             text-anchor=\"end\">{}</text>",
            MARGIN.0,
            y(value),
            SIZE.0,
            MARGIN.0 - 6.0,
            y(value) + 4.0,
            short(value)
        );
    }
    for hour in (0..hours).step_by(4) {
        let bottom = MARGIN.1 + SIZE.1 + 16.0;
        let _ = write!(
            page,
            "<text x=\"{:.1}\" y=\"{bottom}\">{hour}h</text>",
            x(hour) - 6.0
        );
    }
    for (index, (name, values)) in lines.iter().enumerate() {
        let colour = COLOURS[index % COLOURS.len()];
        let points: Vec<String> = values
            .iter()
            .enumerate()
            .map(|(h, v)| format!("{:.1},{:.1}", x(h), y(*v)))
            .collect();
        let _ = write!(
            page,
            "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" points=\"{}\"/>\
             <text x=\"{:.1}\" y=\"14\" style=\"fill:{colour}\">{name}</text>",
            points.join(" "),
            MARGIN.0 + 70.0 * index as f64
        );
    }
    page.push_str("</svg></figure>");
}

fn table(page: &mut String, outcome: &Outcome) {
    page.push_str("<table><tr>");
    for head in HEADS {
        let _ = write!(page, "<th>{head}</th>");
    }
    page.push_str("</tr>");
    for (number, hour) in outcome.hours.iter().enumerate() {
        let _ = write!(page, "<tr><td>{number}</td>");
        for value in cells(hour) {
            let _ = write!(page, "<td>{}</td>", short(value));
        }
        page.push_str("</tr>");
    }
    page.push_str("</table>");
}

/// Columns of the table.
pub const HEADS: [&str; 11] = [
    "hour",
    "parties",
    "matches",
    "wait p50",
    "p95",
    "p99",
    "spread p95",
    "favourite p95 %",
    "distribution p95",
    "worst ms p95",
    "detour ms p95",
];

/// The cells of an hour, without its number.
pub fn cells(hour: &Hour) -> [f64; 10] {
    [
        hour.arrived as f64,
        hour.matches as f64,
        quantile_or_zero(&hour.waits_s, 0.5),
        quantile_or_zero(&hour.waits_s, 0.95),
        quantile_or_zero(&hour.waits_s, 0.99),
        quantile_or_zero(&hour.spreads, 0.95),
        100.0 * quantile_or_zero(&hour.favourites, 0.95),
        quantile_or_zero(&hour.distributions, 0.95),
        quantile_or_zero(&hour.latencies_ms, 0.95),
        quantile_or_zero(&hour.detours_ms, 0.95),
    ]
}

/// A number as short as it is useful.
pub fn short(value: f64) -> String {
    if value >= 100.0 || value == 0.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.1}")
    }
}

/// The next 1, 2 or 5 times a power of ten.
fn round_up(value: f64) -> f64 {
    let power = 10_f64.powf(value.max(1e-3).log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .find(|step| step * power >= value);
    step.unwrap_or(10.0) * power
}
