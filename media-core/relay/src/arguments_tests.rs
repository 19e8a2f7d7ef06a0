use std::fmt;
use std::net::SocketAddr;

use super::*;

const KEY: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB\
                   AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB";

fn parse(line: &str) -> Result<CommandLine, clap::Error> {
    CommandLine::read(["relay"].into_iter().chain(line.split_whitespace()))
}

fn arguments(line: &str) -> Arguments {
    let whole = format!("--shard dev-0 --region dev --edge http://127.0.0.1:1 {line}");
    parse(&whole).expect("a whole line").run
}

fn load(arguments: Arguments, variable: Option<&str>) -> Result<Config, StartError> {
    let place = arguments.given(variable)?;
    Ok(arguments.complete(place, None))
}

fn message<T: fmt::Debug>(result: Result<T, StartError>) -> String {
    result.expect_err("a refusal").0
}

/// What is said first of a line that is refused, and the exit code.
fn refusal(line: &str) -> String {
    let error = parse(line).expect_err("a refusal");
    assert_eq!(error.exit_code(), 2, "{line}");
    let text = error.to_string();
    assert!(text.contains("try '--help'"), "{text}");
    text.split("\n\n").next().unwrap_or_default().to_owned()
}

fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
    texts
        .iter()
        .map(|text| text.parse().expect("an address"))
        .collect()
}

#[test]
fn the_contracts_command_line_is_understood() {
    let arguments = arguments(
        "--listen 0.0.0.0:7410 --listen [::]:7410 --advertise 127.0.0.1 --control=127.0.0.1:7411",
    );
    let config = load(arguments, Some(KEY)).expect("a whole configuration");
    assert_eq!(
        config.settings.listen,
        addresses(&["0.0.0.0:7410", "[::]:7410"])
    );
    assert_eq!(
        config.shard_ids(),
        Ok(vec!["dev-0".parse().expect("a shard id")])
    );
    assert_eq!(
        config.edge.heartbeat(&config.shard),
        "http://127.0.0.1:1/v1/relays/dev-0/heartbeat"
    );
}

#[test]
fn a_fault_names_the_flag_and_what_to_change() {
    let whole = "--shard a --region b --edge http://x";
    for (line, wanted) in [
        ("--region dev --edge http://x", "--shard <NAME>"),
        (
            "--shard a --shard b",
            "'--shard <NAME>' cannot be used multiple times",
        ),
        ("--shard", "a value is required for '--shard <NAME>'"),
        ("--speed 7", "unexpected argument '--speed'"),
        (
            "--shard a/b",
            "'a/b' for '--shard <NAME>': not a shard id: use 1 to 48 of A-Z a-z 0-9 _ . -",
        ),
        (
            "--shard a --region dev --edge ftp://x",
            "'ftp://x' for '--edge <URL>': use https://HOST or http://HOST:PORT",
        ),
        ("WHOLE --shards 0", "'--shards <N>': 0 is not in 1..=128"),
        (
            "WHOLE --shards 129",
            "'--shards <N>': 129 is not in 1..=128",
        ),
        (
            "WHOLE --key-epoch 16",
            "'--key-epoch <N>': 16 is not in 0..=15",
        ),
        (
            "WHOLE --max-participants 0",
            "'--max-participants <N>': 0 is not in 1..",
        ),
        (
            "WHOLE --max-room 0",
            "'--max-room <N>': 0 is not in 1..=10000",
        ),
        (
            "WHOLE --max-room 10001",
            "'--max-room <N>': 10001 is not in 1..=10000",
        ),
        (
            "WHOLE --full-cpu-percent 101",
            "'--full-cpu-percent <N>': 101 is not in 1..=100",
        ),
        (
            "WHOLE --listen 7410",
            "'7410' for '--listen <ADDRESS>': use ADDRESS:PORT, such as 0.0.0.0:7410 or [::]:7410",
        ),
    ] {
        let told = refusal(&line.replace("WHOLE", whole));
        assert!(told.contains(wanted), "{line}: {told}");
    }
}

#[test]
fn help_wins_over_what_follows_and_what_is_missing() {
    for (line, kind) in [
        ("--shard a --help --nonsense", ErrorKind::DisplayHelp),
        ("key --shard a --help", ErrorKind::DisplayHelp),
        ("-V", ErrorKind::DisplayVersion),
    ] {
        let told = parse(line).expect_err("a text to print");
        assert_eq!((told.kind(), told.exit_code()), (kind, 0), "{line}");
    }
}

#[test]
fn every_flag_and_command_is_explained_within_100_columns() {
    let mut line = CommandLine::command();
    line.clone().debug_assert();
    line.build();
    let commands = line.get_subcommands().cloned().chain([line.clone()]);
    for mut command in commands {
        for flag in command.get_arguments() {
            assert!(flag.get_help().is_some(), "{}", flag.get_id());
        }
        let help = command.render_help().to_string();
        let wide: Vec<&str> = help.lines().filter(|line| line.len() > 100).collect();
        assert!(wide.is_empty(), "{wide:?}");
    }
}

#[test]
fn defaults_are_those_of_an_empty_line() {
    let settings = arguments("").settings;
    assert_eq!(
        format!("{settings:?}"),
        format!("{:?}", Settings::default())
    );
    assert_eq!(settings.listen, addresses(&["0.0.0.0:7410"]));
    assert_eq!((settings.max_participants, settings.max_room), (1000, 5000));
}

