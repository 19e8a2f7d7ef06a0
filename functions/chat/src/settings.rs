//! Settings of a channel: a system message whose settings hold from it on.

use chat_channel::access::{Access, Intent, body, body_invalid};
use chat_channel::audit::{Act, Trail, nonce};
use chat_channel::message::empty;
use edge::http::{Call, Response};
use edge::store::Store;
use edge::{Refusal, config};
use wire::chat::{AuditAction, ChannelSettings, Message, MessageReply, SystemEvent};
use wire::routes::SET_SETTINGS;

use crate::Ports;
use crate::post::publish;
use crate::tail::TailKey;
use crate::world;
use crate::writer::{Draft, Writer};

/// Longest slow mode, in seconds.
const MAX_SLOW_S: u16 = 6 * 60 * 60;

/// `PUT /v1/chat/channels/{channel}/settings`.
pub(crate) async fn settings<H: Ports, S: Store>(
    host: &H,
    store: &S,
    call: &Call<'_>,
) -> Result<Response, Refusal> {
    let access = &Access::of(host, call).await?;
    let place = &access.place(call.parameter(0)?, Intent::Moderate)?;
    let settings: ChannelSettings = body(call)?;
    if settings.slow_s > MAX_SLOW_S {
        return Err(body_invalid(format!("Set slow_s to at most {MAX_SLOW_S}.")));
    }
    world::check(store, access.now_ms, &place.channel).await?;
    let writer = Writer::of(host, store, access, place);
    let last = writer.log().last().await?;
    if let Some(last) = last.filter(|last| last.settings == settings) {
        // They hold already: a retry, or two moderators of one mind.
        let reply = MessageReply {
            message: last.message,
            tail: None,
        };
        return Ok(Response::json(SET_SETTINGS.status, &reply));
    }
    let act = Act::new(AuditAction::Settings);
    Trail::of(host, store, access).note(&place.key, act).await?;
    let draft = Draft {
        key: nonce(host),
        message: Message {
            system: Some(SystemEvent::Settings { settings }),
            ..empty()
        },
        settings: Some(settings),
    };
    let tails = TailKey::new(&config::tail_secret(host).await?);
    let reply = publish(&writer, &tails, &draft, None).await?;
    Ok(Response::json(SET_SETTINGS.status, &reply))
}
