//! Every rule holds for a small good plan, and each planted fault is found by the rule for it.

use serde_json::json;

use super::*;

fn permissions() -> Value {
    json!({ "chat": { "table": ["GetItem", "Query"] } })
}

fn policy(actions: &Value, resource: &str) -> String {
    let statement = json!({ "Effect": "Allow", "Action": actions, "Resource": [resource] });
    json!({ "Statement": [statement] }).to_string()
}

fn good() -> Value {
    let tags: Value = TAGS
        .iter()
        .map(|tag| ((*tag).to_owned(), json!("x")))
        .collect();
    let on = json!([{ "enabled": true, "attribute_name": "ttl" }]);
    let limits = json!({ "throttling_rate_limit": 1, "throttling_burst_limit": 1 });
    let resource = |kind: &str, values: Value| {
        let address = format!("{kind}.it");
        json!({ "address": address, "type": kind, "index": "chat", "values": values })
    };
    json!({ "planned_values": { "root_module": { "child_modules": [{ "resources": [
        resource("aws_dynamodb_table", json!({
            "tags_all": tags, "point_in_time_recovery": on, "server_side_encryption": on,
            "ttl": on, "replica": [{ "point_in_time_recovery": true, "propagate_tags": true }],
        })),
        resource("aws_apigatewayv2_stage", json!({
            "default_route_settings": [limits], "route_settings": [limits],
        })),
        resource("aws_iam_role_policy", json!({
            "policy": policy(&json!(["dynamodb:GetItem", "dynamodb:Query"]), "arn"),
        })),
        resource("aws_cloudwatch_log_group", json!({ "name": "g", "retention_in_days": 7 })),
        resource("aws_lambda_function", json!({ "logging_config": [{ "log_group": "g" }] })),
        resource("aws_lambda_alias", json!({ "function_name": "f", "name": "live" })),
        resource("aws_lambda_permission", json!({
            "function_name": "f", "qualifier": "live", "principal": "apigateway.amazonaws.com",
        })),
    ]}]}}})
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
    let resources = &mut plan["planned_values"]["root_module"]["child_modules"][0]["resources"];
    let resources = resources.as_array_mut().expect("a list");
    let resource = resources.iter_mut().find(|it| it["type"] == kind);
    let values = &mut resource.expect("it is there")["values"];
    *values.pointer_mut(path).expect("it is there") = value;
    broken(&plan)
}

#[test]
fn a_good_plan_breaks_no_rule() {
    assert_eq!(broken(&good()), [""; 0]);
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
