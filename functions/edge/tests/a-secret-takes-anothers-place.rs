//! One fleet secret takes another's place while everything goes on: the steps of
//! `infra/ops/KEYS.md`, function by function, with joins, heartbeats, commands, pushes and tokens
//! after each.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::ops::Deref;

use edge::config;
use edge::http::{Request, Response};
use edge::ports::Clock;
use edge::testing::calls::{bearer, read, request, text};
use edge::testing::host::{Host, claims, signing_key};
use edge::testing::schedule::block_on;
use edge::testing::{FaultyStore, FixedVariables, MemoryStore};
use edge::token::sign_as_edge;
use serde_json::{Value, json};
use wire::claims::{Claims, Grant, Permission, Role};
use wire::control::{ControlCommand, ControlMessage};
use wire::fleet::{
    Candidate, Heartbeat, Load, ShardRevocation, ShardState, Transport, sign_heartbeat,
};
use wire::hello::Hello;
use wire::join::JoinReply;
use wire::keys::{FleetSecret, ShardKeys};
use wire::ticket::{TICKET_VERSION, Ticket};
use wire::{BootId, ShardId};

const OLD: &str = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";
const NEW: &str = "CAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAg=";
const FUNCTIONS: [&str; 4] = ["signalling", "fleet", "chat", "matchmaking"];
const OFFER: &str = include_str!("../../signalling/tests/offers/chromium.sdp");
/// The first epoch of the new secret.
const EPOCH: u8 = 8;
/// From one round of traffic to the next, in milliseconds.
const ROUND_MS: u64 = 500;

struct Rig(Host);

impl Deref for Rig {
    type Target = Host;

    fn deref(&self) -> &Host {
        &self.0
    }
}

impl Rig {
    fn new(function: &str, store: &MemoryStore) -> Self {
        let mut host = Host::new(function, 0);
        host.store = FaultyStore::new(store.clone(), 0, 0);
        Self(host)
    }

    /// Gives the function what it lists of all that is derived from the secret.
    fn set_secret(&mut self, secret: &str) {
        let all = FixedVariables::new(&[(config::FLEET_SECRET, secret)]).with_derived();
        for (name, value) in all.0 {
            if let Some(own) = self.0.variables.0.get_mut(&name) {
                *own = value;
            }
        }
    }
}

/// A relay, as far as keys concern it.
struct Relay {
    keys: ShardKeys,
    boot: BootId,
}

impl Relay {
    fn new(secret: &str, epoch: u8) -> Self {
        let secret = FleetSecret::from_base64(secret).unwrap();
        Self {
            keys: secret.shard_key(&shard(), epoch).subkeys(),
            boot: BootId([epoch; 8]),
        }
    }
}

fn shard() -> ShardId {
    "eu-1-a".parse().unwrap()
}

struct World {
    functions: [Rig; 4],
    relay: Relay,
    round: u64,
    /// A token of the round before: who has it uses it for a while.
    token: Option<String>,
}

impl World {
    fn new(secret: &str) -> Self {
        let store = MemoryStore::default();
        let mut functions = FUNCTIONS.map(|function| Rig::new(function, &store));
        functions.iter_mut().for_each(|rig| rig.set_secret(secret));
        Self {
            functions,
            relay: Relay::new(secret, 0),
            round: 0,
            token: None,
        }
    }

    /// Each function gets the secret, one after the other.
    fn roll_out(&mut self, secret: &str) {
        for at in 0..FUNCTIONS.len() {
            self.functions[at].set_secret(secret);
            self.traffic();
        }
    }

    fn traffic(&mut self) {
        self.round += 1;
        self.functions.iter().for_each(|rig| rig.pass(ROUND_MS));
        assert_eq!(self.beat(&self.relay), 200, "{}", self.round);
        self.join_and_leave();
        self.push();
        let token = self.token();
        for token in [Some(token.clone()), self.token.replace(token)] {
            let joined = token.map(|token| self.join(format!("Bearer {token}")));
            assert!(joined.is_none_or(|joined| joined.status == 201));
        }
    }

