//! The outbox: messages to be sent, written in the transaction that makes them due.

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Text, Timestamptz};
use diesel_async::RunQueryDsl;
use jiff::Timestamp;
use jiff_diesel::{NullableTimestamp, ToDiesel};
use serde_json::Value;
use uuid::Uuid;

use super::schema::outbox;
use super::text::refuse_nul;
use super::{Connection, StorageResult};
use crate::ids::{AccountId, ConferenceId};

/// A message that is due.
#[derive(Clone, Debug, PartialEq)]
pub struct NewJob {
    /// What is to be done with it, such as `mail`.
    pub kind: &'static str,
    /// Whose it is.
    pub account: AccountId,
    /// The account's conference that it is about.
    pub conference: Option<ConferenceId>,
    /// Names the message: a second job with the same key is dropped. For instance `report:<conference>`.
    pub dedup_key: String,
    /// The message, ready to be sent.
    pub payload: Value,
    /// Now; it is due at once.
    pub created_at: Timestamp,
}

impl NewJob {
    pub(super) fn check(&self) -> StorageResult<()> {
        refuse_nul(&[("dedup_key", &self.dedup_key), ("payload", &self.payload)])
    }
}

/// A job as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = outbox, check_for_backend(diesel::pg::Pg))]
pub struct JobState {
    /// The job.
    pub id: Uuid,
    /// What is done with it.
    pub kind: String,
    /// Names the message.
    pub dedup_key: String,
    /// `queued`, `sending`, `sent` or `failed`.
    pub state: String,
    /// How often it was tried.
    pub attempts: i32,
    /// Why the last attempt failed.
    pub last_error: Option<String>,
    /// The mail's Message-ID, once it was tried.
    pub message_id: Option<String>,
    /// When it was sent.
    #[diesel(deserialize_as = NullableTimestamp)]
    pub sent_at: Option<Timestamp>,
}

/// A job that a worker has taken.
#[derive(Clone, Debug, PartialEq, QueryableByName)]
#[diesel(check_for_backend(diesel::pg::Pg))]
pub struct ClaimedJob {
    /// The job.
    #[diesel(sql_type = diesel::sql_types::Uuid)]
    pub id: Uuid,
    /// What is to be done with it.
    #[diesel(sql_type = Text)]
    pub kind: String,
    /// The message.
    #[diesel(sql_type = diesel::sql_types::Jsonb)]
    pub payload: Value,
    /// Which attempt this is, from 1. It is also the claim: an answer to an older one changes nothing.
    #[diesel(sql_type = diesel::sql_types::Integer)]
    pub attempts: i32,
    /// The Message-ID that every attempt carries.
    #[diesel(sql_type = Text)]
    pub message_id: String,
    /// When the job was made.
    #[diesel(sql_type = Timestamptz, deserialize_as = jiff_diesel::Timestamp)]
    pub created_at: Timestamp,
}

/// A job with all that its row may hold.
#[derive(Clone, Debug, PartialEq)]
pub struct JobRow {
    /// The job.
    pub id: Uuid,
    /// What is to be done with it.
    pub kind: &'static str,
    /// Whose it is.
    pub account: AccountId,
    /// The account's conference with which it is deleted.
    pub conference: Option<ConferenceId>,
    /// Names the message.
    pub dedup_key: String,
    /// The message, ready to be sent.
    pub payload: Value,
    /// Jobs with the same key go out one after the other.
    pub ordering_key: Option<String>,
    /// Now; it is due at once.
    pub created_at: Timestamp,
}

/// Queues jobs; one whose key is there already is dropped.
///
/// # Errors
/// [`StorageError::Missing`](super::StorageError::Missing) when the conference is not the account's.
pub async fn add(connection: &mut Connection, jobs: &[NewJob]) -> StorageResult<()> {
    let row = |job: &NewJob| JobRow {
        id: Uuid::now_v7(),
        kind: job.kind,
        account: job.account,
        conference: job.conference,
        dedup_key: job.dedup_key.clone(),
        payload: job.payload.clone(),
        ordering_key: None,
        created_at: job.created_at,
    };
    add_rows(connection, &jobs.iter().map(row).collect::<Vec<_>>()).await.map(drop)
}

