//! `cargo xtask enrolment-token`: lets one relay in.

use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use serde_json::{Value, json};
use wire::limits::MAX_ENROLMENT_TOKEN_S;
use wire::{RegionName, ShardId};

use crate::cli::{Command, Parsed, required, switch, value};
use crate::secret::{self, Existing};
use crate::workspace::Workspace;
use crate::{curl, token};

/// The command's row in the table of the command line.
pub(crate) const COMMAND: Command = Command {
    name: "enrolment-token",
    summary: "make a token by which one relay may join the fleet",
    detail: "Prints the token alone, or writes it to --file. It works once, until it expires, for\n\
             `relay --enrol URL --enrol-token-file FILE`. Needs curl and an operator's token: in\n\
             the environment as OPERATOR_TOKEN (`cargo xtask token --operator --key FILE`), or\n\
             else one signed with the development key.",
    words: &[],
    flags: &[
        required("--region", "NAME", "where the relay will be"),
        required("--capacity", "N", "most participants of all its shards"),
        value("--relay", "NAME", "its name in the fleet [relay-ID]"),
        value("--ttl", "SECONDS", "time until it expires [3600]"),
        value("--file", "PATH", "write it to this file, mode 0600"),
        switch("--replace", "overwrite that file"),
        value(
            "--edge",
            "URL",
            "address of the edge [http://127.0.0.1:7400]",
        ),
    ],
};

/// Long enough to start a machine, and short enough to be of no use tomorrow.
const DEFAULT_TTL_S: u64 = 3600;

/// Asks the edge for a token and puts it where it was asked for.
pub(crate) fn run(workspace: &Workspace, parsed: &Parsed) -> Result<()> {
    let body = body(parsed)?;
    let base = parsed.get("--edge").unwrap_or(curl::DEFAULT_URL);
    let url = format!("{}/v1/relays/enrolment-tokens", base.trim_end_matches('/'));
    let operator = match std::env::var("OPERATOR_TOKEN") {
        Ok(token) => token,
        Err(_) => token::operator_token(workspace)?,
    };
    let reply = curl::request("POST", &url, &operator, &body)?;
    let text = reply["token"].as_str().context("the edge made no token")?;
    match parsed.get("--file") {
        Some(file) => {
            let existing = match parsed.has("--replace") {
                true => Existing::Replace,
                false => Existing::Keep,
            };
            secret::write(Path::new(file), text, existing)?;
        }
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

fn body(parsed: &Parsed) -> Result<Value> {
    let text = |flag: &str| parsed.get(flag).unwrap_or_default();
    let region: RegionName = text("--region")
        .parse()
        .map_err(|fault| anyhow!("--region `{}`: {fault}", text("--region")))?;
    let Some(capacity) = text("--capacity").parse::<u32>().ok().filter(|n| *n > 0) else {
        bail!("--capacity `{}` is not a number from 1", text("--capacity"));
    };
    let ttl_s = match parsed.get("--ttl") {
        None => DEFAULT_TTL_S,
        Some(text) => match text.parse() {
            Ok(seconds) if (1..=MAX_ENROLMENT_TOKEN_S).contains(&seconds) => seconds,
            _ => {
                bail!("--ttl `{text}` is not a number of seconds from 1 to {MAX_ENROLMENT_TOKEN_S}")
            }
        },
    };
    let mut body = json!({
        "region": region, "capacity": capacity, "expires_in_s": ttl_s,
    });
    if let Some(name) = parsed.get("--relay") {
        let name: ShardId = name
            .parse()
            .map_err(|fault| anyhow!("--relay `{name}`: {fault}"))?;
        body["relay"] = json!(name);
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{self, Invocation};

    fn body_of(line: &str) -> Result<Value> {
        let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        match cli::parse(&args)? {
            Invocation::Run(_, parsed) => body(&parsed),
            Invocation::Help(text) => panic!("{text}"),
        }
    }

    #[test]
    fn the_request_is_what_the_flags_say() {
        let body = body_of("enrolment-token --region eu --capacity 500").unwrap();
        let request: wire::enrolment::TokenRequest = serde_json::from_value(body).unwrap();
        assert_eq!(
            (request.capacity, request.expires_in_s),
            (500, DEFAULT_TTL_S)
        );
        assert_eq!(request.relay, None);
        let named = "enrolment-token --region eu --capacity 500 --relay eu-1 --ttl 60";
        assert_eq!(body_of(named).unwrap()["relay"], "eu-1");
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
            let error = body_of(&format!("enrolment-token {line}"))
                .unwrap_err()
                .to_string();
            assert!(error.contains(flag), "{error}");
        }
    }
}
