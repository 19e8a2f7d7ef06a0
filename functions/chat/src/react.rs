//! Reactions: one item for each player and message, beside the messages.

use std::collections::BTreeMap;

use chat_channel::access::{Access, Intent, seq};
use chat_channel::log::{Stored, message_sort, reactions_partition};
use chat_channel::message::existing;
use edge::Refusal;
use edge::change::{unless_lost, until_done};
use edge::http::{Call, Response};
use edge::items::{self, Held};
use edge::relays::Secrets;
use edge::store::{Direction, Item, Key, MAX_QUERY_ITEMS, Query, Store, StoreError};
use serde::{Deserialize, Serialize};
use wire::PlayerId;
use wire::chat::{ChatEvent, MAX_REACTION_BYTES, Message, ReactionCount};
use wire::problem::ProblemKind;
use wire::routes::REACT;

use crate::Ports;
use crate::pusher::Pusher;
use crate::text::has_link;
use crate::writer::Writer;

/// How a player reacts to a message.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Reactions(Vec<String>);

edge::stored!(reactions: Reactions);

/// Most ways in which one player reacts to one message.
const MAX_OWN: usize = 5;
/// Most players who react to one message.
const MAX_PLAYERS: usize = 100;

/// `PUT` and `DELETE /v1/chat/channels/{channel}/messages/{seq}/reactions/{reaction}`.
pub(crate) async fn react<H: Ports, S: Store>(
    host: &H,
    store: &S,
    call: &Call<'_>,
    adds: bool,
) -> Result<Response, Refusal> {
    let access = &Access::of(host, call).await?;
    let place = &access.place(call.parameter(0)?, Intent::Write)?;
    let seq = seq(call)?;
    let reaction = call.parameters[2].clone();
    let is_bad = |c: char| c.is_control() || c.is_whitespace() || c == '\u{fffd}';
    if reaction.len() > MAX_REACTION_BYTES || reaction.chars().any(is_bad) {
        let detail = "React with one emoji or word of at most 32 bytes, percent-encoded.";
        return Err(Refusal::new(ProblemKind::TextInvalid, detail));
    }
    if !access.rights.links && has_link(&reaction) {
        return Err(Refusal::new(
            ProblemKind::TextInvalid,
            "React without a link.",
        ));
    }
    let writer = &Writer::of(host, store, access, place);
    let stored = existing(writer.log().message(seq).await?)?;
    let mut held = writer.charged().await?;
    if change(writer, &stored, &reaction, adds).await? {
        let event = ChatEvent::Reacted {
            seq,
            player: access.me().clone(),
            reaction,
            added: adds,
        };
        let secrets = Secrets::read(host).await?;
        let pusher = Pusher::of(writer, &secrets);
        pusher.push(&place.channel, &mut held.value, event).await;
    }
    Ok(Response::empty(REACT.status))
}

/// Adds or removes the caller's reaction; false when there was nothing to do.
async fn change<H: Ports, S: Store>(
    writer: &Writer<'_, H, S>,
    stored: &Stored,
    reaction: &str,
    adds: bool,
) -> Result<bool, Refusal> {
    let (store, now_ms, place) = (writer.store, writer.access.now_ms, &writer.place.key);
    let partition = reactions_partition(place);
    let sort = format!(
        "{}#{}",
        message_sort(stored.message.seq),
        writer.access.me()
    );
    let (key, expires) = (Key::new(&partition, &sort), Some(stored.expires_at_ms));
    until_done(writer.host, || async {
        let read = items::get(store, now_ms, key).await?;
        let mut held: Held<Reactions> = read.unwrap_or_default();
        let (is_there, over) = (held.is_there(), held.over());
        let own = &mut held.value.0;
        if own.iter().any(|known| known == reaction) == adds {
            return Ok(Some(false));
        }
        if adds {
            own.push(reaction.to_owned());
        } else {
            own.retain(|known| known != reaction);
        }
        if own.len() > MAX_OWN || (!is_there && is_full(store, now_ms, place, stored).await?) {
            let detail = "Take another reaction back, or react to another message.";
            return Err(Refusal::new(ProblemKind::LimitReached, detail));
        }
        let written = items::put(store, now_ms, key, &held.value, expires, over).await;
        Ok(unless_lost(written)?.map(|_| true))
    })
    .await
}

async fn is_full<S: Store>(
    store: &S,
    now_ms: u64,
    place: &str,
    stored: &Stored,
) -> Result<bool, StoreError> {
    let sort = message_sort(stored.message.seq);
    let items = between(store, now_ms, place, (&sort, &sort), MAX_PLAYERS).await?;
    Ok(items.len() >= MAX_PLAYERS)
}

/// Reactions to the messages from one sort key to another.
async fn between<S: Store>(
    store: &S,
    now_ms: u64,
    place: &str,
    (first, last): (&str, &str),
    limit: usize,
) -> Result<Vec<Item>, StoreError> {
    let partition = reactions_partition(place);
    let (from, to) = (format!("{first}#"), format!("{last}#~"));
    let query = Query {
        partition: &partition,
        from: Some(&from),
        to: Some(&to),
        limit,
        direction: Direction::Forward,
    };
    store.query(now_ms, query).await
}

/// Fills in the reactions of messages that are in order of their numbers, as the reader sees them.
pub(crate) async fn count_reactions<S: Store>(
    store: &S,
    (now_ms, reader): (u64, &PlayerId),
    place: &str,
    messages: &mut [Message],
) -> Result<(), StoreError> {
    let (Some(first), Some(last)) = (messages.first(), messages.last()) else {
        return Ok(());
    };
    let partition = reactions_partition(place);
    let (mut from, to) = (message_sort(first.seq), message_sort(last.seq));
    let mut counts: BTreeMap<u64, Vec<ReactionCount>> = BTreeMap::new();
    loop {
        let items = between(store, now_ms, place, (&from, &to), MAX_QUERY_ITEMS).await?;
        let is_last = items.len() < MAX_QUERY_ITEMS;
        for item in &items {
            let Some((seq, player)) = item.sort.split_once('#') else {
                continue;
            };
            let counts = counts.entry(seq.parse().unwrap_or_default()).or_default();
            let Reactions(reactions) = Held::read(&partition, item)?.value;
            add(counts, reactions, player == reader.as_str());
        }
        // The next query begins behind the last item: nothing sorts between it and this.
        let Some(item) = items.last().filter(|_| !is_last) else {
            break;
        };
        from = format!("{}!", item.sort);
    }
    for message in messages {
        message.reactions = counts.remove(&message.seq).unwrap_or_default();
    }
    Ok(())
}

fn add(counts: &mut Vec<ReactionCount>, reactions: Vec<String>, mine: bool) {
    for reaction in reactions {
        match counts.iter_mut().find(|count| count.reaction == reaction) {
            Some(count) => {
                count.count += 1;
                count.mine |= mine;
            }
            None => counts.push(ReactionCount {
                reaction,
                count: 1,
                mine,
            }),
        }
    }
}
