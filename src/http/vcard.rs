//! vCards, as far as a directory needs them: name, number, e-mail address and note of versions 2.1, 3.0 (RFC 2426) and 4.0 (RFC 6350).
//!
//! Reading takes what address books really write: folded lines, groups (`item1.TEL`), quoted-printable, several numbers.
//! What is no property of interest is passed over, so that no text at all is an error here; the values are checked by the caller.

use crate::storage::contacts::Contact;

/// A property's value and the line of the file on which it stands, from 1.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Property {
    pub value: String,
    pub line: u64,
}

/// A person in a file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Card {
    /// The line of its `BEGIN`, from 1.
    pub line: u64,
    /// The formatted name, or the one that its parts give.
    pub name: Option<Property>,
    /// The preferred number, or the first one.
    pub phone: Option<Property>,
    /// The preferred address, or the first one.
    pub email: Option<Property>,
    pub note: Option<Property>,
    /// The first line of which the bytes are no text in UTF-8, so that nobody knows what it says.
    pub unreadable: Option<u64>,
}

/// A line with those that continue it.
struct Logical {
    line: u64,
    text: String,
}

/// The people in a text, in order.
pub(super) fn read(text: &str) -> Vec<Card> {
    let mut cards = Vec::new();
    let mut card: Option<Reading> = None;
    for Logical { line, text } in unfolded(text) {
        let Some((head, value)) = split_head(&text) else { continue };
        let mut parts = head.split(';');
        let name = parts.next().unwrap_or("");
        let name = name.rsplit_once('.').map_or(name, |(_, name)| name).trim().to_ascii_uppercase();
        let parameters: Vec<String> = parts.map(str::to_ascii_uppercase).collect();
        match (name.as_str(), &mut card) {
            ("BEGIN", _) if value.trim().eq_ignore_ascii_case("VCARD") => {
                let next = Reading { card: Card { line, ..Card::default() }, ..Reading::default() };
                // One that has no end is a person all the same.
                cards.extend(card.replace(next).map(|reading| reading.card));
            }
            ("END", Some(_)) => cards.extend(card.take().map(|reading| reading.card)),
            (_, Some(reading)) => reading.property(&name, &parameters, value, line),
            (_, None) => {}
        }
    }
    // A file that breaks off still holds the people before the break, and what was read of the last one.
    cards.extend(card.map(|reading| reading.card));
    cards
}

/// The properties of interest.
const WANTED: [&str; 6] = ["FN", "N", "ORG", "TEL", "EMAIL", "NOTE"];

/// A card that is being read.
#[derive(Default)]
struct Reading {
    card: Card,
    /// The name is the formatted one; one made of parts does not replace it.
    formatted: bool,
    preferred_phone: bool,
    preferred_email: bool,
}

impl Reading {
    fn property(&mut self, name: &str, parameters: &[String], value: &str, line: u64) {
        if !WANTED.contains(&name) {
            return;
        }
        let quoted = parameters.iter().any(|one| one == "QUOTED-PRINTABLE" || one == "ENCODING=QUOTED-PRINTABLE");
        let decoded;
        let value = if quoted {
            let Some(text) = decode_quoted(value) else {
                self.card.unreadable.get_or_insert(line);
                return;
            };
            decoded = text;
            decoded.as_str()
        } else {
            value
        };
        let card = &mut self.card;
        let property = |value: String| Some(Property { value, line }).filter(|property| !property.value.is_empty());
        match name {
            "FN" => {
                if let Some(found) = property(unescape(value)) {
                    card.name = Some(found);
                    self.formatted = true;
                }
            }
            // Family name, given name, and parts that nobody calls out.
            "N" if !self.formatted => {
                let parts: Vec<String> = split_parts(value).into_iter().take(2).rev().filter(|part| !part.is_empty()).collect();
                card.name = property(parts.join(" ")).or(card.name.take());
            }
            "ORG" if card.name.is_none() => card.name = property(split_parts(value).into_iter().next().unwrap_or_default()),
            "TEL" => {
                let value = unescape(value);
                let number = value.get(..4).filter(|begin| begin.eq_ignore_ascii_case("tel:")).map_or(value.as_str(), |_| &value[4..]);
                // What follows in a tel URI (RFC 3966) is about the number, not of it.
                let number = number.split(';').next().unwrap_or("").trim().to_owned();
                prefer(&mut card.phone, &mut self.preferred_phone, parameters, property(number));
            }
            "EMAIL" => prefer(&mut card.email, &mut self.preferred_email, parameters, property(unescape(value))),
            "NOTE" => card.note = property(unescape(value)),
            _ => {}
        }
    }
}

