//! `cargo xtask keys`: makes the keys of a service, and says what each is for. Who holds which:
//! infra/ops/KEYS.md.

use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::Path;
use std::process::{Command as Process, Stdio};

use anyhow::{Context, Result, anyhow, bail};
use data_encoding::BASE64;
use edge::token::{KeySet, SigningKey};
use serde_json::{Value, json};
use wire::ShardId;
use wire::fleet::shard_ids;
use wire::keys::{EPOCHS, FleetSecret};
use wire::limits::MAX_SHARDS;

use crate::cli::{Command, Flag, Parsed, switch, value};
use crate::package;
use crate::secret::{self, Existing};

/// The command's row in the table of the command line.
pub(crate) const COMMAND: Command = Command {
    name: "keys",
    summary: "make a key: `cargo xtask keys fleet|shard|token|operator|release`",
    detail: "Prints the key unless --file or --parameter says where it goes, and on standard\n\
             error what it is for. Nothing that exists is overwritten without --replace.\n\
             infra/ops/KEYS.md says who holds which key and how it is replaced.",
    words: &["fleet", "shard", "token", "operator", "release"],
    flags: FLAGS,
};

const FLAGS: &[Flag] = &[
    value("--file", "PATH", "write it to this file, mode 0600"),
    value(
        "--parameter",
        "NAME",
        "put it into Parameter Store, by the AWS CLI",
    ),
    switch("--replace", "overwrite what is there"),
    value(
        "--fleet-secret",
        "FILE",
        "shard: derive from it; - is standard input",
    ),
    value("--shard", "NAME", "shard: name of the relay"),
    value("--shards", "N", "shard: for NAME-0, NAME-1.. [1]"),
    value("--epoch", "N", "shard: key epoch, 0 to 15 [0]"),
    value(
        "--kid",
        "ID",
        "token, operator: the key's id [token, operator]",
    ),
    value(
        "--token-keys",
        "FILE",
        "token, operator: add the public half to this file",
    ),
    value(
        "--public",
        "FILE",
        "release: write the public half to this file, as PEM",
    ),
];

/// Flags that mean something for some words only.
const ONLY_FOR: &[(&str, &[&str])] = &[
    ("--fleet-secret", &["shard"]),
    ("--shard", &["shard"]),
    ("--shards", &["shard"]),
    ("--epoch", &["shard"]),
    ("--kid", &["token", "operator"]),
    ("--token-keys", &["token", "operator"]),
    ("--public", &["release"]),
];

/// A fleet secret is 44 characters; this much of a file is read.
const SECRET_BYTES_MAX: u64 = 1024;

/// Longest id of a signing key.
const KID_CHARS_MAX: usize = 64;

/// A key that was made and is nowhere yet.
struct Made {
    /// What is kept secret.
    text: String,
    /// What it is for and where it goes, for a person.
    purpose: String,
    /// The public half of a signing key, and its id.
    public: Option<(SigningKey, String)>,
    /// The public half of a release key.
    pem: Option<String>,
}

/// Makes a key and puts it where it was asked for.
pub(crate) fn run(parsed: &Parsed) -> Result<()> {
    let word = parsed.word.as_deref().unwrap_or_default();
    for (flag, words) in ONLY_FOR {
        if parsed.has(flag) && !words.contains(&word) {
            bail!("{flag} is for `keys {}`", words.join("|"));
        }
    }
    let places = [parsed.get("--file"), parsed.get("--parameter")];
    if places.iter().flatten().count() > 1 {
        bail!("give --file or --parameter, not both: a secret has one place");
    }
    let existing = match parsed.has("--replace") {
        true => Existing::Replace,
        false => Existing::Keep,
    };
    let made = make(word, parsed)?;
    // The public half first: a key that no function knows is of no use, and this can fail.
    let published = match (&made.public, parsed.get("--token-keys")) {
        (Some((key, kid)), Some(file)) => Some(publish(Path::new(file), key, kid, existing)?),
        _ => None,
    };
    if let Some(pem) = &made.pem {
        match parsed.get("--public") {
            Some(file) => secret::write(Path::new(file), pem.trim_end(), existing)?,
            None => eprint!("Its public half:\n{pem}"),
        }
    }
    match places {
        [Some(file), _] => secret::write(Path::new(file), made.text.trim_end(), existing)?,
        [_, Some(name)] => put_parameter(name, made.text.trim_end(), existing)?,
        _ => println!("{}", made.text.trim_end()),
    }
    if let Some((file, text)) = published {
        replace(&file, &text)?;
    }
    eprintln!("{}", made.purpose);
    if let (Some((key, kid)), None) = (&made.public, parsed.get("--token-keys")) {
        eprintln!(
            "Functions know it by this entry of the variable token_keys:\n{}",
            key.key_set_json(kid)
        );
    }
    Ok(())
}

