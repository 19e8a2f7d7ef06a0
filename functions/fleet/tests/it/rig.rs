//! The fleet function on a store in memory, with an operator and relays that ask.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use edge::directory;
use edge::http::{Request, Response};
use edge::ports::{
    Clock, Entropy, IdentityLink, IdentityReply, Storage, Timer, Unreachable, VariableFault,
    Variables,
};
use edge::testing::schedule::{block_on, yield_now};
use edge::testing::sts::FakeSts;
use edge::testing::{CountingEntropy, FaultyStore, FixedVariables, MemoryStore, calls};
use edge::token::SigningKey;
use serde_json::{Value, json};
use wire::claims::{Claims, Role};
use wire::enrolment::{
    Claim, EnrolmentReply, EnrolmentRequest, Proof, Secret, TokenList, TokenReply,
};
use wire::keys::FleetSecret;

pub(crate) const NOW_MS: u64 = 1_700_000_000_000;
pub(crate) const HOUR_S: u64 = 3_600;
const SECRET: &str = "BQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQU=";

pub(crate) struct Rig {
    /// It gives up the turn before each call, and fails when told to.
    pub(crate) store: FaultyStore,
    pub(crate) variables: FixedVariables,
    pub(crate) now_ms: Cell<u64>,
    /// Whom the function asked, with the whole of what it asked.
    pub(crate) asked: RefCell<Vec<String>>,
    services: RefCell<BTreeMap<String, Service>>,
    entropy: CountingEntropy,
}

/// What is at an address.
#[derive(Clone)]
pub(crate) enum Service {
    Sts(FakeSts),
    /// The same status and body for everybody.
    Fixed(u16, String),
    Silent,
}

impl Rig {
    pub(crate) fn new() -> Self {
        let keys = SigningKey::new([1; 32]).key_set_json("dev");
        let variables = [("fleet_secret", SECRET), ("token_keys", keys.as_str())];
        Self {
            store: FaultyStore::new(MemoryStore::of("fleet"), 0, 0),
            variables: FixedVariables::new(&variables),
            now_ms: Cell::new(NOW_MS),
            asked: RefCell::default(),
            services: RefCell::default(),
            entropy: CountingEntropy::default(),
        }
    }

    pub(crate) fn handle(&self, request: Request) -> Response {
        block_on(fleet::handle(self, request))
    }

    pub(crate) fn operator(&self, method: &str, path: &str, body: &Value) -> Response {
        self.handle(calls::request(
            token(Some(Role::Operator)),
            method,
            path,
            body,
        ))
    }

    /// A token for `relay` in the region `eu`, for 1,000 participants and an hour.
    pub(crate) fn token_for(&self, relay: &str) -> TokenReply {
        let body = json!({
            "region": "eu", "capacity": 1000, "expires_in_s": HOUR_S, "relay": relay,
        });
        calls::read(&self.operator("POST", "/v1/relays/enrolment-tokens", &body))
    }

    pub(crate) fn tokens(&self) -> TokenList {
        calls::read(&self.operator("GET", "/v1/relays/enrolment-tokens", &Value::Null))
    }

    pub(crate) fn enrol(&self, request: &EnrolmentRequest) -> Response {
        self.send(&serde_json::to_value(request).unwrap())
    }

    /// Whatever somebody sends.
    pub(crate) fn send(&self, body: &Value) -> Response {
        self.handle(Request {
            authorization: None,
            ..calls::request(String::new(), "POST", "/v1/relays/enrolment", body)
        })
    }

    #[track_caller]
    pub(crate) fn enrolled(&self, request: &EnrolmentRequest) -> EnrolmentReply {
        calls::read(&self.enrol(request))
    }

    pub(crate) fn registration(&self, shard: &str) -> Option<directory::Registration> {
        let shard = shard.parse().unwrap();
        block_on(directory::registration(
            &self.store,
            self.now_ms.get(),
            &shard,
        ))
        .unwrap()
    }

    /// Puts a service at an address.
    pub(crate) fn serve(&self, host: &str, service: Service) {
        self.services.borrow_mut().insert(host.into(), service);
    }

    pub(crate) fn set(&mut self, variable: &str, value: &str) {
        let variables: &mut BTreeMap<String, String> = &mut self.variables.0;
        variables.insert(variable.into(), value.into());
    }
}

impl Storage for Rig {
    type Store = FaultyStore;

    fn store(&self) -> &FaultyStore {
        &self.store
    }
}

impl Clock for Rig {
    fn now_ms(&self) -> u64 {
        self.now_ms.get()
    }
}

impl Timer for Rig {
    async fn sleep(&self, _ms: u64) {
        yield_now().await;
    }
}

impl Entropy for Rig {
    fn fill(&self, bytes: &mut [u8]) {
        self.entropy.fill(bytes);
    }
}

impl IdentityLink for Rig {
    async fn ask(
        &self,
        url: &str,
        headers: &[(&'static str, String)],
    ) -> Result<IdentityReply, Unreachable> {
        yield_now().await;
        self.asked.borrow_mut().push(url.to_owned());
        let rest = url.strip_prefix("https://").unwrap();
        let (host, target) = rest.split_at(rest.find('/').unwrap());
        let mut sent = vec![("host".to_owned(), host.to_owned())];
        sent.extend(
            headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.clone())),
        );
        let service = self.services.borrow().get(host).cloned();
        let (status, body) = match service {
            Some(Service::Sts(sts)) => sts.answer(self.now_ms() / 1000, "GET", target, &sent),
            Some(Service::Fixed(status, body)) => (status, body),
            Some(Service::Silent) | None => return Err(Unreachable),
        };
        Ok(IdentityReply {
            status,
            body: body.into_bytes(),
        })
    }
}

impl Variables for Rig {
    async fn variable(&self, name: &str) -> Result<Option<String>, VariableFault> {
        self.variables.variable(name).await
    }
}

pub(crate) fn secret() -> FleetSecret {
    FleetSecret::from_base64(SECRET).unwrap()
}

pub(crate) fn token(role: Option<Role>) -> String {
    let claims = Claims {
        sub: "ops".parse().unwrap(),
        aud: "lifeverse-voice".into(),
        exp: u64::MAX,
        nbf: None,
        iat: None,
        name: None,
        profile: wire::claims::Profile::default(),
        role,
        grants: vec![],
    };
    calls::bearer(&claims, &SigningKey::new([1; 32]))
}

/// What the relay with this claim asks for: two shards of 500.
pub(crate) fn request(claim: u8, token: &Secret) -> EnrolmentRequest {
    EnrolmentRequest {
        claim: Claim::new([claim; 32]),
        shards: 2,
        capacity: 500,
        region: None,
        proof: Proof::Token {
            token: token.clone(),
        },
    }
}
