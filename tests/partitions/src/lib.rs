//! How hot each partition of the store is at a million players: what requests use of each is
//! measured on the real functions, on a store that tells and can refuse what a partition of
//! DynamoDB does not take ([`edge::testing::LimitedStore`]); how many requests there are is assumed
//! in one place ([`demand`]).

pub mod balance;
pub mod demand;
pub mod game;
pub mod load;
pub mod measure;
pub mod table;
