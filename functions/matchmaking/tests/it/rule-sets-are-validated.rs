//! Mistakes in rule sets, each told with its path; every message is in golden/rule-set-faults.txt.

use crate::support::sets;
use matchmaking::RuleSet;
use proptest::prelude::*;
use serde_json::{Value, json};

/// A name, and a rule set that differs from a good one by one mistake.
#[expect(clippy::too_many_lines, reason = "a table of rule sets")]
fn mistakes() -> Vec<(&'static str, Value)> {
    let with = |change: fn(&mut Value)| {
        let mut document = sets::roles();
        change(&mut document);
        document
    };
    vec![
        ("a list", json!([])),
        ("nothing", json!({})),
        ("unknown field", with(|d| d["taems"] = json!([]))),
        ("bad mode", with(|d| d["mode"] = json!("five v five"))),
        ("version zero", with(|d| d["version"] = json!(0))),
        ("no wait", with(|d| d["max_wait_s"] = json!(1.5))),
        ("no teams", with(|d| d["teams"] = json!([]))),
        (
            "min above max",
            with(|d| d["teams"][1]["players"] = json!({ "min": 4, "max": 3 })),
        ),
        (
            "no max",
            with(|d| d["teams"][1]["players"] = json!({ "min": 4 })),
        ),
        (
            "team without name",
            with(|d| d["teams"][0]["name"] = json!("")),
        ),
        (
            "same names",
            with(|d| d["teams"][0]["name"] = json!("blue")),
        ),
        (
            "too many players",
            with(|d| d["teams"][0]["count"] = json!(67)),
        ),
        (
            "teams that need nobody",
            with(|d| {
                d["teams"][0]["players"]["min"] = json!(0);
                d["teams"][1]["players"]["min"] = json!(0);
            }),
        ),
        (
            "party above what the service takes",
            with(|d| {
                d["teams"][0]["players"] = json!({ "min": 3, "max": 20 });
                d["party"] = json!({ "max": 17 });
            }),
        ),
        (
            "parties that fill no team",
            with(|d| d["party"] = json!({ "min": 2, "max": 2 })),
        ),
        (
            "party above team",
            with(|d| d["party"] = json!({ "max": 4 })),
        ),
        (
            "party min above max",
            with(|d| d["party"] = json!({ "min": 3, "max": 2 })),
        ),
        (
            "spread below zero",
            with(|d| d["rating"]["spread"] = json!(-1)),
        ),
        (
            "spread is text",
            with(|d| d["rating"]["spread"] = json!("10")),
        ),
        (
            "favourite below half",
            with(|d| d["balance"] = json!({ "favourite": 0.4 })),
        ),
        (
            "latency without cap",
            with(|d| d["latency"] = json!({ "soft": 1 })),
        ),
        (
            "bad region",
            with(|d| d["latency"]["regions"] = json!({ "a b": 50, "ok": 0 })),
        ),
        (
            "attribute type",
            with(|d| d["attributes"]["role"]["type"] = json!("string")),
        ),
        (
            "attribute default",
            with(|d| d["attributes"]["level"]["default"] = json!("x")),
        ),
        (
            "rule type",
            with(|d| d["rules"][0]["type"] = json!("counts")),
        ),
        (
            "unknown attribute",
            with(|d| d["rules"][2]["attribute"] = json!("map")),
        ),
        (
            "wrong attribute",
            with(|d| d["rules"][3]["attribute"] = json!("role")),
        ),
        (
            "count of numbers",
            with(|d| d["rules"][1]["attribute"] = json!("level")),
        ),
        (
            "count without bound",
            with(|d| d["rules"][1]["min"] = json!(null)),
        ),
        (
            "count min above max",
            with(|d| d["rules"][0]["min"] = json!(2)),
        ),
        (
            "count above the team",
            with(|d| d["rules"][0] = count("healer", "team", 4, 4)),
        ),
        (
            "count above the match",
            with(|d| d["rules"][1] = count("tank", "match", 7, 9)),
        ),
        (
            "counts above the team",
            with(|d| {
                d["rules"][1] = count("tank", "team", 2, 2);
                d["rules"][2] = count("sniper", "team", 1, 1);
                d["rules"][3] = count("scout", "team", 1, 1);
            }),
        ),
        (
            "counts above the match",
            with(|d| d["rules"][1] = count("tank", "match", 5, 6)),
        ),
        (
            "counts that contradict each other",
            with(|d| d["rules"][1] = count("healer", "match", 0, 1)),
        ),
        (
            "count above the team later",
            with(|d| {
                d["rules"][0]["max"] = json!(9);
                let steps = json!([{ "after_s": 20, "value": 4 }]);
                d["expansions"][0] = json!({ "path": "rules[0].min", "steps": steps });
            }),
        ),
        (
            "minimum above maximum",
            with(|d| d["rules"][4]["value"] = json!(10)),
        ),
        ("scope", with(|d| d["rules"][2]["per"] = json!("squad"))),
        (
            "scope of a minimum",
            with(|d| d["rules"][4]["per"] = json!("team")),
        ),
        (
            "expansion of nothing",
            with(|d| d["expansions"][0]["path"] = json!("rules[9].max")),
        ),
        (
            "expansion of a name",
            with(|d| d["expansions"][0]["path"] = json!("teams[0].name")),
        ),
        (
            "expansion of the wait",
            with(|d| d["expansions"][0]["path"] = json!("max_wait_s")),
        ),
        (
            "steps backwards",
            with(|d| d["expansions"][0]["steps"][1]["after_s"] = json!(10)),
        ),
        (
            "no steps",
            with(|d| d["expansions"][0]["steps"] = json!([])),
        ),
        (
            "expansion twice",
            with(|d| {
                let again = d["expansions"][0].clone();
                d["expansions"].as_array_mut().unwrap().push(again);
            }),
        ),
        (
            "invalid later",
            with(|d| {
                d["expansions"][0] = json!({
                    "path": "teams[0].players.min", "steps": [{ "after_s": 20, "value": 4 }]
                })
            }),
        ),
        (
            "backfill",
            with(|d| d["backfill"] = json!({ "until_s": 0 })),
        ),
        (
            "acceptance",
            with(|d| d["acceptance"] = json!({ "timeout": 10 })),
        ),
    ]
}

