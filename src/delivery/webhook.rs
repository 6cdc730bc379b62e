//! Webhooks: events as signed POST requests.
//!
//! The body is a JSON object; the header `Sklic-Signature` holds `t=<seconds since 1970>,v1=<hexadecimal>`, where the latter is
//! HMAC-SHA256 by the webhook's secret over `<seconds>.<body>`. A receiver computes the same, compares without telling where they
//! differ, refuses old seconds, and drops an event whose `id` it has had: what is not answered with 2xx is sent again.

use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use reqwest::Client;
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Value;
use sha2::Sha256;

use super::outward::{self, Reach, check_endpoint, check_url};
use super::worker::{Channel, Failure};
use crate::clock;
use crate::ids::WebhookId;
use crate::storage::outbox::ClaimedJob;
use crate::storage::{Pool, webhooks};

/// The events that webhooks tell.
pub const EVENT_KINDS: [&str; 7] =
    ["conference.started", "participant.in", "participant.out", "participant.failed", "conference.ended", "report.ready", "charge.written"];

/// Section `[webhooks]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WebhooksConfig {
    /// Conveners' webhooks may lead to this machine and to private networks; meant for tests and closed networks.
    pub allow_private: bool,
    /// How long an answer may take, in seconds.
    pub timeout_seconds: u32,
    /// The most webhooks of one account.
    pub most_per_account: u32,
    /// The operator's own, told of all accounts; they may lead anywhere.
    pub endpoint: Vec<OperatorWebhook>,
}

impl Default for WebhooksConfig {
    fn default() -> Self {
        Self { allow_private: false, timeout_seconds: 10, most_per_account: 5, endpoint: Vec::new() }
    }
}

/// One webhook of the operator.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperatorWebhook {
    /// Its name; under another name it is another one.
    pub name: String,
    /// Where events are sent to.
    pub url: String,
    /// Signs them; at least 16 characters.
    #[serde(default)]
    pub secret: Option<SecretString>,
    /// A file that holds the secret.
    #[serde(default)]
    pub secret_file: Option<std::path::PathBuf>,
    /// Which events; all if empty.
    #[serde(default)]
    pub events: Vec<String>,
}

impl WebhooksConfig {
    /// What conveners' webhooks may reach.
    #[must_use]
    pub fn reach(&self) -> Reach {
        if self.allow_private { Reach::Everywhere } else { Reach::Public }
    }

    /// What types alone cannot say.
    ///
    /// # Errors
    /// The key, and what is wrong with it.
    pub fn check(&self) -> Result<(), String> {
        if !(1..=60).contains(&self.timeout_seconds) {
            return Err("timeout_seconds: must be 1 to 60".to_owned());
        }
        self.operators(Timestamp::UNIX_EPOCH).map(drop)
    }

    /// The operator's webhooks as rows.
    ///
    /// # Errors
    /// The key, and what is wrong with it.
    pub fn operators(&self, now: Timestamp) -> Result<Vec<webhooks::Webhook>, String> {
        use secrecy::ExposeSecret as _;
        let mut rows: Vec<webhooks::Webhook> = Vec::new();
        for (at, one) in self.endpoint.iter().enumerate() {
            let wrong = |why: String| format!("endpoint[{at}].{why}");
            if one.name.is_empty() || one.name.chars().count() > 200 || rows.iter().any(|row| row.name == one.name) {
                return Err(wrong("name: is needed, and by one only".to_owned()));
            }
            let url = check_endpoint(&one.url, Reach::Everywhere).map_err(|why| wrong(format!("url: {why}")))?;
            let secret = crate::config::secret("secret", one.secret.as_ref().map(|secret| secret.expose_secret()), one.secret_file.as_deref());
            let secret = secret.map_err(wrong)?;
            if !(16..=200).contains(&secret.chars().count()) {
                return Err(wrong("secret: 16 to 200 characters".to_owned()));
            }
            if let Some(kind) = one.events.iter().find(|kind| !EVENT_KINDS.contains(&kind.as_str())) {
                return Err(wrong(format!("events: there is no event {kind:?}; there are {}", EVENT_KINDS.join(", "))));
            }
            rows.push(webhooks::Webhook {
                id: WebhookId::fresh(),
                account: None,
                name: one.name.clone(),
                url: url.to_string(),
                secret,
                kinds: one.events.iter().cloned().map(Some).collect(),
                created_at: now,
                disabled_at: None,
            });
        }
        Ok(rows)
    }
}

/// What a job's payload holds.
#[derive(Deserialize)]
struct WebhookContent {
    webhook: WebhookId,
    event: Value,
    #[serde(default)]
    replay: bool,
}

/// The channel of webhooks.
pub struct WebhookChannel {
    pool: Pool,
    /// For the accounts' webhooks.
    public: Client,
    /// For the operator's.
    everywhere: Client,
    reach: Reach,
    domain: String,
}

