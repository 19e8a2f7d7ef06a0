//! Reading JSON from the network: an object is an object.
//!
//! What serde derives for a struct takes an array of its fields too, in their order, and `[]` where
//! every field has a default. The schema says `object`, and a client that sends an array has a bug
//! that it should be told of; so [`read`] takes arrays for lists only.

use std::fmt;

use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess,
    Visitor,
};

/// Reads one JSON value; structs are read from objects alone, at every depth.
///
/// What serde buffers before it reads it (the content of tagged and untagged enums, and of
/// flattened fields) is beyond reach and is read as serde reads it.
///
/// # Errors
/// As those of [`serde_json::from_slice`].
pub fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, serde_json::Error> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = T::deserialize(Strict(&mut json))?;
    json.end()?;
    Ok(value)
}

/// Whether a field is as it would be if it were not there: for `skip_serializing_if`.
pub fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// A part of the reading (deserializer, visitor, access, seed), and all that it passes on to.
struct Strict<T>(T);

/// Passes a deserializer's methods on with a strict visitor.
macro_rules! pass_on {
    ($($method:ident($($argument:ident: $kind:ty),*);)*) => {$(
        fn $method<V: Visitor<'de>>(
            self,
            $($argument: $kind,)*
            visitor: V,
        ) -> Result<V::Value, D::Error> {
            self.0.$method($($argument,)* Strict(visitor))
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Strict<D> {
    type Error = D::Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_map(Strict(visitor))
    }

    pass_on! {
        deserialize_any();
        deserialize_bool();
        deserialize_i8();
        deserialize_i16();
        deserialize_i32();
        deserialize_i64();
        deserialize_u8();
        deserialize_u16();
        deserialize_u32();
        deserialize_u64();
        deserialize_f32();
        deserialize_f64();
        deserialize_char();
        deserialize_str();
        deserialize_string();
        deserialize_bytes();
        deserialize_byte_buf();
        deserialize_option();
        deserialize_unit();
        deserialize_unit_struct(name: &'static str);
        deserialize_newtype_struct(name: &'static str);
        deserialize_seq();
        deserialize_tuple(len: usize);
        deserialize_tuple_struct(name: &'static str, len: usize);
        deserialize_map();
        deserialize_enum(name: &'static str, variants: &'static [&'static str]);
        deserialize_identifier();
        deserialize_ignored_any();
    }
}

/// Passes a visitor's methods for single values on as they are.
macro_rules! visit {
    ($($method:ident($kind:ty);)*) => {$(
        fn $method<E: Error>(self, value: $kind) -> Result<V::Value, E> {
            self.0.$method(value)
        }
    )*};
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Strict<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    visit! {
        visit_bool(bool);
        visit_i64(i64);
        visit_u64(u64);
        visit_f64(f64);
        visit_str(&str);
        visit_borrowed_str(&'de str);
        visit_string(String);
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.0.visit_none()
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.0.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, some: D) -> Result<V::Value, D::Error> {
        self.0.visit_some(Strict(some))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.0.visit_newtype_struct(Strict(inner))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<V::Value, A::Error> {
        self.0.visit_seq(Strict(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<V::Value, A::Error> {
        self.0.visit_map(Strict(entries))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, variant: A) -> Result<V::Value, A::Error> {
        self.0.visit_enum(variant)
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Strict<A> {
    type Error = A::Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, A::Error> {
        self.0.next_element_seed(Strict(seed))
    }

    fn size_hint(&self) -> Option<usize> {
        self.0.size_hint()
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Strict<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        // A key is a string, whatever its type makes of it.
        self.0.next_key_seed(seed)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, A::Error> {
        self.0.next_value_seed(Strict(seed))
    }

    fn size_hint(&self) -> Option<usize> {
        self.0.size_hint()
    }
}

impl<'de, T: DeserializeSeed<'de>> DeserializeSeed<'de> for Strict<T> {
    type Value = T::Value;

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<T::Value, D::Error> {
        self.0.deserialize(Strict(value))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;
    use crate::chat::ChannelSettings;
    use crate::matching::{TicketPlayer, TicketRequest};

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default)]
    struct Every {
        list: Vec<Leaf>,
        map: BTreeMap<String, Leaf>,
        option: Option<Leaf>,
        newtype: Option<Wrapped>,
        pair: Option<(u8, Leaf)>,
        signed: i64,
        real: f64,
        text: String,
        flag: bool,
        kind: Kind,
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    struct Leaf {
        #[serde(default)]
        n: u32,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Wrapped(Leaf);

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    enum Kind {
        #[default]
        FirstKind,
        SecondKind,
    }

    #[test]
    fn an_object_is_read_as_serde_json_reads_it() {
        let texts = [
            "{}",
            r#"{"list":[{"n":1},{}],"map":{"a":{"n":2}},"option":{"n":3},"newtype":{"n":4},
                "pair":[5,{"n":6}],"signed":-7,"real":8.5,"text":"n\u00efne","flag":true,
                "kind":"second-kind","unknown":[{"deep":[null,1e3]}]}"#,
            r#"{"option":null,"newtype":null}"#,
        ];
        for text in texts {
            let read: Every = read(text.as_bytes()).unwrap();
            assert_eq!(read, serde_json::from_str(text).unwrap(), "{text}");
        }
    }

    #[test]
    fn an_array_is_no_object_at_any_depth() {
        for text in [
            "[]",
            r#"{"list":[[]]}"#,
            r#"{"list":[{"n":1},[2]]}"#,
            r#"{"map":{"a":[]}}"#,
            r#"{"option":[]}"#,
            r#"{"newtype":[]}"#,
            r#"{"pair":[5,[6]]}"#,
        ] {
            serde_json::from_str::<Every>(text).expect("serde itself takes it");
            let refused = read::<Every>(text.as_bytes()).unwrap_err();
            assert!(
                refused.to_string().contains("sequence"),
                "{text}: {refused}"
            );
        }
    }

    #[test]
    fn what_is_no_json_is_refused_with_its_place() {
        for (text, column) in [("", 0), ("{", 1), ("{} x", 4), (r#"{"signed":"one"}"#, 15)] {
            let refused = read::<Every>(text.as_bytes()).unwrap_err();
            assert_eq!((refused.line(), refused.column()), (1, column), "{text}");
        }
        let deep = "[".repeat(100_000);
        assert!(read::<serde_json::Value>(deep.as_bytes()).is_err());
    }

    #[test]
    fn requests_that_an_array_would_fill_are_refused() {
        assert!(read::<ChannelSettings>(b"[]").is_err());
        assert!(read::<ChannelSettings>(b"[true,5]").is_err());
        assert!(read::<ChannelSettings>(b"{}").is_ok());
        assert!(read::<TicketPlayer>(br#"["ann"]"#).is_err());
        assert!(read::<TicketRequest>(br#"{"modes":["duel"],"players":[["ann"]]}"#).is_err());
    }
}
