//! Messages as values.

use edge::Refusal;
use wire::chat::{Deletion, Message};
use wire::problem::ProblemKind;

use crate::log::Stored;

/// A message that says nothing yet.
pub fn empty() -> Message {
    Message {
        seq: 0,
        at_ms: 0,
        version: 1,
        author: None,
        name: None,
        platform: None,
        text: None,
        phrase: None,
        system: None,
        reply_to: None,
        mentions: Vec::new(),
        attachments: Vec::new(),
        edited_at_ms: None,
        deleted: None,
        reactions: Vec::new(),
    }
}

/// What is left of a message: number, time and whose it was, but for an erased player.
pub fn tombstone(message: &Message, by: Deletion) -> Message {
    Message {
        seq: message.seq,
        at_ms: message.at_ms,
        version: message.version + 1,
        author: message.author.clone().filter(|_| by != Deletion::Erasure),
        deleted: Some(by),
        ..empty()
    }
}

/// The message, when it is there and not deleted.
///
/// # Errors
/// `unknown-message`.
pub fn existing(stored: Option<Stored>) -> Result<Stored, Refusal> {
    stored
        .filter(|stored| stored.message.deleted.is_none())
        .ok_or_else(unknown)
}

/// An `unknown-message`.
pub fn unknown() -> Refusal {
    let detail = "Name a message that is there; it may have been deleted or have expired.";
    Refusal::new(ProblemKind::UnknownMessage, detail)
}