/// Queues jobs, and tells which are new: one whose key is there already is dropped.
///
/// # Errors
/// As [`add`].
pub async fn add_rows(connection: &mut Connection, jobs: &[JobRow]) -> StorageResult<Vec<Uuid>> {
    let mut added = Vec::with_capacity(jobs.len());
    for part in jobs.chunks(500) {
        for job in part {
            refuse_nul(&[("dedup_key", &job.dedup_key), ("payload", &job.payload)])?;
        }
        let rows: Vec<_> = part
            .iter()
            .map(|job| {
                (
                    outbox::id.eq(job.id),
                    outbox::kind.eq(job.kind),
                    outbox::account.eq(job.account),
                    outbox::conference.eq(job.conference),
                    outbox::dedup_key.eq(&job.dedup_key),
                    outbox::payload.eq(&job.payload),
                    outbox::ordering_key.eq(&job.ordering_key),
                    outbox::next_attempt_at.eq(job.created_at.to_diesel()),
                    outbox::created_at.eq(job.created_at.to_diesel()),
                )
            })
            .collect();
        let new = diesel::insert_into(outbox::table).values(rows).on_conflict(outbox::dedup_key).do_nothing().returning(outbox::id);
        added.extend(new.load::<Uuid>(connection).await?);
    }
    Ok(added)
}

/// The jobs about the account's conference, in the order in which they were queued.
///
/// # Errors
/// A fault of the database.
pub async fn list(connection: &mut Connection, account: AccountId, conference: ConferenceId) -> StorageResult<Vec<JobState>> {
    let found =
        outbox::table.filter(outbox::account.eq(account).and(outbox::conference.eq(conference))).order(outbox::id).select(JobState::as_select());
    Ok(found.load(connection).await?)
}

/// How many jobs are in each state. Crosses accounts: for metrics and the readiness of the service.
///
/// # Errors
/// A fault of the database.
pub async fn count_by_state(connection: &mut Connection) -> StorageResult<Vec<(String, i64)>> {
    Ok(outbox::table.group_by(outbox::state).select((outbox::state, diesel::dsl::count_star())).load(connection).await?)
}

/// Of jobs with the same ordering key only the first that is not done may go.
const NOT_BEHIND: &str = "(ordering_key IS NULL OR NOT EXISTS (SELECT FROM outbox before WHERE before.ordering_key = outbox.ordering_key \
    AND before.position < outbox.position AND before.state IN ('queued', 'sending')))";

/// The jobs of one kind that wait or are being tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// What is to be done with them.
    pub kind: String,
    /// How many there are.
    pub count: i64,
    /// Since when the oldest has been there.
    pub oldest: Option<Timestamp>,
}

/// What waits, by kind; a kind of which nothing waits is not told. Crosses accounts: for metrics.
///
/// # Errors
/// A fault of the database.
pub async fn waiting(connection: &mut Connection) -> StorageResult<Vec<Waiting>> {
    let open = outbox::table.filter(outbox::state.eq_any(["queued", "sending"])).group_by(outbox::kind);
    let found: Vec<(String, i64, NullableTimestamp)> =
        open.select((outbox::kind, diesel::dsl::count_star(), diesel::dsl::min(outbox::created_at))).order(outbox::kind).load(connection).await?;
    Ok(found.into_iter().map(|(kind, count, oldest)| Waiting { kind, count, oldest: oldest.to_jiff() }).collect())
}

