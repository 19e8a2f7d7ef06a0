//! An independent reading of RULES.md: whether a match keeps the rules. It works on the JSON of the
//! rule set and on plain tickets, slowly, and shares nothing with the matcher.

use std::collections::{BTreeMap, BTreeSet};

use matchmaking::{AttributeValue, Outcome, Player, QueueTicket, World};
use serde_json::{Value, json};
use wire::RegionName;

/// The rule set as it reads after so many seconds of waiting.
pub(crate) fn rules_after(document: &Value, waited_s: u64) -> Value {
    let mut rules = document.clone();
    for expansion in document["expansions"].as_array().into_iter().flatten() {
        for step in expansion["steps"].as_array().unwrap() {
            if step["after_s"].as_u64().unwrap() <= waited_s {
                *at(&mut rules, expansion["path"].as_str().unwrap()) = step["value"].clone();
            }
        }
    }
    if waited_s >= document["max_wait_s"].as_u64().unwrap() {
        rules["rating"]["spread"] = json!(null);
        rules["balance"] = json!({});
        if rules["latency"]["soft"] == json!(true) {
            rules["latency"] = json!(null);
        }
        if let Some(list) = rules["rules"].as_array_mut() {
            list.retain(|rule| rule["soft"] != json!(true));
        }
    }
    rules
}

fn at<'a>(document: &'a mut Value, path: &str) -> &'a mut Value {
    let mut found = document;
    for part in path.split('.') {
        let (key, index) = match part.split_once('[') {
            Some((key, index)) => (
                key,
                Some(index.trim_end_matches(']').parse::<usize>().unwrap()),
            ),
            None => (part, None),
        };
        found = &mut found[key];
        if let Some(index) = index {
            found = &mut found[index];
        }
    }
    found
}

/// What is wrong with `teams` in `region`, under `rules` that were expanded already.
pub(crate) fn violation(
    rules: &Value,
    teams: &[Vec<&QueueTicket>],
    region: &RegionName,
) -> Option<String> {
    let players: Vec<Vec<&Player>> = teams
        .iter()
        .map(|team| team.iter().flat_map(|ticket| &ticket.players).collect())
        .collect();
    let all: Vec<&Player> = players.iter().flatten().copied().collect();
    sizes(rules, &players)
        .or_else(|| company(&all))
        .or_else(|| latency(rules, &all, region))
        .or_else(|| rating(rules, teams))
        .or_else(|| balance(rules, &players))
        .or_else(|| {
            let list = rules["rules"].as_array().into_iter().flatten();
            list.filter_map(|rule| requirement(rules, rule, &players, &all))
                .next()
        })
}

fn sizes(rules: &Value, teams: &[Vec<&Player>]) -> Option<String> {
    let mut wanted = Vec::new();
    for team in rules["teams"].as_array().unwrap() {
        let bounds = (
            team["players"]["min"].as_u64(),
            team["players"]["max"].as_u64(),
        );
        wanted.extend(vec![bounds; team["count"].as_u64().unwrap_or(1) as usize]);
    }
    if wanted.len() != teams.len() {
        return Some(format!("{} teams", teams.len()));
    }
    for ((min, max), team) in wanted.iter().zip(teams) {
        let size = team.len() as u64;
        if size < min.unwrap() || size > max.unwrap() {
            return Some(format!("a team of {size}"));
        }
    }
    None
}

fn company(all: &[&Player]) -> Option<String> {
    for a in all {
        for b in all {
            if a.blocks.contains(&b.id) {
                return Some(format!("{} blocks {}", a.id, b.id));
            }
            if a.platform != b.platform && !a.cross_play {
                return Some(format!("{} does not cross-play with {}", a.id, b.id));
            }
        }
    }
    None
}

