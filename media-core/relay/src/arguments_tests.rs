use super::*;

const KEY: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";

fn parse(line: &str) -> Result<Command, StartError> {
    Command::parse(line.split_whitespace().map(str::to_owned))
}

fn arguments(line: &str) -> Arguments {
    match parse(&format!(
        "--shard dev-0 --region dev --edge http://127.0.0.1:1 {line}"
    )) {
        Ok(Command::Run(arguments)) => *arguments,
        other => panic!("{other:?}"),
    }
}

fn load(arguments: Arguments, variable: Option<&str>) -> Result<Config, StartError> {
    let place = arguments.given(variable)?;
    Ok(arguments.complete(place))
}

fn message<T: fmt::Debug>(result: Result<T, StartError>) -> String {
    result.expect_err("a refusal").0
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
    assert_eq!(config.listen, addresses(&["0.0.0.0:7410", "[::]:7410"]));
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
    for (line, wanted) in [
        (
            "--region dev --edge http://x",
            "--shard is missing; see --help",
        ),
        ("--shard a --shard b", "--shard is given twice"),
        ("--shard", "--shard needs a value; see --help"),
        ("--speed 7", "--speed is not a flag of relay; see --help"),
        (
            "--shard a/b",
            "--shard a/b: not a shard id: use 1 to 48 of A-Z a-z 0-9 _ . -",
        ),
        (
            "--shard a --region dev --edge ftp://x",
            "--edge ftp://x: use https://HOST or http://HOST:PORT",
        ),
        (
            "--shard a --region b --edge http://x --shards 0",
            "--shards must be 1 to 128",
        ),
        (
            "--shard a --region b --edge http://x --listen 7410",
            "--listen 7410: use ADDRESS:PORT, such as 0.0.0.0:7410 or [::]:7410",
        ),
    ] {
        assert_eq!(message(parse(line)), wanted);
    }
}

#[test]
fn help_wins_over_everything_else() {
    assert_eq!(parse("--shard a --help --nonsense"), Ok(Command::Help));
    assert_eq!(parse("-V"), Ok(Command::Version));
}

#[test]
fn every_flag_is_in_the_help() {
    for flag in FLAGS {
        assert!(HELP.contains(&format!("  {} ", flag.name)), "{}", flag.name);
    }
    for flag in KEY_FLAGS {
        assert!(
            KEY_HELP.contains(&format!("  {} ", flag.name)),
            "{}",
            flag.name
        );
    }
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
    assert!(message(load(arguments(""), Some("short"))).contains("32 bytes in base64"));
    let missing = message(load(arguments("--key-file /nonexistent/key"), Some(KEY)));
    assert!(
        missing.starts_with("--key-file /nonexistent/key cannot be read"),
        "{missing}"
    );
}

const SECRET: &str = "BQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQU=\n";

fn keys(line: &str) -> Result<String, StartError> {
    match parse(&format!("key {line}"))? {
        Command::Key(asked) => asked.derive(SECRET),
        other => panic!("{other:?}"),
    }
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
        ("", "--shard is missing; see relay key --help"),
        ("--shard a --epoch 16", "--epoch must be 0 to 15"),
        ("--shard a --shards 0", "--shards must be 1 to 128"),
        (
            "--shard a --region b",
            "--region is not a flag of relay key; see relay key --help",
        ),
    ] {
        assert_eq!(message(keys(line)), wanted);
    }
    let Ok(Command::Key(asked)) = parse("key --shard a") else {
        panic!("a key command");
    };
    assert!(message(asked.derive("short")).contains("32 bytes in base64"));
    assert_eq!(parse("key --shard a --help"), Ok(Command::KeyHelp));
}

#[test]
fn enrolment_takes_the_place_of_what_the_edge_tells() {
    let parsed = parse("--enrol https://e --enrol-plain --state /s --region eu --shards 4");
    let Ok(Command::Run(arguments)) = parsed else {
        panic!("{parsed:?}");
    };
    let Origin::Enrolled(enrol) = &arguments.origin else {
        panic!("{arguments:?}");
    };
    assert!(enrol.plain && enrol.region.is_some() && enrol.token_file.is_none());
    for (line, wanted) in [
        (
            "--enrol https://e --shard a",
            "--shard is what --enrol asks the edge for; leave it out",
        ),
        (
            "--enrol https://e --key-file a",
            "--key-file is what --enrol asks the edge for; leave it out",
        ),
        (
            "--enrol https://e --enrol https://e",
            "--enrol is given twice",
        ),
        (
            "--enrol-plain=yes",
            "--enrol-plain takes no value; see --help",
        ),
        (
            "--enrol e",
            "--enrol e: use https://HOST or http://HOST:PORT",
        ),
        (
            "--shard a --region b --edge http://x --state f",
            "--state is for --enrol",
        ),
    ] {
        assert_eq!(message(parse(line)), wanted);
    }
}

#[test]
fn a_drain_on_term_has_a_limit() {
    assert_eq!(arguments("").drain_on_term(), None);
    let limit = |line: &str| arguments(line).drain_on_term().map(|limit| limit.as_secs());
    assert_eq!(limit("--drain-on-term"), Some(60));
    assert_eq!(limit("--drain-on-term --drain-limit-seconds 30"), Some(30));
    let line = "--shard a --region b --edge http://x --drain-seconds 90";
    assert!(message(parse(line)).starts_with("--drain-limit-seconds must be at least"));
}