fn make(word: &str, parsed: &Parsed) -> Result<Made> {
    match word {
        "fleet" => Ok(Made {
            text: BASE64.encode(&secret::random()?),
            purpose: "The fleet secret: the variable fleet_secret of every function. The keys of \
                      all relays, and of the tokens that functions make, are derived from it. \
                      Relays and the game's backend never hold it."
                .to_owned(),
            public: None,
            pem: None,
        }),
        "shard" => shard(parsed),
        "token" => signing(
            parsed,
            "token",
            "A token key: the game's backend signs its players' tokens with it, and nobody else \
             holds it.",
        ),
        "operator" => signing(
            parsed,
            "operator",
            "An operator key: `cargo xtask token --operator --key FILE` makes operators' tokens \
             with it, which list and drain relays and let new ones in. A token key of its own, so \
             that it is replaced without the game's.",
        ),
        "release" => release(),
        other => unreachable!("`{other}` is in the command table but not dispatched"),
    }
}

fn shard(parsed: &Parsed) -> Result<Made> {
    let (Some(from), Some(name)) = (parsed.get("--fleet-secret"), parsed.get("--shard")) else {
        bail!("`keys shard` needs --fleet-secret FILE (or -) and --shard NAME");
    };
    let name: ShardId = name
        .parse()
        .map_err(|fault| anyhow!("--shard `{name}`: {fault}"))?;
    let shards = number(parsed, "--shards", 1, 1..=MAX_SHARDS)?;
    let epoch = number(parsed, "--epoch", 0, 0..=u16::from(EPOCHS - 1))?;
    let epoch = u8::try_from(epoch).expect("checked to be below 16");
    let secret = FleetSecret::from_base64(&read_secret(from)?)
        .map_err(|fault| anyhow!("--fleet-secret {from}: {fault}"))?;
    let ids = shard_ids(&name, shards).map_err(|fault| anyhow!("--shard `{name}`: {fault}"))?;
    let keys: Vec<String> = ids
        .iter()
        .map(|id| secret.shard_key(id, epoch).to_base64())
        .collect();
    Ok(Made {
        text: keys.join("\n"),
        purpose: format!(
            "The keys of relay {name}, epoch {epoch}: what `relay --shard {name} --shards {shards} \
             --key-epoch {epoch} --key-file FILE` reads. They open tickets for these shards and \
             sign their heartbeats, and tell nothing of other shards' keys. A relay that enrols \
             (`relay --enrol`) needs none."
        ),
        public: None,
        pem: None,
    })
}

fn release() -> Result<Made> {
    let key = SigningKey::new(secret::random()?);
    let public = BASE64.decode(key.public_base64().as_bytes())?;
    let public = public.try_into().expect("a public half has 32 bytes");
    Ok(Made {
        text: key.to_base64(),
        purpose:
            "A release key: `cargo xtask package --sign FILE` signs what a release is made of \
                  with it. Whoever builds releases holds it; machines that install have the public \
                  half."
                .to_owned(),
        public: None,
        pem: Some(package::public_pem(public)),
    })
}

fn signing(parsed: &Parsed, default_kid: &str, purpose: &str) -> Result<Made> {
    let kid = parsed.get("--kid").unwrap_or(default_kid).to_owned();
    if kid.is_empty() || kid.len() > KID_CHARS_MAX {
        bail!("--kid `{kid}`: use 1 to {KID_CHARS_MAX} characters");
    }
    let key = SigningKey::new(secret::random()?);
    Ok(Made {
        text: key.to_base64(),
        purpose: purpose.to_owned(),
        public: Some((key, kid)),
        pem: None,
    })
}

