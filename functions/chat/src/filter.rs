//! The word filter: lists of words per locale, found through the ways in which they are disguised.
//!
//! Text and lists are folded alike: compatibility decomposition, marks and invisible characters
//! dropped, lower case, look-alikes of other scripts (Unicode TS 39 skeletons), leet digits and
//! signs. A letter may be repeated, and single letters apart ("b a d") are read together. A word of
//! a list stands for itself; `*word*` also for a part of a longer word.

use std::ops::Range;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;
use unicode_security::confusable_detection::skeleton;

/// Shortest run of single letters that is read as one word.
const MIN_SPELLED: usize = 3;

const LISTS: [(&str, &str); 4] = [
    ("de", include_str!("../words/de.txt")),
    ("en", include_str!("../words/en.txt")),
    ("es", include_str!("../words/es.txt")),
    ("fr", include_str!("../words/fr.txt")),
];

/// The words of some locales.
#[derive(Debug)]
pub struct Filter {
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    /// Letters and how often each stands in a row.
    runs: Vec<(char, usize)>,
    is_part: bool,
}

/// Bytes of the text that a word takes.
pub type Found = Range<usize>;

/// A folded character and the bytes that it came from.
#[derive(Debug, Clone)]
struct Folded {
    c: char,
    from: Range<usize>,
    /// It was a sign that only may stand for a letter.
    is_sign: bool,
}

impl Filter {
    /// The lists of `locales` and `extra` words. A locale without a list adds nothing.
    pub fn new<L: AsRef<str>, E: AsRef<str>>(locales: &[L], extra: &[E]) -> Self {
        let wanted = |name: &str| locales.iter().any(|locale| locale.as_ref() == name);
        let lines = LISTS
            .iter()
            .filter(|(name, _)| wanted(name))
            .flat_map(|(_, list)| list.lines());
        let entries = lines
            .chain(extra.iter().map(AsRef::as_ref))
            .filter_map(Entry::read);
        Self {
            entries: entries.collect(),
        }
    }

    /// Where words of the lists are, in order and apart from each other.
    pub fn find(&self, text: &str) -> Vec<Found> {
        let mut found: Vec<Found> = Vec::new();
        for word in words(&fold(text)) {
            for range in self.find_in(&word) {
                match found.last_mut() {
                    Some(last) if range.start < last.end => last.end = last.end.max(range.end),
                    _ => found.push(range),
                }
            }
        }
        found
    }

    fn find_in(&self, word: &[Folded]) -> Vec<Found> {
        let is_sign = |folded: &Folded| folded.is_sign;
        let start = word.iter().take_while(|folded| is_sign(folded)).count();
        let end = word.len()
            - word
                .iter()
                .rev()
                .take_while(|folded| is_sign(folded))
                .count();
        let bare = word.get(start..end).unwrap_or_default();
        let mut found: Vec<Found> = Vec::new();
        for entry in &self.entries {
            if entry.is_part {
                let starts = 0..word.len();
                found.extend(starts.filter_map(|at| entry.matches(&word[at..], false)));
            } else {
                found.extend(
                    entry
                        .matches(word, true)
                        .or_else(|| entry.matches(bare, true)),
                );
            }
        }
        found.sort_by_key(|range| range.start);
        found
    }

    /// The text with a star for each character of what was found.
    pub fn mask(text: &str, found: &[Found]) -> String {
        let is_found = |at: usize| found.iter().any(|range| range.contains(&at));
        text.char_indices()
            .map(|(at, c)| {
                if is_found(at) && !c.is_whitespace() {
                    '*'
                } else {
                    c
                }
            })
            .collect()
    }
}

impl Entry {
    fn read(line: &str) -> Option<Self> {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            return None;
        }
        let inner = line
            .strip_prefix('*')
            .and_then(|rest| rest.strip_suffix('*'));
        let mut runs: Vec<(char, usize)> = Vec::new();
        for folded in fold(inner.unwrap_or(line)) {
            match runs.last_mut() {
                Some((c, count)) if *c == folded.c => *count += 1,
                _ => runs.push((folded.c, 1)),
            }
        }
        (!runs.is_empty()).then_some(Self {
            runs,
            is_part: inner.is_some(),
        })
    }

    /// What the entry takes of the beginning of `word`, or of the whole of it.
    fn matches(&self, word: &[Folded], whole: bool) -> Option<Found> {
        let mut at = 0;
        for (c, count) in &self.runs {
            let repeated = word[at..]
                .iter()
                .take_while(|folded| folded.c == *c)
                .count();
            if repeated < *count {
                return None;
            }
            at += repeated;
        }
        if whole && at != word.len() {
            return None;
        }
        Some(word[0].from.start..word[at - 1].from.end)
    }
}

/// Folds a text; what is no letter or digit becomes a space.
fn fold(text: &str) -> Vec<Folded> {
    let mut out = Vec::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        let from = at..at + c.len_utf8();
        let is_sign = leet_sign(c).is_some();
        for c in std::iter::once(c).nfkd() {
            if is_combining_mark(c) || is_invisible(c) {
                continue;
            }
            fold_char(c, |c| {
                out.push(Folded {
                    c,
                    from: from.clone(),
                    is_sign,
                });
            });
        }
    }
    out
}

