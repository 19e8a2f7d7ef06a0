//! Roots: dev, which is applied on the emulator, and production, which is planned.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::deployed;
use super::emulator::{ACCOUNT, BUCKET, Emulator, REGION};
use super::files::{ARTEFACTS, BUDGETS, PLAN, READ_BY_MODULES, read_json};
use super::machine;
use super::policies::{self, Plan, RULES};
use super::program::Terraform;
use super::report::{Report, note};
use crate::check::count::Count;
use crate::process;
use crate::workspace::{Workspace, list, text};

/// Keeps a plan for the step `finops`. It is without the budget: what a budget's action costs, no
/// source says that the book of prices takes.
fn keep_plan(workspace: &Workspace, plan: &Value) -> Result<()> {
    let file = workspace.root.join(PLAN);
    fs::create_dir_all(file.parent().expect("it is in a folder"))?;
    fs::write(&file, plan.to_string()).with_context(|| format!("{}", file.display()))
}

/// A folder, and what it is planned with.
pub(super) struct Root<'a> {
    terraform: &'a Terraform,
    folder: PathBuf,
    url: &'a str,
    variables: PathBuf,
}

impl<'a> Root<'a> {
    /// Writes `variables` beside the root.
    pub(super) fn new(
        terraform: &'a Terraform,
        folder: PathBuf,
        url: &'a str,
        variables: &Value,
    ) -> Result<Self> {
        let file = folder.join("tested.tfvars.json");
        fs::write(&file, variables.to_string()).with_context(|| format!("{}", file.display()))?;
        Ok(Self {
            terraform,
            folder,
            url,
            variables: file,
        })
    }

    fn command(&self) -> Command {
        let mut command = self.terraform.command(&self.folder);
        command
            .env("AWS_ENDPOINT_URL", self.url)
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .env("AWS_REGION", REGION)
            .env("AWS_EC2_METADATA_DISABLED", "true")
            // A call that the emulator lacks is repeated for ten minutes otherwise.
            .env("AWS_MAX_ATTEMPTS", "2");
        command
    }

    fn run(&self, args: &[&str]) -> Result<()> {
        process::run_quietly(self.command().args(args).arg("-no-color"))
    }

    /// `args` with the variables; some may be said otherwise. What it printed, and whether it
    /// worked.
    fn try_with(&self, args: &[&str], others: &[&str]) -> Result<(String, bool)> {
        let mut command = self.command();
        command.args(args).args(["-input=false", "-no-color"]);
        command.arg(format!("-var-file={}", self.variables.display()));
        command.args(others.iter().map(|other| format!("-var={other}")));
        process::said(&mut command)
    }

    fn with(&self, args: &[&str], others: &[&str]) -> Result<()> {
        let (said, ok) = self.try_with(args, others)?;
        if !ok {
            bail!("`terraform {}` failed:\n{said}", args.join(" "));
        }
        Ok(())
    }

    /// The plan as JSON; it is kept as `name`.
    fn plan(&self, name: &str, others: &[&str]) -> Result<Value> {
        self.with(&["plan", &format!("-out={name}")], others)?;
        let mut show = self.command();
        let output = show.args(["show", "-json", name]).output();
        let output = output.context("terraform does not start")?;
        serde_json::from_slice(&output.stdout).context("terraform show printed no JSON")
    }

    /// A copy of the root keeps its state beside it, where nothing is applied.
    fn init_for_plans(&self) -> Result<()> {
        let local = "terraform {\n  backend \"local\" {}\n}\n";
        fs::write(self.folder.join("backend_override.tf"), local)?;
        self.terraform.init(&mut self.command(), &[])
    }

    /// That `args` is refused by a sentence with `wanted`.
    fn is_refused(&self, args: &[&str], others: &[&str], wanted: &str) -> Result<Vec<String>> {
        let (said, ok) = self.try_with(args, others)?;
        // Terraform breaks lines wherever they end.
        let words: Vec<&str> = said
            .split_whitespace()
            .filter(|word| *word != "│")
            .collect();
        Ok(match ok || !words.join(" ").contains(wanted) {
            true => vec![format!("it does not say {wanted:?}:\n{said}")],
            false => Vec::new(),
        })
    }
}

fn judge(what: &str, plan: &Value, permissions: &Value, report: &mut Report) {
    let judged = Plan::new(plan, permissions);
    for (name, rule) in RULES {
        note(report, &format!("{what}: {name}"), rule(&judged));
    }
}

