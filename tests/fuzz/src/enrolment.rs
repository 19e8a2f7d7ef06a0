//! Enrolment by the identity of a machine on AWS: STS is asked one fixed question at the address in
//! the settings, and nobody is let in but whoever signed just what he asks for.
//!
//! The first byte chooses: a body as it is, or the body of a relay that signs well with one byte
//! changed, or with members set to what the input says.

use std::cell::Cell;

use edge::http::{Request, Response};
use edge::ports::{
    Clock, Entropy, IdentityLink, IdentityReply, ObjectFault, Objects, Storage, Timer, Unreachable,
    VariableFault, Variables,
};
use edge::testing::schedule::{block_on, yield_now};
use edge::testing::sts::{FakeSession, FakeSts};
use edge::testing::{CountingEntropy, FixedVariables, MemoryStore};
use serde_json::{Value, json};
use wire::enrolment::aws::{AwsCredentials, AwsProof, Envelope};
use wire::enrolment::{Claim, EnrolmentRequest, Proof, Secret};
use wire::ids::EnrolmentNonce;

const NOW_MS: u64 = 1_700_000_000_000;
const ACCOUNT: &str = "123456789012";
const INSTANCE: &str = "i-0123456789abcdef0";
const STS: &str = "sts.eu-west-1.amazonaws.com";
const QUESTION: &str = "https://sts.eu-west-1.amazonaws.com/?Action=GetCallerIdentity&";
/// Headers that an edge may send.
const HEADERS: [&str; 3] = ["accept", "x-lifeverse-edge", "x-lifeverse-terms"];
/// Members that an input sets.
const MEMBERS_MAX: usize = 8;

/// One request.
pub fn run(data: &[u8]) {
    match data {
        [0, body @ ..] => assert_kept_out(&Host::new(), body),
        [1, at, more, to, ..] => {
            let mut body = signed().to_string().into_bytes();
            let length = body.len();
            body[(usize::from(*at) << 8 | usize::from(*more)) % length] = *to;
            assert_kept_out(&Host::new(), &body);
        }
        [2, text @ ..] => {
            let mut body = signed();
            let text = String::from_utf8_lossy(text);
            for line in text.lines().take(MEMBERS_MAX) {
                set(&mut body, line);
            }
            assert_kept_out(&Host::new(), body.to_string().as_bytes());
        }
        _ => {
            let (host, good) = (Host::new(), signed().to_string());
            assert_eq!(host.enrol(good.as_bytes()).status, 201);
            assert_eq!(host.enrol(good.as_bytes()).outcome, "proof-used");
        }
    }
}

/// A line `POINTER VALUE`: the pointer of RFC 6901, the value as JSON or else as it is.
fn set(body: &mut Value, line: &str) {
    let (pointer, value) = line.split_once(' ').unwrap_or((line, ""));
    if let Some(member) = body.pointer_mut(pointer) {
        *member = serde_json::from_str(value).unwrap_or_else(|_| value.into());
    }
}

/// Whoever asks for something else than what was signed gets nothing, and a documented problem.
fn assert_kept_out(host: &Host, body: &[u8]) {
    let reply = host.enrol(body);
    if reply.status != 201 {
        let kinds = wire::problem::ProblemKind::ALL;
        let kind = kinds.iter().find(|kind| kind.name() == reply.outcome);
        let kind = kind.expect("the outcome of a refusal is its kind");
        assert_eq!(reply.status, kind.status());
        assert!(
            reply.status < 500,
            "a request made a fault of ours: {kind:?}"
        );
        return;
    }
    let good: EnrolmentRequest = serde_json::from_value(signed()).expect("what a relay sends");
    let accepted: EnrolmentRequest = serde_json::from_slice(body).expect("what was accepted");
    assert_eq!(accepted, good);
    assert!(host.was_asked.get(), "STS said who it is");
}

/// What a relay of two shards sends.
fn signed() -> Value {
    let session = session();
    let credentials = AwsCredentials {
        access_key: session.access_key.parse().expect("it is well formed"),
        secret_key: Secret(session.secret_key),
        session_token: Secret(session.session_token),
    };
    let nonce = EnrolmentNonce([3; 16]);
    let mut request = EnrolmentRequest {
        claim: Claim::new([1; 32]),
        shards: 2,
        capacity: 500,
        region: None,
        proof: Proof::Token {
            token: Secret(String::new()),
        },
    };
    let terms = request.terms(nonce);
    let envelope = Envelope {
        host: STS,
        edge: "voice.example.com",
        terms: &terms,
    };
    let region = "eu-west-1".parse().expect("it is well formed");
    let proof = AwsProof::sign(&credentials, region, envelope, NOW_MS / 1000, nonce);
    request.proof = Proof::Aws(proof);
    serde_json::to_value(request).expect("it is JSON")
}

fn session() -> FakeSession {
    FakeSession::of_instance(ACCOUNT, "lifeverse-relay", INSTANCE)
}

/// The fleet function, which asks an STS that checks signatures.
struct Host {
    store: MemoryStore,
    variables: FixedVariables,
    entropy: CountingEntropy,
    was_asked: Cell<bool>,
}

impl Host {
    fn new() -> Self {
        let rules = json!({
            "sts": { "eu-west-1": format!("https://{STS}") },
            "allow": [{
                "account": ACCOUNT, "role": "lifeverse-relay", "region": "eu", "capacity": 1000,
            }],
        })
        .to_string();
        let variables = [
            (
                "fleet_secret",
                "BQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQU=",
            ),
            ("token_keys", r#"{"keys":[]}"#),
            ("edge_url", "https://voice.example.com"),
            ("enrolment_aws", rules.as_str()),
        ];
        Self {
            store: MemoryStore::default(),
            variables: FixedVariables::new(&variables),
            entropy: CountingEntropy::default(),
            was_asked: Cell::new(false),
        }
    }

    fn enrol(&self, body: &[u8]) -> Response {
        let request = Request {
            method: "POST".to_owned(),
            path: "/v1/relays/enrolment".to_owned(),
            content_type: Some("application/json".to_owned()),
            body: body.to_vec(),
            ..Request::default()
        };
        block_on(fleet::handle(self, request))
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
        NOW_MS
    }
}

impl Timer for Host {
    async fn sleep(&self, _ms: u64) {
        yield_now().await;
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
        url: &str,
        headers: &[(&'static str, String)],
    ) -> Result<IdentityReply, Unreachable> {
        self.was_asked.set(true);
        assert!(url.starts_with(QUESTION), "asked {url}");
        let is_plain = |text: &str| text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        assert!(is_plain(url) && !url.contains(' '), "asked {url}");
        let mut sent = vec![("host".to_owned(), STS.to_owned())];
        for (name, value) in headers {
            assert!(HEADERS.contains(name), "sent {name}");
            assert!(is_plain(value), "sent {name}: {value}");
            sent.push(((*name).to_owned(), value.clone()));
        }
        let sts = FakeSts {
            host: STS.to_owned(),
            region: "eu-west-1".to_owned(),
            sessions: vec![session()],
        };
        let target = &url["https://".len() + STS.len()..];
        let (status, body) = sts.answer(NOW_MS / 1000, "GET", target, &sent);
        Ok(IdentityReply {
            status,
            body: body.into_bytes(),
        })
    }
}
