//! When a room leaves a shard that is silent, what that shard is told when it comes back, and which
//! of two heartbeats is the later one, whatever clocks say.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::cell::{Cell, RefCell};

use edge::directory::{self, Answer, Evidence, Hearsay, Orders};
use edge::testing::host::{any_heartbeat, any_terms};
use edge::testing::schedule::block_on;
use edge::testing::{MemoryStore, Patience};
use wire::fleet::{Heartbeat, Home, LargeRoom, Load, MovedRoom, ShardState};
use wire::limits::{MAX_CLOCK_SKEW_MS, MAX_MOVED_ROOMS};
use wire::problem::ProblemKind;
use wire::{BootId, RegionName, RoomKey, RoomName, ShardId};

const NOW: u64 = 1_700_000_000_000;

fn heartbeat(shard: &str, sequence: u64) -> Heartbeat {
    Heartbeat {
        sequence,
        ..any_heartbeat(shard.parse().unwrap(), region(), NOW)
    }
}

fn region() -> RegionName {
    "eu-1".parse().unwrap()
}

fn name(room: &str) -> RoomName {
    room.parse().unwrap()
}

/// What was found of shards by asking them.
struct Asked<'a> {
    lost: Option<ShardId>,
    answer: Cell<Answer>,
    /// What happens while a shard is asked.
    meanwhile: RefCell<Box<dyn FnMut() + 'a>>,
    times: Cell<u32>,
}

impl<'a> Asked<'a> {
    fn new(lost: Option<&str>, answer: Answer) -> Self {
        Self {
            lost: lost.map(|shard| shard.parse().unwrap()),
            answer: Cell::new(answer),
            meanwhile: RefCell::new(Box::new(|| {})),
            times: Cell::new(0),
        }
    }

    fn while_asked(self, meanwhile: impl FnMut() + 'a) -> Self {
        *self.meanwhile.borrow_mut() = Box::new(meanwhile);
        self
    }
}

impl Evidence for Asked<'_> {
    fn lost(&self) -> Option<&ShardId> {
        self.lost.as_ref()
    }

    async fn ask(&self, _: &Heartbeat, _: &RoomName) -> Answer {
        self.times.set(self.times.get() + 1);
        (self.meanwhile.borrow_mut())();
        self.answer.get()
    }
}

#[derive(Default)]
struct Region {
    store: MemoryStore,
}

impl Region {
    /// Two shards, and a room on each; the room `a` is on shard `a`.
    fn with_rooms() -> Self {
        let region = Self::default();
        region.beat(NOW, &heartbeat("a", 1)).unwrap();
        region.home(NOW, "a", &Hearsay).unwrap();
        region.home(NOW, "c", &Hearsay).unwrap();
        region.beat(NOW, &heartbeat("b", 1)).unwrap();
        region
    }

    fn beat(&self, now_ms: u64, heartbeat: &Heartbeat) -> Result<Orders, ProblemKind> {
        // Sent by a clock that is right, unless a test says otherwise.
        let sent_at_ms = match heartbeat.sent_at_ms {
            NOW => now_ms,
            sent_at_ms => sent_at_ms,
        };
        let heartbeat = Heartbeat {
            sent_at_ms,
            ..heartbeat.clone()
        };
        let (store, terms) = (&self.store, &any_terms);
        let taken = directory::record_heartbeat(&Patience, store, now_ms, &heartbeat, terms);
        block_on(taken).map_err(|refusal| refusal.kind)
    }

    fn home(&self, now_ms: u64, room: &str, evidence: &impl Evidence) -> Result<Home, ProblemKind> {
        let (room, region) = (name(room), region());
        let home = directory::home_of(&Patience, &self.store, now_ms, &room, &region, evidence);
        let home = block_on(home).map_err(|refusal| refusal.kind)?;
        Ok(home.placement.home)
    }

    fn shard_of(&self, now_ms: u64, room: &str, evidence: &impl Evidence) -> String {
        self.home(now_ms, room, evidence).unwrap().shard.to_string()
    }
}

fn moved(rooms: &[(&str, u64)]) -> Vec<MovedRoom> {
    let rooms = rooms.iter().map(|&(room, epoch)| MovedRoom {
        room: RoomKey::of(&name(room)),
        epoch,
    });
    rooms.collect()
}

