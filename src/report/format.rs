//! Amounts, times and foreign text in the forms of the account's language.

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use phonenumber::Mode;

use super::words::Words;
use crate::billing::{Currency, Money, Percent};
use crate::pbx::Language;

/// The longest name or title that is shown, in characters.
pub const LONGEST: usize = 120;

/// Foreign text that can be shown in a line: no control characters, no direction overrides, no invisible filling, not too long.
///
/// Line breaks and tabs become spaces; letters of every script and emoji stay, also those that are joined of several characters.
#[must_use]
pub fn clean(text: &str) -> String {
    shorten(text, LONGEST)
}

/// Like [`clean`], with a limit of its own.
#[must_use]
pub fn shorten(text: &str, longest: usize) -> String {
    let mut line = String::new();
    let mut count = 0;
    // A name of 10 kB is not read to its end; combining marks piled up on one letter count as characters too.
    for character in text.chars().take(longest * 4) {
        let character = match character {
            '\u{2028}' | '\u{2029}' => ' ',
            character if character.is_whitespace() => ' ',
            character if character.is_control() || is_invisible(character) => continue,
            character => character,
        };
        if character == ' ' && (line.is_empty() || line.ends_with(' ')) {
            continue;
        }
        if count == longest {
            line.truncate(line.trim_end().len());
            line.push('…');
            return line;
        }
        line.push(character);
        count += 1;
    }
    line.truncate(line.trim_end().len());
    line
}

/// Characters that change what stands around them without being seen: direction marks, embeddings, overrides and isolates
/// (Unicode Bidirectional Algorithm), zero-width spaces, tags, byte-order marks, interlinear annotation.
fn is_invisible(character: char) -> bool {
    matches!(character,
        '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}' | '\u{00ad}' | '\u{180e}'
        // Not characters at all, and not allowed in XML.
        | '\u{fffe}' | '\u{ffff}')
}

/// A number as people write it: `+386 1 555 02 11`; short numbers and what is no number as they are.
#[must_use]
pub fn number(number: &str) -> String {
    let number = shorten(number, 40);
    let digits = number.strip_prefix('+').unwrap_or_default();
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return number;
    }
    match phonenumber::parse(None, &number) {
        Ok(parsed) => parsed.format().mode(Mode::International).to_string(),
        Err(_) => number,
    }
}

/// The forms of one report: language, time zone, currency, and how many decimals its amounts need.
pub struct Format {
    /// The words.
    pub words: &'static Words,
    zone: TimeZone,
    currency: Currency,
    decimals: usize,
    base: Option<Zoned>,
}

impl Format {
    /// The forms of a report whose amounts are `amounts` and whose times begin at `start`.
    ///
    /// Amounts have two decimals when all are whole cents, else four, so that columns add up to the last digit.
    pub fn new(language: Language, zone: TimeZone, currency: Currency, start: Option<Timestamp>, mut amounts: impl Iterator<Item = Money>) -> Self {
        let decimals = if amounts.all(|amount| amount.0 % 100 == 0) { 2 } else { 4 };
        let base = start.map(|start| start.to_zoned(zone.clone()));
        Self { words: Words::of(language), zone, currency, decimals, base }
    }

    fn marks(&self) -> (&'static str, &'static str) {
        match self.words.language() {
            Language::Sl => (".", ","),
            Language::En => (",", "."),
        }
    }

    /// The exact amount with its currency: `1.234,56 €`, `€1,234.56`.
    pub fn amount(&self, amount: Money) -> String {
        self.with_currency(i128::from(amount.0), self.decimals)
    }

    /// The amount in whole cents with its currency, for a headline.
    pub fn cents(&self, amount: Money) -> String {
        self.with_currency(i128::from(amount.cents()) * 100, 2)
    }

    fn with_currency(&self, parts: i128, decimals: usize) -> String {
        let sign = if parts < 0 { "−" } else { "" };
        let digits = self.grouped(parts.unsigned_abs(), decimals);
        match (self.words.language(), self.currency) {
            (Language::Sl, Currency::EUR) => format!("{sign}{digits}\u{a0}€"),
            (Language::Sl, other) => format!("{sign}{digits}\u{a0}{other}"),
            (Language::En, Currency::EUR) => format!("{sign}€{digits}"),
            (Language::En, other) => format!("{sign}{other}\u{a0}{digits}"),
        }
    }

