//! HTTP requests into the functions, through the routing that every host uses, on a store in
//! memory: every outcome is a documented one, and nothing is given without its proof.
//!
//! An input is text: requests separated by a line `%%`, each a line `METHOD PATH`, headers, an
//! empty line and the body. `auth: player`, `operator`, `privacy`, `late` (a token that has
//! expired) and `shard` stand for credentials that hold; `wait: N` lets N milliseconds pass first.

use std::cell::Cell;
use std::sync::OnceLock;

use edge::http::{Request, Response};
use edge::ports::{
    Clock, Entropy, IdentityLink, IdentityReply, ObjectFault, Objects, RelayInquiry, RelayLink,
    RelayReply, Storage, Timer, Unreachable, VariableFault, Variables,
};
use edge::testing::schedule::block_on;
use edge::testing::{CountingEntropy, FixedVariables, MemoryStore};
use edge::token::{SigningKey, sign};
use wire::ShardId;
use wire::claims::{Claims, Grant, Permission, Role};
use wire::fleet::{Heartbeat, sign_heartbeat};
use wire::join::JoinReply;
use wire::keys::FleetSecret;
use wire::limits::MAX_BODY_BYTES;
use wire::problem::{MEDIA_TYPE, Problem, ProblemKind, TYPE_BASE};
use wire::record::{FunctionShare, SHARE_HEADER};
use wire::routes::{Auth, COMMON_PROBLEMS, Function, ROUTES, Route};
use wire::ticket::Ticket;

use crate::offer::assert_answer;

const START_MS: u64 = 1_700_000_000_000;
const SECRET: [u8; 32] = [5; 32];
/// Requests of one input.
const REQUESTS_MAX: usize = 16;
/// Longest pause before a request.
const WAIT_MS_MAX: u64 = 100_000;

/// Requests, one after the other, to each function.
pub fn run(data: &[u8]) {
    let host = Host::new();
    let text = String::from_utf8_lossy(data);
    for part in text.split("\n%%\n").take(REQUESTS_MAX) {
        let Some(asked) = Asked::read(part, &host) else {
            continue;
        };
        let response = block_on(signalling::handle(&host, asked.request.clone()));
        check(Function::Signalling, &asked, &response, &host);
        let response = block_on(fleet::handle(&host, asked.request.clone()));
        check(Function::Fleet, &asked, &response, &host);
        let response = block_on(chat::handle(&host, asked.request.clone()));
        check(Function::Chat, &asked, &response, &host);
        let response = block_on(matchmaking::handle(&host, asked.request.clone()));
        check(Function::Matchmaking, &asked, &response, &host);
        let response = block_on(safety::handle(&host, asked.request.clone()));
        check(Function::Safety, &asked, &response, &host);
    }
}

/// Who a request is really from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Caller {
    Stranger,
    Player,
    Operator,
    Privacy,
    GameServer,
    Moderator,
    Shard,
}

struct Asked {
    request: Request,
    caller: Caller,
}

impl Asked {
    fn read(text: &str, host: &Host) -> Option<Self> {
        let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
        let mut lines = head.lines();
        let (method, target) = lines.next()?.split_once(' ')?;
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (target, None),
        };
        let mut asked = Self {
            request: Request {
                method: method.to_owned(),
                path: path.to_owned(),
                query,
                body: body.as_bytes().to_vec(),
                ..Request::default()
            },
            caller: Caller::Stranger,
        };
        for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
            match name {
                "type" => asked.request.content_type = Some(value.to_owned()),
                "auth" => asked.sign(value),
                "wait" => host.wait(value.parse().unwrap_or(0)),
                _ => {}
            }
        }
        Some(asked)
    }

    fn sign(&mut self, who: &str) {
        let [player, operator, privacy, server, moderator, late] = tokens();
        let (caller, authorization) = match who {
            "player" => (Caller::Player, Some(player.clone())),
            "operator" => (Caller::Operator, Some(operator.clone())),
            "privacy" => (Caller::Privacy, Some(privacy.clone())),
            "server" => (Caller::GameServer, Some(server.clone())),
            "moderator" => (Caller::Moderator, Some(moderator.clone())),
            "late" => (Caller::Stranger, Some(late.clone())),
            "shard" => (Caller::Shard, self.heartbeat_signature()),
            other => (Caller::Stranger, Some(other.to_owned())),
        };
        (self.caller, self.request.authorization) = (caller, authorization);
    }

    /// The signature of the shard that the path names.
    fn heartbeat_signature(&self) -> Option<String> {
        let shard: ShardId = self.request.path.split('/').nth(3)?.parse().ok()?;
        let heartbeat = serde_json::from_slice::<Heartbeat>(&self.request.body);
        let epoch = heartbeat.map_or(0, |heartbeat| heartbeat.epoch.min(15));
        let keys = FleetSecret::new(SECRET).shard_key(&shard, epoch).subkeys();
        Some(sign_heartbeat(&keys, &self.request.body))
    }
}