fn fold_char(c: char, mut push: impl FnMut(char)) {
    if let Some(letter) = leet_sign(c) {
        return push(letter);
    }
    if c.is_ascii() {
        return push(fold_ascii(c));
    }
    for lower in c.to_lowercase() {
        for similar in skeleton(lower.encode_utf8(&mut [0; 4])) {
            for similar in similar.to_lowercase().filter(|c| !is_combining_mark(*c)) {
                push(fold_ascii(similar));
            }
        }
    }
}

/// Letters and digits that look alike are one: which one does not matter, the lists are folded too.
fn fold_ascii(c: char) -> char {
    match c.to_ascii_lowercase() {
        'l' | '1' | 'j' => 'i',
        '0' => 'o',
        '3' => 'e',
        '4' => 'a',
        '5' => 's',
        '7' => 't',
        '8' => 'b',
        '9' => 'g',
        'v' => 'u',
        c if c.is_alphanumeric() => c,
        _ => ' ',
    }
}

fn leet_sign(c: char) -> Option<char> {
    match c {
        '@' => Some('a'),
        '$' => Some('s'),
        '!' | '|' => Some('i'),
        '+' => Some('t'),
        '(' => Some('c'),
        _ => None,
    }
}

/// Words of a folded text; runs of single letters apart count as one word.
fn words(folded: &[Folded]) -> Vec<Vec<Folded>> {
    let mut words: Vec<Vec<Folded>> = folded
        .split(|folded| folded.c == ' ')
        .filter(|word| !word.is_empty())
        .map(<[Folded]>::to_vec)
        .collect();
    let mut spelled = Vec::new();
    let mut run: Vec<Folded> = Vec::new();
    for word in &words {
        if let [single] = word.as_slice() {
            run.push(single.clone());
            continue;
        }
        spelled.push(std::mem::take(&mut run));
    }
    spelled.push(run);
    words.extend(spelled.into_iter().filter(|run| run.len() >= MIN_SPELLED));
    words.sort_by_key(|word| word[0].from.start);
    words
}

/// Characters that change what a text looks like without being seen themselves.
pub(crate) fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
        | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter() -> Filter {
        Filter::new(&["en"], &["grob", "*zwirn*"])
    }

    #[test]
    fn words_are_found_through_their_disguises() {
        for text in [
            "grob",
            "GROB",
            "gr0b",
            "g r o b",
            "g.r.o.b",
            "grooob",
            "gróB",
            "g\u{200b}rob",
            "ｇｒｏｂ",
            "\u{1d520}grob \u{1d524}\u{1d52f}\u{1d52c}\u{1d51f}",
            "grоb",
            "so grob!",
            "(grob)",
            "9r0b",
            "grob!!!",
            "unzwirnig",
            "ZW1RN",
            "xxzw!rnxx",
        ] {
            assert!(!filter().find(text).is_empty(), "{text}");
        }
        for text in [
            "", "grobe", "engrob", "gro b", "zwir n", "rob", "gr b", "big rob", "g r a b",
        ] {
            assert!(filter().find(text).is_empty(), "{text}");
        }
    }

    #[test]
    fn a_double_letter_of_a_list_is_not_a_single_one() {
        let filter = Filter::new::<&str, _>(&[], &["poss"]);
        assert!(filter.find("pos").is_empty());
        assert!(!filter.find("possss").is_empty());
    }

    #[test]
    fn a_mask_covers_the_word_and_nothing_else() {
        let mask = |text: &str| Filter::mask(text, &filter().find(text));
        assert_eq!(mask("so grob, GRÓB!"), "so ****, ****!");
        assert_eq!(mask("éé g r o b éé"), "éé * * * * éé");
        assert_eq!(mask("kind words"), "kind words");
    }

    #[test]
    fn every_word_of_every_list_finds_itself() {
        for (locale, list) in LISTS {
            let filter = Filter::new(&[locale], &[""; 0]);
            assert!(filter.entries.len() >= 8, "{locale}");
            let words = list.lines().map(str::trim);
            for word in words.filter(|word| !word.is_empty() && !word.starts_with('#')) {
                assert!(!filter.find(word.trim_matches('*')).is_empty(), "{word}");
            }
        }
    }

    #[test]
    fn everyday_words_pass() {
        let filter = Filter::new(&["de", "en", "es", "fr"], &[""; 0]);
        let text = "assassin class grass Scunthorpe cocktail button shuttle analysis therapist \
            pass the glass; Dickens, Essex, Sussex, Arsenal, Penistone; basement, skill, \
            kill it, as is, ship it, duck, count, con, que, pour, Fachmann, Flick, conejo, \
            disputar, computer";
        let found: Vec<&str> = filter.find(text).into_iter().map(|at| &text[at]).collect();
        assert_eq!(found, [""; 0]);
    }
}
