//! Dollars that the README of the repository tells come from `measured.json` and the prices.

use finops::book::page_prices;
use finops::measured::{Measured, readme};
use finops::{Allocation, Book};

#[test]
fn the_dollars_of_the_readme_are_current() {
    let text = include_str!("../../../README.md");
    let lines = readme(
        &Measured::built_in(),
        &Book::built_in(),
        &Allocation::built_in(),
    )
    .unwrap();
    assert!(lines.len() >= 5);
    for (_, whole) in lines {
        assert!(
            text.lines().any(|line| line == whole),
            "`cargo run -p finops -- readme --write yes` makes README.md say:\n{whole}"
        );
    }
}

#[test]
fn the_price_of_the_page_is_current() {
    let text = include_str!("../../../functions/web/demo/prices.js");
    let whole = page_prices(&Book::built_in()).unwrap();
    assert_eq!(
        text, whole,
        "`cargo run -p finops -- readme --write yes` mends it"
    );
}

#[test]
fn a_measurement_that_is_missing_is_named() {
    let fault = readme(
        &Measured::default(),
        &Book::built_in(),
        &Allocation::built_in(),
    );
    assert!(
        fault
            .unwrap_err()
            .contains("measured.json has no `chat-post`")
    );
}
