//! Messages to people of a conference, and what became of each.

use std::collections::HashMap;

use diesel::prelude::*;
use diesel_async::{AsyncConnection as _, RunQueryDsl};
use jiff::{SignedDuration, Timestamp};
use jiff_diesel::{NullableTimestamp, ToDiesel};
use serde_json::Value;
use uuid::Uuid;

use super::outbox::{self, JobRow};
use super::schema::{accounts, conferences, contacts, message_deliveries, messages, outbox as jobs, participants};
use super::text::refuse_nul;
use super::{Connection, StorageResult};
use crate::ids::{AccountId, ConferenceId, MessageId, ParticipantId, PlanId};

/// A message with everything that goes out for it.
#[derive(Clone, Debug)]
pub struct NewMessage {
    /// The message.
    pub id: MessageId,
    /// Whose it is.
    pub account: AccountId,
    /// The account's conference that it is about.
    pub conference: Option<ConferenceId>,
    /// The account's plan that it is about.
    pub plan: Option<PlanId>,
    /// `message`, `invitation`, `change`, `cancellation` or `reminder`.
    pub purpose: &'static str,
    /// The text, with its placeholders.
    pub text: String,
    /// Now.
    pub created_at: Timestamp,
    /// What goes out.
    pub deliveries: Vec<NewDelivery>,
}

/// A message to one person by one channel.
#[derive(Clone, Debug)]
pub struct NewDelivery {
    /// The delivery, and its job in the outbox.
    pub id: Uuid,
    /// To whom.
    pub participant: ParticipantId,
    /// Under what name.
    pub name: String,
    /// `sms` or `email`.
    pub channel: &'static str,
    /// The number or the address.
    pub address: String,
    /// How many short messages it takes; 1 for a mail.
    pub parts: i32,
    /// The job's kind.
    pub kind: &'static str,
    /// The job's payload.
    pub payload: Value,
    /// The job's key; `None`: one of its own.
    pub dedup_key: Option<String>,
    /// Deliveries with the same key go out one after the other.
    pub ordering_key: Option<String>,
}

/// How much an account may send in an hour.
#[derive(Clone, Copy, Debug)]
pub struct Quota {
    /// Parts of short messages.
    pub sms_parts: i64,
    /// Mails.
    pub mails: i64,
}

/// The account has sent as much as it may in this hour; nothing of the message was queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OverQuota {
    /// `sms` or `email`.
    pub channel: &'static str,
    /// How much it may send in an hour.
    pub limit: i64,
    /// How much it has sent in the last hour.
    pub used: i64,
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = messages, check_for_backend(diesel::pg::Pg))]
pub struct Message {
    /// The message.
    pub id: MessageId,
    /// `message`, `invitation`, `change`, `cancellation` or `reminder`.
    pub purpose: String,
    /// The text, with its placeholders.
    pub text: String,
    /// When it was sent off.
    #[diesel(deserialize_as = jiff_diesel::Timestamp)]
    pub created_at: Timestamp,
}

/// What became of a message to one person by one channel.
#[derive(Clone, Debug, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = message_deliveries, check_for_backend(diesel::pg::Pg))]
pub struct Delivery {
    /// The delivery.
    pub id: Uuid,
    /// Its message.
    pub message: MessageId,
    /// To whom.
    pub participant: ParticipantId,
    /// Under what name.
    pub name: String,
    /// `sms` or `email`.
    pub channel: String,
    /// The number or the address.
    pub address: String,
    /// How many short messages it takes.
    pub parts: i32,
    /// What the gateway reported: `delivered` or `failed`.
    pub report: Option<String>,
    /// The gateway's reason.
    pub report_reason: Option<String>,
    /// When it did.
    #[diesel(deserialize_as = NullableTimestamp)]
    pub reported_at: Option<Timestamp>,
    /// The job's state: `queued`, `sending`, `sent` or `failed`.
    #[diesel(select_expression = jobs::state)]
    pub job_state: String,
    /// How often it was tried.
    #[diesel(select_expression = jobs::attempts)]
    pub attempts: i32,
    /// Why the last attempt failed.
    #[diesel(select_expression = jobs::last_error)]
    pub last_error: Option<String>,
    /// When it was sent.
    #[diesel(select_expression = jobs::sent_at, deserialize_as = NullableTimestamp)]
    pub sent_at: Option<Timestamp>,
}

/// Queues a message to everybody, or to nobody when the account would exceed its quota.
/// Deliveries whose key is there already are left out; a message without any new one is not kept.
///
/// # Errors
/// [`StorageError::Missing`](super::StorageError::Missing) when the conference is not the account's.
pub async fn add(connection: &mut Connection, message: NewMessage, quota: Option<Quota>) -> StorageResult<Result<usize, OverQuota>> {
    refuse_nul(&[("text", &message.text)])?;
    connection.transaction(async |connection| add_in_transaction(connection, message, quota).await).await
}

