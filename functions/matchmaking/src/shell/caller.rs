//! Who asks.

use std::sync::atomic::AtomicBool;

use edge::http::Call;
use edge::store::Store;
use edge::{Metered, Refusal};
use wire::PlayerId;
use wire::claims::{Claims, Role};
use wire::problem::ProblemKind;

use super::Ports;

/// One request of somebody whose token is good.
pub(super) struct Caller<'a, H, S> {
    pub(super) host: &'a H,
    pub(super) store: &'a Metered<'a, S>,
    pub(super) call: &'a Call<'a>,
    /// When the request began, Unix milliseconds.
    pub(super) now_ms: u64,
    pub(super) claims: &'a Claims,
    /// Whether the request has done a pass, which costs many times what it costs else.
    pub(super) has_passed: AtomicBool,
}

impl<'a, H: Ports, S: Store> Caller<'a, H, S> {
    pub(super) fn enter(
        host: &'a H,
        store: &'a Metered<'a, S>,
        call: &'a Call<'a>,
    ) -> Result<Self, Refusal> {
        let caller = call.caller()?;
        Ok(Self {
            host,
            store,
            call,
            now_ms: caller.now_ms,
            claims: &caller.claims,
            has_passed: AtomicBool::new(false),
        })
    }

    pub(super) fn me(&self) -> &PlayerId {
        &self.claims.sub
    }

    pub(super) fn is_game_server(&self) -> bool {
        self.claims.role == Some(Role::GameServer)
    }

    /// Random bytes.
    pub(super) fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.host.fill(&mut bytes);
        bytes
    }
}

pub(super) fn body_invalid(detail: impl Into<std::borrow::Cow<'static, str>>) -> Refusal {
    Refusal::new(ProblemKind::BodyInvalid, detail)
}

pub(super) fn conflict() -> Refusal {
    edge::store::StoreError::ConditionFailed.into()
}
