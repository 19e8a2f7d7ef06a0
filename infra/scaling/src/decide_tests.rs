use proptest::prelude::*;

use super::*;
use crate::outlook::{Outlook, hour_of};
use crate::policy::tests::prod;

const NOW_S: u64 = 1_796_000_000;

fn foretold(people: f64) -> Outlook {
    let hours = hour_of(NOW_S) - 200..hour_of(NOW_S) + 200;
    Outlook::of_hours(hours.map(|hour| (hour, people)).collect())
}

fn relay(zone: usize, participants: u32, state: State) -> Relay {
    Relay {
        zone: zone.to_string(),
        participants,
        state,
    }
}

fn serving(count: usize, participants: u32) -> BTreeMap<String, Relay> {
    let relays = (0..count).map(|at| relay(at % 3, participants, State::Serving));
    (0..count)
        .map(|at| format!("i-{at:02}"))
        .zip(relays)
        .collect()
}

fn seen(relays: BTreeMap<String, Relay>, people: f64) -> Seen {
    Seen {
        now_s: NOW_S,
        zones: 3,
        relays,
        launches_fail: false,
        outlook: foretold(people),
    }
}

/// Since long ago fewer would do.
fn lower() -> Memory {
    Memory {
        lower_since_s: Some(NOW_S - 100_000),
        ..Memory::default()
    }
}

fn drains(acts: &[Act], reason: DrainWhy) -> Vec<&str> {
    let of = |act: &'_ Act| matches!(act, Act::Drain { why, .. } if *why == reason);
    let ids = acts.iter().filter(|act| of(act)).map(|act| match act {
        Act::Drain { id, .. } => id.as_str(),
        _ => "",
    });
    ids.collect()
}

#[test]
fn a_group_grows_at_once_and_shrinks_slowly() {
    // 750 a relay: 6,000 need 8, and 12 with a zone to spare.
    let grown = decide(&prod(), &seen(serving(3, 2_000), 100.0), &Memory::default());
    assert_eq!((grown.wanted, grown.desired), (12, 12));
    assert_eq!(
        grown.acts,
        [Act::Grow {
            to: 12,
            why: Why::Demand
        }]
    );
    let few = seen(serving(12, 10), 100.0);
    let first = decide(&prod(), &few, &Memory::default());
    assert!(first.acts.is_empty(), "not yet: {:?}", first.acts);
    assert_eq!(first.memory.lower_since_s, Some(NOW_S));
    let then = decide(&prod(), &few, &lower());
    assert_eq!(drains(&then.acts, DrainWhy::TooMany), ["i-00"]);
    assert_eq!(
        (then.wanted, then.desired),
        (11, 12),
        "it is there until it is empty"
    );
    let again = Seen {
        now_s: NOW_S + 300,
        ..few.clone()
    };
    let again = decide(&prod(), &again, &then.memory);
    assert!(
        again.acts.is_empty(),
        "one in ten at once: {:?}",
        again.acts
    );
    let mut left = few;
    left.relays.get_mut("i-00").unwrap().participants = 0;
    let ended = decide(&prod(), &left, &then.memory);
    let end = Act::End {
        id: "i-00".to_owned(),
        why: EndsBecause::Empty,
        shrinks: true,
    };
    assert!(
        ended.acts.contains(&end) && ended.desired == 11,
        "{ended:?}"
    );
}

#[test]
fn what_is_drained_comes_back_before_anything_is_launched() {
    let shrunk = decide(&prod(), &seen(serving(12, 10), 100.0), &lower());
    let risen = decide(&prod(), &seen(serving(12, 490), 100.0), &shrunk.memory);
    assert_eq!(
        risen.acts,
        [Act::Return {
            id: "i-00".to_owned()
        }]
    );
    assert_eq!(risen.memory.grew_s, Some(NOW_S));
}

#[test]
fn a_hung_relay_is_drained_replaced_and_ended_in_its_time() {
    let mut relays = serving(12, 500);
    let silent = State::Silent {
        since_s: NOW_S - 30,
    };
    relays.insert("i-05".to_owned(), relay(2, 500, silent));
    let found = decide(&prod(), &seen(relays.clone(), 100.0), &Memory::default());
    assert_eq!(drains(&found.acts, DrainWhy::Hung), ["i-05"]);
    assert!(
        found.acts.contains(&Act::Grow {
            to: 13,
            why: Why::Lost
        }),
        "{found:?}"
    );
    // A second one waits, and nothing more is launched for it until then.
    relays.insert("i-06".to_owned(), relay(0, 500, silent));
    relays.insert("i-12".to_owned(), relay(2, 0, State::Serving));
    let later = |after_s: u64| Seen {
        now_s: NOW_S + after_s,
        ..seen(relays.clone(), 100.0)
    };
    let soon = decide(&prod(), &later(300), &found.memory);
    assert!(soon.acts.is_empty(), "{soon:?}");
    let then = decide(&prod(), &later(600), &found.memory);
    assert_eq!(drains(&then.acts, DrainWhy::Hung), ["i-06"]);
    // It may carry calls: its machine ends at the limit of a drain, and not before.
    let end = |act: &Act| match act {
        Act::End { id, why, .. } => id == "i-05" && *why == EndsBecause::Limit,
        _ => false,
    };
    let before = decide(&prod(), &later(1_799), &found.memory);
    assert!(!before.acts.iter().any(end), "{before:?}");
    let at = decide(&prod(), &later(1_800), &found.memory);
    assert!(at.acts.iter().any(end), "{at:?}");
}

