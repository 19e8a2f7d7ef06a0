//! The book as TOML files.

use serde::Deserialize;

use super::{Book, Price, Tier, Unit};
use crate::money::Money;

/// The book of this repository.
const FILES: [(&str, &str); 2] = [
    ("aws.toml", include_str!("../../prices/aws.toml")),
    ("others.toml", include_str!("../../prices/others.toml")),
];

/// The only currency that is understood.
const CURRENCY: &str = "USD";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    price: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    item: String,
    provider: String,
    region: String,
    unit: String,
    tiers: Vec<TierRow>,
    date: String,
    source: String,
    #[serde(default)]
    check: bool,
    #[serde(default = "usd")]
    currency: String,
}

fn usd() -> String {
    CURRENCY.to_owned()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TierRow {
    up_to: Option<u64>,
    usd: String,
}

impl Book {
    /// The book of this repository, which was checked when it was built into the program.
    ///
    /// # Panics
    /// Never: a test reads it.
    pub fn built_in() -> Self {
        let mut book = Self::default();
        for (file, text) in FILES {
            book.add(file, text)
                .expect("the book of the repository is read by a test");
        }
        book
    }

    /// Adds the prices of a file's text.
    ///
    /// # Errors
    /// Every fault of the file, a line each, with the row that has it. Nothing is added then.
    pub fn add(&mut self, file: &str, text: &str) -> Result<(), String> {
        let read: File = toml::from_str(text).map_err(|fault| format!("{file}: {fault}"))?;
        let (mut faults, mut good) = (Vec::new(), Vec::new());
        for row in read.price {
            let name = format!("{file}: {} at {} in {}", row.item, row.provider, row.region);
            match price(row) {
                Ok(price) => good.push((name, price)),
                Err(fault) => faults.push(format!("{name}: {fault}")),
            }
        }
        let mut all = self.prices.clone();
        for (name, price) in good {
            let key = (
                price.item.clone(),
                price.provider.clone(),
                price.region.clone(),
            );
            if all.insert(key, price).is_some() {
                faults.push(format!("{name}: there is a price of it already"));
            }
        }
        if !faults.is_empty() {
            return Err(faults.join("\n"));
        }
        self.prices = all;
        Ok(())
    }
}

fn price(row: Row) -> Result<Price, String> {
    if row.source.trim().is_empty() {
        return Err("no source, no row".to_owned());
    }
    for (what, text) in [
        ("item", &row.item),
        ("provider", &row.provider),
        ("region", &row.region),
    ] {
        let is_good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
        if text.is_empty() || !text.chars().all(is_good) {
            return Err(format!("the {what} `{text}` is not of a-z, 0-9, - and ."));
        }
    }
    if row.currency != CURRENCY {
        return Err(format!("the currency `{}` is not {CURRENCY}", row.currency));
    }
    let unit = Unit::of(&row.unit)?;
    Ok(Price {
        tiers: tiers(&row.tiers, unit)?,
        item: row.item,
        provider: row.provider,
        region: row.region,
        unit,
        date: row.date.parse()?,
        source: row.source,
        check: row.check,
    })
}

fn tiers(rows: &[TierRow], unit: Unit) -> Result<Vec<Tier>, String> {
    let mut tiers = Vec::new();
    let mut below = 0;
    for (at, row) in rows.iter().enumerate() {
        let is_last = at + 1 == rows.len();
        let up_to = row.up_to.map(|end| u128::from(end) * unit.parts());
        match up_to {
            None if !is_last => return Err("only the last tier has no up_to".to_owned()),
            Some(_) if is_last => return Err("the last tier has no up_to".to_owned()),
            Some(end) if end <= below => return Err("the tiers are not in order".to_owned()),
            _ => {}
        }
        below = up_to.unwrap_or(below);
        tiers.push(Tier {
            up_to,
            per_unit: Money::parse(&row.usd)?,
        });
    }
    if tiers.is_empty() {
        return Err("it has no tier".to_owned());
    }
    Ok(tiers)
}
