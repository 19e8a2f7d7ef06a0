//! Block lists, both ways: neither player writes to the other or sees him in a channel's history.

use chat_channel::access::{Access, days_ms, direct_key};
use chat_channel::author::Authors;
use edge::Refusal;
use edge::blocks::{BLOCK_PREFIX, BLOCKED_BY_PREFIX, blocked_by, player_partition};
use edge::change::{unless_lost, until_done};
use edge::http::{Call, Response};
use edge::store::{Condition, Delete, Key, Put, Store, Write};
use wire::PlayerId;
use wire::chat::BlockList;
use wire::problem::ProblemKind;
use wire::routes::{BLOCK, BLOCKS};

use crate::Ports;

/// Most players whom one player blocks.
const MAX_BLOCKS: usize = 500;

/// `GET /v1/chat/blocks`.
pub(crate) async fn list<S: Store>(store: &S, call: &Call<'_>) -> Result<Response, Refusal> {
    let caller = call.caller()?;
    let players = blocked_by(store, caller.now_ms, caller.me()).await?;
    Ok(Response::json(BLOCKS.status, &BlockList { players }))
}

/// `PUT` and `DELETE /v1/chat/blocks/{player}`.
pub(crate) async fn set<H: Ports, S: Store>(
    host: &H,
    store: &S,
    call: &Call<'_>,
    blocks: bool,
) -> Result<Response, Refusal> {
    let access = Access::of(host, call).await?;
    let (now_ms, me) = (access.now_ms, access.me());
    let other: PlayerId = call.parameter(0)?;
    if other == *me {
        let detail = "Name another player: nobody blocks himself.";
        return Err(Refusal::new(ProblemKind::NameInvalid, detail));
    }
    if blocks && blocked_by(store, now_ms, me).await?.len() >= MAX_BLOCKS {
        let detail = format!("Block at most {MAX_BLOCKS} players.");
        return Err(Refusal::new(ProblemKind::LimitReached, detail));
    }
    // The direct channel first: once it says blocked, nothing is written any more. Each step can
    // be done again, so whoever hears of a failure repeats the whole.
    let authors = Authors {
        store,
        now_ms,
        place: &direct_key(me, &other),
        retention_ms: days_ms(access.policy.retention_days.direct),
    };
    for (player, is_mine) in [(me, true), (&other, false)] {
        mark(host, &authors, player, is_mine, blocks).await?;
    }
    let (mine, his) = (player_partition(me), player_partition(&other));
    let (my_sort, his_sort) = (
        format!("{BLOCK_PREFIX}{other}"),
        format!("{BLOCKED_BY_PREFIX}{me}"),
    );
    let write = |key| match blocks {
        true => Write::Put(Put {
            key,
            value: b"",
            expires_at_ms: None,
            condition: Condition::Always,
        }),
        false => Write::Delete(Delete { key, version: None }),
    };
    let writes = [
        write(Key::new(&mine, &my_sort)),
        write(Key::new(&his, &his_sort)),
    ];
    store.commit(now_ms, &writes).await?;
    Ok(Response::empty(BLOCK.status))
}

/// Marks one of the two as an author of their direct channel.
async fn mark<H: Ports, S: Store>(
    host: &H,
    authors: &Authors<'_, S>,
    player: &PlayerId,
    is_mine: bool,
    blocks: bool,
) -> Result<(), Refusal> {
    until_done(host, || async {
        let mut held = authors.read(player).await?;
        let flag = match is_mine {
            true => &mut held.value.blocks,
            false => &mut held.value.is_blocked,
        };
        if std::mem::replace(flag, blocks) == blocks {
            return Ok(Some(()));
        }
        Ok(unless_lost(authors.keep(player, &mut held).await)?)
    })
    .await
}
