//! The group-commit writer on a database that works.

use std::sync::Arc;
use std::time::Duration;

use diesel::QueryableByName;
use diesel::sql_types::BigInt;
use diesel_async::RunQueryDsl as _;
use jiff::SignedDuration;
use serde_json::{Value, json};
use sklic::ids::{ConferenceId, LegId};
use sklic::storage::conferences::ConferenceHead;
use sklic::storage::journal::{self, JournalEntry};
use sklic::storage::legs::{self, Leg};
use sklic::storage::outbox::{self, NewJob};
use sklic::storage::participants::{self, Participant};
use sklic::storage::{Batch, RowChange, StorageError, Writer, WriterOptions, conferences};
use tokio::sync::Notify;

use crate::database::{Database, account, conference, noon, person};

/// A writer on the database, that gives up a refused batch quickly.
pub fn writer(database: &Database) -> Writer {
    let options = WriterOptions { tries: 2, pause: Duration::from_millis(5), ..WriterOptions::default() };
    Writer::start(database.pool.clone(), options, Arc::new(Notify::new()))
}

/// One entry of a journal.
pub fn entry(seq: i64, word: Value) -> JournalEntry {
    JournalEntry { seq, at: noon() + SignedDuration::from_nanos(seq * 1_234_567), entry: json!({"entry": "input", "word": word}) }
}

/// A batch of one entry and nothing else.
pub fn batch(conference: ConferenceId, seq: i64) -> Batch {
    Batch { conference, fence: None, journal: vec![entry(seq, json!(seq))], rows: Vec::new() }
}

/// A leg, whose number tells which write it is of.
pub fn leg(of: &Participant, write: i64) -> Box<Leg> {
    Box::new(Leg {
        id: LegId::derive(of.conference, u32::try_from(of.position).unwrap()),
        conference: of.conference,
        participant: of.id,
        number: format!("+{write}"),
        access_number: None,
        calling_line: None,
        way_of_entry: "web_out".to_owned(),
        phase: "dialling".to_owned(),
        outcome: None,
        evidence: None,
        queued_at: noon(),
        dialled_at: Some(noon()),
        ringing_at: None,
        early_media: false,
        answered_at: None,
        joined_at: None,
        left_at: None,
        ended_at: None,
        q850: None,
        sip: None,
        convener_pays: false,
    })
}

