//! Connections to PostgreSQL.

use std::num::NonZeroUsize;
use std::time::Duration;

use diesel_async::pooled_connection::AsyncDieselConnectionManager;
use diesel_async::pooled_connection::deadpool;
use diesel_async::{AsyncPgConnection, RunQueryDsl as _};

use super::{StorageError, StorageResult};

/// One connection, which every query takes.
pub type Connection = AsyncPgConnection;

/// A connection that goes back to its pool when it is dropped.
pub type Pooled = deadpool::Object<AsyncPgConnection>;

/// How many connections there are and how long they may take.
#[derive(Clone, Copy, Debug)]
pub struct PoolOptions {
    /// The most connections at once.
    pub connections: NonZeroUsize,
    /// How long to wait for a connection, establishing it included.
    pub wait: Duration,
    /// How long the server lets one statement run.
    pub statement: Duration,
    /// How long the server lets a transaction stand idle before it undoes it and closes the connection, if not for ever.
    /// A process that is frozen or has lost its power keeps its locks for that long and no longer.
    pub idle_in_transaction: Option<Duration>,
}

impl Default for PoolOptions {
    fn default() -> Self {
        const TEN: NonZeroUsize = NonZeroUsize::new(10).unwrap();
        Self {
            connections: TEN,
            wait: Duration::from_secs(5),
            statement: Duration::from_secs(15),
            // Less than a lease lasts: who takes a switch over finds its lock free.
            idle_in_transaction: Some(Duration::from_secs(2)),
        }
    }
}

/// The connections to one database; cheap to clone.
#[derive(Clone)]
pub struct Pool {
    inner: deadpool::Pool<AsyncPgConnection>,
    wait: Duration,
}

impl std::fmt::Debug for Pool {
    // The URL holds a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").field("status", &self.inner.status()).finish_non_exhaustive()
    }
}

impl Pool {
    /// A pool for the database at `url` (`postgres://…` or `key=value` pairs). Connects when first used, not here.
    ///
    /// # Errors
    /// [`StorageError::Invalid`] when the pool cannot be built.
    pub fn new(url: &str, options: PoolOptions) -> StorageResult<Self> {
        let manager = AsyncDieselConnectionManager::<AsyncPgConnection>::new(with_limits(url, options));
        let inner = deadpool::Pool::builder(manager)
            .max_size(options.connections.get())
            .build()
            .map_err(|error| StorageError::Invalid { what: error.to_string() })?;
        Ok(Self { inner, wait: options.wait })
    }

    /// A connection.
    ///
    /// # Errors
    /// [`StorageError::Unavailable`] when there is none in time.
    pub async fn get(&self) -> StorageResult<Pooled> {
        match tokio::time::timeout(self.wait, self.inner.get()).await {
            Ok(got) => got.map_err(StorageError::unavailable),
            Err(late) => Err(StorageError::unavailable(late)),
        }
    }

    /// How many connections there may be at once.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.inner.status().max_size
    }

    /// Whether the database answers, and soon.
    pub async fn answers(&self) -> bool {
        const SOON: Duration = Duration::from_secs(2);
        let asked = async {
            let mut connection = self.get().await.ok()?;
            diesel::sql_query("SELECT 1").execute(&mut connection).await.ok()
        };
        matches!(tokio::time::timeout(SOON, asked).await, Ok(Some(_)))
    }

    /// A connection of one's own, which the pool forgets.
    pub(crate) async fn take(&self) -> StorageResult<Connection> {
        self.get().await.map(Pooled::take)
    }

    /// Closes idle connections and gives out no more.
    pub fn close(&self) {
        self.inner.close();
    }
}

/// The URL with time limits; what it says itself stands, being first.
fn with_limits(url: &str, options: PoolOptions) -> String {
    let connect = options.wait.as_secs().max(1);
    let statement = options.statement.as_millis();
    let idle = options.idle_in_transaction.map_or(0, |idle| idle.as_millis());
    // Also the server finds a dead peer soon, which may hold locks that belong to no transaction.
    let settings = [
        format!("statement_timeout={statement}"),
        format!("idle_in_transaction_session_timeout={idle}"),
        "tcp_keepalives_idle=10".to_owned(),
        "tcp_keepalives_interval=5".to_owned(),
        "tcp_keepalives_count=3".to_owned(),
    ];
    // A dead peer is found by keep-alives within half a minute even when nothing is being sent.
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        let joint = if url.contains('?') { '&' } else { '?' };
        let mut limits = format!("{joint}connect_timeout={connect}&keepalives_idle=10&keepalives_interval=5&keepalives_retries=3");
        if !url.contains("options=") {
            let settings: Vec<String> = settings.iter().map(|setting| format!("-c%20{}", setting.replace('=', "%3D"))).collect();
            limits.push_str(&format!("&options={}", settings.join("%20")));
        }
        if !url.contains("application_name=") {
            limits.push_str("&application_name=sklic");
        }
        format!("{url}{limits}")
    } else {
        format!("connect_timeout={connect} application_name=sklic options='{}' {url}", settings.map(|setting| format!("-c {setting}")).join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_added_to_both_forms() {
        let options = PoolOptions::default();
        let url = with_limits("postgres://sklic@127.0.0.1/sklic", options);
        assert!(url.starts_with("postgres://sklic@127.0.0.1/sklic?connect_timeout=5&"), "{url}");
        assert!(url.contains("statement_timeout%3D15000%20-c%20idle_in_transaction_session_timeout%3D2000%20-c"), "{url}");
        let url = with_limits("postgres://sklic@127.0.0.1/sklic?options=-c%20x%3D1&application_name=a", options);
        assert!(url.contains("application_name=a&connect_timeout=5"), "{url}");
        assert!(!url.contains("statement_timeout") && !url.contains("application_name=sklic"), "{url}");
        assert!(with_limits("host=/run/postgresql user=sklic", options).ends_with(" host=/run/postgresql user=sklic"));
    }

    #[tokio::test]
    async fn a_database_that_is_not_there_is_a_passing_fault() {
        // Port 1 (tcpmux) is never a database.
        let pool = Pool::new("postgres://sklic@127.0.0.1:1/sklic", PoolOptions::default()).unwrap();
        assert!(pool.get().await.err().is_some_and(|error| error.is_passing()));
    }
}
