//! Which partitions of the table a function may touch: those that `functions/permissions.json`
//! lists for it, as on AWS. A function that is listed runs the statements of the store and no
//! others, so that their first parameter says which partition they are about.

use std::collections::BTreeMap;

use edge::store::is_listed;
use edge_spin::sql::{OF_A_PARTITION, OF_THE_TABLE};
use serde::Deserialize;

/// The partitions of one component; any, for one that is no function.
pub(crate) struct Partitions(Option<Vec<String>>);

#[derive(Deserialize)]
struct Permissions {
    partitions: Vec<String>,
}

impl Partitions {
    /// Those of the component of this name.
    pub(crate) fn of(component: &str) -> Self {
        let all = include_str!("../../../functions/permissions.json");
        let all: BTreeMap<String, Permissions> =
            serde_json::from_str(all).expect("a test reads the permissions");
        let mut own = all.into_iter().filter(|(name, _)| name == component);
        Self(own.next().map(|(_, permissions)| permissions.partitions))
    }

    /// Whether the component may run a statement. `first` is its first parameter, if that is a
    /// text.
    ///
    /// # Errors
    /// What it may not, without the name of anybody.
    pub(crate) fn check(&self, statement: &str, first: Option<&str>) -> Result<(), String> {
        let Some(listed) = &self.0 else {
            return Ok(());
        };
        if OF_THE_TABLE.contains(&statement) {
            return Ok(());
        }
        if !OF_A_PARTITION.contains(&statement) {
            return Err(
                "the statement is not the store's; build host and component of one \
                        release"
                    .to_owned(),
            );
        }
        match first {
            Some(partition) if is_listed(listed, partition) => Ok(()),
            Some(partition) => {
                let (kind, _) = partition.split_once('#').unwrap_or((partition, ""));
                Err(format!(
                    "{kind} is not among the partitions of this function in \
                     functions/permissions.json"
                ))
            }
            None => Err("the first parameter is not a partition".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(component: &str, statement: &str, partition: &str) -> Result<(), String> {
        Partitions::of(component).check(statement, Some(partition))
    }

    #[test]
    fn a_function_touches_what_it_lists_and_nothing_else() {
        for statement in OF_A_PARTITION {
            assert_eq!(checked("chat", statement, "chat#room~lobby~main"), Ok(()));
            assert_eq!(checked("chat", statement, "evacuation"), Ok(()));
            let refused = checked("chat", statement, "enrolment-tokens").unwrap_err();
            assert!(refused.contains("enrolment-tokens"), "{refused}");
            // Nobody's name gets into a log.
            let refused = checked("chat", statement, "match-player#ann").unwrap_err();
            assert!(refused.contains("match-player") && !refused.contains("ann"));
            assert!(Partitions::of("chat").check(statement, None).is_err());
        }
        for statement in OF_THE_TABLE {
            assert_eq!(Partitions::of("chat").check(statement, None), Ok(()));
        }
    }

    #[test]
    fn only_the_statements_of_the_store_say_which_partition_they_are_about() {
        let all = "SELECT * FROM items WHERE ?1 IS NOT NULL";
        assert!(checked("chat", all, "evacuation").is_err());
        assert_eq!(checked("no-function", all, "evacuation"), Ok(()));
    }
}
