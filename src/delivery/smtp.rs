//! One mail over SMTP (RFC 5321), and whether a refusal lasts.

use std::path::{Path, PathBuf};
use std::time::Duration;

use lettre::message::Mailbox;
use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::commands::{Mail, Rcpt, Rset};
use lettre::transport::smtp::extension::ClientId;
use reqwest::Url;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use super::mail::{MailError, MailMessage};
use super::worker::{Channel, Failure};
use crate::storage::outbox::ClaimedJob;

/// Section `[mail]` of the configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MailConfig {
    /// The server: `smtp://host:port` in the clear, `smtps://` over TLS, `smtp+starttls://` that changes to TLS and insists on it;
    /// `user:password@` before the host, percent-encoded.
    pub smtp: SecretString,
    /// The sender, such as `Sklic <sklic@example.test>`; the address's domain is also that of the Message-IDs.
    pub from: String,
    /// How long one mail may take, in seconds.
    #[serde(default = "default_timeout")]
    pub timeout_seconds: u32,
    /// A PEM file of certificates that are trusted for this server beside the system's: an operator's own authority.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
}

fn default_timeout() -> u32 {
    30
}

impl MailConfig {
    /// Whether mails can be sent with this, as far as can be told without the server.
    ///
    /// # Errors
    /// [`MailConfigError`], which names the key.
    pub fn check(&self) -> Result<(), MailConfigError> {
        Mailer::new(self).map(drop)
    }
}

/// What is wrong with the section `[mail]`. It never repeats the URL, which may hold a password.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum MailConfigError {
    /// The server's URL cannot be used.
    #[error("mail.smtp: {0}")]
    Server(&'static str),
    /// The sender is not an address.
    #[error("mail.from: {0:?} is not an address such as Sklic <sklic@example.test>")]
    Sender(String),
    /// The file of certificates cannot be used.
    #[error("mail.ca_file: {0}")]
    Authority(String),
    /// TLS cannot be set up.
    #[error("mail.smtp: TLS cannot be set up: {0}")]
    Tls(String),
    /// No time to send a mail.
    #[error("mail.timeout_seconds: must be 1 to 600")]
    Timeout,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Security {
    Clear,
    Tls,
    StartTls,
}

/// Sends mails through one server. Each has a connection of its own, so that one that is given up midway disturbs no other.
#[derive(Clone)]
pub struct Mailer {
    host: String,
    port: u16,
    security: Security,
    tls: Option<TlsParameters>,
    credentials: Option<Credentials>,
    from: Mailbox,
    hello: ClientId,
    timeout: Duration,
}

/// Why a mail was not sent.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The server cannot be reached or does not take us: that is not the mail's fault.
    #[error("the mail server does not take connections: {0}")]
    Connect(#[source] SmtpError),
    /// The server did not take the mail.
    #[error("the mail was not taken: {0}")]
    Refused(#[source] SmtpError),
    /// The dialogue took too long.
    #[error("the mail server did not answer within {} s", .0.as_secs())]
    TimedOut(Duration),
    /// There is no mail in the job.
    #[error("{0}")]
    Unreadable(String),
}

impl SendError {
    pub(super) fn unreadable(error: &MailError) -> Self {
        Self::Unreadable(error.to_string())
    }

    /// Whether the same mail will never be taken.
    #[must_use]
    pub fn is_lasting(&self) -> bool {
        match self {
            Self::Unreadable(_) => true,
            Self::Connect(_) | Self::TimedOut(_) => false,
            // RFC 4954 §6: the server wants a login or a stronger one, which the operator can put right.
            Self::Refused(_) if matches!(self.status(), Some(530 | 534 | 535 | 538)) => false,
            // A fault of the client is one of the mail: an address beyond ASCII, say, for a server that takes none.
            Self::Refused(error) => error.is_permanent() || error.is_client(),
        }
    }

    /// The server's reply code, if it replied.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Connect(error) | Self::Refused(error) => error.status().and_then(|code| code.to_string().parse().ok()),
            Self::TimedOut(_) | Self::Unreadable(_) => None,
        }
    }

    /// A word for logs.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Connect(_) => "connect",
            Self::Refused(_) => "refused",
            Self::TimedOut(_) => "timed_out",
            Self::Unreadable(_) => "unreadable",
        }
    }
}

