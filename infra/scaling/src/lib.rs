//! How many relays a region has, and what is done with which of them: a pure function of what is
//! there, what is foretold and the time. The command `scale` reads and does; `bench-scaling` plays
//! weeks. Why it is so: infra/decisions/0048.

pub mod act;
pub mod arguments;
pub mod decide;
pub mod history;
pub mod need;
pub mod outlook;
pub mod play;
pub mod policy;
pub mod schedule;
pub mod seen;
mod victims;

pub use act::{Act, Decision, EndsBecause, Note, Why};
pub use decide::decide;
pub use outlook::Outlook;
pub use policy::Policy;
pub use seen::{Memory, Relay, Seen, State};