/// Signing takes longer than a request, and the same claims give the same token.
fn tokens() -> &'static [String; 6] {
    static TOKENS: OnceLock<[String; 6]> = OnceLock::new();
    TOKENS.get_or_init(|| {
        [
            token(None, u64::MAX),
            token(Some(Role::Operator), u64::MAX),
            token(Some(Role::Privacy), u64::MAX),
            token(Some(Role::GameServer), u64::MAX),
            token(Some(Role::Moderator), u64::MAX),
            token(None, START_MS / 1000),
        ]
    })
}

fn token(role: Option<Role>, exp: u64) -> String {
    let grant = |channel: &str, permissions: &[Permission]| Grant {
        room: "lobby".to_owned(),
        channels: vec![channel.to_owned()],
        permissions: permissions.to_vec(),
    };
    let claims = Claims {
        sub: "player-1".parse().expect("a player id"),
        aud: "lifeverse-voice".to_owned(),
        exp,
        nbf: None,
        iat: None,
        name: Some("Ann".to_owned()),
        profile: wire::claims::Profile::default(),
        role,
        grants: vec![
            grant("main", &[Permission::Speak, Permission::Listen]),
            grant("team-*", &[Permission::Listen]),
        ],
    };
    format!("Bearer {}", sign(&claims, &signing_key(), "dev"))
}

fn signing_key() -> SigningKey {
    SigningKey::new([1; 32])
}

fn check(function: Function, asked: &Asked, response: &Response, host: &Host) {
    let share = response
        .header(SHARE_HEADER)
        .expect("a share of the record");
    let share: FunctionShare = serde_json::from_str(share).expect("JSON");
    assert_eq!(share.outcome, response.outcome);
    let route = ROUTES
        .iter()
        .find(|route| route.function == function && route.name == share.route);
    if response.status >= 400 {
        refused(route, response);
    } else if share.route == "preflight" {
        assert_eq!(response.status, 204);
    } else {
        let route = route.expect("only a route succeeds");
        assert_eq!(response.status, route.status, "{}", route.name);
        assert_eq!(asked.request.method, route.method);
        let is_proved = match route.auth {
            Auth::Player | Auth::Seat => !matches!(asked.caller, Caller::Stranger | Caller::Shard),
            Auth::Privacy => asked.caller == Caller::Privacy,
            Auth::Moderation => asked.caller == Caller::Moderator,
            Auth::GameServer => asked.caller == Caller::GameServer,
            Auth::Operator | Auth::Schedule => asked.caller == Caller::Operator,
            Auth::Shard => asked.caller == Caller::Shard,
            // A token is told once, and no program has what a reply said.
            Auth::Proof => false,
        };
        assert!(is_proved, "{} for {:?}", route.name, asked.caller);
        assert!(asked.request.body.len() <= MAX_BODY_BYTES);
        if route.name == "join" {
            joined(asked, response, host);
        }
    }
}

/// The kind is documented, and the body says the same.
fn refused(route: Option<&Route>, response: &Response) {
    let kind = ProblemKind::ALL
        .iter()
        .find(|kind| kind.name() == response.outcome)
        .expect("the outcome of a refusal is its kind");
    let is_documented = match route {
        Some(route) => route.documents(*kind),
        None => COMMON_PROBLEMS.contains(kind) || *kind == ProblemKind::UnknownRoute,
    };
    assert!(is_documented, "{route:?} does not document {kind:?}");
    let is_ours = matches!(kind, ProblemKind::Internal | ProblemKind::Misconfigured);
    assert!(!is_ours, "a request made a fault of ours: {kind:?}");
    assert_eq!(response.status, kind.status());
    assert_eq!(response.header("content-type"), Some(MEDIA_TYPE));
    let problem: Problem = serde_json::from_slice(&response.body).expect("a problem");
    assert_eq!(problem.type_uri, format!("{TYPE_BASE}{}", kind.name()));
    assert_eq!(problem.status, kind.status());
    assert!(problem.detail.len() > 10, "a sentence: {}", problem.detail);
}

