//! The fleet function on a store in memory, with an operator and relays that ask.

use std::ops::{Deref, DerefMut};

use edge::directory;
use edge::http::{Request, Response};
use edge::ports::Clock;
use edge::testing::calls;
use edge::testing::host::{self, Host, signing_key};
use edge::testing::schedule::block_on;
use serde_json::{Value, json};
use wire::claims::Role;
use wire::enrolment::{
    Claim, EnrolmentReply, EnrolmentRequest, Proof, Secret, TokenList, TokenReply,
};

pub(crate) use edge::testing::host::{NOW_MS, Service, secret};

pub(crate) const HOUR_S: u64 = 3_600;

pub(crate) struct Rig(Host);

impl Rig {
    pub(crate) fn new() -> Self {
        Self(Host::counting("fleet"))
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
        block_on(directory::registration(&self.store, self.now_ms(), &shard)).unwrap()
    }
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

pub(crate) fn token(role: Option<Role>) -> String {
    calls::bearer(&host::claims("ops", role), &signing_key())
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
