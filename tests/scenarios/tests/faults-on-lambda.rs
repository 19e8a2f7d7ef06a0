//! What clients of the functions on Lambda hear when DynamoDB, the emulator of it, or a function's
//! own process fails, and what is in the store afterwards. The functions are the real programs.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use edge::testing::schedule::join_all;
use hyper::{Method, StatusCode};
use scenarios::gateway::Gateway;
use scenarios::hosts;
use scenarios::http::{Http, Reply};
use scenarios::instance::{self, Instance};
use scenarios::moto::Moto;
use scenarios::programs;
use scenarios::proxy::{Fate, Proxy, Seen};
use scenarios::shard::Shard;
use scenarios::target::{Target, check};
use scenarios::tokens::Secrets;
use serde_json::{Value, json};
use tokio::time::Instant;
use wire::problem::ProblemKind;
use wire::routes::ROUTES;

const MESSAGES: &str = "/v1/chat/channels/room~hall~main/messages";
const SAID: &str = "the treasure is under the old oak";
const OFFER: &str = include_str!("../../../functions/signalling/tests/offers/chromium.sdp");

/// Functions, and an emulator behind a proxy.
struct Rig {
    gateway: Gateway,
    moto: Arc<Mutex<Moto>>,
    proxy: Proxy,
    target: Target,
    functions: Vec<&'static str>,
    running: Vec<Instance>,
}