fn number(
    parsed: &Parsed,
    flag: &str,
    default: u16,
    allowed: std::ops::RangeInclusive<u16>,
) -> Result<u16> {
    let Some(text) = parsed.get(flag) else {
        return Ok(default);
    };
    let fine = text.parse().ok().filter(|number| allowed.contains(number));
    fine.with_context(|| {
        let (first, last) = (allowed.start(), allowed.end());
        format!("{flag} `{text}` is not a number from {first} to {last}")
    })
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
fn publish(
    file: &Path,
    key: &SigningKey,
    kid: &str,
    existing: Existing,
) -> Result<(std::path::PathBuf, String)> {
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
    Ok((file.to_owned(), text))
}

/// The set may hold secrets too (`HS256`), so it is as private as a key.
fn replace(file: &Path, text: &str) -> Result<()> {
    secret::write(file, text, Existing::Replace)
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
    use crate::cli::{self, Invocation};
    use crate::secret::tests::Folder;

    fn parsed(line: &str) -> Parsed {
        let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        match cli::parse(&args).unwrap() {
            Invocation::Run(_, parsed) => parsed,
            Invocation::Help(text) => panic!("{text}"),
        }
    }

    fn refused(line: &str) -> String {
        run(&parsed(line)).unwrap_err().to_string()
    }

    #[test]
    fn each_key_is_made_and_kept_where_it_was_asked_for() {
        let folder = Folder::new("keys");
        fs::create_dir_all(&folder.0).unwrap();
        let path = |name: &str| folder.0.join(name).display().to_string();
        let (fleet, shard) = (path("fleet"), path("relay.key"));
        run(&parsed(&format!("keys fleet --file {fleet}"))).unwrap();
        let secret = fs::read_to_string(&fleet).unwrap();
        let again = refused(&format!("keys fleet --file {fleet}"));
        assert!(again.contains("--replace"), "{again}");
        assert_eq!(fs::read_to_string(&fleet).unwrap(), secret);

        let line = format!("keys shard --fleet-secret {fleet} --shard eu --shards 2 --epoch 3");
        run(&parsed(&format!("{line} --file {shard}"))).unwrap();
        let keys = fs::read_to_string(&shard).unwrap();
        let secret = FleetSecret::from_base64(&secret).unwrap();
        let key = |id: &str| secret.shard_key(&id.parse().unwrap(), 3).to_base64();
        assert_eq!(keys, format!("{}\n{}\n", key("eu-0"), key("eu-1")));
    }

    #[test]
    fn the_public_halves_gather_in_one_file() {
        let folder = Folder::new("halves");
        fs::create_dir_all(&folder.0).unwrap();
        let path = |name: &str| folder.0.join(name).display().to_string();
        let set = path("token-keys.json");
        for (word, file) in [("token", path("game.key")), ("operator", path("ops.key"))] {
            run(&parsed(&format!(
                "keys {word} --file {file} --token-keys {set}"
            )))
            .unwrap();
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
        run(&parsed(&format!("{line} --replace"))).unwrap();
        let keys: Vec<Value> = serde_json::from_str(&fs::read_to_string(&set).unwrap()).unwrap();
        assert_eq!(keys.len(), 2);
    }

    #[test]
    fn a_release_key_has_a_public_half_that_packages_are_checked_with() {
        let folder = Folder::new("release-key");
        fs::create_dir_all(&folder.0).unwrap();
        let path = |name: &str| folder.0.join(name).display().to_string();
        let (secret, public) = (path("release.key"), path("release.pem"));
        run(&parsed(&format!(
            "keys release --file {secret} --public {public}"
        )))
        .unwrap();
        package::PublicKey::read(Path::new(&public)).unwrap();
        assert!(package::PublicKey::read(Path::new(&secret)).is_err());
        assert!(refused("keys fleet --public x").contains("`keys release`"));
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
            ("keys shard", "--fleet-secret"),
            (
                "keys shard --fleet-secret /nonexistent --shard a",
                "/nonexistent",
            ),
            ("keys shard --fleet-secret - --shard a/b", "--shard"),
            (
                "keys shard --fleet-secret - --shard a --shards 0",
                "--shards",
            ),
            (
                "keys shard --fleet-secret - --shard a --epoch 16",
                "--epoch",
            ),
            ("keys fleet --shard a", "`keys shard`"),
            ("keys shard --kid x", "`keys token|operator`"),
            ("keys fleet --file a --parameter b", "not both"),
        ] {
            let said = refused(line);
            assert!(said.contains(wanted), "{line}: {said}");
        }
    }
}
