use proptest::prelude::*;
use wire::keys::ShardKey;
use wire::ticket::{ChannelKind, TICKET_VERSION};

use super::*;

const BOOT: BootId = BootId([1; 8]);
const SESSION: wire::SessionId = wire::SessionId([7; 8]);

fn keys() -> ShardKeys {
    ShardKey::new(0, [3; 32]).subkeys()
}

fn protocol() -> SealedProtocol {
    SealedProtocol::new(keys(), BOOT, &region())
}

fn ticket() -> Ticket {
    Ticket {
        expires_at: 2_000_000_000,
        session: SESSION,
        player: wire::PlayerKey([2; 16]),
        fingerprint: [9; 16],
        room: wire::RoomKey([4; 8]),
        channel: wire::ChannelKey([5; 8]),
        permissions: ticket::Permissions::SPEAK,
        opus_payload_type: 111,
        red_payload_type: 0,
        audio_level_id: 0,
        slots: 3,
        channel_kind: ChannelKind::Group,
        server_muted: false,
        says_hello: true,
        recorded: false,
        home_epoch: 0,
        hello_version: TICKET_VERSION,
    }
}

fn region() -> RegionName {
    "eu".parse().expect("a region")
}

fn hello() -> Hello {
    Hello {
        session: SESSION,
        player: "p1".parse().expect("a player id"),
        name: "Ann".to_owned(),
        room: "lobby".parse().expect("a room"),
        channels: vec![wire::hello::ChannelGrant {
            channel: "main".parse().expect("a channel"),
            permissions: ticket::Permissions::LISTEN.0,
        }],
        world: true,
        topics: vec![wire::TopicKey([6; 8])],
        muted_until_ms: None,
        until_ms: None,
        blocked: vec![wire::PlayerKey([9; 16])],
        platform: "console".to_owned(),
        one_platform: true,
        issued_at_ms: 7,
    }
}

fn read_hello(sealed: &str, session: wire::SessionId) -> Result<Request<Arc<Profile>>, BadMessage> {
    let message = serde_json::to_vec(&ClientMessage::Hello {
        sealed: sealed.to_owned(),
    });
    protocol().read(sfu::SessionId(session.0), &message.expect("JSON"))
}

fn written(notice: &Notice<'_, Arc<Profile>>) -> String {
    String::from_utf8(protocol().write(notice)).expect("UTF-8")
}

#[test]
fn a_ticket_admits_what_it_says() {
    let ufrag = ticket().seal(TICKET_VERSION, &keys(), BOOT);
    let admission = protocol().open(&ufrag).expect("our own ticket");
    assert_eq!(admission.session.0, SESSION.0);
    assert_eq!(admission.expires_at_unix_s, 2_000_000_000);
    assert_eq!(
        admission.permissions,
        Permissions {
            speak: true,
            listen: false
        }
    );
    assert_eq!(admission.audio_level_id, None);
    let ssrcs: Vec<_> = (0..3).map(|slot| SESSION.slot_ssrc(slot)).collect();
    assert_eq!(admission.slot_ssrcs, ssrcs);
    assert_eq!(admission.ice_password, ice_password(&keys(), &ufrag));
}

#[test]
fn a_ticket_with_absurd_slots_gets_no_more_than_there_are() {
    let ufrag = Ticket {
        slots: 31,
        ..ticket()
    }
    .seal(TICKET_VERSION, &keys(), BOOT);
    assert_eq!(
        protocol()
            .open(&ufrag)
            .expect("our own ticket")
            .slot_ssrcs
            .len(),
        MAX_SLOTS
    );
}

#[test]
fn another_boots_ticket_is_refused_by_reason() {
    let ufrag = ticket().seal(TICKET_VERSION, &keys(), BootId([2; 8]));
    assert_eq!(
        protocol().open(&ufrag).expect_err("refused"),
        BadTicket::Sealed
    );
    assert_eq!(
        protocol().open("short").expect_err("refused"),
        BadTicket::Malformed
    );
    let later = ticket().seal(TICKET_VERSION, &ShardKey::new(1, [3; 32]).subkeys(), BOOT);
    assert_eq!(
        protocol().open(&later).expect_err("refused"),
        BadTicket::Version
    );
}

