//! How large an attack is: small in CI, large by hand.

use std::time::Duration;

/// How large an attack is.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    /// Listeners of each of the two rooms.
    pub listeners: u32,
    /// How long the attack lasts.
    pub time: Duration,
}

impl Scale {
    /// Small, or large where `ATTACK` is `large`.
    pub fn wanted() -> Self {
        let is_large = std::env::var("ATTACK").is_ok_and(|scale| scale == "large");
        let (listeners, seconds) = if is_large { (40, 20) } else { (6, 7) };
        Self {
            listeners,
            time: Duration::from_secs(seconds),
        }
    }
}