impl Mailer {
    /// A mailer for this configuration. Connects when a mail is sent, not here.
    ///
    /// # Errors
    /// [`MailConfigError`], which names the key.
    pub fn new(config: &MailConfig) -> Result<Self, MailConfigError> {
        let from: Mailbox = config.from.parse().map_err(|_| MailConfigError::Sender(config.from.clone()))?;
        if !(1..=600).contains(&config.timeout_seconds) {
            return Err(MailConfigError::Timeout);
        }
        let url = Url::parse(config.smtp.expose_secret()).map_err(|_| MailConfigError::Server("is not a URL such as smtp://mail.example.test:25"))?;
        let (security, port) = match url.scheme() {
            "smtp" => (Security::Clear, 25),
            "smtps" => (Security::Tls, 465),
            "smtp+starttls" => (Security::StartTls, 587),
            _ => return Err(MailConfigError::Server("must begin with smtp://, smtps:// or smtp+starttls://")),
        };
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or(MailConfigError::Server("names no host"))?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err(MailConfigError::Server("may hold nothing after host and port"));
        }
        let credentials = match (decoded(url.username()), url.password().map(decoded)) {
            (Some(user), None) if user.is_empty() => None,
            (Some(user), Some(Some(password))) if !user.is_empty() => Some(Credentials::new(user, password)),
            _ => return Err(MailConfigError::Server("must hold user and password, percent-encoded, or neither")),
        };
        let is_local = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
        if credentials.is_some() && security == Security::Clear && !is_local {
            return Err(MailConfigError::Server("would send the password in the clear: use smtps:// or smtp+starttls://"));
        }
        let tls = match security {
            Security::Clear => None,
            Security::Tls | Security::StartTls => Some(tls(&host, config.ca_file.as_deref())?),
        };
        let timeout = Duration::from_secs(config.timeout_seconds.into());
        Ok(Self { port: url.port().unwrap_or(port), host, security, tls, credentials, from, hello: ClientId::default(), timeout })
    }

    /// The domain of the Message-IDs.
    #[must_use]
    pub fn domain(&self) -> &str {
        self.from.email.domain()
    }

    /// Sends a mail: `Ok` once the server has taken it over.
    ///
    /// # Errors
    /// [`SendError`]; after one that says `TimedOut`, or whose connection was lost, the server may have taken the mail all the same.
    pub async fn send(&self, message: &MailMessage) -> Result<(), SendError> {
        let mail = message.compose(&self.from).map_err(|error| SendError::unreadable(&error))?;
        self.in_time(async {
            let mut connection = self.connect().await.map_err(SendError::Connect)?;
            connection.send(mail.envelope(), &mail.formatted()).await.map_err(SendError::Refused)?;
            Ok(connection)
        })
        .await
    }

    /// Connects, logs in, names the sender, and takes it back: for the doctor of the configuration. No mail is sent.
    ///
    /// # Errors
    /// [`SendError::Connect`] or [`SendError::TimedOut`]; [`SendError::Refused`] when the server takes no mail from our sender.
    pub async fn check_server(&self) -> Result<(), SendError> {
        self.in_time(async {
            let mut connection = self.connect().await.map_err(SendError::Connect)?;
            connection.command(Mail::new(Some(self.from.email.clone()), Vec::new())).await.map_err(SendError::Refused)?;
            // Many servers judge the sender only now; the one recipient who must exist is whoever gets the bounces.
            if let Err(refusal) = connection.command(Rcpt::new(self.from.email.clone(), Vec::new())).await
                && blames_sender(&refusal)
            {
                return Err(SendError::Refused(refusal));
            }
            // Whether it forgets the mail or not: nothing of it was sent.
            let _ = connection.command(Rset).await;
            Ok(connection)
        })
        .await
    }

    /// Holds a dialogue within the time limit, then takes leave.
    async fn in_time(&self, dialogue: impl Future<Output = Result<AsyncSmtpConnection, SendError>>) -> Result<(), SendError> {
        let connection = tokio::time::timeout(self.timeout, dialogue).await;
        let mut connection = connection.map_err(|_| SendError::TimedOut(self.timeout))??;
        // The mail is sent already: how the leave-taking goes does not matter, and nobody waits for it.
        tokio::spawn(async move { tokio::time::timeout(Duration::from_secs(5), connection.quit()).await.is_ok() });
        Ok(())
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, SmtpError> {
        let wrapped = if self.security == Security::Tls { self.tls.clone() } else { None };
        let server = (self.host.as_str(), self.port);
        let mut connection = AsyncSmtpConnection::connect_tokio1(server, Some(self.timeout), &self.hello, wrapped, None).await?;
        if let (Security::StartTls, Some(tls)) = (self.security, self.tls.clone()) {
            connection.starttls(tls, &self.hello).await?;
        }
        if let Some(credentials) = &self.credentials {
            connection.auth(&[Mechanism::Plain, Mechanism::Login], credentials).await?;
        }
        Ok(connection)
    }
}

impl Channel for Mailer {
    const KIND: &'static str = super::MAIL;

