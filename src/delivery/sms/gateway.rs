//! One message to one gateway: the request, and what its answer means.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method, Url};
use uuid::Uuid;

use super::alphabet::Coding;
use super::config::{SmsGatewayConfig, SmsGatewayKind};
use super::report::ReportKey;
use super::{SmsContent, alphabet::Alphabet};
use crate::delivery::outward::{self, Reach};
use crate::delivery::worker::Failure;

/// How much of an answer is read, in bytes.
const ANSWER_LIMIT: usize = 16 * 1024;

/// Kannel's `dlr-mask` (User's Guide, table 6-8): delivered, not delivered, taken by the centre, refused by the centre.
const KANNEL_REPORTS: &str = "27";

/// A gateway, ready to be used.
pub struct Gateway {
    config: SmsGatewayConfig,
    secret: String,
    report_key: Option<ReportKey>,
    report_base: String,
    client: Client,
}

impl Gateway {
    /// A gateway of the configuration. `public_url` is where it finds the service, unless its section says otherwise.
    ///
    /// # Errors
    /// The key that is wrong.
    pub fn new(config: &SmsGatewayConfig, public_url: &str) -> Result<Self, String> {
        config.check()?;
        let client = outward::client(Reach::Everywhere, Duration::from_secs(config.timeout_seconds.into())).map_err(|error| error.to_string())?;
        let base = config.report.url.as_deref().unwrap_or(public_url).trim_end_matches('/');
        Ok(Self {
            secret: config.secret()?,
            report_key: config.report_secret()?.map(|secret| ReportKey::new(&secret)),
            report_base: format!("{base}/api/v1/delivery_reports/{}", config.name),
            client,
            config: config.clone(),
        })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.config.name
    }

    /// Its section.
    #[must_use]
    pub fn config(&self) -> &SmsGatewayConfig {
        &self.config
    }

    /// Its own identifier of a message as the outbox keeps it: two gateways may count alike.
    #[must_use]
    pub fn remote_id(&self, id: &str) -> String {
        format!("{}:{id}", self.config.name).chars().take(200).collect()
    }

    /// The key of its delivery reports.
    #[must_use]
    pub fn report_key(&self) -> Option<&ReportKey> {
        self.report_key.as_ref()
    }

    /// What it does with characters that the alphabet lacks.
    #[must_use]
    pub fn alphabet(&self) -> Alphabet {
        self.config.alphabet
    }

    /// Whether it serves a number: the length of the prefix that says so.
    #[must_use]
    pub fn serves(&self, number: &str) -> Option<usize> {
        if self.config.prefixes.is_empty() {
            return Some(0);
        }
        self.config.prefixes.iter().filter(|prefix| number.starts_with(prefix.as_str())).map(String::len).max()
    }

    /// Hands a message over; the answer is the gateway's own identifier, if it gave one.
    ///
    /// # Errors
    /// [`Failure`]: when the gateway never answered, it may have taken the message all the same.
    pub async fn send(&self, job: Uuid, created_at: Timestamp, message: &SmsContent) -> Result<Option<String>, Failure> {
        let request = match self.config.kind {
            SmsGatewayKind::Kannel => self.kannel_request(job, message),
            SmsGatewayKind::Template => self.template_request(job, created_at, message),
        };
        let (method, url, headers, body) = request.map_err(Failure::unreadable)?;
        let mut request = self.client.request(method, url).headers(headers);
        if !body.is_empty() {
            request = request.body(body);
        }
        let answer = request.send().await.map_err(|error| unanswered(&error))?;
        let status = answer.status().as_u16();
        let text = read(answer).await?;
        match self.config.kind {
            SmsGatewayKind::Kannel => kannel_answer(status, &text),
            SmsGatewayKind::Template => template_answer(&self.config, status, &text),
        }
    }

