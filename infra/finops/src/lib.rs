//! What the service costs, in dollars, from the records that it writes: a dated book of prices,
//! cost per invocation and per player, a gate on what is counted, and reports. Pure functions of
//! records, prices and a day; the command `finops` reads files and clocks.

pub mod allocation;
pub mod bill;
pub mod book;
pub mod budgets;
pub mod calendar;
pub mod chance;
pub mod charges;
pub mod commitments;
pub mod cost;
pub mod csv;
pub mod date;
pub mod day;
pub mod forecast;
pub mod gate;
pub mod hours;
pub mod invocations;
pub mod lambda;
pub mod measured;
pub mod money;
pub mod page;
pub mod plan;
pub mod reconcile;
pub mod records;
pub mod report;
pub mod terraform;
pub mod tracker;
pub mod usage;
pub mod vendors;
pub mod waste;

pub use allocation::Allocation;
pub use book::Book;
pub use budgets::Budgets;
pub use cost::{Cost, Rates, Used};
pub use date::Date;
pub use day::Day;
pub use hours::Hours;
pub use lambda::Functions;
pub use money::Money;
