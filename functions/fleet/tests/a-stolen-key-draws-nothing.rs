//! Whoever has the key of one shard speaks for that shard, within what it is registered for, and
//! until it is revoked.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::ops::Deref;

use edge::directory;
use edge::http::{Request, Response};
use edge::ports::Clock;
use edge::testing::calls::{self, problem, read};
use edge::testing::host::{self, Host, NOW_MS, secret, signing_key};
use edge::testing::schedule::block_on;
use serde_json::{Value, json};
use wire::BootId;
use wire::claims::Role;
use wire::fleet::{
    Candidate, Heartbeat, Load, ShardRevocation, ShardState, Transport, sign_heartbeat,
};
use wire::ticket::TICKET_VERSION;

const ROOMS: usize = 60;
const SHARDS: usize = 4;
/// What each shard is registered for.
const REGISTERED: &str = r#"[
    {"shards": "eu-*", "region": "eu", "capacity": 500, "control_host": "192.0.2.1"}
]"#;

struct Rig(Host);

impl Deref for Rig {
    type Target = Host;

    fn deref(&self) -> &Host {
        &self.0
    }
}

impl Rig {
    fn new(static_shards: &str) -> Self {
        let mut host = Host::counting("fleet");
        host.set("static_shards", static_shards);
        let rig = Self(host);
        for n in 0..SHARDS {
            assert_eq!(rig.beat(&rig.heartbeat(n)), "");
        }
        rig
    }

    fn heartbeat(&self, n: usize) -> Heartbeat {
        let candidate = Candidate {
            transport: Transport::Udp,
            address: format!("192.0.2.{}:7410", n + 1).parse().unwrap(),
        };
        Heartbeat {
            shard: format!("eu-{n}").parse().unwrap(),
            region: "eu".parse().unwrap(),
            boot: BootId([n as u8; 8]),
            epoch: 0,
            sent_at_ms: self.now_ms(),
            sequence: 0,
            state: ShardState::Open,
            candidates: vec![candidate],
            fingerprint: format!("sha-256 AB{}", ":AB".repeat(31)),
            control_url: "http://192.0.2.1:7411".into(),
            ticket_version: TICKET_VERSION,
            load: Load {
                participants: 100,
                ..Load::default()
            },
            capacity: 500,
            large: Vec::new(),
            refused: Vec::new(),
            taken: Vec::new(),
        }
    }

    /// What became of a heartbeat, signed with its shard's key; nothing when it was taken.
    fn beat(&self, heartbeat: &Heartbeat) -> String {
        let keys = secret().shard_key(&heartbeat.shard, heartbeat.epoch);
        let body = serde_json::to_vec(heartbeat).unwrap();
        let reply = self.handle(Request {
            method: "POST".into(),
            path: format!("/v1/relays/{}/heartbeat", heartbeat.shard),
            authorization: Some(sign_heartbeat(&keys.subkeys(), &body)),
            content_type: Some("application/json".into()),
            body,
            ..Request::default()
        });
        problem(&reply)
    }

    fn handle(&self, request: Request) -> Response {
        block_on(fleet::handle(self, request))
    }

    fn operator(&self, method: &str, path: &str, body: &Value) -> Response {
        let operator = calls::bearer(&host::claims("ops", Some(Role::Operator)), &signing_key());
        self.handle(calls::request(operator, method, path, body))
    }

    /// How many of so many new rooms find their home on the first shard.
    fn drawn(&self, rooms: &str) -> usize {
        let (store, region) = (self.store.inner.open(), "eu".parse().unwrap());
        let home = |n: usize| {
            let room = format!("{rooms}-{n}").parse().unwrap();
            let found = directory::home_of(
                self,
                &store,
                self.now_ms(),
                &room,
                &region,
                &directory::Hearsay,
            );
            block_on(found).unwrap().placement.home.shard
        };
        let homes = (0..ROOMS).map(home);
        homes.filter(|shard| shard.as_str() == "eu-0").count()
    }
}

/// What a thief says for the first shard.
fn claimed(rig: &Rig) -> Heartbeat {
    rig.pass(1_000);
    Heartbeat {
        boot: BootId([99; 8]),
        load: Load::default(),
        capacity: 1_000_000,
        ..rig.heartbeat(0)
    }
}

