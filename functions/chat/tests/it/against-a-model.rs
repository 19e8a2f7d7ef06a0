//! One request after another against a model of what a channel is, with a store that fails before
//! and after its writes. A request that was not answered is sent again, as clients do, until it is;
//! then the reply and what everybody reads must be the model's. A failure names its seed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;

use crate::rig::{ROOM, Rig, problem, read};
use edge::http::Response;
use edge::testing::schedule::Chance;
use serde_json::{Value, json};
use wire::chat::{Deletion, MessageReply, ReadMarker};

const MESSAGES: &str = "/v1/chat/channels/room~lobby~main/messages";
const PLAYERS: [&str; 4] = ["ann", "bob", "cem", "mod"];

#[derive(Debug, Clone, PartialEq)]
struct Line {
    author: Option<&'static str>,
    text: Option<String>,
    version: u64,
    deleted: Option<Deletion>,
    reactions: BTreeSet<(String, &'static str)>,
}

/// What a channel is.
#[derive(Default)]
struct Model {
    lines: Vec<Line>,
    keys: BTreeMap<(&'static str, u64), usize>,
    read: BTreeMap<&'static str, u64>,
    muted: BTreeSet<&'static str>,
    locked: bool,
}

#[derive(Debug, Clone)]
enum Step {
    Post {
        who: &'static str,
        key: u64,
    },
    Edit {
        who: &'static str,
        seq: u64,
        version: u64,
        text: String,
    },
    Delete {
        who: &'static str,
        seq: u64,
    },
    React {
        who: &'static str,
        seq: u64,
        reaction: &'static str,
        adds: bool,
    },
    Read {
        who: &'static str,
        seq: u64,
    },
    Mute {
        who: &'static str,
        mutes: bool,
    },
    Lock {
        locked: bool,
    },
}

impl Step {
    fn random(chance: &Chance, model: &Model) -> Self {
        let who = PLAYERS[chance.below(4) as usize];
        let seq = 1 + chance.below(model.lines.len() as u64 + 2);
        match chance.below(12) {
            0..5 => Self::Post {
                who,
                key: chance.below(12),
            },
            5 => Self::Edit {
                who,
                seq,
                version: 1 + chance.below(3),
                text: format!("edit {}", chance.below(3)),
            },
            6 => Self::Delete { who, seq },
            7 | 8 => Self::React {
                who,
                seq,
                reaction: ["fire", "heart"][chance.below(2) as usize],
                adds: chance.below(3) > 0,
            },
            9 => Self::Read { who, seq },
            10 => Self::Mute {
                who: PLAYERS[chance.below(3) as usize],
                mutes: chance.below(2) == 0,
            },
            _ => Self::Lock {
                locked: chance.below(3) == 0,
            },
        }
    }

    fn send(&self, rig: &Rig) -> Response {
        let message = |seq: u64| format!("{MESSAGES}/{seq}");
        match self {
            Self::Post { who, key } => rig.post(who, ROOM, &format!("k{key}"), &text_of(who, *key)),
            Self::Edit {
                who,
                seq,
                version,
                text,
            } => {
                let body = json!({ "text": text, "version": version });
                rig.call(who, "PATCH", &message(*seq), body)
            }
            Self::Delete { who, seq } => rig.call(who, "DELETE", &message(*seq), Value::Null),
            Self::React {
                who,
                seq,
                reaction,
                adds,
            } => {
                let path = format!("{}/reactions/{reaction}", message(*seq));
                rig.call(
                    who,
                    if *adds { "PUT" } else { "DELETE" },
                    &path,
                    Value::Null,
                )
            }
            Self::Read { who, seq } => {
                let path = "/v1/chat/channels/room~lobby~main/read";
                rig.call(who, "PUT", path, json!({ "seq": seq }))
            }
            Self::Mute { who, mutes } => {
                let path = format!("/v1/chat/channels/room~lobby~main/mutes/{who}");
                let body = json!({ "seconds": 1_000_000 });
                rig.call("mod", if *mutes { "PUT" } else { "DELETE" }, &path, body)
            }
            Self::Lock { locked } => {
                let path = "/v1/chat/channels/room~lobby~main/settings";
                rig.call("mod", "PUT", path, json!({ "locked": locked, "slow_s": 0 }))
            }
        }
    }
}

fn text_of(who: &str, key: u64) -> String {
    format!("{who} says {key}")
}

impl Model {
    fn line(&mut self, seq: u64) -> Option<&mut Line> {
        let line = self.lines.get_mut(seq as usize - 1)?;
        line.deleted.is_none().then_some(line)
    }

    /// What keeps `who` from writing.
    fn refusal(&self, who: &str, checks_mute: bool) -> Option<&'static str> {
        if checks_mute && self.muted.contains(who) {
            return Some("muted");
        }
        (self.locked && who != "mod").then_some("channel-locked")
    }

