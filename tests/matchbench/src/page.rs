//! The report of a day: tables, and one HTML page that needs nothing else.

use std::fmt::Write as _;

use crate::charts::{Chart, Series, short};
use crate::day::{DayOutcome, Made, Party};
use crate::population::MODES;
use bench_report::quantile;

const STYLE: &str = include_str!("page.css");

/// A table: its heads, and its rows.
pub struct Table {
    /// What the rows are.
    pub title: &'static str,
    /// Names of the columns, with units.
    pub heads: Vec<&'static str>,
    /// The first cell of each row names it.
    pub rows: Vec<Vec<String>>,
}

/// A quantile, or 0 of nothing.
pub fn quantile_or_zero(values: &[f64], share: f64) -> f64 {
    if values.is_empty() {
        0.0
    } else {
        quantile(&mut values.to_vec(), share)
    }
}

/// The day hour by hour, mode by mode, and by the strength of the parties.
pub fn tables(outcome: &DayOutcome) -> [Table; 4] {
    let hours = (0..outcome.arrived.len()).map(|hour| {
        let mut row = vec![hour.to_string(), outcome.arrived[hour].to_string()];
        row.extend(cells(outcome, |at, _| at == hour));
        row
    });
    let modes = MODES.iter().enumerate().map(|(mode, (name, _))| {
        let mut row = vec![(*name).to_owned()];
        row.extend(cells(outcome, |_, of| of == mode));
        row
    });
    let columns = [
        "matched",
        "matches",
        "wait p50 s",
        "p95",
        "p99",
        "spread p50",
        "p95",
        "favourite p50 %",
        "p95",
        "detour p50 ms",
        "p95",
        "language %",
    ];
    let with = |first: &[&'static str]| [first, columns.as_slice()].concat();
    [
        Table {
            title: "Mode by mode",
            heads: with(&["mode"]),
            rows: modes.collect(),
        },
        Table {
            title: "Hour by hour",
            heads: with(&["hour", "parties"]),
            rows: hours.collect(),
        },
        deciles(outcome),
        crossing(outcome),
    ]
}

/// Cells of the parties and matches of some hours and modes.
fn cells(outcome: &DayOutcome, wanted: impl Fn(usize, usize) -> bool) -> Vec<String> {
    let party = |party: &Party| wanted(party.hour, party.mode);
    let made = |made: &Made| wanted(made.hour, made.mode);
    let waits = outcome.of_parties(party, |party| party.wait_s);
    let spreads = outcome.of_made(made, |made| Some(made.spread));
    let duel = |m: &Made| made(m) && m.mode != ROYALE;
    let favourites = outcome.of_made(duel, |made| Some(100.0 * made.favourite));
    let parties = outcome.parties.iter().filter(|p| party(p));
    let detours: Vec<f64> = parties.flat_map(|p| p.detours_ms.clone()).collect();
    let language = outcome.of_made(made, |made| Some(f64::from(u8::from(made.shares_language))));
    let shared = 100.0 * language.iter().sum::<f64>() / language.len().max(1) as f64;
    let mut found = vec![waits.len().to_string(), spreads.len().to_string()];
    found.extend([0.5, 0.95, 0.99].map(|share| told(&waits, share)));
    for values in [&spreads, &favourites, &detours] {
        found.extend([0.5, 0.95].map(|share| told(values, share)));
    }
    found.push(short(shared));
    found
}

/// A quantile, as it stands in a table.
fn told(values: &[f64], share: f64) -> String {
    if values.is_empty() {
        return "-".to_owned();
    }
    short(quantile_or_zero(values, share))
}

fn deciles(outcome: &DayOutcome) -> Table {
    let rows = outcome.deciles().into_iter().enumerate();
    let row = |(index, parties): (usize, Vec<&Party>)| {
        let ratings = parties.iter().map(|party| party.rating);
        let mean = ratings.sum::<f64>() / parties.len() as f64;
        let waits: Vec<f64> = parties.iter().map(|party| party.wait_s).collect();
        let duels = parties.iter().filter(|party| party.mode != ROYALE);
        let favourites: Vec<f64> = duels.map(|p| 100.0 * p.favourite).collect();
        let mut cells = vec![format!("{}", index + 1), short(mean)];
        cells.extend([0.5, 0.95, 0.99].map(|share| told(&waits, share)));
        cells.extend([0.5, 0.95].map(|share| told(&favourites, share)));
        cells
    };
    Table {
        title: "By rating, the weakest tenth of the parties first",
        heads: vec![
            "decile",
            "mean rating",
            "wait p50 s",
            "p95",
            "p99",
            "favourite p50 %",
            "p95",
        ],
        rows: rows.map(row).collect(),
    }
}

fn crossing(outcome: &DayOutcome) -> Table {
    let row = |(name, crosses): (&str, bool)| {
        let waits = outcome.of_parties(|party| party.crosses == crosses, |party| party.wait_s);
        let mut cells = vec![name.to_owned(), waits.len().to_string()];
        cells.extend([0.5, 0.95, 0.99].map(|share| told(&waits, share)));
        cells
    };
    Table {
        title: "By cross-play",
        heads: vec!["platforms", "matched", "wait p50 s", "p95", "p99"],
        rows: [("any", true), ("own only", false)].map(row).to_vec(),
    }
}

/// The page.
pub fn page(outcome: &DayOutcome, about: &str) -> String {
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\">\
         <title>Matchmaking: a simulated day</title><style>{STYLE}</style></head><body>\
         <h1>Matchmaking: a simulated day</h1><p class=\"about\">{about}</p><main>\n"
    );
    for chart in charts(outcome) {
        page.push_str(&chart.draw());
    }
    page.push_str("</main>\n");
    for table in tables(outcome) {
        let _ = write!(page, "<h2>{}</h2><div><table><tr>", table.title);
        for head in &table.heads {
            let _ = write!(page, "<th>{head}</th>");
        }
        page.push_str("</tr>\n");
        for row in &table.rows {
            let cells = row.iter().map(|cell| format!("<td>{cell}</td>"));
            let _ = writeln!(page, "<tr>{}</tr>", cells.collect::<String>());
        }
        page.push_str("</table></div>\n");
    }
    page.push_str("</body></html>\n");
    page
}

