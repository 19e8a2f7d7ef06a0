//! Functions of two regions on one table: each partition is written in its home, whichever region
//! is asked, and a region that is lost is evacuated. The functions are the real programs; the
//! emulator replicates nothing, so whatever is looked for in the wrong region is not found.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]
#![expect(clippy::print_stdout, reason = "figures for the decision record")]

use std::time::Duration;

use hyper::Method;
use scenarios::gateway::Gateway;
use scenarios::hosts;
use scenarios::http::{Http, Reply};
use scenarios::instance::{self, Instance};
use scenarios::moto::Moto;
use scenarios::programs;
use scenarios::proxy::{Fate, Proxy};
use scenarios::shard::Shard;
use scenarios::target::Target;
use scenarios::tokens::Secrets;
use serde_json::{Value, json};
use tokio::time::Instant;

const OFFER: &str = include_str!("../../../functions/signalling/tests/offers/chromium.sdp");
const EU: &str = "eu-west-1";
const US: &str = "us-east-1";
/// Functions hear of an evacuation within five seconds.
const HEARD_MAX: Duration = Duration::from_secs(20);

/// The functions of one region.
struct Region {
    target: Target,
    proxy: Proxy,
    _functions: Vec<Instance>,
}

impl Region {
    async fn start(name: &'static str, voice: &str, secrets: Secrets, moto: &Moto) -> Self {
        let proxy = Proxy::start(moto.url()).await.unwrap();
        let gateway = Gateway::start().await.unwrap();
        let regions = json!({ "here": name, "regions": { EU: ["eu"], US: ["us"] } }).to_string();
        let functions = ["signalling", "fleet", "chat"].map(|function| {
            let name_of = format!("{function}-lambda");
            let mut environment = hosts::environment(&proxy.url, &name_of, &gateway.url);
            // Of two values the last one counts.
            environment.push(("AWS_REGION", name.to_owned()));
            environment.push(("LIFEVERSE_REGION", voice.to_owned()));
            environment.push(("LIFEVERSE_HOME_REGIONS", regions.clone()));
            let program = programs::of_workspace(&name_of).unwrap();
            instance::start(&program, &environment, None).unwrap()
        });
        let target = Target {
            base: gateway.url.clone(),
            http: Http::default(),
            secrets,
            sts: None,
            counts_rates: true,
        };
        Self {
            target,
            proxy,
            _functions: functions.into(),
        }
    }

    async fn join(&self, room: &str) -> Reply {
        let token = self.target.secrets.token("p-ann", room);
        let path = format!("/v1/rooms/{room}/sessions");
        let body = json!({ "offer": OFFER });
        self.target
            .call(Method::POST, &path, &token, &body)
            .await
            .unwrap()
    }

    async fn say(&self, room: &str, text: &str) -> Value {
        let (token, path) = (
            self.target.secrets.chat_token("p-ann", room),
            messages(room),
        );
        let body = json!({ "key": text, "text": text });
        let said = self.target.expect(201, Method::POST, &path, &token, body);
        said.await.unwrap()
    }

    async fn said(&self, room: &str) -> Vec<String> {
        let (token, path) = (
            self.target.secrets.chat_token("p-ann", room),
            messages(room),
        );
        let history = self
            .target
            .expect(200, Method::GET, &path, &token, Value::Null);
        let history = history.await.unwrap();
        let messages = history["messages"].as_array().unwrap().iter();
        messages
            .map(|message| message["text"].as_str().unwrap().to_owned())
            .collect()
    }

    /// Requests to the tables of other regions since the last decision.
    fn abroad(&self, here: &str) -> usize {
        let seen = self.proxy.seen();
        seen.iter().filter(|seen| seen.region != here).count()
    }
}

fn messages(room: &str) -> String {
    format!("/v1/chat/channels/room~{room}~main/messages")
}

