//! What a report is made of.

use super::bars::Bars;

/// A report: its parts in order.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// What it is about.
    pub title: String,
    /// Its parts.
    pub parts: Vec<Part>,
}

/// A part of a report.
#[derive(Debug, Clone)]
pub enum Part {
    /// A heading.
    Heading(String),
    /// A paragraph.
    Text(String),
    /// Something that the reader must not overlook.
    Warning(String),
    /// A table.
    Table(Table),
    /// A chart. Where there are no pictures, the table that goes with it says the same.
    Bars(Bars),
}

/// A table; the first column names its rows, and what looks like a number is set like one.
#[derive(Debug, Clone, Default)]
pub struct Table {
    /// Names of the columns, with their units.
    pub heads: Vec<String>,
    /// Its cells.
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// With these columns, and no row yet.
    pub fn new(heads: &[&str]) -> Self {
        Self {
            heads: heads.iter().map(|head| (*head).to_owned()).collect(),
            rows: Vec::new(),
        }
    }
}

/// Whether a cell is set like a number.
pub(super) fn is_number(cell: &str) -> bool {
    cell == "-" || cell.starts_with(|c: char| c.is_ascii_digit() || c == '-')
}
