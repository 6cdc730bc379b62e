//! The checks of fields that people fill in. All errors of a request are gathered, so that a form can show them at once.

use jiff::Timestamp;

use super::problem::{FieldError, Problem};
use super::state::AppState;
use crate::numbers::NumberError;
use crate::runtime::Limits;

/// The longest title and name, in characters.
pub const NAME_LENGTH: usize = 200;
/// The longest note, in characters.
pub const NOTE_LENGTH: usize = 2000;
/// The longest e-mail address, in characters (RFC 5321 §4.5.3.1.3 less the angle brackets).
const EMAIL_LENGTH: usize = 254;
/// The most errors that are told at once.
const MOST_ERRORS: usize = 50;

/// Gathers what is wrong with a request's fields.
#[derive(Default)]
pub struct Checks {
    errors: Vec<FieldError>,
    /// What the account may call; without it what the operator lets everybody call.
    limits: Option<Limits>,
}

impl Checks {
    /// Checks within the limits of one account.
    #[must_use]
    pub fn within(limits: Limits) -> Self {
        Self { limits: Some(limits), ..Self::default() }
    }

    /// Notes an error.
    pub fn refuse(&mut self, field: impl Into<String>, code: &str, message: impl Into<String>) {
        if self.errors.len() < MOST_ERRORS {
            self.errors.push(FieldError { field: field.into(), code: code.into(), message: message.into() });
        }
    }

    /// Whether nothing was wrong so far.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.errors.is_empty()
    }

    /// What was wrong.
    #[must_use]
    pub fn into_errors(self) -> Vec<FieldError> {
        self.errors
    }

    /// Goes on only if nothing was wrong.
    ///
    /// # Errors
    /// All that was wrong.
    pub fn done(self) -> Result<(), Problem> {
        if self.errors.is_empty() { Ok(()) } else { Err(Problem::fields(self.errors)) }
    }

    /// A title or name: one line, not empty.
    pub fn name(&mut self, field: &str, text: &str) -> String {
        let text = text.trim();
        if text.is_empty() {
            self.refuse(field, "required", "this is needed");
        }
        self.text(field, text, NAME_LENGTH, false);
        text.to_owned()
    }

    /// A note: several lines; nothing when it is blank.
    pub fn note(&mut self, field: &str, text: Option<&str>) -> Option<String> {
        let text = text?.trim().replace("\r\n", "\n");
        self.text(field, &text, NOTE_LENGTH, true);
        (!text.is_empty()).then_some(text)
    }

    fn text(&mut self, field: &str, text: &str, longest: usize, lines: bool) {
        if text.chars().count() > longest {
            self.refuse(field, "too_long", format!("at most {longest} characters"));
        }
        if text.chars().any(|c| c.is_control() && !(lines && matches!(c, '\n' | '\t'))) {
            self.refuse(field, "control_character", "control characters are not allowed");
        }
    }

    /// An e-mail address; nothing when it is blank.
    pub fn email(&mut self, field: &str, text: Option<&str>) -> Option<String> {
        let text = text?.trim();
        if text.is_empty() {
            return None;
        }
        if text.chars().count() > EMAIL_LENGTH {
            self.refuse(field, "too_long", format!("at most {EMAIL_LENGTH} characters"));
        } else if !is_email(text) {
            self.refuse(field, "invalid_email", "this is not an e-mail address");
        }
        Some(text.to_owned())
    }

    /// The address of an account's own: its reports go there.
    pub fn own_email(&mut self, field: &str, text: &str) -> String {
        self.email(field, Some(text)).unwrap_or_else(|| {
            self.refuse(field, "required", "the report goes there");
            String::new()
        })
    }

    /// A time zone (IANA name), in the database's own spelling.
    pub fn time_zone(&mut self, field: &str, name: &str) -> String {
        zone_name(name).unwrap_or_else(|| {
            self.refuse(field, "invalid", "there is no such time zone");
            String::new()
        })
    }

    /// A time to look from or up to. What is before 1970 is a slip, and the database's times do not reach back to all that can be written.
    pub fn time(&mut self, field: &str, at: Option<Timestamp>) {
        if at.is_some_and(|at| at < Timestamp::UNIX_EPOCH) {
            self.refuse(field, "out_of_range", "a time in the years 1970 to 9999");
        }
    }

    /// A telephone number in normal form.
    pub fn phone(&mut self, state: &AppState, field: &str, typed: &str) -> Option<String> {
        match state.numbering.normalise(typed) {
            Ok(number) => Some(number),
            Err(error) => {
                let code = match error {
                    NumberError::Empty => "required",
                    NumberError::TooLong => "too_long",
                    _ => "invalid_number",
                };
                self.refuse(field, code, error.to_string());
                None
            }
        }
    }

    /// A telephone number that is to be called: in normal form and allowed (R13).
    pub fn callable(&mut self, state: &AppState, field: &str, typed: &str) -> Option<String> {
        let number = self.phone(state, field, typed)?;
        self.allowed(state, field, &number).then_some(number)
    }

    /// Whether a number in normal form may be called (R13).
    pub fn allowed(&mut self, state: &AppState, field: &str, number: &str) -> bool {
        let allowed = self.limits.as_ref().map_or_else(|| state.rules.allows(number), |limits| limits.allows(number));
        if !allowed {
            self.refuse(field, "not_allowed", "calls to this number are not allowed");
        }
        allowed
    }
}

