//! Relays that join the fleet.

use anyhow::{Context, Result, ensure};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::{Method, Request};
use serde_json::{Value, json};
use wire::BootId;
use wire::enrolment::aws::{AwsProof, Envelope};
use wire::enrolment::{Claim, EnrolmentReply, EnrolmentRequest, Proof, TokenReply, terms};
use wire::fleet::{Candidate, Heartbeat, Load, ShardState, Transport, sign_heartbeat};
use wire::ids::EnrolmentNonce;
use wire::ticket::TICKET_VERSION;

use crate::sts::{EDGE, INSTANCE, REGION};
use crate::target::Target;
use crate::tokens::unix_ms;

const ENROL: &str = "/v1/relays/enrolment";
const TOKENS: &str = "/v1/relays/enrolment-tokens";

/// What the relay with this claim asks for: one shard of 100.
fn request(claim: &str, proof: Value) -> Value {
    json!({ "claim": claim.repeat(43), "shards": 1, "capacity": 100, "proof": proof })
}

async fn make(target: &Target, relay: &str) -> Result<TokenReply> {
    let body = json!({
        "region": "enrolled", "capacity": 100, "expires_in_s": 600, "relay": relay,
    });
    let operator = target.secrets.operator_token();
    let made = target.expect(201, Method::POST, TOKENS, &operator, body);
    Ok(serde_json::from_value(made.await?)?)
}

pub(super) async fn by_token(target: &Target) -> Result<()> {
    let made = make(target, "enrolled-0").await?;
    let proof = || json!({ "by": "token", "token": made.token });
    // The last two bits of 43 characters must be zero: those of A and Q are.
    let enrol = || target.expect(201, Method::POST, ENROL, "", request("A", proof()));
    let first: EnrolmentReply = serde_json::from_value(enrol().await?)?;
    let again: EnrolmentReply = serde_json::from_value(enrol().await?)?;
    ensure!(first == again, "a reply that was lost is the same again");
    ensure!(first.relay.as_str() == "enrolled-0" && first.region.as_str() == "enrolled");
    let refused = request("Q", proof());
    target
        .refuses("proof-used", Method::POST, ENROL, "", refused)
        .await?;
    beat(target, &first).await?;

    let operator = target.secrets.operator_token();
    let path = "/v1/relays/enrolled-0/enrolment";
    let shown = target.expect(200, Method::GET, path, &operator, Value::Null);
    ensure!(shown.await?["by"] == "token");
    let listed = target.expect(200, Method::GET, TOKENS, &operator, Value::Null);
    let listed = listed.await?.to_string();
    ensure!(listed.contains(&made.record.id.to_string()) && listed.contains("used_at_ms"));
    ensure!(
        !listed.contains(&made.token.0[16..]),
        "the token is told once"
    );
    target
        .expect(204, Method::DELETE, path, &operator, Value::Null)
        .await?;
    let unknown = "unknown-enrolment";
    target
        .refuses(unknown, Method::GET, path, &operator, Value::Null)
        .await
}

pub(super) async fn by_identity(target: &Target) -> Result<()> {
    let sts = target.sts.as_ref().context("the host asks nobody")?;
    let credentials = sts.credentials()?;
    let signed = |edge: &str, nonce: u8| {
        let nonce = EnrolmentNonce([nonce; 16]);
        let claim = Claim::new([0; 32]);
        let terms = terms(&claim, 1, 100, None, nonce);
        let envelope = Envelope {
            host: &sts.host,
            edge,
            terms: &terms,
        };
        let region = REGION.parse().expect("a region");
        let now_s = unix_ms() / 1000;
        let proof = AwsProof::sign(&credentials, region, envelope, now_s, nonce);
        serde_json::to_value(EnrolmentRequest {
            claim,
            shards: 1,
            capacity: 100,
            region: None,
            proof: Proof::Aws(proof),
        })
    };
    let refuses =
        |problem: &'static str, body: Value| target.refuses(problem, Method::POST, ENROL, "", body);
    refuses("proof-invalid", signed("other.test", 1)?).await?;
    let good = signed(EDGE, 2)?;
    let mut bent = good.clone();
    bent["claim"] = json!("Q".repeat(43));
    refuses("proof-invalid", bent).await?;
    let reply = target.expect(201, Method::POST, ENROL, "", good.clone());
    let reply: EnrolmentReply = serde_json::from_value(reply.await?)?;
    ensure!(reply.relay.as_str() == INSTANCE && reply.region.as_str() == "identified");
    ensure!(reply.edge.as_deref() == Some("https://edge.test"));
    refuses("proof-used", good).await?;
    beat(target, &reply).await
}

