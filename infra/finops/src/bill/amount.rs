//! Amounts as bills write them: with a sign, an exponent, and more digits than are counted.

use crate::money::Money;

/// Digits after the point that are counted: pico-dollars.
const DECIMALS: i64 = 12;
/// Most digits before the point.
const WHOLE_MAX: i64 = 12;

/// Reads `-0.0000012345`, `1.2E-7` and the like, rounded half away from nothing to a pico-dollar;
/// none when it is no number, or a trillion dollars or more.
pub(super) fn amount(text: &str) -> Option<Money> {
    let (digits, exponent) = match text.split_once(['e', 'E']) {
        Some((digits, exponent)) => (digits, exponent.parse::<i16>().ok()?),
        None => (text, 0),
    };
    let (sign, digits) = match digits.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, digits.strip_prefix('+').unwrap_or(digits)),
    };
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let all = || whole.bytes().chain(part.bytes());
    if all().next().is_none() || all().any(|byte| !byte.is_ascii_digit()) {
        return None;
    }
    let point = i64::try_from(whole.len()).ok()? + i64::from(exponent);
    let (mut pico, mut is_up) = (0_i128, false);
    for (at, byte) in (0_i64..).zip(all()) {
        let place = point - at;
        let digit = i128::from(byte - b'0');
        if digit == 0 {
            continue;
        }
        if place > WHOLE_MAX {
            return None;
        }
        let below = place - 1 + DECIMALS;
        match u32::try_from(below) {
            Ok(power) => pico += digit * 10_i128.pow(power),
            Err(_) if below == -1 => is_up = digit >= 5,
            Err(_) => {}
        }
    }
    Some(Money(sign * (pico + i128::from(is_up))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn amounts_of_bills_are_read() {
        for (text, pico) in [
            ("0", 0),
            ("-0.000000000001", -1),
            ("1.5", 1_500_000_000_000),
            ("+1.", 1_000_000_000_000),
            (".5", 500_000_000_000),
            ("1.2E-7", 120_000),
            ("12e2", 1_200_000_000_000_000),
            ("0.0000000000005", 1),
            ("0.00000000000049", 0),
            ("-0.0000000000015", -2),
            ("1E-300", 0),
            ("0E300", 0),
        ] {
            assert_eq!(amount(text), Some(Money(pico)), "{text}");
        }
        for text in [
            "", "-", ".", "NaN", "inf", "1,5", "1e", "1e99", "--1", "1e99999", "$1",
        ] {
            assert_eq!(amount(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_money_shows_is_read(pico in -(1_i128 << 70)..1_i128 << 70) {
            prop_assert_eq!(amount(&Money(pico).text(12)), Some(Money(pico)));
        }

        #[test]
        fn nothing_panics(text in ".{0,30}") {
            let _ = amount(&text);
        }
    }
}