/// The sequence numbers in a conference's journal.
pub async fn seqs(database: &Database, conference: ConferenceId) -> Vec<i64> {
    let lines = journal::list_all(&mut *database.connection().await, conference).await.unwrap();
    lines.into_iter().map(|line| line.seq).collect()
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

/// How many transactions wrote the journals.
async fn transactions(database: &Database) -> i64 {
    // A row's xmin is the transaction that wrote it.
    let query = diesel::sql_query("SELECT count(DISTINCT xmin::text) AS count FROM journal");
    query.get_result::<Count>(&mut database.connection().await).await.unwrap().count
}

#[tokio::test(flavor = "multi_thread")]
async fn many_conferences_share_transactions_and_keep_their_order() {
    const CONFERENCES: usize = 60;
    const BATCHES: i64 = 40;
    let Some(database) = Database::fresh().await else { return };
    let ana = account(&database, "100200").await;
    let writer = writer(&database);
    let mut owners = Vec::new();
    for _ in 0..CONFERENCES {
        let (id, people) = conference(&database, ana).await;
        let writer = writer.clone();
        owners.push(tokio::spawn(async move {
            let mut tickets = Vec::new();
            for seq in 1..=BATCHES {
                let rows =
                    vec![RowChange::Leg(leg(&people[0], seq * 10)), RowChange::Leg(leg(&people[0], seq)), RowChange::Leg(leg(&people[1], seq))];
                tickets.push(writer.submit(Batch { rows, ..batch(id, seq) }));
                if seq % 7 == 0 {
                    // An owner that waits now and then, as one does before it speaks.
                    tickets.pop().unwrap().await.unwrap();
                }
            }
            for ticket in tickets {
                ticket.await.unwrap();
            }
            id
        }));
    }
    for owner in owners {
        let id = owner.await.unwrap();
        assert_eq!(seqs(&database, id).await, (1..=BATCHES).collect::<Vec<_>>());
        let numbers: Vec<String> = legs::list(&mut *database.connection().await, ana, id).await.unwrap().into_iter().map(|leg| leg.number).collect();
        assert_eq!(numbers, [format!("+{BATCHES}"), format!("+{BATCHES}")], "the last write stands");
    }
    let (batches, transactions) = (i64::try_from(CONFERENCES).unwrap() * BATCHES, transactions(&database).await);
    assert!(transactions * 4 < batches, "{transactions} transactions for {batches} batches");
}

#[tokio::test]
async fn a_batch_is_written_whole_and_reads_back() {
    let Some(database) = Database::fresh().await else { return };
    let ana = account(&database, "100200").await;
    let (id, mut people) = conference(&database, ana).await;
    let due = Arc::new(Notify::new());
    let writer = Writer::start(database.pool.clone(), WriterOptions::default(), Arc::clone(&due));
    let added = person(id, 2);
    people[1].removed = true;
    let mut over = leg(&added, 5);
    over.phase = "ended".to_owned();
    over.ended_at = Some(noon() + SignedDuration::from_micros(1));
    over.outcome = Some("busy".to_owned());
    over.evidence = Some("event".to_owned());
    (over.q850, over.sip) = (Some(17), Some(486));
    let head = ConferenceHead {
        id,
        state: "failed",
        reason: Some("convener_busy"),
        started_at: Some(noon()),
        running_since: None,
        ended_at: Some(noon()),
        node: Some("pbx1".to_owned()),
    };
    let job = NewJob {
        kind: "mail",
        account: ana,
        conference: Some(id),
        dedup_key: format!("report:{id}"),
        payload: json!({"to": "č"}),
        created_at: noon(),
    };
    let rows = vec![
        RowChange::Job(job.clone()),
        RowChange::Leg(over.clone()),
        RowChange::Participant(added.clone()),
        RowChange::Participant(people[1].clone()),
        RowChange::Head(head),
        RowChange::Job(job),
    ];
    writer.submit(Batch { conference: id, fence: None, journal: vec![entry(1, json!("ž")), entry(2, json!(null))], rows }).await.unwrap();
    tokio::time::timeout(Duration::from_secs(5), due.notified()).await.expect("the outbox is woken");
    let connection = &mut database.connection().await;
    let found = conferences::lookup(connection, ana, id).await.unwrap().unwrap();
    assert_eq!((found.state.as_str(), found.reason.as_deref(), found.node.as_deref()), ("failed", Some("convener_busy"), Some("pbx1")));
    assert_eq!((found.started_at, found.running_since, found.ended_at), (Some(noon()), None, Some(noon())));
    people.push(added);
    assert_eq!(participants::list(connection, ana, id).await.unwrap(), people);
    assert_eq!(legs::list(connection, ana, id).await.unwrap(), [*over]);
    assert_eq!(outbox::list(connection, ana, id).await.unwrap().len(), 1);
    let lines = journal::list(connection, id, 1, 10).await.unwrap();
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0].entry, entry(2, json!(null)).entry);
    assert_eq!(journal::last_seq(connection, ana, id).await.unwrap(), Some(2));
}

#[tokio::test]
async fn the_same_batch_twice_is_written_once_and_another_in_its_place_is_refused() {
    let Some(database) = Database::fresh().await else { return };
    let ana = account(&database, "100200").await;
    let (id, _) = conference(&database, ana).await;
    let writer = writer(&database);
    let odd = json!({"deep": [1, 2.5, -0.1, 1e300, "č\u{1f600}\u{1}", {"b": null, "a": 18_446_744_073_709_551_615_u64}]});
    let first = Batch { conference: id, fence: None, journal: vec![entry(1, odd)], rows: Vec::new() };
    // Both in one transaction, then once more in another.
    let (one, two) = (writer.submit(first.clone()), writer.submit(first.clone()));
    one.await.unwrap();
    two.await.unwrap();
    writer.submit(first.clone()).await.unwrap();
    let mut other = first.clone();
    other.journal[0].entry = json!({"entry": "another"});
    let error = writer.submit(other).await.unwrap_err();
    assert!(matches!(&error, StorageError::Conflict { what } if what.contains(&id.to_string())), "{error:?}");
    let mut later = first.clone();
    later.journal[0].at += SignedDuration::from_micros(1);
    assert!(matches!(writer.submit(later).await.unwrap_err(), StorageError::Conflict { .. }));
    // A longer batch of which a part is there already.
    let longer = Batch { journal: vec![first.journal[0].clone(), entry(2, json!(2))], ..first };
    writer.submit(longer).await.unwrap();
    assert_eq!(seqs(&database, id).await, [1, 2]);
}

