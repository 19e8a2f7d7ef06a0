//! `cargo xtask chat`: everything that is kept of one player, exported or erased.

use anyhow::Result;
use clap::{Args, ValueEnum};
use serde_json::Value;
use wire::PlayerId;

use crate::curl::{self, Edge};
use crate::token;
use crate::workspace::Workspace;

/// What to do, and with whose data.
#[derive(Debug, Args)]
pub(crate) struct Flags {
    /// What to do with it
    what: What,

    /// Whose data
    #[arg(long, value_name = "ID")]
    player: PlayerId,

    #[command(flatten)]
    edge: Edge,
}

/// What to do with what is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    Export,
    Erase,
}

/// Asks the edge step by step until there is nothing more.
pub(crate) fn run(workspace: &Workspace, flags: &Flags) -> Result<()> {
    let (player, base) = (&flags.player, flags.edge.base());
    let token = match std::env::var("PRIVACY_TOKEN") {
        Ok(token) => token,
        Err(_) => token::privacy_token(workspace)?,
    };
    let is_export = flags.what == What::Export;
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
