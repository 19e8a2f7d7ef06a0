//! What a version does not know of an item that it changes: it stays as a newer one has written it.

use std::sync::Arc;

use serde_json::Value;

use super::Stored;

/// An item as it was read. Nothing is looked for in it before it is written again, and nothing is
/// found then if this version has written it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kept(Option<Arc<[u8]>>);

impl Kept {
    /// Of what was not there.
    pub const NOTHING: Self = Self(None);

    pub(super) fn of(bytes: &[u8]) -> Self {
        Self(Some(bytes.into()))
    }

    /// A value to be written in its place, with what is not known of it.
    pub(crate) fn with<T: Stored>(&self, value: &T) -> Vec<u8> {
        let new = text(value);
        match &self.0 {
            Some(old) if **old != *new => with_unknown::<T>(old, &new).unwrap_or(new),
            _ => new,
        }
    }
}

fn text<T: Stored>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).expect("our values have string keys only")
}

/// The new text with what is in the old one and this version does not know; none if nothing is.
fn with_unknown<T: Stored>(old: &[u8], new: &[u8]) -> Option<Vec<u8>> {
    let known = text(&serde_json::from_slice::<T>(old).ok()?);
    if *known == *old {
        return None;
    }
    let read = |text| serde_json::from_slice::<Value>(text).ok();
    let (old, known, mut new) = (read(old)?, read(&known)?, read(new)?);
    let is_any = keep(&old, &known, &mut new);
    is_any.then(|| serde_json::to_vec(&new).expect("what was read can be written"))
}

/// Has `new` keep what `old` says beyond what is known of it; whether there is any.
fn keep(old: &Value, known: &Value, new: &mut Value) -> bool {
    match (old, known, new) {
        (Value::Object(old), Value::Object(known), Value::Object(new)) => {
            let mut is_any = false;
            for (name, old) in old {
                match (known.get(name), new.get_mut(name)) {
                    (Some(known), Some(new)) => is_any |= keep(old, known, new),
                    // It was taken away, or is said anew.
                    (Some(_), None) | (None, Some(_)) => {}
                    (None, None) => {
                        new.insert(name.clone(), old.clone());
                        is_any = true;
                    }
                }
            }
            is_any
        }
        (Value::Array(old), Value::Array(known), Value::Array(new)) => keep_each(old, known, new),
        _ => false,
    }
}

/// Of an element that is the same as before, wherever it is now; and of one that was changed, if
/// the list is as long as before.
fn keep_each(old: &[Value], known: &[Value], new: &mut [Value]) -> bool {
    let is_as_long = new.len() == known.len();
    let stays: Vec<bool> = known.iter().zip(&*new).map(|(a, b)| a == b).collect();
    let may_move = |at: &usize| !stays.get(*at).is_some_and(|stays| *stays);
    let mut is_any = false;
    for (at, new) in new.iter_mut().enumerate() {
        let mut others = (0..known.len()).filter(may_move);
        let moved = || others.find(|at| known[*at] == *new);
        let found = Some(at).filter(|at| !may_move(at)).or_else(moved);
        let Some(at) = found.or(is_as_long.then_some(at)) else {
            continue;
        };
        if let (Some(old), Some(known)) = (old.get(at), known.get(at)) {
            is_any |= keep(old, known, new);
        }
    }
    is_any
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Serialize};
    use serde_json::json;

    use super::*;

    #[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
    struct Team {
        name: String,
        #[serde(default, skip_serializing_if = "wire::json::is_default")]
        rank: u32,
    }

    #[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
    struct Known {
        teams: Vec<Team>,
        #[serde(default)]
        by_name: BTreeMap<String, Team>,
    }

    impl Stored for Known {
        const FORM: &'static str = "known";
    }

    fn changed(old: &Value, change: impl Fn(&mut Known)) -> Value {
        let old = serde_json::to_vec(old).unwrap();
        let mut value: Known = serde_json::from_slice(&old).unwrap();
        change(&mut value);
        serde_json::from_slice(&Kept::of(&old).with(&value)).unwrap()
    }

    #[test]
    fn what_is_not_known_stays_where_it_was() {
        let old = json!({
            "later": 1,
            "teams": [{ "name": "red", "later": 2 }, { "name": "blue", "later": 3 }],
            "by_name": { "red": { "name": "r", "later": 4 }, "blue": { "name": "b", "later": 5 } },
        });
        let ranked = changed(&old, |known| {
            known.teams[1].rank = 7;
            known.by_name.get_mut("red").unwrap().rank = 8;
        });
        let mut wanted = old.clone();
        wanted["teams"][1]["rank"] = 7.into();
        wanted["by_name"]["red"]["rank"] = 8.into();
        assert_eq!(ranked, wanted);

        let without = changed(&old, |known| {
            known.teams.remove(0);
            known.by_name.remove("red");
        });
        let wanted = json!({
            "later": 1,
            "teams": [{ "name": "blue", "later": 3 }],
            "by_name": { "blue": { "name": "b", "later": 5 } },
        });
        assert_eq!(without, wanted);
    }

    #[test]
    fn what_this_version_has_written_is_written_as_it_is() {
        let old = text(&Known {
            teams: vec![Team::default()],
            ..Known::default()
        });
        let new = Known::default();
        assert_eq!(Kept::of(&old).with(&new), text(&new));
        // One of before the field: nothing in it is unknown, so the order stays that of the type.
        assert_eq!(Kept::of(b"{\"teams\":[]}").with(&new), text(&new));
        assert_eq!(Kept::NOTHING.with(&new), text(&new));
    }
}
