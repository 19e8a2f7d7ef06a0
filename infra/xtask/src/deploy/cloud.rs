//! The world as AWS, the edge and Terraform have it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Error, Result, bail};
use serde_json::{Value, json};
use wire::fleet::ShardList;

use super::aws::{Aws, Body, Request, inside};
use super::bucket::Bucket;
use super::model::{Colour, Environment, Function, Group, Kept, Shard, WHOLE, Weights};
use super::probe;
use super::release::Release;
use super::run::World;
use super::terraform::{Inputs, Root, colours};
use crate::workspace::{list, text};
use crate::{clock, curl};

/// The alias that the gateway calls.
const ALIAS: &str = "live";
/// Metrics are of whole minutes, and come late.
const MINUTE_MS: u64 = 60_000;
/// States of a machine that comes or serves; others end.
const SERVES: [&str; 4] = ["Pending", "Pending:Wait", "Pending:Proceed", "InService"];

/// One environment in one region.
pub(super) struct Cloud {
    pub(super) aws: Aws,
    /// Beginning of all names: `lifeverse-dev`.
    pub(super) name: String,
    pub(super) bucket: String,
    pub(super) edge: String,
    pub(super) token: String,
    /// Functions of the release.
    pub(super) names: BTreeSet<String>,
    pub(super) colour: Colour,
    pub(super) image: Option<String>,
    /// What is deployed; nothing where it goes back.
    pub(super) release: Option<Release>,
    /// Nothing where somebody has applied already.
    pub(super) terraform: Option<Root>,
    pub(super) scratch: PathBuf,
    /// What is known to be in the bucket.
    pub(super) uploaded: BTreeMap<String, String>,
    pub(super) probes: u64,
}

impl Cloud {
    pub(super) fn bucket(&self) -> Bucket<'_> {
        Bucket {
            aws: &self.aws,
            name: &self.bucket,
        }
    }

    fn lambda(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Option<Value>> {
        let text = body.map(Value::to_string);
        let request = Request {
            service: "lambda",
            method,
            path: &format!("/2015-03-31/functions/{}-{path}", self.name),
            headers: &["content-type: application/json"],
            body: text.as_deref().map_or(Body::None, Body::Text),
        };
        let reply = self.aws.send(&request)?;
        match reply.status {
            404 => Ok(None),
            200..=299 => Ok(Some(serde_json::from_str(&reply.body).context("lambda")?)),
            status => bail!("lambda {method} {path}: {status} {}", reply.body),
        }
    }

    fn function(&self, name: &str) -> Result<Option<Function>> {
        let Some(alias) = self.lambda("GET", &format!("{name}/aliases/{ALIAS}"), None)? else {
            return Ok(None);
        };
        let (mut versions, mut marker) = (Vec::new(), String::new());
        loop {
            let path = match marker.as_str() {
                "" => format!("{name}/versions"),
                marker => format!("{name}/versions?Marker={marker}"),
            };
            let page = self.lambda("GET", &path, None)?.unwrap_or_default();
            let all = list(&page, "Versions").iter();
            let all = all.map(|one| {
                (
                    text(one, "Version").to_owned(),
                    text(one, "CodeSha256").to_owned(),
                )
            });
            versions.extend(all.filter(|(version, _)| version != "$LATEST"));
            marker = text(&page, "NextMarker").to_owned();
            if marker.is_empty() {
                break;
            }
        }
        versions.sort_by_key(|(version, _)| version.parse::<u64>().unwrap_or(0));
        Ok(Some(Function {
            versions,
            alias: weights(&alias),
        }))
    }

    fn group(&self, colour: Colour) -> Result<Option<Group>> {
        let name = self.group_name(colour);
        let fields = [
            ("Action", "DescribeAutoScalingGroups"),
            ("AutoScalingGroupNames.member.1", &name),
        ];
        let xml = self.aws.query("autoscaling", &fields)?;
        if !xml.contains("<AutoScalingGroupARN>") {
            return Ok(None);
        }
        let number = |tag: &str| {
            inside(&xml, tag)
                .next()
                .and_then(|text| text.trim().parse().ok())
        };
        let machines = inside(&xml, "Instances").flat_map(|all| inside(all, "member"));
        let serves = |one: &&str| {
            let state = inside(one, "LifecycleState").next();
            state.is_some_and(|state| SERVES.contains(&state))
        };
        let ids = machines
            .filter(serves)
            .filter_map(|one| inside(one, "InstanceId").next());
        let machines = ids.map(str::to_owned).collect();
        let fields = [
            ("Action", "DescribeLaunchTemplateVersions"),
            ("LaunchTemplateName", name.as_str()),
            ("LaunchTemplateVersion.1", "$Latest"),
        ];
        let template = self.aws.query("ec2", &fields)?;
        // "Relays, blue: 0.1.0", as the module writes it.
        let about = inside(&template, "versionDescription")
            .next()
            .unwrap_or_default();
        let release = about.rsplit(": ").next().unwrap_or_default();
        Ok(Some(Group {
            least: number("MinSize").unwrap_or(0),
            most: number("MaxSize").unwrap_or(0),
            desired: number("DesiredCapacity").unwrap_or(0),
            release: release.to_owned(),
            image: inside(&template, "imageId")
                .next()
                .unwrap_or_default()
                .to_owned(),
            machines,
        }))
    }

    fn group_name(&self, colour: Colour) -> String {
        format!("{}-{colour}", self.name)
    }

    fn shards(&self) -> Result<Vec<Shard>> {
        let url = format!("{}/v1/relays", self.edge);
        let reply = curl::request("GET", &url, &self.token, &Value::Null)?;
        let listed: ShardList = serde_json::from_value(reply).context("the list of relays")?;
        let shard = |one: wire::fleet::ListedShard| Shard {
            id: one.record.heartbeat.shard.to_string(),
            live: one.live,
            draining: one.record.draining,
            participants: one.record.heartbeat.load.participants,
        };
        Ok(listed.relays.into_iter().map(shard).collect())
    }

    fn alarm(&self, function: &str, version: &str) -> String {
        format!("{}-deploy-{function}-{version}", self.name)
    }

    /// Zips of the release that Terraform published last, for an apply that leaves them.
    fn packages(&self) -> Result<PathBuf> {
        let folder = self.scratch.join("packages");
        if let Some(release) = &self.release {
            release.lay_packages(&folder)?;
            return Ok(folder);
        }
        let kept = self.bucket().kept()?;
        let applied = kept.applied.context(
            "the bucket does not say which release was applied: deploy the one that is wanted",
        )?;
        for name in &self.names {
            let place = format!("{name}-lambda/bootstrap.zip");
            let to = folder.join(&place);
            fs::create_dir_all(to.parent().expect("it is in a folder"))?;
            self.bucket()
                .fetch(&format!("{applied}/lambda/{place}"), &to)?;
        }
        Ok(folder)
    }

    fn groups(&self) -> Result<BTreeMap<Colour, Group>> {
        let mut groups = BTreeMap::new();
        for colour in Colour::BOTH {
            groups.extend(self.group(colour)?.map(|group| (colour, group)));
        }
        Ok(groups)
    }
}

