//! The ports of edge on Spin: SQLite store, variables, outbound http, WASI clock and random.
//!
//! Everything that needs the SDK is compiled for Wasm only; the SQL is tested on the host against
//! the same SQLite.

#![allow(
    async_fn_in_trait,
    reason = "futures of Wasm components are not Send, see edge"
)]

pub mod sql;

#[cfg(target_family = "wasm")]
mod host;

#[cfg(target_family = "wasm")]
pub use host::{SpinHost, serve};