    fn beat(&self, relay: &Relay) -> u16 {
        let [_, fleet, ..] = &self.functions;
        let heartbeat = Heartbeat {
            shard: shard(),
            region: "eu-1".parse().unwrap(),
            boot: relay.boot,
            epoch: relay.keys.epoch,
            sent_at_ms: fleet.now_ms(),
            sequence: 0,
            state: ShardState::Open,
            candidates: vec![Candidate {
                transport: Transport::Udp,
                address: "192.0.2.1:7410".parse().unwrap(),
            }],
            fingerprint: format!("sha-256 AB{}", ":AB".repeat(31)),
            control_url: "http://192.0.2.1:7411".into(),
            ticket_version: TICKET_VERSION,
            load: Load::default(),
            capacity: 100,
            large: Vec::new(),
            refused: Vec::new(),
            taken: Vec::new(),
        };
        let body = serde_json::to_vec(&heartbeat).unwrap();
        let request = Request {
            method: "POST".into(),
            path: "/v1/relays/eu-1-a/heartbeat".into(),
            authorization: Some(sign_heartbeat(&relay.keys, &body)),
            content_type: Some("application/json".into()),
            body,
            ..Request::default()
        };
        block_on(fleet::handle(fleet, request)).status
    }

    /// Has an operator refuse keys of the shard of the first epoch; the least that then counts.
    fn revoke(&self) -> u8 {
        let reply = self.asked(&json!({ "least_epoch": 1 }));
        read::<ShardRevocation>(&reply).least_epoch
    }

    fn asked(&self, body: &Value) -> Response {
        let [_, fleet, ..] = &self.functions;
        let operator = bearer(&claims("ops", Some(Role::Operator)), &signing_key());
        let path = "/v1/relays/eu-1-a/revocation";
        block_on(fleet::handle(fleet, request(operator, "PUT", path, body)))
    }

    /// Somebody of this round.
    fn claims(&self, name: &str) -> Claims {
        let permissions = [Permission::Speak, Permission::Listen, Permission::Chat];
        Claims {
            grants: vec![Grant {
                room: "lobby".into(),
                channels: vec!["*".into()],
                permissions: permissions.into(),
            }],
            ..claims(&format!("{name}-{}", self.round), None)
        }
    }

    fn bearer(&self, name: &str) -> String {
        bearer(&self.claims(name), &signing_key())
    }

    fn join(&self, authorization: String) -> Response {
        let [signalling, ..] = &self.functions;
        let body = json!({ "offer": OFFER, "channels": ["main"] });
        let request = request(authorization, "POST", "/v1/rooms/lobby/sessions", &body);
        block_on(signalling::handle(signalling, request))
    }

    /// The relay opens the ticket, the hello and the command of a leave, all of the same player.
    fn join_and_leave(&self) {
        let [signalling, ..] = &self.functions;
        let Relay { keys, boot } = &self.relay;
        let joined = self.join(self.bearer("ann"));
        assert_eq!(joined.status, 201, "{}: {}", self.round, text(&joined));
        let reply: JoinReply = read(&joined);
        let mut lines = reply.answer.lines();
        let ufrag = lines.find_map(|line| line.strip_prefix("a=ice-ufrag:"));
        let ticket = Ticket::open_expired(ufrag.unwrap(), keys, *boot).unwrap();
        assert_eq!(ticket.session, reply.session.session);
        Hello::open(&reply.hello, keys, *boot).unwrap();

        let path = format!("/v1/rooms/lobby/sessions/{}", reply.session);
        let request = request(self.bearer("ann"), "DELETE", &path, &Value::Null);
        block_on(signalling::handle(signalling, request));
        let command = self.taken(signalling);
        let ControlCommand::End { player, .. } = command else {
            panic!("{command:?}");
        };
        assert_eq!(player, ticket.player, "{}", self.round);
    }

