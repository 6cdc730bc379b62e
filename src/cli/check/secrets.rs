//! Passwords that others can guess or read.

use std::collections::HashSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use reqwest::Url;
use secrecy::ExposeSecret as _;

use super::{Finding, database};
use crate::config::{self, Config, PbxKind};

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

/// The secrets of the configuration, and whether others can read its file or theirs.
pub fn examine(config: &Config, path: &Path) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (place, secret) in ours(config) {
        if let Some(why) = weakness(&secret) {
            let remedy = "choose a long random one (openssl rand -base64 24), set it there and at the other side";
            findings.push(Finding::error("secrets.weak", place, format!("the secret {why}"), remedy));
        }
    }
    for (place, secret) in theirs(config) {
        if let Some(why) = weakness(&secret) {
            let remedy = "have whoever runs that server set a long random one (openssl rand -base64 24), and put the same there";
            findings.push(Finding::warning("secrets.weak", place, format!("the secret {why}"), remedy));
        }
    }
    let mut seen = HashSet::new();
    findings.extend(files(config, path).into_iter().filter(|file| seen.insert(*file)).filter_map(readable_by_all));
    findings
}

/// The files that hold secrets.
fn files<'a>(config: &'a Config, path: &'a Path) -> Vec<&'a Path> {
    let mut files = vec![path];
    files.extend(config.database.url_file.as_deref());
    files.extend(config.pbx.iter().filter_map(|pbx| pbx.secret_file.as_deref()));
    files.extend(config.sms_gateway.iter().flat_map(|gateway| [gateway.secret_file.as_deref(), gateway.report.secret_file.as_deref()]).flatten());
    files.extend(config.webhooks.endpoint.iter().filter_map(|endpoint| endpoint.secret_file.as_deref()));
    files
}

/// The password in a URL, if there is one.
fn password_in(url: &str) -> Option<String> {
    Url::parse(url).ok().and_then(|url| url.password().map(ToOwned::to_owned))
}

/// The password of the database, in either form of its URL.
fn database_password(url: &str) -> Option<String> {
    if !url.contains("://") {
        return database::value_of(url, "password");
    }
    password_in(url).or_else(|| {
        let url = Url::parse(url).ok()?;
        url.query_pairs().find(|(key, _)| key == "password").map(|(_, password)| password.into_owned())
    })
}

/// The secrets that this operator chooses himself, with their places.
fn ours(config: &Config) -> Vec<(String, String)> {
    let mut found = Vec::new();
    if let Some(password) = config.database_url().ok().as_deref().and_then(database_password) {
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
    for endpoint in &config.webhooks.endpoint {
        let secret = config::secret("secret", endpoint.secret.as_ref().map(|secret| secret.expose_secret()), endpoint.secret_file.as_deref());
        if let Ok(secret) = secret {
            found.push((format!("the secret of the webhook {}", endpoint.name), secret));
        }
    }
    if let Some(token) = &config.http.metrics_token {
        found.push(("http.metrics_token".to_owned(), token.expose_secret().to_owned()));
    }
    found
}

/// The secrets that open servers of others, who may have chosen them.
fn theirs(config: &Config) -> Vec<(String, String)> {
    let mut found = Vec::new();
    if let Some(password) = config.mail.as_ref().and_then(|mail| password_in(mail.smtp.expose_secret())) {
        found.push(("mail.smtp".to_owned(), password));
    }
    for gateway in config.sms_gateway.iter().filter(|gateway| gateway.secret.is_some() || gateway.secret_file.is_some()) {
        if let Ok(secret) = gateway.secret() {
            found.push((format!("the secret of the SMS gateway {}", gateway.name), secret));
        }
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

    #[test]
    fn the_databases_password_is_found_in_each_form() {
        for url in [
            "postgres://sklic:geslo@127.0.0.1/sklic",
            "postgres://sklic@127.0.0.1/sklic?password=geslo",
            "host=127.0.0.1 user=sklic password=geslo dbname=sklic",
            "password = 'geslo' host=127.0.0.1",
        ] {
            assert_eq!(database_password(url).as_deref(), Some("geslo"), "{url}");
        }
        assert_eq!(database_password("host=/run/postgresql user=sklic"), None);
        let config = |url: &str| toml::from_str::<Config>(&format!("[database]\nurl = \"{url}\"\n")).expect("a configuration");
        assert_eq!(ours(&config("host=127.0.0.1 password=geslo")), [("database.url".to_owned(), "geslo".to_owned())]);
    }
}
