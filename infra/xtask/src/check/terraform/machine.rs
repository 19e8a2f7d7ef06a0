//! What a machine does at its first start: the scripts are read from a plan, as EC2 would get them,
//! and run against an AWS that checks what it is asked.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use data_encoding::BASE64;
use serde_json::Value;

use super::report::{Report, note};
use crate::check::count::Count;
use crate::workspace::{list, text};
use crate::{install, process};

/// Runs the scripts; beside the module that lays them down.
const TEST: &str = "terraform/modules/relays/tests/machine.py";
const HEAD: &str = "#cloud-config\n";

/// Path and content of each file that a launch template lays down; nothing when that is known after
/// an apply only.
pub(super) fn files(template: &Value) -> Option<Vec<(String, String)>> {
    let config = config(template)?;
    let files = list(&config, "write_files").iter();
    let pair = |file: &Value| (text(file, "path").into(), text(file, "content").into());
    Some(files.map(pair).collect())
}

fn config(template: &Value) -> Option<Value> {
    let text = user_data(template)?;
    serde_json::from_str(text.strip_prefix(HEAD)?).ok()
}

fn user_data(template: &Value) -> Option<String> {
    let data = template["values"]["user_data"].as_str()?;
    String::from_utf8(BASE64.decode(data.as_bytes()).ok()?).ok()
}

/// Checks what a machine of `template` gets: that cloud-init reads it, that a shell does, and what
/// its scripts do.
///
/// # Errors
/// When the plan does not have the whole of it, or a tool does not start.
pub(super) fn check(
    template: &Value,
    root: &Path,
    scratch: &Path,
    report: &mut Report,
) -> Result<()> {
    let folder = scratch.join("machine");
    fs::create_dir_all(&folder)?;
    let whole = user_data(template).context("the plan does not know what machines get")?;
    let config = folder.join("user-data");
    fs::write(&config, whole)?;
    let files = files(template).context("what machines get is no JSON after #cloud-config")?;
    let mut scripts = Vec::new();
    for (path, content) in &files {
        let name = Path::new(path).file_name().context("a file has a name")?;
        fs::write(folder.join(name), content)?;
        if path.ends_with(".sh") {
            scripts.push(folder.join(name));
        }
    }
    read_by_cloud_init(&config, report)?;
    install::shellcheck()?;
    let mut shellcheck = Command::new("shellcheck");
    shellcheck.args([
        "--severity=warning",
        "--external-sources",
        "--source-path=SCRIPTDIR",
    ]);
    let (said, ok) = process::said(shellcheck.args(&scripts))?;
    note(
        report,
        "shellcheck finds nothing in what machines run",
        fault(ok, said),
    );
    let mut test = Command::new("python3");
    let (said, ok) = process::said(test.arg(root.join(TEST)).arg(&folder))?;
    report.ran(&said, Count::of_last_line(&said));
    if !ok {
        note(report, "machines do what they are for", vec![said]);
    }
    Ok(())
}

/// Installing cloud-init would have it run at the next start of this machine, so it is used where
/// it is, and not installed.
fn read_by_cloud_init(config: &Path, report: &mut Report) -> Result<()> {
    let Some(program) = install::find_program(&["cloud-init"]) else {
        report.say("left out: what cloud-init says of the first start, since it is not here");
        return Ok(());
    };
    let mut schema = Command::new(program);
    let (said, ok) = process::said(schema.args(["schema", "--config-file"]).arg(config))?;
    // It ends well with a warning, too.
    let ok = ok && said.contains("Valid cloud-config");
    note(
        report,
        "cloud-init takes what machines get",
        fault(ok, said),
    );
    Ok(())
}

fn fault(ok: bool, said: String) -> Vec<String> {
    if ok { Vec::new() } else { vec![said] }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn files_are_read_from_a_template() {
        let data = format!(
            "{HEAD}{}",
            json!({ "write_files": [{ "path": "/a", "content": "b" }] })
        );
        let template = json!({ "values": { "user_data": BASE64.encode(data.as_bytes()) } });
        assert_eq!(
            files(&template),
            Some(vec![("/a".to_owned(), "b".to_owned())])
        );
        assert_eq!(
            files(&json!({ "values": {} })),
            None,
            "known after an apply"
        );
        let data = json!({ "values": { "user_data": BASE64.encode(b"#!/bin/sh") } });
        assert_eq!(files(&data), None);
    }
}