/// Takes due jobs of these kinds: queued ones whose time has come, and those that a worker took before `abandoned` and never answered for.
///
/// The Message-ID is fixed by the first claim: the job's identifier at `domain`.
///
/// # Errors
/// A fault of the database.
pub async fn claim(
    connection: &mut Connection,
    kinds: &[&str],
    domain: &str,
    now: Timestamp,
    abandoned: Timestamp,
    limit: i64,
) -> StorageResult<Vec<ClaimedJob>> {
    let claim = format!(
        "UPDATE outbox SET state = 'sending', attempts = attempts + 1, claimed_at = $3, \
            message_id = coalesce(message_id, '<' || id || '@' || $2 || '>') \
        WHERE id IN (SELECT id FROM outbox WHERE kind = ANY ($1) \
            AND (state = 'queued' AND next_attempt_at <= $3 OR state = 'sending' AND claimed_at <= $4) AND {NOT_BEHIND} \
            ORDER BY next_attempt_at, position LIMIT $5 FOR UPDATE SKIP LOCKED) \
        RETURNING id, kind, payload, attempts, message_id, created_at"
    );
    Ok(diesel::sql_query(claim)
        .bind::<Array<Text>, _>(kinds)
        .bind::<Text, _>(domain)
        .bind::<Timestamptz, _>(now.to_diesel())
        .bind::<Timestamptz, _>(abandoned.to_diesel())
        .bind::<BigInt, _>(limit)
        .load(connection)
        .await?)
}

/// When the next queued job of these kinds is due that waits for no other; `None` when none is queued.
///
/// # Errors
/// A fault of the database.
pub async fn next_due(connection: &mut Connection, kinds: &[&str]) -> StorageResult<Option<Timestamp>> {
    #[derive(QueryableByName)]
    struct Due {
        #[diesel(sql_type = diesel::sql_types::Nullable<Timestamptz>, deserialize_as = NullableTimestamp)]
        due: Option<Timestamp>,
    }
    let next = format!("SELECT min(next_attempt_at) AS due FROM outbox WHERE kind = ANY ($1) AND state = 'queued' AND {NOT_BEHIND}");
    let due: Due = diesel::sql_query(next).bind::<Array<Text>, _>(kinds).get_result(connection).await?;
    Ok(due.due)
}

/// How an attempt went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// The message was accepted.
    Sent {
        /// What the receiving side calls it, if it said so.
        remote_id: Option<String>,
    },
    /// It was not, and is tried again.
    Retry {
        /// When.
        at: Timestamp,
        /// Why it was not.
        error: String,
    },
    /// It never will be.
    Failed {
        /// Why not.
        error: String,
    },
    /// Nothing was tried: it is queued again, and the attempt does not count.
    PutBack,
}

/// Notes how the attempt of a claim went; `false` when the claim had been given up meanwhile and another worker has the job.
///
/// # Errors
/// A fault of the database.
pub async fn note(connection: &mut Connection, job: &ClaimedJob, attempt: Attempt, now: Timestamp) -> StorageResult<bool> {
    // What a server says may hold anything.
    let clean = |error: String| Some(error.replace('\0', "\u{fffd}").chars().take(1_000).collect::<String>());
    let mut remote = None;
    let (state, attempts, next, error, sent_at) = match attempt {
        Attempt::Sent { remote_id } => {
            remote = remote_id.map(|id| id.replace('\0', "\u{fffd}").chars().take(200).collect::<String>()).filter(|id| !id.is_empty());
            ("sent", job.attempts, None, None, Some(now))
        }
        Attempt::Retry { at, error } => ("queued", job.attempts, Some(at), clean(error), None),
        Attempt::Failed { error } => ("failed", job.attempts, None, clean(error), None),
        Attempt::PutBack => ("queued", job.attempts - 1, Some(now), None, None),
    };
    let claimed = outbox::table.find(job.id).filter(outbox::state.eq("sending").and(outbox::attempts.eq(job.attempts)));
    let noted = diesel::update(claimed)
        .set((
            outbox::state.eq(state),
            outbox::attempts.eq(attempts),
            next.map(|at| outbox::next_attempt_at.eq(at.to_diesel())),
            outbox::last_error.eq(error),
            remote.map(|id| outbox::remote_id.eq(id)),
            outbox::sent_at.eq(sent_at.to_diesel()),
        ))
        .execute(connection)
        .await?;
    Ok(noted == 1)
}
