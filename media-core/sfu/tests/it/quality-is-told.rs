//! How well a player is heard and hears: what he is told, and what nobody believes.

use std::collections::BTreeMap;

use crate::common::{OPUS, Want, World, is_voice};
use sfu::{Quality, ReportFlaw, Way};
use wire::channel::RelayMessage;

/// What client `n` was told last.
fn told(world: &World, n: usize) -> Option<Quality> {
    let messages = world.clients[n].messages.iter().rev();
    let way = |way: wire::channel::Way| Way {
        lost_permille: way.lost_permille,
        concealed_permille: way.concealed_permille,
        jitter_ms: way.jitter_ms,
        rating: way.rating,
        mos_centi: way.mos_centi,
    };
    messages.into_iter().find_map(|message| match message {
        RelayMessage::Quality {
            up,
            down,
            rtt_ms,
            listeners_lost_permille,
        } => Some(Quality {
            up: up.map(way),
            down: down.map(way),
            rtt_ms: *rtt_ms,
            listeners_lost_permille: *listeners_lost_permille,
        }),
        _ => None,
    })
}

fn count_told(world: &World, n: usize) -> usize {
    let messages = world.clients[n].messages.iter();
    let told = messages.filter(|message| matches!(message, RelayMessage::Quality { .. }));
    told.count()
}

/// Two who talk all the time.
fn two() -> World {
    let mut world = World::new(&[Want::default(), Want::default()]);
    world.start_all();
    world.run_until("welcome", World::are_welcome);
    for client in &mut world.clients {
        client.level = Some(-20);
    }
    world
}

/// Every fifth packet of voice by its number, which is in the clear.
fn lose_a_fifth(data: &mut Vec<u8>) {
    if is_voice(data) && data[3] % 5 == 0 {
        data.clear();
    }
}

#[test]
fn a_good_network_is_said_once() {
    let mut world = two();
    world.run_ms(30_000);
    let quality = told(&world, 0).expect("he is told");
    let (up, down) = (quality.up.unwrap(), quality.down.unwrap());
    assert_eq!((up.lost_permille, down.lost_permille), (0, 0));
    assert!(up.mos_centi >= 420 && down.mos_centi >= 420, "{quality:?}");
    // A millisecond each way.
    assert!(quality.rtt_ms.is_some_and(|ms| (2..=4).contains(&ms)));
    assert_eq!(quality.listeners_lost_permille, Some(0));
    let often = count_told(&world, 0);
    assert!(often <= 5, "nothing changes, and he was told {often} times");
    let room = world.clients[0].admission.room;
    assert_eq!(world.sfu.qualities(room).count(), 2);
    let stats = &world.sfu.stats().quality;
    assert!(stats.up.mos.count >= 8 && stats.down.mos.count >= 8);
    assert!(
        ReportFlaw::ALL
            .iter()
            .all(|flaw| world.sfu.stats().flawed(*flaw) == 0)
    );
}

#[test]
fn loss_on_the_way_here_is_the_speakers_and_not_the_listeners() {
    let mut world = two();
    world.tamper = Some(lose_a_fifth);
    world.run_ms(30_000);
    let quality = told(&world, 0).unwrap();
    let (up, down) = (quality.up.unwrap(), quality.down.unwrap());
    assert!((195..=205).contains(&up.lost_permille), "{quality:?}");
    assert_eq!(
        up.concealed_permille, up.lost_permille,
        "nothing was repeated"
    );
    assert!(up.mos_centi < 300, "{quality:?}");
    // What never came here was not lost on the way from here.
    assert!(down.lost_permille <= 10, "{quality:?}");
    assert!(
        quality
            .listeners_lost_permille
            .is_some_and(|lost| lost <= 10)
    );
}

#[test]
fn what_red_makes_good_is_not_concealed() {
    const RED: u8 = 63;
    let want = Want {
        red: Some(RED),
        ..Want::default()
    };
    let mut world = World::new(&[want.clone(), want]);
    world.start_all();
    world.run_until("welcome", World::are_welcome);
    let mut payload = vec![0x80 | OPUS, (960 >> 6) as u8, 0, 60, OPUS];
    payload.extend([7; 120]);
    world.clients[0].level = Some(-20);
    world.clients[0].payload = Some((RED, payload));
    // RED is not voice to `is_voice`.
    world.tamper = Some(|data| {
        if matches!(data[..], [128..=191, second, _, low, ..] if second & 0x7f == RED && low % 5 == 0)
        {
            data.clear();
        }
    });
    world.run_ms(20_000);
    let up = told(&world, 0).unwrap().up.unwrap();
    assert!((190..=210).contains(&up.lost_permille), "{up:?}");
    // But where the low byte rolls over: there two in a row are lost.
    assert!(up.concealed_permille <= 10, "{up:?}");
    assert!(up.mos_centi >= 420, "{up:?}");
}

#[test]
fn forged_and_old_reports_change_nothing() {
    let mut world = two();
    world.recorded = Some(Vec::new());
    world.run_ms(20_000);
    let recorded = world.recorded.take().unwrap();
    let reports: Vec<_> = recorded
        .into_iter()
        .filter(|(_, data)| matches!(data[..], [128..=191, 200 | 201, ..]))
        .collect();
    assert!(reports.len() >= 4);
    let before: BTreeMap<usize, _> = (0..2).map(|n| (n, told(&world, n))).collect();
    let rejected = world.sfu.stats().rejected(sfu::RejectReason::Srtp);
    for (from, data) in &reports {
        // As it was, and with any byte changed.
        world.inject(*from, data);
        for at in 0..data.len() {
            let mut forged = data.clone();
            forged[at] ^= 1;
            world.inject(*from, &forged);
        }
        // Within what a session may ask for.
        world.run_ms(2_000);
    }
    assert!(world.sfu.stats().rejected(sfu::RejectReason::Srtp) > rejected);
    world.run_ms(10_000);
    for (n, before) in before {
        let now = told(&world, n).unwrap();
        let before = before.unwrap();
        assert_eq!(
            now.up.unwrap().lost_permille,
            before.up.unwrap().lost_permille
        );
        assert!(now.down.unwrap().lost_permille <= 5, "{now:?}");
    }
}
