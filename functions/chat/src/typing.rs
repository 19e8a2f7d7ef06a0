//! Who types.

use chat_channel::access::{Access, Intent};
use edge::Refusal;
use edge::http::{Call, Response};
use edge::relays::Secrets;
use edge::store::Store;
use wire::chat::ChatEvent;
use wire::routes::TYPING;

use crate::Ports;
use crate::pusher::Pusher;
use crate::world;
use crate::writer::Writer;

/// `POST /v1/chat/channels/{channel}/typing`: tells the others, and keeps only that he may not say
/// so again at once.
pub(crate) async fn typing<H: Ports, S: Store>(
    host: &H,
    store: &S,
    call: &Call<'_>,
) -> Result<Response, Refusal> {
    let access = &Access::of(host, call).await?;
    let place = &access.place(call.parameter(0)?, Intent::Write)?;
    world::check(store, access.now_ms, &place.channel).await?;
    let writer = Writer::of(host, store, access, place);
    let mut held = writer.author().await?;
    held.value.check(access.now_ms)?;
    held.value.type_now(access.now_ms)?;
    writer.refresh_way(&mut held.value).await;
    writer.keep(&mut held).await?;
    let event = ChatEvent::Typing {
        player: access.me().clone(),
    };
    let secrets = Secrets::read(host).await?;
    let pusher = Pusher::of(&writer, &secrets);
    pusher.push(&place.channel, &mut held.value, event).await;
    Ok(Response::empty(TYPING.status))
}