    fn domain(&self) -> &str {
        Self::domain(self)
    }

    async fn send(&self, job: &ClaimedJob) -> Result<Option<String>, Failure> {
        let message = MailMessage::of_job(job).map_err(|error| Failure::unreadable(error.to_string()))?;
        Self::send(self, &message).await.map(|()| None).map_err(|error| Failure {
            kind: error.kind(),
            status: error.status(),
            lasting: error.is_lasting(),
            wait: None,
            words: error.to_string(),
        })
    }
}

/// Whether the refusal of a recipient is about us, by its enhanced status code where there is one (RFC 3463).
///
/// A sender's address need not have a mailbox, and a server may ask to come back later (greylisting).
fn blames_sender(refusal: &SmtpError) -> bool {
    let words = std::error::Error::source(refusal).map(ToString::to_string).unwrap_or_default();
    let code: Vec<u16> = words.split(' ').next().unwrap_or_default().split('.').map_while(|part| part.parse().ok()).collect();
    match code[..] {
        // Bad sender's mailbox or system address; Postfix says so with a passing code, too.
        [4 | 5, 1, 7 | 8] => true,
        // Other faults of an address, and of a mailbox, are the recipient's.
        [_, 1 | 2, _] => false,
        _ => refusal.is_permanent(),
    }
}

/// What TLS trusts: the system's authorities, and those of the file.
fn tls(host: &str, ca_file: Option<&Path>) -> Result<TlsParameters, MailConfigError> {
    let mut builder = TlsParameters::builder(host.to_owned());
    if let Some(file) = ca_file {
        let pem = std::fs::read(file).map_err(|error| MailConfigError::Authority(format!("cannot read {}: {error}", file.display())))?;
        let certificate = Certificate::from_pem(&pem).map_err(|_| MailConfigError::Authority(format!("{} holds no certificate", file.display())))?;
        builder = builder.add_root_certificate(certificate);
    }
    builder.build().map_err(|error| MailConfigError::Tls(error.to_string()))
}

/// Percent-decoding (RFC 3986 §2.1); `None` when the result is not text.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escaped = (*first == b'%').then(|| after.get(..2)).flatten().and_then(|digits| std::str::from_utf8(digits).ok());
        match escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).ok().filter(|text| !text.contains('\0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mailer(url: &str) -> Result<Mailer, MailConfigError> {
        Mailer::new(&MailConfig { smtp: url.into(), from: "Sklic <sklic@example.test>".into(), timeout_seconds: 30, ca_file: None })
    }

    #[test]
    fn urls_name_server_port_and_security() {
        for (url, host, port, security, login) in [
            ("smtp://127.0.0.1:2525", "127.0.0.1", 2525, Security::Clear, false),
            ("smtp://mail.example.test", "mail.example.test", 25, Security::Clear, false),
            ("smtps://mail.example.test/", "mail.example.test", 465, Security::Tls, false),
            ("smtp+starttls://ana%40b:p%3Aw%2F%C4%8D@mail.example.test", "mail.example.test", 587, Security::StartTls, true),
            ("smtp://a:b@[::1]:26", "::1", 26, Security::Clear, true),
        ] {
            let mailer = mailer(url).unwrap();
            assert_eq!((mailer.host.as_str(), mailer.port, mailer.security, mailer.credentials.is_some()), (host, port, security, login), "{url}");
            assert_eq!(mailer.domain(), "example.test");
        }
        assert_eq!(decoded("ana%40b").as_deref(), Some("ana@b"));
        assert_eq!(decoded("%C4%8D%"), Some("č%".to_owned()));
        assert_eq!(decoded("%ff"), None);
    }

    #[test]
    fn bad_urls_are_refused_without_telling_the_password() {
        for url in [
            "",
            "mail.example.test:25",
            "http://mail.example.test",
            "smtp://",
            "smtp://geslo7@127.0.0.1",
            "smtp://:geslo7@127.0.0.1",
            "smtp://ana:geslo7@mail.example.test",
            "smtp://ana:%ffgeslo7@127.0.0.1",
            "smtp://127.0.0.1/geslo7",
            "smtp://127.0.0.1?tls=geslo7",
        ] {
            let error = mailer(url).err().unwrap_or_else(|| panic!("{url}"));
            assert!(error.to_string().starts_with("mail.smtp: ") && !error.to_string().contains("geslo7"), "{error}");
        }
        let config = MailConfig { smtp: "smtp://ana:geslo7@127.0.0.1".into(), from: "nobody".into(), timeout_seconds: 30, ca_file: None };
        assert!(!format!("{config:?}").contains("geslo7"));
        assert_eq!(config.check(), Err(MailConfigError::Sender("nobody".into())));
    }
}
