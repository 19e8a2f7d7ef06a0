//! Who has how many of a shard's places. A session is **half-open** until it is through: its
//! handshake is done and, where it is to introduce itself, its hello was taken. Half-open ones are
//! cheap to begin, so a player has few of them and loses his oldest for the next; and the last
//! places of a shard are for players who have none.

use std::collections::{HashMap, VecDeque};

use foldhash::quality::FixedState;

use crate::idents::PlayerKey;
use crate::stats::RejectReason;

/// How many places of a shard one player may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlaceLimits {
    /// Sessions of one player, the half-open ones included.
    pub player_sessions: u32,
    /// Half-open sessions of one player.
    pub player_half_open: u32,
    /// Part of the places that is kept for players without a session, percent, 0 to 100.
    pub reserve_percent: u8,
}

impl PlaceLimits {
    /// What applies unless somebody says otherwise.
    pub const DEFAULT: Self = Self {
        player_sessions: 4,
        player_half_open: 2,
        reserve_percent: 10,
    };
}

impl Default for PlaceLimits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// What one session holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// It may be lost to its player's next session.
    HalfOpen,
    /// It is through.
    Whole,
    /// It is over, or about to be.
    None,
}

/// What one player holds.
#[derive(Debug, Default)]
struct Held {
    whole: usize,
    /// Links of his half-open sessions, oldest first.
    half_open: VecDeque<usize>,
}

impl Held {
    fn len(&self) -> usize {
        self.whole + self.half_open.len()
    }
}

/// The places of all players of a shard.
#[derive(Debug)]
pub(crate) struct Places {
    limits: PlaceLimits,
    held: HashMap<PlayerKey, Held, FixedState>,
}

impl Places {
    /// Without anybody; `state` has a seed, because an attacker could choose keys.
    pub(crate) fn new(limits: PlaceLimits, state: FixedState) -> Self {
        Self {
            limits,
            held: HashMap::with_hasher(state),
        }
    }

    /// Players who hold any.
    pub(crate) fn len(&self) -> usize {
        self.held.len()
    }

    /// Whether `player` may have one more of `all` places, of which `taken` are taken: the link
    /// that he loses for it, if any. `comes_back` says whether it is to follow one that he has,
    /// which ends with its hello: he needs no further place for that.
    ///
    /// # Errors
    /// Why he may not.
    pub(crate) fn ask(
        &self,
        player: PlayerKey,
        (taken, all): (usize, usize),
        comes_back: impl Fn() -> bool,
    ) -> Result<Option<usize>, RejectReason> {
        let Some(held) = self.held.get(&player) else {
            return Ok(None);
        };
        let PlaceLimits {
            player_sessions,
            player_half_open,
            reserve_percent,
        } = self.limits;
        let oldest = held.half_open.front().copied();
        let is_at_most = held.len() >= player_sessions as usize;
        let reserve = all.saturating_mul(reserve_percent.into()) / 100;
        let is_reserved = taken >= all.saturating_sub(reserve);
        match oldest {
            Some(_) if held.half_open.len() >= player_half_open as usize => Ok(oldest),
            Some(_) if is_at_most || is_reserved => Ok(oldest),
            _ if is_at_most && !comes_back() => Err(RejectReason::PlayerSessions),
            _ if is_reserved && !comes_back() => Err(RejectReason::Reserve),
            _ => Ok(None),
        }
    }

    /// A session of `player` began, half-open.
    pub(crate) fn open(&mut self, player: PlayerKey, link: usize) {
        let held = self.held.entry(player).or_default();
        debug_assert!(!held.half_open.contains(&link), "a link is one session");
        held.half_open.push_back(link);
    }

    /// A half-open session is through.
    pub(crate) fn settle(&mut self, player: PlayerKey, link: usize) {
        let held = self.held.get_mut(&player);
        debug_assert!(held.is_some(), "who has a session holds a place");
        if let Some(held) = held {
            held.half_open.retain(|half_open| *half_open != link);
            held.whole += 1;
        }
    }

    /// A session that held `place` does not any more.
    pub(crate) fn close(&mut self, player: PlayerKey, link: usize, place: Place) {
        let Some(held) = self.held.get_mut(&player) else {
            debug_assert_eq!(place, Place::None, "who has a session holds a place");
            return;
        };
        match place {
            Place::HalfOpen => held.half_open.retain(|half_open| *half_open != link),
            Place::Whole => held.whole -= 1,
            Place::None => {}
        }
        if held.len() == 0 {
            self.held.remove(&player);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// What a player does.
    #[derive(Debug, Clone, Copy)]
    enum Step {
        Join(u8),
        /// The n-th of all half-open sessions is through.
        Settle(usize),
        /// The n-th of all sessions ends.
        End(usize),
    }

    fn steps(players: u8) -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            6 => (0..players).prop_map(Step::Join),
            3 => any::<usize>().prop_map(Step::Settle),
            1 => any::<usize>().prop_map(Step::End),
        ];
        prop::collection::vec(step, 1..400)
    }

    /// A shard that does nothing but to give its places away.
    struct Shard {
        all: usize,
        places: Places,
        sessions: BTreeMap<usize, (u8, Place)>,
        next: usize,
    }

    fn key(player: u8) -> PlayerKey {
        PlayerKey([player; 16])
    }

    impl Shard {
        fn new(all: usize) -> Self {
            let state = FixedState::with_seed(7);
            Self {
                all,
                places: Places::new(PlaceLimits::DEFAULT, state),
                sessions: BTreeMap::new(),
                next: 0,
            }
        }

