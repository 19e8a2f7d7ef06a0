//! One client sends far more voice than anybody says: the others hear as much of it as of a
//! speaker, and lose nothing of who talks beside it.

use crate::common::player::{Client, Noticed};
use crate::common::{FakeEdge, config, metrics_until, sample, start};
use tokio::time::Instant;

const FLOOD: usize = 400;

#[tokio::test]
async fn a_flood_is_held_back_and_bystanders_lose_nothing() {
    let mut edge = FakeEdge::start().await;
    let running = start(config(&edge.url, 1)).await;
    let first = edge.heartbeat().await;
    let mut inside = Vec::new();
    for number in 1..=3 {
        let mut client = Client::join(number, &first).await;
        client.until_welcome().await;
        inside.push(client);
    }
    let began = Instant::now();
    inside[1].talk(true);
    inside[0].flood(FLOOD);
    let dropped = "relay_drops_total{shard=\"dev-0\",reason=\"rate\"}";
    let text = metrics_until(running.health(), |text| sample(text, dropped) >= 300.0).await;
    let received = sample(&text, "relay_voice_packets_received_total{shard=\"dev-0\"}");
    assert!(received > 300.0, "{received} packets came");
    // Until who talks was heard for long enough.
    let (mut flooded, mut numbers) = (0, Vec::new());
    while numbers.len() < 50 {
        let voice = inside[2].until(|noticed| match noticed {
            Noticed::Voice {
                first_byte, seq, ..
            } => Some((*first_byte, *seq)),
            Noticed::Message(_) => None,
        });
        match voice.await {
            (1, _) => flooded += 1,
            (_, seq) => numbers.push(seq),
        }
    }
    let most = 25.0 + 110.0 * began.elapsed().as_secs_f64();
    assert!(flooded >= 25, "{flooded} of the flood");
    assert!(
        f64::from(flooded) <= most,
        "{flooded} of the flood, {most} may"
    );
    assert!(
        numbers.windows(2).all(|pair| pair[1] == pair[0] + 1),
        "nothing of who talks is lost: {numbers:?}"
    );
    running.stop().await.unwrap();
}
