//! A bill: line items of an AWS Data Export, as CUR 2.0 or FOCUS 1.0 to 1.2, in CSV. What cannot be
//! compared with records is set aside under its reason and counted; nothing is dropped in silence.

mod amount;
mod aside;
mod columns;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, BufRead};

use crate::allocation::{Allocation, NOBODY, Owner};
use crate::csv::{Row, Rows};
use crate::date::Date;
use crate::money::Money;

pub use aside::Aside;
use columns::{Columns, Item};
pub use columns::{Form, Kind, service};

/// Sums that are told apart; the rest are one.
const SUMS_MAX: usize = 50_000;
/// Line items whose second coming is noticed.
const SEEN_MAX: usize = 5_000_000;
/// Names of accounts and currencies that are kept.
const NAMES_MAX: usize = 20;
/// Places of each fault that are kept.
const PLACES_MAX: usize = 3;
/// What is beyond [`SUMS_MAX`].
pub const OTHERS: &str = "(others)";

/// What is told apart of a bill and of records.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// The day in which the usage began.
    pub day: Date,
    /// The service, as [`crate::charges::Item::names`] calls it.
    pub service: String,
    /// Whose it is.
    pub owner: Owner,
    /// Of which environment it is.
    pub environment: String,
}

/// Why a row has no dollars that could be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// It has more or fewer cells than the header, or ends within quotes.
    Torn,
    /// It is longer than a row can be.
    TooLong,
    /// It is not UTF-8.
    NotText,
    /// Its day is none.
    BadDate,
    /// Its amount is no number, or too large.
    BadAmount,
    /// It is not in US dollars.
    OtherCurrency,
    /// It is the same line item as one before.
    Duplicate,
}

impl Fault {
    /// What a report says.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Torn => "torn: not as many cells as the header has",
            Self::TooLong => "too long for a line item",
            Self::NotText => "not UTF-8",
            Self::BadDate => "the day is no date",
            Self::BadAmount => "the amount is no number",
            Self::OtherCurrency => "not in US dollars",
            Self::Duplicate => "a line item that came before",
        }
    }
}

/// What a bill says.
#[derive(Debug)]
pub struct Bill<'a> {
    allocation: &'a Allocation,
    account: Option<&'a str>,
    /// Usage, at its effective cost.
    pub usage: BTreeMap<Key, Money>,
    /// What is not compared: how many line items, and their dollars.
    pub asides: BTreeMap<Aside, (u64, Money)>,
    /// Rows without dollars that could be added, with their first places as `file:row`.
    pub faults: BTreeMap<Fault, (u64, Vec<String>)>,
    /// Rows, headers apart.
    pub rows: u64,
    /// Line items of usage that a plan or a reservation covers; they are in `usage`.
    pub covered: u64,
    /// Accounts that were seen; at most 20.
    pub accounts: BTreeSet<String>,
    /// Currencies besides US dollars; at most 20.
    pub currencies: BTreeSet<String>,
    seen: HashSet<u128>,
    hasher: RandomState,
}

impl<'a> Bill<'a> {
    /// Empty. With an account, line items of others are set aside.
    pub fn new(allocation: &'a Allocation, account: Option<&'a str>) -> Self {
        Self {
            allocation,
            account,
            usage: BTreeMap::new(),
            asides: BTreeMap::new(),
            faults: BTreeMap::new(),
            rows: 0,
            covered: 0,
            accounts: BTreeSet::new(),
            currencies: BTreeSet::new(),
            seen: HashSet::new(),
            hasher: RandomState::new(),
        }
    }

    /// Adds the rows of a file, which reports call `name`.
    ///
    /// # Errors
    /// When reading fails, and when the header is of no form that is known: what is missing.
    pub fn read(&mut self, name: &str, input: impl BufRead) -> io::Result<Form> {
        let mut rows = Rows::new(input);
        let columns = match rows.next_row()? {
            Some(Row::Cells(heads)) => Columns::of(&heads),
            _ => Err("it has no header; give CSV, unpacked: `gzip -dc FILE.gz`".to_owned()),
        };
        let columns = columns.map_err(|fault| io::Error::new(io::ErrorKind::InvalidData, fault))?;
        for number in 2_u64.. {
            let Some(row) = rows.next_row()? else { break };
            self.rows += 1;
            if let Err(fault) = self.add(&columns, &row) {
                let (count, places) = self.faults.entry(fault).or_default();
                *count += 1;
                if places.len() < PLACES_MAX {
                    places.push(format!("{name}:{number}"));
                }
            }
        }
        Ok(columns.form)
    }

