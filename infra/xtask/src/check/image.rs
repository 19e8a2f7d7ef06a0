//! Images as others see them: unpacked by buildah, which did not make them, and run as they say.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::child::{self, STOP_GRACE, Supervised};
use crate::package::IMAGE_END;
use crate::process;
use crate::workspace::{Workspace, list, text};

/// Whom images run as.
const USER: &str = "65534:65534";
const USER_ID: u32 = 65534;

const READY_LIMIT: Duration = Duration::from_secs(60);

/// An image that was unpacked.
struct Image {
    root: PathBuf,
    /// Its `config`, as Docker writes it.
    config: Value,
}

/// Unpacks both images and lets a relay of one join an edge of the other.
pub(super) fn check(workspace: &Workspace, folder: &Path, release: &Path) -> Result<()> {
    if !nix::unistd::geteuid().is_root() {
        println!("left out: images are unpacked and run by root only");
        return Ok(());
    }
    let store = folder.join("images");
    let result = with_images(workspace, folder, release, &store);
    // Mounts are taken down, whatever happened.
    let _ = process::said(buildah(&store).args(["umount", "--all"]));
    result
}

fn with_images(workspace: &Workspace, folder: &Path, release: &Path, store: &Path) -> Result<()> {
    let edge = unpack(release, store, "lifeverse-edge")?;
    let relay = unpack(release, store, "lifeverse-relay")?;
    for image in [&edge, &relay] {
        image.check()?;
    }
    run_both(workspace, folder, &edge, &relay)
}

fn buildah(store: &Path) -> Command {
    let mut command = Command::new("buildah");
    command
        .args(["--storage-driver", "vfs", "--root"])
        .arg(store.join("root"))
        .arg("--runroot")
        .arg(store.join("run"));
    command
}

fn unpack(release: &Path, store: &Path, name: &str) -> Result<Image> {
    let is_it = |entry: &fs::DirEntry| {
        let file = entry.file_name().to_string_lossy().into_owned();
        file.starts_with(name) && file.ends_with(IMAGE_END)
    };
    let archive = fs::read_dir(release)?.flatten().find(is_it);
    let archive = archive
        .with_context(|| format!("no image of {name}"))?
        .path();
    let from = format!("oci-archive:{}", archive.display());
    process::run_quietly(buildah(store).args(["from", "--name", name, &from]))?;
    let (root, ok) = process::said(buildah(store).args(["mount", name]))?;
    ensure!(ok, "buildah mount: {root}");
    let (about, ok) = process::said(buildah(store).args(["inspect", name]))?;
    ensure!(ok, "buildah inspect: {about}");
    let about: Value = serde_json::from_str(&about).context("buildah inspect")?;
    let mut config = about["OCIv1"]["config"].clone();
    // OCI's form has no word for it; Docker's has.
    config["Healthcheck"] = about["Docker"]["config"]["Healthcheck"].clone();
    let root = PathBuf::from(root.trim());
    if config["Healthcheck"].is_null() {
        config["Healthcheck"] = raw_config(&archive, store)?["config"]["Healthcheck"].clone();
    }
    Ok(Image { root, config })
}

/// The configuration as it is in the archive; buildah leaves out what OCI does not name.
fn raw_config(archive: &Path, store: &Path) -> Result<Value> {
    let layout = store.join("layout");
    let _ = fs::remove_dir_all(&layout);
    fs::create_dir_all(&layout)?;
    let mut tar = Command::new("tar");
    process::run_quietly(
        tar.arg("--extract")
            .arg("--file")
            .arg(archive)
            .current_dir(&layout),
    )?;
    let read = |file: &str| -> Result<Value> {
        let bytes = fs::read(layout.join(file)).with_context(|| file.to_owned())?;
        Ok(serde_json::from_slice(&bytes)?)
    };
    let blob = |digest: &str| read(&format!("blobs/{}", digest.replace(':', "/")));
    let index = read("index.json")?;
    let manifest = blob(text(&index["manifests"][0], "digest"))?;
    blob(text(&manifest["config"], "digest"))
}

impl Image {
    fn words(&self, key: &str) -> Vec<String> {
        let words = list(&self.config, key).iter();
        words
            .filter_map(|word| Some(word.as_str()?.to_owned()))
            .collect()
    }

    /// Where its state is.
    fn state(&self) -> Result<PathBuf> {
        let volumes = self.config["Volumes"].as_object().context("a volume")?;
        let volume = volumes.keys().next().context("a volume for the state")?;
        Ok(self.root.join(volume.trim_start_matches('/')))
    }

