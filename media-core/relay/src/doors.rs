//! Who waits at a door of the relay without having shown who he is. Anybody may connect, so there
//! are a few places for strangers and a little time: the next one takes the place of the oldest of
//! the source that has most, so that nobody is kept out by those who only wait.

use std::cmp::Reverse;
use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::task::AbortHandle;
use wire::source::source;

use crate::outcome::Outcome;

/// How many may wait at one door, and for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DoorLimits {
    /// Strangers at a time.
    pub(crate) strangers: u32,
    /// The same of one source: an IPv4 address, or the first 64 bits of an IPv6 address. Many
    /// players may be behind one address, but few connect within the same second.
    pub(crate) strangers_of_source: u32,
    /// Time to send what is asked of a stranger.
    pub(crate) patience: Duration,
}

impl DoorLimits {
    /// What applies unless somebody says otherwise.
    pub(crate) const DEFAULT: Self = Self {
        strangers: 1024,
        strangers_of_source: 64,
        patience: Duration::from_secs(3),
    };
}

/// A door.
#[derive(Debug)]
pub(crate) struct Door {
    limits: DoorLimits,
    waiting: Mutex<Waiting<AbortHandle>>,
}

/// A stranger's place at a door; given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    door: Arc<Door>,
    number: u64,
}

impl Door {
    pub(crate) fn new(limits: DoorLimits) -> Arc<Self> {
        Arc::new(Self {
            limits,
            waiting: Mutex::default(),
        })
    }

    /// Time to send what is asked of a stranger.
    pub(crate) fn patience(&self) -> Duration {
        self.limits.patience
    }

    /// Strangers now.
    pub(crate) fn len(&self) -> usize {
        self.waiting().sources_of.len()
    }

    /// Lets a stranger in: `spawn` begins the task that serves him. Another's task may end for it;
    /// why, if so.
    pub(crate) fn enter(
        self: &Arc<Self>,
        address: IpAddr,
        spawn: impl FnOnce(Place) -> AbortHandle,
    ) -> Option<Outcome> {
        let mut waiting = self.waiting();
        // Held until his task is known: it may be over at once.
        let place = Place {
            door: self.clone(),
            number: waiting.next,
        };
        let task = spawn(place);
        let lost = waiting.add(&self.limits, source(address), task);
        drop(waiting);
        let (reason, other) = lost?;
        other.abort();
        Some(reason)
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting<AbortHandle>> {
        self.waiting.lock().expect("no panic while it is held")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.door.waiting().remove(self.number);
    }
}

/// Strangers by source, oldest first; each has a number that no other had.
#[derive(Debug)]
struct Waiting<T> {
    sources: HashMap<IpAddr, VecDeque<(u64, T)>>,
    sources_of: HashMap<u64, IpAddr>,
    next: u64,
}

impl<T> Default for Waiting<T> {
    fn default() -> Self {
        Self {
            sources: HashMap::new(),
            sources_of: HashMap::new(),
            next: 0,
        }
    }
}

impl<T> Waiting<T> {
    /// Adds one; returns who loses his place for him, and why.
    fn add(&mut self, limits: &DoorLimits, source: IpAddr, who: T) -> Option<(Outcome, T)> {
        let number = self.next;
        self.next += 1;
        let his = self.sources.entry(source).or_default();
        his.push_back((number, who));
        self.sources_of.insert(number, source);
        let (reason, from) = if his.len() > limits.strangers_of_source as usize {
            (Outcome::BusySource, source)
        } else if self.sources_of.len() > limits.strangers as usize {
            // Of two with as many, the one whose oldest is older. Looks at every source.
            let most = self.sources.iter().max_by_key(|(_, waiting)| {
                let oldest = waiting.front().map(|(number, _)| Reverse(*number));
                (waiting.len(), oldest)
            });
            (Outcome::Busy, *most?.0)
        } else {
            return None;
        };
        let oldest = self.sources.get(&from)?.front()?.0;
        Some((reason, self.remove(oldest)?))
    }

