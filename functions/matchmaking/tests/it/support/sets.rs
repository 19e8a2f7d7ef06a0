//! Rule sets that between them use every kind of rule.

use std::ops::RangeInclusive;

use matchmaking::RuleSet;
use proptest::prelude::*;
use serde_json::{Value, json};

pub(crate) fn read(document: &Value) -> RuleSet {
    RuleSet::from_json(&document.to_string()).unwrap_or_else(|faults| panic!("{faults:?}"))
}

/// Two against two: rating, balance, hard latency.
pub(crate) fn duel() -> Value {
    json!({
        "mode": "m", "version": 1, "max_wait_s": 60,
        "teams": [{ "name": "side", "count": 2, "players": { "min": 2, "max": 2 } }],
        "rating": { "spread": 3, "beta": 4 },
        "balance": { "favourite": 0.6, "distribution": 2 },
        "latency": { "max_ms": 60, "regions": { "west": 90 } },
        "expansions": [
            { "path": "rating.spread", "steps": [{ "after_s": 20, "value": 8 }] },
            { "path": "latency.regions.west", "steps": [{ "after_s": 30, "value": 140 }] }
        ]
    })
}

/// Three against three with roles, maps and levels.
pub(crate) fn roles() -> Value {
    json!({
        "mode": "m", "version": 1, "max_wait_s": 50,
        "attributes": {
            "role": { "type": "text", "default": "dps" },
            "maps": { "type": "set", "default": ["a", "b"] },
            "level": { "type": "number", "default": 5 }
        },
        "teams": [
            { "name": "red", "players": { "min": 3, "max": 3 } },
            { "name": "blue", "players": { "min": 3, "max": 3 } }
        ],
        "rating": { "spread": 10 },
        "latency": { "max_ms": 100, "soft": true },
        "rules": [
            { "name": "healer", "type": "count", "attribute": "role", "value": "healer",
              "per": "team", "min": 1, "max": 1 },
            { "type": "count", "attribute": "role", "value": "tank", "min": 1, "soft": true },
            { "type": "overlap", "attribute": "maps", "min": 1 },
            { "type": "difference", "attribute": "level", "max": 3, "soft": true },
            { "type": "minimum", "attribute": "level", "value": 2 },
            { "type": "maximum", "attribute": "level", "value": 9 }
        ],
        "expansions": [{ "path": "rules[3].max", "steps": [
            { "after_s": 10, "value": 5 }, { "after_s": 30, "value": 6 }
        ] }]
    })
}

/// Four squads of changing size.
pub(crate) fn squads() -> Value {
    json!({
        "mode": "m", "version": 1, "max_wait_s": 40,
        "attributes": {
            "role": { "type": "text", "default": "dps" },
            "server": { "type": "text", "default": "a" },
            "level": { "type": "number", "default": 5 }
        },
        "teams": [{ "name": "squad", "count": 4, "players": { "min": 3, "max": 3 } }],
        "party": { "max": 3, "rating_spread": 15 },
        "rules": [
            { "type": "different", "attribute": "role", "per": "team", "soft": true },
            { "type": "equal", "attribute": "server" },
            { "type": "average", "attribute": "level", "max": 2, "soft": true },
            { "type": "difference", "attribute": "level", "max": 6, "per": "team" }
        ],
        "expansions": [
            { "path": "teams[0].players.min", "steps": [
                { "after_s": 15, "value": 2 }, { "after_s": 25, "value": 1 }
            ] }
        ]
    })
}

pub(crate) fn all() -> [Value; 3] {
    [duel(), roles(), squads()]
}

fn any_rule() -> impl Strategy<Value = Value> {
    let number = prop_oneof![
        (1_u32..8).prop_map(|max| json!({ "type": "difference", "max": max })),
        (0_u32..4).prop_map(|value| json!({ "type": "minimum", "value": value })),
        (6_u32..10).prop_map(|value| json!({ "type": "maximum", "value": value })),
        (1_u32..4).prop_map(|max| json!({ "type": "average", "max": max })),
    ];
    let role = prop_oneof![
        Just(json!({ "type": "different" })),
        (
            0_u32..2,
            1_u32..3,
            proptest::sample::select(vec!["healer", "tank"])
        )
            .prop_map(|(min, max, value)| json!({
                "type": "count", "min": min, "max": min.max(max), "value": value,
            })),
    ];
    let with = |attribute: &'static str| {
        move |(mut rule, soft, team): (Value, bool, bool)| {
            rule["attribute"] = json!(attribute);
            rule["soft"] = json!(soft);
            let fixed = ["average", "minimum", "maximum"];
            if team && !fixed.contains(&rule["type"].as_str().unwrap()) {
                rule["per"] = json!("team");
            }
            rule
        }
    };
    let flags = || (any::<bool>(), any::<bool>());
    let join = |(rule, (soft, team))| (rule, soft, team);
    prop_oneof![
        (number, flags()).prop_map(join).prop_map(with("level")),
        (role, flags()).prop_map(join).prop_map(with("role")),
        (Just(json!({ "type": "equal" })), flags())
            .prop_map(join)
            .prop_map(with("server")),
        (Just(json!({ "type": "overlap", "min": 1 })), flags())
            .prop_map(join)
            .prop_map(with("maps")),
    ]
}

/// A random rule set for so many teams of so many players, with soft and hard rules of all kinds.
pub(crate) fn any_set(teams: RangeInclusive<u32>, most: u32) -> impl Strategy<Value = Value> {
    let sizes = (teams, 1..=most).prop_flat_map(|(count, max)| (Just(count), 1..=max, Just(max)));
    let rating = proptest::option::of((1_u32..8, 1_u32..20));
    let balance = proptest::option::of((52_u32..90, 1_u32..9));
    let latency = proptest::option::of((30_u32..120, any::<bool>()));
    let rules = proptest::collection::vec(any_rule(), 0..4);
    (sizes, rating, balance, latency, rules, 20_u32..80)
        .prop_map(
            |((count, min, max), rating, balance, latency, rules, max_wait_s)| {
                let mut document = json!({
                    "mode": "m", "version": 1, "max_wait_s": max_wait_s,
                    "attributes": {
                        "role": { "type": "text", "default": "dps" },
                        "maps": { "type": "set", "default": ["a", "b"] },
                        "server": { "type": "text", "default": "a" },
                        "level": { "type": "number", "default": 5 }
                    },
                    "teams": [{
                        "name": "team", "count": count, "players": { "min": min, "max": max }
                    }],
                    "rules": rules,
                });
                if let Some((spread, wider)) = rating {
                    document["rating"] = json!({ "spread": spread });
                    let step = json!({ "after_s": 15, "value": spread + wider });
                    document["expansions"] = json!([{ "path": "rating.spread", "steps": [step] }]);
                }
                if let Some((favourite, distribution)) = balance {
                    let favourite = f64::from(favourite) / 100.0;
                    document["balance"] =
                        json!({ "favourite": favourite, "distribution": distribution });
                }
                if let Some((max_ms, soft)) = latency {
                    document["latency"] = json!({ "max_ms": max_ms, "soft": soft });
                }
                document
            },
        )
        // Roles that ask for more players than a small team has.
        .prop_filter("no match can keep it", |document| {
            RuleSet::from_json(&document.to_string()).is_ok()
        })
}
