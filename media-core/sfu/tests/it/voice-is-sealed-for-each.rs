//! What the core seals beside str0m is what str0m at the other end opens.

use std::time::{Duration, UNIX_EPOCH};

use crate::common::{UNIX_S, Want, World};

fn two_talkers() -> World {
    let want = Want {
        room: "room",
        channels: "main",
        ..Want::default()
    };
    let mut world = World::new(&[want.clone(), want]);
    world.start_all();
    world.run_until("both are welcome", World::are_welcome);
    world
}

#[test]
fn voice_goes_on_when_sequence_numbers_roll_over() {
    let mut world = two_talkers();
    world.clients[0].level = Some(-20);
    // Whatever the first number is, there is a roll-over on the way.
    world.run_ms(66_000 * 20);
    let heard = world.clients[1].heard_in(0);
    assert!(heard.len() > 65_990, "heard {}", heard.len());
    assert!(
        heard
            .iter()
            .any(|(number, _)| *number > u64::from(u16::MAX))
    );
    for pair in heard.windows(2) {
        assert_eq!(pair[1].0, pair[0].0 + 1);
    }
}

#[test]
fn a_speaker_who_jumps_far_ahead_makes_no_jump_at_his_listeners() {
    let mut world = two_talkers();
    world.clients[0].level = Some(-20);
    for _ in 0..8 {
        world.run_ms(200);
        // Further than SRTP can tell from a step back.
        world.clients[0].seq += 30_000;
    }
    world.run_ms(200);
    let heard = world.clients[1].heard_in(0);
    assert!(heard.len() > 60, "heard {}", heard.len());
    for pair in heard.windows(2) {
        assert!((1..=1024).contains(&(pair[1].0 - pair[0].0)), "{pair:?}");
    }
}

#[test]
fn listeners_get_sender_reports_about_what_they_were_sent() {
    let mut world = two_talkers();
    world.clients[0].level = Some(-20);
    world.run_ms(30_000);
    let silent_from = world.now;
    world.clients[0].level = None;
    world.run_ms(30_000);
    let listener = &world.clients[1];
    let reports = &listener.reports;
    assert!(
        (4..=13).contains(&reports.len()),
        "one in 2.5 to 7.5 s: {}",
        reports.len()
    );
    for (at, report) in reports {
        assert_eq!(report.slot, listener.heard[0].voice.slot);
        assert!(
            *at < silent_from + Duration::from_secs(8),
            "silence is not reported again"
        );
        let sent = listener.heard.iter().filter(|heard| heard.at <= *at);
        let (packets, octets) = sent.fold((0u32, 0u32), |(packets, octets), heard| {
            (packets + 1, octets + heard.voice.payload.len() as u32)
        });
        let on_the_way = packets.abs_diff(report.packets);
        assert!(on_the_way <= 1, "{packets} heard, {report:?}");
        assert!(octets.abs_diff(report.octets) <= on_the_way * 100);
        let since = at.saturating_duration_since(world.t0).as_secs_f64();
        let ntp = report
            .sent_at
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs_f64();
        assert!(
            (ntp - UNIX_S as f64 - since).abs() < 0.01,
            "the wall clock of the shard"
        );
    }
}
