//! Editing and deleting a message.

use std::ops::ControlFlow::{self, Break, Continue};

use edge::Refusal;
use edge::change::{unless_lost, until_done_from};
use edge::http::Response;
use edge::items::Over;
use edge::policy::TextRight;
use edge::store::Store;
use wire::chat::{AuditAction, ChatEvent, Deletion, EditRequest, Message, MessageReply};
use wire::problem::ProblemKind;
use wire::routes::{DELETE_MESSAGE, EDIT};

use crate::Ports;
use crate::access::{Chat, Intent, Place, not_moderator, policy_refused};
use crate::author::Author;
use crate::log::Stored;
use crate::post::empty;

/// `PATCH /v1/chat/channels/{channel}/messages/{seq}`.
pub(crate) async fn edit<H: Ports, S: Store>(chat: &Chat<'_, H, S>) -> Result<Response, Refusal> {
    let place = chat.place(Intent::Write)?;
    let seq = chat.seq()?;
    let request: EditRequest = chat.body()?;
    if chat.rights.text != TextRight::Full {
        return Err(policy_refused("The player may send phrases only."));
    }
    let text = chat.clean_text(request.text)?;
    let mut stored = existing(chat.message(&place.key, seq).await?)?;
    let message = &mut stored.message;
    if message.author.as_ref() != Some(chat.me()) || message.text.is_none() {
        return Err(not_moderator("Edit texts that the player wrote himself."));
    }
    if message.version == request.version + 1 && message.text.as_ref() == Some(&text) {
        // The reply to the first attempt was lost.
        return Ok(reply(EDIT.status, stored.message));
    }
    if message.version != request.version {
        return Err(stale());
    }
    // An edit must not say what a locked channel or a mute forbids.
    let settings = chat.tail(&place.key).await?.settings;
    chat.check_settings(&place, settings, &Author::default())?;
    let mut held = chat.charged(&place).await?;
    message.text = Some(text);
    message.edited_at_ms = Some(chat.now_ms);
    message.version += 1;
    let over = std::mem::take(&mut stored.over);
    let written = chat.write(&place, &stored, over).await;
    unless_lost(written)?.ok_or_else(stale)?;
    let message = stored.message;
    let event = ChatEvent::Changed {
        message: message.clone(),
    };
    chat.push(&place, &mut held.value, event).await;
    Ok(reply(EDIT.status, message))
}

/// `DELETE /v1/chat/channels/{channel}/messages/{seq}`.
pub(crate) async fn delete<H: Ports, S: Store>(chat: &Chat<'_, H, S>) -> Result<Response, Refusal> {
    let place = chat.place(Intent::Read)?;
    let seq = chat.seq()?;
    let deleted = until_done_from(chat.host, false, |is_audited| {
        try_delete(chat, &place, seq, is_audited)
    });
    let Deleted { message, is_new } = deleted.await?;
    if is_new {
        let mut author = Author::default();
        chat.refresh_route(&place, &mut author).await;
        let event = ChatEvent::Changed {
            message: message.clone(),
        };
        chat.push(&place, &mut author, event).await;
    }
    Ok(reply(DELETE_MESSAGE.status, message))
}

/// What is left of a deleted message.
struct Deleted {
    message: Message,
    /// False when somebody had deleted it before.
    is_new: bool,
}

/// Goes on with whether the act is in the audit trail.
async fn try_delete<H: Ports, S: Store>(
    chat: &Chat<'_, H, S>,
    place: &Place,
    seq: u64,
    is_audited: bool,
) -> Result<ControlFlow<Deleted, bool>, Refusal> {
    let Some(mut stored) = chat.message(&place.key, seq).await? else {
        return Err(unknown());
    };
    if stored.message.deleted.is_some() {
        return Ok(Break(Deleted {
            message: stored.message,
            is_new: false,
        }));
    }
    let is_own = stored.message.author.as_ref() == Some(chat.me());
    if !is_own && !place.may_moderate() {
        return Err(not_moderator(
            "Delete messages that the player wrote himself.",
        ));
    }
    if !is_own && !is_audited {
        let author = stored.message.author.clone();
        chat.audit(place, AuditAction::Delete, author, Some(seq), "")
            .await?;
    }
    // Of what is deleted nothing stays, whichever release has written it.
    let over = Over::version(stored.message.version);
    let by = if is_own {
        Deletion::Author
    } else {
        Deletion::Moderator
    };
    stored.message = tombstone(&stored.message, by);
    let written = unless_lost(chat.write(place, &stored, over).await)?;
    Ok(match written {
        Some(_) => Break(Deleted {
            message: stored.message,
            is_new: true,
        }),
        None => Continue(!is_own),
    })
}

/// What is left of a message: number, time and whose it was, but for an erased player.
pub(crate) fn tombstone(message: &Message, by: Deletion) -> Message {
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
pub(crate) fn existing(stored: Option<Stored>) -> Result<Stored, Refusal> {
    stored
        .filter(|stored| stored.message.deleted.is_none())
        .ok_or_else(unknown)
}

fn reply(status: u16, message: Message) -> Response {
    Response::json(
        status,
        &MessageReply {
            message,
            tail: None,
        },
    )
}

fn unknown() -> Refusal {
    let detail = "Name a message that is there; it may have been deleted or have expired.";
    Refusal::new(ProblemKind::UnknownMessage, detail)
}

fn stale() -> Refusal {
    let detail = "Read the message again and edit its newest version.";
    Refusal::new(ProblemKind::VersionConflict, detail)
}
