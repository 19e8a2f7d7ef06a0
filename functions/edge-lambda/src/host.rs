//! The ports of one invocation.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use edge::ports::{
    Clock, Entropy, IdentityLink, IdentityReply, ObjectFault, RelayInquiry, RelayLink, RelayReply,
    Storage, Timer, Unreachable, VariableFault, Variables,
};
use tokio::time::Instant;
use wire::ShardId;

use crate::dynamo::Table;
use crate::identity::Identity;
use crate::objects::Objects;
use crate::parameter_store::ParameterStore;
use crate::permissions::FunctionPermissions;
use crate::relays::Relays;
use crate::tables::{HOME_REGIONS, Stores, Tables};
use crate::variables::Parameters;

/// Environment variable with the table's name or ARN.
pub const TABLE: &str = "LIFEVERSE_TABLE";
/// Environment variable with the path in Parameter Store under which the secrets are.
pub const PARAMETERS: &str = "LIFEVERSE_PARAMETERS";

/// Time to connect to a service of AWS.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(1_000);
/// Time for one attempt of a request to it.
const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(2_000);

/// What outlives an invocation: connections, and secrets for a while.
#[derive(Debug)]
pub struct Environment {
    tables: Tables,
    parameters: Parameters,
    relays: Relays,
    identity: Identity,
    /// None where nobody said in which bucket they are.
    objects: Option<Objects>,
}

/// The setting that lists the control endpoints of relays.
const RELAY_HOSTS: &str = "relay_control_hosts";
/// The setting that lists where the identity service is.
const IDENTITY_HOSTS: &str = "sts_hosts";

/// The setting that names the bucket of objects.
const OBJECTS: &str = "usage_objects";

/// The ports of one invocation.
#[derive(Debug)]
pub struct LambdaHost<'a> {
    environment: &'a Environment,
    store: Stores<'a>,
}

impl Environment {
    /// Credentials and region from the chain that every program of AWS uses; table, parameters
    /// and settings from the environment, as far as the permissions list them.
    ///
    /// # Errors
    /// A sentence that names the variable that is missing or wrong.
    pub async fn load(
        permissions: &FunctionPermissions,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, String> {
        let required = |name: &str| environment(name).ok_or(format!("{name} is not set"));
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .operation_attempt_timeout(ATTEMPT_TIMEOUT)
            .build();
        let config = aws_config::from_env().timeout_config(timeouts).load().await;
        // Retries of the store are made where it is known what may be repeated.
        let name = required(TABLE)?;
        let table = |dynamo: aws_sdk_dynamodb::config::Builder| {
            let dynamo = dynamo.retry_config(RetryConfig::disabled()).build();
            Table {
                client: aws_sdk_dynamodb::Client::from_conf(dynamo),
                name: name.clone(),
                actions: permissions.table.clone(),
                partitions: permissions.partitions.clone(),
            }
        };
        let path = required(PARAMETERS)?;
        let home_regions = environment(HOME_REGIONS);
        let store = ParameterStore::new(config.clone())?;
        let parameters = Parameters::new(store, &path, permissions, environment);
        let tables = Tables::new(home_regions.as_deref(), &config, table)?;
        // A function reaches what it is for: one that asks who somebody is reaches no relay.
        let hosts = |name: &str| {
            let is_its = permissions.outbound.as_deref() == Some(name);
            let hosts = is_its.then(|| parameters.setting(name)).flatten();
            hosts.unwrap_or_default()
        };
        let relays = Relays::new(hosts(RELAY_HOSTS))?;
        let identity = Identity::new(hosts(IDENTITY_HOSTS))?;
        let bucket = parameters.setting(OBJECTS).filter(|name| !name.is_empty());
        let objects = match bucket {
            Some(bucket) => Some(Objects::new(config, bucket, permissions.objects.clone())?),
            None => None,
        };
        Ok(Self {
            tables,
            parameters,
            relays,
            identity,
            objects,
        })
    }

    /// Opens what the first request would wait for.
    pub async fn warm(&self) {
        self.parameters.warm(now()).await;
    }

    /// The ports of an invocation that ends at `deadline`.
    pub async fn host(&self, deadline: Instant) -> LambdaHost<'_> {
        LambdaHost {
            environment: self,
            store: self.tables.stores(now(), unix_ms(), deadline).await,
        }
    }
}

/// The monotonic clock.
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Unix time, milliseconds.
#[expect(
    clippy::disallowed_methods,
    reason = "a shell reads clocks, in one place"
)]
pub(crate) fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

impl<'a> Storage for LambdaHost<'a> {
    type Store = Stores<'a>;

    fn store(&self) -> &Self::Store {
        &self.store
    }
}

impl Clock for LambdaHost<'_> {
    fn now_ms(&self) -> u64 {
        unix_ms()
    }
}

impl Timer for LambdaHost<'_> {
    async fn sleep(&self, ms: u64) {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }
}

impl Entropy for LambdaHost<'_> {
    fn fill(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("Linux has randomness for every process");
    }
}

impl Variables for LambdaHost<'_> {
    async fn variable(&self, name: &str) -> Result<Option<String>, VariableFault> {
        self.environment.parameters.get(now(), name).await
    }
}

impl RelayLink for LambdaHost<'_> {
    async fn post(&self, url: &str, shard: &ShardId, sealed: String) -> Result<u16, Unreachable> {
        self.environment.relays.post(url, shard, sealed).await
    }
}

impl RelayInquiry for LambdaHost<'_> {
    async fn inquire(
        &self,
        url: &str,
        shard: &ShardId,
        sealed: String,
    ) -> Result<RelayReply, Unreachable> {
        self.environment.relays.inquire(url, shard, sealed).await
    }
}

impl edge::ports::Objects for LambdaHost<'_> {
    async fn put_object(&self, name: &str, bytes: Vec<u8>) -> Result<(), ObjectFault> {
        match &self.environment.objects {
            Some(objects) => objects.put(name, bytes).await,
            None => Err(ObjectFault::Nowhere),
        }
    }
}

impl IdentityLink for LambdaHost<'_> {
    async fn ask(
        &self,
        url: &str,
        headers: &[(&'static str, String)],
    ) -> Result<IdentityReply, Unreachable> {
        self.environment.identity.ask(url, headers).await
    }
}