const ALL: [(&str, f64); 3] = [("p50", 0.5), ("p95", 0.95), ("p99", 0.99)];

fn charts(outcome: &DayOutcome) -> Vec<Chart> {
    let by_hour = |title, series| hourly(outcome, title, 0.0, series);
    let waits = |hour: usize| outcome.of_parties(|p| p.hour == hour, |p| p.wait_s);
    let spreads = |hour: usize| outcome.of_made(|m| m.hour == hour, |m| Some(m.spread));
    let worst = |hour: usize| outcome.of_made(|m| m.hour == hour, |m| m.worst_ms);
    let duel = |made: &Made, hour: usize| made.hour == hour && made.mode != ROYALE;
    let wins = |hour: usize| outcome.of_made(|m| duel(m, hour), |m| Some(100.0 * m.favourite));
    let unlike = |hour: usize| outcome.of_made(|m| duel(m, hour), |m| Some(m.distribution));
    let detours = |hour: usize| -> Vec<f64> {
        let parties = outcome.parties.iter().filter(|party| party.hour == hour);
        parties.flat_map(|party| party.detours_ms.clone()).collect()
    };
    let mut charts = vec![
        by_hour("Parties per hour", counts(outcome)),
        by_hour("Wait, seconds", lines(outcome, &ALL, waits)),
        by_hour("Wait p95 by mode, seconds", waits_by_mode(outcome)),
        by_hour(
            "Rating spread of a match",
            lines(outcome, &ALL[..2], spreads),
        ),
        hourly(
            outcome,
            "Predicted win of the better of two teams, %",
            50.0,
            lines(outcome, &ALL[..2], wins),
        ),
        by_hour(
            "Distance of two teams' rating distributions",
            lines(outcome, &ALL[..2], unlike),
        ),
        by_hour(
            "Worst round trip of a match, ms",
            lines(outcome, &ALL[..2], worst),
        ),
        by_hour(
            "Round trip above the player's best region, ms",
            lines(outcome, &ALL, detours),
        ),
        by_hour(
            "Matches in which all share a language, %",
            vec![("matches", shared(outcome))],
        ),
    ];
    charts.extend(charts_of_deciles(outcome));
    charts
}

