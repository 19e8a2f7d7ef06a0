//! Erasures after the moment that a table was restored to: in it those players are there again.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use serde::Deserialize;
use wire::PlayerId;

use super::times::Times;
use crate::chat;
use crate::curl::Edge;
use crate::scale::unix_seconds;
use crate::workspace::Workspace;

/// Whose, and since when.
#[derive(Debug, Args)]
pub(crate) struct Flags {
    /// The list: a line {"at":"2026-12-09T16:00:00Z","player":"ann"} for each, as `chat erase
    /// --record FILE` writes it
    #[arg(long, value_name = "FILE")]
    list: PathBuf,

    /// The moment that the table was restored to
    #[arg(long, value_name = "TIME")]
    since: String,

    #[command(flatten)]
    edge: Edge,
}

#[derive(Deserialize)]
struct Line {
    at: String,
    player: PlayerId,
}

pub(super) fn run(workspace: &Workspace, flags: &Flags) -> Result<()> {
    let file = flags.list.display().to_string();
    let text = std::fs::read_to_string(&flags.list).with_context(|| format!("--list {file}"))?;
    let since_s = unix_seconds(&flags.since)
        .with_context(|| format!("--since {}: write 2026-12-09T16:00:00Z", flags.since))?;
    // All of it is read before anybody is erased.
    let players = since(&text, since_s).with_context(|| format!("--list {file}"))?;
    let mut times = Times::start();
    for player in &players {
        let erased = chat::erase(workspace, &flags.edge, player)?;
        times.done(&format!("{erased} items of {player}"));
    }
    println!("erased {} players again", players.len());
    Ok(())
}

/// Players who were erased at that moment or later, each once, in the order of the list.
fn since(text: &str, since_s: u64) -> Result<Vec<PlayerId>> {
    let mut players: Vec<PlayerId> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let wrong = || format!("line {} is no {{\"at\",\"player\"}}", number + 1);
        let line: Line = serde_json::from_str(line).with_context(wrong)?;
        let at_s = unix_seconds(&line.at).with_context(wrong)?;
        if at_s >= since_s && !players.contains(&line.player) {
            players.push(line.player);
        }
    }
    Ok(players)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_since_then_are_erased_once_and_a_torn_list_erases_nobody() {
        let line =
            |at: &str, player: &str| format!("{{\"at\":\"{at}\",\"player\":\"{player}\"}}\n");
        let list = [
            line("2026-12-09T15:59:59Z", "ann"),
            line("2026-12-09T16:00:00Z", "bob"),
            "\n".to_owned(),
            line("2026-12-09T17:00:00Z", "eve"),
            line("2026-12-09T18:00:00Z", "bob"),
        ];
        let since_s = unix_seconds("2026-12-09T16:00:00Z").unwrap();
        let found = since(&list.concat(), since_s).unwrap();
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(found, ["bob", "eve"]);
        for torn in [
            "{\"at\":\"2026-12-0",
            &line("noon", "ann"),
            "{\"player\":\"ann\"}",
        ] {
            let fault = since(&(list.concat() + torn), since_s)
                .unwrap_err()
                .to_string();
            assert!(fault.contains("line 6"), "{fault}");
        }
    }
}
