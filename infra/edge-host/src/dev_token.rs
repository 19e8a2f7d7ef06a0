//! Development tokens: the binary's `--dev-signing-key`.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use edge::config::DEFAULT_AUDIENCE;
use edge::token::{SigningKey, sign};
use edge_host::{DevTokenRequest, TokenMint};
use wire::chat::{DIRECT_ROOM, WORLD_ROOM};
use wire::claims::{Claims, Grant, Permission};

/// The key's id in the key set that verifiers are given.
const KEY_ID: &str = "dev";
/// How long a development token is good for.
const LIFETIME_S: u64 = 24 * 60 * 60;

/// Signs with the key in the file: a seed of 32 bytes in base64.
pub(crate) fn mint(file: &Path) -> anyhow::Result<TokenMint> {
    let fault = || format!("--dev-signing-key {}", file.display());
    let text = std::fs::read_to_string(file).with_context(fault)?;
    let key = SigningKey::from_base64(&text)
        .map_err(|_| anyhow::anyhow!("{}: the file must hold 32 bytes in base64", fault()))?;
    tracing::warn!("POST /dev/token gives a token to anybody; for development only");
    Ok(TokenMint::new(move |request| {
        Ok(sign(&claims(request, unix_seconds())?, &key, KEY_ID))
    }))
}

#[expect(
    clippy::disallowed_methods,
    reason = "a shell reads clocks, in one place"
)]
fn unix_seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}

fn claims(request: DevTokenRequest, now_s: u64) -> Result<Claims, String> {
    let DevTokenRequest {
        player,
        room,
        name,
        moderator,
    } = request;
    let mut permissions = vec![Permission::Speak, Permission::Listen, Permission::Chat];
    if moderator {
        permissions.push(Permission::Moderate);
    }
    Ok(Claims {
        sub: player.parse().map_err(|fault| format!("player: {fault}"))?,
        aud: DEFAULT_AUDIENCE.to_owned(),
        exp: now_s + LIFETIME_S,
        nbf: None,
        iat: Some(now_s),
        name,
        profile: wire::claims::Profile::default(),
        role: None,
        grants: vec![
            grant(&room, &permissions),
            grant(DIRECT_ROOM, &[Permission::Listen, Permission::Chat]),
            grant(WORLD_ROOM, &[Permission::Listen, Permission::Chat]),
        ],
    })
}

fn grant(room: &str, permissions: &[Permission]) -> Grant {
    Grant {
        room: room.to_owned(),
        channels: vec!["*".to_owned()],
        permissions: permissions.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(player: &str) -> DevTokenRequest {
        DevTokenRequest {
            player: player.into(),
            room: "lobby".into(),
            name: Some("Ann".into()),
            moderator: false,
        }
    }

    #[test]
    fn only_a_moderators_token_lets_him_moderate() {
        let moderates = |moderator| {
            let request = DevTokenRequest {
                moderator,
                ..request("p1")
            };
            let permissions = &claims(request, 0).unwrap().grants[0].permissions;
            permissions.contains(&Permission::Moderate)
        };
        assert!(moderates(true));
        assert!(!moderates(false));
    }

    #[test]
    fn a_token_lets_the_player_speak_and_write_in_the_room_for_a_day() {
        let claims = claims(request("p1"), 1_000).unwrap();
        assert_eq!(claims.sub.to_string(), "p1");
        assert_eq!(claims.exp, 1_000 + 86_400);
        assert_eq!(claims.grants[0].room, "lobby");
        let wanted = [Permission::Speak, Permission::Listen, Permission::Chat];
        assert_eq!(claims.grants[0].permissions, wanted);
        assert_eq!(claims.role, None);
    }

    #[test]
    fn a_name_that_is_no_player_id_is_refused() {
        assert!(
            claims(request("no spaces"), 1_000)
                .unwrap_err()
                .starts_with("player")
        );
    }
}