/// The index of the mode with more than two teams in [`MODES`].
const ROYALE: usize = 2;

fn hourly(outcome: &DayOutcome, title: &'static str, base: f64, series: Vec<Series>) -> Chart {
    Chart {
        title,
        axis: "hour of the day",
        places: (0..outcome.arrived.len()).map(|h| h.to_string()).collect(),
        bars: false,
        base,
        log: title.starts_with("Wait"),
        series,
    }
}

/// Quantiles of something, hour by hour.
fn lines(
    outcome: &DayOutcome,
    shares: &[(&'static str, f64)],
    of: impl Fn(usize) -> Vec<f64>,
) -> Vec<Series> {
    let values: Vec<Vec<f64>> = (0..outcome.arrived.len()).map(of).collect();
    let line = |share: f64| values.iter().map(|v| quantile_or_zero(v, share)).collect();
    shares
        .iter()
        .map(|(name, share)| (*name, line(*share)))
        .collect()
}

fn counts(outcome: &DayOutcome) -> Vec<Series> {
    let of = |counts: &[usize]| counts.iter().map(|count| *count as f64).collect();
    let hours = 0..outcome.arrived.len();
    let matched = |hour: usize| outcome.parties.iter().filter(|p| p.hour == hour).count() as f64;
    vec![
        ("arrived", of(&outcome.arrived)),
        ("matched", hours.map(matched).collect()),
        ("waiting at its end", of(&outcome.waiting)),
    ]
}

fn waits_by_mode(outcome: &DayOutcome) -> Vec<Series> {
    let wait = |hour: usize, mode: usize| {
        let waits = outcome.of_parties(|p| (p.hour, p.mode) == (hour, mode), |p| p.wait_s);
        quantile_or_zero(&waits, 0.95)
    };
    let hours = 0..outcome.arrived.len();
    let line = |mode: usize| hours.clone().map(|hour| wait(hour, mode)).collect();
    let modes = MODES.iter().enumerate();
    modes.map(|(mode, (name, _))| (*name, line(mode))).collect()
}

fn shared(outcome: &DayOutcome) -> Vec<f64> {
    let share = |hour: usize| {
        let all: Vec<&Made> = outcome.made.iter().filter(|m| m.hour == hour).collect();
        let shared = all.iter().filter(|made| made.shares_language).count();
        100.0 * shared as f64 / all.len().max(1) as f64
    };
    (0..outcome.arrived.len()).map(share).collect()
}

fn charts_of_deciles(outcome: &DayOutcome) -> [Chart; 2] {
    let deciles = outcome.deciles();
    let series = |shares: &[(&'static str, f64)], of: &dyn Fn(&Party) -> Option<f64>| {
        let values = |parties: &Vec<&Party>| -> Vec<f64> {
            parties.iter().filter_map(|party| of(party)).collect()
        };
        let line = |share: f64| {
            let quantiles = deciles.iter().map(|d| quantile_or_zero(&values(d), share));
            quantiles.collect()
        };
        let all = shares.iter().map(|(name, share)| (*name, line(*share)));
        all.collect::<Vec<Series>>()
    };
    let win = |party: &Party| (party.mode != ROYALE).then_some(100.0 * party.favourite);
    let chart = |title, base, series| Chart {
        title,
        axis: "decile of the parties by rating, 1 the weakest",
        places: (1..=deciles.len())
            .map(|decile| decile.to_string())
            .collect(),
        bars: true,
        base,
        log: false,
        series,
    };
    [
        chart(
            "Wait by rating, seconds",
            0.0,
            series(&ALL, &|p| Some(p.wait_s)),
        ),
        chart(
            "Predicted win of the better of two teams by rating, %",
            50.0,
            series(&ALL[..2], &win),
        ),
    ]
}
