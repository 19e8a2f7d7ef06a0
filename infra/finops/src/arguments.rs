//! The words of a command line.

use std::collections::BTreeMap;

/// Flags with their values, and the words that belong to none.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Arguments {
    values: BTreeMap<String, String>,
    /// Files, mostly.
    pub(crate) words: Vec<String>,
}

impl Arguments {
    /// `flags` are the names that the command knows; each takes a value.
    pub(crate) fn parse(
        mut words: impl Iterator<Item = String>,
        flags: &[&str],
    ) -> Result<Self, String> {
        let mut found = Self::default();
        while let Some(word) = words.next() {
            if !word.starts_with("--") {
                found.words.push(word);
                continue;
            }
            if !flags.contains(&word.as_str()) {
                let known = match flags.join(", ") {
                    none if none.is_empty() => "none".to_owned(),
                    some => some,
                };
                return Err(format!("{word} is no flag of this command; it has {known}"));
            }
            let value = words
                .next()
                .ok_or_else(|| format!("{word} needs a value"))?;
            if found.values.insert(word.clone(), value).is_some() {
                return Err(format!("{word} is given twice"));
            }
        }
        Ok(found)
    }

    pub(crate) fn get(&self, flag: &str) -> Option<&str> {
        self.values.get(flag).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Arguments, String> {
        Arguments::parse(
            line.split_whitespace().map(str::to_owned),
            &["--html", "--today"],
        )
    }

    #[test]
    fn flags_take_values_and_the_rest_are_words() {
        let found = parsed("a.jsonl --html out.html -").unwrap();
        assert_eq!(found.words, ["a.jsonl", "-"]);
        assert_eq!(
            (found.get("--html"), found.get("--today")),
            (Some("out.html"), None)
        );
        assert!(
            parsed("--htm x")
                .unwrap_err()
                .contains("it has --html, --today")
        );
        assert!(parsed("--html").unwrap_err().contains("needs a value"));
        assert!(parsed("--html a --html b").unwrap_err().contains("twice"));
    }
}
