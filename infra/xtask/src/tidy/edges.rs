//! Which crate may use which: the table, and the check of it against `cargo metadata`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::violation::Violation;
use crate::workspace::{list, text};

/// A crate of the workspace and the crates of the workspace that it may use.
struct Row {
    name: &'static str,
    uses: &'static [&'static str],
    /// What its tests may use besides, reserved crates from outside included.
    tests_use: &'static [&'static str],
}

const fn row(name: &'static str, uses: &'static [&'static str]) -> Row {
    Row {
        name,
        uses,
        tests_use: &[],
    }
}

/// Direct edges inside the workspace. Function crates use `wire` and `edge`, and never each other:
/// what chat and safety share is in `chat-channel`. Adapters use one function crate and one
/// `edge-*`; nothing uses tests/ or infra/, but for e2e and what benchmarks share, and fuzz has its
/// clients from sim.
const ROWS: &[Row] = &[
    row("wire", &[]),
    // Its tests change a secret under all of them.
    Row {
        name: "edge",
        uses: &["wire"],
        tests_use: &["chat", "fleet", "matchmaking", "signalling"],
    },
    // Its tests run its SQL on SQLite itself.
    Row {
        name: "edge-spin",
        uses: &["edge", "wire"],
        tests_use: &["rusqlite"],
    },
    // Its tests start the emulator of AWS as the scenarios do.
    Row {
        name: "edge-lambda",
        uses: &["edge", "wire"],
        tests_use: &["scenarios"],
    },
    // Its tests make offers as a real client does.
    Row {
        name: "signalling",
        uses: &["edge", "wire"],
        tests_use: &["str0m"],
    },
    row(
        "signalling-spin",
        &["signalling", "edge-spin", "edge", "wire"],
    ),
    row("signalling-lambda", &["signalling", "edge-lambda"]),
    row("fleet", &["edge", "wire"]),
    row("fleet-spin", &["fleet", "edge-spin", "edge", "wire"]),
    row("fleet-lambda", &["fleet", "edge-lambda"]),
    // What chat and safety have in common; not a function.
    row("chat-channel", &["edge", "wire"]),
    // Its tests block and mute.
    Row {
        name: "chat",
        uses: &["chat-channel", "edge", "wire"],
        tests_use: &["safety"],
    },
    row("chat-spin", &["chat", "edge-spin", "edge", "wire"]),
    row("chat-lambda", &["chat", "edge-lambda"]),
    row("matchmaking", &["edge", "wire"]),
    row(
        "matchmaking-spin",
        &["matchmaking", "edge-spin", "edge", "wire"],
    ),
    row("matchmaking-lambda", &["matchmaking", "edge-lambda"]),
    // Its tests write, join and play, to see what holds and what is kept.
    Row {
        name: "safety",
        uses: &["chat-channel", "edge", "wire"],
        tests_use: &["chat", "matchmaking", "signalling"],
    },
    row("safety-spin", &["safety", "edge-spin", "edge", "wire"]),
    row("safety-lambda", &["safety", "edge-lambda"]),
    row("web-spin", &["edge-spin", "edge", "wire"]),
    row("quality", &[]),
    // Its tests talk to the core, over the relay's messages and by the edge's answers.
    Row {
        name: "client",
        uses: &["quality", "wire"],
        tests_use: &["relay", "sfu", "signalling"],
    },
    // Its tests talk to it as clients do, in the relay's messages.
    Row {
        name: "sfu",
        uses: &["quality"],
        tests_use: &["client", "relay", "wire"],
    },
    row("udp", &[]),
    // Its tests join the fleet at the function itself.
    Row {
        name: "relay",
        uses: &["sfu", "udp", "wire"],
        tests_use: &["client", "edge", "fleet", "process"],
    },
    // Its tests watch and stop the program.
    Row {
        name: "edge-host",
        uses: &["edge", "edge-spin", "wire"],
        tests_use: &["process"],
    },
    row("edge-host-fixture", &[]),
    // Its gate is tried on a function that writes one item more.
    Row {
        name: "finops",
        uses: &["wire"],
        tests_use: &["chat", "edge"],
    },
    // It foretells as the costs are foretold, by the same calendar.
    row("scaling", &["finops", "wire"]),
    row("xtask", &["edge", "finops", "scaling", "wire"]),
    // The whole service on one clock: what functions, relays and clients are made of.
    row(
        "sim",
        &[
            "bench-report",
            "client",
            "edge",
            "fleet",
            "quality",
            "relay",
            "safety",
            "sfu",
            "signalling",
            "wire",
        ],
    ),
    row(
        "fuzz",
        &[
            "wire",
            "edge",
            "signalling",
            "fleet",
            "chat",
            "matchmaking",
            "safety",
            "sfu",
            "relay",
            "sim",
        ],
    ),
    // Every benchmark tells its dollars by the book of prices.
    row("bench-report", &["finops", "wire"]),
    row("process", &[]),
    row("player", &["client", "process", "scenarios", "wire"]),
    row(
        "e2e",
        &[
            "bench-report",
            "wire",
            "edge",
            "signalling",
            "fleet",
            "sfu",
            "udp",
            "relay",
            "edge-host",
            "player",
            "process",
            "scenarios",
        ],
    ),
    // Its tests run a relay and the functions in their own process.
    Row {
        name: "loadgen",
        uses: &["bench-report", "client", "edge", "process", "udp", "wire"],
        tests_use: &["fleet", "relay", "signalling", "tokio"],
    },
    // Its bystanders and its relay are the benchmark's; its tests hold doors with a thousand
    // connections, and attack edge-host as well.
    Row {
        name: "attacks",
        uses: &["client", "loadgen", "udp", "wire"],
        tests_use: &["scenarios", "tokio"],
    },
    row(
        "matchbench",
        &["bench-report", "edge", "matchmaking", "wire"],
    ),
    row(
        "drill",
        &[
            "bench-report",
            "client",
            "edge",
            "process",
            "scenarios",
            "wire",
        ],
    ),
    row("soak", &["bench-report", "drill", "wire"]),
    row(
        "partitions",
        &[
            "bench-report",
            "chat",
            "edge",
            "fleet",
            "matchmaking",
            "safety",
            "signalling",
            "wire",
        ],
    ),
    row("scenarios", &["bench-report", "edge", "process", "wire"]),
];

/// Crates from outside that only some crates may name, and why. `*` at the end is any ending.
const RESERVED: &[(&str, &[&str], &str)] = &[
    (
        "spin-sdk",
        &[
            "edge-spin",
            "signalling-spin",
            "fleet-spin",
            "chat-spin",
            "matchmaking-spin",
            "safety-spin",
            "web-spin",
            "edge-host-fixture",
        ],
        "the ports on Spin are in edge-spin; besides it, only a component's entry point needs it",
    ),
    (
        "tokio",
        &[
            "relay",
            "edge-host",
            "edge-lambda",
            "drill",
            "e2e",
            "player",
            "process",
            "scenarios",
            "soak",
        ],
        "everything else is free of a runtime",
    ),
    (
        "axum",
        &["relay", "edge-host", "e2e"],
        "only daemons listen for HTTP",
    ),
    (
        "hyper*",
        &[
            "relay",
            "edge-host",
            "edge-lambda",
            "drill",
            "e2e",
            "player",
            "scenarios",
            "soak",
        ],
        "only daemons speak HTTP themselves",
    ),
    ("wasmtime*", &["edge-host"], "one host runs components"),
    (
        "rusqlite",
        &["edge-host"],
        "functions keep state behind edge's Store",
    ),
    (
        "str0m",
        &[
            "client", "sfu", "relay", "drill", "e2e", "player", "sim", "loadgen", "fuzz",
        ],
        "media goes through sfu; the relay only chooses its cryptography",
    ),
    ("libc", &["udp"], "system calls are made in udp"),
    (
        "aws-sdk*",
        &["edge-lambda"],
        "the ports on AWS are in edge-lambda",
    ),
    (
        "lambda_http",
        &["edge-lambda"],
        "the ports on AWS are in edge-lambda",
    ),
];

/// Crates that must not be reached from a core, directly or not.
const UNREACHABLE: &[(&str, &[&str])] = &[
    ("wire", &["tokio", "spin-sdk", "wasmtime"]),
    ("edge", &["tokio", "spin-sdk", "wasmtime"]),
    ("signalling", &["tokio", "spin-sdk", "wasmtime"]),
    ("fleet", &["tokio", "spin-sdk", "wasmtime"]),
    ("chat", &["tokio", "spin-sdk", "wasmtime"]),
    ("matchmaking", &["tokio", "spin-sdk", "wasmtime"]),
    ("safety", &["tokio", "spin-sdk", "wasmtime"]),
    ("sfu", &["wire", "edge", "tokio"]),
];

/// Where the search must find what it looks for: an edge that exists. A search that finds nothing
/// here would find nothing anywhere.
const POSITIVE_CONTROL: (&str, &str) = ("edge-host", "tokio");

/// Checks the metadata of the whole workspace.
pub(super) fn check(metadata: &Value) -> Vec<Violation> {
    let members = Members::read(metadata);
    let mut found = Vec::new();
    for (name, dependencies) in &members.direct {
        found.extend(direct_edges(name, dependencies, &members));
    }
    let known = |row: &&Row| !members.direct.contains_key(row.name);
    found.extend(ROWS.iter().filter(known).map(|row| {
        violation(
            "xtask",
            format!("the edge table has a row for `{}`, which is gone", row.name),
        )
    }));
    found.extend(reachability(&Graph::read(metadata), POSITIVE_CONTROL));
    found
}

fn direct_edges(name: &str, dependencies: &[Dependency], members: &Members) -> Vec<Violation> {
    let Some(row) = ROWS.iter().find(|row| row.name == name) else {
        let message = "not in the edge table of infra/xtask/src/tidy/edges.rs; add a row";
        return vec![violation(name, message.to_owned())];
    };
    let mut found = Vec::new();
    for Dependency { name: used, is_dev } in dependencies {
        if *is_dev && row.tests_use.contains(&used.as_str()) {
            continue;
        }
        if members.direct.contains_key(used) {
            // A crate names itself to switch its test features on.
            if used != name && !row.uses.contains(&used.as_str()) {
                found.push(violation(name, format!("may not use `{used}`")));
            }
            continue;
        }
        for (pattern, users, why) in RESERVED {
            if matches_pattern(pattern, used) && !users.contains(&name) {
                found.push(violation(name, format!("may not use `{used}`: {why}")));
            }
        }
    }
    found
}

fn reachability(graph: &Graph, control: (&str, &str)) -> Vec<Violation> {
    let mut found = Vec::new();
    let (from, to) = control;
    if !graph.reachable(from).contains(to) {
        let message =
            format!("positive control: `{to}` is not seen from `{from}`, though it is used");
        found.push(violation("xtask", message));
    }
    for (core, forbidden) in UNREACHABLE {
        let reached = graph.reachable(core);
        for name in forbidden.iter().filter(|name| reached.contains(**name)) {
            let message = format!("reaches `{name}`; see cargo tree -p {core} -i {name}");
            found.push(violation(core, message));
        }
    }
    found
}

fn violation(place: &str, message: String) -> Violation {
    Violation {
        place: place.to_owned(),
        line: 0,
        rule: "edges",
        message,
    }
}

fn matches_pattern(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None => pattern == name,
    }
}