#[test]
fn a_relay_that_was_lost_and_does_not_answer_is_left_at_once_and_asked_once() {
    let region = Region::with_rooms();
    let lost = Asked::new(Some("a"), Answer::Silent);
    let at = NOW + 1_500;
    assert_eq!(region.shard_of(at, "a", &lost), "b");
    // The next one knows already, also of another room.
    assert_eq!(region.shard_of(at, "c", &lost), "b");
    let nothing_lost = Asked::new(None, Answer::Silent);
    assert_eq!(region.shard_of(at, "a", &nothing_lost), "b");
    assert_eq!((lost.times.get(), nothing_lost.times.get()), (1, 0));
    let listed = block_on(directory::shard(&region.store, at, &"a".parse().unwrap()));
    assert_eq!(listed.unwrap().unwrap().silent_at_ms, Some(at));
    assert_eq!(region.shard_of(at, "new", &lost), "b", "it takes no room");
}

#[test]
fn nobody_is_left_who_answers_or_was_heard_of_or_was_not_lost() {
    let region = Region::with_rooms();
    for (at, lost, answer, asked) in [
        (NOW + 5_000, Some("a"), Answer::Here, 1),
        (NOW + 5_000, Some("a"), Answer::NotAsked, 1),
        // Of another one he says nothing.
        (NOW + 5_000, Some("b"), Answer::Silent, 0),
        (NOW + 5_000, None, Answer::Silent, 0),
        // Its heartbeat came after whatever he means.
        (NOW + 899, Some("a"), Answer::Silent, 0),
    ] {
        let evidence = Asked::new(lost, answer);
        let case = format!("{at} {lost:?} {answer:?}");
        assert_eq!(region.shard_of(at, "a", &evidence), "a", "{case}");
        assert_eq!(evidence.times.get(), asked, "{case}");
    }
}

#[test]
fn a_relay_that_only_we_cannot_reach_is_not_left() {
    let region = Region::with_rooms();
    let mut sequence = 1;
    let lost = Asked::new(Some("a"), Answer::Silent).while_asked(|| {
        sequence += 1;
        region.beat(NOW + 1_900, &heartbeat("a", sequence)).unwrap();
    });
    assert_eq!(region.shard_of(NOW + 1_500, "a", &lost), "a");
    assert_eq!(region.home(NOW + 1_500, "a", &lost).unwrap().epoch, 1);
}

#[test]
fn a_store_that_was_away_for_a_minute_moves_no_room_of_a_relay_that_answers() {
    let region = Region::with_rooms();
    let at = NOW + 60_000;
    // Another one was faster to say that it is there.
    region.beat(at, &heartbeat("b", 2)).unwrap();
    let there = Asked::new(None, Answer::Here);
    assert_eq!(region.shard_of(at, "a", &there), "a");
    assert_eq!(there.times.get(), 1);
    // Whoever asks nobody goes by the heartbeats, and leaves no mark.
    assert_eq!(region.shard_of(at, "c", &Hearsay), "b");
    let listed = block_on(directory::shard(&region.store, at, &"a".parse().unwrap()));
    assert_eq!(listed.unwrap().unwrap().silent_at_ms, None);
    let gone = Asked::new(None, Answer::Silent);
    assert_eq!(region.shard_of(at, "a", &gone), "b");
}

#[test]
fn a_relay_that_comes_back_is_told_which_rooms_moved_for_as_long_as_one_may_move_late() {
    let region = Region::with_rooms();
    let lost = Asked::new(Some("a"), Answer::Silent);
    region.home(NOW + 3_000, "a", &lost).unwrap();
    let back = NOW + 3_500;
    let told = |at: u64, sequence: u64| region.beat(at, &heartbeat("a", sequence)).unwrap().moved;
    // Again and again, since a reply may be lost.
    for n in 0..8 {
        let expected = if n < 5 {
            moved(&[("a", 2)])
        } else {
            Vec::new()
        };
        assert_eq!(told(back + 2_000 * n, 2 + n), expected, "{n}");
    }
    // It stood still for a while, and nobody asked for it.
    assert_eq!(told(back + 20_000, 10), moved(&[("a", 2)]));
    // Another run has nobody; but somebody may come who was sent to it a moment before.
    let restarted = Heartbeat {
        boot: BootId([2; 8]),
        ..heartbeat("a", 1)
    };
    let orders = region.beat(back + 21_000, &restarted).unwrap();
    assert_eq!(orders.moved, moved(&[("a", 2)]));
}