fn latency(rules: &Value, all: &[&Player], region: &RegionName) -> Option<String> {
    let own = rules["latency"]["regions"][region.as_str()].as_u64();
    let cap = own.or(rules["latency"]["max_ms"].as_u64())?;
    let far = |player: &&&Player| {
        player
            .latency_ms
            .get(region)
            .is_none_or(|ms| u64::from(*ms) > cap)
    };
    all.iter()
        .find(far)
        .map(|player| format!("{} is too far from {region}", player.id))
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn width(values: &[f64]) -> f64 {
    let highest = values.iter().copied().fold(f64::MIN, f64::max);
    highest - values.iter().copied().fold(f64::MAX, f64::min)
}

fn mus(players: &[&Player]) -> Vec<f64> {
    players.iter().map(|player| player.rating.mu).collect()
}

fn rating(rules: &Value, teams: &[Vec<&QueueTicket>]) -> Option<String> {
    let spread = rules["rating"]["spread"].as_f64()?;
    let of = |ticket: &&QueueTicket| mean(&mus(&ticket.players.iter().collect::<Vec<_>>()));
    let found = width(&teams.iter().flatten().map(of).collect::<Vec<_>>());
    (found > spread + 1e-9).then(|| format!("rating spread {found} over {spread}"))
}

fn balance(rules: &Value, teams: &[Vec<&Player>]) -> Option<String> {
    let beta = rules["rating"]["beta"].as_f64().unwrap_or(25.0 / 6.0);
    for a in teams {
        for b in teams {
            let sum = |team: &[&Player]| mus(team).iter().sum::<f64>();
            let variance: f64 = a.iter().chain(b).map(|p| p.rating.sigma.powi(2)).sum();
            let scale = (2.0 * beta.powi(2) + variance).sqrt();
            let wins = 1.0 / (1.0 + f64::exp((sum(b) - sum(a)) / scale));
            if rules["balance"]["favourite"]
                .as_f64()
                .is_some_and(|max| wins > max + 1e-9)
            {
                return Some(format!("a favourite of {wins}"));
            }
            // Repeated to one length, the samples' quantiles stand side by side.
            let stretched = |team: &[&Player], times: usize| {
                let mut all: Vec<f64> = mus(team).iter().flat_map(|mu| vec![*mu; times]).collect();
                all.sort_by(f64::total_cmp);
                all
            };
            let (x, y) = (stretched(a, b.len()), stretched(b, a.len()));
            let gaps: Vec<f64> = x.iter().zip(&y).map(|(x, y)| (x - y).abs()).collect();
            let most = rules["balance"]["distribution"].as_f64();
            if most.is_some_and(|most| mean(&gaps) > most + 1e-9) {
                return Some(format!("distributions {} apart", mean(&gaps)));
            }
        }
    }
    None
}

fn values(rules: &Value, rule: &Value, players: &[&Player]) -> Vec<Value> {
    let name = rule["attribute"].as_str().unwrap();
    let value = |player: &&Player| match player.attributes.get(name) {
        Some(AttributeValue::Number(number)) => json!(number),
        Some(AttributeValue::Text(text)) => json!(text),
        Some(AttributeValue::Set(set)) => json!(set),
        None => rules["attributes"][name]["default"].clone(),
    };
    players.iter().map(value).collect()
}

fn requirement(
    rules: &Value,
    rule: &Value,
    teams: &[Vec<&Player>],
    all: &[&Player],
) -> Option<String> {
    if rule["type"] == "average" {
        let numbers = |players: &[&Player]| -> Vec<f64> {
            values(rules, rule, players)
                .iter()
                .map(|v| v.as_f64().unwrap())
                .collect()
        };
        let whole = mean(&numbers(all));
        let max = rule["max"].as_f64().unwrap();
        let far = |team: &&Vec<&Player>| {
            !team.is_empty() && (mean(&numbers(team)) - whole).abs() > max + 1e-9
        };
        return teams
            .iter()
            .find(far)
            .map(|_| format!("average off: {rule}"));
    }
    let groups: Vec<&[&Player]> = if rule["per"] == "team" {
        teams.iter().map(Vec::as_slice).collect()
    } else {
        vec![all]
    };
    let broken = |group: &&&[&Player]| !holds(rule, &values(rules, rule, group));
    groups
        .iter()
        .find(broken)
        .map(|_| format!("broken: {rule}"))
}

fn holds(rule: &Value, values: &[Value]) -> bool {
    let numbers = || {
        values
            .iter()
            .map(|v| v.as_f64().unwrap())
            .collect::<Vec<f64>>()
    };
    let distinct = || {
        values
            .iter()
            .map(Value::to_string)
            .collect::<BTreeSet<_>>()
            .len()
    };
    match rule["type"].as_str().unwrap() {
        "difference" => width(&numbers()) <= rule["max"].as_f64().unwrap() + 1e-9,
        "minimum" => numbers()
            .iter()
            .all(|n| *n >= rule["value"].as_f64().unwrap()),
        "maximum" => numbers()
            .iter()
            .all(|n| *n <= rule["value"].as_f64().unwrap()),
        "equal" => distinct() <= 1,
        "different" => distinct() == values.len(),
        "overlap" => {
            let mut times: BTreeMap<&str, usize> = BTreeMap::new();
            for text in values.iter().flat_map(|v| v.as_array().unwrap()) {
                *times.entry(text.as_str().unwrap()).or_default() += 1;
            }
            let shared = times.values().filter(|n| **n == values.len()).count() as u64;
            values.is_empty() || shared >= rule["min"].as_u64().unwrap()
        }
        "count" => {
            let wanted = &rule["value"];
            let has = |v: &&Value| *v == wanted || v.as_array().is_some_and(|a| a.contains(wanted));
            let found = values.iter().filter(has).count() as u64;
            found >= rule["min"].as_u64().unwrap_or(0)
                && found <= rule["max"].as_u64().unwrap_or(u64::MAX)
        }
        other => panic!("the checker does not know {other}"),
    }
}

/// Checks everything that a pass returned.
pub(crate) fn check(
    document: &Value,
    tickets: &[QueueTicket],
    world: &World,
    now_ms: u64,
    outcome: &Outcome,
) {
    let by_id: BTreeMap<_, _> = tickets.iter().map(|ticket| (&ticket.id, ticket)).collect();
    let mut room: BTreeMap<_, _> = world
        .regions
        .iter()
        .map(|region| (region.name.clone(), region.room))
        .collect();
    let mut seen = BTreeSet::new();
    for found in &outcome.matches {
        let teams: Vec<Vec<&QueueTicket>> = found
            .teams
            .iter()
            .map(|team| team.tickets.iter().map(|id| by_id[id]).collect())
            .collect();
        for (team, tickets) in found.teams.iter().zip(&teams) {
            let players: Vec<_> = tickets
                .iter()
                .flat_map(|t| &t.players)
                .map(|p| p.id.clone())
                .collect();
            assert_eq!(
                team.players, players,
                "a team has the players of its tickets"
            );
        }
        let members: Vec<&QueueTicket> = teams.iter().flatten().copied().collect();
        assert!(
            members.iter().any(|t| t.id == found.anchor),
            "the anchor plays"
        );
        for ticket in &members {
            assert!(
                ticket.modes.iter().any(|m| m.as_str() == document["mode"]),
                "wants the mode"
            );
            for player in &ticket.players {
                assert!(seen.insert(player.id.clone()), "{} plays twice", player.id);
            }
        }
        let waited_s = (now_ms - by_id[&found.anchor].since_ms) / 1000;
        let rules = rules_after(document, waited_s);
        let wrong = violation(&rules, &teams, &found.region);
        assert_eq!(wrong, None, "{found:#?}");
        check_region(&rules, &teams, &found.region, &mut room);
    }
    for waiting in &outcome.waiting {
        for player in &by_id[&waiting.ticket].players {
            assert!(!seen.contains(&player.id), "{} plays and waits", player.id);
        }
    }
    let placed: usize = outcome
        .matches
        .iter()
        .flat_map(|m| &m.teams)
        .map(|t| t.tickets.len())
        .sum();
    let wanting =
        |ticket: &&QueueTicket| ticket.modes.iter().any(|m| m.as_str() == document["mode"]);
    let total = tickets.iter().filter(wanting).count();
    assert_eq!(
        placed + outcome.waiting.len(),
        total,
        "each ticket plays or waits"
    );
}

/// No other region with room would have a lower worst latency, and this one's room is used up.
fn check_region(
    rules: &Value,
    teams: &[Vec<&QueueTicket>],
    region: &RegionName,
    room: &mut BTreeMap<RegionName, u32>,
) {
    let players: Vec<&Player> = teams
        .iter()
        .flatten()
        .flat_map(|ticket| &ticket.players)
        .collect();
    let worst = |region: &RegionName| {
        let ms = |player: &&Player| player.latency_ms.get(region).copied().unwrap_or(u32::MAX);
        players.iter().map(ms).max()
    };
    let size = players.len() as u32;
    assert!(room[region] >= size, "{region} has no room");
    for (other, free) in room.iter() {
        if *free >= size && latency(rules, &players, other).is_none() {
            assert!(
                worst(region) <= worst(other),
                "{other} is nearer than {region}"
            );
        }
    }
    *room.get_mut(region).unwrap() -= size;
}
