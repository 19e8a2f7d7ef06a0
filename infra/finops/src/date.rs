//! Days: enough of a calendar for prices, records and reports. Everything is UTC.

use std::fmt;
use std::str::FromStr;

/// A day of the Gregorian calendar, by its number since 1970-01-01.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Date(i64);

const DAY_MS: u64 = 86_400_000;

impl Date {
    /// The day of a moment, Unix milliseconds.
    pub fn of_ms(unix_ms: u64) -> Self {
        // A u64 of milliseconds is 213 billion days at most.
        Self((unix_ms / DAY_MS) as i64)
    }

    /// Days from `earlier` to this one; negative when it comes before.
    pub fn days_since(self, earlier: Self) -> i64 {
        self.0 - earlier.0
    }

    /// The day after so many.
    pub fn plus_days(self, days: i64) -> Self {
        Self(self.0.saturating_add(days))
    }

    /// Year, month and day of the month. Howard Hinnant, "chrono-Compatible Low-Level Date
    /// Algorithms", `civil_from_days`.
    pub fn civil(self) -> (i64, u8, u8) {
        let shifted = self.0.saturating_add(719_468);
        let era = shifted.div_euclid(146_097);
        let of_era = shifted.rem_euclid(146_097);
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * of_year + 2) / 153;
        let day = of_year - (153 * shifted_month + 2) / 5 + 1;
        let month = if shifted_month < 10 {
            shifted_month + 3
        } else {
            shifted_month - 9
        };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        (year, month as u8, day as u8)
    }

    /// The same source, `days_from_civil`; none when there is no such day.
    pub fn from_civil(year: i64, month: u8, day: u8) -> Option<Self> {
        if !(1..=12).contains(&month) || !(1..=31).contains(&day) || !(0..=9999).contains(&year) {
            return None;
        }
        let shifted_year = year - i64::from(month <= 2);
        let era = shifted_year.div_euclid(400);
        let year_of_era = shifted_year.rem_euclid(400);
        let shifted_month = (i64::from(month) + 9) % 12;
        let of_year = (153 * shifted_month + 2) / 5 + i64::from(day) - 1;
        let of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year;
        let found = Self(era * 146_097 + of_era - 719_468);
        // The 31st of a short month comes back as another day.
        (found.civil() == (year, month, day)).then_some(found)
    }

    /// The first day of its month, and of the next.
    pub fn month(self) -> (Self, Self) {
        let (year, month, _) = self.civil();
        let next = if month == 12 {
            (year + 1, 1)
        } else {
            (year, month + 1)
        };
        let first = |(year, month)| Self::from_civil(year, month, 1).unwrap_or(self);
        (first((year, month)), first(next))
    }
}

impl FromStr for Date {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no date; write it as 2026-11-30");
        let bytes = text.as_bytes();
        let shaped = bytes.len() == 10
            && bytes.iter().enumerate().all(|(at, byte)| match at {
                4 | 7 => *byte == b'-',
                _ => byte.is_ascii_digit(),
            });
        if !shaped {
            return Err(wrong());
        }
        let number = |from: usize, to: usize| text[from..to].parse::<i64>().ok();
        let parts = number(0, 4).zip(number(5, 7)).zip(number(8, 10));
        let ((year, month), day) = parts.ok_or_else(wrong)?;
        Self::from_civil(year, month as u8, day as u8).ok_or_else(wrong)
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.civil();
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        assert_eq!(Date::of_ms(0).to_string(), "1970-01-01");
        assert_eq!(Date::of_ms(1_709_164_800_000).to_string(), "2024-02-29");
        assert_eq!(
            "2026-11-30".parse::<Date>().unwrap().to_string(),
            "2026-11-30"
        );
        for wrong in [
            "2026-02-29",
            "2026-13-01",
            "26-1-1",
            "2026/01/01",
            "2026-00-10",
            "tomorrow",
            "2026-1é-0",
        ] {
            assert!(wrong.parse::<Date>().is_err(), "{wrong}");
        }
        let (first, next) = "2026-12-07".parse::<Date>().unwrap().month();
        assert_eq!(
            (first.to_string(), next.to_string()),
            ("2026-12-01".into(), "2027-01-01".into())
        );
        assert_eq!(
            Date::of_ms(u64::MAX).month().0,
            Date::of_ms(u64::MAX),
            "far away, no panic"
        );
    }

    proptest! {
        #[test]
        fn a_date_is_read_as_it_was_written(days in 0_i64..2_000_000) {
            let date = Date(days);
            prop_assert_eq!(date.to_string().parse::<Date>(), Ok(date));
            prop_assert_eq!(date.plus_days(1).days_since(date), 1);
        }
    }
}
