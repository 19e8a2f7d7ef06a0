//! Where things are kept of a player, by whichever function.

use wire::PlayerId;

/// The partition of everything that chat keeps of a player.
pub fn player_partition(player: &PlayerId) -> String {
    format!("chat-player#{player}")
}
