//! Just enough Rust to measure it: which bytes are code, and which items are tests. `syn` would
//! parse more, but not keep comments apart from code for the rules that search text.

/// `source` with comments, strings and characters blanked; every byte stays at its place.
pub(super) fn mask(source: &str) -> String {
    let bytes = source.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = literal_end(bytes, at);
        if end > at {
            for byte in &mut out[at..end] {
                if *byte != b'\n' {
                    *byte = b' ';
                }
            }
            at = end;
        } else {
            at += 1;
        }
    }
    String::from_utf8(out).expect("whole literals are blanked, so whole characters are left")
}

/// The end of the comment or literal that begins at `at`; `at` when none does.
fn literal_end(bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at..];
    if rest.starts_with(b"//") {
        return at
            + rest
                .iter()
                .position(|byte| *byte == b'\n')
                .unwrap_or(rest.len());
    }
    if rest.starts_with(b"/*") {
        return at + block_comment_len(rest);
    }
    let after_name = at > 0 && is_name(bytes[at - 1]);
    match rest[0] {
        b'"' => at + quoted_len(rest),
        b'\'' => at + char_len(rest),
        b'r' if !after_name => at + raw_len(rest, 1),
        b'b' | b'c' if !after_name && rest.get(1) == Some(&b'r') => at + raw_len(rest, 2),
        _ => at,
    }
}

