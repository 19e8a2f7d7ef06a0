//! A region is lost: its homes go to those that are left. No control plane of AWS is asked.

use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;
use serde_json::Value;

use super::times::{Times, wait_until};
use crate::clock;
use crate::curl::Edge;
use crate::scale::OfEdge;
use crate::workspace::{Workspace, list};

/// Which region, told to whom.
#[derive(Debug, Args)]
pub(crate) struct Flags {
    /// The region, as the edge's list of home regions has it, such as eu-west-1
    #[arg(long, value_name = "NAME")]
    lost: String,

    /// It is back: give its homes back
    #[arg(long)]
    back: bool,

    #[command(flatten)]
    edge: Edge,
}

/// Functions look every 5 s, and a return takes 15 s.
const LIMIT: Duration = Duration::from_secs(60);

pub(super) fn run(workspace: &Workspace, flags: &Flags) -> Result<()> {
    let edge = OfEdge::new(workspace, &flags.edge)?;
    let mut times = Times::start();
    let regions = edge.ask("GET", "/v1/regions", &Value::Null)?;
    check(&regions, &flags.lost)?;
    let path = format!("/v1/regions/{}/evacuation", flags.lost);
    let method = if flags.back { "DELETE" } else { "PUT" };
    edge.ask(method, &path, &Value::Null)?;
    times.done("the record is written");
    let what = format!(
        "{} is {}",
        flags.lost,
        if flags.back { "back" } else { "given up" }
    );
    wait_until(&what, Duration::from_millis(500), LIMIT, || {
        let regions = edge.ask("GET", "/v1/regions", &Value::Null)?;
        Ok(is_gone(&regions, &flags.lost, clock::unix_seconds() * 1_000) != flags.back)
    })?;
    times.done(&format!("{what}; every function knows it within 5 s"));
    println!("What was lost with it: infra/ops/dr/region.md.");
    Ok(())
}

/// An edge in the lost region, or one that knows no such region, is the wrong one to ask.
fn check(regions: &Value, lost: &str) -> Result<()> {
    let known: Vec<&str> = list(regions, "regions")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    if !known.contains(&lost) {
        bail!(
            "this edge has no region {lost}; it has: {}",
            known.join(", ")
        );
    }
    if regions["here"] == lost {
        bail!("this edge is in {lost} itself: give --edge one of a region that is left");
    }
    Ok(())
}

/// Whether it is given up at a moment.
fn is_gone(regions: &Value, lost: &str, now_ms: u64) -> bool {
    let evacuation = &regions["evacuation"];
    let is_due = evacuation["at_ms"]
        .as_u64()
        .is_none_or(|at_ms| now_ms >= at_ms);
    let gone = list(evacuation, if is_due { "gone" } else { "before" });
    gone.iter().any(|it| it == lost)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_edge_of_the_lost_region_is_not_asked() {
        let regions = json!({ "here": "eu-west-1", "regions": ["eu-west-1", "us-east-1"] });
        check(&regions, "us-east-1").unwrap();
        let fault = check(&regions, "eu-west-1").unwrap_err().to_string();
        assert!(fault.contains("a region that is left"), "{fault}");
        let fault = check(&regions, "ap-southeast-1").unwrap_err().to_string();
        assert!(fault.contains("eu-west-1, us-east-1"), "{fault}");
    }

    #[test]
    fn a_return_counts_from_its_moment() {
        let regions =
            json!({ "evacuation": { "epoch": 2, "gone": [], "at_ms": 100, "before": ["eu"] } });
        assert!(is_gone(&regions, "eu", 99) && !is_gone(&regions, "eu", 100));
    }
}