    /// Nobody may write anywhere but to the state.
    fn check(&self) -> Result<()> {
        ensure!(
            self.config["User"] == USER,
            "runs as {}",
            self.config["User"]
        );
        let state = self.state()?;
        let mut folders = vec![self.root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder)? {
                let (path, about) = {
                    let entry = entry?;
                    (entry.path(), entry.metadata()?)
                };
                if path == state {
                    ensure!(about.uid() == USER_ID, "the state is not nobody's");
                    continue;
                }
                let writable = about.mode() & 0o022 != 0 || about.uid() != 0;
                ensure!(!writable, "{} may be written", path.display());
                if about.is_dir() {
                    folders.push(path);
                }
            }
        }
        Ok(())
    }

    /// A command of the image as a container of it runs it, with its root as the system.
    fn command(&self, words: &[String]) -> Result<Command> {
        let mut command = child::launched(Path::new("chroot"))?;
        command
            .arg(format!("--userspec={USER}"))
            .arg(&self.root)
            .args(words);
        for variable in self.words("Env") {
            if let Some((name, value)) = variable.split_once('=') {
                command.env(name, value);
            }
        }
        Ok(command)
    }

    fn start(&self, name: &'static str, flags: &str, folder: &Path) -> Result<Supervised> {
        let flags: Vec<String> = flags.split(' ').map(str::to_owned).collect();
        let command = self.command(&[self.words("Entrypoint"), flags].concat())?;
        Supervised::spawn(name, command, &folder.join(format!("image-{name}.log")))
    }

    /// The health check that it names.
    fn is_well(&self, port: u16) -> Result<bool> {
        let mut words: Vec<String> = list(&self.config["Healthcheck"], "Test")
            .iter()
            .filter_map(|word| Some(word.as_str()?.to_owned()))
            .collect();
        ensure!(words.len() == 4, "no health check: {words:?}");
        // Ports of the host are shared here, unlike a container's.
        let url = words.pop().context("an address")?;
        let path = url.rsplit('/').next().unwrap_or_default();
        words.push(format!("http://127.0.0.1:{port}/{path}"));
        Ok(process::said(&mut self.command(&words[1..])?)?.1)
    }

    /// A secret among the state, for this user alone.
    fn secret(&self, name: &str, text: &str) -> Result<String> {
        let file = self.state()?.join(name);
        fs::write(&file, text)?;
        chown(&file, Some(USER_ID), Some(USER_ID))?;
        let inside = file.strip_prefix(&self.root)?;
        Ok(format!("/{}", inside.display()))
    }
}

/// xtask itself, as an operator types it; what it prints.
fn own(workspace: &Workspace, line: &str, operator: Option<&str>) -> Result<String> {
    let mut command = child::myself()?;
    command
        .args(line.split_whitespace())
        .current_dir(&workspace.root);
    if let Some(token) = operator {
        command.env("OPERATOR_TOKEN", token);
    }
    let output = command.output()?;
    ensure!(
        output.status.success(),
        "`{line}` failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn run_both(workspace: &Workspace, folder: &Path, edge: &Image, relay: &Image) -> Result<()> {
    let (port, health) = (free_port()?, free_port()?);
    let own = |line: &str, operator: Option<&str>| own(workspace, line, operator);
    // Flags and paths are parted by spaces here, and this folder is below the target's.
    let (key, keys) = (folder.join("operator.key"), folder.join("token-keys.json"));
    let key = key.display().to_string();
    let line = format!(
        "keys operator --replace --file {key} --token-keys {}",
        keys.display()
    );
    own(&line, None)?;
    let fleet = edge.secret("fleet-secret", &own("keys fleet", None)?)?;
    let token_keys = edge.secret("token-keys", &fs::read_to_string(&keys)?)?;
    let flags = format!(
        "--listen 127.0.0.1:{port} --variable-file fleet_secret={fleet} --variable-file \
         token_keys={token_keys} --variable region=eu"
    );
    let mut serving = edge.start("edge", &flags, folder)?;
    let ready = serving.wait_ready("listening", READY_LIMIT, || false)?;
    let all_came_compiled = ready["compiled"] == 0;
    ensure!(all_came_compiled, "code was compiled at the start: {ready}");
    ensure!(edge.is_well(port)?, "the edge's health check fails");

    let url = format!("http://127.0.0.1:{port}");
    let line = format!("token --player ops --room * --operator --key {key}");
    let operator = own(&line, None)?;
    let line = format!("enrolment-token --region eu --capacity 1000 --edge {url}");
    let token = relay.secret("token", &own(&line, Some(&operator))?)?;
    let without = relay.is_well(health)?;
    ensure!(!without, "the relay's health check passes without a relay");
    let flags = format!(
        "--enrol {url} --enrol-token-file {token} --listen 127.0.0.1:0 --control 127.0.0.1:0 \
         --health 127.0.0.1:{health}"
    );
    let mut carrying = relay.start("relay", &flags, folder)?;
    carrying.wait_ready("ready", READY_LIMIT, || false)?;
    ensure!(relay.is_well(health)?, "the relay's health check fails");
    for child in [&mut carrying, &mut serving] {
        let by_itself = child.stop(STOP_GRACE)?;
        ensure!(by_itself, "{} did not stop by itself", child.name);
    }
    Ok(())
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