fn block_comment_len(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < rest.len() {
        if rest[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

fn quoted_len(rest: &[u8]) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// Length of a character literal; 0 for a lifetime.
fn char_len(rest: &[u8]) -> usize {
    match rest.get(1) {
        Some(b'\\') => {
            let close = rest.iter().skip(3).position(|byte| *byte == b'\'');
            close.map_or(rest.len(), |close| close + 4)
        }
        Some(first) => {
            let width = match first {
                0x00..=0x7f => 1,
                0x80..=0xdf => 2,
                0xe0..=0xef => 3,
                0xf0..=0xff => 4,
            };
            if rest.get(1 + width) == Some(&b'\'') {
                width + 2
            } else {
                0
            }
        }
        None => 0,
    }
}

/// Length of `r"..."` or `r#"..."#` with a prefix of `prefix` letters; 0 for a name.
fn raw_len(rest: &[u8], prefix: usize) -> usize {
    let hashes = rest[prefix..]
        .iter()
        .take_while(|byte| **byte == b'#')
        .count();
    let open = prefix + hashes;
    if rest.get(open) != Some(&b'"') {
        return 0;
    }
    let mut close = vec![b'"'];
    close.resize(1 + hashes, b'#');
    let body = &rest[open + 1..];
    let end = body.windows(close.len()).position(|window| window == close);
    end.map_or(rest.len(), |end| open + 1 + end + close.len())
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// `masked` with the items that only tests compile blanked too.
pub(super) fn without_tests(masked: &str) -> String {
    let mut out = masked.to_owned();
    let mut from = 0;
    while let Some(found) = out[from..].find("#[") {
        let start = from + found;
        let close = matching(&out, start + 1);
        if is_test_attribute(&out[start..close]) {
            let end = item_end(&out, close);
            let blank: String = out[start..end]
                .chars()
                .map(|c| if c == '\n' { c } else { ' ' })
                .collect();
            out.replace_range(start..end, &blank);
        }
        from = close.min(out.len());
    }
    out
}

fn is_test_attribute(attribute: &str) -> bool {
    let bare: String = attribute.chars().filter(|c| !c.is_whitespace()).collect();
    bare == "#[test]"
        || bare.starts_with("#[cfg(test")
        || bare.starts_with("#[cfg(any(test")
        || bare.starts_with("#[cfg(all(test")
}

/// The end of the item after an attribute: its closing brace, or its semicolon.
fn item_end(masked: &str, from: usize) -> usize {
    match body_start(masked, from) {
        Some(open) => matching(masked, open),
        None => masked[from..]
            .find(';')
            .map_or(masked.len(), |at| from + at + 1),
    }
}

/// The offset of the brace that opens the body of the item at `from`; `None` when a semicolon
/// comes first.
fn body_start(masked: &str, from: usize) -> Option<usize> {
    let mut depth = 0_i32;
    for (at, byte) in masked.bytes().enumerate().skip(from) {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth -= 1,
            b'{' if depth == 0 => return Some(at),
            b';' if depth == 0 => return None,
            _ => {}
        }
    }
    None
}

/// The offset after the bracket that closes the one at `open`.
fn matching(masked: &str, open: usize) -> usize {
    let mut depth = 0_i32;
    for (at, byte) in masked.bytes().enumerate().skip(open) {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
    }
    masked.len()
}

/// Offsets at which `word` stands as a whole word.
pub(super) fn words<'a>(masked: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let bytes = masked.as_bytes();
    let open = |at: Option<&u8>| at.is_none_or(|byte| !is_name(*byte));
    let whole = move |at: usize| {
        let before = at.checked_sub(1).and_then(|before| bytes.get(before));
        // Only an edge of the needle that is part of a name needs an edge in the text.
        (!is_name(word.as_bytes()[0]) || open(before))
            && (!is_name(word.as_bytes()[word.len() - 1]) || open(bytes.get(at + word.len())))
    };
    masked
        .match_indices(word)
        .map(|(at, _)| at)
        .filter(move |at| whole(*at))
}

/// The line, from 1, of an offset.
pub(super) fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes()[..offset.min(text.len())]
        .iter()
        .filter(|byte| **byte == b'\n')
        .count()
        + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_blanked_in_place() {
        let source = "let a = \"x{\\\"}\"; // {\nlet b = r#\"}\"{\"#; /* { /* } */ */\n\
                      let c = b'{'; let d = '\\''; fn f<'a>(x: &'a str) { 'é'; b\"{\"; br\"\\\"; }";
        let masked = mask(source);
        assert_eq!(masked.len(), source.len());
        assert_eq!(masked.matches('{').count(), 1, "{masked}");
        assert_eq!(masked.matches('}').count(), 1, "{masked}");
        assert!(masked.contains("fn f<'a>(x: &'a str)"), "{masked}");
        assert_eq!(mask("for r in bar {}"), "for r in bar {}");
    }

    #[test]
    fn literals_that_never_end_do_not_panic() {
        for source in [
            "\"", "'\\", "'", "/*", "r#\"", "b", "r", "\"\\", "'é", "br#",
        ] {
            assert_eq!(mask(source).len(), source.len());
        }
    }

    #[test]
    fn test_items_are_taken_out() {
        let code = "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\n#[test]\nfn c() {}\n\
                    #[cfg(test)]\nmod far;\nfn d() {}\n\
                    #[cfg(any(test, feature = \"x\"))]\nfn e() {}\n\
                    #[cfg(not(test))]\nfn f() {}\n#[derive(Debug)]\nstruct G { a: [u8; 2] }\n";
        let masked = mask(code);
        let kept = without_tests(&masked);
        assert_eq!(kept.len(), masked.len());
        let names: Vec<&str> = words(&kept, "fn").map(|at| &kept[at + 3..at + 4]).collect();
        assert_eq!(names, ["a", "d", "f"]);
        assert!(kept.contains("struct G") && !kept.contains("mod far"));
    }

    #[test]
    fn words_are_whole() {
        assert_eq!(
            words("unsafe_code unsafe {} my_unsafe", "unsafe").count(),
            1
        );
        assert_eq!(words("a.unwrap() b.unwrap_or(1)", ".unwrap()").count(), 1);
        assert_eq!(words("mytokio::x tokio::y", "tokio::").count(), 1);
        assert_eq!(line_of("a\nb\nc", 4), 3);
    }
}