/// Takes the first of several, or the first that is marked as preferred (`TYPE=pref`, `PREF=1`, or 2.1's bare `PREF`).
fn prefer(have: &mut Option<Property>, preferred: &mut bool, parameters: &[String], found: Option<Property>) {
    let is_preferred = parameters
        .iter()
        .any(|one| one == "PREF=1" || one.strip_prefix("TYPE=").unwrap_or(one).split(',').any(|word| word.trim_matches('"') == "PREF"));
    if found.is_some() && (have.is_none() || (is_preferred && !*preferred)) {
        *have = found;
        *preferred = is_preferred;
    }
}

/// Lines with their continuations: a line that begins with a space or tab continues the one before (RFC 6350 §3.2),
/// and so does the one after a quoted-printable line that ends with `=`.
///
/// Every byte is looked at once, however many lines a property is folded over; how long it becomes, the body's limit says.
fn unfolded(text: &str) -> Vec<Logical> {
    let mut found: Vec<Logical> = Vec::new();
    let mut head = Head::default();
    let mut soft = false;
    for (at, raw) in text.split('\n').enumerate() {
        let raw = raw.strip_suffix('\r').unwrap_or(raw);
        let folded = raw.strip_prefix([' ', '\t']);
        match (found.last_mut(), folded) {
            (Some(last), _) if soft => last.text.push_str(raw),
            (Some(last), Some(rest)) => last.text.push_str(rest),
            _ => {
                head = Head::default();
                found.push(Logical { line: u64::try_from(at).unwrap_or(u64::MAX).saturating_add(1), text: raw.to_owned() });
            }
        }
        soft = false;
        if raw.ends_with('=')
            && let Some(last) = found.last_mut()
            && head.is_quoted_printable(&last.text)
        {
            last.text.pop();
            soft = true;
        }
    }
    found
}

/// What is known of a growing line's head.
#[derive(Default)]
struct Head {
    search: HeadEnd,
    /// Whether it says that the value is quoted-printable; not known before the colon has come.
    quoted_printable: Option<bool>,
}

impl Head {
    /// Whether the line's value is quoted-printable; the line may have grown since the last time.
    fn is_quoted_printable(&mut self, line: &str) -> bool {
        if self.quoted_printable.is_none() {
            self.quoted_printable = self.search.find(line).map(|end| line[..end].to_ascii_uppercase().contains("QUOTED-PRINTABLE"));
        }
        self.quoted_printable.unwrap_or(false)
    }
}

/// Looks for the first colon that is not within quotes, and goes on where it stopped.
#[derive(Default)]
struct HeadEnd {
    looked: usize,
    quoted: bool,
}

impl HeadEnd {
    fn find(&mut self, line: &str) -> Option<usize> {
        // What was looked at is never taken away again, but for one `=` at the end of a line whose colon is known.
        let rest = line.as_bytes().get(self.looked..).unwrap_or_default();
        let found = rest.iter().position(|byte| {
            self.quoted ^= *byte == b'"';
            *byte == b':' && !self.quoted
        });
        let begin = self.looked;
        self.looked = line.len();
        found.map(|at| begin + at)
    }
}

/// Name with parameters, and value: at the first colon that is not within quotes.
fn split_head(line: &str) -> Option<(&str, &str)> {
    let at = HeadEnd::default().find(line)?;
    Some((&line[..at], &line[at + 1..]))
}

/// The parts of a value between semicolons that are not escaped, each without its escapes.
fn split_parts(value: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut escaped = false;
    for c in value.chars() {
        if c == ';' && !escaped {
            parts.push(String::new());
        } else if let Some(part) = parts.last_mut() {
            part.push(c);
        }
        escaped = c == '\\' && !escaped;
    }
    parts.iter().map(|part| unescape(part)).collect()
}

