//! The table in each of its regions, and which regions have been given up.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_dynamodb::config::Region;
use edge::homes::{HomeRegions, HomedStore, evacuation};
use tokio::sync::Mutex;
use tokio::time::Instant;
use wire::fleet::Evacuation;

use crate::dynamo::{DynamoStore, Table};
use crate::log;

/// Environment variable with the regions that share the table, when there are several: see
/// [`HomeRegions::from_json`].
pub(crate) const HOME_REGIONS: &str = "LIFEVERSE_HOME_REGIONS";
/// For so long what is known of an evacuation counts: it is read a few times a minute and not for
/// each request.
const FRESH: Duration = Duration::from_secs(5);
/// Longest wait for it. What was known before counts on when it does not come.
const READING_LIMIT: Duration = Duration::from_millis(500);

/// The stores of all regions, as one.
pub(crate) type Stores<'a> = HomedStore<'a, DynamoStore<'a>>;

/// What outlives an invocation.
#[derive(Debug)]
pub(crate) struct Tables {
    regions: HomeRegions,
    tables: BTreeMap<String, Table>,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    evacuation: Evacuation,
    read_at: Option<Instant>,
}

impl Tables {
    /// A client for each region that `home_regions` names: `config` but for the region.
    ///
    /// # Errors
    /// A sentence that names the variable.
    pub(crate) fn new(
        home_regions: Option<&str>,
        config: &aws_config::SdkConfig,
        table: impl Fn(aws_sdk_dynamodb::config::Builder) -> Table,
    ) -> Result<Self, String> {
        let base = || aws_sdk_dynamodb::config::Builder::from(config);
        let text = home_regions.filter(|text| !text.is_empty());
        let (regions, tables) = match text {
            None => {
                let regions = HomeRegions::alone();
                let tables = [(regions.here().to_owned(), table(base()))];
                (regions, BTreeMap::from(tables))
            }
            Some(text) => {
                let regions = HomeRegions::from_json(text)
                    .map_err(|error| format!("{HOME_REGIONS}: {error}"))?;
                let of = |name: &str| table(base().region(Region::new(name.to_owned())));
                let tables = regions.names().map(|name| (name.to_owned(), of(name)));
                let tables: BTreeMap<String, Table> = tables.collect();
                if tables.values().any(|table| table.name.contains(':')) {
                    let told = "name the table without its region, since it is in several";
                    return Err(format!("{HOME_REGIONS}: {told}"));
                }
                (regions, tables)
            }
        };
        Ok(Self {
            regions,
            tables,
            known: Mutex::default(),
        })
    }

    /// The stores of an invocation that ends at `deadline`.
    pub(crate) async fn stores(&self, now: Instant, now_ms: u64, deadline: Instant) -> Stores<'_> {
        let evacuation = match self.tables.len() {
            1 => Evacuation::default(),
            _ => self.evacuation(now, now_ms).await,
        };
        HomedStore::new(&self.regions, evacuation, now_ms, |region, epoch| {
            let store = DynamoStore::new(&self.tables[region], deadline);
            match self.tables.len() {
                1 => store,
                _ => store.under(epoch),
            }
        })
    }

    async fn evacuation(&self, now: Instant, now_ms: u64) -> Evacuation {
        let mut known = self.known.lock().await;
        let is_fresh = |at: Instant| now.saturating_duration_since(at) < FRESH;
        if !known.read_at.is_some_and(is_fresh) {
            let limit = now + READING_LIMIT;
            let here = DynamoStore::new(&self.tables[self.regions.here()], limit);
            match evacuation::read(&here, now_ms).await {
                // A replica may be behind, and nothing is taken back but by a higher epoch.
                Ok(read) if read.value.epoch >= known.evacuation.epoch => {
                    known.evacuation = read.value;
                }
                Ok(_) => {}
                Err(error) => log::fault(HOME_REGIONS, &error.to_string()),
            }
            known.read_at = Some(now);
        }
        known.evacuation.clone()
    }
}
