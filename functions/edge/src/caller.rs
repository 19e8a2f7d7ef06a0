//! Who asks. The router makes it from what the route wants proved, before any handler runs.

use wire::PlayerId;
use wire::claims::{Claims, Grant, Role};
use wire::problem::ProblemKind;
use wire::routes::{Auth, Route};

use crate::policy::{Policy, Rights};
use crate::ports::{Clock, Variables};
use crate::token::Signers;
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
        let (signers, role) = match route.auth {
            Auth::Shard | Auth::Proof => return Ok(None),
            Auth::Player => (Signers::Game, None),
            Auth::Seat => (Signers::Seats, None),
            Auth::Operator => (Signers::Game, Some(Role::Operator)),
            Auth::Schedule => (Signers::Schedule, Some(Role::Operator)),
            Auth::Privacy => (Signers::Game, Some(Role::Privacy)),
            Auth::Moderation => (Signers::Game, Some(Role::Moderator)),
            Auth::GameServer => (Signers::Game, Some(Role::GameServer)),
        };
        let verifier = config::verifier(host, signers).await?;
        let now_ms = host.now_ms();
        let claims = verifier.verify(signers, authorization, now_ms / 1000)?;
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

    /// What a token says that a function gives him: it grants something else, and nothing beyond
    /// the time of the one with which he asks, at most `life_s` seconds. It counts as issued when
    /// that one was, so whatever ends that one ends it too.
    pub fn lent(&self, life_s: u64, grants: Vec<Grant>) -> Claims {
        let until_s = (self.now_ms / 1000).saturating_add(life_s);
        Claims {
            exp: self.claims.exp.min(until_s),
            role: None,
            grants,
            ..self.claims.clone()
        }
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
