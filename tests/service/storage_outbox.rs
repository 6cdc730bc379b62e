//! The outbox's claims.

use std::collections::HashSet;

use jiff::SignedDuration;
use serde_json::json;
use sklic::ids::AccountId;
use sklic::storage::outbox::{self, Attempt, NewJob, Waiting};

use crate::database::{Database, account, noon};

fn job(account: AccountId, key: String) -> NewJob {
    NewJob { kind: "mail", account, conference: None, dedup_key: key, payload: json!({"subject": "č"}), created_at: noon() }
}

fn seconds(seconds: i64) -> SignedDuration {
    SignedDuration::from_secs(seconds)
}

#[tokio::test]
async fn a_job_is_claimed_by_one_worker() {
    let Some(database) = Database::fresh().await else { return };
    let ana = account(&database, "100200").await;
    let jobs: Vec<NewJob> = (0..100).map(|n| job(ana, format!("report:{n}"))).collect();
    outbox::add(&mut *database.connection().await, &jobs).await.unwrap();
    outbox::add(&mut *database.connection().await, &jobs).await.unwrap();
    let claims = (0..8).map(|_| async {
        let mut connection = database.connection().await;
        let mut claimed = Vec::new();
        loop {
            let some = outbox::claim(&mut connection, &["mail"], "example.test", noon(), noon() - seconds(60), 7).await.unwrap();
            if some.is_empty() {
                break claimed;
            }
            claimed.extend(some.into_iter().map(|job| job.id));
        }
    });
    let claimed: Vec<_> = futures_util::future::join_all(claims).await.concat();
    assert_eq!(claimed.len(), 100);
    assert_eq!(claimed.iter().collect::<HashSet<_>>().len(), 100);
    let connection = &mut database.connection().await;
    assert_eq!(outbox::claim(connection, &["sms"], "example.test", noon() + seconds(999), noon() + seconds(999), 7).await.unwrap(), []);
    assert_eq!(outbox::count_by_state(connection).await.unwrap(), [("sending".to_owned(), 100)]);
}

#[tokio::test]
async fn a_dead_workers_job_comes_back_with_the_same_message_id() {
    let Some(database) = Database::fresh().await else { return };
    let ana = account(&database, "100200").await;
    let connection = &mut database.connection().await;
    outbox::add(connection, &[job(ana, "report:1".to_owned())]).await.unwrap();
    let claim = async |connection: &mut sklic::storage::Connection, now, domain| {
        outbox::claim(connection, &["mail"], domain, now, now - seconds(60), 10).await.unwrap()
    };
    let first = claim(connection, noon(), "example.test").await.remove(0);
    assert_eq!(first.message_id, format!("<{}@example.test>", first.id));
    assert_eq!((first.attempts, first.payload.clone()), (1, json!({"subject": "č"})));
    assert_eq!(claim(connection, noon() + seconds(59), "example.test").await, []);
    let second = claim(connection, noon() + seconds(60), "renamed.test").await.remove(0);
    assert_eq!((second.attempts, &second.message_id), (2, &first.message_id));
    assert!(!outbox::note(connection, &first, Attempt::Sent { remote_id: None }, noon()).await.unwrap(), "the claim was given up");
    assert!(outbox::note(connection, &second, Attempt::PutBack, noon() + seconds(61)).await.unwrap());
    let third = claim(connection, noon() + seconds(61), "example.test").await.remove(0);
    assert_eq!(third.attempts, 2);
    let at = noon() + seconds(100);
    assert!(outbox::note(connection, &third, Attempt::Retry { at, error: "451 later\0".to_owned() }, noon()).await.unwrap());
    assert_eq!(outbox::next_due(connection, &["mail"]).await.unwrap(), Some(at));
    assert_eq!(claim(connection, noon() + seconds(99), "example.test").await, []);
    let fourth = claim(connection, noon() + seconds(100), "example.test").await.remove(0);
    assert!(outbox::note(connection, &fourth, Attempt::Sent { remote_id: None }, noon() + seconds(101)).await.unwrap());
    assert!(!outbox::note(connection, &fourth, Attempt::Sent { remote_id: None }, noon() + seconds(102)).await.unwrap());
    assert_eq!(claim(connection, noon() + seconds(9_999), "example.test").await, []);
    assert_eq!(outbox::next_due(connection, &["mail"]).await.unwrap(), None);
}

#[tokio::test]
async fn what_waits_is_told_by_kind_and_what_is_sent_waits_no_more() {
    let Some(database) = Database::fresh().await else { return };
    let ana = account(&database, "100200").await;
    let connection = &mut database.connection().await;
    assert_eq!(outbox::waiting(connection).await.unwrap(), []);
    let of = |kind, key: &str, after| NewJob { kind, created_at: noon() + seconds(after), ..job(ana, key.to_owned()) };
    outbox::add(connection, &[of("mail", "report:1", 0), of("mail", "report:2", 60), of("webhook", "event:1", -3600)]).await.unwrap();
    let waits = |kind: &str, count, after| Waiting { kind: kind.to_owned(), count, oldest: Some(noon() + seconds(after)) };
    assert_eq!(outbox::waiting(connection).await.unwrap(), [waits("mail", 2, 0), waits("webhook", 1, -3600)]);
    // One that a worker has taken waits until it is sent.
    let first = outbox::claim(connection, &["mail"], "example.test", noon(), noon() - seconds(60), 1).await.unwrap().remove(0);
    assert_eq!(outbox::waiting(connection).await.unwrap()[0], waits("mail", 2, 0));
    assert!(outbox::note(connection, &first, Attempt::Sent { remote_id: None }, noon()).await.unwrap());
    assert_eq!(outbox::waiting(connection).await.unwrap()[0], waits("mail", 1, 60));
}
