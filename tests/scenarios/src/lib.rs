//! What every host must do alike: one suite of API scenarios, the hosts to run it against, and
//! what tests of other crates need of that.

pub mod gateway;
pub mod hosts;
pub mod http;
pub mod instance;
pub mod moto;
pub mod programs;
pub mod proxy;
pub mod requests;
pub mod shard;
pub mod sts;
pub mod suite;
pub mod target;
pub mod tokens;
