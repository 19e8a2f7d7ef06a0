//! The loop of every compare-and-swap under contention: writers are interleaved by a seed at every
//! store call and every wait, and store calls fail by the same seed. What the store holds in the
//! end is compared with what each writer was told. A failure names the seed that repeats it.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use edge::Refusal;
use edge::change::{MAX_ATTEMPTS, unless_lost, until_done};
use edge::items::{self, Held, Over, Stored};
use edge::ports::{Entropy, Timer};
use edge::store::{Key, StoreError};
use edge::testing::schedule::{Chance, block_on, interleave, yield_now};
use edge::testing::{FaultyStore, MemoryStore};
use wire::problem::ProblemKind;

const NOW: u64 = 1_700_000_000_000;
const ITEMS: [Key<'static>; 2] = [
    Key {
        partition: "lists",
        sort: "a",
    },
    Key {
        partition: "lists",
        sort: "b",
    },
];
const WRITERS: u64 = 8;
const CHANGES: u64 = 5;

/// Waits of one writer: each gives up the turn as often as it has milliseconds.
struct Writer {
    chance: Chance,
    waits_ms: RefCell<Vec<u64>>,
}

impl Writer {
    fn new(seed: u64) -> Self {
        Self {
            chance: Chance::new(seed),
            waits_ms: RefCell::default(),
        }
    }
}

impl Entropy for Writer {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill_with(|| self.chance.next() as u8);
    }
}

impl Timer for Writer {
    async fn sleep(&self, ms: u64) {
        self.waits_ms.borrow_mut().push(ms);
        for _ in 0..ms {
            yield_now().await;
        }
    }
}

/// What an item holds.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize)]
struct List(Vec<u64>);

impl Stored for List {
    const FORM: &'static str = "list";
}

/// Adds a number to a list that is an item.
async fn add(
    writer: &Writer,
    store: &FaultyStore,
    key: Key<'_>,
    number: u64,
    over: impl Fn(&Held<List>) -> Over,
) -> Result<(), Refusal> {
    until_done(writer, || async {
        let read = items::get(store, NOW, key).await?;
        let mut held: Held<List> = read.unwrap_or_default();
        let over = over(&held);
        held.value.0.push(number);
        let written = items::put(store, NOW, key, &held.value, None, over).await;
        Ok(unless_lost(written)?.map(drop))
    })
    .await
}

/// What a run came to: what writers were told of each number, and what the items hold.
struct Run {
    told: BTreeMap<u64, (usize, Result<(), ProblemKind>)>,
    lists: Vec<Vec<u64>>,
    waits_ms: Vec<Vec<u64>>,
}

/// Some writers, of whom each makes changes one after the other, of items that chance picks.
fn run(seed: u64, faults_per_thousand: u64, over: fn(&Held<List>) -> Over) -> Run {
    let memory = MemoryStore::default();
    let store = FaultyStore::new(memory.clone(), seed, faults_per_thousand);
    let writers: Vec<Writer> = (0..WRITERS).map(|n| Writer::new(seed ^ n << 32)).collect();
    let write = async |number: u64| {
        let writer = &writers[number as usize];
        let mut told = Vec::new();
        for change in 0..CHANGES {
            let number = number * CHANGES + change;
            let at = writer.chance.below(ITEMS.len() as u64) as usize;
            let added = add(writer, &store, ITEMS[at], number, over).await;
            told.push((number, (at, added.map_err(|refusal| refusal.kind))));
        }
        told
    };
    let tasks = (0..WRITERS).map(|n| Box::pin(write(n)) as _).collect();
    let told = interleave(seed, tasks).into_iter().flatten().collect();
    let list = |key| {
        let read: Option<Held<List>> = block_on(items::get(&memory, NOW, key)).unwrap();
        read.unwrap_or_default().value.0
    };
    Run {
        told,
        lists: ITEMS.map(list).into(),
        waits_ms: writers
            .into_iter()
            .map(|one| one.waits_ms.into_inner())
            .collect(),
    }
}