async fn add_in_transaction(connection: &mut Connection, message: NewMessage, quota: Option<Quota>) -> StorageResult<Result<usize, OverQuota>> {
    if let Some(quota) = quota {
        // One message of an account at a time, so that two together do not pass the limit.
        accounts::table.find(message.account).select(accounts::id).for_no_key_update().first::<AccountId>(connection).await?;
        for (channel, limit) in [("sms", quota.sms_parts), ("email", quota.mails)] {
            let wanted: i64 =
                message.deliveries.iter().filter(|delivery| delivery.channel == channel).map(|delivery| i64::from(delivery.parts)).sum();
            let used = if wanted > 0 { sent_within_hour(connection, &message, channel).await? } else { 0 };
            if wanted > 0 && used + wanted > limit {
                return Ok(Err(OverQuota { channel, limit, used }));
            }
        }
    }
    let job = |delivery: &NewDelivery| JobRow {
        id: delivery.id,
        kind: delivery.kind,
        account: message.account,
        conference: None,
        dedup_key: delivery.dedup_key.clone().unwrap_or_else(|| format!("message:{}", delivery.id)),
        payload: delivery.payload.clone(),
        ordering_key: delivery.ordering_key.clone(),
        created_at: message.created_at,
    };
    let rows: Vec<JobRow> = message.deliveries.iter().map(job).collect();
    let new = outbox::add_rows(connection, &rows).await?;
    if new.is_empty() {
        return Ok(Ok(0));
    }
    diesel::insert_into(messages::table)
        .values((
            messages::id.eq(message.id),
            messages::account.eq(message.account),
            messages::conference.eq(message.conference),
            messages::plan.eq(message.plan),
            messages::purpose.eq(message.purpose),
            messages::text.eq(&message.text),
            messages::created_at.eq(message.created_at.to_diesel()),
        ))
        .execute(connection)
        .await?;
    let new: std::collections::HashSet<Uuid> = new.into_iter().collect();
    let queued: Vec<&NewDelivery> = message.deliveries.iter().filter(|delivery| new.contains(&delivery.id)).collect();
    for part in queued.chunks(500) {
        let rows: Vec<_> = part
            .iter()
            .map(|delivery| {
                (
                    message_deliveries::id.eq(delivery.id),
                    message_deliveries::account.eq(message.account),
                    message_deliveries::message.eq(message.id),
                    message_deliveries::participant.eq(delivery.participant),
                    message_deliveries::name.eq(&delivery.name),
                    message_deliveries::channel.eq(delivery.channel),
                    message_deliveries::address.eq(&delivery.address),
                    message_deliveries::parts.eq(delivery.parts),
                    message_deliveries::created_at.eq(message.created_at.to_diesel()),
                )
            })
            .collect();
        diesel::insert_into(message_deliveries::table).values(rows).execute(connection).await?;
    }
    Ok(Ok(queued.len()))
}

async fn sent_within_hour(connection: &mut Connection, message: &NewMessage, channel: &str) -> StorageResult<i64> {
    let hour_ago = message.created_at.saturating_sub(SignedDuration::from_hours(1)).unwrap_or(Timestamp::MIN);
    let sum = message_deliveries::table
        .filter(message_deliveries::account.eq(message.account).and(message_deliveries::channel.eq(channel)))
        .filter(message_deliveries::created_at.gt(hour_ago.to_diesel()))
        .select(diesel::dsl::sum(message_deliveries::parts));
    Ok(sum.first::<Option<i64>>(connection).await?.unwrap_or(0))
}

/// The messages about the account's conference with what became of them, the oldest first.
///
/// # Errors
/// A fault of the database.
pub async fn list(connection: &mut Connection, account: AccountId, conference: ConferenceId) -> StorageResult<Vec<(Message, Vec<Delivery>)>> {
    let plan = conferences::table.find(conference).filter(conferences::account.eq(account)).select(conferences::plan);
    let plan = plan.first::<Option<PlanId>>(connection).await.optional()?.flatten();
    let found = messages::table
        .filter(
            messages::account.eq(account).and(messages::conference.eq(conference).assume_not_null().or(messages::plan.eq(plan).assume_not_null())),
        )
        .order((messages::created_at, messages::id))
        .select(Message::as_select());
    let found = found.load(connection).await?;
    with_deliveries(connection, account, found).await
}

/// The messages about the account's plan with what became of them, the oldest first.
///
/// # Errors
/// A fault of the database.
pub async fn list_of_plan(connection: &mut Connection, account: AccountId, plan: PlanId) -> StorageResult<Vec<(Message, Vec<Delivery>)>> {
    let found = messages::table
        .filter(messages::account.eq(account).and(messages::plan.eq(plan)))
        .order((messages::created_at, messages::id))
        .select(Message::as_select());
    let found = found.load(connection).await?;
    with_deliveries(connection, account, found).await
}

