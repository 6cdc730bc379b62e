//! A database for each test.

use std::cell::RefCell;

use diesel::QueryableByName;
use diesel::sql_types::Bool;
use diesel_async::{AsyncConnection as _, AsyncPgConnection, RunQueryDsl as _, SimpleAsyncConnection as _};
use jiff::Timestamp;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use sklic::ids::{AccountId, ConferenceId, ParticipantId};
use sklic::storage::accounts::NewAccount;
use sklic::storage::conferences::NewConference;
use sklic::storage::participants::Participant;
use sklic::storage::{self, Pool, PoolOptions, Pooled, accounts, conferences};
use uuid::Uuid;

/// The variable that names the server.
pub const VARIABLE: &str = "SKLIC_TEST_DATABASE_URL";

/// A database that is migrated, empty, and dropped with this value.
pub struct Database {
    pub url: String,
    pub pool: Pool,
    server: String,
    name: String,
    /// Whether the database is dropped with this value.
    owned: bool,
}

impl Database {
    /// A new database; `None`, said aloud, without a server.
    pub async fn fresh() -> Option<Self> {
        let Ok(server) = std::env::var(VARIABLE) else {
            eprintln!("SKIPPED: {VARIABLE} names no PostgreSQL server (vagrant/provision/lab.sh run -- cargo test)");
            return None;
        };
        let name = format!("sklic_test_{}", Uuid::new_v4().simple());
        let mut admin = AsyncPgConnection::establish(&server).await.expect("the server of the variable answers");
        // One at a time: a template may not be in use while it is copied.
        admin.batch_execute("SELECT pg_advisory_lock(7362)").await.unwrap();
        let template = template(&server, &mut admin).await;
        admin.batch_execute(&format!("CREATE DATABASE {name} TEMPLATE {template}")).await.unwrap();
        // Now, for a test that keeps its thread busy closes this connection late, and all others wait.
        admin.batch_execute("SELECT pg_advisory_unlock(7362)").await.unwrap();
        let url = at(&server, &name);
        let pool = Pool::new(&url, PoolOptions::default()).unwrap();
        Some(Self { url, pool, server, name, owned: true })
    }

    /// The same database, which is not dropped with this one.
    pub fn shared(&self) -> Self {
        let pool = Pool::new(&self.url, PoolOptions::default()).unwrap();
        Self { url: self.url.clone(), pool, server: self.server.clone(), name: self.name.clone(), owned: false }
    }

    pub async fn connection(&self) -> Pooled {
        self.pool.get().await.unwrap()
    }

    /// The same database by way of another address.
    pub fn url_at(&self, address: std::net::SocketAddr) -> String {
        let (before, after) = self.url.split_once("://").unwrap();
        let (authority, path) = after.split_once('/').unwrap();
        let user = authority.rsplit_once('@').map_or(String::new(), |(user, _)| format!("{user}@"));
        format!("{before}://{user}{address}/{path}")
    }

    /// Host and port of the server.
    pub fn server_address(&self) -> String {
        let authority = self.url.split_once("://").unwrap().1.split_once('/').unwrap().0;
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        if host.contains(':') { host.to_owned() } else { format!("{host}:5432") }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        self.pool.close();
        if self.owned {
            LEFT_OVER.with(|left| left.0.borrow_mut().push((self.server.clone(), self.name.clone())));
        }
    }
}

thread_local! {
    static LEFT_OVER: LeftOver = const { LeftOver(RefCell::new(Vec::new())) };
}

/// Databases that are dropped when the test's thread ends, after its runtime.
///
/// Not before: a connection that the standing runtime leaves in the middle of its login holds up every `DROP DATABASE` and
/// `CREATE DATABASE` of the whole server until the server gives up on it (`authentication_timeout`, a minute).
struct LeftOver(RefCell<Vec<(String, String)>>);

