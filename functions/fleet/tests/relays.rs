//! Heartbeats, draining, listing and homes, through the function's front door.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::ops::{Deref, DerefMut};

use edge::directory;
use edge::http::{Request, Response};
use edge::ports::Clock;
use edge::testing::host::{self, Host, NOW_MS, secret, signing_key};
use edge::testing::schedule::block_on;
use edge::testing::{Patience, calls};
use serde::de::DeserializeOwned;
use serde_json::Value;
use wire::BootId;
use wire::claims::Role;
use wire::fleet::{
    Candidate, Heartbeat, HeartbeatReply, Home, Load, RefusedRoom, RegionList, ShardList,
    ShardRecord, ShardState, Transport, sign_heartbeat,
};
use wire::ticket::TICKET_VERSION;

struct Rig(Host);

impl Rig {
    fn new() -> Self {
        Self(Host::counting("fleet"))
    }

    fn handle(&self, request: Request) -> Response {
        block_on(fleet::handle(self, request))
    }

    fn beat(&self, heartbeat: &Heartbeat) -> Response {
        self.handle(beat_request(heartbeat))
    }

    fn operator(&self, method: &str, path: &str, body: &str) -> Response {
        let request = calls::request(token(Some(Role::Operator)), method, path, &Value::Null);
        self.handle(Request {
            body: body.into(),
            ..request
        })
    }
}

fn token(role: Option<Role>) -> String {
    calls::bearer(&host::claims("ops", role), &signing_key())
}

impl Deref for Rig {
    type Target = Host;

    fn deref(&self) -> &Host {
        &self.0
    }
}

impl DerefMut for Rig {
    fn deref_mut(&mut self) -> &mut Host {
        &mut self.0
    }
}

fn heartbeat() -> Heartbeat {
    Heartbeat {
        shard: "eu-1-a".parse().unwrap(),
        region: "eu-1".parse().unwrap(),
        boot: BootId([7; 8]),
        epoch: 0,
        sent_at_ms: NOW_MS,
        sequence: 0,
        state: ShardState::Open,
        candidates: vec![Candidate {
            transport: Transport::Udp,
            address: "192.0.2.1:7410".parse().unwrap(),
        }],
        fingerprint: format!("sha-256 {}", ["AB"; 32].join(":")),
        control_url: "http://192.0.2.1:7411".into(),
        ticket_version: TICKET_VERSION,
        load: Load::default(),
        capacity: 100,
        large: Vec::new(),
        refused: Vec::new(),
        taken: Vec::new(),
    }
}

fn beat_request(heartbeat: &Heartbeat) -> Request {
    let body = serde_json::to_vec(heartbeat).unwrap();
    let keys = secret()
        .shard_key(&heartbeat.shard, heartbeat.epoch.min(15))
        .subkeys();
    Request {
        method: "POST".into(),
        path: format!("/v1/relays/{}/heartbeat", heartbeat.shard),
        query: None,
        authorization: Some(sign_heartbeat(&keys, &body)),
        content_type: Some("application/json".into()),
        body,
    }
}

#[track_caller]
fn read<T: DeserializeOwned>(response: &Response) -> T {
    assert_eq!(response.status, 200, "{}", calls::text(response));
    calls::read(response)
}

#[test]
fn a_heartbeat_is_taken_and_listed() {
    let rig = Rig::new();
    let reply: HeartbeatReply = read(&rig.beat(&heartbeat()));
    assert_eq!(
        reply,
        HeartbeatReply {
            draining: false,
            now_ms: NOW_MS,
            commands: None,
            moved: Vec::new(),
        }
    );
    for path in ["/v1/relays", "/v1/relays?region=eu-1"] {
        let list: ShardList = read(&rig.operator("GET", path, ""));
        assert_eq!(list.relays.len(), 1);
        assert!(list.relays[0].live);
        assert_eq!(list.relays[0].record.heartbeat, heartbeat());
    }
    let list: ShardList = read(&rig.operator("GET", "/v1/relays?region=us-1", ""));
    assert!(list.relays.is_empty());
}