#[test]
fn many_that_are_unheard_are_not_what_is_broken() {
    let mut relays = serving(12, 400);
    for relay in relays.values_mut().take(3) {
        relay.state = State::Silent { since_s: 0 };
    }
    let found = decide(&prod(), &seen(relays, 100.0), &Memory::default());
    assert!(
        found.notes.contains(&Note::TooManySilent) && found.acts.is_empty(),
        "{found:?}"
    );
}

#[test]
fn a_machine_that_does_not_start_is_ended() {
    let mut relays = serving(12, 500);
    relays.insert(
        "i-90".to_owned(),
        relay(
            0,
            0,
            State::Starting {
                since_s: NOW_S - 600,
            },
        ),
    );
    let found = decide(&prod(), &seen(relays.clone(), 100.0), &Memory::default());
    assert_eq!(drains(&found.acts, DrainWhy::Hung), ["i-90"]);
    let then = decide(&prod(), &seen(relays, 100.0), &found.memory);
    assert!(
        matches!(&then.acts[..], [Act::End { id, .. }] if id == "i-90"),
        "{then:?}"
    );
}

#[test]
fn without_a_forecast_nothing_is_taken_away() {
    let mut few = seen(serving(12, 10), 100.0);
    few.outlook = Outlook::default();
    let found = decide(&prod(), &few, &lower());
    assert!(
        found.acts.is_empty() && found.notes.contains(&Note::NoForecast),
        "{found:?}"
    );
}

#[test]
fn at_the_limit_a_hung_one_is_replaced_by_the_group() {
    let policy = Policy { most: 12, ..prod() };
    let mut relays = serving(12, 900);
    relays.insert("i-05".to_owned(), relay(2, 0, State::Silent { since_s: 0 }));
    let found = decide(&policy, &seen(relays.clone(), 30_000.0), &Memory::default());
    assert!(found.notes.contains(&Note::AtLimit), "{found:?}");
    let then = decide(&policy, &seen(relays, 30_000.0), &found.memory);
    let end = Act::End {
        id: "i-05".to_owned(),
        why: EndsBecause::Empty,
        shrinks: false,
    };
    assert!(then.acts.contains(&end) && then.desired == 12, "{then:?}");
}

fn state() -> impl Strategy<Value = State> {
    prop_oneof![
        6 => Just(State::Serving),
        1 => Just(State::Drained),
        1 => (0..1_000_u64).prop_map(|ago| State::Starting { since_s: NOW_S - ago }),
        1 => (0..100_u64).prop_map(|ago| State::Silent { since_s: NOW_S - ago }),
    ]
}

fn drain() -> impl Strategy<Value = Option<Drain>> {
    let why = prop_oneof![Just(DrainWhy::TooMany), Just(DrainWhy::Hung)];
    let drain = (0..4_000_u64, why).prop_map(|(ago, why)| Drain {
        since_s: NOW_S - ago,
        why,
    });
    prop_oneof![3 => Just(None), 1 => drain.prop_map(Some)]
}

fn ago() -> impl Strategy<Value = Option<u64>> {
    proptest::option::of((0..8_000_u64).prop_map(|ago| NOW_S - ago))
}

