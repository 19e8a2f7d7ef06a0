//! Relays, as the edge has them.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use wire::fleet::{ListedShard, ShardList};

use crate::curl::{self, Edge};
use crate::token;
use crate::workspace::Workspace;

/// What is asked of the edge.
pub(crate) trait Relays {
    /// Every shard that it knows.
    fn list(&self) -> Result<Vec<ListedShard>>;

    /// Has a shard drain, or take people again. The same again changes nothing.
    fn drain(&self, shard: &str, draining: bool) -> Result<()>;
}

/// An edge, asked by curl with an operator's token.
pub(crate) struct OfEdge {
    base: String,
    token: String,
}

impl OfEdge {
    /// The token is `OPERATOR_TOKEN` of the environment, else one of the development key.
    pub(crate) fn new(workspace: &Workspace, edge: &Edge) -> Result<Self> {
        let token = match std::env::var("OPERATOR_TOKEN") {
            Ok(token) => token,
            Err(_) => token::operator_token(workspace)?,
        };
        let base = edge.base().to_owned();
        Ok(Self { base, token })
    }

    /// Any request of an operator.
    pub(crate) fn ask(&self, method: &str, path: &str, body: &Value) -> Result<Value> {
        curl::request(method, &format!("{}{path}", self.base), &self.token, body)
    }
}

impl Relays for OfEdge {
    fn list(&self) -> Result<Vec<ListedShard>> {
        let reply = self.ask("GET", "/v1/relays", &Value::Null)?;
        let list: ShardList = serde_json::from_value(reply)
            .with_context(|| format!("{}/v1/relays is no list of relays", self.base))?;
        Ok(list.relays)
    }

    fn drain(&self, shard: &str, draining: bool) -> Result<()> {
        let path = format!("/v1/relays/{shard}/drain");
        self.ask("PUT", &path, &json!({ "draining": draining }))
            .map(drop)
    }
}
