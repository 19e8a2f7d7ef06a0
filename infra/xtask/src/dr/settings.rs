//! Settings of a table, field by field, and what makes one table's those of another.

use std::collections::BTreeMap;

use anyhow::Result;
use serde_json::{Value, json};

use crate::aws_cli::Aws;
use crate::workspace::{list, text};

/// By the name of the field; a replica's begin with `replica REGION`.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Settings(pub(super) BTreeMap<String, Value>);

/// A request that sets a field.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Step {
    /// Which field.
    pub(super) field: String,
    /// In a replica's region.
    pub(super) region: Option<String>,
    pub(super) operation: &'static str,
    pub(super) input: Value,
}

/// Fields that a restore brings along, and nothing can set.
const WITH_THE_TABLE: [&str; 2] = ["keys", "indexes"];

impl Settings {
    /// Reads those of a table and of its replicas.
    pub(super) fn read(aws: &dyn Aws, table: &str) -> Result<Self> {
        let found = describe(aws, None, table)?;
        let mut all = BTreeMap::new();
        let mut set = |field: &str, value: Value| drop(all.insert(field.to_owned(), value));
        set("keys", found["KeySchema"].clone());
        let names = |key: &str| {
            let indexes = list(&found, key).iter();
            indexes.map(|it| it["IndexName"].clone()).collect::<Value>()
        };
        let indexes = json!([
            names("GlobalSecondaryIndexes"),
            names("LocalSecondaryIndexes")
        ]);
        set("indexes", indexes);
        let billing = text(&found["BillingModeSummary"], "BillingMode");
        set(
            "billing",
            json!(if billing.is_empty() {
                "PROVISIONED"
            } else {
                billing
            }),
        );
        set(
            "encryption",
            found["SSEDescription"]["KMSMasterKeyArn"].clone(),
        );
        set(
            "stream",
            json!(text(&found["StreamSpecification"], "StreamViewType")),
        );
        let limits = &found["OnDemandThroughput"];
        let limit = |key: &str| limits[key].as_i64().unwrap_or(-1);
        let limits = [limit("MaxReadRequestUnits"), limit("MaxWriteRequestUnits")];
        set("most units a second", json!(limits));
        let ttl = aws.call(
            "dynamodb",
            "describe-time-to-live",
            &json!({ "TableName": table }),
        )?;
        let ttl = &ttl["TimeToLiveDescription"];
        let is_on = text(ttl, "TimeToLiveStatus").starts_with("ENABL");
        set(
            "ttl",
            json!(if is_on {
                text(ttl, "AttributeName")
            } else {
                ""
            }),
        );
        kept(aws, None, table, &found, "", &mut set)?;
        let replicas: Vec<&str> = list(&found, "Replicas")
            .iter()
            .map(|it| text(it, "RegionName"))
            .collect();
        set("replicas", json!(replicas));
        for region in replicas {
            let of_region = describe(aws, Some(region), table)?;
            let prefix = format!("replica {region}: ");
            kept(aws, Some(region), table, &of_region, &prefix, &mut set)?;
        }
        Ok(Self(all))
    }

    /// Fields in which another table's differ, a line each.
    pub(super) fn differences(&self, other: &Self) -> Vec<String> {
        let all = self.0.keys().chain(other.0.keys());
        let fields: std::collections::BTreeSet<&String> = all.collect();
        let value =
            |settings: &Self, field: &str| settings.0.get(field).cloned().unwrap_or_default();
        fields
            .into_iter()
            .filter(|field| value(self, field) != value(other, field))
            .map(|field| {
                format!(
                    "{field}: {}, and {}",
                    value(self, field),
                    value(other, field)
                )
            })
            .collect()
    }

    /// What makes `other`, of the table `name`, like this: replicas come when the stream is there
    /// that they are made of, and what is in them when they are.
    pub(super) fn steps(&self, other: &Self, name: &str, arns: &Arns) -> Vec<Step> {
        let is_other = |field: &&String| other.0.get(*field) != self.0.get(*field);
        let fields = self.0.keys().filter(is_other);
        let mut steps: Vec<(u8, Step)> = fields
            .filter(|field| !WITH_THE_TABLE.contains(&field.as_str()))
            .filter_map(|field| step(field, &self.0[field], &other.0, name, arns))
            .collect();
        steps.sort_by_key(|(order, _)| *order);
        steps.into_iter().map(|(_, step)| step).collect()
    }
}

