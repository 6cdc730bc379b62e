//! How a text goes into short messages: the alphabet and the number of parts (3GPP TS 23.038 and 23.040).
//!
//! The default alphabet of 7 bits lacks č, š, ž, ć and đ, and no national language shift table of TS 23.038 annex A holds them:
//! there are tables for Turkish, Spanish, Portuguese and languages of India.
//! So a Slovene text goes out in UCS-2, or without its carons where the operator chooses to transliterate.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What an operator does with characters that the default alphabet lacks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Alphabet {
    /// The whole message goes out in UCS-2: 70 characters instead of 160.
    #[default]
    Ucs2,
    /// They are replaced by their likes (č by c); only a text that still does not fit goes out in UCS-2.
    Transliterate,
}

/// The coding of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Coding {
    /// The default alphabet of 7 bits with its extension table (TS 23.038 §6.2.1).
    Gsm7,
    /// 16 bits a character, two of them for those beyond U+FFFF (TS 23.038 §6.2.3; sent as UTF-16 everywhere).
    Ucs2,
}

/// The default alphabet (TS 23.038 §6.2.1) but for the escape at 0x1B.
const BASIC: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?\
    ¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";
/// The extension table (TS 23.038 §6.2.1.1): two septets each.
const EXTENDED: &str = "\u{c}^{}\\[~]|€";

/// How a text will be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coded<'a> {
    /// The text as it will arrive.
    pub text: Cow<'a, str>,
    /// Its coding.
    pub coding: Coding,
    /// How long it is: septets or 16-bit units.
    pub length: usize,
    /// How many parts it takes.
    pub parts: usize,
}

/// Codes a text as a gateway with this alphabet will.
#[must_use]
pub fn code(text: &str, alphabet: Alphabet) -> Coded<'_> {
    if let Some(septets) = septets(text) {
        return Coded { text: Cow::Borrowed(text), coding: Coding::Gsm7, length: septets.iter().sum(), parts: parts(&septets, 160, 153) };
    }
    if alphabet == Alphabet::Transliterate {
        let plain = transliterate(text);
        if let Some(septets) = septets(&plain) {
            return Coded { coding: Coding::Gsm7, length: septets.iter().sum(), parts: parts(&septets, 160, 153), text: Cow::Owned(plain) };
        }
    }
    // Gateways cut between any two 16-bit units, also within a character of two; phones put the parts together before they read them.
    let length = text.encode_utf16().count();
    Coded { text: Cow::Borrowed(text), coding: Coding::Ucs2, length, parts: if length <= 70 { 1 } else { length.div_ceil(67) } }
}

/// The septets of each character; `None` when one is not in the alphabet.
fn septets(text: &str) -> Option<Vec<usize>> {
    text.chars()
        .map(|c| match c {
            _ if BASIC.contains(c) => Some(1),
            _ if EXTENDED.contains(c) => Some(2),
            _ => None,
        })
        .collect()
}

/// The parts of a text whose characters are so long. `single` fits into one message; of several each holds `each`,
/// because their header takes six octets (TS 23.040 §9.2.3.24.1). An escape and its letter stay together.
fn parts(lengths: &[usize], single: usize, each: usize) -> usize {
    if lengths.iter().sum::<usize>() <= single {
        return 1;
    }
    let mut parts = 1;
    let mut used = 0;
    for length in lengths {
        if used + length > each {
            parts += 1;
            used = 0;
        }
        used += length;
    }
    parts
}

