//! `cargo xtask token`: a token signed with the development key.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use edge::config::DEFAULT_AUDIENCE;
use edge::token::{SigningKey, sign};
use wire::chat::{DIRECT_ROOM, WORLD_ROOM};
use wire::claims::{Claims, Grant, Permission, Role};

use crate::cli::Parsed;
use crate::clock::unix_seconds;
use crate::dev;
use crate::workspace::Workspace;

/// Id of the development key; the edge host's `POST /dev/token` signs with the same.
const KEY_ID: &str = "dev";

const DEFAULT_TTL_S: u64 = 3600;

/// Mints a token and prints it alone, so that a script can use it.
pub(crate) fn run(workspace: &Workspace, parsed: &Parsed) -> Result<()> {
    println!("{}", mint(workspace, parsed)?);
    Ok(())
}

/// A token as the flags say, signed with their key or with the development key.
pub(crate) fn mint(workspace: &Workspace, parsed: &Parsed) -> Result<String> {
    let claims = claims(parsed, unix_seconds())?;
    match parsed.get("--key") {
        Some(file) => {
            let text = fs::read_to_string(file).with_context(|| format!("--key {file}"))?;
            let key = SigningKey::from_base64(&text)
                .map_err(|fault| anyhow!("--key {file} is no signing key: {fault}"))?;
            let usual = if claims.role == Some(Role::Operator) {
                "operator"
            } else {
                "token"
            };
            Ok(sign(&claims, &key, parsed.get("--kid").unwrap_or(usual)))
        }
        None if parsed.has("--kid") => bail!("--kid is the id of --key; give both or neither"),
        None => {
            let key = signing_key(&dev::secrets(&workspace.dev())?.signing_key_file)?;
            Ok(sign(&claims, &key, KEY_ID))
        }
    }
}

/// A token for the privacy requests of one run.
pub(crate) fn privacy_token(workspace: &Workspace) -> Result<String> {
    let key = signing_key(&dev::secrets(&workspace.dev())?.signing_key_file)?;
    let parsed = Parsed::default();
    let mut claims = claims_of("privacy", &parsed, unix_seconds())?;
    claims.role = Some(Role::Privacy);
    claims.grants.clear();
    Ok(sign(&claims, &key, KEY_ID))
}

/// A token for what operators do, for as long as one command takes.
pub(crate) fn operator_token(workspace: &Workspace) -> Result<String> {
    let key = signing_key(&dev::secrets(&workspace.dev())?.signing_key_file)?;
    let mut claims = claims_of("operator", &Parsed::default(), unix_seconds())?;
    claims.role = Some(Role::Operator);
    claims.grants.clear();
    Ok(sign(&claims, &key, KEY_ID))
}

/// The value of the variable `token_keys`: the public half of the development key.
pub(crate) fn verification_keys(signing_key_file: &Path) -> Result<String> {
    Ok(signing_key(signing_key_file)?.key_set_json(KEY_ID))
}

fn signing_key(file: &Path) -> Result<SigningKey> {
    let text = fs::read_to_string(file).with_context(|| format!("{}", file.display()))?;
    SigningKey::from_base64(&text).map_err(|_| anyhow!(dev::broken(file)))
}

fn claims(parsed: &Parsed, now_s: u64) -> Result<Claims> {
    claims_of(parsed.get("--player").unwrap_or_default(), parsed, now_s)
}

fn role(parsed: &Parsed) -> Option<Role> {
    match () {
        () if parsed.has("--operator") => Some(Role::Operator),
        () if parsed.has("--game-server") => Some(Role::GameServer),
        () => None,
    }
}

fn claims_of(player: &str, parsed: &Parsed, now_s: u64) -> Result<Claims> {
    let ttl_s = match parsed.get("--ttl") {
        Some(text) => match text.parse() {
            Ok(seconds) if seconds > 0 => seconds,
            _ => bail!("--ttl `{text}` is not a number of seconds from 1"),
        },
        None => DEFAULT_TTL_S,
    };
    let mut permissions = vec![Permission::Speak, Permission::Listen, Permission::Chat];
    if parsed.has("--operator") {
        permissions.push(Permission::Moderate);
    }
    Ok(Claims {
        sub: player
            .parse()
            .map_err(|fault| anyhow!("--player `{player}`: {fault}"))?,
        aud: parsed
            .get("--audience")
            .unwrap_or(DEFAULT_AUDIENCE)
            .to_owned(),
        exp: now_s.saturating_add(ttl_s),
        nbf: None,
        iat: Some(now_s),
        name: parsed.get("--name").map(str::to_owned),
        profile: wire::claims::Profile::default(),
        role: role(parsed),
        grants: [
            parsed.get("--room").unwrap_or_default(),
            DIRECT_ROOM,
            WORLD_ROOM,
        ]
        .map(|room| Grant {
            room: room.to_owned(),
            channels: vec!["*".to_owned()],
            permissions: permissions.clone(),
        })
        .into(),
    })
}

#[cfg(test)]
mod tests {
    use edge::token::{KeySet, Verifier};

    use super::*;
    use crate::cli::{self, Invocation};

    fn claims_of(line: &str) -> Result<Claims> {
        let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        match cli::parse(&args)? {
            Invocation::Run(_, parsed) => claims(&parsed, 1_000),
            Invocation::Help(text) => panic!("{text}"),
        }
    }

    #[test]
    fn verifiers_with_the_published_key_accept_the_token() {
        let key = SigningKey::new([7; 32]);
        let claims = claims_of("token --player p1 --room guild-* --name Ann --ttl 60").unwrap();
        let keys = KeySet::from_json(&key.key_set_json(KEY_ID)).unwrap();
        let verifier = Verifier::new(keys, DEFAULT_AUDIENCE.to_owned());
        let header = format!("Bearer {}", sign(&claims, &key, KEY_ID));
        assert_eq!(verifier.verify(Some(&header), 1_059).unwrap(), claims);
        assert!(
            verifier.verify(Some(&header), 1_060).is_err(),
            "its time is over"
        );
        assert!(claims.grants_room(&"guild-7".parse().unwrap()));
        assert_eq!(claims.role, None);
    }

    #[test]
    fn operators_have_the_role() {
        let claims = claims_of("token --player ops --room * --operator").unwrap();
        assert_eq!(claims.role, Some(Role::Operator));
        assert_eq!(claims.exp, 1_000 + DEFAULT_TTL_S);
    }

    #[test]
    fn bad_values_name_their_flag() {
        for (line, flag) in [
            ("token --player bad/id --room r", "--player"),
            ("token --player p --room r --ttl 0", "--ttl"),
            ("token --player p --room r --ttl soon", "--ttl"),
        ] {
            let error = claims_of(line).unwrap_err().to_string();
            assert!(error.contains(flag), "{error}");
        }
    }
}
