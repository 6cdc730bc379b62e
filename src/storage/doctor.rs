//! What `sklic check` asks the database; it crosses accounts, for it serves the operator.

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