#[test]
fn a_hello_counts_only_on_its_own_session() {
    let sealed = hello().seal(&keys(), BOOT);
    match read_hello(&sealed, SESSION).expect("our own hello") {
        Request::Hello(sfu::Hello {
            issued_at_ms,
            muted_until_ms: _,
            until_ms: _,
            crossing,
            profile,
            channels,
            topics,
            blocked,
        }) => {
            assert_eq!(blocked, [sfu::PlayerKey([9; 16])]);
            let wanted = sfu::Crossing {
                platform: *b"console\0",
                one_platform: true,
            };
            assert_eq!(crossing, wanted);
            let world = wire::TopicKey::world(&region());
            assert_eq!(topics, [sfu::TopicKey(world.0), sfu::TopicKey([6; 8])]);
            assert_eq!(issued_at_ms, 7);
            assert_eq!(
                (profile.player.as_str(), profile.name.as_str()),
                ("p1", "Ann")
            );
            let main = "main".parse().expect("a channel");
            let key = wire::ChannelKey::of(&profile.room, &main);
            assert_eq!(channels[0].channel.0, key.0);
            assert_eq!(
                channels[0].permissions,
                Permissions {
                    speak: false,
                    listen: true
                }
            );
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(
        read_hello(&sealed, wire::SessionId([8; 8])).expect_err("refused"),
        BadMessage
    );
    let foreign = hello().seal(&keys(), BootId([2; 8]));
    assert_eq!(
        read_hello(&foreign, SESSION).expect_err("refused"),
        BadMessage
    );
}

#[test]
fn messages_are_the_contracts_json() {
    let sealed = hello().seal(&keys(), BOOT);
    let Ok(Request::Hello(sfu::Hello { profile, .. })) = read_hello(&sealed, SESSION) else {
        panic!("our own hello")
    };
    let entry = |profile| RosterEntry {
        id: 3,
        profile,
        muted: false,
        server_muted: false,
        deafened: true,
        speaker: true,
    };
    let welcome = Notice::Welcome {
        participant: 3,
        profile: &profile,
        slots: 4,
        participants: vec![entry(Some(&profile)), entry(None)],
        count: None,
    };
    assert_eq!(
        written(&welcome),
        r#"{"type":"welcome","participant":3,"room":"lobby","slots":4,"participants":["#.to_owned()
            + r#"{"id":3,"player":"p1","name":"Ann","channels":["main"],"#
            + r#""muted":false,"deafened":true,"speaker":true},"#
            + r#"{"id":3,"name":"","channels":[],"muted":false,"deafened":true,"speaker":true}]}"#
    );
    let of = |channel| {
        let source = sfu::Source::Participant(4);
        Some(sfu::Carried { source, channel })
    };
    let known = Some(profile.channel_keys[0]);
    let changes = [of(known), of(Some(sfu::ChannelKey([1; 8]))), None];
    let changes = [0, 1, 2].map(|slot| SlotChange {
        slot,
        carries: changes[usize::from(slot)],
    });
    assert_eq!(
        written(&Notice::Slots {
            profile: &profile,
            changes: &changes
        }),
        r#"{"type":"slots","slots":[{"slot":0,"participant":4,"channel":"main"},"#.to_owned()
            + r#"{"slot":1,"participant":4},{"slot":2,"participant":null}]}"#
    );
    assert_eq!(
        written(&Notice::Pong { id: 7 }),
        r#"{"type":"pong","id":7}"#
    );
    assert_eq!(written(&Notice::Migrate), r#"{"type":"migrate"}"#);
    assert_eq!(
        written(&Notice::Ended(sfu::EndReason::Replaced)),
        r#"{"type":"ended","reason":"replaced"}"#
    );
}

#[test]
fn every_end_reason_that_clients_know_keeps_its_name() {
    for reason in sfu::EndReason::ALL {
        let name = serde_json::to_value(end_reason(*reason)).expect("JSON");
        use sfu::EndReason::{Budget, Fingerprint, HalfOpen, Handshake, NoHello, TokenExpired};
        // A client is told what it did or missed, an operator by how much and when; and what to do
        // next, which is to ask the edge.
        let silent = [
            Handshake,
            Fingerprint,
            HalfOpen,
            NoHello,
            Budget,
            TokenExpired,
        ];
        let silent = silent.contains(reason);
        assert!(silent || name == reason.label(), "{reason:?}");
    }
}

proptest! {
    #[test]
    fn nothing_that_a_client_sends_panics(message in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = protocol().read(sfu::SessionId(SESSION.0), &message);
    }

    #[test]
    fn json_of_any_shape_does_not_panic(
        kind in "hello|ping|state|leave|wave",
        value in "[0-9]{0,20}|true|\"[a-z]{0,9}\"|\\{\\}|null",
    ) {
        let text = format!(r#"{{"type":"{kind}","id":{value},"sealed":{value},"muted":{value}}}"#);
        let _ = protocol().read(sfu::SessionId(SESSION.0), text.as_bytes());
    }
}

#[test]
fn a_message_longer_than_the_limit_is_refused() {
    let padding = " ".repeat(MAX_MESSAGE_BYTES);
    let message = format!(r#"{{"type":"leave"{padding}}}"#);
    let session = sfu::SessionId(SESSION.0);
    assert_eq!(
        protocol()
            .read(session, message.as_bytes())
            .expect_err("refused"),
        BadMessage
    );
}
