//! Tariffs: versions of price lists.

use diesel::prelude::*;
use diesel_async::{AsyncConnection as _, RunQueryDsl};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use jiff_diesel::{NullableTimestamp, ToDiesel};
use uuid::Uuid;

use super::schema::{tariff_rates, tariffs};
use super::text::refuse_nul;
use super::{Connection, StorageError, StorageResult};
use crate::billing::{Component, Currency, Money, Percent, Rate, Split, Tariff, TariffVersion};

/// What is told of a version without its rates.
#[derive(Clone, Debug, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = tariffs, check_for_backend(diesel::pg::Pg))]
pub struct TariffSummary {
    /// The version's identifier.
    pub id: Uuid,
    /// The tariff's name.
    pub name: String,
    /// The version's number, from 1.
    pub version: i32,
    /// The currency of its prices.
    pub currency: String,
    /// When it comes into force.
    #[diesel(deserialize_as = jiff_diesel::Timestamp)]
    pub valid_from: Timestamp,
    /// The SHA-256 of the imported file.
    pub source_sha256: Vec<u8>,
    /// When it was imported.
    #[diesel(deserialize_as = jiff_diesel::Timestamp)]
    pub imported_at: Timestamp,
    /// IANA name of the time zone whose midnights cut components.
    pub time_zone: String,
}

#[derive(Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = tariff_rates, check_for_backend(diesel::pg::Pg))]
struct RateRow {
    tariff: Uuid,
    component: String,
    prefix: String,
    #[diesel(serialize_as = jiff_diesel::Timestamp, deserialize_as = jiff_diesel::Timestamp)]
    valid_from: Timestamp,
    #[diesel(serialize_as = NullableTimestamp, deserialize_as = NullableTimestamp)]
    valid_to: Option<Timestamp>,
    description: String,
    connect_fee: i64,
    price_per_minute: i64,
    first_increment: i64,
    next_increment: i64,
    free_seconds: i64,
    rounding_unit: i64,
    vat_percent: i32,
    split: String,
}

impl RateRow {
    fn of(tariff: Uuid, rate: &Rate) -> StorageResult<Self> {
        refuse_nul(&[("description", &rate.description)])?;
        Ok(Self {
            tariff,
            component: rate.component.word().to_owned(),
            prefix: rate.prefix.to_string(),
            valid_from: rate.valid_from,
            valid_to: rate.valid_to,
            description: rate.description.clone(),
            connect_fee: rate.connect_fee.0,
            price_per_minute: rate.price_per_minute.0,
            first_increment: rate.first_increment,
            next_increment: rate.next_increment,
            free_seconds: rate.free_seconds,
            rounding_unit: rate.rounding_unit.0,
            vat_percent: i32::try_from(rate.vat_percent.0).map_err(|_| StorageError::Invalid { what: "vat_percent".to_owned() })?,
            split: rate.split.word().to_owned(),
        })
    }

    fn rate(self) -> StorageResult<Rate> {
        let unreadable = |what, value: &str| StorageError::Unreadable { what, value: value.to_owned() };
        Ok(Rate {
            component: Component::from_word(&self.component).ok_or_else(|| unreadable("component", &self.component))?,
            prefix: self.prefix.parse().map_err(|_| unreadable("prefix", &self.prefix))?,
            description: self.description,
            connect_fee: Money(self.connect_fee),
            price_per_minute: Money(self.price_per_minute),
            first_increment: self.first_increment,
            next_increment: self.next_increment,
            free_seconds: self.free_seconds,
            rounding_unit: Money(self.rounding_unit),
            vat_percent: Percent(u32::try_from(self.vat_percent).map_err(|_| unreadable("VAT", &self.vat_percent.to_string()))?),
            valid_from: self.valid_from,
            valid_to: self.valid_to,
            split: Split::from_word(&self.split).ok_or_else(|| unreadable("split", &self.split))?,
        })
    }
}

/// The number that the next version of a tariff has; 1 for a name that is new.
///
/// # Errors
/// A fault of the database.
pub async fn next_version(connection: &mut Connection, name: &str) -> StorageResult<u32> {
    refuse_nul(&[("name", &name.to_owned())])?;
    let last: Option<i32> = tariffs::table.filter(tariffs::name.eq(name)).select(diesel::dsl::max(tariffs::version)).first(connection).await?;
    Ok(last.and_then(|last| u32::try_from(last).ok()).unwrap_or(0) + 1)
}

