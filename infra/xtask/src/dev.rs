//! Development secrets: made once under target/dev/, readable by their owner only.

use std::fs::{self, DirBuilder};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use data_encoding::BASE64;
use wire::ShardId;
use wire::keys::FleetSecret;

use crate::secret::{self, Existing};

/// The one shard of a development run.
pub(crate) const SHARD: &str = "dev-0";

/// Its region.
pub(crate) const REGION: &str = "dev";

/// Key epoch of development keys.
const EPOCH: u8 = 0;

/// The secrets of a development run.
pub(crate) struct Secrets {
    /// The fleet secret, 32 bytes in base64.
    pub(crate) fleet_secret: String,
    /// File of the relay's key, 96 bytes in base64.
    pub(crate) shard_key_file: PathBuf,
    /// File of the seed that tokens are signed with, 32 bytes in base64.
    pub(crate) signing_key_file: PathBuf,
}

/// What the edge is told of the one shard, whose key comes in a file.
pub(crate) fn static_shards() -> String {
    format!(r#"[{{"shards": "{SHARD}", "region": "{REGION}"}}]"#)
}

/// Reads the secrets, and makes those that are not there.
pub(crate) fn secrets(folder: &Path) -> Result<Secrets> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .with_context(|| format!("{}", folder.display()))?;
    let fleet_file = folder.join("fleet-secret");
    let fleet_secret = read_or_make(&fleet_file)?;
    let fleet = FleetSecret::from_base64(&fleet_secret).with_context(|| broken(&fleet_file))?;
    let shard: ShardId = SHARD
        .parse()
        .expect("the development shard is named by the rules");
    // Derived, so written each time: it cannot differ from the fleet secret.
    let shard_key_file = folder.join(format!("{SHARD}.key"));
    secret::write(
        &shard_key_file,
        &fleet.shard_key(&shard, EPOCH).to_base64(),
        Existing::Replace,
    )?;
    let signing_key_file = signing_key_file(folder);
    read_or_make(&signing_key_file)?;
    Ok(Secrets {
        fleet_secret,
        shard_key_file,
        signing_key_file,
    })
}

/// Where the signing key is.
pub(crate) fn signing_key_file(folder: &Path) -> PathBuf {
    folder.join("token-signing.key")
}

/// What to do about a file that holds no key.
pub(crate) fn broken(file: &Path) -> String {
    format!("{} is broken; delete it and start again", file.display())
}

fn read_or_make(file: &Path) -> Result<String> {
    match fs::read_to_string(file) {
        Ok(text) => Ok(text.trim().to_owned()),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let text = BASE64.encode(&secret::random()?);
            secret::write(file, &text, Existing::Keep)?;
            Ok(text)
        }
        Err(error) => Err(error).with_context(|| format!("{}", file.display())),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::secret::tests::Folder;

    #[test]
    fn secrets_are_made_once_and_are_private() {
        let folder = Folder::new("once");
        let first = secrets(&folder.0).unwrap();
        let second = secrets(&folder.0).unwrap();
        assert_eq!(first.fleet_secret, second.fleet_secret);
        for (file, bytes) in [
            (first.shard_key_file, 96),
            (first.signing_key_file, 32),
            (folder.0.join("fleet-secret"), 32),
        ] {
            let mode = fs::metadata(&file).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{}", file.display());
            let text = fs::read_to_string(&file).unwrap();
            assert_eq!(BASE64.decode(text.trim().as_bytes()).unwrap().len(), bytes);
        }
        assert_eq!(
            fs::metadata(&folder.0).unwrap().permissions().mode() & 0o777,
            0o700
        );
    }

    #[test]
    fn a_broken_secret_is_named_and_kept() {
        let folder = Folder::new("broken");
        fs::create_dir_all(&folder.0).unwrap();
        fs::write(folder.0.join("fleet-secret"), "short").unwrap();
        let error = secrets(&folder.0).err().unwrap().to_string();
        assert!(
            error.contains("fleet-secret") && error.contains("delete"),
            "{error}"
        );
        assert_eq!(
            fs::read_to_string(folder.0.join("fleet-secret")).unwrap(),
            "short"
        );
    }
}
