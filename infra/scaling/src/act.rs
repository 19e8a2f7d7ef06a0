//! What a decision says is to be done.

use std::fmt;

use crate::seen::{DrainWhy, Memory};

/// What is wanted, and how to come there.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// Relays that are to take people.
    pub wanted: u32,
    /// Fewest machines that the group may have.
    pub floor: u32,
    /// Machines that the group is to have, drained ones included.
    pub desired: u32,
    /// In this order.
    pub acts: Vec<Act>,
    /// What a person should know.
    pub notes: Vec<Note>,
    /// For the next decision, when the acts are done.
    pub memory: Memory,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// A drained relay is needed after all: it takes people again.
    Return {
        /// Its instance.
        id: String,
    },
    /// Launch until the group has so many machines.
    Grow {
        /// Machines, drained ones included.
        to: u32,
        /// Why.
        why: Why,
    },
    /// It takes nobody more, and moves whom it has.
    Drain {
        /// Its instance.
        id: String,
        /// Why.
        why: DrainWhy,
    },
    /// Its machine ends.
    End {
        /// Its instance.
        id: String,
        /// Why now.
        why: EndsBecause,
        /// Whether the group has one fewer then. Where it would have fewer than its floor, it
        /// launches another instead.
        shrinks: bool,
    },
}

/// Why a group grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Those who are there now, or are foretold within the lead, are more.
    Demand,
    /// The floor is higher: the coming hours' peak.
    Floor,
    /// A relay that takes people was lost.
    Lost,
}

/// Why a machine may end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndsBecause {
    /// Nobody is on it.
    Empty,
    /// It was drained for as long as a drain may take; who is left is moved by its hook.
    Limit,
}

/// What a person should know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Note {
    /// More is wanted than the limit allows.
    AtLimit,
    /// The group cannot launch: nothing is taken away, whatever the demand.
    LaunchesFail,
    /// More relays are unheard than can be hung: nothing is done about them.
    TooManySilent,
    /// There is no forecast: nothing is taken away.
    NoForecast,
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Return { id } => write!(f, "{id} takes people again: it is needed after all"),
            Self::Grow { to, why } => write!(f, "grow to {to} machines: {}", why.sentence()),
            Self::Drain { id, why } => match why {
                DrainWhy::TooMany => write!(f, "drain {id}: there are more than are needed"),
                DrainWhy::Hung => write!(f, "drain {id}, which hangs; another takes its place"),
            },
            Self::End { id, why, .. } => match why {
                EndsBecause::Empty => write!(f, "end {id}: nobody is on it"),
                EndsBecause::Limit => {
                    write!(
                        f,
                        "end {id}: it was drained for as long as a drain may take"
                    )
                }
            },
        }
    }
}

impl Why {
    fn sentence(self) -> &'static str {
        match self {
            Self::Demand => "more people are there or foretold",
            Self::Floor => "the peak of the coming hours needs them",
            Self::Lost => "one that took people is lost",
        }
    }
}

impl Note {
    /// What it means, and what to do.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::AtLimit => {
                "more is wanted than `most` allows: raise it in infra/ops/scaling.toml and `max` \
                 of the group, after the quotas of vCPUs and addresses"
            }
            Self::LaunchesFail => {
                "the group's last launch failed, so nothing is taken away; `aws autoscaling \
                 describe-scaling-activities` says why"
            }
            Self::TooManySilent => {
                "more relays are unheard than can be hung, so nothing is done about them: look at \
                 the edge and the table first"
            }
            Self::NoForecast => {
                "there are too few records for a forecast (three days are the least), so nothing \
                 is taken away"
            }
        }
    }
}
