//! Does what was decided. Any step may be the last: the next run sees what is there and goes on.

use anyhow::Result;
use scaling::outlook::hour_of;
use scaling::schedule::Changes;
use scaling::{Act, Decision};
use serde_json::json;
use wire::fleet::ListedShard;

use super::read::{Group, shards_of};
use super::relays::Relays;
use crate::aws_cli::Aws;

/// Whom it asks, and for what.
pub(super) struct Doing<'a> {
    pub(super) aws: &'a dyn Aws,
    pub(super) edge: &'a dyn Relays,
    pub(super) group: &'a Group,
    pub(super) shards: &'a [ListedShard],
    pub(super) place: &'a str,
}

impl Doing<'_> {
    pub(super) fn all(&self, decision: &Decision, changes: &Changes) -> Result<()> {
        for act in &decision.acts {
            if let Act::Return { id } = act {
                self.drain(id, false)?;
            }
        }
        // Before anything is drained: a run that ends here is told by what it kept what it wanted.
        self.keep(decision)?;
        self.size(decision)?;
        // Those of earlier runs again: one of them may have ended before it said so.
        for id in decision.memory.drains.keys() {
            self.drain(id, true)?;
        }
        for act in &decision.acts {
            if let Act::End { id, shrinks, .. } = act {
                let input = json!({
                    "InstanceId": id, "ShouldDecrementDesiredCapacity": shrinks,
                });
                let operation = "terminate-instance-in-auto-scaling-group";
                self.aws.call("autoscaling", operation, &input)?;
            }
        }
        self.schedule(changes)
    }

    /// A shard that says already what is wanted of it is not asked.
    fn drain(&self, id: &str, draining: bool) -> Result<()> {
        for shard in shards_of(id, self.shards) {
            if shard.record.draining != draining {
                self.edge
                    .drain(shard.record.heartbeat.shard.as_str(), draining)?;
            }
        }
        Ok(())
    }

    fn keep(&self, decision: &Decision) -> Result<()> {
        let value = serde_json::to_string(&decision.memory)?;
        let input = json!({
            "Name": self.place, "Value": value, "Type": "String", "Overwrite": true,
        });
        self.aws.call("ssm", "put-parameter", &input).map(drop)
    }

    fn size(&self, decision: &Decision) -> Result<()> {
        let mut input = json!({ "AutoScalingGroupName": self.group.name });
        if decision.floor != self.group.least {
            input["MinSize"] = json!(decision.floor);
        }
        let grown = decision.acts.iter().find_map(|act| match act {
            Act::Grow { to, .. } => Some(*to),
            _ => None,
        });
        // A group that is still launching wants as many already.
        if let Some(to) = grown.filter(|to| *to > self.group.desired) {
            input["DesiredCapacity"] = json!(to);
        }
        if input.as_object().is_some_and(|input| input.len() > 1) {
            self.aws
                .call("autoscaling", "update-auto-scaling-group", &input)?;
        }
        Ok(())
    }

    fn schedule(&self, changes: &Changes) -> Result<()> {
        let group = &self.group.name;
        for name in &changes.delete {
            let input = json!({ "AutoScalingGroupName": group, "ScheduledActionName": name });
            self.aws
                .call("autoscaling", "delete-scheduled-action", &input)?;
        }
        for action in &changes.put {
            let start =
                finops::calendar::hour_text(hour_of(action.at_s)).replace(":00Z", ":00:00Z");
            let input = json!({
                "AutoScalingGroupName": group, "ScheduledActionName": action.name,
                "StartTime": start, "MinSize": action.floor,
            });
            let operation = "put-scheduled-update-group-action";
            self.aws.call("autoscaling", operation, &input)?;
        }
        Ok(())
    }
}
