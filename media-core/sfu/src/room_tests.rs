//! A room against a reference model.
