//! What is used, and what that costs in a region.

use std::collections::BTreeSet;
use std::iter::Sum;
use std::ops::{Add, AddAssign};

use crate::book::{AWS, Book, HOME_REGION, Missing, Price};
use crate::money::Money;

/// What a request or many of them used, in the parts in which AWS counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Used {
    /// Requests that API Gateway counts: one for each 512 KB begun.
    pub gateway_requests: u128,
    /// Invocations.
    pub requests: u128,
    /// Billed milliseconds times MB.
    pub mb_ms: u128,
    /// Read units of DynamoDB.
    pub read_units: u128,
    /// Write units of DynamoDB.
    pub write_units: u128,
    /// Bytes that CloudWatch takes in.
    pub log_bytes: u128,
    /// Bytes to the internet.
    pub egress_bytes: u128,
}

/// What it costs, by what is paid for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    /// API Gateway.
    pub gateway: Money,
    /// Lambda: invocations, and memory for a time.
    pub compute: Money,
    /// DynamoDB.
    pub store: Money,
    /// CloudWatch Logs.
    pub logs: Money,
    /// Traffic to the internet.
    pub egress: Money,
}

impl Cost {
    /// Names of the parts, in their order.
    pub const PARTS: [&str; 5] = ["gateway", "compute", "store", "logs", "egress"];

    /// The parts, in the order of their names.
    pub fn parts(&self) -> [Money; 5] {
        [
            self.gateway,
            self.compute,
            self.store,
            self.logs,
            self.egress,
        ]
    }

    /// All parts together.
    pub fn total(&self) -> Money {
        self.parts().into_iter().sum()
    }
}

impl Add for Used {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self {
            gateway_requests: self.gateway_requests + other.gateway_requests,
            requests: self.requests + other.requests,
            mb_ms: self.mb_ms + other.mb_ms,
            read_units: self.read_units + other.read_units,
            write_units: self.write_units + other.write_units,
            log_bytes: self.log_bytes + other.log_bytes,
            egress_bytes: self.egress_bytes + other.egress_bytes,
        }
    }
}

impl AddAssign for Used {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Used {
    /// The same for `times / of` as much, each part rounded down.
    ///
    /// # Panics
    /// When `of` is 0.
    pub fn scaled(self, times: u128, of: u128) -> Self {
        let scale = |part: u128| part.saturating_mul(times) / of;
        Self {
            gateway_requests: scale(self.gateway_requests),
            requests: scale(self.requests),
            mb_ms: scale(self.mb_ms),
            read_units: scale(self.read_units),
            write_units: scale(self.write_units),
            log_bytes: scale(self.log_bytes),
            egress_bytes: scale(self.egress_bytes),
        }
    }
}

impl Add for Cost {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self {
            gateway: self.gateway + other.gateway,
            compute: self.compute + other.compute,
            store: self.store + other.store,
            logs: self.logs + other.logs,
            egress: self.egress + other.egress,
        }
    }
}

impl AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for Cost {
    fn sum<I: Iterator<Item = Self>>(costs: I) -> Self {
        costs.fold(Self::default(), Add::add)
    }
}

/// Prices of the edge in one region.
#[derive(Debug, Clone, Copy)]
pub struct Rates<'a> {
    gateway: &'a Price,
    request: &'a Price,
    duration: &'a Price,
    read: &'a Price,
    write: &'a Price,
    log: &'a Price,
    egress: &'a Price,
}

impl<'a> Rates<'a> {
    /// The prices of a region: HTTP API, Lambda on arm64, DynamoDB on demand. What the book does
    /// not have of it comes from [`HOME_REGION`] and is noted in `substituted`.
    ///
    /// # Errors
    /// [`Missing`] when the home region has none either.
    pub fn of(
        book: &'a Book,
        region: &str,
        substituted: &mut BTreeSet<Missing>,
    ) -> Result<Self, Missing> {
        let mut price = |item: &str| match book.price(item, AWS, region) {
            Ok(price) => Ok(price),
            Err(missing) => {
                let price = book.price(item, AWS, HOME_REGION)?;
                substituted.insert(missing);
                Ok(price)
            }
        };
        Ok(Self {
            gateway: price("gateway-http-request")?,
            request: price("lambda-request")?,
            duration: price("lambda-duration-arm")?,
            read: price("dynamodb-read-unit")?,
            write: price("dynamodb-write-unit")?,
            log: price("log-ingest")?,
            egress: price("egress-internet")?,
        })
    }

    /// What a part of a month's bill costs: at the first tier of each price, allowances used up.
    pub fn of_part(&self, used: &Used) -> Cost {
        self.cost(used, Price::of_part)
    }

    /// What it costs when it is all that a month has: through the tiers and allowances.
    pub fn of_month(&self, used: &Used) -> Cost {
        self.cost(used, Price::of_month)
    }

    fn cost(&self, used: &Used, of: impl Fn(&Price, u128) -> Money) -> Cost {
        Cost {
            gateway: of(self.gateway, used.gateway_requests),
            compute: of(self.request, used.requests) + of(self.duration, used.mb_ms),
            store: of(self.read, used.read_units) + of(self.write, used.write_units),
            logs: of(self.log, used.log_bytes),
            egress: of(self.egress, used.egress_bytes),
        }
    }
}
