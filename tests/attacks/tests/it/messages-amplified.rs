//! Messages of one that become messages to all: what a player sets for himself, and what players
//! write.

use std::time::Duration;

use attacks::{Attacker, Bystanders, Readers, Scale, relay_program};
use loadgen::control::{Control, chat_message};
use loadgen::peer::Noticed;
use loadgen::relay_process::{PARTICIPANTS, RelayProcess};
use loadgen::swarm::pause;
use wire::channel::ClientMessage;
use wire::chat::ChatEvent;
use wire::control::{ControlCommand, PushTarget};
use wire::{ChannelKey, RoomKey, RoomName};

/// What the others are told of one player's states, at once and in a second.
const STATES: (f64, f64) = (5.0, 2.0);

/// Time between two states of his: as many as the relay reads of one, and each told apart.
const BETWEEN_STATES: Duration = Duration::from_millis(55);

#[test]
fn a_flood_of_states_is_told_as_one_who_keeps_to_the_rate() {
    let _alone = crate::alone();
    let scale = Scale::wanted();
    let relay = RelayProcess::start(&relay_program().unwrap()).unwrap();
    let bystanders = Bystanders::join(&relay, scale).unwrap();
    let mut attacker = Attacker::join_room(&relay, "honest-0", 0).unwrap();
    bystanders.talk();
    // Everybody is told that he came, and who talks.
    attacker
        .keep_doing(Duration::from_secs(2), |_, _, _| Ok(()))
        .unwrap();
    let before = bystanders.messages();
    let (mut sent, mut next) = (0_u32, loadgen::now());
    let flood = attacker.keep_doing(scale.time, |peer, batch, now| {
        if now < next {
            return Ok(());
        }
        next += BETWEEN_STATES;
        let mut noticed = Noticed::default();
        peer.act(now, batch, &mut noticed, |connection, now| {
            sent += 1;
            let state = ClientMessage::State {
                muted: sent % 2 == 0,
                deafened: sent % 4 < 2,
            };
            connection.handle_message(now, state);
        });
        Ok(())
    });
    flood.unwrap();
    let told = bystanders.messages() - before;
    let noticed = bystanders.finish(&relay).unwrap();
    let later = noticed.figures.sum("relay_drops_total", "\"state-rate\"");
    // Half of the bystanders are in his room: one who talks, and the listeners.
    let others = f64::from(scale.listeners) + 1.0;
    let most = others * (STATES.0 + STATES.1 * (scale.time.as_secs_f64() + 1.0));
    println!(
        "a flood of states, {sent} in {:?}: {told} messages to {others} others, {later} told \
         later; {:.2} s of CPU",
        scale.time, noticed.cpu_s
    );
    assert!(told > 0, "nobody is told how he is");
    assert!((told as f64) <= most, "{told} messages of {most}");
    assert!(later > 0.0, "no flood");
}

#[test]
fn a_flood_of_pushes_becomes_news_and_its_end_is_known() {
    let _alone = crate::alone();
    let scale = Scale::wanted();
    // So low a limit in the small form that few readers are many.
    let (count, per_s) = if scale.is_large {
        (200, 5_000)
    } else {
        (8, 400)
    };
    let rate = per_s.to_string();
    // One of an older release has no such limit.
    let is_older = std::env::var_os("ATTACKED_RELAY").is_some();
    let flags = ["--push-readers", &rate];
    let flags = if is_older { &[] } else { &flags[..] };
    let relay = RelayProcess::start_with(&relay_program().unwrap(), PARTICIPANTS, flags).unwrap();
    let mut readers = Readers::join(&relay, "room", count, |_, _| ()).unwrap();
    let room: RoomName = "room".parse().unwrap();
    let to = PushTarget::Channel {
        room: RoomKey::of(&room),
        channel: ChannelKey::of(&room, &"main".parse().unwrap()),
    };
    let mut control = Control::connect(&relay).unwrap();
    // Forty who write, five times a second each.
    let (mut seq, began, before) = (0, loadgen::now(), relay.figures().unwrap());
    while loadgen::now() - began < scale.time {
        for _ in 0..10 {
            seq += 1;
            let message = chat_message("room", seq, 60).unwrap();
            let author = None;
            let push = ControlCommand::Push {
                to,
                message,
                author,
            };
            control.order(push).unwrap();
        }
        let next = began + Duration::from_millis(5) * u32::try_from(seq).unwrap();
        while loadgen::now() < next {
            readers.turn().unwrap();
        }
    }
    let took = (loadgen::now() - began).as_secs_f64();
    let all = readers.until(|pushed| newest(pushed) == seq).unwrap();
    pause(Duration::from_millis(400)).unwrap();
    let after = relay.figures().unwrap();
    let reached = after.get("relay_messages_pushed_total");
    let told = after.get("relay_news_told_total");
    println!(
        "a flood of pushes, {seq} messages to {count} readers in {took:.1} s: {reached} sent, \
         {told} of them news; {:.2} s of CPU",
        after.cpu_s() - before.cpu_s()
    );
    // A quarter of a second's at once. Of what waits up to sixteen leave together, at the price of
    // seven.
    let most = 16.0 / 7.0 * (f64::from(per_s) * (took + 1.25) + 7.0 * f64::from(count));
    assert!(is_older || reached <= most, "{reached} of {most}");
    assert!(told > 0.0, "they are told that there is more");
    let texts = |pushed: &Vec<ChatEvent>| {
        let is_text = |event: &&ChatEvent| matches!(event, ChatEvent::Posted { .. });
        pushed.iter().filter(is_text).count()
    };
    assert!(all.iter().all(|pushed| texts(pushed) > 10), "some is read");
}

/// The highest number of which a reader knows.
fn newest(pushed: &[ChatEvent]) -> u64 {
    let number = |event: &ChatEvent| match event {
        ChatEvent::Posted { message, .. } => message.seq,
        ChatEvent::Fetch { seq, .. } => *seq,
        _ => 0,
    };
    pushed.iter().map(number).max().unwrap_or_default()
}