        fn join(&mut self, player: u8) -> Result<(), RejectReason> {
            let taken = self.sessions.len();
            let lost = self.places.ask(key(player), (taken, self.all), || false)?;
            if let Some(link) = lost {
                let (owner, place) = self.sessions.remove(&link).expect("a session");
                assert_eq!((owner, place), (player, Place::HalfOpen), "his own alone");
                self.places.close(key(owner), link, place);
            } else if taken >= self.all {
                return Err(RejectReason::Full);
            }
            self.places.open(key(player), self.next);
            self.sessions.insert(self.next, (player, Place::HalfOpen));
            self.next += 1;
            Ok(())
        }

        fn apply(&mut self, step: Step) {
            let half_open = |s: &&mut (u8, Place)| s.1 == Place::HalfOpen;
            match step {
                Step::Join(player) => drop(self.join(player)),
                Step::Settle(n) => {
                    let count = self.sessions.values_mut().filter(half_open).count();
                    let all = self.sessions.iter_mut();
                    let mut all = all.filter(|(_, session)| session.1 == Place::HalfOpen);
                    if let Some((link, session)) = all.nth(n.checked_rem(count).unwrap_or(0)) {
                        session.1 = Place::Whole;
                        self.places.settle(key(session.0), *link);
                    }
                }
                Step::End(n) => {
                    let n = n.checked_rem(self.sessions.len()).unwrap_or(0);
                    let Some(link) = self.sessions.keys().nth(n).copied() else {
                        return;
                    };
                    let (player, place) = self.sessions.remove(&link).expect("a session");
                    self.places.close(key(player), link, place);
                }
            }
        }

        /// Sessions of a player, and how many of them are half-open.
        fn of(&self, player: u8) -> (usize, usize) {
            let his = self.sessions.values().filter(|s| s.0 == player);
            let half_open = his.clone().filter(|s| s.1 == Place::HalfOpen).count();
            (his.count(), half_open)
        }
    }

    proptest! {
        /// Whatever some players do and in whichever order, nobody has more than he may, and each
        /// of the others gets in, as long as four for each of them leave a place.
        #[test]
        fn each_of_the_others_gets_in(
            (hostile, others) in (1..6_u8).prop_flat_map(|k| (Just(k), 1..=40 - 4 * k)),
            steps in steps(5),
            mut when in prop::collection::vec(0..400_usize, 36),
        ) {
            when.sort_unstable();
            let mut shard = Shard::new(40);
            let mut inside = 0;
            for (n, step) in steps.iter().enumerate() {
                // Between any two steps some of the others come.
                while inside < others && when[usize::from(inside)] <= n {
                    prop_assert_eq!(shard.join(100 + inside), Ok(()));
                    inside += 1;
                }
                match *step {
                    Step::Join(player) => shard.apply(Step::Join(player % hostile)),
                    step => shard.apply(step),
                }
                for player in 0..hostile {
                    let (sessions, half_open) = shard.of(player);
                    prop_assert!(sessions <= 4 && half_open <= 2, "{sessions}, {half_open}");
                }
                prop_assert!(shard.sessions.len() <= shard.all);
            }
            while inside < others {
                prop_assert_eq!(shard.join(100 + inside), Ok(()));
                inside += 1;
            }
        }

        /// The same on a shard that many fill with all that they may have: the reserve is for
        /// whoever has nothing.
        #[test]
        fn a_full_crowd_leaves_the_reserve(steps in steps(90)) {
            let mut shard = Shard::new(100);
            for step in steps {
                let taken = shard.sessions.len();
                let Step::Join(player) = step else {
                    shard.apply(step);
                    continue;
                };
                let before = shard.of(player);
                let joined = shard.join(player);
                if before.0 == 0 {
                    prop_assert_eq!(joined.is_ok(), taken < 100);
                } else if joined.is_ok() && shard.sessions.len() > taken {
                    prop_assert!(taken < 90, "a second one of {taken}");
                }
            }
        }

        /// Nothing is left of who went.
        #[test]
        fn who_holds_nothing_is_forgotten(steps in steps(20)) {
            let mut shard = Shard::new(50);
            for step in steps {
                shard.apply(step);
                let mut players: Vec<u8> = shard.sessions.values().map(|s| s.0).collect();
                players.sort_unstable();
                players.dedup();
                prop_assert_eq!(shard.places.len(), players.len());
            }
        }
    }

    #[test]
    fn who_comes_back_needs_no_second_place_in_the_reserve() {
        let mut shard = Shard::new(10);
        for player in 0..9 {
            shard.join(player).expect("a place");
            shard.apply(Step::Settle(0));
        }
        let ask = |comes_back| shard.places.ask(key(0), (9, 10), || comes_back);
        assert_eq!(ask(false), Err(RejectReason::Reserve));
        assert_eq!(ask(true), Ok(None));
        assert_eq!(shard.join(9), Ok(()));
    }

    #[test]
    fn the_oldest_half_open_one_is_lost() {
        let mut shard = Shard::new(100);
        for _ in 0..1000 {
            shard.join(1).expect("he loses one for it");
        }
        assert_eq!(
            shard.sessions.keys().copied().collect::<Vec<_>>(),
            [998, 999]
        );
        for _ in 0..2 {
            shard.apply(Step::Settle(0));
        }
        for _ in 0..3 {
            shard
                .join(1)
                .expect("two whole ones and two half-open ones");
        }
        assert_eq!(shard.of(1), (4, 2));
        for _ in 0..2 {
            shard.apply(Step::Settle(0));
        }
        assert_eq!(shard.join(1), Err(RejectReason::PlayerSessions));
    }
}
