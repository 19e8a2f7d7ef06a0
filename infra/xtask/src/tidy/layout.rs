//! Sizes: lines per file, columns. Lines per function are clippy's (`too_many_lines`).

use super::source::{mask, without_tests};
use super::text::is_test_file;
use super::violation::Violation;

/// Lines of a file, its tests apart.
const FILE_LINES_MAX: usize = 600;

/// Columns of a line of code; rustfmt leaves strings and comments alone.
const COLUMNS_MAX: usize = 100;

/// Without HTML, whose inline drawings are long lines of numbers.
const CODE: [&str; 7] = ["rs", "js", "mjs", "ts", "py", "css", "sh"];

/// Checks one file.
pub(super) fn check(path: &str, content: &str) -> Vec<Violation> {
    let extension = path.rsplit_once('.').map_or("", |(_, extension)| extension);
    if !CODE.contains(&extension) && path != ".ci/run" {
        return Vec::new();
    }
    let mut found = columns(path, content);
    if is_test_file(path) {
        return found;
    }
    if extension == "rs" {
        let code = without_tests(&mask(content));
        found.extend(file_size(path, lines_without_tests(content, &code)));
    } else {
        found.extend(file_size(path, content.lines().count()));
    }
    found
}

/// Lines that hold something besides tests. A line that is blank in `code` but not in the file is
/// a comment, a literal or a test; the first two count.
fn lines_without_tests(content: &str, code: &str) -> usize {
    let masked = mask(content);
    let is_test = |(masked, code): &(&str, &str)| masked != code;
    content.lines().count() - masked.lines().zip(code.lines()).filter(is_test).count()
}

fn columns(path: &str, content: &str) -> Vec<Violation> {
    let long = |(_, line): &(usize, &str)| line.chars().count() > COLUMNS_MAX;
    content
        .lines()
        .enumerate()
        .filter(long)
        .map(|(index, line)| Violation {
            place: path.to_owned(),
            line: index + 1,
            rule: "columns",
            message: format!("{} columns; at most {COLUMNS_MAX}", line.chars().count()),
        })
        .collect()
}

fn file_size(path: &str, lines: usize) -> Option<Violation> {
    (lines > FILE_LINES_MAX).then(|| Violation {
        place: path.to_owned(),
        line: 0,
        rule: "file-lines",
        message: format!("{lines} lines without tests; at most {FILE_LINES_MAX}: split it"),
    })
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
    fn long_lines_are_found_in_code_only() {
        let line = "x".repeat(101);
        assert_eq!(rules("a/src/b.rs", &format!("//{line}")), ["columns"]);
        assert_eq!(rules("sdk/a.js", &line), ["columns"]);
        assert_eq!(rules(".ci/run", &line), ["columns"]);
        assert_eq!(rules("README.md", &line), [""; 0]);
        assert_eq!(
            rules("a/src/b.rs", &"é".repeat(100)),
            [""; 0],
            "characters, not bytes"
        );
    }

    #[test]
    fn long_files_are_found_with_their_tests_apart() {
        let code = "fn a() {}\n".repeat(600);
        let tests = format!(
            "#[cfg(test)]\nmod tests {{\n{}}}\n",
            "fn t() {}\n".repeat(300)
        );
        assert_eq!(rules("a/src/b.rs", &format!("{code}{tests}")), [""; 0]);
        assert_eq!(
            rules("a/src/b.rs", &format!("{code}// one more\n{tests}")),
            ["file-lines"]
        );
        assert_eq!(rules("sdk/a.js", &"x;\n".repeat(601)), ["file-lines"]);
        assert_eq!(rules("sdk/test/a.test.js", &"x;\n".repeat(601)), [""; 0]);
    }
}
