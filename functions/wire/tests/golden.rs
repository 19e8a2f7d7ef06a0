//! Each message and variant as a JSON file: a change of the wire format is a change of a file, and
//! every file is read back. `UPDATE_GOLDEN=1` writes them anew.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::path::PathBuf;

use serde::Serialize;
use serde::de::DeserializeOwned;
use wire::channel::{ClientMessage, EndReason, Participant, RelayMessage, SlotState};
use wire::chat::{
    Attachment, AuditAction, AuditEntry, AuditReply, BlockList, ChannelSettings, ChatEvent,
    Deletion, EditRequest, EraseReply, ExportReply, ExportedItem, HistoryReply, Message,
    MessageReply, MuteRequest, PostRequest, Presence, PresenceReply, PresenceRequest, QueuedReport,
    ReactionCount, ReadMarker, Report, ReportQueueReply, ReportRequest, ReportsReply, Status,
    SystemEvent, Unread, UnreadReply,
};
use wire::claims::{Age, Claims, Grant, Permission, Persona, Platform, Profile, Role};
use wire::control::{ControlCommand, ControlMessage, PushAuthor, PushTarget};
use wire::enrolment::aws::AwsProof;
use wire::enrolment::{
    Claim, EnrolledShard, Enrolment, EnrolmentReply, EnrolmentRequest, EnrolmentToken, Proof,
    ProofKind, Secret, TokenList, TokenRecord, TokenReply, TokenRequest,
};
use wire::fleet::{
    Candidate, DrainRequest, Heartbeat, HeartbeatReply, Home, LargeRoom, LeftShard, ListedShard,
    Load, MovedRoom, RefusedRoom, RevokeShardRequest, ShardList, ShardRecord, ShardRevocation,
    ShardState, Transport,
};
use wire::hello::{ChannelGrant, Hello};
use wire::ids::{AwsSignature, EnrolmentNonce, InvocationId};
use wire::join::{JoinReply, JoinRequest};
use wire::matching::{ProbeUrl, QueueRules, RegionProbe};
use wire::moderation::{RevocationReply, RoomPlayer, RoomPlayers, SanctionRequest};
use wire::problem::{Problem, ProblemKind};
use wire::record::{
    FunctionShare, InvocationKind, InvocationRecord, ListenerQuality, RECORD_FORM, USAGE_FORM,
    UsageKind, UsageRecord, VoiceMode,
};
use wire::usage::{RoomUsage, UsageBatch, UsageReceipt};
use wire::{BootId, ChannelKey, PlayerId, PlayerKey, RoomKey, SessionId, TopicKey};

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden"))
}

/// Compares messages with their files, and notices files without a message.
#[derive(Default)]
struct Golden {
    names: BTreeSet<String>,
}

