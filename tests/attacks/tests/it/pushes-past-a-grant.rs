//! What the edge pushes reaches those who could fetch it, and nobody else: grants, blocks in both
//! directions, cross-play.

use attacks::{Readers, relay_program};
use loadgen::control::{Control, chat_message};
use loadgen::relay_process::RelayProcess;
use wire::chat::ChatEvent;
use wire::control::{ControlCommand, PushAuthor, PushTarget};
use wire::hello::Hello;
use wire::{ChannelKey, PlayerKey, RoomKey, RoomName};

const ROOM: &str = "room";
const AUTHOR: PlayerKey = PlayerKey([0xaa; 16]);
/// Readers: who each is, and whether the edge answers him what is written in the room's party
/// channel and in its main channel.
const READERS: [(&str, bool, bool); 7] = [
    ("who may read all", true, true),
    ("without a grant for the party", false, true),
    ("who blocks the author", false, false),
    ("whom the author blocks", false, false),
    ("of another platform, who keeps to it", false, false),
    ("of another platform", true, true),
    ("whom an edge of an earlier release let in", true, true),
];
const BLOCKED: u32 = 3;

fn hello(number: u32, hello: &mut Hello) {
    hello.platform = "pc".to_owned();
    hello.party = Some(true);
    match number {
        1 => hello.party = Some(false),
        2 => hello.blocked = vec![AUTHOR],
        4 => (hello.platform, hello.one_platform) = ("console".to_owned(), true),
        5 => hello.platform = "console".to_owned(),
        6 => hello.party = None,
        _ => {}
    }
}

#[test]
fn a_push_reaches_whoever_could_fetch_it() {
    let _alone = crate::alone();
    let relay = RelayProcess::start(&relay_program().unwrap()).unwrap();
    let mut readers = Readers::join(&relay, ROOM, READERS.len() as u32, hello).unwrap();
    let room: RoomName = ROOM.parse().unwrap();
    let key = RoomKey::of(&room);
    let channel = ChannelKey::of(&room, &"main".parse().unwrap());
    let mut control = Control::connect(&relay).unwrap();
    let mut push = |to, seq, author| {
        let message = chat_message(ROOM, seq, 20).unwrap();
        let command = ControlCommand::Push {
            to,
            message,
            author,
        };
        control.order(command).unwrap();
    };
    let author = || {
        let blocked = vec![readers.player(BLOCKED)];
        Some(PushAuthor {
            player: AUTHOR,
            platform: "pc".to_owned(),
            one_platform: false,
            blocked,
            blocked_at_ms: 1,
        })
    };
    push(PushTarget::Room { room: key }, 1, author());
    push(PushTarget::Channel { room: key, channel }, 2, author());
    // Messages of one relay come in order: who has the third has all that he gets.
    for number in 0..READERS.len() as u32 {
        let player = readers.player(number);
        push(PushTarget::Player { room: key, player }, 3, None);
    }
    let all = readers.until(|pushed| has(pushed, 3)).unwrap();
    let (mut party_past, mut channel_past) = (0, 0);
    for ((who, reads_party, reads_channel), pushed) in READERS.iter().zip(&all) {
        let (got_party, got_channel) = (has(pushed, 1), has(pushed, 2));
        println!("a player {who}: party text {got_party}, channel text {got_channel}");
        party_past += u32::from(got_party && !reads_party);
        channel_past += u32::from(got_channel && !reads_channel);
    }
    println!("pushes past a grant: {party_past} of the party, {channel_past} of the channel");
    for ((who, reads_party, reads_channel), pushed) in READERS.iter().zip(&all) {
        assert_eq!(has(pushed, 1), *reads_party, "party, {who}");
        assert_eq!(has(pushed, 2), *reads_channel, "channel, {who}");
        let is_withheld = pushed.contains(&ChatEvent::Withheld { seq: 2 });
        assert_eq!(is_withheld, !reads_channel, "looks for nothing, {who}");
    }
}

fn has(pushed: &[ChatEvent], wanted: u64) -> bool {
    let number = |event: &ChatEvent| match event {
        ChatEvent::Posted { message, .. } => Some(message.seq),
        _ => None,
    };
    pushed.iter().any(|event| number(event) == Some(wanted))
}
