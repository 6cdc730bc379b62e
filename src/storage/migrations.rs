//! The migrations that the binary carries.

use diesel::migration::{Migration, MigrationSource};
use diesel::pg::Pg;
use diesel_async::{AsyncMigrationHarness, SimpleAsyncConnection as _};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::{Pool, StorageError, StorageResult};

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("sql/migrations");

/// How a database's schema compares with this binary's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SchemaState {
    /// The same.
    Current,
    /// The database lacks these migrations: run `sklic migrate`.
    Behind {
        /// Their names, in order.
        missing: Vec<String>,
    },
    /// The database has had migrations that this binary does not know: it is of a later release, which keeps working with the earlier one's tables.
    Ahead {
        /// Their versions, in order.
        unknown: Vec<String>,
    },
}

fn failed(error: Box<dyn std::error::Error + Send + Sync>) -> StorageError {
    match error.downcast::<diesel::result::Error>() {
        Ok(diesel) => StorageError::from(*diesel),
        Err(other) => StorageError::Invalid { what: other.to_string() },
    }
}

/// Runs the migrations that the database has not had, each in a transaction of its own; gives their names.
///
/// Two that run at once do no harm: an advisory lock lets one go first.
///
/// # Errors
/// [`StorageError::Unavailable`], or what the database had against a migration.
pub async fn migrate(pool: &Pool) -> StorageResult<Vec<String>> {
    run(pool, |harness| {
        let missing = match compare(harness)? {
            SchemaState::Behind { missing } => missing,
            SchemaState::Current | SchemaState::Ahead { .. } => Vec::new(),
        };
        harness.run_pending_migrations(MIGRATIONS).map_err(failed)?;
        Ok(missing)
    })
    .await
}

/// Undoes every migration, the newest first: all data are lost. For tests of the migrations.
///
/// # Errors
/// As [`migrate`].
pub async fn revert_all(pool: &Pool) -> StorageResult<()> {
    run(pool, |harness| harness.revert_all_migrations(MIGRATIONS).map(drop).map_err(failed)).await
}

/// Compares the database's schema with this binary's.
///
/// # Errors
/// [`StorageError::Unavailable`] or [`StorageError::Database`].
pub async fn schema_state(pool: &Pool) -> StorageResult<SchemaState> {
    run(pool, compare).await
}

fn compare(harness: &mut Harness) -> StorageResult<SchemaState> {
    let applied: Vec<String> = harness.applied_migrations().map_err(failed)?.iter().map(ToString::to_string).collect();
    let known: Vec<Box<dyn Migration<Pg>>> = MIGRATIONS.migrations().map_err(failed)?;
    let version = |migration: &dyn Migration<Pg>| migration.name().version().to_string();
    let missing = known.iter().filter(|migration| !applied.contains(&version(migration.as_ref())));
    let missing: Vec<String> = missing.map(|migration| migration.name().to_string()).collect();
    let is_known = |applied: &String| known.iter().any(|migration| &version(migration.as_ref()) == applied);
    let mut unknown: Vec<String> = applied.into_iter().filter(|applied| !is_known(applied)).collect();
    unknown.sort();
    Ok(match (missing.is_empty(), unknown.is_empty()) {
        (false, _) => SchemaState::Behind { missing },
        (true, false) => SchemaState::Ahead { unknown },
        (true, true) => SchemaState::Current,
    })
}

type Harness = AsyncMigrationHarness<super::Connection>;

async fn run<T: Send + 'static>(pool: &Pool, work: impl FnOnce(&mut Harness) -> StorageResult<T> + Send + 'static) -> StorageResult<T> {
    let mut connection = pool.take().await?;
    // The number is the project's own; the lock goes with the connection.
    connection.batch_execute("SET statement_timeout = 0; SELECT pg_advisory_lock(7361)").await?;
    // The harness blocks; a thread of its own keeps it away from the runtime's workers.
    let done = tokio::task::spawn_blocking(move || work(&mut Harness::new(connection)));
    done.await.map_err(StorageError::unavailable)?
}