/// A join's ticket opens on the shard that it names, and its answer fits its offer.
fn joined(asked: &Asked, response: &Response, host: &Host) {
    let reply: JoinReply = serde_json::from_slice(&response.body).expect("a join reply");
    let body: wire::join::JoinRequest =
        serde_json::from_slice(&asked.request.body).expect("what was accepted");
    let offer = signalling::offer::read(&body.offer).expect("what was accepted");
    assert_answer(&body.offer, &offer, &reply.answer);
    let ufrag = reply
        .answer
        .lines()
        .find_map(|line| line.strip_prefix("a=ice-ufrag:"))
        .expect("an accepted m-line");
    let record = block_on(edge::directory::shards_everywhere(
        &edge::Metered::new(host.store()),
        host.now_ms(),
    ));
    let listed = record.expect("memory does not fail");
    let shard = listed
        .iter()
        .find(|listed| listed.record.heartbeat.shard == reply.relay);
    let heartbeat = &shard.expect("a known shard").record.heartbeat;
    let keys = FleetSecret::new(SECRET).shard_key(&heartbeat.shard, heartbeat.epoch);
    let unix_s = host.now_ms() / 1000;
    let ticket = Ticket::open(ufrag, &keys.subkeys(), heartbeat.boot, unix_s);
    let ticket = ticket.expect("a ticket for this shard and boot");
    assert_eq!(ticket.slots, offer.slots);
    assert_eq!(ticket.fingerprint, offer.fingerprint[..16]);
    assert_eq!(u64::from(ticket.expires_at), reply.expires_at);
}

/// The ports, in memory.
struct Host {
    store: MemoryStore,
    variables: FixedVariables,
    entropy: CountingEntropy,
    now_ms: Cell<u64>,
}

impl Host {
    fn new() -> Self {
        let keys = signing_key().key_set_json("dev");
        let variables = [
            (
                "fleet_secret",
                "BQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQU=",
            ),
            ("token_keys", keys.as_str()),
            ("region", "eu-1"),
            ("static_shards", r#"[{"shards": "*"}]"#),
            ("token_life_s", "18446744073709551615"),
        ];
        Self {
            store: MemoryStore::default(),
            variables: FixedVariables::new(&variables).with_derived(),
            entropy: CountingEntropy::default(),
            now_ms: Cell::new(START_MS),
        }
    }

    fn wait(&self, ms: u64) {
        self.now_ms.set(self.now_ms.get() + ms.min(WAIT_MS_MAX));
    }
}

impl Storage for Host {
    type Store = MemoryStore;

    fn store(&self) -> &MemoryStore {
        &self.store
    }
}

impl Clock for Host {
    fn now_ms(&self) -> u64 {
        self.now_ms.get()
    }
}

impl Timer for Host {
    async fn sleep(&self, ms: u64) {
        self.wait(ms);
    }
}

impl Entropy for Host {
    fn fill(&self, bytes: &mut [u8]) {
        self.entropy.fill(bytes);
    }
}

impl Variables for Host {
    async fn variable(&self, name: &str) -> Result<Option<String>, VariableFault> {
        self.variables.variable(name).await
    }
}

impl Objects for Host {
    async fn put_object(&self, _: &str, _: Vec<u8>) -> Result<(), ObjectFault> {
        Err(ObjectFault::Nowhere)
    }
}

impl IdentityLink for Host {
    async fn ask(
        &self,
        _url: &str,
        _headers: &[(&'static str, String)],
    ) -> Result<IdentityReply, Unreachable> {
        Err(Unreachable)
    }
}

impl RelayInquiry for Host {
    /// What comes is the question itself, which is no answer, or nothing.
    async fn inquire(
        &self,
        url: &str,
        shard: &ShardId,
        sealed: String,
    ) -> Result<RelayReply, Unreachable> {
        let body = sealed.clone().into_bytes();
        self.post(url, shard, sealed).await?;
        Ok(RelayReply { status: 200, body })
    }
}

impl RelayLink for Host {
    async fn post(&self, _: &str, _: &ShardId, sealed: String) -> Result<u16, Unreachable> {
        // Every other relay does not answer.
        if sealed.len().is_multiple_of(2) {
            Ok(202)
        } else {
            Err(Unreachable)
        }
    }
}
