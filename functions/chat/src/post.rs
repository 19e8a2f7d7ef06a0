//! Sending a message.

use edge::Refusal;
use edge::http::Response;
use edge::policy::TextRight;
use edge::store::Store;
use wire::chat::{
    ChatEvent, MAX_ATTACHMENTS, MAX_MENTIONS, Message, MessageReply, PostRequest, SystemEvent,
};
use wire::routes::POST;

use crate::Ports;
use crate::access::{Chat, Intent, Place, body_invalid, not_moderator, policy_refused};
use crate::author::key_hash;
use crate::log::{Appended, Draft};

/// `POST /v1/chat/channels/{channel}/messages`.
pub(crate) async fn post<H: Ports, S: Store>(chat: &Chat<'_, H, S>) -> Result<Response, Refusal> {
    let place = chat.place(Intent::Write)?;
    let request: PostRequest = chat.body()?;
    let known = request
        .tail
        .as_deref()
        .and_then(|tail| chat.tails.open(&place.key, tail, chat.now_ms));
    let draft = Draft {
        key: key_hash(chat.me(), &request.key),
        message: chat.compose(&place, request)?,
        settings: None,
    };
    let reply = chat.publish(&place, draft, known).await?;
    Ok(Response::json(POST.status, &reply))
}

impl<H: Ports, S: Store> Chat<'_, H, S> {
    /// Appends the draft and pushes it, when it was not there yet.
    pub(crate) async fn publish(
        &self,
        place: &Place,
        draft: Draft,
        known: Option<crate::tail::Tail>,
    ) -> Result<MessageReply, Refusal> {
        let held = self.author(place).await?;
        let appended = self.append(place, held, &draft, known).await?;
        let Appended {
            stored,
            is_new,
            mut author,
        } = appended;
        let tail = self.tails.seal(&place.key, &stored.tail());
        let message = stored.message;
        if is_new {
            let event = ChatEvent::Posted {
                message: message.clone(),
                tail: tail.clone(),
            };
            self.push(place, &mut author, event).await;
        }
        Ok(MessageReply {
            message,
            tail: is_new.then_some(tail),
        })
    }

    /// The message of a request, checked and filtered.
    fn compose(&self, place: &Place, request: PostRequest) -> Result<Message, Refusal> {
        let contents = [&request.phrase, &request.notice].map(Option::is_some);
        let contents = contents.iter().filter(|some| **some).count();
        if contents + usize::from(request.text.is_some()) != 1 {
            return Err(body_invalid("Send one of text, phrase and notice."));
        }
        if request.mentions.len() > MAX_MENTIONS || request.attachments.len() > MAX_ATTACHMENTS {
            return Err(body_invalid("Send at most 16 mentions and 4 attachments."));
        }
        if !request.attachments.is_empty() && !self.rights.attachments {
            return Err(policy_refused("The player may not send attachments."));
        }
        if request.notice.is_some() && !place.may_moderate() {
            return Err(not_moderator("Send a text or a phrase, not a notice."));
        }
        if request.text.is_some() && self.rights.text != TextRight::Full {
            return Err(policy_refused("The player may send phrases only."));
        }
        let text = match request.text {
            Some(text) => Some(self.clean_text(text)?),
            None => None,
        };
        let is_notice = request.notice.is_some();
        Ok(Message {
            author: (!is_notice).then(|| self.me().clone()),
            name: self.claims.name.clone().filter(|_| !is_notice),
            platform: (!is_notice).then_some(self.rights.platform),
            text,
            phrase: request.phrase,
            system: request.notice.map(|phrase| SystemEvent::Notice { phrase }),
            reply_to: request.reply_to,
            mentions: request.mentions,
            attachments: request.attachments,
            ..empty()
        })
    }
}

/// A message that says nothing yet.
pub(crate) fn empty() -> Message {
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
