//! A relay's key is in other hands: its shards are refused, and its rooms move.

use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;
use serde_json::json;
use wire::fleet::ListedShard;

use super::times::{Times, wait_until};
use crate::curl::Edge;
use crate::scale::{OfEdge, Relays as _, shards_of};
use crate::workspace::Workspace;

/// Whose keys.
#[derive(Debug, Args)]
pub(crate) struct Flags {
    /// Name of the relay: on AWS the id of its instance
    #[arg(long, value_name = "NAME")]
    relay: String,

    /// Refuse them; else it says what would be done
    #[arg(long)]
    apply: bool,

    #[command(flatten)]
    edge: Edge,
}

/// A shard whose heartbeats are refused is not live after ten seconds.
const LIMIT: Duration = Duration::from_secs(60);

pub(super) fn run(workspace: &Workspace, flags: &Flags) -> Result<()> {
    let edge = OfEdge::new(workspace, &flags.edge)?;
    let listed = edge.list()?;
    let shards = names(&flags.relay, &listed)?;
    println!("shards of {}: {}", flags.relay, shards.join(", "));
    if !flags.apply {
        println!("Nothing was changed; --apply refuses their keys.");
        return Ok(());
    }
    let mut times = Times::start();
    for shard in &shards {
        let path = format!("/v1/relays/{shard}/revocation");
        let reply = edge.ask("PUT", &path, &json!({}))?;
        times.done(&format!(
            "{shard}: keys below epoch {} are refused",
            reply["least_epoch"]
        ));
    }
    wait_until(
        "no shard of it is live",
        Duration::from_millis(500),
        LIMIT,
        || {
            let listed = edge.list()?;
            Ok(shards_of(&flags.relay, &listed).iter().all(|it| !it.live))
        },
    )?;
    times.done("no shard of it is live: its rooms move with their next joins");
    println!(
        "Now end the machine (aws autoscaling terminate-instance-in-auto-scaling-group \
         --no-should-decrement-desired-capacity --instance-id {0}): another one enrols by itself. \
         To let {0} in anew instead: DELETE /v1/relays/{0}/enrolment, and infra/ops/KEYS.md.",
        flags.relay
    );
    Ok(())
}

fn names(relay: &str, listed: &[ListedShard]) -> Result<Vec<String>> {
    let shards = shards_of(relay, listed);
    if shards.is_empty() {
        let known = listed
            .iter()
            .map(|it| it.record.heartbeat.shard.to_string());
        let known: Vec<String> = known.take(20).collect();
        bail!(
            "no shard of {relay} is known; there are: {}",
            known.join(", ")
        );
    }
    let names = shards
        .iter()
        .map(|it| it.record.heartbeat.shard.to_string());
    Ok(names.collect())
}
