//! Sections `[[sms_gateway]]` of the configuration: gateways are described, not programmed.

use std::collections::BTreeMap;
use std::path::PathBuf;

use secrecy::SecretString;
use serde::Deserialize;

use super::alphabet::Alphabet;
use crate::delivery::outward::{Reach, check_url};

/// One SMS gateway that takes messages over HTTP.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SmsGatewayConfig {
    /// Its name, which is part of the address of its delivery reports.
    pub name: String,
    /// How it is spoken to.
    pub kind: SmsGatewayKind,
    /// Where messages go. A template may use placeholders here.
    pub url: String,
    /// Kannel: the `sendsms-user`. Template: `{username}`.
    #[serde(default)]
    pub username: String,
    /// Its password or key. Template: `{secret}`.
    #[serde(default)]
    pub secret: Option<SecretString>,
    /// A file that holds it.
    #[serde(default)]
    pub secret_file: Option<PathBuf>,
    /// The sender that phones show: a number, or at most 11 letters and digits. Template: `{from}`.
    #[serde(default)]
    pub sender: String,
    /// Beginnings of the numbers that this gateway serves, in normal form; the longest that fits decides. None serves all.
    #[serde(default)]
    pub prefixes: Vec<String>,
    /// What is done with characters that the default alphabet of short messages lacks.
    #[serde(default)]
    pub alphabet: Alphabet,
    /// How long one message may take, in seconds.
    #[serde(default = "default_timeout")]
    pub timeout_seconds: u32,
    /// Template: the method.
    #[serde(default = "default_method")]
    pub method: String,
    /// Template: headers, with placeholders.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Template: the body, with placeholders; what is filled in is escaped as the header `Content-Type` demands.
    #[serde(default)]
    pub body: String,
    /// What answer means that the message was taken over.
    #[serde(default)]
    pub accepted: Accepted,
    /// What answer means that it never will be.
    #[serde(default)]
    pub refused: Refused,
    /// Delivery reports.
    #[serde(default)]
    pub report: ReportConfig,
}

/// The kinds of gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SmsGatewayKind {
    /// Kannel's `sendsms` service (User's Guide, chapter 6).
    Kannel,
    /// Any other: request and answer are described.
    Template,
}

/// What answer means that a message was taken over.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Accepted {
    /// The HTTP statuses.
    pub statuses: Vec<u16>,
    /// What the answer's body must hold as well; nothing if empty.
    pub body: String,
    /// Where a JSON answer holds the gateway's own identifier (JSON pointer, RFC 6901).
    pub id: String,
}

impl Default for Accepted {
    fn default() -> Self {
        Self { statuses: vec![200, 201, 202], body: String::new(), id: String::new() }
    }
}

/// What answer means that a message never will be taken over; all other failures are repeated.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Refused {
    /// The HTTP statuses.
    pub statuses: Vec<u16>,
    /// Words in the answer's body, whatever the status; one of them is enough.
    pub words: Vec<String>,
}

impl Default for Refused {
    fn default() -> Self {
        Self { statuses: vec![400, 410, 413, 422], words: Vec::new() }
    }
}

/// How delivery reports come back: to `/api/v1/delivery_reports/{name}`, by GET or POST, as query, form or JSON.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReportConfig {
    /// The secret from which each message's report address gets its proof; without one no reports are asked for or taken.
    pub secret: Option<SecretString>,
    /// A file that holds it.
    pub secret_file: Option<PathBuf>,
    /// Where the gateway reaches the service, such as `http://10.0.0.5:8080`; `http.public_url` if not given.
    pub url: Option<String>,
    /// Template: the field that holds the gateway's own identifier, for gateways that cannot call each message's own address.
    /// They prove themselves by the field or header named `secret` (`Authorization: Bearer` works too).
    pub id: String,
    /// Template: the field that holds the state.
    pub state: String,
    /// Template: states that mean: on the phone.
    pub delivered: Vec<String>,
    /// Template: states that mean: will never be there.
    pub failed: Vec<String>,
    /// Template: the field that holds the reason.
    pub reason: String,
}

impl Default for ReportConfig {
    fn default() -> Self {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        Self {
            secret: None,
            secret_file: None,
            url: None,
            id: "id".to_owned(),
            state: "status".to_owned(),
            delivered: words(&["DELIVRD", "DELIVERED", "delivered"]),
            failed: words(&["UNDELIV", "UNDELIVERABLE", "REJECTD", "EXPIRED", "DELETED", "FAILED", "undelivered", "failed"]),
            reason: "reason".to_owned(),
        }
    }
}

fn default_timeout() -> u32 {
    20
}

fn default_method() -> String {
    "POST".to_owned()
}

impl SmsGatewayConfig {
    /// The password, from wherever it was put; empty when there is none.
    ///
    /// # Errors
    /// When its file cannot be read.
    pub fn secret(&self) -> Result<String, String> {
        given(self.secret.as_ref(), self.secret_file.as_ref()).map(Option::unwrap_or_default)
    }

    /// The secret of delivery reports.
    ///
    /// # Errors
    /// When its file cannot be read.
    pub fn report_secret(&self) -> Result<Option<String>, String> {
        given(self.report.secret.as_ref(), self.report.secret_file.as_ref()).map_err(|why| format!("report.{why}"))
    }

    /// What types alone cannot say.
    ///
    /// # Errors
    /// The key, and what is wrong with it.
    pub fn check(&self) -> Result<(), String> {
        if self.name.is_empty()
            || self.name.len() > 40
            || !self.name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-')
        {
            return Err("name: small letters, digits, _ and -, at most 40".to_owned());
        }
        // Placeholders stand where a URL may hold nearly anything.
        check_url(&self.url.replace(['{', '}'], "x"), Reach::Everywhere).map_err(|why| format!("url: {why}"))?;
        if let Some(url) = &self.report.url {
            check_url(url, Reach::Everywhere).map_err(|why| format!("report.url: {why}"))?;
        }
        if !(1..=600).contains(&self.timeout_seconds) {
            return Err("timeout_seconds: must be 1 to 600".to_owned());
        }
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if self.sender.len() > 20 || !self.sender.chars().all(|c| c.is_ascii_graphic() || c == ' ') {
            return Err("sender: a number, or letters and digits".to_owned());
        }
        if let Some(prefix) = self.prefixes.iter().find(|prefix| !digits(prefix.strip_prefix('+').unwrap_or(prefix))) {
            return Err(format!("prefixes: {prefix:?} is not + and digits, or a short number"));
        }
        self.secret()?;
        if let Some(secret) = self.report_secret()?
            && secret.len() < 16
        {
            return Err("report.secret: at least 16 characters".to_owned());
        }
        if self.kind == SmsGatewayKind::Kannel && self.username.is_empty() {
            return Err("username: Kannel needs one".to_owned());
        }
        if self.kind == SmsGatewayKind::Template {
            super::gateway::check_template(self)?;
        }
        Ok(())
    }
}

fn given(value: Option<&SecretString>, file: Option<&PathBuf>) -> Result<Option<String>, String> {
    use secrecy::ExposeSecret as _;
    if value.is_none() && file.is_none() {
        return Ok(None);
    }
    crate::config::secret("secret", value.map(|value| value.expose_secret()), file.map(PathBuf::as_path)).map(Some)
}
