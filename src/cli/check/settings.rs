//! The configuration itself: what cannot be read, and where its files lie.

use std::path::Path;

use super::Finding;
use crate::config::{Config, ConfigError};

/// The finding about a configuration that cannot be used.
pub fn explain(fault: &ConfigError) -> Finding {
    let (path, why) = match fault {
        ConfigError::Unreadable { path, why } => {
            return Finding::error(
                "configuration.unreadable",
                path.display().to_string(),
                format!("cannot be read: {why}"),
                "name the file with --config or SKLIC_CONFIG, and let the service's user read it (chown root:sklic, chmod 0640)",
            );
        }
        ConfigError::Invalid { path, why } => (path.display().to_string(), why.clone()),
    };
    if why.contains("unknown field") {
        return Finding::error(
            "configuration.unknown_key",
            path,
            why,
            "correct the key's name or remove it; the sample sklic.toml holds every key that there is, and SKLIC__SECTION__KEY sets one from the environment",
        );
    }
    if why.contains("time_zone") {
        return Finding::error(
            "configuration.time_zone",
            path,
            why,
            "write the IANA name of a time zone, such as Europe/Ljubljana, and install Debian's package tzdata",
        );
    }
    if why.contains("access_number") && why.contains("there already") {
        return Finding::error(
            "configuration.access_number",
            path,
            why,
            "let each form of an access number lead to one of them only: remove it from the other, or give them different calling_prefixes",
        );
    }
    Finding::error("configuration.value", path, why, "put the value right; the sample sklic.toml explains what each key takes")
}

/// Checks of a configuration that can be read.
pub fn examine(config: &Config, _path: &Path) -> Vec<Finding> {
    let mut findings = Vec::new();
    if config.pbx.is_empty() {
        findings.push(Finding::error(
            "configuration.no_switch",
            "[[pbx]]",
            "no switch is configured, so no conference can be started",
            "add a section [[pbx]] with kind, address, username and secret_file; the integrator's guide has one to copy",
        ));
    }
    findings
}
