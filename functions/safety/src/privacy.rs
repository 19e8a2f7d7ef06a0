//! Everything that is kept of one player, by whichever function: exported or erased, in steps that
//! a cursor continues.
//!
//! | where | what |
//! |---|---|
//! | `chat-player#P` | who he is in each channel, what he has read, presence, blocks, sanctions, |
//! | | and where reports and the trail of moderators name him |
//! | each channel that names him there | his messages and reactions, the trail, reports |
//! | `home#ROOM` of each sanction | until when he is silenced or kept out |
//! | `match-player#P` | seat, ratings, invitations |
//!
//! His own partition names every channel that he wrote, reacted or reported in; each is walked, and
//! the item that names it goes last, so that a step that fails is done again. What names him
//! elsewhere (matches, tickets, invitations that he sent) expires within hours.

mod channel;
mod walk;

use chat_channel::access::Access;
use chat_channel::audit::{Act, NAMED, Trail};
use chat_channel::author::IN;
use edge::Refusal;
use edge::blocks::{self, BLOCK_PREFIX, BLOCKED_BY_PREFIX, player_partition};
use edge::http::{Call, Response};
use edge::items;
use edge::revocation::is_revocation;
use edge::sanctions::{self, Sanction};
use edge::store::{Direction, Item, Key, Query, Store, StoreError};
use wire::chat::{AuditAction, EraseReply, ExportReply};

use self::channel::halls;
use self::walk::{Cursor, Walk, exported};
use crate::Ports;
use crate::sanction::INDEX_PREFIX;

/// Items of the player's own that one step looks at.
const OWN_ITEMS: usize = 50;
/// Where the acts of this module are noted in the audit trail.
const TRAIL: &str = "privacy";
/// What of a player's own comes after what chat and safety keep: matchmaking's.
const MATCH_PLAYER: &str = "match-player";

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
    let response = Response::json(call.route.status, &reply);
    Ok(response.with("cache-control", "no-store"))
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
    Ok(Response::json(call.route.status, &reply))
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
        if !self.cursor.in_matches {
            let is_done = self.step_own().await?;
            if is_done {
                self.cursor = Cursor {
                    in_matches: true,
                    ..Cursor::default()
                };
            }
            return Ok(Some(self.cursor.clone()));
        }
        let partition = format!("match-player#{}", self.player);
        let items = self.own(&partition).await?;
        for item in &items {
            if self.erases {
                self.delete(&partition, &item.sort).await?;
                self.erased += 1;
            } else {
                let value = exported(&item.value);
                self.export(MATCH_PLAYER, &item.sort, value);
            }
            self.cursor = self.cursor.behind(&item.sort);
        }
        Ok((items.len() == OWN_ITEMS).then(|| self.cursor.clone()))
    }

    /// A step in what chat and safety keep of him; whether it was the last one.
    async fn step_own(&mut self) -> Result<bool, Refusal> {
        let partition = player_partition(&self.player);
        let items = self.own(&partition).await?;
        for item in &items {
            if self.cursor.at != item.sort {
                self.cursor = Cursor {
                    at: item.sort.clone(),
                    ..Cursor::default()
                };
            }
            if let Some(place) = item.sort.strip_prefix(IN)
                && !self
                    .walk_halls(place, &halls(&partition, item, place)?)
                    .await?
            {
                return Ok(false);
            }
            if let Some(place) = item.sort.strip_prefix(NAMED)
                && !self.is_walked(&partition, place).await?
                && !self.walk_channel(place).await?
            {
                return Ok(false);
            }
            self.take_own(&partition, item).await?;
            self.cursor = self.cursor.behind(&item.sort);
        }
        Ok(items.len() < OWN_ITEMS)
    }

    async fn own(&self, partition: &str) -> Result<Vec<Item>, StoreError> {
        let query = Query {
            partition,
            from: Some(&self.cursor.at),
            to: None,
            limit: OWN_ITEMS,
            direction: Direction::Forward,
        };
        self.store.query(self.now_ms, query).await
    }

    /// An item of the player's own partition.
    async fn take_own(&mut self, partition: &str, item: &Item) -> Result<(), Refusal> {
        let sanctioned = item.sort.strip_prefix(INDEX_PREFIX);
        if !self.erases {
            if item.sort.starts_with(NAMED) {
                return Ok(());
            }
            let (what, place) = item.sort.split_once('#').unwrap_or((&item.sort, ""));
            let what = if what == "in" { "author" } else { what };
            let value = match sanctioned {
                Some(room) => self.sanctions(partition, item, room).await?,
                None => exported(&item.value),
            };
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
        } else if let Some(room) = sanctioned {
            let room = items::name(Key::new(partition, &item.sort), room)?;
            for kind in [Sanction::Mute, Sanction::Ban] {
                let of = (kind, &me);
                sanctions::sanction(self.host, self.store, self.now_ms, &room, of, None).await?;
            }
        }
        self.delete(partition, &item.sort).await?;
        self.erased += 1;
        Ok(())
    }

    /// What holds against him in a room.
    async fn sanctions(
        &self,
        partition: &str,
        item: &Item,
        room: &str,
    ) -> Result<serde_json::Value, StoreError> {
        let room = items::name(Key::new(partition, &item.sort), room)?;
        let held = sanctions::of(self.store, self.now_ms, &room).await?;
        let until = |kind| held.until_ms(self.now_ms, kind, &self.player);
        Ok(serde_json::json!({
            "muted_until_ms": until(Sanction::Mute),
            "banned_until_ms": until(Sanction::Ban),
        }))
    }
}