fn count(value: &str, per: &str, min: u32, max: u32) -> Value {
    json!({
        "type": "count", "attribute": "role", "value": value, "per": per, "min": min, "max": max,
    })
}

#[test]
fn counts_that_just_fit_are_taken() {
    let mut document = sets::roles();
    document["rules"][0] = count("healer", "team", 2, 2);
    document["rules"][1] = count("tank", "match", 2, 2);
    sets::read(&document);
    document["rules"][1] = count("tank", "team", 1, 9);
    sets::read(&document);
    // Of sets: one player may have all three.
    document["rules"][0] = json!({
        "type": "count", "attribute": "maps", "value": "a", "per": "team", "min": 3
    });
    document["rules"][1] = json!({
        "type": "count", "attribute": "maps", "value": "b", "per": "team", "min": 3
    });
    sets::read(&document);
}

#[test]
fn parties_are_not_larger_than_the_service_takes() {
    let mut document = sets::roles();
    assert_eq!(sets::read(&document).party.max, 3);
    document["teams"][0]["players"] = json!({ "min": 3, "max": 40 });
    assert_eq!(sets::read(&document).party.max, 16);
    document["party"] = json!({ "min": 3, "max": 3 });
    sets::read(&document);
}

#[test]
fn each_mistake_is_told_with_its_path() {
    let mut told = String::new();
    for (name, document) in mistakes() {
        let faults = RuleSet::from_json(&document.to_string()).expect_err(name);
        told.push_str(&format!("{name}\n"));
        for fault in faults {
            told.push_str(&format!("    {fault}\n"));
        }
    }
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/golden/rule-set-faults.txt"
    );
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(file, &told).unwrap();
    }
    let golden = std::fs::read_to_string(file).unwrap_or_default();
    assert_eq!(
        told, golden,
        "look at the difference; UPDATE_GOLDEN=1 writes the new file"
    );
}

#[test]
fn the_rule_sets_of_the_document_are_valid() {
    let document = include_str!("../../RULES.md");
    let blocks: Vec<&str> = document.split("```json\n").skip(1).collect();
    let whole = |block: &&str| block.contains("\"mode\"");
    let examples: Vec<_> = blocks.iter().filter(|block| whole(block)).collect();
    assert!(!examples.is_empty());
    for example in examples {
        let text = example.split("```").next().unwrap();
        assert_eq!(RuleSet::from_json(text).err(), None, "{text}");
    }
}

#[test]
fn limits_change_at_their_second_and_soft_rules_go_at_the_bound() {
    let rules = sets::read(&sets::roles());
    let max = |waited_s| match &rules.limits_at(waited_s).rules[3] {
        Some(rule) => format!("{:?}", rule.requirement),
        None => "dropped".to_owned(),
    };
    assert_eq!(max(9), "Difference(3.0)");
    assert_eq!(max(10), "Difference(5.0)");
    assert_eq!(max(49), "Difference(6.0)");
    assert_eq!(max(50), "dropped");
    assert_eq!(max(u64::MAX), "dropped");
    assert_eq!(rules.limits_at(49).rating_spread, Some(10.0));
    assert_eq!(rules.limits_at(50).rating_spread, None);
    assert!(rules.limits_at(50).latency.is_none(), "soft here");
    assert!(rules.limits_at(50).rules[0].is_some(), "hard");
    let hard = sets::read(&sets::duel());
    assert!(hard.limits_at(600).latency.is_some(), "hard there");
    let next = rules.next_stage(12).unwrap();
    assert_eq!(
        (next.from_s, next.changes.clone()),
        (30, vec!["rules[3].max".to_owned()])
    );
    assert_eq!(rules.next_stage(50), None);
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in ".{0,200}") {
        let _ = RuleSet::from_json(&text);
    }

    #[test]
    fn no_value_in_any_place_makes_the_reader_panic(
        place in 0..200_usize, with in proptest::sample::select(vec![
            json!(null), json!(-1), json!(1e300), json!("x"), json!([]), json!({}), json!([[0]]),
        ]),
    ) {
        let mut document = sets::roles();
        let mut left = place;
        replace(&mut document, &mut left, &with);
        let _ = RuleSet::from_json(&document.to_string());
    }
}

/// Puts `with` at the value that is `left` steps from the start.
fn replace(value: &mut Value, left: &mut usize, with: &Value) {
    if *left == 0 {
        *value = with.clone();
        *left = usize::MAX;
        return;
    }
    *left -= 1;
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| replace(item, left, with)),
        Value::Object(map) => map.values_mut().for_each(|item| replace(item, left, with)),
        _ => {}
    }
}
