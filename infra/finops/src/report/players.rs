//! Cost per player, as a page: voice by region and mode, rooms, chat, matches, whose it is.

use std::collections::BTreeMap;

use wire::record::VoiceMode;

use crate::book::{ANY_REGION, Book};
use crate::charges::Charges;
use crate::invocations::Summary;
use crate::money::Money;
use crate::page::{Bar, Bars, Page, Table};
use crate::usage::{Usage, Voice};

/// Rooms that are listed.
const ROOMS: usize = 10;
/// The item by which competitors sell voice.
const VOICE: &str = "voice";

/// What a player's day is made of: functions whose cost is told per a million of one of their
/// calls.
const UNITS: [(&str, &str, &str, &str); 3] = [
    (
        "signalling",
        "join",
        "joins",
        "a million joins, leaving included",
    ),
    (
        "chat",
        "chat-post",
        "messages",
        "a million chat messages, their reading by request included",
    ),
    (
        "matchmaking",
        "match-queue-up",
        "tickets",
        "a million matchmaking tickets, with their polls and passes",
    ),
];

/// Adds what voice, chat and matches cost, and to whom it belongs. `players` are those of the day,
/// if somebody said how many.
pub fn add(
    page: &mut Page,
    book: &Book,
    usage: &Usage<'_>,
    summary: &Summary<'_>,
    charges: &Charges<'_>,
    players: Option<u64>,
) {
    voice(page, book, usage);
    units(page, summary);
    owners(page, charges);
    if let Some(players) = players {
        page.heading("A player");
        page.text(format!(
            "{players} players of these records cost {} $ in all: {} $ each.",
            charges.total(),
            charges.total().scaled(1, u128::from(players.max(1)))
        ));
    }
}

fn voice(page: &mut Page, book: &Book, usage: &Usage<'_>) {
    page.heading("Voice");
    let total = usage.total();
    if total == Voice::default() {
        page.text("No room-minutes.");
        return;
    }
    page.text(
        "A voice-minute is one participant connected for a minute, all that he hears included; a \
         stream-minute is one stream to one listener that is always on. Traffic is what was sent, \
         with UDP and IPv4 headers; machines are the processor time of forwarding alone.",
    );
    let mut table = Table::new(&[
        "region, mode",
        "voice-minutes",
        "stream-minutes",
        "heard at once",
        "talking %",
        "GB",
        "egress $",
        "machines $",
        "$ per 1,000 voice-minutes",
        "$ per 1,000 stream-minutes",
    ]);
    for ((region, mode), voice) in &usage.regions {
        let region = if region.is_empty() {
            "(not said)"
        } else {
            region
        };
        let mode = match mode {
            VoiceMode::Forward => "forward",
            VoiceMode::Mix => "mix",
        };
        table
            .rows
            .push(voice_row(&format!("{region}, {mode}"), voice));
    }
    table.rows.push(voice_row("all", &total));
    page.table(table);
    beside_others(page, book, &total);
    rooms(page, usage);
}

fn voice_row(name: &str, voice: &Voice) -> Vec<String> {
    let ratio = |part: u128, whole: u128, times: f64| match whole {
        0 => "-".to_owned(),
        whole => format!("{:.2}", times * part as f64 / whole as f64),
    };
    let stream_ms = voice.packets * 20;
    vec![
        name.to_owned(),
        format!("{:.1}", voice.participant_ms as f64 / 60_000.0),
        format!("{:.1}", stream_ms as f64 / 60_000.0),
        ratio(stream_ms, voice.participant_ms, 1.0),
        ratio(voice.talk_ms, voice.participant_ms, 100.0),
        format!("{:.4}", voice.bytes as f64 / 1e9),
        voice.egress.text(6),
        voice.compute.text(6),
        voice.per_1000_voice_minutes().text(4),
        voice.per_1000_stream_minutes().text(4),
    ]
}

