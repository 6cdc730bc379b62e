//! The beginnings of numbers, by which rates are found.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The beginning of a number in normal form: `+` and up to fifteen digits of country code and number (ITU-T E.164),
/// or up to eight digits of a short number. `+` alone begins every number that is not short.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(into = "String", try_from = "String")]
#[schema(value_type = String, example = "+3864")]
pub struct Prefix([u8; 16]); // Padded with zero bytes, so that the derived order is that of the text.

impl Prefix {
    /// The prefix as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let length = self.0.iter().position(|byte| *byte == 0).unwrap_or(self.0.len());
        std::str::from_utf8(&self.0[..length]).unwrap_or("")
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Prefix({self})")
    }
}

/// The text does not begin any number in normal form.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "not a prefix: write + and at most 15 digits beginning with the country code (+386, + for the world), or 1 to 8 digits of a short number without a leading 0"
)]
pub struct NotAPrefix;

impl FromStr for Prefix {
    type Err = NotAPrefix;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (digits, fits) = match text.strip_prefix('+') {
            Some(digits) => (digits, digits.len() <= 15),
            None => (text, (1..=8).contains(&text.len())),
        };
        if !fits || digits.starts_with('0') || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(NotAPrefix);
        }
        let mut bytes = [0; 16];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        Ok(Self(bytes))
    }
}

impl From<Prefix> for String {
    fn from(prefix: Prefix) -> Self {
        prefix.as_str().to_owned()
    }
}

impl TryFrom<String> for Prefix {
    type Error = NotAPrefix;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

/// Whether a number is in normal form: up to fifteen digits, with or without `+`.
pub(super) fn is_normal_form(number: &str) -> bool {
    let digits = number.strip_prefix('+').unwrap_or(number);
    (1..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_those_of_the_normal_form() {
        for text in ["+", "+386", "+38640123456", "+123456789012345", "19819", "1", "12345678"] {
            assert_eq!(text.parse::<Prefix>().unwrap().as_str(), text);
        }
        for bad in ["", "++", "+0", "0", "00386", "01309", "+386 1", "+38a", "123456789", "+1234567890123456", "-1", "+３", " +386"] {
            assert_eq!(bad.parse::<Prefix>(), Err(NotAPrefix), "{bad}");
        }
        assert!("+386".parse::<Prefix>().unwrap() < "+3861".parse().unwrap());
    }

    #[test]
    fn normal_form() {
        for good in ["+38613099396", "19819", "112", "+123456789012345"] {
            assert!(is_normal_form(good), "{good}");
        }
        for bad in ["", "+", "abc", "+386 1", "anonymous", "+1234567890123456", "１９"] {
            assert!(!is_normal_form(bad), "{bad}");
        }
    }
}
