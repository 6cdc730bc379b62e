//! The operator's pages: for his staff, over all accounts, and for nobody else.

use axum::http::Method;
use jiff::SignedDuration;
use serde_json::{Value, json};
use sklic::clock;
use sklic::storage::outbox::{self, Attempt, NewJob};

use crate::api::{Api, User};

const OPERATOR: &str = "/api/v1/operator";

async fn failed_mail(api: &Api, user: &User, key: &str, attempt: Attempt) {
    let mut connection = api.database.connection().await;
    let now = clock::now();
    let job = NewJob { kind: "nothing", account: user.account, conference: None, dedup_key: key.into(), payload: json!({}), created_at: now };
    outbox::add(&mut connection, &[job]).await.unwrap();
    let before = now - SignedDuration::from_hours(1);
    let claimed = outbox::claim(&mut connection, &["nothing"], "example.test", now, before, 1).await.unwrap();
    assert!(outbox::note(&mut connection, &claimed[0], attempt, now).await.unwrap());
}

#[tokio::test]
async fn only_staff_is_let_in() {
    let Some(api) = Api::fresh().await else { return };
    let user = api.user("100200").await;
    let staff = api.staff("900100").await;
    let document = serde_json::to_value(sklic::http::openapi()).unwrap();
    let mut seen = 0;
    for (path, operations) in document["paths"].as_object().unwrap() {
        let Some(rest) = path.strip_prefix(OPERATOR) else { continue };
        let path = format!("{OPERATOR}{}", rest.replace("{id}", "00000000-0000-0000-0000-000000000000").replace("{user_number}", "100200"));
        for method in operations.as_object().unwrap().keys().filter(|key| ["get", "post", "put", "patch", "delete"].contains(&key.as_str())) {
            seen += 1;
            let method: Method = method.to_uppercase().parse().unwrap();
            let send = async |user: &User| api.text(method.clone(), user, &path, "application/json", "{}").await;
            send(&user).await.problem(403, "forbidden");
            send(&User { token: "sklic_wrong".into(), ..user.clone() }).await.problem(401, "not_signed_in");
            assert_ne!(send(&staff).await.status.as_u16(), 403, "{path}");
        }
    }
    assert!(seen >= 8, "{seen} operations");
}

#[tokio::test]
async fn staff_sees_what_runs_everywhere() {
    let Some(api) = Api::fresh().await else { return };
    let (ana, bor, staff) = (api.user("100200").await, api.user("100300").await, api.staff("900100").await);
    assert_eq!(api.get(&staff, &format!("{OPERATOR}/conferences")).await.expect(200), json!([]));
    for user in [&ana, &bor] {
        let planned = api.plan(user, &["+38659900311"]).await;
        let id = planned["id"].as_str().unwrap();
        api.press(user, &format!("/api/v1/conferences/{id}/start")).await.expect(202);
        let inside = |view: &Value| view["participants"].as_array().unwrap().iter().all(|person| person["state"] == "in");
        api.until(user, id, "everybody is in", inside).await;
    }
    let open = api.get(&staff, &format!("{OPERATOR}/conferences")).await.expect(200);
    let lines: Vec<(&str, &str, i64, i64)> = open
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            let number = |field: &str| one[field].as_i64().unwrap();
            (one["user_number"].as_str().unwrap(), one["node"].as_str().unwrap(), number("participants"), number("inside"))
        })
        .collect();
    assert_eq!(lines, [("100200", "pbx1", 2, 2), ("100300", "pbx1", 2, 2)], "{open}");
    assert!(!open.to_string().contains("+386"), "no numbers: {open}");
    let health = api.get(&staff, &format!("{OPERATOR}/health")).await.expect(200);
    assert_eq!((&health["database"], &health["conferences"], &health["switches"][0]["up"]), (&json!(true), &json!(2), &json!(true)), "{health}");
}

