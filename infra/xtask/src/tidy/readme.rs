//! Each crate says in a README what it is for, how it is tried and where to begin, on a page.

use super::violation::Violation;

const RULE: &str = "readme";
/// Lines of a README beside a `Cargo.toml`.
const LINES_MAX: usize = 40;
/// Those that were longer when the rule came. The list may only become shorter.
const LONG: [&str; 8] = [
    "README.md",
    "functions/edge-lambda/README.md",
    "infra/edge-host/README.md",
    "infra/finops/README.md",
    "infra/xtask/README.md",
    "media-core/relay/README.md",
    "tests/loadgen/README.md",
    "tests/matchbench/README.md",
];

/// Checks the folders of all manifests: `files` are all paths of the repository, with the lines of
/// each file.
pub(super) fn check(files: &[(String, usize)]) -> Vec<Violation> {
    let manifests = files
        .iter()
        .filter_map(|(path, _)| path.strip_suffix("Cargo.toml"));
    manifests
        .filter(|folder| folder.is_empty() || folder.ends_with('/'))
        .filter_map(|folder| {
            let readme = format!("{folder}README.md");
            let lines = files.iter().find(|(path, _)| *path == readme);
            let is_known = LONG.contains(&readme.as_str());
            let message = match lines.map(|(_, lines)| *lines) {
                None => "is missing: what is the crate for, how is it tried, where to begin?",
                Some(lines) if lines > LINES_MAX && !is_known => "has more than 40 lines",
                Some(lines) if lines <= LINES_MAX && is_known => {
                    "is short now: take it off the list in tidy/readme.rs"
                }
                Some(_) => return None,
            };
            Some(Violation {
                place: readme,
                line: 0,
                rule: RULE,
                message: message.to_owned(),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, usize)]) -> Vec<String> {
        let files: Vec<(String, usize)> = files
            .iter()
            .map(|(path, lines)| ((*path).to_owned(), *lines))
            .collect();
        check(&files)
            .into_iter()
            .map(|violation| violation.to_string())
            .collect()
    }

    #[test]
    fn a_crate_has_a_readme_of_a_page() {
        assert_eq!(found(&[("a/Cargo.toml", 9), ("a/README.md", 40)]), [""; 0]);
        let missing = found(&[
            ("a/Cargo.toml", 9),
            ("a/b/README.md", 3),
            ("b/README.md", 3),
        ]);
        assert!(
            missing[0].starts_with("a/README.md: readme: is missing"),
            "{missing:?}"
        );
        let long = found(&[("a/Cargo.toml", 9), ("a/README.md", 41)]);
        assert!(long[0].contains("more than 40 lines"), "{long:?}");
        let shrunk = found(&[
            ("infra/finops/Cargo.toml", 9),
            ("infra/finops/README.md", 12),
        ]);
        assert!(shrunk[0].contains("take it off"), "{shrunk:?}");
    }
}
