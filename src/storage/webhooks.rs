//! Events and webhooks: what is told to other systems, written in the transaction that makes it true.

use diesel::prelude::*;
use diesel::sql_types::{Jsonb, Text, Timestamptz};
use diesel_async::{AsyncConnection as _, RunQueryDsl};
use jiff::Timestamp;
use jiff_diesel::{NullableTimestamp, ToDiesel};
use serde_json::{Value, json};
use uuid::Uuid;

use super::schema::webhooks;
use super::text::refuse_nul;
use super::{Connection, StorageResult};
use crate::billing::Charge;
use crate::ids::{AccountId, ConferenceId, WebhookId};

/// Something that happened, to be told.
#[derive(Clone, Debug, PartialEq)]
pub struct NewEvent {
    /// Whose conference it is.
    pub account: AccountId,
    /// The conference.
    pub conference: ConferenceId,
    /// Names the event within the conference: a second one with the same key is dropped.
    pub key: String,
    /// What kind, such as `conference.started`.
    pub kind: &'static str,
    /// What happened.
    pub data: Value,
    /// When.
    pub at: Timestamp,
}

/// The kind of event that tells of a charge.
const CHARGE_WRITTEN: &str = "charge.written";

impl NewEvent {
    /// That a charge was written.
    #[must_use]
    pub fn of_charge(charge: &Charge, at: Timestamp) -> Self {
        let data = json!({
            "charge_id": charge.id, "leg_id": charge.leg, "component": charge.component.word(), "status": charge.status.word(),
            "started_at": charge.started_at, "seconds": charge.seconds, "billed_seconds": charge.billed_seconds, "net": charge.net,
            "vat": charge.vat, "gross": charge.gross, "currency": charge.currency.to_string(), "revision": charge.revision,
            "reverses": charge.reverses,
        });
        Self { account: charge.account, conference: charge.conference, key: format!("charge:{}", charge.id), kind: CHARGE_WRITTEN, data, at }
    }

    pub(super) fn check(&self) -> StorageResult<()> {
        refuse_nul(&[("key", &self.key), ("data", &self.data)])
    }
}

/// A webhook.
#[derive(Clone, Debug, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = webhooks, check_for_backend(diesel::pg::Pg))]
pub struct Webhook {
    /// The webhook.
    pub id: WebhookId,
    /// Whose it is; `None`: the operator's.
    pub account: Option<AccountId>,
    /// As its owner calls it.
    pub name: String,
    /// Where events are sent to.
    pub url: String,
    /// Signs them.
    pub secret: String,
    /// Which events; all if empty.
    pub kinds: Vec<Option<String>>,
    /// When it was made.
    #[diesel(deserialize_as = jiff_diesel::Timestamp)]
    pub created_at: Timestamp,
    /// Since when nothing is sent there.
    #[diesel(deserialize_as = NullableTimestamp)]
    pub disabled_at: Option<Timestamp>,
}

/// Numbers events within their conferences, keeps them, and queues them for every webhook that wants them.
///
/// The writer calls it in the transaction of what they tell; the events of a conference come in order, from its one owner.
pub(super) async fn add_events(connection: &mut Connection, events: &[NewEvent]) -> StorageResult<()> {
    const ADD: &str = "WITH new AS (INSERT INTO events (id, account, conference, seq, key, kind, data, at) \
            SELECT $1, $2, $3, coalesce((SELECT max(seq) FROM events WHERE conference = $3), 0) + 1, $4, $5, $6, $7 \
            ON CONFLICT (conference, key) DO NOTHING RETURNING id, account, conference, seq, kind, data, at) \
        INSERT INTO outbox (id, kind, account, conference, dedup_key, payload, ordering_key, next_attempt_at, created_at) \
            SELECT gen_random_uuid(), 'webhook', new.account, NULL, 'event:' || new.id || ':' || webhooks.id, \
                jsonb_build_object('webhook', webhooks.id, 'event', jsonb_build_object('id', new.id, 'type', new.kind, 'account_id', new.account, \
                    'conference_id', new.conference, 'sequence', new.seq, 'at', to_char(new.at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), 'data', new.data)), \
                'webhook:' || webhooks.id || ':' || new.conference, new.at, new.at \
            FROM new JOIN webhooks ON (webhooks.account = new.account OR webhooks.account IS NULL) AND webhooks.disabled_at IS NULL \
                AND (cardinality(webhooks.kinds) = 0 OR new.kind = ANY (webhooks.kinds))";
    for event in events {
        diesel::sql_query(ADD)
            .bind::<diesel::sql_types::Uuid, _>(Uuid::now_v7())
            .bind::<diesel::sql_types::Uuid, _>(event.account)
            .bind::<diesel::sql_types::Uuid, _>(event.conference)
            .bind::<Text, _>(&event.key)
            .bind::<Text, _>(event.kind)
            .bind::<Jsonb, _>(&event.data)
            .bind::<Timestamptz, _>(event.at.to_diesel())
            .execute(connection)
            .await?;
    }
    Ok(())
}