    fn grouped(&self, parts: u128, decimals: usize) -> String {
        let (group, point) = self.marks();
        let whole = (parts / 10_000).to_string();
        let mut digits = String::new();
        for (place, digit) in whole.chars().enumerate() {
            if place > 0 && (whole.len() - place).is_multiple_of(3) {
                digits.push_str(group);
            }
            digits.push(digit);
        }
        let fraction = format!("{:04}", parts % 10_000);
        format!("{digits}{point}{}", &fraction[..decimals.min(4)])
    }

    /// The exact amount for a spreadsheet: no currency, no groups, the language's decimal mark.
    pub fn bare_amount(&self, amount: Money) -> String {
        let (_, point) = self.marks();
        let sign = if amount.0 < 0 { "-" } else { "" };
        let parts = amount.0.unsigned_abs();
        format!("{sign}{}{point}{:04}", parts / 10_000, parts % 10_000)
    }

    /// A percentage with its sign: `9,5 %`, `9.5%`.
    pub fn percent(&self, percent: Percent) -> String {
        let (_, point) = self.marks();
        let digits = percent.to_string().replace('.', point);
        match self.words.language() {
            Language::Sl => format!("{digits}\u{a0}%"),
            Language::En => format!("{digits}%"),
        }
    }

    /// The moment in the account's time zone.
    pub fn local(&self, at: Timestamp) -> Zoned {
        at.to_zoned(self.zone.clone())
    }

    /// The time of day, `10:00:12`; with day and month when it is another day than that on which the conference began.
    pub fn time(&self, at: Timestamp) -> String {
        let local = self.local(at);
        let time = local.strftime("%H:%M:%S");
        match &self.base {
            Some(base) if base.date() != local.date() => format!("{time} ({})", self.day(&local)),
            _ => time.to_string(),
        }
    }

    /// Hours and minutes, `10:00`.
    pub fn clock(&self, at: Timestamp) -> String {
        self.local(at).strftime("%H:%M").to_string()
    }

    /// Day and month: `22. 11.`, `22 Nov`.
    fn day(&self, local: &Zoned) -> String {
        match self.words.language() {
            Language::Sl => local.strftime("%-d. %-m.").to_string(),
            Language::En => local.strftime("%-d %b").to_string(),
        }
    }

    /// The short date: `22. 11. 2026`, `22 Nov 2026`.
    pub fn date(&self, at: Timestamp) -> String {
        let local = self.local(at);
        format!("{} {}", self.day(&local), local.year())
    }

    /// The date in words: `nedelja, 22. november 2026`, `Sunday, 22 November 2026`.
    pub fn long_date(&self, at: Timestamp) -> String {
        let local = self.local(at);
        let weekday = self.words.with("weekday", &[("day", i64::from(local.weekday().to_monday_one_offset()).into())]);
        let month = self.words.with("month", &[("month", i64::from(local.month()).into())]);
        let (day, year) = (local.day().to_string(), local.year().to_string());
        self.words.with(
            "long-date",
            &[("weekday", weekday.as_str().into()), ("day", day.as_str().into()), ("month", month.as_str().into()), ("year", year.as_str().into())],
        )
    }

    /// Date and time for a spreadsheet: `2026-11-22 10:00:12`.
    pub fn sortable(&self, at: Timestamp) -> String {
        self.local(at).strftime("%Y-%m-%d %H:%M:%S").to_string()
    }
}

