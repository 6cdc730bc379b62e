//! A conference by way of the API, on the simulated switch.

use axum::http::Method;
use serde_json::{Value, json};

use crate::api::{Api, User};

const CONFERENCES: &str = "/api/v1/conferences";

fn id(value: &Value) -> &str {
    value["id"].as_str().unwrap()
}

fn states(view: &Value) -> Vec<&str> {
    view["participants"].as_array().unwrap().iter().map(|person| person["state"].as_str().unwrap()).collect()
}

/// A conference that runs with everybody in.
async fn running(api: &Api, user: &User, numbers: &[&str]) -> Value {
    let view = api.plan(user, numbers).await;
    let started = api.press(user, &format!("{CONFERENCES}/{}/start", id(&view))).await.expect(202);
    assert_eq!(started["state"], "calling_convener");
    api.until(user, id(&view), "everybody in", |view| states(view).iter().all(|state| *state == "in")).await
}

#[tokio::test]
async fn a_planned_conference_is_edited_and_deleted() {
    let Some(api) = Api::fresh().await else { return };
    let user = api.user("100200").await;
    let view = api.plan(&user, &["+38659900002"]).await;
    let path = format!("{CONFERENCES}/{}", id(&view));
    assert_eq!((&view["state"], &view["title"]), (&json!("planned"), &json!("Sestanek")));
    assert_eq!(states(&view), ["not_called", "not_called"]);
    assert_eq!((&view["participants"][0]["convener"], &view["participants"][0]["id"]), (&json!(true), &view["convener_participant_id"]));
    assert_eq!(view["participants"][0]["name"], "Ana Novak");
    let bor = api.post(&user, &format!("{path}/participants"), json!({"name": "Bor", "phone": "+38659900003"})).await.expect(201);
    assert_eq!((&bor["name"], &bor["state"]), (&json!("Bor"), &json!("not_called")));
    let tomorrow = (sklic::clock::now() + jiff::SignedDuration::from_hours(24)).to_string();
    let changed = api.patch(&user, &path, json!({"title": "Drugi naslov", "scheduled_at": tomorrow})).await.expect(200);
    assert_eq!((&changed["title"], changed["participants"].as_array().unwrap().len()), (&json!("Drugi naslov"), 3));
    assert!(changed["scheduled_at"].is_string());
    let changed = api.patch(&user, &path, json!({"scheduled_at": null})).await.expect(200);
    assert_eq!((&changed["title"], changed.get("scheduled_at")), (&json!("Drugi naslov"), None));
    let convener = view["convener_participant_id"].as_str().unwrap();
    api.delete(&user, &format!("{path}/participants/{convener}")).await.problem(409, "convener");
    api.delete(&user, &format!("{path}/participants/{}", id(&bor))).await.expect(204);
    api.delete(&user, &format!("{path}/participants/{}", id(&bor))).await.problem(404, "not_found");
    for control in ["mute", "unmute", "lock", "unlock", "end", "call_missing"] {
        api.press(&user, &format!("{path}/{control}")).await.problem(409, "wrong_phase");
    }
    api.get(&user, &format!("{path}/report")).await.problem(409, "wrong_phase");
    let list = api.get(&user, CONFERENCES).await.expect(200);
    assert_eq!((&list["conferences"][0]["title"], &list["conferences"][0]["participants"]), (&json!("Drugi naslov"), &json!(2)));
    api.delete(&user, &path).await.expect(204);
    api.get(&user, &path).await.problem(404, "not_found");
}

