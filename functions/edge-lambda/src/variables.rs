//! Settings from the environment, secrets from Parameter Store.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use edge::ports::VariableFault;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::log;
use crate::parameter_store::{Fault, ParameterStore};
use crate::permissions::FunctionPermissions;

/// What comes before the upper-case name of a setting in the environment, as in
/// `LIFEVERSE_REGION`.
pub(crate) const SETTING_PREFIX: &str = "LIFEVERSE_";

/// How long secrets are used before they are read again: a rotated key takes effect within this.
const FRESH: Duration = Duration::from_secs(300);
/// An instance takes up to this less, by chance: Parameter Store answers 40 requests a second, and
/// thousands of instances may have begun at once.
const FRESH_SPREAD: Duration = Duration::from_secs(120);
/// How long they are used when they cannot be read again.
const USABLE: Duration = Duration::from_secs(3_600);
/// After a failure, this passes before the next attempt, so that an outage does not slow down
/// every request.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(5);
/// Time for reading them again; those at hand will do.
const RENEWAL_LIMIT: Duration = Duration::from_secs(1);
/// Time for reading them at all, with the repetitions of the client: a request has five seconds.
const READING_LIMIT: Duration = Duration::from_secs(4);

/// The variables that a function's permissions list.
pub(crate) struct Parameters {
    store: ParameterStore,
    /// Path of the parameters, with a slash at its end.
    path: String,
    /// Names of the secrets.
    secrets: Vec<String>,
    /// Settings that are allowed, with their values.
    settings: BTreeMap<String, Option<String>>,
    cache: Mutex<Cache>,
}

#[derive(Default)]
struct Cache {
    secrets: Option<Secrets>,
    failure: Option<(Instant, VariableFault)>,
}

struct Secrets {
    read_at: Instant,
    fresh_until: Instant,
    values: BTreeMap<String, String>,
}

// Values may be secrets.
impl fmt::Debug for Parameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings: Vec<&String> = self.settings.keys().collect();
        f.debug_struct("Parameters")
            .field("path", &self.path)
            .field("secrets", &self.secrets)
            .field("settings", &settings)
            .finish_non_exhaustive()
    }
}

impl Parameters {
    pub(crate) fn new(
        store: ParameterStore,
        path: &str,
        permissions: &FunctionPermissions,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Self {
        let setting = |name: &String| {
            let variable = format!("{SETTING_PREFIX}{}", name.to_ascii_uppercase());
            (name.clone(), environment(&variable))
        };
        Self {
            store,
            path: format!("{}/", path.trim_end_matches('/')),
            secrets: permissions.secrets.clone(),
            settings: permissions.settings.iter().map(setting).collect(),
            cache: Mutex::default(),
        }
    }

    /// The value of a variable at `now`.
    pub(crate) async fn get(
        &self,
        now: Instant,
        name: &str,
    ) -> Result<Option<String>, VariableFault> {
        if let Some(value) = self.settings.get(name) {
            return Ok(value.clone());
        }
        if !self.secrets.iter().any(|secret| secret == name) {
            log::fault(name, "not among the function's permissions");
            return Err(VariableFault::Refused);
        }
        self.secret(now, name).await
    }

    /// A setting, without a look at Parameter Store.
    pub(crate) fn setting(&self, name: &str) -> Option<&str> {
        self.settings.get(name)?.as_deref()
    }

    /// Reads the secrets unless they are fresh; what fails here is tried again by the first
    /// request.
    pub(crate) async fn warm(&self, now: Instant) {
        if let Some(first) = self.secrets.first() {
            let _ = self.secret(now, first).await;
            // Nobody has waited yet, so nobody is to be spared.
            self.cache.lock().await.failure = None;
        }
    }

    /// All secrets are read in one call, by whoever finds them stale.
    async fn secret(&self, now: Instant, name: &str) -> Result<Option<String>, VariableFault> {
        let mut cache = self.cache.lock().await;
        let age = |since: Instant| now.saturating_duration_since(since);
        let known = cache.secrets.as_ref();
        let usable = known.is_some_and(|secrets| age(secrets.read_at) < USABLE);
        let is_fresh = known.is_some_and(|secrets| now < secrets.fresh_until);
        let has_failed = cache
            .failure
            .is_some_and(|(at, _)| age(at) < PAUSE_AFTER_FAILURE);
        if !is_fresh && !has_failed {
            // The time of this request may end here, and others should not share its fate.
            cache.failure = Some((now, VariableFault::Unavailable));
            let limit = if usable { RENEWAL_LIMIT } else { READING_LIMIT };
            match self.read(limit).await {
                Ok(values) => {
                    cache.secrets = Some(Secrets {
                        read_at: now,
                        fresh_until: now + FRESH.saturating_sub(FRESH_SPREAD.mul_f64(chance())),
                        values,
                    });
                    cache.failure = None;
                }
                Err((fault, why)) => {
                    log::fault("GetParameters", &why);
                    cache.failure = Some((now, fault));
                }
            }
        }
        match (&cache.secrets, &cache.failure) {
            (Some(secrets), _) if age(secrets.read_at) < USABLE => {
                Ok(secrets.values.get(name).cloned())
            }
            (_, Some((_, fault))) => Err(*fault),
            _ => Err(VariableFault::Unavailable),
        }
    }

    async fn read(
        &self,
        limit: Duration,
    ) -> Result<BTreeMap<String, String>, (VariableFault, String)> {
        let names = self.secrets.iter();
        let names: Vec<String> = names.map(|name| format!("{}{name}", self.path)).collect();
        let sent = Box::pin(self.store.parameters(&names));
        let sent = tokio::time::timeout(limit, sent).await;
        let sent = sent.unwrap_or_else(|_| Err(Fault::Unavailable("no answer in time".to_owned())));
        let values = sent.map_err(|fault| match fault {
            Fault::Refused(why) => (VariableFault::Refused, why),
            Fault::Unavailable(why) => (VariableFault::Unavailable, why),
        })?;
        // Those that do not exist are left out, which the function tells as misconfigured.
        let pairs = values.0.into_iter().filter_map(|(name, value)| {
            let name = name.strip_prefix(&self.path)?;
            Some((name.to_owned(), value))
        });
        Ok(pairs.collect())
    }
}

/// From 0 to 1, and 0 where there is no randomness.
fn chance() -> f64 {
    let mut bytes = [0; 4];
    let _ = getrandom::fill(&mut bytes);
    f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX)
}

#[cfg(test)]
#[path = "variables_tests.rs"]
mod tests;
