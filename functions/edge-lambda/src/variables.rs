//! Settings from the environment, secrets from Parameter Store.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_ssm::Client;
use edge::ports::VariableFault;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::log;
use crate::permissions::Permissions;

/// What comes before the upper-case name of a setting in the environment, as in
/// `LIFEVERSE_REGION`.
pub(crate) const SETTING_PREFIX: &str = "LIFEVERSE_";

/// How long secrets are used before they are read again: a rotated key takes effect within this.
const FRESH: Duration = Duration::from_secs(300);
/// How long they are used when they cannot be read again.
const USABLE: Duration = Duration::from_secs(3_600);
/// After a failure, this passes before the next attempt, so that an outage does not slow down
/// every request.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(5);

/// The variables that a function's permissions list.
#[derive(Debug)]
pub(crate) struct Parameters {
    client: Client,
    /// Path of the parameters, with a slash at its end.
    path: String,
    /// Names of the secrets.
    secrets: Vec<String>,
    /// Settings that are allowed, with their values.
    settings: BTreeMap<String, Option<String>>,
    cache: Mutex<Cache>,
}

#[derive(Debug, Default)]
struct Cache {
    read: Option<(Instant, BTreeMap<String, String>)>,
    failed_at: Option<Instant>,
}

impl Parameters {
    pub(crate) fn new(
        client: Client,
        path: &str,
        permissions: &Permissions,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Self {
        let setting = |name: &String| {
            let variable = format!("{SETTING_PREFIX}{}", name.to_ascii_uppercase());
            (name.clone(), environment(&variable))
        };
        Self {
            client,
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
            return Err(VariableFault);
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
        }
    }

    /// All secrets are read in one call, by whoever finds them stale.
    async fn secret(&self, now: Instant, name: &str) -> Result<Option<String>, VariableFault> {
        let mut cache = self.cache.lock().await;
        let age = |since: Instant| now.saturating_duration_since(since);
        let is_fresh = cache.read.as_ref().is_some_and(|(at, _)| age(*at) < FRESH);
        let has_failed = cache
            .failed_at
            .is_some_and(|at| age(at) < PAUSE_AFTER_FAILURE);
        if !is_fresh && !has_failed {
            match self.read().await {
                Ok(values) => {
                    *cache = Cache {
                        read: Some((now, values)),
                        failed_at: None,
                    }
                }
                Err(why) => {
                    log::fault("GetParameters", &why);
                    cache.failed_at = Some(now);
                }
            }
        }
        match &cache.read {
            Some((at, values)) if age(*at) < USABLE => Ok(values.get(name).cloned()),
            _ => Err(VariableFault),
        }
    }

    async fn read(&self) -> Result<BTreeMap<String, String>, String> {
        let names = self
            .secrets
            .iter()
            .map(|name| format!("{}{name}", self.path));
        let sent = self
            .client
            .get_parameters()
            .set_names(Some(names.collect()))
            .with_decryption(true)
            .send();
        let output = Box::pin(sent).await.map_err(|error| {
            use aws_sdk_ssm::error::ProvideErrorMetadata as _;
            error.code().unwrap_or("no answer").to_owned()
        })?;
        // Those that do not exist are left out, which the function tells as misconfigured.
        let pairs = output.parameters().iter().filter_map(|parameter| {
            let name = parameter.name()?.strip_prefix(&self.path)?;
            Some((name.to_owned(), parameter.value()?.to_owned()))
        });
        Ok(pairs.collect())
    }
}
