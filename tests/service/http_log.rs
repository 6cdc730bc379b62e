//! What must not reach the log does not, at any level.

use std::io::Write;
use std::sync::{Arc, Mutex};

use axum::http::Method;
use serde_json::json;
use sklic::pbx::simulator::CallIn;
use tracing_subscriber::fmt::MakeWriter;

use crate::api::{Api, PASSWORD, cookie_of};
use crate::smtp::until;

/// Everything that this process logs.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn no_secret_and_no_number_reaches_the_log() {
    let Some(api) = Api::fresh().await else { return };
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(log.clone()).finish();
    // Of this thread, on which all tasks of this test run.
    let _guard = tracing::subscriber::set_default(subscriber);
    let user = api.user("77100200").await;
    let cookie = cookie_of(&api.login("77100200", PASSWORD).await);
    api.login("77100200", "narobe-napisano-geslo").await.problem(401, "wrong_login");
    let token = cookie.split_once('=').unwrap().1.to_owned();
    api.get(&user, "/api/v1/contacts?search=+38640777888&limit=5").await.expect(200);
    api.get(&user, "/api/v1/contacts/+38640777888").await.problem(404, "not_found");
    api.get(&user, "/+38640777888?token=sklic_zeton-v-naslovu").await.problem(404, "not_found");
    api.post(&user, "/api/v1/contacts", json!({"name": "Skrita Oseba", "phone": "040 777 888", "email": "skrita@example.test"})).await.expect(201);
    api.text(Method::POST, &user, "/api/v1/contacts", "application/json", "{\"phone\": \"040777888\" oops").await.problem(400, "malformed_json");
    let view = api.plan(&user, &["+38659977788", "+38659988486"]).await;
    let conference = view["id"].as_str().unwrap();
    let path = format!("/api/v1/conferences/{conference}");
    api.press(&user, &format!("{path}/start")).await.expect(202);
    api.until(&user, conference, "one in, one busy", |view| view["participants"][1]["state"] == "in" && view["participants"][2]["state"] == "busy")
        .await;
    let other = format!("{path}/participants/{}/call", view["participants"][2]["id"].as_str().unwrap());
    api.post(&user, &other, json!({"phone": "+38659966688"})).await.expect(202);
    api.press(&user, &format!("{path}/end")).await.expect(202);
    api.until(&user, conference, "the end", |view| view["state"] == "ended").await;
    let text = String::from_utf8_lossy(&log.0.lock().unwrap()).into_owned();
    assert!(text.contains("request answered") && text.contains("/api/v1/conferences/{id}/start"), "the log was captured");
    assert!(text.contains(&user.account.to_string()), "the account is named by its identifier");
    for secret in [
        PASSWORD,
        "narobe-napisano-geslo",
        &token,
        user.token.as_str(),
        "zeton-v-naslovu",
        "40777888",
        "040 777 888",
        "59977788",
        "59988486",
        "59966688",
        "Skrita",
        "skrita@",
    ] {
        let line = text.lines().find(|line| line.contains(secret));
        assert!(line.is_none(), "{secret} is in the log: {}", line.unwrap_or_default());
    }
}

#[tokio::test]
async fn who_is_turned_away_without_an_identity_is_in_the_log_with_his_leg() {
    let Some(api) = Api::fresh().await else { return };
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::INFO).with_writer(log.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let leg = api.simulator.call_in(CallIn { dialled: "19819".into(), trunk: "trunk".into(), ..CallIn::default() }).to_string();
    until("it is logged", async || {
        let text = String::from_utf8_lossy(&log.0.lock().unwrap()).into_owned();
        text.lines().any(|line| line.contains("nobody vouches for his line") && line.contains(&leg))
    })
    .await;
}
