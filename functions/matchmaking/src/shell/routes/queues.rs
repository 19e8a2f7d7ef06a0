//! Queues: their rules, and their passes when nobody asks.

use edge::Refusal;
use edge::http::{Call, Response};
use edge::ports::{Clock, Entropy, Timer};
use edge::store::Store;
use wire::QueueName;
use wire::matching::{QueueRules, TickReply};
use wire::routes::{QUEUE_RULES, RULES, TICK};

use crate::shell::{lane, pass, queue};

/// `GET /v1/match/queues/{queue}`.
pub(super) async fn show(store: &impl Store, call: &Call<'_>) -> Result<Response, Refusal> {
    let (name, now_ms) = (call.parameter(0)?, call.caller()?.now_ms);
    let rules = queue::rules(store, now_ms, &name).await?;
    Ok(Response::json(QUEUE_RULES.status, &rules))
}

/// `PUT /v1/match/queues/{queue}`.
pub(super) async fn set(store: &impl Store, call: &Call<'_>) -> Result<Response, Refusal> {
    let name: QueueName = call.parameter(0)?;
    let rules: QueueRules = call.body()?;
    match call.request.query_value("check") {
        Some(_) => queue::check(&rules)?,
        None => queue::set(store, call.caller()?.now_ms, &name, &rules).await?,
    }
    Ok(Response::json(RULES.status, &rules))
}

/// `POST /v1/match/queues/{queue}/tick`.
pub(super) async fn tick(
    host: &(impl Clock + Entropy + Timer),
    store: &impl Store,
    call: &Call<'_>,
) -> Result<Response, Refusal> {
    let now_ms = call.caller()?.now_ms;
    let queue = queue::of_path(store, now_ms, call).await?;
    let mut reply = TickReply::default();
    for lane in 0..queue.lanes {
        let held = lane::lease(store, now_ms, &queue.name, lane).await?;
        if let Some(turn) = lane::take_turn(store, now_ms, &queue.name, lane, held).await? {
            reply.passes += 1;
            reply.matches += pass::go_through(host, store, now_ms, &queue, lane, turn).await?;
        }
    }
    Ok(Response::json(TICK.status, &reply))
}
