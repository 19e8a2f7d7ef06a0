//! How the store does.

/// How the store does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreWeather {
    /// It answers within a few milliseconds.
    Fine,
    /// It takes up to most of a second.
    Slow,
    /// Of eight calls one happens and its reply is lost, and one does not happen.
    Lossy,
    /// It refuses everything.
    Down,
}
