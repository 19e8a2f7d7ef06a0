//! What Terraform does in a deployment: it publishes functions, sets the template of the idle
//! colour and moves grants. How many machines there are is never in its plan.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::model::{Colour, Group};
use crate::workspace::{list, text};
use crate::{install, process};

/// What a deployment never takes away: with it go players, data or the way back.
const KEPT: [&str; 9] = [
    "aws_apigatewayv2_api",
    "aws_autoscaling_group",
    "aws_dynamodb_table",
    "aws_iam_role",
    "aws_lambda_alias",
    "aws_lambda_function",
    "aws_launch_template",
    "aws_s3_bucket",
    "aws_subnet",
];
/// How many machines a group has.
const CAPACITY: [&str; 3] = ["desired_capacity", "min_size", "max_size"];

/// A root, initialised, with the variables of its environment.
pub(crate) struct Root {
    program: PathBuf,
    folder: PathBuf,
    variables: Vec<PathBuf>,
    scratch: PathBuf,
    environment: Vec<(String, String)>,
}

/// What a deployment says to it.
pub(crate) struct Inputs<'a> {
    pub(crate) packages: &'a Path,
    /// permissions.json of the other release, while both have traffic.
    pub(crate) beside: Option<&'a Value>,
    pub(crate) colours: Option<Value>,
}

impl Root {
    /// # Errors
    /// Terraform is not installed, or the folder was not initialised.
    pub(crate) fn new(folder: PathBuf, variables: &[PathBuf], scratch: PathBuf) -> Result<Self> {
        let program = install::find_program(&["terraform"]);
        let program = program.context("terraform is not installed (1.11 or newer)")?;
        if !folder.join(".terraform").is_dir() {
            bail!(
                "{} is not initialised: `terraform init -backend-config=..` there first \
                 (terraform/README.md)",
                folder.display()
            );
        }
        let absolute = |file: &PathBuf| {
            file.canonicalize()
                .with_context(|| format!("--var-file {}", file.display()))
        };
        Ok(Self {
            program,
            folder,
            variables: variables.iter().map(absolute).collect::<Result<_>>()?,
            scratch,
            environment: Vec::new(),
        })
    }

    /// With other variables of the environment than this program has.
    pub(crate) fn with_environment(mut self, environment: &[(&str, &str)]) -> Self {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        self.environment = environment.iter().map(owned).collect();
        self
    }

