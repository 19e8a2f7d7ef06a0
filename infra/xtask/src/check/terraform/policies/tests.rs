//! Every rule holds for a small good plan, and each planted fault is found by the rule for it.

use serde_json::json;

use super::*;

fn permissions() -> Value {
    json!({ "chat": {
        "table": ["GetItem", "Query"], "partitions": ["chat#*", "regions"],
        "outbound": "relay_control_hosts",
    } })
}

fn policy(actions: &Value, resource: &str) -> String {
    let condition = json!({
        "ForAllValues:StringLike": { "dynamodb:LeadingKeys": ["chat#*", "regions"] },
        "Null": { "dynamodb:LeadingKeys": "false" },
    });
    let statement = json!({
        "Effect": "Allow", "Action": actions, "Resource": [resource], "Condition": condition,
    });
    json!({ "Statement": [statement] }).to_string()
}

fn trust(subject: &str) -> String {
    let condition = json!({ "StringEquals": {
        "token.actions.githubusercontent.com:aud": "sts.amazonaws.com",
        "token.actions.githubusercontent.com:sub": [subject],
    } });
    json!({ "Statement": [{
        "Action": "sts:AssumeRoleWithWebIdentity", "Principal": { "Federated": "arn" },
        "Condition": condition,
    }] })
    .to_string()
}

fn all_tags() -> Value {
    TAGS.iter()
        .map(|tag| ((*tag).to_owned(), json!("x")))
        .collect()
}

fn resource(kind: &str, values: Value) -> Value {
    let address = format!("module.m.{kind}.it");
    json!({ "address": address, "type": kind, "index": "chat", "values": values })
}

fn rule(kind: &str, protocol: &str, from: Value, cidr: &str) -> Value {
    let family = if cidr == "::/0" {
        "cidr_ipv6"
    } else {
        "cidr_ipv4"
    };
    let mut values = json!({ "ip_protocol": protocol, "from_port": from, "to_port": from });
    values[family] = json!(cidr);
    let mut rule = resource(&format!("aws_vpc_security_group_{kind}_rule"), values);
    rule["address"] = json!(format!("{protocol} {from} {cidr}"));
    rule
}

fn good() -> Value {
    let mut resources = of_the_edge();
    resources.extend(of_relays());
    resources.extend(of_data());
    let module = json!({ "resources": resources });
    json!({ "planned_values": { "root_module": { "child_modules": [module] } } })
}

fn of_the_edge() -> Vec<Value> {
    let limits = json!({ "throttling_rate_limit": 1, "throttling_burst_limit": 1 });
    let hosts = json!({ "LIFEVERSE_RELAY_CONTROL_HOSTS": "http://203.0.113.7:7411,http://*:7411" });
    vec![
        resource(
            "aws_apigatewayv2_stage",
            json!({
                "default_route_settings": [limits], "route_settings": [limits],
            }),
        ),
        resource(
            "aws_apigatewayv2_api",
            json!({ "disable_execute_api_endpoint": true }),
        ),
        resource(
            "aws_apigatewayv2_domain_name",
            json!({ "domain_name": "eu.voice.example.com" }),
        ),
        resource(
            "aws_route53_record",
            json!({
                "name": "voice.example.com", "latency_routing_policy": [{ "region": "eu" }],
            }),
        ),
        resource(
            "aws_route53_health_check",
            json!({
                "fqdn": "eu.voice.example.com", "regions": ["a", "b", "c"],
            }),
        ),
        resource(
            "aws_iam_role_policy",
            json!({
                "name": "permissions.json",
                "policy": policy(&json!(["dynamodb:GetItem", "dynamodb:Query"]), "arn"),
            }),
        ),
        resource(
            "aws_iam_role",
            json!({ "assume_role_policy": trust("repo:o/r:environment:prod") }),
        ),
        resource(
            "aws_cloudwatch_log_group",
            json!({ "name": "g", "retention_in_days": 7 }),
        ),
        resource(
            "aws_lambda_function",
            json!({
                "logging_config": [{ "log_group": "g" }], "environment": [{ "variables": hosts }],
            }),
        ),
        resource(
            "aws_lambda_alias",
            json!({ "function_name": "f", "name": "live" }),
        ),
        resource(
            "aws_lambda_permission",
            json!({
                "function_name": "f", "qualifier": "live", "principal": "apigateway.amazonaws.com",
            }),
        ),
        resource(
            "aws_cloudwatch_metric_alarm",
            json!({
                "namespace": "AWS/ApiGateway", "metric_name": "5xx", "dimensions": { "ApiId": "a" },
                "treat_missing_data": "notBreaching",
            }),
        ),
    ]
}

