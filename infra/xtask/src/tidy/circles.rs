//! Files of a crate that use each other in a circle: none of them can be understood alone, and no
//! order of reading begins anywhere. What a file uses is what its `use` lines and paths name;
//! that a file declares or re-exports a module is not a use of it.

use std::collections::{BTreeMap, BTreeSet};

use super::source::{mask, without_tests, words};
use super::violation::Violation;

const RULE: &str = "file-circle";
const ADVICE: &str = "these files use each other in a circle: move what they share below them";

/// Files of one crate by the path of their module.
type Files<'a> = BTreeMap<Vec<&'a str>, &'a str>;

/// Finds the circles in `files`, path and content of every Rust file of the repository.
pub(super) fn check(files: &[(String, String)]) -> Vec<Violation> {
    let mut crates: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
    for (path, content) in files {
        if let Some((root, file)) = path.split_once("/src/") {
            let is_other_root = file.starts_with("bin/") || file.ends_with("_tests.rs");
            if file.ends_with(".rs") && !is_other_root {
                crates.entry(root).or_default().push((file, content));
            }
        }
    }
    let circles = crates.iter().flat_map(|(root, files)| {
        let circles = circles(&edges(files));
        circles.into_iter().map(|circle| (*root, circle))
    });
    circles
        .map(|(root, circle)| Violation {
            place: format!("{root}/src: {}", circle.join(", ")),
            line: 0,
            rule: RULE,
            message: ADVICE.to_owned(),
        })
        .collect()
}

/// The module that a file holds.
fn module(file: &str) -> Vec<&str> {
    let name = file.strip_suffix(".rs").unwrap_or(file);
    let name = name.strip_suffix("/mod").unwrap_or(name);
    match name {
        "lib" | "main" => Vec::new(),
        _ => name.split('/').collect(),
    }
}

/// Which file uses which others.
fn edges<'a>(files: &[(&'a str, &str)]) -> BTreeMap<&'a str, BTreeSet<&'a str>> {
    let modules: Files<'a> = files
        .iter()
        .map(|(file, _)| (module(file), *file))
        .collect();
    let mut edges = BTreeMap::new();
    for (file, content) in files {
        let code = without_tests(&mask(content));
        let used = paths(&code, &module(file), &modules);
        let used = used.iter().filter_map(|path| resolve(path, &modules));
        edges.insert(*file, used.filter(|other| other != file).collect());
    }
    edges
}

/// The file that holds what `path` names: that of the longest module in it.
fn resolve<'a>(path: &[&str], modules: &Files<'a>) -> Option<&'a str> {
    let longest = (0..=path.len()).rev();
    // The root declares and re-exports: what is named through it is named there.
    let mut known = longest.filter(|length| *length > 0);
    known.find_map(|length| modules.get(&path[..length]).copied())
}

/// Every path into this crate in `code` of the module `at`, from the root.
fn paths<'a>(code: &'a str, at: &[&'a str], modules: &Files<'a>) -> Vec<Vec<&'a str>> {
    let mut found = Vec::new();
    let parent = &at[..at.len().saturating_sub(1)];
    for (word, base) in [("crate", &[][..]), ("super", parent), ("self", at)] {
        for offset in words(code, word).filter(|offset| !is_re_export(code, *offset)) {
            let rest = &code[offset + word.len()..];
            // Not a visibility: `pub(super)`. Nor the second of `super::super`.
            if rest.trim_start().starts_with("::") && !is_inside_path(code, offset) {
                expand(rest, base.to_vec(), &mut found);
            }
        }
    }
    for child in modules
        .keys()
        .filter(|m| m.split_last().is_some_and(|(_, up)| up == at))
    {
        let name = child.last().copied().unwrap_or_default();
        for offset in words(code, name).filter(|offset| !is_re_export(code, *offset)) {
            let rest = &code[offset + name.len()..];
            if rest.trim_start().starts_with("::") && !is_inside_path(code, offset) {
                expand(rest, child.clone(), &mut found);
            }
        }
    }
    found
}

/// Whether what stands at `offset` goes on with a path that began before it.
fn is_inside_path(code: &str, offset: usize) -> bool {
    code[..offset].trim_end().ends_with("::")
}

/// Whether what stands at `offset` is in a `pub use`, with any visibility, or is a visibility.
fn is_re_export(code: &str, offset: usize) -> bool {
    let from = code[..offset].rfind([';', '}', '{']).map_or(0, |at| at + 1);
    let statement = code[from..offset].trim_start();
    let is_visibility = statement.ends_with("pub(in ");
    is_visibility || statement.starts_with("pub") && statement.contains("use ")
}