    /// Connects and leaves, sending nothing: for the doctor of the configuration.
    ///
    /// # Errors
    /// Why the gateway cannot be reached.
    pub async fn check_server(&self) -> Result<(), String> {
        let url = self.config.url.split(['{', '?']).next().unwrap_or_default();
        let url: Url = url.parse().map_err(|_| "the address cannot be read".to_owned())?;
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else { return Err("the address names no host".to_owned()) };
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let connecting = tokio::net::TcpStream::connect((host, port));
        match tokio::time::timeout(Duration::from_secs(self.config.timeout_seconds.into()), connecting).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("it does not answer in time".to_owned()),
        }
    }

    fn report_url(&self, job: Uuid) -> String {
        self.report_key.as_ref().map_or_else(String::new, |key| format!("{}?job={job}&proof={}", self.report_base, key.proof(job)))
    }

    fn kannel_request(&self, job: Uuid, message: &SmsContent) -> Result<Request, String> {
        let mut url: Url = self.config.url.parse().map_err(|_| "the gateway's URL cannot be used".to_owned())?;
        {
            let mut query = url.query_pairs_mut();
            query.append_pair("username", &self.config.username).append_pair("password", &self.secret);
            // Kannel knows numbers by 00 or +; the plus stays a plus by being escaped.
            query.append_pair("to", &message.to).append_pair("charset", "UTF-8");
            query.append_pair("coding", if message.coding == Coding::Ucs2 { "2" } else { "0" }).append_pair("text", &message.text);
            // Shown in Kannel's access log: by it a repeat can be told from another message.
            query.append_pair("binfo", &job.to_string());
            if !self.config.sender.is_empty() {
                query.append_pair("from", &self.config.sender);
            }
            if self.report_key.is_some() {
                // Kannel fills in %d, the state, and %A, the centre's words.
                let report = format!("{}&status=%d&reason=%A", self.report_url(job));
                query.append_pair("dlr-mask", KANNEL_REPORTS).append_pair("dlr-url", &report);
            }
        }
        Ok((Method::GET, url, HeaderMap::new(), String::new()))
    }

    fn template_request(&self, job: Uuid, created_at: Timestamp, message: &SmsContent) -> Result<Request, String> {
        let (id, report_url, at) = (job.to_string(), self.report_url(job), created_at.to_string());
        let coding = if message.coding == Coding::Ucs2 { "ucs2" } else { "gsm7" };
        let fill = |template: &str, escape: Escape| {
            fill(template, escape, |word| match word {
                "to" => Some(&message.to),
                "text" => Some(&message.text),
                "from" => Some(&self.config.sender),
                "id" => Some(&id),
                "username" => Some(&self.config.username),
                "secret" => Some(&self.secret),
                "report_url" => Some(&report_url),
                "coding" => Some(coding),
                "created_at" => Some(&at),
                _ => None,
            })
        };
        let url = fill(&self.config.url, Escape::Url)?.parse().map_err(|_| "the gateway's URL cannot be used".to_owned())?;
        let mut headers = HeaderMap::new();
        for (name, value) in &self.config.headers {
            let name: HeaderName = name.parse().map_err(|_| format!("{name:?} is no header"))?;
            let value = HeaderValue::from_str(&fill(value, Escape::None)?).map_err(|_| format!("the header {name} cannot be sent"))?;
            headers.insert(name, value);
        }
        let method = Method::from_bytes(self.config.method.as_bytes()).map_err(|_| "the method cannot be used".to_owned())?;
        let body = fill(&self.config.body, Escape::of_body(&self.config))?;
        Ok((method, url, headers, body))
    }
}

type Request = (Method, Url, HeaderMap, String);

/// How what is filled in is kept from becoming part of the form around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Escape {
    None,
    Url,
    Json,
    Xml,
}

impl Escape {
    fn of_body(config: &SmsGatewayConfig) -> Self {
        let kind = config.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-type")).map_or("", |(_, value)| value.as_str());
        let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match kind.as_str() {
            "application/x-www-form-urlencoded" => Self::Url,
            kind if kind.ends_with("json") => Self::Json,
            kind if kind.ends_with("xml") => Self::Xml,
            _ => Self::None,
        }
    }

    fn apply(self, text: &str) -> String {
        match self {
            Self::None => text.to_owned(),
            Self::Url => percent_encoded(text),
            Self::Json => {
                let quoted = serde_json::Value::from(text).to_string();
                quoted[1..quoted.len() - 1].to_owned()
            }
            Self::Xml => text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&apos;"),
        }
    }
}

/// RFC 3986 §2: all but the unreserved characters.
fn percent_encoded(text: &str) -> String {
    use std::fmt::Write as _;
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// Fills in `{word}`; braces around anything that is no word (as in JSON) stay as they are.
fn fill<'a>(template: &str, escape: Escape, value: impl Fn(&str) -> Option<&'a str>) -> Result<String, String> {
    let mut text = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(at) = rest.find('{') {
        let (before, brace) = rest.split_at(at);
        text.push_str(before);
        let word = brace[1..].split_once('}').map(|(word, _)| word).filter(|word| is_word(word));
        match word {
            Some(word) => {
                let value = value(word).ok_or_else(|| format!("there is no placeholder {{{word}}}"))?;
                text.push_str(&escape.apply(value));
                rest = &brace[word.len() + 2..];
            }
            None => {
                text.push('{');
                rest = &brace[1..];
            }
        }
    }
    text.push_str(rest);
    Ok(text)
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
}