fn of_relays() -> Vec<Value> {
    let tagged = ["instance", "volume", "network-interface"]
        .map(|kind| json!({ "resource_type": kind, "tags": all_tags() }));
    let tags: Vec<Value> = TAGS
        .iter()
        .map(|tag| json!({ "key": tag, "value": "x", "propagate_at_launch": true }))
        .collect();
    let mut rules = Vec::new();
    for cidr in ["0.0.0.0/0", "::/0"] {
        rules.push(rule("ingress", "udp", json!(7410), cidr));
        rules.push(rule("ingress", "tcp", json!(7411), cidr));
        rules.push(rule("egress", "-1", Value::Null, cidr));
    }
    rules.extend([
        resource("aws_security_group", json!({ "ingress": [] })),
        resource("aws_launch_template", json!({
            "metadata_options": [{ "http_tokens": "required", "http_put_response_hop_limit": 1 }],
            "block_device_mappings": [{ "ebs": [{ "encrypted": "true" }] }],
            "image_id": "ami-1", "key_name": "", "tag_specifications": tagged,
        })),
        resource("aws_autoscaling_group", json!({
            "suspended_processes": ["AZRebalance"], "protect_from_scale_in": true,
            "capacity_rebalance": false, "max_instance_lifetime": 0, "instance_refresh": [],
            "desired_capacity": null, "force_delete": false, "tag": tags,
            "initial_lifecycle_hook": [{
                "lifecycle_transition": "autoscaling:EC2_INSTANCE_TERMINATING",
                "heartbeat_timeout": 300,
            }],
        })),
    ]);
    rules
}

fn of_data() -> Vec<Value> {
    let on = json!([{ "enabled": true, "attribute_name": "ttl" }]);
    vec![
        resource(
            "aws_dynamodb_table",
            json!({
                "tags_all": all_tags(), "point_in_time_recovery": on, "server_side_encryption": on,
                "ttl": on, "replica": [{ "point_in_time_recovery": true, "propagate_tags": true }],
            }),
        ),
        resource("aws_s3_bucket", json!({})),
        resource("aws_s3_bucket_policy", json!({})),
        resource(
            "aws_s3_bucket_server_side_encryption_configuration",
            json!({}),
        ),
        resource(
            "aws_s3_bucket_versioning",
            json!({
                "versioning_configuration": [{ "status": "Enabled" }],
            }),
        ),
        resource(
            "aws_s3_bucket_public_access_block",
            json!({
                "block_public_acls": true, "block_public_policy": true, "ignore_public_acls": true,
                "restrict_public_buckets": true,
            }),
        ),
    ]
}

/// Names of the rules that find something.
fn broken(plan: &Value) -> Vec<&'static str> {
    let permissions = permissions();
    let plan = Plan::new(plan, &permissions);
    let broken = RULES.iter().filter(|(_, rule)| !rule(&plan).is_empty());
    broken.map(|(name, _)| *name).collect()
}

fn with(kind: &str, path: &str, value: Value) -> Vec<&'static str> {
    let mut plan = good();
    let resource = resources(&mut plan)
        .iter_mut()
        .find(|it| it["type"] == kind);
    let values = &mut resource.expect("it is there")["values"];
    *values.pointer_mut(path).expect("it is there") = value;
    broken(&plan)
}

