//! Many authors, duplicate deliveries and a store that fails before and after its writes, all
//! interleaved by a seed: whatever was acknowledged is in the log once, with the number that was
//! acknowledged, and the log has no hole. A failure names the seed that repeats it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;

use crate::rig::{ROOM, Rig, claims, problem, read, request};
use edge::testing::schedule::{Chance, interleave, yield_now};
use serde_json::{Value, json};
use wire::chat::{HistoryReply, Message, MessageReply};

const MESSAGES: &str = "/v1/chat/channels/room~lobby~main/messages";
const AUTHORS: [&str; 4] = ["ann", "bob", "cem", "dan"];

/// One reply that a client got.
#[derive(Debug)]
struct Ack {
    key: String,
    text: String,
    seq: u64,
    at_ms: u64,
    /// How many acknowledgements that the same author had already waited for.
    after: Option<u64>,
}

/// What a delivery does: posts until it is answered, each time as a client would.
struct Delivery<'a> {
    rig: &'a Rig,
    author: &'a str,
    key: String,
    /// Gives up after so many failures.
    patience: u32,
}

impl Delivery<'_> {
    async fn run(self, tail: Option<String>, after: Option<u64>) -> Option<(Ack, Option<String>)> {
        let text = format!("text of {}", self.key);
        for _ in 0..self.patience {
            let body = json!({ "key": self.key, "text": text, "tail": tail });
            let request = request(&claims(self.author), "POST", MESSAGES, body);
            let response = chat::handle(self.rig, request).await;
            match problem(&response).as_str() {
                "" => {
                    let reply: MessageReply = read(&response);
                    let Message {
                        seq,
                        at_ms,
                        text: kept,
                        ..
                    } = reply.message;
                    assert_eq!(kept.as_ref(), Some(&text));
                    let key = self.key;
                    return Some((
                        Ack {
                            key,
                            text,
                            seq,
                            at_ms,
                            after,
                        },
                        reply.tail,
                    ));
                }
                "store-unavailable" | "conflict" => yield_now().await,
                other => panic!("{other}"),
            }
        }
        None
    }
}

/// A client: posts one after another, remembers tails, and sometimes sends a request twice at once.
async fn client(rig: &Rig, author: &str, seed: u64, posts: u32) -> Vec<Ack> {
    let chance = Chance::new(seed);
    let (mut acks, mut tail, mut after) = (Vec::<Ack>::new(), None, None::<u64>);
    for n in 0..posts {
        let delivery = || Delivery {
            rig,
            author,
            key: format!("{author}.{n}"),
            patience: if chance.below(6) == 0 { 1 } else { 40 },
        };
        let sent = chance.below(3) > 0;
        let tail_sent = tail.clone().filter(|_| sent);
        let twice = chance.below(4) == 0;
        let first = Box::pin(delivery().run(tail_sent.clone(), after)) as _;
        let mut both = vec![first];
        if twice {
            let other_tail = tail_sent.filter(|_| chance.below(2) == 0);
            both.push(Box::pin(delivery().run(other_tail, after)) as _);
        }
        let results = edge::testing::schedule::join_all(both).await;
        let results: Vec<Option<(Ack, Option<String>)>> = results;
        for (ack, new_tail) in results.into_iter().flatten() {
            after = Some(after.unwrap_or(0).max(ack.seq));
            tail = new_tail.or(tail);
            acks.push(ack);
        }
    }
    acks
}

fn whole_log(rig: &Rig) -> Vec<Message> {
    let mut log: Vec<Message> = Vec::new();
    loop {
        let after = log.last().map_or(0, |m| m.seq);
        let page: HistoryReply = rig.history("reader", ROOM, &format!("after={after}&limit=100"));
        log.extend(page.messages);
        if !page.more {
            return log;
        }
    }
}

fn check(seed: u64, log: &[Message], acks: &[Ack]) {
    let numbers: Vec<u64> = log.iter().map(|m| m.seq).collect();
    let wanted: Vec<u64> = (1..=log.len() as u64).collect();
    assert_eq!(numbers, wanted, "seed {seed}: holes or duplicates");
    let texts: BTreeSet<&str> = log.iter().filter_map(|m| m.text.as_deref()).collect();
    assert_eq!(
        texts.len(),
        log.len(),
        "seed {seed}: a message is there twice"
    );
    let by_seq: BTreeMap<u64, &Message> = log.iter().map(|m| (m.seq, m)).collect();
    for ack in acks {
        let kept = by_seq.get(&ack.seq);
        let kept = kept.unwrap_or_else(|| panic!("seed {seed}: {ack:?} is lost"));
        assert_eq!(kept.text.as_ref(), Some(&ack.text), "seed {seed}: {ack:?}");
        assert_eq!(kept.at_ms, ack.at_ms, "seed {seed}: {ack:?}");
        if let Some(after) = ack.after {
            let same = acks
                .iter()
                .any(|other| other.key == ack.key && other.seq <= after);
            assert!(
                ack.seq > after || same,
                "seed {seed}: {ack:?} is out of order"
            );
        }
    }
}