#[test]
fn a_relay_with_many_rooms_is_told_of_all_of_them() {
    let region = Region::default();
    region
        .beat(
            NOW,
            &Heartbeat {
                capacity: 100_000,
                ..heartbeat("a", 1)
            },
        )
        .unwrap();
    let rooms: Vec<String> = (0..MAX_MOVED_ROOMS + 300)
        .map(|n| format!("room-{n}"))
        .collect();
    for room in &rooms {
        assert_eq!(region.shard_of(NOW, room, &Hearsay), "a");
    }
    region
        .beat(
            NOW,
            &Heartbeat {
                capacity: 100_000,
                ..heartbeat("b", 1)
            },
        )
        .unwrap();
    let lost = Asked::new(Some("a"), Answer::Silent);
    for room in &rooms {
        assert_eq!(region.shard_of(NOW + 3_000, room, &lost), "b");
    }
    assert_eq!(lost.times.get(), 1);
    let mut told = std::collections::BTreeSet::new();
    for beat in 2..4 {
        let orders = region
            .beat(NOW + 2_000 * beat, &heartbeat("a", beat))
            .unwrap();
        assert!(orders.moved.len() <= MAX_MOVED_ROOMS);
        told.extend(orders.moved.iter().map(|moved| moved.room));
    }
    assert_eq!(told.len(), rooms.len());
}

#[test]
fn a_relay_whose_drain_is_taken_back_is_told_who_has_gone_and_one_that_ends_is_not() {
    let region = Region::with_rooms();
    let shard = "a".parse().unwrap();
    let drain = |at, draining| {
        let set = directory::set_draining(&Patience, &region.store, at, &shard, draining);
        block_on(set).unwrap();
    };
    drain(NOW + 1_000, true);
    let unasked = Asked::new(Some("a"), Answer::Silent);
    assert_eq!(region.shard_of(NOW + 1_500, "a", &unasked), "b");
    assert_eq!(unasked.times.get(), 0);
    assert!(
        region
            .beat(NOW + 2_000, &heartbeat("a", 2))
            .unwrap()
            .draining
    );
    drain(NOW + 3_000, false);
    // It goes on: whoever it has not asked yet is to follow those who have gone.
    let orders = region.beat(NOW + 4_000, &heartbeat("a", 3)).unwrap();
    assert_eq!((orders.draining, orders.moved), (false, moved(&[("a", 2)])));
    let stopping = Heartbeat {
        state: ShardState::Stopping,
        ..heartbeat("a", 4)
    };
    region.beat(NOW + 5_000, &stopping).unwrap();
    assert_eq!(region.shard_of(NOW + 6_000, "c", &unasked), "b");
    let orders = region.beat(NOW + 30_000, &heartbeat("a", 5)).unwrap();
    assert_eq!(
        orders.moved,
        moved(&[("a", 2)]),
        "nobody of the other is left"
    );
}

#[test]
fn a_room_moves_to_where_all_of_it_fits_and_counts_as_large_as_it_was() {
    let region = Region::default();
    let large = LargeRoom {
        room: RoomKey::of(&name("crowd")),
        participants: 70,
    };
    let full_of = |shard: &str, sequence, participants, rooms| Heartbeat {
        load: Load {
            participants,
            rooms,
            ..Load::default()
        },
        ..heartbeat(shard, sequence)
    };
    region.beat(NOW, &heartbeat("a", 1)).unwrap();
    for room in ["crowd", "small", "other"] {
        region.home(NOW, room, &Hearsay).unwrap();
    }
    let of_a = Heartbeat {
        large: vec![large],
        ..full_of("a", 2, 90, 3)
    };
    region.beat(NOW + 1, &of_a).unwrap();
    // By share the smaller one is emptier.
    let small = Heartbeat {
        capacity: 60,
        ..full_of("b", 1, 5, 1)
    };
    region.beat(NOW + 1, &small).unwrap();
    region.beat(NOW + 1, &full_of("c", 1, 20, 4)).unwrap();
    let lost = Asked::new(Some("a"), Answer::Silent);
    assert_eq!(region.shard_of(NOW + 3_000, "crowd", &lost), "c");
    // 90 in 3 rooms: 30 each, until the next heartbeat says more.
    assert_eq!(region.shard_of(NOW + 3_000, "small", &lost), "b");
    let none_left = region.home(NOW + 3_000, "other", &lost).unwrap();
    assert_eq!(
        none_left.shard.as_str(),
        "b",
        "nobody has room for all of it; somebody for one"
    );
}

