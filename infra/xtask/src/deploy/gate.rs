//! Whether now is a time to change something: windows and events of `infra/ops/calendar.toml`, and
//! alarms that burn.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const HOUR_MS: u64 = 3_600_000;
/// Nothing is changed this close to an event: a deployment and its rollback fit in.
const BEFORE_EVENT_MS: u64 = 4 * HOUR_MS;

/// What the gate reads of the calendar.
#[derive(Deserialize)]
struct Calendar {
    #[serde(default)]
    change: Vec<Window>,
    #[serde(default)]
    event: Vec<Event>,
}

/// When an environment may be changed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Window {
    environment: String,
    days: Vec<String>,
    /// `08:00Z`, and so on.
    from: String,
    to: String,
}

#[derive(Deserialize)]
struct Event {
    name: String,
    from: String,
    hours: u64,
}

/// Why this is no time for it; nothing where it is one. An environment without a window may be
/// changed at any time that no event takes.
///
/// # Errors
/// A calendar that cannot be read: which entry, and how it is written.
pub(super) fn closed(
    calendar: &str,
    environment: &str,
    now_ms: u64,
    burning: &BTreeSet<String>,
) -> Result<Vec<String>> {
    let calendar: Calendar = toml::from_str(calendar).context("infra/ops/calendar.toml")?;
    let mut reasons = Vec::new();
    let windows = calendar
        .change
        .iter()
        .filter(|window| window.environment == environment);
    let windows: Vec<&Window> = windows.collect();
    let mut open = windows.is_empty();
    for window in &windows {
        open |= is_open(window, now_ms)?;
    }
    if !open {
        let shown = |window: &&Window| {
            format!(
                "{} from {} to {}",
                window.days.join(", "),
                window.from,
                window.to
            )
        };
        let shown: Vec<String> = windows.iter().map(shown).collect();
        reasons.push(format!("{environment} is changed {}", shown.join("; ")));
    }
    if !windows.is_empty() {
        for event in &calendar.event {
            let from = moment_ms(&event.from)?;
            let until = from + event.hours * HOUR_MS;
            if (from.saturating_sub(BEFORE_EVENT_MS)..until).contains(&now_ms) {
                reasons.push(format!("the event `{}` is on, or near", event.name));
            }
        }
    }
    reasons.extend(
        burning
            .iter()
            .map(|alarm| format!("the alarm {alarm} burns")),
    );
    Ok(reasons)
}

fn is_open(window: &Window, now_ms: u64) -> Result<bool> {
    if let Some(day) = window.days.iter().find(|day| !DAYS.contains(&day.as_str())) {
        bail!(
            "infra/ops/calendar.toml: `{day}` is no day; days are {}",
            DAYS.join(", ")
        );
    }
    // The first of January 1970 was a Thursday.
    let day = (now_ms / (24 * HOUR_MS) + 3) % 7;
    let day = DAYS[usize::try_from(day).expect("it is less than 7")];
    let hour = now_ms % (24 * HOUR_MS);
    let times = hour_ms(&window.from)?..hour_ms(&window.to)?;
    Ok(window.days.iter().any(|one| one == day) && times.contains(&hour))
}

/// Reads `08:00Z`.
fn hour_ms(text: &str) -> Result<u64> {
    let read = || {
        let (hours, minutes) = text.strip_suffix('Z')?.split_once(':')?;
        let [hours, minutes]: [u64; 2] = [hours.parse().ok()?, minutes.parse().ok()?];
        (hours <= 24 && minutes < 60).then_some(hours * HOUR_MS + minutes * 60_000)
    };
    read().with_context(|| format!("infra/ops/calendar.toml: `{text}` is written as 08:00Z"))
}

/// Reads `2026-12-09T16:00Z`.
fn moment_ms(text: &str) -> Result<u64> {
    let read = || {
        let (day, hour) = text.split_once('T')?;
        let mut parts = day.splitn(3, '-').map(str::parse::<u64>);
        let [year, month, day] = [
            parts.next()?.ok()?,
            parts.next()?.ok()?,
            parts.next()?.ok()?,
        ];
        let is_day = (1970..3000).contains(&year) && (1..=12).contains(&month);
        (is_day && (1..=31).contains(&day)).then_some(())?;
        // Days since 1970, with years that begin in March (so that the leap day is the last one).
        let (year, month) = (year - u64::from(month <= 2), (month + 9) % 12);
        let of_years = year * 365 + year / 4 - year / 100 + year / 400;
        let days = of_years + (month * 153 + 2) / 5 + day - 1 - 719_468;
        Some(days * 24 * HOUR_MS + hour_ms(hour).ok()?)
    };
    read().with_context(|| {
        format!("infra/ops/calendar.toml: `{text}` is written as 2026-12-09T16:00Z")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALENDAR: &str = r#"
        [[change]]
        environment = "prod"
        days = ["mon", "wed"]
        from = "08:00Z"
        to = "15:00Z"
        [[event]]
        name = "patch day"
        kind = "product"
        from = "2026-12-09T16:00Z"
        hours = 2
        "#;

    fn said(environment: &str, moment: &str) -> String {
        let none = BTreeSet::new();
        closed(CALENDAR, environment, moment_ms(moment).unwrap(), &none)
            .unwrap()
            .join("; ")
    }

    #[test]
    fn it_is_open_in_a_window_and_far_from_events() {
        // The 7th of December 2026 is a Monday.
        assert_eq!(said("prod", "2026-12-07T08:00Z"), "");
        assert!(said("prod", "2026-12-07T15:00Z").contains("mon, wed from 08:00Z"));
        assert!(said("prod", "2026-12-08T09:00Z").contains("prod is changed"));
        assert_eq!(said("prod", "2026-12-09T11:59Z"), "");
        for near in ["2026-12-09T12:00Z", "2026-12-09T17:59Z"] {
            assert!(said("prod", near).contains("patch day"), "{near}");
        }
        // Where nothing is said, it is open.
        assert_eq!(said("dev", "2026-12-09T17:00Z"), "");
    }

    #[test]
    fn an_alarm_that_burns_closes_it_anywhere() {
        let burning = BTreeSet::from(["lifeverse-dev-edge-errors".to_owned()]);
        let reasons = closed("", "dev", 0, &burning).unwrap();
        assert_eq!(reasons, ["the alarm lifeverse-dev-edge-errors burns"]);
    }

    #[test]
    fn moments_are_those_of_the_calendar() {
        for (text, seconds) in [
            ("1970-01-01T00:00Z", 0),
            ("2000-02-29T12:30Z", 951_827_400),
            ("2026-11-30T21:00Z", 1_796_072_400),
        ] {
            assert_eq!(moment_ms(text).unwrap(), seconds * 1000, "{text}");
        }
        for broken in ["", "2026-13-01T00:00Z", "2026-12-01", "2026-12-01T8Z"] {
            assert!(moment_ms(broken).is_err(), "{broken}");
        }
        let broken = CALENDAR.replace("\"wed\"", "\"wednesday\"");
        assert!(closed(&broken, "prod", 0, &BTreeSet::new()).is_err());
    }

    #[test]
    fn the_calendar_of_the_repository_is_read() {
        let text = include_str!("../../../ops/calendar.toml");
        let sunday = moment_ms("2026-12-06T10:00Z").unwrap();
        let reasons = closed(text, "prod", sunday, &BTreeSet::new()).unwrap();
        assert_eq!(reasons.len(), 1, "{reasons:?}");
    }
}
