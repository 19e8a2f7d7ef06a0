//! Sending a message.

use chat_channel::access::{
    Access, Intent, Place, body, body_invalid, not_moderator, policy_refused,
};
use chat_channel::author::key_hash;
use chat_channel::log::Tail;
use chat_channel::message::empty;
use edge::http::{Call, Response};
use edge::policy::TextRight;
use edge::relays::Secrets;
use edge::store::Store;
use edge::{Refusal, config};
use wire::chat::{
    ChatEvent, MAX_ATTACHMENTS, MAX_MENTIONS, Message, MessageReply, PostRequest, SystemEvent,
};
use wire::routes::POST;

use crate::Ports;
use crate::pusher::Pusher;
use crate::tail::TailKey;
use crate::text::clean_text;
use crate::world;
use crate::writer::{Appended, Draft, Writer};

/// `POST /v1/chat/channels/{channel}/messages`.
pub(crate) async fn post<H: Ports, S: Store>(
    host: &H,
    store: &S,
    call: &Call<'_>,
) -> Result<Response, Refusal> {
    let access = &Access::of(host, call).await?;
    let place = &access.place(call.parameter(0)?, Intent::Write)?;
    let request: PostRequest = body(call)?;
    world::check(store, access.now_ms, &place.channel).await?;
    let tails = TailKey::new(&config::tail_secret(host).await?);
    let known = request
        .tail
        .as_deref()
        .and_then(|tail| tails.open(&place.key, tail, access.now_ms));
    let draft = Draft {
        key: key_hash(access.me(), place.hall(), &request.key),
        message: compose(access, place, request)?,
        settings: None,
    };
    let writer = Writer::of(host, store, access, place);
    let reply = publish(&writer, &tails, &draft, known).await?;
    Ok(Response::json(POST.status, &reply))
}

/// Appends the draft and pushes it, when it was not there yet.
pub(crate) async fn publish<H: Ports, S: Store>(
    writer: &Writer<'_, H, S>,
    tails: &TailKey,
    draft: &Draft,
    known: Option<Tail>,
) -> Result<MessageReply, Refusal> {
    let held = writer.author().await?;
    let appended = writer.append(held, draft, known).await?;
    let Appended {
        stored,
        is_new,
        mut author,
    } = appended;
    let place = writer.place;
    let tail = tails.seal(&place.key, &stored.tail());
    let message = stored.message;
    if is_new {
        let event = ChatEvent::Posted {
            message: message.clone(),
            tail: tail.clone(),
        };
        let secrets = Secrets::read(writer.host).await?;
        let pusher = Pusher::of(writer, &secrets);
        pusher.push(&place.channel, &mut author, event).await;
    }
    Ok(MessageReply {
        message,
        tail: is_new.then_some(tail),
    })
}

/// The message of a request, checked and filtered.
fn compose(access: &Access<'_>, place: &Place, request: PostRequest) -> Result<Message, Refusal> {
    let contents = [&request.phrase, &request.notice].map(Option::is_some);
    let contents = contents.iter().filter(|some| **some).count();
    if contents + usize::from(request.text.is_some()) != 1 {
        return Err(body_invalid("Send one of text, phrase and notice."));
    }
    if request.mentions.len() > MAX_MENTIONS || request.attachments.len() > MAX_ATTACHMENTS {
        return Err(body_invalid("Send at most 16 mentions and 4 attachments."));
    }
    if !request.attachments.is_empty() && !access.rights.attachments {
        return Err(policy_refused("The player may not send attachments."));
    }
    if request.notice.is_some() && !place.may_moderate() {
        return Err(not_moderator("Send a text or a phrase, not a notice."));
    }
    if request.text.is_some() && access.rights.text != TextRight::Full {
        return Err(policy_refused("The player may send phrases only."));
    }
    let text = match request.text {
        Some(text) => Some(clean_text(&access.policy, &access.rights, text)?),
        None => None,
    };
    let is_notice = request.notice.is_some();
    Ok(Message {
        author: (!is_notice).then(|| access.me().clone()),
        name: access.claims.name.clone().filter(|_| !is_notice),
        platform: (!is_notice).then_some(access.rights.platform),
        text,
        phrase: request.phrase,
        system: request.notice.map(|phrase| SystemEvent::Notice { phrase }),
        reply_to: request.reply_to,
        mentions: request.mentions,
        attachments: request.attachments,
        ..empty()
    })
}