impl WebhookChannel {
    /// A channel that keeps to what the configuration allows.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(pool: Pool, config: &WebhooksConfig, domain: String) -> Result<Self, reqwest::Error> {
        let timeout = Duration::from_secs(config.timeout_seconds.into());
        let reach = config.reach();
        Ok(Self { pool, public: outward::client(reach, timeout)?, everywhere: outward::client(Reach::Everywhere, timeout)?, reach, domain })
    }
}

/// The signature of a body that is sent at `seconds`.
#[must_use]
pub fn signature(secret: &str, seconds: i64, body: &[u8]) -> String {
    use std::fmt::Write as _;
    // HMAC takes keys of every length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return String::new() };
    mac.update(format!("{seconds}.").as_bytes());
    mac.update(body);
    mac.finalize().into_bytes().iter().fold(format!("t={seconds},v1="), |mut words, byte| {
        // Writing to a string cannot fail.
        let _ = write!(words, "{byte:02x}");
        words
    })
}

impl Channel for WebhookChannel {
    const KIND: &'static str = super::WEBHOOK;

    fn domain(&self) -> &str {
        &self.domain
    }

    async fn send(&self, job: &ClaimedJob) -> Result<Option<String>, Failure> {
        let content: WebhookContent = serde_json::from_value(job.payload.clone()).map_err(|error| Failure::unreadable(error.to_string()))?;
        let away = |_| Failure::passing("configuration", "the database cannot be read");
        let webhook = webhooks::find(&mut *self.pool.get().await.map_err(away)?, content.webhook).await.map_err(away)?;
        let webhook = webhook.ok_or_else(|| Failure::unreadable("the webhook is deleted"))?;
        let (client, reach) = if webhook.account.is_none() { (&self.everywhere, Reach::Everywhere) } else { (&self.public, self.reach) };
        // A literal address is not resolved, so that the guard of names would not see it.
        let url = check_url(&webhook.url, reach).map_err(|error| Failure { kind: "refused", ..Failure::unreadable(error.to_string()) })?;
        let body = content.event.to_string();
        let seconds = clock::now().as_second();
        let request = client
            .post(url)
            .header(CONTENT_TYPE, "application/json")
            .header("Sklic-Signature", signature(&webhook.secret, seconds, body.as_bytes()))
            .header("Sklic-Delivery", job.id.to_string())
            .header("Sklic-Replay", if content.replay { "true" } else { "false" });
        let answer = request.body(body).send().await.map_err(|error| unanswered(&error))?;
        let status = answer.status().as_u16();
        if answer.status().is_success() {
            return Ok(None);
        }
        let asked = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        let words = if answer.status().is_redirection() {
            format!("the answer was {status}: redirects are not followed")
        } else {
            format!("the answer was {status}")
        };
        // 410: the receiver says itself that it wants no more of this.
        Err(Failure {
            kind: "refused",
            status: Some(status),
            lasting: status == 410,
            wait: asked.map(|asked| Duration::from_secs(asked.min(3600))),
            words,
        })
    }
}

fn unanswered(error: &reqwest::Error) -> Failure {
    use std::error::Error as _;
    let mut cause = error.source();
    while let Some(inner) = cause {
        if inner.downcast_ref::<outward::UrlError>().is_some() {
            return Failure::passing("refused", outward::UrlError::NotPublic.to_string());
        }
        cause = inner.source();
    }
    if error.is_timeout() { Failure::passing("timed_out", "no answer in time") } else { Failure::passing("connect", "the address cannot be reached") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_what_others_compute() {
        // printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac 0123456789abcdef
        let expected = "t=1700000000,v1=9eb18f493f8ec135d9eb2dad817c369bb4e9cbfa818657897a7437c1cd8c3a23";
        assert_eq!(signature("0123456789abcdef", 1_700_000_000, br#"{"a":1}"#), expected);
    }

    #[test]
    fn operators_webhooks_are_checked() {
        let config = |text: &str| toml::from_str::<WebhooksConfig>(text).unwrap().check();
        assert_eq!(
            config("[[endpoint]]\nname = \"crm\"\nurl = \"http://127.0.0.1:9/\"\nsecret = \"0123456789abcdef\"\nevents = [\"report.ready\"]"),
            Ok(())
        );
        for (text, words) in [
            ("[[endpoint]]\nname = \"a\"\nurl = \"ftp://a/\"\nsecret = \"0123456789abcdef\"", "endpoint[0].url"),
            ("[[endpoint]]\nname = \"a\"\nurl = \"https://a.example/\"\nsecret = \"short\"", "endpoint[0].secret"),
            ("[[endpoint]]\nname = \"a\"\nurl = \"https://a.example/\"", "endpoint[0].secret: is missing"),
            ("[[endpoint]]\nname = \"a\"\nurl = \"https://a.example/\"\nsecret = \"0123456789abcdef\"\nevents = [\"x\"]", "there is no event \"x\""),
            ("timeout_seconds = 0", "timeout_seconds"),
        ] {
            let error = config(text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
