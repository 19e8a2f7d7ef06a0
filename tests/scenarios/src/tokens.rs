//! Secrets of a service under test, and tokens as a game's backend would sign them.

use std::time::{SystemTime, UNIX_EPOCH};

use edge::token::{SigningKey, sign};
use wire::claims::{Claims, Grant, Permission, Role};
use wire::keys::FleetSecret;

/// Name of the signing key.
pub const KEY_ID: &str = "test";

/// Unix time, milliseconds.
#[expect(
    clippy::disallowed_methods,
    reason = "a shell reads clocks, in one place"
)]
pub fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

fn unix_s() -> u64 {
    unix_ms() / 1000
}

/// Secrets of one service.
#[derive(Clone)]
pub struct Secrets {
    /// The fleet secret.
    pub fleet: [u8; 32],
    /// The key that signs players' tokens.
    pub signing: [u8; 32],
}

impl Secrets {
    /// Fresh ones.
    pub fn generate() -> Self {
        let mut secrets = Self {
            fleet: [0; 32],
            signing: [0; 32],
        };
        for secret in [&mut secrets.fleet, &mut secrets.signing] {
            getrandom::fill(secret).expect("the system has randomness");
        }
        secrets
    }

    /// The fleet secret.
    pub fn fleet(&self) -> FleetSecret {
        FleetSecret::new(self.fleet)
    }

    /// The fleet secret as the variable `fleet_secret` has it.
    pub fn fleet_base64(&self) -> String {
        // A signing key has the same text form.
        SigningKey::new(self.fleet).to_base64()
    }

    /// The public half of the signing key as the variable `token_keys` has it.
    pub fn key_set(&self) -> String {
        SigningKey::new(self.signing).key_set_json(KEY_ID)
    }

    /// Signs claims as a game's backend would.
    pub fn sign(&self, claims: &Claims) -> String {
        sign(claims, &SigningKey::new(self.signing), KEY_ID)
    }

    /// A token of `player` for every channel of `room`, one hour long.
    pub fn token(&self, player: &str, room: &str) -> String {
        self.sign(&claims(player, room))
    }

    /// One of several tokens of `player`, as of logins at the same time.
    pub fn another_token(&self, player: &str, room: &str, number: usize) -> String {
        let mut claims = claims(player, room);
        claims.name = Some(number.to_string());
        self.sign(&claims)
    }

    /// A token of `player` who may also write in every channel of `room`, to everybody and to the
    /// world.
    pub fn chat_token(&self, player: &str, room: &str) -> String {
        self.sign(&Self::chat_claims(player, room))
    }

    fn chat_claims(player: &str, room: &str) -> Claims {
        let mut claims = claims(player, room);
        for name in [room, "direct", "world"] {
            claims.grants.push(Grant {
                room: name.to_owned(),
                channels: vec!["*".to_owned()],
                permissions: vec![Permission::Listen, Permission::Chat],
            });
        }
        claims
    }

    /// The same of a server of the game.
    pub fn server_token(&self, name: &str, room: &str) -> String {
        let mut claims = Self::chat_claims(name, room);
        claims.role = Some(Role::GameServer);
        self.sign(&claims)
    }

    /// A token of `player` who also moderates `room`.
    pub fn moderator_token(&self, player: &str, room: &str) -> String {
        let mut claims = claims(player, room);
        claims.grants[0].permissions =
            vec![Permission::Listen, Permission::Chat, Permission::Moderate];
        self.sign(&claims)
    }

    /// A token for requests about what is kept of players.
    pub fn privacy_token(&self) -> String {
        self.sign(&Claims {
            role: Some(Role::Privacy),
            ..claims("privacy", "none")
        })
    }

    /// A token of an operator who may also do everything in every room.
    pub fn everything_token(&self) -> String {
        let mut claims = claims("everybody", "*");
        claims.role = Some(Role::Operator);
        claims.grants[0].permissions.push(Permission::Chat);
        claims.grants[0].permissions.push(Permission::Moderate);
        for name in ["direct", "world"] {
            let grant = Grant {
                room: name.to_owned(),
                ..claims.grants[0].clone()
            };
            claims.grants.push(grant);
        }
        self.sign(&claims)
    }

    /// A token of an operator.
    pub fn operator_token(&self) -> String {
        self.sign(&Claims {
            role: Some(Role::Operator),
            ..claims("operator", "none")
        })
    }
}

/// Claims that let `player` speak and listen in every channel of `room` for an hour.
pub fn claims(player: &str, room: &str) -> Claims {
    Claims {
        sub: player.parse().expect("a test uses good names"),
        aud: edge::config::DEFAULT_AUDIENCE.to_owned(),
        exp: unix_s() + 3600,
        nbf: None,
        iat: None,
        name: Some(format!("Player {player}")),
        profile: wire::claims::Profile::default(),
        role: None,
        grants: vec![Grant {
            room: room.to_owned(),
            channels: vec!["*".to_owned()],
            permissions: vec![Permission::Speak, Permission::Listen],
        }],
    }
}
