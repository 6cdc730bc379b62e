//! The HTTP side while the database is away.

use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{Method, Request};
use sklic::clock;
use sklic::conference::{Control, NewParticipant};
use sklic::http::HttpConfig;
use sklic::ids::{ConferenceId, ParticipantId};
use sklic::runtime::ControlError;
use sklic::storage::{Pool, PoolOptions, legs};

use crate::api::{Api, PASSWORD, from_address, generous};
use crate::database::Database;
use crate::proxy::{Mode, Proxy};
use crate::smtp::until;

/// A service with a proxy before its database.
pub async fn behind_proxy() -> Option<(Api, Proxy)> {
    let database = Database::fresh().await?;
    let proxy = Proxy::before(database.server_address()).await;
    let options = PoolOptions { wait: Duration::from_secs(1), ..PoolOptions::default() };
    let pool = Pool::new(&database.url_at(proxy.address), options).unwrap();
    let config = HttpConfig { request_timeout_seconds: 3, ..generous() };
    Some((Api::on(database, pool, config).await, proxy))
}

#[tokio::test]
async fn an_absent_database_is_told_and_soon() {
    for mode in [Mode::Refuse, Mode::Freeze] {
        let Some((api, proxy)) = behind_proxy().await else { return };
        let user = api.user("100200").await;
        let view = api.plan(&user, &["+38659900002"]).await;
        let conference = format!("/api/v1/conferences/{}", view["id"].as_str().unwrap());
        api.get(&user, "/readyz").await.expect(200);
        proxy.set(mode);
        let begin = Instant::now();
        for path in ["/api/v1/me", "/api/v1/contacts", &conference] {
            let answer = api.get(&user, path).await;
            assert_eq!(answer.status, 503, "{}", answer.text());
            assert!(answer.header("retry-after").parse::<u64>().is_ok_and(|seconds| seconds < 60));
            assert_eq!(answer.header("content-type"), "application/problem+json");
        }
        assert_eq!(api.login("100200", PASSWORD).await.status, 503);
        assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
        // The process lives, and says what is away.
        api.get(&user, "/healthz").await.expect(200);
        let ready = api.get(&user, "/readyz").await;
        assert_eq!((ready.status.as_u16(), &ready.json()["database"]), (503, &serde_json::json!(false)));
        proxy.set(Mode::Pass);
        let healed = tokio::time::timeout(Duration::from_secs(20), async {
            while api.get(&user, &conference).await.status != 200 {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        healed.await.expect("it heals by itself");
        assert_eq!(api.get(&user, &conference).await.expect(200), view);
    }
}

#[tokio::test]
async fn a_control_that_waits_for_the_database_says_so_and_is_carried_out() {
    let Some((api, proxy)) = behind_proxy().await else { return };
    let user = api.user("100200").await;
    let view = api.plan(&user, &["+38659900002"]).await;
    let id = view["id"].as_str().unwrap();
    api.press(&user, &format!("/api/v1/conferences/{id}/start")).await.expect(202);
    api.until(&user, id, "it runs", |view| view["state"] == "running").await;
    proxy.set(Mode::Freeze);
    let asked = api.runtime().control(user.account, id.parse().unwrap(), Control::Lock { locked: true }).await;
    assert!(matches!(asked, Err(ControlError::Queued)), "{asked:?}");
    proxy.set(Mode::Pass);
    let healed = tokio::time::timeout(Duration::from_secs(20), async {
        while api.get(&user, &format!("/api/v1/conferences/{id}")).await.status != 200 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    healed.await.expect("it heals by itself");
    api.until(&user, id, "the lock", |view| view["locked"] == true).await;
}

#[tokio::test]
async fn legs_that_a_switch_loses_while_a_call_waits_for_the_database_ended_when_it_was_last_heard() {
    let Some((api, proxy)) = behind_proxy().await else { return };
    let user = api.user("100200").await;
    let view = api.plan(&user, &["+38659900002"]).await;
    let (id, bor) = (view["id"].as_str().unwrap(), "+38659900003");
    let conference: ConferenceId = id.parse().unwrap();
    api.press(&user, &format!("/api/v1/conferences/{id}/start")).await.expect(202);
    api.until(&user, id, "both are in", |view| view["participants"].as_array().unwrap().iter().all(|person| person["state"] == "in")).await;
    let frozen = clock::now();
    proxy.set(Mode::Freeze);
    let participant = NewParticipant { id: ParticipantId::fresh(), name: "Bor".into(), phone: bor.into(), email: None, contact: None };
    let asked = api.runtime().control(user.account, conference, Control::Add { participant }).await;
    assert!(matches!(asked, Err(ControlError::Queued)), "{asked:?}");
    // The switch dies, and is back before the call to Bor can be placed.
    api.simulator.cut_link();
    let died = clock::now();
    let is_up = async || api.runtime().readiness().await.switches[0].up;
    until("its link is lost", async || !is_up().await).await;
    api.simulator.restart();
    until("its link is back", is_up).await;
    proxy.set(Mode::Pass);
    until("the database is back", async || api.get(&user, &format!("/api/v1/conferences/{id}")).await.status == 200).await;
    api.until(&user, id, "its end", |view| view["state"] == "ended").await;
    let all = legs::list(&mut *api.database.connection().await, user.account, conference).await.unwrap();
    let lost: Vec<_> = all.iter().filter(|leg| leg.number != bor).map(|leg| leg.ended_at.unwrap()).collect();
    assert!(lost.len() == 2 && lost.iter().all(|at| (frozen..=died).contains(at)), "{frozen} {died} {all:?}");
}

#[tokio::test]
async fn a_fresh_service_tells_what_alerts_look_at_and_that_its_database_is_away_although_it_writes_nothing() {
    let recorder = sklic::telemetry::metrics().unwrap().build_recorder();
    let handle = recorder.handle();
    // One thread runs all of this test, so that this recorder hears everything and nothing else.
    let _heard = metrics::set_default_local_recorder(&recorder);
    let Some((api, proxy)) = behind_proxy().await else { return };
    let tells = |sample: &str| handle.render().lines().any(|line| line == sample);
    assert!(tells("sklic_writer_database_available 1"), "{}", handle.render());
    for name in ["sklic_stray_legs_total", "sklic_lease_flaps_total", "sklic_seizures_total"] {
        assert!(tells(&format!("{name}{{switch=\"pbx1\"}} 0")), "{name}: {}", handle.render());
    }
    for kind in sklic::delivery::KINDS {
        until(kind, async || tells(&format!("sklic_outbox_waiting{{kind=\"{kind}\"}} 0"))).await;
        assert!(tells(&format!("sklic_outbox_oldest_seconds{{kind=\"{kind}\"}} 0")), "{kind}: {}", handle.render());
    }
    proxy.set(Mode::Freeze);
    until("the database is away", async || tells("sklic_writer_database_available 0")).await;
    proxy.set(Mode::Pass);
    until("the database is back", async || tells("sklic_writer_database_available 1")).await;
    drop(api);
}

#[tokio::test]
async fn metrics_are_for_this_machine_or_the_token() {
    let config = HttpConfig { metrics_token: Some("skrivni žeton".into()), ..generous() };
    let Some(api) = Api::with(config).await else { return };
    let ask = |address: [u8; 4], headers: &[(&str, &str)]| {
        let builder =
            headers.iter().fold(Request::builder().method(Method::GET).uri("/metrics"), |builder, (name, value)| builder.header(*name, *value));
        let mut request = builder.body(Body::empty()).unwrap();
        from_address(&mut request, address.into());
        request
    };
    api.send(ask([127, 0, 0, 1], &[])).await;
    assert_eq!(api.send(ask([127, 0, 0, 1], &[])).await.status, 200);
    api.send(ask([127, 0, 0, 1], &[("x-forwarded-for", "192.0.2.1")])).await.problem(403, "forbidden");
    api.send(ask([192, 0, 2, 1], &[])).await.problem(403, "forbidden");
    api.send(ask([192, 0, 2, 1], &[("authorization", "Bearer wrong")])).await.problem(403, "forbidden");
    assert_eq!(api.send(ask([192, 0, 2, 1], &[("authorization", "Bearer skrivni \u{17e}eton")])).await.status, 403, "not ASCII, not readable");
}
