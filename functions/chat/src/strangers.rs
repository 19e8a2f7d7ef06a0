//! How many players a player may address directly for the first time. What he writes to each is
//! bounded with the channel; without this, he would have as many bounds as there are players.

use edge::Refusal;
use edge::blocks::player_partition;
use edge::change::{unless_lost, until_done};
use edge::gcra::Gcra;
use edge::items::{self, Held};
use edge::ports::{Entropy, Timer};
use edge::store::{Key, Store};
use serde::{Deserialize, Serialize};
use wire::PlayerId;
use wire::problem::ProblemKind;

const SORT: &str = "strangers";
const HOUR_MS: u64 = 60 * 60 * 1000;
/// Players whom he may address first in an hour, and at once after a pause.
const PER_HOUR: u64 = 30;
const STRANGERS: Gcra = Gcra {
    at_once: PER_HOUR,
    every_ms: HOUR_MS / PER_HOUR,
};

/// Until when he has spent them, Unix milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Spent {
    #[serde(rename = "t")]
    until_ms: u64,
}

edge::stored!(strangers: Spent);

/// Takes one of them. Only a first word costs that: the author's item says when it was not.
///
/// # Errors
/// `too-fast`.
pub(crate) async fn charge<H: Entropy + Timer, S: Store>(
    host: &H,
    store: &S,
    now_ms: u64,
    player: &PlayerId,
) -> Result<(), Refusal> {
    let partition = player_partition(player);
    let key = Key::new(&partition, SORT);
    until_done(host, || async {
        let held: Held<Spent> = items::get(store, now_ms, key).await?.unwrap_or_default();
        let until_ms = STRANGERS
            .take(held.value.until_ms, now_ms)
            .map_err(|wait_ms| {
                let wait_s = wait_ms.div_ceil(1000);
                let detail = format!(
                    "The player has addressed {PER_HOUR} strangers within an hour; wait {wait_s} s."
                );
                Refusal::new(ProblemKind::TooFast, detail).retry_after(wait_s)
            })?;
        let (spent, expires) = (Spent { until_ms }, Some(until_ms));
        let put = items::put(store, now_ms, key, &spent, expires, held.over()).await;
        Ok(unless_lost(put)?.map(drop))
    })
    .await
}
