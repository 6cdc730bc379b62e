//! What the codecs of the switches' control sockets share: what may be sent, how much is read, how a header block is looked into.
//!
//! It never decides what a header means.
//! Both directions are hostile ground: a line break in a value that we send would be another command,
//! and what we read may hold bytes that are no text, in any amount.

use std::borrow::Cow;

use bytes::Bytes;
use memchr::{memchr, memmem};

use super::CommandFailure;

/// Bytes of one message that are read as they are; a longer one is cut line by line, see [`MAX_KEPT_LINE`].
pub const MAX_MESSAGE: usize = 64 * 1024;
/// Headers of one message that are looked at; what follows is dropped.
pub const MAX_HEADERS: usize = 256;
/// Bytes of one line that are kept of an overlong message; nothing that we use is longer.
pub const MAX_KEPT_LINE: usize = 1024;
/// Bytes of one line that may be sent: Asterisk 22 refuses lines of more than about 1,024 (`main/manager.c`).
pub const MAX_SENT_LINE: usize = 1000;

/// A value that would not stay a value on the wire.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} {why}")]
pub struct UnsafeField {
    /// The header.
    pub field: String,
    /// What is wrong, without the value.
    pub why: &'static str,
}

impl UnsafeField {
    /// Names a field and what is wrong with it.
    #[must_use]
    pub fn new(field: &str, why: &'static str) -> Self {
        // The name is shown in logs: what is odd about it must not reach them.
        let field = field.chars().filter(|c| !c.is_control()).take(40).collect();
        Self { field, why }
    }
}

impl From<UnsafeField> for CommandFailure {
    fn from(refused: UnsafeField) -> Self {
        Self::Unsafe(refused.to_string())
    }
}

/// Refuses a value with a control character (CR, LF and NUL first of all) or of more bytes than a line may have.
///
/// # Errors
/// [`UnsafeField`] names the field.
pub fn check_value(field: &str, value: &str) -> Result<(), UnsafeField> {
    if value.chars().any(char::is_control) {
        return Err(UnsafeField::new(field, "holds a control character"));
    }
    if field.len() + value.len() + 2 > MAX_SENT_LINE {
        return Err(UnsafeField::new(field, "is too long"));
    }
    Ok(())
}

/// Refuses what is no telephone number in the shape that is put into a dial string: `+` or nothing, then 1 to 32 digits, `*` or `#`.
///
/// # Errors
/// [`UnsafeField`] names the field.
pub fn check_number(field: &str, value: &str) -> Result<(), UnsafeField> {
    let digits = value.strip_prefix('+').unwrap_or(value);
    let fits = (1..=32).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit() || b == b'*' || b == b'#');
    if fits { Ok(()) } else { Err(UnsafeField::new(field, "is no telephone number")) }
}

/// Refuses what is no `host:port` of SIP; a host is a name, an IPv4 address or an IPv6 address in brackets.
///
/// # Errors
/// [`UnsafeField`] names the field.
pub fn check_sip_address(field: &str, value: &str) -> Result<(), UnsafeField> {
    let host_of = |value: &str| {
        let (host, port) = value.rsplit_once(':')?;
        (port.parse::<u16>().is_ok_and(|port| port > 0) && port.bytes().all(|b| b.is_ascii_digit())).then(|| host.to_owned())
    };
    let fits = host_of(value).is_some_and(|host| match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(inside) => inside.parse::<std::net::Ipv6Addr>().is_ok(),
        None => (1..=253).contains(&host.len()) && host.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-'),
    });
    if fits { Ok(()) } else { Err(UnsafeField::new(field, "is no host:port")) }
}

/// Fills in how a switch calls another: `{number}` and `{address}` of a dial string that was checked by [`check_dial_switch`].
///
/// # Errors
/// [`UnsafeField`] when there is no such dial string, or one of the two may not be sent.
pub fn switch_destination(dial_switch: &str, number: &str, address: &str) -> Result<String, UnsafeField> {
    if dial_switch.is_empty() {
        return Err(UnsafeField::new("dial_switch", "is not configured"));
    }
    check_number("number", number)?;
    check_sip_address("address", address)?;
    Ok(dial_switch.replace("{number}", number).replace("{address}", address))
}

/// Refuses what is no dial string to another switch: `{number}` and `{address}` once each, and nothing that a switch reads as more than one
/// destination, as a variable or as an argument.
///
/// # Errors
/// [`UnsafeField`] tells what is wrong.
pub fn check_dial_switch(value: &str) -> Result<(), UnsafeField> {
    if value.matches("{number}").count() != 1 || value.matches("{address}").count() != 1 {
        return Err(UnsafeField::new("dial_switch", "does not hold {number} and {address} exactly once each"));
    }
    let around = value.replace("{number}", "").replace("{address}", "");
    let plain = |c: char| c.is_ascii_alphanumeric() || "/@:._-+;=".contains(c);
    if around.chars().all(plain) && !around.contains(":_:") {
        Ok(())
    } else {
        Err(UnsafeField::new("dial_switch", "holds a character that a switch reads as something else than a destination"))
    }
}

/// The last three characters of a number, for logs.
#[must_use]
pub fn tail(number: &str) -> String {
    let kept: String = number.chars().rev().take(3).collect::<Vec<_>>().into_iter().rev().collect();
    format!("…{kept}")
}

