//! `cargo xtask keys`: makes the keys of a service, and says what each is for. Who holds which:
//! infra/ops/KEYS.md.

use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command as Process, Stdio};

use anyhow::{Context, Result, anyhow, bail};
use clap::{Args, Subcommand, value_parser};
use data_encoding::BASE64;
use edge::config;
use edge::token::{KeySet, SigningKey};
use serde_json::{Value, json};
use wire::ShardId;
use wire::fleet::shard_ids;
use wire::keys::{EPOCHS, FleetSecret};
use wire::limits::MAX_SHARDS;

use crate::package;
use crate::secret::{self, Existing};

/// Which key.
#[derive(Debug, Subcommand)]
pub(crate) enum Key {
    /// The fleet secret, from which the keys of relays are derived
    Fleet(Place),
    /// What functions hold that is derived from the fleet secret
    Derived(Derived),
    /// The keys of a relay's shards
    Shard(Shard),
    /// A key that signs players' tokens
    Token(Signing),
    /// A key that signs operators' tokens
    Operator(Signing),
    /// A key that signs releases
    Release(Release),
}

/// Where a key goes; to standard output unless it is said.
#[derive(Debug, Args)]
pub(crate) struct Place {
    /// Write it to this file, mode 0600
    #[arg(long, value_name = "PATH")]
    file: Option<PathBuf>,

    /// Put it into Parameter Store, by the AWS CLI
    #[arg(long, value_name = "NAME", conflicts_with = "file")]
    parameter: Option<String>,

    /// Overwrite what is there
    #[arg(long)]
    replace: bool,
}

/// From what to derive the variables of functions, and where they go; to standard output unless it
/// is said.
#[derive(Debug, Args)]
pub(crate) struct Derived {
    /// Derive from it; - is standard input
    #[arg(long, value_name = "FILE")]
    fleet_secret: String,

    /// Write them to this file, mode 0600, a line SPIN_VARIABLE_NAME=VALUE for each
    #[arg(long, value_name = "PATH")]
    file: Option<PathBuf>,

    /// Put them into Parameter Store as PATH/NAME, by the AWS CLI
    #[arg(long, value_name = "PATH", conflicts_with = "file")]
    parameters: Option<String>,

    /// Overwrite what is there
    #[arg(long)]
    replace: bool,
}

/// Whose keys to derive.
#[derive(Debug, Args)]
pub(crate) struct Shard {
    /// Derive from it; - is standard input
    #[arg(long, value_name = "FILE")]
    fleet_secret: String,

    /// Name of the relay
    #[arg(long = "shard", value_name = "NAME")]
    name: ShardId,

    /// Shards, 1 to 128: keys of NAME-0, NAME-1.. where there are several
    #[arg(long, value_name = "N", default_value_t = 1)]
    #[arg(value_parser = value_parser!(u16).range(1..=MAX_SHARDS.into()))]
    shards: u16,

    /// Key epoch, 0 to 15
    #[arg(long, value_name = "N", default_value_t = 0)]
    #[arg(value_parser = value_parser!(u8).range(0..=i64::from(EPOCHS) - 1))]
    epoch: u8,

    #[command(flatten)]
    place: Place,
}

/// A signing key, and where its public half goes.
#[derive(Debug, Args)]
pub(crate) struct Signing {
    /// The key's id, 1 to 64 characters [default: the name of the command]
    #[arg(long, value_name = "ID", value_parser = kid)]
    kid: Option<String>,

    /// Add the public half to this file
    #[arg(long, value_name = "FILE")]
    token_keys: Option<PathBuf>,

    #[command(flatten)]
    place: Place,
}

/// A release key, and where its public half goes.
#[derive(Debug, Args)]
pub(crate) struct Release {
    /// Write the public half to this file, as PEM
    #[arg(long, value_name = "FILE")]
    public: Option<PathBuf>,

    #[command(flatten)]
    place: Place,
}

/// A fleet secret is 44 characters; this much of a file is read.
const SECRET_BYTES_MAX: u64 = 1024;

/// Longest id of a signing key.
const KID_CHARS_MAX: usize = 64;

/// What a fleet secret is for and where it goes, for a person; so the others.
const OF_FLEET: &str = "\
The fleet secret: the variable fleet_secret of the function fleet. What other functions hold is \
derived from it: edge-host does so by itself, elsewhere `cargo xtask keys derived`. Relays and the \
game's backend never hold it.";

const OF_DERIVED: &str = "\
What functions hold that is derived from the fleet secret: each gets those that \
functions/permissions.json lists for it. They tell nothing of the fleet secret or of each other.";

