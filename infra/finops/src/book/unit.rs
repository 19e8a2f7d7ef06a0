//! What a price is for, and in which whole parts of it things are counted.

/// A unit of a price. Things are counted in parts of it, which are whole numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A million requests; counted one by one.
    MillionRequests,
    /// A million read or write units; counted one by one.
    MillionUnits,
    /// A second of 1,024 MB; counted in MB-milliseconds.
    GbSecond,
    /// 10^9 bytes; counted in bytes.
    Gb,
    /// 10^9 bytes kept for a month of 730 hours; counted in byte-hours.
    GbMonth,
    /// An hour; counted in seconds.
    Hour,
    /// One thing for a month of 730 hours; counted in hours.
    Month,
    /// 1,000 minutes of one participant; counted in milliseconds.
    ThousandParticipantMinutes,
    /// 5,000 users at once at the month's peak; counted in users.
    FiveThousandPeakUsers,
}

/// Hours of a month, as AWS counts them.
pub const MONTH_HOURS: u128 = 730;

const NAMES: [(&str, Unit, u128); 9] = [
    (
        "five-thousand-peak-users",
        Unit::FiveThousandPeakUsers,
        5_000,
    ),
    ("million-requests", Unit::MillionRequests, 1_000_000),
    ("million-units", Unit::MillionUnits, 1_000_000),
    ("gb-second", Unit::GbSecond, 1_024 * 1_000),
    ("gb", Unit::Gb, 1_000_000_000),
    ("gb-month", Unit::GbMonth, 1_000_000_000 * MONTH_HOURS),
    ("hour", Unit::Hour, 3_600),
    ("month", Unit::Month, MONTH_HOURS),
    (
        "thousand-participant-minutes",
        Unit::ThousandParticipantMinutes,
        1_000 * 60_000,
    ),
];

impl Unit {
    /// Parts that make one.
    pub fn parts(self) -> u128 {
        self.row().2
    }

    /// As it is written in the book.
    pub fn name(self) -> &'static str {
        self.row().0
    }

    /// The unit of a name.
    ///
    /// # Errors
    /// A sentence that lists the names.
    pub fn of(name: &str) -> Result<Self, String> {
        let found = NAMES.iter().find(|row| row.0 == name);
        found.map(|row| row.1).ok_or_else(|| {
            let names: Vec<&str> = NAMES.iter().map(|row| row.0).collect();
            format!("`{name}` is no unit; the units are {}", names.join(", "))
        })
    }

    fn row(self) -> &'static (&'static str, Self, u128) {
        let found = NAMES.iter().find(|row| row.1 == self);
        found.expect("every unit has a row")
    }
}