#[tokio::test]
async fn a_conference_holds_only_so_many() {
    let Some(api) = Api::fresh().await else { return };
    let user = api.user("100200").await;
    let numbers: Vec<String> = (100..119).map(|number| format!("+38659900{number}")).collect();
    let view = api.plan(&user, &numbers.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let path = format!("{CONFERENCES}/{}/participants", id(&view));
    api.post(&user, &path, json!({"name": "Bor", "phone": "+38659900120"})).await.problem(409, "full");
}

#[tokio::test]
async fn conferences_are_listed_in_pages() {
    let Some(api) = Api::fresh().await else { return };
    let user = api.user("100200").await;
    let mut planned = Vec::new();
    for _ in 0..5 {
        planned.insert(0, id(&api.plan(&user, &[]).await).to_owned());
    }
    let mut paged = Vec::new();
    let mut query = format!("{CONFERENCES}?limit=2");
    loop {
        let page = api.get(&user, &query).await.expect(200);
        paged.extend(page["conferences"].as_array().unwrap().iter().map(|conference| id(conference).to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        query = format!("{CONFERENCES}?limit=2&before={next}");
    }
    assert_eq!(paged, planned);
}

#[tokio::test]
async fn a_conference_is_started_controlled_and_ended() {
    let Some(api) = Api::fresh().await else { return };
    let user = api.user("100200").await;
    let view = running(&api, &user, &["+38659900002", "+38659900003"]).await;
    let path = format!("{CONFERENCES}/{}", id(&view));
    let people: Vec<&str> = view["participants"].as_array().unwrap().iter().map(id).collect();
    assert_eq!(view["state"], "running");
    api.press(&user, &format!("{path}/start")).await.problem(409, "wrong_phase");
    api.patch(&user, &path, json!({"title": "Prepozno"})).await.problem(409, "wrong_phase");
    api.delete(&user, &path).await.problem(409, "wrong_phase");
    api.delete(&user, &format!("{path}/participants/{}", people[1])).await.problem(409, "wrong_phase");

    let muted = api.press(&user, &format!("{path}/participants/{}/mute", people[1])).await.expect(202);
    assert_eq!(muted["id"], people[1]);
    api.until(&user, id(&view), "the mute", |view| view["participants"][1]["muted"] == true).await;
    api.press(&user, &format!("{path}/participants/{}/unmute", people[1])).await.expect(202);
    api.until(&user, id(&view), "the unmute", |view| view["participants"][1]["muted"] == false).await;
    assert_eq!(api.press(&user, &format!("{path}/mute")).await.expect(202)["all_muted"], true);
    let view =
        api.until(&user, id(&view), "all muted", |view| view["participants"][2]["muted"] == true && view["participants"][1]["muted"] == true).await;
    assert_eq!(view["participants"][0]["muted"], false, "not the convener");
    api.press(&user, &format!("{path}/unmute")).await.expect(202);
    api.until(&user, id(&view), "all unmuted", |view| view["participants"][2]["muted"] == false && view["participants"][1]["muted"] == false).await;

    api.press(&user, &format!("{path}/lock")).await.expect(202);
    api.until(&user, id(&view), "the lock", |view| view["locked"] == true).await;
    api.press(&user, &format!("{path}/unlock")).await.expect(202);
    api.until(&user, id(&view), "the unlock", |view| view["locked"] == false).await;

    api.press(&user, &format!("{path}/call_missing")).await.problem(409, "nobody_missing");
    api.press(&user, &format!("{path}/participants/{}/call", people[1])).await.problem(409, "already_called");
    let call = format!("{path}/participants/{}/call", people[1]);
    api.text(Method::POST, &user, &call, "application/json", "").await.problem(409, "already_called");
    api.press(&user, &format!("{path}/participants/{}/remove", people[0])).await.problem(409, "convener");
    api.press(&user, &format!("{path}/participants/{}/remove", people[1])).await.expect(202);
    api.until(&user, id(&view), "the removed one gone", |view| view["participants"][1]["state"] == "left").await;
    api.press(&user, &format!("{path}/participants/{}/mute", people[1])).await.problem(409, "not_inside");
    api.post(&user, &call, json!({"phone": "040abc"})).await.fields(&[("phone", "invalid_number")]);
    api.post(&user, &call, json!({"phone": "+442071838750"})).await.fields(&[("phone", "not_allowed")]);
    api.post(&user, &call, json!({"number": "+38659900005"})).await.fields(&[("number", "unknown_field")]);
    assert_eq!(api.post(&user, &call, json!({"phone": "+38659900005"})).await.expect(202)["phone"], "+38659900005");
    api.until(&user, id(&view), "the called one in", |view| view["participants"][1]["state"] == "in").await;

    let added = api.post(&user, &format!("{path}/participants"), json!({"name": "Cene", "phone": "+38659900486"})).await.expect(201);
    assert_eq!(added["name"], "Cene");
    api.until(&user, id(&view), "the added one busy", |view| view["participants"][3]["state"] == "busy").await;

    api.press(&user, &format!("{path}/end")).await.expect(202);
    let view = api.until(&user, id(&view), "the end", |view| view["state"] == "ended").await;
    for control in ["start", "mute", "unmute", "lock", "unlock", "end", "call_missing"] {
        api.press(&user, &format!("{path}/{control}")).await.problem(409, "wrong_phase");
    }
    for control in ["mute", "unmute", "remove", "call"] {
        api.press(&user, &format!("{path}/participants/{}/{control}", people[1])).await.problem(409, "wrong_phase");
    }
    api.post(&user, &format!("{path}/participants"), json!({"name": "Eva", "phone": "+38659900006"})).await.problem(409, "wrong_phase");
    let mut after = api.get(&user, &path).await.expect(200);
    // The number counts what the windows were told, which follows what is so.
    after["seq"] = view["seq"].clone();
    assert_eq!(after, view, "nothing of this has changed anything");
    report_and_charges(&api, &user, &path, id(&view)).await;
}

async fn report_and_charges(api: &Api, user: &User, path: &str, id: &str) {
    let report = api.get(user, &format!("{path}/report")).await.expect(200);
    assert_eq!(report["participants"].as_array().unwrap().len(), 4, "{report}");
    assert_eq!(api.get(user, &format!("{path}/report.json")).await.expect(200), report);
    let page = api.get(user, &format!("{path}/report.html")).await;
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    assert!(page.header("content-security-policy").starts_with("default-src 'none'"));
    assert!(page.text().contains("Cene"));
    let sheet = api.get(user, &format!("{path}/report.csv")).await;
    assert_eq!(sheet.header("content-type"), "text/csv; charset=utf-8");
    assert!(sheet.header("content-disposition").starts_with("attachment; filename=\""));
    assert!(sheet.text().contains("Cene"));
    let charges = api.get(user, &format!("/api/v1/charges?conference={id}")).await.expect(200);
    let charges = charges["charges"].as_array().unwrap();
    // No tariff is loaded: an alarm, never a silent zero.
    assert!(!charges.is_empty() && charges.iter().all(|charge| charge["status"] == "unrated"), "{charges:?}");
    let first = api.get(user, &format!("/api/v1/charges?conference={id}&limit=1")).await.expect(200);
    let next = first["next"].as_str().unwrap();
    let second = api.get(user, &format!("/api/v1/charges?conference={id}&limit=1&after={next}")).await.expect(200);
    assert_eq!((&first["charges"][0], &second["charges"][0]), (&charges[0], &charges[1]));
    assert_eq!(api.get(user, "/api/v1/charges?to=2020-01-01T00:00:00Z").await.expect(200)["charges"], json!([]));
}

#[tokio::test]
async fn one_who_was_not_called_yet_is_off_the_list_at_once() {
    // Its phones ring for seconds.
    let Some(api) = Api::with_switches(&[400]).await else { return };
    let user = api.user("100200").await;
    api.patch(&user, "/api/v1/me", json!({"phone": "+38659900408"})).await.expect(200);
    let view = api.plan(&user, &["+38659900002", "+38659900003"]).await;
    let path = format!("{CONFERENCES}/{}", id(&view));
    api.press(&user, &format!("{path}/start")).await.expect(202);
    let ana = id(&view["participants"][1]);
    let answer = api.press(&user, &format!("{path}/participants/{ana}/remove")).await;
    assert_eq!((answer.status.as_u16(), answer.text().as_str()), (204, ""));
    assert_eq!(api.get(&user, &path).await.expect(200)["participants"].as_array().unwrap().len(), 2);
    api.press(&user, &format!("{path}/participants/{ana}/remove")).await.problem(404, "not_found");
}

#[tokio::test]
async fn unknown_participants_are_not_found() {
    let Some(api) = Api::fresh().await else { return };
    let user = api.user("100200").await;
    let (one, two) = (running(&api, &user, &["+38659900002"]).await, api.plan(&user, &["+38659900003"]).await);
    for participant in [id(&two["participants"][1]), "019aa7c4-6c0e-7b3c-8b8e-0d7a3f1e2c4d", "x"] {
        for control in ["mute", "unmute", "remove", "call"] {
            let path = format!("{CONFERENCES}/{}/participants/{participant}/{control}", id(&one));
            api.press(&user, &path).await.problem(404, "not_found");
        }
    }
}

#[tokio::test]
async fn the_owner_says_whom_conferences_may_call() {
    let Some(api) = Api::fresh().await else { return };
    let user = api.user("100200").await;
    let contact = api.post(&user, "/api/v1/contacts", json!({"name": "Bor", "phone": "+38659900311"})).await.expect(201);
    let plan = async |people: Value| api.post(&user, "/api/v1/conferences", json!({"title": "Sestanek", "participants": people})).await;
    let typed = json!([{"name": "Cene", "phone": "+38659900312"}]);
    api.patch(&user, "/api/v1/me", json!({"callable": "nobody"})).await.fields(&[("callable", "invalid")]);
    assert_eq!(api.patch(&user, "/api/v1/me", json!({"callable": "national"})).await.expect(200)["callable"], "national");
    let planned = plan(typed.clone()).await.expect(201);
    assert_eq!(api.patch(&user, "/api/v1/me", json!({"callable": "directory"})).await.expect(200)["callable"], "directory");
    plan(typed).await.fields(&[("participants[0].phone", "not_in_directory")]);
    plan(json!([{"contact_id": contact["id"]}])).await.expect(201);
    plan(json!([{"name": "Bor", "phone": "059 900 311"}])).await.expect(201);
    let id = planned["id"].as_str().unwrap();
    let more = json!({"name": "Dana", "phone": "+38659900313"});
    api.post(&user, &format!("/api/v1/conferences/{id}/participants"), more).await.fields(&[("phone", "not_in_directory")]);
    let pid = planned["participants"][1]["id"].as_str().unwrap();
    let other = json!({"phone": "+38659900314"});
    api.post(&user, &format!("/api/v1/conferences/{id}/participants/{pid}/call"), other).await.fields(&[("phone", "not_in_directory")]);
}
