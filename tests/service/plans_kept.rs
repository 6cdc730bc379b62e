//! What planned conferences keep to: limits and room, what was said already, and their convener being told when they are not started.

use axum::body::Body;
use axum::http::Method;
use diesel::QueryableByName;
use diesel::sql_types::Text;
use diesel_async::RunQueryDsl as _;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp};
use serde_json::{Value, json};
use sklic::clock;
use sklic::delivery::Bell;
use sklic::ids::ConferenceId;
use sklic::runtime::ControlError;
use sklic::storage::{Connection, accounts, outbox, series};

use crate::api::{Answer, Api, User, request};
use crate::messages::{desk, kannel};
use crate::plans::{PLANS, input};
use crate::smtp::until;

const MINUTE: SignedDuration = SignedDuration::from_mins(1);

/// Nine on the wall, in so many days.
fn nine_in(days: i64) -> DateTime {
    clock::now().to_zoned(TimeZone::UTC).date().checked_add(Span::new().days(days)).unwrap().at(9, 0, 0, 0)
}

fn id(plan: &Value, at: usize) -> ConferenceId {
    plan["occurrences"][at]["conference_id"].as_str().unwrap().parse().unwrap()
}

/// A plan of which nobody is told.
fn quiet(starts: DateTime, more: &Value) -> Value {
    let mut plan = input(starts);
    plan["channels"] = json!([]);
    plan.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    plan
}

async fn sql(api: &Api, statement: &str) {
    diesel::sql_query(statement).execute(&mut api.database.connection().await).await.unwrap();
}

#[derive(QueryableByName)]
struct Said {
    #[diesel(sql_type = Text)]
    text: String,
}

/// The texts of the mails that are queued for this address.
async fn mails_to(connection: &mut Connection, address: &str) -> Vec<String> {
    let texts = "SELECT payload->>'text' AS text FROM outbox WHERE payload->>'to' = $1 ORDER BY position";
    let said: Vec<Said> = diesel::sql_query(texts).bind::<Text, _>(address).load(connection).await.unwrap();
    said.into_iter().map(|said| said.text).collect()
}

#[tokio::test]
async fn a_locked_accounts_plans_are_not_started_and_nobody_is_reminded() {
    let Some(api) = Api::with_messages(desk(&[]), Bell::default()).await else { return };
    let user = api.user("100200").await;
    let mut plan = input(nine_in(3));
    plan.as_object_mut().unwrap().extend(json!({"start_mode": "call_convener", "reminders": [60]}).as_object().unwrap().clone());
    let plan = api.post(&user, PLANS, plan).await.expect(201);
    sql(&api, "UPDATE conferences SET scheduled_at = now() + interval '30 minutes', created_at = now() - interval '2 hours'").await;
    let connection = &mut api.database.connection().await;
    let now = clock::now();
    for (locked, count) in [(Some(now), 0), (None, 1)] {
        accounts::set_disabled(connection, user.account, locked).await.unwrap();
        assert_eq!(series::list_due_reminders(connection, now).await.unwrap().len(), count);
        assert_eq!(series::list_due(connection, &[], now, now + MINUTE * 31).await.unwrap().len(), count);
    }
    accounts::set_disabled(connection, user.account, Some(now)).await.unwrap();
    let refused = api.runtime().start(user.account, id(&plan, 0)).await;
    assert!(matches!(refused, Err(ControlError::AccountDisabled)), "{refused:?}");
}

#[tokio::test]
async fn a_series_of_which_one_has_begun_does_not_move_as_a_whole() {
    let Some(api) = Api::with_messages(desk(&[]), Bell::default()).await else { return };
    let user = api.user("100200").await;
    let series = json!({"repeat": {"every": "week", "count": 3}});
    let path = |plan: &Value| format!("{PLANS}/{}", plan["id"].as_str().unwrap());
    let elsewhere = json!({"starts": nine_in(4).to_string()});
    // What was called off beforehand keeps nothing from moving.
    let plan = api.post(&user, PLANS, quiet(nine_in(3), &series)).await.expect(201);
    api.delete(&user, &format!("{}/conferences/{}", path(&plan), id(&plan, 0))).await.expect(200);
    assert_eq!(api.patch(&user, &path(&plan), elsewhere.clone()).await.expect(200)["occurrences"].as_array().unwrap().len(), 2);
    let plan = api.post(&user, PLANS, quiet(nine_in(3), &series)).await.expect(201);
    sql(&api, &format!("UPDATE conferences SET state = 'ended', started_at = now(), ended_at = now() WHERE id = '{}'", id(&plan, 0))).await;
    let problem = api.patch(&user, &path(&plan), elsewhere.clone()).await.problem(409, "wrong_phase");
    assert!(problem["detail"].as_str().unwrap().contains("one by one"), "{problem}");
    api.patch(&user, &path(&plan), json!({"title": "Uprava II"})).await.expect(200);
    api.patch(&user, &format!("{}/conferences/{}", path(&plan), id(&plan, 1)), elsewhere.clone()).await.expect(200);
    // Nor when it was erased meanwhile.
    sql(&api, &format!("UPDATE conferences SET plan = NULL, plan_index = NULL WHERE id = '{}'", id(&plan, 0))).await;
    api.patch(&user, &path(&plan), elsewhere).await.problem(409, "wrong_phase");
}

