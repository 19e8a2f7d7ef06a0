//! Which texts are taken.

use chat_channel::plain::check_plain;
use edge::Refusal;
use edge::policy::{FilterAction, Policy, Rights};
use unicode_normalization::UnicodeNormalization;
use wire::problem::ProblemKind;

use crate::filter::{Filter, is_invisible};

/// Top-level domains that make a word with a dot a link even without a scheme. A short list: a
/// missing space after a full stop must not be a link.
const LINK_ENDINGS: [&str; 24] = [
    "com", "net", "org", "io", "gg", "tv", "me", "co", "ru", "xyz", "info", "biz", "app", "dev",
    "link", "site", "online", "shop", "top", "club", "ly", "to", "de", "uk",
];

/// The text as it is kept, or why it is not.
pub(crate) fn clean_text(
    policy: &Policy,
    rights: &Rights,
    text: String,
) -> Result<String, Refusal> {
    check_plain(&text, usize::from(rights.max_chars))?;
    if !rights.links && has_link(&text) {
        let detail = "Send the text without its link.";
        return Err(Refusal::new(ProblemKind::LinkRefused, detail));
    }
    if rights.filter == FilterAction::Off {
        return Ok(text);
    }
    let filter = Filter::new(&policy.filter_locales, &policy.extra_words);
    let found = filter.find(&text);
    if found.is_empty() {
        return Ok(text);
    }
    if rights.filter == FilterAction::Refuse {
        let detail = "Say it in other words.";
        return Err(Refusal::new(ProblemKind::WordRefused, detail));
    }
    Ok(Filter::mask(&text, &found))
}

/// Whether the text holds what a reader could follow: a scheme, `www.`, or a word that ends like a
/// domain. Compatibility forms (full-width letters and dots) count as what they look like.
pub(crate) fn has_link(text: &str) -> bool {
    let folded: String = text
        .nfkc()
        .flat_map(char::to_lowercase)
        .filter(|c| !is_invisible(*c))
        .map(|c| {
            if matches!(c, '\u{3002}' | '\u{2024}') {
                '.'
            } else {
                c
            }
        })
        .collect();
    if folded.contains("://") {
        return true;
    }
    folded
        .split(|c: char| c.is_whitespace() || "()[]{}<>\"'".contains(c))
        .any(is_domain_like)
}

fn is_domain_like(word: &str) -> bool {
    if word.starts_with("www.") {
        return true;
    }
    let host = word.split(['/', '?', '#', ':']).next().unwrap_or_default();
    let host = host.trim_end_matches(['.', ',', '!', ';']);
    let Some((name, ending)) = host.rsplit_once('.') else {
        return false;
    };
    let is_name = |c: char| c.is_alphanumeric() || c == '-' || c == '.' || c == '@' || c == '_';
    LINK_ENDINGS.contains(&ending)
        && name.chars().all(is_name)
        && name.chars().any(char::is_alphanumeric)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_seen_through_their_disguises() {
        for text in [
            "http://a",
            "see https://x.example/y",
            "www.evil",
            "buy at evil.com now",
            "evil.com/x?y",
            "(discord.gg/abc)",
            "ｅｖｉｌ．ｃｏｍ",
            "evil。com",
            "ev\u{200b}il.c\u{200b}om",
            "EVIL.COM.",
            "me@evil.com",
        ] {
            assert!(has_link(text), "{text}");
        }
        for text in [
            "hello.world",
            "3.5 to 4",
            "wait...what",
            "ok.",
            ".com",
            "he said no.then left",
            "a.b.c",
            "12:30",
            "c:\\d",
            "gg",
        ] {
            assert!(!has_link(text), "{text}");
        }
    }
}
