//! Block lists, both ways: neither player writes to the other or sees him in a channel's history.

use std::collections::BTreeSet;

use edge::Refusal;
use edge::http::Response;
use edge::store::{
    Condition, Delete, Direction, Key, MAX_QUERY_ITEMS, Put, Query, Store, StoreError, Write,
};
use wire::PlayerId;
use wire::chat::{BlockList, ChatChannel};
use wire::problem::ProblemKind;
use wire::routes::{BLOCK, BLOCKS};

use crate::Ports;
use crate::access::{Chat, MAX_ATTEMPTS, Place, conflict, direct_key};
use crate::author::player_partition;

/// Prefixes of sort keys; the other player's id follows. Nothing else of a player sorts between.
pub(crate) const BLOCK_PREFIX: &str = "block#";
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
    for attempt in 0..MAX_ATTEMPTS {
        chat.pause(attempt).await;
        let mut held = chat.author_of(place, player).await?;
        let flag = match is_mine {
            true => &mut held.author.blocks,
            false => &mut held.author.is_blocked,
        };
        if std::mem::replace(flag, blocks) == blocks {
            return Ok(());
        }
        match chat.keep_of(place, player, &mut held).await {
            Ok(()) => return Ok(()),
            Err(StoreError::ConditionFailed) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(conflict())
}

impl<H: Ports, S: Store> Chat<'_, H, S> {
    async fn own_blocks(&self) -> Result<Vec<PlayerId>, StoreError> {
        self.listed_players(BLOCK_PREFIX, &format!("{BLOCK_PREFIX}~"))
            .await
    }

    /// Players whom the caller blocked or who blocked him.
    pub(crate) async fn blocked_players(&self) -> Result<BTreeSet<PlayerId>, StoreError> {
        let listed = self
            .listed_players(BLOCK_PREFIX, &format!("{BLOCKED_BY}~"))
            .await?;
        Ok(listed.into_iter().collect())
    }

    async fn listed_players(&self, from: &str, to: &str) -> Result<Vec<PlayerId>, StoreError> {
        let partition = player_partition(self.me());
        let query = Query {
            partition: &partition,
            from: Some(from),
            to: Some(to),
            limit: MAX_QUERY_ITEMS,
            direction: Direction::Forward,
        };
        let items = self.store.query(self.now_ms, query).await?;
        let player = |sort: &str| PlayerId::new(sort.split_once('#')?.1).ok();
        Ok(items.iter().filter_map(|item| player(&item.sort)).collect())
    }
}