#[tokio::test]
async fn a_reminder_that_was_sent_is_sent_again_only_for_another_time() {
    let Some(api) = Api::with_messages(desk(&[]), Bell::default()).await else { return };
    let user = api.user("100200").await;
    let plan = api.post(&user, PLANS, quiet(nine_in(3), &json!({"reminders": [60]}))).await.expect(201);
    sql(&api, "INSERT INTO plan_reminders SELECT id, 60, now() FROM conferences").await;
    let left = async || {
        let count = "SELECT count(*) AS count FROM plan_reminders";
        let count: crate::delivery::Count = diesel::sql_query(count).get_result(&mut api.database.connection().await).await.unwrap();
        count.count
    };
    let path = format!("{PLANS}/{}", plan["id"].as_str().unwrap());
    api.patch(&user, &path, json!({"title": "Uprava II", "agenda": "1. Novo", "reminders": [30, 60]})).await.expect(200);
    assert_eq!(left().await, 1);
    api.patch(&user, &path, json!({"starts": nine_in(4).to_string()})).await.expect(200);
    assert_eq!(left().await, 0);
}

#[tokio::test]
async fn a_convener_is_told_once_that_his_conference_could_not_be_started_and_others_do_not_wait_for_it() {
    let (desk, bell) = (desk(&[]), Bell::default());
    let Some(api) = Api::with_messages(desk.clone(), bell.clone()).await else { return };
    let (poor, user) = (api.user("100200").await, api.user("100201").await);
    let by_itself = json!({"start_mode": "call_convener"});
    let stuck = api.post(&poor, PLANS, quiet(nine_in(3), &by_itself)).await.expect(201);
    let other = api.post(&user, PLANS, quiet(nine_in(3), &by_itself)).await.expect(201);
    let (stuck, other) = (id(&stuck, 0), id(&other, 0));
    sql(&api, &format!("UPDATE accounts SET daily_spend_cap = 0 WHERE id = '{}'", poor.account)).await;
    let due = |minutes: i64| format!("UPDATE conferences SET scheduled_at = now() - interval '{minutes} minutes' WHERE id = '{stuck}'");
    sql(&api, &due(2)).await;
    sql(&api, &format!("UPDATE conferences SET scheduled_at = now() - interval '1 minute' WHERE id = '{other}'")).await;
    let connection = &mut api.database.connection().await;
    let (since, now) = (clock::now() - MINUTE * 15, clock::now());
    let due_beside = series::list_due(connection, &[stuck], since, now).await.unwrap();
    assert_eq!(due_beside.iter().map(|one| one.conference).collect::<Vec<_>>(), [other]);
    // Two nodes of the service look at the same plans; the second one has just taken the switch over.
    let beside = api.again_with(desk.clone(), bell.clone()).await;
    until("the first knows that the second drives it", async || {
        let switch = api.runtime().readiness().await.switches.remove(0);
        switch.up && switch.last_heard.is_none()
    })
    .await;
    for node in [&api, &beside] {
        tokio::spawn(node.runtime().follow_plans(desk.clone(), bell.clone()));
    }
    let path = format!("/api/v1/conferences/{stuck}");
    api.until(&poor, &stuck.to_string(), "the reason", |view| view["reason"] == "spend_reached" && view["state"] == "planned").await;
    api.until(&user, &other.to_string(), "the other's start", |view| view["state"] != "planned").await;
    assert!(outbox::list(connection, poor.account, stuck).await.unwrap().is_empty(), "it may still be started");
    sql(&api, &due(16)).await;
    until("the convener is told", async || !outbox::list(&mut *api.database.connection().await, poor.account, stuck).await.unwrap().is_empty()).await;
    let told = outbox::list(connection, poor.account, stuck).await.unwrap();
    assert!(told.len() == 1 && told[0].kind == "mail" && told[0].dedup_key.starts_with(&format!("lapsed:{stuck}:")), "{told:?}");
    let said = mails_to(connection, "ana@example.test").await;
    assert!(said.iter().any(|mail| mail.contains("Dnevni znesek") && mail.contains("(Europe/Ljubljana)")), "{said:?}");
    let listed = api.get(&poor, "/api/v1/conferences").await.expect(200);
    assert_eq!(listed["conferences"][0]["reason"], "spend_reached");
    let late = series::list_lapsed(connection, since - MINUTE * 60, now).await.unwrap();
    assert!(late.is_empty(), "it is told once: {late:?}");
    // By hand it still starts, and the reason is gone.
    sql(&api, &format!("UPDATE accounts SET daily_spend_cap = NULL WHERE id = '{}'", poor.account)).await;
    api.press(&poor, &format!("{path}/start")).await.expect(202);
    let view = api.until(&poor, &stuck.to_string(), "the start", |view| view["state"] != "planned").await;
    assert_ne!(view["reason"], "spend_reached");
}

