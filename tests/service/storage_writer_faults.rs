//! The group-commit writer while the database dies, freezes and forgets to answer.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Integer};
use diesel_async::{AsyncConnection as _, AsyncPgConnection, RunQueryDsl as _, SimpleAsyncConnection as _};
use sklic::ids::ConferenceId;
use sklic::storage::{Pool, PoolOptions, Ticket, Writer, WriterOptions};
use tokio::sync::Notify;

use crate::database::{Database, account, conference};
use crate::proxy::{Mode, Proxy};
use crate::storage_writer::{batch, seqs};

/// Longer than anything here takes, so that only a fault waits for it.
const PATIENCE: Duration = Duration::from_secs(30);

fn options() -> WriterOptions {
    WriterOptions { pause: Duration::from_millis(10), longest_pause: Duration::from_millis(100), ..WriterOptions::default() }
}

fn pool_at(url: &str) -> Pool {
    let options = PoolOptions { wait: Duration::from_millis(500), ..PoolOptions::default() };
    Pool::new(url, options).unwrap()
}

/// A database behind a proxy, with a writer that goes through it.
async fn behind_proxy(options: WriterOptions) -> Option<(Database, Proxy, Writer, ConferenceId)> {
    let database = Database::fresh().await?;
    let proxy = Proxy::before(database.server_address()).await;
    let writer = Writer::start(pool_at(&database.url_at(proxy.address)), options, Arc::new(Notify::new()));
    let ana = account(&database, "100200").await;
    let (id, _) = conference(&database, ana).await;
    Some((database, proxy, writer, id))
}

