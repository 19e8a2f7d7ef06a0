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
    let config = arguments.load(Some(KEY)).expect("a whole configuration");
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
        assert!(HELP.contains(&format!("  {flag}")), "{flag}");
    }
}

#[test]
fn each_shard_has_its_own_key_and_id() {
    let keys = format!("{KEY}\n{KEY}\n");
    let config = arguments("--shards 2")
        .load(Some(&keys))
        .expect("a whole configuration");
    let ids: Vec<_> = config
        .shard_ids()
        .expect("ids")
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(ids, ["dev-0-0", "dev-0-1"]);
    assert_eq!(
        message(arguments("--shards 2").load(Some(KEY))),
        "RELAY_SHARD_KEYS holds 1 keys, but --shards is 2; give one key a line"
    );
}

#[test]
fn missing_and_bad_keys_are_explained() {
    assert!(message(arguments("").load(None)).contains("--key-file is missing"));
    assert!(message(arguments("").load(Some("short"))).contains("32 bytes in base64"));
    let missing = message(arguments("--key-file /nonexistent/key").load(Some(KEY)));
    assert!(
        missing.starts_with("--key-file /nonexistent/key cannot be read"),
        "{missing}"
    );
}

#[test]
fn shards_take_consecutive_or_free_ports() {
    let listen = addresses(&["0.0.0.0:7410", "[::]:0"]);
    assert_eq!(
        listen_addresses(&listen, 3),
        Ok(addresses(&["0.0.0.0:7413", "[::]:0"]))
    );
    assert!(listen_addresses(&addresses(&["0.0.0.0:65535"]), 1).is_err());
    assert!(listen_addresses(&addresses(&["0.0.0.0:1", "127.0.0.1:2"]), 0).is_err());
    assert!(listen_addresses(&[], 0).is_err());
}

#[test]
fn candidates_are_what_is_advertised_with_the_real_ports() {
    let bound = addresses(&["0.0.0.0:7410", "[::]:7411"]);
    let found = |advertise: &[&str]| {
        let advertise: Vec<_> = advertise
            .iter()
            .map(|ip| ip.parse().expect("an IP"))
            .collect();
        candidates(&bound, &[], &advertise).map(|found| {
            found
                .iter()
                .map(|candidate| candidate.address)
                .collect::<Vec<_>>()
        })
    };
    assert_eq!(
        found(&["2001:db8::1", "192.0.2.1"]),
        Ok(addresses(&["[2001:db8::1]:7411", "192.0.2.1:7410"]))
    );
    assert_eq!(found(&["127.0.0.1"]), Ok(addresses(&["127.0.0.1:7410"])));
    assert!(message(found(&[])).contains("--advertise"));
    assert!(found(&["192.0.2.1"; 9]).is_err());
    let fixed =
        candidates(&addresses(&["127.0.0.1:5"]), &[], &[]).expect("the address of the socket");
    assert_eq!(fixed[0].address, addresses(&["127.0.0.1:5"])[0]);
    let other = candidates(
        &addresses(&["127.0.0.1:5"]),
        &[],
        &["::1".parse().expect("an IP")],
    );
    assert!(message(other).contains("needs a --listen of its family"));
}

#[test]
fn tcp_candidates_follow_and_need_not_be_of_every_family() {
    let bound = addresses(&["0.0.0.0:7410", "[::]:7410"]);
    let advertise: Vec<IpAddr> = ["192.0.2.1", "2001:db8::1"]
        .map(|ip| ip.parse().expect("an IP"))
        .to_vec();
    let found = candidates(&bound, &addresses(&["0.0.0.0:443"]), &advertise).expect("three");
    let texts: Vec<_> = found
        .iter()
        .map(|candidate| format!("{:?} {}", candidate.transport, candidate.address))
        .collect();
    assert_eq!(
        texts,
        [
            "Udp 192.0.2.1:7410",
            "Udp [2001:db8::1]:7410",
            "Tcp 192.0.2.1:443"
        ]
    );
    let five = vec![advertise[0]; 5];
    let many = candidates(&bound, &addresses(&["0.0.0.0:443"]), &five);
    assert!(message(many).contains("--listen-tcp"));
    let unclear = candidates(
        &addresses(&["127.0.0.1:5"]),
        &addresses(&["0.0.0.0:443"]),
        &[],
    );
    assert!(message(unclear).contains("--listen-tcp takes any address"));
    assert!(check_families("--listen-tcp", &addresses(&["0.0.0.0:1", "0.0.0.0:2"])).is_err());
}