/// A value without its escapes (RFC 6350 §3.4), trimmed.
fn unescape(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let mut signs = value.chars();
    while let Some(c) = signs.next() {
        match (c, if c == '\\' { signs.next() } else { None }) {
            ('\\', Some('n' | 'N')) => text.push('\n'),
            ('\\', Some(other)) => text.push(other),
            (c, _) => text.push(c),
        }
    }
    text.trim().to_owned()
}

/// Quoted-printable (RFC 2045 §6.7) in UTF-8; what is not right in it stays as it is. `None` when the bytes are in another encoding,
/// as vCard 2.1 allows.
fn decode_quoted(value: &str) -> Option<String> {
    let bytes = value.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let code = (byte == b'=').then(|| bytes.get(at + 1..at + 3)).flatten().and_then(|hex| std::str::from_utf8(hex).ok());
        match code.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(code) => {
                decoded.push(code);
                at += 3;
            }
            None => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8(decoded).ok()
}

/// A person as a vCard 3.0, which every address book reads. Lines end with CR LF and are folded at 75 bytes.
pub(super) fn write(contact: &Contact) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        fold(&mut text, &format!("{name}:{value}"));
    };
    let name = escape(&contact.name);
    line("BEGIN", "VCARD");
    line("VERSION", "3.0");
    line("UID", &format!("urn:uuid:{}", contact.id));
    line("FN", &name);
    // What of the name is the family's, nobody said.
    line("N", &format!("{name};;;;"));
    line("TEL;TYPE=VOICE", &contact.phone);
    if let Some(email) = &contact.email {
        line("EMAIL;TYPE=INTERNET", &escape(email));
    }
    if let Some(note) = &contact.note {
        line("NOTE", &escape(note));
    }
    line("END", "VCARD");
    text
}

fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace(',', "\\,").replace(';', "\\;").replace("\r\n", "\\n").replace(['\n', '\r'], "\\n")
}

