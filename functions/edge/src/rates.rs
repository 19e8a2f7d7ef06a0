//! How often one token may ask for each class of routes, counted by the process that serves it: no
//! item is written for it. A host keeps one [`Rates`] and asks it before a function runs. On Lambda
//! each instance counts for itself, so that there a token has as many times the rate as instances
//! serve it; what must hold whatever the host is kept in items that a request writes anyway
//! (messages in their author's, tickets in their player's).

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use data_encoding::BASE64URL_NOPAD;
use serde::Deserialize;
use wire::claims::Role;
use wire::problem::ProblemKind;
use wire::routes::{Class, Rate, Route};

use crate::Refusal;
use crate::gcra::Gcra;
use crate::http::Response;

/// Most tokens and classes that are counted at a time, at 24 bytes; those beyond are not counted.
const CELLS_MAX: usize = 200_000;
/// How long it is at least between two searches for cells that are as good as none, milliseconds.
const SWEEP_EVERY_MS: u64 = 1_000;
const MINUTE_MS: u64 = 60_000;

/// What tokens have asked for lately.
#[derive(Debug, Default)]
pub struct Rates {
    /// Until when a token has spent what it may ask of a class, Unix milliseconds, by a hash that
    /// nobody outside can aim at.
    spent_until_ms: HashMap<u64, u64>,
    swept_ms: u64,
    hasher: RandomState,
}

/// A token has asked too often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooFast {
    class: Class,
    rate: Rate,
    /// After how many milliseconds it may ask again.
    wait_ms: u64,
}

impl Rates {
    /// Counts a request. Who shows no token is not counted, since no route does much for him, and
    /// whose token says that he is more than a player is not held back: where that is a lie, the
    /// function refuses.
    ///
    /// # Errors
    /// [`TooFast`].
    pub fn take(
        &mut self,
        route: &Route,
        authorization: Option<&str>,
        now_ms: u64,
    ) -> Result<(), TooFast> {
        let (Some(rate), Some(token)) = (route.class.rate(), authorization) else {
            return Ok(());
        };
        let cell = self.hasher.hash_one((token, route.class as u8));
        let known = self.spent_until_ms.get(&cell).copied();
        if known.is_none() && !self.has_space(now_ms) {
            return Ok(());
        }
        let gcra = Gcra {
            at_once: rate.at_once.into(),
            every_ms: MINUTE_MS / u64::from(rate.per_minute),
        };
        match gcra.take(known.unwrap_or(0), now_ms) {
            Ok(until_ms) => drop(self.spent_until_ms.insert(cell, until_ms)),
            // Looked at last: most never ask so often.
            Err(_) if claims_a_role(token) => {}
            Err(wait_ms) => {
                return Err(TooFast {
                    class: route.class,
                    rate,
                    wait_ms,
                });
            }
        }
        Ok(())
    }

    /// Whether another cell is kept, perhaps in the place of those that a new one would equal.
    fn has_space(&mut self, now_ms: u64) -> bool {
        if self.spent_until_ms.len() >= CELLS_MAX && now_ms >= self.swept_ms + SWEEP_EVERY_MS {
            self.swept_ms = now_ms;
            self.spent_until_ms.retain(|_, until_ms| *until_ms > now_ms);
        }
        self.spent_until_ms.len() < CELLS_MAX
    }
}

impl TooFast {
    /// The reply, with when it may ask again and how often it may (the IETF's draft "RateLimit
    /// header fields for HTTP").
    pub fn reply(&self) -> Response {
        let (class, wait_s) = (self.class.name(), self.wait_ms.div_ceil(1000));
        let Rate {
            at_once,
            per_minute,
        } = self.rate;
        let detail =
            format!("Ask again in {wait_s} s, and no more than {per_minute} times a minute.");
        let refusal = Refusal::new(ProblemKind::TooFast, detail).retry_after(wait_s);
        let policy = format!("\"{class}\";q={per_minute};w=60, \"{class}-burst\";q={at_once}");
        Response::of_host(&refusal)
            .with("ratelimit-policy", policy)
            .with("ratelimit", format!("\"{class}\";r=0;t={wait_s}"))
    }
}

