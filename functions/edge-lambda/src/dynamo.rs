//! The store on DynamoDB: one table, every condition inside the request that writes.
//!
//! | attribute | type | holds |
//! |---|---|---|
//! | `pk`, `sk` | S | partition and sort key |
//! | `val` | B | the value, unless the item is a counter |
//! | `num` | N | the value of a counter |
//! | `ver` | N | the version |
//! | `exp` | N | Unix milliseconds from which on the item is gone; absent when it stays |
//! | `ttl` | N | the second after that, by which DynamoDB removes it some time later |
//! | `ep` | N | the epoch of the evacuation under which it was written; absent before the first |
//!
//! DynamoDB still returns what has expired until it is removed, so every condition and filter here
//! compares `exp` itself. Every read is consistent: the port promises it.

mod change;
mod repeat;

use std::collections::{BTreeSet, HashMap};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes, ReturnValue, TransactWriteItem};
use edge::store::{
    Delete, Direction, Item, Key, MAX_QUERY_ITEMS, Put, Query, Store, StoreError, Write,
};
use tokio::time::Instant;

use crate::permissions::TableAction;
use change::{Attributes, Change};
use repeat::{Fault, Repeat};

/// Most items that one page of a query asks for.
const MAX_PAGE_ITEMS: usize = 1_000;

/// Which table, and what may be done to it.
#[derive(Debug, Clone)]
pub struct Table {
    /// The client; retries are made here, so its own are off.
    pub client: Client,
    /// Name or ARN.
    pub name: String,
    /// What the function's permissions list. Anything else is refused before it is sent.
    pub actions: Vec<TableAction>,
    /// The partitions that these list. Every other is refused too.
    pub partitions: Vec<String>,
}

/// A [`Store`] on DynamoDB for the length of one invocation.
#[derive(Debug, Clone)]
pub struct DynamoStore<'a> {
    table: &'a Table,
    deadline: Instant,
    /// What is written under it is never written over by a lower one; none where there is one
    /// region, which needs no condition for it.
    epoch: Option<u64>,
}

impl<'a> DynamoStore<'a> {
    /// A store that gives up at `deadline`.
    pub fn new(table: &'a Table, deadline: Instant) -> Self {
        Self {
            table,
            deadline,
            epoch: None,
        }
    }

    /// The same under an epoch of the evacuation ([`edge::homes`]).
    pub fn under(self, epoch: u64) -> Self {
        let epoch = Some(epoch);
        Self { epoch, ..self }
    }

    /// Refuses what IAM would refuse.
    fn check_listed(&self, partition: &str) -> Result<(), StoreError> {
        if edge::store::is_listed(&self.table.partitions, partition) {
            return Ok(());
        }
        // What follows the first `#` names a room or a player.
        let kind = partition.split('#').next().unwrap_or_default();
        Err(StoreError::Unavailable(format!(
            "{kind}: not among the partitions of the function's permissions"
        )))
    }

    async fn run<T>(
        &self,
        actions: &[TableAction],
        repeat: Repeat,
        attempt: impl AsyncFn() -> Result<T, Fault>,
    ) -> Result<T, StoreError> {
        let within = (self.table.actions.as_slice(), self.deadline);
        repeat::run(within, actions, repeat, attempt).await
    }

    async fn update(&self, repeat: Repeat, change: &Change) -> Result<Attributes, StoreError> {
        self.run(&[TableAction::UpdateItem], repeat, async || {
            let sent = self.table.client.update_item();
            let sent = sent
                .table_name(&self.table.name)
                .set_key(Some(change.key()))
                .set_update_expression(change.update().map(str::to_owned))
                .set_condition_expression(change.condition().map(str::to_owned))
                .set_expression_attribute_names(change.names())
                .set_expression_attribute_values(change.values())
                .return_values(ReturnValue::AllNew)
                .send();
            let output = sent.await.map_err(Fault::of)?;
            output.attributes.ok_or(Fault::unreadable())
        })
        .await
    }

    async fn put_as(&self, repeat: Repeat, now_ms: u64, put: Put<'_>) -> Result<u64, StoreError> {
        put.check()?;
        self.check_listed(put.key.partition)?;
        let change = Change::put(now_ms, &put).under(self.epoch);
        number(&self.update(repeat, &change).await?, "ver")
    }

    async fn delete_now(&self, change: &Change) -> Result<(), StoreError> {
        self.run(&[TableAction::DeleteItem], Repeat::Always, async || {
            let sent = self.table.client.delete_item();
            let sent = sent
                .table_name(&self.table.name)
                .set_key(Some(change.key()))
                .set_condition_expression(change.condition().map(str::to_owned))
                .set_expression_attribute_values(change.values())
                .send();
            sent.await.map_err(Fault::of).map(drop)
        })
        .await
    }

