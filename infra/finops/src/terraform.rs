//! What a Terraform plan costs a month by being there: from `terraform show -json`. What it costs
//! by being used is in the records. Resources of which nothing is known are named, never passed
//! over.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::book::{AWS, Book, HOME_REGION, MONTH_HOURS, Missing};
use crate::money::Money;

/// Modules inside of modules that are followed.
const DEPTH_MAX: usize = 32;

/// Types that cost nothing by themselves: what they do is billed where it is used, or never.
const FREE: [&str; 53] = [
    "aws_apigatewayv2_api",
    "aws_apigatewayv2_api_mapping",
    "aws_apigatewayv2_authorizer",
    "aws_apigatewayv2_domain_name",
    "aws_apigatewayv2_integration",
    "aws_apigatewayv2_route",
    "aws_apigatewayv2_stage",
    "aws_acm_certificate",
    "aws_acm_certificate_validation",
    "aws_autoscaling_lifecycle_hook",
    "aws_autoscaling_policy",
    "aws_backup_plan",
    "aws_backup_selection",
    "aws_backup_vault",
    "aws_bcmdataexports_export",
    "aws_budgets_budget",
    "aws_ce_anomaly_monitor",
    "aws_ce_anomaly_subscription",
    "aws_ce_cost_allocation_tag",
    "aws_cloudwatch_event_rule",
    "aws_cloudwatch_event_target",
    "aws_cloudwatch_log_group",
    "aws_cloudwatch_log_subscription_filter",
    "aws_default_security_group",
    "aws_dynamodb_table",
    "aws_iam_instance_profile",
    "aws_iam_openid_connect_provider",
    "aws_iam_policy",
    "aws_iam_role",
    "aws_iam_role_policy",
    "aws_iam_role_policy_attachment",
    "aws_internet_gateway",
    "aws_kinesis_firehose_delivery_stream",
    "aws_lambda_alias",
    "aws_lambda_function",
    "aws_lambda_permission",
    "aws_launch_template",
    "aws_prometheus_workspace",
    "aws_route",
    "aws_route53_record",
    "aws_route_table",
    "aws_route_table_association",
    "aws_s3_bucket",
    "aws_scheduler_schedule",
    "aws_security_group",
    "aws_sns_topic",
    "aws_sns_topic_subscription",
    "aws_ssm_parameter",
    "aws_subnet",
    "aws_vpc",
    "aws_vpc_security_group_egress_rule",
    "aws_vpc_security_group_ingress_rule",
    "terraform_data",
];
/// The same by how they begin.
const FREE_BEGIN: [&str; 2] = ["aws_s3_bucket_", "aws_iam_"];

/// A plan's price.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Estimate {
    /// Dollars a month, by address; those that cost nothing by themselves are left out.
    pub monthly: BTreeMap<String, Money>,
    /// How many cost nothing by themselves.
    pub free: usize,
    /// Types of which nothing is known, with an address of each.
    pub unknown: BTreeMap<String, String>,
    /// Prices that a region does not have, for which the home region's were taken.
    pub substituted: BTreeSet<Missing>,
    /// Prices that the book does not have at all, or attributes that the plan does not know.
    pub unpriced: Vec<String>,
}

impl Estimate {
    /// All together.
    pub fn total(&self) -> Money {
        self.monthly.values().copied().sum()
    }

    /// Prices a plan, whose resources are in `region`.
    ///
    /// # Errors
    /// When it is no plan.
    pub fn of(plan: &Value, book: &Book, region: &str) -> Result<Self, String> {
        let root = &plan["planned_values"]["root_module"];
        if !root.is_object() {
            let how = "make the file by `terraform show -json PLAN`";
            return Err(format!("there is no planned_values.root_module; {how}"));
        }
        let resources = managed(root);
        let templates = templates(&resources);
        let mut estimate = Self::default();
        let mut pricing = Pricing {
            book,
            region,
            templates,
            estimate: &mut estimate,
        };
        for resource in resources {
            pricing.price(resource);
        }
        Ok(estimate)
    }
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().map_or(&[], Vec::as_slice)
}

/// Resources that Terraform manages in a module and those below it.
pub(crate) fn managed(root: &Value) -> Vec<&Value> {
    let mut found = Vec::new();
    collect(root, 0, &mut found);
    found
}

fn collect<'a>(module: &'a Value, depth: usize, found: &mut Vec<&'a Value>) {
    let managed = |resource: &&Value| resource["mode"].as_str() != Some("data");
    found.extend(list(module, "resources").iter().filter(managed));
    if depth < DEPTH_MAX {
        for child in list(module, "child_modules") {
            collect(child, depth + 1, found);
        }
    }
}

/// Instance types of launch templates, by the module that they are in: a group names its template
/// by an id that a plan does not know yet.
fn templates(resources: &[&Value]) -> BTreeMap<String, String> {
    let is_template = |resource: &&&Value| resource["type"] == "aws_launch_template";
    let kind = |resource: &&Value| {
        let kind = resource["values"]["instance_type"].as_str()?;
        Some((module_of(resource), kind.to_owned()))
    };
    resources
        .iter()
        .filter(is_template)
        .filter_map(kind)
        .collect()
}

