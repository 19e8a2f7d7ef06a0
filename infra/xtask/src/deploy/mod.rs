//! `cargo xtask deploy` and `rollback`: from one release to the next while calls go on.
//!
//! [`plan`] says the steps, from the environment as it was read ([`model`]); [`run`] carries them
//! out through a narrow port, which [`cloud`] serves with AWS, the edge and Terraform.

mod aws;
mod bucket;
mod cloud;
mod gate;
mod model;
mod plan;
mod probe;
mod record;
mod release;
mod run;
#[cfg(test)]
mod run_tests;
pub(crate) mod terraform;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Error, Result, bail};
use clap::{Args, ValueEnum};

use crate::package::PublicKey;
use crate::workspace::Workspace;
use crate::{clock, token};
use aws::Aws;
use cloud::Cloud;
use model::{Code, Colour, Wanted};
use plan::Way;
use record::Record;
use release::Release;
use run::{Ended, Manner, World as _};

/// Events and windows.
const CALENDAR: &str = "infra/ops/calendar.toml";
/// What a deployment takes besides its waiting, seconds: Terraform twice, machines that start.
const WORK_S: u64 = 40 * 60;

/// Where to, for both commands.
#[derive(Debug, Args)]
pub(crate) struct Place {
    /// The environment
    #[arg(long, value_name = "NAME")]
    env: Env,

    /// The region of AWS
    #[arg(long, value_name = "REGION")]
    region: String,

    /// The artefact bucket
    #[arg(long, value_name = "NAME")]
    bucket: String,

    /// Address of the edge
    #[arg(long, value_name = "URL")]
    edge: String,

    /// Variables of the environment, for Terraform
    #[arg(long = "var-file", value_name = "FILE")]
    variables: Vec<PathBuf>,

    /// Print the steps and change nothing
    #[arg(long)]
    plan: bool,

    /// Leave Terraform out: somebody has applied what it makes
    #[arg(long)]
    applied: bool,

    /// Go on though the gate is closed, and record why
    #[arg(long = "override", value_name = "REASON")]
    reason: Option<String>,

    /// Take the lock of a run that is dead
    #[arg(long, value_name = "ID")]
    unlock: Option<String>,

    /// Longest wait until a colour carries nobody
    #[arg(long, value_name = "SECONDS", default_value_t = 900)]
    drain_limit: u64,

    /// Time between two looks at what is waited for
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    look: u64,
}

/// What to deploy.
#[derive(Debug, Args)]
pub(crate) struct Flags {
    #[command(flatten)]
    place: Place,

    /// The idle colour, which takes over
    #[arg(long, value_name = "COLOUR")]
    colour: Colour,

    /// A release that was made already, with its signed manifest
    #[arg(
        long,
        value_name = "FOLDER",
        required_unless_present = "sign",
        requires = "key"
    )]
    release: Option<PathBuf>,

    /// The public half of the release key
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,

    /// Build the release, and sign it with this key
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with = "release",
        requires = "key"
    )]
    sign: Option<PathBuf>,

    /// Image of the new relays [default: that of the live ones]
    #[arg(long, value_name = "AMI")]
    ami: Option<String>,

    /// How long each part of the traffic is watched
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    bake: u64,

    /// Invocations that each new version has in that time
    #[arg(long, value_name = "N", default_value_t = 50)]
    invocations: u64,
}

/// An environment of terraform/environments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Env {
    Dev,
    Prod,
}

impl Place {
    fn environment(&self) -> &'static str {
        match self.env {
            Env::Dev => "dev",
            Env::Prod => "prod",
        }
    }

    /// Beginning of the names of all that is in the environment.
    fn name(&self) -> String {
        match self.env {
            Env::Dev => "lifeverse-dev".to_owned(),
            Env::Prod => format!("lifeverse-prod-{}", self.region),
        }
    }

    fn root(&self) -> &'static str {
        match self.env {
            Env::Dev => "terraform/environments/dev",
            Env::Prod => "terraform/environments/prod/region",
        }
    }

    fn cloud(&self, workspace: &Workspace, needed_s: u64) -> Result<Cloud> {
        let token = match std::env::var("OPERATOR_TOKEN") {
            Ok(token) => token,
            Err(_) => token::operator_token(workspace)?,
        };
        if !self.plan {
            probe::check_token(&token, clock::unix_seconds(), needed_s)?;
        }
        let scratch = workspace.target.join("deploy").join(self.name());
        std::fs::create_dir_all(&scratch).with_context(|| format!("{}", scratch.display()))?;
        let terraform = match self.applied || self.plan {
            true => None,
            false => {
                let folder = workspace.root.join(self.root());
                Some(terraform::Root::new(
                    folder,
                    &self.variables,
                    scratch.clone(),
                )?)
            }
        };
        Ok(Cloud {
            aws: Aws::of_environment(&self.region)?,
            name: self.name(),
            bucket: self.bucket.clone(),
            edge: self.edge.trim_end_matches('/').to_owned(),
            token,
            names: Default::default(),
            colour: Colour::Blue,
            image: None,
            release: None,
            terraform,
            scratch,
            uploaded: BTreeMap::new(),
            probes: 0,
        })
    }
}

