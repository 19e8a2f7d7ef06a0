//! Programs as tests run them: started, watched, frozen, stopped, killed, never left behind.
//!
//! A [`Process`] is a handle of a running program; clones are handles of the same one, and the last
//! to be dropped kills it. What it writes is read all the time, so no pipe fills up. Every wait has
//! a limit, and an error that says what the program last wrote.

mod figures;
mod launch;
mod lines;
mod running;

pub use figures::{Figures, figures};
pub use launch::command;
pub use lines::{LINES_MAX, Stream};
pub use running::Process;
