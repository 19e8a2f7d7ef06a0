//! Editing and deleting a message.

use std::ops::ControlFlow::{self, Break, Continue};

use chat_channel::access::{Access, Intent, body, not_moderator, policy_refused, seq};
use chat_channel::audit::{Act, Trail};
use chat_channel::author::Author;
use chat_channel::log::Stored;
use chat_channel::message::{existing, tombstone, unknown};
use edge::Refusal;
use edge::change::{unless_lost, until_done_from};
use edge::http::{Call, Response};
use edge::items::Over;
use edge::policy::TextRight;
use edge::relays::Secrets;
use edge::store::Store;
use wire::chat::{AuditAction, ChatEvent, Deletion, EditRequest, Message, MessageReply};
use wire::problem::ProblemKind;
use wire::routes::{DELETE_MESSAGE, EDIT};

use crate::Ports;
use crate::pusher::Pusher;
use crate::said::Source;
use crate::text::clean_text;
use crate::writer::Writer;

/// `PATCH /v1/chat/channels/{channel}/messages/{seq}`.
pub(crate) async fn edit<H: Ports, S: Store>(
    host: &H,
    store: &S,
    call: &Call<'_>,
) -> Result<Response, Refusal> {
    let access = &Access::of(host, call).await?;
    let place = &access.place(call.parameter(0)?, Intent::Write)?;
    let seq = seq(call)?;
    let request: EditRequest = body(call)?;
    if access.rights.text != TextRight::Full {
        return Err(policy_refused("The player may send phrases only."));
    }
    let text = clean_text(&access.policy, &access.rights, request.text)?;
    let writer = Writer::of(host, store, access, place);
    let mut stored = existing(writer.log().message(seq).await?)?;
    let message = &mut stored.message;
    if message.author.as_ref() != Some(access.me()) || message.text.is_none() {
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
    let settings = writer.log().tail().await?.settings;
    let who = (place, &access.rights);
    Author::default().check_settings(access.now_ms, who, settings)?;
    let mut held = writer.charged().await?;
    message.text = Some(text);
    message.edited_at_ms = Some(access.now_ms);
    message.version += 1;
    let over = std::mem::take(&mut stored.over);
    let written = writer.log().write(&stored, over).await;
    unless_lost(written)?.ok_or_else(stale)?;
    let source = Source::of(&stored);
    let message = stored.message;
    let event = ChatEvent::Changed {
        message: message.clone(),
    };
    let secrets = Secrets::read(host).await?;
    let pusher = Pusher::of(&writer, &secrets);
    let said = (event, source);
    pusher.push(&place.channel, &mut held.value, said).await;
    Ok(reply(EDIT.status, message))
}

/// `DELETE /v1/chat/channels/{channel}/messages/{seq}`.
pub(crate) async fn delete<H: Ports, S: Store>(
    host: &H,
    store: &S,
    call: &Call<'_>,
) -> Result<Response, Refusal> {
    let access = &Access::of(host, call).await?;
    let place = &access.place(call.parameter(0)?, Intent::Read)?;
    let seq = seq(call)?;
    let writer = &Writer::of(host, store, access, place);
    let deleted = until_done_from(host, false, |is_audited| {
        try_delete(writer, seq, is_audited)
    });
    let Deleted { stored, is_new } = deleted.await?;
    let source = Source::of(&stored);
    let message = stored.message;
    if is_new {
        let mut author = Author::default();
        writer.refresh_way(&mut author).await;
        let event = ChatEvent::Changed {
            message: message.clone(),
        };
        let secrets = Secrets::read(host).await?;
        let pusher = Pusher::of(writer, &secrets);
        let said = (event, source);
        pusher.push(&place.channel, &mut author, said).await;
    }
    Ok(reply(DELETE_MESSAGE.status, message))
}

/// What is left of a deleted message.
struct Deleted {
    stored: Stored,
    /// False when somebody had deleted it before.
    is_new: bool,
}

/// Goes on with whether the act is in the audit trail.
async fn try_delete<H: Ports, S: Store>(
    writer: &Writer<'_, H, S>,
    seq: u64,
    is_audited: bool,
) -> Result<ControlFlow<Deleted, bool>, Refusal> {
    let (access, place, log) = (writer.access, writer.place, writer.log());
    let Some(mut stored) = log.message(seq).await? else {
        return Err(unknown());
    };
    if stored.message.deleted.is_some() {
        return Ok(Break(Deleted {
            stored,
            is_new: false,
        }));
    }
    let is_own = stored.message.author.as_ref() == Some(access.me());
    if !is_own && !place.may_moderate() {
        return Err(not_moderator(
            "Delete messages that the player wrote himself.",
        ));
    }
    if !is_own && !is_audited {
        let act = Act {
            player: stored.message.author.clone(),
            seq: Some(seq),
            ..Act::new(AuditAction::Delete)
        };
        let trail = Trail::of(writer.host, writer.store, access);
        trail.note(&place.key, act).await?;
    }
    // Of what is deleted nothing stays, whichever release has written it.
    let over = Over::version(stored.message.version);
    let by = if is_own {
        Deletion::Author
    } else {
        Deletion::Moderator
    };
    stored.message = tombstone(&stored.message, by);
    let written = unless_lost(log.write(&stored, over).await)?;
    Ok(match written {
        Some(_) => Break(Deleted {
            stored,
            is_new: true,
        }),
        None => Continue(!is_own),
    })
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

fn stale() -> Refusal {
    let detail = "Read the message again and edit its newest version.";
    Refusal::new(ProblemKind::VersionConflict, detail)
}
