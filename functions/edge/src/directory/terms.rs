//! What a shard may say of itself: where it is, how much it takes, where it is commanded, with keys
//! of which epoch it signs. Its own key proves who says it and nothing of that, so that a stolen
//! one draws no rooms to another region and no more of them than the shard has places.
//!
//! Only operators and enrolment say it. A relay that enrolled has a [`super::Registration`]; one
//! whose key came in a file is listed in the setting `static_shards`; and whoever revokes a shard
//! writes the least epoch of its keys. What was found is kept in the shard's record, which each
//! heartbeat reads and writes anyway and cannot change there: it is looked up when a shard is new,
//! starts anew, or wants more than it may.

use serde::{Deserialize, Serialize};
use wire::fleet::Heartbeat;
use wire::json::is_default;
use wire::problem::ProblemKind;
use wire::{RegionName, ShardId};

use crate::Refusal;

/// What a shard may say of itself; none of a part is anything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// Where it is.
    #[serde(default, rename = "r", skip_serializing_if = "Option::is_none")]
    pub region: Option<RegionName>,
    /// Most participants that it takes.
    #[serde(default, rename = "c", skip_serializing_if = "Option::is_none")]
    pub capacity: Option<u32>,
    /// The host of its control URL.
    #[serde(default, rename = "h", skip_serializing_if = "Option::is_none")]
    pub control_host: Option<String>,
    /// Keys of earlier epochs are not its own any more.
    #[serde(default, rename = "e", skip_serializing_if = "is_default")]
    pub least_epoch: u8,
}

/// Shards whose keys come in files: an entry of the setting `static_shards`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StaticShards {
    /// The name of a shard, or what names of several begin with and `*`.
    shards: String,
    #[serde(default)]
    region: Option<RegionName>,
    #[serde(default)]
    capacity: Option<u32>,
    #[serde(default)]
    control_host: Option<String>,
    #[serde(default)]
    least_epoch: u8,
}

impl StaticShards {
    /// What the first entry that names a shard says of it.
    pub fn terms(list: &[Self], shard: &ShardId) -> Option<Terms> {
        let names = |one: &&Self| match one.shards.strip_suffix('*') {
            Some(prefix) => shard.as_str().starts_with(prefix),
            None => one.shards == shard.as_str(),
        };
        list.iter().find(names).map(|one| Terms {
            region: one.region.clone(),
            capacity: one.capacity,
            control_host: one.control_host.clone(),
            least_epoch: one.least_epoch,
        })
    }
}

impl Terms {
    /// Whether a key of `epoch` may speak for the shard, and of `region`.
    ///
    /// # Errors
    /// `shard-revoked` or `registration-exceeded`.
    pub(super) fn check_speaker(&self, epoch: u8, region: &RegionName) -> Result<(), Refusal> {
        if epoch < self.least_epoch {
            let detail = format!(
                "Keys of this shard count from epoch {} on; let it in anew, or give it that one.",
                self.least_epoch
            );
            return Err(Refusal::new(ProblemKind::ShardRevoked, detail));
        }
        match &self.region {
            Some(its) if its != region => {
                exceeded(format!("This shard is registered in the region {its}."))
            }
            _ => Ok(()),
        }
    }

    /// Whether a heartbeat keeps to them.
    ///
    /// # Errors
    /// `shard-revoked` or `registration-exceeded`.
    pub fn check(&self, heartbeat: &Heartbeat) -> Result<(), Refusal> {
        self.check_speaker(heartbeat.epoch, &heartbeat.region)?;
        if let Some(capacity) = self.capacity
            && heartbeat.capacity > capacity
        {
            return exceeded(format!(
                "This shard is registered for {capacity} participants; start its relay with \
                 --max-participants {capacity}, or register it for more."
            ));
        }
        if let Some(host) = &self.control_host
            && host_of(&heartbeat.control_url) != Some(host)
        {
            return exceeded(format!("This shard is registered with commands at {host}."));
        }
        Ok(())
    }
}

fn exceeded(detail: String) -> Result<(), Refusal> {
    Err(Refusal::new(ProblemKind::RegistrationExceeded, detail))
}

/// The host of a URL, without its port; an address of IPv6 keeps its brackets.
fn host_of(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split('/').next()?;
    match authority.strip_prefix('[') {
        Some(address) => Some(&authority[..address.find(']')? + 2]),
        None => authority.split(':').next(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_found_in_every_form_of_a_control_url() {
        for (url, host) in [
            ("http://192.0.2.1:7411", "192.0.2.1"),
            ("http://192.0.2.1:7411/x/", "192.0.2.1"),
            ("https://eu-1.example.com", "eu-1.example.com"),
            ("https://[2001:db8::1]:7411/", "[2001:db8::1]"),
        ] {
            assert_eq!(host_of(url), Some(host), "{url}");
        }
        for url in ["", "192.0.2.1:7411", "http://[2001:db8::1"] {
            assert_eq!(host_of(url), None, "{url}");
        }
    }

    #[test]
    fn the_first_entry_that_names_a_shard_counts() {
        let list: Vec<StaticShards> = serde_json::from_str(
            r#"[{"shards": "eu-1-0", "capacity": 7},
                {"shards": "eu-*", "region": "eu", "control_host": "h", "least_epoch": 3}]"#,
        )
        .unwrap();
        let terms = |shard: &str| StaticShards::terms(&list, &shard.parse().unwrap());
        assert_eq!(terms("eu-1-0").unwrap().capacity, Some(7));
        let of_many = terms("eu-1-1").unwrap();
        assert_eq!(of_many.region.unwrap().as_str(), "eu");
        assert_eq!((of_many.capacity, of_many.least_epoch), (None, 3));
        assert_eq!(terms("eu-1-00").unwrap().capacity, None, "another's name");
        assert_eq!(terms("us-1"), None);
        let odd = serde_json::from_str::<StaticShards>(r#"{"shards": "a", "capcity": 1}"#);
        assert!(odd.is_err(), "a part that is misspelt bounds nothing");
    }
}
