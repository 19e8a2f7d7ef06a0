//! What the reports say: pages made of summaries.

pub mod forecast;
pub mod invocations;
pub mod plan;
pub mod players;
pub mod reconcile;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::book::{Book, Missing, STALE_DAYS};
use crate::date::Date;
use crate::day::Day;
use crate::page::Page;
use crate::records::Intake;

/// What came in, and what of it could not be read.
pub fn intake(page: &mut Page, intake: &Intake) {
    page.text(format!(
        "{} lines: {} invocations, {} room-minutes, {} that came twice and count once.",
        intake.lines, intake.invocations, intake.usages, intake.duplicates
    ));
    if intake.without_id > 0 {
        page.warning(format!(
            "{} invocations are of the first form, without an id: if some of them came twice, \
             they count twice.",
            intake.without_id
        ));
    }
    for (fault, (count, places)) in &intake.faults {
        let first = places.join(", ");
        page.warning(format!(
            "{count} lines left out: {} (first at {first}).",
            fault.sentence()
        ));
    }
}

/// What the reader should know of the prices: how old, how sure, and what was taken instead.
pub fn prices(page: &mut Page, book: &Book, today: Date, substituted: &BTreeSet<Missing>) {
    let stale = book.stale(today);
    if !stale.is_empty() {
        let names: BTreeSet<&str> = stale.iter().map(|price| price.item.as_str()).collect();
        let names: Vec<&str> = names.into_iter().collect();
        page.warning(format!(
            "{} prices were read more than {STALE_DAYS} days before {today}: {}. Read them again.",
            stale.len(),
            names.join(", ")
        ));
    }
    for missing in substituted {
        page.warning(format!(
            "{}: the price of {} was taken",
            missing,
            crate::book::HOME_REGION
        ));
    }
}

/// What a report shall have.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Prices are as old as they are on this day.
    pub today: Date,
    /// Players of the records, when somebody knows.
    pub players: Option<u64>,
    /// Cost per invocation.
    pub has_invocations: bool,
    /// Cost per player.
    pub has_players: bool,
}

/// The report of a day.
///
/// # Errors
/// [`Missing`] when the book lacks a price.
pub fn day(
    book: &Book,
    day: &Day<'_>,
    intake: &Intake,
    options: &Options,
) -> Result<Page, Missing> {
    let title = match (options.has_invocations, options.has_players) {
        (true, false) => "Cost per invocation",
        (false, true) => "Cost per player",
        _ => "What the service costs",
    };
    let mut page = Page::new(title);
    self::intake(&mut page, intake);
    let mut substituted = day.summary.substituted.clone();
    substituted.extend(day.usage.substituted.iter().cloned());
    prices(&mut page, book, options.today, &substituted);
    if options.has_players {
        let (usage, summary, charges) = (&day.usage, &day.summary, &day.charges);
        players::add(&mut page, book, usage, summary, charges, options.players);
    }
    if options.has_invocations {
        let (month, much) = (day.summary.of_month(1)?, day.summary.of_month(100)?);
        invocations::add(&mut page, &day.summary, month.zip(much));
    }
    Ok(page)
}

/// The figures of a day, for programs: dollars as text, exactly.
pub fn figures(day: &Day<'_>) -> Value {
    const HOUR_MS: u128 = 3_600_000;
    let (invocations, _, edge) = day.summary.total();
    let voice = day.usage.total();
    let all = day.charges.total();
    let span_ms = day
        .summary
        .span_ms
        .map_or(0, |(first, last)| u128::from(last - first));
    let per = |whole_ms: u128| match whole_ms {
        0 => Value::Null,
        whole_ms => json!(all.scaled(HOUR_MS, whole_ms).text(12)),
    };
    json!({
        "invocations": invocations,
        "dollars": all.text(12),
        "dollars_edge": edge.total().text(12),
        "dollars_voice": voice.total().text(12),
        "dollars_per_hour": per(span_ms),
        "dollars_per_player_hour": per(voice.participant_ms),
        "dollars_per_1000_voice_minutes": voice.per_1000_voice_minutes().text(12),
        "dollars_per_1000_stream_minutes": voice.per_1000_stream_minutes().text(12),
    })
}