/// What is wrong with a template, as far as can be told without sending.
pub(super) fn check_template(config: &SmsGatewayConfig) -> Result<(), String> {
    const WORDS: [&str; 9] = ["to", "text", "from", "id", "username", "secret", "report_url", "coding", "created_at"];
    let known = |template: &str| fill(template, Escape::None, |word| WORDS.contains(&word).then_some("x"));
    let in_key = |key: &str, why: String| format!("{key}: {why} (there are {})", WORDS.map(|word| format!("{{{word}}}")).join(", "));
    let url = known(&config.url).map_err(|why| in_key("url", why))?;
    let body = known(&config.body).map_err(|why| in_key("body", why))?;
    for (name, value) in &config.headers {
        name.parse::<HeaderName>().map_err(|_| format!("headers: {name:?} is no header"))?;
        let value = known(value).map_err(|why| in_key("headers", why))?;
        HeaderValue::from_str(&value).map_err(|_| format!("headers.{name}: cannot be sent"))?;
    }
    Method::from_bytes(config.method.as_bytes()).ok().filter(|_| !config.method.is_empty()).ok_or_else(|| "method: is none".to_owned())?;
    let all = format!("{}{}", config.url, config.body);
    if let Some(word) = ["{to}", "{text}"].into_iter().find(|word| !all.contains(word)) {
        return Err(format!("body: neither it nor the url holds {word}"));
    }
    if Escape::of_body(config) == Escape::Json {
        serde_json::from_str::<serde_json::Value>(&body).map_err(|why| format!("body: is not JSON once it is filled in: {why}"))?;
    }
    drop(url);
    if !config.accepted.id.is_empty() && !config.accepted.id.starts_with('/') {
        return Err("accepted.id: a JSON pointer begins with /".to_owned());
    }
    if config.accepted.statuses.is_empty() {
        return Err("accepted.statuses: at least one".to_owned());
    }
    Ok(())
}

fn unanswered(error: &reqwest::Error) -> Failure {
    // The error's own words hold the URL, and with it password and number.
    if error.is_connect() {
        Failure::passing("connect", "the gateway cannot be reached")
    } else if error.is_timeout() {
        Failure::passing("timed_out", "the gateway did not answer in time")
    } else {
        Failure::passing("connect", "the connection to the gateway broke off")
    }
}

