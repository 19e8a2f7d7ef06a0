//! What holds data: tables and buckets, and that they stay.

use serde_json::Value;

use super::plan::{Plan, fault};
use crate::workspace::{list, text};

/// What holds data, or people who talk.
const KEPT: [&str; 6] = [
    "aws_autoscaling_group",
    "aws_backup_vault",
    "aws_dynamodb_table",
    "aws_route53_health_check",
    "aws_s3_bucket",
    "aws_vpc",
];

pub(super) fn kept(plan: &Plan<'_>) -> Vec<String> {
    let ends = |change: &&Value| {
        let change = *change;
        let actions = list(&change["change"], "actions");
        KEPT.contains(&text(change, "type"))
            && actions.iter().any(|action| action == "delete")
            && change["change"]["before"]["tags_all"]["Env"] == "prod"
    };
    let what = "it would be destroyed or replaced: drain it first, and take it out by hand";
    let changes = plan.changes.iter().filter(ends);
    changes.map(|change| fault(change, what)).collect()
}

/// Belongings of a bucket without which it is none of ours: they are in its module.
const OF_A_BUCKET: [&str; 4] = [
    "aws_s3_bucket_policy",
    "aws_s3_bucket_public_access_block",
    "aws_s3_bucket_server_side_encryption_configuration",
    "aws_s3_bucket_versioning",
];
const BLOCKS: [&str; 4] = [
    "block_public_acls",
    "block_public_policy",
    "ignore_public_acls",
    "restrict_public_buckets",
];

pub(super) fn buckets(plan: &Plan<'_>) -> Vec<String> {
    let mut faults = Vec::new();
    // `module.records.aws_s3_bucket.this`: its belongings have its name.
    for bucket in plan.of("aws_s3_bucket") {
        for kind in OF_A_BUCKET {
            let address = text(bucket, "address").replace("aws_s3_bucket", kind);
            if !plan.of(kind).any(|it| text(it, "address") == address) {
                faults.push(fault(bucket, &format!("make a {kind} of its name")));
            }
        }
    }
    for block in plan.of("aws_s3_bucket_public_access_block") {
        if BLOCKS.iter().any(|name| block["values"][*name] != true) {
            faults.push(fault(block, "set all four to true"));
        }
    }
    for versioning in plan.of("aws_s3_bucket_versioning") {
        if versioning["values"]["versioning_configuration"][0]["status"] != "Enabled" {
            faults.push(fault(versioning, "set status to Enabled"));
        }
    }
    faults
}

pub(super) fn tables(plan: &Plan<'_>) -> Vec<String> {
    let mut faults = Vec::new();
    for table in plan.of("aws_dynamodb_table") {
        let values = &table["values"];
        let mut want = |holds: bool, what: &str| {
            if !holds {
                faults.push(fault(table, what));
            }
        };
        let is_on = |block: &str| values[block][0]["enabled"] == true;
        want(
            is_on("point_in_time_recovery"),
            "set point_in_time_recovery.enabled",
        );
        want(
            is_on("server_side_encryption"),
            "set server_side_encryption.enabled",
        );
        want(
            is_on("ttl") && values["ttl"][0]["attribute_name"] == "ttl",
            "items expire by `ttl`",
        );
        for replica in list(values, "replica") {
            let is_kept = replica["point_in_time_recovery"] == true;
            want(
                is_kept,
                "set point_in_time_recovery of each replica: it is off unless asked for",
            );
            want(
                replica["propagate_tags"] == true,
                "set propagate_tags of each replica",
            );
        }
    }
    faults
}
