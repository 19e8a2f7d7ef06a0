//! Plain text that somebody typed.

use edge::Refusal;
use wire::chat::MAX_REASON_CHARS;
use wire::problem::ProblemKind;

/// A reason that a player or moderator gives, which may be none.
///
/// # Errors
/// As [`check_plain`], at most [`MAX_REASON_CHARS`].
pub fn check_reason(reason: &str) -> Result<(), Refusal> {
    if reason.is_empty() {
        return Ok(());
    }
    check_plain(reason, MAX_REASON_CHARS)
}

/// A text of at most so many characters that is not empty and has no control characters but line
/// breaks and tabs.
///
/// # Errors
/// `text-too-long` or `text-invalid`.
pub fn check_plain(text: &str, max_chars: usize) -> Result<(), Refusal> {
    let invalid = |detail: &'static str| Err(Refusal::new(ProblemKind::TextInvalid, detail));
    if text.chars().count() > max_chars {
        let detail = format!("Send at most {max_chars} characters.");
        return Err(Refusal::new(ProblemKind::TextTooLong, detail));
    }
    if text.chars().all(char::is_whitespace) {
        return invalid("Send a text that is not empty.");
    }
    if text
        .chars()
        .any(|c| c.is_control() && c != '\n' && c != '\t')
    {
        return invalid("Send the text without control characters.");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_refused_and_everything_else_is_not() {
        let kind = |text: &str| check_plain(text, 10).err().map(|refusal| refusal.kind);
        for text in ["a\0b", "\u{7}", "\u{1b}[31m", "\u{85}", "\r\n"] {
            assert_eq!(kind(text), Some(ProblemKind::TextInvalid), "{text:?}");
        }
        for text in ["", " \n\t ", "\u{3000}"] {
            assert_eq!(kind(text), Some(ProblemKind::TextInvalid), "{text:?}");
        }
        for text in [
            "a\nb\tc",
            "\u{1f468}\u{200d}\u{1f469}",
            "שלום",
            "\u{fffd}\u{10ffff}",
        ] {
            assert_eq!(kind(text), None, "{text:?}");
        }
        assert_eq!(kind("12345678901"), Some(ProblemKind::TextTooLong));
        assert_eq!(kind("éééééééééé"), None, "characters, not bytes");
    }
}
