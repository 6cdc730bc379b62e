//! Section `[http]` of the configuration.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
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
    /// What types alone cannot say; the key and what is wrong with it.
    pub(crate) fn check(&self) -> Result<(), String> {
        let url = reqwest::Url::parse(&self.public_url).map_err(|why| format!("public_url: {:?} is no address: {why}", self.public_url))?;
        // As it is written, for it is compared with what browsers send.
        if !(self.public_url.starts_with("http://") || self.public_url.starts_with("https://")) || url.host_str().is_none() {
            return Err(format!("public_url: {:?} does not begin with http:// or https:// and a host", self.public_url));
        }
        if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() || url.password().is_some() {
            return Err(format!("public_url: {:?} holds more than scheme, host, port and path", self.public_url));
        }
        const MANY: u64 = 1_000_000;
        for (key, value, least, most) in [
            ("connections", u64::try_from(self.connections).unwrap_or(u64::MAX), 1, MANY),
            ("request_timeout_seconds", self.request_timeout_seconds, 1, 3_600),
            ("session_idle_minutes", self.session_idle_minutes.into(), 1, 366 * 24 * 60),
            ("session_hours", self.session_hours.into(), 1, 366 * 24),
            ("account_requests_per_second", self.account_requests_per_second.into(), 1, MANY),
            ("account_burst", self.account_burst.into(), 1, MANY),
            ("address_requests_per_second", self.address_requests_per_second.into(), 1, MANY),
            ("address_burst", self.address_burst.into(), 1, MANY),
            ("logins_per_minute", self.logins_per_minute.into(), 1, MANY),
            ("login_failures", self.login_failures.into(), 1, 1_000),
            ("live_streams_per_account", self.live_streams_per_account.into(), 1, MANY),
            ("live_check_seconds", self.live_check_seconds, 1, 3_600),
        ] {
            if !(least..=most).contains(&value) {
                return Err(format!("{key}: {value} is not between {least} and {most}"));
            }
        }
        if self.metrics_token.as_ref().is_some_and(|token| token.expose_secret().is_empty()) {
            return Err("metrics_token: is empty; leave it out to open /metrics to this machine only".into());
        }
        Ok(())
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_nothing_could_work_with_are_refused() {
        let usual = HttpConfig::default;
        assert_eq!(usual().check(), Ok(()));
        for url in ["https://sklic.example.test/", "http://127.0.0.1:8080", "https://sklic.example.test:8443/konference"] {
            assert_eq!(HttpConfig { public_url: url.into(), ..usual() }.check(), Ok(()), "{url}");
        }
        for url in ["sklic.example.test", "", "localhost:8080", "ftp://sklic.example.test", "HTTPS://sklic.example.test", "https://", "http://x/?a=b"]
        {
            let refused = HttpConfig { public_url: url.into(), ..usual() }.check().expect_err(url);
            assert!(refused.starts_with("public_url: "), "{refused}");
        }
        for (wrong, key) in [
            (HttpConfig { connections: 0, ..usual() }, "connections: "),
            (HttpConfig { session_hours: 0, ..usual() }, "session_hours: "),
            (HttpConfig { session_idle_minutes: 0, ..usual() }, "session_idle_minutes: "),
            (HttpConfig { request_timeout_seconds: u64::MAX, ..usual() }, "request_timeout_seconds: "),
            (HttpConfig { live_check_seconds: u64::MAX, ..usual() }, "live_check_seconds: "),
            (HttpConfig { live_streams_per_account: 0, ..usual() }, "live_streams_per_account: "),
            (HttpConfig { metrics_token: Some(String::new().into()), ..usual() }, "metrics_token: "),
        ] {
            let refused = wrong.check().expect_err(key);
            assert!(refused.starts_with(key), "{refused}");
        }
    }
}
