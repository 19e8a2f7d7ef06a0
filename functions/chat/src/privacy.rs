//! Everything that is kept of one player: exported or erased, in steps that a cursor continues.
//!
//! His own partition names every channel that he wrote or reacted in; each is walked from its
//! first message to its last, and the item that names it goes last, so that a step that fails is
//! done again.

use chat_channel::access::Access;
use chat_channel::audit::{Act, Trail};
use chat_channel::author::IN;
use chat_channel::log::{Log, MAX_SEQ, Stored, message_sort};
use chat_channel::message::tombstone;
use data_encoding::BASE64URL_NOPAD;
use edge::Refusal;
use edge::blocks::{self, BLOCK_PREFIX, BLOCKED_BY_PREFIX, player_partition};
use edge::http::{Call, Response};
use edge::items;
use edge::items::Over;
use edge::revocation::is_revocation;
use edge::store::{Delete, Direction, Item, Key, Query, Store, StoreError};
use serde::{Deserialize, Serialize};
use wire::PlayerId;
use wire::chat::{AuditAction, Deletion, EraseReply, ExportReply, ExportedItem};
use wire::problem::ProblemKind;
use wire::routes::{ERASE, EXPORT};

use crate::Ports;
use crate::react::reactions_partition;

/// Items of a channel that one step looks at.
const STEP_ITEMS: usize = 500;
/// Items of the player's own that one step looks at.
const OWN_ITEMS: usize = 100;
/// Where the acts of this module are noted in the audit trail.
const TRAIL: &str = "privacy";

/// Where the next step begins.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Cursor {
    /// Sort key in the player's partition.
    at: String,
    /// Number of the next message of that channel.
    seq: u64,
    /// The channel's messages are done; sort key of the next reaction.
    reaction: Option<String>,
}

/// `GET /v1/chat/players/{player}/data`.
pub(crate) async fn export<H: Ports, S: Store>(
    host: &H,
    store: &S,
    call: &Call<'_>,
) -> Result<Response, Refusal> {
    let mut walk = Walk::begin(host, store, call, false).await?;
    let next = walk.step().await?;
    let reply = ExportReply {
        items: walk.items,
        next: next.map(|cursor| cursor.encode()),
    };
    Ok(Response::json(EXPORT.status, &reply).with("cache-control", "no-store"))
}

/// `DELETE /v1/chat/players/{player}/data`.
pub(crate) async fn erase<H: Ports, S: Store>(
    host: &H,
    store: &S,
    call: &Call<'_>,
) -> Result<Response, Refusal> {
    let mut walk = Walk::begin(host, store, call, true).await?;
    let next = walk.step().await?;
    let reply = EraseReply {
        erased: walk.erased,
        next: next.map(|cursor| cursor.encode()),
    };
    Ok(Response::json(ERASE.status, &reply))
}

struct Walk<'a, H, S> {
    host: &'a H,
    store: &'a S,
    now_ms: u64,
    player: PlayerId,
    cursor: Cursor,
    erases: bool,
    items: Vec<ExportedItem>,
    erased: u64,
}

impl<'a, H: Ports, S: Store> Walk<'a, H, S> {
    async fn begin(
        host: &'a H,
        store: &'a S,
        call: &Call<'_>,
        erases: bool,
    ) -> Result<Self, Refusal> {
        let access = Access::of(host, call).await?;
        let player = call.parameter(0)?;
        let cursor = match call.request.query_value("next") {
            Some(text) => Cursor::decode(&text)?,
            None => {
                let action = if erases {
                    AuditAction::Erase
                } else {
                    AuditAction::Export
                };
                // Not whose: an erased player's id must not stay.
                let trail = Trail::of(host, store, &access);
                trail.note(TRAIL, Act::new(action)).await?;
                Cursor::default()
            }
        };
        Ok(Self {
            host,
            store,
            now_ms: access.now_ms,
            player,
            cursor,
            erases,
            items: Vec::new(),
            erased: 0,
        })
    }

    /// One step; where the next begins.
    async fn step(&mut self) -> Result<Option<Cursor>, Refusal> {
        let partition = player_partition(&self.player);
        let query = Query {
            partition: &partition,
            from: Some(&self.cursor.at),
            to: None,
            limit: OWN_ITEMS,
            direction: Direction::Forward,
        };
        let items = self.store.query(self.now_ms, query).await?;
        let is_last = items.len() < OWN_ITEMS;
        for item in &items {
            if self.cursor.at != item.sort {
                self.cursor = Cursor {
                    at: item.sort.clone(),
                    ..Cursor::default()
                };
            }
            if let Some(place) = item.sort.strip_prefix(IN)
                && !self.walk_channel(place).await?
            {
                return Ok(Some(self.cursor.clone()));
            }
            self.take_own(&partition, item).await?;
            // Behind this item, before any other.
            self.cursor = Cursor {
                at: format!("{}!", item.sort),
                ..Cursor::default()
            };
        }
        Ok((!is_last).then(|| self.cursor.clone()))
    }