/// That AWS watches what the forecast watches.
fn budgets(
    workspace: &Workspace,
    environment: &str,
    plan: &Value,
    report: &mut Report,
) -> Result<()> {
    let budgets = read_json(&workspace.root.join(BUDGETS))?;
    let faults = policies::other_budgets(plan, &budgets[environment]["month_usd"]);
    note(
        report,
        &format!("{environment}: its budget is that of {BUDGETS}"),
        faults,
    );
    Ok(())
}

/// What Terraform needs of a release: any key will do where nothing is installed.
const RELEASE_KEY: &str = "-----BEGIN PUBLIC KEY-----\n\
    MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";

const BUDGET: &str = r#"budget={"receivers":["a@example.com"],"brake_roles":["ci"]}"#;

/// Applies dev on the emulator, plans again, tries the service on it, and destroys it.
pub(super) fn dev(
    workspace: &Workspace,
    terraform: &Terraform,
    scratch: &Path,
    emulator: &Emulator,
    report: &mut Report,
) -> Result<()> {
    let relays = json!({
        "version": "0.1.0", "ami": emulator.image()?, "release_key": RELEASE_KEY,
    });
    let variables = json!({
        "account": ACCOUNT, "region": REGION, "packages": scratch.join("packages"),
        "queues": ["duel"], "relays": relays,
    });
    let folder = scratch.join("terraform/environments/dev");
    let dev = Root::new(terraform, folder, &emulator.url, &variables)?;
    let backend = |value: String| format!("-backend-config={value}");
    let backend = [
        backend(format!("bucket={BUCKET}")),
        backend(format!("region={REGION}")),
        backend("use_path_style=true".to_owned()),
    ];
    terraform.init(&mut dev.command(), &backend.each_ref().map(String::as_str))?;
    let permissions = read_json(&workspace.root.join(READ_BY_MODULES[0]))?;
    // With all that it may have. The emulator knows no budgets, so they are not applied.
    let whole = dev.plan("whole", &[BUDGET])?;
    judge("dev", &whole, &permissions, report);
    budgets(workspace, "dev", &whole, report)?;
    keep_plan(workspace, &dev.plan("priced", &[])?)?;
    refusals(&dev, emulator, report)?;
    dev.with(&["apply", "-auto-approve"], &[])?;
    note(report, "dev is applied on the emulator", Vec::new());
    let artefacts = workspace.root.join(ARTEFACTS);
    let artefacts =
        fs::read_to_string(&artefacts).with_context(|| format!("{}", artefacts.display()))?;
    // What is not Terraform's: how many machines there are, and which version is live.
    emulator.move_what_deployments_move()?;
    let second = dev.plan("second", &[])?;
    let mut unsettled = policies::unsettled(&second, &artefacts);
    unsettled.extend(policies::capacity_moved(&second));
    note(report, "a second plan changes nothing", unsettled);
    let (folder, variables) = (dev.folder.clone(), dev.variables.clone());
    deployed::check(folder, variables, scratch, emulator, report)?;
    scenarios(workspace, emulator, report)?;
    emulator.end_machines()?;
    dev.with(&["destroy", "-auto-approve"], &[])?;
    let mut list = dev.command();
    let (left, _) = process::said(list.args(["state", "list"]))?;
    let left = left.lines().map(str::to_owned).collect();
    note(report, "dev is destroyed, and nothing is left", left);
    Ok(())
}

/// What goes wrong for people: each is refused, changes nothing more, and can be done again.
fn refusals(dev: &Root<'_>, emulator: &Emulator, report: &mut Report) -> Result<()> {
    let plan = ["plan"];
    let said = dev.is_refused(
        &plan,
        &["account=000000000000"],
        "AWS account ID not allowed",
    )?;
    note(report, "another account is refused", said);
    let said = dev.is_refused(&plan, &["region=eu-west-9"], "region is one of eu-west-1")?;
    note(report, "a region that is none is refused", said);
    let lock = emulator.hold_lock()?;
    let said = dev.is_refused(&plan, &[], "Error acquiring the state lock")?;
    note(report, "a lock that somebody holds is respected", said);
    dev.run(&["force-unlock", "-force", &lock])?;
    // Something of this name is there already, so the apply ends in the middle.
    emulator.take_a_name()?;
    let args = ["apply", "-auto-approve"];
    let said = dev.is_refused(&args, &[], "EntityAlreadyExists")?;
    note(report, "an apply that cannot go on says why", said);
    emulator.free_the_name()
}