/// Anything that may be seen, with anything that may be remembered.
fn anything() -> impl Strategy<Value = (Seen, Memory)> {
    let machine = (0..3_usize, 0..1_200_u32, state(), drain());
    let machines = proptest::collection::vec(machine, 0..40);
    let rest = (1..5_u32, any::<bool>(), 0.0..60_000.0, any::<bool>());
    (machines, rest, ago(), ago(), ago()).prop_map(|(machines, rest, grew, lower, replaced)| {
        let (zones, launches_fail, people, is_foretold) = rest;
        let (mut relays, mut drains) = (BTreeMap::new(), BTreeMap::new());
        for (at, (zone, participants, state, drain)) in machines.into_iter().enumerate() {
            let id = format!("i-{at:02}");
            drains.extend(drain.map(|drain| (id.clone(), drain)));
            relays.insert(id, relay(zone, participants, state));
        }
        let mut outlook = foretold(people);
        outlook.is_foretold = is_foretold;
        let seen = Seen {
            now_s: NOW_S,
            zones,
            relays,
            launches_fail,
            outlook,
        };
        let memory = Memory {
            grew_s: grew,
            lower_since_s: lower,
            replaced_s: replaced,
            drains,
        };
        (seen, memory)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn never_below_the_floor_and_never_above_the_limit((seen, memory) in anything()) {
        let found = decide(&prod(), &seen, &memory);
        prop_assert!((found.floor..=prod().most).contains(&found.wanted), "{:?}", found);
        prop_assert!((prod().least..=prod().most).contains(&found.floor));
        prop_assert!(found.desired <= prod().most);
        // The group refuses to be smaller than its floor, so it is never asked to.
        let shrinks = found.acts.iter().any(|act| matches!(act, Act::End { shrinks: true, .. }));
        prop_assert!(!shrinks || found.desired >= found.floor);
        for act in &found.acts {
            let grows = match act {
                Act::Grow { to, .. } => *to > seen.relays.len() as u32 && *to <= prod().most,
                _ => true,
            };
            prop_assert!(grows, "{:?}", act);
        }
    }

    #[test]
    fn more_people_never_want_fewer_relays((seen, memory) in anything(), more in 0..2_000_u32) {
        let mut fuller = seen.clone();
        for relay in fuller.relays.values_mut() {
            relay.participants += more;
        }
        let (less, more) = (decide(&prod(), &seen, &memory), decide(&prod(), &fuller, &memory));
        prop_assert!(less.wanted <= more.wanted, "{:?} and then {:?}", less, more);
    }

    #[test]
    fn people_are_on_no_machine_that_ends_before_its_limit((seen, memory) in anything()) {
        let found = decide(&prod(), &seen, &memory);
        for act in &found.acts {
            if let Act::End { id, .. } = act {
                let drain = memory.drains.get(id);
                prop_assert!(drain.is_some(), "{} was never drained", id);
                let is_over = drain.is_some_and(|it| NOW_S - it.since_s >= prod().drain_limit_s);
                let is_empty = seen.relays[id].participants == 0;
                prop_assert!(is_empty || is_over, "{}", id);
            }
        }
    }

    #[test]
    fn nothing_is_taken_away_while_launches_fail((mut seen, memory) in anything()) {
        seen.launches_fail = true;
        let found = decide(&prod(), &seen, &memory);
        prop_assert_eq!(drains(&found.acts, DrainWhy::TooMany), Vec::<&str>::new());
        for act in &found.acts {
            if let Act::End { id, .. } = act {
                prop_assert_eq!(seen.relays[id].participants, 0);
            }
        }
    }

    #[test]
    fn the_same_again_does_nothing_twice((seen, memory) in anything()) {
        let first = decide(&prod(), &seen, &memory);
        let again = decide(&prod(), &seen, &first.memory);
        for act in &again.acts {
            let is_once = matches!(act, Act::Return { .. } | Act::Drain { .. });
            let is_twice = is_once && first.acts.contains(act);
            prop_assert!(!is_twice, "{:?}", act);
        }
    }

    /// Demand that swings within the band about any level, for half a day: what is drained was too
    /// many for all of it, so nothing grows after the first drain. Growing and draining are never
    /// nearer than the cool-down, whatever the demand.
    #[test]
    fn it_does_not_flap(
        level in 0.0..30_000.0_f64,
        swings in proptest::collection::vec(0.0..1.0_f64, 144),
        is_wild in any::<bool>(),
        begins in 0..50_usize,
    ) {
        let policy = prod();
        let (mut memory, mut relays) = (Memory::default(), serving(begins, 0));
        let (mut grew_s, mut drained) = (None, false);
        for (at, swing) in swings.into_iter().enumerate() {
            let now_s = NOW_S + at as u64 * 300;
            let width = if is_wild { 3.0 } else { policy.band * 0.99 };
            let people: f64 = level * (1.0 + swing * width);
            let count = relays.len().max(1) as f64;
            for relay in relays.values_mut() {
                relay.participants = (people / count).floor() as u32;
            }
            // Whoever is on a drained one has moved.
            for id in memory.drains.keys() {
                let moved = relays.get_mut(id).map(|relay| std::mem::take(&mut relay.participants));
                let other = relays.iter_mut().find(|(id, _)| !memory.drains.contains_key(*id));
                if let (Some(moved), Some((_, other))) = (moved, other) {
                    other.participants += moved;
                }
            }
            let seen = Seen { now_s, relays: relays.clone(), ..seen(BTreeMap::new(), 0.0) };
            let found = decide(&policy, &seen, &memory);
            for act in &found.acts {
                match act {
                    Act::Grow { to, .. } => {
                        prop_assert!(is_wild || !drained, "it grows after a drain");
                        grew_s = Some(now_s);
                        for at in relays.len()..*to as usize {
                            let id = format!("j-{now_s}-{at:02}");
                            relays.insert(id, relay(at % 3, 0, State::Serving));
                        }
                    }
                    Act::Return { .. } => {
                        prop_assert!(is_wild, "it takes back what it drained");
                        grew_s = Some(now_s);
                    }
                    Act::Drain { .. } => {
                        let is_calm = grew_s.is_none_or(|at: u64| now_s - at >= policy.cool_down_s);
                        prop_assert!(is_calm, "drained {now_s}, grown {grew_s:?}");
                        drained = true;
                    }
                    Act::End { id, .. } => drop(relays.remove(id)),
                }
            }
            memory = found.memory;
        }
    }
}