#[tokio::test]
async fn a_poisoned_batch_fails_alone() {
    let Some(database) = Database::fresh().await else { return };
    let ana = account(&database, "100200").await;
    let mut all = Vec::new();
    for _ in 0..40 {
        all.push(conference(&database, ana).await);
    }
    let bad_leg = |people: &[Participant], change: &dyn Fn(&mut Leg)| {
        let mut leg = leg(&people[0], 1);
        change(&mut leg);
        vec![RowChange::Leg(leg)]
    };
    let writer = writer(&database);
    let mut tickets = Vec::new();
    for (n, (id, people)) in all.iter().enumerate() {
        let rows = match n {
            3 => bad_leg(people, &|leg| leg.phase = "Not a word".to_owned()),
            11 => bad_leg(people, &|leg| leg.participant = sklic::ids::ParticipantId::fresh()),
            17 => bad_leg(people, &|leg| leg.ended_at = Some(noon())),
            23 => bad_leg(people, &|leg| leg.number = "\0".to_owned()),
            29 => bad_leg(&all[28].1, &|_| {}),
            _ => vec![RowChange::Leg(leg(&people[0], 1))],
        };
        tickets.push(writer.submit(Batch { rows, ..batch(*id, 1) }));
        // What follows a refused batch would leave a gap in the journal.
        tickets.push(writer.submit(batch(*id, 2)));
    }
    let nobody = ConferenceId::fresh();
    let to_nobody = writer.submit(batch(nobody, 1));
    let mut bad_entry = batch(all[39].0, 3);
    bad_entry.journal[0].entry = json!({"caller": "Eva\0"});
    let bad_entry = writer.submit(bad_entry);
    // All of it was waiting before the writer had its first turn: the test's runtime has one thread.
    for (n, answers) in futures_util::future::join_all(tickets).await.chunks(2).enumerate() {
        let (first, second) = (&answers[0], &answers[1]);
        let fits = match n {
            3 => matches!(first, Err(StorageError::Invalid { what }) if what == "legs_phase_form"),
            11 => matches!(first, Err(StorageError::Missing { what }) if what == "legs_participant_fkey"),
            17 => matches!(first, Err(StorageError::Invalid { .. })),
            23 => matches!(first, Err(StorageError::Unstorable { field: "number" })),
            29 => matches!(first, Err(StorageError::Invalid { .. })),
            _ => first.is_ok(),
        };
        assert!(fits, "{n}: {first:?}");
        if first.is_ok() {
            assert!(second.is_ok(), "{n}: {second:?}");
        } else {
            assert!(matches!(second, Err(StorageError::Gap { conference, missing: 1 }) if *conference == all[n].0), "{n}: {second:?}");
        }
        let wanted: &[i64] = if first.is_ok() { &[1, 2] } else { &[] };
        assert_eq!(seqs(&database, all[n].0).await, wanted, "{n}");
    }
    assert!(matches!(to_nobody.await, Err(StorageError::Missing { .. })));
    assert!(matches!(bad_entry.await, Err(StorageError::Unstorable { field: "entry" })));
    assert!(writer.is_available());
    // The conference goes on once its entry is written after all.
    writer.submit(batch(all[3].0, 1)).await.unwrap();
    writer.submit(batch(all[3].0, 2)).await.unwrap();
}

#[tokio::test]
async fn what_the_database_refuses_for_an_unknown_reason_is_tried_again_and_then_fails() {
    let Some(database) = Database::fresh().await else { return };
    let ana = account(&database, "100200").await;
    let (id, _) = conference(&database, ana).await;
    let (other, _) = conference(&database, ana).await;
    let function = format!(
        "CREATE SEQUENCE refusals; CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
            IF NEW.conference = '{id}' AND nextval('refusals') < 3 THEN RAISE EXCEPTION 'disk full' USING ERRCODE = '53100'; END IF; RETURN NEW; END $$; \
         CREATE TRIGGER refuse BEFORE INSERT ON journal FOR EACH ROW EXECUTE FUNCTION refuse()"
    );
    diesel_async::SimpleAsyncConnection::batch_execute(&mut *database.connection().await, &function).await.unwrap();
    let options = WriterOptions { tries: 3, pause: Duration::from_millis(5), ..WriterOptions::default() };
    let writer = Writer::start(database.pool.clone(), options, Arc::new(Notify::new()));
    let (one, two) = (writer.submit(batch(id, 1)), writer.submit(batch(other, 1)));
    one.await.unwrap();
    two.await.unwrap();
    diesel_async::SimpleAsyncConnection::batch_execute(&mut *database.connection().await, "ALTER SEQUENCE refusals MINVALUE -1000 RESTART -1000")
        .await
        .unwrap();
    let error = writer.submit(batch(id, 2)).await.unwrap_err();
    assert!(matches!(error, StorageError::Database { .. }), "{error:?}");
    writer.submit(batch(other, 2)).await.unwrap();
}

#[tokio::test]
async fn closing_writes_what_was_submitted_and_refuses_the_rest() {
    let Some(database) = Database::fresh().await else { return };
    let ana = account(&database, "100200").await;
    let (id, _) = conference(&database, ana).await;
    let writer = writer(&database);
    for seq in 1..=1_200 {
        // Nobody waits for the answers.
        drop(writer.submit(batch(id, seq)));
    }
    writer.close().await;
    assert_eq!(seqs(&database, id).await, (1..=1_200).collect::<Vec<_>>());
    assert!(matches!(writer.submit(batch(id, 1_201)).await, Err(StorageError::Closed)));
    writer.close().await;
}
