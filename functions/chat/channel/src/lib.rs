//! A chat channel as the store keeps it: who may do what there, its messages, its authors, and the
//! trail of what moderators did. It is what chat and safety share: these forms of the store are
//! decided here and nowhere else.

#![allow(
    async_fn_in_trait,
    reason = "generic over ports, see Send in the crate edge"
)]

pub mod access;
pub mod audit;
pub mod author;
pub mod log;
pub mod message;
pub mod plain;
pub mod way;
