//! What people do who mean no good, by the seed of a run: each kind alone in a million seeds, so
//! that what a seed has found stays what it is when another kind is added, and all at once beyond.

/// Kinds of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Hostile {
    /// Clients flood.
    pub floods: bool,
    /// People send in other people's names.
    pub forges: bool,
    /// Clients never say the hello that they announce.
    pub ghosts: bool,
}

impl Hostile {
    /// Seeds from here on have floods.
    pub const FLOODS_FROM: u64 = 11_000_000;
    /// A million seeds from here on have forgers as well.
    pub const FORGERS_FROM: u64 = 12_000_000;
    /// A million seeds from here on have ghosts as well.
    pub const GHOSTS_FROM: u64 = 14_000_000;
    /// Seeds from here on have all of them.
    pub const ALL_FROM: u64 = 15_000_000;

    /// Those of a run.
    pub(crate) fn of(seed: u64) -> Self {
        let has = |from: u64| seed >= Self::ALL_FROM || (from..from + 1_000_000).contains(&seed);
        Self {
            floods: seed >= Self::FLOODS_FROM,
            forges: has(Self::FORGERS_FROM),
            ghosts: has(Self::GHOSTS_FROM),
        }
    }
}