/// The codes of those people of the account's conference who have one.
///
/// # Errors
/// A fault of the database.
pub async fn codes(connection: &mut Connection, account: AccountId, conference: ConferenceId) -> StorageResult<HashMap<ParticipantId, String>> {
    let found = participants::table
        .inner_join(contacts::table.on(participants::contact.eq(contacts::id.nullable())))
        .filter(participants::conference.eq(conference).and(contacts::account.eq(account)).and(contacts::code.is_not_null()))
        .select((participants::id, contacts::code.assume_not_null()));
    Ok(found.load::<(ParticipantId, String)>(connection).await?.into_iter().collect())
}

async fn with_deliveries(connection: &mut Connection, account: AccountId, found: Vec<Message>) -> StorageResult<Vec<(Message, Vec<Delivery>)>> {
    let ids: Vec<MessageId> = found.iter().map(|message| message.id).collect();
    let deliveries = message_deliveries::table
        .inner_join(jobs::table)
        .filter(message_deliveries::account.eq(account).and(message_deliveries::message.eq_any(&ids)))
        .order((message_deliveries::name, message_deliveries::channel, message_deliveries::id))
        .select(Delivery::as_select());
    let mut of: HashMap<MessageId, Vec<Delivery>> = HashMap::new();
    for delivery in deliveries.load(connection).await? {
        of.entry(delivery.message).or_default().push(delivery);
    }
    Ok(found
        .into_iter()
        .map(|message| (of.remove(&message.id).unwrap_or_default(), message))
        .map(|(deliveries, message)| (message, deliveries))
        .collect())
}

/// What a gateway reports about a short message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reported {
    /// `delivered` or `failed`; `None`: the message is under way.
    pub state: Option<&'static str>,
    /// Why it failed.
    pub reason: Option<String>,
}

/// Of which short message a gateway reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReportedJob {
    /// The job.
    Job(Uuid),
    /// The one that the gateway calls by this name.
    Remote {
        /// The name with the gateway's, as it is kept.
        kept: String,
        /// The bare name, as it was kept before gateways were told apart.
        id: String,
    },
}

/// Notes a report about a short message; `false` when there is none that is the gateway's: `is_its` says whether a number is.
/// Crosses accounts: a gateway reports, and has proved that it may.
///
/// A report also proves that the message was taken over: a job whose answer was lost is not sent again.
/// What has failed stays failed: of a message in parts each part is reported.
///
/// # Errors
/// A fault of the database.
pub async fn note_report(
    connection: &mut Connection,
    job: ReportedJob,
    is_its: impl Fn(&str) -> bool,
    reported: Reported,
    now: Timestamp,
) -> StorageResult<bool> {
    let is_its = |payload: &Value| payload["to"].as_str().is_some_and(&is_its);
    let id = match job {
        ReportedJob::Job(id) => {
            let found = jobs::table.find(id).filter(jobs::kind.eq("sms")).select(jobs::payload).first::<Value>(connection).await.optional()?;
            found.filter(is_its).map(|_| id)
        }
        ReportedJob::Remote { kept, id } => {
            refuse_nul(&[("remote_id", &id)])?;
            let known = jobs::kind.eq("sms").and(jobs::remote_id.eq_any([&kept, &id]));
            let found = jobs::table.filter(known).order(jobs::position.desc()).limit(10).select((jobs::id, jobs::remote_id, jobs::payload));
            let found: Vec<(Uuid, Option<String>, Value)> = found.load(connection).await?;
            // What was kept with the gateway's name went through it, whoever serves the number by now.
            found.into_iter().find(|(_, name, payload)| name.as_ref() == Some(&kept) || is_its(payload)).map(|(id, ..)| id)
        }
    };
    let Some(id) = id else { return Ok(false) };
    connection
        .transaction(async |connection| {
            diesel::update(jobs::table.find(id).filter(jobs::state.eq_any(["queued", "sending"]).and(jobs::attempts.gt(0))))
                .set((jobs::state.eq("sent"), jobs::sent_at.eq(Some(now).to_diesel()), jobs::last_error.eq(None::<String>)))
                .execute(connection)
                .await?;
            if let Some(state) = reported.state {
                let open =
                    message_deliveries::table.find(id).filter(message_deliveries::report.is_null().or(message_deliveries::report.eq("delivered")));
                diesel::update(open)
                    .set((
                        message_deliveries::report.eq(state),
                        message_deliveries::report_reason.eq(reported.reason.map(|reason| reason.replace('\0', "\u{fffd}"))),
                        message_deliveries::reported_at.eq(Some(now).to_diesel()),
                    ))
                    .execute(connection)
                    .await?;
            }
            Ok(true)
        })
        .await
}
