//! A relay without a name and keys joins the fleet.

use std::path::Path;
use std::sync::atomic::Ordering;

use edge::testing::sts::{FakeSession, FakeSts};
use relay::{Arguments, CommandLine, Config, LINES_MAX, Running, StartError, configure};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::common::fleet::{self, Fleet};
use crate::common::{WAIT_MAX, metrics_until, sample};

/// A relay of two shards that enrols at `edge`.
fn arguments(edge: &str, state: &Path, more: &str) -> Arguments {
    let state = state.join("enrolment.json");
    let line = format!(
        "--enrol {edge} --state {} --listen 127.0.0.1:0 --control 127.0.0.1:0 \
         --health 127.0.0.1:0 --drain-seconds 0 {more}",
        state.display()
    );
    let line = ["relay"].into_iter().chain(line.split_whitespace());
    CommandLine::read(line).unwrap().run
}

const TWO_SHARDS: &str = "--shards 2 --max-participants 500";

async fn configured(arguments: Arguments, token: Option<&str>) -> Result<Config, StartError> {
    let variable = |name: &str| {
        token
            .filter(|_| name == relay::TOKEN_VARIABLE)
            .map(str::to_owned)
    };
    timeout(WAIT_MAX, configure(arguments, variable))
        .await
        .unwrap()
}

async fn started(config: Config) -> Running {
    let (lines, _) = mpsc::channel(LINES_MAX);
    let running = relay::start(config, lines).await.unwrap();
    timeout(WAIT_MAX, running.ready()).await.unwrap();
    running
}

#[tokio::test]
async fn it_joins_by_a_token_and_starts_again_without_one() {
    let (fleet, state) = (Fleet::start().await, TempDir::new().unwrap());
    let token = fleet.token().await;
    let arguments = arguments(&fleet.url, state.path(), TWO_SHARDS);
    let config = configured(arguments.clone(), Some(&token)).await.unwrap();
    let running = started(config).await;
    assert_eq!(fleet.live().await, ["eu-1-0", "eu-1-1"]);
    running.stop().await.unwrap();

    let again = configured(arguments, None).await.unwrap();
    assert_eq!(again.region.as_str(), "eu");
    let running = started(again).await;
    assert_eq!(fleet.live().await, ["eu-1-0", "eu-1-1"]);
    assert_eq!(
        fleet.host.asked.load(Ordering::Relaxed),
        1,
        "it did not ask again"
    );
    running.stop().await.unwrap();
}

