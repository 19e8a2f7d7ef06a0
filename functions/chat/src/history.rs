//! Reading a channel, and waiting for its next message.

use std::collections::BTreeSet;

use edge::Refusal;
use edge::http::Response;
use edge::store::{Direction, Store};
use wire::PlayerId;
use wire::chat::{HistoryReply, MAX_HISTORY, MAX_WAIT_S, Message};
use wire::problem::ProblemKind;
use wire::routes::HISTORY;

use crate::Ports;
use crate::access::{Chat, Intent, Place, number};
use crate::log::Stored;
use crate::tail::MAX_SEQ;

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
    chat: &Chat<'_, H, S>,
) -> Result<Response, Refusal> {
    let place = chat.place(Intent::Read)?;
    let page = Page::read(chat)?;
    let mut found = look(chat, &place, &page).await?;
    let until_ms = chat.now_ms + page.wait_ms;
    while found.is_empty() && page.wait_ms > 0 {
        let left_ms = until_ms.saturating_sub(chat.host.now_ms());
        if left_ms == 0 {
            break;
        }
        chat.host.sleep(left_ms.min(LOOK_MS)).await;
        found = look(chat, &place, &page).await?;
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
    let reply = HistoryReply {
        next,
        more,
        settings: last.map(|stored| stored.settings),
        tail: last.map(|stored| chat.tails.seal(&place.key, &stored.tail())),
        messages: chat.visible(&place, found).await?,
    };
    Ok(Response::json(HISTORY.status, &reply).with("cache-control", "no-store"))
}

async fn look<H: Ports, S: Store>(
    chat: &Chat<'_, H, S>,
    place: &Place,
    page: &Page,
) -> Result<Vec<Stored>, Refusal> {
    let range = (page.from, page.to);
    Ok(chat
        .messages(&place.key, range, page.limit, page.direction)
        .await?)
}

impl Page {
    fn read<H: Ports, S: Store>(chat: &Chat<'_, H, S>) -> Result<Self, Refusal> {
        let value = |name: &str| chat.call.request.query_value(name);
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

impl<H: Ports, S: Store> Chat<'_, H, S> {
    /// Messages as the caller sees them, with their reactions.
    async fn visible(&self, place: &Place, found: Vec<Stored>) -> Result<Vec<Message>, Refusal> {
        if found.is_empty() {
            return Ok(Vec::new());
        }
        let hidden = self.blocked_players().await?;
        let mut messages: Vec<Message> = found
            .into_iter()
            .filter(|stored| self.sees(stored, &hidden))
            .map(|stored| stored.message)
            .collect();
        self.count_reactions(place, &mut messages).await?;
        Ok(messages)
    }

    fn sees(&self, stored: &Stored, hidden: &BTreeSet<PlayerId>) -> bool {
        let message = &stored.message;
        let Some(author) = message
            .author
            .as_ref()
            .filter(|author| *author != self.me())
        else {
            return true;
        };
        let is_near = message
            .platform
            .is_none_or(|platform| platform == self.rights.platform)
            || (self.rights.cross_play && !stored.one_platform);
        is_near && !hidden.contains(author)
    }
}