#[test]
fn of_two_heartbeats_of_a_run_the_one_counted_later_counts_whatever_clocks_say() {
    let region = Region::with_rooms();
    let load = |participants| Load {
        participants,
        ..Load::default()
    };
    let seen = |now_ms| {
        let shard = block_on(directory::shard(
            &region.store,
            now_ms,
            &"a".parse().unwrap(),
        ));
        shard.unwrap().unwrap().heartbeat.load.participants
    };
    // The relay's clock is set back, half a minute and forth.
    for (sequence, by_ms) in [(2, -29_000_i64), (3, 29_000), (4, -1), (5, 0)] {
        let at = NOW + 2_000 * sequence;
        let beat = Heartbeat {
            sent_at_ms: at.saturating_add_signed(by_ms),
            load: load(sequence as u32),
            ..heartbeat("a", sequence)
        };
        region.beat(at, &beat).unwrap();
        assert_eq!(seen(at), sequence as u32);
        // One that was on its way for longer changes nothing, nor does one that comes twice.
        for late in [sequence - 1, sequence] {
            let late = Heartbeat {
                load: load(99),
                ..heartbeat("a", late)
            };
            region.beat(at, &late).unwrap();
            assert_eq!(seen(at), sequence as u32);
        }
    }
    let far = Heartbeat {
        sent_at_ms: NOW - MAX_CLOCK_SKEW_MS - 1,
        ..heartbeat("a", 9)
    };
    assert_eq!(region.beat(NOW, &far), Err(ProblemKind::BodyInvalid));
}

#[test]
fn a_run_is_over_when_another_one_has_reported_and_says_nothing_more() {
    let region = Region::with_rooms();
    let of = |boot: u8, sequence: u64, sent_at_ms: u64| Heartbeat {
        boot: BootId([boot; 8]),
        sent_at_ms,
        ..heartbeat("a", sequence)
    };
    // It starts anew with a clock that is behind, and is there at once.
    region.beat(NOW + 1_000, &of(2, 1, NOW - 20_000)).unwrap();
    let seen = |now_ms| {
        let shard = block_on(directory::shard(
            &region.store,
            now_ms,
            &"a".parse().unwrap(),
        ));
        shard.unwrap().unwrap().heartbeat.boot
    };
    assert_eq!(seen(NOW + 1_000), BootId([2; 8]));
    for late in [of(1, 1, NOW), of(1, 99, NOW + 1_500)] {
        assert_eq!(region.beat(NOW + 1_500, &late), Err(ProblemKind::Conflict));
    }
    // Run after run; none of those before comes back as long as its heartbeats are let in.
    for boot in 3..40 {
        let at = NOW + 2_000 * u64::from(boot);
        region.beat(at, &of(boot, 1, at)).unwrap();
        for old in (1..boot).rev().take(15) {
            let late = of(old, 50, at - 1);
            assert_eq!(
                region.beat(at, &late),
                Err(ProblemKind::Conflict),
                "{old} {boot}"
            );
        }
    }
}

#[test]
fn a_heartbeat_from_later_than_now_is_of_a_clock_that_was_set_back() {
    let region = Region::with_rooms();
    let hour = 3_600_000;
    region.beat(NOW + hour, &heartbeat("a", 2)).unwrap();
    // The edge's clock is right again: what was seen then says nothing of now.
    let asked = Asked::new(None, Answer::Here);
    region.beat(NOW + 1, &heartbeat("b", 2)).unwrap();
    assert_eq!(region.shard_of(NOW + 2, "a", &asked), "a");
    assert_eq!(asked.times.get(), 1, "by its answer, not by the heartbeat");
    assert_eq!(region.shard_of(NOW + 2, "new", &asked), "b");
    region.beat(NOW + 3, &heartbeat("a", 3)).unwrap();
    assert_eq!(region.shard_of(NOW + 4, "a", &asked), "a");
    assert_eq!(asked.times.get(), 1);
}
