//! Amounts, percentages and currencies as integers; never floating point.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An amount of money in 1/10000 of the currency's unit: `Money(12_345)` is 1.2345 €.
///
/// As text, in JSON too, it is a decimal number with a point and two to four decimals (`1.2345`, `0.10`, `-3.00`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, ToSchema)]
#[serde(into = "String", try_from = "String")]
#[schema(value_type = String, example = "1.2345")]
pub struct Money(pub i64);

/// How many parts of [`Money`] make one unit of the currency.
const PARTS: i64 = 10_000;

impl Money {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// The smallest amount there is, 1/10000 of the unit.
    pub const SMALLEST: Self = Self(1);

    /// The quotient `numerator / denominator` (in 1/10000 of the unit) as a whole multiple of `unit`, rounded half away from zero.
    ///
    /// `None` when the denominator or the unit is not positive, or when the result does not fit: an amount never wraps.
    #[must_use]
    pub fn rounded(numerator: i128, denominator: i128, unit: Self) -> Option<Self> {
        let unit = i128::from(unit.0);
        if denominator <= 0 || unit <= 0 {
            return None;
        }
        let step = denominator.checked_mul(unit)?;
        let (whole, rest) = (numerator / step, numerator % step);
        let away = if rest.abs().checked_mul(2)? >= step { numerator.signum() } else { 0 };
        let steps = whole.checked_add(away)?;
        i64::try_from(steps.checked_mul(unit)?).ok().map(Self)
    }

    /// The sum, or `None` when it does not fit.
    #[must_use]
    pub fn plus(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// The exact negative, or `None` for the one amount that has none.
    #[must_use]
    pub fn negative(self) -> Option<Self> {
        self.0.checked_neg().map(Self)
    }

    /// The sum of many, or `None` when it does not fit.
    pub fn sum(amounts: impl IntoIterator<Item = Self>) -> Option<Self> {
        let total: i128 = amounts.into_iter().map(|amount| i128::from(amount.0)).sum();
        i64::try_from(total).ok().map(Self)
    }

    /// The amount in hundredths (cents), rounded half away from zero; for showing to people, never for calculating.
    #[must_use]
    pub fn cents(self) -> i64 {
        let (whole, rest) = (self.0 / 100, self.0 % 100);
        if rest.abs() >= 50 { whole + self.0.signum() } else { whole }
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let parts = self.0.unsigned_abs();
        let (whole, rest) = (parts / PARTS.unsigned_abs(), parts % PARTS.unsigned_abs());
        if rest.is_multiple_of(100) {
            write!(f, "{sign}{whole}.{:02}", rest / 100)
        } else if rest.is_multiple_of(10) {
            write!(f, "{sign}{whole}.{:03}", rest / 10)
        } else {
            write!(f, "{sign}{whole}.{rest:04}")
        }
    }
}

impl fmt::Debug for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Money({self})")
    }
}

/// The text is not a decimal number of the wanted form.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ParseAmountError {
    /// Something else than an optional minus, digits, and at most one point followed by digits.
    #[error("not a decimal number such as 0.05 (a point, no spaces, no currency sign)")]
    Form,
    /// More decimals than are kept.
    #[error("more than {0} decimals")]
    Decimals(u32),
    /// Too large to be kept.
    #[error("too large")]
    Size,
}

/// Reads `-?digits[.digits]` as an integer of `10^decimals` parts a unit.
fn parse_decimal(text: &str, decimals: u32) -> Result<i64, ParseAmountError> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, rest) = digits.split_once('.').unwrap_or((digits, "0"));
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !all_digits(whole) || !all_digits(rest) {
        return Err(ParseAmountError::Form);
    }
    let rest = rest.trim_end_matches('0');
    let missing = usize::try_from(decimals).ok().and_then(|most| most.checked_sub(rest.len())).ok_or(ParseAmountError::Decimals(decimals))?;
    let padding = std::iter::repeat_n(b'0', missing);
    // Counted downwards for a negative number, so that the smallest one can be read too.
    let mut value: i64 = 0;
    for byte in whole.bytes().chain(rest.bytes()).chain(padding) {
        let digit = i64::from(byte - b'0');
        value = value
            .checked_mul(10)
            .and_then(|value| if negative { value.checked_sub(digit) } else { value.checked_add(digit) })
            .ok_or(ParseAmountError::Size)?;
    }
    Ok(value)
}

impl FromStr for Money {
    type Err = ParseAmountError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse_decimal(text, 4).map(Self)
    }
}

impl From<Money> for String {
    fn from(amount: Money) -> Self {
        amount.to_string()
    }
}

impl TryFrom<String> for Money {
    type Error = ParseAmountError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

/// A percentage in 1/100 %: `Percent(2_200)` is 22 %.
///
/// As text, in JSON too, it is a decimal number without the sign (`22`, `9.5`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug, Serialize, Deserialize, ToSchema)]
#[serde(into = "String", try_from = "String")]
#[schema(value_type = String, example = "22")]
pub struct Percent(pub u32);

impl Percent {
    /// The whole, 100 %.
    pub const WHOLE: Self = Self(10_000);