    /// An item of the player's own partition.
    async fn take_own(&mut self, partition: &str, item: &Item) -> Result<(), Refusal> {
        if !self.erases {
            let (what, place) = item.sort.split_once('#').unwrap_or((&item.sort, ""));
            let what = if what == "in" { "author" } else { what };
            let value = exported(&item.value);
            self.export(what, place, value);
            return Ok(());
        }
        // That his tokens were taken back outlives them alone: it has its time.
        if is_revocation(&item.sort) {
            return Ok(());
        }
        let me = self.player.clone();
        if let Some(other) = item.sort.strip_prefix(BLOCK_PREFIX) {
            let partition = format!("chat-player#{other}");
            let sort = format!("{BLOCKED_BY_PREFIX}{me}");
            self.delete(&partition, &sort).await?;
        } else if let Some(other) = item.sort.strip_prefix(BLOCKED_BY_PREFIX) {
            let other = items::name(Key::new(partition, &item.sort), other)?;
            blocks::set(self.host, self.store, self.now_ms, (&other, &me), false).await?;
        }
        self.delete(partition, &item.sort).await?;
        self.erased += 1;
        Ok(())
    }

    /// Goes on in a channel; true when it is done.
    async fn walk_channel(&mut self, place: &str) -> Result<bool, Refusal> {
        if self.cursor.reaction.is_none() {
            let range = (self.cursor.seq, MAX_SEQ);
            let log = self.log(place);
            let found = log.messages(range, STEP_ITEMS, Direction::Forward).await?;
            let is_last = found.len() < STEP_ITEMS;
            for stored in found {
                let seq = stored.message.seq;
                self.take_message(place, stored).await?;
                self.cursor.seq = seq + 1;
            }
            if !is_last {
                return Ok(false);
            }
            self.cursor.reaction = Some(String::new());
        }
        self.walk_reactions(place).await
    }

    async fn walk_reactions(&mut self, place: &str) -> Result<bool, Refusal> {
        let partition = reactions_partition(place);
        let from = self.cursor.reaction.clone().unwrap_or_default();
        let query = Query {
            partition: &partition,
            from: Some(&from),
            to: None,
            limit: STEP_ITEMS,
            direction: Direction::Forward,
        };
        let items = self.store.query(self.now_ms, query).await?;
        for item in &items {
            let is_his = item
                .sort
                .split_once('#')
                .is_some_and(|(_, p)| p == self.player.as_str());
            if is_his && self.erases {
                self.delete(&partition, &item.sort).await?;
                self.erased += 1;
            } else if is_his {
                let value = exported(&item.value);
                self.export("reactions", place, value);
            }
            self.cursor.reaction = Some(format!("{}!", item.sort));
        }
        Ok(items.len() < STEP_ITEMS)
    }

    async fn take_message(&mut self, place: &str, mut stored: Stored) -> Result<(), Refusal> {
        let is_his = stored.message.author.as_ref() == Some(&self.player);
        let mentions_him = stored.message.mentions.contains(&self.player);
        if !self.erases {
            if is_his {
                let value = serde_json::to_value(&stored.message).expect("string keys only");
                self.export("message", place, value);
            }
            return Ok(());
        }
        if !is_his && !mentions_him {
            return Ok(());
        }
        let version = stored.message.version;
        let over = if is_his {
            stored.message = tombstone(&stored.message, Deletion::Erasure);
            stored.key.clear();
            // Of what is erased nothing stays, whichever release has written it.
            Over::version(version)
        } else {
            stored
                .message
                .mentions
                .retain(|player| *player != self.player);
            std::mem::take(&mut stored.over)
        };
        // Lost to an edit at the same moment: refused as a conflict, and the step done again.
        self.log(place).write(&stored, over).await?;
        self.erased += 1;
        Ok(())
    }

    fn log<'p>(&'p self, place: &'p str) -> Log<'p, H, S> {
        Log::of(self.host, self.store, self.now_ms, place)
    }

    fn export(&mut self, what: &str, place: &str, value: serde_json::Value) {
        self.items.push(ExportedItem {
            what: what.to_owned(),
            place: place.to_owned(),
            value,
        });
    }

    async fn delete(&self, partition: &str, sort: &str) -> Result<(), StoreError> {
        let delete = Delete {
            key: Key::new(partition, sort),
            version: None,
        };
        self.store.delete(self.now_ms, delete).await
    }
}

/// An item as its player gets it, whichever release has written it: JSON, or a bare text.
fn exported(value: &[u8]) -> serde_json::Value {
    let text = || String::from_utf8_lossy(value).into_owned().into();
    match value {
        [] => serde_json::Value::Null,
        _ => serde_json::from_slice(value).unwrap_or_else(|_| text()),
    }
}

impl Cursor {
    fn encode(&self) -> String {
        BASE64URL_NOPAD.encode(&serde_json::to_vec(self).expect("string keys only"))
    }

    fn decode(text: &str) -> Result<Self, Refusal> {
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).ok();
        let cursor: Option<Self> = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let is_short = |cursor: &Self| {
            let reaction = cursor.reaction.as_deref().unwrap_or_default();
            cursor.at.len() < 400 && reaction.len() < 400 && message_sort(cursor.seq).len() == 16
        };
        cursor.filter(is_short).ok_or_else(|| {
            let detail = "Continue with the next of the last reply.";
            Refusal::new(ProblemKind::CursorInvalid, detail)
        })
    }
}
