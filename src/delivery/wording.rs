//! A convener's text with placeholders, such as `Dobimo se {date} ob {time}`.
//!
//! What is put in is never read again: a name that looks like a placeholder stays a name.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a text may leave to be filled in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Placeholder {
    /// The person's name.
    Name,
    /// The conference's title.
    Title,
    /// The convener's name.
    Convener,
    /// The day for which the conference is planned.
    Date,
    /// The time for which it is planned.
    Time,
    /// The access number that fits this person's network.
    AccessNumber,
    /// The person's own code.
    Code,
}

impl Placeholder {
    /// All of them.
    pub const ALL: [Self; 7] = [Self::Name, Self::Title, Self::Convener, Self::Date, Self::Time, Self::AccessNumber, Self::Code];

    /// As it is written between the braces.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Title => "title",
            Self::Convener => "convener",
            Self::Date => "date",
            Self::Time => "time",
            Self::AccessNumber => "access_number",
            Self::Code => "code",
        }
    }
}

impl fmt::Display for Placeholder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{}}}", self.word())
    }
}

/// Why a text cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WordingError {
    /// There is no such placeholder.
    #[error("there is no placeholder {{{0}}}; there are {{name}}, {{title}}, {{convener}}, {{date}}, {{time}}, {{access_number}} and {{code}}")]
    Unknown(String),
    /// A brace stands alone.
    #[error("a brace stands alone; write {{{{ or }}}} to have one in the text")]
    Brace,
}

/// A text that was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wording(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Slot(Placeholder),
}

/// What one person's placeholders stand for; what there is none of is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Values {
    /// The person's name.
    pub name: String,
    /// The conference's title.
    pub title: String,
    /// The convener's name.
    pub convener: String,
    /// The day, in words.
    pub date: Option<String>,
    /// The time of day.
    pub time: Option<String>,
    /// The access number.
    pub access_number: Option<String>,
    /// The person's code.
    pub code: Option<String>,
}

impl Values {
    /// What a placeholder stands for.
    #[must_use]
    pub fn of(&self, placeholder: Placeholder) -> Option<&str> {
        match placeholder {
            Placeholder::Name => Some(&self.name),
            Placeholder::Title => Some(&self.title),
            Placeholder::Convener => Some(&self.convener),
            Placeholder::Date => self.date.as_deref(),
            Placeholder::Time => self.time.as_deref(),
            Placeholder::AccessNumber => self.access_number.as_deref(),
            Placeholder::Code => self.code.as_deref(),
        }
    }
}

impl Wording {
    /// Reads a text.
    ///
    /// # Errors
    /// [`WordingError`] names the first thing that is wrong.
    pub fn parse(text: &str) -> Result<Self, WordingError> {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, brace) = rest.split_at(at);
            plain.push_str(before);
            if let Some(after) = brace.strip_prefix("{{") {
                plain.push('{');
                rest = after;
            } else if let Some(after) = brace.strip_prefix("}}") {
                plain.push('}');
                rest = after;
            } else {
                let (word, after) = brace.strip_prefix('{').and_then(|inner| inner.split_once('}')).ok_or(WordingError::Brace)?;
                if word.contains('{') {
                    return Err(WordingError::Brace);
                }
                let known = Placeholder::ALL.into_iter().find(|placeholder| placeholder.word() == word.trim());
                // What somebody wrote is repeated to him only in part.
                let slot = known.ok_or_else(|| WordingError::Unknown(word.chars().take(40).collect()))?;
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
                pieces.push(Piece::Slot(slot));
                rest = after;
            }
        }
        plain.push_str(rest);
        pieces.push(Piece::Text(plain));
        Ok(Self(pieces))
    }

    /// A text in which nothing is left to be filled in, whatever it holds.
    #[must_use]
    pub fn plain(text: String) -> Self {
        Self(vec![Piece::Text(text)])
    }

    /// The placeholders that the text uses, each once.
    #[must_use]
    pub fn placeholders(&self) -> Vec<Placeholder> {
        let slots = |piece: &Piece| if let Piece::Slot(slot) = piece { Some(*slot) } else { None };
        let mut used: Vec<Placeholder> = self.0.iter().filter_map(slots).collect();
        used.sort_unstable();
        used.dedup();
        used
    }

    /// The placeholders for which a person has nothing.
    #[must_use]
    pub fn lacking(&self, values: &Values) -> Vec<Placeholder> {
        self.placeholders().into_iter().filter(|placeholder| values.of(*placeholder).is_none()).collect()
    }

    /// The text for one person; what is lacking shows as its placeholder.
    #[must_use]
    pub fn fill(&self, values: &Values) -> String {
        let mut text = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(plain) => text.push_str(plain),
                Piece::Slot(slot) => match values.of(*slot) {
                    Some(value) => text.push_str(value),
                    None => text.push_str(&slot.to_string()),
                },
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values() -> Values {
        Values { name: "Žiga {code}".into(), title: "Uprava".into(), convener: "Ana".into(), code: Some("1234".into()), ..Values::default() }
    }

    #[test]
    fn every_placeholder_can_be_written() {
        for placeholder in Placeholder::ALL {
            assert_eq!(Wording::parse(&placeholder.to_string()).unwrap().placeholders(), [placeholder]);
        }
    }

    #[test]
    fn what_is_filled_in_is_not_read_again() {
        let wording = Wording::parse("{{ {name} }} {title}: {code}{code}").unwrap();
        assert_eq!(wording.fill(&values()), "{ Žiga {code} } Uprava: 12341234");
        assert_eq!(wording.placeholders(), [Placeholder::Name, Placeholder::Title, Placeholder::Code]);
    }

    #[test]
    fn what_is_lacking_is_told() {
        let wording = Wording::parse("{date} {name} {time} {date}").unwrap();
        assert_eq!(wording.lacking(&values()), [Placeholder::Date, Placeholder::Time]);
        assert_eq!(wording.fill(&values()), "{date} Žiga {code} {time} {date}");
    }

    #[test]
    fn wrong_texts_are_refused() {
        assert_eq!(Wording::parse("Živjo {ime}"), Err(WordingError::Unknown("ime".into())));
        assert_eq!(Wording::parse("{}"), Err(WordingError::Unknown(String::new())));
        for text in ["{", "a } b", "{name", "{na{me}", "{{name}"] {
            assert_eq!(Wording::parse(text), Err(WordingError::Brace), "{text}");
        }
    }
}
