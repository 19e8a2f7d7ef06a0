//! Terraform's states: a copy of them, and their bucket made anew from it. Nothing that runs needs
//! them; without them nothing can be applied.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::times::Times;
use crate::aws_cli::{Aws, Cli};
use crate::workspace::{list, text};

/// Which bucket, and what to do.
#[derive(Debug, Args)]
pub(crate) struct Flags {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Copy every state of the bucket into a folder
    Save(Place),
    /// Make the bucket anew if it is gone, and put the states there that it lacks
    Restore(Place),
}

#[derive(Debug, Args)]
struct Place {
    /// The bucket of the states
    #[arg(long, value_name = "NAME")]
    bucket: String,

    /// The folder of the copy: on another disk, or synced to another account
    #[arg(long, value_name = "FOLDER")]
    folder: PathBuf,

    /// Region of the bucket
    #[arg(long, value_name = "NAME")]
    aws_region: String,
}

/// A state of ours has some hundred kilobytes.
const STATES_MAX: usize = 1_000;

pub(super) fn run(flags: &Flags) -> Result<()> {
    let (What::Save(place) | What::Restore(place)) = &flags.what;
    let aws = Cli {
        region: Some(place.aws_region.clone()),
    };
    match &flags.what {
        What::Save(place) => save(&aws, place),
        What::Restore(place) => restore(&aws, place),
    }
}

fn save(aws: &Cli, place: &Place) -> Result<()> {
    let mut times = Times::start();
    let keys = states(aws, place)?;
    if keys.is_empty() {
        bail!(
            "{} has no state: nothing was copied, and the last copy is as it was",
            place.bucket
        );
    }
    for key in &keys {
        let to = file(&place.folder, key)?;
        fs::create_dir_all(to.parent().expect("it is in a folder"))?;
        let partial = to.with_extension("partial");
        aws.copy(
            &format!("s3://{}/{key}", place.bucket),
            &partial.display().to_string(),
        )?;
        serial(&partial)?;
        fs::rename(&partial, &to).with_context(|| format!("{}", to.display()))?;
    }
    times.done(&format!(
        "{} states are in {}",
        keys.len(),
        place.folder.display()
    ));
    Ok(())
}

fn restore(aws: &Cli, place: &Place) -> Result<()> {
    let mut times = Times::start();
    let copies = copies(&place.folder, &place.folder)?;
    if copies.is_empty() {
        bail!("{} has no state", place.folder.display());
    }
    make(aws, place)?;
    times.done(&format!(
        "{} is there, keeps versions and is private",
        place.bucket
    ));
    let there = states(aws, place)?;
    for key in copies {
        if there.contains(&key) {
            println!("{key} is there and stays as it is: its versions are its backups");
            continue;
        }
        let from = file(&place.folder, &key)?;
        let serial = serial(&from)?;
        aws.copy(
            &from.display().to_string(),
            &format!("s3://{}/{key}", place.bucket),
        )?;
        times.done(&format!("{key}, serial {serial}"));
    }
    println!(
        "Now a plan of each state says what was applied after the copy: infra/ops/dr/state.md."
    );
    Ok(())
}

fn states(aws: &dyn Aws, place: &Place) -> Result<Vec<String>> {
    let reply = aws.call(
        "s3api",
        "list-objects-v2",
        &json!({ "Bucket": place.bucket }),
    )?;
    let keys = list(&reply, "Contents")
        .iter()
        .map(|it| text(it, "Key").to_owned());
    let states: Vec<String> = keys.filter(|key| key.ends_with(".tfstate")).collect();
    if states.len() > STATES_MAX {
        bail!(
            "{} has {} states: it is not the bucket of ours",
            place.bucket,
            states.len()
        );
    }
    Ok(states)
}

/// As terraform/README.md makes it.
fn make(aws: &dyn Aws, place: &Place) -> Result<()> {
    let bucket = json!({ "Bucket": place.bucket });
    match aws.call("s3api", "head-bucket", &bucket) {
        Ok(_) => {}
        Err(error) if error.to_string().contains("404") => {
            let mut input = bucket.clone();
            // The one region that may not be named.
            if place.aws_region != "us-east-1" {
                let here = json!({ "LocationConstraint": place.aws_region });
                input["CreateBucketConfiguration"] = here;
            }
            aws.call("s3api", "create-bucket", &input)?;
        }
        Err(error) => return Err(error),
    }
    let with = |name: &str, value: Value| json!({ "Bucket": place.bucket, name: value });
    let versions = with("VersioningConfiguration", json!({ "Status": "Enabled" }));
    aws.call("s3api", "put-bucket-versioning", &versions)?;
    let private = json!({
        "BlockPublicAcls": true, "IgnorePublicAcls": true, "BlockPublicPolicy": true,
        "RestrictPublicBuckets": true,
    });
    let private = with("PublicAccessBlockConfiguration", private);
    aws.call("s3api", "put-public-access-block", &private)
        .map(drop)
}

/// Where a key's copy is. A key is no way out of the folder.
fn file(folder: &Path, key: &str) -> Result<PathBuf> {
    let is_plain = |part: &str| !part.is_empty() && part != "." && part != "..";
    if !key.split('/').all(is_plain) || key.contains('\\') {
        bail!("{key:?} is no key of a state");
    }
    Ok(folder.join(key))
}

/// Keys of the states in a folder.
fn copies(root: &Path, folder: &Path) -> Result<Vec<String>> {
    let mut keys = Vec::new();
    let entries = fs::read_dir(folder).with_context(|| format!("{}", folder.display()))?;
    for entry in entries {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            keys.extend(copies(root, &path)?);
        } else if path.extension().is_some_and(|it| it == "tfstate") {
            let key = path.strip_prefix(root)?;
            keys.push(key.to_str().context("a state's name is text")?.to_owned());
        }
    }
    keys.sort();
    Ok(keys)
}

/// The serial of a state, which one that was cut off does not have.
fn serial(file: &Path) -> Result<u64> {
    let shown = file.display();
    let text = fs::read_to_string(file).with_context(|| format!("{shown}"))?;
    let state: Value =
        serde_json::from_str(&text).with_context(|| format!("{shown} is no whole state"))?;
    state["serial"]
        .as_u64()
        .with_context(|| format!("{shown} is no state of Terraform: it has no serial"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::tests::Folder;

    #[test]
    fn a_key_is_no_way_out_of_the_folder() {
        let folder = Path::new("copy");
        assert_eq!(
            file(folder, "lifeverse/dev.tfstate").unwrap(),
            folder.join("lifeverse/dev.tfstate")
        );
        for key in [
            "../x.tfstate",
            "/x.tfstate",
            "a//b.tfstate",
            "a/./b.tfstate",
            "a\\b.tfstate",
        ] {
            assert!(file(folder, key).is_err(), "{key}");
        }
    }

    #[test]
    fn a_state_that_was_cut_off_is_none() {
        let folder = Folder::new("states");
        fs::create_dir_all(folder.0.join("lifeverse")).unwrap();
        let whole = folder.0.join("lifeverse/dev.tfstate");
        fs::write(&whole, "{\"version\":4,\"serial\":7}").unwrap();
        fs::write(folder.0.join("notes.txt"), "x").unwrap();
        assert_eq!(serial(&whole).unwrap(), 7);
        assert_eq!(
            copies(&folder.0, &folder.0).unwrap(),
            ["lifeverse/dev.tfstate"]
        );
        for cut in ["{\"version\":4,\"ser", "{}", ""] {
            fs::write(&whole, cut).unwrap();
            assert!(serial(&whole).is_err(), "{cut}");
        }
    }
}