    /// A page of at most `limit` items, those included that have expired and are left out; it
    /// begins after `start`.
    async fn page(
        &self,
        now_ms: u64,
        query: &Query<'_>,
        limit: usize,
        start: &mut Option<Attributes>,
    ) -> Result<Vec<Attributes>, StoreError> {
        let limit = i32::try_from(limit).unwrap_or(i32::MAX);
        let (condition, values) = change::key_condition(query, now_ms);
        let output = self
            .run(&[TableAction::Query], Repeat::Always, async || {
                let sent = self.table.client.query();
                let sent = sent
                    .table_name(&self.table.name)
                    .consistent_read(true)
                    .key_condition_expression(condition)
                    .filter_expression(change::IS_CURRENT)
                    .set_expression_attribute_values(Some(values.clone()))
                    .scan_index_forward(query.direction == Direction::Forward)
                    .limit(limit)
                    .set_exclusive_start_key(start.clone())
                    .send();
                sent.await.map_err(Fault::of)
            })
            .await?;
        *start = output.last_evaluated_key;
        Ok(output.items.unwrap_or_default())
    }

    /// Reads the items of some keys: what DynamoDB returns of them, at least one, and the keys that
    /// it left for another request, because it is busy or they are more than an answer holds.
    async fn batch(
        &self,
        keys: Vec<Attributes>,
    ) -> Result<(Vec<Attributes>, Vec<Attributes>), StoreError> {
        let wanted = KeysAndAttributes::builder()
            .set_keys(Some(keys))
            .consistent_read(true)
            .build()
            .expect("keys are set");
        let name = &self.table.name;
        self.run(&[TableAction::BatchGetItem], Repeat::Always, async || {
            let sent = self.table.client.batch_get_item();
            let sent = sent.request_items(name, wanted.clone()).send();
            let output = sent.await.map_err(Fault::of)?;
            let mut left = output.unprocessed_keys.unwrap_or_default();
            let left = left.remove(name).map_or(Vec::new(), |left| left.keys);
            if left.len() == wanted.keys().len() {
                return Err(Fault::Busy("no key was processed".into()));
            }
            let mut found = output.responses.unwrap_or_default();
            Ok((found.remove(name).unwrap_or_default(), left))
        })
        .await
    }
}

