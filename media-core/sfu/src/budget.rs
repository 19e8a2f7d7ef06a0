//! What one session, and one player with all his sessions, may make the shard do apart from voice:
//! datagrams that str0m looks at, their bytes, and the time that this takes. SCTP has no limit of
//! its own on the work that a client may ask for, so what is beyond the budget is dropped before
//! str0m sees it. Whoever keeps that up is ended.
//!
//! What a compliant client takes: a join 9 datagrams and 2.4 kB, more with a hello of many
//! channels (16 kB at most) and with lost packets, and 2.5 ms; a busy session, with every message
//! that it may send and one pushed to it every 20 ms, 56 datagrams and 3.3 kB a second. Counts are
//! those of `tests/it/work-has-a-budget.rs`; times are of a relay that 428 clients a second join.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use foldhash::quality::FixedState;

use crate::bucket::{Bucket, Rate};
use crate::idents::PlayerKey;

/// Datagrams at once: many joins, or the acknowledgements of all that may wait for a client.
const BURST_DATAGRAMS: u64 = 600;
/// Bytes at once: eight of the longest messages.
const BURST_BYTES: u64 = 128 * 1024;
/// Time at once, microseconds: some twenty joins. It is also how long one session can hold others
/// up, so no more.
const BURST_CPU_US: u64 = 50_000;
/// A player may have as much as this many sessions: the second is the one that he moves to, or that
/// follows one which is not over.
const PLAYER_SESSIONS: u64 = 2;
/// Time over its budget after which a session ends.
const PATIENCE: Duration = Duration::from_secs(5);
/// A session that was within its budget for as long is not over it any more. A client that waits
/// for an answer tries again after 1 s (RFC 9147 section 5.8.2, RFC 9260 section 6.3.1).
const REST: Duration = Duration::from_millis(500);
/// How long a player without sessions is remembered: then the largest debt has been paid off.
const MEMORY: Duration = Duration::from_secs(30);

/// A piece of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// A datagram that str0m looked at, and all that came of it.
    Datagram,
    /// A session that was served because it had something to send, or a timer was due.
    Service,
}

/// Tells what a piece of work took. A core has no clock: a shard brings a real one, and where runs
/// must repeat, work costs what a table says.
pub trait Meter: Send + Sync {
    /// A reading before a piece of work.
    fn begin(&self) -> Duration;

    /// What `work` took that began at the reading `began`.
    fn spent(&self, began: Duration, work: Work) -> Duration;
}

/// Costs as measured once, whatever it takes now.
#[derive(Debug, Clone, Copy, Default)]
pub struct CostTable;

impl Meter for CostTable {
    fn begin(&self) -> Duration {
        Duration::ZERO
    }

    fn spent(&self, _: Duration, work: Work) -> Duration {
        match work {
            Work::Datagram => Duration::from_micros(40),
            Work::Service => Duration::from_micros(25),
        }
    }
}

/// What one session may make the shard do in the long run; a player may with all his sessions twice
/// as much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkLimits {
    /// Datagrams in a second: five times those of a busy session.
    pub datagrams_per_s: u32,
    /// Bytes of them in a second: ten times.
    pub bytes_per_s: u32,
    /// Time in a second, microseconds: a fiftieth of a core, and several times what a busy session
    /// takes.
    pub cpu_us_per_s: u32,
}

impl WorkLimits {
    /// What applies unless somebody says otherwise.
    pub const DEFAULT: Self = Self {
        datagrams_per_s: 300,
        bytes_per_s: 32 * 1024,
        cpu_us_per_s: 20_000,
    };
}

impl Default for WorkLimits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// What the three kinds may be for one who counts as so many sessions.
#[derive(Debug, Clone, Copy)]
struct Rates {
    datagrams: Rate,
    bytes: Rate,
    cpu_us: Rate,
}