/// Follows `::` segments and groups after a path `base`.
fn expand<'a>(rest: &'a str, base: Vec<&'a str>, found: &mut Vec<Vec<&'a str>>) {
    let Some(rest) = rest.trim_start().strip_prefix("::") else {
        found.push(base);
        return;
    };
    let rest = rest.trim_start();
    if let Some(group) = rest.strip_prefix('{') {
        let (mut depth, mut from) = (0, 0);
        for (at, character) in group.char_indices() {
            match character {
                '{' => depth += 1,
                '}' if depth > 0 => depth -= 1,
                ',' | '}' if depth == 0 => {
                    member(&group[from..at], &base, found);
                    from = at + 1;
                    if character == '}' {
                        break;
                    }
                }
                _ => {}
            }
        }
        return;
    }
    member(rest, &base, found);
}

fn member<'a>(text: &'a str, base: &[&'a str], found: &mut Vec<Vec<&'a str>>) {
    let text = text.trim_start();
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let end = text.find(|c| !is_name(c)).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    match name {
        "" => found.push(base.to_vec()),
        // One level up: `super::super`.
        "super" => expand(rest, base[..base.len().saturating_sub(1)].to_vec(), found),
        "self" => expand(rest, base.to_vec(), found),
        _ => expand(rest, [base, &[name]].concat(), found),
    }
}

/// Groups of files each of which is reached from all others of its group.
fn circles<'a>(edges: &BTreeMap<&'a str, BTreeSet<&'a str>>) -> Vec<Vec<&'a str>> {
    let reached: BTreeMap<&str, BTreeSet<&str>> = edges
        .keys()
        .map(|file| (*file, reach(file, edges)))
        .collect();
    let mut seen = BTreeSet::new();
    let mut circles = Vec::new();
    for (file, from_here) in &reached {
        let circle: Vec<&str> = from_here
            .iter()
            .filter(|other| reached[*other].contains(file))
            .copied()
            .collect();
        if circle.len() > 1 && seen.insert(circle.clone()) {
            circles.push(circle);
        }
    }
    circles
}

fn reach<'a>(from: &str, edges: &BTreeMap<&'a str, BTreeSet<&'a str>>) -> BTreeSet<&'a str> {
    let (mut reached, mut next) = (BTreeSet::new(), vec![from]);
    while let Some(file) = next.pop() {
        for other in edges.get(file).into_iter().flatten() {
            if reached.insert(*other) {
                next.push(other);
            }
        }
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let files: Vec<(String, String)> = files
            .iter()
            .map(|(path, content)| (format!("a/src/{path}"), (*content).to_owned()))
            .collect();
        check(&files)
            .into_iter()
            .map(|violation| violation.place)
            .collect()
    }

    #[test]
    fn a_circle_is_found_however_it_is_written() {
        let up = ("x/y.rs", "use super::super::z::Z;");
        let circle = ["a/src: x/y.rs, z.rs"];
        for down in [
            "use crate::x::y::Y;",
            "use crate::{a::B, x::{C, y::{Y, W}}};",
            "fn f() { crate::x::y::g() }",
            "use super::x::y;",
        ] {
            let files = [
                ("lib.rs", "mod x; mod z;"),
                ("x.rs", "mod y;"),
                up,
                ("z.rs", down),
            ];
            assert_eq!(found(&files), circle, "{down}");
        }
        let parent = [
            ("x.rs", "mod y; fn f() { y::g() }"),
            ("x/y.rs", "use super::X;"),
        ];
        assert_eq!(found(&parent), ["a/src: x.rs, x/y.rs"]);
    }

    #[test]
    fn what_is_no_circle_is_none() {
        for (x, y) in [
            ("mod y; pub use y::Y;", "use super::X;"),
            ("mod y; pub(crate) use y::{Y, W};", "use crate::x::X;"),
            ("mod y; // y::g()", "use super::X;"),
            (
                "mod y; fn f() { y::g() }",
                "pub(super) fn g() {} pub(in crate::x) fn h() {}",
            ),
            ("mod y; fn f() { other::y::g() }", "use super::X;"),
            ("mod y; fn f() { y::g() }", "use super::super::X;"),
            (
                "use y::Y; mod y;",
                "#[cfg(test)] mod tests { use super::super::X; }",
            ),
        ] {
            assert_eq!(found(&[("x.rs", x), ("x/y.rs", y)]), [""; 0], "{x}");
        }
    }
}
