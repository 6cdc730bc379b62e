//! Hand-overs of charges to the billing system. Everything here crosses accounts: for the operator.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection as _};
use jiff::Timestamp;
use jiff_diesel::{NullableTimestamp, ToDiesel};

use super::charge_rows::Row as ChargeRow;
use super::schema::{accounts, charge_batches, charges};
use super::{Connection, Pool, StorageResult};
use crate::billing::Charge;

/// The number of the lock that only one export holds at a time.
const EXPORT_LOCK: i64 = 7_364;

/// A batch.
#[derive(Clone, Debug, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = charge_batches, check_for_backend(diesel::pg::Pg))]
pub struct Batch {
    /// Its number, from 1 without a gap.
    pub number: i64,
    /// Which form its files have.
    pub format: i32,
    /// When it was made.
    #[diesel(serialize_as = jiff_diesel::Timestamp, deserialize_as = jiff_diesel::Timestamp)]
    pub created_at: Timestamp,
    /// How many charges it holds.
    pub charges: i64,
    /// The SHA-256 of its CSV file.
    pub csv_sha256: Vec<u8>,
    /// The SHA-256 of its JSON Lines file.
    pub jsonl_sha256: Vec<u8>,
    /// When its files lay in place; `None`: perhaps not yet.
    #[diesel(serialize_as = NullableTimestamp, deserialize_as = NullableTimestamp)]
    pub handed_over_at: Option<Timestamp>,
}

/// A charge as it is handed over.
#[derive(Clone, Debug)]
pub struct BatchedCharge {
    /// The charge.
    pub charge: Charge,
    /// The user number of its account, which never changes.
    pub user_number: String,
    /// When it was rated.
    pub rated_at: Timestamp,
}

#[derive(QueryableByName)]
struct Locked {
    #[diesel(sql_type = Bool)]
    locked: bool,
}

/// A connection of one's own that alone may export, for as long as it lives; `None` while another one does.
///
/// # Errors
/// A fault of the database.
pub async fn exclusive(pool: &Pool) -> StorageResult<Option<Connection>> {
    let mut connection = pool.take().await?;
    let query = diesel::sql_query("SELECT pg_try_advisory_lock($1) AS locked").bind::<BigInt, _>(EXPORT_LOCK);
    let Locked { locked } = query.get_result(&mut connection).await?;
    Ok(locked.then_some(connection))
}

/// Lets the statements of the open transaction take as long as a large batch needs.
///
/// # Errors
/// A fault of the database.
pub async fn take_time(connection: &mut Connection) -> StorageResult<()> {
    Ok(connection.batch_execute("SET LOCAL statement_timeout = '10min'").await?)
}

/// Puts at most `limit` charges that are money and in no batch yet into batch `number`: the oldest first, all of the time before `before`.
/// Says how many there were. Its row follows in the same transaction, by [`add`].
///
/// # Errors
/// A fault of the database.
pub async fn fill(connection: &mut Connection, number: i64, before: Option<Timestamp>, limit: i64) -> StorageResult<i64> {
    let mut waiting = charges::table.filter(charges::status.eq("rated").and(charges::batch.is_null())).into_boxed();
    if let Some(before) = before {
        waiting = waiting.filter(charges::started_at.lt(before.to_diesel()));
    }
    let ids = waiting.order((charges::created_at, charges::id)).limit(limit).select(charges::id);
    let ids: Vec<crate::billing::ChargeId> = ids.load(connection).await?;
    let filled = diesel::update(charges::table.filter(charges::id.eq_any(&ids)).filter(charges::batch.is_null())).set(charges::batch.eq(number));
    Ok(i64::try_from(filled.execute(connection).await?).unwrap_or(i64::MAX))
}

/// The charges of a batch, in the order in which its files hold them: by start and identifier.
///
/// # Errors
/// A fault of the database; an unreadable row.
pub async fn charges_of(connection: &mut Connection, number: i64) -> StorageResult<Vec<BatchedCharge>> {
    let found = charges::table
        .inner_join(accounts::table.on(accounts::id.eq(charges::account)))
        .filter(charges::batch.eq(number))
        .order((charges::started_at, charges::id))
        .select((ChargeRow::as_select(), accounts::user_number));
    let rows: Vec<(ChargeRow, String)> = found.load(connection).await?;
    let batched = |(row, user_number): (ChargeRow, String)| {
        let rated_at = row.created_at();
        Ok(BatchedCharge { charge: row.charge()?, user_number, rated_at })
    };
    rows.into_iter().map(batched).collect()
}

/// Writes a batch's row.
///
/// # Errors
/// [`StorageError::Conflict`](super::StorageError::Conflict) when there is a batch of this number.
pub async fn add(connection: &mut Connection, batch: Batch) -> StorageResult<()> {
    diesel::insert_into(charge_batches::table).values(batch).execute(connection).await?;
    Ok(())
}

/// The number that the next batch has.
///
/// # Errors
/// A fault of the database.
pub async fn next_number(connection: &mut Connection) -> StorageResult<i64> {
    let last: Option<i64> = charge_batches::table.select(diesel::dsl::max(charge_batches::number)).first(connection).await?;
    Ok(last.unwrap_or(0) + 1)
}

/// The batch of this number.
///
/// # Errors
/// A fault of the database.
pub async fn lookup(connection: &mut Connection, number: i64) -> StorageResult<Option<Batch>> {
    Ok(charge_batches::table.find(number).select(Batch::as_select()).first(connection).await.optional()?)
}

/// All batches, or those whose files may not lie in place, by number.
///
/// # Errors
/// A fault of the database.
pub async fn list(connection: &mut Connection, unfinished: bool) -> StorageResult<Vec<Batch>> {
    let mut found = charge_batches::table.into_boxed();
    if unfinished {
        found = found.filter(charge_batches::handed_over_at.is_null());
    }
    Ok(found.order(charge_batches::number).select(Batch::as_select()).load(connection).await?)
}

/// Notes that a batch's files lie in place.
///
/// # Errors
/// A fault of the database.
pub async fn set_handed_over(connection: &mut Connection, number: i64, now: Timestamp) -> StorageResult<()> {
    let batch = charge_batches::table.find(number).filter(charge_batches::handed_over_at.is_null());
    diesel::update(batch).set(charge_batches::handed_over_at.eq(Some(now).to_diesel())).execute(connection).await?;
    Ok(())
}
