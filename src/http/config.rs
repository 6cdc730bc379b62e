//! Section `[http]` of the configuration.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use secrecy::SecretString;
use serde::Deserialize;

/// Section `[http]` of the configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpConfig {
    /// Where to listen.
    pub listen: SocketAddr,
    /// The address under which browsers reach the service; `https://` makes the cookie secure.
    pub public_url: String,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpAddr>,
    /// Connections at once.
    pub connections: usize,
    /// How long one request may take, in seconds; streams of live changes are not requests in this sense.
    pub request_timeout_seconds: u64,
    /// A session ends when it was not used for so long, in minutes.
    pub session_idle_minutes: u32,
    /// A session ends after so long whatever happens, in hours.
    pub session_hours: u32,
    /// Requests in a second that one account may make in the long run.
    pub account_requests_per_second: u32,
    /// Requests that one account may make at once.
    pub account_burst: u32,
    /// Requests in a second that one address may make in the long run.
    pub address_requests_per_second: u32,
    /// Requests that one address may make at once.
    pub address_burst: u32,
    /// Attempts to log in that one address may make in a minute.
    pub logins_per_minute: u32,
    /// Wrong passwords after which a user number has to wait.
    pub login_failures: u32,
    /// Windows that one account may have open on live changes.
    pub live_streams_per_account: u32,
    /// How often a window's session is looked at again, in seconds.
    pub live_check_seconds: u64,
    /// The token with which `/metrics` may be read from elsewhere; without one it is open to this machine only.
    pub metrics_token: Option<SecretString>,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            public_url: "http://127.0.0.1:8080".into(),
            trusted_proxies: Vec::new(),
            connections: 4096,
            request_timeout_seconds: 15,
            session_idle_minutes: 12 * 60,
            session_hours: 30 * 24,
            account_requests_per_second: 50,
            account_burst: 300,
            address_requests_per_second: 100,
            address_burst: 600,
            logins_per_minute: 30,
            login_failures: 5,
            live_streams_per_account: 32,
            live_check_seconds: 30,
            metrics_token: None,
        }
    }
}

impl HttpConfig {
    /// Whether browsers reach the service over TLS.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.public_url.starts_with("https://")
    }

    /// The origin of the service's pages, as browsers send it: the public URL without its path.
    #[must_use]
    pub fn public_origin(&self) -> &str {
        let start = self.public_url.find("://").map_or(0, |at| at + 3);
        let end = self.public_url[start..].find('/').map_or(self.public_url.len(), |at| start + at);
        &self.public_url[..end]
    }

    /// How long one request may take.
    #[must_use]
    pub fn request_timeout(&self) -> Duration {
        Duration::from_secs(self.request_timeout_seconds.max(1))
    }
}
