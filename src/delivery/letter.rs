//! A mail to a participant: the same words as plain text and as HTML, under the operator's name.

use std::sync::OnceLock;

use minijinja::Environment;
use minijinja::value::Serde;
use serde::{Deserialize, Serialize};

use crate::pbx::Language;
use crate::report::Words;

/// Section `[branding]`: under whose name messages go out.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Branding {
    /// The service's name.
    pub name: String,
    /// Colour of the name in mails, as `#rrggbb`.
    pub colour: String,
    /// A closing line, such as how to reach the operator; none if empty.
    pub footer: String,
}

impl Default for Branding {
    fn default() -> Self {
        Self { name: "Sklic".to_owned(), colour: "#0b5862".to_owned(), footer: String::new() }
    }
}

impl Branding {
    /// What types alone cannot say.
    ///
    /// # Errors
    /// The key, and what is wrong with it.
    pub fn check(&self) -> Result<(), String> {
        let one_line = |text: &str, longest: usize| text.chars().count() <= longest && !text.chars().any(char::is_control);
        if self.name.trim().is_empty() || !one_line(&self.name, 100) {
            return Err("name: one line of at most 100 characters".to_owned());
        }
        if !one_line(&self.footer, 300) {
            return Err("footer: one line of at most 300 characters".to_owned());
        }
        let digits = self.colour.strip_prefix('#').unwrap_or_default();
        if digits.len() != 6 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err("colour: must be # and six hexadecimal digits".to_owned());
        }
        Ok(())
    }
}

/// What a mail says.
#[derive(Clone, Debug)]
pub struct Letter<'a> {
    /// The language of the words around the text.
    pub language: Language,
    /// The subject.
    pub subject: &'a str,
    /// The heading.
    pub heading: &'a str,
    /// The text, as the convener wrote it.
    pub text: &'a str,
    /// Facts in order: what, and how it is.
    pub facts: &'a [(String, String)],
    /// Who sends it.
    pub convener: &'a str,
}

/// What the template fills in.
#[derive(Serialize)]
struct Page<'a> {
    language: &'a str,
    subject: &'a str,
    heading: &'a str,
    paragraphs: Vec<Vec<&'a str>>,
    facts: &'a [(String, String)],
    brand: &'a str,
    colour: &'a str,
    footer: Vec<String>,
}

impl Letter<'_> {
    /// The plain-text part.
    #[must_use]
    pub fn text(&self, branding: &Branding) -> String {
        let mut lines = vec![self.heading.to_owned(), String::new()];
        if !self.text.is_empty() {
            lines.extend([self.text.to_owned(), String::new()]);
        }
        if !self.facts.is_empty() {
            lines.extend(self.facts.iter().map(|(what, how)| format!("{what}: {how}")));
            lines.push(String::new());
        }
        lines.extend(self.footer(branding));
        lines.push(String::new());
        lines.join("\n")
    }

    /// The HTML part.
    #[must_use]
    pub fn html(&self, branding: &Branding) -> String {
        let paragraphs = self.text.split("\n\n").filter(|part| !part.trim().is_empty()).map(|part| part.lines().collect()).collect();
        let page = Page {
            language: self.language.code(),
            subject: self.subject,
            heading: self.heading,
            paragraphs,
            facts: self.facts,
            brand: &branding.name,
            colour: &branding.colour,
            footer: self.footer(branding),
        };
        let template = template().get_template("letter.html").expect("the template is compiled in, and a test renders it");
        // What is filled in is turned into plain data first, so that nothing borrowed is kept.
        let page = minijinja::Value::from(Serde(serde_json::to_value(page).unwrap_or_default()));
        template.render(page).expect("what is filled in is plain data, and a test renders it")
    }

    fn footer(&self, branding: &Branding) -> Vec<String> {
        let words = Words::of(self.language);
        let sent_by = words.with("letter-sent-by", &[("convener", self.convener.into()), ("brand", branding.name.as_str().into())]);
        std::iter::once(sent_by).chain(Some(branding.footer.clone()).filter(|footer| !footer.is_empty())).collect()
    }
}

fn template() -> &'static Environment<'static> {
    static TEMPLATE: OnceLock<Environment<'static>> = OnceLock::new();
    TEMPLATE.get_or_init(|| {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
        environment.add_template("letter.html", include_str!("templates/letter.html")).expect("the template is compiled in, and a test renders it");
        environment
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_the_same_in_both_parts_and_escaped_in_one() {
        let facts = [("Ura".to_owned(), "9.00".to_owned())];
        let letter = Letter {
            language: Language::Sl,
            subject: "Sestanek",
            heading: "Sestanek <b>uprave</b>",
            text: "Živjo Ana,\nse slišimo?\n\n<script>alert(1)</script>",
            facts: &facts,
            convener: "Bor & Čeh",
        };
        let branding = Branding { footer: "Pomoč: 19819".into(), ..Branding::default() };
        let (text, html) = (letter.text(&branding), letter.html(&branding));
        for words in ["Živjo Ana,\nse slišimo?", "<script>", "Ura: 9.00", "Bor & Čeh", "Pomoč: 19819"] {
            assert!(text.contains(words), "{words}: {text}");
        }
        for words in ["Živjo Ana,<br>se slišimo?", "&lt;script&gt;", "Bor &amp; Čeh", "Pomoč: 19819", "lang=\"sl\"", "&lt;b&gt;uprave"] {
            assert!(html.contains(words), "{words}: {html}");
        }
        assert!(!html.contains("<script>"));
    }

    #[test]
    fn branding_is_checked() {
        assert_eq!(Branding::default().check(), Ok(()));
        for bad in [
            Branding { name: " ".into(), ..Branding::default() },
            Branding { colour: "red;background:url(x)".into(), ..Branding::default() },
            Branding { footer: "a\r\nb".into(), ..Branding::default() },
        ] {
            assert!(bad.check().is_err());
        }
    }
}
