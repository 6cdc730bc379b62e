//! No conference stays open for ever (R14): not when its switch is taken out of the configuration, nor when its journal cannot be read.

use std::time::Duration;

use diesel_async::SimpleAsyncConnection as _;
use serde_json::Value;
use sklic::clock;
use sklic::conference::{Control, NewParticipant, Refusal};
use sklic::delivery::{Bell, Desk};
use sklic::ids::ParticipantId;
use sklic::runtime::ControlError;
use sklic::storage::leases;
use sklic::storage::{legs, switch_nodes};

use crate::api::{Api, User};
use crate::smtp::until;

const ANA: &str = "+38659900002";

/// A conference that runs with Ana in it, after its service has ended.
async fn left_running() -> Option<(Api, User, Value)> {
    let api = Api::fresh().await?;
    let user = api.user("100200").await;
    let view = api.plan(&user, &[ANA]).await;
    let id = view["id"].as_str().unwrap();
    api.press(&user, &format!("/api/v1/conferences/{id}/start")).await.expect(202);
    api.until(&user, id, "both are in", |view| view["participants"].as_array().unwrap().iter().all(|person| person["state"] == "in")).await;
    api.close().await;
    Some((api, user, view))
}

#[tokio::test]
async fn a_conference_whose_switch_is_gone_ends_when_that_was_last_heard() {
    let Some((before, user, view)) = left_running().await else { return };
    let id = view["id"].as_str().unwrap();
    let mut connection = before.database.connection().await;
    connection.batch_execute("UPDATE conferences SET node = 'former'").await.unwrap();
    switch_nodes::note(&mut connection, "former", None, clock::now()).await.unwrap();
    let heard = switch_nodes::lookup(&mut connection, "former").await.unwrap().unwrap().last_heard_at;

    let api = before.again_without_patience().await;
    let view = api.until(&user, id, "its end", |view| view["state"] == "ended").await;
    assert_eq!(view["reason"], "switch_failed", "{view}");
    let ended = legs::list(&mut connection, user.account, id.parse().unwrap()).await.unwrap();
    assert_eq!(ended.len(), 2, "the convener and Ana");
    for leg in &ended {
        assert_eq!((leg.ended_at, leg.evidence.as_deref()), (Some(heard), Some("proof_of_life")), "{leg:?}");
    }
    let charges = api.get(&user, &format!("/api/v1/charges?conference={id}")).await.expect(200);
    assert_eq!(charges["charges"].as_array().unwrap().len(), 4, "call and conference of both: {charges}");
    let report = api.get(&user, &format!("/api/v1/conferences/{id}/report")).await.expect(200);
    assert_eq!(report["participants"][1]["legs"][0]["evidence"], "proof_of_life", "{report}");
    let given_back = async {
        while leases::list(&mut connection, &["former".to_owned()], Duration::from_secs(3)).await.unwrap()[0].owner.is_some() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(crate::api::PATIENCE, given_back).await.expect("nobody keeps the lease of a switch that is gone");
}

#[tokio::test]
async fn a_conference_whose_switch_another_service_node_drives_is_left_alone() {
    let Some((before, user, view)) = left_running().await else { return };
    let id = view["id"].as_str().unwrap();
    let mut connection = before.database.connection().await;
    let driven = "UPDATE conferences SET node = 'former';\
        INSERT INTO service_nodes (id, name, started_at, renewed_at) VALUES ('00000000-0000-0000-0000-00000000000a', 'other', now(), now() + interval '1 hour');\
        INSERT INTO switch_leases (switch, owner) VALUES ('former', '00000000-0000-0000-0000-00000000000a')";
    connection.batch_execute(driven).await.unwrap();
    // The same service ends another one, and so it has looked.
    let other = "00000000-0000-0000-0000-0000000000f1";
    let second = format!(
        "INSERT INTO conferences (id, account, title, state, node, created_at, started_at, settings) \
            SELECT '{other}', account, title, 'calling_convener', 'gone', now(), now(), '{{}}' FROM conferences WHERE id = '{id}'"
    );
    connection.batch_execute(&second).await.unwrap();
    let convener = format!(
        "INSERT INTO participants (id, conference, position, name, phone, convener) \
            SELECT '00000000-0000-0000-0000-0000000000f2', '{other}', 0, name, phone, true FROM accounts WHERE id = '{}'",
        user.account
    );
    connection.batch_execute(&convener).await.unwrap();
    let api = before.again_without_patience().await;
    api.until(&user, other, "it is planned again, for it had not begun", |view| view["state"] == "planned").await;
    assert_eq!(api.get(&user, &format!("/api/v1/conferences/{id}")).await.expect(200)["state"], "running");
}

#[tokio::test]
async fn an_entry_that_cannot_be_read_keeps_no_conference_open() {
    let Some((before, user, view)) = left_running().await else { return };
    let id = view["id"].as_str().unwrap();
    let spoil = "UPDATE journal SET entry = '{\"entry\":\"of another release\"}' WHERE seq = 1;\
        INSERT INTO journal (conference, seq, at, entry) \
            SELECT conference, max(seq) + 1, now(), '{\"entry\":\"input\",\"input\":\"of a later release\"}' FROM journal GROUP BY conference";
    before.database.connection().await.batch_execute(spoil).await.unwrap();
    // On a switch that was started since: what lived then is over.
    let api = before.again_with(Desk::default(), Bell::default()).await;
    let view = api.until(&user, id, "its end", |view| view["state"] == "ended").await;
    assert_eq!(view["participants"].as_array().unwrap().len(), 2, "{view}");
    let ended = legs::list(&mut *api.database.connection().await, user.account, id.parse().unwrap()).await.unwrap();
    assert!(ended.len() == 2 && ended.iter().all(|leg| leg.ended_at.is_some()), "{ended:?}");
}

/// Makes a conference's journal unreadable as a whole, or mends that.
async fn spoil(api: &Api, spoilt: bool) {
    let at = if spoilt { "'infinity'" } else { "(SELECT started_at FROM conferences WHERE id = conference)" };
    api.database.connection().await.batch_execute(&format!("UPDATE journal SET at = {at} WHERE seq = 1")).await.unwrap();
}

#[tokio::test]
async fn a_conference_that_has_just_begun_and_cannot_be_read_loses_nobody_and_is_taken_over_as_soon_as_it_can() {
    let Some((before, user, view)) = left_running().await else { return };
    let id = view["id"].as_str().unwrap();
    spoil(&before, true).await;
    // It has tried by now, and hears the switch without this conference.
    let api = before.beside("second").await;
    spoil(&api, false).await;
    until("it has its owner again", async || api.press(&user, &format!("/api/v1/conferences/{id}/lock")).await.status == 202).await;
    let as_before = |person: &Value| person["state"] == "in" && person["attempts"] == 1;
    api.until(&user, id, "both are in", |view| view["participants"].as_array().unwrap().iter().all(as_before)).await;
    assert_eq!(api.simulator.legs().len(), 2, "nobody was hung up");
}

#[tokio::test]
async fn what_a_conference_that_is_taken_over_late_has_lost_ended_when_its_switch_was_last_heard_before() {
    let Some((before, user, view)) = left_running().await else { return };
    let id = view["id"].as_str().unwrap();
    let mut connection = before.database.connection().await;
    switch_nodes::note(&mut connection, "pbx1", None, clock::now()).await.unwrap();
    let heard = switch_nodes::lookup(&mut connection, "pbx1").await.unwrap().unwrap().last_heard_at;
    spoil(&before, true).await;
    // On a switch that was started since: what lived then is over. By the time that the conference can be read it is well heard.
    let api = before.again_with(Desk::default(), Bell::default()).await;
    until("the switch is heard", async || api.runtime().readiness().await.switches[0].up).await;
    spoil(&api, false).await;
    api.until(&user, id, "its end", |view| view["state"] == "ended").await;
    let ended = legs::list(&mut connection, user.account, id.parse().unwrap()).await.unwrap();
    assert!(ended.len() == 2 && ended.iter().all(|leg| leg.ended_at == Some(heard)), "{heard} {ended:?}");
}

#[tokio::test]
async fn an_opening_that_cannot_be_read_lifts_no_limit() {
    let Some((before, user, view)) = left_running().await else { return };
    let id = view["id"].as_str().unwrap().parse().unwrap();
    let spoil = "UPDATE journal SET entry = '{\"entry\":\"of another release\"}' WHERE seq = 1";
    before.database.connection().await.batch_execute(spoil).await.unwrap();
    let api = before.beside("second").await;
    let participant = NewParticipant { id: ParticipantId::fresh(), name: "Bor".into(), phone: "+442071838750".into(), email: None, contact: None };
    let asked = api.runtime().control(user.account, id, Control::Add { participant }).await;
    assert!(matches!(asked, Err(ControlError::Refused(Refusal::NumberNotAllowed))), "{asked:?}");
}

#[tokio::test]
async fn a_call_that_the_journal_does_not_tell_of_any_more_keeps_its_leg() {
    let Some(before) = Api::fresh().await else { return };
    let user = before.user("100200").await;
    let view = before.plan(&user, &[ANA]).await;
    let id = view["id"].as_str().unwrap();
    let all_are = |state: &'static str| move |view: &Value| view["participants"][1]["state"] == state && view["participants"][0]["state"] == "in";
    before.press(&user, &format!("/api/v1/conferences/{id}/start")).await.expect(202);
    before.until(&user, id, "both are in", all_are("in")).await;
    let call = format!("/api/v1/conferences/{id}/participants/{}/call", view["participants"][1]["id"].as_str().unwrap());
    before.simulator.hang_up(before.simulator_leg(&user, &view, ANA).await);
    before.until(&user, id, "Ana has left", all_are("left")).await;
    before.press(&user, &call).await.expect(202);
    before.until(&user, id, "Ana is in again", all_are("in")).await;
    before.simulator.hang_up(before.simulator_leg(&user, &view, ANA).await);
    before.until(&user, id, "Ana has left again", all_are("left")).await;
    before.close().await;
    let spoil = "UPDATE journal SET entry = '{\"entry\":\"of another release\"}' WHERE entry -> 'control' ->> 'control' = 'call'";
    let mut connection = before.database.connection().await;
    connection.batch_execute(spoil).await.unwrap();
    let second = before.beside("second").await;
    second.press(&user, &call).await.expect(202);
    second.until(&user, id, "Ana is in once more", all_are("in")).await;
    second.close().await;
    // Nor is what was counted on taken for something else at the next start.
    let third = before.beside("third").await;
    third.until(&user, id, "Ana is in as before", all_are("in")).await;
    let found = legs::list(&mut connection, user.account, id.parse().unwrap()).await.unwrap();
    assert_eq!(found.iter().filter(|leg| leg.number == ANA && leg.ended_at.is_some()).count(), 2, "{found:?}");
    assert_eq!(found.len(), 4, "one of the convener's, and each call to Ana: {found:?}");
}