fn relay(reply: &Reply) -> String {
    assert!(reply.status.is_success(), "{reply:?}");
    let reply: Value = serde_json::from_slice(&reply.body).unwrap();
    reply["relay"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn regions_share_rooms_and_a_lost_region_is_evacuated() {
    let secrets = Secrets::generate();
    let mut moto = hosts::emulator_in(&secrets, &[EU, US]).await.unwrap();
    let eu = Region::start(EU, "eu", secrets.clone(), &moto).await;
    let us = Region::start(US, "us", secrets.clone(), &moto).await;
    let mut shards = Vec::new();
    for (target, name, region) in [(&eu.target, "home-0", "eu"), (&us.target, "home-1", "us")] {
        shards.push(Shard::start(target, name, region).await.unwrap());
    }
    moto.replicate(hosts::TABLE, EU, US).await.unwrap();
    moto.replicate(hosts::TABLE, US, EU).await.unwrap();
    for room in ["eu.hall", "us.hall", "hall-1", "hall-2", "hall-3"] {
        let (one, other) = (relay(&us.join(room).await), relay(&eu.join(room).await));
        assert_eq!(one, other, "{room} is on two relays");
    }
    for (n, region) in [&us, &eu, &us].into_iter().enumerate() {
        let posted = region.say("eu.hall", &format!("t{n}")).await;
        assert_eq!(posted["message"]["seq"], n + 1, "{posted}");
    }
    for region in [&us, &eu] {
        assert_eq!(region.said("eu.hall").await, ["t0", "t1", "t2"]);
    }
    count_abroad(&us).await;

    // The region is lost, and its last message with it: its rooms cannot be had, others can.
    moto.replicate(hosts::TABLE, EU, US).await.unwrap();
    us.say("eu.hall", "lost").await;
    us.proxy.decide(|seen| match seen.region == EU {
        true => Fate::Fail,
        false => Fate::Pass,
    });
    assert_eq!(us.join("eu.hall").await.problem(), "store-unavailable");
    relay(&us.join("us.hall").await);
    evacuate(&us, &secrets.operator_token()).await;
    let until = Instant::now() + HEARD_MAX;
    let path = messages("eu.hall");
    let token = secrets.chat_token("p-ann", "eu.hall");
    // Each function hears of it by itself.
    while [
        us.join("eu.hall").await,
        (us.target
            .call(Method::GET, &path, &token, &Value::Null)
            .await)
            .unwrap(),
    ]
    .iter()
    .any(|reply| reply.problem() == "store-unavailable")
    {
        assert!(Instant::now() < until, "functions did not hear of it");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    relay(&us.join("eu.hall").await);
    assert_eq!(us.said("eu.hall").await, ["t0", "t1", "t2", "t3"]);
    assert_eq!(us.say("eu.hall", "here").await["message"]["seq"], 5);
    assert_eq!(us.said("eu.hall").await[4..], ["here"]);
}

/// How often a request that comes in in the other region goes to the home, and what that takes
/// where the way there and back takes 75 ms, as between Ireland and Virginia.
async fn count_abroad(us: &Region) {
    us.proxy.decide(|_| Fate::Pass);
    us.join("us.hall").await;
    assert_eq!(us.abroad(US), 0, "at home nothing goes abroad");
    us.proxy.decide(|seen| match seen.region == EU {
        true => Fate::Late(Duration::from_millis(75)),
        false => Fate::Pass,
    });
    let mut counts = Vec::new();
    for (what, room) in [("at home", "us.hall"), ("abroad", "eu.hall")] {
        for step in ["join", "post", "history"] {
            let (before, started) = (us.abroad(US), Instant::now());
            match step {
                "join" => drop(relay(&us.join(room).await)),
                "post" => drop(us.say(room, "t3").await),
                _ => drop(us.said(room).await),
            }
            let (asked, took) = (us.abroad(US) - before, started.elapsed().as_millis());
            println!("{step} {what}: {took} ms, {asked} requests to another region");
            counts.push(asked);
        }
    }
    // The room was placed from here; on a relay of the other region, a join would ask twice.
    assert_eq!(counts, [0, 0, 0, 1, 4, 2]);
}

async fn evacuate(us: &Region, operator: &str) {
    let path = format!("/v1/regions/{EU}/evacuation");
    for _ in 0..2 {
        let asked = (us.target).expect(200, Method::PUT, &path, operator, Value::Null);
        let told = asked.await.unwrap();
        let told = &told["evacuation"];
        assert_eq!((&told["epoch"], &told["gone"]), (&json!(1), &json!([EU])));
    }
    for (wrong, why) in [(US, "a region that stays"), ("eu-north-1", EU)] {
        let path = format!("/v1/regions/{wrong}/evacuation");
        let asked = us.target.call(Method::PUT, &path, operator, &Value::Null);
        let reply = asked.await.unwrap();
        let text = String::from_utf8_lossy(&reply.body).into_owned();
        assert_eq!(reply.problem(), "name-invalid", "{text}");
        assert!(text.contains(why), "{text}");
    }
}
