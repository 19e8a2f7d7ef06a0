//! Half-open sessions: one token's took every place of a shard, so that nobody else got in.

use std::time::Duration;

use attacks::{Guests, Kind, Scale, relay_program};
use loadgen::relay_process::RelayProcess;

/// Who wants to join meanwhile.
const HONEST: u32 = 40;
/// The attacker, and the first number of his sessions.
const ATTACKER: u32 = 1_000_000;
/// Time for those who came to get in: less than a handshake has, so that of the attacker's sessions
/// none is over before.
const PATIENCE: Duration = Duration::from_secs(8);
/// Sessions of the attacker to one turn of the others.
const AT_ONCE: u32 = 10;

#[test]
fn the_half_open_sessions_of_one_token_keep_nobody_out() {
    let _alone = crate::alone();
    let scale = Scale::wanted();
    let (participants, sessions) = if scale.is_large {
        (1000, 2000)
    } else {
        (100, 300)
    };
    let relay = RelayProcess::start_for(&relay_program().unwrap(), participants).unwrap();
    let mut attacker = Guests::new(&relay, Kind::Honest, Some(ATTACKER)).unwrap();
    let mut honest = Guests::new(&relay, Kind::Honest, None).unwrap();
    let began = loadgen::now();
    let (mut began_sessions, mut until) = (0, None);
    // He goes on for as long as they wait.
    while began_sessions < sessions || honest.welcome() < HONEST as usize {
        for _ in 0..AT_ONCE {
            let number = ATTACKER + began_sessions;
            attacker.arrive(number, "attacked").unwrap();
            attacker.show_ticket().unwrap();
            began_sessions += 1;
        }
        // They come when the shard would be full.
        if began_sessions >= participants && until.is_none() {
            (0..HONEST).for_each(|n| honest.arrive(n, "honest-0").unwrap());
            until = Some(loadgen::now() + PATIENCE);
        }
        honest.turn().unwrap();
        if until.is_some_and(|until| loadgen::now() >= until) {
            break;
        }
    }
    let took = loadgen::now() - began;
    // What the relay tells is up to a fifth of a second old.
    honest
        .pass(loadgen::now() + Duration::from_millis(300))
        .unwrap();
    let figures = relay.figures().unwrap();
    let ended = figures.sum("relay_sessions_ended_total", "\"half-open\"");
    println!(
        "{began_sessions} half-open sessions in {took:?} on a shard of {participants}: {} of \
         {HONEST} others joined, {ended} ended for the next",
        honest.welcome(),
    );
    assert_eq!(honest.welcome(), HONEST as usize);
    assert!(ended > 0.0, "he had no more than he may");
}
