//! Just enough of SIP (RFC 3261) to pass messages on and to see what they say.

use std::net::SocketAddr;

/// One SIP message. Octets are kept as characters of the same number, so that nothing is lost on the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Request line or status line.
    pub start: String,
    /// Header fields in order, as written.
    pub headers: Vec<(String, String)>,
    /// What follows the empty line.
    pub body: String,
}

impl Message {
    /// Reads a datagram; what is no SIP message is `None`.
    pub fn parse(datagram: &[u8]) -> Option<Self> {
        let text: String = datagram.iter().map(|&octet| char::from(octet)).collect();
        let (head, body) = text.split_once("\r\n\r\n")?;
        let mut lines = head.split("\r\n");
        let start = lines.next()?.to_owned();
        if !start.starts_with("SIP/2.0 ") && !start.ends_with(" SIP/2.0") {
            return None;
        }
        let mut headers: Vec<(String, String)> = Vec::new();
        for line in lines {
            if line.starts_with([' ', '\t']) {
                let (_, value) = headers.last_mut()?;
                value.push(' ');
                value.push_str(line.trim());
            } else {
                let (name, value) = line.split_once(':')?;
                headers.push((name.trim().to_owned(), value.trim().to_owned()));
            }
        }
        Some(Self { start, headers, body: body.to_owned() })
    }

    /// The message as a datagram.
    pub fn render(&self) -> Vec<u8> {
        let mut text = format!("{}\r\n", self.start);
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        text.push_str(&self.body);
        text.chars().map(|character| character as u32 as u8).collect()
    }

    /// The first header field of a name, also in its compact form.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| is_named(other, name)).map(|(_, value)| value.as_str())
    }

    /// The status of a response; `None` for a request.
    pub fn status(&self) -> Option<u16> {
        self.start.strip_prefix("SIP/2.0 ")?.get(..3)?.parse().ok()
    }

    /// The method of a request, or the one that a response answers.
    pub fn method(&self) -> &str {
        if self.status().is_some() {
            self.header("CSeq").and_then(|value| value.split_whitespace().nth(1)).unwrap_or("")
        } else {
            self.start.split(' ').next().unwrap_or("")
        }
    }

    /// User, host and port of a request's URI.
    pub fn target(&self) -> Option<(&str, String)> {
        let uri = self.start.split(' ').nth(1)?.strip_prefix("sip:")?;
        let (user, host) = uri.split_once('@').unwrap_or(("", uri));
        let host = host.split([';', '?']).next()?;
        let user = user.split([';', ':']).next()?;
        Some((user, if host.contains(':') { host.to_owned() } else { format!("{host}:5060") }))
    }

    /// Where the sender wants its audio, by its SDP.
    pub fn audio_address(&self) -> Option<SocketAddr> {
        let line = |start: &str| self.body.lines().find_map(|line| line.strip_prefix(start));
        let host = line("c=IN IP4 ")?.split('/').next()?.trim();
        let port: u16 = line("m=audio ")?.split(' ').next()?.parse().ok()?;
        Some(SocketAddr::new(host.parse().ok()?, port))
    }

    /// Puts a Via field on top.
    pub fn push_via(&mut self, value: String) {
        let at = self.headers.iter().position(|(name, _)| is_named(name, "Via")).unwrap_or(0);
        self.headers.insert(at, ("Via".to_owned(), value));
    }

    /// Takes the topmost Via value off, also when several stand in one field.
    pub fn pop_via(&mut self) -> Option<String> {
        let at = self.headers.iter().position(|(name, _)| is_named(name, "Via"))?;
        let value = self.headers[at].1.clone();
        match value.split_once(',') {
            Some((first, rest)) => {
                self.headers[at].1 = rest.trim().to_owned();
                Some(first.trim().to_owned())
            }
            None => {
                self.headers.remove(at);
                Some(value)
            }
        }
    }

    /// The reply to a request, without a body.
    pub fn reply(&self, status: &str) -> Self {
        let mut headers: Vec<(String, String)> = self
            .headers
            .iter()
            .filter(|(name, _)| ["Via", "From", "To", "Call-ID", "CSeq"].iter().any(|wanted| is_named(name, wanted)))
            .cloned()
            .collect();
        for (name, value) in &mut headers {
            if is_named(name, "To") && !value.contains(";tag=") {
                value.push_str(";tag=sklic-qa");
            }
        }
        headers.push(("Content-Length".to_owned(), "0".to_owned()));
        Self { start: format!("SIP/2.0 {status}"), headers, body: String::new() }
    }
}

/// The value of a parameter of a header field, as in `;branch=z9hG4bK…`.
pub fn parameter<'a>(value: &'a str, name: &str) -> Option<&'a str> {
    value.split(';').skip(1).find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='))
}

fn is_named(written: &str, name: &str) -> bool {
    let compact = match name {
        "Via" => "v",
        "From" => "f",
        "To" => "t",
        "Call-ID" => "i",
        _ => "",
    };
    written.eq_ignore_ascii_case(name) || written.eq_ignore_ascii_case(compact)
}

#[cfg(test)]
mod tests {
    use super::*;

    const INVITE: &str = "INVITE sip:+38640100001@127.0.0.1:6000;transport=udp SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:5080;rport;branch=z9hG4bKa, SIP/2.0/UDP 10.0.0.1\r\n\
        i: abc\r\nTo: <sip:x@y>\r\nCSeq: 7 INVITE\r\n\r\nv=0\r\nc=IN IP4 127.0.0.1\r\nm=audio 20000 RTP/AVP 8 101\r\n";

    #[test]
    fn a_request_is_read_and_written() {
        let message = Message::parse(INVITE.as_bytes()).unwrap();
        assert_eq!(message.method(), "INVITE");
        assert_eq!(message.target(), Some(("+38640100001", "127.0.0.1:6000".to_owned())));
        assert_eq!(message.header("Call-ID"), Some("abc"));
        assert_eq!(message.audio_address().unwrap().to_string(), "127.0.0.1:20000");
        assert_eq!(message.render(), INVITE.as_bytes());
    }

    #[test]
    fn vias_are_put_on_and_taken_off() {
        let mut message = Message::parse(INVITE.as_bytes()).unwrap();
        message.push_via("SIP/2.0/UDP 127.0.0.1:6000;branch=z9hG4bKb".to_owned());
        let top = message.pop_via().unwrap();
        assert_eq!(parameter(&top, "branch"), Some("z9hG4bKb"));
        assert_eq!(message.pop_via().unwrap(), "SIP/2.0/UDP 127.0.0.1:5080;rport;branch=z9hG4bKa");
        assert_eq!(message.pop_via().unwrap(), "SIP/2.0/UDP 10.0.0.1");
        assert_eq!(message.pop_via(), None);
    }

    #[test]
    fn a_reply_keeps_what_it_must() {
        let reply = Message::parse(INVITE.as_bytes()).unwrap().reply("404 Not Found");
        assert_eq!(reply.status(), Some(404));
        assert_eq!(reply.method(), "INVITE");
        assert_eq!(reply.header("To"), Some("<sip:x@y>;tag=sklic-qa"));
    }

    #[test]
    fn rubbish_is_no_message() {
        for rubbish in [&b""[..], b"\r\n\r\n", b"hello\r\n\r\n", b"\xff\xfe\r\n\r\n", b"INVITE x SIP/2.0\r\nno colon\r\n\r\n"] {
            assert_eq!(Message::parse(rubbish), None);
        }
    }
}
