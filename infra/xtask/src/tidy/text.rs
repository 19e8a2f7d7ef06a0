//! Words that may not stand in some files.

use super::source::{line_of, mask, without_tests, words};
use super::violation::Violation;

/// Folders of the crates that take time and chance as arguments.
const CORES: [&str; 9] = [
    "functions/wire/src/",
    "functions/edge/src/",
    "functions/signalling/src/",
    "functions/fleet/src/",
    "functions/chat/src/",
    "functions/chat/channel/src/",
    "functions/matchmaking/src/",
    "functions/safety/src/",
    "media-core/sfu/src/",
];

/// What a core may not name, tests apart.
const NOT_IN_CORES: [(&str, &str); 9] = [
    ("Instant::now", "take `now` as an argument"),
    ("SystemTime", "take the time as an argument"),
    (
        "thread_rng",
        "take a seeded rng, or entropy, as an argument",
    ),
    ("rand::rng", "take a seeded rng, or entropy, as an argument"),
    ("OsRng", "take a seeded rng, or entropy, as an argument"),
    ("getrandom", "take a seeded rng, or entropy, as an argument"),
    ("tokio::", "a core knows no runtime"),
    ("std::thread", "a core knows no threads"),
    ("std::net::UdpSocket", "a core does no I/O"),
];

/// The one crate with unsafe code.
const UNSAFE_CRATE: &str = "media-core/udp/";

/// Paths of one machine, and hosts of one network, that a repository may not depend on. Each is
/// written in two parts, so that this file does not hold it.
const NOT_IN_REPOSITORY: [(&str, &str, &str); 10] = [
    ("/wo", "rk/", "a path of one machine"),
    ("/ro", "ot/", "a path of one machine"),
    ("/ho", "me/", "a path of one machine"),
    ("/Us", "ers/", "a path of one machine"),
    ("/tmp/", "target", "a path of one machine"),
    ("/tmp/", "brief", "a path of one machine"),
    ("arti", "factory", "a registry host of one network"),
    (
        "registry.npm",
        "js.org",
        "a registry host; npm is told where by its own settings",
    ),
    (
        "pypi",
        ".org/simple",
        "a registry host; pip is told where by its own settings",
    ),
    (
        "--index",
        "-url",
        "a registry host; pip is told where by its own settings",
    ),
];

/// Whether a file holds nothing but tests.
pub(super) fn is_test_file(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let stem = name.split('.').next().unwrap_or(name);
    path.split('/')
        .any(|part| part == "tests" || part == "test" || part == "benches")
        || stem == "tests"
        || stem.ends_with("_tests")
        || name.contains(".test.")
}

/// Checks one file.
pub(super) fn check(path: &str, content: &str) -> Vec<Violation> {
    let mut found = machine_paths(path, content);
    if !path.ends_with(".rs") {
        return found;
    }
    let masked = mask(content);
    if !path.starts_with(UNSAFE_CRATE) {
        let message = "only the crate `udp` has unsafe code";
        found.extend(occurrences(
            path,
            &masked,
            "unsafe",
            "unsafe-outside-udp",
            message,
        ));
    }
    if is_test_file(path) {
        return found;
    }
    let code = without_tests(&masked);
    let message = "say the invariant with expect(..), or return an error";
    found.extend(occurrences(path, &code, ".unwrap()", "unwrap", message));
    if CORES.iter().any(|core| path.starts_with(core)) {
        for (needle, message) in NOT_IN_CORES {
            found.extend(occurrences(path, &code, needle, "impure-core", message));
        }
    }
    found
}

fn machine_paths(path: &str, content: &str) -> Vec<Violation> {
    let mut found = Vec::new();
    for (first, second, message) in NOT_IN_REPOSITORY {
        let needle = format!("{first}{second}");
        found.extend(occurrences(path, content, &needle, "machine-path", message));
    }
    found
}

fn occurrences(
    path: &str,
    text: &str,
    needle: &str,
    rule: &'static str,
    message: &str,
) -> Vec<Violation> {
    words(text, needle)
        .map(|at| Violation {
            place: path.to_owned(),
            line: line_of(text, at),
            rule,
            message: format!("`{needle}`: {message}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(path: &str, content: &str) -> Vec<&'static str> {
        check(path, content)
            .into_iter()
            .map(|violation| violation.rule)
            .collect()
    }

    #[test]
    fn clocks_runtimes_and_global_randomness_are_found_in_cores() {
        for (needle, _) in NOT_IN_CORES {
            let code = format!("fn f() {{ {needle}(); }}");
            assert_eq!(
                rules("media-core/sfu/src/a.rs", &code),
                ["impure-core"],
                "{needle}"
            );
            assert_eq!(
                rules("media-core/relay/src/a.rs", &code),
                [""; 0],
                "{needle}"
            );
            let comment = format!("// {needle} is not here\n");
            assert_eq!(
                rules("functions/wire/src/a.rs", &comment),
                [""; 0],
                "{needle}"
            );
            let test = format!("#[cfg(test)]\nmod tests {{ {code} }}");
            assert_eq!(rules("functions/edge/src/a.rs", &test), [""; 0], "{needle}");
        }
        // Names that only look like it.
        assert_eq!(
            rules("functions/edge/src/a.rs", "mytokio::f(); MySystemTime"),
            [""; 0]
        );
    }

    #[test]
    fn adapters_beside_a_core_are_not_the_core() {
        assert_eq!(
            rules("functions/signalling/spin/src/lib.rs", "SystemTime"),
            [""; 0]
        );
    }

    #[test]
    fn unwrap_is_found_outside_tests() {
        assert_eq!(rules("a/src/b.rs", "x.unwrap();"), ["unwrap"]);
        assert_eq!(rules("a/src/b.rs", "x.unwrap_or(1); // .unwrap()"), [""; 0]);
        assert_eq!(rules("a/tests/b.rs", "x.unwrap();"), [""; 0]);
        assert_eq!(rules("a/src/b_tests.rs", "x.unwrap();"), [""; 0]);
        assert_eq!(
            rules(
                "a/src/b.rs",
                "#[cfg(test)]\nmod t { fn f() { x.unwrap(); } }"
            ),
            [""; 0]
        );
    }

    #[test]
    fn unsafe_is_found_outside_udp_even_in_tests() {
        assert_eq!(
            rules("a/src/b.rs", "unsafe { x() }"),
            ["unsafe-outside-udp"]
        );
        assert_eq!(
            rules("a/tests/b.rs", "unsafe fn x() {}"),
            ["unsafe-outside-udp"]
        );
        assert_eq!(rules("media-core/udp/src/b.rs", "unsafe { x() }"), [""; 0]);
        assert_eq!(
            rules("a/src/b.rs", "#![allow(unsafe_code)] // unsafe"),
            [""; 0]
        );
    }

    #[test]
    fn machine_paths_and_registry_hosts_are_found_in_any_file() {
        for (first, second, _) in NOT_IN_REPOSITORY {
            let text = format!("see {first}{second} x");
            assert_eq!(rules("docs/a.md", &text), ["machine-path"], "{text}");
        }
        assert_eq!(
            rules("docs/a.md", "network/x and /v1/homes/{room}"),
            [""; 0]
        );
    }
}