/// The name of a time zone as the IANA database spells it; looked up without regard to case. `Etc/Unknown` is not one of its names.
pub(super) fn zone_name(name: &str) -> Option<String> {
    let zone = jiff::tz::TimeZone::get(name).ok().filter(|_| name.len() <= 64)?;
    zone.iana_name().map(str::to_owned)
}

/// Whether mail can be sent there. The strictness is the mail library's, and what could be taken for more than one address is refused too.
fn is_email(text: &str) -> bool {
    !text.chars().any(|c| c.is_control() || c.is_whitespace() || matches!(c, ',' | ';' | '<' | '>' | '"' | '\\' | '(' | ')'))
        && text.rsplit_once('@').is_some_and(|(_, domain)| domain.contains('.') || domain == "localhost")
        && text.parse::<lettre::Address>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_what_is_none() {
        for good in ["ana@example.test", "a.b+c@sub.example.si", "žiga@example.si", "ana@xn--bcher-kva.example"] {
            assert!(is_email(good), "{good}");
        }
        for bad in [
            "ana",
            "@example.test",
            "ana@",
            "ana@x",
            "a b@example.test",
            "a@b@example.test",
            "a@example.test,b@example.test",
            "a@example.test\nBcc: x@y.si",
            "<a@example.test>",
            "a@-",
            "a@.si",
        ] {
            assert!(!is_email(bad), "{bad}");
        }
    }

    #[test]
    fn time_zones_are_kept_as_they_are_spelt() {
        for (typed, kept) in [
            ("Europe/Ljubljana", Some("Europe/Ljubljana")),
            ("europe/ljubljana", Some("Europe/Ljubljana")),
            ("utc", Some("UTC")),
            ("Etc/Unknown", None),
            ("etc/unknown", None),
            ("Mars/Olympus", None),
            ("", None),
        ] {
            assert_eq!(zone_name(typed).as_deref(), kept, "{typed}");
        }
    }

    #[test]
    fn texts_are_data() {
        let mut checks = Checks::default();
        for good in ["Ana", "<img src=x onerror=alert(1)>", "Žiga Čopič", "Анна 🎉", "a\u{202e}b"] {
            assert_eq!(checks.name("name", good), good);
        }
        assert_eq!(checks.note("note", Some(" ena\r\ndve ")), Some("ena\ndve".into()));
        assert!(checks.is_clean());
        let bad = ["a\0b", "a\nb", "a\u{7}b", "a\u{7f}b", "a\u{85}b"];
        for bad in bad {
            checks.name("name", bad);
        }
        checks.name("name", "  ");
        checks.name("name", &"č".repeat(201));
        checks.note("note", Some("a\0b"));
        let codes: Vec<String> = checks.into_errors().into_iter().map(|error| error.code).collect();
        assert_eq!(codes[..bad.len()], vec!["control_character"; bad.len()]);
        assert_eq!(codes[bad.len()..], ["required", "too_long", "control_character"]);
    }
}