#[tokio::test]
async fn an_edge_that_is_away_or_loses_its_reply_is_asked_again() {
    let (fleet, state) = (Fleet::start().await, TempDir::new().unwrap());
    let token = fleet.token().await;
    fleet.host.refuse.store(1, Ordering::Relaxed);
    fleet.host.lose.store(1, Ordering::Relaxed);
    let arguments = arguments(&fleet.url, state.path(), TWO_SHARDS);
    let config = configured(arguments, Some(&token)).await.unwrap();
    assert_eq!(config.keys.len(), 2);
    assert_eq!(fleet.host.asked.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn what_the_edge_refuses_is_told_with_what_to_change() {
    let (fleet, state) = (Fleet::start().await, TempDir::new().unwrap());
    let token = fleet.token().await;
    let other = TempDir::new().unwrap();
    let first = arguments(&fleet.url, other.path(), TWO_SHARDS);
    configured(first, Some(&token)).await.unwrap();
    for (more, token, wanted) in [
        (TWO_SHARDS, Some("lve1_nonsense"), "proof-invalid"),
        (TWO_SHARDS, Some(token.as_str()), "proof-used"),
        (TWO_SHARDS, None, "cargo xtask enrolment-token"),
        (
            "--enrol-token-file /nonexistent",
            None,
            "/nonexistent cannot be read",
        ),
    ] {
        let asked = arguments(&fleet.url, state.path(), more);
        let told = configured(asked, token).await.unwrap_err().0;
        assert!(told.contains(wanted), "{told}");
        assert!(!told.contains("lve1_nonsense"), "{told}");
    }
}

#[tokio::test]
async fn a_relay_that_is_to_be_another_says_what_it_was() {
    let (fleet, state) = (Fleet::start().await, TempDir::new().unwrap());
    let token = fleet.token().await;
    let first = arguments(&fleet.url, state.path(), TWO_SHARDS);
    configured(first, Some(&token)).await.unwrap();
    for more in [
        "--shards 4 --max-participants 250",
        "--shards 2 --max-participants 501",
    ] {
        let told = configured(arguments(&fleet.url, state.path(), more), None).await;
        let told = told.unwrap_err().0;
        assert!(
            told.contains("2 shards of 500 participants in eu"),
            "{told}"
        );
    }
    // The token is still its own, and allows so much.
    let more = arguments(
        &fleet.url,
        state.path(),
        "--shards 4 --max-participants 250",
    );
    let config = configured(more, Some(&token)).await.unwrap();
    assert_eq!(config.keys.len(), 4);
    let elsewhere = arguments("http://127.0.0.1:1", state.path(), TWO_SHARDS);
    let told = configured(elsewhere, Some(&token)).await.unwrap_err().0;
    assert!(
        told.contains(&fleet.url) && told.contains("delete the file"),
        "{told}"
    );
}

#[tokio::test]
async fn keys_do_not_travel_in_the_clear_unasked() {
    let state = TempDir::new().unwrap();
    let told = configured(
        arguments("http://192.0.2.1", state.path(), ""),
        Some("lve1_x"),
    )
    .await;
    let told = told.unwrap_err().0;
    assert!(told.contains("--enrol-plain"), "{told}");
}

#[tokio::test]
async fn a_forgotten_relay_keeps_its_name_no_longer() {
    let (fleet, state) = (Fleet::start().await, TempDir::new().unwrap());
    let token = fleet.token().await;
    let first = arguments(&fleet.url, state.path(), TWO_SHARDS);
    configured(first, Some(&token)).await.unwrap();
    let (other, second) = (TempDir::new().unwrap(), fleet.token().await);
    let asked = arguments(&fleet.url, other.path(), TWO_SHARDS);
    let told = configured(asked.clone(), Some(&second))
        .await
        .unwrap_err()
        .0;
    assert!(told.contains("relay-enrolled"), "{told}");
    let path = "/v1/relays/eu-1/enrolment";
    fleet.operator("DELETE", path, Value::Null).await;
    configured(asked, Some(&second)).await.unwrap();
}

const ACCOUNT: &str = "123456789012";
const INSTANCE: &str = "i-0123456789abcdef0";

/// An edge that lets in instances of one role, STS as it knows them, and the metadata service of
/// one of them.
async fn on_aws() -> (Fleet, String) {
    let fleet = Fleet::start().await;
    fleet.set("edge_url", &fleet.url);
    let rules = json!({
        "sts": { "eu-west-1": "http://sts.test" },
        "allow": [{ "account": ACCOUNT, "role": "relay", "region": "eu", "capacity": 1000 }],
    });
    fleet.set("enrolment_aws", &rules.to_string());
    let session = FakeSession::of_instance(ACCOUNT, "relay", INSTANCE);
    let metadata = fleet::metadata(&session).await;
    let sts = FakeSts {
        host: "sts.test".to_owned(),
        region: "eu-west-1".to_owned(),
        sessions: vec![session],
    };
    *fleet.host.sts.lock().unwrap() = Some(sts);
    (fleet, metadata)
}

async fn configured_on_aws(arguments: Arguments, metadata: &str) -> Result<Config, StartError> {
    let variable = |name: &str| match name {
        "AWS_EC2_METADATA_SERVICE_ENDPOINT" => Some(metadata.to_owned()),
        "AWS_ENDPOINT_URL_STS" => Some("http://sts.test".to_owned()),
        _ => None,
    };
    let configured = timeout(WAIT_MAX, configure(arguments, variable)).await;
    configured.unwrap()
}

#[tokio::test]
async fn an_instance_joins_by_its_role() {
    let ((fleet, metadata), state) = (on_aws().await, TempDir::new().unwrap());
    // Its first proof counts and its reply is lost; it signs another.
    fleet.host.lose.store(1, Ordering::Relaxed);
    let line = format!("{TWO_SHARDS} --enrol-aws --region eu");
    let arguments = arguments(&fleet.url, state.path(), &line);
    let config = configured_on_aws(arguments, &metadata).await.unwrap();
    let running = started(config).await;
    let names = [format!("{INSTANCE}-0"), format!("{INSTANCE}-1")];
    assert_eq!(fleet.live().await, names);
    assert_eq!(fleet.host.asked.load(Ordering::Relaxed), 2);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_machine_that_is_not_on_aws_is_told_so() {
    let (fleet, state) = (Fleet::start().await, TempDir::new().unwrap());
    let asked = arguments(&fleet.url, state.path(), "--enrol-aws");
    let told = configured_on_aws(asked, "http://127.0.0.1:1").await;
    let told = told.unwrap_err().0;
    assert!(told.contains("outside AWS enrol with a token"), "{told}");
    // On AWS, at an edge that knows nothing of it.
    let ((_, metadata), asked) = (
        on_aws().await,
        arguments(&fleet.url, state.path(), "--enrol-aws"),
    );
    let told = configured_on_aws(asked, &metadata).await.unwrap_err().0;
    assert!(told.contains("enrolment-refused"), "{told}");
}

#[tokio::test]
async fn a_relay_whose_key_is_revoked_sends_its_people_away_and_is_not_let_in_again() {
    let (fleet, state) = (Fleet::start().await, TempDir::new().unwrap());
    let token = fleet.token().await;
    let first = arguments(&fleet.url, state.path(), TWO_SHARDS);
    let config = configured(first, Some(&token)).await.unwrap();
    let running = started(config).await;
    let path = "/v1/relays/eu-1-0/revocation";
    let reply = fleet.operator("PUT", path, json!({})).await;
    assert_eq!(reply["least_epoch"], 1);
    let draining = |n: u8| format!("relay_draining{{shard=\"eu-1-{n}\"}}");
    let text = metrics_until(running.health(), |text| sample(text, &draining(0)) == 1.0).await;
    assert_eq!(sample(&text, &draining(1)), 0.0, "the other shard is well");
    assert_eq!(fleet.live().await, ["eu-1-1"]);
    running.stop().await.unwrap();

    // Its token is still its own, and no good any more: whoever has its keys may have its claim.
    let more = "--shards 4 --max-participants 250";
    let again = arguments(&fleet.url, state.path(), more);
    let told = configured(again, Some(&token)).await.unwrap_err().0;
    assert!(told.contains("shard-revoked"), "{told}");
}