    /// Takes one out, if he is there.
    fn remove(&mut self, number: u64) -> Option<T> {
        let source = self.sources_of.remove(&number)?;
        let his = self.sources.get_mut(&source)?;
        let at = his.iter().position(|(known, _)| *known == number)?;
        let (_, who) = his.remove(at)?;
        if his.is_empty() {
            self.sources.remove(&source);
        }
        Some(who)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn limits(strangers: u32, strangers_of_source: u32) -> DoorLimits {
        DoorLimits {
            strangers,
            strangers_of_source,
            ..DoorLimits::DEFAULT
        }
    }

    fn address(n: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, n])
    }

    #[test]
    fn those_who_hold_every_place_lose_one_to_whoever_comes() {
        let mut waiting = Waiting::default();
        let limits = DoorLimits::DEFAULT;
        for n in 0..1100_u32 {
            waiting.add(&limits, address((n % 17) as u8), n);
        }
        assert_eq!(waiting.sources_of.len(), 1024);
        let (reason, lost) = waiting.add(&limits, address(99), 5000).expect("one goes");
        assert_eq!(reason, Outcome::Busy);
        assert!(lost < 1100, "not the one who came");
        assert_eq!(waiting.sources[&address(99)].len(), 1);
    }

    #[test]
    fn a_source_over_its_share_loses_its_own_oldest() {
        let mut waiting = Waiting::default();
        let limits = limits(10, 2);
        assert_eq!(waiting.add(&limits, address(1), "first"), None);
        assert_eq!(waiting.add(&limits, address(2), "other"), None);
        assert_eq!(waiting.add(&limits, address(1), "second"), None);
        let lost = waiting.add(&limits, address(1), "third");
        assert_eq!(lost, Some((Outcome::BusySource, "first")));
    }

    /// Who comes next, and whether one goes before, and which.
    fn steps() -> impl Strategy<Value = Vec<(u8, bool, prop::sample::Index)>> {
        let step = (0..8_u8, any::<bool>(), any::<prop::sample::Index>());
        prop::collection::vec(step, 1..200)
    }

    proptest! {
        /// Whoever comes stays, nobody has more than his share, and who loses his place is the
        /// oldest of a source with as many as any other.
        #[test]
        fn whoever_comes_gets_a_place(
            (strangers, share) in (1..12_u32, 1..6_u32),
            steps in steps(),
        ) {
            let limits = limits(strangers, share);
            let mut waiting = Waiting::default();
            let mut model: Vec<(u64, u8)> = Vec::new();
            for (n, (from, leaves, which)) in (0..).zip(steps) {
                if leaves && !model.is_empty() {
                    let (number, _) = model.remove(which.index(model.len()));
                    prop_assert_eq!(waiting.remove(number), Some(number));
                    prop_assert_eq!(waiting.remove(number), None);
                }
                waiting.next = n;
                let lost = waiting.add(&limits, address(from), n);
                model.push((n, from));
                if let Some((reason, number)) = lost {
                    let at = model.iter().position(|(known, _)| *known == number);
                    let (_, loser) = model[at.expect("one who waits")];
                    let of = |source| model.iter().filter(|(_, one)| *one == source).count();
                    match reason {
                        Outcome::BusySource => prop_assert_eq!(loser, from),
                        _ => prop_assert!((0..8).all(|other| of(other) <= of(loser))),
                    }
                    prop_assert_ne!(number, n);
                    let oldest = model.iter().find(|(_, source)| *source == loser);
                    prop_assert_eq!(oldest.expect("some").0, number);
                    model.remove(at.expect("one who waits"));
                }
                prop_assert!(model.len() <= strangers as usize);
                let of = |source| model.iter().filter(|(_, one)| *one == source).count();
                let most = (0..8).map(of).max();
                prop_assert!(most <= Some(share as usize), "{most:?} of one source");
                prop_assert_eq!(waiting.sources_of.len(), model.len());
                let is_empty = waiting.sources.values().any(VecDeque::is_empty);
                prop_assert!(!is_empty, "a source without strangers");
            }
        }
    }
}