    /// This part of `amount` as a whole multiple of `unit`, rounded half away from zero; `None` when it does not fit.
    #[must_use]
    pub fn of(self, amount: Money, unit: Money) -> Option<Money> {
        Money::rounded(i128::from(amount.0) * i128::from(self.0), i128::from(Self::WHOLE.0), unit)
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / 100, self.0 % 100);
        if rest == 0 {
            write!(f, "{whole}")
        } else if rest.is_multiple_of(10) {
            write!(f, "{whole}.{}", rest / 10)
        } else {
            write!(f, "{whole}.{rest:02}")
        }
    }
}

impl FromStr for Percent {
    type Err = ParseAmountError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let value = parse_decimal(text, 2)?;
        u32::try_from(value).map(Self).map_err(|_| ParseAmountError::Size)
    }
}

impl From<Percent> for String {
    fn from(percent: Percent) -> Self {
        percent.to_string()
    }
}

impl TryFrom<String> for Percent {
    type Error = ParseAmountError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

/// A currency by its three-letter code (ISO 4217), such as `EUR`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(into = "String", try_from = "String")]
#[schema(value_type = String, example = "EUR")]
pub struct Currency([u8; 3]);

impl Currency {
    /// The euro.
    pub const EUR: Self = Self(*b"EUR");

    /// The three-letter code.
    #[must_use]
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("")
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Currency({self})")
    }
}

/// The text is not three capital letters.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not a currency code of three capital letters such as EUR")]
pub struct NotACurrency;

impl FromStr for Currency {
    type Err = NotACurrency;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let code: [u8; 3] = text.as_bytes().try_into().map_err(|_| NotACurrency)?;
        if code.iter().all(u8::is_ascii_uppercase) { Ok(Self(code)) } else { Err(NotACurrency) }
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> Self {
        currency.to_string()
    }
}

impl TryFrom<String> for Currency {
    type Error = NotACurrency;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_read_back_as_written() {
        for (text, value) in [
            ("0.00", 0),
            ("0.0001", 1),
            ("-0.0001", -1),
            ("1.2345", 12_345),
            ("0.10", 1_000),
            ("0.125", 1_250),
            ("-3.00", -30_000),
            ("922337203685477.5807", i64::MAX),
            ("-922337203685477.5808", i64::MIN),
        ] {
            assert_eq!(Money(value).to_string(), text);
            assert_eq!(text.parse(), Ok(Money(value)));
        }
        assert_eq!("7".parse(), Ok(Money(70_000)));
        assert_eq!("7.500000".parse(), Ok(Money(75_000)));
        for bad in ["", "-", ".", "1.", ".5", "+1", "1,5", "1 000", "1e3", "1.2.3", "0x1", "１", "--1", "€1", "1-"] {
            assert_eq!(bad.parse::<Money>(), Err(ParseAmountError::Form), "{bad}");
        }
        assert_eq!("0.00001".parse::<Money>(), Err(ParseAmountError::Decimals(4)));
        assert_eq!("922337203685477.5808".parse::<Money>(), Err(ParseAmountError::Size));
        assert_eq!("99999999999999999999999".parse::<Money>(), Err(ParseAmountError::Size));
    }

    #[test]
    fn rounds_half_away_from_zero_to_the_unit() {
        let cent = Money(100);
        for (numerator, denominator, unit, rounded) in [
            (5, 10, Money::SMALLEST, 1),
            (-5, 10, Money::SMALLEST, -1),
            (4, 10, Money::SMALLEST, 0),
            (-4, 10, Money::SMALLEST, 0),
            (149, 1, cent, 100),
            (150, 1, cent, 200),
            (-150, 1, cent, -200),
            (-149, 1, cent, -100),
            // 149.99… is below the half: the exact value is rounded, once.
            (149_999, 1_000, cent, 100),
            (0, 7, cent, 0),
        ] {
            assert_eq!(Money::rounded(numerator, denominator, unit), Some(Money(rounded)), "{numerator}/{denominator}");
        }
        assert_eq!(Money::rounded(1, 0, cent), None);
        assert_eq!(Money::rounded(1, 1, Money::ZERO), None);
        assert_eq!(Money::rounded(i128::from(i64::MAX) + 1, 1, Money::SMALLEST), None);
        assert_eq!(Money::rounded(i128::MAX, 1, Money::SMALLEST), None);
        assert_eq!(Money::rounded(i128::MIN, 1, Money(i64::MAX)), None);
    }

    #[test]
    fn cents_are_rounded_half_away_from_zero() {
        for (parts, cents) in [(0, 0), (49, 0), (50, 1), (-49, 0), (-50, -1), (12_345, 123), (12_350, 124)] {
            assert_eq!(Money(parts).cents(), cents, "{parts}");
        }
    }

    #[test]
    fn percents_and_currencies_read_back() {
        for (text, value) in [("22", 2_200), ("9.5", 950), ("0", 0), ("0.05", 5), ("100", 10_000)] {
            assert_eq!(text.parse(), Ok(Percent(value)));
            assert_eq!(Percent(value).to_string(), text);
        }
        assert!("-1".parse::<Percent>().is_err());
        assert!("22.001".parse::<Percent>().is_err());
        assert_eq!("EUR".parse(), Ok(Currency::EUR));
        for bad in ["", "eur", "EURO", "E1R", "€"] {
            assert!(bad.parse::<Currency>().is_err(), "{bad}");
        }
    }
}
