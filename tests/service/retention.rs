//! Personal data whose time is over are erased, and what billing needs stays.

use diesel::QueryableByName;
use diesel::sql_types::Text;
use diesel_async::{RunQueryDsl as _, SimpleAsyncConnection as _};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use sklic::clock;
use sklic::storage::retention::{Erased, erase};

use crate::api::{Api, User};

#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = Text)]
    word: String,
}

/// Every row of every table but those that are the account's own, as text.
async fn everything(api: &Api) -> Vec<(String, String)> {
    let mut connection = api.database.connection().await;
    let tables = "SELECT tablename AS word FROM pg_tables WHERE schemaname = 'public' AND tablename NOT IN ('accounts', 'contacts', '__diesel_schema_migrations')";
    let tables: Vec<Found> = diesel::sql_query(tables).load(&mut connection).await.unwrap();
    let mut rows = Vec::new();
    for Found { word: table } in tables {
        let found: Vec<Found> = diesel::sql_query(format!("SELECT row_to_json(t)::text AS word FROM {table} t")).load(&mut connection).await.unwrap();
        rows.extend(found.into_iter().map(|row| (table.clone(), row.word)));
    }
    rows
}

/// The tables in which one of the words stands.
async fn tables_with(api: &Api, words: &[&str]) -> Vec<String> {
    let mut tables: Vec<String> =
        everything(api).await.into_iter().filter(|(_, row)| words.iter().any(|word| row.contains(word))).map(|(table, _)| table).collect();
    tables.dedup();
    tables
}

/// A conference that has been held, of two people beside the convener; its path.
async fn held(api: &Api, user: &User, title: &str) -> String {
    let people = json!([{"name": "Skrivnostna Oseba", "phone": "+38659912345", "email": "skrita@example.test"}, {"name": "Zasedena", "phone": "+38659900486"}]);
    let view = api.post(user, "/api/v1/conferences", json!({"title": title, "participants": people})).await.expect(201);
    let id = view["id"].as_str().unwrap();
    let path = format!("/api/v1/conferences/{id}");
    api.press(user, &format!("{path}/start")).await.expect(202);
    api.until(user, id, "the person in", |view| view["participants"][1]["state"] == "in" && view["participants"][2]["state"] == "busy").await;
    api.press(user, &format!("{path}/end")).await.expect(202);
    api.until(user, id, "its end", |view| view["state"] == "ended").await;
    path
}

async fn erase_at(api: &Api, now: Timestamp, days: u32) -> Erased {
    erase(&mut *api.database.connection().await, now, days, 50).await.unwrap()
}

fn days(days: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * days)
}

async fn sql(api: &Api, words: &str) {
    api.database.connection().await.batch_execute(words).await.unwrap();
}

const PERSONAL: [&str; 5] = ["Skrivnostna", "38659912345", "skrita@example.test", "Zaupno", "659 912 345"];

#[tokio::test]
async fn names_and_numbers_go_and_charges_stay() {
    let Some(api) = Api::fresh().await else { return };
    let user = api.user("100200").await;
    let path = held(&api, &user, "Zaupno").await;
    // As if there had been a price list, which these tests do without: what has no price waits for one.
    sql(&api, "UPDATE charges SET status = 'rated', reason = NULL, tariff = 'base', tariff_version = 1, prefix = '+386', net = 1000, vat = 220, gross = 1220, vat_percent = 2200").await;
    let before = api.get(&user, &format!("{path}/report")).await.expect(200);
    let charges = api.get(&user, "/api/v1/charges").await.expect(200);
    assert_eq!(charges["charges"].as_array().unwrap().len(), 4);
    assert!(tables_with(&api, &PERSONAL).await.len() >= 4, "what is to go is there");

    let now = clock::now();
    assert_eq!(erase_at(&api, now + days(29), 30).await, Erased::default(), "it is not due yet");
    assert_eq!(erase_at(&api, now + days(4000), 0).await, Erased::default(), "0 days keep everything");
    assert_eq!(erase_at(&api, now + days(31), 30).await.conferences, 1);
    assert_eq!(tables_with(&api, &PERSONAL).await, Vec::<String>::new());
    assert!(erase_at(&api, now + days(31), 30).await.is_nothing(), "once is enough");

    assert_eq!(api.get(&user, "/api/v1/charges").await.expect(200), charges);
    let report = api.get(&user, &format!("{path}/report")).await.expect(200);
    assert_eq!(report["totals"], before["totals"]);
    assert!(report["erased_at"].is_string() && before.get("erased_at").is_none());
    for field in ["started_at", "running_since", "ended_at", "state", "reason"] {
        assert_eq!(report[field], before[field], "{field}");
    }
    let person = |report: &Value, field: &str| report["participants"][1][field].clone();
    assert_eq!((person(&report, "name"), person(&report, "number")), (json!("Udeleženec 2"), json!("")));
    let without_number = |leg: &Value| json!([leg["answered_at"], leg["ended_at"], leg["outcome"], leg["evidence"], leg["call"]]);
    assert_eq!(without_number(&report["participants"][1]["legs"][0]), without_number(&before["participants"][1]["legs"][0]));
}

