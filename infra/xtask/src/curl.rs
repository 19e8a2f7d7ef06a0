//! Requests to the edge by curl.

use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::Value;

/// Where `cargo xtask up` serves.
const DEFAULT_URL: &str = "http://127.0.0.1:7400";

/// The edge that a command asks.
#[derive(Debug, Args)]
pub(crate) struct Edge {
    /// Address of the edge
    #[arg(long = "edge", value_name = "URL", default_value = DEFAULT_URL)]
    url: String,
}

impl Edge {
    /// The address, without the slash that a path begins with.
    pub(crate) fn base(&self) -> &str {
        self.url.trim_end_matches('/')
    }
}

/// One request, with a body unless it is null. curl reads the token from its standard input:
/// arguments can be seen by everybody on the machine.
pub(crate) fn request(method: &str, url: &str, token: &str, body: &Value) -> Result<Value> {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--max-time", "30"])
        .args(["--config", "-", "--request", method, url])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    if !body.is_null() {
        curl.args(["--header", "content-type: application/json"]);
        curl.args(["--data-binary", &body.to_string()]);
    }
    let mut curl = curl
        .spawn()
        .context("curl is needed for this command and does not start")?;
    let mut input = curl.stdin.take().context("standard input is piped")?;
    writeln!(input, "header = \"authorization: Bearer {token}\"")?;
    drop(input);
    let output = curl.wait_with_output()?;
    if !output.status.success() {
        bail!("no answer from {url}");
    }
    let reply: Value = serde_json::from_slice(&output.stdout)
        .with_context(|| format!("{url} did not answer with JSON"))?;
    match reply["detail"].as_str() {
        Some(detail) => bail!(
            "refused: {}: {detail}",
            reply["title"].as_str().unwrap_or_default()
        ),
        None => Ok(reply),
    }
}
