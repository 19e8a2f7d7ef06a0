//! The gateway, the functions behind it, and what watches both.

use std::collections::BTreeSet;

use serde_json::Value;

use super::plan::{Plan, fault, texts};
use crate::workspace::{list, text};

pub(super) fn throttling(plan: &Plan<'_>) -> Vec<String> {
    let mut faults = Vec::new();
    for stage in plan.of("aws_apigatewayv2_stage") {
        let values = &stage["values"];
        let default = list(values, "default_route_settings");
        if default.is_empty() {
            faults.push(fault(stage, "set default_route_settings with both limits"));
        }
        for settings in default.iter().chain(list(values, "route_settings")) {
            for limit in ["throttling_rate_limit", "throttling_burst_limit"] {
                if settings[limit].as_f64().is_none_or(|limit| limit <= 0.0) {
                    let what = format!("{limit} is 0 or missing: every request gets 429; set it");
                    faults.push(fault(stage, &what));
                }
            }
        }
    }
    faults
}

pub(super) fn logs(plan: &Plan<'_>) -> Vec<String> {
    let mut faults = Vec::new();
    let mut groups = BTreeSet::new();
    for group in plan.of("aws_cloudwatch_log_group") {
        groups.insert(text(&group["values"], "name"));
        if group["values"]["retention_in_days"]
            .as_u64()
            .is_none_or(|days| days == 0)
        {
            faults.push(fault(
                group,
                "set retention_in_days: its lines are kept for ever",
            ));
        }
    }
    for function in plan.of("aws_lambda_function") {
        if !groups.contains(text(&function["values"]["logging_config"][0], "log_group")) {
            faults.push(fault(
                function,
                "set logging_config.log_group to a group of ours",
            ));
        }
    }
    for (policy, statement) in plan.statements() {
        if texts(&statement["Action"]).contains("logs:CreateLogGroup") {
            faults.push(fault(
                policy,
                "take out logs:CreateLogGroup: such a group never expires",
            ));
        }
    }
    faults
}

pub(super) fn callers(plan: &Plan<'_>) -> Vec<String> {
    let mut faults = Vec::new();
    let pair = |values: &Value, name: &str| {
        let function = text(values, "function_name").to_owned();
        (function, text(values, name).to_owned())
    };
    let permissions: Vec<&Value> = plan.of("aws_lambda_permission").collect();
    let aliases: BTreeSet<_> = plan
        .of("aws_lambda_alias")
        .map(|alias| pair(&alias["values"], "name"))
        .collect();
    for permission in &permissions {
        if !aliases.contains(&pair(&permission["values"], "qualifier")) {
            faults.push(fault(
                permission,
                "set qualifier to the name of the function's alias, which is what is called",
            ));
        }
    }
    for (function, name) in aliases {
        let is_its = |permission: &&&Value| {
            let values = &permission["values"];
            values["principal"] == "apigateway.amazonaws.com"
                && pair(values, "qualifier") == (function.clone(), name.clone())
        };
        if !permissions.iter().any(|it| is_its(&it)) {
            faults.push(format!(
                "{function}:{name}: no aws_lambda_permission lets the gateway call it: requests \
                 end as 500"
            ));
        }
    }
    faults
}

/// A checker that asks the shared name may ask the other region, and one that asks AWS's own
/// address asks one that is switched off.
pub(super) fn names(plan: &Plan<'_>) -> Vec<String> {
    let domains = plan.of("aws_apigatewayv2_domain_name");
    let domains: BTreeSet<&str> = domains
        .map(|domain| text(&domain["values"], "domain_name"))
        .collect();
    let shared = plan.of("aws_route53_record").filter(|record| {
        let routing = list(&record["values"], "latency_routing_policy");
        !routing.is_empty()
    });
    let shared: BTreeSet<&str> = shared
        .map(|record| text(&record["values"], "name"))
        .collect();
    let mut faults = Vec::new();
    for check in plan.of("aws_route53_health_check") {
        let name = text(&check["values"], "fqdn");
        if !domains.contains(name) || shared.contains(name) {
            let what = format!("{name} is not the name of this region alone at the gateway");
            faults.push(fault(check, &what));
        }
        if list(&check["values"], "regions").len() > 3 {
            faults.push(fault(check, "three checkers do: each request is paid for"));
        }
    }
    for api in plan.of("aws_apigatewayv2_api") {
        if !domains.is_empty() && api["values"]["disable_execute_api_endpoint"] != true {
            let what = "switch AWS's own address off: it goes past every evacuation";
            faults.push(fault(api, what));
        }
    }
    faults
}

/// Metrics as AWS names them, with their dimensions. With any other name an alarm is always well.
const METRICS: &[(&str, &str, &[&str])] = &[
    ("AWS/ApiGateway", "5xx", &["ApiId"]),
    ("AWS/ApiGateway", "Count", &["ApiId"]),
    ("AWS/ApiGateway", "Latency", &["ApiId"]),
    (
        "AWS/AutoScaling",
        "GroupTerminatingInstances",
        &["AutoScalingGroupName"],
    ),
    ("AWS/DynamoDB", "ReadThrottleEvents", &["TableName"]),
    (
        "AWS/DynamoDB",
        "ReplicationLatency",
        &["ReceivingRegion", "TableName"],
    ),
    ("AWS/DynamoDB", "WriteThrottleEvents", &["TableName"]),
    ("AWS/Lambda", "ConcurrentExecutions", &[]),
    ("AWS/Lambda", "Errors", &["FunctionName", "Resource"]),
    ("AWS/Lambda", "Throttles", &["FunctionName", "Resource"]),
];

pub(super) fn alarms(plan: &Plan<'_>) -> Vec<String> {
    let mut faults = Vec::new();
    for alarm in plan.of("aws_cloudwatch_metric_alarm") {
        let values = &alarm["values"];
        // What missing data mean must be said: "missing" is what nobody thought about.
        if !matches!(
            text(values, "treat_missing_data"),
            "breaching" | "notBreaching"
        ) {
            faults.push(fault(
                alarm,
                "say what missing data mean: treat_missing_data",
            ));
        }
        let queries = list(values, "metric_query").iter();
        let of_queries = queries.filter_map(|query| list(query, "metric").first());
        let own = Some(values).filter(|values| values["metric_name"].is_string());
        for metric in of_queries.chain(own) {
            // Values may be known later; names are known.
            let dimensions = metric["dimensions"].as_object();
            let names = dimensions
                .into_iter()
                .flatten()
                .map(|(name, _)| name.as_str());
            let names: Vec<&str> = names.collect();
            let is_it = |(namespace, name, wanted): &&(&str, &str, &[&str])| {
                *namespace == text(metric, "namespace")
                    && *name == text(metric, "metric_name")
                    && names.iter().all(|name| wanted.contains(name))
            };
            if !METRICS.iter().any(|known| is_it(&known)) {
                let name = text(metric, "metric_name");
                faults.push(fault(
                    alarm,
                    &format!("no metric {name} with {names:?} is known"),
                ));
            }
        }
    }
    faults
}
