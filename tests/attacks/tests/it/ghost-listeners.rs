//! Ghost listeners: somebody who never says hello heard a room whose roster did not name him.

use std::time::Duration;

use attacks::{Bystanders, Guests, Kind, Scale, relay_program};
use loadgen::relay_process::RelayProcess;

/// First numbers of those who say no hello.
const GHOST: u32 = 1_000_000;
const NAMELESS: u32 = 2_000_000;
/// The relay's time for a hello, and that of a handshake and of being told.
const STAYED_MAX: Duration = Duration::from_secs(12);

#[test]
fn who_says_no_hello_hears_nothing_and_does_not_stay() {
    let _alone = crate::alone();
    let relay = RelayProcess::start(&relay_program().unwrap()).unwrap();
    let bystanders = Bystanders::join(&relay, Scale::wanted()).unwrap();
    bystanders.talk();
    let mut ghost = Guests::new(&relay, Kind::Ghost, None).unwrap();
    let mut nameless = Guests::new(&relay, Kind::Nameless, None).unwrap();
    let mut honest = Guests::new(&relay, Kind::Honest, None).unwrap();
    ghost.arrive(GHOST, "honest-0").unwrap();
    nameless.arrive(NAMELESS, "honest-0").unwrap();
    honest.arrive(NAMELESS + 1, "honest-0").unwrap();
    let until = loadgen::now() + STAYED_MAX;
    while loadgen::now() < until {
        for guests in [&mut ghost, &mut nameless, &mut honest] {
            guests.turn().unwrap();
        }
    }
    let noticed = bystanders.finish(&relay).unwrap();
    let [ghost, nameless, honest] = [&ghost, &nameless, &honest].map(|guests| &guests.all()[0]);
    let ended = noticed
        .figures
        .sum("relay_sessions_ended_total", "\"no-hello\"");
    println!(
        "{STAYED_MAX:?} without a hello: {} voice packets where the ticket announces one, {} where \
         it does not, {} with one; {ended} sessions ended",
        ghost.voice, nameless.voice, honest.voice,
    );
    assert!(ghost.is_connected && nameless.is_connected);
    assert!(honest.voice > 100, "the room talks");
    assert_eq!((ghost.voice, nameless.voice), (0, 0));
    assert!(ghost.is_over(), "he does not stay");
    assert!(!nameless.is_over(), "who publishes only may");
    assert_eq!(ended, 1.0);
}
