//! What every [`Stored`] type must do with its examples, which earlier releases have written.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::de::{self, Deserializer, Visitor};
use serde_json::{Value, json};

use crate::items::{Held, Kept, Stored};
use crate::store::{Item, StoreError};

/// A name that no type has.
const LATER: &str = "of-a-later-release";

/// Checks the files `FORM.1.json`, `FORM.2.json` and so on of a folder.
///
/// # Panics
/// When there is none; when an example is not read; when one of the newest file is not what this
/// release writes, or no example has some field or variant of the type; when something is lost of
/// an example to which a later release has added; when what cannot be read is not refused.
pub fn check<T: Stored>(folder: &Path) {
    let files = files(folder, T::FORM);
    let newest = files.last().expect("the loop refused none");
    assert_all_is_shown::<T>(newest);
    for example in &newest.1 {
        let written = change::<T>(example, None).expect("it was read");
        assert_eq!(
            &written,
            example,
            "this release writes more or less than {} shows: add the next file",
            newest.0.display()
        );
    }
    for (file, examples) in &files {
        for example in examples {
            let read = change::<T>(example, None);
            assert!(read.is_ok(), "{}: {example}: {read:?}", file.display());
            what_is_added_is_kept::<T>(example);
            what_is_not_known_is_refused::<T>(example);
        }
    }
}

fn files(folder: &Path, form: &str) -> Vec<(PathBuf, Vec<Value>)> {
    let file = |number: u32| folder.join(format!("{form}.{number}.json"));
    let files = (1..).map(file).take_while(|file| file.exists());
    let read = |file: PathBuf| {
        let text = std::fs::read(&file).expect("it is there");
        let examples: Vec<Value> = serde_json::from_slice(&text)
            .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        assert!(!examples.is_empty(), "{} is empty", file.display());
        (file, examples)
    };
    let files: Vec<_> = files.map(read).collect();
    assert!(
        !files.is_empty(),
        "{} is missing: a JSON array of what this release writes",
        file(1).display()
    );
    files
}

fn read<T: Stored>(value: &Value) -> Result<Held<T>, StoreError> {
    let item = Item {
        sort: "sort#of-somebody".to_owned(),
        value: serde_json::to_vec(value).expect("a value can be written"),
        version: 1,
        expires_at_ms: None,
    };
    Held::read("kind#of-somebody", &item)
}

/// What is written over `old` by who reads it and writes what `new` says, or the same.
fn change<T: Stored>(old: &Value, new: Option<&Value>) -> Result<Value, StoreError> {
    let held = read::<T>(old)?;
    let value = new.map(read::<T>).transpose()?.map(|held| held.value);
    let kept = match new {
        Some(_) => held.kept,
        // What this release writes by itself.
        None => Kept::NOTHING,
    };
    let written = kept.with(&value.unwrap_or(held.value));
    Ok(serde_json::from_slice(&written).expect("it was written as JSON"))
}

/// Every object of the example gets a member more, one after the other, and every number and flag
/// another value: both are in what is then written.
fn what_is_added_is_kept<T: Stored>(example: &Value) {
    let added = json!({ "novel": [1, { "text": LATER }] });
    for object in pointers(example)
        .iter()
        .filter(|at| at_of(example, at).is_object())
    {
        let with = |value: &Value| {
            let mut value = value.clone();
            value.pointer_mut(object).expect("listed")[LATER] = added.clone();
            value
        };
        let old = with(example);
        match change::<T>(&old, None) {
            Ok(read) if read != old => {}
            // The names of a map, or a variant: what is added is no unknown field.
            _ => {
                let is_struct = object.is_empty() && names::<T>().is_struct;
                assert!(!is_struct, "{old} is refused");
                continue;
            }
        }
        for changed in others(example) {
            // What cannot be said at all is no change.
            let Ok(as_written) = change::<T>(&changed, None) else {
                continue;
            };
            if as_written == changed {
                let written = change::<T>(&old, Some(&changed)).expect("both were read");
                assert_eq!(written, with(&changed), "{object} of {example}");
            }
        }
    }
}

/// The example, and with each of its numbers and flags changed.
fn others(example: &Value) -> Vec<Value> {
    let mut others = vec![example.clone()];
    for pointer in pointers(example) {
        let mut other = example.clone();
        let at = other.pointer_mut(&pointer).expect("listed");
        *at = match &*at {
            Value::Bool(flag) => json!(!flag),
            Value::Number(number) => match (number.as_u64(), number.as_f64()) {
                (Some(number), _) => json!(number + 1),
                (None, number) => json!(number.expect("finite") + 1.0),
            },
            _ => continue,
        };
        others.push(other);
    }
    others
}

/// A text in place of each of the example's: where that is a variant that this release does not
/// know, the item is refused, and the fault says which kind it is of and where, and no more.
fn what_is_not_known_is_refused<T: Stored>(example: &Value) {
    for pointer in pointers(example) {
        let mut other = example.clone();
        *other.pointer_mut(&pointer).expect("listed") = json!({ LATER: LATER });
        let Err(error) = read::<T>(&other) else {
            continue;
        };
        let StoreError::Unreadable(text) = &error else {
            panic!("{other}: {error}");
        };
        let said = text.strip_prefix("kind#.. sort#.. is not what this version writes, at column ");
        let column = said.and_then(|column| column.parse::<u32>().ok());
        assert!(column.is_some(), "{text}");
    }
}

/// Pointers (RFC 6901) to everything in a value, itself included.
fn pointers(value: &Value) -> Vec<String> {
    let mut all = vec![String::new()];
    let inner: Vec<(String, &Value)> = match value {
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| (name.replace('~', "~0").replace('/', "~1"), value))
            .collect(),
        Value::Array(values) => {
            let numbered = values.iter().enumerate();
            numbered
                .map(|(at, value)| (at.to_string(), value))
                .collect()
        }
        _ => Vec::new(),
    };
    for (name, value) in inner {
        all.extend(pointers(value).iter().map(|rest| format!("/{name}{rest}")));
    }
    all
}

fn at_of<'a>(value: &'a Value, pointer: &str) -> &'a Value {
    value.pointer(pointer).expect("listed")
}

/// Whether the examples of a file have every field of a struct, or every variant of an enum.
fn assert_all_is_shown<T: Stored>((file, examples): &(PathBuf, Vec<Value>)) {
    for name in names::<T>().names {
        let is_shown = examples.iter().any(|example| match example {
            Value::Object(members) => members.contains_key(*name),
            other => other.as_str() == Some(*name),
        });
        let file = file.display();
        assert!(
            is_shown,
            "no example of {file} has {name}: add the next file"
        );
    }
}

/// The fields of a type that is a struct, or the variants of one that is an enum.
fn names<T: Stored>() -> Names {
    let mut names = Names::default();
    // It reads nothing: the type has said what it can hold before.
    let _ = T::deserialize(&mut names);
    names
}

#[derive(Default)]
struct Names {
    names: &'static [&'static str],
    is_struct: bool,
}

#[derive(Debug)]
struct Learnt;

impl fmt::Display for Learnt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the names were learnt")
    }
}

impl std::error::Error for Learnt {}

impl de::Error for Learnt {
    fn custom<M: fmt::Display>(_: M) -> Self {
        Self
    }
}

impl<'de> Deserializer<'de> for &mut Names {
    type Error = Learnt;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Learnt> {
        Err(Learnt)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Learnt> {
        self.names = fields;
        self.is_struct = true;
        Err(Learnt)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Learnt> {
        self.names = variants;
        Err(Learnt)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map identifier ignored_any
    }
}