fn without(kind: &str) -> Vec<&'static str> {
    let mut plan = good();
    resources(&mut plan).retain(|it| it["type"] != kind);
    broken(&plan)
}

fn resources(plan: &mut Value) -> &mut Vec<Value> {
    let module = &mut plan["planned_values"]["root_module"]["child_modules"][0];
    module["resources"].as_array_mut().expect("a list")
}

#[test]
fn a_good_plan_breaks_no_rule() {
    assert_eq!(broken(&good()), [""; 0]);
}

#[test]
fn a_budget_of_another_amount_is_found() {
    let plan = |resources: Value| {
        json!({ "planned_values": { "root_module": { "child_modules": [
            { "resources": resources },
        ] } } })
    };
    let budget = |amount: &str, unit: &str| {
        let values = json!({ "limit_amount": amount, "time_unit": unit });
        plan(json!([{ "address": "b", "type": "aws_budgets_budget", "values": values }]))
    };
    let usd = json!(2000);
    assert_eq!(other_budgets(&budget("2000.0", "MONTHLY"), &usd), [""; 0]);
    for plan in [
        budget("2001", "MONTHLY"),
        budget("2000", "ANNUALLY"),
        budget("", "MONTHLY"),
        plan(json!([])),
    ] {
        assert_eq!(other_budgets(&plan, &usd).len(), 1, "{plan}");
    }
    assert_eq!(
        other_budgets(&budget("2000", "MONTHLY"), &Value::Null).len(),
        1
    );
}

#[test]
fn a_missing_tag_is_found() {
    let found = with("aws_dynamodb_table", "/tags_all/Owner", Value::Null);
    assert_eq!(found, ["everything that takes tags has ours"]);
}

#[test]
fn a_table_that_cannot_be_restored_read_or_cleaned_is_found() {
    for path in [
        "/point_in_time_recovery/0/enabled",
        "/server_side_encryption/0/enabled",
        "/ttl/0/enabled",
        "/replica/0/point_in_time_recovery",
        "/replica/0/propagate_tags",
    ] {
        let found = with("aws_dynamodb_table", path, json!(false));
        let rule = ["tables are restorable, encrypted and expire items"];
        assert_eq!(found, rule, "{path}");
    }
}

#[test]
fn a_gateway_that_refuses_everything_is_found() {
    let rule = ["no gateway refuses every request"];
    for path in [
        "/default_route_settings/0/throttling_rate_limit",
        "/route_settings/0/throttling_burst_limit",
    ] {
        for value in [json!(0), Value::Null] {
            assert_eq!(with("aws_apigatewayv2_stage", path, value), rule, "{path}");
        }
    }
    let path = "/default_route_settings";
    assert_eq!(with("aws_apigatewayv2_stage", path, json!([])), rule);
}

#[test]
fn an_action_too_many_or_too_few_is_found() {
    let rule = ["functions may do what permissions.json says, no less and no more"];
    for actions in [
        json!(["dynamodb:GetItem"]),
        json!(["dynamodb:GetItem", "dynamodb:Query", "dynamodb:Scan"]),
    ] {
        let policy = json!(policy(&actions, "arn"));
        assert_eq!(with("aws_iam_role_policy", "/policy", policy), rule);
    }
}

#[test]
fn a_wildcard_is_found() {
    let good = json!(["dynamodb:GetItem", "dynamodb:Query"]);
    let all = json!(["dynamodb:GetItem", "dynamodb:Query", "ssm:*"]);
    for policy in [policy(&good, "*"), policy(&all, "arn")] {
        let found = with("aws_iam_role_policy", "/policy", json!(policy));
        assert_eq!(found, ["no policy has a wildcard"]);
    }
}

