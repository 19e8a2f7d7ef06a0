//! A route of the real chat function, counted by the real meter, beside the same route that writes
//! one item more.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeMap;

use edge::Metered;
use edge::http::{Call, Request, serve};
use edge::ports::{
    Clock, Entropy, RelayLink, Storage, Timer, Unreachable, VariableFault, Variables,
};
use edge::store::{Condition, Key, Put, Store};
use edge::testing::schedule::block_on;
use edge::testing::{CountingEntropy, FixedVariables, MemoryStore, calls};
use edge::token::SigningKey;
use finops::gate::{Baseline, Counted, Counts, Finding, compare};
use finops::{Book, Rates};
use serde_json::json;
use wire::ShardId;
use wire::claims::{Claims, Grant, Permission, Profile};
use wire::routes::ChatRoute;

const SECRET: &str = "BQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQU=";
const NOW_MS: u64 = 1_700_000_000_000;
const POSTS: u64 = 5;

/// The function's ports on a store that may be a meter.
struct Host<'a, S> {
    store: &'a S,
    variables: &'a FixedVariables,
    entropy: &'a CountingEntropy,
}

impl<S: Store> Storage for Host<'_, S> {
    type Store = S;
    fn store(&self) -> &S {
        self.store
    }
}

impl<S> Clock for Host<'_, S> {
    fn now_ms(&self) -> u64 {
        NOW_MS
    }
}

impl<S> Timer for Host<'_, S> {
    async fn sleep(&self, _: u64) {}
}

impl<S> Entropy for Host<'_, S> {
    fn fill(&self, bytes: &mut [u8]) {
        self.entropy.fill(bytes);
    }
}

impl<S> Variables for Host<'_, S> {
    async fn variable(&self, name: &str) -> Result<Option<String>, VariableFault> {
        self.variables.variable(name).await
    }
}

impl<S> RelayLink for Host<'_, S> {
    async fn post(&self, _: &str, _: &ShardId, _: String) -> Result<u16, Unreachable> {
        Ok(202)
    }
}

fn request(key: &SigningKey, number: u64) -> Request {
    let claims = Claims {
        sub: "ann".parse().unwrap(),
        aud: "lifeverse-voice".into(),
        exp: u64::MAX / 1000,
        nbf: None,
        iat: None,
        name: Some("Ann".into()),
        profile: Profile::default(),
        role: None,
        grants: vec![Grant {
            room: "lobby".into(),
            channels: vec!["*".into()],
            permissions: vec![Permission::Listen, Permission::Chat],
        }],
    };
    let path = "/v1/chat/channels/room~lobby~main/messages";
    let body = json!({ "key": format!("k{number}"), "text": "see you at the gate" });
    calls::request(calls::bearer(&claims, key), "POST", path, &body)
}

/// What so many posts use, of which each writes as many `more` items.
fn posts(more: usize) -> Counts {
    let key = SigningKey::new([1; 32]);
    let keys = key.key_set_json("dev");
    let variables = FixedVariables::new(&[
        ("fleet_secret", SECRET),
        ("token_keys", keys.as_str()),
        ("region", "eu-1"),
        ("token_life_s", "18446744073709551615"),
    ])
    .with_derived();
    let (store, entropy) = (MemoryStore::default(), CountingEntropy::default());
    let mut sum = Counted::default();
    for number in 0..POSTS {
        let request = request(&key, number);
        let outer = Host {
            store: &store,
            variables: &variables,
            entropy: &entropy,
        };
        let handler = async |_: ChatRoute, _: &Call<'_>, meter: &Metered<'_, MemoryStore>| {
            for at in 0..more {
                let sort = format!("{number}-{at}");
                let put = Put {
                    key: Key::new("one-more", &sort),
                    value: b"{}",
                    expires_at_ms: None,
                    condition: Condition::Always,
                };
                meter.put(NOW_MS, put).await?;
            }
            let host = Host {
                store: meter,
                variables: &variables,
                entropy: &entropy,
            };
            Ok(chat::handle(&host, request.clone()).await)
        };
        let response = block_on(serve(&outer, &request, handler));
        assert_eq!(
            response.status,
            201,
            "{:?}",
            String::from_utf8_lossy(&response.body)
        );
        // The inner share is of the function; the outer one, of the whole route, comes last.
        let share = response
            .headers
            .iter()
            .rfind(|(name, _)| *name == wire::record::SHARE_HEADER);
        let share: wire::record::FunctionShare = serde_json::from_str(&share.unwrap().1).unwrap();
        assert_eq!(share.route, "chat-post");
        sum.requests += 1;
        sum.store_calls += u64::from(share.store_calls);
        sum.read_units += u64::from(share.store_read_units);
        sum.write_units += u64::from(share.store_write_units);
        sum.bytes_out += response.body.len() as u64;
    }
    Counts {
        routes: BTreeMap::from([("chat-post".to_owned(), sum)]),
    }
}

fn gate(baseline: &Counts, counts: &Counts) -> Vec<Finding> {
    let book = Book::built_in();
    let rates = Rates::of(&book, "us-east-1", &mut Default::default()).unwrap();
    let baseline = Baseline {
        reason: "a test".into(),
        routes: baseline.routes.clone(),
        plan: BTreeMap::new(),
    };
    compare(&baseline, counts, &rates).unwrap()
}

#[test]
fn one_item_more_fails_the_gate_and_the_same_does_not() {
    let (as_it_is, one_more) = (posts(0), posts(1));
    assert!(
        as_it_is.routes["chat-post"].write_units >= POSTS,
        "a post writes"
    );
    assert_eq!(gate(&as_it_is, &posts(0)), []);
    let found = gate(&as_it_is, &one_more);
    let faults: Vec<&String> = found
        .iter()
        .filter_map(|finding| match finding {
            Finding::Fault(text) => Some(text),
            Finding::Note(_) => None,
        })
        .collect();
    assert!(
        faults.iter().any(|text| text.contains("write units")),
        "{found:?}"
    );
    assert!(
        faults.iter().any(|text| text.contains("$ a million")),
        "{found:?}"
    );
    assert_eq!(
        gate(&one_more, &one_more),
        [],
        "a baseline that allows it lets it pass"
    );
}
