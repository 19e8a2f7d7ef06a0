//! Reading a channel, and waiting for its next message.

use std::collections::BTreeSet;

use chat_channel::access::{Access, Intent, Place, number};
use chat_channel::log::{Log, MAX_SEQ, Stored};
use edge::blocks::blocked_either_way;
use edge::http::{Call, Response};
use edge::ports::Clock;
use edge::store::{Direction, Store, StoreError};
use edge::{Refusal, config};
use wire::PlayerId;
use wire::chat::{HistoryReply, MAX_HISTORY, MAX_WAIT_S, Message};
use wire::problem::ProblemKind;
use wire::routes::HISTORY;

use crate::Ports;
use crate::react::count_reactions;
use crate::tail::TailKey;

/// Messages of a page when the client does not say.
const DEFAULT_LIMIT: usize = 50;
/// Time between two looks while waiting, in milliseconds.
const LOOK_MS: u64 = 250;

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
    let until_ms = access.now_ms + page.wait_ms;
    while found.is_empty() && page.wait_ms > 0 {
        let left_ms = until_ms.saturating_sub(host.now_ms());
        if left_ms == 0 {
            break;
        }
        host.sleep(left_ms.min(LOOK_MS)).await;
        found = page.look(&log).await?;
    }
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
    };
    Ok(Response::json(HISTORY.status, &reply).with("cache-control", "no-store"))
}

impl Page {
    async fn look<H: Clock, S: Store>(
        &self,
        log: &Log<'_, H, S>,
    ) -> Result<Vec<Stored>, StoreError> {
        let range = (self.from, self.to);
        log.messages(range, self.limit, self.direction).await
    }

    fn read(call: &Call<'_>) -> Result<Self, Refusal> {
        let value = |name: &str| call.request.query_value(name);
        let asked = |name: &str| value(name).map(|text| number(&text)).transpose();
        let (after, before) = (asked("after")?, asked("before")?);
        let limit = asked("limit")?.unwrap_or(DEFAULT_LIMIT as u64);
        let wait_s = asked("wait")?.unwrap_or(0);
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
            wait_ms: wait_s.min(MAX_WAIT_S) * 1000 * u64::from(direction == Direction::Forward),
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
    let hidden = blocked_either_way(store, access.now_ms, access.claims).await?;
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
