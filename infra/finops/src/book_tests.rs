use proptest::prelude::*;

use super::*;

fn book(text: &str) -> Result<Book, String> {
    let mut book = Book::default();
    book.add("test.toml", text).map(|()| book)
}

fn row(change: &str) -> String {
    let mut lines = vec![
        r#"item = "voice""#,
        r#"provider = "aws""#,
        r#"region = "any""#,
        r#"unit = "gb""#,
        r#"tiers = [{ usd = "0.5" }]"#,
        r#"date = "2026-10-02""#,
        r#"source = "a page""#,
    ];
    let name = change.split(" =").next().unwrap();
    lines.retain(|line| line.split(" =").next() != Some(name));
    format!("[[price]]\n{}\n{change}\n", lines.join("\n"))
}

#[test]
fn every_row_of_the_repository_is_read_and_has_a_source() {
    let book = Book::built_in();
    assert!(book.iter().count() > 30);
    for price in book.iter() {
        assert!(price.source.len() > 10, "{}: {}", price.item, price.source);
        assert!(price.list() > Money::ZERO, "{}", price.item);
    }
}

#[test]
fn prices_are_those_of_a_calculation_by_hand() {
    let book = Book::built_in();
    let of = |item: &str| book.price(item, AWS, HOME_REGION).unwrap();
    assert_eq!(of("lambda-request").of_part(1).text(10), "0.0000002000");
    // A million times 3 ms of 128 MB are 375 GB-s.
    assert_eq!(
        of("lambda-duration-arm")
            .of_part(3 * 128 * 1_000_000)
            .text(9),
        "0.005000025"
    );
    assert_eq!(
        of("dynamodb-write-unit").of_part(2_000_000).text(4),
        "1.2500"
    );
    // 3 million packets of 118 bytes.
    assert_eq!(
        of("egress-internet").of_part(354_000_000).text(5),
        "0.03186"
    );
    assert_eq!(of("ec2-c7g.large").of_part(3_600 * 730).text(3), "52.925");
    // 100 GB free, 10,140 at 0.09, 1,000 at 0.085.
    let month = of("egress-internet").of_month(11_240 * 1_000_000_000);
    assert_eq!(month.text(2), "997.60");
    assert_eq!(of("egress-internet").of_month(99_000_000_000), Money::ZERO);
}

#[test]
fn a_row_that_is_wrong_is_named_with_its_reason() {
    for (change, why) in [
        (r#"source = " ""#, "no source, no row"),
        (
            r#"unit = "bushel""#,
            "`bushel` is no unit; the units are five-thousand-peak-users, million-requests",
        ),
        (r#"date = "2026-02-30""#, "`2026-02-30` is no date"),
        (r#"currency = "EUR""#, "the currency `EUR` is not USD"),
        (r#"item = "Voice""#, "the item `Voice` is not of"),
        (r#"tiers = [{ usd = "-1" }]"#, "`-1` is no amount"),
        (r#"tiers = []"#, "it has no tier"),
        (
            r#"tiers = [{ usd = "1" }, { usd = "2" }]"#,
            "only the last tier has no up_to",
        ),
        (
            r#"tiers = [{ up_to = 5, usd = "1" }]"#,
            "the last tier has no up_to",
        ),
        (
            r#"tiers = [{ up_to = 5, usd = "1" }, { up_to = 5, usd = "1" }, { usd = "1" }]"#,
            "the tiers are not in order",
        ),
        (r#"price = 3"#, "unknown field `price`"),
    ] {
        let fault = book(&row(change)).unwrap_err();
        assert!(
            fault.starts_with("test.toml") && fault.contains(why),
            "{change}: {fault}"
        );
    }
    let twice = book(&(row("check = true") + &row("check = false"))).unwrap_err();
    assert!(twice.contains("there is a price of it already"), "{twice}");
    assert!(book(&row("check = true")).is_ok());
}

#[test]
fn what_is_missing_is_named_and_what_is_old_is_told() {
    let book = book(&row("check = true")).unwrap();
    assert!(book.price("voice", AWS, "mars-1").is_ok(), "any region");
    let missing = book.price("sound", AWS, "mars-1").unwrap_err().to_string();
    assert!(
        missing.contains("no price of sound at aws in mars-1"),
        "{missing}"
    );
    let day = |text: &str| text.parse().unwrap();
    assert_eq!(book.stale(day("2026-12-31")).len(), 0);
    assert_eq!(book.stale(day("2027-01-01")).len(), 1);
}

proptest! {
    /// With tiers, more never costs less, nothing is negative, and two halves cost at least the
    /// whole where larger quantities are cheaper, but for the free allowance.
    #[test]
    fn tiers_add_up(a in 0..1_u128 << 60, b in 0..1_u128 << 60) {
        let book = Book::built_in();
        let price = book.price("lambda-duration-arm", AWS, HOME_REGION).unwrap();
        let (one, both) = (price.of_month(a), price.of_month(a + b));
        prop_assert!(Money::ZERO <= one && one <= both);
        prop_assert!(one + price.of_month(b) + Money(1) >= both);
        prop_assert!(price.of_month(a) <= price.of_part(a) + Money(1));
    }

    /// Across the edge of a tier there is no jump of more than what the parts cost.
    #[test]
    fn tiers_are_continuous(
        gb in prop::sample::select(vec![100_u128, 10_240, 51_200, 153_600]),
        step in 1..1_000_000_000_u128,
    ) {
        let book = Book::built_in();
        let price = book.price("egress-internet", AWS, HOME_REGION).unwrap();
        let edge = gb * 1_000_000_000;
        let jump = price.of_month(edge + step) - price.of_month(edge - step);
        prop_assert!(jump <= price.of_part(2 * step) + Money(1));
        prop_assert!(jump >= Money::ZERO);
    }
}