async fn read(mut answer: reqwest::Response) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| unanswered(&error))? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() >= ANSWER_LIMIT {
            bytes.truncate(ANSWER_LIMIT);
            break;
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn refused(status: u16, text: &str, lasting: bool) -> Failure {
    let said: String = text.trim().chars().filter(|c| !c.is_control()).take(200).collect();
    let words = if said.is_empty() { format!("the gateway answered {status}") } else { format!("the gateway answered {status}: {said}") };
    Failure { kind: "refused", status: Some(status), lasting, wait: None, words }
}

/// Kannel's answers (User's Guide, table 6-6): 202 with `0: …` sent or `3: …` queued; 503 for passing troubles; 4xx for a wrong request.
/// A login that it does not take is the operator's to put right, so the message waits.
fn kannel_answer(status: u16, text: &str) -> Result<Option<String>, Failure> {
    match status {
        200..=202 if text.starts_with("0:") || text.starts_with("3:") => Ok(None),
        400 | 406 | 413 | 414 => Err(refused(status, text, true)),
        _ => Err(refused(status, text, false)),
    }
}

fn template_answer(config: &SmsGatewayConfig, status: u16, text: &str) -> Result<Option<String>, Failure> {
    if config.refused.words.iter().any(|word| text.contains(word.as_str())) {
        return Err(refused(status, text, true));
    }
    if config.accepted.statuses.contains(&status) && text.contains(&config.accepted.body) {
        let answer: Option<serde_json::Value> = serde_json::from_str(text).ok();
        let id = answer.as_ref().filter(|_| !config.accepted.id.is_empty()).and_then(|answer| answer.pointer(&config.accepted.id));
        return Ok(id.and_then(|id| match id {
            serde_json::Value::String(id) => Some(id.chars().take(200).collect()),
            serde_json::Value::Number(id) => Some(id.to_string()),
            _ => None,
        }));
    }
    Err(refused(status, text, config.refused.statuses.contains(&status)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(extra: &str) -> SmsGatewayConfig {
        let text = format!(
            "name = \"a\"\nurl = \"http://127.0.0.1:1/send?u={{username}}\"\nusername = \"ž&b\"\nsecret = \"s3\"\nsender = \"Sklic\"\n{extra}"
        );
        toml::from_str(&text).unwrap()
    }

    fn message() -> SmsContent {
        SmsContent { to: "+38640123456".into(), text: "Živjo \"Ana\"\n{to} <&>".into(), coding: Coding::Ucs2 }
    }

    fn request(config: &SmsGatewayConfig) -> Request {
        let gateway = Gateway::new(config, "https://sklic.example/").unwrap();
        gateway.template_request(Uuid::nil(), Timestamp::UNIX_EPOCH, &message()).unwrap()
    }

    #[test]
    fn what_is_filled_in_is_escaped_for_its_place() {
        let json = r#"kind = "template"
            body = '{"to":["{to}"],"text":"{text}","id":"{id}"}'
            [headers]
            Content-Type = "application/json; charset=utf-8"
            Authorization = "Key {secret}""#;
        let (method, url, headers, body) = request(&config(json));
        assert_eq!((method.as_str(), url.as_str()), ("POST", "http://127.0.0.1:1/send?u=%C5%BE%26b"));
        assert_eq!(headers["authorization"], "Key s3");
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body, serde_json::json!({"to": ["+38640123456"], "text": message().text, "id": Uuid::nil().to_string()}));
        let form = "kind = \"template\"\nbody = 'to={to}&text={text}'\n[headers]\nContent-Type = \"application/x-www-form-urlencoded\"";
        assert_eq!(request(&config(form)).3, "to=%2B38640123456&text=%C5%BDivjo%20%22Ana%22%0A%7Bto%7D%20%3C%26%3E");
        let xml = "kind = \"template\"\nbody = '<sms to=\"{to}\">{text}</sms>'\n[headers]\nContent-Type = \"text/xml\"";
        assert_eq!(request(&config(xml)).3, "<sms to=\"+38640123456\">Živjo &quot;Ana&quot;\n{to} &lt;&amp;&gt;</sms>");
    }

    #[test]
    fn wrong_templates_are_refused_with_their_place() {
        for (extra, words) in [
            ("kind = \"template\"\nbody = '{number} {text}'", "body: there is no placeholder {number}"),
            ("kind = \"template\"\nbody = '{text}'", "neither it nor the url holds {to}"),
            ("kind = \"template\"\nbody = '{to}{text}'\n[headers]\nContent-Type = \"application/json\"", "is not JSON"),
            ("kind = \"template\"\nbody = '{to}{text}'\n[headers]\n\"a b\" = \"c\"", "\"a b\" is no header"),
            ("kind = \"template\"\nbody = '{to}{text}'\n[report]\nsecret = \"short\"", "report.secret"),
            ("kind = \"kannel\"\nprefixes = [\"SI\"]", "prefixes"),
            ("kind = \"kannel\"\ntimeout_seconds = 0", "timeout_seconds"),
        ] {
            let error = config(extra).check().unwrap_err();
            assert!(error.contains(words), "{extra}: {error}");
        }
    }

    #[test]
    fn kannels_answers_are_told_apart() {
        for accepted in ["0: Accepted for delivery", "3: Queued for later delivery"] {
            assert_eq!(kannel_answer(202, accepted), Ok(None));
        }
        for (status, text, lasting) in [
            (400, "Missing receiver number, rejected", true),
            (403, "Authorization failed for sendsms", false),
            (404, "", false),
            (503, "Temporal failure, try again later.", false),
            (202, "Not routable. Do not try again.", false),
        ] {
            assert_eq!(kannel_answer(status, text).unwrap_err().lasting, lasting, "{status} {text}");
        }
    }

    #[test]
    fn a_described_answer_is_understood() {
        let config =
            config("kind = \"template\"\nbody = '{to}{text}'\naccepted = { body = '\"ok\"', id = '/ids/0' }\nrefused = { words = ['BAD_NUMBER'] }");
        assert_eq!(template_answer(&config, 200, r#"{"state":"ok","ids":["a1"]}"#), Ok(Some("a1".into())));
        assert_eq!(template_answer(&config, 201, r#"{"state":"ok","ids":[7]}"#), Ok(Some("7".into())));
        assert_eq!(template_answer(&config, 200, r#"{"state":"ok"}"#), Ok(None));
        assert!(template_answer(&config, 200, r#"{"state":"BAD_NUMBER"}"#).unwrap_err().lasting);
        assert!(template_answer(&config, 422, "no").unwrap_err().lasting);
        for (status, text) in [(200, r#"{"state":"busy"}"#), (500, ""), (429, "slow"), (301, ""), (401, "")] {
            assert!(!template_answer(&config, status, text).unwrap_err().lasting, "{status}");
        }
    }
}