impl Rig {
    async fn start(functions: &[&'static str]) -> Self {
        let secrets = Secrets::generate();
        let moto = hosts::emulator(&secrets).await.unwrap();
        let proxy = Proxy::start(moto.url()).await.unwrap();
        let gateway = Gateway::start().await.unwrap();
        let target = Target {
            base: gateway.url.clone(),
            http: Http::default(),
            secrets,
            sts: None,
            counts_rates: true,
        };
        let mut rig = Self {
            gateway,
            moto: Arc::new(Mutex::new(moto)),
            proxy,
            target,
            functions: functions.to_vec(),
            running: Vec::new(),
        };
        rig.start_functions();
        rig
    }

    /// One more instance of each.
    fn start_functions(&mut self) {
        for function in &self.functions {
            let name = format!("{function}-lambda");
            let environment = hosts::environment(&self.proxy.url, &name, &self.gateway.url);
            let program = programs::of_workspace(&name).unwrap();
            let instance = instance::start(&program, &environment, None).unwrap();
            self.running.push(instance);
        }
    }

    async fn send(&self, method: Method, path: &str, token: &str, body: &Value) -> Reply {
        self.target.call(method, path, token, body).await.unwrap()
    }

    async fn post(&self, author: &str, key: &str) -> Reply {
        let token = self.target.secrets.chat_token(author, "hall");
        let body = json!({ "key": key, "text": SAID });
        self.send(Method::POST, MESSAGES, &token, &body).await
    }

    /// The same, where Lambda itself may answer.
    async fn post_unchecked(&self, author: &str, key: &str) -> Reply {
        let token = self.target.secrets.chat_token(author, "hall");
        let body = json!({ "key": key, "text": SAID }).to_string();
        let url = self.target.url(MESSAGES);
        self.target.http.post(&url, &token, body).await.unwrap()
    }

    /// Numbers of the messages that are there.
    async fn history(&self) -> Vec<u64> {
        let token = self.target.secrets.chat_token("reader", "hall");
        let reply = self
            .target
            .expect(200, Method::GET, MESSAGES, &token, Value::Null);
        let reply = reply.await.unwrap();
        let messages = reply["messages"].as_array().unwrap().iter();
        messages
            .map(|message| message["seq"].as_u64().unwrap())
            .collect()
    }
}

/// The problem that a reply is, one that the route documents.
fn problem_of(reply: &Reply, route: &str) -> ProblemKind {
    check(reply).unwrap();
    let route = ROUTES.iter().find(|known| known.name == route).unwrap();
    let name = reply.problem();
    let kind = route.all_problems().find(|kind| kind.name() == name);
    let kind = kind.unwrap_or_else(|| panic!("{} does not document {reply:?}", route.name));
    assert_eq!(reply.status.as_u16(), kind.status());
    kind
}

fn is_of_table(seen: &Seen) -> bool {
    seen.operation != "GetParameters"
}

/// Requests of every function: route, method, path, token and body.
fn requests(secrets: &Secrets, key: &str) -> Vec<(&'static str, Method, String, String, Value)> {
    let chatter = secrets.chat_token("p-chatter", "hall");
    let player = secrets.token("p-player", "hall");
    let body = json!({ "key": key, "players": [{ "player": "p-player", "details": {} }] });
    let duel = "/v1/match/queues/duel/tickets".to_owned();
    let relays = "/v1/relays?region=dev".to_owned();
    vec![
        (
            "join",
            Method::POST,
            "/v1/rooms/hall/sessions".into(),
            player.clone(),
            json!({ "offer": OFFER }),
        ),
        (
            "relays",
            Method::GET,
            relays,
            secrets.operator_token(),
            Value::Null,
        ),
        (
            "chat-post",
            Method::POST,
            MESSAGES.into(),
            chatter.clone(),
            json!({ "key": key, "text": SAID }),
        ),
        (
            "chat-history",
            Method::GET,
            MESSAGES.into(),
            chatter,
            Value::Null,
        ),
        ("match-queue-up", Method::POST, duel, player, body),
    ]
}

#[tokio::test]
async fn a_busy_or_silent_table_is_a_documented_problem_and_then_all_happens_once() {
    let mut rig = Rig::start(&["signalling", "fleet", "chat", "matchmaking", "safety"]).await;
    // An instance serves one request at a time, and chat gets two.
    rig.start_functions();
    let shard = Shard::start(&rig.target, "faults-0", "dev").await.unwrap();
    for (round, fate) in [
        Fate::Refuse("ThrottlingException"),
        Fate::Fail,
        Fate::Silence,
    ]
    .into_iter()
    .enumerate()
    {
        let key = format!("round-{round}");
        rig.proxy.decide(move |seen| match is_of_table(seen) {
            true => fate,
            false => Fate::Pass,
        });
        // At once: each waits for the table as long as it may.
        let refused = requests(&rig.target.secrets, &key).into_iter().map(
            |(route, method, path, token, body)| {
                let rig = &rig;
                Box::pin(async move {
                    let started = Instant::now();
                    let reply = rig.send(method, &path, &token, &body).await;
                    assert_eq!(
                        problem_of(&reply, route),
                        ProblemKind::StoreUnavailable,
                        "{fate:?}"
                    );
                    assert!(reply.headers.contains_key("retry-after"), "{route}");
                    // Five seconds, and what a busy machine adds.
                    assert!(started.elapsed() < Duration::from_secs(9), "{route}");
                }) as _
            },
        );
        join_all(refused.collect()).await;
        rig.proxy.script([]);
        shard.beat(&rig.target).await.unwrap();
        for (route, method, path, token, body) in requests(&rig.target.secrets, &key) {
            let reply = rig.send(method, &path, &token, &body).await;
            // The second round finds the player where the first one put him.
            let is_again = route == "match-queue-up" && reply.problem() == "already-queued";
            assert!(
                reply.status.is_success() || (round > 0 && is_again),
                "{route}: {reply:?}"
            );
        }
    }
    assert_eq!(
        rig.history().await,
        [1, 2, 3],
        "each message once, without a gap"
    );
}

#[tokio::test]
async fn a_function_that_dies_at_any_request_of_a_post_leaves_nothing_half_done() {
    let mut rig = Rig::start(&["chat"]).await;
    assert!(rig.post("p-first", "first").await.status.is_success());
    let mut expected = vec![1];
    let mut deaths = 0;
    // Dies at the first request to the table, the second and so on, until a post needs no more.
    for step in 0.. {
        let before = deaths;
        for happens in [false, true] {
            let key = format!("{step}-{happens}");
            // A player of his own each time, or the limits of an author would bind.
            let author = format!("p-{key}");
            let victim = rig.running.pop().unwrap();
            let (gateway, mut left) = (rig.gateway.clone(), step);
            rig.proxy.decide(move |seen| {
                if !is_of_table(seen) || left > 0 {
                    left -= usize::from(is_of_table(seen));
                    return Fate::Pass;
                }
                victim.kill();
                gateway.tell_of_crash();
                match happens {
                    true => Fate::Silence,
                    false => Fate::BreakBefore,
                }
            });
            let reply = rig.post_unchecked(&author, &key).await;
            rig.proxy.script([]);
            rig.start_functions();
            if reply.status == StatusCode::BAD_GATEWAY {
                deaths += 1;
                // What the crash left is whole: the message is there, or it is not.
                let found = rig.history().await;
                let with: Vec<u64> = (1..=expected.len() as u64 + 1).collect();
                let is_whole = found == expected || found == with;
                assert!(is_whole, "step {step}, {happens}: {found:?}");
                let retried = rig.post(&author, &key).await;
                assert!(retried.status.is_success(), "step {step}: {retried:?}");
            } else {
                assert!(reply.status.is_success(), "step {step}: {reply:?}");
            }
            expected.push(expected.len() as u64 + 1);
            assert_eq!(rig.history().await, expected, "step {step}, {happens}");
        }
        if deaths == before {
            break;
        }
    }
    assert!(deaths >= 6, "a post reads and writes: {deaths}");
}

#[tokio::test]
async fn an_emulator_that_is_killed_in_mid_commit_is_a_problem_until_there_is_another() {
    let rig = Rig::start(&["chat"]).await;
    for delay_ms in [0, 2, 6, 12] {
        let key = format!("after-{delay_ms}");
        let victim = Arc::clone(&rig.moto);
        rig.proxy.decide(move |seen| {
            if matches!(seen.operation.as_str(), "TransactWriteItems" | "UpdateItem") {
                let victim = Arc::clone(&victim);
                // Before it has the request, in the middle of it, or when it has answered.
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(delay_ms)).await;
                    victim.lock().unwrap().kill();
                });
            }
            Fate::Pass
        });
        let reply = rig.post("p-during", &key).await;
        if !reply.status.is_success() {
            let problem = problem_of(&reply, "chat-post");
            assert_eq!(problem, ProblemKind::StoreUnavailable, "{delay_ms} ms");
        }
        let reply = rig.post("p-after", &key).await;
        let problem = problem_of(&reply, "chat-post");
        assert_eq!(problem, ProblemKind::StoreUnavailable, "it is gone");
        // Another one, which is empty: the same process goes on.
        let next = hosts::emulator(&rig.target.secrets).await.unwrap();
        rig.proxy.turn_to(next.url());
        rig.proxy.script([]);
        *rig.moto.lock().unwrap() = next;
        assert!(rig.post("p-during", &key).await.status.is_success());
        assert_eq!(rig.history().await.len(), 1);
    }
}