    fn add(&mut self, columns: &Columns, row: &Row) -> Result<(), Fault> {
        let cells = match row {
            Row::Cells(cells) if cells.len() == columns.count => cells,
            Row::Cells(_) | Row::Torn => return Err(Fault::Torn),
            Row::TooLong => return Err(Fault::TooLong),
            Row::NotText => return Err(Fault::NotText),
        };
        let item = columns.item(cells);
        if item.currency != "USD" {
            keep(&mut self.currencies, item.currency);
            return Err(Fault::OtherCurrency);
        }
        let day = item.day.ok_or(Fault::BadDate)?;
        let amount = item.amount.ok_or(Fault::BadAmount)?;
        if !item.id.is_empty() && !self.is_new(cells) {
            return Err(Fault::Duplicate);
        }
        keep(&mut self.accounts, item.account);
        let is_others = self.account.is_some_and(|account| account != item.account);
        let aside = match item.kind {
            _ if is_others => Aside::OtherAccount,
            Kind::Aside(aside) => aside,
            Kind::Usage | Kind::Covered => {
                self.covered += u64::from(item.kind == Kind::Covered);
                let key = self.key(day, &item);
                *self.usage.entry(key).or_default() += amount;
                return Ok(());
            }
        };
        let (count, sum) = self.asides.entry(aside).or_default();
        *count += 1;
        *sum += amount;
        Ok(())
    }

    /// Only a form with ids can tell a line item that came twice from two that look the same. All
    /// cells count: some items come in parts under one id.
    fn is_new(&mut self, cells: &[String]) -> bool {
        let key = (u128::from(self.hasher.hash_one(cells)) << 64)
            | u128::from(self.hasher.hash_one((1_u8, cells)));
        if self.seen.len() >= SEEN_MAX {
            return !self.seen.contains(&key);
        }
        self.seen.insert(key)
    }

    fn key(&self, day: Date, item: &Item<'_>) -> Key {
        let tag = |names: &[&str]| item.tag(names).filter(|value| !value.is_empty());
        let by_name = self
            .allocation
            .owner_of_resource(item.resource, item.service);
        let environment = tag(&["environment", "env"]);
        let key = Key {
            day,
            service: item.service.to_owned(),
            owner: Owner {
                feature: tag(&["feature"]).unwrap_or(by_name.feature),
                team: tag(&["team"]).unwrap_or(by_name.team),
            },
            environment: environment.unwrap_or_else(|| NOBODY.to_owned()),
        };
        if self.usage.len() < SUMS_MAX || self.usage.contains_key(&key) {
            return key;
        }
        Key {
            day: Date::of_ms(0),
            service: OTHERS.to_owned(),
            owner: Owner {
                feature: NOBODY.to_owned(),
                team: NOBODY.to_owned(),
            },
            environment: NOBODY.to_owned(),
        }
    }

    /// All usage.
    pub fn compared(&self) -> Money {
        self.usage.values().copied().sum()
    }

    /// All that is not compared.
    pub fn set_aside(&self) -> Money {
        self.asides.values().map(|(_, amount)| *amount).sum()
    }

    /// Whether so many line items came that duplicates among the last were not noticed.
    pub fn is_beyond_duplicates(&self) -> bool {
        self.seen.len() >= SEEN_MAX
    }
}

fn keep(names: &mut BTreeSet<String>, name: &str) {
    if names.len() < NAMES_MAX && !names.contains(name) {
        names.insert(name.chars().take(40).collect());
    }
}

#[cfg(test)]
#[path = "bill_tests.rs"]
mod tests;