impl World for Cloud {
    fn environment(&mut self) -> Result<Environment, Error> {
        let mut functions = BTreeMap::new();
        for name in &self.names {
            functions.extend(self.function(name)?.map(|found| (name.clone(), found)));
        }
        let groups = self.groups()?;
        let shards = if groups.is_empty() {
            Vec::new()
        } else {
            self.shards()?
        };
        let wanted = self.release.iter().flat_map(|release| release.files.keys());
        let unknown: Vec<String> = wanted
            .filter(|key| !self.uploaded.contains_key(*key))
            .cloned()
            .collect();
        for key in unknown {
            let sum = self.bucket().sum_of(&key)?;
            self.uploaded.extend(sum.map(|sum| (key, sum)));
        }
        Ok(Environment {
            functions,
            groups,
            shards,
            kept: self.bucket().kept()?,
            uploaded: self.uploaded.clone(),
        })
    }

    fn burning(&mut self) -> Result<BTreeSet<String>, Error> {
        let prefix = format!("{}-", self.name);
        let fields = [
            ("Action", "DescribeAlarms"),
            ("AlarmNamePrefix", &prefix),
            ("StateValue", "ALARM"),
        ];
        let xml = self.aws.query("monitoring", &fields)?;
        Ok(alarms(&xml))
    }

