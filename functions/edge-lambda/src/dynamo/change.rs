//! Expressions: what a write sets, and what must hold.

use std::borrow::Cow;
use std::collections::HashMap;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{
    AttributeValue, Delete as TransactDelete, TransactWriteItem, Update,
};
use edge::store::{Condition, Delete, Key, Put, Query};

/// Attributes by name, or values by placeholder.
pub(super) type Attributes = HashMap<String, AttributeValue>;

/// There is no item, or one that has expired.
pub(super) const IS_ABSENT: &str = "attribute_not_exists(pk) OR exp <= :now";
/// The item is there, or could be: it has not expired.
pub(super) const IS_CURRENT: &str = "attribute_not_exists(exp) OR exp > :now";
/// The item has the version and has not expired.
pub(super) const HAS_VERSION: &str = "ver = :ver AND (attribute_not_exists(exp) OR exp > :now)";
const HAS_EXPIRED: &str = "exp <= :now";
/// Nobody has written it under a higher epoch.
const IS_OURS: &str = "attribute_not_exists(ep) OR ep <= :ep";

// `ttl` is a reserved word, so it goes by `#ttl`.
const PUT: &str = "SET val = :val REMOVE num, exp, #ttl ADD ver :one";
const PUT_EXPIRING: &str = "SET val = :val, exp = :exp, #ttl = :ttl REMOVE num ADD ver :one";
const ADD: &str = "REMOVE exp, #ttl ADD ver :one, num :by";
const ADD_EXPIRING: &str = "SET exp = :exp, #ttl = :ttl ADD ver :one, num :by";
const RESTART: &str = "SET num = :by REMOVE val, exp, #ttl ADD ver :one";
const RESTART_EXPIRING: &str = "SET num = :by, exp = :exp, #ttl = :ttl REMOVE val ADD ver :one";

/// A write of one item.
#[derive(Debug, Clone)]
pub(super) struct Change {
    key: Attributes,
    /// None deletes.
    update: Option<Cow<'static, str>>,
    condition: Option<Cow<'static, str>>,
    values: Attributes,
}

impl Change {
    /// A put under its condition.
    pub(super) fn put(now_ms: u64, put: &Put<'_>) -> Self {
        let change = Self::update_of(put.key, put.expires_at_ms, [PUT, PUT_EXPIRING])
            .with(":val", AttributeValue::B(Blob::new(put.value)));
        match put.condition {
            Condition::Always => change,
            Condition::Absent => change.only_if(IS_ABSENT, now_ms),
            Condition::Version(version) => change
                .only_if(HAS_VERSION, now_ms)
                .with(":ver", number(version)),
        }
    }

    /// A delete, under its condition if it has one.
    pub(super) fn delete(now_ms: u64, delete: &Delete<'_>) -> Self {
        let change = Self {
            key: key(delete.key),
            update: None,
            condition: None,
            values: Attributes::new(),
        };
        match delete.version {
            None => change,
            Some(version) => change
                .only_if(HAS_VERSION, now_ms)
                .with(":ver", number(version)),
        }
    }

    /// Adds to a counter that has not expired.
    pub(super) fn add(now_ms: u64, key: Key<'_>, by: i64, expires_at_ms: Option<u64>) -> Self {
        Self::update_of(key, expires_at_ms, [ADD, ADD_EXPIRING])
            .with(":by", number(by))
            .only_if(IS_CURRENT, now_ms)
    }

    /// Counts anew where a counter has expired.
    pub(super) fn restart(now_ms: u64, key: Key<'_>, by: i64, expires_at_ms: Option<u64>) -> Self {
        Self::update_of(key, expires_at_ms, [RESTART, RESTART_EXPIRING])
            .with(":by", number(by))
            .only_if(HAS_EXPIRED, now_ms)
    }