#[tokio::test]
async fn a_schedule_that_fails_is_an_error_of_the_invocation() {
    let rig = Rig::start(&["matchmaking"]).await;
    let tick = "/v1/match/queues/duel/tick";
    let done = rig.gateway.schedule("matchmaking", tick).await.unwrap();
    assert_eq!(done.unwrap()["statusCode"], 200);
    rig.proxy.decide(|seen| match is_of_table(seen) {
        true => Fate::Refuse("ThrottlingException"),
        false => Fate::Pass,
    });
    let failed = rig.gateway.schedule("matchmaking", tick).await.unwrap();
    let error = failed.unwrap_err()["errorMessage"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        error.contains("503 store-unavailable") && error.contains(tick),
        "{error}"
    );
    rig.proxy.script([]);
    let unknown = rig
        .gateway
        .schedule("matchmaking", "/v1/match/nothing")
        .await;
    assert!(
        unknown.unwrap().is_err(),
        "a schedule with a wrong path is noticed"
    );
    let again = rig.gateway.schedule("matchmaking", tick).await.unwrap();
    assert!(again.is_ok(), "and the function goes on");
}

#[tokio::test]
async fn what_functions_print_names_nobody_and_shows_no_secret() {
    let rig = Rig::start(&["signalling", "fleet", "chat", "matchmaking", "safety"]).await;
    let _shard = Shard::start(&rig.target, "faults-0", "dev").await.unwrap();
    let secrets = &rig.target.secrets;
    for fates in [
        Fate::Pass,
        Fate::Refuse("ValidationException"),
        Fate::BreakAfter,
    ] {
        rig.proxy.decide(move |seen| match is_of_table(seen) {
            true => fates,
            false => Fate::Pass,
        });
        for (_, method, path, token, body) in requests(secrets, "log") {
            rig.send(method.clone(), &path, &token, &body).await;
            rig.send(method.clone(), &path, "", &body).await;
            rig.send(
                method,
                &path,
                &token,
                &json!({ "text": SAID, "p-player": 7 }),
            )
            .await;
        }
    }
    rig.proxy.script([]);
    let tokens = requests(secrets, "log")
        .into_iter()
        .map(|(_, _, _, token, _)| token);
    let mut private: Vec<String> = [
        "p-player",
        "p-chatter",
        "treasure",
        "candidate:",
        "192.0.2.1",
    ]
    .map(str::to_owned)
    .to_vec();
    private.extend(tokens.filter_map(|token| Some(token.rsplit('.').next()?.to_owned())));
    private.push(secrets.fleet_base64());
    let mut records = 0;
    for instance in &rig.running {
        for line in instance.lines() {
            let told = private.iter().find(|secret| line.contains(secret.as_str()));
            assert!(told.is_none(), "{told:?} is in {line}");
            records += usize::from(line.contains("\"kind\":\"invocation\""));
        }
    }
    assert!(records >= 45, "{records} records were looked at");
}