#[test]
fn logs_that_stay_for_ever_are_found() {
    let rule = ["logs end, and no function makes a group"];
    let path = "/retention_in_days";
    assert_eq!(with("aws_cloudwatch_log_group", path, json!(0)), rule);
    let path = "/logging_config/0/log_group";
    assert_eq!(with("aws_lambda_function", path, json!("theirs")), rule);
    let actions = json!(["dynamodb:GetItem", "dynamodb:Query", "logs:CreateLogGroup"]);
    let policy = json!(policy(&actions, "arn"));
    assert_eq!(with("aws_iam_role_policy", "/policy", policy), rule);
}

#[test]
fn a_partition_too_many_or_too_few_is_found() {
    let rule = ["functions may do what permissions.json says, no less and no more"];
    let actions = json!(["dynamodb:GetItem", "dynamodb:Query"]);
    let good = policy(&actions, "arn");
    for (what, instead) in [
        (r#"["chat#*","regions"]"#, r#"["chat#*"]"#),
        (
            r#"["chat#*","regions"]"#,
            r#"["chat#*","home#*","regions"]"#,
        ),
        // For all values is true of none.
        (r#""Null":{"dynamodb:LeadingKeys":"false"}"#, r#""Null":{}"#),
        ("ForAllValues:StringLike", "StringLike"),
    ] {
        let bad = good.replace(what, instead);
        assert_ne!(bad, good);
        assert_eq!(
            with("aws_iam_role_policy", "/policy", json!(bad)),
            rule,
            "{instead}"
        );
    }
    // A policy of something else may not touch the table.
    assert_eq!(with("aws_iam_role_policy", "/name", json!("relay")), rule);
}

#[test]
fn a_bucket_that_is_open_or_forgets_is_found() {
    let rule = ["buckets are encrypted, versioned and private"];
    let block = "aws_s3_bucket_public_access_block";
    assert_eq!(with(block, "/block_public_policy", json!(false)), rule);
    let path = "/versioning_configuration/0/status";
    assert_eq!(
        with("aws_s3_bucket_versioning", path, json!("Suspended")),
        rule
    );
    for kind in [
        block,
        "aws_s3_bucket_policy",
        "aws_s3_bucket_server_side_encryption_configuration",
        "aws_s3_bucket_versioning",
    ] {
        assert_eq!(without(kind), rule, "{kind}");
    }
}

#[test]
fn an_end_of_data_or_people_in_production_is_found() {
    let change = |kind: &str, env: &str, actions: Value| {
        let before = json!({ "tags_all": { "Env": env } });
        let change = json!({ "before": before, "actions": actions });
        json!({ "address": "a", "type": kind, "change": change })
    };
    let found = |change: Value| {
        let mut plan = good();
        plan["resource_changes"] = json!([change]);
        broken(&plan)
    };
    let rule = ["nothing of production that holds data or people is destroyed"];
    let replaced = json!(["delete", "create"]);
    assert_eq!(
        found(change("aws_autoscaling_group", "prod", replaced.clone())),
        rule
    );
    assert_eq!(
        found(change("aws_dynamodb_table", "prod", json!(["delete"]))),
        rule
    );
    assert_eq!(
        found(change("aws_dynamodb_table", "dev", json!(["delete"]))),
        [""; 0]
    );
    assert_eq!(
        found(change("aws_dynamodb_table", "prod", json!(["update"]))),
        [""; 0]
    );
    assert_eq!(
        found(change("aws_lambda_permission", "prod", replaced)),
        [""; 0]
    );
}

#[test]
fn a_role_that_others_may_take_is_found() {
    let rule = ["who may take a role of CI is named whole"];
    let path = "/assume_role_policy";
    let of_all = trust("repo:o/*");
    let like = trust("repo:o/r:environment:prod").replace("StringEquals", "StringLike");
    let anybody = json!({ "Statement": [{ "Action": "sts:AssumeRole", "Principal": "*" }] });
    for policy in [of_all, like, anybody.to_string()] {
        assert_eq!(with("aws_iam_role", path, json!(policy)), rule, "{policy}");
    }
}

#[test]
fn a_checker_that_asks_elsewhere_is_found() {
    let rule = ["checkers ask names that the gateway has"];
    let check = "aws_route53_health_check";
    assert_eq!(with(check, "/fqdn", json!("voice.example.com")), rule);
    assert_eq!(with(check, "/regions", json!(["a", "b", "c", "d"])), rule);
    let path = "/disable_execute_api_endpoint";
    assert_eq!(with("aws_apigatewayv2_api", path, json!(false)), rule);
    // The name that both regions share.
    assert_eq!(
        with("aws_route53_record", "/name", json!("eu.voice.example.com")),
        rule
    );
}

#[test]
fn an_alarm_that_never_comes_is_found() {
    let rule = ["alarms are on metrics that exist, and say what silence means"];
    let alarm = "aws_cloudwatch_metric_alarm";
    // The names that REST APIs have.
    assert_eq!(with(alarm, "/metric_name", json!("5XXError")), rule);
    assert_eq!(with(alarm, "/dimensions", json!({ "ApiName": "a" })), rule);
    assert_eq!(with(alarm, "/treat_missing_data", json!("missing")), rule);
}

#[test]
fn an_open_port_too_many_is_found() {
    let rule = ["strangers reach the ports of relays and nothing else"];
    let ingress = "aws_vpc_security_group_ingress_rule";
    for port in [22, 7412, 8080] {
        let mut plan = good();
        let resources = resources(&mut plan);
        resources.push(super::tests::rule("ingress", "tcp", json!(port), "::/0"));
        assert_eq!(broken(&plan), rule, "{port}");
    }
    assert_eq!(with(ingress, "/to_port", json!(65535)), rule);
    let path = "/ingress";
    assert_eq!(
        with("aws_security_group", path, json!([{ "from_port": 22 }])),
        rule
    );
}

#[test]
fn flows_that_are_tracked_are_found() {
    let rule = ["flows of voice are not tracked"];
    let egress = "aws_vpc_security_group_egress_rule";
    assert_eq!(with(egress, "/ip_protocol", json!("udp")), rule);
    assert_eq!(with(egress, "/cidr_ipv4", json!("10.0.0.0/8")), rule);
    let ingress = "aws_vpc_security_group_ingress_rule";
    assert_eq!(with(ingress, "/cidr_ipv4", json!("198.51.100.0/24")), rule);
}

#[test]
fn a_relay_that_functions_do_not_reach_is_found() {
    let rule = ["functions are told the port at which they reach relays"];
    let path = "/environment/0/variables/LIFEVERSE_RELAY_CONTROL_HOSTS";
    for hosts in ["", "http://*:7412", "https://*:7411"] {
        assert_eq!(
            with("aws_lambda_function", path, json!(hosts)),
            rule,
            "{hosts}"
        );
    }
    let mut plan = good();
    resources(&mut plan).retain(|it| it["address"] != "tcp 7411 0.0.0.0/0");
    assert_eq!(broken(&plan), rule);
    let machine = json!({ "write_files": [{ "path": "/install.sh", "content": "relay" }] });
    let data = data_encoding::BASE64.encode(format!("#cloud-config\n{machine}").as_bytes());
    let mut plan = good();
    let template = resources(&mut plan).iter_mut();
    let template = template
        .into_iter()
        .find(|it| it["type"] == "aws_launch_template");
    template.expect("it is there")["values"]["user_data"] = json!(data);
    assert_eq!(broken(&plan), rule);
}

#[test]
fn a_machine_that_is_open_or_untagged_is_found() {
    let rule = ["machines have IMDSv2, encrypted disks, our tags and no key"];
    for (path, value) in [
        ("/metadata_options/0/http_tokens", json!("optional")),
        ("/metadata_options/0/http_put_response_hop_limit", json!(2)),
        ("/block_device_mappings/0/ebs/0/encrypted", json!("false")),
        ("/image_id", json!("resolve:ssm:/latest")),
        ("/key_name", json!("mine")),
        ("/tag_specifications/1/tags/CostCentre", Value::Null),
        (
            "/tag_specifications/2/resource_type",
            json!("launch-template"),
        ),
    ] {
        assert_eq!(with("aws_launch_template", path, value), rule, "{path}");
    }
}

#[test]
fn a_group_that_ends_calls_is_found() {
    let rule = ["groups end no machine that carries people"];
    for (path, value) in [
        ("/suspended_processes", json!([])),
        ("/protect_from_scale_in", json!(false)),
        ("/capacity_rebalance", json!(true)),
        ("/max_instance_lifetime", json!(86_400)),
        ("/instance_refresh", json!([{ "strategy": "Rolling" }])),
        ("/desired_capacity", json!(2)),
        ("/force_delete", json!(true)),
        ("/initial_lifecycle_hook", json!([])),
        ("/initial_lifecycle_hook/0/heartbeat_timeout", json!(60)),
        ("/tag/0/propagate_at_launch", json!(false)),
    ] {
        assert_eq!(with("aws_autoscaling_group", path, value), rule, "{path}");
    }
}

#[test]
fn what_a_further_region_changes_is_found() {
    let plan = |values: &[(&str, Value)]| {
        let of =
            |(address, values): &(&str, Value)| json!({ "address": address, "values": values });
        let resources: Vec<Value> = values.iter().map(of).collect();
        json!({ "planned_values": { "root_module": { "resources": resources } } })
    };
    let hosts = |text: &str| json!({ "list": [1, 2], "json": text, "hosts": "a,b" });
    let two = plan(&[
        ("a", hosts(r#"{"allow":["eu"]}"#)),
        ("b", json!({ "size": 1 })),
    ]);
    let more = json!({ "list": [1, 2, 3], "json": r#"{"allow":["eu","ap"]}"#, "hosts": "a,c,b" });
    let three = plan(&[("a", more), ("b", json!({ "size": 1 })), ("c", json!({}))]);
    assert_eq!(not_added(&two, &three), [""; 0]);
    assert_eq!(
        not_added(&three, &two).len(),
        2,
        "less is in a, and c is gone"
    );
    let other = plan(&[
        ("a", hosts(r#"{"allow":["us"]}"#)),
        ("b", json!({ "size": 2 })),
    ]);
    let found = not_added(&two, &other);
    assert_eq!(found, ["a: it is another one", "b: it is another one"]);
}

#[test]
fn a_size_that_would_be_set_back_is_found() {
    let plan = |before: u32, after: u32| {
        let change = json!({
            "before": { "desired_capacity": before, "min_size": 0 },
            "after": { "desired_capacity": after, "min_size": 0 },
        });
        let kind = "aws_autoscaling_group";
        json!({ "resource_changes": [{ "address": "a", "type": kind, "change": change }] })
    };
    assert_eq!(capacity_moved(&plan(5, 5)), [""; 0]);
    assert_eq!(capacity_moved(&plan(5, 1)).len(), 1);
}

#[test]
fn a_caller_without_permission_is_found() {
    let rule = ["who calls an alias is permitted to call the alias"];
    for (path, value) in [
        ("/qualifier", Value::Null),
        ("/qualifier", json!("blue")),
        ("/principal", json!("events.amazonaws.com")),
    ] {
        assert_eq!(with("aws_lambda_permission", path, value), rule, "{path}");
    }
}

#[test]
fn a_second_plan_changes_nothing_but_what_is_known() {
    let change = |address: &str, actions: Value| {
        let change = json!({ "actions": actions });
        json!({ "address": address, "change": change })
    };
    let plan = json!({ "resource_changes": [
        change("a", json!(["no-op"])), change("b", json!(["update"])),
        change("c", json!(["delete", "create"])), change("d", json!(["update"])),
        change("e", json!(["create"])),
    ]});
    let found = unsettled(&plan, "# known\nd\ne\n");
    assert_eq!(found, ["b: update", "c: create and delete", "e: create"]);
}
