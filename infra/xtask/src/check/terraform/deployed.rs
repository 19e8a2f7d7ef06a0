//! What Terraform does in a deployment, on the emulator: grants of two releases, then of one, and
//! the template of the idle colour; nothing of what deployments move.

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::{Value, json};

use super::emulator::{Emulator, REGION};
use super::report::{Report, note};
use crate::deploy::terraform::{Inputs, Root};
use crate::workspace::{list, text};

/// A grant that no release has.
const BEFORE: &str = "dynamodb:PartiQLSelect";

/// Applies dev twice, as `cargo xtask deploy` does.
pub(super) fn check(
    folder: PathBuf,
    variables: PathBuf,
    scratch: &Path,
    emulator: &Emulator,
    report: &mut Report,
) -> Result<()> {
    let environment = [
        ("AWS_ENDPOINT_URL", emulator.url.as_str()),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_REGION", REGION),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("AWS_MAX_ATTEMPTS", "2"),
        ("CHECKPOINT_DISABLE", "1"),
    ];
    let root = Root::new(folder, &[variables], scratch.join("deployed"))?;
    let root = root.with_environment(&environment);
    let image = emulator.image()?;
    let colour = |version: &str| json!({ "version": version, "ami": image, "min": 1, "max": 2 });
    let beside = json!({ "chat": { "table": ["PartiQLSelect"], "partitions": [], "secrets": [] } });
    let packages = scratch.join("packages");
    let inputs = |beside| Inputs {
        packages: &packages,
        beside,
        colours: Some(json!({ "blue": colour("0.1.0"), "green": colour("0.2.0") })),
    };
    let before = emulator.deployed()?;
    root.apply(&inputs(Some(&beside)))?;
    let during = emulator.deployed()?;
    root.apply(&inputs(None))?;
    let after = emulator.deployed()?;
    note(
        report,
        "a deployment's applies add grants, then take them away",
        grants(&before, &during, &after),
    );
    note(
        report,
        "a deployment's applies set the idle colour's template and move nothing",
        moved(&before, &after),
    );
    Ok(())
}

fn grants(before: &Value, during: &Value, after: &Value) -> Vec<String> {
    let has = |seen: &Value| list(seen, "actions").iter().any(|action| action == BEFORE);
    let kept = list(before, "actions").iter();
    let mut lost = kept.filter(|action| !list(during, "actions").contains(action));
    let mut faults: Vec<String> = lost.by_ref().map(|one| format!("{one} was lost")).collect();
    if (has(before), has(during), has(after)) != (false, true, false) {
        faults.push(format!("{BEFORE}: {before} {during} {after}"));
    }
    faults
}

fn moved(before: &Value, after: &Value) -> Vec<String> {
    let same = ["blue", "desired", "alias"];
    let others = same
        .iter()
        .filter(|field| before[**field] != after[**field]);
    let mut faults: Vec<String> = others
        .map(|field| format!("{field}: {} became {}", before[*field], after[*field]))
        .collect();
    if text(after, "green") != "Relays, green: 0.2.0" {
        faults.push(format!("green: {}", after["green"]));
    }
    faults
}
