//! Events that bring or take players: `infra/ops/calendar.toml`.

use serde::Deserialize;

use crate::date::Date;

/// An hour, by its number since 1970-01-01T00:00Z.
pub type Hour = i64;

/// Events, as the file has them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Calendar {
    /// In the order of the file.
    pub events: Vec<Event>,
}

/// One event.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// What people call it.
    pub name: String,
    /// Where it comes from.
    pub kind: Kind,
    /// Its first hour.
    pub from: Hour,
    /// How many hours it lasts.
    pub hours: u32,
    /// Regions of the fleet; none are all.
    pub regions: Vec<String>,
    /// Times the players who would be online else.
    pub factor: f64,
    /// Participants at once that are expected in each of its regions, where somebody knows. The
    /// schedule of relays is for that many at least; dollars go by the factor.
    pub peak: Option<u32>,
    /// Who answers for it.
    pub owner: String,
}

/// Where an event comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The game itself: a patch, a season.
    Product,
    /// Somebody makes it known.
    Marketing,
    /// We do something: a maintenance, a migration.
    Operations,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    event: Vec<Row>,
    /// When deployments may be made, which the gate of `cargo xtask deploy` reads.
    #[serde(default, rename = "change")]
    _change: Vec<toml::Table>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    name: String,
    kind: Kind,
    from: String,
    hours: u32,
    #[serde(default)]
    regions: Vec<String>,
    factor: f64,
    peak: Option<u32>,
    owner: String,
}

/// Longest event, hours: what lasts longer is no event but growth.
const HOURS_MAX: u32 = 31 * 24;
/// Bounds of a factor.
const FACTORS: std::ops::RangeInclusive<f64> = 0.0..=20.0;

impl Calendar {
    /// Reads a file's text.
    ///
    /// # Errors
    /// Every fault, a line each.
    pub fn read(text: &str) -> Result<Self, String> {
        let file: File = toml::from_str(text).map_err(|fault| fault.to_string())?;
        let (mut events, mut faults) = (Vec::new(), Vec::new());
        for row in file.event {
            let name = row.name.clone();
            match event(row) {
                Ok(event) => events.push(event),
                Err(fault) => faults.push(format!("the event `{name}`: {fault}")),
            }
        }
        if faults.is_empty() {
            Ok(Self { events })
        } else {
            Err(faults.join("\n"))
        }
    }

    /// How many times the usual players are online in a region in an hour.
    pub fn factor(&self, region: &str, hour: Hour) -> f64 {
        let factors = self.on(region, hour).map(|event| event.factor);
        factors.reduce(f64::max).unwrap_or(1.0)
    }

    /// Participants at once that events say are to be expected there then.
    pub fn peak(&self, region: &str, hour: Hour) -> Option<u32> {
        self.on(region, hour).filter_map(|event| event.peak).max()
    }

    fn on(&self, region: &str, hour: Hour) -> impl Iterator<Item = &Event> {
        self.events.iter().filter(move |event| {
            let since = hour - event.from;
            let is_here = event.regions.is_empty() || event.regions.iter().any(|it| it == region);
            is_here && (0..i64::from(event.hours)).contains(&since)
        })
    }
}

fn event(row: Row) -> Result<Event, String> {
    if !FACTORS.contains(&row.factor) {
        return Err(format!("a factor of {} is not within 0 and 20", row.factor));
    }
    if row.hours == 0 || row.hours > HOURS_MAX {
        return Err(format!(
            "{} hours are not within 1 and {HOURS_MAX}",
            row.hours
        ));
    }
    Ok(Event {
        from: hour(&row.from)?,
        name: row.name,
        kind: row.kind,
        hours: row.hours,
        regions: row.regions,
        factor: row.factor,
        peak: row.peak,
        owner: row.owner,
    })
}

/// Reads `2026-12-09T16:00Z`.
///
/// # Errors
/// A sentence that says how an hour is written.
pub fn hour(text: &str) -> Result<Hour, String> {
    let wrong = || format!("`{text}` is no hour; write it as 2026-12-09T16:00Z");
    let (day, rest) = text.split_once('T').ok_or_else(wrong)?;
    let hour = rest.strip_suffix(":00Z").filter(|hour| hour.len() == 2);
    let hour: i64 = hour.and_then(|hour| hour.parse().ok()).ok_or_else(wrong)?;
    let day: Date = day.parse()?;
    if !(0..24).contains(&hour) {
        return Err(wrong());
    }
    Ok(first_hour(day) + hour)
}

/// The first hour of a day.
pub fn first_hour(day: Date) -> Hour {
    day.days_since(Date::of_ms(0)) * 24
}

/// As it is written.
pub fn hour_text(hour: Hour) -> String {
    let day = Date::of_ms(0).plus_days(hour.div_euclid(24));
    format!("{day}T{:02}:00Z", hour.rem_euclid(24))
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: &str = r#"
        [[event]]
        name = "x"
        kind = "product"
        from = "2026-12-09T16:00Z"
        hours = 2
        factor = 2.0
        owner = "me"
        "#;

    #[test]
    fn the_calendar_of_the_repository_is_read() {
        let calendar = Calendar::read(include_str!("../../ops/calendar.toml")).unwrap();
        assert!(!calendar.events.is_empty());
    }

    #[test]
    fn the_largest_factor_of_an_hour_counts_where_the_event_is() {
        let second = EVENT.replace("factor = 2.0", "factor = 3.0\nregions = [\"eu\"]");
        let calendar = Calendar::read(&(EVENT.to_owned() + &second)).unwrap();
        let at = hour("2026-12-09T17:00Z").unwrap();
        assert_eq!(hour_text(at), "2026-12-09T17:00Z");
        assert_eq!(
            (calendar.factor("eu", at), calendar.factor("us", at)),
            (3.0, 2.0)
        );
        assert_eq!(
            (calendar.factor("us", at - 2), calendar.factor("us", at + 1)),
            (1.0, 1.0)
        );
    }

    #[test]
    fn a_peak_is_that_of_its_hours() {
        let with_peak = EVENT.replace("factor = 2.0", "factor = 2.0\npeak = 9000");
        let calendar = Calendar::read(&with_peak).unwrap();
        let at = hour("2026-12-09T16:00Z").unwrap();
        assert_eq!(calendar.peak("eu", at), Some(9_000));
        assert_eq!(calendar.peak("eu", at + 2), None);
        let fault = Calendar::read(&with_peak.replace("9000", "-1")).unwrap_err();
        assert!(fault.contains("-1"), "{fault}");
    }

    #[test]
    fn what_is_wrong_with_an_event_is_said() {
        for (from, to, why) in [
            ("16:00Z", "16:30Z", "is no hour"),
            ("T16:00Z", "T25:00Z", "is no hour"),
            ("2026-12-09", "2026-12-32", "is no date"),
            ("factor = 2.0", "factor = -1.0", "not within 0 and 20"),
            ("factor = 2.0", "factor = nan", "not within 0 and 20"),
            ("hours = 2", "hours = 0", "not within 1 and 744"),
            ("product", "surprise", "unknown variant"),
        ] {
            let fault = Calendar::read(&EVENT.replace(from, to)).unwrap_err();
            assert!(fault.contains(why), "{to}: {fault}");
        }
    }
}
