//! `cargo xtask chat`: everything that is kept of one player, exported or erased.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use wire::PlayerId;

use crate::clock;
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

    /// Add who was erased, and when, to this list: `dr erasures` reads it
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,

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
    let player = &flags.player;
    if flags.what == What::Export {
        return ask(workspace, &flags.edge, "GET", player).map(drop);
    }
    let erased = erase(workspace, &flags.edge, player)?;
    println!("erased {erased} items of {player}");
    match &flags.record {
        Some(file) => note(file, player),
        None => Ok(()),
    }
}

/// Erases all of a player's; how many items.
pub(crate) fn erase(workspace: &Workspace, edge: &Edge, player: &PlayerId) -> Result<u64> {
    ask(workspace, edge, "DELETE", player)
}

/// Adds a line to the list of those who were erased.
fn note(file: &Path, player: &PlayerId) -> Result<()> {
    let seconds = clock::unix_seconds();
    let hour = finops::calendar::hour_text((seconds / 3_600) as i64);
    let of_hour = seconds % 3_600;
    let minutes = format!(":{:02}:{:02}Z", of_hour / 60, of_hour % 60);
    let at = hour.replace(":00Z", &minutes);
    let mut options = OpenOptions::new();
    let opened = options.create(true).append(true).open(file);
    let written =
        opened.and_then(|mut file| writeln!(file, "{}", json!({ "at": at, "player": player })));
    written.with_context(|| {
        format!(
            "{player} is erased, but --record {} has it not: add {at} by hand",
            file.display()
        )
    })
}

fn ask(workspace: &Workspace, edge: &Edge, method: &str, player: &PlayerId) -> Result<u64> {
    let base = edge.base();
    let token = match std::env::var("PRIVACY_TOKEN") {
        Ok(token) => token,
        Err(_) => token::privacy_token(workspace)?,
    };
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
            None => return Ok(erased),
        }
    }
}
