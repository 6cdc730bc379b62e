//! Limits before a call is placed (R13), the estimate, eligibility, and requests that are sent twice.

use std::num::NonZeroUsize;

use axum::body::Body;
use axum::http::Method;
use serde_json::{Value, json};
use sklic::storage::{Pool, PoolOptions};

use crate::accounting::{ended_conference, import, import_rows, rate_missing};
use crate::api::{Answer, Api, PATIENCE, User, generous, request};
use crate::database::Database;

/// A time of the clock on the wall.
fn in_two_weeks() -> String {
    sklic::clock::now().to_zoned(jiff::tz::TimeZone::UTC).datetime().checked_add(jiff::Span::new().days(14)).unwrap().to_string()
}

async fn planned(api: &Api, user: &User, phone: &str) -> String {
    let body = json!({"title": "Sestanek", "participants": [{"name": "Bor", "phone": phone}]});
    let view = api.post(user, "/api/v1/conferences", body).await.expect(201);
    view["id"].as_str().unwrap().to_owned()
}

async fn start(api: &Api, user: &User, conference: &str) -> Answer {
    api.press(user, &format!("/api/v1/conferences/{conference}/start")).await
}

async fn set(api: &Api, staff: &User, terms: Value) -> Answer {
    api.patch(staff, "/api/v1/operator/accounts/100200/terms", terms).await
}

fn word(problem: &Value) -> &str {
    problem["type"].as_str().unwrap().trim_start_matches("urn:sklic:problem:")
}