/// Tells of charges that were rated afterwards, in their order, where a webhook wants to hear of them: those of ended conferences, to which
/// nobody else adds events.
///
/// # Errors
/// A fault of the database.
pub async fn tell_of_charges(connection: &mut Connection, charges: &[Charge], now: Timestamp) -> StorageResult<()> {
    const WANTED: &str = "SELECT account FROM webhooks WHERE disabled_at IS NULL AND (cardinality(kinds) = 0 OR $1 = ANY (kinds))";
    if charges.is_empty() {
        return Ok(());
    }
    let wanted: Vec<Listener> = diesel::sql_query(WANTED).bind::<Text, _>(CHARGE_WRITTEN).load(connection).await?;
    let is_told = |charge: &&Charge| wanted.iter().any(|listener| listener.account.is_none_or(|account| account == charge.account));
    let events: Vec<NewEvent> = charges.iter().filter(is_told).map(|charge| NewEvent::of_charge(charge, now)).collect();
    add_events(connection, &events).await
}

/// Whose webhook it is; `None`: the operator's, which hears of all accounts.
#[derive(QueryableByName)]
struct Listener {
    #[diesel(sql_type = diesel::sql_types::Nullable<diesel::sql_types::Uuid>)]
    account: Option<AccountId>,
}

/// Makes a webhook of an account; `None` when the account has `limit` already.
///
/// # Errors
/// A fault of the database.
pub async fn add(connection: &mut Connection, webhook: Webhook, limit: i64) -> StorageResult<Option<()>> {
    refuse_nul(&[("name", &webhook.name), ("url", &webhook.url)])?;
    connection
        .transaction(async |connection| {
            let have: i64 = webhooks::table.filter(webhooks::account.eq(webhook.account)).count().get_result(connection).await?;
            if have >= limit {
                return Ok(None);
            }
            let row = (
                webhooks::id.eq(webhook.id),
                webhooks::account.eq(webhook.account),
                webhooks::name.eq(webhook.name),
                webhooks::url.eq(webhook.url),
                webhooks::secret.eq(webhook.secret),
                webhooks::kinds.eq(webhook.kinds),
                webhooks::created_at.eq(webhook.created_at.to_diesel()),
            );
            diesel::insert_into(webhooks::table).values(row).execute(connection).await?;
            Ok(Some(()))
        })
        .await
}

/// The account's webhooks, in the order in which they were made.
///
/// # Errors
/// A fault of the database.
pub async fn list(connection: &mut Connection, account: AccountId) -> StorageResult<Vec<Webhook>> {
    let found = webhooks::table.filter(webhooks::account.eq(account)).order(webhooks::id).select(Webhook::as_select());
    Ok(found.load(connection).await?)
}

/// The account's webhook.
///
/// # Errors
/// A fault of the database.
pub async fn lookup(connection: &mut Connection, account: AccountId, webhook: WebhookId) -> StorageResult<Option<Webhook>> {
    let found = webhooks::table.find(webhook).filter(webhooks::account.eq(account)).select(Webhook::as_select());
    Ok(found.first(connection).await.optional()?)
}

/// A webhook of whomever. Crosses accounts: for the worker, whose job names it.
///
/// # Errors
/// A fault of the database.
pub async fn find(connection: &mut Connection, webhook: WebhookId) -> StorageResult<Option<Webhook>> {
    Ok(webhooks::table.find(webhook).select(Webhook::as_select()).first(connection).await.optional()?)
}

/// Deletes the account's webhook; what is still queued for it is given up. `false` when the account has none such.
///
/// # Errors
/// A fault of the database.
pub async fn remove(connection: &mut Connection, account: AccountId, webhook: WebhookId) -> StorageResult<bool> {
    let found = webhooks::table.find(webhook).filter(webhooks::account.eq(account));
    Ok(diesel::delete(found).execute(connection).await? == 1)
}

