//! What benchmarks have in common: their table, their file, and dollars.

pub mod prices;
mod report;

pub use finops::gate::{Counted, Counts};
pub use finops::measured::Million;
pub use report::{Aim, Report, quantile};