    fn push(&self) {
        let [_, _, chat, _] = &self.functions;
        let path = "/v1/chat/channels/room~lobby~main/messages";
        let body = json!({ "key": "k", "text": "see you at the gate" });
        let request = request(self.bearer("bob"), "POST", path, &body);
        let posted = block_on(chat::handle(chat, request));
        assert_eq!(posted.status, 201, "{}: {}", self.round, text(&posted));
        let command = self.taken(chat);
        assert!(
            matches!(command, ControlCommand::Push { .. }),
            "{command:?}"
        );
    }

    /// The one command that a function sent, as the relay reads it.
    fn taken(&self, function: &Rig) -> ControlCommand {
        let posts = function.take_posts();
        let [(_, _, sealed)] = &posts[..] else {
            panic!("{}: {posts:?}", self.round);
        };
        let opened = ControlMessage::open(sealed, &self.relay.keys, self.relay.boot);
        opened
            .unwrap_or_else(|fault| panic!("{}: {fault:?}", self.round))
            .command
    }

    /// What matchmaking gives a player for his match.
    fn token(&self) -> String {
        let [.., matchmaking] = &self.functions;
        let key = block_on(config::edge_token_secret(&matchmaking.variables)).unwrap();
        sign_as_edge(&self.claims("cyd"), &key)
    }
}

#[test]
fn nothing_fails_while_one_secret_takes_anothers_place() {
    let (old, new) = (OLD, NEW);
    let mut world = World::new(old);
    world.traffic();
    let next = Relay::new(&format!("{EPOCH}:{new}"), EPOCH);
    assert_eq!(world.beat(&next), 401, "nobody knows the new secret yet");

    world.roll_out(&format!("{old} {EPOCH}:{new}"));
    let stale = Relay::new(old, EPOCH);
    assert_eq!(world.beat(&stale), 401, "the epoch is the new secret's");
    world.relay = next;
    world.traffic();

    world.roll_out(&format!("{EPOCH}:{new} {old}"));
    world.roll_out(&format!("{EPOCH}:{new}"));
    let gone = Relay::new(old, 0);
    assert_eq!(
        world.beat(&gone),
        401,
        "nobody knows the old secret any more"
    );
}

#[test]
fn a_step_that_is_left_out_would_be_found() {
    let at_once = std::panic::catch_unwind(|| {
        let mut world = World::new(OLD);
        world.roll_out(NEW);
    });
    assert!(at_once.is_err(), "relays have the old one");
    let too_early = std::panic::catch_unwind(|| {
        let mut world = World::new(OLD);
        world.functions[3].set_secret(&format!("{EPOCH}:{NEW} {OLD}"));
        world.traffic();
    });
    assert!(
        too_early.is_err(),
        "tokens are signed with what only one knows"
    );
}

#[test]
fn a_shard_gets_the_next_epoch_and_nobody_else_has_its_old_one() {
    let mut world = World::new(OLD);
    world.traffic();
    let thief = Relay {
        boot: BootId([9; 8]),
        ..Relay::new(OLD, 0)
    };
    // The relay starts anew with keys of the next epoch: while it lives, whoever has the old ones
    // does not take its place.
    world.relay = Relay::new(OLD, 1);
    world.traffic();
    assert_ne!(world.beat(&thief), 200);
    world.traffic();
    assert_eq!(world.revoke(), 1, "the epoch of the last heartbeat is good");
    world.traffic();
    for _ in 0..10 {
        assert_eq!(world.beat(&thief), 403);
        world.traffic();
    }
}

#[test]
fn a_revoked_shard_takes_nobody_until_it_is_let_in_anew() {
    let mut world = World::new(OLD);
    world.traffic();
    let body = json!({});
    assert_eq!(read::<ShardRevocation>(&world.asked(&body)).least_epoch, 1);
    assert_eq!(
        world.join(world.bearer("ann")).status,
        503,
        "its rooms are nowhere"
    );
    world.functions.iter().for_each(|rig| rig.pass(ROUND_MS));
    assert_eq!(world.beat(&world.relay), 403, "at once");
    world.relay = Relay::new(OLD, 1);
    world.traffic();
}
