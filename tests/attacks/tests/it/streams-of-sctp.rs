//! Streams of SCTP: each costs whoever must look through them, so that one session with thousands
//! held up a whole shard.

use attacks::{Attacker, Bystanders, Noticed, Scale, relay_program};
use loadgen::relay_process::RelayProcess;

/// What the attacker sends of it, in bytes a second: far less than a voice call of a few.
const ONE_SESSION_BYTES_PER_S: f64 = 80_000.0;
const FOUR_ROOMS_BYTES_PER_S: f64 = 126_000.0;

/// Uses one stream after another, a few at a time, in so many rooms.
fn attacked(rooms: u32, bytes_per_s: f64) {
    let _alone = crate::alone();
    let scale = Scale::wanted();
    let relay = RelayProcess::start(&relay_program().unwrap()).unwrap();
    let bystanders = Bystanders::join(&relay, scale).unwrap();
    let mut attacker = Attacker::join(&relay, rooms).unwrap();
    bystanders.talk();
    let mut stream = 10_u16;
    let sent = attacker.attack(scale.time, bytes_per_s, |connection, now| {
        for _ in 0..4 {
            stream = stream.wrapping_add(1).max(10);
            connection.use_stream(now, stream);
        }
    });
    let noticed = bystanders.finish(&relay).unwrap();
    let Noticed {
        loss,
        p99_ms,
        cpu_s,
        ref figures,
    } = noticed;
    let refused = figures.sum("relay_datagrams_rejected_total", "\"budget\"");
    let ended = figures.sum("relay_sessions_ended_total", "\"budget\"");
    println!(
        "streams in {rooms} rooms, {} bytes sent in {:?}: bystanders' p99 {p99_ms:.1} ms, loss \
         {:.2} %, shard {cpu_s:.2} s of CPU, {refused} datagrams refused, {ended} sessions ended",
        sent.unwrap(),
        scale.time,
        loss * 100.0,
    );
    assert!(refused + ended > 0.0, "it is within every budget");
    assert!(loss <= scale.most_loss, "{noticed:?}");
}

#[test]
fn one_session_with_streams_without_end_is_held_back() {
    attacked(1, ONE_SESSION_BYTES_PER_S);
}

#[test]
fn one_token_in_four_rooms_is_held_back() {
    attacked(4, FOUR_ROOMS_BYTES_PER_S);
}