impl Store for DynamoStore<'_> {
    async fn get(&self, now_ms: u64, key: Key<'_>) -> Result<Option<Item>, StoreError> {
        key.check()?;
        self.check_listed(key.partition)?;
        let attributes = self
            .run(&[TableAction::GetItem], Repeat::Always, async || {
                let sent = self.table.client.get_item();
                let sent = sent
                    .table_name(&self.table.name)
                    .set_key(Some(change::key(key)))
                    .consistent_read(true)
                    .send();
                sent.await.map(|output| output.item).map_err(Fault::of)
            })
            .await?;
        let item = attributes.map(item).transpose()?;
        Ok(item.filter(|item| is_current(item, now_ms)))
    }

    async fn get_many(
        &self,
        now_ms: u64,
        keys: &[Key<'_>],
    ) -> Result<Vec<Option<Item>>, StoreError> {
        Key::check_all(keys)?;
        for key in keys {
            self.check_listed(key.partition)?;
        }
        if let [key] = keys {
            return Ok(vec![self.get(now_ms, *key).await?]);
        }
        // DynamoDB refuses a key that comes twice.
        let distinct: BTreeSet<Key<'_>> = keys.iter().copied().collect();
        let mut left: Vec<Attributes> = distinct.into_iter().map(change::key).collect();
        let mut found = HashMap::new();
        while !left.is_empty() {
            let (items, rest) = self.batch(left).await?;
            for mut attributes in items {
                let partition = attributes.remove("pk").ok_or_else(unreadable)?;
                let item = item(attributes)?;
                let partition = partition.as_s().map_err(|_| unreadable())?.clone();
                found.insert((partition, item.sort.clone()), item);
            }
            left = rest;
        }
        let of = |key: &Key<'_>| {
            let item = found.get(&(key.partition.to_owned(), key.sort.to_owned()));
            item.filter(|item| is_current(item, now_ms)).cloned()
        };
        Ok(keys.iter().map(of).collect())
    }

    async fn query(&self, now_ms: u64, query: Query<'_>) -> Result<Vec<Item>, StoreError> {
        self.check_listed(query.partition)?;
        let limit = query.limit.min(MAX_QUERY_ITEMS);
        // DynamoDB refuses both as mistakes.
        let is_backward = query.from.zip(query.to).is_some_and(|(from, to)| from > to);
        let is_empty = is_backward || query.to == Some("");
        let mut found = Vec::new();
        let mut start = None;
        let mut page_items = limit.min(MAX_PAGE_ITEMS);
        while found.len() < limit && !is_empty {
            let page = self.page(now_ms, &query, page_items, &mut start).await?;
            for attributes in page.into_iter().take(limit - found.len()) {
                found.push(item(attributes)?);
            }
            if start.is_none() {
                break;
            }
            // Much has expired here; do not creep through it.
            page_items = (page_items * 2).min(MAX_PAGE_ITEMS);
        }
        Ok(found)
    }

    async fn put(&self, now_ms: u64, put: Put<'_>) -> Result<u64, StoreError> {
        self.put_as(Repeat::Always, now_ms, put).await
    }

    async fn put_once(&self, now_ms: u64, put: Put<'_>) -> Result<u64, StoreError> {
        self.put_as(Repeat::UnlessUnclear, now_ms, put).await
    }

    async fn delete(&self, now_ms: u64, delete: Delete<'_>) -> Result<(), StoreError> {
        delete.key.check()?;
        self.check_listed(delete.key.partition)?;
        let change = Change::delete(now_ms, &delete).under(self.epoch);
        self.delete_now(&change).await
    }

    async fn increment(
        &self,
        now_ms: u64,
        key: Key<'_>,
        by: i64,
        expires_at_ms: Option<u64>,
    ) -> Result<i64, StoreError> {
        key.check()?;
        self.check_listed(key.partition)?;
        let add = Change::add(now_ms, key, by, expires_at_ms).under(self.epoch);
        let restart = Change::restart(now_ms, key, by, expires_at_ms).under(self.epoch);
        // The counter has expired when the first fails, and was counted anew by another when the
        // second does; then the first holds again until the counter expires again.
        let mut changes = [&add, &restart, &add];
        let mut written = Err(StoreError::ConditionFailed);
        for change in &mut changes {
            if written != Err(StoreError::ConditionFailed) {
                break;
            }
            // Adding twice is not the same as adding once.
            written = self.update(Repeat::UnlessUnclear, change).await;
        }
        match written {
            Err(StoreError::ConditionFailed) => Err(StoreError::Unavailable(
                "a counter expired again at once".into(),
            )),
            written => number(&written?, "num"),
        }
    }

    async fn commit(&self, now_ms: u64, writes: &[Write<'_>]) -> Result<(), StoreError> {
        Write::check_all(writes)?;
        for write in writes {
            self.check_listed(write.key().partition)?;
        }
        let changes: Vec<Change> = writes
            .iter()
            .map(|write| match write {
                Write::Put(put) => Change::put(now_ms, put),
                Write::Delete(delete) => Change::delete(now_ms, delete),
            })
            .map(|change| change.under(self.epoch))
            .collect();
        match (changes.as_slice(), writes) {
            ([], _) => return Ok(()),
            // Alone it costs half.
            ([change], [Write::Put(_)]) => {
                return self.update(Repeat::Always, change).await.map(drop);
            }
            ([change], _) => return self.delete_now(change).await,
            _ => {}
        }
        let items: Vec<TransactWriteItem> = changes
            .iter()
            .map(|change| change.transact_item(&self.table.name))
            .collect();
        // By this DynamoDB knows a repetition of what it has done, for ten minutes.
        let token = repeat::token()?;
        let actions = TableAction::of_commit(writes);
        self.run(&actions, Repeat::Always, async || {
            let sent = self.table.client.transact_write_items();
            let sent = sent
                .set_transact_items(Some(items.clone()))
                .client_request_token(&token)
                .send();
            sent.await.map_err(Fault::of_commit).map(drop)
        })
        .await
    }
}

fn is_current(item: &Item, now_ms: u64) -> bool {
    item.expires_at_ms.is_none_or(|at| at > now_ms)
}

fn unreadable() -> StoreError {
    StoreError::Unavailable("an item does not have the attributes of this version".into())
}

fn number<T: std::str::FromStr>(attributes: &Attributes, name: &str) -> Result<T, StoreError> {
    let digits = attributes.get(name).and_then(|value| value.as_n().ok());
    digits
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(unreadable)
}

fn item(mut attributes: Attributes) -> Result<Item, StoreError> {
    let expires_at_ms = match attributes.get("exp") {
        None => None,
        Some(_) => Some(number(&attributes, "exp")?),
    };
    let value = match (attributes.remove("val"), attributes.remove("num")) {
        (Some(AttributeValue::B(bytes)), _) => Blob::into_inner(bytes),
        (None, Some(AttributeValue::N(digits))) => digits.into_bytes(),
        _ => return Err(unreadable()),
    };
    let version = number(&attributes, "ver")?;
    match attributes.remove("sk") {
        Some(AttributeValue::S(sort)) => Ok(Item {
            sort,
            value,
            version,
            expires_at_ms,
        }),
        _ => Err(unreadable()),
    }
}
