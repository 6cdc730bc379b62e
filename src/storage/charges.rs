//! Charges: priced rows, written once and never changed.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use jiff::Timestamp;
use jiff_diesel::ToDiesel;

use super::charge_rows::{self, Row};
use super::schema::{charges, conferences};
use super::{Connection, StorageResult};
use crate::billing::{Charge, ChargeId, Currency, Money};
use crate::ids::{AccountId, ConferenceId, LegId};

/// SQL for a row of `charges` that says that something has no price, and stands: neither a reversal nor reversed.
pub(super) const LACKS_PRICE: &str = "charges.status IN ('unrated', 'error') AND charges.reverses IS NULL \
    AND NOT EXISTS (SELECT FROM charges r WHERE r.reverses = charges.id)";

/// Which of an account's charges.
#[derive(Clone, Debug, Default)]
pub struct ChargeFilter {
    /// Only this conference's.
    pub conference: Option<ConferenceId>,
    /// Only of components that began at this moment or later.
    pub from: Option<Timestamp>,
    /// Only of components that began before this moment.
    pub to: Option<Timestamp>,
    /// Begin after the charge with this start and identifier: the last one of the page before.
    pub after: Option<(Timestamp, ChargeId)>,
}

/// The account's charges by the start of what is charged, at most `limit`.
///
/// # Errors
/// A fault of the database; [`StorageError::Unreadable`](super::StorageError::Unreadable) when a row was not written by this service.
pub async fn list(connection: &mut Connection, account: AccountId, filter: &ChargeFilter, limit: i64) -> StorageResult<Vec<Charge>> {
    let mut found = charges::table.filter(charges::account.eq(account)).into_boxed();
    if let Some(conference) = filter.conference {
        found = found.filter(charges::conference.eq(conference));
    }
    if let Some(from) = filter.from {
        found = found.filter(charges::started_at.ge(from.to_diesel()));
    }
    if let Some(to) = filter.to {
        found = found.filter(charges::started_at.lt(to.to_diesel()));
    }
    if let Some((start, id)) = filter.after {
        let start = start.to_diesel();
        found = found.filter(charges::started_at.gt(start).or(charges::started_at.eq(start).and(charges::id.gt(id))));
    }
    let rows: Vec<Row> = found.order((charges::started_at, charges::id)).limit(limit).select(Row::as_select()).load(connection).await?;
    rows.into_iter().map(Row::charge).collect()
}

/// All charges of a conference, by the start of what is charged. Crosses accounts: for the command line and the report.
///
/// # Errors
/// As [`list`].
pub async fn list_of_conference(connection: &mut Connection, conference: ConferenceId) -> StorageResult<Vec<Charge>> {
    // The index begins with the account.
    let account = conferences::table.find(conference).select(conferences::account);
    let found = charges::table.filter(charges::account.eq_any(account).and(charges::conference.eq(conference)));
    let rows: Vec<Row> = found.order((charges::started_at, charges::id)).select(Row::as_select()).load(connection).await?;
    rows.into_iter().map(Row::charge).collect()
}

/// What the account owes in this currency for what began at `since` or later, with VAT: its rated rows, reversals included, in 1/10000 of
/// the unit. What was charged before the service's currency was changed is no amount in the new one.
///
/// # Errors
/// A fault of the database.
pub async fn spent(connection: &mut Connection, account: AccountId, since: Timestamp, currency: Currency) -> StorageResult<Money> {
    let owed = charges::table
        .filter(charges::account.eq(account).and(charges::started_at.ge(since.to_diesel())))
        .filter(charges::status.eq("rated").and(charges::payer.eq("convener")).and(charges::currency.eq(currency.code())))
        // The sum of many is a number of another type, which is too large to be kept only if it could not be paid either.
        .select(diesel::dsl::sql::<diesel::sql_types::BigInt>("least(coalesce(sum(gross), 0), 9223372036854775807)::bigint"));
    Ok(Money(owed.first(connection).await?))
}

/// All charges of these legs, reversed ones and reversals too. Crosses accounts: for rating again.
///
/// # Errors
/// As [`list`].
pub async fn list_of_legs(connection: &mut Connection, legs: &[LegId]) -> StorageResult<Vec<Charge>> {
    let rows: Vec<Row> = charges::table.filter(charges::leg.eq_any(legs)).select(Row::as_select()).load(connection).await?;
    rows.into_iter().map(Row::charge).collect()
}

/// Writes charges, all in one statement; one that is there already stays as it is.
///
/// # Errors
/// [`StorageError::Missing`](super::StorageError::Missing) when the leg is not there.
pub async fn add(connection: &mut Connection, charges: &[Charge], now: Timestamp) -> StorageResult<()> {
    save(connection, &charges.iter().map(|charge| (charge, now)).collect::<Vec<_>>()).await
}

/// As [`add`], each with its own time of rating.
pub(super) async fn save(connection: &mut Connection, charges: &[(&Charge, Timestamp)]) -> StorageResult<()> {
    charge_rows::insert(connection, charges).await
}

/// What would make [`add`] refuse a charge before it is sent.
pub(super) fn check(charge: &Charge) -> StorageResult<()> {
    charge_rows::check(charge)
}
