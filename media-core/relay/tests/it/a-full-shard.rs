//! A real shard under more load than it is allowed: it says so, refuses, and recovers.

use std::collections::BTreeMap;

use crate::common::player::{Client, Noticed};
use crate::common::{FakeEdge, WAIT_MAX, config, metrics_until, sample, start};
use tokio::time::timeout;
use wire::RoomKey;
use wire::fleet::{Heartbeat, ShardState};

/// The next heartbeat that `wanted` accepts.
async fn heartbeat(edge: &mut FakeEdge, wanted: impl Fn(&Heartbeat) -> bool) -> Heartbeat {
    let look = async {
        loop {
            let heartbeat = edge.heartbeat().await;
            if wanted(&heartbeat) {
                return heartbeat;
            }
        }
    };
    timeout(WAIT_MAX, look).await.expect("such a heartbeat")
}

/// Sequence numbers of the voice that a client has noticed, by slot.
fn numbers(client: &mut Client) -> BTreeMap<u8, Vec<u64>> {
    let mut numbers = BTreeMap::<u8, Vec<u64>>::new();
    while let Ok(noticed) = client.noticed.try_recv() {
        if let Noticed::Voice { slot, seq, .. } = noticed {
            numbers.entry(slot).or_default().push(seq);
        }
    }
    numbers
}

#[tokio::test]
async fn it_refuses_above_its_load_keeps_those_inside_and_opens_again() {
    let mut edge = FakeEdge::start().await;
    let mut config = config(&edge.url, 1);
    config.settings.full_packets = 200;
    let running = start(config).await;
    let first = edge.heartbeat().await;
    assert_eq!(first.state, ShardState::Open);
    let mut inside = Vec::new();
    for number in 1..=4 {
        let mut client = Client::join(number, &first).await;
        client.until_welcome().await;
        inside.push(client);
    }
    // Two are heard by three each: 300 datagrams in a second.
    inside[0].talk(true);
    inside[1].talk(true);
    let full = heartbeat(&mut edge, |beat| beat.state == ShardState::Full).await;
    assert_eq!(full.refused, []);

    // His ticket is from before; the relay tells the edge of his room at once.
    let mut late = Client::join(9, &first).await;
    let told = heartbeat(&mut edge, |beat| !beat.refused.is_empty()).await;
    let lobby = RoomKey::of(&"lobby".parse().unwrap());
    assert_eq!(
        (told.refused[0].room, told.refused[0].occupied),
        (lobby, true)
    );
    let rejected = "relay_datagrams_rejected_total{shard=\"dev-0\",reason=\"full\"}";
    let text = metrics_until(running.health(), |text| sample(text, rejected) >= 3.0).await;
    assert_eq!(
        sample(&text, "relay_full{shard=\"dev-0\",reason=\"packets\"}"),
        1.0
    );
    assert_eq!(sample(&text, "relay_full_total{shard=\"dev-0\"}"), 1.0);
    assert_eq!(sample(&text, "relay_sessions{shard=\"dev-0\"}"), 4.0);
    assert!(late.was_left_out());
    drop(late);
    let slots = numbers(&mut inside[3]);
    assert_eq!(slots.len(), 2, "two are heard");
    for heard in slots.values() {
        assert!(heard.len() > 50, "{} packets", heard.len());
        assert!(
            heard.windows(2).all(|pair| pair[1] == pair[0] + 1),
            "none is lost"
        );
    }

    inside[0].talk(false);
    let open = heartbeat(&mut edge, |beat| beat.state == ShardState::Open).await;
    assert_eq!(open.refused, []);
    Client::join(10, &open).await.until_welcome().await;
    running.stop().await.unwrap();
}

#[tokio::test]
async fn it_is_full_of_sessions_at_its_capacity_and_not_before() {
    let mut edge = FakeEdge::start().await;
    let mut config = config(&edge.url, 1);
    config.settings.max_participants = 2;
    let running = start(config).await;
    let first = edge.heartbeat().await;
    let mut a = Client::join(1, &first).await;
    a.until_welcome().await;
    let mut b = Client::join(2, &first).await;
    b.until_welcome().await;
    let full = heartbeat(&mut edge, |beat| beat.state == ShardState::Full).await;
    assert_eq!((full.load.participants, full.capacity), (2, 2));
    drop(b);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_room_takes_no_more_than_its_limit() {
    let mut edge = FakeEdge::start().await;
    let mut config = config(&edge.url, 1);
    config.settings.max_room = 2;
    let running = start(config).await;
    let first = edge.heartbeat().await;
    let mut inside = Vec::new();
    for number in 1..=2 {
        let mut client = Client::join(number, &first).await;
        client.until_welcome().await;
        inside.push(client);
    }
    let mut late = Client::join(3, &first).await;
    let rejected = "relay_datagrams_rejected_total{shard=\"dev-0\",reason=\"full\"}";
    let text = metrics_until(running.health(), |text| sample(text, rejected) >= 3.0).await;
    assert!(late.was_left_out());
    let full = "relay_full{shard=\"dev-0\",reason=\"sessions\"}";
    assert_eq!(
        sample(&text, full),
        0.0,
        "the shard has places for other rooms"
    );
    running.stop().await.unwrap();
}
