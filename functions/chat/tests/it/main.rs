//! The function as its callers see it: one program, because each would link it again.

#![allow(
    clippy::unwrap_used,
    reason = "a failure in a helper is a failure of its test"
)]

mod rig;

#[path = "against-a-model.rs"]
mod against_a_model;
#[path = "any-text.rs"]
mod any_text;
#[path = "channels-by-age.rs"]
mod channels_by_age;
mod halls;
mod limits;
mod messages;
#[path = "one-log-for-all.rs"]
mod one_log_for_all;
mod pushes;
mod retention;