/// ARN of a table in a region, where it is not its own: it names both.
pub(super) struct Arns(pub(super) String);

impl Arns {
    fn of(&self, region: Option<&str>) -> String {
        let mut parts: Vec<&str> = self.0.split(':').collect();
        if let (Some(region), Some(part)) = (region, parts.get_mut(3)) {
            *part = region;
        }
        parts.join(":")
    }
}

pub(super) fn describe(aws: &dyn Aws, region: Option<&str>, table: &str) -> Result<Value> {
    let input = json!({ "TableName": table });
    let reply = aws.call_in(region, "dynamodb", "describe-table", &input)?;
    Ok(reply["Table"].clone())
}

/// What keeps a table's data: the same fields of the table and of each replica.
fn kept(
    aws: &dyn Aws,
    region: Option<&str>,
    table: &str,
    found: &Value,
    prefix: &str,
    set: &mut dyn FnMut(&str, Value),
) -> Result<()> {
    let protected = found["DeletionProtectionEnabled"]
        .as_bool()
        .unwrap_or(false);
    set(&format!("{prefix}protection"), json!(protected));
    let input = json!({ "TableName": table });
    let backups = aws.call_in(region, "dynamodb", "describe-continuous-backups", &input)?;
    let point = &backups["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"];
    let days = match text(point, "PointInTimeRecoveryStatus") {
        "ENABLED" => point["RecoveryPeriodInDays"].as_u64().unwrap_or(35),
        _ => 0,
    };
    set(&format!("{prefix}recovery days"), json!(days));
    let input = json!({ "ResourceArn": text(found, "TableArn") });
    let tags = aws.call_in(region, "dynamodb", "list-tags-of-resource", &input)?;
    let own = list(&tags, "Tags")
        .iter()
        .filter(|tag| !text(tag, "Key").starts_with("aws:"));
    let own: BTreeMap<&str, &str> = own
        .map(|tag| (text(tag, "Key"), text(tag, "Value")))
        .collect();
    set(&format!("{prefix}tags"), json!(own));
    Ok(())
}