fn run(seed: u64, faults_per_thousand: u64) -> (usize, usize) {
    let rig = Rig::unlimited(seed);
    rig.store
        .faults_per_thousand
        .store(faults_per_thousand, Ordering::Relaxed);
    let tasks = AUTHORS
        .iter()
        .zip(0..)
        .map(|(author, n)| Box::pin(client(&rig, author, seed * 31 + n, 5)) as _);
    let acks: Vec<Ack> = interleave(seed, tasks.collect())
        .into_iter()
        .flatten()
        .collect();
    rig.store.faults_per_thousand.store(0, Ordering::Relaxed);
    let log = whole_log(&rig);
    check(seed, &log, &acks);
    (acks.len(), log.len())
}

/// How many seeds: `CHAT_SEEDS` for a longer search.
fn seeds() -> u64 {
    let wanted = std::env::var("CHAT_SEEDS").ok();
    wanted.and_then(|text| text.parse().ok()).unwrap_or(400)
}

#[test]
fn without_faults_every_post_is_acknowledged_once_in_order() {
    for seed in 0..seeds() {
        let (acks, log) = run(seed, 0);
        assert!(
            acks >= 4 * 5 - 8 && log >= 4 * 5 - 8,
            "seed {seed}: {acks} {log}"
        );
    }
}

#[test]
fn with_faults_whatever_is_acknowledged_is_in_the_log_once() {
    let mut acknowledged = 0;
    for seed in 0..seeds() * 2 {
        acknowledged += run(seed, 20 + seed % 100).0;
    }
    let least = seeds() as usize * 2 * 12;
    assert!(
        acknowledged > least,
        "the test must not pass by failing always: {acknowledged}"
    );
}

#[test]
fn a_lock_holds_for_every_later_message() {
    for seed in 0..seeds() {
        let rig = Rig::unlimited(seed);
        let lock = async |locked: bool| {
            let path = "/v1/chat/channels/room~lobby~main/settings";
            let body = json!({ "locked": locked, "slow_s": 0 });
            let response = chat::handle(&rig, request(&claims("mod"), "PUT", path, body)).await;
            read::<MessageReply>(&response)
        };
        let moderator = async {
            for _ in 0..6 {
                yield_now().await;
            }
            lock(true).await;
            for _ in 0..10 {
                yield_now().await;
            }
            lock(false).await;
        };
        let author = async |name: &str| {
            let mut tail = Value::Null;
            for n in 0..8 {
                let body = json!({ "key": format!("{name}.{n}"), "text": "x", "tail": tail });
                let request = request(&claims(name), "POST", MESSAGES, body);
                let response = chat::handle(&rig, request).await;
                match problem(&response).as_str() {
                    "" => tail = json!(read::<MessageReply>(&response).tail),
                    "channel-locked" => {}
                    other => panic!("seed {seed}: {other}"),
                }
            }
        };
        let tasks = vec![
            Box::pin(moderator) as _,
            Box::pin(author("ann")) as _,
            Box::pin(author("bob")) as _,
        ];
        interleave(seed, tasks);
        let mut locked = false;
        for message in whole_log(&rig) {
            if let Some(wire::chat::SystemEvent::Settings { settings }) = message.system {
                locked = settings.locked;
            } else {
                assert!(
                    !locked,
                    "seed {seed}: {} was taken in a locked channel",
                    message.seq
                );
            }
        }
    }
}

#[test]
fn numbers_do_not_collide_when_everything_expires_under_concurrent_posts() {
    const DAY_MS: u64 = 24 * 60 * 60 * 1000;
    let world = "/v1/chat/channels/world~eu-1/messages";
    for seed in 0..seeds() / 2 {
        let rig = Rig::unlimited(seed);
        let mut seen = BTreeSet::new();
        for round in 0..4 {
            let post = async |author: &str, n: u64| {
                let body = json!({ "key": format!("{round}.{n}"), "text": "x" });
                let response =
                    chat::handle(&rig, request(&claims(author), "POST", world, body)).await;
                read::<MessageReply>(&response).message.seq
            };
            let tasks = AUTHORS.iter().zip(0..).map(|(author, n)| {
                Box::pin(async move { vec![post(author, n).await, post(author, n + 10).await] })
                    as _
            });
            let numbers: Vec<u64> = interleave(seed, tasks.collect())
                .into_iter()
                .flatten()
                .collect();
            let (first, last) = (numbers.iter().min().unwrap(), numbers.iter().max().unwrap());
            assert_eq!(
                last - first + 1,
                numbers.len() as u64,
                "seed {seed}: a hole"
            );
            for number in numbers {
                assert!(seen.insert(number), "seed {seed}: {number} twice");
            }
            // Sometimes all is gone, sometimes it is about to go.
            rig.pass(DAY_MS - [0, 30_000, 90_000][(seed as usize + round) % 3]);
        }
    }
}