impl Drop for LeftOver {
    fn drop(&mut self) {
        let databases = self.0.take();
        // A thread, because this one's own variables are going, those of a runtime among them; joined, so that the process does not end before.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                for (server, name) in databases {
                    if let Ok(mut admin) = AsyncPgConnection::establish(&server).await {
                        let _ = admin.batch_execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await;
                    }
                }
            });
        });
        let _ = dropping.join();
    }
}

/// The URL of another database on the same server.
fn at(server: &str, name: &str) -> String {
    let (before, parameters) = server.split_once('?').map_or((server, None), |(before, after)| (before, Some(after)));
    let (authority, _) = before.rsplit_once('/').expect("the URL names a database");
    parameters.map_or_else(|| format!("{authority}/{name}"), |parameters| format!("{authority}/{name}?{parameters}"))
}

#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = Bool)]
    found: bool,
}

/// The migrated database that is copied, named by the content of the migrations.
async fn template(server: &str, admin: &mut AsyncPgConnection) -> String {
    let mut hash = Sha256::new();
    let mut folders: Vec<_> = std::fs::read_dir("sql/migrations").unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    for folder in folders {
        hash.update(std::fs::read(folder.join("up.sql")).unwrap());
    }
    let digest: String = hash.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    let name = format!("sklic_template_{digest}");
    let query = format!("SELECT EXISTS (SELECT FROM pg_database WHERE datname = '{name}') AS found");
    let found: Found = diesel::sql_query(query).get_result(admin).await.unwrap();
    if !found.found {
        // Renamed when it is whole, so that a killed run leaves no half template.
        let building = format!("{name}_building");
        admin.batch_execute(&format!("DROP DATABASE IF EXISTS {building} WITH (FORCE)")).await.unwrap();
        admin.batch_execute(&format!("CREATE DATABASE {building}")).await.unwrap();
        let pool = Pool::new(&at(server, &building), PoolOptions::default()).unwrap();
        storage::migrate(&pool).await.unwrap();
        pool.close();
        // The migrations' connection may still be on its way out.
        let end = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{building}'");
        while admin.batch_execute(&format!("{end}; ")).await.is_err()
            || admin.batch_execute(&format!("ALTER DATABASE {building} RENAME TO {name}")).await.is_err()
        {
            tokio::task::yield_now().await;
        }
    }
    name
}

/// Some moment, to which tests add.
pub fn noon() -> Timestamp {
    "2026-03-01T11:00:00Z".parse().unwrap()
}

/// An account with the given user number.
pub async fn account(database: &Database, user_number: &str) -> AccountId {
    let id = AccountId::fresh();
    let new = NewAccount {
        id,
        user_number: user_number.to_owned(),
        name: "Ana Novak".to_owned(),
        phone: "+38640123456".to_owned(),
        email: "ana@example.test".to_owned(),
        language: "sl".to_owned(),
        time_zone: "Europe/Ljubljana".to_owned(),
        password_hash: "$argon2id$none".to_owned(),
        staff: false,
        grace_seconds: 0,
        entry_beep: false,
        max_participants: None,
        created_at: noon(),
    };
    accounts::add(&mut *database.connection().await, new).await.unwrap();
    id
}

/// A person of a conference.
pub fn person(conference: ConferenceId, position: i32) -> Participant {
    Participant {
        id: ParticipantId::fresh(),
        conference,
        position,
        name: format!("Oseba {position} čšž"),
        phone: format!("+3864000{position:04}"),
        email: None,
        contact: None,
        convener: position == 0,
        removed: false,
    }
}

/// A planned conference with a convener and one more person.
pub async fn conference(database: &Database, account: AccountId) -> (ConferenceId, Vec<Participant>) {
    let id = ConferenceId::fresh();
    let participants = vec![person(id, 0), person(id, 1)];
    let new = NewConference {
        id,
        title: "Tedenski sestanek".to_owned(),
        scheduled_at: None,
        settings: json!({"language": "sl"}),
        created_at: noon(),
        participants: participants.clone(),
    };
    conferences::add(&mut *database.connection().await, account, new).await.unwrap();
    (id, participants)
}
