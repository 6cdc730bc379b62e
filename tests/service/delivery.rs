//! The outbox's worker against a real mail server, and what it does when things fail.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use diesel::QueryableByName;
use diesel::sql_types::BigInt;
use diesel_async::{AsyncConnection as _, AsyncPgConnection, RunQueryDsl as _, SimpleAsyncConnection as _};
use jiff::SignedDuration;
use serde_json::json;
use sklic::clock;
use sklic::delivery::{self, MailConfig, MailMessage, Mailer, Pace, Patience, SendError};
use sklic::ids::{AccountId, ConferenceId};
use sklic::storage::outbox::{self, ClaimedJob, JobState, NewJob};
use sklic::storage::{Batch, Pool, PoolOptions, RowChange, Writer, WriterOptions};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::database::{Database, account, conference};
use crate::proxy::{Mode, Proxy};
use crate::smtp::{MailServer, scripted, until};
use crate::storage_writer::batch;

pub fn config(url: &str) -> MailConfig {
    MailConfig { smtp: url.into(), from: "Sklic <sklic@example.test>".to_owned(), timeout_seconds: 2, ca_file: None }
}

/// As the service's own.
pub const PACE: Pace = Pace { at_once: 8, per_second: u32::MAX };

/// Repeats soon, and takes a worker for dead soon.
pub fn patience() -> Patience {
    Patience {
        pause: SignedDuration::from_millis(50),
        longest_pause: SignedDuration::from_millis(200),
        end: SignedDuration::from_secs(60),
        abandoned: SignedDuration::from_secs(4),
    }
}

/// A worker that is stopped with this value.
struct Worker {
    task: JoinHandle<()>,
    stop: CancellationToken,
}

impl Worker {
    fn start(pool: Pool, url: &str, patience: Patience) -> Self {
        let stop = CancellationToken::new();
        let mailer = Mailer::new(&config(url)).unwrap();
        let task = tokio::spawn(delivery::run(pool, mailer, PACE, patience, Arc::new(Notify::new()), stop.clone()));
        Self { task, stop }
    }

    async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }

    /// As SIGKILL would.
    async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

fn mail(account: AccountId, conference: ConferenceId, number: usize) -> NewJob {
    let payload = json!({
        "to": "Ana Žnidaršič <ana@example.test>",
        "subject": format!("Poročilo {number}"),
        "text": "Živjo\n",
        "html": "<p>Živjo</p>",
        "attachments": [{"name": "porocilo.csv", "content_type": "text/csv; charset=utf-8", "text": "a;č\r\n"}],
    });
    NewJob {
        kind: delivery::MAIL,
        account,
        conference: Some(conference),
        dedup_key: format!("report:{conference}:{number}"),
        payload,
        created_at: clock::now(),
    }
}

struct Bench {
    database: Database,
    server: MailServer,
    account: AccountId,
    conference: ConferenceId,
}

impl Bench {
    async fn new() -> Option<Self> {
        let database = Database::fresh().await?;
        let server = MailServer::start().await?;
        let account = account(&database, "100200").await;
        let (conference, _) = conference(&database, account).await;
        Some(Self { database, server, account, conference })
    }

    async fn queue(&self, mails: usize) {
        let jobs: Vec<NewJob> = (0..mails).map(|number| mail(self.account, self.conference, number)).collect();
        outbox::add(&mut *self.database.connection().await, &jobs).await.unwrap();
    }

    fn worker(&self) -> Worker {
        Worker::start(self.database.pool.clone(), &self.server.url(), patience())
    }

    async fn jobs(&self) -> Vec<JobState> {
        outbox::list(&mut *self.database.connection().await, self.account, self.conference).await.unwrap()
    }

    async fn until_all(&self, state: &str) -> Vec<JobState> {
        until(state, async || self.jobs().await.iter().all(|job| job.state == state)).await;
        self.jobs().await
    }
}

