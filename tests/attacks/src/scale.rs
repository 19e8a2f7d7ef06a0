//! How large an attack is: small in CI, large by hand.

use std::time::Duration;

/// How large an attack is.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    /// By hand, on an idle machine.
    pub is_large: bool,
    /// Listeners of each of the two rooms.
    pub listeners: u32,
    /// How long the attack lasts.
    pub time: Duration,
    /// The loss that bystanders may notice, 0 to 1. In CI they share two cores with many other
    /// tests, and lose voice by that alone; there the relay's own figures decide.
    pub most_loss: f64,
}

impl Scale {
    /// Small, or large where `ATTACK` is `large`.
    pub fn wanted() -> Self {
        let is_large = std::env::var("ATTACK").is_ok_and(|scale| scale == "large");
        let (listeners, seconds, most_loss) = if is_large {
            (40, 20, 0.001)
        } else {
            (6, 7, 0.5)
        };
        Self {
            is_large,
            listeners,
            time: Duration::from_secs(seconds),
            most_loss,
        }
    }
}
