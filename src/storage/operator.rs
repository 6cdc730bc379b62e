//! What the operator's staff sees of the service as a whole. Everything here crosses accounts, on purpose: only the staff's pages ask.

use diesel::dsl::{count_star, sql};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool};
use diesel_async::RunQueryDsl;
use jiff::Timestamp;
use jiff_diesel::{NullableTimestamp, ToDiesel};
use uuid::Uuid;

use super::accounts::Account;
use super::charges::LACKS_PRICE;
use super::schema::{accounts, charges, conferences, legs, outbox, participants, switch_nodes, tariff_rates};
use super::switch_nodes::SwitchNode;
use super::text::pattern;
use super::{Connection, StorageResult};
use crate::ids::{AccountId, ConferenceId};

/// A conference that runs somewhere.
#[derive(Clone, Debug, Queryable)]
#[diesel(check_for_backend(diesel::pg::Pg))]
pub struct OpenConference {
    /// The conference.
    pub id: ConferenceId,
    /// The account's user number.
    pub user_number: String,
    /// The convener's name.
    pub convener: String,
    /// As the convener named it.
    pub title: String,
    /// `calling_convener`, `running` or `closing`.
    pub state: String,
    /// The switch on which it runs.
    pub node: Option<String>,
    /// When it was started.
    #[diesel(deserialize_as = NullableTimestamp)]
    pub started_at: Option<Timestamp>,
    /// When the convener came in.
    #[diesel(deserialize_as = NullableTimestamp)]
    pub running_since: Option<Timestamp>,
}

/// The conferences that are being called, running or closing, the longest first.
///
/// # Errors
/// A fault of the database.
pub async fn open_conferences(connection: &mut Connection, limit: i64) -> StorageResult<Vec<OpenConference>> {
    let found = conferences::table
        .inner_join(accounts::table.on(accounts::id.eq(conferences::account)))
        .filter(conferences::state.eq_any(["calling_convener", "running", "closing"]))
        .order((conferences::started_at, conferences::id))
        .limit(limit)
        .select((
            conferences::id,
            accounts::user_number,
            accounts::name,
            conferences::title,
            conferences::state,
            conferences::node,
            conferences::started_at,
            conferences::running_since,
        ));
    Ok(found.load(connection).await?)
}

/// How many people each of these conferences has; one that has nobody is absent.
///
/// # Errors
/// A fault of the database.
pub async fn count_people(connection: &mut Connection, wanted: &[ConferenceId]) -> StorageResult<Vec<(ConferenceId, i64)>> {
    let found = participants::table.filter(participants::conference.eq_any(wanted).and(participants::removed.eq(false)));
    Ok(found.group_by(participants::conference).select((participants::conference, count_star())).load(connection).await?)
}

/// How many legs are inside each of these conferences; one that has none is absent.
///
/// # Errors
/// A fault of the database.
pub async fn count_inside(connection: &mut Connection, wanted: &[ConferenceId]) -> StorageResult<Vec<(ConferenceId, i64)>> {
    let found = legs::table
        .filter(legs::conference.eq_any(wanted))
        .filter(legs::joined_at.is_not_null().and(legs::left_at.is_null()).and(legs::ended_at.is_null()));
    Ok(found.group_by(legs::conference).select((legs::conference, count_star())).load(connection).await?)
}

/// Accounts whose user number, name or telephone holds this, by user number; all of them without it.
///
/// # Errors
/// A fault of the database.
pub async fn find_accounts(connection: &mut Connection, search: Option<&str>, limit: i64) -> StorageResult<Vec<Account>> {
    let mut found = accounts::table.into_boxed();
    if let Some(search) = search {
        if search.contains('\0') {
            return Ok(Vec::new());
        }
        let pattern = pattern(search);
        found = found.filter(accounts::user_number.like(pattern.clone()).or(accounts::name.ilike(pattern.clone())).or(accounts::phone.like(pattern)));
    }
    Ok(found.order(accounts::user_number).limit(limit).select(Account::as_select()).load(connection).await?)
}

/// What the account owes for each of these conferences: the rated rows that the convener pays, corrections included,
/// as conference, currency, and the sum with VAT in 1/10000 of the currency's unit.
///
/// # Errors
/// A fault of the database.
pub async fn sum_charges(
    connection: &mut Connection,
    account: AccountId,
    wanted: &[ConferenceId],
) -> StorageResult<Vec<(ConferenceId, String, i64)>> {
    let found = charges::table
        .filter(charges::account.eq(account).and(charges::conference.eq_any(wanted)))
        .filter(charges::status.eq("rated").and(charges::payer.eq("convener")))
        .group_by((charges::conference, charges::currency))
        .select((charges::conference, charges::currency, diesel::dsl::sql::<BigInt>("sum(gross)::bigint")));
    Ok(found.load(connection).await?)
}