fn fold(text: &mut String, line: &str) {
    const LONGEST: usize = 75;
    let mut room = LONGEST;
    for c in line.chars() {
        if c.len_utf8() > room {
            text.push_str("\r\n ");
            room = LONGEST - 1;
        }
        text.push(c);
        room -= c.len_utf8();
    }
    text.push_str("\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::ContactId;

    fn value(property: &Option<Property>) -> (&str, u64) {
        property.as_ref().map_or(("", 0), |property| (property.value.as_str(), property.line))
    }

    #[test]
    fn what_address_books_write_is_read_with_its_lines() {
        let text = "BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Žiga \r\n Čopič\r\nitem1.TEL;TYPE=work:01 555 02 11\r\nTEL;TYPE=\"cell,pref\":040 123 456\r\n\
            EMAIL:ziga@example.test\r\nNOTE:ena\\, dve\\ntri\r\nEND:VCARD\r\n\r\n\
            BEGIN:VCARD\nVERSION:2.1\nN;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:=C5=BDagar;Ana=\n=20Marija\nTEL;PREF:041 222 333\nEND:VCARD\n\
            begin:vcard\nversion:4.0\nN:Novak\\;Kos;Bor;;;\nTEL;VALUE=uri;PREF=1:tel:+386-31-555-014;ext=5\nEND:VCARD\n";
        let cards = read(text);
        assert_eq!(cards.len(), 3, "{cards:?}");
        assert_eq!((cards[0].line, value(&cards[0].name), value(&cards[0].phone)), (1, ("Žiga Čopič", 3), ("040 123 456", 6)));
        assert_eq!((value(&cards[0].email), value(&cards[0].note)), (("ziga@example.test", 7), ("ena, dve\ntri", 8)));
        assert_eq!((cards[1].line, value(&cards[1].name), value(&cards[1].phone)), (11, ("Ana Marija Žagar", 13), ("041 222 333", 15)));
        assert_eq!((value(&cards[2].name), value(&cards[2].phone)), (("Bor Novak;Kos", 19), ("+386-31-555-014", 20)));
    }

    #[test]
    fn a_card_without_an_end_is_not_lost() {
        let cards = read("BEGIN:VCARD\nFN:Ana\nTEL:1\nBEGIN:VCARD\nFN:Bor\nEND:VCARD\nFN:nobody\nBEGIN:VCARD\nFN:Cene\n");
        let names: Vec<_> = cards.iter().map(|card| (card.line, value(&card.name).0)).collect();
        assert_eq!(names, [(1, "Ana"), (4, "Bor"), (8, "Cene")]);
        assert_eq!(value(&cards[0].phone), ("1", 3));
    }

    #[test]
    fn what_is_in_another_encoding_is_not_read_as_something_else() {
        let card = |head: &str| format!("BEGIN:VCARD\nVERSION:2.1\nTEL:1\n{head};ENCODING=QUOTED-PRINTABLE:=C8opi=E8\nEND:VCARD\n");
        let cards = read(&card("N;CHARSET=ISO-8859-2"));
        assert_eq!((cards[0].unreadable, &cards[0].name), (Some(4), &None));
        assert_eq!(read(&card("LABEL;CHARSET=ISO-8859-2"))[0].unreadable, None, "nobody wants to know it");
    }

    #[test]
    fn no_text_is_too_strange() {
        for text in [
            "",
            ":",
            "BEGIN:VCARD",
            "BEGIN:VCARD\nN",
            "BEGIN:VCARD\nTEL:\\",
            "BEGIN:VCARD\nFN;QUOTED-PRINTABLE:=C5=",
            "BEGIN:VCARD\n\"a:b\nTEL:tél\n END",
            "\n BEGIN:VCARD",
        ] {
            assert!(read(text).len() <= 1, "{text:?}");
        }
        assert_eq!(value(&read("BEGIN:VCARD\nFN:Ana")[0].name), ("Ana", 2), "a file that breaks off");
        assert_eq!(value(&read("BEGIN:VCARD\nORG:Radio\\; Ena;Oddelek\nEND:VCARD")[0].name), ("Radio; Ena", 2));
    }

    /// Each would take minutes if the grown line were looked at again for every line that continues it.
    #[test]
    fn a_line_that_is_folded_without_end_is_read_in_one_go() {
        const LIMIT: usize = crate::http::extract::IMPORT_LIMIT;
        let folds = |begin: &str, fold: &str, end: &str| {
            let count = (LIMIT - begin.len() - end.len()) / fold.len();
            format!("{begin}{}{end}", fold.repeat(count))
        };
        assert!(read(&folds("X\n", " =\n", "")).is_empty(), "no colon at all");
        assert!(read(&folds("X;\"\n", " :=\n", "")).is_empty(), "colons within quotes only");
        let soft = read(&folds("BEGIN:VCARD\nFN;QUOTED-PRINTABLE:A=\n", "b=\n", "\n"));
        assert_eq!(soft[0].name.as_ref().map(|name| name.value.len()), Some((LIMIT - 36) / 3 + 1), "soft line ends");
        let head = read(&folds("BEGIN:VCARD\nFN;X=\n", " y=\n", " ;ENCODING=\n QUOTED-PRINTABLE:=C5=\n=BDiga\n"));
        assert_eq!(value(&head[0].name), ("Žiga", 2), "a head over many lines");
    }

    #[test]
    fn what_is_written_is_read_again() {
        let long = "Ž".repeat(90);
        for (name, note) in [("Čopič; Žiga, \\ ml.", Some("ena\ndve; tri\\n")), (long.as_str(), None), ("Ђорђе 📞", Some(long.as_str()))] {
            let now = jiff::Timestamp::UNIX_EPOCH;
            let contact = Contact {
                id: ContactId::fresh(),
                name: name.into(),
                phone: "+38640123456".into(),
                code: None,
                email: Some("a@example.test".into()),
                note: note.map(str::to_owned),
                created_at: now,
                updated_at: now,
            };
            let text = write(&contact);
            assert!(text.split("\r\n").all(|line| line.len() <= 75), "{text}");
            let cards = read(&text);
            assert_eq!((value(&cards[0].name).0, value(&cards[0].phone).0), (name, "+38640123456"));
            assert_eq!(cards[0].note.as_ref().map(|note| note.value.as_str()), note);
        }
    }
}
