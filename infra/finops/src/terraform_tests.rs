use serde_json::json;

use super::*;

fn plan(resources: &[(&str, Value)]) -> Value {
    let resource = |(kind, values): &(&str, Value)| {
        let address = format!("module.x.{kind}.this");
        json!({ "address": address, "mode": "managed", "type": kind, "values": values })
    };
    let all: Vec<Value> = resources.iter().map(resource).collect();
    json!({ "planned_values": { "root_module": { "child_modules": [{ "resources": all }] } } })
}

fn estimated(resources: &[(&str, Value)], region: &str) -> Estimate {
    Estimate::of(&plan(resources), &Book::built_in(), region).unwrap()
}

#[test]
fn what_is_there_is_priced_by_the_month() {
    let found = estimated(
        &[
            ("aws_cloudwatch_metric_alarm", json!({ "metric_query": [] })),
            ("aws_route53_health_check", json!({})),
            ("aws_eip", json!({})),
            (
                "aws_launch_template",
                json!({ "instance_type": "c7g.large" }),
            ),
            (
                "aws_autoscaling_group",
                json!({ "desired_capacity": null, "min_size": 2 }),
            ),
            ("aws_dynamodb_table", json!({})),
            ("aws_s3_bucket_versioning", json!({})),
        ],
        "us-east-1",
    );
    let of = |kind: &str| found.monthly[&format!("module.x.{kind}.this")].text(2);
    assert_eq!(of("aws_cloudwatch_metric_alarm"), "0.10");
    assert_eq!(of("aws_route53_health_check"), "0.50");
    assert_eq!(of("aws_eip"), "3.65");
    // Two machines at 52.925 and their addresses at 3.65.
    assert_eq!(of("aws_autoscaling_group"), "113.15");
    assert_eq!(found.total().text(2), "117.40");
    assert_eq!(
        (found.free, found.unknown.len(), found.unpriced.len()),
        (3, 0, 0)
    );
}

#[test]
fn a_group_of_several_types_is_priced_by_the_first() {
    let types = json!([{ "instance_type": "c7g.large" }, { "instance_type": "c7g.medium" }]);
    let mixed = json!([{ "launch_template": [{ "override": types }] }]);
    let group = json!({ "min_size": 1, "mixed_instances_policy": mixed });
    let found = estimated(&[("aws_autoscaling_group", group)], "us-east-1");
    // 52.925 and the address.
    assert_eq!(
        (found.total().text(3), found.unpriced.len()),
        ("56.575".to_owned(), 0)
    );
}

#[test]
fn what_is_not_known_is_named() {
    let found = estimated(
        &[
            ("aws_nat_gateway", json!({})),
            (
                "aws_vpc_endpoint",
                json!({ "vpc_endpoint_type": "Interface" }),
            ),
            ("aws_instance", json!({ "instance_type": "u-24tb1.metal" })),
            ("aws_autoscaling_group", json!({ "min_size": 1 })),
            ("aws_eip", json!({})),
        ],
        "eu-central-1",
    );
    assert_eq!(
        found.unknown["aws_nat_gateway"],
        "module.x.aws_nat_gateway.this"
    );
    assert!(found.unknown.contains_key("aws_vpc_endpoint"));
    assert_eq!(found.unpriced.len(), 2, "{:?}", found.unpriced);
    assert!(found.unpriced[0].contains("no price of ec2-u-24tb1.metal"));
    assert!(found.unpriced[1].contains("its instance type is not known"));
    assert!(
        found
            .substituted
            .iter()
            .any(|missing| missing.region == "eu-central-1")
    );
}

#[test]
fn what_is_no_plan_is_said() {
    let fault =
        Estimate::of(&json!({ "resources": [] }), &Book::built_in(), "us-east-1").unwrap_err();
    assert!(fault.contains("terraform show -json"), "{fault}");
    let mut deep = json!({ "resources": [] });
    for _ in 0..100 {
        deep = json!({ "child_modules": [deep] });
    }
    let plan = json!({ "planned_values": { "root_module": deep } });
    assert_eq!(
        Estimate::of(&plan, &Book::built_in(), "us-east-1"),
        Ok(Estimate::default())
    );
}
