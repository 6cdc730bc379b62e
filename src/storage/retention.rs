//! Erasing personal data whose time is over. Everything here crosses accounts: for the service itself.
//!
//! Of a conference that is over stay its times, its legs' times, ways of entry and outcomes, and its charges.
//! Names, numbers, addresses, the title, the journal, messages, events and what was sent go.

use diesel::QueryableByName;
use diesel::sql_types::{Array, Integer, Timestamptz, Uuid as SqlUuid};
use diesel_async::{AsyncConnection as _, RunQueryDsl as _};
use jiff::Timestamp;
use jiff_diesel::ToDiesel as _;
use uuid::Uuid;

use super::{Connection, StorageResult};

/// What one batch has erased.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Erased {
    /// Conferences whose personal data are gone.
    pub conferences: usize,
    /// Planned conferences that were never held, and plans without any conference, deleted.
    pub plans: usize,
    /// Messages and jobs that belong to no conference, deleted.
    pub messages: usize,
}

impl Erased {
    /// Nothing was due.
    #[must_use]
    pub fn is_nothing(self) -> bool {
        self == Self::default()
    }
}

#[derive(QueryableByName)]
struct Due {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
}

/// The rows of each account whose time is over, at most so many.
///
/// `$1` is now, `$2` the days of accounts that have none of their own, `$3` the most rows; days of 0 keep everything.
/// Each account is looked up by itself in an index that holds only what may still fall due, so that a look costs no more as the ledger grows.
fn due(table: &str, age: &str, condition: &str) -> String {
    format!(
        "SELECT due.id FROM accounts a CROSS JOIN LATERAL (\
            SELECT t.id FROM {table} t WHERE t.account = a.id AND {condition} \
            AND {age} < $1 - make_interval(days => coalesce(a.retention_days, $2)) ORDER BY {age} LIMIT $3 FOR UPDATE SKIP LOCKED\
        ) due WHERE coalesce(a.retention_days, $2) > 0 LIMIT $3"
    )
}

async fn find(connection: &mut Connection, query: String, now: Timestamp, days: i32, limit: i32) -> StorageResult<Vec<Uuid>> {
    let query = diesel::sql_query(query).bind::<Timestamptz, _>(now.to_diesel()).bind::<Integer, _>(days).bind::<Integer, _>(limit);
    let rows: Vec<Due> = query.load(connection).await?;
    Ok(rows.into_iter().map(|row| row.id).collect())
}

async fn on(connection: &mut Connection, ids: &[Uuid], statement: &str) -> StorageResult<usize> {
    Ok(diesel::sql_query(statement).bind::<Array<SqlUuid>, _>(ids).execute(connection).await?)
}

/// What is done to conferences that are over; `$1` are their identifiers.
const ERASE: [&str; 9] = [
    "UPDATE participants SET name = '', phone = '', email = NULL, contact = NULL WHERE conference = ANY($1)",
    "UPDATE legs SET number = '', calling_line = NULL WHERE conference = ANY($1)",
    "DELETE FROM journal WHERE conference = ANY($1)",
    "DELETE FROM events WHERE conference = ANY($1)",
    "DELETE FROM waiting_callers WHERE conference = ANY($1)",
    "DELETE FROM idempotency_keys k USING conferences c WHERE c.id = ANY($1) AND k.account = c.account AND k.conference = c.id",
    // What was said to one person about one message goes with the message, and what was sent with the conference.
    "DELETE FROM messages m USING conferences c WHERE c.id = ANY($1) AND m.account = c.account AND m.conference = c.id",
    "DELETE FROM outbox o USING conferences c WHERE c.id = ANY($1) AND o.account = c.account AND o.conference = c.id",
    // What webhooks were told of it names people, and is younger than the conference where it was asked for again.
    "DELETE FROM outbox o USING conferences c WHERE c.id = ANY($1) AND o.account = c.account AND o.conference IS NULL AND o.kind = 'webhook' \
        AND o.payload->'event'->>'conference_id' = c.id::text",
];

/// Erases what is due now, at most `limit` of each kind, in one transaction; nodes of the service that do so at once share the work.
///
/// `days` is the time of accounts that have none of their own; 0 keeps everything.
/// A conference waits while a charge of it has no price yet, because without its number it never gets one, and while its report
/// or another message is still to be sent and has not been given up.
///
/// # Errors
/// A fault of the database.
pub async fn erase(connection: &mut Connection, now: Timestamp, days: u32, limit: u32) -> StorageResult<Erased> {
    let days = i32::try_from(days).unwrap_or(i32::MAX);
    let limit = i32::try_from(limit).unwrap_or(i32::MAX);
    connection
        .transaction(async |connection| {
            let over = due(
                "conferences",
                "t.ended_at",
                "t.ended_at IS NOT NULL AND t.erased_at IS NULL AND NOT EXISTS (SELECT FROM charges c WHERE c.conference = t.id \
                    AND c.status IN ('unrated', 'error') AND c.reverses IS NULL AND NOT EXISTS (SELECT FROM charges r WHERE r.reverses = c.id)) \
                    AND NOT EXISTS (SELECT FROM outbox o WHERE o.account = t.account AND o.conference = t.id AND o.state IN ('queued', 'sending') AND o.created_at > $1 - interval '80 hours')",
            );
            let over = find(connection, over, now, days, limit).await?;
            for statement in ERASE {
                on(connection, &over, statement).await?;
            }
            diesel::sql_query(
                "UPDATE conferences SET title = '', settings = '{}', plan = NULL, plan_start = NULL, plan_index = NULL, erased_at = $2 WHERE id = ANY($1)",
            )
            .bind::<Array<SqlUuid>, _>(&over)
            .bind::<Timestamptz, _>(now.to_diesel())
            .execute(connection)
            .await?;

            let never_held = find(connection, due("conferences", "coalesce(t.scheduled_at, t.created_at)", "t.state = 'planned'"), now, days, limit).await?;
            for statement in &ERASE[6..] {
                on(connection, &never_held, statement).await?;
            }
            let mut plans = on(connection, &never_held, "DELETE FROM conferences WHERE id = ANY($1) AND state = 'planned'").await?;
            let empty = due("plans", "t.created_at", "NOT EXISTS (SELECT FROM conferences c WHERE c.plan = t.id)");
            let empty = find(connection, empty, now, days, limit).await?;
            plans += on(connection, &empty, "DELETE FROM plans WHERE id = ANY($1)").await?;

            let old = find(connection, due("messages", "t.created_at", "t.conference IS NULL AND t.plan IS NULL"), now, days, limit).await?;
            let mut messages = on(connection, &old, "DELETE FROM messages WHERE id = ANY($1)").await?;
            let sent = find(connection, due("outbox", "t.created_at", "t.conference IS NULL AND t.state IN ('sent', 'failed')"), now, days, limit).await?;
            messages += on(connection, &sent, "DELETE FROM outbox WHERE id = ANY($1)").await?;
            // A question of a node that died asking may name people, and nobody waits for its answer.
            diesel::sql_query("DELETE FROM crossings WHERE asked_at < clock_timestamp() - interval '1 hour'").execute(connection).await?;
            Ok(Erased { conferences: over.len(), plans, messages })
        })
        .await
}
