//! `cargo xtask enrolment-token`: lets one relay in.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, value_parser};
use serde_json::{Value, json};
use wire::limits::MAX_ENROLMENT_TOKEN_S;
use wire::{RegionName, ShardId};

use crate::curl::{self, Edge};
use crate::secret::{self, Existing};
use crate::token;
use crate::workspace::Workspace;

/// Whom the token lets in, and where it goes.
#[derive(Debug, Args)]
pub(crate) struct Flags {
    /// Where the relay will be
    #[arg(long, value_name = "NAME")]
    region: RegionName,

    /// Most participants of all its shards
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..))]
    capacity: u32,

    /// Its name in the fleet [default: relay-ID]
    #[arg(long, value_name = "NAME")]
    relay: Option<ShardId>,

    /// Time until it expires, up to 30 days
    #[arg(long, value_name = "SECONDS", default_value_t = DEFAULT_TTL_S)]
    #[arg(value_parser = value_parser!(u64).range(1..=MAX_ENROLMENT_TOKEN_S))]
    ttl: u64,

    /// Write it to this file, mode 0600
    #[arg(long, value_name = "PATH")]
    file: Option<PathBuf>,

    /// Overwrite that file
    #[arg(long)]
    replace: bool,

    #[command(flatten)]
    edge: Edge,
}

/// Long enough to start a machine, and short enough to be of no use tomorrow.
const DEFAULT_TTL_S: u64 = 3600;

/// Asks the edge for a token and puts it where it was asked for.
pub(crate) fn run(workspace: &Workspace, flags: &Flags) -> Result<()> {
    let body = body(flags);
    let url = format!("{}/v1/relays/enrolment-tokens", flags.edge.base());
    let operator = match std::env::var("OPERATOR_TOKEN") {
        Ok(token) => token,
        Err(_) => token::operator_token(workspace)?,
    };
    let reply = curl::request("POST", &url, &operator, &body)?;
    let text = reply["token"].as_str().context("the edge made no token")?;
    match &flags.file {
        Some(file) => secret::write(file, text, Existing::from(flags.replace))?,
        None => println!("{text}"),
    }
    eprintln!(
        "For one relay, {}, in {}, of up to {} participants. Taken back by: DELETE {url}/{}",
        reply["relay"].as_str().unwrap_or_default(),
        reply["region"].as_str().unwrap_or_default(),
        reply["capacity"],
        reply["id"].as_str().unwrap_or_default()
    );
    Ok(())
}

fn body(flags: &Flags) -> Value {
    let mut body = json!({
        "region": flags.region, "capacity": flags.capacity, "expires_in_s": flags.ttl,
    });
    if let Some(name) = &flags.relay {
        body["relay"] = json!(name);
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Command;
    use crate::cli::tests::{command, refusal};

    fn body_of(line: &str) -> Value {
        let Ok(Command::EnrolmentToken(flags)) = command(line) else {
            panic!("{line}");
        };
        body(&flags)
    }

    #[test]
    fn the_request_is_what_the_flags_say() {
        let body = body_of("enrolment-token --region eu --capacity 500");
        let request: wire::enrolment::TokenRequest = serde_json::from_value(body).unwrap();
        assert_eq!(
            (request.capacity, request.expires_in_s),
            (500, DEFAULT_TTL_S)
        );
        assert_eq!(request.relay, None);
        let named = "enrolment-token --region eu --capacity 500 --relay eu-1 --ttl 60";
        assert_eq!(body_of(named)["relay"], "eu-1");
    }

    #[test]
    fn what_cannot_be_asked_names_its_flag() {
        for (line, flag) in [
            ("--capacity 1", "--region"),
            ("--region a/b --capacity 1", "--region"),
            ("--region eu --capacity 0", "--capacity"),
            ("--region eu --capacity 1 --ttl 2592001", "--ttl"),
            ("--region eu --capacity 1 --relay a/b", "--relay"),
        ] {
            let error = refusal(&format!("enrolment-token {line}"));
            assert!(error.contains(flag), "{error}");
        }
    }
}
