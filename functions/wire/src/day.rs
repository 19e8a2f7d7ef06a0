//! Days of the calendar in UTC.

/// Year, month and day of a day since 1970. Years are counted from March, so that the leap day is
/// the last of its year.
pub(crate) fn civil(days: u64) -> (u64, u64, u64) {
    // From 0000-03-01; an era is 400 years.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

/// The day of a time in Unix milliseconds, as ISO 8601 writes it: `2026-11-30`.
pub fn day_of(at_ms: u64) -> String {
    let (year, month, day) = civil(at_ms / 86_400_000);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_day_ends_with_its_last_millisecond() {
        assert_eq!(day_of(0), "1970-01-01");
        assert_eq!(day_of(951_868_799_999), "2000-02-29");
        assert_eq!(day_of(951_868_800_000), "2000-03-01");
    }

    proptest! {
        /// The day after a day is the next of its month, or the first of the next month.
        #[test]
        fn days_follow_one_another(days in 0_u64..2_900_000) {
            let ((year, month, day), next) = (civil(days), civil(days + 1));
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let last = match month {
                2 => 28 + u64::from(leap),
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            let wanted = match (month, day) {
                (12, 31) => (year + 1, 1, 1),
                _ if day == last => (year, month + 1, 1),
                _ => (year, month, day + 1),
            };
            prop_assert!((1..=last).contains(&day));
            prop_assert_eq!(next, wanted);
        }
    }
}