/// A length of time as `h:mm:ss`.
#[must_use]
pub fn duration(seconds: i64) -> String {
    let sign = if seconds < 0 { "−" } else { "" };
    let seconds = seconds.unsigned_abs();
    format!("{sign}{}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(language: Language, amounts: &[i64]) -> Format {
        let zone = TimeZone::get("Europe/Ljubljana").unwrap();
        let start = "2026-11-22T09:00:00Z".parse().ok();
        Format::new(language, zone, Currency::EUR, start, amounts.iter().copied().map(Money))
    }

    #[test]
    fn amounts_have_the_marks_of_the_language_and_decimals_that_add_up() {
        let (sl, en) = (format(Language::Sl, &[100]), format(Language::En, &[100]));
        assert_eq!(sl.amount(Money(12_345_600)), "1.234,56\u{a0}€");
        assert_eq!(en.amount(Money(12_345_600)), "€1,234.56");
        assert_eq!(en.amount(Money(-12_345_678_900)), "−€1,234,567.89");
        assert_eq!(sl.amount(Money(0)), "0,00\u{a0}€");
        let fine = format(Language::Sl, &[100, 1]);
        assert_eq!(fine.amount(Money(1)), "0,0001\u{a0}€");
        assert_eq!(fine.cents(Money(12_350)), "1,24\u{a0}€");
        assert_eq!(fine.amount(Money(i64::MIN)), "−922.337.203.685.477,5808\u{a0}€");
        assert_eq!((sl.bare_amount(Money(-12_345)), en.bare_amount(Money(12_345))), ("-1,2345".into(), "1.2345".into()));
        assert_eq!((sl.percent(Percent(950)), en.percent(Percent(2_200))), ("9,5\u{a0}%".into(), "22%".into()));
    }

    #[test]
    fn times_are_local_and_another_day_is_told() {
        let (sl, en) = (format(Language::Sl, &[]), format(Language::En, &[]));
        let at = "2026-11-22T09:00:12.9Z".parse().unwrap();
        assert_eq!((sl.time(at), sl.clock(at), sl.date(at)), ("10:00:12".into(), "10:00".into(), "22. 11. 2026".into()));
        assert_eq!(sl.long_date(at), "nedelja, 22. november 2026");
        assert_eq!(en.long_date(at), "Sunday, 22 November 2026");
        assert_eq!(en.date(at), "22 Nov 2026");
        let next_day = "2026-11-22T23:00:01Z".parse().unwrap();
        assert_eq!(sl.time(next_day), "00:00:01 (23. 11.)");
        assert_eq!(en.time(next_day), "00:00:01 (23 Nov)");
        let summer = "2026-07-01T09:00:00Z".parse().unwrap();
        assert_eq!(sl.sortable(summer), "2026-07-01 11:00:00");
        assert_eq!(
            (duration(0), duration(59), duration(3_661), duration(360_000)),
            ("0:00:00".into(), "0:00:59".into(), "1:01:01".into(), "100:00:00".into())
        );
    }

    #[test]
    fn foreign_text_becomes_one_harmless_line() {
        for (text, shown) in [
            ("Ana Kovač", "Ana Kovač"),
            ("  Ana\r\n\tKovač\u{0} ", "Ana Kovač"),
            ("Bcc: x\u{2028}y", "Bcc: x y"),
            ("evil\u{202e}gpj.exe\u{202c}", "evilgpj.exe"),
            ("\u{1b}[31mred", "[31mred"),
            ("Дарья Иванова", "Дарья Иванова"),
            ("👩‍👩‍👧 🇸🇮", "👩‍👩‍👧 🇸🇮"),
            ("\u{feff}\u{200b}\u{e0041}", ""),
            ("<img src=x onerror=alert(1)>", "<img src=x onerror=alert(1)>"),
        ] {
            assert_eq!(clean(text), shown, "{text:?}");
        }
        let long = clean(&"č".repeat(10_000));
        assert_eq!(long.chars().count(), LONGEST + 1);
        assert!(long.ends_with('…'));
        assert_eq!(clean(&"č".repeat(LONGEST)).chars().count(), LONGEST);
    }

    #[test]
    fn numbers_read_as_people_write_them() {
        for (raw, shown) in [
            ("+38615550211", "+386 1 555 02 11"),
            ("+38640123456", "+386 40 123 456"),
            ("19819", "19819"),
            ("anonymous", "anonymous"),
            ("+", "+"),
            ("", ""),
            ("+386<b>", "+386<b>"),
        ] {
            assert_eq!(number(raw), shown, "{raw}");
        }
        let unknown = number("+999555010203");
        assert_eq!(unknown.chars().filter(char::is_ascii_digit).collect::<String>(), "999555010203", "{unknown}");
    }
}
