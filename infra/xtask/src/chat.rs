//! `cargo xtask chat`: everything that chat keeps of one player, exported or erased.

use anyhow::{Context, Result};
use serde_json::Value;
use wire::PlayerId;

use crate::cli::Parsed;
use crate::workspace::Workspace;
use crate::{curl, token};

/// Asks the edge step by step until there is nothing more.
pub(crate) fn run(workspace: &Workspace, parsed: &Parsed) -> Result<()> {
    let player = parsed.get("--player").unwrap_or_default();
    let player = PlayerId::new(player).context("--player")?;
    let base = parsed
        .get("--edge")
        .unwrap_or(curl::DEFAULT_URL)
        .trim_end_matches('/');
    let token = match std::env::var("PRIVACY_TOKEN") {
        Ok(token) => token,
        Err(_) => token::privacy_token(workspace)?,
    };
    let is_export = parsed.word.as_deref() == Some("export");
    let method = if is_export { "GET" } else { "DELETE" };
    let (mut query, mut erased) = (String::new(), 0);
    loop {
        let url = format!("{base}/v1/chat/players/{player}/data{query}");
        let reply = curl::request(method, &url, &token, &Value::Null)?;
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
