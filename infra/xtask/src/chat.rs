//! `cargo xtask chat`: everything that chat keeps of one player, exported or erased.

use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use wire::PlayerId;

use crate::cli::Parsed;
use crate::token;
use crate::workspace::Workspace;

const DEFAULT_EDGE: &str = "http://127.0.0.1:7400";

/// Asks the edge step by step until there is nothing more.
pub(crate) fn run(workspace: &Workspace, parsed: &Parsed) -> Result<()> {
    let player = parsed.get("--player").unwrap_or_default();
    let player = PlayerId::new(player).context("--player")?;
    let edge = parsed
        .get("--edge")
        .unwrap_or(DEFAULT_EDGE)
        .trim_end_matches('/');
    let token = match std::env::var("PRIVACY_TOKEN") {
        Ok(token) => token,
        Err(_) => token::privacy_token(workspace)?,
    };
    let is_export = parsed.word.as_deref() == Some("export");
    let method = if is_export { "GET" } else { "DELETE" };
    let (mut query, mut erased) = (String::new(), 0);
    loop {
        let url = format!("{edge}/v1/chat/players/{player}/data{query}");
        let reply = request(method, &url, &token)?;
        for item in reply["items"].as_array().into_iter().flatten() {
            println!("{item}");
        }
        erased += reply["erased"].as_u64().unwrap_or(0);
        match reply["next"].as_str() {
            Some(next) => query = format!("?next={next}"),
            None => break,
        }
    }
    if !is_export {
        println!("erased {erased} items of {player}");
    }
    Ok(())
}

/// One request by curl, which reads the token from its standard input: arguments can be seen by
/// everybody on the machine.
fn request(method: &str, url: &str, token: &str) -> Result<Value> {
    let arguments = [
        "--silent",
        "--show-error",
        "--max-time",
        "30",
        "--config",
        "-",
    ];
    let mut curl = Command::new("curl")
        .args(arguments)
        .args(["--request", method, url])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
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
