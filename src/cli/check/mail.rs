//! The mail server.

use std::error::Error as _;

use super::Finding;
use crate::config::Config;
use crate::delivery::Mailer;

/// Connects, logs in and leaves; no mail is sent.
pub async fn examine(config: &Config) -> Vec<Finding> {
    let Some(mail) = &config.mail else {
        return vec![Finding::warning(
            "mail.absent",
            "[mail]",
            "no mail server is configured: reports and invitations wait in the outbox",
            "add the section [mail] with smtp and from",
        )];
    };
    let mailer = match Mailer::new(mail) {
        Ok(mailer) => mailer,
        Err(fault) => return vec![Finding::error("mail.setting", "[mail]", fault.to_string(), "put the setting right")],
    };
    let Err(fault) = mailer.check_server().await else { return Vec::new() };
    let why = fault.source().map_or_else(|| fault.to_string(), |source| format!("{fault} ({source})"));
    let (id, remedy) = if fault.status().is_some() {
        ("mail.refused", "look at user and password in mail.smtp, and whether the server takes mail from this machine")
    } else {
        ("mail.unreachable", "look at host and port in mail.smtp, whether the server runs, and whether a firewall is between")
    };
    vec![Finding::error(id, "mail.smtp", why, remedy)]
}
