//! Outbox workers: mail, SMS, webhooks; and the words that go out.
//!
//! A message is queued in the transaction that makes it due, with a key that lets it be queued once only.
//! A worker claims it, sends it and notes so.
//! A worker that dies between sending and noting leaves a claim that another takes over after a while: the message is then sent again,
//! with the same identifier (a mail byte for byte, with its Message-ID).
//! That window cannot be closed by any of the protocols; every other repeat is excluded.

mod access;
mod desk;
mod invitations;
mod lapse;
mod letter;
mod mail;
mod outward;
pub mod sms;
mod smtp;
mod webhook;
mod wording;
mod worker;

use std::sync::Arc;

use serde::Deserialize;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use access::access_number_for;
pub use desk::{Desk, Recipient, When};
pub use invitations::{Purpose, Scope, tell};
pub use lapse::lapsed;
pub use letter::{Branding, Letter};
pub use mail::{MailAttachment, MailCalendar, MailContent, MailError, MailMessage};
pub use outward::{Reach, UrlError, check_endpoint, check_resolved, check_url, client, http_client, install_crypto, is_public};
pub use smtp::{MailConfig, MailConfigError, Mailer, SendError};
pub use webhook::{EVENT_KINDS, OperatorWebhook, WebhookChannel, WebhooksConfig, signature as webhook_signature};
pub use wording::{Placeholder, Values, Wording, WordingError};
pub use worker::{Channel, Failure, Pace, Patience, run};

use crate::storage::Pool;

/// The kind of jobs that are mails.
pub const MAIL: &str = "mail";
/// The kind of jobs that are events for webhooks.
pub const WEBHOOK: &str = "webhook";
/// The kind of jobs that are short messages.
pub const SMS: &str = "sms";
/// Every kind of job.
pub const KINDS: [&str; 3] = [MAIL, SMS, WEBHOOK];

/// Section `[messages]`: what conveners may send.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MessagesConfig {
    /// The most people to whom one message goes.
    pub most_recipients: u32,
    /// The most parts of one short message.
    pub most_parts: u32,
    /// Parts of short messages that one account may send in an hour.
    pub sms_parts_per_hour: u32,
    /// Mails that one account may send in an hour; reports do not count.
    pub mails_per_hour: u32,
    /// Short messages that are handed to gateways in a second, all accounts together.
    pub sms_per_second: u32,
    /// Beginnings of numbers, in normal form, from which the short access number can be called.
    pub on_net_prefixes: Vec<String>,
}

impl Default for MessagesConfig {
    fn default() -> Self {
        Self {
            most_recipients: 1_000,
            most_parts: 6,
            sms_parts_per_hour: 2_000,
            mails_per_hour: 5_000,
            sms_per_second: 20,
            on_net_prefixes: Vec::new(),
        }
    }
}

impl MessagesConfig {
    /// What types alone cannot say.
    ///
    /// # Errors
    /// The key, and what is wrong with it.
    pub fn check(&self) -> Result<(), String> {
        let within = |key: &str, value: u32, least: u32, most: u32| {
            if (least..=most).contains(&value) { Ok(()) } else { Err(format!("{key}: {value} is not between {least} and {most}")) }
        };
        within("most_recipients", self.most_recipients, 1, 5_000)?;
        // The number of parts is one octet (TS 23.040 §9.2.3.24.1).
        within("most_parts", self.most_parts, 1, 255)?;
        within("sms_per_second", self.sms_per_second, 1, 10_000)
    }
}

/// Wakes every worker when messages are due.
#[derive(Clone, Default)]
pub struct Bell(Vec<Arc<Notify>>);

impl Bell {
    /// One more worker, and what wakes it.
    pub fn add(&mut self) -> Arc<Notify> {
        let notify = Arc::new(Notify::new());
        self.0.push(Arc::clone(&notify));
        notify
    }

    /// Wakes all.
    pub fn ring(&self) {
        for notify in &self.0 {
            notify.notify_one();
        }
    }

    /// Rings whenever `jobs_due` is notified, until `stop`.
    pub async fn follow(self, jobs_due: Arc<Notify>, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = jobs_due.notified() => self.ring(),
            }
        }
    }
}

/// The workers of the channels that are configured.
pub struct Workers {
    /// Wakes them.
    pub bell: Bell,
    tasks: Vec<JoinHandle<()>>,
}

impl Workers {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self { bell: Bell::default(), tasks: Vec::new() }
    }

    /// Starts the worker of a channel.
    pub fn add<C: Channel>(&mut self, pool: &Pool, channel: C, pace: Pace, patience: Patience, stop: &CancellationToken) {
        let due = self.bell.add();
        self.tasks.push(tokio::spawn(run(pool.clone(), channel, pace, patience, due, stop.clone())));
    }

    /// Waits until each has finished what it was sending, after their token was cancelled.
    pub async fn finish(self) {
        for task in self.tasks {
            // One that panicked has said so.
            let _ = task.await;
        }
    }
}

impl Default for Workers {
    fn default() -> Self {
        Self::new()
    }
}