/// `cargo xtask deploy`.
///
/// # Errors
/// What stands in the way, and what to do; what was done before stays done.
pub(crate) fn deploy(workspace: &Workspace, flags: &Flags) -> Result<ExitCode> {
    let place = &flags.place;
    let needed_s = WORK_S + 4 * flags.bake + place.drain_limit;
    let mut cloud = place.cloud(workspace, needed_s)?;
    let key = flags
        .key
        .as_deref()
        .context("--key FILE: the public half of the release key")?;
    let key = PublicKey::read(key)?;
    let folder = match (&flags.release, &flags.sign) {
        (Some(folder), _) => folder.clone(),
        (None, Some(sign)) => release::build(workspace, sign)?,
        (None, None) => bail!("--release FOLDER, or --sign FILE to make one"),
    };
    let release = Release::read(&folder, &key)?;
    if !place.applied {
        same_permissions(workspace, &release)?;
    }
    let sums = release
        .files
        .iter()
        .map(|(key, (_, sum))| (key.clone(), sum.clone()));
    let wanted = Wanted {
        release: release.version.clone(),
        colour: flags.colour,
        code: Code::Zips(release.zips.clone()),
        files: sums.collect(),
        permissions: release.permissions.clone(),
    };
    let commit = release.commit.clone();
    cloud.names = release.zips.keys().cloned().collect();
    // Functions that the release lacks are read too, so that their end is noticed.
    let kept = cloud.bucket().kept()?;
    cloud.names.extend(
        kept.live
            .iter()
            .flat_map(|live| live.versions.keys().cloned()),
    );
    cloud.colour = flags.colour;
    cloud.image.clone_from(&flags.ami);
    cloud.release = Some(release);
    let manner = Manner {
        bake_ms: flags.bake * 1000,
        invocations: flags.invocations,
        traffic_limit_ms: (flags.bake * 1000).max(300_000),
        drain_limit_ms: place.drain_limit * 1000,
        look_ms: place.look * 1000,
    };
    let mut all = Job {
        workspace,
        place,
        cloud,
        wanted,
        way: Way::Forward,
        manner,
        commit,
    };
    all.run()
}

/// `cargo xtask rollback`: the same backwards, to what was live before.
///
/// # Errors
/// What stands in the way, and what to do.
pub(crate) fn rollback(workspace: &Workspace, place: &Place) -> Result<ExitCode> {
    let mut cloud = place.cloud(workspace, WORK_S + place.drain_limit)?;
    let wanted = plan::back(&cloud.bucket().kept()?).map_err(Error::msg)?;
    cloud.names = plan::functions(&wanted).into_iter().cloned().collect();
    cloud.colour = wanted.colour;
    let manner = Manner {
        bake_ms: 0,
        invocations: 0,
        traffic_limit_ms: 0,
        drain_limit_ms: place.drain_limit * 1000,
        look_ms: place.look * 1000,
    };
    let commit = String::new();
    let mut all = Job {
        workspace,
        place,
        cloud,
        wanted,
        way: Way::Back,
        manner,
        commit,
    };
    all.run()
}

/// Terraform reads the permissions of this folder, and the release has its own.
fn same_permissions(workspace: &Workspace, release: &Release) -> Result<()> {
    let file = workspace.root.join(release::PERMISSIONS_FILE);
    let text = std::fs::read_to_string(&file).with_context(|| format!("{}", file.display()))?;
    let here: serde_json::Value = serde_json::from_str(&text)?;
    if here != release.permissions {
        bail!(
            "{} is not that of release {}: `git checkout {}` first",
            release::PERMISSIONS_FILE,
            release.version,
            release.commit
        );
    }
    Ok(())
}

/// One run of either command.
struct Job<'a> {
    workspace: &'a Workspace,
    place: &'a Place,
    cloud: Cloud,
    wanted: Wanted,
    way: Way,
    manner: Manner,
    commit: String,
}