#[tokio::test]
async fn the_report_of_an_erased_conference_says_so_in_both_languages() {
    let Some(api) = Api::fresh().await else { return };
    let user = api.user("100200").await;
    let path = held(&api, &user, "Zaupno").await;
    sql(&api, "DELETE FROM charges").await;
    assert_eq!(erase_at(&api, clock::now() + days(31), 30).await.conferences, 1);
    for (language, words, name) in [("sl", "so bili po izteku roka hrambe izbrisani", "Udeleženec 2"), ("en", "were erased on", "Participant 2")] {
        sql(&api, &format!("UPDATE accounts SET language = '{language}'")).await;
        let page = api.get(&user, &format!("{path}/report.html")).await;
        assert_eq!(page.status, 200);
        assert!(page.text().contains(words) && page.text().contains(name), "{}", page.text());
        let csv = api.get(&user, &format!("{path}/report.csv")).await;
        assert!(csv.status == 200 && csv.text().contains(name), "{}", csv.text());
    }
    let view = api.get(&user, &path).await.expect(200);
    assert_eq!((&view["state"], &view["title"], &view["participants"][1]["state"]), (&json!("ended"), &json!(""), &json!("left")));
    assert_eq!(view["participants"][2]["outcome"], "busy");
    let list = api.get(&user, "/api/v1/conferences").await.expect(200);
    assert_eq!(list["conferences"][0]["state"], "ended");
    let messages = api.get(&user, &format!("{path}/messages")).await.expect(200);
    assert_eq!(messages["messages"], json!([]));
}

#[tokio::test]
async fn each_account_has_its_own_time_and_what_has_no_price_waits() {
    let Some(api) = Api::fresh().await else { return };
    let (usual, short, never) = (api.user("100200").await, api.user("100201").await, api.user("100202").await);
    for user in [&usual, &short, &never] {
        held(&api, user, "Zaupno").await;
    }
    sql(
        &api,
        "UPDATE accounts SET retention_days = 5 WHERE user_number = '100201'; UPDATE accounts SET retention_days = 0 WHERE user_number = '100202'",
    )
    .await;
    let now = clock::now();
    assert_eq!(erase_at(&api, now + days(6), 30).await, Erased::default(), "none of them has a price yet");
    sql(&api, "DELETE FROM charges").await;
    assert_eq!(erase_at(&api, now + days(6), 30).await.conferences, 1);
    assert_eq!(erase_at(&api, now + days(31), 30).await.conferences, 1);
    assert_eq!(erase_at(&api, now + days(4000), 30).await.conferences, 0);
    assert!(tables_with(&api, &PERSONAL).await.contains(&"participants".to_owned()), "that of the account which keeps everything");
}

#[tokio::test]
async fn what_was_planned_and_never_held_goes_as_well() {
    let Some(api) = Api::fresh().await else { return };
    let user = api.user("100200").await;
    let people = json!([{"name": "Skrivnostna Oseba", "phone": "+38659912345"}]);
    let later = (clock::now() + days(10)).to_string();
    for scheduled_at in [Value::Null, json!(later)] {
        api.post(&user, "/api/v1/conferences", json!({"title": "Zaupno", "participants": people, "scheduled_at": scheduled_at})).await.expect(201);
    }
    assert_eq!(erase_at(&api, clock::now() + days(31), 30).await, Erased { plans: 1, ..Erased::default() });
    assert_eq!(
        api.get(&user, "/api/v1/conferences").await.expect(200)["conferences"].as_array().unwrap().len(),
        1,
        "the other is due ten days later"
    );
    assert_eq!(erase_at(&api, clock::now() + days(41), 30).await.plans, 1);
    assert_eq!(tables_with(&api, &PERSONAL).await, Vec::<String>::new());
}