/// A heartbeat signed with the key that the edge gave.
async fn beat(target: &Target, enrolled: &EnrolmentReply) -> Result<()> {
    let shard = &enrolled.shards[0];
    let heartbeat = Heartbeat {
        shard: shard.shard.clone(),
        region: enrolled.region.clone(),
        boot: BootId([7; 8]),
        epoch: enrolled.epoch,
        sent_at_ms: unix_ms(),
        sequence: 0,
        state: ShardState::Stopping,
        candidates: vec![Candidate {
            transport: Transport::Udp,
            address: "192.0.2.1:7410".parse()?,
        }],
        fingerprint: format!("sha-256 {}", ["AB"; 32].join(":")),
        control_url: "http://192.0.2.1:7411".to_owned(),
        ticket_version: TICKET_VERSION,
        load: Load::default(),
        capacity: enrolled.capacity,
        large: Vec::new(),
        refused: Vec::new(),
        taken: Vec::new(),
    };
    let body = serde_json::to_vec(&heartbeat)?;
    let keys = shard.key(enrolled.epoch)?.subkeys();
    let request = Request::builder()
        .method(Method::POST)
        .uri(target.url(&format!("/v1/relays/{}/heartbeat", shard.shard)))
        .header("authorization", sign_heartbeat(&keys, &body))
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(body)))?;
    let reply = target.http.request(request).await?;
    ensure!(reply.status == 200, "{reply:?}");
    Ok(())
}

pub(super) async fn refused(target: &Target) -> Result<()> {
    let made = make(target, "enrolled-1").await?;
    let guessed = made.token.0.replace("lve1_", "lve1_A")[..48].to_owned();
    let aws = |sts_region: &str| {
        json!({
        "by": "aws", "sts_region": sts_region, "access_key": "ASIAEXAMPLEEXAMPLE00",
        "session_token": "AAAA", "signed_at_s": unix_ms() / 1000, "nonce": "0".repeat(32),
        "signature": "0".repeat(64),
        })
    };
    for (proof, problem) in [
        (json!({ "by": "token", "token": "" }), "proof-invalid"),
        (json!({ "by": "token", "token": guessed }), "proof-invalid"),
        (json!({ "by": "word of honour" }), "body-invalid"),
        // Nobody's signature, and a region whose STS this edge does not ask.
        (aws("eu-west-1"), "proof-invalid"),
        (aws("eu-evil-1"), "enrolment-refused"),
    ] {
        let body = request("A", proof);
        target
            .refuses(problem, Method::POST, ENROL, "", body)
            .await?;
    }
    let mut larger = request("A", json!({ "by": "token", "token": made.token }));
    larger["shards"] = json!(2);
    target
        .refuses("enrolment-refused", Method::POST, ENROL, "", larger)
        .await?;
    let operator = target.secrets.operator_token();
    let path = format!("{TOKENS}/{}", made.record.id);
    target
        .expect(204, Method::DELETE, &path, &operator, Value::Null)
        .await?;
    let gone = request("A", json!({ "by": "token", "token": made.token }));
    target
        .refuses("proof-invalid", Method::POST, ENROL, "", gone)
        .await
}
