//! What `sklic check` asks the database; it crosses accounts, for it serves the operator.

use diesel::dsl::{count_star, min};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use diesel_async::RunQueryDsl;
use jiff::Timestamp;

use super::schema::accounts;
use super::{Connection, StorageError, StorageResult};

#[derive(QueryableByName)]
struct Facts {
    #[diesel(sql_type = BigInt)]
    micros: i64,
    #[diesel(sql_type = Text)]
    version: String,
}

/// The database server's clock, and the number of its release, such as 150012.
///
/// # Errors
/// A fault of the database.
pub async fn clock_and_release(connection: &mut Connection) -> StorageResult<(Timestamp, u32)> {
    let query = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS micros, current_setting('server_version_num') AS version";
    let facts: Facts = diesel::sql_query(query).get_result(connection).await?;
    let unreadable = |what, value: String| StorageError::Unreadable { what, value };
    let now = Timestamp::from_microsecond(facts.micros).map_err(|_| unreadable("clock", facts.micros.to_string()))?;
    let release = facts.version.parse().map_err(|_| unreadable("release", facts.version))?;
    Ok((now, release))
}

/// The time zones that accounts have chosen.
///
/// # Errors
/// A fault of the database.
pub async fn time_zones(connection: &mut Connection) -> StorageResult<Vec<String>> {
    Ok(accounts::table.select(accounts::time_zone).distinct().order(accounts::time_zone).load(connection).await?)
}

/// Accounts that have the same tariff or list of numbers instead of the configuration's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnTerms {
    /// Their tariff; `None`: the configuration's.
    pub tariff: Option<String>,
    /// Beginnings of numbers that they may call; `None`: the configuration's.
    pub allowed_prefixes: Option<Vec<String>>,
    /// The first of their user numbers.
    pub user_number: String,
    /// How many they are.
    pub accounts: i64,
}

/// The terms of accounts in use that differ from the configuration's, each once.
///
/// # Errors
/// A fault of the database.
pub async fn own_terms(connection: &mut Connection) -> StorageResult<Vec<OwnTerms>> {
    type Row = (Option<String>, Option<serde_json::Value>, Option<String>, i64);
    let rows: Vec<Row> = accounts::table
        .filter(accounts::disabled_at.is_null().and(accounts::tariff.is_not_null().or(accounts::allowed_prefixes.is_not_null())))
        .group_by((accounts::tariff, accounts::allowed_prefixes))
        .select((accounts::tariff, accounts::allowed_prefixes, min(accounts::user_number), count_star()))
        .order((accounts::tariff, accounts::allowed_prefixes))
        .load(connection)
        .await?;
    let terms = |(tariff, list, user_number, accounts): Row| OwnTerms {
        tariff,
        // Read as where calls are placed: a list that makes no sense allows nothing.
        allowed_prefixes: list.map(|list| serde_json::from_value(list).unwrap_or_default()),
        user_number: user_number.unwrap_or_default(),
        accounts,
    };
    Ok(rows.into_iter().map(terms).collect())
}
