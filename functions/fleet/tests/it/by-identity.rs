//! Enrolment by the identity of a machine on AWS, at a service that checks signatures, and what
//! such proofs were attacked with elsewhere.

use edge::http::Response;
use edge::testing::calls;
use edge::testing::schedule::interleave;
use edge::testing::sts::{FakeSession, FakeSts};
use serde_json::{Value, json};
use wire::enrolment::aws::{AwsCredentials, AwsProof, Envelope};
use wire::enrolment::{Claim, EnrolmentReply, EnrolmentRequest, Proof, Secret};
use wire::ids::{AwsSignature, EnrolmentNonce};

use crate::rig::{NOW_MS, Rig, Service};

const ACCOUNT: &str = "123456789012";
const INSTANCE: &str = "i-0123456789abcdef0";
const STS: &str = "sts.eu-west-1.amazonaws.com";
const EDGE: &str = "voice.example.com";

/// An edge that lets in the instances of one role, and STS as it knows them.
fn rig() -> Rig {
    rig_of(FakeSession::of_instance(
        ACCOUNT,
        "lifeverse-relay",
        INSTANCE,
    ))
}

fn rig_of(session: FakeSession) -> Rig {
    let mut rig = Rig::new();
    rig.set("edge_url", "https://voice.example.com");
    let rules = json!({
        "sts": {
            "eu-west-1": "https://sts.eu-west-1.amazonaws.com",
            "us-east-1": "https://sts.us-east-1.amazonaws.com/",
        },
        "allow": [
            { "account": ACCOUNT, "role": "lifeverse-relay", "region": "eu", "capacity": 2000 },
            { "account": ACCOUNT, "role": "everywhere", "region": "eu", "capacity": 500 },
            { "account": ACCOUNT, "role": "everywhere", "region": "us", "capacity": 500 },
        ],
    });
    rig.set("enrolment_aws", &rules.to_string());
    let sts = FakeSts {
        host: STS.into(),
        region: "eu-west-1".into(),
        sessions: vec![session],
    };
    rig.serve(STS, Service::Sts(sts));
    rig
}

/// How a relay signs; each test changes one thing.
struct Signer {
    credentials: AwsCredentials,
    sts_region: &'static str,
    host: &'static str,
    edge: &'static str,
    signed_at_s: u64,
    nonce: u8,
}

impl Signer {
    fn new() -> Self {
        let known = FakeSession::of_instance(ACCOUNT, "", "");
        Self {
            credentials: AwsCredentials {
                access_key: known.access_key.parse().unwrap(),
                secret_key: Secret(known.secret_key),
                session_token: Secret(known.session_token),
            },
            sts_region: "eu-west-1",
            host: STS,
            edge: EDGE,
            signed_at_s: NOW_MS / 1000,
            nonce: 1,
        }
    }

    /// A request of four shards of 500, by the relay with this claim.
    fn request(&self, claim: u8) -> EnrolmentRequest {
        let nonce = EnrolmentNonce([self.nonce; 16]);
        let mut request = EnrolmentRequest {
            claim: Claim::new([claim; 32]),
            shards: 4,
            capacity: 500,
            region: None,
            proof: Proof::Token {
                token: Secret(String::new()),
            },
        };
        let terms = request.terms(nonce);
        let envelope = Envelope {
            host: self.host,
            edge: self.edge,
            terms: &terms,
        };
        let region = self.sts_region.parse().unwrap();
        let proof = AwsProof::sign(&self.credentials, region, envelope, self.signed_at_s, nonce);
        request.proof = Proof::Aws(proof);
        request
    }
}

#[track_caller]
fn assert_refused(reply: &Response, status: u16, problem: &str) {
    let told = (reply.status, reply.outcome);
    assert_eq!(told, (status, problem), "{}", calls::text(reply));
}

fn proof(request: &mut EnrolmentRequest) -> &mut AwsProof {
    match &mut request.proof {
        Proof::Aws(proof) => proof,
        Proof::Token { .. } => panic!("signed"),
    }
}

#[test]
fn an_instance_of_an_allowed_role_gets_its_keys() {
    let rig = rig();
    let reply = rig.enrolled(&Signer::new().request(1));
    assert_eq!(
        (reply.relay.as_str(), reply.region.as_str()),
        (INSTANCE, "eu")
    );
    assert_eq!(reply.edge.as_deref(), Some("https://voice.example.com"));
    assert_eq!(reply.shards.len(), 4);
    let key = crate::rig::secret()
        .shard_key(&reply.shards[3].shard, 0)
        .to_base64();
    assert_eq!(reply.shards[3].key, Secret(key));
    let path = format!("/v1/relays/{INSTANCE}/enrolment");
    let shown: Value = calls::read(&rig.operator("GET", &path, &Value::Null));
    assert_eq!(shown["by"], "aws");
    assert_eq!(
        rig.registration(&format!("{INSTANCE}-3")).unwrap().capacity,
        500
    );
    // One question, to the address in the settings.
    let asked = rig.asked.lock().unwrap();
    assert_eq!(asked.len(), 1);
    assert!(asked[0].starts_with("https://sts.eu-west-1.amazonaws.com/?Action=GetCallerIdentity&"));
}

