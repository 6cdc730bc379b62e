//! Passwords that others can guess or read.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use reqwest::Url;
use secrecy::ExposeSecret as _;

use super::Finding;
use crate::config::{Config, PbxKind};

/// What samples, guides and installers ship, in small letters.
const DEFAULTS: [&str; 12] =
    ["change-me", "changeme", "cluecon", "secret", "password", "geslo", "sklic", "admin", "asterisk", "freeswitch", "postgres", "amp111"];
/// The fewest characters of a secret that nobody types.
const SHORTEST: usize = 12;

/// Why a secret is easily guessed, if it is.
fn weakness(secret: &str) -> Option<String> {
    let small = secret.to_lowercase();
    if secret.is_empty() {
        return Some("is empty".into());
    }
    if DEFAULTS.contains(&small.as_str()) {
        return Some("is one that every intruder tries first".into());
    }
    if secret.chars().count() < SHORTEST {
        return Some(format!("has fewer than {SHORTEST} characters"));
    }
    let first = secret.chars().next();
    secret.chars().all(|character| Some(character) == first).then(|| "is one character over and over".into())
}

/// The secrets of the configuration, and whether others can read its file.
pub fn examine(config: &Config, path: &Path) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (place, secret) in ours(config) {
        if let Some(why) = weakness(&secret) {
            let remedy = "choose a long random one (openssl rand -base64 24), set it there and at the other side";
            findings.push(Finding::error("secrets.weak", place, format!("the secret {why}"), remedy));
        }
    }
    let files =
        std::iter::once(path).chain(config.database.url_file.as_deref()).chain(config.pbx.iter().filter_map(|pbx| pbx.secret_file.as_deref()));
    findings.extend(files.filter_map(readable_by_all));
    findings
}

/// The secrets that this operator chooses himself, with their places.
fn ours(config: &Config) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let password = |url: String| Url::parse(&url).ok().and_then(|url| url.password().map(ToOwned::to_owned));
    if let Some(password) = config.database_url().ok().and_then(password) {
        found.push(("database.url".to_owned(), password));
    }
    for pbx in config.pbx.iter().filter(|pbx| pbx.kind != PbxKind::Simulator) {
        if let Ok(secret) = pbx.secret() {
            found.push((format!("the secret of the switch {}", pbx.name), secret.expose_secret().to_owned()));
        }
    }
    for gateway in &config.sms_gateway {
        if let Ok(Some(secret)) = gateway.report_secret() {
            found.push((format!("the report secret of the SMS gateway {}", gateway.name), secret));
        }
    }
    if let Some(token) = &config.http.metrics_token {
        found.push(("http.metrics_token".to_owned(), token.expose_secret().to_owned()));
    }
    found
}

fn readable_by_all(file: &Path) -> Option<Finding> {
    let mode = std::fs::metadata(file).ok()?.permissions().mode();
    (mode & 0o007 != 0).then(|| {
        let name = file.display().to_string();
        let remedy = format!("chown root:sklic {name}; chmod 0640 {name}");
        Finding::warning("secrets.readable", name, "every user of this machine can read the secrets in it", remedy)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guessable_secrets_are_told_from_random_ones() {
        for weak in ["", "secret", "ClueCon", "CHANGE-ME", "kratko", "aaaaaaaaaaaaaaaa"] {
            assert!(weakness(weak).is_some(), "{weak}");
        }
        for strong in ["kxv4u6VK7zS69pJ1YuIsdqN", "correct horse battery staple"] {
            assert_eq!(weakness(strong), None, "{strong}");
        }
    }
}
