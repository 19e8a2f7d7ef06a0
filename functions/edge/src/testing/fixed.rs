use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU8, Ordering};

use wire::keys::FleetSecret;

use super::schedule::yield_now;
use crate::config;
use crate::ports::{Entropy, Timer, VariableFault, Variables};

/// Variables from a map.
#[derive(Debug, Clone, Default)]
pub struct FixedVariables(pub BTreeMap<String, String>);

impl FixedVariables {
    /// The variables of `pairs`.
    pub fn new(pairs: &[(&str, &str)]) -> Self {
        Self(
            pairs
                .iter()
                .map(|(name, value)| ((*name).into(), (*value).into()))
                .collect(),
        )
    }
}

impl FixedVariables {
    /// These, and what is derived from the fleet secret among them.
    ///
    /// # Panics
    /// When there is no fleet secret, or it is none.
    #[must_use]
    pub fn with_derived(mut self) -> Self {
        let secret = FleetSecret::from_base64(&self.0[config::FLEET_SECRET]);
        for (name, value) in config::derived(&secret.expect("32 bytes in base64")) {
            self.0.insert(name.into(), value);
        }
        self
    }
}

impl Variables for FixedVariables {
    async fn variable(&self, name: &str) -> Result<Option<String>, VariableFault> {
        Ok(self.0.get(name).cloned())
    }
}

/// Not entropy at all: fills with 1, then with 2, and so on, so that replies can be compared.
#[derive(Debug, Default)]
pub struct CountingEntropy(AtomicU8);

impl Entropy for CountingEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(self.0.fetch_add(1, Ordering::Relaxed).wrapping_add(1));
    }
}

/// What waits for whoever has nothing but a store: its waits only give up the turn.
#[derive(Debug, Clone, Copy)]
pub struct Patience;

impl Entropy for Patience {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(0);
    }
}

impl Timer for Patience {
    async fn sleep(&self, _ms: u64) {
        yield_now().await;
    }
}
