//! Words in the account's language, from `locales/*.ftl` (Project Fluent), compiled into the binary.

use std::borrow::Cow;
use std::sync::OnceLock;

use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource, FluentValue};
use unic_langid::LanguageIdentifier;

use crate::pbx::Language;

/// The words of one language.
pub struct Words {
    language: Language,
    bundle: FluentBundle<FluentResource>,
}

/// What goes into a sentence.
#[derive(Clone, Copy, Debug)]
pub enum Amount<'a> {
    /// A number, which also decides the form of the words around it.
    Count(i64),
    /// A text, taken as it is.
    Text(&'a str),
}

impl From<i64> for Amount<'_> {
    fn from(count: i64) -> Self {
        Self::Count(count)
    }
}

impl From<usize> for Amount<'_> {
    fn from(count: usize) -> Self {
        Self::Count(i64::try_from(count).unwrap_or(i64::MAX))
    }
}

impl<'a> From<&'a str> for Amount<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl Words {
    /// The words of a language.
    #[must_use]
    pub fn of(language: Language) -> &'static Self {
        static SLOVENE: OnceLock<Words> = OnceLock::new();
        static ENGLISH: OnceLock<Words> = OnceLock::new();
        let (cell, source) = match language {
            Language::Sl => (&SLOVENE, include_str!("../../locales/sl.ftl")),
            Language::En => (&ENGLISH, include_str!("../../locales/en.ftl")),
        };
        cell.get_or_init(|| Self::read(language, source))
    }

    fn read(language: Language, source: &str) -> Self {
        // A message that cannot be read is left out and shows as its identifier; a test finds that there is none.
        let resource = FluentResource::try_new(source.to_owned()).unwrap_or_else(|(resource, _)| resource);
        let id: LanguageIdentifier = language.code().parse().unwrap_or_default();
        let mut bundle = FluentBundle::new_concurrent(vec![id]);
        // Names are isolated where they are shown, by markup; invisible characters in a CSV or a subject would do harm.
        bundle.set_use_isolating(false);
        bundle.add_resource_overriding(resource);
        Self { language, bundle }
    }

    /// The language.
    #[must_use]
    pub fn language(&self) -> Language {
        self.language
    }

    /// The words of a message; its identifier when there is none.
    #[must_use]
    pub fn text(&self, id: &str) -> String {
        self.with(id, &[])
    }

    /// The words of a message around these amounts and texts; its identifier when there is none.
    #[must_use]
    pub fn with(&self, id: &str, arguments: &[(&str, Amount)]) -> String {
        self.find(id, arguments).unwrap_or_else(|| id.to_owned())
    }

    /// The words of a message, or `None` when there is none.
    #[must_use]
    pub fn find(&self, id: &str, arguments: &[(&str, Amount)]) -> Option<String> {
        let pattern = self.bundle.get_message(id)?.value()?;
        let mut given = FluentArgs::new();
        for (name, amount) in arguments {
            let value = match amount {
                Amount::Count(count) => FluentValue::from(*count),
                Amount::Text(text) => FluentValue::String(Cow::Borrowed(text)),
            };
            given.set(*name, value);
        }
        let mut errors = Vec::new();
        let text = self.bundle.format_pattern(pattern, Some(&given), &mut errors);
        Some(text.into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    /// The identifiers of a file, in order.
    fn ids(source: &str) -> Vec<&str> {
        let is_message = |line: &&str| line.starts_with(|first: char| first.is_ascii_alphabetic());
        source.lines().filter(is_message).filter_map(|line| line.split(" =").next()).collect()
    }

    const SOURCES: [(Language, &str); 2] =
        [(Language::Sl, include_str!("../../locales/sl.ftl")), (Language::En, include_str!("../../locales/en.ftl"))];

    #[test]
    fn both_languages_have_the_same_messages_and_every_one_can_be_read() {
        let [(_, slovene), (_, english)] = SOURCES;
        assert_eq!(ids(slovene), ids(english));
        for (language, source) in SOURCES {
            if let Err((_, errors)) = FluentResource::try_new(source.to_owned()) {
                panic!("{}.ftl: {errors:?}", language.code());
            }
            let words = Words::of(language);
            let all = ids(source);
            let mut once = all.clone();
            once.sort_unstable();
            once.dedup();
            assert_eq!(all.len(), once.len(), "{}.ftl has a message twice", language.code());
            for id in all {
                assert!(words.find(id, &[]).is_some_and(|text| !text.is_empty()), "{}.ftl: {id}", language.code());
            }
        }
    }

    #[test]
    fn slovene_counts_in_four_forms() {
        let words = Words::of(Language::Sl);
        for (count, text) in [
            (0_i64, "0 udeležencev"),
            (1, "1 udeleženec"),
            (2, "2 udeleženca"),
            (3, "3 udeleženci"),
            (4, "4 udeleženci"),
            (5, "5 udeležencev"),
            (11, "11 udeležencev"),
            (100, "100 udeležencev"),
            (101, "101 udeleženec"),
            (102, "102 udeleženca"),
            (103, "103 udeleženci"),
            (112, "112 udeležencev"),
        ] {
            assert_eq!(words.with("participants-count", &[("count", count.into())]), text);
        }
        let english = |count: i64| Words::of(Language::En).with("participants-count", &[("count", count.into())]);
        assert_eq!([english(1), english(2)], ["1 participant", "2 participants"]);
    }

    #[test]
    fn an_unknown_message_shows_its_identifier() {
        assert_eq!(Words::of(Language::En).text("no-such-thing"), "no-such-thing");
        assert_eq!(Words::of(Language::En).find("no-such-thing", &[]), None);
    }
}
