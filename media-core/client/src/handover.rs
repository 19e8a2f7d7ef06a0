//! Moving from one relay to another without a gap. Players move one by one, so for a while some are
//! heard on the old relay and some on the new one. The old connection stays until nobody is left
//! there; each player is heard from exactly one of the two. As `functions/web/sdk/handover.js`.

use std::collections::BTreeSet;
use std::time::Duration;

use wire::PlayerId;

use crate::roster::View;

/// The old connection is given up after this long, whoever is still there.
pub const HANDOVER_MAX: Duration = Duration::from_secs(20);
/// From a player's arrival on the new relay until he is heard from there: his audio has to come.
pub const SETTLE: Duration = Duration::from_millis(250);

/// The players who are heard from the old relay: the others of `before` who have not been on the
/// new one for a while (`settled`).
pub fn left_behind(before: &View, settled: &BTreeSet<PlayerId>) -> BTreeSet<PlayerId> {
    let own = before.own_player();
    let mut players = before.players();
    players.retain(|player| Some(player) != own && !settled.contains(player));
    players
}