    /// Takes the step; the problem that the function must answer with, empty for none.
    fn take(&mut self, step: &Step) -> &'static str {
        match step {
            Step::Post { who, key } => self.post(who, *key),
            Step::Edit {
                who,
                seq,
                version,
                text,
            } => self.edit(who, *seq, *version, text),
            Step::Delete { who, seq } => self.delete(who, *seq),
            Step::React {
                who,
                seq,
                reaction,
                adds,
            } => {
                let muted = self.muted.contains(who);
                let Some(line) = self.line(*seq) else {
                    return "unknown-message";
                };
                if muted {
                    return "muted";
                }
                let reaction = ((*reaction).to_owned(), *who);
                match adds {
                    true => line.reactions.insert(reaction),
                    false => line.reactions.remove(&reaction),
                };
                ""
            }
            Step::Read { who, seq } => {
                let marker = self.read.entry(who).or_default();
                *marker = (*marker).max(*seq);
                ""
            }
            Step::Mute { who, mutes } => {
                match mutes {
                    true => self.muted.insert(who),
                    false => self.muted.remove(who),
                };
                ""
            }
            Step::Lock { locked } => {
                // The same settings again are no new message, unless there is no message at all.
                if self.locked != *locked || self.lines.is_empty() {
                    self.locked = *locked;
                    self.lines.push(Line::new(None, None));
                }
                ""
            }
        }
    }

    fn post(&mut self, who: &'static str, key: u64) -> &'static str {
        if self.keys.contains_key(&(who, key)) {
            return "";
        }
        if let Some(refusal) = self.refusal(who, true) {
            return refusal;
        }
        self.keys.insert((who, key), self.lines.len() + 1);
        self.lines
            .push(Line::new(Some(who), Some(text_of(who, key))));
        ""
    }

    fn edit(&mut self, who: &str, seq: u64, version: u64, text: &str) -> &'static str {
        let refusals = [self.refusal(who, false), self.refusal(who, true)];
        let Some(line) = self.line(seq) else {
            return "unknown-message";
        };
        if line.author != Some(who) {
            return "not-moderator";
        }
        if line.version == version + 1 && line.text.as_deref() == Some(text) {
            return "";
        }
        if line.version != version {
            return "version-conflict";
        }
        if let Some(refusal) = refusals.into_iter().flatten().next() {
            return refusal;
        }
        line.text = Some(text.to_owned());
        line.version += 1;
        ""
    }

    fn delete(&mut self, who: &str, seq: u64) -> &'static str {
        let Some(line) = self.lines.get_mut(seq as usize - 1) else {
            return "unknown-message";
        };
        if line.deleted.is_some() {
            return "";
        }
        if line.author != Some(who) && who != "mod" {
            return "not-moderator";
        }
        let by = if line.author == Some(who) {
            Deletion::Author
        } else {
            Deletion::Moderator
        };
        (line.text, line.deleted) = (None, Some(by));
        line.version += 1;
        ""
    }
}

impl Line {
    fn new(author: Option<&'static str>, text: Option<String>) -> Self {
        Self {
            author,
            text,
            version: 1,
            deleted: None,
            reactions: BTreeSet::new(),
        }
    }
}

/// What everybody reads is the model.
fn compare(seed: u64, rig: &Rig, model: &Model) {
    let history = rig.history("reader", ROOM, "after=0&limit=100");
    assert_eq!(history.messages.len(), model.lines.len(), "seed {seed}");
    for ((message, line), seq) in history.messages.iter().zip(&model.lines).zip(1..) {
        let counts: BTreeMap<&str, u32> = message
            .reactions
            .iter()
            .map(|c| (c.reaction.as_str(), c.count))
            .collect();
        let mut wanted: BTreeMap<&str, u32> = BTreeMap::new();
        for (reaction, _) in &line.reactions {
            *wanted.entry(reaction).or_default() += 1;
        }
        assert_eq!(counts, wanted, "seed {seed}, message {seq}");
        let seen = (message.seq, message.version, message.deleted);
        assert_eq!(seen, (seq, line.version, line.deleted), "seed {seed}");
        let author = message.author.as_ref().map(|author| author.as_str());
        assert_eq!(
            (author, &message.text),
            (line.author, &line.text),
            "seed {seed}, {seq}"
        );
    }
}

fn run(seed: u64) -> usize {
    let rig = Rig::unlimited(seed);
    let (chance, mut model) = (Chance::new(seed ^ 0x5eed), Model::default());
    let mut faults = 0;
    for _ in 0..30 {
        let step = Step::random(&chance, &model);
        // Sent again and again until it is answered; the last time without faults.
        rig.store.faults_per_thousand.store(150, Ordering::Relaxed);
        let mut response = step.send(&rig);
        for attempt in 0.. {
            if !matches!(
                problem(&response).as_str(),
                "store-unavailable" | "conflict"
            ) {
                break;
            }
            faults += 1;
            if attempt == 5 {
                rig.store.faults_per_thousand.store(0, Ordering::Relaxed);
            }
            response = step.send(&rig);
        }
        rig.store.faults_per_thousand.store(0, Ordering::Relaxed);
        let wanted = model.take(&step);
        assert_eq!(problem(&response), wanted, "seed {seed}: {step:?}");
        match &step {
            Step::Post { who, key } if wanted.is_empty() => {
                let seq = read::<MessageReply>(&response).message.seq;
                assert_eq!(
                    Some(&(seq as usize)),
                    model.keys.get(&(*who, *key)),
                    "seed {seed}"
                );
            }
            Step::Read { who, .. } => {
                let marker = read::<ReadMarker>(&response).seq;
                assert_eq!(Some(&marker), model.read.get(who), "seed {seed}");
            }
            _ => {}
        }
    }
    compare(seed, &rig, &model);
    faults
}

#[test]
fn whatever_the_store_does_the_channel_is_the_models() {
    let wanted = std::env::var("CHAT_SEEDS").ok();
    let seeds = wanted.and_then(|text| text.parse().ok()).unwrap_or(300);
    let faults: usize = (0..seeds).map(run).sum();
    assert!(
        faults > seeds as usize * 3,
        "the store must fail now and then: {faults}"
    );
}