const OF_TOKEN: &str = "\
A token key: the game's backend signs its players' tokens with it, and nobody else holds it.";

const OF_OPERATOR: &str = "\
An operator key: `cargo xtask token --operator --key FILE` makes operators' tokens with it, which \
list and drain relays and let new ones in. A token key of its own, so that it is replaced without \
the game's.";

const OF_RELEASE: &str = "\
A release key: `cargo xtask package --sign FILE` signs what a release is made of with it. Whoever \
builds releases holds it; machines that install have the public half.";

/// Makes a key and puts it where it was asked for.
pub(crate) fn run(key: &Key) -> Result<()> {
    match key {
        Key::Fleet(place) => {
            place.put(&BASE64.encode(&secret::random()?))?;
            eprintln!("{OF_FLEET}");
            Ok(())
        }
        Key::Derived(derived) => derived.make(),
        Key::Shard(shard) => shard.make(),
        Key::Token(signing) => signing.make("token", OF_TOKEN),
        Key::Operator(signing) => signing.make("operator", OF_OPERATOR),
        Key::Release(release) => release.make(),
    }
}

impl Place {
    fn put(&self, text: &str) -> Result<()> {
        match (&self.file, &self.parameter) {
            (Some(file), _) => secret::write(file, text, self.existing()),
            (_, Some(name)) => put_parameter(name, text, self.existing()),
            _ => {
                println!("{text}");
                Ok(())
            }
        }
    }

    fn existing(&self) -> Existing {
        Existing::from(self.replace)
    }
}

impl Derived {
    fn make(&self) -> Result<()> {
        let derived = config::derived(&fleet_secret(&self.fleet_secret)?);
        let existing = Existing::from(self.replace);
        let lines = derived
            .iter()
            .map(|(name, value)| format!("SPIN_VARIABLE_{}={value}", name.to_uppercase()));
        let lines = lines.collect::<Vec<_>>().join("\n");
        match (&self.file, &self.parameters) {
            (Some(file), _) => secret::write(file, &lines, existing)?,
            (_, Some(path)) => {
                let path = path.trim_end_matches('/');
                for (name, value) in &derived {
                    put_parameter(&format!("{path}/{name}"), value, existing)?;
                }
            }
            _ => println!("{lines}"),
        }
        eprintln!("{OF_DERIVED}");
        Ok(())
    }
}

impl Shard {
    fn make(&self) -> Result<()> {
        let name = &self.name;
        let (shards, epoch) = (self.shards, self.epoch);
        let secret = fleet_secret(&self.fleet_secret)?;
        let ids = shard_ids(name, shards).map_err(|fault| anyhow!("--shard `{name}`: {fault}"))?;
        let keys: Vec<String> = ids
            .iter()
            .map(|id| secret.shard_key(id, epoch).to_base64())
            .collect();
        self.place.put(&keys.join("\n"))?;
        eprintln!(
            "The keys of relay {name}, epoch {epoch}: what `relay --shard {name} --shards {shards} \
             --key-epoch {epoch} --key-file FILE` reads. They open tickets for these shards and \
             sign their heartbeats, and tell nothing of other shards' keys. A relay that enrols \
             (`relay --enrol`) needs none."
        );
        Ok(())
    }
}

impl Signing {
    fn make(&self, default_kid: &str, purpose: &str) -> Result<()> {
        let kid = self.kid.as_deref().unwrap_or(default_kid);
        let key = SigningKey::new(secret::random()?);
        // The public half first: a key that no function knows is of no use, and this can fail.
        let published = match &self.token_keys {
            Some(file) => Some((file, publish(file, &key, kid, self.place.existing())?)),
            None => None,
        };
        self.place.put(&key.to_base64())?;
        if let Some((file, text)) = &published {
            // The set may hold secrets too (`HS256`), so it is as private as a key.
            secret::write(file, text, Existing::Replace)?;
        }
        eprintln!("{purpose}");
        if published.is_none() {
            eprintln!(
                "Functions know it by this entry of the variable token_keys:\n{}",
                key.key_set_json(kid)
            );
        }
        Ok(())
    }
}

impl Release {
    fn make(&self) -> Result<()> {
        let key = SigningKey::new(secret::random()?);
        let public = BASE64.decode(key.public_base64().as_bytes())?;
        let public = public.try_into().expect("a public half has 32 bytes");
        let pem = package::public_pem(public);
        match &self.public {
            Some(file) => secret::write(file, pem.trim_end(), self.place.existing())?,
            None => eprint!("Its public half:\n{pem}"),
        }
        self.place.put(&key.to_base64())?;
        eprintln!("{OF_RELEASE}");
        Ok(())
    }
}

