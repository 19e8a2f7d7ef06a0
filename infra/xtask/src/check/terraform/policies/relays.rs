//! Networks of relays, their machines and their groups.

use std::collections::BTreeSet;

use serde_json::Value;

use super::plan::{Plan, TAGS, fault, texts};
use crate::check::terraform::machine::files;
use crate::workspace::{list, text};

const EVERYBODY: [&str; 2] = ["0.0.0.0/0", "::/0"];
/// What strangers reach: protocol, first port, last port at most.
const OPEN: [(&str, i64, i64); 5] = [
    ("udp", 7410, 7410 + 127),
    ("tcp", 443, 443),
    ("tcp", CONTROL, CONTROL),
    // Fragmentation needed, and packet too big.
    ("icmp", 3, 4),
    ("icmpv6", 2, 0),
];
const CONTROL: i64 = 7411;

fn number(values: &Value, name: &str) -> i64 {
    values[name].as_i64().unwrap_or(-1)
}

fn everybody(values: &Value) -> Option<&str> {
    let cidrs = [text(values, "cidr_ipv4"), text(values, "cidr_ipv6")];
    cidrs.into_iter().find(|cidr| EVERYBODY.contains(cidr))
}

pub(super) fn ingress(plan: &Plan<'_>) -> Vec<String> {
    let mut faults = Vec::new();
    for rule in plan.of("aws_vpc_security_group_ingress_rule") {
        let values = &rule["values"];
        let (from, to) = (number(values, "from_port"), number(values, "to_port"));
        let is_open = |(protocol, first, last): &(&str, i64, i64)| {
            *protocol == text(values, "ip_protocol") && from == *first && to <= *last
        };
        if everybody(values).is_some() && !OPEN.iter().any(is_open) {
            let what =
                format!("strangers would reach {from} to {to}: only relays' ports are theirs");
            faults.push(fault(rule, &what));
        }
    }
    // Rules of another form would go past the one above.
    for kind in ["aws_security_group", "aws_default_security_group"] {
        for group in plan.of(kind) {
            if !list(&group["values"], "ingress").is_empty() {
                let what = "write aws_vpc_security_group_ingress_rule in place of ingress blocks";
                faults.push(fault(group, what));
            }
        }
    }
    for rule in plan.of("aws_security_group_rule") {
        let what = "write aws_vpc_security_group_ingress_rule in its place";
        faults.push(fault(rule, what));
    }
    faults
}

/// Only where everybody may send in and everything may go out, in both families, AWS tracks
/// nothing.
pub(super) fn untracked(plan: &Plan<'_>) -> Vec<String> {
    let media = plan
        .of("aws_vpc_security_group_ingress_rule")
        .filter(|rule| rule["values"]["ip_protocol"] == "udp")
        .filter_map(|rule| everybody(&rule["values"]));
    let media: BTreeSet<&str> = media.collect();
    if plan.of("aws_autoscaling_group").next().is_none() && media.is_empty() {
        return Vec::new();
    }
    let out = plan
        .of("aws_vpc_security_group_egress_rule")
        .filter(|rule| rule["values"]["ip_protocol"] == "-1")
        .filter_map(|rule| everybody(&rule["values"]));
    let out: BTreeSet<&str> = out.collect();
    let mut faults = Vec::new();
    for cidr in EVERYBODY {
        if !media.contains(cidr) {
            faults.push(format!("voice: no rule lets {cidr} in by UDP"));
        }
        if !out.contains(cidr) {
            faults.push(format!(
                "voice: no rule lets everything out to {cidr}, so every flow is tracked, and over \
                 a hidden number of them new players hear nothing"
            ));
        }
    }
    faults
}