#[test]
fn each_shard_has_its_own_key_and_id() {
    let keys = format!("{KEY}\n{KEY}\n");
    let config = load(arguments("--shards 2"), Some(&keys)).expect("a whole configuration");
    let ids: Vec<_> = config
        .shard_ids()
        .expect("ids")
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(ids, ["dev-0-0", "dev-0-1"]);
    assert_eq!(
        message(load(arguments("--shards 2"), Some(KEY))),
        "RELAY_SHARD_KEYS holds 1 keys, but --shards is 2; give one key a line"
    );
}

#[test]
fn missing_and_bad_keys_are_explained() {
    assert!(message(load(arguments(""), None)).contains("--key-file is missing"));
    assert!(message(load(arguments(""), Some("short"))).contains("96 bytes in base64"));
    let missing = message(load(arguments("--key-file /nonexistent/key"), Some(KEY)));
    assert!(
        missing.starts_with("--key-file /nonexistent/key cannot be read"),
        "{missing}"
    );
}

const SECRET: &str = "BQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQU=\n";

fn asked(line: &str) -> KeyArguments {
    let command = parse(&format!("key {line}")).map(|line| line.command);
    let Ok(Some(Command::Key(asked))) = command else {
        panic!("{command:?}");
    };
    asked
}

fn keys(line: &str) -> Result<String, StartError> {
    asked(line).derive(SECRET)
}

#[test]
fn keys_are_those_that_functions_derive() {
    let secret = wire::keys::FleetSecret::from_base64(SECRET).expect("a secret");
    let key = |shard: &str, epoch| {
        let shard = shard.parse().expect("an id");
        secret.shard_key(&shard, epoch).to_base64()
    };
    assert_eq!(keys("--shard a"), Ok(format!("{}\n", key("a", 0))));
    assert_eq!(
        keys("--shard a --epoch 3 --shards 2"),
        Ok(format!("{}\n{}\n", key("a-0", 3), key("a-1", 3)))
    );
    // What it prints is what a relay reads.
    let file = keys("--shard dev-0 --shards 2").expect("keys");
    let config = load(arguments("--shards 2"), Some(&file));
    assert_eq!(config.expect("a whole configuration").keys.len(), 2);
}

#[test]
fn a_key_that_cannot_be_made_is_explained() {
    for (line, wanted) in [
        ("key", "--shard <NAME>"),
        (
            "key --shard a --epoch 16",
            "'--epoch <N>': 16 is not in 0..=15",
        ),
        (
            "key --shard a --shards 0",
            "'--shards <N>': 0 is not in 1..=128",
        ),
        ("key --shard a --region b", "unexpected argument '--region'"),
        ("check", "<URL>"),
    ] {
        let told = refusal(line);
        assert!(told.contains(wanted), "{line}: {told}");
    }
    assert!(message(asked("--shard a").derive("short")).contains("32 bytes in base64"));
}

#[test]
fn enrolment_takes_the_place_of_what_the_edge_tells() {
    let parsed = parse("--enrol https://e --enrol-plain --state /s --region eu --shards 4");
    let arguments = parsed.expect("a whole line").run;
    let enrol = arguments.enrol.expect("it enrols");
    assert!(enrol.plain && enrol.token_file.is_none() && arguments.region.is_some());
    assert!(arguments.given.is_none());
    for (line, wanted) in [
        (
            "--enrol https://e --shard a",
            "'--shard <NAME>' cannot be used with:\n  --enrol <URL>",
        ),
        ("--enrol https://e --key-file a", "--key-file <FILE>"),
        ("--key-epoch 1 --enrol https://e", "--key-epoch <N>"),
        (
            "--enrol https://e --enrol https://e",
            "'--enrol <URL>' cannot be used multiple times",
        ),
        (
            "--enrol https://e --enrol-aws --enrol-token-file f",
            "'--enrol-token-file <FILE>'",
        ),
        (
            "--enrol-plain=yes",
            "unexpected value 'yes' for '--enrol-plain'",
        ),
        (
            "--enrol e",
            "'e' for '--enrol <URL>': use https://HOST or http://HOST:PORT",
        ),
        (
            "--shard a --region b --edge http://x --state f",
            "  --state <FILE>",
        ),
        (
            "--shard a --region b --edge http://x --enrol-aws",
            "  --enrol-aws",
        ),
        (
            "--region b --edge http://x key --shard a",
            "cannot be used with",
        ),
        ("", "--shard <NAME>"),
    ] {
        let told = refusal(line);
        assert!(told.contains(wanted), "{line}: {told}");
    }
}

#[test]
fn a_drain_on_term_has_a_limit() {
    assert_eq!(arguments("").drain_on_term(), None);
    let limit = |line: &str| arguments(line).drain_on_term().map(|limit| limit.as_secs());
    assert_eq!(limit("--drain-on-term"), Some(60));
    assert_eq!(limit("--drain-on-term --drain-limit-seconds 30"), Some(30));
    let line = "--shard a --region b --edge http://x --drain-seconds 90";
    assert!(refusal(line).contains("--drain-limit-seconds must be at least"));
}
