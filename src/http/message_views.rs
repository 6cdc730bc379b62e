//! Messages as they are shown: each with what became of it, person by person.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::ids::{MessageId, ParticipantId};
use crate::storage::messages;

/// What became of a message to one person by one channel.
#[derive(Serialize, ToSchema)]
pub(super) struct DeliveryView {
    /// The person.
    #[schema(value_type = uuid::Uuid)]
    participant_id: ParticipantId,
    /// The name.
    name: String,
    /// `sms` or `email`.
    channel: String,
    /// The number or the address.
    address: String,
    /// How many short messages it took; 1 for a mail.
    parts: i32,
    /// `queued`, `sent` (the server or gateway has taken it over), `delivered` (it is on the phone) or `failed`.
    #[schema(example = "delivered")]
    state: String,
    /// Why it failed, or why it still waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// How often it was tried.
    attempts: i32,
    /// When it was taken over.
    #[serde(skip_serializing_if = "Option::is_none")]
    sent_at: Option<Timestamp>,
    /// When the gateway reported its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    reported_at: Option<Timestamp>,
}

/// How many deliveries are in each state.
#[derive(Default, Serialize, ToSchema)]
pub(super) struct DeliveryCounts {
    /// Not taken over yet.
    queued: usize,
    /// Taken over.
    sent: usize,
    /// On the phone.
    delivered: usize,
    /// Failed for good.
    failed: usize,
}

/// A message and what became of it.
#[derive(Serialize, ToSchema)]
pub(super) struct MessageView {
    /// The message.
    #[schema(value_type = uuid::Uuid)]
    id: MessageId,
    /// `message`, `invitation`, `change`, `cancellation` or `reminder`.
    #[schema(example = "message")]
    purpose: String,
    /// The text, with its placeholders.
    text: String,
    /// When it was sent off.
    created_at: Timestamp,
    /// The totals.
    counts: DeliveryCounts,
    /// Each person and channel.
    deliveries: Vec<DeliveryView>,
}

/// The messages of a conference.
#[derive(Serialize, ToSchema)]
pub(super) struct MessageList {
    /// The messages, the oldest first.
    pub(super) messages: Vec<MessageView>,
}

pub(super) fn view((message, deliveries): (messages::Message, Vec<messages::Delivery>)) -> MessageView {
    let mut counts = DeliveryCounts::default();
    let deliveries = deliveries.into_iter().map(|delivery| {
        let (state, reason) = state_of(&delivery);
        match state {
            "failed" => counts.failed += 1,
            "delivered" => counts.delivered += 1,
            "sent" => counts.sent += 1,
            _ => counts.queued += 1,
        }
        DeliveryView {
            participant_id: delivery.participant,
            name: delivery.name,
            channel: delivery.channel,
            address: delivery.address,
            parts: delivery.parts,
            state: state.to_owned(),
            reason,
            attempts: delivery.attempts,
            sent_at: delivery.sent_at,
            reported_at: delivery.reported_at,
        }
    });
    let deliveries = deliveries.collect();
    MessageView { id: message.id, purpose: message.purpose, text: message.text, created_at: message.created_at, counts, deliveries }
}

/// What the gateway reported last says more than what the outbox knows.
fn state_of(delivery: &messages::Delivery) -> (&'static str, Option<String>) {
    match (delivery.report.as_deref(), delivery.job_state.as_str()) {
        (Some("failed"), _) => ("failed", delivery.report_reason.clone()),
        (Some(_), _) => ("delivered", None),
        (None, "failed") => ("failed", delivery.last_error.clone()),
        (None, "sent") => ("sent", None),
        (None, _) => ("queued", delivery.last_error.clone()),
    }
}