/// A dependency as a manifest declares it.
struct Dependency {
    name: String,
    is_dev: bool,
}

/// The workspace's crates and what each declares.
struct Members {
    direct: BTreeMap<String, Vec<Dependency>>,
}

impl Members {
    fn read(metadata: &Value) -> Self {
        let ids: BTreeSet<&str> = list(metadata, "workspace_members")
            .iter()
            .filter_map(Value::as_str)
            .collect();
        let dependency = |value: &Value| Dependency {
            name: text(value, "name").to_owned(),
            is_dev: text(value, "kind") == "dev",
        };
        let direct = list(metadata, "packages")
            .iter()
            .filter(|package| ids.contains(text(package, "id")))
            .map(|package| {
                let dependencies = list(package, "dependencies")
                    .iter()
                    .map(dependency)
                    .collect();
                (text(package, "name").to_owned(), dependencies)
            })
            .collect();
        Self { direct }
    }
}

/// The resolved graph, tests' dependencies left out, by crate name.
struct Graph {
    edges: BTreeMap<String, BTreeSet<String>>,
}

impl Graph {
    fn read(metadata: &Value) -> Self {
        let names: BTreeMap<&str, &str> = list(metadata, "packages")
            .iter()
            .map(|package| (text(package, "id"), text(package, "name")))
            .collect();
        let name_of = |id: &str| names.get(id).map(|name| (*name).to_owned());
        let is_built = |edge: &&Value| {
            list(edge, "dep_kinds")
                .iter()
                .any(|kind| text(kind, "kind") != "dev")
        };
        let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for node in list(&metadata["resolve"], "nodes") {
            let Some(from) = name_of(text(node, "id")) else {
                continue;
            };
            let used = list(node, "deps").iter().filter(is_built);
            edges
                .entry(from)
                .or_default()
                .extend(used.filter_map(|edge| name_of(text(edge, "pkg"))));
        }
        Self { edges }
    }