fn kid(text: &str) -> Result<String, String> {
    match (1..=KID_CHARS_MAX).contains(&text.len()) {
        true => Ok(text.to_owned()),
        false => Err(format!("use 1 to {KID_CHARS_MAX} characters")),
    }
}

fn fleet_secret(from: &str) -> Result<FleetSecret> {
    FleetSecret::from_base64(&read_secret(from)?)
        .map_err(|fault| anyhow!("--fleet-secret {from}: {fault}"))
}

fn read_secret(from: &str) -> Result<String> {
    let mut text = String::new();
    if from == "-" {
        let mut input = std::io::stdin().take(SECRET_BYTES_MAX);
        input.read_to_string(&mut text).context("standard input")?;
    } else {
        let file = fs::File::open(from).with_context(|| format!("--fleet-secret {from}"))?;
        let mut input = file.take(SECRET_BYTES_MAX);
        input
            .read_to_string(&mut text)
            .with_context(|| from.to_owned())?;
    }
    Ok(text)
}

/// The file's keys and this one, as it will be written.
fn publish(file: &Path, key: &SigningKey, kid: &str, existing: Existing) -> Result<String> {
    let shown = file.display();
    let mut keys: Vec<Value> = match fs::read_to_string(file) {
        Ok(text) => serde_json::from_str(&text)
            .with_context(|| format!("--token-keys {shown} is not a JSON array of keys"))?,
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error).with_context(|| format!("--token-keys {shown}")),
    };
    if keys.iter().any(|known| known["kid"] == kid) {
        if existing == Existing::Keep {
            bail!(
                "--token-keys {shown} has a key called {kid}; choose another --kid, or --replace"
            );
        }
        keys.retain(|known| known["kid"] != kid);
    }
    keys.push(json!({ "kid": kid, "alg": "EdDSA", "public": key.public_base64() }));
    let text = serde_json::to_string_pretty(&keys).expect("keys have string keys only");
    KeySet::from_json(&text)
        .map_err(|wanted| anyhow!("--token-keys {shown}: the variable must be {wanted}"))?;
    Ok(text)
}