async fn all_written(tickets: impl IntoIterator<Item = Ticket>) {
    let all = futures_util::future::try_join_all(tickets);
    tokio::time::timeout(PATIENCE, all).await.expect("the writer comes back").expect("no batch is refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_database_is_away_batches_wait_in_order() {
    let Some((database, proxy, writer, id)) = behind_proxy(options()).await else { return };
    let mut available = writer.subscribe();
    all_written([writer.submit(batch(id, 1))]).await;
    assert!(writer.is_available());
    for round in 0..3 {
        proxy.set(Mode::Refuse);
        let first = 2 + round * 300;
        let tickets: Vec<Ticket> = (first..first + 300).map(|seq| writer.submit(batch(id, seq))).collect();
        tokio::time::timeout(PATIENCE, available.wait_for(|available| !available)).await.unwrap().unwrap();
        assert!(!writer.is_available());
        assert_eq!(seqs(&database, id).await.len(), usize::try_from(first - 1).unwrap());
        proxy.set(Mode::Pass);
        all_written(tickets).await;
        assert!(writer.is_available());
        assert_eq!(seqs(&database, id).await, (1..first + 300).collect::<Vec<_>>());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_database_is_given_up_and_written_to_when_it_is_back() {
    let quick = WriterOptions { transaction: Duration::from_millis(300), ..options() };
    let Some((database, proxy, writer, id)) = behind_proxy(quick).await else { return };
    let mut available = writer.subscribe();
    all_written([writer.submit(batch(id, 1))]).await;
    proxy.set(Mode::Freeze);
    let tickets: Vec<Ticket> = (2..=50).map(|seq| writer.submit(batch(id, seq))).collect();
    tokio::time::timeout(PATIENCE, available.wait_for(|available| !available)).await.unwrap().unwrap();
    proxy.set(Mode::Pass);
    all_written(tickets).await;
    assert_eq!(seqs(&database, id).await, (1..=50).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_answer_is_lost_is_not_written_twice() {
    let Some((database, proxy, writer, id)) = behind_proxy(options()).await else { return };
    all_written([writer.submit(batch(id, 1))]).await;
    for round in 0..5 {
        let before = proxy.lost();
        proxy.set(Mode::LoseCommit);
        let first = 2 + round * 20;
        let mut tickets: Vec<Ticket> = (first..first + 10).map(|seq| writer.submit(batch(id, seq))).collect();
        let lost = async {
            // Twice: the first repeat is written into what the lost commit left.
            while proxy.lost() < before + 2 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, lost).await.expect("commits are lost");
        tickets.extend((first + 10..first + 20).map(|seq| writer.submit(batch(id, seq))));
        proxy.set(Mode::Pass);
        all_written(tickets).await;
        assert_eq!(seqs(&database, id).await, (1..first + 20).collect::<Vec<_>>());
    }
}

#[derive(QueryableByName)]
struct Backend {
    #[diesel(sql_type = Integer)]
    pid: i32,
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_cut_in_the_middle_of_a_transaction_loses_nothing() {
    let Some((database, _proxy, writer, id)) = behind_proxy(options()).await else { return };
    all_written([writer.submit(batch(id, 1))]).await;
    for round in 0..4 {
        let mut blocker = AsyncPgConnection::establish(&database.url).await.unwrap();
        blocker.batch_execute("BEGIN; LOCK TABLE legs, journal IN ACCESS EXCLUSIVE MODE").await.unwrap();
        let first = 2 + round * 100;
        let tickets: Vec<Ticket> = (first..first + 100).map(|seq| writer.submit(batch(id, seq))).collect();
        let waiting = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        let backend = tokio::time::timeout(PATIENCE, async {
            loop {
                let found: Vec<Backend> = diesel::sql_query(waiting).load(&mut blocker).await.unwrap();
                if let Some(backend) = found.as_slice().first() {
                    break backend.pid;
                }
            }
        })
        .await
        .expect("the writer waits for the lock");
        let cut = format!("SELECT 1::bigint AS count WHERE pg_terminate_backend({backend})");
        let cut: Count = diesel::sql_query(cut).get_result(&mut blocker).await.unwrap();
        assert_eq!(cut.count, 1);
        blocker.batch_execute("COMMIT").await.unwrap();
        all_written(tickets).await;
        assert_eq!(seqs(&database, id).await, (1..first + 100).collect::<Vec<_>>());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_cut_at_random_moments_lose_nothing() {
    let Some((database, _proxy, writer, id)) = behind_proxy(options()).await else { return };
    let (written, mut progress) = tokio::sync::watch::channel(0);
    let submitting = tokio::spawn({
        let writer = writer.clone();
        async move {
            for seq in 1..=120 {
                // Awaited one by one, as an owner does that speaks after each.
                writer.submit(batch(id, seq)).await.unwrap();
                written.send_replace(seq);
            }
        }
    });
    let mut admin = AsyncPgConnection::establish(&database.url).await.unwrap();
    let cut = "SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) AS count FROM pg_stat_activity \
        WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name = 'sklic' AND state <> 'idle'";
    let mut cuts = 0;
    // Five are written undisturbed, then the next transaction is cut wherever it happens to be.
    while progress.wait_for(|seq| *seq > cuts * 6 + 5).await.is_ok() {
        while !submitting.is_finished() && diesel::sql_query(cut).get_result::<Count>(&mut admin).await.unwrap().count == 0 {}
        cuts += 1;
    }
    tokio::time::timeout(PATIENCE, submitting).await.unwrap().unwrap();
    assert!(cuts > 10, "{cuts} cuts");
    assert_eq!(seqs(&database, id).await, (1..=120).collect::<Vec<_>>());
}

/// A PostgreSQL server of the test's own, to be killed.
struct Server {
    folder: tempfile::TempDir,
    port: u16,
}

impl Server {
    /// `None`, said aloud, where PostgreSQL's server programs are missing.
    fn new() -> Option<Self> {
        let programs =
            std::fs::read_dir("/usr/lib/postgresql").ok().into_iter().flatten().flatten().any(|found| found.path().join("bin/initdb").exists());
        if !programs {
            eprintln!("SKIPPED: there are no PostgreSQL server programs in /usr/lib/postgresql");
            return None;
        }
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let folder = tempfile::Builder::new().prefix("sklic-postgres-").tempdir_in("/tmp").unwrap();
        let server = Self { folder, port };
        if is_root() {
            assert!(Command::new("chown").arg("postgres").arg(server.folder.path()).status().unwrap().success());
        }
        server.run("initdb", &["--username=sklic", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]);
        Some(server)
    }

    /// Runs a program of PostgreSQL on the server's data; it refuses to run as root.
    fn run(&self, program: &str, arguments: &[&str]) {
        let newest = std::fs::read_dir("/usr/lib/postgresql").unwrap().map(|found| found.unwrap().path()).max().unwrap();
        let program = newest.join("bin").join(program);
        let mut command = if is_root() { Command::new("runuser") } else { Command::new(&program) };
        if is_root() {
            command.args(["-u", "postgres", "--"]).arg(&program);
        }
        let log = std::fs::File::create(std::env::temp_dir().join(format!("sklic-postgres-{}.out", self.port))).unwrap();
        let status = command.arg("-D").arg(self.folder.path().join("data")).args(arguments).stdout(log).current_dir("/").status().unwrap();
        assert!(status.success(), "{program:?} {arguments:?}");
    }

    fn start(&self) {
        let options = format!("-c listen_addresses=127.0.0.1 -c port={} -c unix_socket_directories= -c fsync=off", self.port);
        let log = self.folder.path().join("log");
        self.run("pg_ctl", &["start", "-w", "-l", log.to_str().unwrap(), "-o", &options]);
    }

    /// Ends it as a crash would.
    fn crash(&self) {
        self.run("pg_ctl", &["stop", "-w", "-m", "immediate"]);
    }

    /// Ends it as an operator would, sending its clients away.
    fn stop(&self) {
        self.run("pg_ctl", &["stop", "-w", "-m", "fast"]);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.folder.path().join("data/postmaster.pid").exists() {
            self.crash();
        }
        let _ = std::fs::remove_file(std::env::temp_dir().join(format!("sklic-postgres-{}.out", self.port)));
    }
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_crashes_or_is_stopped_and_comes_back_has_it_all() {
    let Some(server) = Server::new() else { return };
    server.start();
    let url = format!("postgres://sklic@127.0.0.1:{}/postgres", server.port);
    let pool = pool_at(&url);
    sklic::storage::migrate(&pool).await.unwrap();
    let mut connection = pool.get().await.unwrap();
    let id = ConferenceId::fresh();
    let rows = format!(
        "INSERT INTO accounts (id, user_number, name, phone, email, language, time_zone, password_hash, created_at) \
            VALUES (gen_random_uuid(), '100200', 'Ana', '112', 'a@b', 'sl', 'UTC', '', now()); \
         INSERT INTO conferences (id, account, title, state, settings, created_at) SELECT '{id}', id, '', 'planned', '{{}}', now() FROM accounts"
    );
    connection.batch_execute(&rows).await.unwrap();
    drop(connection);
    let writer = Writer::start(pool.clone(), options(), Arc::new(Notify::new()));
    let mut available = writer.subscribe();
    let mut next = 1;
    for crash in [true, false] {
        let mut tickets: Vec<Ticket> = (next..next + 200).map(|seq| writer.submit(batch(id, seq))).collect();
        if crash {
            server.crash()
        } else {
            server.stop()
        }
        tickets.extend((next + 200..next + 400).map(|seq| writer.submit(batch(id, seq))));
        tokio::time::timeout(PATIENCE, available.wait_for(|available| !available)).await.unwrap().unwrap();
        server.start();
        all_written(tickets).await;
        next += 400;
    }
    let mut connection = pool.get().await.unwrap();
    let lines = sklic::storage::journal::list_all(&mut connection, id).await.unwrap();
    assert_eq!(lines.iter().map(|line| line.seq).collect::<Vec<_>>(), (1..next).collect::<Vec<_>>());
}