    fn invocations(&mut self, function: &str, version: &str, since_ms: u64) -> Result<u64, Error> {
        let name = format!("{}-{function}", self.name);
        let from = iso(since_ms / MINUTE_MS * MINUTE_MS);
        let to = iso(self.now_ms() / MINUTE_MS * MINUTE_MS + MINUTE_MS);
        let of = |resource: &str, executed: Option<&str>| -> Result<f64> {
            let resource = format!("{name}:{resource}");
            let mut fields = vec![
                ("Action", "GetMetricStatistics"),
                ("Namespace", "AWS/Lambda"),
                ("MetricName", "Invocations"),
                ("StartTime", &from),
                ("EndTime", &to),
                ("Period", "60"),
                ("Statistics.member.1", "Sum"),
                ("Dimensions.member.1.Name", "FunctionName"),
                ("Dimensions.member.1.Value", &name),
                ("Dimensions.member.2.Name", "Resource"),
                ("Dimensions.member.2.Value", &resource),
            ];
            if let Some(version) = executed {
                fields.push(("Dimensions.member.3.Name", "ExecutedVersion"));
                fields.push(("Dimensions.member.3.Value", version));
            }
            let xml = self.aws.query("monitoring", &fields)?;
            let sums = inside(&xml, "Sum").filter_map(|sum| sum.trim().parse::<f64>().ok());
            Ok(sums.sum())
        };
        // Asked by its number, and as a part of the alias.
        let count = of(version, None)? + of(ALIAS, Some(version))?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a count"
        )]
        let count = count as u64;
        Ok(count)
    }

    fn why_not(&mut self, colour: Colour) -> Result<String, Error> {
        let group = self.group_name(colour);
        let fields = [
            ("Action", "DescribeScalingActivities"),
            ("AutoScalingGroupName", &group),
        ];
        let xml = self.aws.query("autoscaling", &fields)?;
        let newest = inside(&xml, "StatusMessage").next().map(str::to_owned);
        Ok(newest.unwrap_or_else(|| {
            "the group says nothing; `aws ssm start-session` to a machine, then \
             `journalctl -u cloud-final` and `journalctl --namespace lifeverse-relay`"
                .to_owned()
        }))
    }

    fn probe(&mut self, function: &str, version: &str) -> Result<Option<String>, Error> {
        self.probes += 1;
        let id = format!("deploy-{}", self.probes);
        let event = probe::event(function, &self.token, &id)?.to_string();
        let reply = self.aws.send(&Request {
            service: "lambda",
            method: "POST",
            path: &format!(
                "/2015-03-31/functions/{}-{function}/invocations?Qualifier={version}",
                self.name
            ),
            headers: &["content-type: application/json"],
            body: Body::Text(&event),
        })?;
        Ok(probe::fault(reply.status, &reply.header, &reply.body))
    }

    fn now_ms(&mut self) -> u64 {
        clock::unix_seconds() * 1000
    }

    fn pause(&mut self, ms: u64) {
        clock::pause(Duration::from_millis(ms));
    }

    fn say(&mut self, line: &str) {
        println!("{line}");
    }

    fn upload(&mut self, key: &str) -> Result<(), Error> {
        let files = self.release.as_ref().map(|release| &release.files);
        let (file, sum) = files
            .and_then(|files| files.get(key))
            .context("a file of the release")?;
        self.bucket().upload(key, file, sum)?;
        let sum = sum.clone();
        self.uploaded.insert(key.to_owned(), sum);
        Ok(())
    }

    fn apply(&mut self, beside: Option<&Value>) -> Result<(), Error> {
        let Some(terraform) = &self.terraform else {
            return Ok(());
        };
        let groups = self.groups()?;
        // A rollback leaves templates: that of the colour that it goes back to is there.
        let comes = match &self.release {
            Some(release) => (self.colour, release.version.as_str(), self.image.as_deref()),
            None => {
                let group = groups.get(&self.colour);
                let group = group.map(|group| (group.release.as_str(), group.image.as_str()));
                let (release, image) = group.unwrap_or_default();
                (self.colour, release, Some(image))
            }
        };
        let inputs = Inputs {
            packages: &self.packages()?,
            beside,
            colours: colours(&groups, comes),
        };
        terraform.apply(&inputs)
    }

    fn weigh(&mut self, function: &str, weights: &Weights) -> Result<(), Error> {
        let part = |part: &u16| f64::from(*part) / f64::from(WHOLE);
        let others = weights.others.iter();
        let others: BTreeMap<&String, f64> =
            others.map(|(version, one)| (version, part(one))).collect();
        let body = json!({
            "FunctionVersion": weights.version,
            "RoutingConfig": { "AdditionalVersionWeights": others },
        });
        let done = self.lambda("PUT", &format!("{function}/aliases/{ALIAS}"), Some(&body))?;
        done.map(drop)
            .with_context(|| format!("{function} has lost its alias {ALIAS}"))
    }

    fn watch(&mut self, function: &str, version: &str) -> Result<(), Error> {
        let name = format!("{}-{function}", self.name);
        let (alarm, resource) = (self.alarm(function, version), format!("{name}:{ALIAS}"));
        let fields = [
            ("Action", "PutMetricAlarm"),
            ("AlarmName", alarm.as_str()),
            (
                "AlarmDescription",
                "A version that is being deployed ends in errors: it is taken back.",
            ),
            ("Namespace", "AWS/Lambda"),
            ("MetricName", "Errors"),
            ("Statistic", "Sum"),
            ("Period", "60"),
            ("EvaluationPeriods", "1"),
            ("Threshold", "0"),
            ("ComparisonOperator", "GreaterThanThreshold"),
            ("TreatMissingData", "notBreaching"),
            ("Dimensions.member.1.Name", "FunctionName"),
            ("Dimensions.member.1.Value", &name),
            ("Dimensions.member.2.Name", "Resource"),
            ("Dimensions.member.2.Value", &resource),
            ("Dimensions.member.3.Name", "ExecutedVersion"),
            ("Dimensions.member.3.Value", version),
        ];
        self.aws.query("monitoring", &fields).map(drop)
    }

    fn unwatch(&mut self, function: &str, version: &str) -> Result<(), Error> {
        let alarm = self.alarm(function, version);
        let fields = [("Action", "DeleteAlarms"), ("AlarmNames.member.1", &alarm)];
        self.aws.query("monitoring", &fields).map(drop)
    }

    fn size(&mut self, colour: Colour, least: u32, desired: u32) -> Result<(), Error> {
        let (group, least, desired) = (
            self.group_name(colour),
            least.to_string(),
            desired.to_string(),
        );
        let fields = [
            ("Action", "UpdateAutoScalingGroup"),
            ("AutoScalingGroupName", group.as_str()),
            ("MinSize", &least),
            ("DesiredCapacity", &desired),
        ];
        self.aws.query("autoscaling", &fields).map(drop)
    }

    fn end(&mut self, machine: &str) -> Result<(), Error> {
        let fields = [
            ("Action", "TerminateInstanceInAutoScalingGroup"),
            ("InstanceId", machine),
            ("ShouldDecrementDesiredCapacity", "true"),
        ];
        self.aws.query("autoscaling", &fields).map(drop)
    }

    fn drain(&mut self, shard: &str, draining: bool) -> Result<(), Error> {
        let url = format!("{}/v1/relays/{shard}/drain", self.edge);
        curl::request("PUT", &url, &self.token, &json!({ "draining": draining })).map(drop)
    }

    fn keep(&mut self, kept: &Kept) -> Result<(), Error> {
        self.bucket().keep(kept)
    }
}

