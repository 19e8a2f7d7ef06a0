//! What a join, a WHIP publication and a leave do.

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::atomic::Ordering;

use crate::rig::{
    self, BOOT, NOW_S, Rig, bearer, claims, heartbeat, join_body, join_request, offer, secret,
    shard_keys, share,
};
use edge::directory;
use edge::store::{Key, Store};
use edge::testing::schedule::block_on;
use wire::channel::EndReason;
use wire::chat::ChatChannel;
use wire::control::{ControlCommand, ControlMessage};
use wire::fleet::Heartbeat;
use wire::hello::{ChannelGrant, Hello};
use wire::join::JoinReply;
use wire::ticket::{ChannelKind, Permissions, TICKET_VERSION, Ticket, ice_password};
use wire::{ChannelKey, RoomKey, SessionId, TopicKey};

fn attribute<'a>(answer: &'a str, name: &str) -> &'a str {
    let prefix = format!("a={name}:");
    answer
        .lines()
        .find_map(|line| line.strip_prefix(&prefix))
        .expect("the answer has it")
}

fn join(rig: &Rig, body: &str) -> JoinReply {
    let response = rig.join(body);
    assert_eq!(
        response.status,
        201,
        "{}",
        String::from_utf8_lossy(&response.body)
    );
    assert_eq!(response.header("cache-control"), Some("no-store"));
    let reply: JoinReply = serde_json::from_slice(&response.body).expect("a join reply");
    let location = format!("/v1/rooms/lobby/sessions/{}", reply.session);
    assert_eq!(response.header("location"), Some(location.as_str()));
    reply
}

#[test]
fn the_relay_finds_everything_in_the_ticket_and_the_hello() {
    let rig = Rig::new();
    let body = serde_json::json!({
        "offer": offer("chromium"), "channels": ["main", "team-red"], "region": "eu-1",
    });
    let reply = join(&rig, &body.to_string());
    assert_eq!(reply.relay, heartbeat().shard);
    assert_eq!(reply.region, heartbeat().region);
    assert_eq!(reply.expires_at, NOW_S + 60);
    let ufrag = attribute(&reply.answer, "ice-ufrag");
    let password = attribute(&reply.answer, "ice-pwd");
    assert_eq!(password, ice_password(&shard_keys(), ufrag));
    let ticket = Ticket::open(ufrag, &shard_keys(), BOOT, NOW_S + 60).expect("a ticket");
    let (room, main) = (
        "lobby".parse().expect("a name"),
        "main".parse().expect("a name"),
    );
    let both = Permissions::SPEAK.with(Permissions::LISTEN);
    let wanted = Ticket {
        expires_at: u32::try_from(NOW_S + 60).expect("before 2106"),
        session: reply.session.session,
        player: secret().player_key(&claims().sub, heartbeat().epoch),
        fingerprint: [
            0xe1, 0x1c, 0x6c, 0x45, 0x64, 0x4f, 0x72, 0xd1, 0x29, 0xc3, 0x98, 0x5e, 0x1f, 0x02,
            0x14, 0x65,
        ],
        room: RoomKey::of(&room),
        channel: ChannelKey::of(&room, &main),
        permissions: both,
        opus_payload_type: 111,
        red_payload_type: 63,
        audio_level_id: 1,
        slots: 4,
        channel_kind: ChannelKind::Group,
        server_muted: false,
        says_hello: true,
        recorded: false,
        home_epoch: 1,
        hello_version: TICKET_VERSION,
    };
    assert_eq!(ticket, wanted);
    let hello = Hello::open(&reply.hello, &shard_keys(), BOOT).expect("a hello");
    let team = "team-red".parse().expect("a name");
    let wanted = Hello {
        session: reply.session.session,
        player: claims().sub,
        name: "Ann".into(),
        room,
        channels: vec![
            ChannelGrant {
                channel: main,
                permissions: both.0,
            },
            ChannelGrant {
                channel: team,
                permissions: Permissions::LISTEN.0,
            },
        ],
        world: false,
        topics: Vec::new(),
        muted_until_ms: None,
        until_ms: Some(claims().exp * 1000),
        blocked: Vec::new(),
        platform: "pc".into(),
        one_platform: false,
        issued_at_ms: NOW_S * 1000,
    };
    assert_eq!(hello, wanted);
}

