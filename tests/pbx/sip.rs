//! Just enough SIP (RFC 3261) over UDP to be a bank of called phones.

/// A request, or the status line of a response.
pub struct Message {
    pub first: String,
    headers: Vec<(String, String)>,
    pub body: String,
}

impl Message {
    pub fn parse(datagram: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(datagram);
        let (head, body) = text.split_once("\r\n\r\n")?;
        let mut lines = head.split("\r\n");
        let first = lines.next()?.to_owned();
        let headers = lines.filter_map(|line| line.split_once(':')).map(|(k, v)| (k.trim().to_lowercase(), v.trim().to_owned())).collect();
        Some(Self { first, headers, body: body.to_owned() })
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    pub fn method(&self) -> &str {
        self.first.split(' ').next().unwrap_or_default()
    }

    /// The user part of the request's address: the number called.
    pub fn number(&self) -> String {
        let user = self.first.split("sip:").nth(1).and_then(|rest| rest.split('@').next());
        user.unwrap_or_default().to_owned()
    }

    /// Where the caller wants its sound, from the session description.
    pub fn media(&self) -> Option<(String, u16)> {
        let line = |prefix: &str| self.body.lines().find_map(|line| line.strip_prefix(prefix)).map(str::to_owned);
        let port = line("m=audio ")?.split(' ').next()?.parse().ok()?;
        Some((line("c=IN IP4 ")?.trim().to_owned(), port))
    }

    /// A response to this request.
    pub fn response(&self, status: &str, tag: &str, contact: &str, body: &str) -> String {
        let vias: String = self.headers.iter().filter(|(key, _)| key == "via").map(|(_, via)| format!("Via: {via}\r\n")).collect();
        let to = self.header("to");
        let to = if to.contains("tag=") { to.to_owned() } else { format!("{to};tag={tag}") };
        let content = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
        format!(
            "SIP/2.0 {status}\r\n{vias}From: {}\r\nTo: {to}\r\nCall-ID: {}\r\nCSeq: {}\r\nContact: {contact}\r\n{content}Content-Length: {}\r\n\r\n{body}",
            self.header("from"),
            self.header("call-id"),
            self.header("cseq"),
            body.len()
        )
    }

    /// The request by which the called side of this INVITE's dialogue ends it.
    pub fn bye(&self, tag: &str, local: &str, branch: usize) -> String {
        let target = self.header("contact").trim_start_matches('<').split('>').next().unwrap_or_default();
        format!(
            "BYE {target} SIP/2.0\r\nVia: SIP/2.0/UDP {local};branch=z9hG4bKbye{branch}\r\nFrom: {};tag={tag}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: 1 BYE\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
            self.header("to"),
            self.header("from"),
            self.header("call-id")
        )
    }
}
