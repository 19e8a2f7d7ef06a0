//! The rule sets that are simulated and timed.

use matchmaking::RuleSet;
use serde_json::{Value, json};

fn read(document: &Value) -> RuleSet {
    RuleSet::from_json(&document.to_string()).expect("the rule sets here are valid")
}

/// Two teams of five.
pub fn five_v_five() -> RuleSet {
    read(&five_document())
}

fn five_document() -> Value {
    json!({
        "mode": "five", "version": 1, "max_wait_s": 120,
        "teams": [{ "name": "team", "count": 2, "players": { "min": 5, "max": 5 } }],
        "rating": { "spread": 4, "beta": 4.17 },
        "balance": { "favourite": 0.6, "distribution": 2.5 },
        "latency": { "max_ms": 60, "soft": true },
        "expansions": [
            { "path": "rating.spread", "steps": [
                { "after_s": 15, "value": 6 }, { "after_s": 30, "value": 10 },
                { "after_s": 60, "value": 20 }
            ] },
            { "path": "balance.distribution", "steps": [
                { "after_s": 15, "value": 4 }, { "after_s": 60, "value": 8 }
            ] },
            { "path": "latency.max_ms", "steps": [
                { "after_s": 30, "value": 90 }, { "after_s": 75, "value": 140 }
            ] }
        ]
    })
}

/// At least one player of a role in each team, and at most `max`.
fn role_count(role: &str, max: u32) -> Value {
    json!({
        "type": "count",
        "attribute": "role",
        "value": role,
        "per": "team",
        "min": 1,
        "max": max,
    })
}

/// The same, with one healer and at least one tank in each team.
pub fn five_v_five_with_roles() -> RuleSet {
    let mut document = five_document();
    document["mode"] = json!("ranked");
    document["attributes"] = json!({ "role": { "type": "text", "default": "dps" } });
    document["rules"] = json!([role_count("healer", 1), role_count("tank", 2),]);
    read(&document)
}

/// Twenty squads of five, and smaller ones after a while.
pub fn hundred() -> RuleSet {
    read(&json!({
        "mode": "royale", "version": 1, "max_wait_s": 120,
        "teams": [{ "name": "squad", "count": 20, "players": { "min": 5, "max": 5 } }],
        "rating": { "spread": 30, "beta": 4.17 },
        "latency": { "max_ms": 150, "soft": true },
        "expansions": [{ "path": "teams[0].players.min", "steps": [
            { "after_s": 30, "value": 4 }, { "after_s": 60, "value": 3 },
            { "after_s": 90, "value": 2 }, { "after_s": 110, "value": 1 }
        ] }]
    }))
}

/// The modes that the population queues for, in the order of [`crate::population::MODES`].
pub fn modes() -> [RuleSet; 3] {
    [five_v_five(), five_v_five_with_roles(), hundred()]
}

/// Five against five in which everybody must share a map.
pub fn shared_map() -> RuleSet {
    let mut document = five_document();
    document["attributes"] = json!({ "maps": { "type": "set" } });
    document["rules"] = json!([{ "type": "overlap", "attribute": "maps", "min": 1 }]);
    read(&document)
}

/// Five against five with teams more alike than any two are.
pub fn never_equal() -> RuleSet {
    let mut document = five_document();
    document["balance"] = json!({ "distribution": 0.000_001 });
    document["expansions"] = json!([]);
    read(&document)
}
