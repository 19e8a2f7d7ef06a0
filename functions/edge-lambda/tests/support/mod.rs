//! The real store on the real emulator, with a proxy between them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use edge_lambda::dynamo::{DynamoStore, Table};
use edge_lambda::permissions::TableAction;
use scenarios::moto::Moto;
pub use scenarios::proxy::{Fate, Proxy, Seen};
use tokio::time::Instant;

pub const ALL_ACTIONS: [TableAction; 5] = [
    TableAction::GetItem,
    TableAction::BatchGetItem,
    TableAction::Query,
    TableAction::UpdateItem,
    TableAction::DeleteItem,
];

/// An emulator behind a proxy, and a table in it.
pub struct Rig {
    pub moto: Arc<Mutex<Moto>>,
    pub proxy: Proxy,
    pub table: Table,
}

impl Rig {
    /// With a client that waits for a busy emulator.
    pub async fn start() -> Self {
        Self::start_with(Duration::from_secs(20)).await
    }

    /// With a client that gives up as soon as tests of silence can wait for.
    pub async fn impatient() -> Self {
        Self::start_with(Duration::from_secs(1)).await
    }

    async fn start_with(attempt_timeout: Duration) -> Self {
        let moto = Self::emulator().await;
        let proxy = Proxy::start(moto.url()).await.unwrap();
        let table = table(&proxy.url, attempt_timeout).await;
        let moto = Arc::new(Mutex::new(moto));
        Self { moto, proxy, table }
    }

    /// One with an empty table.
    pub async fn emulator() -> Moto {
        let moto = Moto::start().await.unwrap();
        moto.create_table("items").await.unwrap();
        moto
    }

    pub fn store(&self) -> DynamoStore<'_> {
        self.store_until(Duration::from_secs(60))
    }

    pub fn store_until(&self, limit: Duration) -> DynamoStore<'_> {
        DynamoStore::new(&self.table, Instant::now() + limit)
    }
}

/// A client as the host makes it, but for its patience.
async fn table(url: &str, attempt_timeout: Duration) -> Table {
    let credentials = aws_sdk_dynamodb::config::Credentials::new("t", "t", None, None, "test");
    let config = aws_config::from_env()
        .endpoint_url(url)
        .region("us-east-1")
        .credentials_provider(credentials)
        .load()
        .await;
    let timeouts = aws_config::timeout::TimeoutConfig::builder()
        .operation_attempt_timeout(attempt_timeout)
        .build();
    let config = aws_sdk_dynamodb::config::Builder::from(&config)
        .retry_config(aws_config::retry::RetryConfig::disabled())
        .timeout_config(timeouts)
        .build();
    Table {
        client: aws_sdk_dynamodb::Client::from_conf(config),
        name: "items".to_owned(),
        actions: ALL_ACTIONS.to_vec(),
        partitions: vec!["*".to_owned()],
    }
}

/// How often each operation was sent.
pub fn counts(seen: &[Seen]) -> HashMap<&str, usize> {
    let mut counts = HashMap::new();
    for seen in seen {
        *counts.entry(seen.operation.as_str()).or_default() += 1;
    }
    counts
}