impl Rates {
    fn of(limits: &WorkLimits, sessions: u64) -> Self {
        let rate = |per_s: u32, burst: u64| Rate {
            per_s: u64::from(per_s) * sessions,
            burst: burst * sessions,
        };
        Self {
            datagrams: rate(limits.datagrams_per_s, BURST_DATAGRAMS),
            bytes: rate(limits.bytes_per_s, BURST_BYTES),
            cpu_us: rate(limits.cpu_us_per_s, BURST_CPU_US),
        }
    }
}

/// The work of one session, or one player, of late.
#[derive(Debug, Default)]
struct Spent {
    datagrams: Bucket,
    bytes: Bucket,
    cpu_us: Bucket,
}

impl Spent {
    /// Whether a datagram of `bytes` is within the budget.
    fn has(&mut self, now: Instant, rates: &Rates, bytes: u64) -> bool {
        // What it will take is not known: as long as there is time left.
        self.has_time(now, rates)
            && self.datagrams.has(now, rates.datagrams, 1)
            && self.bytes.has(now, rates.bytes, bytes)
    }

    fn has_time(&mut self, now: Instant, rates: &Rates) -> bool {
        self.cpu_us.has(now, rates.cpu_us, 1)
    }

    fn spend(&mut self, now: Instant, rates: &Rates, bytes: u64) {
        self.datagrams.spend(now, rates.datagrams, 1);
        self.bytes.spend(now, rates.bytes, bytes);
    }

    fn spend_time(&mut self, now: Instant, rates: &Rates, time: Duration) {
        let us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.cpu_us.spend(now, rates.cpu_us, us);
    }
}

/// The budget of one session.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    spent: Spent,
    /// Since when it is over it, and when it was last.
    over: Option<(Instant, Instant)>,
}

impl Budget {
    /// Notes that there was more than the budget allows. True when that has gone on for too long.
    fn note_over(&mut self, now: Instant) -> bool {
        let began = match self.over {
            Some((since, last)) if now.saturating_duration_since(last) < REST => since,
            _ => now,
        };
        self.over = Some((began, now));
        now.saturating_duration_since(began) >= PATIENCE
    }
}

/// Whether work is within the budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Within,
    Over,
    /// Over it for so long that the session is to end.
    OverForLong,
}

/// The budgets of all players of a shard.
#[derive(Debug)]
pub(crate) struct Budgets {
    session: Rates,
    player: Rates,
    accounts: HashMap<PlayerKey, Account, FixedState>,
    /// Players whose last session ended, and when they may be forgotten.
    left: VecDeque<(Instant, PlayerKey)>,
}

/// What is known of one player.
#[derive(Debug, Default)]
struct Account {
    spent: Spent,
    sessions: usize,
    /// Not to be forgotten before; none while he has sessions.
    until: Option<Instant>,
}

impl Budgets {
    /// Without anybody; `state` has a seed, because an attacker could choose keys.
    pub(crate) fn new(limits: &WorkLimits, state: FixedState) -> Self {
        Self {
            session: Rates::of(limits, 1),
            player: Rates::of(limits, PLAYER_SESSIONS),
            accounts: HashMap::with_hasher(state),
            left: VecDeque::new(),
        }
    }

    /// Players who are remembered.
    pub(crate) fn len(&self) -> usize {
        self.accounts.len()
    }

    /// A session of `player` began.
    pub(crate) fn open(&mut self, player: PlayerKey) {
        let account = self.accounts.entry(player).or_default();
        account.sessions += 1;
        account.until = None;
    }

    /// A session of `player` ended.
    pub(crate) fn close(&mut self, now: Instant, player: PlayerKey) {
        self.forget(now);
        let Some(account) = self.accounts.get_mut(&player) else {
            debug_assert!(false, "a session has an account");
            return;
        };
        account.sessions -= 1;
        if account.sessions == 0 {
            account.until = Some(now + MEMORY);
            self.left.push_back((now + MEMORY, player));
        }
    }

