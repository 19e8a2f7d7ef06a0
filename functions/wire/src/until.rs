//! Until when there is no news for a request: what a function tells its host of a reply that says
//! "nothing yet". A host that can keeps the request meanwhile, without an instance, and runs it
//! again when something was written; any other host sends the reply as it is (decision 0037).

use serde::{Deserialize, Serialize};

use crate::ids::PlayerId;

/// Reply header in which a component hands its host an [`Until`] as JSON. The host removes it.
pub const UNTIL_HEADER: &str = "lv-until";

/// Environment variable of components by which a host says that it knows [`UNTIL_HEADER`]: clients
/// of other hosts never see one.
pub const UNTIL_VARIABLE: &str = "LIFEVERSE_HOST_KNOWS_UNTIL";

/// Longest time that a client may ask a request to wait, in seconds: below the time after which
/// proxies give a silent connection up, which is 30 s and more.
pub const MAX_WAIT_S: u64 = 20;

/// Most [`Watch`]es of one reply.
pub const MAX_WATCHES: usize = 4;

/// Until when a reply stays true: nothing of what it is about is written, and the time is not over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Until {
    /// Milliseconds from now after which the reply is to be sent all the same.
    #[serde(rename = "ms")]
    pub wait_ms: u64,
    /// Who asks: a host bounds how many requests of one player wait.
    #[serde(rename = "who")]
    pub player: PlayerId,
    /// What it is about: at most [`MAX_WATCHES`].
    #[serde(rename = "items")]
    pub watches: Vec<Watch>,
}

/// Items of one partition of the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watch {
    /// The partition.
    #[serde(rename = "p")]
    pub partition: String,
    /// The smallest sort key.
    #[serde(rename = "f")]
    pub from: String,
    /// The largest sort key.
    #[serde(rename = "t")]
    pub to: String,
}

impl Watch {
    /// One item.
    pub fn item(partition: impl Into<String>, sort: impl Into<String>) -> Self {
        let sort = sort.into();
        Self {
            partition: partition.into(),
            from: sort.clone(),
            to: sort,
        }
    }

    /// Whether it is about the item of its partition with this sort key.
    pub fn has(&self, sort: &str) -> bool {
        (self.from.as_str()..=self.to.as_str()).contains(&sort)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_is_about_its_ends_and_what_is_between() {
        let range = Watch {
            partition: "p".into(),
            from: "b".into(),
            to: "d".into(),
        };
        let seen: Vec<&str> = ["a", "b", "c1", "d", "d1"]
            .into_iter()
            .filter(|sort| range.has(sort))
            .collect();
        assert_eq!(seen, ["b", "c1", "d"]);
        let item = Watch::item("p", "b");
        assert!(item.has("b") && !item.has("b1") && !item.has("a"));
    }

    #[test]
    fn the_form_is_short_because_it_is_a_header() {
        let until = Until {
            wait_ms: 20_000,
            player: "ann".parse().unwrap(),
            watches: vec![Watch::item("chat#room~a~b", "0000000000000002")],
        };
        let text = serde_json::to_string(&until).unwrap();
        assert_eq!(
            text,
            r#"{"ms":20000,"who":"ann","items":[{"p":"chat#room~a~b","f":"0000000000000002","t":"0000000000000002"}]}"#
        );
        assert_eq!(serde_json::from_str::<Until>(&text).unwrap(), until);
    }
}
