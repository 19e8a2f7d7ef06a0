use proptest::prelude::*;
use wire::record::UsageKind;

use super::*;

fn record(region: &str, room: u8, minutes: u64, packets: u64) -> UsageRecord {
    UsageRecord {
        kind: UsageKind::Usage,
        form: 1,
        minute_ms: 1_700_000_040_000,
        shard: "eu-1-a".parse().unwrap(),
        boot: None,
        sequence: 0,
        room: RoomKey([room; 8]),
        region: region.into(),
        mode: VoiceMode::Forward,
        participant_ms: minutes * 60_000,
        talk_ms: 1_000,
        packets_in: 0,
        bytes_in: 0,
        packets_out: packets,
        bytes_out: packets * 90,
        mixed_frames: 0,
        cpu_us: 0,
        quality: None,
    }
}

#[test]
fn a_thousand_stream_minutes_cost_what_a_calculation_by_hand_says() {
    let (book, allocation) = (Book::built_in(), Allocation::built_in());
    let mut usage = Usage::new(&book, &allocation);
    // 1,000 players who each hear one stream all the time: 3 million packets of 118 bytes.
    let voice = usage.add(&record("us", 1, 1_000, 3_000_000)).unwrap();
    assert_eq!(voice.egress.text(5), "0.03186");
    // 4.4 us each are 13.2 core-seconds of half a c7g.large.
    assert_eq!(voice.compute.text(6), "0.000133");
    assert_eq!(voice.per_1000_stream_minutes(), voice.total());
    assert_eq!(voice.per_1000_voice_minutes(), voice.total());
    assert!(usage.substituted.is_empty());
}

#[test]
fn a_region_without_prices_is_noted_and_rooms_are_ranked() {
    let (book, allocation) = (Book::built_in(), Allocation::built_in());
    let mut usage = Usage::new(&book, &allocation);
    usage.add(&record("eu", 1, 5, 1_000)).unwrap();
    usage.add(&record("eu", 2, 5, 9_000)).unwrap();
    let missing: Vec<String> = usage.substituted.iter().map(ToString::to_string).collect();
    assert_eq!(missing.len(), 2);
    assert!(
        missing[1].contains("egress-internet at aws in eu-west-1"),
        "{missing:?}"
    );
    assert_eq!(usage.dearest_rooms()[0].0, Some(RoomKey([2; 8])));
}

#[test]
fn nothing_costs_nothing_and_divides_by_nothing() {
    let voice = Voice::default();
    assert_eq!(voice.per_1000_voice_minutes(), Money::ZERO);
    assert_eq!(voice.per_1000_stream_minutes(), Money::ZERO);
}

proptest! {
    #[test]
    fn rooms_and_regions_add_up_to_the_whole(
        minutes in prop::collection::vec(
            (0..4_u8, any::<u32>(), any::<u32>(), any::<bool>()), 0..40)
    ) {
        let (book, allocation) = (Book::built_in(), Allocation::built_in());
        let mut usage = Usage::new(&book, &allocation);
        let mut alone = Money::ZERO;
        for (room, minutes, packets, far) in &minutes {
            let region = if *far { "ap" } else { "us" };
            let record = record(region, *room, (*minutes).into(), (*packets).into());
            alone += usage.add(&record).unwrap().total();
        }
        let rooms: Money = usage.rooms.values().map(Voice::total).sum();
        prop_assert_eq!(usage.total().total(), alone);
        prop_assert_eq!(rooms, alone);
        prop_assert!(alone >= Money::ZERO);
    }
}
