//! Limits on the rate of requests, by account and by address.

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{Extensions, HeaderMap};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use super::config::HttpConfig;
use super::problem::{Kind, Problem};
use super::state::AppState;
use crate::ids::AccountId;

/// The address from which a request comes, as far as it is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

/// How many keys a limiter may hold before those that are idle are forgotten.
const MANY_KEYS: usize = 50_000;

/// The limiters.
pub struct Limiters {
    accounts: DefaultKeyedRateLimiter<AccountId>,
    addresses: DefaultKeyedRateLimiter<IpAddr>,
    logins: DefaultKeyedRateLimiter<IpAddr>,
    clock: DefaultClock,
}

fn at_least_one(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN)
}

impl Limiters {
    /// As the configuration says.
    #[must_use]
    pub fn new(config: &HttpConfig) -> Self {
        let per_second = |rate, burst| Quota::per_second(at_least_one(rate)).allow_burst(at_least_one(burst));
        Self {
            accounts: RateLimiter::keyed(per_second(config.account_requests_per_second, config.account_burst)),
            addresses: RateLimiter::keyed(per_second(config.address_requests_per_second, config.address_burst)),
            logins: RateLimiter::keyed(Quota::per_minute(at_least_one(config.logins_per_minute))),
            clock: DefaultClock::default(),
        }
    }

    fn take<K: Clone + Eq + std::hash::Hash>(&self, limiter: &DefaultKeyedRateLimiter<K>, key: &K) -> Result<(), Problem> {
        if limiter.len() > MANY_KEYS {
            limiter.retain_recent();
        }
        limiter.check_key(key).map_err(|not_until| too_many(not_until.wait_time_from(self.clock.now()).as_millis().div_ceil(1000)))
    }

    /// One more request of an account.
    ///
    /// # Errors
    /// When there are too many.
    pub fn account(&self, account: AccountId) -> Result<(), Problem> {
        self.take(&self.accounts, &account)
    }

    /// One more attempt to log in from an address.
    ///
    /// # Errors
    /// When there are too many.
    pub fn login(&self, address: IpAddr) -> Result<(), Problem> {
        self.take(&self.logins, &network_of(address))
    }
}

/// The problem of too many requests.
pub(super) fn too_many(seconds: u128) -> Problem {
    let seconds = u64::try_from(seconds).unwrap_or(u64::MAX).max(1);
    let unit = if seconds == 1 { "second" } else { "seconds" };
    Problem::new(Kind::TooManyRequests).detail(format!("Try again in {seconds} {unit}.")).retry_after(seconds)
}

/// An IPv6 customer has a whole /64, and counts as one.
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// The address of a request: the peer's, or what a trusted proxy says; of several addresses the last one that is no trusted proxy's.
fn address_of(config: &HttpConfig, extensions: &Extensions, headers: &HeaderMap) -> IpAddr {
    let Some(ConnectInfo(peer)) = extensions.get::<ConnectInfo<std::net::SocketAddr>>() else {
        return IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    };
    let peer = peer.ip().to_canonical();
    if !config.trusted_proxies.contains(&peer) {
        return peer;
    }
    let hops: Vec<&str> =
        headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).collect();
    for hop in hops.into_iter().rev() {
        match hop.trim().parse::<IpAddr>() {
            Ok(address) if config.trusted_proxies.contains(&address.to_canonical()) => {}
            Ok(address) => return address.to_canonical(),
            Err(_) => return peer,
        }
    }
    peer
}

/// Finds out the client's address and counts the request against it.
pub(super) async fn by_address(State(state): State<AppState>, mut request: Request, next: Next) -> Response {
    let address = address_of(&state.config, request.extensions(), request.headers());
    if let Err(problem) = state.limiters.take(&state.limiters.addresses, &network_of(address)) {
        return problem.into_response();
    }
    request.extensions_mut().insert(ClientAddress(address));
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(peer: &str, forwarded: &[&str]) -> String {
        let config = HttpConfig { trusted_proxies: vec![IpAddr::from([127, 0, 0, 9])], ..HttpConfig::default() };
        let mut extensions = Extensions::new();
        extensions.insert(ConnectInfo(std::net::SocketAddr::new(peer.parse().expect("an address"), 1)));
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", value.parse().expect("a header"));
        }
        address_of(&config, &extensions, &headers).to_string()
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        assert_eq!(address("10.0.0.1", &["1.2.3.4"]), "10.0.0.1");
        assert_eq!(address("127.0.0.9", &["1.2.3.4"]), "1.2.3.4");
        assert_eq!(address("127.0.0.9", &["6.6.6.6, 1.2.3.4"]), "1.2.3.4", "what the client wrote itself is not believed");
        assert_eq!(address("127.0.0.9", &["6.6.6.6", "1.2.3.4, 127.0.0.9"]), "1.2.3.4");
        assert_eq!(address("127.0.0.9", &["rubbish"]), "127.0.0.9");
        assert_eq!(address("127.0.0.9", &[]), "127.0.0.9");
        assert_eq!(address("::ffff:10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn a_network_counts_as_one() {
        let network = |text: &str| network_of(text.parse().expect("an address")).to_string();
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(network("::ffff:1.2.3.4"), "1.2.3.4");
    }
}