#[test]
fn a_proof_counts_once_whoever_shows_it() {
    let rig = rig();
    let request = Signer::new().request(1);
    rig.enrolled(&request);
    assert_refused(&rig.enrol(&request), 409, "proof-used");
    // The relay itself signs anew.
    let signer = Signer {
        nonce: 2,
        ..Signer::new()
    };
    rig.enrolled(&signer.request(1));
}

#[test]
fn of_the_same_proof_shown_at_once_one_counts() {
    for seed in 0..100 {
        let rig = rig();
        let body = serde_json::to_value(Signer::new().request(1)).unwrap();
        let asked = || calls::request(String::new(), "POST", "/v1/relays/enrolment", &body);
        let tasks = (0..3).map(|_| Box::pin(fleet::handle(&rig, asked())) as _);
        let replies: Vec<Response> = interleave(seed, tasks.collect());
        let inside = replies.iter().filter(|reply| reply.status == 201);
        assert!(inside.count() <= 1, "seed {seed}");
        assert!(
            replies
                .iter()
                .all(|reply| [201, 409, 503].contains(&reply.status))
        );
    }
}

#[test]
fn an_overheard_proof_is_of_no_use_for_other_terms() {
    let rig = rig();
    let request = Signer::new().request(1);
    for stolen in [
        // The thief's own claim would let him ask again later.
        EnrolmentRequest {
            claim: Claim::new([9; 32]),
            ..request.clone()
        },
        EnrolmentRequest {
            shards: 1,
            ..request.clone()
        },
        EnrolmentRequest {
            capacity: 1,
            ..request.clone()
        },
        EnrolmentRequest {
            region: "eu".parse().ok(),
            ..request.clone()
        },
    ] {
        assert_refused(&rig.enrol(&stolen), 401, "proof-invalid");
    }
    rig.enrolled(&request);
}

#[test]
fn a_machine_keeps_its_name_from_whoever_has_its_credentials() {
    let rig = rig();
    rig.enrolled(&Signer::new().request(1));
    let thief = Signer {
        nonce: 2,
        ..Signer::new()
    }
    .request(2);
    assert_refused(&rig.enrol(&thief), 409, "relay-enrolled");
    // Other shards have other names; the machine is the same.
    let mut one = thief;
    one.shards = 1;
    let nonce = EnrolmentNonce([3; 16]);
    let terms = one.terms(nonce);
    let envelope = Envelope {
        host: STS,
        edge: EDGE,
        terms: &terms,
    };
    let signer = Signer::new();
    one.proof = Proof::Aws(AwsProof::sign(
        &signer.credentials,
        "eu-west-1".parse().unwrap(),
        envelope,
        NOW_MS / 1000,
        nonce,
    ));
    assert_refused(&rig.enrol(&one), 409, "relay-enrolled");
}

#[test]
fn forged_signatures_are_not_confirmed() {
    let rig = rig();
    let good = Signer::new();
    let wrong_key = AwsCredentials {
        secret_key: Secret("guessed".into()),
        ..good.credentials.clone()
    };
    let stranger = AwsCredentials {
        access_key: "ASIASTRANGERSTRANGER".parse().unwrap(),
        ..good.credentials.clone()
    };
    let other_token = AwsCredentials {
        session_token: Secret("b3RoZXI=".into()),
        ..good.credentials.clone()
    };
    for credentials in [wrong_key, stranger, other_token] {
        let request = Signer {
            credentials,
            ..Signer::new()
        }
        .request(1);
        assert_refused(&rig.enrol(&request), 401, "proof-invalid");
    }
    let mut changed = good.request(1);
    proof(&mut changed).signature = AwsSignature([0; 32]);
    assert_refused(&rig.enrol(&changed), 401, "proof-invalid");
    let mut later = good.request(1);
    proof(&mut later).signed_at_s += 1;
    assert_refused(&rig.enrol(&later), 401, "proof-invalid");
}

#[test]
fn a_proof_for_another_edge_is_none_for_this_one() {
    let rig = rig();
    for edge in [
        "other.example.com",
        "voice.example.com.evil.example",
        "voice.example.com:8443",
        "",
    ] {
        let request = Signer {
            edge,
            ..Signer::new()
        }
        .request(1);
        assert_refused(&rig.enrol(&request), 401, "proof-invalid");
    }
}

