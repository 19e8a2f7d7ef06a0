//! Reading a channel, and until when there is nothing to read.

use std::collections::BTreeSet;

use chat_channel::access::{Access, Intent, Place, number};
use chat_channel::log::{Log, MAX_SEQ, Stored, message_sort, messages_partition};
use edge::blocks::blocked_either_way;
use edge::http::{Call, Response};
use edge::ports::Clock;
use edge::store::{Direction, Store, StoreError};
use edge::{Refusal, config};
use wire::PlayerId;
use wire::chat::{HistoryReply, MAX_HISTORY, Message};
use wire::problem::ProblemKind;
use wire::routes::HISTORY;
use wire::until::Watch;

use crate::Ports;
use crate::react::count_reactions;
use crate::tail::TailKey;

/// Messages of a page when the client does not say.
const DEFAULT_LIMIT: usize = 50;
/// After how long a client that waits asks again where its request was not kept meanwhile, in
/// milliseconds.
const POLL_MS: u64 = 2_000;

struct Page {
    from: u64,
    to: u64,
    limit: usize,
    direction: Direction,
    wait_ms: u64,
}

/// `GET /v1/chat/channels/{channel}/messages`.
pub(crate) async fn history<H: Ports, S: Store>(
    host: &H,
    store: &S,
    call: &Call<'_>,
) -> Result<Response, Refusal> {
    let access = Access::of(host, call).await?;
    let place = access.place(call.parameter(0)?, Intent::Read)?;
    let page = Page::read(call)?;
    let log = Log::of(host, store, access.now_ms, &place.key);
    let mut found = page.look(&log).await?;
    let waits = found.is_empty() && page.wait_ms > 0;
    let more = found.len() == page.limit;
    let next = found.last().map(|stored| stored.message.seq);
    if page.direction == Direction::Backward {
        found.reverse();
    }
    let holds_last = match page.direction {
        Direction::Forward => !more,
        Direction::Backward => page.to == MAX_SEQ,
    };
    let last = found.last().filter(|_| holds_last);
    let tails = TailKey::new(&config::tail_secret(host).await?);
    let reply = HistoryReply {
        next,
        more,
        settings: last.map(|stored| stored.settings),
        tail: last.map(|stored| tails.seal(&place.key, &stored.tail())),
        messages: visible(store, &access, &place, found).await?,
        poll_after_ms: waits.then_some(POLL_MS),
    };
    let response = Response::json(HISTORY.status, &reply).with("cache-control", "no-store");
    Ok(match waits {
        true => response.until(page.wait_ms, access.me(), vec![page.watch(&place.key)]),
        false => response,
    })
}

impl Page {
    async fn look<H: Clock, S: Store>(
        &self,
        log: &Log<'_, H, S>,
    ) -> Result<Vec<Stored>, StoreError> {
        let range = (self.from, self.to);
        log.messages(range, self.limit, self.direction).await
    }

    fn watch(&self, place: &str) -> Watch {
        Watch {
            partition: messages_partition(place),
            from: message_sort(self.from),
            to: message_sort(self.to),
        }
    }

    fn read(call: &Call<'_>) -> Result<Self, Refusal> {
        let value = |name: &str| call.request.query_value(name);
        let asked = |name: &str| value(name).map(|text| number(&text)).transpose();
        let (after, before) = (asked("after")?, asked("before")?);
        let limit = asked("limit")?.unwrap_or(DEFAULT_LIMIT as u64);
        let wait_ms = call.request.wait_ms()?;
        if after.is_some() && before.is_some() || limit == 0 {
            let detail = "Ask for after or before, and for at least one message.";
            return Err(Refusal::new(ProblemKind::CursorInvalid, detail));
        }
        let (from, to, direction) = match (after, before) {
            (Some(after), _) => (after + 1, MAX_SEQ, Direction::Forward),
            (_, before) => (
                0,
                before.map_or(MAX_SEQ, |seq| seq.saturating_sub(1)),
                Direction::Backward,
            ),
        };
        Ok(Self {
            from,
            to,
            limit: usize::try_from(limit)
                .unwrap_or(MAX_HISTORY)
                .min(MAX_HISTORY),
            direction,
            wait_ms: wait_ms * u64::from(direction == Direction::Forward),
        })
    }
}

/// Messages as the caller sees them, with their reactions.
async fn visible<S: Store>(
    store: &S,
    access: &Access<'_>,
    place: &Place,
    found: Vec<Stored>,
) -> Result<Vec<Message>, Refusal> {
    if found.is_empty() {
        return Ok(Vec::new());
    }
    let hidden = blocked_either_way(store, access.now_ms, access.me()).await?;
    let mut messages: Vec<Message> = found
        .into_iter()
        .filter(|stored| sees(access, stored, &hidden))
        .map(|stored| stored.message)
        .collect();
    let reader = (access.now_ms, access.me());
    count_reactions(store, reader, &place.key, &mut messages).await?;
    Ok(messages)
}

fn sees(access: &Access<'_>, stored: &Stored, hidden: &BTreeSet<PlayerId>) -> bool {
    let message = &stored.message;
    let Some(author) = message
        .author
        .as_ref()
        .filter(|author| *author != access.me())
    else {
        return true;
    };
    let is_near = message
        .platform
        .is_none_or(|platform| platform == access.rights.platform)
        || (access.rights.cross_play && !stored.one_platform);
    is_near && !hidden.contains(author)
}
