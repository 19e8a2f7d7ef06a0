//! `cargo xtask token`: a token signed with the development key.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use clap::{Args, value_parser};
use edge::config::DEFAULT_AUDIENCE;
use edge::token::{SigningKey, sign};
use wire::PlayerId;
use wire::chat::{DIRECT_ROOM, WORLD_ROOM};
use wire::claims::{Claims, Grant, Permission, Role};

use crate::clock::unix_seconds;
use crate::dev;
use crate::workspace::Workspace;

/// Id of the development key; the edge host's `POST /dev/token` signs with the same.
const KEY_ID: &str = "dev";

const DEFAULT_TTL_S: u64 = 3600;

/// For whom, and signed with what.
#[derive(Debug, Args)]
pub(crate) struct Flags {
    /// Player id, 1 to 64 of A-Z a-z 0-9 _ . : -
    #[arg(long, value_name = "ID")]
    player: PlayerId,

    /// Room, a prefix such as guild-*, or *
    #[arg(long, value_name = "ROOM")]
    room: String,

    /// Display name
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// Time to live
    #[arg(long, value_name = "SECONDS", default_value_t = DEFAULT_TTL_S)]
    #[arg(value_parser = value_parser!(u64).range(1..))]
    ttl: u64,

    /// A key of `cargo xtask keys token|operator`
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,

    /// The id of --key in token_keys [default: operator, or token]
    #[arg(long, value_name = "ID", requires = "key")]
    kid: Option<String>,

    /// Audience of the edge
    #[arg(long, value_name = "NAME", default_value = DEFAULT_AUDIENCE)]
    audience: String,

    /// May list, drain and let in relays
    #[arg(long)]
    operator: bool,

    /// May queue players and report results
    #[arg(long)]
    game_server: bool,

    /// Keeps order in the whole game: reads and settles what players report
    #[arg(long)]
    moderator: bool,
}

/// Mints a token and prints it alone, so that a script can use it.
pub(crate) fn run(workspace: &Workspace, flags: &Flags) -> Result<()> {
    println!("{}", mint(workspace, flags)?);
    Ok(())
}

/// A token as the flags say, signed with their key or with the development key.
fn mint(workspace: &Workspace, flags: &Flags) -> Result<String> {
    let claims = flags.claims(unix_seconds());
    let Some(file) = &flags.key else {
        return sign_here(workspace, &claims);
    };
    let shown = file.display();
    let text = fs::read_to_string(file).with_context(|| format!("--key {shown}"))?;
    let key = SigningKey::from_base64(&text)
        .map_err(|fault| anyhow!("--key {shown} is no signing key: {fault}"))?;
    let usual = match claims.role {
        Some(Role::Operator) => "operator",
        _ => "token",
    };
    Ok(sign(&claims, &key, flags.kid.as_deref().unwrap_or(usual)))
}

/// A token for the privacy requests of one run.
pub(crate) fn privacy_token(workspace: &Workspace) -> Result<String> {
    sign_here(workspace, &staff("privacy", Role::Privacy))
}

/// A token for what operators do, for as long as one command takes.
pub(crate) fn operator_token(workspace: &Workspace) -> Result<String> {
    sign_here(workspace, &staff("operator", Role::Operator))
}

fn sign_here(workspace: &Workspace, claims: &Claims) -> Result<String> {
    let key = signing_key(&dev::secrets(&workspace.dev())?.signing_key_file)?;
    Ok(sign(claims, &key, KEY_ID))
}

/// The value of the variable `token_keys`: the public half of the development key.
pub(crate) fn verification_keys(signing_key_file: &Path) -> Result<String> {
    Ok(signing_key(signing_key_file)?.key_set_json(KEY_ID))
}

fn signing_key(file: &Path) -> Result<SigningKey> {
    let text = fs::read_to_string(file).with_context(|| format!("{}", file.display()))?;
    SigningKey::from_base64(&text).map_err(|_| anyhow!(dev::broken(file)))
}

/// Somebody with a role and no room.
fn staff(name: &str, role: Role) -> Claims {
    Claims {
        role: Some(role),
        ..claims(
            name.parse().expect("a player id"),
            unix_seconds(),
            DEFAULT_TTL_S,
        )
    }
}

/// Of a player who may do nothing yet.
fn claims(sub: PlayerId, now_s: u64, ttl_s: u64) -> Claims {
    Claims {
        sub,
        aud: DEFAULT_AUDIENCE.to_owned(),
        exp: now_s.saturating_add(ttl_s),
        nbf: None,
        iat: Some(now_s),
        name: None,
        profile: wire::claims::Profile::default(),
        role: None,
        grants: Vec::new(),
    }
}

impl Flags {
    fn role(&self) -> Option<Role> {
        match () {
            () if self.operator => Some(Role::Operator),
            () if self.game_server => Some(Role::GameServer),
            () if self.moderator => Some(Role::Moderator),
            () => None,
        }
    }

    fn claims(&self, now_s: u64) -> Claims {
        let mut permissions = vec![Permission::Speak, Permission::Listen, Permission::Chat];
        if self.operator {
            permissions.push(Permission::Moderate);
        }
        let grant = |room: &str| Grant {
            room: room.to_owned(),
            channels: vec!["*".to_owned()],
            permissions: permissions.clone(),
        };
        Claims {
            aud: self.audience.clone(),
            name: self.name.clone(),
            role: self.role(),
            grants: [&self.room, DIRECT_ROOM, WORLD_ROOM].map(grant).into(),
            ..claims(self.player.clone(), now_s, self.ttl)
        }
    }
}

#[cfg(test)]
mod tests {
    use edge::token::{KeySet, Signers, Verifier};

    use super::*;
    use crate::cli::Command;
    use crate::cli::tests::{command, refusal};

    fn claims_of(line: &str) -> Claims {
        let Ok(Command::Token(flags)) = command(line) else {
            panic!("{line}");
        };
        flags.claims(1_000)
    }

    #[test]
    fn verifiers_with_the_published_key_accept_the_token() {
        let key = SigningKey::new([7; 32]);
        let claims = claims_of("token --player p1 --room guild-* --name Ann --ttl 60");
        let keys = KeySet::from_json(&key.key_set_json(KEY_ID)).unwrap();
        let verifier = Verifier::new(keys, DEFAULT_AUDIENCE.to_owned());
        let header = format!("Bearer {}", sign(&claims, &key, KEY_ID));
        let verified = |now_s| verifier.verify(Signers::Game, Some(&header), now_s);
        assert_eq!(verified(1_059).unwrap(), claims);
        assert!(verified(1_060).is_err(), "its time is over");
        assert!(claims.grants_room(&"guild-7".parse().unwrap()));
        assert_eq!(claims.role, None);
    }

    #[test]
    fn operators_have_the_role() {
        let claims = claims_of("token --player ops --room * --operator");
        assert_eq!(claims.role, Some(Role::Operator));
        assert_eq!(claims.exp, 1_000 + DEFAULT_TTL_S);
    }

    #[test]
    fn bad_values_name_their_flag() {
        for (line, flag) in [
            ("token --player bad/id --room r", "--player"),
            ("token --player p --room r --ttl 0", "--ttl"),
            ("token --player p --room r --ttl soon", "--ttl"),
            ("token --player p --room r --kid k", "--key"),
        ] {
            let error = refusal(line);
            assert!(error.contains(flag), "{error}");
        }
    }
}
