//! Voice without end: every packet goes to everybody who hears its speaker.

use attacks::{Attacker, Bystanders, Scale, relay_program};
use client::Voice;
use loadgen::relay_process::RelayProcess;

/// 6,000 packets a second of 1,000 bytes.
const BYTES_PER_S: f64 = 6e6;
/// The longest that a relay passes on, so that the rate is what holds it back.
const PAYLOAD_BYTES: usize = 400;

#[test]
fn a_flood_of_voice_goes_out_as_one_speakers() {
    let _alone = crate::alone();
    let scale = Scale::wanted();
    let relay = RelayProcess::start(&relay_program().unwrap()).unwrap();
    let bystanders = Bystanders::join(&relay, scale).unwrap();
    let mut attacker = Attacker::join_room(&relay, "honest-0", 0).unwrap();
    let before = relay.figures().unwrap();
    let mut seq = 0_u64;
    let sent = attacker.attack(scale.time, BYTES_PER_S, |connection, now| {
        for _ in 0..64 {
            seq += 1;
            let voice = Voice {
                seq,
                time: (seq as u32).wrapping_mul(960),
                level: -10,
                payload: vec![0; PAYLOAD_BYTES],
                payload_type: None,
            };
            connection.handle_voice(now, voice);
        }
    });
    let noticed = bystanders.finish(&relay).unwrap();
    let forwarded = noticed.figures.forwarded() - before.forwarded();
    let seconds = scale.time.as_secs_f64() + 1.0;
    // And one who talks in each of the two rooms.
    let honest = 2.0 * 51.0 * seconds;
    let most = (25.0 + 110.0 * seconds + honest) * f64::from(scale.listeners);
    println!(
        "voice without end, {} bytes sent in {:?}: {forwarded} packets forwarded, {:.2} s of CPU, \
         {} dropped for their rate",
        sent.unwrap(),
        scale.time,
        noticed.cpu_s,
        noticed.figures.sum("relay_drops_total", "\"rate\""),
    );
    assert!(forwarded > 100.0, "the flood was heard");
    assert!(forwarded <= most, "{forwarded} packets forwarded of {most}");
}
