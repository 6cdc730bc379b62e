//! The mails that arrived at the lab's mail server, decoded as far as a person reads them (RFC 2045, RFC 2047).

use anyhow::{Context, Result};
use std::path::Path;

/// One mail.
#[derive(Clone, Debug, Default)]
pub struct Mail {
    /// The subject, decoded.
    pub subject: String,
    /// The first text part.
    pub text: String,
    /// Content type and decoded content of every part.
    pub parts: Vec<(String, Vec<u8>)>,
}

/// The mails in a folder that were sent to an address, in order of arrival.
pub fn read(folder: &Path, address: &str) -> Result<Vec<Mail>> {
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .with_context(|| format!("reading {}", folder.display()))?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "eml"))
        .collect();
    files.sort();
    let mut mails = Vec::new();
    for file in files {
        let raw = std::fs::read(&file).with_context(|| format!("reading {}", file.display()))?;
        let (headers, body) = split(&raw);
        if header(&headers, "X-Envelope-To").is_some_and(|to| to.contains(address)) {
            let mut mail = Mail { subject: encoded_words(header(&headers, "Subject").unwrap_or("")), ..Mail::default() };
            take_parts(&mut mail, &headers, body, 0);
            if let Some((_, text)) = mail.parts.iter().find(|(kind, _)| kind.starts_with("text/plain")) {
                mail.text = String::from_utf8_lossy(text).into_owned();
            }
            mails.push(mail);
        }
    }
    Ok(mails)
}

type Headers = Vec<(String, String)>;

fn split(raw: &[u8]) -> (Headers, &[u8]) {
    let mut headers: Headers = Vec::new();
    let mut rest = raw;
    while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
        let line = String::from_utf8_lossy(&rest[..end]).trim_end().to_owned();
        rest = &rest[end + 1..];
        if line.is_empty() {
            break;
        }
        if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = headers.last_mut() {
                value.push(' ');
                value.push_str(line.trim());
            }
        } else if let Some((name, value)) = line.split_once(':') {
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
    }
    (headers, rest)
}

fn header<'a>(headers: &'a Headers, name: &str) -> Option<&'a str> {
    headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

fn take_parts(mail: &mut Mail, headers: &Headers, body: &[u8], depth: u32) {
    let kind = header(headers, "Content-Type").unwrap_or("text/plain").to_owned();
    let boundary = kind.split("boundary=").nth(1).map(|rest| rest.trim_start_matches('"').split(['"', ';']).next().unwrap_or("").to_owned());
    match boundary {
        Some(boundary) if kind.starts_with("multipart/") && depth < 8 => {
            let text = String::from_utf8_lossy(body);
            for part in text.split(&format!("--{boundary}")).skip(1) {
                if part.starts_with("--") {
                    break;
                }
                let (headers, body) = split(part.trim_start_matches(['\r', '\n']).as_bytes());
                take_parts(mail, &headers, body, depth + 1);
            }
        }
        _ => {
            let content = match header(headers, "Content-Transfer-Encoding").unwrap_or("").to_lowercase().as_str() {
                "base64" => base64(body),
                "quoted-printable" => quoted_printable(body, false),
                _ => body.to_vec(),
            };
            mail.parts.push((kind, content));
        }
    }
}

fn base64(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let (mut bits, mut count) = (0u32, 0);
    for &character in text {
        let value = match character {
            b'A'..=b'Z' => character - b'A',
            b'a'..=b'z' => character - b'a' + 26,
            b'0'..=b'9' => character - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => continue,
        };
        bits = (bits << 6) | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    bytes
}

fn quoted_printable(text: &[u8], in_header: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let pair = text.get(at + 1..at + 3).and_then(|pair| std::str::from_utf8(pair).ok());
        match (text[at], pair.and_then(|pair| u8::from_str_radix(pair, 16).ok())) {
            (b'=', Some(byte)) => {
                bytes.push(byte);
                at += 3;
            }
            (b'=', None) => {
                // A soft line break.
                at += text[at..].iter().position(|&byte| byte == b'\n').map_or(1, |end| end + 1);
            }
            (b'_', _) if in_header => {
                bytes.push(b' ');
                at += 1;
            }
            (byte, _) => {
                bytes.push(byte);
                at += 1;
            }
        }
    }
    bytes
}

/// A header value with its encoded words (`=?utf-8?b?…?=`) decoded.
fn encoded_words(value: &str) -> String {
    let mut decoded: Vec<u8> = Vec::new();
    let mut after_word = false;
    for word in value.split(' ') {
        let inner = word.strip_prefix("=?").and_then(|word| word.strip_suffix("?="));
        let fields: Vec<&str> = inner.map(|inner| inner.splitn(3, '?').collect()).unwrap_or_default();
        if let [_, encoding, text] = fields[..] {
            // White space between two encoded words is not part of the text.
            if !after_word && !decoded.is_empty() {
                decoded.push(b' ');
            }
            decoded.extend(if encoding.eq_ignore_ascii_case("b") { base64(text.as_bytes()) } else { quoted_printable(text.as_bytes(), true) });
            after_word = true;
        } else {
            if !decoded.is_empty() {
                decoded.push(b' ');
            }
            decoded.extend(word.as_bytes());
            after_word = false;
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_is_read_as_a_person_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let mail = "X-Envelope-To: a@example.test\r\nSubject: =?utf-8?b?UG9yb8SNaWxv?= =?utf-8?q?_o_klicu?= 7\r\n\
            Content-Type: multipart/alternative;\r\n boundary=\"xyz\"\r\n\r\n--xyz\r\nContent-Type: text/plain; charset=utf-8\r\n\
            Content-Transfer-Encoding: quoted-printable\r\n\r\nKova=C4=8D in =\r\nNovak\r\n--xyz\r\nContent-Type: text/html\r\n\
            Content-Transfer-Encoding: base64\r\n\r\nPGI+aGk8L2I+\r\n--xyz--\r\n";
        std::fs::write(folder.path().join("1.eml"), mail).unwrap();
        std::fs::write(folder.path().join("2.eml"), "X-Envelope-To: b@example.test\r\n\r\nhello").unwrap();
        let mails = read(folder.path(), "a@example.test").unwrap();
        assert_eq!(mails.len(), 1);
        assert_eq!(mails[0].subject, "Poročilo o klicu 7");
        assert_eq!(mails[0].text.trim(), "Kovač in Novak");
        assert_eq!(mails[0].parts[1].1, b"<b>hi</b>");
    }
}
