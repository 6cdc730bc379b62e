//! Short messages: over gateways that take them by HTTP.

mod alphabet;
mod config;
mod gateway;
mod report;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use alphabet::{Alphabet, Coded, Coding, code};
pub use config::{Accepted, Refused, ReportConfig, SmsGatewayConfig, SmsGatewayKind};
pub use gateway::Gateway;
pub use report::{DeliveryReport, ReportKey, ReportRefusal, Subject, read as read_report};

use super::worker::{Channel, Failure};
use crate::storage::outbox::ClaimedJob;

/// What a job's payload holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SmsContent {
    /// The number in normal form.
    pub to: String,
    /// The text as it will arrive.
    pub text: String,
    /// Its coding.
    pub coding: Coding,
}

/// The gateways of the configuration. Cheap to clone.
#[derive(Clone, Default)]
pub struct Gateways(Arc<Vec<Gateway>>);

impl Gateways {
    /// The gateways; `public_url` is where they find the service.
    ///
    /// # Errors
    /// The section and key that are wrong.
    pub fn new(configs: &[SmsGatewayConfig], public_url: &str) -> Result<Self, String> {
        let mut gateways: Vec<Gateway> = Vec::with_capacity(configs.len());
        for (at, config) in configs.iter().enumerate() {
            if gateways.iter().any(|gateway| gateway.name() == config.name) {
                return Err(format!("sms_gateway[{at}].name: {:?} is given to two gateways", config.name));
            }
            gateways.push(Gateway::new(config, public_url).map_err(|why| format!("sms_gateway[{at}].{why}"))?);
        }
        Ok(Self(Arc::new(gateways)))
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Gateway> {
        self.0.iter()
    }

    /// The gateway of this name.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<&Gateway> {
        self.iter().find(|gateway| gateway.name() == name)
    }

    /// The gateway that serves a number: the one with the longest prefix that fits, of equal ones the first.
    #[must_use]
    pub fn for_number(&self, number: &str) -> Option<&Gateway> {
        let served = self.0.iter().filter_map(|gateway| Some((gateway.serves(number)?, gateway)));
        served.rev().max_by_key(|(length, _)| *length).map(|(_, gateway)| gateway)
    }

    /// The longest that one message may take, in seconds.
    #[must_use]
    pub fn timeout_seconds(&self) -> u32 {
        self.iter().map(|gateway| gateway.config().timeout_seconds).max().unwrap_or(30)
    }
}

/// The channel of short messages.
pub struct SmsChannel {
    gateways: Gateways,
    domain: String,
}

impl SmsChannel {
    /// Through these gateways; `domain` names the service in its messages' identifiers.
    #[must_use]
    pub fn new(gateways: Gateways, domain: String) -> Self {
        Self { gateways, domain }
    }
}

impl Channel for SmsChannel {
    const KIND: &'static str = super::SMS;

    fn domain(&self) -> &str {
        &self.domain
    }

    async fn send(&self, job: &ClaimedJob) -> Result<Option<String>, Failure> {
        let message: SmsContent = serde_json::from_value(job.payload.clone()).map_err(|error| Failure::unreadable(error.to_string()))?;
        let gateway = self.gateways.for_number(&message.to);
        // One that was taken out of the configuration may come back.
        let gateway = gateway.ok_or_else(|| Failure::passing("configuration", "no gateway is configured for this number"))?;
        let id = gateway.send(job.id, job.created_at, &message).await?;
        Ok(id.map(|id| gateway.remote_id(&id)))
    }
}