/// What chat and signalling are told, the rule that lets them in, and what relays tell the fleet.
pub(super) fn reached(plan: &Plan<'_>) -> Vec<String> {
    if plan.of("aws_launch_template").next().is_none() {
        return Vec::new();
    }
    let mut faults = Vec::new();
    let rules = plan.of("aws_vpc_security_group_ingress_rule");
    let is_let_in = rules.into_iter().any(|rule| {
        let values = &rule["values"];
        everybody(values) == Some(EVERYBODY[0]) && number(values, "from_port") == CONTROL
    });
    if !is_let_in {
        faults.push(format!(
            "no rule lets functions, which have no fixed address, in at {CONTROL}"
        ));
    }
    for function in plan.of("aws_lambda_function") {
        let name = text(function, "index");
        if plan.permissions[name]["outbound"] != "relay_control_hosts" {
            continue;
        }
        let variables = &function["values"]["environment"][0]["variables"];
        let hosts = text(variables, "LIFEVERSE_RELAY_CONTROL_HOSTS");
        if !hosts
            .split(',')
            .any(|host| host == format!("http://*:{CONTROL}"))
        {
            let what = format!("LIFEVERSE_RELAY_CONTROL_HOSTS has no http://*:{CONTROL}");
            faults.push(fault(function, &what));
        }
    }
    for template in plan.of("aws_launch_template") {
        let files = files(template);
        let tells = format!("--control-url http://$public:{CONTROL}");
        let is_told = |files: &Vec<(String, String)>| {
            files.iter().any(|(_, content)| content.contains(&tells))
        };
        if files.is_some_and(|files| !is_told(&files)) {
            faults.push(fault(template, &format!("its relay does not say {tells}")));
        }
    }
    faults
}

pub(super) fn machines(plan: &Plan<'_>) -> Vec<String> {
    let mut faults = Vec::new();
    for template in plan.of("aws_launch_template") {
        let values = &template["values"];
        let mut want = |holds: bool, what: &str| {
            if !holds {
                faults.push(fault(template, what));
            }
        };
        let metadata = &values["metadata_options"][0];
        want(
            metadata["http_tokens"] == "required",
            "set http_tokens to required",
        );
        let is_near = metadata["http_put_response_hop_limit"] == 1;
        want(is_near, "set http_put_response_hop_limit to 1");
        let disks = list(values, "block_device_mappings");
        let is_encrypted = |disk: &Value| disk["ebs"][0]["encrypted"] == "true";
        want(
            !disks.is_empty() && disks.iter().all(is_encrypted),
            "encrypt its disks",
        );
        want(
            text(values, "key_name").is_empty(),
            "take key_name out: nobody comes by SSH",
        );
        want(
            text(values, "image_id").starts_with("ami-"),
            "name its image by id",
        );
        let tagged = list(values, "tag_specifications");
        for kind in ["instance", "volume", "network-interface"] {
            let own = tagged.iter().find(|it| it["resource_type"] == kind);
            let has = |tag: &&str| own.is_some_and(|own| own["tags"][*tag].is_string());
            want(TAGS.iter().all(has), &format!("give each {kind} all tags"));
        }
    }
    faults
}

pub(super) fn groups(plan: &Plan<'_>) -> Vec<String> {
    let mut faults = Vec::new();
    for group in plan.of("aws_autoscaling_group") {
        let values = &group["values"];
        let mut want = |holds: bool, what: &str| {
            if !holds {
                faults.push(fault(group, what));
            }
        };
        let suspended = texts(&values["suspended_processes"]);
        want(suspended.contains("AZRebalance"), "suspend AZRebalance");
        want(
            values["protect_from_scale_in"] == true,
            "set protect_from_scale_in",
        );
        want(
            values["capacity_rebalance"] != true,
            "take capacity_rebalance out",
        );
        let age = values["max_instance_lifetime"].as_u64().unwrap_or(0);
        want(age == 0, "take max_instance_lifetime out");
        let refresh = list(values, "instance_refresh");
        want(
            refresh.is_empty(),
            "take instance_refresh out: a change of colour drains",
        );
        want(
            values["desired_capacity"].is_null(),
            "take desired_capacity out: an apply would end machines with people on them",
        );
        let tags = list(values, "tag");
        let of = |name: &str| tags.iter().find(|tag| tag["key"] == name);
        let is_dev = of("Env").is_some_and(|tag| tag["value"] == "dev");
        want(
            is_dev || values["force_delete"] != true,
            "take force_delete out: nobody is drained",
        );
        let hook = &values["initial_lifecycle_hook"][0];
        let waits = hook["lifecycle_transition"] == "autoscaling:EC2_INSTANCE_TERMINATING"
            && number(hook, "heartbeat_timeout") > 75;
        want(
            waits,
            "add a hook that waits longer than a drain, 75 s, when a machine ends",
        );
        let has = |name: &&str| of(name).is_some_and(|tag| tag["propagate_at_launch"] == true);
        want(TAGS.iter().all(has), "hand all tags on to machines");
    }
    faults
}