#[tokio::test]
async fn staff_reads_one_accounts_history() {
    let Some(api) = Api::fresh().await else { return };
    let (ana, staff) = (api.user("100200").await, api.staff("900100").await);
    let first = api.plan(&ana, &["+38659900311"]).await;
    let second = api.plan(&ana, &["+38659900311", "+38659900312"]).await;
    let found = api.get(&staff, &format!("{OPERATOR}/accounts?search=1002")).await.expect(200);
    assert_eq!((found.as_array().unwrap().len(), &found[0]["user_number"]), (1, &json!("100200")), "{found}");
    assert_eq!(api.get(&staff, &format!("{OPERATOR}/accounts?search=%25")).await.expect(200), json!([]), "wildcards are text");
    let page = api.get(&staff, &format!("{OPERATOR}/accounts/100200?limit=1")).await.expect(200);
    assert_eq!((&page["conferences"][0]["id"], &page["conferences"][0]["participants"]), (&second["id"], &json!(3)), "{page}");
    assert!(page.to_string().find("password").is_none(), "{page}");
    let next = page["next"].as_str().unwrap();
    let page = api.get(&staff, &format!("{OPERATOR}/accounts/100200?limit=1&before={next}")).await.expect(200);
    assert_eq!((&page["conferences"][0]["id"], &page["next"]), (&first["id"], &Value::Null), "{page}");
    api.get(&staff, &format!("{OPERATOR}/accounts/1")).await.problem(404, "not_found");
}

#[tokio::test]
async fn staff_sees_failed_messages_and_has_them_sent_again() {
    let Some(api) = Api::fresh().await else { return };
    let (ana, staff) = (api.user("100200").await, api.staff("900100").await);
    failed_mail(&api, &ana, "gone", Attempt::Failed { error: "550 no <such> user".into() }).await;
    failed_mail(&api, &ana, "later", Attempt::Retry { at: clock::now() + SignedDuration::from_hours(1), error: "451 greylisted".into() }).await;
    failed_mail(&api, &ana, "good", Attempt::Sent { remote_id: None }).await;
    let list = api.get(&staff, &format!("{OPERATOR}/deliveries")).await.expect(200);
    let words: Vec<(&str, &str)> =
        list.as_array().unwrap().iter().map(|one| (one["state"].as_str().unwrap(), one["last_error"].as_str().unwrap())).collect();
    assert_eq!(words, [("queued", "451 greylisted"), ("failed", "550 no <such> user")], "{list}");
    let id = list[1]["id"].as_str().unwrap();
    api.press(&staff, &format!("{OPERATOR}/deliveries/{id}/retry")).await.expect(204);
    api.press(&staff, &format!("{OPERATOR}/deliveries/{id}/retry")).await.problem(404, "not_found");
    let health = api.get(&staff, &format!("{OPERATOR}/health")).await.expect(200);
    assert_eq!((&health["queued"], &health["failed"]), (&json!(2), &json!(0)), "{health}");
}

#[tokio::test]
async fn staff_sees_the_tariff_in_force() {
    let Some(api) = Api::fresh().await else { return };
    let staff = api.staff("900100").await;
    let mut connection = api.database.connection().await;
    let now = clock::now();
    for (number, valid_from) in
        [(1, now - SignedDuration::from_hours(48)), (2, now - SignedDuration::from_hours(1)), (3, now + SignedDuration::from_hours(1))]
    {
        let file = "component,prefix,description,connect_fee,price_per_minute,first_increment,next_increment,free_seconds,rounding_unit,vat_percent,valid_from,valid_to\n\
            call,+386,Slovenija,0,0.05,60,60,0,0.0001,22,,\n";
        let options = sklic::billing::ImportOptions { version: number, valid_from, time_zone: jiff::tz::TimeZone::UTC };
        let version = sklic::billing::parse_tariff(file.as_bytes(), &options).unwrap();
        let hash = [u8::try_from(number).unwrap(); 32];
        sklic::storage::tariffs::add(&mut connection, "base", "EUR".parse().unwrap(), &version, &hash, now).await.unwrap();
    }
    let list = api.get(&staff, &format!("{OPERATOR}/tariffs")).await.expect(200);
    let in_force: Vec<&Value> = list.as_array().unwrap().iter().filter(|one| one["in_force"] == true).collect();
    assert_eq!((list.as_array().unwrap().len(), in_force.len(), &in_force[0]["version"]), (3, 1, &json!(2)), "{list}");
    let rates = api.get(&staff, &format!("{OPERATOR}/tariffs/{}/rates", in_force[0]["id"].as_str().unwrap())).await.expect(200);
    assert_eq!(
        (&rates[0]["prefix"], &rates[0]["price_per_minute"], &rates[0]["vat_percent"]),
        (&json!("+386"), &json!("0.05"), &json!("22")),
        "{rates}"
    );
}
