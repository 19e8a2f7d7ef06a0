//! FlexMatch-style rule sets: what maps, and what is listed.

use std::process::{Command, Output};

use matchmaking::flexmatch::{Header, Reading, read};
use serde_json::json;
use wire::ModeName;

fn reading(text: &str) -> Reading {
    let header = Header {
        mode: ModeName::new("m").expect("a valid name"),
        version: 3,
        max_wait_s: 120,
    };
    read(text, &header).unwrap_or_else(|faults| panic!("{faults:?}"))
}

#[test]
fn a_team_game_maps_whole() {
    let found = reading(include_str!("../golden/flexmatch-raid.json"));
    assert_eq!(found.unmapped, []);
    let expected: serde_json::Value =
        serde_json::from_str(include_str!("../golden/flexmatch-raid-mapped.json")).unwrap();
    assert_eq!(found.document, expected, "{:#}", found.document);
    assert_eq!(found.rules.limits_at(0).players_max(), 12);
    assert_eq!(found.rules.limits_at(40).players_min(), 6);
}

#[test]
fn what_does_not_map_is_listed_with_its_path() {
    let found = reading(include_str!("../golden/flexmatch-odd.json"));
    let mut paths: Vec<&str> = found
        .unmapped
        .iter()
        .map(|fault| fault.path.as_str())
        .collect();
    paths.sort_unstable();
    assert_eq!(
        paths,
        [
            "algorithm.strategy",
            "autoBackfill",
            "expansions[0].target",
            "playerAttributes[1]",
            "rules[0].type",
            "rules[1].measurements",
            "rules[2].operation",
            "rules[3].minDistance",
            "rules[4].distanceReference",
            "rules[5]",
            "rules[6].type",
        ]
    );
    assert_eq!(found.document["latency"], json!({ "max_ms": 90 }));
}

#[test]
fn what_is_no_rule_set_is_refused() {
    let header = Header {
        mode: ModeName::new("m").unwrap(),
        version: 3,
        max_wait_s: 120,
    };
    for text in [
        "",
        "[]",
        "{}",
        "{\"teams\":[{\"name\":1}]}",
        "{\"teams\":7,\"rules\":[[]]}",
    ] {
        assert!(read(text, &header).is_err(), "{text}");
    }
    let without_max = r#"{ "teams": [{ "name": "a", "minPlayers": 2 }] }"#;
    let faults = read(without_max, &header).unwrap_err();
    assert_eq!(faults[0].path, "teams[0].players.max");
}

/// What `cargo xtask flexmatch` runs, on a file of tests/golden.
fn printed(file: &str, mode: &str) -> Output {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");
    let mut command = Command::new(env!("CARGO_BIN_EXE_flexmatch"));
    command.current_dir(folder).args([file, mode, "3", "120"]);
    command.output().unwrap()
}

#[test]
fn the_command_prints_the_rule_set_alone_and_the_rest_as_errors() {
    let odd = printed("flexmatch-odd.json", "m");
    assert!(odd.status.success());
    let document: serde_json::Value = serde_json::from_slice(&odd.stdout).unwrap();
    assert_eq!(document["latency"], json!({ "max_ms": 90 }));
    let listed = String::from_utf8(odd.stderr).unwrap();
    assert!(listed.contains("not mapped: rules[5]: "), "{listed}");
}

#[test]
fn the_command_says_what_is_wrong() {
    for (file, mode, said) in [
        (
            "flexmatch-none.json",
            "m",
            "flexmatch-none.json: No such file",
        ),
        ("flexmatch-raid.json", "a b", "mode: not a mode name"),
        ("rule-set-faults.txt", "m", "    $: not JSON"),
    ] {
        let output = printed(file, mode);
        assert!(!output.status.success() && output.stdout.is_empty());
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.contains(said), "{error}");
    }
}
