//! Tokens that count no longer although their time is not over: those of a player that were issued
//! before a moment, and whatever functions lent him for them. Safety writes it.
//!
//! | partition | sort | holds |
//! |---|---|---|
//! | `chat-player#P` | `barred` | from when on tokens of P count |
//! | `chat-player#P` | `cut-off` | the same again |
//!
//! It is there twice, written at once, since it is read along with what else of a player is read:
//! his blocks begin directly behind the one ([`crate::blocks`]), and whom he has blocked last comes
//! directly before the other. So neither a join nor queueing up reads more for it. Who reads
//! neither asks for it alone, or not at all ([`wire::routes::Route::asks_revocation`]).
//!
//! It is kept for as long as a token lives: every token of before is over then.

use serde::{Deserialize, Serialize};
use wire::PlayerId;
use wire::claims::Claims;
use wire::problem::ProblemKind;

use crate::Refusal;
use crate::change::{unless_lost, until_done};
use crate::items::{self, Held};
use crate::player::player_partition;
use crate::ports::{Entropy, Timer};
use crate::store::{Condition, Item, Key, Put, Store, StoreError, Write};
use crate::stored;
use crate::token::NOT_BEFORE_LEEWAY_S;

/// Sort key before those of blocks; nothing sorts between.
pub const BEFORE_BLOCKS: &str = "barred";
/// Sort key behind `blocked-newest`; nothing sorts between.
pub const AFTER_BLOCKS: &str = "cut-off";
/// Longest time for which it is kept, in seconds, however long tokens live: ten years.
const MAX_KEPT_S: u64 = 10 * 365 * 24 * 60 * 60;

/// From when on a player's tokens count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    /// Unix seconds; 0 where nothing was revoked.
    #[serde(rename = "s")]
    not_before_s: u64,
}

stored!(revocation: Revocation);

impl Revocation {
    /// What a range of items of a player says of it, which holds either of the two.
    ///
    /// # Errors
    /// [`StoreError::Unreadable`]: what cannot be read is never taken for nothing.
    pub(crate) fn among(partition: &str, items: &[Item]) -> Result<Self, StoreError> {
        let is_it = |item: &&Item| is_revocation(&item.sort);
        match items.iter().find(is_it) {
            Some(item) => Ok(Held::read(partition, item)?.value),
            None => Ok(Self::default()),
        }
    }

    /// Whether a token with these claims counts. One that does not say when it was issued does not
    /// once anything is revoked.
    ///
    /// # Errors
    /// `token-revoked`.
    pub fn check(self, claims: &Claims) -> Result<(), Refusal> {
        if self.not_before_s == 0 || claims.iat.is_some_and(|iat| iat >= self.not_before_s) {
            return Ok(());
        }
        let detail = "The game took this token back: get a new one from it, that says when it was \
                      issued (iat).";
        Err(Refusal::new(ProblemKind::TokenRevoked, detail))
    }
}

/// Whether a sort key of a player's partition is of this: what has to outlive his data.
pub fn is_revocation(sort: &str) -> bool {
    [BEFORE_BLOCKS, AFTER_BLOCKS].contains(&sort)
}

/// Has no token of a player count that was issued until now, this second included; returns the
/// first second (Unix time) of those that do. Tokens live `life_s` at most.
///
/// # Errors
/// `conflict` or `store-unavailable`.
pub async fn revoke<H: Entropy + Timer, S: Store>(
    host: &H,
    store: &S,
    now_ms: u64,
    player: &PlayerId,
    life_s: u64,
) -> Result<u64, Refusal> {
    let partition = player_partition(player);
    let key = Key::new(&partition, BEFORE_BLOCKS);
    let kept_ms = (life_s.min(MAX_KEPT_S) + NOT_BEFORE_LEEWAY_S) * 1000;
    until_done(host, || async {
        let held: Held<Revocation> = items::get(store, now_ms, key).await?.unwrap_or_default();
        let new = Revocation {
            not_before_s: held.value.not_before_s.max(now_ms / 1000 + 1),
        };
        // A second of which a part is over may still issue some.
        let expires_at_ms = Some(new.not_before_s * 1000 + kept_ms);
        let again = serde_json::to_vec(&new).expect("a number is written");
        let again = Write::Put(Put {
            key: Key::new(&partition, AFTER_BLOCKS),
            value: &again,
            expires_at_ms,
            condition: Condition::Always,
        });
        let to = (key, held.over());
        let written = items::put_with(store, now_ms, to, &new, expires_at_ms, &[again]).await;
        Ok(unless_lost(written)?.map(|()| new.not_before_s))
    })
    .await
}

