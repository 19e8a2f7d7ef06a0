//! Rule sets that between them use every kind of rule.

use matchmaking::RuleSet;
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