/// Makes the operator's webhooks those of the configuration. Crosses accounts: they are nobody's own.
///
/// # Errors
/// A fault of the database.
pub async fn set_operators(connection: &mut Connection, wanted: &[Webhook]) -> StorageResult<()> {
    connection
        .transaction(async |connection| {
            let names: Vec<&str> = wanted.iter().map(|webhook| webhook.name.as_str()).collect();
            diesel::delete(webhooks::table.filter(webhooks::account.is_null().and(webhooks::name.ne_all(names)))).execute(connection).await?;
            for webhook in wanted {
                const PUT: &str = "INSERT INTO webhooks (id, account, name, url, secret, kinds, created_at) VALUES ($1, NULL, $2, $3, $4, $5, $6) \
                    ON CONFLICT (name) WHERE account IS NULL DO UPDATE SET url = excluded.url, secret = excluded.secret, kinds = excluded.kinds";
                diesel::sql_query(PUT)
                    .bind::<diesel::sql_types::Uuid, _>(webhook.id)
                    .bind::<Text, _>(&webhook.name)
                    .bind::<Text, _>(&webhook.url)
                    .bind::<Text, _>(&webhook.secret)
                    .bind::<diesel::sql_types::Array<diesel::sql_types::Nullable<Text>>, _>(&webhook.kinds)
                    .bind::<Timestamptz, _>(webhook.created_at.to_diesel())
                    .execute(connection)
                    .await?;
            }
            Ok(())
        })
        .await
}

/// Queues the account's events from `since` on once more for its webhook, in their order, at most `limit`; says how many.
///
/// # Errors
/// A fault of the database.
pub async fn replay(
    connection: &mut Connection,
    account: AccountId,
    webhook: &Webhook,
    since: Timestamp,
    conference: Option<ConferenceId>,
    now: Timestamp,
    limit: i64,
) -> StorageResult<usize> {
    const REPLAY: &str = "INSERT INTO outbox (id, kind, account, dedup_key, payload, ordering_key, next_attempt_at, created_at) \
        SELECT gen_random_uuid(), 'webhook', events.account, 'replay:' || events.id || ':' || $2 || ':' || gen_random_uuid(), \
            jsonb_build_object('webhook', $2, 'replay', true, 'event', jsonb_build_object('id', events.id, 'type', events.kind, \
                'account_id', events.account, 'conference_id', events.conference, 'sequence', events.seq, \
                'at', to_char(events.at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), 'data', events.data)), \
            'webhook:' || $2 || ':' || events.conference, $5, $5 \
        FROM events WHERE events.account = $1 AND events.at >= $3 AND ($4::uuid IS NULL OR events.conference = $4) \
            AND (cardinality($6::text[]) = 0 OR events.kind = ANY ($6)) \
        ORDER BY events.at, events.conference, events.seq LIMIT $7";
    Ok(diesel::sql_query(REPLAY)
        .bind::<diesel::sql_types::Uuid, _>(account)
        .bind::<diesel::sql_types::Uuid, _>(webhook.id)
        .bind::<Timestamptz, _>(since.to_diesel())
        .bind::<diesel::sql_types::Nullable<diesel::sql_types::Uuid>, _>(conference)
        .bind::<Timestamptz, _>(now.to_diesel())
        .bind::<diesel::sql_types::Array<diesel::sql_types::Nullable<Text>>, _>(&webhook.kinds)
        .bind::<diesel::sql_types::BigInt, _>(limit)
        .execute(connection)
        .await?)
}

/// What became of an event at a webhook.
#[derive(Clone, Debug, PartialEq, QueryableByName)]
#[diesel(check_for_backend(diesel::pg::Pg))]
pub struct WebhookDelivery {
    /// The delivery.
    #[diesel(sql_type = diesel::sql_types::Uuid)]
    pub id: Uuid,
    /// The event, as it is sent.
    #[diesel(sql_type = Jsonb)]
    pub event: Value,
    /// `queued`, `sending`, `sent` or `failed`.
    #[diesel(sql_type = Text)]
    pub state: String,
    /// How often it was tried.
    #[diesel(sql_type = diesel::sql_types::Integer)]
    pub attempts: i32,
    /// Why the last attempt failed.
    #[diesel(sql_type = diesel::sql_types::Nullable<Text>)]
    pub last_error: Option<String>,
    /// When it was queued.
    #[diesel(sql_type = Timestamptz, deserialize_as = jiff_diesel::Timestamp)]
    pub created_at: Timestamp,
}

/// The last deliveries to the account's webhook, the newest first.
///
/// # Errors
/// A fault of the database.
pub async fn list_deliveries(connection: &mut Connection, account: AccountId, webhook: WebhookId, limit: i64) -> StorageResult<Vec<WebhookDelivery>> {
    const LIST: &str = "SELECT id, payload -> 'event' AS event, state, attempts, last_error, created_at FROM outbox \
        WHERE kind = 'webhook' AND account = $1 AND payload ->> 'webhook' = $2 ORDER BY position DESC LIMIT $3";
    Ok(diesel::sql_query(LIST)
        .bind::<diesel::sql_types::Uuid, _>(account)
        .bind::<Text, _>(webhook.to_string())
        .bind::<diesel::sql_types::BigInt, _>(limit)
        .load(connection)
        .await?)
}