impl Run {
    /// How often a number is in the item that it was meant for. In another it is never.
    fn count(&self, number: u64, at: usize) -> usize {
        let count = |list: &Vec<u64>| list.iter().filter(|one| **one == number).count();
        for (other, list) in self.lists.iter().enumerate() {
            assert!(other == at || count(list) == 0, "{number} is in {other}");
        }
        count(&self.lists[at])
    }
}

#[test]
fn every_change_is_made_once() {
    let mut waited = 0;
    for seed in 0..300 {
        let run = run(seed, 0, Held::over);
        for (number, (at, told)) in &run.told {
            assert_eq!(*told, Ok(()), "seed {seed}, number {number}");
            assert_eq!(run.count(*number, *at), 1, "seed {seed}, number {number}");
        }
        waited += run.waits_ms.iter().map(Vec::len).sum::<usize>();
    }
    assert!(waited > 1_000, "writers must get into each other's way");
}

#[test]
fn with_faults_what_is_told_is_there_and_what_is_not_there_was_told() {
    let (mut there, mut absent) = (0, 0);
    for seed in 0..300 {
        let run = run(seed, 60, Held::over);
        for (number, (at, told)) in &run.told {
            let count = run.count(*number, *at);
            match told {
                Ok(()) => assert_eq!(count, 1, "seed {seed}, number {number}"),
                // The write may have happened; the loop does not go on after a fault, so not twice.
                Err(ProblemKind::StoreUnavailable) => {
                    assert!(count <= 1, "seed {seed}, number {number}");
                    (there, absent) = (there + count, absent + 1 - count);
                }
                Err(kind) => panic!("seed {seed}, number {number}: {kind:?}"),
            }
        }
    }
    assert!(there > 0 && absent > 0, "faults must come before and after");
}

/// The positive control: writers who do not look lose changes, and this test sees it.
#[test]
fn without_the_condition_changes_are_lost() {
    let lost = |seed| {
        let run = run(seed, 0, |_| Over::ANYTHING);
        let lost = run.told.iter().any(|(n, (at, _))| run.count(*n, *at) == 0);
        usize::from(lost)
    };
    assert!((0..20).map(lost).sum::<usize>() > 15);
}

#[test]
fn who_always_loses_is_refused_after_so_many_tries() {
    for seed in 0..50 {
        let (writer, tries) = (Writer::new(seed), Cell::new(0));
        let refused = block_on(until_done(&writer, || async {
            tries.set(tries.get() + 1);
            let lost = Err::<(), _>(StoreError::ConditionFailed);
            Ok(unless_lost(lost)?)
        }));
        assert_eq!(refused.unwrap_err().kind, ProblemKind::Conflict);
        assert_eq!(tries.get(), MAX_ATTEMPTS);
        let waits_ms = writer.waits_ms.into_inner();
        // None before the first try and the second.
        assert_eq!(waits_ms.len() as u32, MAX_ATTEMPTS - 2);
        for (at, wait_ms) in (1..).zip(&waits_ms) {
            assert!((1..=2 * at).contains(wait_ms), "seed {seed}: {waits_ms:?}");
        }
        // Longer than no chance at all would make them, and shorter than the longest.
        let sum: u64 = waits_ms.iter().sum();
        assert!((100..420).contains(&sum), "seed {seed}: {waits_ms:?}");
    }
}

#[test]
fn a_fault_ends_the_loop_at_once() {
    let (writer, tries) = (Writer::new(1), Cell::new(0));
    let refused = block_on(until_done(&writer, || async {
        tries.set(tries.get() + 1);
        let fault = Err::<(), _>(StoreError::Unavailable("gone".into()));
        Ok(unless_lost(fault)?)
    }));
    assert_eq!(refused.unwrap_err().kind, ProblemKind::StoreUnavailable);
    assert_eq!((tries.get(), writer.waits_ms.borrow().len()), (1, 0));
}
