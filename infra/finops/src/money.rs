//! Dollars, exactly.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Sub};

use serde::{Deserialize, Serialize};

/// Parts of a dollar that are counted: pico-dollars.
const PER_DOLLAR: i128 = 1_000_000_000_000;
/// Digits after the point that a price may have.
const DECIMALS: usize = 12;

/// An amount of US dollars: a whole number of pico-dollars. Sums are exact, so parts always add up
/// to their whole; it is rounded when it is priced, once, and when it is shown.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Money(pub i128);

impl Money {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// Reads `0.0000133334`: digits, and at most 12 after the point.
    ///
    /// # Errors
    /// A sentence that says what is wrong with `text`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
        let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if !is_digits(whole) || !is_digits(part) || whole.len() > 12 {
            return Err(format!(
                "`{text}` is no amount; write dollars as \"0.0125\""
            ));
        }
        if part.len() > DECIMALS {
            return Err(format!(
                "`{text}` has more than {DECIMALS} digits after the point"
            ));
        }
        let digits = format!("{whole}{part:0<DECIMALS$}");
        let pico = digits
            .parse()
            .map_err(|_| format!("`{text}` is too much"))?;
        Ok(Self(pico))
    }

    /// `amount x numerator / denominator`, rounded half away from nothing.
    ///
    /// # Panics
    /// When `denominator` is 0.
    pub fn scaled(self, numerator: u128, denominator: u128) -> Self {
        let denominator = i128::try_from(denominator).unwrap_or(i128::MAX);
        assert!(denominator > 0, "nothing is shared among nobody");
        let numerator = i128::try_from(numerator).unwrap_or(i128::MAX);
        let product = self.0.saturating_mul(numerator);
        let half = denominator / 2 * product.signum();
        Self(product.saturating_add(half) / denominator)
    }

    /// Dollars as a floating-point number: for charts and tables of figures, never to be added.
    pub fn dollars(self) -> f64 {
        self.0 as f64 / PER_DOLLAR as f64
    }

    /// With `digits` after the point (at most 12), rounded half away from nothing.
    pub fn text(self, digits: usize) -> String {
        let digits = digits.min(DECIMALS);
        let unit = 10_i128.pow(u32::try_from(DECIMALS - digits).expect("at most 12"));
        let rounded = (self.0.abs() + unit / 2) / unit;
        let per_dollar = PER_DOLLAR / unit;
        let sign = if self.0 < 0 && rounded > 0 { "-" } else { "" };
        let (whole, part) = (rounded / per_dollar, rounded % per_dollar);
        match digits {
            0 => format!("{sign}{whole}"),
            _ => format!("{sign}{whole}.{part:0digits$}"),
        }
    }
}

/// Cents, or as many digits as a small amount needs to say something.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = match self.0.abs() {
            0 => 2,
            small if small < PER_DOLLAR / 100_000 => 9,
            small if small < PER_DOLLAR / 100 => 6,
            small if small < PER_DOLLAR => 4,
            _ => 2,
        };
        f.write_str(&self.text(digits))
    }
}

impl Add for Money {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl AddAssign for Money {
    fn add_assign(&mut self, other: Self) {
        self.0 += other.0;
    }
}

impl Sub for Money {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }
}

impl Sum for Money {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn amounts_are_read_and_shown() {
        assert_eq!(Money::parse("0.0000133334"), Ok(Money(13_333_400)));
        assert_eq!(Money::parse("2000"), Ok(Money(2_000 * PER_DOLLAR)));
        for wrong in [
            "",
            ".5",
            "1.",
            "-1",
            "1e3",
            "1,5",
            "0.0000000000001",
            "9999999999999",
        ] {
            assert!(Money::parse(wrong).is_err(), "{wrong}");
        }
        assert_eq!(Money(1_765_000_000_000).text(2), "1.77");
        assert_eq!(Money(-4_999_999_999).text(2), "0.00", "no negative nothing");
        assert_eq!(Money(-5_000_000_000).text(2), "-0.01");
        assert_eq!(Money(1_500_000_000_000).text(0), "2");
        assert_eq!(Money(1_770_000).to_string(), "0.000001770");
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_again(pico in 0..i128::from(u64::MAX)) {
            let amount = Money(pico);
            prop_assert_eq!(Money::parse(&amount.text(12)), Ok(amount));
            let shown = Money::parse(&amount.text(2)).unwrap();
            prop_assert!((shown - amount).0.abs() <= PER_DOLLAR / 200);
        }

        #[test]
        fn a_share_is_within_half_a_part(
            pico in 0..1_i128 << 80,
            n in 0..1_u128 << 40,
            d in 1..1_u128 << 40,
        ) {
            let share = Money(pico).scaled(n, d);
            let (exact, d) = (pico * n as i128, d as i128);
            prop_assert!((share.0 * d - exact).abs() * 2 <= d);
            prop_assert!(share.0 >= 0);
        }
    }
}