#[tokio::test]
async fn a_conference_that_waits_for_its_convener_does_not_lapse() {
    let Some(api) = Api::with_messages(desk(&[]), Bell::default()).await else { return };
    let user = api.user("100200").await;
    for mode in ["wait", "call_convener"] {
        api.post(&user, PLANS, quiet(nine_in(3), &json!({"start_mode": mode}))).await.expect(201);
    }
    sql(&api, "UPDATE conferences SET scheduled_at = now() - interval '20 minutes'").await;
    let connection = &mut api.database.connection().await;
    let now = clock::now();
    let late = series::list_lapsed(connection, now - MINUTE * 60, now - MINUTE * 15).await.unwrap();
    let [one] = late[..] else { panic!("{late:?}") };
    let at: Timestamp = sklic::storage::conferences::lookup(connection, one.account, one.conference).await.unwrap().unwrap().scheduled_at.unwrap();
    assert!(!series::lapse(connection, one, at + MINUTE, "not_started", None, now).await.unwrap(), "it was moved meanwhile");
    assert!(series::lapse(connection, one, at, "not_started", None, now).await.unwrap());
    assert!(!series::lapse(connection, one, at, "not_started", None, now).await.unwrap(), "another node was first");
}

#[tokio::test]
async fn there_must_be_room_whichever_way_a_conference_gets_its_time_or_its_people() {
    let Some(api) = Api::with_switches(&[5]).await else { return };
    let user = api.user("100200").await;
    let people =
        |numbers: &[u32]| numbers.iter().map(|n| json!({"name": format!("Oseba {n}"), "phone": format!("+3865990001{n}")})).collect::<Vec<_>>();
    let at = TimeZone::get("Europe/Ljubljana").unwrap().to_timestamp(nine_in(3)).unwrap();
    let conference = |scheduled_at: Option<Timestamp>, numbers: &[u32]| json!({"title": "Sestanek", "scheduled_at": scheduled_at, "participants": people(numbers)});
    let all = "/api/v1/conferences";
    let first = api.post(&user, all, conference(Some(at), &[1, 2])).await.expect(201);
    api.post(&user, all, conference(Some(at + MINUTE * 30), &[1, 2])).await.problem(409, "no_places");
    let later = api.post(&user, all, conference(Some(at + MINUTE * 60), &[1, 2])).await.expect(201);
    let some_time = api.post(&user, all, conference(None, &[1, 2])).await.expect(201);
    let path = |view: &Value| format!("{all}/{}", view["id"].as_str().unwrap());
    api.patch(&user, &path(&some_time), json!({"scheduled_at": at})).await.problem(409, "no_places");
    api.patch(&user, &path(&later), json!({"scheduled_at": at + MINUTE * 50})).await.problem(409, "no_places");
    api.patch(&user, &path(&later), json!({"scheduled_at": at + MINUTE * 70})).await.expect(200);
    // One place after the other is taken, by two at once as well.
    let one_more = async |n: u32| api.post(&user, &format!("{}/participants", path(&first)), people(&[n]).remove(0)).await;
    one_more(3).await.expect(201);
    let (one, other) = tokio::join!(one_more(4), one_more(5));
    let statuses = [one.status.as_u16(), other.status.as_u16()];
    assert!(statuses == [201, 409] || statuses == [409, 201], "{statuses:?}");
    one_more(6).await.problem(409, "no_places");
    // The other conferences of a series are there, too.
    let series = json!({"repeat": {"every": "week", "count": 2}, "participants": people(&[1, 2])});
    let plan = api.post(&user, PLANS, quiet(nine_in(5), &series)).await.expect(201);
    let move_to = async |starts: DateTime| {
        let second = format!("{PLANS}/{}/conferences/{}", plan["id"].as_str().unwrap(), id(&plan, 1));
        api.patch(&user, &second, json!({"starts": starts.to_string()})).await
    };
    move_to(nine_in(5)).await.problem(409, "no_places");
    move_to(nine_in(6)).await.expect(200);
}

