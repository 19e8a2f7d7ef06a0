//! Block lists, both ways: neither player writes to the other or sees him in a channel's history.

use std::collections::BTreeSet;

use edge::Refusal;
use edge::blocks::{BLOCK_PREFIX, listed, player_partition};
use edge::change::{unless_lost, until_done};
use edge::http::Response;
use edge::store::{Condition, Delete, Key, Put, Store, StoreError, Write};
use wire::PlayerId;
use wire::chat::{BlockList, ChatChannel};
use wire::problem::ProblemKind;
use wire::routes::{BLOCK, BLOCKS};

use crate::Ports;
use crate::access::{Chat, Place, direct_key};

/// Prefix of a sort key as [`BLOCK_PREFIX`]. Nothing else of a player sorts between.
pub(crate) const BLOCKED_BY: &str = "blocked-by#";
/// Most players whom one player blocks.
const MAX_BLOCKS: usize = 500;

/// `GET /v1/chat/blocks`.
pub(crate) async fn list<H: Ports, S: Store>(chat: &Chat<'_, H, S>) -> Result<Response, Refusal> {
    let players = chat.own_blocks().await?;
    Ok(Response::json(BLOCKS.status, &BlockList { players }))
}

/// `PUT` and `DELETE /v1/chat/blocks/{player}`.
pub(crate) async fn set<H: Ports, S: Store>(
    chat: &Chat<'_, H, S>,
    blocks: bool,
) -> Result<Response, Refusal> {
    let other = chat.player(0)?;
    if other == *chat.me() {
        let detail = "Name another player: nobody blocks himself.";
        return Err(Refusal::new(ProblemKind::NameInvalid, detail));
    }
    if blocks && chat.own_blocks().await?.len() >= MAX_BLOCKS {
        let detail = format!("Block at most {MAX_BLOCKS} players.");
        return Err(Refusal::new(ProblemKind::LimitReached, detail));
    }
    // The direct channel first: once it says blocked, nothing is written any more. Each step can
    // be done again, so whoever hears of a failure repeats the whole.
    mark(chat, &other, blocks).await?;
    let (mine, his) = (player_partition(chat.me()), player_partition(&other));
    let (my_sort, his_sort) = (
        format!("{BLOCK_PREFIX}{other}"),
        format!("{BLOCKED_BY}{}", chat.me()),
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
    chat.store.commit(chat.now_ms, &writes).await?;
    Ok(Response::empty(BLOCK.status))
}

/// Marks both players as authors of their direct channel.
async fn mark<H: Ports, S: Store>(
    chat: &Chat<'_, H, S>,
    other: &PlayerId,
    blocks: bool,
) -> Result<(), Refusal> {
    let days = chat.policy.retention_days.direct;
    let place = Place {
        channel: ChatChannel::Direct(other.clone()),
        key: direct_key(chat.me(), other),
        retention_ms: u64::from(days) * 24 * 60 * 60 * 1000,
        permissions: wire::ticket::Permissions::default(),
    };
    for (player, is_mine) in [(chat.me(), true), (other, false)] {
        mark_one(chat, &place, player, is_mine, blocks).await?;
    }
    Ok(())
}

async fn mark_one<H: Ports, S: Store>(
    chat: &Chat<'_, H, S>,
    place: &Place,
    player: &PlayerId,
    is_mine: bool,
    blocks: bool,
) -> Result<(), Refusal> {
    until_done(chat.host, || async {
        let mut held = chat.author_of(place, player).await?;
        let flag = match is_mine {
            true => &mut held.value.blocks,
            false => &mut held.value.is_blocked,
        };
        if std::mem::replace(flag, blocks) == blocks {
            return Ok(Some(()));
        }
        Ok(unless_lost(chat.keep_of(place, player, &mut held).await)?)
    })
    .await
}

impl<H: Ports, S: Store> Chat<'_, H, S> {
    async fn own_blocks(&self) -> Result<Vec<PlayerId>, StoreError> {
        edge::blocks::blocked_by(self.store, self.now_ms, self.me()).await
    }

    /// Players whom the caller blocked or who blocked him.
    pub(crate) async fn blocked_players(&self) -> Result<BTreeSet<PlayerId>, StoreError> {
        let both = (BLOCK_PREFIX, format!("{BLOCKED_BY}~"));
        let listed = listed(self.store, self.now_ms, self.me(), (both.0, &both.1)).await?;
        Ok(listed.into_iter().collect())
    }
}
