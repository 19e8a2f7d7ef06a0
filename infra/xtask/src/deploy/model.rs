//! What a deployment is made of: the release that is wanted, and the environment as it is read.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::{Value, json};

/// All of the traffic, in thousandths.
pub(super) const WHOLE: u16 = 1000;

/// One of the two groups of relays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Colour {
    Blue,
    Green,
}

impl Colour {
    pub(super) const BOTH: [Self; 2] = [Self::Blue, Self::Green];

    pub(super) fn other(self) -> Self {
        match self {
            Self::Blue => Self::Green,
            Self::Green => Self::Blue,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Blue => "blue",
            Self::Green => "green",
        }
    }

    fn of_name(name: &str) -> Option<Self> {
        Self::BOTH.into_iter().find(|colour| colour.name() == name)
    }
}

impl fmt::Display for Colour {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

/// What shall run.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Wanted {
    pub(super) release: String,
    pub(super) colour: Colour,
    pub(super) code: Code,
    /// Key in the bucket and SHA-256 of each file of the release; none where it goes back to one
    /// that is there.
    pub(super) files: BTreeMap<String, String>,
    /// What is in its permissions.json.
    pub(super) permissions: Value,
}

/// How the version of each function is known.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Code {
    /// By the SHA-256 of its zip, as Lambda writes it (base64): an apply publishes it.
    Zips(BTreeMap<String, String>),
    /// By its number: it was live before.
    Versions(BTreeMap<String, String>),
}

/// What is live, or was: kept in the bucket by the deployments themselves.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Live {
    pub(super) release: String,
    pub(super) colour: Colour,
    pub(super) versions: BTreeMap<String, String>,
    pub(super) permissions: Value,
}

impl Live {
    pub(super) fn json(&self) -> Value {
        json!({
            "release": self.release, "colour": self.colour.name(),
            "versions": self.versions, "permissions": self.permissions,
        })
    }

    pub(super) fn of_json(value: &Value) -> Option<Self> {
        let versions = value["versions"].as_object()?.iter();
        let version =
            |(name, version): (&String, &Value)| Some((name.clone(), version.as_str()?.to_owned()));
        Some(Self {
            release: value["release"].as_str()?.to_owned(),
            colour: Colour::of_name(value["colour"].as_str()?)?,
            versions: versions.map(version).collect::<Option<_>>()?,
            permissions: value["permissions"].clone(),
        })
    }
}

/// What is on its way, from the first step until the last.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Coming {
    pub(super) release: String,
    pub(super) colour: Colour,
    /// Whether it is a rollback.
    pub(super) back: bool,
}

impl Coming {
    fn json(&self) -> Value {
        json!({ "release": self.release, "colour": self.colour.name(), "back": self.back })
    }

    fn of_json(value: &Value) -> Option<Self> {
        Some(Self {
            release: value["release"].as_str()?.to_owned(),
            colour: Colour::of_name(value["colour"].as_str()?)?,
            back: value["back"].as_bool()?,
        })
    }
}

/// What deployments keep of an environment between them.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Kept {
    /// What is live; nothing before the first deployment.
    pub(super) live: Option<Live>,
    /// What was live before that, to which a rollback goes.
    pub(super) before: Option<Live>,
    pub(super) coming: Option<Coming>,
    /// The permissions that are applied, of one release or of two.
    pub(super) granted: Option<Value>,
    /// The release whose functions Terraform published last.
    pub(super) applied: Option<String>,
}

impl Kept {
    pub(super) fn json(&self) -> Value {
        json!({
            "format": 1,
            "live": self.live.as_ref().map(Live::json),
            "before": self.before.as_ref().map(Live::json),
            "coming": self.coming.as_ref().map(Coming::json),
            "granted": self.granted,
            "applied": self.applied,
        })
    }

    /// None of what is not of this form.
    pub(super) fn of_json(value: &Value) -> Option<Self> {
        let read = |name: &str| match &value[name] {
            Value::Null => Some(None),
            there => Live::of_json(there).map(Some),
        };
        let coming = match &value["coming"] {
            Value::Null => None,
            there => Some(Coming::of_json(there)?),
        };
        (value["format"] == 1).then_some(())?;
        Some(Self {
            live: read("live")?,
            before: read("before")?,
            coming,
            granted: Some(value["granted"].clone()).filter(|granted| !granted.is_null()),
            applied: value["applied"].as_str().map(str::to_owned),
        })
    }
}

