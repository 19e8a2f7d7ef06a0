//! What all functions share: ports, authentication, problem replies, the relay directory and the
//! invocation record.
//!
//! Nothing here reads a clock, draws randomness or knows a runtime; all of that comes in through
//! the [`ports`] and the [`store`]. Function crates are written against the ports, adapters
//! (`edge-spin`) implement them.
//!
//! **Send.** The ports are traits with native `async fn` and no `Send` bound, because futures of
//! Wasm components are not `Send`. Functions are generic over their ports and never box a future,
//! so an operation's own future follows its adapter. A request served by [`http::serve`] does not:
//! the router asks for revocation with a borrowed store, and rustc cannot prove that `Send` for
//! every lifetime. The hosts therefore keep a request on one thread (a component has no other, and
//! a Lambda serves one request at a time).

#![allow(
    async_fn_in_trait,
    reason = "see Send above: callers are generic, so the auto trait follows the adapter"
)]

pub mod allowed_hosts;
pub mod blocks;
mod both;
mod caller;
pub mod change;
pub mod config;
pub mod directory;
pub mod gcra;
pub mod homes;
pub mod http;
pub mod items;
mod meter;
mod player;
pub mod policy;
pub mod ports;
pub mod rates;
mod refusal;
pub mod relays;
pub mod revocation;
pub mod sanctions;
pub mod store;
mod stored;
pub mod token;

#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use both::both;
pub use caller::Caller;
pub use meter::Metered;
pub use refusal::Refusal;
