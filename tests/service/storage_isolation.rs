//! No account sees or changes what is another's, whatever identifier it asks for.

use diesel_async::SimpleAsyncConnection as _;
use serde_json::json;
use sklic::ids::{AccountId, ContactId, GroupId, LegId};
use sklic::storage::contacts::{ContactFields, ContactPage};
use sklic::storage::outbox::NewJob;
use sklic::storage::{StorageError, api_tokens, charges, conferences, contacts, groups, journal, legs, outbox, participants, sessions};

use crate::database::{Database, account, conference, noon, person};

#[tokio::test]
async fn another_accounts_things_are_not_there() {
    let Some(database) = Database::fresh().await else { return };
    let ana = account(&database, "100200").await;
    let bor = account(&database, "100300").await;
    let (of_ana, people) = conference(&database, ana).await;
    let connection = &mut database.connection().await;
    let contact = ContactId::fresh();
    let fields = ContactFields { name: "Cene".to_owned(), phone: "+38640000000".to_owned(), email: None, note: None };
    contacts::add(connection, ana, &[(contact, fields.clone())], noon()).await.unwrap();
    let group = GroupId::fresh();
    groups::add(connection, ana, group, "Uprava", &[contact], noon()).await.unwrap();
    let token = api_tokens::add(connection, ana, "skripta", &[1; 32], noon()).await.unwrap();
    let leg = LegId::derive(of_ana, 0);
    let insert = format!(
        "INSERT INTO legs (id, conference, participant, number, way_of_entry, phase, queued_at) \
            VALUES ('{leg}', '{of_ana}', '{}', '+38640123456', 'web_out', 'queued', now()); \
         INSERT INTO journal VALUES ('{of_ana}', 1, now(), '{{}}')",
        people[0].id
    );
    connection.batch_execute(&insert).await.unwrap();
    let job = NewJob {
        kind: "mail",
        account: ana,
        conference: Some(of_ana),
        dedup_key: format!("report:{of_ana}"),
        payload: json!({}),
        created_at: noon(),
    };
    outbox::add(connection, std::slice::from_ref(&job)).await.unwrap();

    // The owner finds it all, so that what follows proves something.
    assert!(sees_all(connection, ana, of_ana, contact, group).await.iter().all(|(_, seen)| *seen));
    for stranger in [bor, AccountId::fresh()] {
        for (what, seen) in sees_all(connection, stranger, of_ana, contact, group).await {
            assert!(!seen, "{what}");
        }
        assert!(contacts::change(connection, stranger, contact, &fields, noon()).await.unwrap().is_none());
        assert!(!contacts::remove(connection, stranger, contact).await.unwrap());
        assert!(!groups::change(connection, stranger, group, "Moja", &[], noon()).await.unwrap());
        assert!(!groups::remove(connection, stranger, group).await.unwrap());
        assert!(!conferences::change_plan(connection, stranger, of_ana, "Moja", None).await.unwrap());
        assert!(participants::add(connection, stranger, person(of_ana, 5)).await.unwrap().is_none());
        assert!(!participants::remove(connection, stranger, of_ana, people[1].id).await.unwrap());
        assert!(!api_tokens::revoke(connection, stranger, token, noon()).await.unwrap());
        assert_eq!(sessions::revoke_all(connection, stranger).await.unwrap(), 0);
    }
    let error = groups::add(connection, bor, GroupId::fresh(), "Tuje", &[contact], noon()).await.unwrap_err();
    assert!(matches!(&error, StorageError::Missing { what } if what == "group_members_contact_fkey"), "{error:?}");
    let foreign = NewJob { account: bor, dedup_key: "other".to_owned(), ..job };
    assert!(outbox::add(connection, &[foreign]).await.unwrap_err().is_of("outbox_conference_fkey"));
    assert!(groups::list(connection, bor).await.unwrap().is_empty());
    assert!(sees_all(connection, ana, of_ana, contact, group).await.iter().all(|(_, seen)| *seen), "and nothing has changed");
}

async fn sees_all(
    connection: &mut sklic::storage::Connection,
    account: AccountId,
    conference: sklic::ids::ConferenceId,
    contact: ContactId,
    group: GroupId,
) -> Vec<(&'static str, bool)> {
    let page = ContactPage { search: None, after: None, limit: 10 };
    vec![
        ("contact", contacts::lookup(connection, account, contact).await.unwrap().is_some()),
        ("contacts by id", !contacts::find(connection, account, &[contact]).await.unwrap().is_empty()),
        ("contacts", !contacts::list(connection, account, &page).await.unwrap().is_empty()),
        ("count of contacts", contacts::count(connection, account).await.unwrap() > 0),
        ("group", groups::lookup(connection, account, group).await.unwrap().is_some_and(|group| group.contacts == [contact])),
        ("groups", !groups::list(connection, account).await.unwrap().is_empty()),
        ("conference", conferences::lookup(connection, account, conference).await.unwrap().is_some()),
        ("conferences", !conferences::list(connection, account, None, None, 10).await.unwrap().is_empty()),
        ("participants", !participants::list(connection, account, conference).await.unwrap().is_empty()),
        ("legs", !legs::list(connection, account, conference).await.unwrap().is_empty()),
        ("journal", journal::last_seq(connection, account, conference).await.unwrap().is_some()),
        ("jobs", !outbox::list(connection, account, conference).await.unwrap().is_empty()),
        ("tokens", !api_tokens::list(connection, account).await.unwrap().is_empty()),
    ]
}

#[tokio::test]
async fn a_charge_ties_no_conference_to_another_account() {
    let Some(database) = Database::fresh().await else { return };
    let ana = account(&database, "100200").await;
    let bor = account(&database, "100300").await;
    let (of_ana, people) = conference(&database, ana).await;
    let connection = &mut database.connection().await;
    let leg = LegId::derive(of_ana, 0);
    let insert = format!(
        "INSERT INTO legs (id, conference, participant, number, way_of_entry, phase, queued_at) \
         VALUES ('{leg}', '{of_ana}', '{}', '+38640123456', 'web_out', 'queued', now())",
        people[0].id
    );
    connection.batch_execute(&insert).await.unwrap();
    let row = |account| {
        format!(
            "INSERT INTO charges (id, leg, conference, account, component, payer, status, started_at, seconds, billed_seconds, \
                net, vat_percent, vat, gross, currency, revision, created_at) \
             VALUES (gen_random_uuid(), '{leg}', '{of_ana}', '{account}', 'call', 'convener', 'rated', now(), 1, 1, 1, 0, 0, 1, 'EUR', 0, now())"
        )
    };
    assert!(connection.batch_execute(&row(bor)).await.is_err());
    connection.batch_execute(&row(ana)).await.unwrap();
    assert_eq!(charges::list(connection, ana, &charges::ChargeFilter::default(), 10).await.unwrap().len(), 1);
    assert_eq!(charges::list(connection, bor, &charges::ChargeFilter::default(), 10).await.unwrap().len(), 0);
}