/// Asks whether a token with these claims counts: one read.
///
/// # Errors
/// `token-revoked` or `store-unavailable`.
pub async fn check<S: Store>(store: &S, now_ms: u64, claims: &Claims) -> Result<(), Refusal> {
    let partition = player_partition(&claims.sub);
    let key = Key::new(&partition, BEFORE_BLOCKS);
    let held: Option<Held<Revocation>> = items::get(store, now_ms, key).await?;
    held.unwrap_or_default().value.check(claims)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blocks;
    use crate::testing::schedule::block_on;
    use crate::testing::{MemoryStore, Patience};

    const NOW_MS: u64 = 1_700_000_000_500;
    const NOW_S: u64 = NOW_MS / 1000;
    const LIFE_S: u64 = 100;

    fn claims(iat: Option<u64>) -> Claims {
        Claims {
            iat,
            ..crate::testing::host::claims("ann", None)
        }
    }

    fn revoked() -> MemoryStore {
        let store = MemoryStore::default();
        let ann = "ann".parse().unwrap();
        let from_s = block_on(revoke(&Patience, &store, NOW_MS, &ann, LIFE_S));
        assert_eq!(from_s, Ok(NOW_S + 1));
        store
    }

    #[test]
    fn a_token_from_before_counts_no_more_whoever_reads_it_along() {
        let store = revoked();
        let kinds = |iat, now_ms| {
            let claims = claims(iat);
            let kind = |refusal: Refusal| refusal.kind;
            block_on(async {
                [
                    check(&store, now_ms, &claims).await.map_err(kind),
                    blocks::newest(&store, now_ms, &claims)
                        .await
                        .map(drop)
                        .map_err(kind),
                    blocks::of_caller(&store, now_ms, &claims)
                        .await
                        .map(drop)
                        .map_err(kind),
                    blocks::blocked_either_way(&store, now_ms, &claims)
                        .await
                        .map(drop)
                        .map_err(kind),
                ]
            })
        };
        let refused = [Err(ProblemKind::TokenRevoked); 4];
        assert_eq!(kinds(Some(NOW_S), NOW_MS), refused);
        assert_eq!(kinds(Some(NOW_S - 50), NOW_MS), refused);
        assert_eq!(kinds(None, NOW_MS), refused, "nobody knows of when it is");
        assert_eq!(kinds(Some(NOW_S + 1), NOW_MS), [Ok(()); 4]);
        // As long as one of before lives, and no longer.
        let over_ms = (NOW_S + 1 + LIFE_S + NOT_BEFORE_LEEWAY_S) * 1000;
        assert_eq!(kinds(Some(NOW_S), over_ms - 1), refused);
        assert_eq!(kinds(Some(NOW_S), over_ms), [Ok(()); 4]);
    }

    #[test]
    fn it_never_goes_back_and_is_the_players_own() {
        let store = revoked();
        let ann = "ann".parse().unwrap();
        let earlier = block_on(revoke(&Patience, &store, NOW_MS - 9_000, &ann, LIFE_S));
        assert_eq!(earlier, Ok(NOW_S + 1), "a clock that goes behind");
        let bob = crate::testing::host::claims("bob", None);
        assert_eq!(block_on(check(&store, NOW_MS, &bob)), Ok(()));
    }

    #[test]
    fn it_is_read_beside_as_many_blocks_as_there_may_be() {
        let (store, ann) = (MemoryStore::default(), "ann".parse().unwrap());
        block_on(async {
            for n in 0..blocks::MAX_BLOCKS {
                let other = format!("p{n}").parse().unwrap();
                let pair = (&ann, &other);
                blocks::set(&Patience, &store, NOW_MS, pair, true).await?;
            }
            let blocked = blocks::of_caller(&store, NOW_MS, &claims(None)).await?;
            assert_eq!(blocked.len(), blocks::MAX_BLOCKS);
            revoke(&Patience, &store, NOW_MS, &ann, LIFE_S).await?;
            let refused = blocks::of_caller(&store, NOW_MS, &claims(None)).await;
            assert_eq!(refused.unwrap_err().kind, ProblemKind::TokenRevoked);
            assert_eq!(
                blocks::blocked_by(&store, NOW_MS, &ann).await?.len(),
                blocks::MAX_BLOCKS
            );
            Ok::<(), Refusal>(())
        })
        .unwrap();
    }
}
