//! `sklic.toml` and its environment overrides: `SKLIC__SECTION__KEY`, `SKLIC__PBX__0__KEY` for the first `[[pbx]]`, lists with commas.
//!
//! Unknown keys and bad values are errors that name the full path.
//! A secret may stand in the file, in the environment, or in a file of its own (`secret_file`).

mod billing;
mod conference;
mod dial_in;
mod environment;
mod pbx;
mod retention;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use config::Source as _;
use serde::Deserialize;

pub use billing::{BillingConfig, PayerConfig, ShareConfig, ShareStatus, access_number};
pub use conference::{ConferenceConfig, is_prefix};
pub use dial_in::{AccessNumber, DialInConfig, NoIdentity, shipped_access_numbers};
pub use pbx::{PbxConfig, PbxKind};
pub use retention::RetentionConfig;

use crate::delivery::sms::{Gateways, SmsGatewayConfig};
use crate::delivery::{Branding, MailConfig, MessagesConfig, WebhooksConfig};
use crate::http::HttpConfig;
use crate::numbers::Numbering;
use crate::pbx::Language;
use crate::telemetry::traces::TelemetryConfig;

/// The whole configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The service itself.
    #[serde(default)]
    pub service: ServiceConfig,
    /// The API and the console.
    #[serde(default)]
    pub http: HttpConfig,
    /// The ledger.
    pub database: DatabaseConfig,
    /// The switches.
    #[serde(default)]
    pub pbx: Vec<PbxConfig>,
    /// What numbers this operator knows.
    #[serde(default)]
    pub numbering: Numbering,
    /// Rules of conferences.
    #[serde(default)]
    pub conference: ConferenceConfig,
    /// The numbers that callers dial.
    #[serde(default = "shipped_access_numbers")]
    pub access_number: Vec<AccessNumber>,
    /// How callers are received.
    #[serde(default)]
    pub dial_in: DialInConfig,
    /// Outgoing mail; without it mails wait in the outbox.
    #[serde(default)]
    pub mail: Option<MailConfig>,
    /// SMS gateways.
    #[serde(default)]
    pub sms_gateway: Vec<SmsGatewayConfig>,
    /// What conveners may send.
    #[serde(default)]
    pub messages: MessagesConfig,
    /// Other systems that are told what happens.
    #[serde(default)]
    pub webhooks: WebhooksConfig,
    /// Under whose name messages go out.
    #[serde(default)]
    pub branding: Branding,
    /// Traces.
    #[serde(default)]
    pub telemetry: TelemetryConfig,
    /// Rating.
    #[serde(default)]
    pub billing: BillingConfig,
    /// How long personal data are kept.
    #[serde(default)]
    pub retention: RetentionConfig,
    /// The inventory of lines; without it no account's line is checked.
    #[serde(default)]
    pub lines: Option<crate::lines::LinesConfig>,
}

/// Section `[service]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServiceConfig {
    /// Name of this service node, for logs.
    pub name: String,
    /// Language of accounts that have chosen none.
    pub language: Language,
    /// Time zone of accounts that have chosen none (IANA name).
    pub time_zone: String,
}

impl Default for ServiceConfig {
    fn default() -> Self {
        Self { name: "sklic".into(), language: Language::Sl, time_zone: "Europe/Ljubljana".into() }
    }
}

/// Section `[database]`.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseConfig {
    /// `postgres://user:password@host:port/database`.
    pub url: Option<String>,
    /// A file that holds the URL.
    pub url_file: Option<PathBuf>,
    /// The most connections.
    #[serde(default = "default_connections")]
    pub connections: usize,
}

fn default_connections() -> usize {
    16
}

impl std::fmt::Debug for DatabaseConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DatabaseConfig").field("url", &"…").field("connections", &self.connections).finish()
    }
}

/// Why a configuration cannot be used. Each problem names its place.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is not there or cannot be read.
    #[error("cannot read the configuration {path}: {why}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// A key or value is wrong.
    #[error("configuration {path}: {why}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        why: String,
    },
}

