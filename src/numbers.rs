//! Telephone numbers: from what people type to the normal form that may be dialled.
//!
//! The normal form is `+` and digits (E.164), or a short number as it is.
//! Short numbers are looked up before the library is asked: it would turn 19819 into a wrong international number.

use std::fmt;

use serde::Deserialize;

/// The longest text that is looked at.
const LONGEST: usize = 40;

/// What numbers this operator knows.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Numbering {
    /// Region of numbers without a country code (ISO 3166-1 alpha-2).
    pub country: String,
    /// Short numbers that are dialled as they are.
    pub short_codes: Vec<String>,
    /// Beginnings (in normal form) of numbers that are taken without asking the numbering plan: private ranges, laboratories.
    pub accept_prefixes: Vec<String>,
}

impl Default for Numbering {
    fn default() -> Self {
        Self { country: "SI".into(), short_codes: Vec::new(), accept_prefixes: Vec::new() }
    }
}

/// Why a text is not a number that can be dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NumberError {
    /// Nothing was given.
    #[error("a telephone number is needed")]
    Empty,
    /// More than any number has.
    #[error("a telephone number has at most {LONGEST} characters")]
    TooLong,
    /// Something else than digits and the usual separators.
    #[error("a telephone number holds digits, spaces, and + ( ) - / . only")]
    Characters,
    /// The numbering plan knows no such number.
    #[error("there is no such number in the numbering plan; write it as +386 40 123 456 or 040 123 456")]
    NotANumber,
}

impl Numbering {
    /// What types alone cannot say; the key and what is wrong with it.
    ///
    /// # Errors
    /// What would make numbers be read wrongly.
    pub fn check(&self) -> Result<(), String> {
        if self.country_code().is_none() {
            return Err(format!(
                "country: {:?} is no country with a numbering plan; write its two letters (ISO 3166-1), such as \"SI\"",
                self.country
            ));
        }
        let is_digits = |text: &str, most: usize| (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        if let Some((at, code)) = self.short_codes.iter().enumerate().find(|(_, code)| !is_digits(code, 15)) {
            return Err(format!("short_codes[{at}]: {code:?} is not 1 to 15 digits"));
        }
        let is_prefix = |prefix: &str| is_digits(prefix.strip_prefix('+').unwrap_or(prefix), 15);
        if let Some((at, prefix)) = self.accept_prefixes.iter().enumerate().find(|(_, prefix)| !is_prefix(prefix)) {
            return Err(format!("accept_prefixes[{at}]: {prefix:?} is not 1 to 15 digits, with or without +"));
        }
        Ok(())
    }

    fn country_code(&self) -> Option<u16> {
        let region: phonenumber::country::Id = self.country.parse().ok()?;
        phonenumber::metadata::DATABASE.by_id(region.as_ref()).map(phonenumber::Metadata::country_code)
    }

    /// The normal form of what somebody typed.
    ///
    /// # Errors
    /// [`NumberError`] says what is wrong; nothing else ever reaches the switch.
    pub fn normalise(&self, typed: &str) -> Result<String, NumberError> {
        let typed = typed.trim_matches(' ');
        if typed.is_empty() {
            return Err(NumberError::Empty);
        }
        if typed.len() > LONGEST {
            return Err(NumberError::TooLong);
        }
        if !typed.chars().enumerate().all(|(i, c)| c.is_ascii_digit() || (c == '+' && i == 0) || matches!(c, ' ' | '(' | ')' | '-' | '/' | '.')) {
            return Err(NumberError::Characters);
        }
        let digits: String = typed.chars().filter(|c| c.is_ascii_digit() || *c == '+').collect();
        if self.short_codes.contains(&digits) {
            return Ok(digits);
        }
        let international = digits.strip_prefix("00").map_or_else(|| digits.clone(), |rest| format!("+{rest}"));
        if self.accept_prefixes.iter().any(|prefix| international.starts_with(prefix.as_str())) && international.len() <= 16 {
            return Ok(international);
        }
        let region = self.country.parse().ok();
        let number = phonenumber::parse(region, &international).map_err(|_| NumberError::NotANumber)?;
        if !phonenumber::is_valid(&number) {
            return Err(NumberError::NotANumber);
        }
        Ok(number.format().mode(phonenumber::Mode::E164).to_string())
    }

    /// Whether a number in normal form belongs to this operator's country: by its country code, or as a short number.
    #[must_use]
    pub fn is_national(&self, number: &str) -> bool {
        !number.starts_with('+') || self.country_prefix().is_some_and(|prefix| number.starts_with(&prefix))
    }

    /// How the international numbers of this operator's country begin, such as `+386`; `None` when the country is not known.
    #[must_use]
    pub fn country_prefix(&self) -> Option<String> {
        self.country_code().map(|code| format!("+{code}"))
    }
}

/// A number for the log: only its last three digits.
pub struct Masked<'a>(pub &'a str);