/// How many charges wait for a price: each is money that is not billed. Those that were rated since do not count.
///
/// # Errors
/// A fault of the database.
pub async fn count_unrated(connection: &mut Connection) -> StorageResult<i64> {
    Ok(charges::table.filter(sql::<Bool>(LACKS_PRICE)).count().get_result(connection).await?)
}

/// A message that did not go out at once.
#[derive(Clone, Debug, Queryable)]
#[diesel(check_for_backend(diesel::pg::Pg))]
pub struct TroubledJob {
    /// The job.
    pub id: Uuid,
    /// What is done with it, such as `mail`.
    pub kind: String,
    /// The account's user number.
    pub user_number: String,
    /// The conference that it is about.
    pub conference: Option<ConferenceId>,
    /// `queued`, `sending` or `failed`.
    pub state: String,
    /// How often it was tried.
    pub attempts: i32,
    /// Why the last attempt failed.
    pub last_error: Option<String>,
    /// When it was made.
    #[diesel(deserialize_as = jiff_diesel::Timestamp)]
    pub created_at: Timestamp,
    /// When it is tried again, unless it has failed for good.
    #[diesel(deserialize_as = jiff_diesel::Timestamp)]
    pub next_attempt_at: Timestamp,
}

/// Messages that have failed for good, or have failed and wait for another attempt, the newest first.
///
/// # Errors
/// A fault of the database.
pub async fn troubled_jobs(connection: &mut Connection, limit: i64) -> StorageResult<Vec<TroubledJob>> {
    let found = outbox::table
        .inner_join(accounts::table.on(accounts::id.eq(outbox::account)))
        .filter(outbox::state.eq("failed").or(outbox::state.ne("sent").and(outbox::last_error.is_not_null())))
        .order((outbox::created_at.desc(), outbox::id))
        .limit(limit)
        .select((
            outbox::id,
            outbox::kind,
            accounts::user_number,
            outbox::conference,
            outbox::state,
            outbox::attempts,
            outbox::last_error,
            outbox::created_at,
            outbox::next_attempt_at,
        ));
    Ok(found.load(connection).await?)
}

/// Has a message that failed for good tried again now; `false` when there is no such message.
///
/// # Errors
/// A fault of the database.
pub async fn retry_job(connection: &mut Connection, job: Uuid, now: Timestamp) -> StorageResult<bool> {
    let failed = outbox::table.find(job).filter(outbox::state.eq("failed"));
    let changed = diesel::update(failed).set((outbox::state.eq("queued"), outbox::next_attempt_at.eq(now.to_diesel()))).execute(connection).await?;
    Ok(changed == 1)
}

/// Every switch that any service node has heard, by name.
///
/// # Errors
/// A fault of the database.
pub async fn switches(connection: &mut Connection) -> StorageResult<Vec<SwitchNode>> {
    Ok(switch_nodes::table.order(switch_nodes::name).select(SwitchNode::as_select()).load(connection).await?)
}

/// One price of a tariff. Prices are in 1/10000 of the currency's unit, increments in seconds.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = tariff_rates, check_for_backend(diesel::pg::Pg))]
pub struct RateLine {
    /// `call` or `conference`.
    pub component: String,
    /// What the number begins with.
    pub prefix: String,
    /// What the operator calls it.
    pub description: String,
    /// Once for each leg.
    pub connect_fee: i64,
    /// For each minute.
    pub price_per_minute: i64,
    /// The first step.
    pub first_increment: i64,
    /// Each further step.
    pub next_increment: i64,
    /// Seconds that cost nothing.
    pub free_seconds: i64,
    /// In 1/100 of a percent, as [`Percent`](crate::billing::Percent) holds it.
    pub vat_percent: i32,
}

/// The rates of a tariff's version that hold at a moment, by component and prefix.
///
/// # Errors
/// A fault of the database.
pub async fn rates(connection: &mut Connection, tariff: Uuid, at: Timestamp, limit: i64) -> StorageResult<Vec<RateLine>> {
    let found = tariff_rates::table
        .filter(tariff_rates::tariff.eq(tariff).and(tariff_rates::valid_from.le(at.to_diesel())))
        .filter(tariff_rates::valid_to.is_null().or(tariff_rates::valid_to.gt(Some(at).to_diesel())))
        .order((tariff_rates::component, tariff_rates::prefix))
        .limit(limit);
    Ok(found.select(RateLine::as_select()).load(connection).await?)
}
