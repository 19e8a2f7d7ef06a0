//! Who asks. The router makes it from what the route wants proved, before any handler runs.

use wire::PlayerId;
use wire::claims::{Claims, Role};
use wire::problem::ProblemKind;
use wire::routes::{Auth, Route};

use crate::policy::{Policy, Rights};
use crate::ports::{Clock, Variables};
use crate::{Refusal, config};

/// Somebody whose token is good, and has the role that the route wants.
#[derive(Debug, Clone)]
pub struct Caller {
    /// What his token says.
    pub claims: Claims,
    /// When the request began, Unix milliseconds: the time by which his token was good.
    pub now_ms: u64,
}

impl Caller {
    /// The caller of a route; none where it wants no token.
    ///
    /// # Errors
    /// Why his token is none, or which role it lacks.
    pub(crate) async fn admit<H: Clock + Variables>(
        host: &H,
        route: &Route,
        authorization: Option<&str>,
    ) -> Result<Option<Self>, Refusal> {
        let role = match route.auth {
            Auth::Shard | Auth::Proof => return Ok(None),
            Auth::Player => None,
            Auth::Operator => Some(Role::Operator),
            Auth::Privacy => Some(Role::Privacy),
            Auth::Moderation => Some(Role::Moderator),
            Auth::GameServer => Some(Role::GameServer),
        };
        let verifier = config::verifier(host, route.function).await?;
        let now_ms = host.now_ms();
        let claims = verifier.verify(authorization, now_ms / 1000)?;
        let caller = Self { claims, now_ms };
        if let Some(role) = role {
            caller.check_role(role)?;
        }
        Ok(Some(caller))
    }

    /// The player that he is, or whom a server or operator says to be.
    pub fn me(&self) -> &PlayerId {
        &self.claims.sub
    }

    /// Whether his token has the role.
    pub fn is(&self, role: Role) -> bool {
        self.claims.role == Some(role)
    }

    /// # Errors
    /// Which token is wanted, when his does not have the role.
    pub fn check_role(&self, role: Role) -> Result<(), Refusal> {
        // Support does what moderators of the whole game do.
        let is_support = role == Role::Moderator && self.is(Role::Support);
        if self.is(role) || is_support {
            return Ok(());
        }
        let (kind, detail) = match role {
            Role::Operator => (
                ProblemKind::OperatorOnly,
                "Use a token whose role is operator.",
            ),
            Role::Privacy => (
                ProblemKind::PrivacyOnly,
                "Use a token whose role is privacy.",
            ),
            Role::Moderator | Role::Support => (
                ProblemKind::NotModerator,
                "Use a token whose role is moderator or support.",
            ),
            Role::GameServer => (
                ProblemKind::GameServerOnly,
                "Use a token whose role is game-server.",
            ),
        };
        Err(Refusal::new(kind, detail))
    }

    /// The policy, and what it lets him do. Read only where it counts: it is a variable of some
    /// kilobytes.
    ///
    /// # Errors
    /// `misconfigured`.
    pub async fn rights<H: Variables>(&self, host: &H) -> Result<(Policy, Rights), Refusal> {
        let policy = config::policy(host).await?;
        let rights = policy.rights(&self.claims.profile);
        Ok((policy, rights))
    }
}