impl Config {
    /// Reads a file, and the environment over it.
    ///
    /// # Errors
    /// [`ConfigError`] names the key and what is wrong with it.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        Self::load_with(path, std::env::vars_os())
    }

    fn load_with(path: &Path, variables: impl Iterator<Item = (OsString, OsString)>) -> Result<Self, ConfigError> {
        if !path.is_file() {
            return Err(ConfigError::Unreadable { path: path.into(), why: "there is no such file; name another with --config".into() });
        }
        let invalid = |why: String| ConfigError::Invalid { path: path.into(), why };
        let file = config::File::from(path).format(config::FileFormat::Toml).collect().map_err(|error| invalid(error.to_string()))?;
        let merged = environment::Merged::of(file, variables).map_err(invalid)?;
        let source = config::Config::builder().add_source(merged).build().map_err(|error| invalid(error.to_string()))?;
        let config: Self = source.try_deserialize().map_err(|error| invalid(error.to_string()))?;
        config.check().map_err(invalid)?;
        Ok(config)
    }

    /// What types alone cannot say.
    fn check(&self) -> Result<(), String> {
        jiff::tz::TimeZone::get(&self.service.time_zone)
            .map_err(|_| format!("service.time_zone: there is no time zone {:?}", self.service.time_zone))?;
        if self.service.name.trim().is_empty() {
            return Err("service.name: is empty".into());
        }
        if self.database.connections == 0 {
            return Err("database.connections: must be at least 1".into());
        }
        self.http.check().map_err(|why| format!("http.{why}"))?;
        self.numbering.check().map_err(|why| format!("numbering.{why}"))?;
        self.billing.check(&self.numbering).map_err(|why| format!("billing.{why}"))?;
        if let Some(lines) = &self.lines {
            lines.check().map_err(|why| format!("lines.{why}"))?;
        }
        let mut names = std::collections::BTreeSet::new();
        for (at, pbx) in self.pbx.iter().enumerate() {
            pbx.check().map_err(|why| format!("pbx[{at}].{why}"))?;
            if !names.insert(&pbx.name) {
                return Err(format!("pbx[{at}].name: {:?} is given to two switches", pbx.name));
            }
        }
        dial_in::check(&self.access_number, &self.numbering)?;
        self.dial_in.check().map_err(|why| format!("dial_in.{why}"))?;
        self.retention.check().map_err(|why| format!("retention.{why}"))?;
        self.conference.check().map_err(|why| format!("conference.{why}"))?;
        self.telemetry.check().map_err(|why| format!("telemetry.{why}"))?;
        if let Some(mail) = &self.mail {
            mail.check().map_err(|fault| fault.to_string())?;
        }
        Gateways::new(&self.sms_gateway, &self.http.public_url)?;
        self.webhooks.check().map_err(|why| format!("webhooks.{why}"))?;
        self.messages.check().map_err(|why| format!("messages.{why}"))?;
        self.branding.check().map_err(|why| format!("branding.{why}"))?;
        Ok(())
    }

    /// The database's URL, from wherever it was put.
    ///
    /// # Errors
    /// When it is nowhere, or its file cannot be read.
    pub fn database_url(&self) -> Result<String, String> {
        secret("database.url", self.database.url.as_deref(), self.database.url_file.as_deref())
    }
}

/// A secret given directly or by a file; a file's trailing line end does not count.
pub(crate) fn secret(key: &str, value: Option<&str>, file: Option<&Path>) -> Result<String, String> {
    match (value, file) {
        (Some(_), Some(_)) => Err(format!("{key}: give it directly or by {key}_file, not both")),
        (Some(value), None) => Ok(value.to_owned()),
        (None, Some(file)) => std::fs::read_to_string(file)
            .map(|text| text.trim_end_matches(['\r', '\n']).to_owned())
            .map_err(|error| format!("{key}_file: cannot read {}: {error}", file.display())),
        (None, None) => Err(format!("{key}: is missing")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sample, with its secrets' files there.
    #[test]
    fn the_sample_file_is_a_configuration() {
        let folder = tempfile::tempdir().expect("a folder can be made");
        std::fs::write(folder.path().join("secret"), "0123456789abcdef\n").expect("the folder can be written");
        let sample = include_str!("../../packaging/sklic.toml");
        let secret = folder.path().join("secret").display().to_string();
        let sample: String = sample
            .lines()
            .map(|line| match line.split_once("secret_file = \"") {
                Some((before, after)) => format!("{before}secret_file = \"{secret}\"{}\n", after.split_once('"').map_or("", |(_, rest)| rest)),
                None => format!("{line}\n"),
            })
            .collect();
        let file = folder.path().join("sklic.toml");
        std::fs::write(&file, sample).expect("the folder can be written");
        let config = Config::load(&file).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(config.sms_gateway.len(), 2);
        let defaults = MessagesConfig::default();
        assert_eq!((config.messages.most_parts, config.messages.sms_parts_per_hour), (defaults.most_parts, defaults.sms_parts_per_hour));
    }
}