    /// Forgets those who have been gone for long.
    fn forget(&mut self, now: Instant) {
        while self.left.front().is_some_and(|(until, _)| *until <= now) {
            let Some((until, player)) = self.left.pop_front() else {
                return;
            };
            // He may have come back since.
            let account = self.accounts.get(&player);
            if account.is_some_and(|account| account.until == Some(until)) {
                self.accounts.remove(&player);
            }
        }
    }

    /// Whether `player` may begin another session: not while he is over his budget.
    pub(crate) fn may_begin(&mut self, now: Instant, player: PlayerKey) -> bool {
        let account = self.accounts.get_mut(&player);
        account.is_none_or(|account| account.spent.has(now, &self.player, 0))
    }

    /// Counts a datagram of `bytes`, if it is within the budgets of its session and player.
    pub(crate) fn take(
        &mut self,
        now: Instant,
        (budget, player): (&mut Budget, PlayerKey),
        bytes: usize,
    ) -> Verdict {
        let Some(account) = self.accounts.get_mut(&player) else {
            debug_assert!(false, "a session has an account");
            return Verdict::Over;
        };
        let bytes = bytes as u64;
        let is_within = budget.spent.has(now, &self.session, bytes)
            && account.spent.has(now, &self.player, bytes);
        if !is_within {
            return over(budget.note_over(now));
        }
        budget.spent.spend(now, &self.session, bytes);
        account.spent.spend(now, &self.player, bytes);
        Verdict::Within
    }

    /// Counts time that work for a session took.
    pub(crate) fn take_time(
        &mut self,
        now: Instant,
        (budget, player): (&mut Budget, PlayerKey),
        time: Duration,
    ) -> Verdict {
        self.take_players_time(now, player, time);
        budget.spent.spend_time(now, &self.session, time);
        let account = self.accounts.get_mut(&player);
        let has_time = account.is_none_or(|one| one.spent.has_time(now, &self.player))
            && budget.spent.has_time(now, &self.session);
        if has_time {
            Verdict::Within
        } else {
            over(budget.note_over(now))
        }
    }

    /// The same of a session that has ended meanwhile.
    pub(crate) fn take_players_time(&mut self, now: Instant, player: PlayerKey, time: Duration) {
        if let Some(account) = self.accounts.get_mut(&player) {
            account.spent.spend_time(now, &self.player, time);
        }
    }
}