#[test]
fn the_world_channel_needs_a_grant_of_the_region_and_the_policys_consent() {
    let rig = Rig::new();
    let world = |channel: &str, age| {
        let mut claims = claims();
        claims.profile.age = Some(age);
        claims.grants.push(wire::claims::Grant {
            room: "world".into(),
            channels: vec![channel.into()],
            permissions: vec![wire::claims::Permission::Listen],
        });
        let mut request = join_request(&join_body(&offer("chromium")));
        request.authorization = bearer(&claims);
        let reply: JoinReply = serde_json::from_slice(&rig.handle(request).body).expect("a reply");
        let hello = Hello::open(&reply.hello, &shard_keys(), BOOT).expect("a hello");
        assert!(!hello.world, "the relay knows topics");
        let region = TopicKey::world(&heartbeat().region);
        let reads = hello.topics == [region];
        let named = reply.world.map(|world| world.to_string());
        assert_eq!(named.as_deref(), reads.then_some("world~eu-1"));
        reads
    };
    use wire::claims::Age;
    assert!(world("eu-*", Age::Adult));
    assert!(!world("us-1", Age::Adult), "another region");
    assert!(!world("eu-1", Age::Child));
}

#[test]
fn in_a_large_region_the_world_channel_is_the_hall_of_the_shards_bucket() {
    let shards = directory::MAX_BUCKET_SHARDS + 1;
    let beat_all = |rig: &Rig| {
        for number in 0..shards {
            rig.beat(&Heartbeat {
                shard: format!("eu-1-{number}").parse().expect("a name"),
                sent_at_ms: rig.now_ms.load(Ordering::Relaxed),
                ..heartbeat()
            });
        }
    };
    let rig = Rig::without_relay();
    beat_all(&rig);
    rig.pass(directory::GROWS_AFTER_MS);
    beat_all(&rig);
    let mut claims = claims();
    claims.exp += directory::GROWS_AFTER_MS / 1000;
    claims.grants.push(wire::claims::Grant {
        room: "world".into(),
        channels: vec!["eu-1".into()],
        permissions: vec![wire::claims::Permission::Listen],
    });
    let mut halls = BTreeSet::new();
    for number in 0..40 {
        let room = format!("room-{number}");
        claims.grants[0].room.clone_from(&room);
        // The second finds it where the first has placed it.
        let mut worlds = BTreeSet::new();
        for _ in 0..2 {
            let mut request = join_request(&join_body(&offer("chromium")));
            request.path = format!("/v1/rooms/{room}/sessions");
            request.authorization = bearer(&claims);
            let response = rig.handle(request);
            let reply: JoinReply = serde_json::from_slice(&response.body).expect("a reply");
            let Some(ChatChannel::World(hall)) = reply.world else {
                panic!("no world channel: {:?}", reply.world);
            };
            let bucket = match hall.number {
                0 => "region#eu-1".to_owned(),
                number => format!("region#eu-1#{number}"),
            };
            let sort = format!("{}#shard", reply.relay);
            let store = rig.store.inner.open();
            let record =
                block_on(store.get(rig.now_ms.load(Ordering::Relaxed), Key::new(&bucket, &sort)));
            assert!(
                record.expect("memory").is_some(),
                "{sort} is not in {bucket}"
            );
            let keys = secret()
                .shard_key(&reply.relay, heartbeat().epoch)
                .subkeys();
            let hello = Hello::open(&reply.hello, &keys, BOOT).expect("a hello");
            assert_eq!(hello.topics, [hall.topic()]);
            worlds.insert(hall);
        }
        assert_eq!(worlds.len(), 1);
        halls.extend(worlds);
    }
    assert_eq!(halls.len(), 4, "{halls:?}");
}

#[test]
fn a_relay_of_the_release_before_gets_what_it_can_read() {
    let rig = Rig::with_shard(&Heartbeat {
        ticket_version: 1,
        ..heartbeat()
    });
    let mut claims = claims();
    claims.grants.push(wire::claims::Grant {
        room: "world".into(),
        channels: vec!["eu-1".into()],
        permissions: vec![wire::claims::Permission::Listen],
    });
    let mut request = join_request(&join_body(&offer("chromium")));
    request.authorization = bearer(&claims);
    let reply: JoinReply = serde_json::from_slice(&rig.handle(request).body).expect("a reply");
    let ufrag = attribute(&reply.answer, "ice-ufrag");
    assert_eq!(ufrag.len(), 110);
    let ticket = Ticket::open(ufrag, &shard_keys(), BOOT, NOW_S).expect("a ticket");
    assert_eq!((ticket.home_epoch, ticket.hello_version), (0, 1));
    let hello = Hello::open(&reply.hello, &shard_keys(), BOOT).expect("a hello");
    assert!(hello.world, "by what it reads");
}

