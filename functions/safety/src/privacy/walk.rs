//! How far an export or an erasure is, and what it has found.

use data_encoding::BASE64URL_NOPAD;
use edge::Refusal;
use edge::store::{Delete, Key, Store, StoreError};
use serde::{Deserialize, Serialize};
use wire::PlayerId;
use wire::chat::ExportedItem;
use wire::problem::ProblemKind;

/// What of a channel is walked, in this order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Part {
    #[default]
    Messages,
    Reactions,
    Trail,
    Reports,
}

impl Part {
    pub(super) fn next(self) -> Option<Self> {
        match self {
            Self::Messages => Some(Self::Reactions),
            Self::Reactions => Some(Self::Trail),
            Self::Trail => Some(Self::Reports),
            Self::Reports => None,
        }
    }
}

/// Where the next step begins.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Cursor {
    /// Whether what chat and safety keep of him is done.
    pub(super) in_matches: bool,
    /// Sort key in the player's partition.
    pub(super) at: String,
    /// The hall of that channel, where it has several.
    #[serde(default)]
    pub(super) hall: u8,
    /// What of it is walked.
    pub(super) part: Part,
    /// Sort key there.
    pub(super) from: String,
}

impl Cursor {
    /// Behind an item, before any other.
    pub(super) fn behind(&self, sort: &str) -> Self {
        Self {
            in_matches: self.in_matches,
            at: format!("{sort}!"),
            ..Self::default()
        }
    }

    pub(super) fn encode(&self) -> String {
        BASE64URL_NOPAD.encode(&serde_json::to_vec(self).expect("string keys only"))
    }

    pub(super) fn decode(text: &str) -> Result<Self, Refusal> {
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).ok();
        let cursor: Option<Self> = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let is_short = |cursor: &Self| cursor.at.len() < 400 && cursor.from.len() < 400;
        cursor.filter(is_short).ok_or_else(|| {
            let detail = "Continue with the next of the last reply.";
            Refusal::new(ProblemKind::CursorInvalid, detail)
        })
    }
}

pub(super) struct Walk<'a, H, S> {
    pub(super) host: &'a H,
    pub(super) store: &'a S,
    pub(super) now_ms: u64,
    pub(super) player: PlayerId,
    pub(super) cursor: Cursor,
    pub(super) erases: bool,
    pub(super) items: Vec<ExportedItem>,
    pub(super) erased: u64,
}

impl<H, S: Store> Walk<'_, H, S> {
    pub(super) fn export(&mut self, what: &str, place: &str, value: serde_json::Value) {
        self.items.push(ExportedItem {
            what: what.to_owned(),
            place: place.to_owned(),
            value,
        });
    }

    pub(super) async fn delete(&self, partition: &str, sort: &str) -> Result<(), StoreError> {
        let delete = Delete {
            key: Key::new(partition, sort),
            version: None,
        };
        self.store.delete(self.now_ms, delete).await
    }
}

/// An item as its player gets it, whichever release has written it: JSON, or a bare text.
pub(super) fn exported(value: &[u8]) -> serde_json::Value {
    let text = || String::from_utf8_lossy(value).into_owned().into();
    match value {
        [] => serde_json::Value::Null,
        _ => serde_json::from_slice(value).unwrap_or_else(|_| text()),
    }
}
