//! What a release is made of: `manifest.json` has the SHA-256 of every file, and
//! `manifest.json.sig` an Ed25519 signature of its bytes. infra/deploy/verify.sh checks the same
//! with openssl alone.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{ErrorKind, Read as _};
use std::path::Path;

use anyhow::{Context, Result, bail};
use data_encoding::{BASE64, HEXLOWER};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::files::write;

pub(super) const MANIFEST: &str = "manifest.json";
pub(super) const SIGNATURE: &str = "manifest.json.sig";
pub(super) const SUMS: &str = "SHA256SUMS";

/// Version of the manifest's form.
const FORMAT: u64 = 1;
/// Most bytes of a manifest: some hundred files.
const MANIFEST_BYTES_MAX: u64 = 1 << 20;
/// What comes before the 32 bytes of an Ed25519 key in its usual form (RFC 8410).
const PUBLIC_PREFIX: [u8; 12] = [48, 42, 48, 5, 6, 3, 43, 101, 112, 3, 33, 0];
/// Bytes that are read at once.
const CHUNK_BYTES: usize = 1 << 16;

/// The half of a release key that everybody has.
pub(crate) struct PublicKey(VerifyingKey);

/// The public half as a PEM file, which openssl reads too.
pub(crate) fn public_pem(bytes: [u8; 32]) -> String {
    let text = BASE64.encode(&[&PUBLIC_PREFIX[..], &bytes].concat());
    format!("-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n")
}

impl PublicKey {
    /// Reads a PEM file of `cargo xtask keys release --public`.
    pub(crate) fn read(file: &Path) -> Result<Self> {
        let text = fs::read_to_string(file).with_context(|| format!("--key {}", file.display()))?;
        Self::parse(&text).with_context(|| {
            format!(
                "--key {} is no public half of a release key; `cargo xtask keys release --public \
                 FILE` writes one",
                file.display()
            )
        })
    }

    fn parse(pem: &str) -> Option<Self> {
        let text: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        let bytes = BASE64.decode(text.as_bytes()).ok()?;
        let key = bytes.strip_prefix(&PUBLIC_PREFIX[..])?;
        let key = VerifyingKey::from_bytes(key.try_into().ok()?).ok()?;
        Some(Self(key))
    }
}

/// Writes the manifest of what is in the folder, and its signature if there is a key.
pub(super) fn seal(folder: &Path, version: &str, commit: &str, sign: Option<&Path>) -> Result<()> {
    let key = sign.map(secret_key).transpose()?;
    let manifest = json!({
        "format": FORMAT,
        "version": version,
        "commit": commit,
        "files": sums(folder)?,
    });
    let text = serde_json::to_string_pretty(&manifest).expect("it has string keys only") + "\n";
    write(&folder.join(MANIFEST), &text, 0o644)?;
    let Some(key) = key else { return Ok(()) };
    let signature = BASE64.encode(&key.sign(text.as_bytes()).to_bytes()) + "\n";
    write(&folder.join(SIGNATURE), &signature, 0o644)
}

fn secret_key(file: &Path) -> Result<SigningKey> {
    let text = fs::read_to_string(file).with_context(|| format!("--sign {}", file.display()))?;
    let seed = BASE64.decode(text.trim().as_bytes()).ok();
    let seed: Option<[u8; 32]> = seed.and_then(|seed| seed.try_into().ok());
    let seed = seed.with_context(|| {
        format!(
            "--sign {} is no key of `cargo xtask keys release`",
            file.display()
        )
    })?;
    Ok(SigningKey::from_bytes(&seed))
}