#[tokio::test]
async fn the_operators_terms_hold_before_a_call_is_placed() {
    let Some(api) = Api::fresh().await else { return };
    let (ana, staff) = (api.user("100200").await, api.staff("900100").await);
    let id = planned(&api, &ana, "+386 599 00002").await;
    set(&api, &staff, json!({"max_conferences": 0})).await.expect(200);
    assert_eq!(word(&start(&api, &ana, &id).await.expect(409)), "too_many_conferences");
    // A list of its own goes instead of the operator's, at planning and again at the start.
    set(&api, &staff, json!({"max_conferences": null, "allowed_prefixes": ["+385", "+38659900001"]})).await.expect(200);
    assert_eq!(word(&start(&api, &ana, &id).await.expect(409)), "number_not_allowed");
    let refused =
        api.post(&ana, "/api/v1/conferences", json!({"title": "x", "participants": [{"name": "Bor", "phone": "+386 599 00002"}]})).await.expect(422);
    assert_eq!((&refused["errors"][0]["field"], &refused["errors"][0]["code"]), (&json!("participants[0].phone"), &json!("not_allowed")));
    planned(&api, &ana, "+385 1 4833 444").await;
    // Nothing may be spent: nothing is begun.
    set(&api, &staff, json!({"allowed_prefixes": null, "daily_spend_cap": "0.00", "at_cap": "end"})).await.expect(200);
    assert_eq!(word(&start(&api, &ana, &id).await.expect(409)), "spend_reached");
    let terms = set(&api, &staff, json!({"daily_spend_cap": "50.00"})).await.expect(200);
    assert_eq!((&terms["daily_spend_cap"], &terms["at_cap"], &terms["allowed_prefixes"]), (&json!("50.00"), &json!("end"), &Value::Null));
    start(&api, &ana, &id).await.expect(202);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_starts_at_once_never_exceed_the_conferences_at_once() {
    let Some(api) = Api::fresh().await else { return };
    let (ana, bor, staff) = (api.user("100200").await, api.user("100201").await, api.staff("900100").await);
    set(&api, &staff, json!({"max_conferences": 3})).await.expect(200);
    let mut plans = Vec::new();
    for _ in 0..12 {
        plans.push(planned(&api, &ana, "+386 599 00002").await);
    }
    let other = planned(&api, &bor, "+386 599 00002").await;
    let starts = plans.iter().map(|id| start(&api, &ana, id));
    let (answers, others) = tokio::join!(futures_util::future::join_all(starts), start(&api, &bor, &other));
    others.expect(202);
    let (taken, refused): (Vec<Answer>, Vec<Answer>) = answers.into_iter().partition(|answer| answer.status == 202);
    assert_eq!((taken.len(), refused.len()), (3, 9));
    for answer in refused {
        assert_eq!(word(&answer.expect(409)), "too_many_conferences");
    }
    // When one is over, there is room for one.
    let open: Vec<String> = taken.into_iter().map(|answer| answer.json()["id"].as_str().unwrap().to_owned()).collect();
    api.press(&ana, &format!("/api/v1/conferences/{}/end", open[0])).await.expect(202);
    api.until(&ana, &open[0], "it is over", |view| view["state"] == "ended" || view["state"] == "failed").await;
    let left: Vec<&String> = plans.iter().filter(|id| !open.contains(id)).collect();
    let (one, two) = tokio::join!(start(&api, &ana, left[0]), start(&api, &ana, left[1]));
    let mut statuses = [one.status.as_u16(), two.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [202, 409]);
}

#[tokio::test]
async fn terms_without_sense_are_refused_and_only_staff_sets_them() {
    let Some(api) = Api::fresh().await else { return };
    let (ana, staff) = (api.user("100200").await, api.staff("900100").await);
    for (field, value) in [
        ("tariff", json!("platinum")),
        ("line", json!("no number")),
        ("allowed_prefixes[0]", json!(["00386"])),
        ("max_participants", json!(1)),
        ("max_conferences", json!(-1)),
        ("max_length_seconds", json!(5)),
        ("daily_spend_cap", json!("-1.00")),
        ("at_cap", json!("explode")),
    ] {
        let name = field.trim_end_matches("[0]");
        let (prefix, value) = if name == "allowed_prefixes" { (true, json!(["x386"])) } else { (false, value) };
        let refused = set(&api, &staff, json!({ name: value })).await.expect(422);
        assert_eq!(refused["errors"][0]["field"], if prefix { field } else { name }, "{refused}");
    }
    set(&api, &ana, json!({"max_conferences": 5})).await.expect(403);
    let terms = api.get(&staff, "/api/v1/operator/accounts/100200/terms").await.expect(200);
    assert!(terms.as_object().unwrap().iter().all(|(name, value)| value.is_null() || name == "line"), "{terms}");
    api.get(&staff, "/api/v1/operator/accounts/999999/terms").await.expect(404);
}

#[tokio::test]
async fn plans_and_the_conveners_own_number_keep_to_the_accounts_own_prefixes() {
    let Some(api) = Api::fresh().await else { return };
    let (ana, staff) = (api.user("100200").await, api.staff("900100").await);
    let starts = in_two_weeks();
    let plan = |phone: &str| json!({"title": "Uprava", "starts": starts, "length_minutes": 30, "participants": [{"name": "Bor", "phone": phone}]});
    let made = api.post(&ana, "/api/v1/plans", plan("+38659900002")).await.expect(201);
    let path = format!("/api/v1/plans/{}", made["id"].as_str().unwrap());
    set(&api, &staff, json!({"allowed_prefixes": ["+385", "+38659900001"]})).await.expect(200);
    let refused = [("participants[0].phone", "not_allowed")];
    api.post(&ana, "/api/v1/plans", plan("+38659900002")).await.fields(&refused);
    api.post(&ana, "/api/v1/plans/check", plan("+38659900002")).await.fields(&refused);
    api.patch(&ana, &path, json!({"participants": [{"name": "Bor", "phone": "+38659900003"}]})).await.fields(&refused);
    api.patch(&ana, &path, json!({"participants": [{"name": "Bor", "phone": "+385 1 4833 444"}]})).await.expect(200);
    api.patch(&ana, "/api/v1/me", json!({"phone": "+38659900002"})).await.fields(&[("phone", "not_allowed")]);
    api.patch(&ana, "/api/v1/me", json!({"phone": "+385 1 4833 444"})).await.expect(200);
    set(&api, &staff, json!({"allowed_prefixes": ["+38659900002"]})).await.expect(200);
    api.post(&ana, "/api/v1/plans", plan("+38659900002")).await.fields(&[("", "not_allowed")]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_people_added_at_once_never_exceed_the_participants_of_a_planned_conference() {
    let Some(api) = Api::fresh().await else { return };
    let (ana, staff) = (api.user("100200").await, api.staff("900100").await);
    set(&api, &staff, json!({"max_participants": 4})).await.expect(200);
    let id = planned(&api, &ana, "+386 599 00002").await;
    let path = format!("/api/v1/conferences/{id}/participants");
    let adds = (0..12).map(|at| api.post(&ana, &path, json!({"name": format!("Oseba {at}"), "phone": "+386 599 00003"})));
    let (added, refused): (Vec<Answer>, Vec<Answer>) =
        futures_util::future::join_all(adds).await.into_iter().partition(|answer| answer.status == 201);
    assert_eq!((added.len(), refused.len()), (2, 10));
    for answer in refused {
        assert_eq!(word(&answer.expect(409)), "full");
    }
    let view = api.get(&ana, &format!("/api/v1/conferences/{id}")).await.expect(200);
    assert_eq!(view["participants"].as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn no_request_holds_a_connection_while_it_waits_for_another() {
    let Some(database) = Database::fresh().await else { return };
    let options = PoolOptions { connections: NonZeroUsize::MIN, ..PoolOptions::default() };
    let pool = Pool::new(&database.url, options).unwrap();
    let api = Api::on(database, pool, generous()).await;
    let ana = api.user("100200").await;
    let contact = api.post(&ana, "/api/v1/contacts", json!({"name": "Bor", "phone": "+38659900002"})).await.expect(201);
    api.post(&ana, "/api/v1/groups", json!({"name": "Uprava", "contact_ids": [contact["id"]]})).await.expect(201);
    let person = json!({"contact_id": contact["id"]});
    let view = api.post(&ana, "/api/v1/conferences", json!({"title": "Sestanek", "participants": []})).await.expect(201);
    let path = format!("/api/v1/conferences/{}", view["id"].as_str().unwrap());
    api.post(&ana, &format!("{path}/participants"), person.clone()).await.expect(201);
    api.get(&ana, &format!("{path}/estimate")).await.expect(200);
    api.patch(&ana, &path, json!({"title": "Drug naslov"})).await.expect(200);
    let starts = in_two_weeks();
    let plan = json!({"title": "Uprava", "starts": starts, "length_minutes": 30, "participants": [person]});
    let made = api.post(&ana, "/api/v1/plans", plan.clone()).await.expect(201);
    let plan_path = format!("/api/v1/plans/{}", made["id"].as_str().unwrap());
    api.post(&ana, "/api/v1/plans/check", plan).await.expect(200);
    api.patch(&ana, &plan_path, json!({"participants": [{"name": "Cene", "phone": "+38659900003"}]})).await.expect(200);
    api.get(&ana, "/api/v1/plans").await.expect(200);
    api.delete(&ana, &plan_path).await.expect(200);
    api.patch(&ana, "/api/v1/me", json!({"phone": "+38659900001", "callable": "directory"})).await.expect(200);
    api.press(&ana, &format!("{path}/start")).await.expect(202);
    api.post(&ana, &format!("{path}/participants"), json!({"name": "Bor", "phone": "+38659900002"})).await.expect(201);
    api.press(&ana, &format!("{path}/end")).await.expect(202);
    let id = path.rsplit('/').next().unwrap();
    api.until(&ana, id, "it is over", |view| view["state"] == "ended" || view["state"] == "failed").await;
    api.get(&ana, &format!("{path}/report")).await.expect(200);
    api.get(&ana, "/api/v1/charges").await.expect(200);
}

#[tokio::test]
async fn the_estimate_names_prices_and_numbers_without_one() {
    let Some(api) = Api::fresh().await else { return };
    let ana = api.user("100200").await;
    let id = planned(&api, &ana, "+386 599 00002").await;
    let path = format!("/api/v1/conferences/{id}/estimate");
    assert_eq!(api.get(&ana, &path).await.expect(200)["unrated"], 2, "nothing has a price before an import");
    import(&api.database, "base", "0.10").await;
    // The service reads price lists again by itself.
    let estimate = loop {
        let estimate = api.get(&ana, &path).await.expect(200);
        if estimate["unrated"] == 0 {
            break estimate;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    };
    assert_eq!((&estimate["tariff"], &estimate["currency"]), (&json!("base"), &json!("EUR")));
    // Two people, 0.10 a minute for the call and 0.10 for the conference; VAT 22 %.
    assert_eq!((&estimate["minute_net"], &estimate["minute_gross"]), (&json!("0.40"), &json!("0.488")));
    assert_eq!(estimate["participants"][1]["call"]["first_increment"], 60);
    assert_eq!(estimate["participants"][1]["minute_gross"], "0.244", "one of the two");
    assert_eq!(estimate["spent_today"], "0.00");
    let other = api.user("100201").await;
    api.get(&other, &path).await.expect(404);

    // The same before there is a conference; a number that may not be called is named at its person.
    let draft = json!({"participants": [{"name": "Marko", "phone": "+386 599 00002"}]});
    let drafted = api.post(&ana, "/api/v1/estimate", draft).await.expect(200);
    for field in ["tariff", "currency", "minute_gross", "connect_gross", "spent_today", "unrated"] {
        assert_eq!(drafted[field], estimate[field], "{field}");
    }
    assert_eq!(drafted["participants"][0]["phone"], estimate["participants"][0]["phone"], "the convener comes first");
    assert_eq!(drafted["participants"][1]["call"], estimate["participants"][1]["call"]);
    let bad = json!({"participants": [{"name": "Marko", "phone": "+386 599 00002"}, {"name": "Daleč", "phone": "+1 212 555 0100"}]});
    let refused = api.post(&ana, "/api/v1/estimate", bad).await.expect(422);
    assert_eq!((&refused["errors"][0]["field"], &refused["errors"][0]["code"]), (&json!("participants[1].phone"), &json!("not_allowed")));
}

#[tokio::test]
async fn what_was_spent_today_counts() {
    let Some(api) = Api::fresh().await else { return };
    let (ana, staff) = (api.user("100200").await, api.staff("900100").await);
    ended_conference(&api.database, ana.account, 1).await;
    import(&api.database, "base", "0.10").await;
    rate_missing(&api.database).await;
    use diesel_async::SimpleAsyncConnection as _;
    let id = planned(&api, &ana, "+386 599 00002").await;
    set(&api, &staff, json!({"daily_spend_cap": "0.40"})).await.expect(200);
    let path = format!("/api/v1/conferences/{id}/estimate");
    assert_eq!(api.get(&ana, &path).await.expect(200)["spent_today"], "0.00", "it was another day");
    api.database.connection().await.batch_execute("UPDATE charges SET started_at = now()").await.unwrap();
    // Two minutes of call and conference at 0.10 with VAT.
    assert_eq!(api.get(&ana, &path).await.expect(200)["spent_today"], "0.488");
    assert_eq!(word(&start(&api, &ana, &id).await.expect(409)), "spend_reached");
    for (currency, spent) in [("HRK", "0.00"), ("EUR", "0.488")] {
        api.database.connection().await.batch_execute(&format!("UPDATE charges SET currency = '{currency}'")).await.unwrap();
        assert_eq!(api.get(&ana, &path).await.expect(200)["spent_today"], spent, "an amount in another currency is none in this one");
    }
    set(&api, &staff, json!({"daily_spend_cap": "0.50"})).await.expect(200);
    start(&api, &ana, &id).await.expect(202);
}

#[tokio::test]
async fn a_leg_that_has_ended_is_not_counted_as_living_too() {
    let Some(api) = Api::fresh().await else { return };
    let (ana, staff) = (api.user("100200").await, api.staff("900100").await);
    // Each call costs 1.22 with VAT, however long it is.
    import_rows(&api.database, "base", "call,+,World,1,0,60,60,0,0.0001,22,,\nconference,+,World,0,0,1,1,0,0.0001,22,,\n").await;
    let draft = json!({"participants": [{"name": "Bor", "phone": "+386 599 00002"}]});
    let until = async |field: &str, wanted: Value| {
        let waiting = async {
            while api.post(&ana, "/api/v1/estimate", draft.clone()).await.expect(200)[field] != wanted {
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(2 * PATIENCE, waiting).await.unwrap_or_else(|_| panic!("{field} never was {wanted}"));
    };
    until("unrated", json!(0)).await;
    set(&api, &staff, json!({"daily_spend_cap": "3.00", "at_cap": "end"})).await.expect(200);
    let id = planned(&api, &ana, "+386 599 00002").await;
    start(&api, &ana, &id).await.expect(202);
    let all_in = |view: &Value| view["participants"].as_array().unwrap().iter().all(|person| person["state"] == "in");
    let view = api.until(&ana, &id, "both are in", all_in).await;
    until("spent_today", json!("2.44")).await;
    api.simulator.hang_up(api.simulator_leg(&ana, &view, "+38659900002").await);
    api.until(&ana, &id, "Bor has left", |view| view["participants"][1]["state"] == "left").await;
    // At once: one is charged, the other lives.
    let estimate = api.post(&ana, "/api/v1/estimate", draft.clone()).await.expect(200);
    assert_eq!(estimate["spent_today"], "2.44", "{estimate}");
    let next = planned(&api, &ana, "+386 599 00003").await;
    start(&api, &ana, &next).await.expect(202);
}

#[tokio::test]
async fn an_account_whose_line_is_gone_starts_nothing_and_reads_why() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lines.csv");
    let Some(api) = Api::with_lines(&file).await else { return };
    let (ana, staff) = (api.user("100200").await, api.staff("900100").await);
    let id = planned(&api, &ana, "+386 599 00002").await;
    std::fs::write(&file, "line\n+38613099396\n").unwrap();
    let gone = start(&api, &ana, &id).await.expect(409);
    assert_eq!(word(&gone), "line_gone");
    assert!(gone["detail"].as_str().unwrap().contains("ask the operator"), "{gone}");
    let refused = set(&api, &staff, json!({"line": "01 309 93 97"})).await.expect(422);
    assert_eq!(refused["errors"][0]["code"], "unknown_line");
    set(&api, &staff, json!({"line": "01 309 93 96"})).await.expect(200);
    start(&api, &ana, &id).await.expect(202);
    // An inventory that cannot be asked silences nobody.
    std::fs::remove_file(&file).unwrap();
    let again = planned(&api, &ana, "+386 599 00002").await;
    start(&api, &ana, &again).await.expect(202);
    // But who was known to have no line gains none by that.
    let bor = api.user("100201").await;
    let other = planned(&api, &bor, "+386 599 00002").await;
    assert_eq!(word(&start(&api, &bor, &other).await.expect(409)), "line_gone");
}

#[tokio::test]
async fn a_convener_who_changes_his_telephone_does_not_change_his_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lines.csv");
    let Some(api) = Api::with_lines(&file).await else { return };
    let (ana, staff) = (api.user("100200").await, api.staff("900100").await);
    let id = planned(&api, &ana, "+386 599 00002").await;
    std::fs::write(&file, "line\n+38613099396\n").unwrap();
    api.patch(&ana, "/api/v1/me", json!({"phone": "01 309 93 96"})).await.expect(200);
    assert_eq!(word(&start(&api, &ana, &id).await.expect(409)), "line_gone", "he does not own it for calling himself there");
    // The operator may say that it is his telephone, as it is now.
    let terms = set(&api, &staff, json!({"line": null})).await.expect(200);
    assert_eq!(terms["line"], "+38613099396");
    api.patch(&ana, "/api/v1/me", json!({"phone": "+386 599 00001"})).await.expect(200);
    start(&api, &ana, &id).await.expect(202);
    let refused = set(&api, &staff, json!({"line": null})).await.expect(422);
    assert_eq!((&refused["errors"][0]["field"], &refused["errors"][0]["code"]), (&json!("line"), &json!("unknown_line")));
}

#[tokio::test]
async fn a_request_that_is_sent_again_under_its_key_plans_nothing_twice() {
    let Some(api) = Api::fresh().await else { return };
    let (ana, bor) = (api.user("100200").await, api.user("100201").await);
    let send = async |user: &User, key: &str, title: &str| {
        let body = json!({"title": title, "participants": []}).to_string();
        let request = request(Method::POST, "/api/v1/conferences", user).header("content-type", "application/json").header("idempotency-key", key);
        api.send(request.body(Body::from(body)).unwrap()).await
    };
    let (one, other) = tokio::join!(send(&ana, "k1", "A"), send(&ana, "k1", "A"));
    let first = one.expect(201)["id"].clone();
    assert_eq!(other.expect(201)["id"], first);
    assert_eq!(send(&ana, "k1", "B").await.expect(422)["errors"][0]["field"], "Idempotency-Key");
    assert_ne!(send(&ana, "k2", "A").await.expect(201)["id"], first);
    assert_ne!(send(&bor, "k1", "A").await.expect(201)["id"], first, "keys of accounts are apart");
    send(&ana, &"k".repeat(201), "A").await.expect(422);
    let listed = api.get(&ana, "/api/v1/conferences").await.expect(200);
    assert_eq!(listed["conferences"].as_array().unwrap().len(), 2);
}