/// Undoes URL encoding (RFC 3986, 2.1); a `%` without two hexadecimal digits stays as it is.
#[must_use]
pub fn percent_decode(text: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        let byte = match tail {
            [high, low, ..] if *first == b'%' => hex(*high).zip(hex(*low)).map(|(high, low)| high * 16 + low),
            _ => None,
        };
        decoded.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &tail[2..] } else { tail };
    }
    decoded
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// How lines end on a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineEnd {
    /// CR LF, as AMI writes.
    CrLf,
    /// LF, as the event socket writes.
    Lf,
}

impl LineEnd {
    fn bytes(self) -> &'static [u8] {
        match self {
            Self::CrLf => b"\r\n",
            Self::Lf => b"\n",
        }
    }
}

/// A block of `Key: value` lines, looked into only where somebody asks.
///
/// Keys may repeat and keep their order; the first of a name is the one that counts.
#[derive(Clone, PartialEq, Eq)]
pub struct HeaderBlock {
    bytes: Bytes,
    end: LineEnd,
}

impl HeaderBlock {
    /// Takes the lines of a block, with or without the empty line at its end.
    #[must_use]
    pub fn new(bytes: Bytes, end: LineEnd) -> Self {
        Self { bytes, end }
    }

    /// All headers in order, at most [`MAX_HEADERS`]; a line without a colon is left out.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        lines(&self.bytes, self.end.bytes()).take(MAX_HEADERS).filter_map(|line| {
            let colon = memchr(b':', line)?;
            let value = &line[colon + 1..];
            Some((&line[..colon], value.strip_prefix(b" ").unwrap_or(value)))
        })
    }

    /// The first value of a key, whatever the case of its letters.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&[u8]> {
        self.iter().find(|(k, _)| k.eq_ignore_ascii_case(key.as_bytes())).map(|(_, value)| value)
    }

    /// Like [`HeaderBlock::get`], as text; bytes that are no UTF-8 become replacement characters.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<Cow<'_, str>> {
        self.get(key).map(String::from_utf8_lossy)
    }

    /// The first value of a key as a number, if it is one.
    #[must_use]
    pub fn number<T: std::str::FromStr>(&self, key: &str) -> Option<T> {
        std::str::from_utf8(self.get(key)?).ok()?.trim().parse().ok()
    }
}

impl std::fmt::Debug for HeaderBlock {
    // Values may hold numbers and names of people: a debug print tells keys only.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter().map(|(key, _)| String::from_utf8_lossy(key).into_owned())).finish()
    }
}

fn lines<'a>(mut rest: &'a [u8], end: &'static [u8]) -> impl Iterator<Item = &'a [u8]> {
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (line, next) = match memmem::find(rest, end) {
            Some(at) => (&rest[..at], &rest[at + end.len()..]),
            None => (rest, &rest[rest.len()..]),
        };
        rest = next;
        Some(line)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_refused_and_named() {
        for bad in ["a\r\nAction: Ping", "a\nb", "a\rb", "a\0b", "a\tb", "\u{85}", "\u{7f}"] {
            let refused = check_value("CallerID", bad).expect_err("refused");
            assert_eq!(refused.to_string(), "CallerID holds a control character");
        }
        check_value("CallerID", "\"Žiga & sinovi, d. o. o.\" <+38613099396>").expect("plain text passes");
        check_value("Data", &"x".repeat(MAX_SENT_LINE)).expect_err("too long");
    }

    #[test]
    fn only_numbers_are_numbers() {
        for good in ["+38613099396", "19819", "112", "*21#", "+1", &"9".repeat(32)] {
            check_number("number", good).expect(good);
        }
        let long = "9".repeat(33);
        for bad in ["", "+", "++1", "1+2", "sip:x@y", "12 34", "12\n", "12,13", "1&2", "${X}", "１２", "1@trunk", "1/2", &long] {
            check_number("number", bad).expect_err(bad);
        }
    }

    #[test]
    fn first_key_counts_and_bytes_stay_bytes() {
        let block = HeaderBlock::new(
            Bytes::from_static(b"Event: X\r\nnonsense\r\nName: a\xff:b\r\nUNIQUEID:7\r\nuniqueid: 8\r\nEmpty:\r\n\r\n"),
            LineEnd::CrLf,
        );
        assert_eq!(block.get("Name"), Some(&b"a\xff:b"[..]));
        assert_eq!(block.text("name").as_deref(), Some("a\u{fffd}:b"));
        assert_eq!(block.number::<u32>("UniqueId"), Some(7));
        assert_eq!(block.get("empty"), Some(&b""[..]));
        assert_eq!(block.get("nonsense"), None);
        assert_eq!(block.iter().count(), 5);
    }

    #[test]
    fn url_encoding_is_undone_as_far_as_it_is_one() {
        let cases: [(&[u8], &[u8]); 5] =
            [(b"200%20result%3D12%0A", b"200 result=12\n"), (b"%", b"%"), (b"%4", b"%4"), (b"%zz%C4%8d%00", b"%zz\xc4\x8d\0"), (b"%%41%", b"%A%")];
        for (text, decoded) in cases {
            assert_eq!(percent_decode(text), decoded);
        }
    }

    #[test]
    fn numbers_in_logs_are_short() {
        assert_eq!(tail("+38640123456"), "…456");
        assert_eq!(tail("12"), "…12");
    }
}