impl Job<'_> {
    fn run(&mut self) -> Result<ExitCode> {
        let started_at_ms = self.cloud.now_ms();
        let verb = match self.way {
            Way::Forward => "deploy",
            Way::Back => "go back to",
        };
        let (release, colour) = (self.wanted.release.clone(), self.wanted.colour);
        let what = format!("{verb} {release} to {colour}, {}", self.cloud.name);
        println!("{what}");
        let open = self.gate(started_at_ms);
        if self.place.plan {
            if let Err(closed) = open {
                println!("the gate is closed now: {closed:#}");
            }
            let left = run::show(&mut self.cloud, &self.wanted, self.way)?;
            println!("{left} steps to do; nothing was changed");
            return Ok(ExitCode::SUCCESS);
        }
        open?;
        if let Some(id) = &self.place.unlock {
            self.cloud.bucket().unlock(id)?;
        }
        let id = format!("{started_at_ms}-{}", std::process::id());
        let by = by();
        self.cloud.bucket().lock(&id, &by, &what, started_at_ms)?;
        println!("lock {id}; if this run is killed, run it again with `--unlock {id}`");
        let ended = run::deploy(&mut self.cloud, &self.wanted, self.way, self.manner);
        let recorded = self.record(&id, &by, started_at_ms, &ended);
        // Without credentials it stays, and the record and the next run name it.
        let unlocked = self.cloud.bucket().unlock(&id);
        let ended =
            ended.with_context(|| format!("{what} is half-way; run it again, or `rollback`"))?;
        recorded?;
        unlocked?;
        match ended {
            Ended::Done => {
                println!("done: {release} is live, on {colour}");
                Ok(ExitCode::SUCCESS)
            }
            Ended::WentBack(why) => {
                println!("went back: {why}");
                Ok(ExitCode::FAILURE)
            }
        }
    }

    /// # Errors
    /// Why this is no time for it, unless it was overridden.
    fn gate(&mut self, now_ms: u64) -> Result<()> {
        let burning = self.cloud.burning()?;
        let calendar = self.workspace.root.join(CALENDAR);
        let calendar = std::fs::read_to_string(&calendar)
            .with_context(|| format!("{}", calendar.display()))?;
        let environment = self.place.environment();
        let closed = gate::closed(&calendar, environment, now_ms, &burning)?;
        // What goes back makes it better, and alarms are why.
        if closed.is_empty() || self.way == Way::Back {
            return Ok(());
        }
        let closed = closed.join("; ");
        match &self.place.reason {
            Some(reason) if !reason.trim().is_empty() => {
                println!("the gate is closed ({closed}); overridden: {reason}");
                Ok(())
            }
            _ => bail!("{closed}. Wait, or say why not with --override REASON, which is recorded"),
        }
    }

    fn record(
        &mut self,
        id: &str,
        by: &str,
        started_at_ms: u64,
        ended: &Result<Ended>,
    ) -> Result<()> {
        let (outcome, why) = match ended {
            Ok(Ended::Done) => ("done", None),
            Ok(Ended::WentBack(why)) => ("went-back", Some(why.clone())),
            Err(error) => ("failed", Some(format!("{error:#}"))),
        };
        // Not to be had where credentials have ended.
        let kept = self.cloud.bucket().kept().unwrap_or_default();
        let before = match outcome {
            "done" => kept.before,
            _ => kept.live,
        };
        let ended_at_ms = self.cloud.now_ms();
        let record = Record {
            id,
            environment: self.place.environment(),
            region: &self.place.region,
            kind: match self.way {
                Way::Forward => "release",
                Way::Back => "rollback",
            },
            release: &self.wanted.release,
            before: before.as_ref().map(|before| before.release.as_str()),
            colour: self.wanted.colour.name(),
            commit: &self.commit,
            committed_at_s: release::committed_at_s(self.workspace, &self.commit),
            by,
            started_at_ms,
            ended_at_ms,
            outcome,
            why: why.as_deref(),
            overridden: self.place.reason.as_deref(),
        };
        let file = match std::env::var_os("DEPLOYMENT_RECORDS") {
            Some(file) => PathBuf::from(file),
            None => self.workspace.root.join(Path::new(record::FILE)),
        };
        record.append(&file)
    }
}

/// Who deploys: the person whom GitHub names, or the one whose machine this is.
fn by() -> String {
    let read = |name: &str| std::env::var(name).ok();
    read("GITHUB_ACTOR")
        .or_else(|| read("USER"))
        .unwrap_or_else(|| "unknown".to_owned())
}

#[cfg(test)]
mod tests {
    use crate::cli::tests::{command, refusal};

    const PLACE: &str = "--env dev --region eu-west-1 --bucket b --edge https://e";

    #[test]
    fn a_release_is_given_or_made() {
        for rest in ["--release r --key k", "--sign s --key k"] {
            assert!(
                command(&format!("deploy {PLACE} --colour green {rest}")).is_ok(),
                "{rest}"
            );
        }
        assert!(command(&format!("rollback {PLACE} --plan")).is_ok());
        for (rest, flag) in [
            ("--colour red --sign s --key k", "red"),
            ("--colour green", "--release"),
            ("--colour green --release r", "--key"),
            ("--sign s --key k", "--colour"),
        ] {
            let said = refusal(&format!("deploy {PLACE} {rest}"));
            assert!(said.contains(flag), "{said}");
        }
        assert!(refusal("rollback --env staging").contains("staging"));
    }
}
