//! Dollars of what benchmarks measure, by the book of prices.

use std::path::Path;

use finops::book::{AWS, HOME_REGION};
use finops::measured::Million;
use finops::{Book, Cost, Functions, Rates, Used};
use wire::record::InvocationRecord;

pub use finops::lambda::{LOG_EVENT_BYTES, STORE_CALL_US, WHOLE_CPU_MB};

/// Cores of an EC2 c7g.large.
const LARGE_MACHINE_CORES: f64 = 2.0;
/// Packets of one voice stream in a minute, at 20 ms.
const PACKETS_PER_MINUTE: f64 = 3000.0;

/// What a benchmark is priced by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item {
    /// A GB to the internet.
    EgressGb,
    /// A small machine, an hour.
    SmallMachine,
    /// The machine that relays are priced on, an hour.
    LargeMachine,
    /// A public IPv4 address, an hour.
    Address,
}

impl Item {
    /// Every item.
    pub const ALL: [Self; 4] = [
        Self::EgressGb,
        Self::SmallMachine,
        Self::LargeMachine,
        Self::Address,
    ];

    /// Dollars in us-east-1, at the first tier that is not free.
    ///
    /// # Panics
    /// When the book has no such row; a test asks for all of them.
    pub fn usd(self) -> f64 {
        let name = match self {
            Self::EgressGb => "egress-internet",
            Self::SmallMachine => "ec2-t4g.small",
            Self::LargeMachine => "ec2-c7g.large",
            Self::Address => "public-ipv4",
        };
        let book = Book::built_in();
        let price = book.price(name, AWS, HOME_REGION);
        price
            .unwrap_or_else(|missing| panic!("{missing}"))
            .list()
            .dollars()
    }
}

/// What these invocations would use on Lambda, as `finops invocations` says it.
pub fn on_lambda<'a>(records: impl IntoIterator<Item = &'a InvocationRecord>) -> Used {
    let functions = Functions::built_in();
    let used = |record: &InvocationRecord| {
        let line = serde_json::to_vec(record).expect("a record has string keys only");
        functions.used(record, line.len() as u64)
    };
    let all = records.into_iter().map(used);
    all.fold(Used::default(), |sum, used| sum + used)
}

/// What a million costs in us-east-1.
///
/// # Panics
/// When the book lacks a price; a test asks for all of them.
pub fn of_million(million: Million) -> Cost {
    let book = Book::built_in();
    let rates = Rates::of(&book, HOME_REGION, &mut Default::default());
    let rates = rates.unwrap_or_else(|missing| panic!("{missing}"));
    rates.of_part(&million.into())
}

/// Keeps what a million of `name` use as `target/bench/measured/NAME.json`, for `finops measured`.
///
/// # Errors
/// When the file cannot be written.
pub fn keep(name: &str, million: Million) -> anyhow::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/bench/measured");
    std::fs::create_dir_all(&folder)?;
    let text = serde_json::to_string_pretty(&million)? + "\n";
    std::fs::write(folder.join(format!("{name}.json")), text)?;
    Ok(())
}

/// Dollars of a core of the machine that relays are priced on, a second.
pub fn core_second() -> f64 {
    Item::LargeMachine.usd() / LARGE_MACHINE_CORES / 3600.0
}

/// Dollars for 1,000 stream-minutes, of one speaker heard by one listener all the time: CPU, and
/// egress.
pub fn per_1000_minutes(cpu_s_per_packet: f64, payload_bytes_per_packet: f64) -> (f64, f64) {
    let packets = 1000.0 * PACKETS_PER_MINUTE;
    let bytes = payload_bytes_per_packet + finops::usage::HEADERS_BYTES as f64;
    (
        packets * cpu_s_per_packet * core_second(),
        packets * bytes / 1e9 * Item::EgressGb.usd(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_book_has_every_item() {
        for item in Item::ALL {
            assert!(item.usd() > 0.0, "{item:?}");
        }
        assert_eq!(of_million(Million::default()), Cost::default());
        assert_eq!(on_lambda([]), Used::default());
    }

    #[test]
    fn prices_are_those_of_a_calculation_by_hand() {
        // 3 million packets of 118 bytes are 0.354 GB; of 2 us they are 6 core-seconds.
        let (cpu, egress) = per_1000_minutes(2e-6, 90.0);
        assert!((egress - 0.354 * 0.09).abs() < 1e-9, "{egress}");
        assert!((cpu - 6.0 * 0.03625 / 3600.0).abs() < 1e-9, "{cpu}");
    }
}