/// Letters of Latin languages without their marks, and the signs of typesetters as those of typewriters.
fn transliterate(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        if BASIC.contains(c) || EXTENDED.contains(c) {
            plain.push(c);
            continue;
        }
        let like = match c {
            'č' | 'ć' | 'ç' | 'ĉ' => "c",
            'Č' | 'Ć' | 'Ĉ' => "C",
            'š' | 'ś' | 'ş' | 'ș' => "s",
            'Š' | 'Ś' | 'Ş' | 'Ș' => "S",
            'ž' | 'ź' | 'ż' => "z",
            'Ž' | 'Ź' | 'Ż' => "Z",
            'đ' => "dj",
            'Đ' => "Dj",
            'á' | 'â' | 'ã' | 'ă' | 'ą' => "a",
            'À' | 'Á' | 'Â' | 'Ã' | 'Ă' | 'Ą' => "A",
            'ê' | 'ë' | 'ě' | 'ę' => "e",
            'È' | 'Ê' | 'Ë' | 'Ě' | 'Ę' => "E",
            'í' | 'î' | 'ï' => "i",
            'Ì' | 'Í' | 'Î' | 'Ï' => "I",
            'ó' | 'ô' | 'õ' | 'ő' => "o",
            'Ò' | 'Ó' | 'Ô' | 'Õ' | 'Ő' => "O",
            'ú' | 'û' | 'ű' | 'ů' => "u",
            'Ù' | 'Ú' | 'Û' | 'Ű' | 'Ů' => "U",
            'ý' | 'ÿ' => "y",
            'Ý' => "Y",
            'ř' => "r",
            'Ř' => "R",
            'ń' | 'ň' => "n",
            'Ń' | 'Ň' => "N",
            'ł' | 'ľ' => "l",
            'Ł' | 'Ľ' => "L",
            'ď' => "d",
            'Ď' => "D",
            'ť' | 'ț' => "t",
            'Ť' | 'Ț' => "T",
            'ğ' => "g",
            'Ğ' => "G",
            '„' | '“' | '”' | '«' | '»' => "\"",
            '‚' | '‘' | '’' | '‹' | '›' | '`' | '´' => "'",
            '–' | '—' | '−' | '\u{2010}' | '\u{2011}' => "-",
            '…' => "...",
            '\u{a0}' | '\u{202f}' | '\t' => " ",
            _ => {
                plain.push(c);
                continue;
            }
        };
        plain.push_str(like);
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> (Coding, usize, usize) {
        let coded = code(text, Alphabet::Ucs2);
        assert_eq!(coded.text, text);
        (coded.coding, coded.length, coded.parts)
    }

    #[test]
    fn the_tables_are_whole() {
        assert_eq!((BASIC.chars().count(), EXTENDED.chars().count()), (127, 10));
    }

    #[test]
    fn lengths_at_the_borders() {
        for (text, wanted) in [
            (String::new(), (Coding::Gsm7, 0, 1)),
            ("a".repeat(160), (Coding::Gsm7, 160, 1)),
            ("a".repeat(161), (Coding::Gsm7, 161, 2)),
            ("a".repeat(306), (Coding::Gsm7, 306, 2)),
            ("a".repeat(307), (Coding::Gsm7, 307, 3)),
            ("€".repeat(80), (Coding::Gsm7, 160, 1)),
            (format!("{}€", "a".repeat(159)), (Coding::Gsm7, 161, 2)),
            // The escape and its letter stay together: 152 and the pair begins the second part.
            (format!("{}€{}", "a".repeat(152), "b".repeat(151)), (Coding::Gsm7, 305, 2)),
            (format!("{}€{}", "a".repeat(152), "b".repeat(152)), (Coding::Gsm7, 306, 3)),
            ("č".repeat(70), (Coding::Ucs2, 70, 1)),
            ("č".repeat(71), (Coding::Ucs2, 71, 2)),
            ("č".repeat(134), (Coding::Ucs2, 134, 2)),
            ("č".repeat(135), (Coding::Ucs2, 135, 3)),
            ("🎉".repeat(35), (Coding::Ucs2, 70, 1)),
            ("🎉".repeat(36), (Coding::Ucs2, 72, 2)),
            (format!("{}🎉{}", "č".repeat(66), "š".repeat(66)), (Coding::Ucs2, 134, 2)),
        ] {
            assert_eq!(of(&text), wanted, "{text}");
        }
        assert_eq!(of("Živjo, čakamo vas").0, Coding::Ucs2);
        assert_eq!(of("Ñandú").0, Coding::Ucs2, "ú is not in the alphabet, Ñ is");
    }

    #[test]
    fn carons_can_be_left_out() {
        let coded = code("Žiga, „čaj“ ob 10.30 – pridi! Đuro", Alphabet::Transliterate);
        assert_eq!((coded.text.as_ref(), coded.coding, coded.parts), ("Ziga, \"caj\" ob 10.30 - pridi! Djuro", Coding::Gsm7, 1));
        let kept = code("Žiga 🎉", Alphabet::Transliterate);
        assert_eq!((kept.text.as_ref(), kept.coding), ("Žiga 🎉", Coding::Ucs2), "nothing is taken away in vain");
    }
}