/// The version of a tariff that is in force from this moment on: of those that begin at it, the last one imported.
///
/// # Errors
/// A fault of the database.
pub async fn find_beginning(connection: &mut Connection, name: &str, valid_from: Timestamp) -> StorageResult<Option<TariffSummary>> {
    refuse_nul(&[("name", &name.to_owned())])?;
    let found = tariffs::table
        .filter(tariffs::name.eq(name).and(tariffs::valid_from.eq(valid_from.to_diesel())))
        .order(tariffs::version.desc())
        .select(TariffSummary::as_select());
    Ok(found.first(connection).await.optional()?)
}

/// Adds a version with all its rates, or nothing.
///
/// # Errors
/// [`StorageError::Conflict`] of `tariffs_name_version_key` when the tariff has a version of this number: somebody was quicker.
pub async fn add(
    connection: &mut Connection,
    name: &str,
    currency: Currency,
    version: &TariffVersion,
    source_sha256: &[u8; 32],
    now: Timestamp,
) -> StorageResult<()> {
    refuse_nul(&[("name", &name.to_owned())])?;
    let id = Uuid::now_v7();
    let number = i32::try_from(version.number()).map_err(|_| StorageError::Invalid { what: "version".to_owned() })?;
    let rates = version.rates().iter().map(|rate| RateRow::of(id, rate)).collect::<StorageResult<Vec<RateRow>>>()?;
    connection
        .transaction(async |connection| {
            diesel::insert_into(tariffs::table)
                .values((
                    tariffs::id.eq(id),
                    tariffs::name.eq(name),
                    tariffs::version.eq(number),
                    tariffs::currency.eq(currency.to_string()),
                    tariffs::valid_from.eq(version.valid_from().to_diesel()),
                    tariffs::source_sha256.eq(&source_sha256[..]),
                    tariffs::imported_at.eq(now.to_diesel()),
                    tariffs::time_zone.eq(version.time_zone().iana_name().unwrap_or("UTC")),
                ))
                .execute(connection)
                .await?;
            for part in rates.chunks(2_000) {
                diesel::insert_into(tariff_rates::table).values(part.to_vec()).execute(connection).await?;
            }
            Ok(())
        })
        .await
}

/// Whether there is a tariff of this name.
///
/// # Errors
/// A fault of the database.
pub async fn exists(connection: &mut Connection, name: &str) -> StorageResult<bool> {
    if name.contains('\0') {
        return Ok(false);
    }
    Ok(diesel::select(diesel::dsl::exists(tariffs::table.filter(tariffs::name.eq(name)))).get_result(connection).await?)
}

/// All versions of all tariffs, by name and number.
///
/// # Errors
/// A fault of the database.
pub async fn list(connection: &mut Connection) -> StorageResult<Vec<TariffSummary>> {
    Ok(tariffs::table.order((tariffs::name, tariffs::version)).select(TariffSummary::as_select()).load(connection).await?)
}

/// The tariff of this name with all its versions; `None` when there is none.
///
/// # Errors
/// [`StorageError::Unreadable`] when a stored row is not a valid rate.
pub async fn lookup(connection: &mut Connection, name: &str) -> StorageResult<Option<Tariff>> {
    refuse_nul(&[("name", &name.to_owned())])?;
    let summaries: Vec<TariffSummary> =
        tariffs::table.filter(tariffs::name.eq(name)).order(tariffs::version).select(TariffSummary::as_select()).load(connection).await?;
    if summaries.is_empty() {
        return Ok(None);
    }
    let mut versions = Vec::with_capacity(summaries.len());
    for summary in summaries {
        let rows: Vec<RateRow> =
            tariff_rates::table.filter(tariff_rates::tariff.eq(summary.id)).select(RateRow::as_select()).load(connection).await?;
        let rates = rows.into_iter().map(RateRow::rate).collect::<StorageResult<Vec<Rate>>>()?;
        let unreadable = |value: String| StorageError::Unreadable { what: "tariff", value };
        let number = u32::try_from(summary.version).map_err(|_| unreadable(summary.version.to_string()))?;
        let version = TariffVersion::new(number, summary.valid_from, rates).map_err(|problems| {
            let first = problems.as_slice().first().map(|problem| format!("{}: {}", problem.column, problem.reason));
            unreadable(format!("{name} version {number}: {}", first.unwrap_or_default()))
        })?;
        let time_zone = TimeZone::get(&summary.time_zone).map_err(|_| unreadable(format!("{name} version {number}: {}", summary.time_zone)))?;
        versions.push(version.in_time_zone(time_zone));
    }
    Ok(Some(Tariff::new(name.into(), versions)))
}
