//! One push: an event as text on its way to the members of a channel who are on one shard.

use std::pin::pin;
use std::task::Poll;

use chat_channel::way::Way;
use edge::relays::{self, Address, Delivery, Secrets};
use wire::channel::RelayMessage;
use wire::chat::{ChatChannel, ChatEvent};
use wire::control::{ControlCommand, PushAuthor, PushTarget};
use wire::limits::MAX_MESSAGE_BYTES;

use crate::Ports;

/// Longest time that a push may take of a request, in milliseconds.
const PUSH_MS: u64 = 500;
/// Most bytes of a control message around the text, and of each player whom its author blocks.
const FRAME_BYTES: usize = 512;
const BLOCKED_BYTES: usize = r#""00112233445566778899aabbccddeeff","#.len();

/// Sends it; whether the relay took it.
pub(crate) async fn send<H: Ports>(
    host: &H,
    secrets: &Secrets,
    way: &Way,
    (to, message, author): (PushTarget, &str, Option<PushAuthor>),
) -> bool {
    let address = Address {
        shard: &way.shard,
        boot: way.boot,
        epoch: way.epoch,
        url: &way.url,
    };
    let command = ControlCommand::Push {
        to,
        message: message.to_owned(),
        author,
    };
    let mut sent = pin!(relays::send(host, secrets, address, command));
    let mut timeout = pin!(host.sleep(PUSH_MS));
    std::future::poll_fn(|context| {
        if let Poll::Ready(outcome) = sent.as_mut().poll(context) {
            return Poll::Ready(outcome == Delivery::Taken);
        }
        timeout.as_mut().poll(context).map(|()| false)
    })
    .await
}

/// The data-channel message; only its number when the whole would be too long for a control
/// message, whose text is escaped and in base64. `blocked` players are named beside it.
pub(crate) fn push_text(channel: &ChatChannel, event: ChatEvent, blocked: usize) -> String {
    let seq = match &event {
        ChatEvent::Posted { message, .. } | ChatEvent::Changed { message } => message.seq,
        _ => 0,
    };
    let text = |event: ChatEvent| {
        let message = RelayMessage::Chat {
            channel: channel.clone(),
            event: Box::new(event),
        };
        serde_json::to_string(&message).expect("our messages have string keys only")
    };
    let whole = text(event);
    let escapes = whole
        .bytes()
        .filter(|byte| matches!(byte, b'"' | b'\\'))
        .count();
    let beside = FRAME_BYTES + blocked * BLOCKED_BYTES;
    if (whole.len() + escapes + beside) * 4 / 3 <= MAX_MESSAGE_BYTES {
        return whole;
    }
    text(ChatEvent::Fetch { seq, within_ms: 0 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use chat_channel::message::empty;

    #[test]
    fn what_would_not_fit_into_a_control_message_is_to_be_fetched() {
        let channel = "room~lobby~main".parse().unwrap();
        let text = |length: usize, blocked| {
            let message = wire::chat::Message {
                seq: 7,
                text: Some("\"".repeat(length)),
                ..empty()
            };
            push_text(&channel, ChatEvent::Changed { message }, blocked)
        };
        assert!(text(100, 0).contains("changed"));
        assert!(text(2_500, 0).contains("changed"));
        assert!(text(2_500, 100).contains("fetch"));
        let short = text(10_000, 0);
        assert!(
            short.contains(r#"{"kind":"fetch","seq":7}"#),
            "{}",
            short.len()
        );
    }
}
