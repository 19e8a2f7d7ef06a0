//! What each function may touch and use: `functions/permissions.json`, from which Terraform makes
//! IAM policies and environments. The adapter refuses everything else itself, so what is not listed
//! fails on every machine and not only in the cloud.

use std::collections::BTreeMap;

use edge::store::Write;
use serde::Deserialize;

/// What one function may touch and use.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FunctionPermissions {
    /// Actions on the table.
    pub table: Vec<TableAction>,
    /// Partitions of the table: whole names, or beginnings followed by `*` (see
    /// [`edge::store::is_listed`]).
    pub partitions: Vec<String>,
    /// Variables that come from Parameter Store.
    pub secrets: Vec<String>,
    /// Variables that come from the environment.
    pub settings: Vec<String>,
    /// The setting that lists where it may send requests, if it sends any.
    pub outbound: Option<String>,
    /// Beginnings of the names of objects that it may put.
    #[serde(default)]
    pub objects: Vec<String>,
    /// Memory that Lambda gives it, MB; with 1,769 it has a whole processor, and with less a part.
    pub memory_mb: u32,
    /// Seconds after which Lambda ends an invocation.
    pub timeout_s: u64,
}

/// An action of IAM on a DynamoDB table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub enum TableAction {
    /// `dynamodb:GetItem`.
    GetItem,
    /// `dynamodb:BatchGetItem`.
    BatchGetItem,
    /// `dynamodb:Query`.
    Query,
    /// `dynamodb:UpdateItem`.
    UpdateItem,
    /// `dynamodb:DeleteItem`.
    DeleteItem,
}

impl TableAction {
    /// Its name without `dynamodb:`.
    pub fn name(self) -> &'static str {
        match self {
            Self::GetItem => "GetItem",
            Self::BatchGetItem => "BatchGetItem",
            Self::Query => "Query",
            Self::UpdateItem => "UpdateItem",
            Self::DeleteItem => "DeleteItem",
        }
    }

    /// What a transaction needs: IAM knows none of its own, but the actions of its writes.
    pub(crate) fn of_commit(writes: &[Write<'_>]) -> Vec<Self> {
        let mut actions: Vec<Self> = writes
            .iter()
            .map(|write| match write {
                Write::Put(_) => Self::UpdateItem,
                Write::Delete(_) => Self::DeleteItem,
            })
            .collect();
        actions.sort();
        actions.dedup();
        actions
    }
}

impl FunctionPermissions {
    /// The permissions of every function by its name.
    ///
    /// # Panics
    /// Never: a test reads the file.
    pub fn all() -> BTreeMap<String, Self> {
        serde_json::from_str(include_str!("../../permissions.json"))
            .expect("a test reads the permissions")
    }

    /// The permissions of `function`, if it is listed.
    pub fn of(function: &str) -> Option<Self> {
        Self::all().remove(function)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use edge::store::{Condition, Delete, Key, Put};

    #[test]
    fn the_file_lists_every_function_once_and_nothing_twice() {
        let all = FunctionPermissions::all();
        assert!(all.contains_key("signalling"));
        for (name, permissions) in all {
            let variables: Vec<&String> = permissions
                .secrets
                .iter()
                .chain(&permissions.settings)
                .collect();
            let distinct: std::collections::BTreeSet<_> = variables.iter().collect();
            assert_eq!(variables.len(), distinct.len(), "{name}");
            // In order, and a beginning ends at a `#`: `chat*` would open what others keep.
            assert!(permissions.partitions.is_sorted_by(|a, b| a < b), "{name}");
            let is_whole = |it: &String| it.ends_with("#*") || !it.contains(['#', '*', '?']);
            assert!(permissions.partitions.iter().all(is_whole), "{name}");
            let outbound = permissions.outbound;
            assert!(outbound.is_none_or(|name| permissions.settings.contains(&name)));
        }
    }

    #[test]
    fn lambda_does_not_end_a_request_that_still_has_time() {
        for (name, permissions) in FunctionPermissions::all() {
            let given = std::time::Duration::from_secs(permissions.timeout_s);
            assert!(
                given >= crate::run::REQUEST_LIMIT + crate::run::REPLY_MARGIN,
                "{name}"
            );
            assert!((128..=10_240).contains(&permissions.memory_mb), "{name}");
        }
    }

    #[test]
    fn a_transaction_needs_the_actions_of_its_writes() {
        let key = Key::new("p", "s");
        let put = Write::Put(Put {
            key,
            value: b"",
            expires_at_ms: None,
            condition: Condition::Always,
        });
        let delete = Write::Delete(Delete { key, version: None });
        assert_eq!(
            TableAction::of_commit(&[put, put]),
            [TableAction::UpdateItem]
        );
        assert_eq!(
            TableAction::of_commit(&[delete, put]),
            [TableAction::UpdateItem, TableAction::DeleteItem]
        );
    }
}