fn beside_others(page: &mut Page, book: &Book, total: &Voice) {
    let ours = total.per_1000_voice_minutes();
    let mut bars = vec![Bar {
        name: "here".to_owned(),
        values: vec![ours.dollars()],
    }];
    let mut table = Table::new(&["who", "$ per 1,000 participant-minutes", "read", "sure"]);
    table.rows.push(vec![
        "here, these records".to_owned(),
        ours.text(4),
        "-".to_owned(),
        "yes".to_owned(),
    ]);
    for price in book
        .iter()
        .filter(|price| price.item == VOICE && price.region == ANY_REGION)
    {
        bars.push(Bar {
            name: price.provider.clone(),
            values: vec![price.list().dollars()],
        });
        table.rows.push(vec![
            price.provider.clone(),
            price.list().text(4),
            price.date.to_string(),
            if price.check { "check" } else { "yes" }.to_owned(),
        ]);
    }
    page.heading("Beside what others ask for a participant-minute");
    page.bars(Bars {
        caption: "Voice".to_owned(),
        unit: "$ per 1,000 participant-minutes".to_owned(),
        parts: vec!["list price".to_owned()],
        bars,
    });
    page.table(table);
}

fn rooms(page: &mut Page, usage: &Usage<'_>) {
    let mut table = Table::new(&["room", "voice-minutes", "$", "$ per 1,000 voice-minutes"]);
    for (room, voice) in usage.dearest_rooms().into_iter().take(ROOMS) {
        table.rows.push(vec![
            room.map_or("(others)".to_owned(), |room| room.to_string()),
            format!("{:.1}", voice.participant_ms as f64 / 60_000.0),
            voice.total().text(6),
            voice.per_1000_voice_minutes().text(4),
        ]);
    }
    page.heading("The dearest rooms");
    page.table(table);
}

fn units(page: &mut Page, summary: &Summary<'_>) {
    let mut table = Table::new(&["of", "count", "calls of each", "$", "$ per million"]);
    for (function, route, what, name) in UNITS {
        let groups = summary
            .groups
            .iter()
            .filter(|(key, _)| key.function == function);
        let (mut calls, mut units, mut cost) = (0, 0, Money::ZERO);
        for (key, group) in groups {
            calls += group.count;
            cost += group.cost.total();
            // One that did a pass besides is one all the same; a refusal is none.
            let is_unit = key.route == route && matches!(key.outcome.as_str(), "ok" | "passed");
            units += if is_unit { group.count } else { 0 };
        }
        if units > 0 {
            table.rows.push(vec![
                name.to_owned(),
                format!("{units} {what}"),
                format!("{:.1}", calls as f64 / units as f64),
                cost.text(6),
                crate::invocations::per_million(cost, units).text(3),
            ]);
        }
    }
    if !table.rows.is_empty() {
        page.heading("Joins, messages and tickets");
        page.text(
            "All invocations of the function, by what they are for. Messages that relays push over \
             the data channel are in none of these records; what they take of the egress is not \
             counted yet.",
        );
        page.table(table);
    }
}

fn owners(page: &mut Page, charges: &Charges<'_>) {
    let mut sums: BTreeMap<(&str, &str), Money> = BTreeMap::new();
    for (key, charge) in &charges.all {
        *sums
            .entry((&key.owner.feature, &key.owner.team))
            .or_default() += charge.cost;
    }
    let all = charges.total();
    let mut table = Table::new(&["feature", "team", "environment", "$", "share %"]);
    let share = |part: Money| match all {
        Money::ZERO => "-".to_owned(),
        all => format!("{:.1}", 100.0 * part.dollars() / all.dollars()),
    };
    for ((feature, team), sum) in &sums {
        table.rows.push(vec![
            (*feature).to_owned(),
            (*team).to_owned(),
            charges.environment.clone(),
            sum.text(6),
            share(*sum),
        ]);
    }
    page.heading("Whose it is");
    // Above this share, what teams are told is not what they cost.
    if charges.untagged().0 * 20 > all.0 {
        page.warning(format!(
            "{} % belong to nobody: name their functions in allocation.toml",
            share(charges.untagged())
        ));
    }
    page.table(table);
}
