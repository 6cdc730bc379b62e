//! Sections `[[pbx]]`: the switches.

use std::path::PathBuf;

use secrecy::SecretString;
use serde::Deserialize;

use crate::pbx::wire;

/// Which adapter drives a switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PbxKind {
    /// Asterisk 22 over AMI.
    Asterisk,
    /// FreeSWITCH 1.10 over its event socket.
    Freeswitch,
    /// No switch: made-up phones that answer by their number.
    Simulator,
}

/// One switch.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PbxConfig {
    /// Its name, in logs and on conferences; never changed while a conference runs.
    pub name: String,
    /// Which adapter.
    pub kind: PbxKind,
    /// Host and port of the control connection.
    #[serde(default)]
    pub address: String,
    /// User of the control connection; FreeSWITCH needs none, and `user@domain` is one of its directory.
    #[serde(default)]
    pub username: String,
    /// Its password.
    #[serde(default)]
    pub secret: Option<SecretString>,
    /// A file that holds the password.
    #[serde(default)]
    pub secret_file: Option<PathBuf>,
    /// What to dial for a number: `{number}` stands for it in normal form. Absent: the usual one of the kind, see [`PbxConfig::dial`].
    #[serde(default)]
    pub dial: Option<String>,
    /// Where `sklic check` asks for the trunk's sign of life, as `sip:host:port`; absent: where the switch itself sends its calls.
    #[serde(default)]
    pub trunk: Option<String>,
    /// The number that called phones show.
    #[serde(default)]
    pub caller_id: String,
    /// Calls placed in a second on this switch.
    #[serde(default = "default_pace")]
    pub calls_per_second: u32,
    /// The most members at once on this switch.
    #[serde(default = "default_members")]
    pub max_members: u32,
    /// Where it takes calls of the other switches, as `host:port`: callers whose conference is here are brought to it.
    #[serde(default)]
    pub sip_address: Option<String>,
    /// What to dial for another switch: `{number}` stands for the access number, `{address}` for the other's `sip_address`.
    #[serde(default)]
    pub dial_switch: String,
    /// No new conferences are placed on it; those that run there finish.
    #[serde(default)]
    pub drain: bool,
}

fn default_pace() -> u32 {
    20
}

fn default_members() -> u32 {
    400
}

impl PbxConfig {
    pub(super) fn check(&self) -> Result<(), String> {
        if self.name.is_empty() {
            return Err("name: is empty".into());
        }
        if self.calls_per_second == 0 || self.calls_per_second > 1000 {
            return Err(format!("calls_per_second: {} is not between 1 and 1000", self.calls_per_second));
        }
        if let Some(address) = &self.sip_address {
            wire::check_sip_address("sip_address", address).map_err(|error| format!("sip_address: {error}"))?;
        }
        if !self.dial_switch.is_empty() {
            wire::check_dial_switch(&self.dial_switch).map_err(|error| format!("dial_switch: {error}"))?;
        }
        if self.kind != PbxKind::Simulator {
            if self.address.is_empty() {
                return Err("address: is missing; give host:port of the control connection".into());
            }
            if self.username.is_empty() && self.kind == PbxKind::Asterisk {
                return Err("username: is missing".into());
            }
            if self.dial().matches("{number}").count() != 1 {
                return Err("dial: must hold {number} once".into());
            }
            self.secret()?;
        }
        Ok(())
    }

    /// What to dial for a number: `{number}` stands for it in normal form.
    #[must_use]
    pub fn dial(&self) -> &str {
        self.dial.as_deref().unwrap_or(match self.kind {
            PbxKind::Asterisk | PbxKind::Simulator => "PJSIP/{number}@trunk",
            PbxKind::Freeswitch => "sofia/gateway/trunk/{number}",
        })
    }

    /// The password, from wherever it was put.
    ///
    /// # Errors
    /// When it is nowhere, or its file cannot be read.
    pub fn secret(&self) -> Result<SecretString, String> {
        use secrecy::ExposeSecret;
        super::secret("secret", self.secret.as_ref().map(ExposeSecret::expose_secret), self.secret_file.as_deref()).map(SecretString::from)
    }
}