/// Every scenario on Lambda, with the table that Terraform made.
fn scenarios(workspace: &Workspace, emulator: &Emulator, report: &mut Report) -> Result<()> {
    let mut command = Command::new(workspace.binary("scenarios"));
    command
        .current_dir(&workspace.root)
        .env("SCENARIOS_AWS_URL", &emulator.url)
        .env("SCENARIOS_TABLE", "lifeverse-dev");
    let (said, ok) = process::said(&mut command)?;
    report.ran(&said, Count::of_last_line(&said));
    if !ok {
        bail!("scenarios fail against the table that Terraform made");
    }
    Ok(())
}

fn production(scratch: &Path) -> [Value; 2] {
    let ami = "ami-0123456789abcdef0";
    let colour =
        |version: &str, min: u32| json!({ "version": version, "ami": ami, "min": min, "max": 10 });
    let global = json!({
        "account": ACCOUNT, "dev_account": "210987654321", "state_bucket": BUCKET,
        "github_repository": "example/voice", "receivers": ["voice@example.com"],
    });
    let region = json!({
        "account": ACCOUNT, "dev_account": "210987654321", "packages": scratch.join("packages"),
        "zone_id": "Z0123456789ABCDEFGHIJ", "domain": "voice.example.com",
        "artefacts": { "bucket": "lifeverse-prod-artefacts", "region": "eu-west-1",
            "release_key": RELEASE_KEY },
        "colours": { "blue": colour("0.1.0", 2), "green": colour("0.2.0", 0) },
        "account_concurrency": 1000, "receivers": ["voice@example.com"],
        "remote_write_url": "https://metrics.example.com/api/v1/write", "queues": ["duel"],
    });
    [global, region]
}

/// A region that production does not have.
const THIRD: &str = "ap-southeast-1";

/// Plans production from nothing, with its two regions and with a third.
pub(super) fn prod(
    workspace: &Workspace,
    terraform: &Terraform,
    scratch: &Path,
    url: &str,
    report: &mut Report,
) -> Result<()> {
    let permissions = read_json(&workspace.root.join(READ_BY_MODULES[0]))?;
    let folder = scratch.join("terraform/environments/prod");
    let mut regions = read_json(&folder.join("regions.json"))?;
    regions[THIRD] = json!({ "voice_region": "ap", "cidr": "10.22.0.0/16", "zones": ["a", "b"] });
    fs::write(folder.join("three.json"), regions.to_string())?;
    let three = "regions_file=../three.json";
    let [global, region] = production(scratch);

    let global = Root::new(terraform, folder.join("global"), url, &global)?;
    global.init_for_plans()?;
    let two = global.plan("two", &[])?;
    judge("prod/global", &two, &permissions, report);
    budgets(workspace, "prod", &two, report)?;
    let added = policies::not_added(&two, &global.plan("three", &[three])?);
    note(report, "prod/global: a third region only adds", added);

    let region = Root::new(terraform, folder.join("region"), url, &region)?;
    region.init_for_plans()?;
    let here = "region=eu-west-1";
    let two = region.plan("two", &[here])?;
    judge("prod/region", &two, &permissions, report);
    let added = policies::not_added(&two, &region.plan("three", &[here, three])?);
    note(report, "prod/region: a third region only adds", added);
    let third = region.plan("third", &[&format!("region={THIRD}"), three])?;
    judge("prod/region, a third", &third, &permissions, report);
    let said = region.is_refused(
        &["plan"],
        &[&format!("region={THIRD}")],
        "A new one is an entry there first",
    )?;
    note(
        report,
        "a region that production does not have is refused",
        said,
    );
    let said = region.is_refused(
        &["plan"],
        &[here, &format!("dev_account={ACCOUNT}")],
        "another account than that of production",
    )?;
    note(
        report,
        "dev and production in one account are refused",
        said,
    );

    let templates = list(&two, "resource_changes");
    let is_blue = |it: &&Value| it["type"] == "aws_launch_template" && text(it, "index") == "blue";
    let template = templates.iter().find(is_blue).context("there are relays")?;
    let template = json!({ "values": template["change"]["after"] });
    machine::check(&template, &workspace.root, scratch, report)
}