/// Whether a token says, truly or not, that its bearer is more than a player.
fn claims_a_role(authorization: &str) -> bool {
    #[derive(Deserialize)]
    struct Claimed {
        role: Option<Role>,
    }
    let payload = authorization.split('.').nth(1).unwrap_or_default();
    let bytes = BASE64URL_NOPAD.decode(payload.as_bytes()).ok();
    let claimed: Option<Claimed> = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    claimed.is_some_and(|claimed| claimed.role.is_some())
}

#[cfg(test)]
mod tests {
    use wire::routes::{HEARTBEAT, HISTORY, JOIN, POST, RELAYS, ROUTES};

    use super::*;
    use crate::testing::calls::{bearer, problem};
    use crate::testing::host::{NOW_MS, claims, signing_key};

    fn token(player: &str, role: Option<Role>) -> String {
        bearer(&claims(player, role), &signing_key())
    }

    #[test]
    fn a_token_has_the_rate_of_each_class_and_no_more() {
        let (mut rates, ann) = (Rates::default(), token("ann", None));
        for class in Class::ALL {
            let route = ROUTES.iter().find(|route| route.class == class).unwrap();
            let Some(rate) = route.class.rate() else {
                assert!((0..10_000).all(|_| rates.take(route, Some(&ann), NOW_MS).is_ok()));
                continue;
            };
            let asked = (0..600_000).step_by(7);
            let served = asked.filter(|ms| rates.take(route, Some(&ann), NOW_MS + ms).is_ok());
            let most = rate.at_once as usize + 10 * rate.per_minute as usize;
            let served = served.count();
            assert!(
                (most - 1..=most).contains(&served),
                "{class:?}: {served} of {most}"
            );
        }
    }

    #[test]
    fn one_token_takes_nothing_from_another_nor_from_another_class() {
        let (mut rates, ann, bob) = (Rates::default(), token("ann", None), token("bob", None));
        while rates.take(&JOIN, Some(&ann), NOW_MS).is_ok() {}
        assert!(rates.take(&JOIN, Some(&bob), NOW_MS).is_ok());
        for route in [POST, HISTORY, HEARTBEAT, RELAYS] {
            assert!(
                rates.take(&route, Some(&ann), NOW_MS).is_ok(),
                "{}",
                route.name
            );
        }
    }

    #[test]
    fn servers_strangers_and_whoever_waits_as_told_are_served() {
        let mut rates = Rates::default();
        let server = token("server", Some(Role::GameServer));
        for _ in 0..10_000 {
            assert!(rates.take(&JOIN, Some(&server), NOW_MS).is_ok());
            assert!(rates.take(&JOIN, None, NOW_MS).is_ok());
        }
        let (ann, mut now_ms) = (token("ann", None), NOW_MS);
        for _ in 0..200 {
            if let Err(fast) = rates.take(&JOIN, Some(&ann), now_ms) {
                let reply = fast.reply();
                assert_eq!((reply.status, problem(&reply).as_str()), (429, "too-fast"));
                let wait_s: u64 = reply.header("retry-after").unwrap().parse().unwrap();
                let told = format!("\"join\";r=0;t={wait_s}");
                assert_eq!(reply.header("ratelimit"), Some(told.as_str()));
                now_ms += wait_s * 1000;
                assert_eq!(rates.take(&JOIN, Some(&ann), now_ms), Ok(()));
            }
        }
        assert!(now_ms > NOW_MS + 300_000);
    }

    #[test]
    fn the_table_is_bounded_whatever_comes_and_forgets_who_is_quiet() {
        let mut rates = Rates::default();
        for number in 0..CELLS_MAX + 50_000 {
            let garbage = format!("Bearer {number}");
            assert!(rates.take(&JOIN, Some(&garbage), NOW_MS).is_ok());
        }
        assert_eq!(rates.spent_until_ms.len(), CELLS_MAX);
        let later_ms = NOW_MS + MINUTE_MS;
        assert!(
            rates
                .take(&JOIN, Some(&token("ann", None)), later_ms)
                .is_ok()
        );
        assert_eq!(rates.spent_until_ms.len(), 1, "those are as good as new");
    }
}
