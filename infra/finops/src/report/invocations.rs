//! Cost per invocation, as a page.

use crate::cost::Cost;
use crate::date::Date;
use crate::invocations::{Group, Key, Summary};
use crate::money::Money;
use crate::page::{Bar, Bars, Page, Table};

/// Rows of the chart and of the table of dearest routes.
const DEAREST: usize = 12;
/// How many times the load is what "much more" means here.
const MUCH: u128 = 100;

/// Adds what the invocations cost. `month` and `much` are a month at this rate, and [`MUCH`] times
/// that.
pub fn add(page: &mut Page, summary: &Summary<'_>, months: Option<(Cost, Cost)>) {
    let (count, _, cost) = summary.total();
    if count == 0 {
        page.text("No invocations.");
        return;
    }
    page.heading("Invocations");
    overview(page, summary, count, &cost);
    page.heading("Dollars per million invocations, by route and outcome");
    page.bars(chart(summary));
    page.table(dollars(summary));
    page.heading("Time, units and bytes of one invocation");
    page.table(quantities(summary));
    if let Some((month, much)) = months {
        page.heading("A month at this rate, and a hundred times as much");
        page.text(format!(
            "From the span of these records, through the tiers and allowances of each price; \
             {MUCH} times the load costs {} times as much.",
            ratio(much.total(), month.total())
        ));
        page.table(month_table(&month, &much));
    }
    outliers(page, summary);
    dearer(page, summary);
}

fn overview(page: &mut Page, summary: &Summary<'_>, count: u64, cost: &Cost) {
    let span = summary.span_ms.map_or(String::new(), |(first, last)| {
        let (first, last) = (Date::of_ms(first), Date::of_ms(last));
        if first == last {
            format!(" of {first}")
        } else {
            format!(" of {first} to {last}")
        }
    });
    page.text(format!(
        "{count} invocations{span} cost {} $: {} $ a million.",
        cost.total(),
        crate::invocations::per_million(cost.total(), count).text(3)
    ));
    let hosts: std::collections::BTreeSet<&str> =
        summary.groups.keys().map(|key| key.host.as_str()).collect();
    if hosts.iter().any(|host| *host != "lambda") {
        page.text(
            "Of hosts that are not Lambda it is what the same would cost on Lambda (arm64) in \
             us-east-1 behind an HTTP API: the measured time of the function, stretched to the \
             share of a processor that its memory gives, and 5 ms for each call of DynamoDB. \
             Wasm takes longer than native code, so it is rather too much.",
        );
    }
}

fn name(key: &Key) -> String {
    match key.outcome.as_str() {
        "ok" => format!("{} {}", key.function, key.route),
        outcome => format!("{} {} ({outcome})", key.function, key.route),
    }
}

fn chart(summary: &Summary<'_>) -> Bars {
    let mut groups = summary.dearest();
    groups.truncate(DEAREST);
    groups.sort_by_key(|(_, group)| std::cmp::Reverse(group.per_million().1));
    let bar = |(key, group): (&Key, &Group)| Bar {
        name: name(key),
        values: group.per_million().0.map(Money::dollars).to_vec(),
    };
    Bars {
        caption: "Of the routes that cost most in all".to_owned(),
        unit: "$ per million".to_owned(),
        parts: Cost::PARTS.map(str::to_owned).to_vec(),
        bars: groups.into_iter().map(bar).collect(),
    }
}

fn dollars(summary: &Summary<'_>) -> Table {
    let mut heads = vec!["route (outcome)", "host", "count"];
    heads.extend(Cost::PARTS);
    heads.extend(["all", "share %"]);
    let mut table = Table::new(&heads);
    let all = summary.total().2.total();
    for (key, group) in summary.dearest() {
        let (parts, sum) = group.per_million();
        let mut row = vec![name(key), key.host.clone(), group.count.to_string()];
        row.extend(parts.map(|part| part.text(3)));
        row.push(sum.text(3));
        row.push(percent(group.cost.total(), all));
        table.rows.push(row);
    }
    table
}

fn quantities(summary: &Summary<'_>) -> Table {
    let mut table = Table::new(&[
        "route (outcome)",
        "host",
        "cold",
        "p50 ms",
        "p99 ms",
        "read units",
        "write units",
        "store calls",
        "bytes in",
        "bytes out",
        "log bytes",
        "fuel",
    ]);
    for (key, group) in summary.dearest() {
        let ms = |share| {
            let us = group.durations_us.value_at_quantile(share);
            format!("{:.2}", us as f64 / 1e3)
        };
        let mean = |sum: u128| tenths(sum, group.count);
        table.rows.push(vec![
            name(key),
            key.host.clone(),
            group.cold.to_string(),
            ms(0.5),
            ms(0.99),
            mean(group.used.read_units),
            mean(group.used.write_units),
            mean(group.store_calls),
            mean(group.bytes_in),
            mean(group.used.egress_bytes),
            mean(group.used.log_bytes),
            (group.fuel / u128::from(group.count)).to_string(),
        ]);
    }
    table
}

fn month_table(month: &Cost, much: &Cost) -> Table {
    let mut table = Table::new(&["part", "$ a month", "$ a month, 100 times"]);
    let names = Cost::PARTS.into_iter().chain(["all"]);
    let amounts = |cost: &Cost| {
        cost.parts()
            .into_iter()
            .chain([cost.total()])
            .collect::<Vec<_>>()
    };
    for ((part, one), hundred) in names.zip(amounts(month)).zip(amounts(much)) {
        table
            .rows
            .push(vec![part.to_owned(), one.text(2), hundred.text(2)]);
    }
    table
}

fn outliers(page: &mut Page, summary: &Summary<'_>) {
    let mut table = Table::new(&[
        "route (outcome)",
        "invocation",
        "$ per million",
        "times the mean",
        "why",
    ]);
    for (key, group) in summary.dearest() {
        for outlier in group.outliers() {
            table.rows.push(vec![
                name(key),
                outlier.id.map_or("-".to_owned(), |id| id.to_string()),
                outlier.cost.scaled(1_000_000, 1).text(2),
                outlier.times.to_string(),
                outlier.reason,
            ]);
        }
    }
    if !table.rows.is_empty() {
        page.heading("Invocations that stand out");
        page.text("At most three of a route that cost more than four times its mean.");
        page.table(table);
    }
}

fn dearer(page: &mut Page, summary: &Summary<'_>) {
    let mut table = Table::new(&[
        "route",
        "build before",
        "build",
        "$ per million before",
        "since",
    ]);
    for change in summary.dearer() {
        table.rows.push(vec![
            format!("{} {}", change.route.0, change.route.1),
            change.builds.0,
            change.builds.1,
            change.per_million.0.text(3),
            change.per_million.1.text(3),
        ]);
    }
    if !table.rows.is_empty() {
        page.heading("Builds that made a route dearer");
        page.table(table);
    }
}

fn percent(part: Money, whole: Money) -> String {
    if whole == Money::ZERO {
        return "-".to_owned();
    }
    format!("{:.1}", 100.0 * part.dollars() / whole.dollars())
}

fn ratio(much: Money, little: Money) -> String {
    if little == Money::ZERO {
        return "no number of".to_owned();
    }
    format!("{:.1}", much.dollars() / little.dollars())
}

/// A mean with one digit after the point, rounded half up.
fn tenths(sum: u128, count: u64) -> String {
    let hundredths = sum * 100 / u128::from(count.max(1));
    let rounded = (hundredths + 5) / 10;
    format!("{}.{}", rounded / 10, rounded % 10)
}