/// Puts a secret into Parameter Store. It goes by standard input, since arguments can be seen by
/// everybody on the machine.
fn put_parameter(name: &str, text: &str, existing: Existing) -> Result<()> {
    let mut aws = Process::new("aws")
        .args([
            "ssm",
            "put-parameter",
            "--cli-input-json",
            "file:///dev/stdin",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .map_err(|error| match error.kind() {
            ErrorKind::NotFound => anyhow!(
                "the AWS CLI (aws) is not on this machine, so nothing was kept. Install it, or \
                 write the key with --file PATH and put it from elsewhere:\n  aws ssm \
                 put-parameter --name {name} --type SecureString --value file://PATH"
            ),
            _ => anyhow!("the AWS CLI does not start: {error}"),
        })?;
    let input = parameter(name, text, existing).to_string();
    let mut pipe = aws.stdin.take().context("standard input is piped")?;
    // A program that ends early says itself why.
    let _ = pipe.write_all(input.as_bytes());
    drop(pipe);
    if !aws.wait()?.success() {
        let hint = match existing {
            Existing::Keep => "; a parameter that exists needs --replace",
            Existing::Replace => "",
        };
        bail!("aws ssm put-parameter did not take {name}{hint}");
    }
    eprintln!("{name} is in Parameter Store.");
    Ok(())
}

fn parameter(name: &str, text: &str, existing: Existing) -> Value {
    json!({
        "Name": name,
        "Value": text,
        "Type": "SecureString",
        "Overwrite": existing == Existing::Replace,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Command;
    use crate::cli::tests::{command, refusal};
    use crate::secret::tests::Folder;

    fn made(line: &str) -> Result<()> {
        let Ok(Command::Keys { key }) = command(line) else {
            panic!("{line}");
        };
        run(&key)
    }

    fn refused(line: &str) -> String {
        made(line).unwrap_err().to_string()
    }

    #[test]
    fn each_key_is_made_and_kept_where_it_was_asked_for() {
        let folder = Folder::new("keys");
        fs::create_dir_all(&folder.0).unwrap();
        let path = |name: &str| folder.0.join(name).display().to_string();
        let (fleet, shard) = (path("fleet"), path("relay.key"));
        made(&format!("keys fleet --file {fleet}")).unwrap();
        let secret = fs::read_to_string(&fleet).unwrap();
        let again = refused(&format!("keys fleet --file {fleet}"));
        assert!(again.contains("--replace"), "{again}");
        assert_eq!(fs::read_to_string(&fleet).unwrap(), secret);

        let line = format!("keys shard --fleet-secret {fleet} --shard eu --shards 2 --epoch 3");
        made(&format!("{line} --file {shard}")).unwrap();
        let keys = fs::read_to_string(&shard).unwrap();
        let secret = FleetSecret::from_base64(&secret).unwrap();
        let key = |id: &str| secret.shard_key(&id.parse().unwrap(), 3).to_base64();
        assert_eq!(keys, format!("{}\n{}\n", key("eu-0"), key("eu-1")));

        let derived = path("derived.env");
        made(&format!(
            "keys derived --fleet-secret {fleet} --file {derived}"
        ))
        .unwrap();
        let lines = fs::read_to_string(&derived).unwrap();
        assert_eq!(lines.lines().count(), config::derived(&secret).len());
        for (name, value) in config::derived(&secret) {
            let line = format!("SPIN_VARIABLE_{}={value}\n", name.to_uppercase());
            assert!(lines.contains(&line), "{name}");
        }
    }

    #[test]
    fn the_public_halves_gather_in_one_file() {
        let folder = Folder::new("halves");
        fs::create_dir_all(&folder.0).unwrap();
        let path = |name: &str| folder.0.join(name).display().to_string();
        let set = path("token-keys.json");
        for (word, file) in [("token", path("game.key")), ("operator", path("ops.key"))] {
            made(&format!("keys {word} --file {file} --token-keys {set}")).unwrap();
        }
        let text = fs::read_to_string(&set).unwrap();
        KeySet::from_json(&text).unwrap();
        let key = SigningKey::from_base64(&fs::read_to_string(path("ops.key")).unwrap()).unwrap();
        assert!(text.contains(&key.public_base64()) && text.contains("\"token\""));
        // A second key of that name would leave the first one's tokens unknown.
        let other = path("other.key");
        let line = format!("keys token --file {other} --token-keys {set}");
        assert!(refused(&line).contains("has a key called token"));
        assert!(!Path::new(&other).exists(), "nothing was made");
        made(&format!("{line} --replace")).unwrap();
        let keys: Vec<Value> = serde_json::from_str(&fs::read_to_string(&set).unwrap()).unwrap();
        assert_eq!(keys.len(), 2);
    }

    #[test]
    fn a_release_key_has_a_public_half_that_packages_are_checked_with() {
        let folder = Folder::new("release-key");
        fs::create_dir_all(&folder.0).unwrap();
        let path = |name: &str| folder.0.join(name).display().to_string();
        let (secret, public) = (path("release.key"), path("release.pem"));
        made(&format!("keys release --file {secret} --public {public}")).unwrap();
        package::PublicKey::read(Path::new(&public)).unwrap();
        assert!(package::PublicKey::read(Path::new(&secret)).is_err());
    }

    #[test]
    fn a_parameter_is_secret_and_replaced_only_when_asked() {
        let kept = parameter("/lifeverse/fleet_secret", "s", Existing::Keep);
        assert_eq!(
            (&kept["Type"], &kept["Overwrite"]),
            (&json!("SecureString"), &json!(false))
        );
        let replaced = parameter("/lifeverse/fleet_secret", "s", Existing::Replace);
        assert_eq!(replaced["Overwrite"], json!(true));
    }

    #[test]
    fn what_cannot_be_made_names_the_flag() {
        for (line, wanted) in [
            ("keys shard", "--fleet-secret <FILE>"),
            (
                "keys shard --fleet-secret - --shard a/b",
                "'--shard <NAME>'",
            ),
            (
                "keys shard --fleet-secret - --shard a --shards 0",
                "1..=128",
            ),
            ("keys shard --fleet-secret - --shard a --epoch 16", "0..=15"),
            ("keys fleet --shard a", "'--shard'"),
            ("keys fleet --public x", "'--public'"),
            ("keys shard --kid x", "'--kid'"),
            ("keys token --kid=", "'--kid <ID>'"),
            ("keys fleet --file a --parameter b", "cannot be used with"),
            ("keys", "release"),
        ] {
            let said = refusal(line);
            assert!(said.contains(wanted), "{line}: {said}");
        }
        let missing = refused("keys shard --fleet-secret /nonexistent --shard a");
        assert!(missing.contains("/nonexistent"), "{missing}");
    }
}