fn over(for_long: bool) -> Verdict {
    if for_long {
        Verdict::OverForLong
    } else {
        Verdict::Over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: PlayerKey = PlayerKey([1; 16]);

    #[expect(
        clippy::disallowed_methods,
        reason = "a test needs some instant to start from"
    )]
    fn some_instant() -> Instant {
        Instant::now()
    }

    fn budgets() -> Budgets {
        let mut budgets = Budgets::new(&WorkLimits::default(), FixedState::with_seed(1));
        budgets.open(ONE);
        budgets
    }

    /// Sends datagrams of `bytes` `every` so often for `time`; how many were within the budget, and
    /// when the session was to end.
    fn flood(
        budgets: &mut Budgets,
        (from, time): (Instant, Duration),
        every: Duration,
        (bytes, cost): (usize, Duration),
    ) -> (u64, Option<Duration>) {
        let (mut budget, mut within, mut now) = (Budget::default(), 0, from);
        while now < from + time {
            match budgets.take(now, (&mut budget, ONE), bytes) {
                Verdict::Within => {
                    within += 1;
                    budgets.take_time(now, (&mut budget, ONE), cost);
                }
                Verdict::Over => {}
                Verdict::OverForLong => return (within, Some(now - from)),
            }
            now += every;
        }
        (within, None)
    }

    const US: fn(u64) -> Duration = Duration::from_micros;

    #[test]
    fn a_session_that_keeps_to_its_budget_is_never_refused() {
        let span = (some_instant(), Duration::from_secs(60));
        let busy = flood(&mut budgets(), span, US(5_000), (100, US(60)));
        assert_eq!(busy, (12_000, None), "200 a second");
    }

    #[test]
    fn each_kind_of_work_is_limited_and_ends_who_goes_on() {
        for (every, bytes, cost, most) in [
            // Many small datagrams; long ones; ones that take long.
            (US(1_000), 40, US(1), 600 + 300 * 7),
            (US(10_000), 1_200, US(1), (131_072 + 32_768 * 9) / 1_200),
            (US(5_000), 100, US(1_000), 50 + 20 * 8 + 1),
        ] {
            let span = (some_instant(), Duration::from_secs(20));
            let (within, ended) = flood(&mut budgets(), span, every, (bytes, cost));
            assert!(within <= most, "{within} of {bytes} bytes at {cost:?}");
            let ended = ended.expect("it goes on for too long");
            assert!((5..20).contains(&ended.as_secs()), "{ended:?}");
        }
    }

    #[test]
    fn a_peak_is_dropped_and_ends_nobody() {
        let mut budgets = budgets();
        let (start, mut budget) = (some_instant(), Budget::default());
        for round in 0..20 {
            let now = start + Duration::from_secs(round * 3);
            let taken = (0..2000).map(|_| budgets.take(now, (&mut budget, ONE), 100));
            let taken: Vec<Verdict> = taken.collect();
            assert!(!taken.contains(&Verdict::OverForLong), "round {round}");
            let within = taken.iter().filter(|taken| **taken == Verdict::Within);
            assert!((500..=600).contains(&within.count()), "round {round}");
        }
    }

    #[test]
    fn a_player_has_no_more_in_many_sessions_than_in_two() {
        let mut budgets = budgets();
        let start = some_instant();
        let mut sessions: Vec<Budget> = (0..4).map(|_| Budget::default()).collect();
        (1..4).for_each(|_| budgets.open(ONE));
        let (mut within, mut ended) = (0, 0);
        for n in 0..10_000_u64 {
            let now = start + US(1_000 * n);
            for budget in &mut sessions {
                match budgets.take(now, (budget, ONE), 50) {
                    Verdict::Within => within += 1,
                    Verdict::Over => {}
                    Verdict::OverForLong => ended += 1,
                }
            }
        }
        assert!((6000..=2 * (600 + 300 * 10)).contains(&within), "{within}");
        assert!(ended > 0);
    }

    #[test]
    fn one_long_piece_of_work_is_a_debt_to_be_paid_off() {
        let mut budgets = budgets();
        let (now, mut budget) = (some_instant(), Budget::default());
        assert_eq!(budgets.take(now, (&mut budget, ONE), 100), Verdict::Within);
        let long = Duration::from_secs(1);
        assert_eq!(
            budgets.take_time(now, (&mut budget, ONE), long),
            Verdict::Over
        );
        assert!(!budgets.may_begin(now, ONE), "nor in another session");
        let later = now + Duration::from_secs(24);
        assert_eq!(budgets.take(later, (&mut budget, ONE), 100), Verdict::Over);
        let later = now + Duration::from_secs(28);
        assert_eq!(
            budgets.take(later, (&mut budget, ONE), 100),
            Verdict::Within
        );
        assert!(budgets.may_begin(later, ONE));
    }

    #[test]
    fn who_comes_again_is_remembered_and_who_is_gone_is_not() {
        let mut budgets = budgets();
        let now = some_instant();
        budgets.take_players_time(now, ONE, Duration::from_secs(1));
        budgets.close(now, ONE);
        assert!(!budgets.may_begin(now, ONE));
        budgets.open(ONE);
        for n in 0..10_000_u32 {
            let other = PlayerKey(u128::from(n + 2).to_be_bytes());
            let at = now + US(10_000) * n;
            budgets.open(other);
            budgets.close(at, other);
            assert!(budgets.len() <= 1 + 3001, "{} players", budgets.len());
        }
        assert!(budgets.accounts.contains_key(&ONE), "he is still here");
        assert!(budgets.left.len() <= 3001);
    }
}
