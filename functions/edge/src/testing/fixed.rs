use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::ports::{Entropy, VariableFault, Variables};

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