#[test]
fn a_proof_for_another_host_is_none_and_no_other_host_is_ever_asked() {
    let rig = rig();
    rig.serve(
        "sts.evil.example",
        Service::Fixed(200, confirmation(INSTANCE)),
    );
    for host in ["sts.evil.example", "sts.us-east-1.amazonaws.com"] {
        let request = Signer {
            host,
            ..Signer::new()
        }
        .request(1);
        assert_refused(&rig.enrol(&request), 401, "proof-invalid");
    }
    let elsewhere = Signer {
        sts_region: "ap-evil-1",
        ..Signer::new()
    }
    .request(1);
    assert_refused(&rig.enrol(&elsewhere), 403, "enrolment-refused");
    // Fields that other services took for an address, a body or headers mean nothing here.
    let mut body = serde_json::to_value(Signer::new().request(1)).unwrap();
    for (name, value) in [
        (
            "url",
            json!("https://sts.evil.example/?Action=GetCallerIdentity"),
        ),
        (
            "iam_request_url",
            json!("aHR0cHM6Ly9zdHMuZXZpbC5leGFtcGxlLw=="),
        ),
        (
            "headers",
            json!({ "host": "sts.evil.example", "x-lifeverse-edge": "other" }),
        ),
        ("method", json!("POST")),
        ("body", json!("Action=AssumeRole")),
    ] {
        body["proof"][name] = value.clone();
        body[name] = value;
    }
    let reply: EnrolmentReply = calls::read(&rig.send(&body));
    assert_eq!(reply.relay.as_str(), INSTANCE);
    let asked = rig.asked.lock().unwrap();
    assert!(
        asked.iter().all(|url| url.starts_with(
            "https://sts.eu-west-1.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15&"
        )),
        "{asked:?}"
    );
}

#[test]
fn an_old_proof_and_one_of_the_future_are_refused_before_anybody_is_asked() {
    let rig = rig();
    let at = |signed_at_s: u64| {
        Signer {
            signed_at_s,
            ..Signer::new()
        }
        .request(1)
    };
    let now_s = NOW_MS / 1000;
    assert_refused(&rig.enrol(&at(now_s - 61)), 401, "proof-expired");
    assert_refused(&rig.enrol(&at(0)), 401, "proof-expired");
    assert_refused(&rig.enrol(&at(now_s + 31)), 401, "proof-invalid");
    assert_refused(&rig.enrol(&at(u64::MAX)), 401, "proof-invalid");
    assert!(rig.asked.lock().unwrap().is_empty());
    rig.enrolled(&at(now_s - 60));
}

#[test]
fn fields_that_could_say_more_than_they_should_go_nowhere() {
    let rig = rig();
    let asked = Signer::new().request(1);
    for token in [
        "",
        "a&Action=AssumeRole",
        "a b",
        "a%26",
        "a\r\nhost: x",
        &"a".repeat(4097),
    ] {
        let mut request = asked.clone();
        proof(&mut request).session_token = Secret(token.to_owned());
        assert_refused(&rig.enrol(&request), 401, "proof-invalid");
    }
    for (member, value) in [
        ("sts_region", json!("eu-west-1.evil.example")),
        ("sts_region", json!("eu/../us")),
        ("access_key", json!("A/B")),
        ("nonce", json!("x")),
        ("signature", json!("00&X-Amz-Expires=604800")),
        ("signed_at_s", json!("now")),
    ] {
        let mut body = serde_json::to_value(&asked).unwrap();
        body["proof"][member] = value;
        assert_refused(&rig.send(&body), 400, "body-invalid");
    }
    assert!(rig.asked.lock().unwrap().is_empty());
}

#[test]
fn foreign_accounts_roles_and_people_are_not_let_in() {
    let arn = |resource: &str| format!("arn:aws:sts::{ACCOUNT}:{resource}");
    let of = |account: &str, arn: String| FakeSession {
        account: account.into(),
        arn,
        ..FakeSession::of_instance(ACCOUNT, "lifeverse-relay", INSTANCE)
    };
    for session in [
        FakeSession::of_instance("210987654321", "lifeverse-relay", INSTANCE),
        FakeSession::of_instance(ACCOUNT, "other-role", INSTANCE),
        FakeSession::of_instance(ACCOUNT, "lifeverse-relay", "ann"),
        FakeSession::of_instance(ACCOUNT, "lifeverse-relay", "i-0123456789ABCDEF0"),
        of(
            ACCOUNT,
            format!("arn:aws:iam::{ACCOUNT}:user/lifeverse-relay"),
        ),
        of(
            ACCOUNT,
            arn(&format!("assumed-role/x/lifeverse-relay/{INSTANCE}")),
        ),
        of(ACCOUNT, arn("federated-user/lifeverse-relay")),
        // The two places that name the account do not agree.
        of(
            "210987654321",
            arn(&format!("assumed-role/lifeverse-relay/{INSTANCE}")),
        ),
    ] {
        let rig = rig_of(session.clone());
        let reply = rig.enrol(&Signer::new().request(1));
        assert_eq!(
            (reply.status, reply.outcome),
            (403, "enrolment-refused"),
            "{session:?}"
        );
    }
}

