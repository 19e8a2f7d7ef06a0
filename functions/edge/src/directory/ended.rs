//! Whose sessions end in a region, in whatever room they are: the game took back the tokens by
//! which they joined ([`crate::revocation`]). Every shard is told with the reply to its next
//! heartbeat, until it has said that it knows, and nothing is posted to anybody: nobody knows where
//! a player is, and a region may have a thousand shards. It is kept beside the number of buckets,
//! which each heartbeat reads anyway.

use serde::{Deserialize, Serialize};
use wire::problem::ProblemKind;
use wire::{PlayerId, SessionId};

use super::record::SHARD_TTL_MS;
use crate::{Refusal, stored};

/// Sort key behind that of the number of buckets; nothing sorts between.
pub(super) const SORT: &str = "ended";
/// Most players of a region at a time: the item stays within one unit of reading.
pub const MAX_ENDED: usize = 48;

/// The players whose sessions end, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StoredEnded {
    #[serde(rename = "p", default)]
    players: Vec<Ended>,
}

stored!(ended: StoredEnded);

/// A player whose sessions end that he joined until a moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// Who.
    #[serde(rename = "p")]
    pub player: PlayerId,
    /// Until when, Unix milliseconds; no two of a region have the same.
    #[serde(rename = "a")]
    pub at_ms: u64,
}

impl Ended {
    /// By which a shard says that it has been told.
    pub fn nonce(&self) -> SessionId {
        SessionId(self.at_ms.to_be_bytes())
    }
}

impl StoredEnded {
    /// Those of whom a shard is yet to be told that was told of all until `told_ms`, and knows
    /// those of these nonces; and until when it has been told of all.
    pub(super) fn since(&self, told_ms: u64, taken: &[SessionId]) -> (Vec<Ended>, u64) {
        let newer = self.players.iter().filter(|one| one.at_ms > told_ms);
        let newer: Vec<&Ended> = newer.collect();
        let is_taken = |one: &&&Ended| taken.contains(&one.nonce());
        let known = newer.iter().take_while(is_taken).count();
        let told_ms = newer[..known].last().map_or(told_ms, |last| last.at_ms);
        (newer[known..].iter().copied().cloned().collect(), told_ms)
    }

    /// Adds a player, or moves him to the end. Those of whom no shard is heard any more that has
    /// not been told are forgotten.
    pub(super) fn add(&mut self, now_ms: u64, player: &PlayerId) -> Result<(), Refusal> {
        let last_ms = self.players.last().map_or(0, |one| one.at_ms);
        let is_kept = |one: &Ended| one.at_ms + SHARD_TTL_MS > now_ms && one.player != *player;
        self.players.retain(is_kept);
        if self.players.len() >= MAX_ENDED {
            let oldest_ms = self.players[0].at_ms;
            let wait_s = (oldest_ms + SHARD_TTL_MS)
                .saturating_sub(now_ms)
                .div_ceil(1000);
            let detail = format!(
                "The tokens count no more from the next join on. Sessions of {MAX_ENDED} players \
                 were ended within ten minutes: send it again in {wait_s} seconds to end his, or \
                 change the game's signing key."
            );
            return Err(Refusal::new(ProblemKind::TooFast, detail).retry_after(wait_s));
        }
        self.players.push(Ended {
            player: player.clone(),
            at_ms: now_ms.max(last_ms + 1),
        });
        Ok(())
    }

    /// When nobody needs to be told any more, Unix milliseconds.
    pub(super) fn expires_at_ms(&self) -> Option<u64> {
        self.players.last().map(|last| last.at_ms + SHARD_TTL_MS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: usize) -> PlayerId {
        format!("p{n}").parse().unwrap()
    }

    fn names(untold: &[Ended]) -> Vec<String> {
        untold.iter().map(|one| one.player.to_string()).collect()
    }

    #[test]
    fn a_shard_is_told_until_it_says_that_it_knows() {
        let mut all = StoredEnded::default();
        for n in 0..3 {
            all.add(1_000, &id(n)).unwrap();
        }
        let (untold, told_ms) = all.since(0, &[]);
        assert_eq!(
            (names(&untold), told_ms),
            (vec!["p0".into(), "p1".into(), "p2".into()], 0)
        );
        // It knows the first and the last, and is told of the middle one again, and the last.
        let taken = [untold[0].nonce(), untold[2].nonce()];
        let (untold, told_ms) = all.since(told_ms, &taken);
        assert_eq!(
            (names(&untold), told_ms),
            (vec!["p1".into(), "p2".into()], 1_000)
        );
        let taken = [untold[0].nonce(), untold[1].nonce()];
        let (untold, told_ms) = all.since(told_ms, &taken);
        assert_eq!((untold.len(), told_ms), (0, 1_002));
        // Again, as somebody new, also when the clock has gone back.
        all.add(900, &id(0)).unwrap();
        let (untold, told_ms) = all.since(told_ms, &[]);
        assert_eq!((names(&untold), told_ms), (vec!["p0".into()], 1_002));
    }

    #[test]
    fn there_are_only_so_many_at_a_time() {
        let mut all = StoredEnded::default();
        for n in 0..MAX_ENDED {
            all.add(1_000 + n as u64, &id(n)).unwrap();
        }
        let refused = all.add(2_000, &id(MAX_ENDED)).unwrap_err();
        assert_eq!(refused.kind, ProblemKind::TooFast);
        all.add(2_000, &id(7)).expect("he is among them");
        all.add(1_000 + SHARD_TTL_MS, &id(MAX_ENDED)).unwrap();
        let held = crate::items::Held::written(all, 1);
        let written = serde_json::to_vec(&held.value).unwrap();
        assert!(written.len() < 3_500, "{}", written.len());
    }
}