/// A header of a mail, unfolded.
fn header(mail: &str, name: &str) -> String {
    let head = mail.split_once("\r\n\r\n").unwrap().0.replace("\r\n ", " ");
    let prefix = format!("{name}: ");
    head.lines().find_map(|line| line.strip_prefix(&prefix)).unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_mail_is_sent_once_by_many_workers() {
    let Some(bench) = Bench::new().await else { return };
    bench.queue(60).await;
    let workers: Vec<Worker> = (0..3).map(|_| bench.worker()).collect();
    let jobs = bench.until_all("sent").await;
    for worker in workers {
        worker.stop().await;
    }
    let mails = bench.server.mails();
    assert_eq!(mails.len(), 60);
    let sent: HashSet<String> = mails.iter().map(|mail| header(mail, "Message-ID")).collect();
    let noted: HashSet<String> = jobs.iter().map(|job| job.message_id.clone().unwrap()).collect();
    assert_eq!((sent.len(), &sent), (60, &noted));
    assert!(jobs.iter().all(|job| job.attempts == 1 && job.last_error.is_none() && job.sent_at.is_some()));
    assert_eq!(header(&mails[0], "X-Envelope-To"), "ana@example.test");
    assert_eq!(header(&mails[0], "X-Envelope-From"), "sklic@example.test");
    assert!(mails[0].contains("filename=\"porocilo.csv\""), "{}", mails[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_wakes_the_worker() {
    let Some(bench) = Bench::new().await else { return };
    let due = Arc::new(Notify::new());
    let stop = CancellationToken::new();
    let mailer = Mailer::new(&config(&bench.server.url())).unwrap();
    let worker = tokio::spawn(delivery::run(bench.database.pool.clone(), mailer, PACE, patience(), Arc::clone(&due), stop.clone()));
    bench.queue(1).await;
    // Then the worker rests, and only the notice can wake it in less than a poll.
    bench.until_all("sent").await;
    let writer = Writer::start(bench.database.pool.clone(), WriterOptions::default(), due);
    let started = std::time::Instant::now();
    for seq in 1..=3 {
        let job = RowChange::Job(mail(bench.account, bench.conference, 1));
        writer.submit(Batch { rows: vec![job], ..batch(bench.conference, seq) }).await.unwrap();
    }
    until("the mail arrives", async || bench.server.mails().len() == 2).await;
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    stop.cancel();
    worker.await.unwrap();
    assert_eq!(bench.server.mails().len(), 2, "queued three times, sent once");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_passes_is_repeated_until_it_is_taken() {
    let Some(bench) = Bench::new().await else { return };
    for fault in ["defer 2", "close 2", "hang 1"] {
        bench.server.fault(fault);
        let before = bench.server.mails().len();
        let jobs = bench.jobs().await.len();
        outbox::add(&mut *bench.database.connection().await, &[mail(bench.account, bench.conference, jobs)]).await.unwrap();
        let worker = bench.worker();
        let job = bench.until_all("sent").await.remove(jobs);
        worker.stop().await;
        let failures: i32 = fault.split_once(' ').unwrap().1.parse().unwrap();
        assert_eq!(job.attempts, failures + 1, "{fault}");
        assert_eq!(bench.server.mails().len(), before + 1, "{fault}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lasts_fails_at_once_with_the_servers_words() {
    let Some(bench) = Bench::new().await else { return };
    for (fault, code) in [("refuse", "550"), ("reject", "554")] {
        bench.server.fault(fault);
        let jobs = bench.jobs().await.len();
        outbox::add(&mut *bench.database.connection().await, &[mail(bench.account, bench.conference, jobs)]).await.unwrap();
        let worker = bench.worker();
        let job = bench.until_all("failed").await.remove(jobs);
        worker.stop().await;
        assert_eq!(job.attempts, 1, "{fault}");
        assert!(job.last_error.as_ref().is_some_and(|error| error.contains(code) && error.contains("lab fault")), "{job:?}");
    }
    bench.server.mend();
    let worker = bench.worker();
    worker.stop().await;
    assert!(bench.server.mails().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_that_nobody_takes_is_given_up_in_the_end() {
    let Some(bench) = Bench::new().await else { return };
    bench.server.fault("defer");
    bench.queue(1).await;
    let short = Patience { end: SignedDuration::from_millis(600), ..patience() };
    let worker = Worker::start(bench.database.pool.clone(), &bench.server.url(), short);
    let job = bench.until_all("failed").await.remove(0);
    worker.stop().await;
    assert!(job.attempts > 1 && job.last_error.is_some_and(|error| error.contains("451")), "{}", job.attempts);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_job_fails_and_holds_up_no_other() {
    let Some(bench) = Bench::new().await else { return };
    let bad = NewJob { payload: json!({"to": "nobody"}), dedup_key: "bad".to_owned(), ..mail(bench.account, bench.conference, 0) };
    outbox::add(&mut *bench.database.connection().await, &[bad]).await.unwrap();
    bench.queue(1).await;
    let worker = bench.worker();
    until("both are done", async || bench.jobs().await.iter().all(|job| matches!(job.state.as_str(), "sent" | "failed"))).await;
    worker.stop().await;
    assert_eq!(bench.jobs().await.iter().map(|job| job.state.as_str()).collect::<Vec<_>>(), ["failed", "sent"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_repeats_the_very_same_mail() {
    let Some(bench) = Bench::new().await else { return };
    bench.server.fault("lose-ack 1");
    bench.queue(1).await;
    let worker = bench.worker();
    let job = bench.until_all("sent").await.remove(0);
    worker.stop().await;
    let mails = bench.server.mails();
    assert_eq!((mails.len(), job.attempts), (2, 2));
    assert_eq!(mails[0], mails[1], "byte for byte");
    assert_eq!(Some(header(&mails[0], "Message-ID")), job.message_id);
}

#[derive(QueryableByName)]
pub struct Count {
    #[diesel(sql_type = BigInt)]
    pub count: i64,
}

/// Lets nobody note a mail as sent while it is held.
struct NoNotes(AsyncPgConnection);

impl NoNotes {
    async fn hold(database: &Database) -> Self {
        let mut connection = AsyncPgConnection::establish(&database.url).await.unwrap();
        let trigger = "CREATE OR REPLACE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS \
                $$ BEGIN PERFORM pg_advisory_xact_lock_shared(1); RETURN NEW; END $$; \
            CREATE OR REPLACE TRIGGER wait BEFORE UPDATE ON outbox FOR EACH ROW WHEN (NEW.state = 'sent') EXECUTE FUNCTION wait(); \
            SELECT pg_advisory_lock(1)";
        connection.batch_execute(trigger).await.unwrap();
        Self(connection)
    }

    /// How many wait.
    async fn waiting(&mut self) -> i64 {
        let waiting = "SELECT count(*) AS count FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        diesel::sql_query(waiting).get_result::<Count>(&mut self.0).await.unwrap().count
    }

    /// Ends those who wait, as the end of their machine would.
    async fn cut(&mut self) -> i64 {
        let cut = "SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) AS count FROM pg_stat_activity \
            WHERE datname = current_database() AND wait_event_type = 'Lock'";
        diesel::sql_query(cut).get_result::<Count>(&mut self.0).await.unwrap().count
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_between_sending_and_noting_costs_one_repeat_with_the_same_message_id() {
    let Some(bench) = Bench::new().await else { return };
    let mut no_notes = NoNotes::hold(&bench.database).await;
    bench.queue(1).await;
    let first = bench.worker();
    until("the mail is sent", async || bench.server.mails().len() == 1).await;
    until("the note waits", async || no_notes.waiting().await == 1).await;
    first.kill().await;
    // The server learns of the end only when it answers; a machine's end takes its connections with it.
    assert_eq!(no_notes.cut().await, 1);
    until("nobody notes", async || no_notes.waiting().await == 0).await;
    drop(no_notes);
    assert_eq!(bench.jobs().await[0].state, "sending");
    let second = bench.worker();
    let job = bench.until_all("sent").await.remove(0);
    second.stop().await;
    let mails = bench.server.mails();
    assert_eq!((mails.len(), job.attempts), (2, 2));
    assert_eq!(mails[0], mails[1], "byte for byte");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_goes_away_between_sending_and_noting_costs_no_repeat() {
    let Some(bench) = Bench::new().await else { return };
    let proxy = Proxy::before(bench.database.server_address()).await;
    let options = PoolOptions { wait: Duration::from_millis(300), ..PoolOptions::default() };
    let pool = Pool::new(&bench.database.url_at(proxy.address), options).unwrap();
    let mut no_notes = NoNotes::hold(&bench.database).await;
    bench.queue(1).await;
    let worker = Worker::start(pool, &bench.server.url(), patience());
    until("the mail is sent", async || bench.server.mails().len() == 1).await;
    until("the note waits", async || no_notes.waiting().await == 1).await;
    proxy.set(Mode::Refuse);
    assert_eq!(no_notes.cut().await, 1);
    until("nobody notes", async || no_notes.waiting().await == 0).await;
    drop(no_notes);
    assert_eq!(bench.jobs().await[0].state, "sending");
    proxy.set(Mode::Pass);
    let job = bench.until_all("sent").await.remove(0);
    worker.stop().await;
    assert_eq!((bench.server.mails().len(), job.attempts), (1, 1));
}

fn some_mail() -> MailMessage {
    let job = ClaimedJob {
        id: uuid::Uuid::nil(),
        kind: delivery::MAIL.to_owned(),
        payload: json!({"to": "ana@example.test", "subject": "s", "text": "t"}),
        attempts: 1,
        message_id: "<1@example.test>".to_owned(),
        created_at: clock::now(),
    };
    MailMessage::of_job(&job).unwrap()
}

#[tokio::test]
async fn a_server_that_does_not_take_us_is_not_the_mails_fault() {
    const EHLO: &str = "250-mail\r\n250 AUTH PLAIN LOGIN";
    for (script, login, lasting, status) in [
        (&["554 5.3.2 no service here"] as &'static [&'static str], "", false, Some(554)),
        (&["421 busy"], "", false, Some(421)),
        (&[], "", false, None),
        (&["not SMTP at all"], "", false, None),
        (&["220 mail", EHLO, "535 5.7.8 wrong password"], "ana:geslo@", false, Some(535)),
        (&["220 mail", EHLO, "235 ok", "250 ok", "550 no such user"], "ana:geslo@", true, Some(550)),
        (&["220 mail", EHLO, "530 5.7.0 log in first"], "", false, Some(530)),
        (&["220 mail", EHLO, "250 ok", "250 ok", "451 later"], "", false, Some(451)),
        (&["220 mail", EHLO, "250 ok", "250 ok"], "", false, None),
        (&["220 mail", EHLO, "250 ok", "552 too big"], "", true, Some(552)),
        // It closes in mid-dialogue: after its greeting, its capabilities, the sender, and when the mail is to come.
        (&["220 mail"], "", false, None),
        (&["220 mail", EHLO], "", false, None),
        (&["220 mail", EHLO, "250 ok"], "", false, None),
        (&["220 mail", EHLO, "250 ok", "250 ok", "354 go"], "", false, None),
    ] {
        let address = scripted(script).await;
        let mailer = Mailer::new(&config(&format!("smtp://{login}{address}"))).unwrap();
        let error = mailer.send(&some_mail()).await.unwrap_err();
        assert_eq!((error.is_lasting(), error.status()), (lasting, status), "{script:?}: {error}");
    }
}

#[tokio::test]
async fn a_silent_server_is_given_up_in_time() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mailer = Mailer::new(&config(&format!("smtp://{}", listener.local_addr().unwrap()))).unwrap();
    let started = std::time::Instant::now();
    let error = mailer.send(&some_mail()).await.unwrap_err();
    assert!(matches!(error, SendError::TimedOut(_)) && !error.is_lasting(), "{error}");
    assert!((2..10).contains(&started.elapsed().as_secs()), "{:?}", started.elapsed());
    assert!(mailer.check_server().await.is_err());
}

#[tokio::test]
async fn starttls_is_insisted_on() {
    let address = scripted(&["220 mail", "250 mail", "250 ok", "250 ok", "354 go", "250 taken"]).await;
    let mailer = Mailer::new(&config(&format!("smtp+starttls://{address}"))).unwrap();
    let error = mailer.send(&some_mail()).await.unwrap_err();
    assert!(matches!(&error, SendError::Connect(_)), "nothing goes in the clear: {error}");
}

/// A certificate for 127.0.0.1 that nobody knows, made by the machine's openssl.
fn certificate(folder: &std::path::Path) -> (String, String) {
    let path = |name: &str| folder.join(name).display().to_string();
    let (certificate, key) = (path("certificate.pem"), path("key.pem"));
    let made = std::process::Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=mail.lab.test"])
        .args(["-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE", "-out", &certificate, "-keyout", &key])
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    (certificate, key)
}

#[tokio::test]
async fn mail_goes_over_tls_with_a_login_to_a_server_that_is_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = certificate(folder.path());
    for (scheme, wrapped) in [("smtp+starttls", false), ("smtps", true)] {
        let mut arguments = vec!["--certificate", certificate.as_str(), "--key", &key, "--login", "ana:g e s l o"];
        arguments.extend(wrapped.then_some("--wrapped"));
        let Some(server) = MailServer::start_with(&arguments).await else { return };
        let config = |login: &str, ca: bool| MailConfig {
            smtp: format!("{scheme}://{login}@127.0.0.1:{}", server.port).into(),
            ca_file: ca.then(|| certificate.clone().into()),
            timeout_seconds: 20,
            ..config("")
        };
        let send = async |config: MailConfig| Mailer::new(&config).unwrap().send(&some_mail()).await;
        send(config("ana:g%20e%20s%20l%20o", true)).await.unwrap_or_else(|error| panic!("{scheme}: {error}"));
        assert_eq!(server.mails().len(), 1, "{scheme}");
        // A wrong password and a certificate that nobody vouches for are the operator's to put right: mails wait.
        for bad in [config("ana:wrong", true), config("ana:g%20e%20s%20l%20o", false)] {
            let error = send(bad).await.unwrap_err();
            assert!(matches!(error, SendError::Connect(_)) && !error.is_lasting(), "{scheme}: {error}");
        }
        assert_eq!(server.mails().len(), 1, "{scheme}");
    }
    let missing = MailConfig { smtp: "smtps://127.0.0.1".to_owned().into(), ca_file: Some("/nowhere.pem".into()), ..config("") };
    assert!(missing.check().unwrap_err().to_string().starts_with("mail.ca_file: "));
}