/// Names of those that burn. The emulator leaves one of two filters out, so each one is looked at.
fn alarms(xml: &str) -> BTreeSet<String> {
    let field = |alarm: &str, name: &str| inside(alarm, name).next().unwrap_or_default().to_owned();
    let lists = ["MetricAlarms", "CompositeAlarms"].into_iter();
    let all = lists.flat_map(|list| inside(xml, list).flat_map(|all| inside(all, "member")));
    let burning = all.filter(|alarm| field(alarm, "StateValue") == "ALARM");
    burning.map(|alarm| field(alarm, "AlarmName")).collect()
}

/// As the alias of Lambda has them; parts are of one there.
fn weights(alias: &Value) -> Weights {
    let others = alias["RoutingConfig"]["AdditionalVersionWeights"].as_object();
    let part = |part: &Value| {
        let permille = (part.as_f64().unwrap_or(0.0) * f64::from(WHOLE)).round();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it saturates"
        )]
        let permille = permille as u16;
        permille
    };
    let others = others.into_iter().flatten();
    Weights {
        version: text(alias, "FunctionVersion").to_owned(),
        others: others
            .map(|(version, one)| (version.clone(), part(one)))
            .collect(),
    }
}

/// A moment as AWS reads it. It takes Unix seconds nowhere in a form.
fn iso(ms: u64) -> String {
    let (days, seconds) = (ms / 86_400_000, ms / 1000 % 86_400);
    // Years that begin in March, so that the leap day is the last one; eras of 400 years.
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + u64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_as_aws_reads_them() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_827_400, "2000-02-29T12:30:00Z"),
            (1_796_072_461, "2026-11-30T21:01:01Z"),
            (1_798_761_599, "2026-12-31T23:59:59Z"),
        ] {
            assert_eq!(iso(seconds * 1000), text);
        }
    }

    #[test]
    fn alarms_that_do_not_burn_are_left_out() {
        let alarm = |name: &str, state: &str| {
            format!(
                "<member><AlarmName>{name}</AlarmName><Dimensions><member><Name>x</Name></member>\
                 </Dimensions><StateValue>{state}</StateValue></member>"
            )
        };
        let xml = format!(
            "<MetricAlarms>{}{}</MetricAlarms><CompositeAlarms>{}</CompositeAlarms>",
            alarm("a", "OK"),
            alarm("b", "ALARM"),
            alarm("c", "ALARM")
        );
        assert_eq!(
            alarms(&xml),
            BTreeSet::from(["b".to_owned(), "c".to_owned()])
        );
    }

    #[test]
    fn an_alias_is_read_in_thousandths() {
        let alias = json!({ "FunctionVersion": "3",
            "RoutingConfig": { "AdditionalVersionWeights": { "4": 0.01 } } });
        assert_eq!(weights(&alias), Weights::split("3", "4", 10));
        assert_eq!(
            weights(&json!({ "FunctionVersion": "3" })),
            Weights::all_to("3")
        );
    }
}
