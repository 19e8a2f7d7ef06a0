//! What benchmarks have in common: their table, their file, and list prices.

pub mod prices;
mod report;

pub use report::{Aim, Report, quantile};