impl Golden {
    fn check<T>(&mut self, name: &str, message: &T)
    where
        T: Serialize + DeserializeOwned + PartialEq + Debug,
    {
        assert!(self.names.insert(format!("{name}.json")), "{name} twice");
        let path = folder().join(format!("{name}.json"));
        let text = serde_json::to_string_pretty(message).expect("string keys only") + "\n";
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, &text).expect("the folder can be written");
        }
        let kept = std::fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("{name}: {error}; UPDATE_GOLDEN=1 writes it"));
        assert_eq!(
            text, kept,
            "{name}: if it should change, UPDATE_GOLDEN=1 writes it"
        );
        let read: T = serde_json::from_str(&kept).expect("what we wrote");
        assert_eq!(read, *message, "{name}");
    }

    fn finish(self) {
        let files: BTreeSet<String> = std::fs::read_dir(folder())
            .expect("the folder")
            .map(|file| {
                file.expect("a file")
                    .file_name()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect();
        assert_eq!(files, self.names, "files and messages");
    }
}

fn participant() -> Participant {
    Participant {
        id: 3,
        player: Some("player-1".parse().expect("an id")),
        name: "Ann".into(),
        channels: vec!["main".parse().expect("a name")],
        muted: false,
        server_muted: false,
        deafened: true,
        speaker: true,
    }
}

fn room_players() -> RoomPlayers {
    let player = RoomPlayer {
        participant: participant(),
        session: SessionId([7; 8]),
        talking: true,
        since_ms: 1_700_000_000_000,
    };
    // A session without a hello.
    let nameless = RoomPlayer {
        participant: Participant {
            id: 9,
            player: None,
            name: String::new(),
            channels: vec![],
            server_muted: true,
            ..participant()
        },
        talking: false,
        ..player.clone()
    };
    RoomPlayers {
        players: vec![player, nameless],
        next: Some(9),
    }
}

fn heartbeat() -> Heartbeat {
    Heartbeat {
        shard: "eu-1-a".parse().expect("an id"),
        region: "eu-1".parse().expect("a name"),
        boot: BootId([7; 8]),
        epoch: 0,
        sent_at_ms: 1_700_000_000_000,
        sequence: 77,
        state: ShardState::Open,
        candidates: vec![
            Candidate {
                transport: Transport::Udp,
                address: "192.0.2.1:7410".parse().expect("an address"),
            },
            Candidate {
                transport: Transport::Tcp,
                address: "[2001:db8::1]:443".parse().expect("an address"),
            },
        ],
        fingerprint: format!("sha-256 {}", ["AB"; 32].join(":")),
        control_url: "http://192.0.2.1:7411".into(),
        ticket_version: 2,
        load: Load {
            participants: 12,
            rooms: 3,
            cpu_permille: 45,
        },
        capacity: 500,
        large: vec![LargeRoom {
            room: RoomKey::of(&"lobby".parse().expect("a name")),
            participants: 40,
        }],
        refused: Vec::new(),
        taken: Vec::new(),
    }
}

fn record() -> ShardRecord {
    ShardRecord {
        heartbeat: heartbeat(),
        seen_at_ms: 1_700_000_000_010,
        draining: true,
        silent_at_ms: Some(1_700_000_000_900),
    }
}

fn client_messages(golden: &mut Golden) {
    golden.check(
        "client-hello",
        &ClientMessage::Hello {
            sealed: "c2VhbGVk".into(),
        },
    );
    golden.check("client-ping", &ClientMessage::Ping { id: 7 });
    golden.check(
        "client-state",
        &ClientMessage::State {
            muted: true,
            deafened: false,
        },
    );
    golden.check("client-leave", &ClientMessage::Leave);
}

fn relay_messages(golden: &mut Golden) {
    let welcome = RelayMessage::Welcome {
        participant: 3,
        room: "lobby".parse().expect("a name"),
        slots: 4,
        participants: vec![
            participant(),
            // A session without a hello.
            Participant {
                id: 4,
                player: None,
                name: String::new(),
                channels: vec![],
                ..participant()
            },
        ],
        count: None,
    };
    golden.check("relay-welcome", &welcome);
    let roster = RelayMessage::Roster {
        joined: vec![participant()],
        left: vec![1, 2],
        changed: vec![participant()],
        count: None,
    };
    golden.check("relay-roster", &roster);
    let large = RelayMessage::Roster {
        joined: vec![],
        left: vec![2],
        changed: vec![],
        count: Some(5000),
    };
    golden.check("relay-roster-large", &large);
    let slots = vec![
        SlotState {
            slot: 0,
            participant: Some(4),
            channel: Some("main".parse().expect("a name")),
        },
        SlotState {
            slot: 1,
            participant: None,
            channel: None,
        },
    ];
    golden.check("relay-slots", &RelayMessage::Slots { slots });
    let speaking = RelayMessage::Speaking {
        started: vec![4],
        stopped: vec![5],
    };
    golden.check("relay-speaking", &speaking);
    golden.check("relay-pong", &RelayMessage::Pong { id: 7 });
    golden.check("relay-migrate", &RelayMessage::Migrate);
    for (name, reason) in [
        ("left", EndReason::Left),
        ("kicked", EndReason::Kicked),
        ("replaced", EndReason::Replaced),
        ("relay-stopping", EndReason::RelayStopping),
        ("protocol", EndReason::Protocol),
        ("timeout", EndReason::Timeout),
    ] {
        golden.check(
            &format!("relay-ended-{name}"),
            &RelayMessage::Ended { reason },
        );
    }
}

fn http_messages(golden: &mut Golden) {
    let request = JoinRequest {
        offer: "v=0\r\n".into(),
        channels: Some(vec!["main".parse().expect("a name")]),
        region: Some("eu-1".parse().expect("a name")),
        lost: Some("eu-1-a".parse().expect("a name")),
    };
    golden.check("join-request", &request);
    let shortest = JoinRequest {
        channels: None,
        region: None,
        lost: None,
        ..request
    };
    golden.check("join-request-shortest", &shortest);
    let reply = JoinReply {
        session: "eu-1-a~0123456789abcdef".parse().expect("a reference"),
        answer: "v=0\r\n".into(),
        hello: "c2VhbGVk".into(),
        region: "eu-1".parse().expect("a name"),
        relay: "eu-1-a".parse().expect("an id"),
        world: None,
        expires_at: 1_700_000_060,
    };
    golden.check("join-reply", &reply);
    let world = "world~eu-1~7".parse().expect("a channel");
    let in_a_hall = JoinReply {
        world: Some(world),
        ..reply
    };
    golden.check("join-reply-hall", &in_a_hall);
    for kind in ProblemKind::ALL {
        let problem = Problem::new(*kind, "What to change.");
        golden.check(&format!("problem-{}", kind.name()), &problem);
    }
    let claims = Claims {
        sub: "player-1".parse().expect("an id"),
        aud: "lifeverse-voice".into(),
        exp: 1_700_000_060,
        nbf: Some(1_700_000_000),
        iat: Some(1_700_000_000),
        name: Some("Ann".into()),
        profile: Profile {
            age: Some(Age::Teen),
            persona: Some(Persona::Player),
            platform: Some(Platform::Web),
            cross_play: Some(true),
        },
        role: Some(Role::Operator),
        grants: vec![Grant {
            room: "guild-*".into(),
            channels: vec!["*".into()],
            permissions: vec![
                Permission::Speak,
                Permission::Listen,
                Permission::Moderate,
                Permission::Chat,
            ],
        }],
    };
    golden.check("claims", &claims);
}

#[expect(clippy::too_many_lines, reason = "a list of messages")]
fn fleet_messages(golden: &mut Golden) {
    golden.check("heartbeat", &heartbeat());
    for (name, state) in [
        ("full", ShardState::Full),
        ("draining", ShardState::Draining),
        ("stopping", ShardState::Stopping),
    ] {
        golden.check(
            &format!("heartbeat-{name}"),
            &Heartbeat {
                state,
                ..heartbeat()
            },
        );
    }
    let refused = RefusedRoom {
        room: RoomKey([9; 8]),
        occupied: false,
    };
    golden.check(
        "heartbeat-refused",
        &Heartbeat {
            state: ShardState::Full,
            refused: vec![refused],
            ..heartbeat()
        },
    );
    golden.check(
        "heartbeat-taken",
        &Heartbeat {
            taken: vec![SessionId([1; 8])],
            ..heartbeat()
        },
    );
    let reply = HeartbeatReply {
        draining: false,
        now_ms: 1_700_000_000_010,
        commands: None,
        moved: Vec::new(),
    };
    golden.check("heartbeat-reply", &reply);
    let moved = MovedRoom {
        room: RoomKey::of(&"lobby".parse().expect("a name")),
        epoch: 3,
    };
    golden.check(
        "heartbeat-reply-moved",
        &HeartbeatReply {
            moved: vec![moved],
            ..reply.clone()
        },
    );
    golden.check(
        "heartbeat-reply-commands",
        &HeartbeatReply {
            commands: Some("c2VhbGVk".into()),
            ..reply
        },
    );
    golden.check("drain-request", &DrainRequest { draining: true });
    let least_epoch = Some(1);
    golden.check("revoke-shard-request", &RevokeShardRequest { least_epoch });
    let revocation = ShardRevocation {
        shard: "eu-1-a".parse().expect("an id"),
        least_epoch: 1,
    };
    golden.check("shard-revocation", &revocation);
    golden.check("shard-record", &record());
    let relays = vec![ListedShard {
        record: record(),
        live: true,
    }];
    golden.check("shard-list", &ShardList { relays });
    let home = Home {
        room: "lobby".parse().expect("a name"),
        region: "eu-1".parse().expect("a name"),
        shard: "eu-1-a".parse().expect("an id"),
        epoch: 2,
        left: Vec::new(),
    };
    golden.check("home", &home);
    let left = vec![LeftShard {
        region: "eu-1".parse().expect("a name"),
        shard: "eu-1-b".parse().expect("an id"),
        at_ms: 1_700_000_000_000,
    }];
    golden.check("home-left", &Home { left, ..home });
}

#[expect(clippy::too_many_lines, reason = "a list of messages")]
fn enrolment_messages(golden: &mut Golden) {
    let token = EnrolmentToken::new(std::array::from_fn(|i| u8::try_from(i).expect("small")));
    let region = || "eu-1".parse().expect("a name");
    let request = EnrolmentRequest {
        claim: Claim::new([7; 32]),
        shards: 2,
        capacity: 500,
        region: Some(region()),
        proof: Proof::Token {
            token: token.text(),
        },
    };
    golden.check("enrolment-request-token", &request);
    let by_aws = EnrolmentRequest {
        proof: Proof::Aws(AwsProof {
            sts_region: "eu-west-1".parse().expect("a region"),
            access_key: "ASIAEXAMPLEEXAMPLE00".parse().expect("an id"),
            session_token: Secret("c2Vzc2lvbg==".into()),
            signed_at_s: 1_700_000_000,
            nonce: EnrolmentNonce([3; 16]),
            signature: AwsSignature([4; 32]),
        }),
        ..request.clone()
    };
    golden.check("enrolment-request-aws", &by_aws);
    let shortest = EnrolmentRequest {
        region: None,
        ..request
    };
    golden.check("enrolment-request-shortest", &shortest);
    let shards = ["eu-1-a-0", "eu-1-a-1"].map(|shard| EnrolledShard {
        shard: shard.parse().expect("an id"),
        key: Secret("AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=".into()),
    });
    let reply = EnrolmentReply {
        relay: "eu-1-a".parse().expect("an id"),
        region: region(),
        capacity: 500,
        epoch: 0,
        shards: shards.into(),
        edge: Some("https://voice.example.com".into()),
    };
    golden.check("enrolment-reply", &reply);
    let enrolment = Enrolment {
        relay: "eu-1-a".parse().expect("an id"),
        region: region(),
        shards: 2,
        capacity: 500,
        epoch: 0,
        by: ProofKind::Token,
        enrolled_at_ms: 1_700_000_000_000,
    };
    golden.check("enrolment", &enrolment);
    let request = TokenRequest {
        region: region(),
        capacity: 1_000,
        expires_in_s: 3_600,
        relay: Some("eu-1-a".parse().expect("an id")),
    };
    golden.check("enrolment-token-request", &request);
    let record = TokenRecord {
        id: token.id,
        region: region(),
        capacity: 1_000,
        relay: "eu-1-a".parse().expect("an id"),
        made_at_ms: 1_700_000_000_000,
        expires_at_ms: 1_700_003_600_000,
        used_at_ms: Some(1_700_000_001_000),
    };
    let tokens = vec![record.clone()];
    golden.check("enrolment-token-list", &TokenList { tokens });
    let reply = TokenReply {
        token: token.text(),
        record: TokenRecord {
            used_at_ms: None,
            ..record
        },
    };
    golden.check("enrolment-token-reply", &reply);
}

fn message() -> Message {
    Message {
        seq: 7,
        at_ms: 1_700_000_000_000,
        version: 2,
        author: Some("player-1".parse().expect("an id")),
        name: Some("Ann".into()),
        platform: Some(Platform::Console),
        text: Some("hello \u{1f44b}".into()),
        phrase: None,
        system: None,
        reply_to: Some(6),
        mentions: vec!["player-2".parse().expect("an id")],
        attachments: vec![Attachment {
            id: "shot-1".parse().expect("an id"),
            kind: "screenshot".parse().expect("an id"),
        }],
        edited_at_ms: Some(1_700_000_000_500),
        deleted: None,
        reactions: vec![ReactionCount {
            reaction: "fire".into(),
            count: 2,
            mine: true,
        }],
    }
}

fn tombstone() -> Message {
    Message {
        author: None,
        name: None,
        platform: None,
        text: None,
        reply_to: None,
        mentions: vec![],
        attachments: vec![],
        edited_at_ms: None,
        deleted: Some(Deletion::Erasure),
        reactions: vec![],
        ..message()
    }
}

fn chat_requests(golden: &mut Golden) {
    let post = PostRequest {
        key: "k-1".parse().expect("a key"),
        text: Some("hello".into()),
        phrase: None,
        notice: None,
        reply_to: Some(6),
        mentions: message().mentions,
        attachments: message().attachments,
        tail: Some("dGFpbA".into()),
    };
    golden.check("chat-post-request", &post);
    let phrase = PostRequest {
        text: None,
        phrase: Some("need-help".parse().expect("an id")),
        reply_to: None,
        mentions: vec![],
        attachments: vec![],
        tail: None,
        ..post
    };
    golden.check("chat-post-request-phrase", &phrase);
    let edit = EditRequest {
        text: "hello".into(),
        version: 1,
    };
    golden.check("chat-edit-request", &edit);
    golden.check("chat-read-marker", &ReadMarker { seq: 7 });
    let presence = PresenceRequest {
        status: Status::Away,
        room: Some("lobby".parse().expect("a name")),
    };
    golden.check("chat-presence-request", &presence);
    golden.check(
        "chat-report-request",
        &ReportRequest {
            reason: "rude".into(),
        },
    );
    golden.check(
        "chat-mute-request",
        &MuteRequest {
            seconds: 60,
            reason: "rude".into(),
        },
    );
    golden.check(
        "chat-settings",
        &ChannelSettings {
            locked: true,
            slow_s: 5,
        },
    );
}

#[expect(clippy::too_many_lines, reason = "a list of messages")]
fn chat_replies(golden: &mut Golden) {
    let reply = MessageReply {
        message: message(),
        tail: Some("dGFpbA".into()),
    };
    golden.check("chat-message-reply", &reply);
    let history = HistoryReply {
        messages: vec![message(), tombstone()],
        next: Some(7),
        more: false,
        settings: Some(ChannelSettings::default()),
        tail: Some("dGFpbA".into()),
        poll_after_ms: Some(2_000),
    };
    golden.check("chat-history-reply", &history);
    let channel = || "direct~player-2".parse().expect("a channel");
    let unread = Unread {
        channel: channel(),
        last: 9,
        read: 7,
        unread: 2,
    };
    golden.check(
        "chat-unread-reply",
        &UnreadReply {
            channels: vec![unread],
        },
    );
    let player: PlayerId = "player-2".parse().expect("an id");
    let presence = Presence {
        player: player.clone(),
        status: Status::Online,
    };
    golden.check(
        "chat-presence-reply",
        &PresenceReply {
            players: vec![presence],
        },
    );
    golden.check(
        "chat-block-list",
        &BlockList {
            players: vec![player.clone()],
        },
    );
    let entry = AuditEntry {
        at_ms: 1_700_000_000_000,
        actor: player.clone(),
        action: AuditAction::Delete,
        player: Some(player.clone()),
        seq: Some(7),
        reason: "rude".into(),
    };
    golden.check(
        "chat-audit-reply",
        &AuditReply {
            entries: vec![entry],
        },
    );
    let report = Report {
        at_ms: 1_700_000_000_000,
        reporter: player.clone(),
        seq: 7,
        reason: "rude".into(),
        messages: vec![message()],
        channel: Some("direct~player-1~player-2".into()),
    };
    let reports = vec![report.clone()];
    golden.check("chat-reports-reply", &ReportsReply { reports });
    let queue = ReportQueueReply {
        reports: vec![QueuedReport {
            id: "eu~2023-11-14~0001700000000000~0011223344556677".into(),
            report,
        }],
        next: Some("0001700000000000~0011223344556677".into()),
    };
    golden.check("chat-report-queue-reply", &queue);
    let item = ExportedItem {
        what: "message".into(),
        place: "room~lobby~main".into(),
        value: serde_json::json!({ "seq": 7 }),
    };
    let export = ExportReply {
        items: vec![item],
        next: Some("bmV4dA".into()),
    };
    golden.check("chat-export-reply", &export);
    golden.check(
        "chat-erase-reply",
        &EraseReply {
            erased: 3,
            next: None,
        },
    );
}

#[expect(clippy::too_many_lines, reason = "a list of messages")]
fn chat_events(golden: &mut Golden) {
    let mut check = |name: &str, event: ChatEvent| {
        let channel = "room~lobby~main".parse().expect("a channel");
        golden.check(
            &format!("relay-chat-{name}"),
            &RelayMessage::Chat {
                channel,
                event: Box::new(event),
            },
        );
    };
    check(
        "posted",
        ChatEvent::Posted {
            message: message(),
            tail: "dGFpbA".into(),
        },
    );
    let settings = ChannelSettings {
        locked: true,
        slow_s: 0,
    };
    let system = Message {
        system: Some(SystemEvent::Settings { settings }),
        ..tombstone()
    };
    check(
        "settings",
        ChatEvent::Posted {
            message: system,
            tail: "dGFpbA".into(),
        },
    );
    check(
        "changed",
        ChatEvent::Changed {
            message: tombstone(),
        },
    );
    let player: PlayerId = "player-2".parse().expect("an id");
    let reacted = ChatEvent::Reacted {
        seq: 7,
        player: player.clone(),
        reaction: "fire".into(),
        added: true,
    };
    check("reacted", reacted);
    check("typing", ChatEvent::Typing { player });
    let fetch = |within_ms| ChatEvent::Fetch { seq: 7, within_ms };
    check("fetch", fetch(0));
    check("fetch-spread", fetch(4_000));
    check("withheld", ChatEvent::Withheld { seq: 7 });
    let push = ControlMessage {
        at_ms: 1_700_000_000_000,
        nonce: SessionId([9; 8]),
        command: ControlCommand::Push {
            to: PushTarget::Channel {
                room: RoomKey([3; 8]),
                channel: ChannelKey([4; 8]),
            },
            message: "{}".into(),
            author: None,
        },
    };
    golden.check("control-push", &push);
    let author = PushAuthor {
        player: PlayerKey([5; 16]),
        platform: Platform::Console.name().into(),
        one_platform: true,
        blocked: vec![PlayerKey([6; 16])],
        blocked_at_ms: 1_700_000_000_000,
    };
    golden.check("push-author", &author);
    let (room, player) = (RoomKey([1; 8]), PlayerKey([5; 16]));
    for (name, command) in [
        (
            "mute",
            ControlCommand::Mute {
                room,
                player,
                until_ms: Some(1_700_000_060_000),
            },
        ),
        (
            "unmute",
            ControlCommand::Mute {
                room,
                player,
                until_ms: None,
            },
        ),
        ("kick", ControlCommand::Kick { room, player }),
        ("revoke", ControlCommand::Revoke { player }),
        (
            "block",
            ControlCommand::Block {
                room,
                player,
                other: PlayerKey([6; 16]),
                blocked: true,
            },
        ),
        (
            "grant",
            ControlCommand::Grant {
                session: SessionId([7; 8]),
                hello: "c2VhbGVk".into(),
            },
        ),
        ("players", ControlCommand::Players { room, after: 7 }),
    ] {
        golden.check(&format!("command-{name}"), &command);
    }
    golden.check("room-players", &room_players());
    let seconds = 600;
    golden.check("sanction-request", &SanctionRequest { seconds });
    let not_before = 1_700_000_001;
    golden.check("revocation-reply", &RevocationReply { not_before });
    for (name, to) in [
        (
            "room",
            PushTarget::Room {
                room: RoomKey([3; 8]),
            },
        ),
        (
            "player",
            PushTarget::Player {
                room: RoomKey([3; 8]),
                player: PlayerKey([5; 16]),
            },
        ),
        (
            "topic",
            PushTarget::Topic {
                topic: TopicKey([3; 8]),
            },
        ),
        ("world", PushTarget::World),
    ] {
        golden.check(&format!("push-target-{name}"), &to);
    }
}

fn match_messages(golden: &mut Golden) {
    let near = "https://eu.probe.example/".to_owned();
    let probe = |address: String| RegionProbe {
        probe: ProbeUrl::try_from(address).expect("an address"),
    };
    let mode = serde_json::json!({ "mode": "duel" });
    let rules = QueueRules {
        version: 3,
        lanes: 2,
        modes: vec![mode.as_object().expect("written as one").clone()],
        regions: BTreeMap::from([
            ("eu-1".parse().expect("a name"), probe(near)),
            ("here".parse().expect("a name"), probe("/".into())),
        ]),
    };
    golden.check("match-queue-rules", &rules);
    let bare = QueueRules {
        regions: BTreeMap::new(),
        ..rules
    };
    golden.check("match-queue-rules-no-regions", &bare);
}

#[test]
fn a_probe_is_reached_by_a_page_over_https_or_at_the_edge() {
    let is_good = |text: &str| ProbeUrl::try_from(text.to_owned()).is_ok();
    for good in [
        "/",
        "/ping?1",
        "https://eu.example",
        "https://eu.example:8443/p",
    ] {
        assert!(is_good(good), "{good}");
    }
    let long = format!("/{}", "p".repeat(256));
    for bad in [
        "",
        "eu.example",
        "http://eu.example",
        "//eu.example/",
        "https://",
        "https://eu example",
        "javascript:alert(1)",
        &long,
    ] {
        assert!(!is_good(bad), "{bad}");
    }
}

/// Sealed on the wire; here as they are inside.
fn sealed_messages(golden: &mut Golden) {
    let session = SessionId([0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef]);
    let hello = Hello {
        session,
        player: "player-1".parse().expect("an id"),
        name: "Ann".into(),
        room: "lobby".parse().expect("a name"),
        channels: vec![ChannelGrant {
            channel: "main".parse().expect("a name"),
            permissions: 3,
        }],
        world: false,
        topics: vec![TopicKey::world(&"eu-1".parse().expect("a name"))],
        party: Some(true),
        muted_until_ms: None,
        until_ms: Some(1_700_003_600_000),
        blocked: vec![PlayerKey([6; 16])],
        platform: String::new(),
        one_platform: false,
        issued_at_ms: 1_700_000_000_000,
    };
    golden.check("hello", &hello);
    golden.check(
        "hello-one-platform",
        &Hello {
            platform: Platform::Console.name().into(),
            one_platform: true,
            ..hello.clone()
        },
    );
    golden.check(
        "hello-v1",
        &Hello {
            world: true,
            topics: Vec::new(),
            party: None,
            muted_until_ms: None,
            until_ms: None,
            blocked: Vec::new(),
            platform: String::new(),
            one_platform: false,
            issued_at_ms: 0,
            ..hello
        },
    );
    let end = ControlMessage {
        at_ms: 1_700_000_000_000,
        nonce: SessionId([9; 8]),
        command: ControlCommand::End {
            session,
            player: PlayerKey([5; 16]),
            reason: EndReason::Left,
        },
    };
    golden.check("control-end", &end);
}

fn records(golden: &mut Golden) {
    let share = FunctionShare {
        route: "join".into(),
        outcome: "ok".into(),
        store_calls: 1,
        store_reads: 2,
        store_writes: 0,
        store_read_units: 2,
        store_write_units: 1,
    };
    golden.check("function-share", &share);
    let invocation = InvocationRecord {
        kind: InvocationKind::Invocation,
        form: RECORD_FORM,
        id: Some(InvocationId([0xA5; 8])),
        at_ms: 1_700_000_000_000,
        function: "signalling".into(),
        route: "join".into(),
        host: "lambda".into(),
        region: "eu-central-1".into(),
        build: "17".into(),
        method: "POST".into(),
        status: 201,
        outcome: "ok".into(),
        cold: true,
        duration_us: 9_480,
        billed_ms: 51,
        memory_mb: 128,
        fuel: 1_200_000,
        peak_memory_bytes: 1_310_720,
        store_calls: 1,
        store_reads: 2,
        store_writes: 0,
        store_read_units: 2,
        store_write_units: 1,
        bytes_in: 5_300,
        bytes_out: 6_100,
        log_bytes: 0,
    };
    golden.check("invocation-record", &invocation);
}

fn usage(golden: &mut Golden) {
    let usage = UsageRecord {
        kind: UsageKind::Usage,
        form: USAGE_FORM,
        minute_ms: 1_700_000_040_000,
        shard: "eu-1-a".parse().expect("an id"),
        boot: Some(BootId([4; 8])),
        sequence: 17,
        room: RoomKey([3; 8]),
        region: "eu".into(),
        mode: VoiceMode::Mix,
        participant_ms: 120_000,
        talk_ms: 45_000,
        packets_in: 2_250,
        bytes_in: 196_000,
        packets_out: 6_750,
        bytes_out: 607_500,
        mixed_frames: 0,
        cpu_us: 39_600,
        quality: Some(ListenerQuality {
            reports: 24,
            rating_sum: 21_000,
        }),
    };
    golden.check("usage-record", &usage);
    let batch = UsageBatch {
        shard: usage.shard.clone(),
        boot: BootId([4; 8]),
        epoch: 3,
        region: "eu".parse().expect("a name"),
        records: vec![RoomUsage {
            sequence: 17,
            minute_ms: usage.minute_ms,
            room: usage.room,
            mode: VoiceMode::Mix,
            participant_ms: 120_000,
            talk_ms: 45_000,
            packets_in: 2_250,
            bytes_in: 196_000,
            packets_out: 6_750,
            bytes_out: 607_500,
            mixed_frames: 0,
            cpu_us: 39_600,
            quality: usage.quality,
        }],
    };
    golden.check("usage-batch", &batch);
    let line = serde_json::to_string(&usage).expect("string keys only");
    assert_eq!(batch.lines(), line + "\n");
    let receipt = UsageReceipt {
        first: 17,
        last: 40,
        is_new: true,
    };
    golden.check("usage-receipt", &receipt);
}

#[test]
fn every_message_is_as_its_file_says() {
    let mut golden = Golden::default();
    client_messages(&mut golden);
    relay_messages(&mut golden);
    http_messages(&mut golden);
    fleet_messages(&mut golden);
    enrolment_messages(&mut golden);
    chat_requests(&mut golden);
    chat_replies(&mut golden);
    chat_events(&mut golden);
    match_messages(&mut golden);
    sealed_messages(&mut golden);
    records(&mut golden);
    usage(&mut golden);
    golden.finish();
}

#[test]
fn a_record_of_the_first_form_is_read() {
    let first = r#"{"kind":"invocation","at_ms":1700000000000,"function":"signalling",
        "route":"join","host":"edge-host","method":"POST","status":201,"outcome":"ok",
        "duration_us":480,"fuel":1200000,"peak_memory_bytes":1310720,"store_reads":2,
        "store_writes":0,"bytes_in":5300,"bytes_out":6100,"log_bytes":0}"#;
    let read: InvocationRecord = serde_json::from_str(first).expect("as it was written");
    assert_eq!((read.form, read.id, read.cold), (1, None, false));
    assert_eq!(
        (read.fuel, read.store_reads, read.store_calls),
        (1_200_000, 2, 0)
    );
}
