//! What the table and the bench say, held true.

#[path = "it/the-table-is-true.rs"]
mod the_table_is_true;
