//! HTTP to other machines: to SMS gateways, which the operator names, and to webhooks, which anybody may name.
//!
//! A webhook's address is somebody else's word, so that the service could be made to knock at doors inside the operator's network.
//! Addresses that are not public are refused where the URL is set, and again at each connection, after the name was resolved:
//! the connection goes to the very address that was looked at. Redirects are never followed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Once};
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, ClientBuilder, Url, redirect};
use tracing::warn;

/// Makes the one implementation of cryptography known that all TLS of the process uses. Doing so twice is no harm.
pub fn install_crypto() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // An error says that one is installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}

/// Which addresses may be spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// All: the operator has named them.
    Everywhere,
    /// Public ones only.
    Public,
}

/// Why a URL is not spoken to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// It is none.
    #[error("this is not a URL such as https://example.com/path")]
    NotAUrl,
    /// Another scheme than `http` or `https`.
    #[error("only https:// and http:// can be used")]
    Scheme,
    /// User and password, which would show in logs.
    #[error("a URL with user or password cannot be used")]
    Credentials,
    /// The host is this machine or in a private network.
    #[error("the address is this machine's or of a private network, which the operator does not allow")]
    NotPublic,
    /// It holds control characters, which a reader of URLs drops or writes otherwise without a word.
    #[error("a URL holds no control characters, such as line ends")]
    ControlCharacter,
    /// It is longer than what is kept.
    #[error("at most 2000 characters")]
    TooLong,
}

/// The longest URL of a webhook, in characters.
const LONGEST_ENDPOINT: usize = 2_000;

/// A client that keeps to its reach.
///
/// # Errors
/// When TLS cannot be set up.
pub fn client(reach: Reach, timeout: Duration) -> Result<Client, reqwest::Error> {
    http_client(|| {
        Client::builder()
            .user_agent(concat!("Sklic/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            // A proxy of the environment would resolve names itself.
            .no_proxy()
            .timeout(timeout)
            .connect_timeout(timeout.min(Duration::from_secs(10)))
            .pool_idle_timeout(Duration::from_secs(30))
            .dns_resolver(Arc::new(Guard { reach }))
    })
}

/// Builds a client. On a machine without certificates of authorities it trusts none: `https://` fails there, and all else works.
///
/// # Errors
/// When TLS cannot be set up.
pub fn http_client(settings: impl Fn() -> ClientBuilder) -> Result<Client, reqwest::Error> {
    install_crypto();
    settings().build().or_else(|fault| {
        warn!(%fault, "no certificates of authorities are on this machine: nothing can be reached by https; install ca-certificates");
        settings().tls_certs_only([]).build()
    })
}

/// Reads a URL and refuses what is not to be spoken to, as far as can be told without resolving its name.
///
/// # Errors
/// [`UrlError`].
pub fn check_url(text: &str, reach: Reach) -> Result<Url, UrlError> {
    let url: Url = text.parse().map_err(|_| UrlError::NotAUrl)?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(UrlError::Scheme);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(UrlError::Credentials);
    }
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or(UrlError::NotAUrl)?;
    if reach == Reach::Public && !host_may_be_public(host) {
        return Err(UrlError::NotPublic);
    }
    Ok(url)
}

/// As [`check_url`], for a URL that is to be kept: as it was given, and in the form in which it is read, which is the one to keep.
///
/// # Errors
/// [`UrlError`].
pub fn check_endpoint(text: &str, reach: Reach) -> Result<Url, UrlError> {
    if text.chars().any(char::is_control) {
        return Err(UrlError::ControlCharacter);
    }
    if text.chars().count() > LONGEST_ENDPOINT {
        return Err(UrlError::TooLong);
    }
    let url = check_url(text, reach)?;
    // What is not ASCII has become three signs for each byte.
    if url.as_str().len() > LONGEST_ENDPOINT { Err(UrlError::TooLong) } else { Ok(url) }
}

/// Resolves a URL's host and refuses it when any of its addresses is not public. A name that cannot be resolved now is let pass:
/// each delivery looks again.
///
/// # Errors
/// [`UrlError::NotPublic`].
pub async fn check_resolved(url: &Url) -> Result<(), UrlError> {
    let Some(host) = url.host_str() else { return Err(UrlError::NotAUrl) };
    if literal(host).is_some() {
        return Ok(());
    }
    let Ok(Ok(mut found)) = tokio::time::timeout(Duration::from_secs(3), tokio::net::lookup_host((host, 443))).await else { return Ok(()) };
    if found.any(|address| !is_public(address.ip())) { Err(UrlError::NotPublic) } else { Ok(()) }
}

/// An address written out in a URL's host; the parser of URLs has brought odd writings of IPv4 (`0x7f.1`) into the usual form.
fn literal(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

fn host_may_be_public(host: &str) -> bool {
    if let Some(address) = literal(host) {
        return is_public(address);
    }
    let name = host.trim_end_matches('.').to_ascii_lowercase();
    // RFC 6761, RFC 6762 and RFC 9476: names that never lead outside.
    let inside = ["localhost", "local", "internal", "home.arpa", "localdomain"];
    !inside.iter().any(|suffix| name == *suffix || name.ends_with(&format!(".{suffix}")))
}

/// Whether an address belongs to the public Internet (IANA's special-purpose registries, RFC 6890).
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = a == 0
        || a >= 240
        || address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_documentation()
        // Carrier-grade NAT (RFC 6598), protocol assignments (RFC 6890), 6to4 relays (RFC 7526), benchmarks (RFC 2544).
        || (a == 100 && (64..128).contains(&b))
        || (a, b, c) == (192, 0, 0)
        || (a, b, c) == (192, 88, 99)
        || (a == 198 && (18..20).contains(&b));
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let parts = address.segments();
    let embedded = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match parts {
        // Addresses that lead to IPv4: mapped, NAT64 (RFC 6052), 6to4 (RFC 3056).
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => embedded(high, low),
        [0x2002, high, low, ..] => embedded(high, low),
        // Teredo (RFC 4380), ORCHID (RFC 7343), benchmarks, documentation (RFC 3849, RFC 9637).
        [0x2001, second, ..] if second < 0x200 || second == 0xdb8 => false,
        [0x3fff, second, ..] if second < 0x1000 => false,
        // Only 2000::/3 is given out for use on the Internet.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

/// Resolves names, and gives only addresses within reach.
struct Guard {
    reach: Reach,
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = self.reach;
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let within: Vec<SocketAddr> = found.into_iter().filter(|address| reach == Reach::Everywhere || is_public(address.ip())).collect();
            if within.is_empty() {
                return Err(UrlError::NotPublic.into());
            }
            Ok(Box::new(within.into_iter()) as Addrs)
        })
    }
}

