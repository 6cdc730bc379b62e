//! The mail server.

use std::error::Error as _;

use super::Finding;
use crate::config::Config;
use crate::delivery::{Mailer, SendError};

/// Connects, logs in, and asks whether mail from our sender is taken; no mail is sent.
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
    // RFC 4954 §6: with these it wants a login, or a better one.
    let wants_login = matches!(fault.status(), Some(530 | 534 | 535 | 538));
    if let SendError::Refused(refusal) = &fault
        && fault.status().is_some()
        && !wants_login
    {
        return vec![Finding::error(
            "mail.refused",
            "mail.from",
            format!("the server takes no mail from {}: {refusal}", mail.from),
            "set mail.from to an address that the server lets this login or machine send from, or let the server do so",
        )];
    }
    let why = fault.source().map_or_else(|| fault.to_string(), |source| format!("{fault} ({source})"));
    let (id, remedy) = if fault.status().is_some() {
        ("mail.refused", "look at user and password in mail.smtp, and whether the server takes mail from this machine")
    } else {
        ("mail.unreachable", "look at host and port in mail.smtp, whether the server runs, and whether a firewall is between")
    };
    vec![Finding::error(id, "mail.smtp", why, remedy)]
}