#[test]
fn a_heartbeat_is_believed_only_with_its_shard_s_signature() {
    let rig = Rig::new();
    let good = beat_request(&heartbeat());
    let other = Heartbeat {
        shard: "eu-1-b".parse().unwrap(),
        ..heartbeat()
    };
    let unsigned = Request {
        authorization: None,
        ..good.clone()
    };
    let by_another = Request {
        authorization: beat_request(&other).authorization,
        ..good.clone()
    };
    let mut changed = good.clone();
    let at = changed.body.windows(3).position(|w| w == b"100").unwrap();
    changed.body[at] = b'9';
    let elsewhere = Request {
        path: "/v1/relays/eu-1-b/heartbeat".into(),
        ..good.clone()
    };
    let player = Request {
        authorization: Some(token(Some(Role::Operator))),
        ..good.clone()
    };
    for request in [unsigned, by_another, changed, elsewhere, player] {
        let response = rig.handle(request);
        assert_eq!(
            (response.status, response.outcome),
            (401, "signature-invalid")
        );
        assert_eq!(response.header("www-authenticate"), Some("Shard"));
    }
    // Signed with the key of the path, about another shard.
    let mut forged = beat_request(&heartbeat());
    forged.body = serde_json::to_vec(&other).unwrap();
    let keys = secret().shard_key(&heartbeat().shard, 0).subkeys();
    forged.authorization = Some(sign_heartbeat(&keys, &forged.body));
    assert_eq!(rig.handle(forged).outcome, "body-invalid");
    let list: ShardList = read(&rig.operator("GET", "/v1/relays", ""));
    assert!(list.relays.is_empty());
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of heartbeats")]
fn settings_that_clients_could_not_use_are_refused() {
    let address = |text: &str| Candidate {
        transport: Transport::Udp,
        address: text.parse().unwrap(),
    };
    let tcp = Candidate {
        transport: Transport::Tcp,
        ..address("192.0.2.1:443")
    };
    let refused = RefusedRoom {
        room: wire::RoomKey([1; 8]),
        occupied: true,
    };
    let beat = heartbeat;
    let broken = [
        Heartbeat {
            candidates: vec![],
            ..beat()
        },
        Heartbeat {
            candidates: vec![tcp],
            ..beat()
        },
        Heartbeat {
            candidates: vec![address("192.0.2.1:1"); 9],
            ..beat()
        },
        Heartbeat {
            candidates: vec![address("0.0.0.0:7410")],
            ..beat()
        },
        Heartbeat {
            candidates: vec![address("192.0.2.1:0")],
            ..beat()
        },
        Heartbeat {
            fingerprint: "sha-256 AB:CD".into(),
            ..beat()
        },
        Heartbeat {
            fingerprint: ["AB"; 32].join(":"),
            ..beat()
        },
        Heartbeat {
            fingerprint: format!("sha-256 {}\r\n", ["AB"; 32].join(":")),
            ..beat()
        },
        Heartbeat {
            control_url: "ftp://192.0.2.1".into(),
            ..beat()
        },
        Heartbeat {
            control_url: "http://".into(),
            ..beat()
        },
        Heartbeat {
            control_url: "http://user@host".into(),
            ..beat()
        },
        Heartbeat {
            control_url: "http://host /".into(),
            ..beat()
        },
        Heartbeat {
            capacity: 0,
            ..beat()
        },
        Heartbeat {
            refused: vec![refused; 65],
            ..beat()
        },
        Heartbeat {
            taken: vec![wire::SessionId([1; 8]); 49],
            ..beat()
        },
        Heartbeat {
            epoch: 16,
            ..beat()
        },
        Heartbeat {
            sent_at_ms: NOW_MS - 30_001,
            ..beat()
        },
        Heartbeat {
            sent_at_ms: NOW_MS + 30_001,
            ..beat()
        },
    ];
    let rig = Rig::new();
    for heartbeat in broken {
        let response = rig.beat(&heartbeat);
        assert_eq!(
            (response.status, response.outcome),
            (400, "body-invalid"),
            "{heartbeat:?}"
        );
    }
    let request = Request {
        body: b"{}".to_vec(),
        ..beat_request(&heartbeat())
    };
    assert_eq!(rig.handle(request).outcome, "body-invalid");
    let request = Request {
        path: "/v1/relays/a%20b/heartbeat".into(),
        ..beat_request(&heartbeat())
    };
    assert_eq!(rig.handle(request).outcome, "name-invalid");
}

#[test]
fn draining_is_told_to_the_relay() {
    let rig = Rig::new();
    rig.beat(&heartbeat());
    let drain = "/v1/relays/eu-1-a/drain";
    let record: ShardRecord = read(&rig.operator("PUT", drain, r#"{"draining":true}"#));
    assert!(record.draining);
    rig.pass(2_000);
    let next = Heartbeat {
        sent_at_ms: rig.now_ms(),
        ..heartbeat()
    };
    assert!(read::<HeartbeatReply>(&rig.beat(&next)).draining);
    let record: ShardRecord = read(&rig.operator("PUT", drain, r#"{"draining":false}"#));
    assert!(!record.draining);
    assert_eq!(rig.operator("PUT", drain, "{}").outcome, "body-invalid");
    let unknown = rig.operator("PUT", "/v1/relays/x/drain", r#"{"draining":true}"#);
    assert_eq!((unknown.status, unknown.outcome), (404, "unknown-relay"));
}

#[test]
fn a_room_s_home_is_shown() {
    let rig = Rig::new();
    rig.beat(&heartbeat());
    let none = rig.operator("GET", "/v1/homes/lobby", "");
    assert_eq!((none.status, none.outcome), (404, "unknown-room"));
    let (room, region) = ("lobby".parse().unwrap(), "eu-1".parse().unwrap());
    let room = block_on(directory::home_of(
        &Patience,
        &rig.store,
        NOW_MS,
        &room,
        &region,
        &directory::Hearsay,
    ))
    .unwrap();
    assert_eq!(
        read::<Home>(&rig.operator("GET", "/v1/homes/lobby", "")),
        room.placement.home
    );
}

#[test]
fn operators_only() {
    let rig = Rig::new();
    for (method, path) in [
        ("GET", "/v1/relays"),
        ("PUT", "/v1/relays/a/drain"),
        ("GET", "/v1/homes/lobby"),
    ] {
        let mut request = Request {
            method: method.into(),
            path: path.into(),
            authorization: Some(token(None)),
            ..Request::default()
        };
        let response = rig.handle(request.clone());
        assert_eq!(
            (response.status, response.outcome),
            (403, "operator-only"),
            "{path}"
        );
        request.authorization = None;
        let response = rig.handle(request);
        assert_eq!(
            (response.status, response.outcome),
            (401, "token-invalid"),
            "{path}"
        );
    }
    let odd = rig.operator("GET", "/v1/relays?region=a%20b", "");
    assert_eq!(odd.outcome, "name-invalid");
    assert_eq!(
        rig.operator("GET", "/v1/homes/a%20b", "").outcome,
        "name-invalid"
    );
}

#[test]
fn regions_are_given_up_and_taken_back_by_operators() {
    let list = |reply: &Response| calls::read::<RegionList>(reply);
    let mut rig = Rig::new();
    let path = "/v1/regions/eu-west-1/evacuation";
    let alone = rig.operator("GET", "/v1/regions", "");
    assert_eq!((list(&alone).here, list(&alone).regions.len()), (None, 0));
    let refused = rig.operator("PUT", path, "");
    assert_eq!(refused.outcome, "name-invalid", "{}", calls::text(&refused));
    let regions = r#"{"here": "us-east-1", "regions": {"eu-west-1": ["eu"], "us-east-1": []}}"#;
    rig.variables
        .0
        .insert("home_regions".into(), regions.into());
    for (method, epoch, gone) in [
        ("PUT", 1, vec!["eu-west-1"]),
        ("PUT", 1, vec!["eu-west-1"]),
        ("DELETE", 2, vec![]),
        ("DELETE", 2, vec![]),
    ] {
        let told = list(&rig.operator(method, path, ""));
        assert_eq!(told.evacuation.epoch, epoch);
        assert!(told.evacuation.gone.iter().eq(gone), "{told:?}");
        assert_eq!(list(&rig.operator("GET", "/v1/regions", "")), told);
    }
    let coming = rig.operator(
        "PUT",
        "/v1/regions/ap-southeast-1/evacuation?coming=true",
        "",
    );
    assert!(list(&coming).evacuation.gone.contains("ap-southeast-1"));
    for (wrong, why) in [
        ("eu_west", "not a region of AWS"),
        ("us-east-1", "a region that stays"),
        ("eu-west-9", "The regions are eu-west-1, us-east-1"),
    ] {
        let reply = rig.operator("PUT", &format!("/v1/regions/{wrong}/evacuation"), "");
        assert_eq!(reply.outcome, "name-invalid");
        assert!(calls::text(&reply).contains(why), "{}", calls::text(&reply));
    }
    let player = calls::request(token(None), "PUT", path, &Value::Null);
    assert_eq!(rig.handle(player).outcome, "operator-only");
}