/// Files of a folder by name, those of the manifest itself left out.
pub(super) fn names(folder: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(folder).with_context(|| format!("{}", folder.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name != MANIFEST && name != SIGNATURE {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// SHA-256 of each file of a folder.
pub(super) fn sums(folder: &Path) -> Result<BTreeMap<String, String>> {
    let sum = |name: String| Ok((name.clone(), sum_of(&folder.join(name))?));
    names(folder)?.into_iter().map(sum).collect()
}

/// SHA-256 of a file, in hexadecimal digits.
pub(crate) fn sum_of(file: &Path) -> Result<String> {
    // What a link points at can be changed later.
    let about = fs::symlink_metadata(file).with_context(|| format!("{}", file.display()))?;
    if !about.is_file() {
        bail!("{} is no file; a release holds files alone", file.display());
    }
    let mut input = File::open(file).with_context(|| format!("{}", file.display()))?;
    let (mut sha, mut chunk) = (Sha256::new(), vec![0; CHUNK_BYTES]);
    loop {
        match input.read(&mut chunk)? {
            0 => return Ok(HEXLOWER.encode(&sha.finalize())),
            read => sha.update(&chunk[..read]),
        }
    }
}

/// Checks a folder against its manifest, and that against its signature; returns how many files it
/// has. Nothing of the manifest is believed before the signature was checked.
///
/// # Errors
/// No signature or another's; a file that is changed, missing or not in the manifest, by its name.
pub(crate) fn verify(folder: &Path, key: &PublicKey) -> Result<usize> {
    let manifest = bounded(&folder.join(MANIFEST))?;
    let signature = match bounded(&folder.join(SIGNATURE)) {
        Ok(text) => text,
        Err(_) if !folder.join(SIGNATURE).exists() => bail!(
            "{} is unsigned: {SIGNATURE} is missing; do not install it",
            folder.display()
        ),
        Err(error) => return Err(error),
    };
    let signature = BASE64.decode(signature.trim().as_bytes()).ok();
    let signature = signature.and_then(|bytes| Signature::from_slice(&bytes).ok());
    let is_ours = |signature| key.0.verify_strict(manifest.as_bytes(), &signature).is_ok();
    if !signature.is_some_and(is_ours) {
        bail!(
            "{SIGNATURE} is not this key's signature of {MANIFEST}: either was changed, or another \
             key signed; do not install it"
        );
    }
    let manifest: Value = serde_json::from_str(&manifest).context(MANIFEST)?;
    if manifest["format"] != FORMAT {
        bail!(
            "{MANIFEST} has format {}; this xtask knows {FORMAT}",
            manifest["format"]
        );
    }
    let listed = manifest["files"].as_object().context("it lists files")?;
    let found = names(folder)?;
    for name in &found {
        let Some(sum) = listed.get(name) else {
            bail!("{name} is not in {MANIFEST}: it is not part of this release; remove it");
        };
        if *sum != sum_of(&folder.join(name))? {
            bail!("{name} was changed: its SHA-256 is not that of {MANIFEST}; fetch it again");
        }
    }
    if let Some(name) = listed.keys().find(|name| !found.contains(name)) {
        bail!("{name} is missing: {MANIFEST} lists it; fetch it");
    }
    Ok(found.len())
}

/// A small file as text.
fn bounded(file: &Path) -> Result<String> {
    let mut text = String::new();
    let opened = match File::open(file) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            bail!("{} is missing; this is no release", file.display())
        }
        opened => opened.with_context(|| format!("{}", file.display()))?,
    };
    let read = opened.take(MANIFEST_BYTES_MAX).read_to_string(&mut text);
    read.with_context(|| format!("{}", file.display()))?;
    Ok(text)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::secret::tests::Folder;

    /// Seals a folder as version 1.2.3 with a key of this seed.
    pub(crate) fn seal_with(folder: &Path, seed: &[u8; 32]) {
        // Beside the folder: what is in it is part of the release.
        let secret = folder.with_extension("key");
        fs::write(&secret, BASE64.encode(seed) + "\n").unwrap();
        seal(folder, "1.2.3", "abc", Some(&secret)).unwrap();
        fs::remove_file(secret).unwrap();
    }

    /// The public half of the key of a seed.
    pub(crate) fn public(seed: &[u8; 32]) -> PublicKey {
        let public = SigningKey::from_bytes(seed).verifying_key().to_bytes();
        PublicKey::parse(&public_pem(public)).unwrap()
    }

    const SEED: [u8; 32] = [7; 32];

    fn released(name: &str) -> (Folder, PublicKey) {
        let folder = Folder::new(name);
        fs::create_dir_all(&folder.0).unwrap();
        for file in ["a.deb", "b.tar.gz"] {
            fs::write(folder.0.join(file), file).unwrap();
        }
        seal_with(&folder.0, &SEED);
        (folder, public(&SEED))
    }

    #[test]
    fn what_is_not_as_it_was_signed_is_named() {
        let (folder, key) = released("release");
        let file = |name: &str| folder.0.join(name);
        assert_eq!(verify(&folder.0, &key).unwrap(), 2);
        let refused = |wanted: &str| {
            let said = verify(&folder.0, &key).unwrap_err().to_string();
            assert!(said.contains(wanted), "{said}");
        };
        fs::write(file("a.deb"), "another").unwrap();
        refused("a.deb was changed");
        fs::remove_file(file("a.deb")).unwrap();
        refused("a.deb is missing");
        std::os::unix::fs::symlink("b.tar.gz", file("a.deb")).unwrap();
        refused("a.deb is no file");
        fs::remove_file(file("a.deb")).unwrap();
        fs::write(file("a.deb"), "a.deb").unwrap();
        fs::write(file("c.deb"), "").unwrap();
        refused("c.deb is not in");
        fs::remove_file(file("c.deb")).unwrap();
        verify(&folder.0, &key).unwrap();
    }

    #[test]
    fn a_manifest_is_nothing_without_the_right_signature() {
        let (folder, key) = released("signature");
        let file = |name: &str| folder.0.join(name);
        let text = fs::read_to_string(file(MANIFEST)).unwrap();
        fs::write(file(MANIFEST), text.replace("1.2.3", "1.2.4")).unwrap();
        let refused = || verify(&folder.0, &key).unwrap_err().to_string();
        assert!(refused().contains("not this key's"));
        fs::write(file(MANIFEST), &text).unwrap();
        let other = SigningKey::from_bytes(&[8; 32]).sign(text.as_bytes());
        fs::write(file(SIGNATURE), BASE64.encode(&other.to_bytes())).unwrap();
        assert!(refused().contains("another key signed"));
        fs::write(file(SIGNATURE), "??").unwrap();
        assert!(refused().contains("not this key's"));
        fs::remove_file(file(SIGNATURE)).unwrap();
        assert!(refused().contains("unsigned"));
        fs::remove_file(file(MANIFEST)).unwrap();
        assert!(refused().contains("no release"));
    }

    #[test]
    fn a_key_is_a_pem_file_of_the_usual_form() {
        assert!(PublicKey::parse(&BASE64.encode(&[1; 32])).is_none());
        // What `openssl pkey -pubout` prints for the key of RFC 8032's first test.
        let pem = "-----BEGIN PUBLIC KEY-----\n\
                   MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n\
                   -----END PUBLIC KEY-----\n";
        let key = PublicKey::parse(pem).unwrap();
        assert_eq!(public_pem(key.0.to_bytes()), pem);
    }
}
