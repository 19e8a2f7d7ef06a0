//! What a channel keeps of a player: messages, reactions, acts of moderation, reports.

use chat_channel::audit::{NAMED, audit_partition};
use chat_channel::author::{Author, IN};
use chat_channel::log::{Log, Stored, messages_partition, reactions_partition};
use chat_channel::message::tombstone;
use edge::Refusal;
use edge::blocks::player_partition;
use edge::items::{self, Held, Over};
use edge::store::{Direction, Item, Key, Query, Store, StoreError};
use serde_json::json;
use wire::chat::{AuditEntry, ChatChannel, Deletion, Message};
use wire::{Hall, PlayerId};

use super::walk::{Cursor, Part, Walk, exported};
use crate::Ports;
use crate::kept::{Kept, reports_partition};

/// Items of a channel that one step looks at.
const STEP_ITEMS: usize = 500;
/// Who did or said what an erased player did: acts of moderators are kept, and reports of others.
const ERASED: &str = "erased";

impl<H: Ports, S: Store> Walk<'_, H, S> {
    /// Goes on in a channel, then in its further halls; whether all are done.
    pub(super) async fn walk_halls(
        &mut self,
        place: &str,
        further: &[Hall],
    ) -> Result<bool, Refusal> {
        if self.cursor.hall == 0 && !self.walk_channel(place).await? {
            return Ok(false);
        }
        for hall in further {
            if hall.number < self.cursor.hall {
                continue;
            }
            if hall.number > self.cursor.hall {
                self.cursor = Cursor {
                    at: std::mem::take(&mut self.cursor.at),
                    hall: hall.number,
                    ..Cursor::default()
                };
            }
            let place = ChatChannel::World(hall.clone()).to_string();
            if !self.walk_channel(&place).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether a channel that names him was walked by his own item of it, which is there no longer
    /// than his messages.
    pub(super) async fn is_walked(&self, partition: &str, place: &str) -> Result<bool, StoreError> {
        let (own, number) = match place.parse() {
            Ok(ChatChannel::World(Hall { region, number })) => {
                (ChatChannel::World(Hall::first(region)).to_string(), number)
            }
            _ => (place.to_owned(), 0),
        };
        let sort = format!("{IN}{own}");
        let held = items::get::<_, Author>(self.store, self.now_ms, Key::new(partition, &sort));
        let author = held.await?.map(|held| held.value);
        Ok(author.is_some_and(|author| number == 0 || author.halls().contains(&number)))
    }

    /// Goes on in a channel, a part at most; whether all of it is done.
    pub(super) async fn walk_channel(&mut self, place: &str) -> Result<bool, Refusal> {
        let part = self.cursor.part;
        let partition = partition_of(part, place);
        let query = Query {
            partition: &partition,
            from: Some(&self.cursor.from),
            to: None,
            limit: STEP_ITEMS,
            direction: Direction::Forward,
        };
        let items = self.store.query(self.now_ms, query).await?;
        for item in &items {
            let at = (place, partition.as_str(), item);
            match part {
                Part::Messages => self.take_message(at).await?,
                Part::Reactions => self.take_reactions(at).await?,
                Part::Trail => self.take_act(at).await?,
                Part::Reports => self.take_report(at).await?,
            }
            self.cursor.from = format!("{}!", item.sort);
        }
        if items.len() == STEP_ITEMS {
            return Ok(false);
        }
        let Some(next) = part.next() else {
            return Ok(true);
        };
        (self.cursor.part, self.cursor.from) = (next, String::new());
        // Few channels have much of the rest.
        Box::pin(self.walk_channel(place)).await
    }

    async fn take_message(
        &mut self,
        (place, partition, item): (&str, &str, &Item),
    ) -> Result<(), Refusal> {
        let mut stored = Stored::read(partition, item)?;
        let is_his = stored.message.author.as_ref() == Some(&self.player);
        let mentions_him = stored.message.mentions.contains(&self.player);
        if !self.erases {
            if is_his {
                self.export("message", place, value(&stored.message));
            }
            return Ok(());
        }
        if !is_his && !mentions_him {
            return Ok(());
        }
        let over = if is_his {
            let version = stored.message.version;
            stored.message = tombstone(&stored.message, Deletion::Erasure);
            stored.key.clear();
            // Of what is erased nothing stays, whichever release has written it.
            Over::version(version)
        } else {
            stored.message.mentions.retain(|who| *who != self.player);
            std::mem::take(&mut stored.over)
        };
        // Lost to an edit at the same moment: refused as a conflict, and the step done again.
        let log = Log::of(self.host, self.store, self.now_ms, place);
        log.write(&stored, over).await?;
        self.erased += 1;
        Ok(())
    }

    async fn take_reactions(
        &mut self,
        (place, partition, item): (&str, &str, &Item),
    ) -> Result<(), Refusal> {
        let of = item.sort.split_once('#').map(|(_, player)| player);
        if of != Some(self.player.as_str()) {
            return Ok(());
        }
        if self.erases {
            self.delete(partition, &item.sort).await?;
            self.erased += 1;
        } else {
            self.export("reactions", place, exported(&item.value));
        }
        Ok(())
    }

    /// An act of moderation: what was done to him is his to see, not by whom.
    async fn take_act(
        &mut self,
        (place, partition, item): (&str, &str, &Item),
    ) -> Result<(), Refusal> {
        let mut held: Held<AuditEntry> = Held::read(partition, item)?;
        let entry = &mut held.value;
        let to_him = entry.player.as_ref() == Some(&self.player);
        let by_him = entry.actor == self.player;
        if !self.erases && to_him {
            let act = json!({
                "at_ms": entry.at_ms, "action": entry.action, "seq": entry.seq,
                "reason": entry.reason,
            });
            self.export("moderation", place, act);
        }
        if !self.erases || !(to_him || by_him) {
            return Ok(());
        }
        if to_him {
            entry.player = None;
            entry.reason.clear();
        }
        if by_him {
            entry.actor = erased();
        }
        self.rewrite(partition, item, &held).await
    }

    /// A report: his words in it go, and his name; a direct channel's goes whole, for the channel
    /// is called by his id.
    async fn take_report(
        &mut self,
        (place, partition, item): (&str, &str, &Item),
    ) -> Result<(), Refusal> {
        let mut held: Held<Kept> = Held::read(partition, item)?;
        let report = &mut held.value.report;
        let reported = report.reporter == self.player;
        let is_his = |message: &Message| message.author.as_ref() == Some(&self.player);
        let names_him = |message: &Message| message.mentions.contains(&self.player);
        let concerns = |message: &Message| is_his(message) || names_him(message);
        if !reported && !report.messages.iter().any(concerns) {
            return Ok(());
        }
        if !self.erases {
            let reason = reported.then_some(&report.reason);
            let own: Vec<&Message> = report.messages.iter().filter(|m| is_his(m)).collect();
            let told = json!({ "seq": report.seq, "reason": reason, "messages": own });
            self.export("report", place, told);
            return Ok(());
        }
        if place.starts_with("direct~") {
            if let Some((partition, sort)) = held.value.queued {
                self.delete(&partition, &sort).await?;
            }
            // So does what tells the other one of it.
            for other in place.split('~').skip(1) {
                let other = items::name(Key::new(partition, &item.sort), other)?;
                let sort = format!("{NAMED}{place}");
                self.delete(&player_partition(&other), &sort).await?;
            }
            self.delete(partition, &item.sort).await?;
            self.erased += 1;
            return Ok(());
        }
        for message in &mut report.messages {
            if message.author.as_ref() == Some(&self.player) {
                *message = tombstone(message, Deletion::Erasure);
            }
            message.mentions.retain(|who| *who != self.player);
        }
        if reported {
            report.reporter = erased();
            report.reason.clear();
        }
        self.rewrite(partition, item, &held).await
    }

    async fn rewrite<T: items::Stored>(
        &mut self,
        partition: &str,
        item: &Item,
        held: &Held<T>,
    ) -> Result<(), Refusal> {
        let (key, expires) = (Key::new(partition, &item.sort), held.expires_at_ms);
        // Of what is erased nothing stays, whichever release has written it.
        let over = Over::version(held.version);
        items::put(self.store, self.now_ms, key, &held.value, expires, over).await?;
        self.erased += 1;
        Ok(())
    }
}

/// The further halls of a world channel, as the player's item of it names them; in order.
pub(super) fn halls(partition: &str, item: &Item, place: &str) -> Result<Vec<Hall>, StoreError> {
    let Ok(ChatChannel::World(Hall { region, .. })) = place.parse() else {
        return Ok(Vec::new());
    };
    let author = Held::<Author>::read(partition, item)?.value;
    let hall = |number| Hall {
        region: region.clone(),
        number,
    };
    Ok(author.halls().into_iter().map(hall).collect())
}

fn erased() -> PlayerId {
    ERASED.parse().expect("a player id")
}

fn value(message: &Message) -> serde_json::Value {
    serde_json::to_value(message).expect("string keys only")
}

/// Where a channel keeps a part.
fn partition_of(part: Part, place: &str) -> String {
    match part {
        Part::Messages => messages_partition(place),
        Part::Reactions => reactions_partition(place),
        Part::Trail => audit_partition(place),
        Part::Reports => reports_partition(place),
    }
}