    /// Everything that `from` uses, directly or not.
    fn reachable(&self, from: &str) -> BTreeSet<&str> {
        let used_by = |name: &str| {
            self.edges
                .get(name)
                .into_iter()
                .flatten()
                .map(String::as_str)
        };
        let mut seen = BTreeSet::new();
        let mut open: Vec<&str> = used_by(from).collect();
        while let Some(name) = open.pop() {
            if seen.insert(name) {
                open.extend(used_by(name));
            }
        }
        seen
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn members(list: &[(&str, &[(&str, bool)])]) -> Members {
        let dependency = |(name, is_dev): &(&str, bool)| Dependency {
            name: (*name).to_owned(),
            is_dev: *is_dev,
        };
        let direct = list.iter().map(|(name, dependencies)| {
            (
                (*name).to_owned(),
                dependencies.iter().map(dependency).collect(),
            )
        });
        Members {
            direct: direct.collect(),
        }
    }

    fn direct(name: &str, dependencies: &[(&str, bool)]) -> Vec<String> {
        let all: Vec<(&str, &[(&str, bool)])> = ROWS
            .iter()
            .map(|row| (row.name, if row.name == name { dependencies } else { &[] }))
            .collect();
        let members = members(&all);
        let found = direct_edges(name, &members.direct[name], &members);
        found
            .into_iter()
            .map(|violation| violation.message)
            .collect()
    }

    fn graph(edges: &[(&str, &[&str])]) -> Graph {
        let edge = |(from, to): &(&str, &[&str])| {
            (
                (*from).to_owned(),
                to.iter().map(|name| (*name).to_owned()).collect(),
            )
        };
        Graph {
            edges: edges.iter().map(edge).collect(),
        }
    }

    #[test]
    fn functions_never_use_each_other() {
        assert_eq!(
            direct("signalling", &[("wire", false), ("edge", false)]),
            [""; 0]
        );
        assert_eq!(
            direct("signalling", &[("fleet", false)]),
            ["may not use `fleet`"]
        );
        assert_eq!(
            direct("fleet", &[("signalling", true)]),
            ["may not use `signalling`"]
        );
        assert_eq!(direct("signalling-spin", &[("fleet", false)]).len(), 1);
    }

    #[test]
    fn nothing_uses_infra_or_tests() {
        assert_eq!(direct("relay", &[("edge-host", false)]).len(), 1);
        assert_eq!(direct("relay", &[("e2e", true)]).len(), 1);
        assert_eq!(
            direct("e2e", &[("edge-host", false), ("relay", false)]),
            [""; 0]
        );
    }

    #[test]
    fn reserved_crates_have_named_users() {
        assert!(direct("fleet", &[("spin-sdk", false)])[0].contains("edge-spin"));
        assert_eq!(direct("edge-spin", &[("spin-sdk", false)]), [""; 0]);
        assert_eq!(
            direct("edge-spin", &[("rusqlite", true)]),
            [""; 0],
            "its tests may"
        );
        assert_eq!(direct("edge-spin", &[("rusqlite", false)]).len(), 1);
        assert_eq!(direct("edge", &[("tokio", true)]).len(), 1, "nor in tests");
        assert_eq!(
            direct("e2e", &[("wasmtime-wasi-http", false)]).len(),
            1,
            "a pattern"
        );
        assert_eq!(
            direct("relay", &[("serde", false), ("tokio", false)]),
            [""; 0]
        );
    }

    #[test]
    fn every_crate_is_in_the_table_and_the_table_has_no_other() {
        let members = members(&[("surprise", &[])]);
        let found = direct_edges("surprise", &members.direct["surprise"], &members);
        assert!(found[0].message.contains("add a row"), "{}", found[0]);
        let empty = json!({ "workspace_members": [], "packages": [], "resolve": { "nodes": [] } });
        let gone = check(&empty);
        assert!(
            gone.iter()
                .any(|v| v.message.contains("`wire`, which is gone"))
        );
    }

    #[test]
    fn cores_reach_no_runtime_even_through_others() {
        let control = ("edge-host", "tokio");
        let good = graph(&[
            ("edge-host", &["tokio"]),
            ("sfu", &["str0m"]),
            ("str0m", &["sha1"]),
        ]);
        assert_eq!(reachability(&good, control), []);
        let bad = graph(&[
            ("edge-host", &["tokio"]),
            ("sfu", &["str0m"]),
            ("str0m", &["tokio"]),
        ]);
        let found = reachability(&bad, control);
        assert_eq!(found.len(), 1);
        assert!(
            found[0].message.contains("cargo tree -p sfu -i tokio"),
            "{}",
            found[0]
        );
    }

    #[test]
    fn a_search_that_finds_nothing_anywhere_is_reported() {
        let found = reachability(&graph(&[]), ("edge-host", "tokio"));
        assert!(
            found[0].message.contains("positive control"),
            "{}",
            found[0]
        );
    }

    #[test]
    fn dependencies_of_tests_do_not_count_as_reached() {
        let metadata = json!({
            "packages": [{ "id": "1", "name": "sfu" }, { "id": "2", "name": "tokio" },
                         { "id": "3", "name": "str0m" }],
            "resolve": { "nodes": [{ "id": "1", "deps": [
                { "pkg": "2", "dep_kinds": [{ "kind": "dev" }] },
                { "pkg": "3", "dep_kinds": [{ "kind": null }, { "kind": "dev" }] } ] }] },
        });
        let graph = Graph::read(&metadata);
        assert_eq!(graph.reachable("sfu"), BTreeSet::from(["str0m"]));
    }
}