/// A function as Lambda has it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Function {
    /// Each version and the SHA-256 of its code, oldest first.
    pub(super) versions: Vec<(String, String)>,
    /// Where the alias `live` points.
    pub(super) alias: Weights,
}

impl Function {
    /// The newest version with this code: settings may have changed since an older one.
    pub(super) fn version_of(&self, sum: &str) -> Option<&str> {
        let of_sum = |(_, code): &&(String, String)| code == sum;
        let found = self.versions.iter().rev().find(of_sum);
        found.map(|(version, _)| version.as_str())
    }
}

/// How an alias splits its traffic.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Weights {
    pub(super) version: String,
    /// What others have, in thousandths of the traffic; the first one has the rest.
    pub(super) others: BTreeMap<String, u16>,
}

impl Weights {
    pub(super) fn all_to(version: &str) -> Self {
        Self {
            version: version.to_owned(),
            others: BTreeMap::new(),
        }
    }

    /// `permille` of the traffic for `new`, the rest for `old`.
    pub(super) fn split(old: &str, new: &str, permille: u16) -> Self {
        match permille >= WHOLE {
            true => Self::all_to(new),
            false => Self {
                version: old.to_owned(),
                others: BTreeMap::from([(new.to_owned(), permille)]),
            },
        }
    }

    /// What a version has, in thousandths.
    pub(super) fn of(&self, version: &str) -> u16 {
        match version == self.version {
            true => WHOLE.saturating_sub(self.others.values().sum()),
            false => self.others.get(version).copied().unwrap_or(0),
        }
    }

    /// Why this is no split of traffic, if it is none.
    pub(super) fn fault(&self) -> Option<String> {
        let sum: u32 = self.others.values().map(|part| u32::from(*part)).sum();
        let shown = || format!("{} of 1000 go to other versions than {}", sum, self.version);
        match (sum > u32::from(WHOLE), self.others.len() > 1) {
            (true, _) => Some(format!("its weights do not add up: {}", shown())),
            (false, true) => Some(format!("it has more than two versions: {}", shown())),
            (false, false) if self.others.contains_key(&self.version) => Some(format!(
                "version {} is in it twice, so its weights do not add up",
                self.version
            )),
            _ => None,
        }
    }
}

/// A group of relays.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Group {
    pub(super) least: u32,
    pub(super) most: u32,
    pub(super) desired: u32,
    /// What its launch template installs.
    pub(super) release: String,
    /// The image that it installs it on.
    pub(super) image: String,
    /// Its machines, by id; those that end are not among them.
    pub(super) machines: BTreeSet<String>,
}

/// A shard as the edge lists it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Shard {
    pub(super) id: String,
    pub(super) live: bool,
    /// An operator wants it to.
    pub(super) draining: bool,
    pub(super) participants: u32,
}

impl Shard {
    /// Whether it runs on this machine: shards are called after it, with a number.
    pub(super) fn is_on(&self, machine: &str) -> bool {
        let rest = self.id.strip_prefix(machine);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    }
}

/// An environment in one region, as it is read.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Environment {
    pub(super) functions: BTreeMap<String, Function>,
    pub(super) groups: BTreeMap<Colour, Group>,
    pub(super) shards: Vec<Shard>,
    pub(super) kept: Kept,
    /// Keys in the bucket, and the SHA-256 that was uploaded with each.
    pub(super) uploaded: BTreeMap<String, String>,
}

impl Environment {
    /// The shards of a colour's machines.
    pub(super) fn shards_of(&self, colour: Colour) -> impl Iterator<Item = &Shard> {
        let group = self.groups.get(&colour);
        let machines = group.into_iter().flat_map(|group| &group.machines);
        machines.flat_map(|machine| self.shards.iter().filter(|shard| shard.is_on(machine)))
    }
}

/// The lists of permissions.json that are grants: what both versions of a function share.
const GRANTS: [&str; 3] = ["partitions", "secrets", "table"];

