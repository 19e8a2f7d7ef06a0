//! What rooms used is told once: records, all together, are what the core has counted, whatever
//! happens and whenever they are taken.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;
use sfu::{Command, EndReason, Event, Usage, UsageRecord, WallClock};

use crate::common::{UNIX_S, Want, World, room};

const ROOMS: [&str; 2] = ["one", "two"];
const CLIENTS: usize = 6;
const MINUTE_MS: u64 = 60_000;

#[derive(Debug, Clone)]
enum Step {
    Start(usize),
    Talk(usize, bool),
    /// The edge ends a session.
    End(usize),
    /// Its packets and those to it get lost.
    Offline(usize),
    /// Somebody is taken from a room, if he is there.
    Kick(usize, usize),
    Pass(u64),
    Take,
    /// The wall clock is set, seconds from where it was.
    Clock(i64),
    Stop,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let who = 0..CLIENTS;
    let step = prop_oneof![
        4 => who.clone().prop_map(Step::Start),
        4 => (who.clone(), any::<bool>()).prop_map(|(n, talks)| Step::Talk(n, talks)),
        1 => who.clone().prop_map(Step::End),
        1 => who.clone().prop_map(Step::Offline),
        1 => (who, 0..ROOMS.len()).prop_map(|(n, of)| Step::Kick(n, of)),
        6 => prop_oneof![1..500_u64, Just(1_500), Just(20_000)].prop_map(Step::Pass),
        2 => Just(Step::Take),
        1 => prop_oneof![-30..30_i64, Just(3_600), Just(-3_600)].prop_map(Step::Clock),
        1 => Just(Step::Stop),
    ];
    prop::collection::vec(step, 1..40)
}

fn records(world: &World) -> Vec<UsageRecord> {
    let records = world.events.iter().filter_map(|event| match event {
        Event::Used(record) => Some(*record),
        _ => None,
    });
    records.collect()
}

fn sum(records: &[UsageRecord]) -> Usage {
    records.iter().fold(Usage::default(), |mut sum, record| {
        sum += record.usage;
        sum
    })
}

/// Players 1 and 2, 3 and 4, and so on are the same: whoever comes second takes the other's place.
fn world(interval: Duration) -> World {
    let wants: Vec<Want> = (0..CLIENTS)
        .map(|n| Want {
            room: ROOMS[n % 3 % 2],
            player: 100 + n as u8 / 2,
            ..Want::default()
        })
        .collect();
    World::with(&wants, |config| config.usage_interval = interval)
}

fn take(world: &mut World, step: &Step, started: &mut BTreeSet<usize>, wall_s: &mut i64) {
    match *step {
        Step::Start(n) => {
            if started.insert(n) {
                world.start(n);
            }
        }
        Step::Talk(n, talks) => world.clients[n].level = talks.then_some(-20),
        Step::End(n) => {
            let admission = &world.clients[n].admission;
            let (session, player) = (admission.session, admission.player);
            world.command(Command::End {
                session,
                player,
                reason: EndReason::Kicked,
            });
        }
        Step::Offline(n) => world.clients[n].online = false,
        Step::Kick(n, of) => {
            let player = world.clients[n].admission.player;
            world.command(Command::Kick {
                room: room(ROOMS[of]),
                player,
                at_ms: UNIX_S * 1000,
            });
        }
        Step::Pass(ms) => world.run_ms(ms),
        Step::Take => {
            let now = world.now;
            world.sfu.take_usage(now);
            world.run_ms(0);
            while let Some(event) = world.sfu.poll_event() {
                world.events.push(event);
            }
            assert_eq!(sum(&records(world)), world.sfu.usage(now));
        }
        Step::Clock(by_s) => {
            *wall_s += by_s;
            let passed = (world.now - world.t0).as_millis() as u64;
            world.command(Command::SetWallClock(WallClock {
                at: world.now,
                unix_ms: (UNIX_S * 1000).saturating_add_signed(*wall_s * 1000) + passed,
            }));
        }
        Step::Stop => world.command(Command::Stop),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn records_are_what_was_counted(steps in steps(), is_short: bool) {
        let interval = Duration::from_secs(if is_short { 5 } else { 60 });
        let mut world = world(interval);
        let (mut started, mut wall_s) = (BTreeSet::new(), 0);
        for step in &steps {
            take(&mut world, step, &mut started, &mut wall_s);
        }
        take(&mut world, &Step::Take, &mut started, &mut wall_s);
        let records = records(&world);
        for (n, record) in (1..).zip(&records) {
            prop_assert_eq!(record.sequence, n);
            prop_assert!(record.minute_ms.is_multiple_of(MINUTE_MS));
            prop_assert!(!record.usage.is_nothing());
            let there = record.usage.participant_time;
            prop_assert!(there <= (interval + Duration::from_millis(2)) * CLIENTS as u32);
        }
    }
}

#[test]
fn a_minute_is_told_when_it_is_over_and_is_the_one_that_it_was_in() {
    let mut world = world(Duration::from_secs(60));
    world.start(0);
    world.start(2);
    world.run_until("both are there", |world| {
        [0, 2].iter().all(|n| world.clients[*n].is_welcome())
    });
    world.clients[0].level = Some(-20);
    world.run_ms(150_000);
    let first_ms = UNIX_S * 1000 / MINUTE_MS * MINUTE_MS;
    let records = records(&world);
    let minutes: BTreeSet<u64> = records.iter().map(|record| record.minute_ms).collect();
    assert_eq!(minutes, BTreeSet::from([first_ms, first_ms + MINUTE_MS]));
    let of_second = records.iter().filter(|one| one.minute_ms > first_ms);
    let second = sum(&of_second.copied().collect::<Vec<_>>());
    assert_eq!(second.participant_time, Duration::from_secs(120));
    // His packets hold 20 ms each by their first byte, and come each 20 ms.
    let spoken = second.talk_time.as_secs_f64();
    assert!((59.9..=60.1).contains(&spoken), "{spoken} s");
    assert!((2_995..=3_005).contains(&second.packets_in), "{second:?}");
}