    fn update_of(
        of: Key<'_>,
        expires_at_ms: Option<u64>,
        [staying, expiring]: [&'static str; 2],
    ) -> Self {
        let change = Self {
            key: key(of),
            update: Some(staying.into()),
            condition: None,
            values: Attributes::new(),
        }
        .with(":one", number(1));
        match expires_at_ms {
            None => change,
            Some(at) => Self {
                update: Some(expiring.into()),
                ..change
                    .with(":exp", number(at))
                    .with(":ttl", number(at / 1000 + 1))
            },
        }
    }

    fn with(mut self, name: &str, value: AttributeValue) -> Self {
        self.values.insert(name.to_owned(), value);
        self
    }

    fn only_if(self, condition: &'static str, now_ms: u64) -> Self {
        Self {
            condition: Some(condition.into()),
            ..self.with(":now", number(now_ms))
        }
    }

    /// Only if the item was not written under a higher epoch, and from then on under this one.
    pub(super) fn under(mut self, epoch: Option<u64>) -> Self {
        let Some(epoch) = epoch else { return self };
        self.condition = Some(match self.condition {
            None => IS_OURS.into(),
            Some(condition) => format!("({condition}) AND ({IS_OURS})").into(),
        });
        // Before the first evacuation there is nothing to say.
        if let Some(update) = self.update.as_mut().filter(|_| epoch > 0) {
            *update = match update.strip_prefix("SET ") {
                Some(rest) => format!("SET ep = :ep, {rest}").into(),
                None => format!("SET ep = :ep {update}").into(),
            };
        }
        self.with(":ep", number(epoch))
    }

    pub(super) fn key(&self) -> Attributes {
        self.key.clone()
    }

    pub(super) fn update(&self) -> Option<&str> {
        self.update.as_deref()
    }

    pub(super) fn condition(&self) -> Option<&str> {
        self.condition.as_deref()
    }

    pub(super) fn names(&self) -> Option<HashMap<String, String>> {
        // Every update names it.
        self.update
            .as_ref()
            .map(|_| HashMap::from([("#ttl".to_owned(), "ttl".to_owned())]))
    }

    pub(super) fn values(&self) -> Option<Attributes> {
        (!self.values.is_empty()).then(|| self.values.clone())
    }

    /// The same as one item of a transaction on `table`.
    pub(super) fn transact_item(&self, table: &str) -> TransactWriteItem {
        let condition = self.condition().map(str::to_owned);
        match self.update() {
            Some(update) => {
                let update = Update::builder()
                    .table_name(table)
                    .set_key(Some(self.key()))
                    .update_expression(update)
                    .set_condition_expression(condition)
                    .set_expression_attribute_names(self.names())
                    .set_expression_attribute_values(self.values())
                    .build();
                let update = update.expect("table, key and expression are set");
                TransactWriteItem::builder().update(update).build()
            }
            None => {
                let delete = TransactDelete::builder()
                    .table_name(table)
                    .set_key(Some(self.key()))
                    .set_condition_expression(condition)
                    .set_expression_attribute_values(self.values())
                    .build();
                let delete = delete.expect("table and key are set");
                TransactWriteItem::builder().delete(delete).build()
            }
        }
    }
}

/// The key of an item.
pub(super) fn key(key: Key<'_>) -> Attributes {
    HashMap::from([
        ("pk".to_owned(), text(key.partition)),
        ("sk".to_owned(), text(key.sort)),
    ])
}

/// Which items a query reads, and the values of that and of [`IS_CURRENT`].
pub(super) fn key_condition(query: &Query<'_>, now_ms: u64) -> (&'static str, Attributes) {
    let mut values = HashMap::from([
        (":pk".to_owned(), text(query.partition)),
        (":now".to_owned(), number(now_ms)),
    ]);
    // No sort key is empty, so everything is from there on.
    let from = query.from.filter(|from| !from.is_empty());
    for (name, bound) in [(":from", from), (":to", query.to)] {
        if let Some(bound) = bound {
            values.insert(name.to_owned(), text(bound));
        }
    }
    let condition = match (from, query.to) {
        (None, None) => "pk = :pk",
        (Some(_), None) => "pk = :pk AND sk >= :from",
        (None, Some(_)) => "pk = :pk AND sk <= :to",
        (Some(_), Some(_)) => "pk = :pk AND sk BETWEEN :from AND :to",
    };
    (condition, values)
}

fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

fn number(number: impl ToString) -> AttributeValue {
    AttributeValue::N(number.to_string())
}