/// What STS says of an instance.
fn confirmation(instance: &str) -> String {
    let arn = format!("arn:aws:sts::{ACCOUNT}:assumed-role/lifeverse-relay/{instance}");
    json!({ "GetCallerIdentityResponse": {
        "GetCallerIdentityResult": { "Account": ACCOUNT, "Arn": arn },
    } })
    .to_string()
}

#[test]
fn a_redirect_is_not_followed_and_no_other_answer_is_believed() {
    let xml = "<GetCallerIdentityResponse/>";
    let bare = json!({ "Account": ACCOUNT, "Arn": "arn:aws:sts::1:assumed-role/a/i-1" });
    for service in [
        Service::Fixed(302, confirmation(INSTANCE)),
        Service::Fixed(307, confirmation(INSTANCE)),
        Service::Fixed(500, confirmation(INSTANCE)),
        Service::Fixed(201, confirmation(INSTANCE)),
        Service::Fixed(200, xml.to_owned()),
        Service::Fixed(200, bare.to_string()),
        Service::Fixed(200, format!("{}x", confirmation(INSTANCE))),
        Service::Silent,
    ] {
        let rig = rig();
        rig.serve(STS, service);
        let reply = rig.enrol(&Signer::new().request(1));
        assert_refused(&reply, 503, "identity-unavailable");
        assert_eq!(reply.header("retry-after"), Some("1"));
        assert_eq!(rig.asked.lock().unwrap().len(), 1);
        assert!(
            rig.store.inner.everything().is_empty(),
            "nothing was written"
        );
    }
}

#[test]
fn a_role_for_several_regions_says_which_and_each_has_its_capacity() {
    let session = || FakeSession::of_instance(ACCOUNT, "everywhere", INSTANCE);
    let in_region = |region: Option<&str>, shards: u16| {
        let rig = rig_of(session());
        let (signer, nonce) = (Signer::new(), EnrolmentNonce([1; 16]));
        let mut request = EnrolmentRequest {
            shards,
            region: region.map(|region| region.parse().unwrap()),
            ..signer.request(1)
        };
        let terms = request.terms(nonce);
        let envelope = Envelope {
            host: STS,
            edge: EDGE,
            terms: &terms,
        };
        let sts_region = "eu-west-1".parse().unwrap();
        let at = signer.signed_at_s;
        request.proof = Proof::Aws(AwsProof::sign(
            &signer.credentials,
            sts_region,
            envelope,
            at,
            nonce,
        ));
        let reply = rig.enrol(&request);
        (reply.status, reply.outcome)
    };
    assert_eq!(in_region(Some("us"), 1), (201, "ok"));
    assert_eq!(in_region(Some("eu"), 1), (201, "ok"));
    assert_eq!(in_region(None, 1), (403, "enrolment-refused"));
    assert_eq!(in_region(Some("ap"), 1), (403, "enrolment-refused"));
    assert_eq!(in_region(Some("us"), 2), (403, "enrolment-refused"));
}

#[test]
fn an_edge_that_is_not_set_up_for_it_says_so() {
    let request = Signer::new().request(1);
    assert_refused(&Rig::new().enrol(&request), 403, "enrolment-refused");
    for (variable, value) in [
        ("edge_url", ""),
        ("edge_url", "voice.example.com"),
        ("enrolment_aws", "[]"),
        ("enrolment_aws", r#"{"sts":{},"allow":[],"more":1}"#),
        (
            "enrolment_aws",
            r#"{"sts":{"eu-west-1":"https://x/path"},"allow":[]}"#,
        ),
        (
            "enrolment_aws",
            r#"{"sts":{"eu-west-1":"sts.example"},"allow":[]}"#,
        ),
        (
            "enrolment_aws",
            r#"{"sts":{},"allow":[{"account":"1","role":"r","region":"eu","capacity":1}]}"#,
        ),
    ] {
        let mut rig = rig();
        rig.set(variable, value);
        let reply = rig.enrol(&request);
        assert_refused(&reply, 500, "misconfigured");
        assert!(calls::text(&reply).contains(variable));
    }
}
