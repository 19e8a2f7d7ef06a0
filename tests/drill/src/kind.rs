//! Kinds of drills.

use clap::ValueEnum;

/// What is drilled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// A relay is killed
    Kill,
    /// A relay is drained
    Drain,
    /// The edge is killed and started again
    EdgeRestart,
    /// The store answers nothing for a while
    StoreOutage,
    /// A relay is frozen until everybody is elsewhere
    Freeze,
    /// A relay goes on that stood still, while some have gone and some have not
    Thaw,
}

impl Kind {
    /// As tables say it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Freeze => "freeze",
            Self::Thaw => "thaw",
            Self::Drain => "drain",
            Self::EdgeRestart => "edge restart",
            Self::StoreOutage => "store outage",
        }
    }
}