fn step(
    field: &str,
    wanted: &Value,
    there: &BTreeMap<String, Value>,
    name: &str,
    arns: &Arns,
) -> Option<(u8, Step)> {
    let (region, what) = match field
        .strip_prefix("replica ")
        .and_then(|it| it.split_once(": "))
    {
        Some((region, what)) => (Some(region.to_owned()), what),
        None => (None, field),
    };
    let table = |more: Value| {
        let mut input = more;
        input["TableName"] = json!(name);
        ("update-table", input)
    };
    let (order, (operation, input)) = match what {
        "stream" => {
            let view = wanted.as_str().filter(|view| !view.is_empty())?;
            let stream = json!({ "StreamEnabled": true, "StreamViewType": view });
            (0, table(json!({ "StreamSpecification": stream })))
        }
        "billing" => (0, table(json!({ "BillingMode": wanted }))),
        "ttl" => {
            let name_of = wanted.as_str().filter(|it| !it.is_empty())?;
            let ttl = json!({ "Enabled": true, "AttributeName": name_of });
            let input = json!({ "TableName": name, "TimeToLiveSpecification": ttl });
            (1, ("update-time-to-live", input))
        }
        "recovery days" => {
            let days = wanted.as_u64().filter(|days| *days > 0)?;
            let point = json!({ "PointInTimeRecoveryEnabled": true, "RecoveryPeriodInDays": days });
            let input = json!({ "TableName": name, "PointInTimeRecoverySpecification": point });
            (2, ("update-continuous-backups", input))
        }
        "tags" => {
            let tags = wanted.as_object()?.iter();
            let tags: Vec<Value> = tags
                .map(|(key, value)| json!({ "Key": key, "Value": value }))
                .collect();
            let input = json!({ "ResourceArn": arns.of(region.as_deref()), "Tags": tags });
            (2, ("tag-resource", input))
        }
        "most units a second" => {
            let limits =
                json!({ "MaxReadRequestUnits": wanted[0], "MaxWriteRequestUnits": wanted[1] });
            (3, table(json!({ "OnDemandThroughput": limits })))
        }
        "protection" => (3, table(json!({ "DeletionProtectionEnabled": wanted }))),
        "replicas" => {
            let here = there.get("replicas").cloned().unwrap_or_default();
            let is_missing = |it: &&Value| !here.as_array().is_some_and(|here| here.contains(it));
            // One at a time: a table takes one such change.
            let next = wanted.as_array()?.iter().find(is_missing)?;
            let create = json!([{ "Create": { "RegionName": next } }]);
            (4, table(json!({ "ReplicaUpdates": create })))
        }
        _ => return None,
    };
    let order = order + if region.is_some() { 5 } else { 0 };
    // A replica that is not there yet has nothing to be set.
    let is_there = |region: &str| {
        let here = there.get("replicas").and_then(Value::as_array);
        here.is_some_and(|here| here.iter().any(|it| it == region))
    };
    if region.as_deref().is_some_and(|region| !is_there(region)) {
        return None;
    }
    let field = field.to_owned();
    let step = Step {
        field,
        region,
        operation,
        input,
    };
    Some((order, step))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(&str, Value)]) -> Settings {
        Settings(
            pairs
                .iter()
                .map(|(field, value)| ((*field).to_owned(), value.clone()))
                .collect(),
        )
    }

    fn production() -> Settings {
        settings(&[
            ("keys", json!(["pk", "sk"])),
            ("stream", json!("NEW_AND_OLD_IMAGES")),
            ("ttl", json!("ttl")),
            ("recovery days", json!(35)),
            ("tags", json!({ "Env": "prod" })),
            ("protection", json!(true)),
            ("replicas", json!(["us-east-1"])),
            ("replica us-east-1: recovery days", json!(35)),
            ("replica us-east-1: protection", json!(true)),
            ("replica us-east-1: tags", json!({ "Env": "prod" })),
        ])
    }

    /// As AWS restores it.
    fn restored() -> Settings {
        settings(&[
            ("keys", json!(["pk", "sk"])),
            ("stream", json!("")),
            ("ttl", json!("")),
            ("recovery days", json!(0)),
            ("tags", json!({})),
            ("protection", json!(false)),
            ("replicas", json!([])),
        ])
    }

    fn arns() -> Arns {
        Arns("arn:aws:dynamodb:eu-west-1:1:table/new".to_owned())
    }

    #[test]
    fn what_is_not_restored_is_set_and_replicas_after_their_stream() {
        let (want, mut here) = (production(), restored());
        let differing = want.differences(&here);
        assert_eq!(differing.len(), 9, "{differing:?}");
        let fields = |here: &Settings| {
            let steps = want.steps(here, "new", &arns());
            steps.into_iter().map(|step| step.field).collect::<Vec<_>>()
        };
        assert_eq!(
            fields(&here),
            [
                "stream",
                "ttl",
                "recovery days",
                "tags",
                "protection",
                "replicas"
            ]
        );
        here.0.insert("replicas".to_owned(), json!(["us-east-1"]));
        assert!(fields(&here).contains(&"replica us-east-1: protection".to_owned()));
        let tags = want.steps(&here, "new", &arns());
        let tags = tags
            .iter()
            .find(|step| step.field == "replica us-east-1: tags")
            .unwrap();
        assert_eq!(
            tags.input["ResourceArn"],
            "arn:aws:dynamodb:us-east-1:1:table/new"
        );
        assert_eq!(tags.region.as_deref(), Some("us-east-1"));
        assert!(fields(&want).is_empty(), "nothing twice");
    }

    #[test]
    fn every_field_that_differs_is_named() {
        let mut other = production();
        other.0.insert("keys".to_owned(), json!(["pk"]));
        other.0.remove("ttl");
        let lines = production().differences(&other);
        assert_eq!(
            lines,
            [
                "keys: [\"pk\",\"sk\"], and [\"pk\"]",
                "ttl: \"ttl\", and null"
            ]
        );
        assert!(
            production()
                .steps(&other, "new", &arns())
                .iter()
                .all(|it| it.field != "keys")
        );
    }
}