#[test]
fn a_join_into_a_room_with_a_home_reads_three_items_and_writes_none() {
    let rig = Rig::new();
    let first = join(&rig, &join_body(&offer("firefox")));
    let response = rig.join(&join_body(&offer("firefox")));
    let share = share(&response);
    assert_eq!(
        (share.route.as_str(), share.outcome.as_str()),
        ("join", "ok")
    );
    // The home, its shard, and whom the player blocks.
    assert_eq!((share.store_reads, share.store_writes), (3, 0));
    let second: JoinReply = serde_json::from_slice(&response.body).expect("a join reply");
    assert_ne!(first.session, second.session);
    assert!(
        rig.posts.lock().expect("no panic").is_empty(),
        "a join never talks to the relay"
    );
}

#[test]
fn a_player_without_a_name_is_shown_by_his_id() {
    let rig = Rig::new();
    for name in [None, Some(String::new())] {
        let mut request = join_request(&join_body(&offer("aiortc")));
        request.authorization = bearer(&wire::claims::Claims { name, ..claims() });
        let response = rig.handle(request);
        let reply: JoinReply = serde_json::from_slice(&response.body).expect("a join reply");
        let hello = Hello::open(&reply.hello, &shard_keys(), BOOT).expect("a hello");
        assert_eq!(hello.name, "player-1");
    }
}

#[test]
fn whip_gets_the_answer_and_the_session_s_address() {
    let rig = Rig::new();
    let mut request = join_request(&offer("gstreamer-whip"));
    request.path = "/v1/rooms/lobby/whip".into();
    request.content_type = Some("application/sdp".into());
    let response = rig.handle(request);
    assert_eq!(
        response.status,
        201,
        "{}",
        String::from_utf8_lossy(&response.body)
    );
    assert_eq!(response.header("content-type"), Some("application/sdp"));
    let answer = std::str::from_utf8(&response.body).expect("text");
    let ticket = Ticket::open(attribute(answer, "ice-ufrag"), &shard_keys(), BOOT, NOW_S);
    let ticket = ticket.expect("a ticket");
    assert_eq!(
        (
            ticket.slots,
            ticket.opus_payload_type,
            ticket.audio_level_id
        ),
        (0, 96, 0)
    );
    assert!(!ticket.says_hello, "nobody would take it");
    assert!(ticket.permissions.contains(Permissions::SPEAK));
    assert!(
        !ticket.permissions.contains(Permissions::LISTEN),
        "it publishes only"
    );
    let session = ticket.session;
    let location = format!("/v1/rooms/lobby/sessions/eu-1-a~{session}");
    assert_eq!(response.header("location"), Some(location.as_str()));
    let mut delete = join_request("");
    (delete.method, delete.path) = ("DELETE".into(), location.replace('~', "%7E"));
    assert_eq!(rig.handle(delete).status, 204);
    assert_eq!(rig.posts.lock().expect("no panic").len(), 1);
}

fn leave(rig: &Rig, session: &str) -> (u16, String) {
    let mut request = join_request("");
    request.method = "DELETE".into();
    request.path = format!("/v1/rooms/lobby/sessions/{session}");
    let response = rig.handle(request);
    (response.status, share(&response).outcome)
}

#[test]
fn leaving_asks_the_relay_to_end_the_player_s_session() {
    let rig = Rig::new();
    assert_eq!(leave(&rig, "eu-1-a~0011223344556677"), (204, "ok".into()));
    let posts = rig.posts.lock().expect("no panic");
    let [(url, shard, sealed)] = posts.as_slice() else {
        panic!("one message: {posts:?}")
    };
    assert_eq!(url, "http://192.0.2.1:7411/v1/control");
    assert_eq!(*shard, heartbeat().shard);
    let message = ControlMessage::open(sealed, &shard_keys(), BOOT).expect("a message");
    assert_eq!(message.at_ms, rig::NOW_MS);
    let command = ControlCommand::End {
        session: SessionId([0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77]),
        player: secret().player_key(&claims().sub, heartbeat().epoch),
        reason: EndReason::Left,
    };
    assert_eq!(message.command, command);
}

#[test]
fn leaving_succeeds_whatever_the_relay_says() {
    let rig = Rig::new();
    *rig.relay_answers.lock().unwrap() = Err(edge::ports::Unreachable);
    assert_eq!(
        leave(&rig, "eu-1-a~0011223344556677"),
        (204, "relay-silent".into())
    );
    *rig.relay_answers.lock().unwrap() = Ok(404);
    assert_eq!(
        leave(&rig, "eu-1-a~0011223344556677"),
        (204, "relay-refused".into())
    );
    assert_eq!(
        leave(&rig, "gone~0011223344556677"),
        (204, "relay-unknown".into())
    );
}

#[test]
fn on_send_ports_the_whole_function_is_send() {
    fn assert_send<T: Send>(_: &T) {}
    let rig = Rig::new();
    let future = pin!(signalling::handle(&rig, join_request("{}")));
    assert_send(&future);
}
