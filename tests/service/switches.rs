//! Several switches in one configuration: where conferences are placed, and how callers come to the switch of theirs.

use std::time::Duration;

use serde_json::Value;
use sklic::ids::{LegId, PassId};
use sklic::pbx::Phrase;
use sklic::pbx::simulator::{CallIn, Simulator};
use sklic::storage::{dial_in, switch_nodes};

use crate::api::{Api, PATIENCE, User};
use crate::dial_in::{contact, dials, hears, planned, started, state_of};

async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("{what} did not come"));
}

/// The switch's legs once there are so many.
async fn legs(switch: &Simulator, count: usize) -> Vec<LegId> {
    until(&format!("{count} legs, not {:?},", switch.legs()), || switch.legs().len() == count).await;
    switch.legs()
}

/// Drains a switch, or takes that back, as `sklic switches` does.
async fn drain(api: &Api, name: &str, draining: bool) {
    let waiting = async {
        // It is known once it was heard.
        while !switch_nodes::drain(&mut *api.database.connection().await, name, draining).await.unwrap() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        while api.runtime().readiness().await.switches.iter().any(|switch| switch.name == name && switch.draining != draining) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("the service follows");
}

async fn person(api: &Api, user: &User, conference: &str, name: &str, state: &str) -> Value {
    let view = api.until(user, conference, &format!("{name} {state}"), |view| state_of(view, name) == Some(state)).await;
    view["participants"].as_array().unwrap().iter().find(|person| person["name"] == name).unwrap().clone()
}

/// A conference on the second switch, which has more room; gives its identifier and the code of Ana, who is expected.
async fn elsewhere(api: &Api, user: &User) -> (String, String) {
    let (_, code) = contact(api, user, "Ana").await;
    let conference = planned(api, user, "Sestanek", &[]).await;
    started(api, user, &conference).await;
    assert!(api.simulators[0].legs().is_empty(), "the conference is on the switch with most room");
    (conference, code)
}

#[tokio::test]
async fn a_caller_at_another_switch_is_brought_to_his_conference() {
    let Some(api) = Api::with_switches(&[100, 400]).await else { return };
    let user = api.user("100200").await;
    let (conference, code) = elsewhere(&api, &user).await;
    let before = sklic::clock::now();
    let first = dials(&api, "013099396", "+38659900001", &[&code]);
    let ana = person(&api, &user, &conference, "Ana", "in").await;
    assert_eq!(ana["way_of_entry"], "national", "he came by the number that he dialled at the first switch");
    assert_eq!(legs(&api.simulators[0], 1).await, [first]);
    let there = legs(&api.simulators[1], 2).await;
    // What he hears is his conference's business; at the second switch nothing is asked.
    assert!(!there.iter().any(|leg| api.simulators[1].heard(*leg).iter().any(|(_, phrase)| *phrase == Phrase::EnterCode)));

    api.simulator.hang_up(first);
    person(&api, &user, &conference, "Ana", "left").await;
    assert_eq!(legs(&api.simulators[1], 1).await.len(), 1, "nobody is left alone on the other switch");
    api.press(&user, &format!("/api/v1/conferences/{conference}/end")).await.expect(202);
    api.until(&user, &conference, "it is over", |view| view["state"] == "ended").await;
    let report = api.get(&user, &format!("/api/v1/conferences/{conference}/report.json")).await.expect(200);
    let rows = report["participants"].as_array().unwrap();
    let legs = rows.iter().find(|row| row["name"] == "Ana").unwrap()["legs"].as_array().unwrap();
    assert_eq!(legs.len(), 1, "one call is one leg: {legs:#?}");
    let answered: jiff::Timestamp = legs[0]["answered_at"].as_str().unwrap().parse().unwrap();
    let joined: jiff::Timestamp = legs[0]["joined_at"].as_str().unwrap().parse().unwrap();
    assert!(before <= answered && answered < joined, "{}", legs[0]);
    assert_eq!(legs[0]["outcome"], "answered", "{}", legs[0]);
}

#[tokio::test]
async fn the_end_of_his_conference_ends_the_call_of_one_who_was_brought() {
    let Some(api) = Api::with_switches(&[100, 400]).await else { return };
    let user = api.user("100200").await;
    let (conference, code) = elsewhere(&api, &user).await;
    dials(&api, "013099396", "+38659900001", &[&code]);
    person(&api, &user, &conference, "Ana", "in").await;
    api.press(&user, &format!("/api/v1/conferences/{conference}/end")).await.expect(202);
    legs(&api.simulators[0], 0).await;
    legs(&api.simulators[1], 0).await;
}

#[tokio::test]
async fn a_switch_that_dies_leaves_nobody_on_the_other() {
    let Some(api) = Api::with_switches(&[100, 400]).await else { return };
    let user = api.user("100200").await;
    let (conference, code) = elsewhere(&api, &user).await;
    dials(&api, "013099396", "+38659900001", &[&code]);
    person(&api, &user, &conference, "Ana", "in").await;
    // It loses its calls without a word to anybody, as a machine does.
    api.simulator.restart();
    person(&api, &user, &conference, "Ana", "left").await;
    legs(&api.simulators[1], 1).await;
}

#[tokio::test]
async fn who_waits_at_a_switch_whose_link_is_lost_is_brought_when_it_is_back() {
    let Some(api) = Api::with_switches(&[100, 400]).await else { return };
    let user = api.user("100200").await;
    // She is busy when she is called: she comes in by her own call or not at all.
    let ana = api.post(&user, "/api/v1/contacts", serde_json::json!({"name": "Ana", "phone": "+38659900486"})).await.expect(201);
    let conference = planned(&api, &user, "Sestanek", &[ana["id"].as_str().unwrap()]).await;
    let first = dials(&api, "013099396", "+38659900001", &[ana["code"].as_str().unwrap()]);
    hears(&api, first, Phrase::Waiting).await;
    api.simulator.cut_link();
    started(&api, &user, &conference).await;
    person(&api, &user, &conference, "Ana", "busy").await;
    api.simulator.restore_link();
    let ana = person(&api, &user, &conference, "Ana", "in").await;
    assert_eq!(ana["way_of_entry"], "national", "{ana}");
    assert_eq!((legs(&api.simulators[0], 1).await, legs(&api.simulators[1], 2).await.len()), (vec![first], 2));
}

#[tokio::test]
async fn a_switch_that_cannot_be_called_gets_nobody() {
    let Some(api) = Api::with_switches(&[100, 400]).await else { return };
    let user = api.user("100200").await;
    let (_, code) = elsewhere(&api, &user).await;
    api.simulators[1].unplug(true);
    dials(&api, "013099396", "+38659900001", &[&code]);
    // The dialplan says that it is sorry.
    legs(&api.simulators[0], 1).await;
    legs(&api.simulators[0], 0).await;
}

#[tokio::test]
async fn a_pass_that_is_made_up_or_used_opens_nothing() {
    let Some(api) = Api::with_switches(&[100, 400]).await else { return };
    let user = api.user("100200").await;
    let (conference, code) = elsewhere(&api, &user).await;
    let second = &api.simulators[1];
    let forged = second.call_in(CallIn {
        dialled: "013099396".into(),
        presented: "+38640123456".into(),
        pass: Some(PassId::drawn()),
        keys: vec![format!("{code}#")],
        ..CallIn::default()
    });
    person(&api, &user, &conference, "Ana", "in").await;
    let asked = second.heard(forged);
    assert!(asked.iter().any(|(_, phrase)| *phrase == Phrase::EnterCode), "he is asked like everybody else: {asked:?}");
}

/// A conference of four whose convener alone is inside: the others are busy, and may be called again.
async fn of_four(api: &Api, user: &User, title: &str) -> String {
    let busy: Vec<Value> = ["Ana", "Bor", "Cene"].iter().map(|name| serde_json::json!({"name": name, "phone": "+38659900486"})).collect();
    let made = api.post(user, "/api/v1/conferences", serde_json::json!({"title": title, "participants": busy})).await.expect(201);
    made["id"].as_str().expect("an identifier").to_owned()
}

#[tokio::test]
async fn people_who_are_not_on_the_line_have_their_places_all_the_same() {
    let Some(api) = Api::with_switches(&[5, 7]).await else { return };
    let user = api.user("100200").await;
    let (first, second, third) = (of_four(&api, &user, "Prva").await, of_four(&api, &user, "Druga").await, of_four(&api, &user, "Tretja").await);
    started(&api, &user, &first).await;
    person(&api, &user, &first, "Cene", "busy").await;
    legs(&api.simulators[1], 1).await;
    started(&api, &user, &second).await;
    legs(&api.simulators[0], 1).await;
    api.press(&user, &format!("/api/v1/conferences/{third}/start")).await.problem(503, "unavailable");
    // The end of one gives its places back.
    api.press(&user, &format!("/api/v1/conferences/{first}/end")).await.expect(202);
    api.until(&user, &first, "it is over", |view| view["state"] == "ended").await;
    let again = async {
        // Its last words may still be on their way.
        while api.press(&user, &format!("/api/v1/conferences/{third}/start")).await.status == 503 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, again).await.expect("there is room again");
    api.until(&user, &third, "it runs", |view| view["state"] == "running").await;
    legs(&api.simulators[1], 1).await;
}

#[tokio::test]
async fn a_drained_switch_gets_no_new_conferences_and_keeps_its_own() {
    let Some(api) = Api::with_switches(&[100, 400]).await else { return };
    let user = api.user("100200").await;
    let (running, code) = elsewhere(&api, &user).await;
    drain(&api, "pbx2", true).await;
    let new = planned(&api, &user, "Nova", &[]).await;
    started(&api, &user, &new).await;
    legs(&api.simulators[0], 1).await;
    // Who calls in comes into what still runs there.
    let (ana, _) = contact(&api, &user, "Bor").await;
    api.post(&user, &format!("/api/v1/conferences/{new}/participants"), serde_json::json!({"contact_id": ana})).await.expect(201);
    api.post(&user, &format!("/api/v1/conferences/{running}/participants"), serde_json::json!({"name": "Cene", "phone": "+38659900055"}))
        .await
        .expect(201);
    person(&api, &user, &running, "Cene", "in").await;
    drain(&api, "pbx1", true).await;
    let third = planned(&api, &user, "Tretja", &[]).await;
    api.press(&user, &format!("/api/v1/conferences/{third}/start")).await.problem(503, "unavailable");
    drain(&api, "pbx2", false).await;
    started(&api, &user, &third).await;
    drop(code);
}

#[tokio::test]
async fn a_convener_who_calls_a_drained_switch_starts_on_another() {
    let Some(api) = Api::with_switches(&[400, 100]).await else { return };
    let user = api.user("100200").await;
    let hash = sklic::http::secrets::hash_password("739154").unwrap();
    dial_in::set_pin(&mut *api.database.connection().await, user.account, Some(&hash)).await.unwrap();
    let conference = planned(&api, &user, "Sestanek", &[]).await;
    drain(&api, "pbx1", true).await;
    let first = dials(&api, "013099396", "+38659900001", &["100200", "739154"]);
    api.until(&user, &conference, "it runs", |view| view["state"] == "running").await;
    assert_eq!(legs(&api.simulators[0], 1).await, [first]);
    assert_eq!(legs(&api.simulators[1], 1).await.len(), 1, "it runs on the switch that is not drained");
    api.simulator.hang_up(first);
    api.until(&user, &conference, "it is over", |view| view["state"] == "ended").await;
}

#[tokio::test]
async fn a_convener_whose_people_have_no_room_here_starts_on_another_switch() {
    let Some(api) = Api::with_switches(&[3, 100]).await else { return };
    let user = api.user("100200").await;
    let hash = sklic::http::secrets::hash_password("739154").unwrap();
    dial_in::set_pin(&mut *api.database.connection().await, user.account, Some(&hash)).await.unwrap();
    let conference = of_four(&api, &user, "Sestanek").await;
    let first = dials(&api, "013099396", "+38659900001", &["100200", "739154"]);
    api.until(&user, &conference, "it runs", |view| view["state"] == "running").await;
    person(&api, &user, &conference, "Cene", "busy").await;
    assert_eq!(legs(&api.simulators[0], 1).await, [first]);
    assert_eq!(legs(&api.simulators[1], 1).await.len(), 1, "four people need four places");
}

#[tokio::test]
async fn a_switch_that_is_full_takes_no_caller() {
    let Some(api) = Api::with_switches(&[1, 2]).await else { return };
    let user = api.user("100200").await;
    let (conference, code) = elsewhere(&api, &user).await;
    dials(&api, "013099396", "+38659900001", &[&code]);
    person(&api, &user, &conference, "Ana", "in").await;
    let (_, other) = contact(&api, &user, "Bor").await;
    hears(&api, dials(&api, "013099396", "+38659900002", &[&other]), Phrase::Full).await;
}