/// What `one` grants and `other` does not, as `function: list: entry`.
pub(super) fn not_granted(one: &Value, other: &Value) -> Vec<String> {
    let mut missing = Vec::new();
    for (function, needs) in one.as_object().into_iter().flatten() {
        for list in GRANTS {
            let had = other[function][list].as_array();
            let entries = needs[list].as_array().into_iter().flatten();
            let is_new = |entry: &&Value| !had.is_some_and(|had| had.contains(entry));
            let named = entries.filter(is_new).filter_map(Value::as_str);
            missing.extend(named.map(|entry| format!("{function}: {list}: {entry}")));
        }
    }
    missing
}

/// The grants of both, and all else of `one`.
pub(super) fn union(one: &Value, other: &Value) -> Value {
    let mut both = one.clone();
    for (function, needs) in other.as_object().into_iter().flatten() {
        for list in GRANTS.iter().filter(|_| one.get(function).is_some()) {
            let entries = [&one[function][list], &needs[list]].map(|all| all.as_array());
            let entries = entries.into_iter().flatten().flatten();
            let entries: BTreeSet<&str> = entries.filter_map(Value::as_str).collect();
            both[function][list] = json!(entries);
        }
    }
    both
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_that_do_not_add_up_are_told() {
        let weights = |others: &[(&str, u16)]| Weights {
            version: "1".to_owned(),
            others: others
                .iter()
                .map(|(name, part)| ((*name).to_owned(), *part))
                .collect(),
        };
        assert_eq!(weights(&[("2", 100)]).fault(), None);
        assert_eq!(
            (weights(&[("2", 100)]).of("1"), weights(&[]).of("1")),
            (900, 1000)
        );
        for (others, said) in [
            (&[("2", 1001)][..], "do not add up"),
            (&[("2", 1), ("3", 1)], "more than two"),
            (&[("1", 1)], "twice"),
        ] {
            let fault = weights(others).fault().unwrap();
            assert!(fault.contains(said), "{fault}");
        }
    }

    #[test]
    fn grants_of_two_releases_are_those_of_both() {
        let old =
            json!({ "a": { "table": ["GetItem", "Query"], "secrets": ["x"], "memory_mb": 1 } });
        let own = json!({ "table": ["GetItem", "PutItem"], "secrets": ["x"], "memory_mb": 2 });
        let new = json!({ "a": own, "b": { "table": ["Query"] } });
        let both = union(&new, &old);
        assert_eq!(both["a"]["table"], json!(["GetItem", "PutItem", "Query"]));
        assert_eq!(
            (&both["a"]["memory_mb"], &both["b"]),
            (&json!(2), &new["b"])
        );
        assert!(not_granted(&old, &both).is_empty() && not_granted(&new, &both).is_empty());
        assert_eq!(not_granted(&old, &new), ["a: table: Query"]);
    }

    #[test]
    fn what_is_kept_is_read_as_it_was_written() {
        let live = Live {
            release: "0.1.0".to_owned(),
            colour: Colour::Green,
            versions: BTreeMap::from([("chat".to_owned(), "3".to_owned())]),
            permissions: json!({ "chat": {} }),
        };
        let kept = Kept {
            live: Some(live),
            before: None,
            coming: Some(Coming {
                release: "0.2.0".to_owned(),
                colour: Colour::Blue,
                back: true,
            }),
            granted: Some(json!({})),
            applied: Some("0.2.0".to_owned()),
        };
        assert_eq!(Kept::of_json(&kept.json()), Some(kept));
        assert_eq!(Kept::of_json(&json!({ "format": 2 })), None);
        assert_eq!(Kept::of_json(&json!({ "format": 1, "live": {} })), None);
    }

    #[test]
    fn a_shard_is_on_the_machine_that_it_is_called_after() {
        let shard = |id: &str| Shard {
            id: id.to_owned(),
            live: true,
            draining: false,
            participants: 0,
        };
        assert!(shard("i-0a-3").is_on("i-0a") && shard("i-0a").is_on("i-0a"));
        assert!(!shard("i-0ab-3").is_on("i-0a"));
    }
}
