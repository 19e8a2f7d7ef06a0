//! OCI images without a daemon: an image is tar files and JSON with names of their sums (decision
//! 19). No shell, no package manager, no user but 65534, and nothing that is written but the state.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::files::{fresh, make_folder, open_folders, place, set_mode, tar};
use super::manifest::sum_of;
use super::packing::{Packing, Program, said_by};
use crate::process;

/// How the names of image archives end.
pub(crate) const ARCHIVE_END: &str = ".oci.tar";

/// `nobody`, who owns nothing.
const USER: u32 = 65534;

/// The certificate authorities that the building machine trusts.
const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Where the image of a program that serves has its components, compiled for every processor.
const COMPILED: &str = "usr/lib/lifeverse-edge/compiled";

const SECOND_NS: u64 = 1_000_000_000;

/// Writes NAME-VERSION-ARCHITECTURE.oci.tar.
pub(super) fn image(packing: &Packing<'_>, program: &Program, tree: &Path) -> Result<()> {
    let tree = fresh(tree)?;
    let root = tree.join("root");
    packing.place_binary(program, &root.join("usr/bin").join(program.name))?;
    if !Path::new(AUTHORITIES).is_file() {
        bail!("{AUTHORITIES} is missing, which an image needs for https; install ca-certificates");
    }
    place(Path::new(AUTHORITIES), &root.join(&AUTHORITIES[1..]), 0o644)?;
    if !program.serves.is_empty() {
        let functions = root.join("usr/share").join(program.name);
        packing.place_functions(&functions)?;
        let mut compile = Command::new(packing.built.join(program.binary));
        compile
            .args(["compile", "--portable-code", "--spin-toml"])
            .arg(functions.join("spin.toml"))
            .arg("--cache-dir")
            .arg(root.join(COMPILED));
        process::run_quietly(&mut compile)?;
    }
    open_folders(&root)?;
    let blobs = fresh(&tree.join("layout/blobs/sha256"))?;
    let (diff_id, layer) = layer(packing, program, &tree, &root, &blobs)?;
    let created = said_by(
        Command::new("date")
            .args(["-u", "+%Y-%m-%dT%H:%M:%SZ", "-d"])
            .arg(format!("@{}", packing.stamp.epoch)),
        packing.workspace,
    )?;
    let config = json!({
        "created": created,
        "architecture": packing.stamp.architecture,
        "os": "linux",
        "config": config(program, &packing.stamp.version, &packing.stamp.commit),
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{diff_id}")] },
        "history": [{ "created": created, "created_by": "cargo xtask package" }],
    });
    let config = blob(&blobs, &config, "application/vnd.oci.image.config.v1+json")?;
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config,
        "layers": [layer],
    });
    let mut manifest = blob(
        &blobs,
        &manifest,
        "application/vnd.oci.image.manifest.v1+json",
    )?;
    manifest["annotations"] = json!({ "org.opencontainers.image.ref.name": packing.stamp.version });
    let layout = tree.join("layout");
    for (name, value) in [
        ("oci-layout", json!({ "imageLayoutVersion": "1.0.0" })),
        (
            "index.json",
            json!({ "schemaVersion": 2, "manifests": [manifest] }),
        ),
    ] {
        super::files::write(&layout.join(name), &value.to_string(), 0o644)?;
    }
    let archive = packing.output.join(packing.stem(program) + ARCHIVE_END);
    let mut command = tar(&packing.stamp.epoch, &archive);
    command.arg("--create").arg("--directory").arg(&layout);
    process::run(command.args(["blobs", "index.json", "oci-layout"]))
}