/// Whether two secrets are the same; it takes the same time wherever they differ.
pub(crate) fn same_secret(one: &str, other: &str) -> bool {
    use subtle::ConstantTimeEq as _;
    one.as_bytes().ct_eq(other.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_are_public() {
        for inside in [
            "127.0.0.1",
            "127.9.9.9",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "0.0.0.0",
            "100.64.0.1",
            "192.0.0.8",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "192.0.2.1",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
            "2002:7f00:1::",
            "2001::1",
            "2001:db8::1",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "ff02::1",
            "::127.0.0.1",
        ] {
            assert!(!is_public(inside.parse().unwrap()), "{inside}");
        }
        for outside in
            ["1.1.1.1", "8.8.8.8", "172.32.0.1", "193.2.1.66", "2a00:1450:4001::1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
        {
            assert!(is_public(outside.parse().unwrap()), "{outside}");
        }
    }

    #[test]
    fn urls_that_lead_inside_are_refused_however_they_are_written() {
        for inside in [
            "http://127.0.0.1/",
            "http://127.1/",
            "http://0x7f.0.0.1/",
            "http://2130706433/",
            "http://0177.0.0.1/",
            "http://[::1]/",
            "http://localhost/x",
            "https://LOCALHOST./",
            "https://a.localhost/",
            "https://db.internal/",
            "http://10.0.0.1:8080/",
            "http://[::ffff:127.0.0.1]/",
            "http://169.254.169.254/latest",
        ] {
            assert_eq!(check_url(inside, Reach::Public), Err(UrlError::NotPublic), "{inside}");
            assert!(check_url(inside, Reach::Everywhere).is_ok(), "{inside}");
        }
        assert_eq!(check_url("ftp://example.com/", Reach::Public), Err(UrlError::Scheme));
        assert_eq!(check_url("file:///etc/passwd", Reach::Everywhere), Err(UrlError::Scheme));
        assert_eq!(check_url("https://a:b@example.com/", Reach::Public), Err(UrlError::Credentials));
        for bad in ["", "example.com/path", "https://", "https://exa mple.com"] {
            assert_eq!(check_url(bad, Reach::Public), Err(UrlError::NotAUrl), "{bad}");
        }
        assert!(check_url("https://example.com/hook?a=b", Reach::Public).is_ok());
    }

    #[test]
    fn what_is_kept_is_what_is_read() {
        let kept = |text: &str| check_endpoint(text, Reach::Everywhere).map(String::from);
        assert_eq!(kept("https://example.com/a\0"), Err(UrlError::ControlCharacter));
        assert_eq!(kept("https://example.com/a\n"), Err(UrlError::ControlCharacter));
        let path = "a".repeat(LONGEST_ENDPOINT - "https://example.com/".len());
        assert!(kept(&format!("https://example.com/{path}")).is_ok());
        assert_eq!(kept(&format!("https://example.com/{path}a")), Err(UrlError::TooLong));
        assert_eq!(kept(&format!("https://example.com/{}", "č".repeat(400))), Err(UrlError::TooLong));
        assert_eq!(kept("http:a").as_deref(), Ok("http://a/"));
        assert_eq!(kept(" HTTPS://Example.com:443/a b").as_deref(), Ok("https://example.com/a%20b"));
    }

    #[tokio::test]
    async fn a_name_that_resolves_to_this_machine_is_not_connected_to() {
        // `localhost` would be refused by name already; the guard does not know names.
        let client = client(Reach::Public, Duration::from_secs(3)).unwrap();
        let error = client.get("http://localhost:9/").send().await.unwrap_err();
        assert!(format!("{error:?}").contains("NotPublic"), "{error:?}");
    }
}
