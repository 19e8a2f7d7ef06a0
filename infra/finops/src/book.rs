//! The book of prices: what is paid for, in which unit, where, since when, and who says so.

mod read;
mod unit;

use std::collections::BTreeMap;

use crate::date::Date;
use crate::money::Money;

pub use unit::{MONTH_HOURS, Unit};

/// The region of what costs the same everywhere.
pub const ANY_REGION: &str = "any";
/// The region whose price is taken where a region has none, which every report then says.
pub const HOME_REGION: &str = "us-east-1";
/// Who sells what our Terraform makes.
pub const AWS: &str = "aws";
/// A price that was read longer ago is stale.
pub const STALE_DAYS: i64 = 90;

/// One price with all of its tiers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Price {
    /// What is paid for.
    pub item: String,
    /// Who sells it.
    pub provider: String,
    /// Where, as the provider names it, or [`ANY_REGION`].
    pub region: String,
    /// What the amounts are for.
    pub unit: Unit,
    /// When it was read.
    pub date: Date,
    /// Where it was read.
    pub source: String,
    /// Whether sources disagree, or no primary page was read.
    pub check: bool,
    tiers: Vec<Tier>,
}

/// Up to a quantity of a month, in parts of the unit; the last one has no end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tier {
    up_to: Option<u128>,
    per_unit: Money,
}

/// A price that the book does not have.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Missing {
    /// What is to be paid for.
    pub item: String,
    /// Who sells it.
    pub provider: String,
    /// Where.
    pub region: String,
}

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            item,
            provider,
            region,
        } = self;
        write!(
            f,
            "no price of {item} at {provider} in {region}; add a row with its source to \
             infra/finops/prices/"
        )
    }
}

/// All prices.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Book {
    prices: BTreeMap<(String, String, String), Price>,
}

impl Price {
    /// What `quantity` of one month costs, through all tiers. `quantity` is in parts of the unit:
    /// [`Unit::parts`] of them are one.
    pub fn of_month(&self, quantity: u128) -> Money {
        let (mut left, mut below, mut sum) = (quantity, 0, 0_i128);
        for tier in &self.tiers {
            let room = tier.up_to.map_or(left, |end| (end - below).min(left));
            let room_signed = i128::try_from(room).unwrap_or(i128::MAX);
            sum = sum.saturating_add(tier.per_unit.0.saturating_mul(room_signed));
            left -= room;
            below = tier.up_to.unwrap_or(below);
        }
        Money(sum).scaled(1, self.unit.parts())
    }

    /// What `quantity` costs at the first tier that is not free: a part of a bill whose rest is
    /// not known, allowances used up.
    pub fn of_part(&self, quantity: u128) -> Money {
        self.list().scaled(quantity, self.unit.parts())
    }

    /// Dollars a unit at the first tier that is not free.
    pub fn list(&self) -> Money {
        let paid = self.tiers.iter().map(|tier| tier.per_unit);
        paid.into_iter()
            .find(|amount| *amount > Money::ZERO)
            .unwrap_or_default()
    }
}

impl Book {
    /// The price of an item of a provider in a region, or everywhere.
    ///
    /// # Errors
    /// [`Missing`].
    pub fn price(&self, item: &str, provider: &str, region: &str) -> Result<&Price, Missing> {
        let at = |region: &str| {
            let key = (item.to_owned(), provider.to_owned(), region.to_owned());
            self.prices.get(&key)
        };
        at(region)
            .or_else(|| at(ANY_REGION))
            .ok_or_else(|| Missing {
                item: item.to_owned(),
                provider: provider.to_owned(),
                region: region.to_owned(),
            })
    }

    /// Every price, by item, provider and region.
    pub fn iter(&self) -> impl Iterator<Item = &Price> {
        self.prices.values()
    }

    /// Prices that were read more than [`STALE_DAYS`] before `today`.
    pub fn stale(&self, today: Date) -> Vec<&Price> {
        let is_old = |price: &&Price| today.days_since(price.date) > STALE_DAYS;
        self.iter().filter(is_old).collect()
    }
}

/// The module of the demo's page that has the price of what it hears.
///
/// # Errors
/// [`Missing`] when the book has no price of traffic to the internet.
pub fn page_prices(book: &Book) -> Result<String, Missing> {
    let price = book.price("egress-internet", AWS, HOME_REGION)?;
    Ok(format!(
        "// Written by `finops readme --write yes`, from the book of prices.\n\n\
         /** Traffic to the internet at the list price of {AWS}, {HOME_REGION}. */\n\
         export const EGRESS_USD_PER_GB = {};\n\
         /** When that was read. */\n\
         export const PRICES_OF = \"{}\";\n",
        price.list().dollars(),
        price.date
    ))
}

#[cfg(test)]
#[path = "book_tests.rs"]
mod tests;