fn module_of(resource: &Value) -> String {
    let address = resource["address"].as_str().unwrap_or_default();
    let name = format!("{}.", resource["type"].as_str().unwrap_or_default());
    address.split(&name).next().unwrap_or_default().to_owned()
}

struct Pricing<'a, 'e> {
    book: &'a Book,
    region: &'a str,
    templates: BTreeMap<String, String>,
    estimate: &'e mut Estimate,
}

impl Pricing<'_, '_> {
    fn price(&mut self, resource: &Value) {
        let kind = resource["type"].as_str().unwrap_or_default();
        let address = resource["address"]
            .as_str()
            .unwrap_or("(no address)")
            .to_owned();
        let values = &resource["values"];
        match kind {
            "aws_cloudwatch_metric_alarm" => {
                // One of a metric; one of an expression is counted by its metrics.
                let metrics = list(values, "metric_query").iter();
                let metrics = metrics
                    .filter(|query| !list(query, "metric").is_empty())
                    .count();
                self.add(&address, "cloudwatch-alarm", metrics.max(1) as u64);
            }
            "aws_cloudwatch_composite_alarm" => self.unknown(kind, &address),
            "aws_cloudwatch_dashboard" => self.add_month(&address, "cloudwatch-dashboard"),
            "aws_cloudwatch_log_metric_filter" => self.add(&address, "cloudwatch-metric", 1),
            "aws_route53_health_check" => self.add(&address, "route53-health-check", 1),
            "aws_route53_zone" => self.add(&address, "route53-zone", 1),
            "aws_eip" => self.add_hours(&address, "public-ipv4", 1),
            "aws_globalaccelerator_accelerator" => {
                self.add_hours(&address, "global-accelerator", 1)
            }
            "aws_instance" => self.machines(&address, values["instance_type"].as_str(), 1, values),
            // An endpoint of an interface is paid for by the hour; one of a gateway is not.
            "aws_vpc_endpoint" if values["vpc_endpoint_type"] == "Gateway" => {
                self.estimate.free += 1;
            }
            "aws_autoscaling_group" => {
                // Of several types, the one that is tried first.
                let mixed = &values["mixed_instances_policy"][0]["launch_template"][0];
                let first = mixed["override"][0]["instance_type"]
                    .as_str()
                    .map(str::to_owned);
                let template = self.templates.get(&module_of(resource)).cloned();
                let template = first.or(template);
                // What runs when nobody plays: a group is paid for from its least size on.
                let least = values["desired_capacity"]
                    .as_u64()
                    .or(values["min_size"].as_u64());
                self.machines(
                    &address,
                    template.as_deref(),
                    least.unwrap_or(0),
                    &Value::Null,
                );
            }
            kind if FREE.contains(&kind)
                || FREE_BEGIN.iter().any(|begin| kind.starts_with(begin)) =>
            {
                self.estimate.free += 1;
            }
            kind => self.unknown(kind, &address),
        }
    }

    fn machines(&mut self, address: &str, kind: Option<&str>, count: u64, values: &Value) {
        let Some(kind) = kind else {
            self.estimate.unpriced.push(format!(
                "{address}: its instance type is not known in the plan"
            ));
            return;
        };
        self.add_hours(address, &format!("ec2-{kind}"), count);
        // Relays have one each; a machine without says so.
        if values["associate_public_ip_address"].as_bool() != Some(false) {
            self.add_hours(address, "public-ipv4", count);
        }
    }

    fn unknown(&mut self, kind: &str, address: &str) {
        let known = self.estimate.unknown.entry(kind.to_owned());
        known.or_insert_with(|| address.to_owned());
    }

    fn add_hours(&mut self, address: &str, item: &str, count: u64) {
        self.add_quantity(
            address,
            item,
            u128::from(count) * MONTH_HOURS * 3_600,
            false,
        );
    }

    fn add(&mut self, address: &str, item: &str, count: u64) {
        self.add_quantity(address, item, u128::from(count) * MONTH_HOURS, false);
    }

    fn add_month(&mut self, address: &str, item: &str) {
        self.add_quantity(address, item, MONTH_HOURS, true);
    }

    fn add_quantity(&mut self, address: &str, item: &str, quantity: u128, is_with_allowance: bool) {
        let price = match self.book.price(item, AWS, self.region) {
            Ok(price) => price,
            Err(missing) => match self.book.price(item, AWS, HOME_REGION) {
                Ok(price) => {
                    self.estimate.substituted.insert(missing);
                    price
                }
                Err(missing) => {
                    self.estimate.unpriced.push(format!("{address}: {missing}"));
                    return;
                }
            },
        };
        let cost = if is_with_allowance {
            price.of_month(quantity)
        } else {
            price.of_part(quantity)
        };
        *self.estimate.monthly.entry(address.to_owned()).or_default() += cost;
    }
}

#[cfg(test)]
#[path = "terraform_tests.rs"]
mod tests;
