//! Each invariant of the whole service can fail: something is broken on purpose, and the run says
//! what is wrong. What a home that is not fenced does is in `fleet-open-faults.rs`.

use sim::fleet::{Reach, Sabotage, run};

/// Runs committed seeds, which hold otherwise, until a violation says `what`.
fn sees(sabotage: Sabotage, what: &str) {
    let mut said = Vec::new();
    for seed in 0..60 {
        let Err(violation) = run(seed, &Reach::TODAY, sabotage) else {
            continue;
        };
        let text = violation.to_string();
        let again = format!("cargo xtask sim --fleet --from {seed} --seeds 1");
        assert!(text.contains(&again), "{text}");
        assert!(!violation.history.is_empty());
        if violation.what.contains(what) {
            return;
        }
        said.push(violation.what);
    }
    panic!("{sabotage:?} is not seen in 60 seeds, but {said:?}");
}

#[test]
fn a_player_whom_nobody_hears() {
    sees(Sabotage::NoVoice, "does not hear");
}

#[test]
fn a_player_who_never_comes_back() {
    sees(Sabotage::DeafPlayers, "is lost: not connected");
}

#[test]
fn a_player_who_gives_up() {
    sees(Sabotage::ForeignToken, "is lost for good");
}

#[test]
fn a_room_that_is_split() {
    sees(Sabotage::Astray, "is split");
}

#[test]
fn a_room_that_moves_without_cause() {
    sees(Sabotage::ForgetfulStore, "without cause");
}

#[test]
fn a_mute_that_nobody_minds() {
    sees(Sabotage::DeafRelays, "who is muted");
}

#[test]
fn a_ban_that_nobody_minds() {
    sees(Sabotage::DeafRelays, "although he is banned");
}

#[test]
fn a_kick_that_nobody_minds() {
    sees(Sabotage::DeafRelays, "although he was kicked");
}

#[test]
fn a_drain_that_asks_nobody() {
    sees(Sabotage::SilentDrains, "drains and still has");
}

#[test]
fn a_name_that_is_anothers() {
    sees(Sabotage::WrongNames, "is told that it is");
}

#[test]
fn a_usage_record_that_is_left_out() {
    sees(Sabotage::CookedBooks, "usage records say");
}
