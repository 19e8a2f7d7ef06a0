//! Each invariant can fail: the system is broken on purpose, and the run says what is wrong.

use sim::{Hostile, Sabotage, run};

/// Runs committed seeds, which hold otherwise, until a violation says `what`. Another one may come
/// first: a mute that is not heard is missing in the rosters too.
fn sees(sabotage: Sabotage, what: &str) {
    sees_from(0, sabotage, what);
}

/// The same with seeds from `first` on.
fn sees_from(first: u64, sabotage: Sabotage, what: &str) {
    for seed in first..first + 20 {
        let Err(violation) = run(seed, sabotage) else {
            continue;
        };
        let text = violation.to_string();
        let again = format!("cargo xtask sim --from {seed} --seeds 1");
        assert!(text.contains(&again), "{text}");
        assert!(!violation.history.is_empty());
        if violation.what.contains(what) {
            return;
        }
    }
    panic!("{sabotage:?} is not seen in 20 seeds");
}

#[test]
fn a_channel_that_was_not_granted() {
    sees(Sabotage::WrongChannel, "was not granted");
}

#[test]
fn somebody_who_hears_before_his_hello() {
    sees(Sabotage::UnseenHello, "before his hello");
}

#[test]
fn a_ghost_that_stays() {
    let sabotage = Sabotage::EndlessPatience;
    sees_from(Hostile::GHOSTS_FROM, sabotage, "without a hello");
}

#[test]
fn a_muted_speaker() {
    sees(Sabotage::DeafToMute, "heard a muted speaker");
}

#[test]
fn somebody_while_deafened() {
    sees(Sabotage::DeafToDeafen, "while deafened");
}

#[test]
fn a_slot_map_that_is_wrong() {
    sees(Sabotage::WrongSlot, "but was told");
}

#[test]
fn a_roster_that_is_out_of_date() {
    sees(Sabotage::StaleRoster, "knows the roster");
}

#[test]
fn a_talk_spurt_that_does_not_end() {
    sees(Sabotage::StaleSpeaking, "talks, but he is silent");
}

#[test]
fn a_drain_that_asks_nobody() {
    sees(Sabotage::SilentDrain, "is not asked to migrate");
}

#[test]
fn a_client_that_is_not_let_go() {
    sees(Sabotage::DeafToLeave, "did not let it go");
}

#[test]
fn voice_that_does_not_come() {
    sees(Sabotage::NoVoice, "does not hear");
}

#[test]
fn a_sequence_number_that_is_used_twice() {
    sees(Sabotage::SendTwice, "is used twice");
}

#[test]
fn a_speaker_who_says_more_than_he_may() {
    let sabotage = Sabotage::NoSpeakerLimit;
    sees_from(Hostile::FLOODS_FROM, sabotage, "compliant speakers cause");
}

#[test]
fn a_stranger_who_gets_more_than_three_times_what_came() {
    let sabotage = Sabotage::NoUnprovedLimit;
    sees_from(Hostile::FORGERS_FROM, sabotage, "that came");
}

#[test]
fn a_path_that_a_forged_check_takes() {
    sees_from(
        Hostile::FORGERS_FROM,
        Sabotage::ShortConsent,
        "lost its path",
    );
}

#[test]
fn voice_to_where_its_listener_never_was() {
    sees_from(
        Hostile::FORGERS_FROM,
        Sabotage::UnseenMove,
        "where it never was",
    );
}