impl fmt::Display for Masked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tail: String = self.0.chars().rev().take(3).collect();
        write!(f, "…{}", tail.chars().rev().collect::<String>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Numbering {
        Numbering { country: "SI".into(), short_codes: vec!["19819".into()], accept_prefixes: vec!["+386599".into(), "77".into()] }
    }

    #[test]
    fn one_number_in_many_writings() {
        for typed in ["+386 1 309 93 96", "01 309 93 96", "013099396", "00386 1 3099396", "(01) 309-93-96", " 01/309.93.96 "] {
            assert_eq!(plan().normalise(typed).as_deref(), Ok("+38613099396"), "{typed}");
        }
    }

    #[test]
    fn short_and_private_numbers_stay_as_they_are() {
        assert_eq!(plan().normalise("198 19").as_deref(), Ok("19819"));
        assert_eq!(plan().normalise("+386599000001").as_deref(), Ok("+386599000001"));
        assert_eq!(plan().normalise("7712").as_deref(), Ok("7712"));
        assert_eq!(plan().normalise("112"), Err(NumberError::NotANumber), "not listed, not dialled");
    }

    #[test]
    fn what_is_not_a_number_is_refused() {
        for (typed, error) in [
            ("", NumberError::Empty),
            ("   ", NumberError::Empty),
            ("040abc123", NumberError::Characters),
            ("040123456\n", NumberError::Characters),
            ("040\r\nAction: Ping", NumberError::Characters),
            ("040123456,1", NumberError::Characters),
            ("040123456@evil", NumberError::Characters),
            ("${EXTEN}", NumberError::Characters),
            ("1+2", NumberError::Characters),
            ("٠٤٠١٢٣", NumberError::Characters),
            ("+9991234567", NumberError::NotANumber),
            ("0401234567890123456789012345678901234567890", NumberError::TooLong),
        ] {
            assert_eq!(plan().normalise(typed), Err(error), "{typed:?}");
        }
    }

    #[test]
    fn national_numbers_have_the_countrys_code() {
        for (number, national) in [("+38640123456", true), ("19819", true), ("+4366412345678", false), ("+38512345678", false), ("+3", false)] {
            assert_eq!(plan().is_national(number), national, "{number}");
        }
        assert!(!Numbering { country: "XX".into(), ..Numbering::default() }.is_national("+38640123456"));
    }

    #[test]
    fn a_plan_that_would_misread_numbers_is_refused() {
        assert_eq!(plan().check(), Ok(()));
        assert_eq!(Numbering::default().check(), Ok(()));
        for (wrong, key) in [
            (Numbering { country: "Slovenia".into(), ..plan() }, "country: "),
            (Numbering { country: String::new(), ..plan() }, "country: "),
            (Numbering { country: "si".into(), ..plan() }, "country: "),
            (Numbering { short_codes: vec!["19819".into(), "*98".into()], ..plan() }, "short_codes[1]: "),
            (Numbering { accept_prefixes: vec![String::new()], ..plan() }, "accept_prefixes[0]: "),
            (Numbering { accept_prefixes: vec!["+".into()], ..plan() }, "accept_prefixes[0]: "),
            (Numbering { accept_prefixes: vec!["386 1".into()], ..plan() }, "accept_prefixes[0]: "),
        ] {
            let refused = wrong.check().expect_err(key);
            assert!(refused.starts_with(key), "{refused}");
        }
    }

    #[test]
    fn the_log_shows_three_digits() {
        assert_eq!(Masked("+38640123456").to_string(), "…456");
        assert_eq!(Masked("").to_string(), "…");
    }
}