/// The one layer: the sum of its tar, and what a manifest says of the packed one.
fn layer(
    packing: &Packing<'_>,
    program: &Program,
    tree: &Path,
    root: &Path,
    blobs: &Path,
) -> Result<(String, Value)> {
    let plain = tree.join("layer.tar");
    let mut command = tar(&packing.stamp.epoch, &plain);
    command.arg("--create").arg("--directory").arg(root);
    process::run(command.args(["etc", "usr"]))?;
    // The state's folder alone is the user's: a volume that is mounted there takes its owner over.
    let state = tree.join("state");
    let folder = format!("var/lib/{}", program.name);
    make_folder(&state.join(&folder))?;
    set_mode(&state.join(&folder), 0o700)?;
    let mut command = Command::new("tar");
    command
        .args(["--format=ustar", "--numeric-owner"])
        .args([format!("--owner={USER}"), format!("--group={USER}")])
        .arg(format!("--mtime=@{}", packing.stamp.epoch))
        .arg("--file")
        .arg(&plain)
        .arg("--append")
        .arg("--directory")
        .arg(&state)
        .arg(&folder);
    process::run(&mut command)?;
    let diff_id = sum_of(&plain)?;
    process::run(Command::new("gzip").args(["-6n", "--force"]).arg(&plain))?;
    let packed = tree.join("layer.tar.gz");
    let (sum, size) = (sum_of(&packed)?, fs::metadata(&packed)?.len());
    fs::rename(&packed, blobs.join(&sum)).with_context(|| format!("{}", packed.display()))?;
    let layer = json!({
        "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
        "digest": format!("sha256:{sum}"),
        "size": size,
    });
    Ok((diff_id, layer))
}

/// Writes a blob under the name of its sum; returns how others refer to it.
fn blob(blobs: &Path, value: &Value, media_type: &str) -> Result<Value> {
    let file: PathBuf = blobs.join("partial");
    super::files::write(&file, &value.to_string(), 0o644)?;
    let (sum, size) = (sum_of(&file)?, fs::metadata(&file)?.len());
    fs::rename(&file, blobs.join(&sum)).with_context(|| format!("{}", file.display()))?;
    Ok(json!({ "mediaType": media_type, "digest": format!("sha256:{sum}"), "size": size }))
}

/// How a container of it runs. Flags that are given to a container are added to these.
fn config(program: &Program, version: &str, commit: &str) -> Value {
    let binary = format!("/usr/bin/{}", program.name);
    let state = format!("/var/lib/{}", program.name);
    let (flags, ports, health) = match program.serves {
        [] => (
            vec![
                "--state".to_owned(),
                format!("{state}/enrolment.json"),
                "--drain-on-term".to_owned(),
            ],
            json!({ "7410/udp": {} }),
            "http://127.0.0.1:7412/readyz",
        ),
        _ => (
            vec![
                "--spin-toml".to_owned(),
                format!("/usr/share/{}/spin.toml", program.name),
                "--state-dir".to_owned(),
                state.clone(),
                "--cache-dir".to_owned(),
                format!("/{COMPILED}"),
                "--portable-code".to_owned(),
                "--listen".to_owned(),
                "0.0.0.0:7400".to_owned(),
            ],
            json!({ "7400/tcp": {} }),
            "http://127.0.0.1:7400/readyz",
        ),
    };
    let entrypoint = [vec![binary.clone()], flags].concat();
    json!({
        "User": format!("{USER}:{USER}"),
        "Entrypoint": entrypoint,
        "Env": [format!("SSL_CERT_FILE={AUTHORITIES}")],
        "ExposedPorts": ports,
        "Volumes": { state: {} },
        "WorkingDir": "/",
        "StopSignal": "SIGTERM",
        // Not of OCI's, but Docker and podman read it; Kubernetes has probes.
        "Healthcheck": {
            "Test": ["CMD", binary, "check", health],
            "Interval": 10 * SECOND_NS,
            "Timeout": 5 * SECOND_NS,
            "StartPeriod": 30 * SECOND_NS,
            "Retries": 3,
        },
        "Labels": {
            "org.opencontainers.image.title": program.name,
            "org.opencontainers.image.description": program.summary,
            "org.opencontainers.image.version": version,
            "org.opencontainers.image.revision": commit,
            "org.opencontainers.image.licenses": "MIT OR Apache-2.0",
        },
    })
}

#[cfg(test)]
mod tests {
    use super::super::packing::PROGRAMS;
    use super::*;

    #[test]
    fn an_image_runs_as_nobody_and_says_how_it_is() {
        for program in &PROGRAMS {
            let config = config(program, "1.2.3", "abc");
            assert_eq!(config["User"], "65534:65534");
            let test = config["Healthcheck"]["Test"].as_array().unwrap();
            assert_eq!(test[1], config["Entrypoint"][0]);
            assert_eq!(test[2], "check");
            let state = format!("/var/lib/{}", program.name);
            assert!(config["Volumes"].get(&state).is_some(), "{config}");
        }
        let edge = config(&PROGRAMS[1], "1.2.3", "abc");
        assert!(edge["Entrypoint"].to_string().contains("--portable-code"));
    }
}
