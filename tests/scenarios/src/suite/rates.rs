//! How often a token may ask.

use anyhow::{Context, Result, ensure};
use hyper::Method;
use serde_json::json;
use wire::routes::Class;

use crate::requests::OFFER;
use crate::shard::Shard;
use crate::target::Target;

/// Joins of one token, many more than it may; Lambda's functions count each for itself.
const JOINS: usize = 100;

pub(super) async fn of_a_token(target: &Target) -> Result<()> {
    let _shard = Shard::start(target, "rates-0", "rates").await?;
    let rate = Class::Join.rate().context("joins have one")?;
    let body = json!({ "offer": OFFER, "region": "rates" });
    let path = "/v1/rooms/rates/sessions";
    let token = target.secrets.token("eager", "rates");
    let (mut joined, mut refused) = (0, 0);
    for n in 0..JOINS {
        let reply = target.call(Method::POST, path, &token, &body).await?;
        if reply.status == 201 {
            joined += 1;
            continue;
        }
        refused += 1;
        ensure!(reply.problem() == "too-fast", "join {n}: {reply:?}");
        for header in ["retry-after", "ratelimit", "ratelimit-policy"] {
            ensure!(
                reply.headers.contains_key(header),
                "no {header} in {reply:?}"
            );
        }
    }
    ensure!(joined >= rate.at_once, "{joined} of {rate:?}");
    let is_told = !target.counts_rates || refused > JOINS / 2;
    ensure!(is_told, "only {refused} were refused");
    let other = target.secrets.token("calm", "rates");
    target.expect(201, Method::POST, path, &other, body).await?;
    Ok(())
}
