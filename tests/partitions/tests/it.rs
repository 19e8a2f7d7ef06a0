//! What the table and the bench say, held true.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

#[path = "it/the-table-is-true.rs"]
mod the_table_is_true;