#[tokio::test]
async fn a_plan_is_made_once_under_its_key_and_within_the_accounts_limit() {
    let Some(api) = Api::with_messages(desk(&[]), Bell::default()).await else { return };
    let user = api.user("100200").await;
    let send = async |user: &User, key: &str, plan: Value| -> Answer {
        let request = request(Method::POST, PLANS, user).header("content-type", "application/json").header("idempotency-key", key);
        api.send(request.body(Body::from(plan.to_string())).unwrap()).await
    };
    let plan = input(nine_in(3));
    let (one, other) = tokio::join!(send(&user, "k1", plan.clone()), send(&user, "k1", plan.clone()));
    let first = one.expect(201);
    assert_eq!(other.expect(201)["id"], first["id"]);
    assert_eq!(send(&user, "k1", input(nine_in(4))).await.expect(422)["errors"][0]["field"], "Idempotency-Key");
    assert_eq!(api.get(&user, PLANS).await.expect(200)["plans"].as_array().unwrap().len(), 1);
    let connection = &mut api.database.connection().await;
    assert_eq!(mails_to(connection, "ziga@example.test").await.len(), 1, "he is invited once");
    // 999 more are planned than this one: the limit.
    let more = "INSERT INTO conferences (id, account, title, state, settings, created_at) \
        SELECT gen_random_uuid(), account, 'Sestanek', 'planned', '{}', now() FROM conferences CROSS JOIN generate_series(1, 998)";
    sql(&api, more).await;
    let series = json!({"repeat": {"every": "week", "count": 2}});
    api.post(&user, PLANS, quiet(nine_in(4), &series)).await.problem(409, "too_many_planned");
    api.post(&user, PLANS, quiet(nine_in(4), &json!({}))).await.expect(201);
    api.post(&user, PLANS, quiet(nine_in(5), &json!({}))).await.problem(409, "too_many_planned");
}

#[tokio::test]
async fn a_plans_time_is_told_in_its_own_zone_and_the_convener_is_told_of_his_own_number() {
    let Some(api) = Api::with_messages(desk(&[kannel("127.0.0.1:9".parse().unwrap(), "")]), Bell::default()).await else { return };
    let user = api.user("100200").await;
    let mut plan = input(nine_in(3));
    plan.as_object_mut().unwrap().extend(json!({"time_zone": "Europe/London", "channels": ["sms", "email"]}).as_object().unwrap().clone());
    let plan = api.post(&user, PLANS, plan).await.expect(201);
    let preview = format!("/api/v1/conferences/{}/messages/preview", id(&plan, 0));
    let seen = api.post(&user, &preview, json!({"channels": ["sms"], "text": "Ob {time}."})).await.expect(200);
    assert_eq!(seen["examples"][0]["sms"]["text"], "Ob 9:00 (Europe/London).");
    let connection = &mut api.database.connection().await;
    let [sms] = &mails_to(connection, "+38659900002").await[..] else { panic!("one short message") };
    assert!(sms.contains("ob 9:00 (Europe/London)"), "{sms}");
    assert!(mails_to(connection, "+38659900001").await.is_empty(), "he knows what he has just done");
    let [mail] = &mails_to(connection, "ana@example.test").await[..] else { panic!("one mail") };
    assert!(mail.contains("pokličemo na: +38659900001") && mail.contains("Klicna številka: 013099396"), "{mail}");
    assert!(mail.contains("9:00 (Europe/London)"), "{mail}");
}