    /// Plans, looks at the plan, and applies it when it changes something.
    ///
    /// # Errors
    /// What Terraform says; a plan that takes away what players need.
    pub(crate) fn apply(&self, inputs: &Inputs<'_>) -> Result<()> {
        fs::create_dir_all(&self.scratch)?;
        let (plan, variables) = (self.scratch.join("plan"), self.variables(inputs)?);
        let mut command =
            self.command(&["plan", "-input=false", "-no-color", "-detailed-exitcode"]);
        for file in self.variables.iter().chain([&variables]) {
            command.arg(format!("-var-file={}", file.display()));
        }
        command.arg(format!("-out={}", plan.display()));
        let output = command.output().context("terraform does not start")?;
        match output.status.code() {
            Some(0) => return Ok(()),
            Some(2) => {}
            _ => bail!(
                "`terraform plan` failed:\n{}{}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            ),
        }
        let shown = self.command(&["show", "-json"]).arg(&plan).output();
        let shown = shown.context("terraform does not start")?;
        let shown: Value = serde_json::from_slice(&shown.stdout).context("terraform show")?;
        let faults = judge(&shown);
        if !faults.is_empty() {
            bail!(
                "this is no deployment but a change of its own, apply it apart: {}",
                faults.join("; ")
            );
        }
        process::run(
            self.command(&["apply", "-input=false", "-no-color"])
                .arg(&plan),
        )
    }

    fn variables(&self, inputs: &Inputs<'_>) -> Result<PathBuf> {
        let mut all = json!({ "packages": inputs.packages });
        if let Some(beside) = inputs.beside {
            let file = self.scratch.join("grants.json");
            fs::write(&file, beside.to_string()).with_context(|| format!("{}", file.display()))?;
            all["grants_file"] = json!(file);
        }
        if let Some(colours) = &inputs.colours {
            all["colours"] = colours.clone();
        }
        let file = self.scratch.join("deploy.tfvars.json");
        fs::write(&file, all.to_string()).with_context(|| format!("{}", file.display()))?;
        Ok(file)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(args)
            .current_dir(&self.folder)
            .env("TF_IN_AUTOMATION", "1")
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }
}

/// The variable `colours`: each colour as it is, and the idle one with what comes.
pub(super) fn colours(
    groups: &BTreeMap<Colour, Group>,
    (colour, release, image): (Colour, &str, Option<&str>),
) -> Option<Value> {
    let mut all = serde_json::Map::new();
    for (one, group) in groups {
        let other = groups.get(&one.other())?;
        let (version, ami) = match *one == colour {
            true => (release, image.unwrap_or(&other.image)),
            false => (group.release.as_str(), group.image.as_str()),
        };
        let entry =
            json!({ "version": version, "ami": ami, "min": group.least, "max": group.most });
        all.insert(one.name().to_owned(), entry);
    }
    (!all.is_empty()).then_some(Value::Object(all))
}

/// What of a plan is not a deployment's business.
fn judge(plan: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    for resource in list(plan, "resource_changes") {
        let (kind, address) = (text(resource, "type"), text(resource, "address"));
        let change = &resource["change"];
        let actions = list(change, "actions");
        if actions.iter().any(|action| action == "delete") && KEPT.contains(&kind) {
            faults.push(format!("{address} would be destroyed"));
        }
        let moves = |field: &&&str| {
            let (before, after) = (&change["before"][**field], &change["after"][**field]);
            !before.is_null() && !after.is_null() && before != after
        };
        if kind == "aws_autoscaling_group" {
            let moved = CAPACITY.iter().filter(moves);
            faults.extend(moved.map(|field| format!("{address} would have another {field}")));
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(kind: &str, actions: &[&str], before: Value, after: Value) -> Value {
        json!({ "resource_changes": [{ "type": kind, "address": format!("{kind}.this"),
            "change": { "actions": actions, "before": before, "after": after } }] })
    }

    #[test]
    fn a_plan_that_ends_calls_is_none_of_a_deployment() {
        let none = Value::Null;
        let gone = change(
            "aws_autoscaling_group",
            &["delete", "create"],
            none.clone(),
            none.clone(),
        );
        assert_eq!(
            judge(&gone),
            ["aws_autoscaling_group.this would be destroyed"]
        );
        let [two, three] = [json!({ "max_size": 2 }), json!({ "max_size": 3 })];
        let moved = change("aws_autoscaling_group", &["update"], two.clone(), three);
        assert_eq!(
            judge(&moved),
            ["aws_autoscaling_group.this would have another max_size"]
        );
        assert!(
            judge(&change(
                "aws_autoscaling_group",
                &["update"],
                two.clone(),
                two
            ))
            .is_empty()
        );
        let route = change("aws_apigatewayv2_route", &["delete"], none.clone(), none);
        assert!(judge(&route).is_empty());
    }

    #[test]
    fn only_the_idle_colour_gets_another_release() {
        let group = |release: &str, image: &str| Group {
            least: 1,
            most: 4,
            desired: 2,
            release: release.to_owned(),
            image: image.to_owned(),
            ..Group::default()
        };
        let groups = BTreeMap::from([
            (Colour::Blue, group("0.1.0", "ami-1")),
            (Colour::Green, group("0.0.9", "ami-0")),
        ]);
        let all = colours(&groups, (Colour::Green, "0.2.0", None)).unwrap();
        assert_eq!(
            all["blue"],
            json!({ "version": "0.1.0", "ami": "ami-1", "min": 1, "max": 4 })
        );
        assert_eq!(
            all["green"],
            json!({ "version": "0.2.0", "ami": "ami-1", "min": 1, "max": 4 })
        );
        let all = colours(&groups, (Colour::Green, "0.2.0", Some("ami-2"))).unwrap();
        assert_eq!(all["green"]["ami"], "ami-2");
        assert_eq!(
            colours(&BTreeMap::new(), (Colour::Green, "0.2.0", None)),
            None
        );
    }
}