#[test]
fn it_draws_no_more_rooms_than_the_shard_has_places() {
    // What it came to before shards were registered, and comes to where none is bounded.
    let unbounded = Rig::new(r#"[{"shards": "*"}]"#);
    assert_eq!(unbounded.beat(&claimed(&unbounded)), "");
    let drawn = unbounded.drawn("before");
    assert_eq!(drawn, ROOMS, "the attack is one");

    let rig = Rig::new(REGISTERED);
    assert_eq!(rig.beat(&claimed(&rig)), "registration-exceeded");
    let drawn = rig.drawn("after");
    assert!((8..=22).contains(&drawn), "a quarter of the rooms: {drawn}");
}

#[test]
fn it_says_nothing_beyond_its_registration() {
    let rig = Rig::new(REGISTERED);
    let said = |change: &dyn Fn(&mut Heartbeat)| {
        rig.pass(1_000);
        let mut heartbeat = rig.heartbeat(0);
        change(&mut heartbeat);
        rig.beat(&heartbeat)
    };
    let exceeded = "registration-exceeded";
    assert_eq!(said(&|_| {}), "");
    assert_eq!(said(&|it| it.region = "us".parse().unwrap()), exceeded);
    assert_eq!(said(&|it| it.capacity = 501), exceeded);
    assert_eq!(said(&|it| it.capacity = 1), "", "less is its own affair");
    let elsewhere = "http://198.51.100.1:7411";
    assert_eq!(said(&|it| it.control_url = elsewhere.into()), exceeded);
    // As another run of it too.
    assert_eq!(
        said(&|it| (it.boot, it.capacity) = (BootId([9; 8]), 501)),
        exceeded
    );
    assert_eq!(
        said(&|it| it.shard = "us-0".parse().unwrap()),
        "shard-unregistered"
    );
}

#[test]
fn it_does_not_leave_its_drain() {
    let rig = Rig::new(REGISTERED);
    let path = "/v1/relays/eu-0/drain";
    assert_eq!(
        rig.operator("PUT", path, &json!({ "draining": true }))
            .status,
        200
    );
    rig.pass(1_000);
    let elsewhere = Heartbeat {
        region: "us".parse().unwrap(),
        ..rig.heartbeat(0)
    };
    assert_eq!(rig.beat(&elsewhere), "registration-exceeded");
    rig.pass(1_000);
    assert_eq!(rig.beat(&rig.heartbeat(0)), "");
    assert_eq!(rig.drawn("drained"), 0);
}

#[test]
fn a_revoked_shard_is_refused_at_once_and_its_rooms_move() {
    let rig = Rig::new(REGISTERED);
    let before = rig.drawn("old");
    assert!(before > 0);
    let path = "/v1/relays/eu-0/revocation";
    let reply = rig.operator("PUT", path, &json!({}));
    assert_eq!(read::<ShardRevocation>(&reply).least_epoch, 1);
    assert_eq!(rig.drawn("old"), 0, "each moves with its next join");
    for n in 0..5 {
        rig.pass(1_000);
        let heartbeat = Heartbeat {
            boot: BootId([n; 8]),
            ..rig.heartbeat(0)
        };
        assert_eq!(rig.beat(&heartbeat), "shard-revoked");
    }
    assert_eq!(rig.drawn("new"), 0);
    // With the next epoch it is one of ours again, and that is not taken back by saying it anew.
    let anew = Heartbeat {
        epoch: 1,
        ..rig.heartbeat(0)
    };
    assert_eq!(rig.beat(&anew), "");
    let again = rig.operator("PUT", path, &json!({ "least_epoch": 1 }));
    assert_eq!(read::<ShardRevocation>(&again).least_epoch, 1);
    assert!(rig.drawn("anew") > 0);
    let unknown = rig.operator("PUT", "/v1/relays/eu-9/revocation", &json!({}));
    assert_eq!(problem(&unknown), "unknown-relay");
    let odd = rig.operator("PUT", path, &json!({ "least_epoch": 17 }));
    assert_eq!(problem(&odd), "body-invalid");
}

#[test]
fn a_heartbeat_reads_no_more_than_before_once_it_is_known() {
    let rig = Rig::new(REGISTERED);
    // At first it is told which rooms moved while it was away.
    for _ in 0..6 {
        rig.pass(2_000);
        assert_eq!(rig.beat(&rig.heartbeat(0)), "");
    }
    rig.pass(2_000);
    let keys = secret().shard_key(&"eu-0".parse().unwrap(), 0);
    let body = serde_json::to_vec(&rig.heartbeat(0)).unwrap();
    let reply = rig.handle(Request {
        method: "POST".into(),
        path: "/v1/relays/eu-0/heartbeat".into(),
        authorization: Some(sign_heartbeat(&keys.subkeys(), &body)),
        body,
        ..Request::default()
    });
    let share = calls::share(&reply);
    assert_eq!((share.store_reads, share.store_writes), (2, 1));
    assert!(share.store_read_units <= 3, "{share:?}");
    assert!(rig.now_ms() > NOW_MS);
}
