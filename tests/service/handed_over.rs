//! Several service nodes of which not all reach a switch: it is driven by one that does.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};
use sklic::ids::ServiceNodeId;
use sklic::storage::leases::{self, Fence, Lease};
use sklic::storage::{crossings, legs};
use tokio::time::timeout;
use uuid::Uuid;

use crate::api::{Api, PATIENCE};
use crate::database::Database;
use crate::nodes::{ANA, BOR, all_in, id, path, person, running, with_second};
use crate::smtp::until;

/// As the service has it.
const TTL: Duration = Duration::from_secs(3);

/// A patience with a lost switch by which its owner yields as soon as it ever does.
const SHORT: u32 = 60;

async fn lease(api: &Api, switch: &str) -> Lease {
    leases::list(&mut *api.database.connection().await, &[switch.to_owned()], TTL).await.unwrap().remove(0)
}

/// Asks the owner of a switch for it, as a process that lives and has reached it does; gives the answer.
async fn asked_for(api: &Api, switch: &str, asker: ServiceNodeId) -> Value {
    let mut connection = api.database.connection().await;
    let answered = async {
        loop {
            let lease = lease(api, switch).await;
            let (crossing, request) = (Uuid::now_v7(), json!({"ask": "yield", "switch": switch, "epoch": lease.epoch, "to": asker}));
            crossings::ask(&mut connection, crossing, lease.owner.unwrap(), &request).await.unwrap();
            // An owner that does not listen yet looks by itself; what is too old by then it leaves.
            for _ in 0..300 {
                leases::renew(&mut connection, asker, "asker").await.unwrap();
                if let Some(answer) = crossings::answer_of(&mut connection, crossing).await.unwrap() {
                    return answer;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    };
    timeout(PATIENCE, answered).await.expect("the owner answers")
}

fn refused() -> Value {
    json!({"Err": {"error": "unavailable", "what": "switch"}})
}

#[tokio::test]
async fn a_switch_that_its_node_does_not_reach_goes_to_one_that_does() {
    let Some(first) = Api::with_link_patience(SHORT).await else { return };
    let (first, second, user) = with_second(first).await;
    let view = running(&first, &user, &[ANA, BOR]).await;
    let before = lease(&first, "pbx1").await;
    first.cable.store(false, Ordering::Relaxed);
    first.simulator.cut_link();
    until("the second drives the switch and hears it", async || {
        let readiness = second.runtime().readiness().await;
        readiness.switches[0].up && readiness.switches[0].last_heard.is_some()
    })
    .await;
    let after = lease(&first, "pbx1").await;
    assert_eq!((after.owner_name.as_deref(), after.epoch), (Some("second"), before.epoch + 1));
    let view = all_in(&second, &user, &view, &[ANA, BOR]).await;
    assert!([ANA, BOR].iter().all(|phone| person(&view, phone)["attempts"] == 1), "nobody was called again: {view}");
    // The first lives, and has done for it what it drives no more.
    let mute = format!("/participants/{}/mute", person(&view, ANA)["id"].as_str().unwrap());
    first.press(&user, &path(&view, &mute)).await.expect(202);
    second.until(&user, id(&view), "Ana is muted", |view| person(view, ANA)["muted"] == true).await;
    first.press(&user, &path(&view, "/end")).await.expect(202);
    first.until(&user, id(&view), "it is over", |view| view["state"] == "ended").await;
    let ended = legs::list(&mut *first.database.connection().await, user.account, id(&view).parse().unwrap()).await.unwrap();
    assert_eq!(ended.len(), 3, "the convener, Ana and Bor");
    assert!(ended.iter().all(|leg| leg.ended_at.is_some() && leg.evidence.as_deref() == Some("event")), "{ended:?}");
    assert_eq!(lease(&first, "pbx1").await.epoch, after.epoch, "it has stayed there");
}

#[tokio::test]
async fn a_switch_that_nobody_reaches_stays_where_it_is() {
    let Some(first) = Api::with_link_patience(SHORT).await else { return };
    let (first, second, user) = with_second(first).await;
    let view = running(&first, &user, &[ANA, BOR]).await;
    let before = lease(&first, "pbx1").await;
    let stays = async || {
        let now = lease(&first, "pbx1").await;
        assert_eq!((now.owner, now.epoch), (before.owner, before.epoch));
    };
    for api in [&first, &second] {
        api.cable.store(false, Ordering::Relaxed);
    }
    first.simulator.cut_link();
    until("the second has tried it again and again", async || {
        stays().await;
        second.tries.load(Ordering::Relaxed) >= 2
    })
    .await;
    first.simulator.restore_link();
    until("the first hears it again", async || first.runtime().readiness().await.switches[0].up).await;
    for api in [&first, &second] {
        api.cable.store(true, Ordering::Relaxed);
    }
    let view = all_in(&first, &user, &view, &[ANA, BOR]).await;
    first.press(&user, &path(&view, "/mute")).await.expect(202);
    first.until(&user, id(&view), "all are muted", |view| person(view, BOR)["muted"] == true).await;
    stays().await;
}

#[tokio::test]
async fn an_owner_that_hears_its_switch_yields_to_nobody() {
    let Some(api) = Api::with_link_patience(SHORT).await else { return };
    until("the switch is heard", async || api.runtime().readiness().await.switches[0].up).await;
    let before = lease(&api, "pbx1").await;
    assert_eq!(asked_for(&api, "pbx1", ServiceNodeId::fresh()).await, refused());
    let after = lease(&api, "pbx1").await;
    assert_eq!((after.owner, after.epoch), (before.owner, before.epoch));
}

#[tokio::test]
async fn an_owner_of_more_than_its_share_yields_one_to_a_node_that_has_none() {
    let Some(api) = Api::with_switches(&[400, 400]).await else { return };
    let asker = ServiceNodeId::fresh();
    let before = lease(&api, "pbx1").await;
    // It does so as soon as it has seen that there is somebody to share with.
    until("it yields", async || asked_for(&api, "pbx1", asker).await == json!({"Ok": null})).await;
    let after = lease(&api, "pbx1").await;
    assert_eq!((after.owner, after.epoch), (Some(asker), before.epoch + 1));
    assert_eq!(asked_for(&api, "pbx2", asker).await, refused(), "the other one is its share");
}

#[tokio::test]
async fn of_two_free_nodes_the_one_that_reaches_a_switch_gets_it() {
    let Some(first) = Api::with_switches(&[400, 400, 400]).await else { return };
    let second = first.beside("second").await;
    second.cable.store(false, Ordering::Relaxed);
    let third = first.beside("third").await;
    let shared = async {
        loop {
            let switches: Vec<String> = (1..=3).map(|number| format!("pbx{number}")).collect();
            let leases = leases::list(&mut *first.database.connection().await, &switches, TTL).await.unwrap();
            let drives = |name: &str| leases.iter().any(|lease| lease.owner_name.as_deref() == Some(name));
            assert!(!drives("second"), "{leases:?}");
            if drives("third") && second.tries.load(Ordering::Relaxed) > 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    // Each is free for half a minute before it asks.
    timeout(Duration::from_secs(30) + PATIENCE, shared).await.expect("the third drives one, and the second has tried one");
    drop(third);
}

#[tokio::test]
async fn a_lease_is_handed_to_a_process_that_lives_and_once() {
    let Some(database) = Database::fresh().await else { return };
    let mut connection = database.connection().await;
    let (owner, next) = (ServiceNodeId::fresh(), ServiceNodeId::fresh());
    leases::renew(&mut connection, owner, "owner").await.unwrap();
    let seen = leases::list(&mut connection, &["pbx1".to_owned()], TTL).await.unwrap().remove(0);
    let epoch = leases::take(&mut connection, &seen, owner, false, TTL).await.unwrap().expect("it is free");
    let fence = Fence { switch: "pbx1".into(), epoch };
    leases::note(&mut connection, &fence, true, 5).await.unwrap();
    assert!(!leases::hand_over(&mut connection, &fence, next, TTL).await.unwrap(), "it is not there");
    leases::renew(&mut connection, next, "next").await.unwrap();
    assert!(leases::hand_over(&mut connection, &fence, next, TTL).await.unwrap());
    assert!(!leases::hand_over(&mut connection, &fence, owner, TTL).await.unwrap(), "the epoch is over");
    let after = leases::list(&mut connection, &["pbx1".to_owned()], TTL).await.unwrap().remove(0);
    assert_eq!((after.owner, after.epoch, after.ready, after.room), (Some(next), epoch + 1, false, 0));
}
