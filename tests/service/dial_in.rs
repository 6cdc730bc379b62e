//! Callers on the simulated switch: whose conference they come into, and who is kept out.

use serde_json::{Value, json};
use sklic::ids::LegId;
use sklic::pbx::Phrase;
use sklic::pbx::simulator::CallIn;
use sklic::reception::{LockOutRules, Subject};
use sklic::storage::dial_in;

use crate::api::{Api, PASSWORD, PATIENCE, User};
use crate::http_faults::behind_proxy;
use crate::proxy::Mode;

pub fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// A contact with this name; gives identifier and code.
pub async fn contact(api: &Api, user: &User, name: &str) -> (String, String) {
    let made = api.post(user, "/api/v1/contacts", json!({"name": name, "phone": "+38659900077"})).await.expect(201);
    (text(&made["id"]), text(&made["code"]))
}

/// A conference with these contacts; gives its identifier.
pub async fn planned(api: &Api, user: &User, title: &str, contacts: &[&str]) -> String {
    let people: Vec<Value> = contacts.iter().map(|id| json!({"contact_id": id})).collect();
    text(&api.post(user, "/api/v1/conferences", json!({"title": title, "participants": people})).await.expect(201)["id"])
}

pub async fn started(api: &Api, user: &User, conference: &str) {
    api.press(user, &format!("/api/v1/conferences/{conference}/start")).await.expect(202);
    api.until(user, conference, "it runs", |view| view["state"] == "running").await;
}

/// Somebody dials and keys these.
pub fn dials(api: &Api, number: &str, line: &str, keys: &[&str]) -> LegId {
    api.simulator.call_in(CallIn {
        dialled: number.into(),
        asserted: vec![format!("<sip:{line}@example.test>")],
        presented: line.into(),
        trunk: "trunk".into(),
        keys: keys.iter().map(|keys| format!("{keys}#")).collect(),
        ..CallIn::default()
    })
}

/// Waits until a caller has heard this.
pub async fn hears(api: &Api, leg: LegId, wanted: Phrase) {
    hears_within(api, leg, wanted, PATIENCE).await;
}

async fn hears_within(api: &Api, leg: LegId, wanted: Phrase, patience: std::time::Duration) {
    let waiting = async {
        while !api.simulator.heard(leg).iter().any(|(_, phrase)| *phrase == wanted) {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    let heard = || api.simulator.heard(leg);
    tokio::time::timeout(patience, waiting).await.unwrap_or_else(|_| panic!("he has not heard {wanted:?} but {:?}", heard()));
}

/// The state of the person with this name, newest entry.
pub fn state_of<'a>(view: &'a Value, name: &str) -> Option<&'a str> {
    view["participants"].as_array().unwrap().iter().rev().find(|person| person["name"] == name)?["state"].as_str()
}

#[tokio::test]
async fn two_conferences_of_one_convener_never_mix() {
    let Some(api) = Api::fresh().await else { return };
    let user = api.user("100200").await;
    let (ana, ana_code) = contact(&api, &user, "Ana").await;
    let (bor, bor_code) = contact(&api, &user, "Bor").await;
    let (_, cene_code) = contact(&api, &user, "Cene").await;
    let first = planned(&api, &user, "Prva", &[]).await;
    let second = planned(&api, &user, "Druga", &[]).await;
    for (conference, contact) in [(&first, &ana), (&second, &bor)] {
        api.post(&user, &format!("/api/v1/conferences/{conference}/participants"), json!({"contact_id": contact})).await.expect(201);
        started(&api, &user, conference).await;
    }
    let ana_leg = dials(&api, "013099396", "+38659900001", &[&ana_code]);
    let bor_leg = dials(&api, "013099396", "+38659900002", &[&bor_code]);
    let cene_leg = dials(&api, "013099396", "+38659900003", &[&cene_code]);
    hears(&api, cene_leg, Phrase::NoConference).await;
    let view = api.until(&user, &first, "Ana is in", |view| state_of(view, "Ana") == Some("in")).await;
    assert_eq!((state_of(&view, "Bor"), state_of(&view, "Cene")), (None, None), "{view}");
    let view = api.until(&user, &second, "Bor is in", |view| state_of(view, "Bor") == Some("in")).await;
    assert_eq!((state_of(&view, "Ana"), state_of(&view, "Cene")), (None, None), "{view}");
    assert_ne!(ana_leg, bor_leg);
}

#[tokio::test]
async fn a_code_opens_only_its_own_account_and_not_after_it_was_renewed() {
    let Some(api) = Api::fresh().await else { return };
    let (user, other) = (api.user("100200").await, api.user("100300").await);
    let (ana, old) = contact(&api, &user, "Ana").await;
    let running = planned(&api, &other, "Tuja", &[]).await;
    started(&api, &other, &running).await;
    // Her convener has no conference; another account's is none of hers.
    hears(&api, dials(&api, "013099396", "+38659900001", &[&old]), Phrase::NoConference).await;
    api.post(&other, &format!("/api/v1/contacts/{ana}/code"), Value::Null).await.problem(404, "not_found");
    let renewed = api.press(&user, &format!("/api/v1/contacts/{ana}/code")).await.expect(200);
    assert_ne!(renewed["code"], old);
    hears(&api, dials(&api, "013099396", "+38659900002", &[&old]), Phrase::WrongCode).await;
}

#[tokio::test]
async fn who_waits_for_a_planned_conference_comes_in_when_it_runs() {
    let Some(api) = Api::fresh().await else { return };
    let user = api.user("100200").await;
    let (ana, code) = contact(&api, &user, "Ana").await;
    let conference = planned(&api, &user, "Sestanek", &[&ana]).await;
    let leg = dials(&api, "19819", "+38659900001", &[&code]);
    hears(&api, leg, Phrase::Waiting).await;
    started(&api, &user, &conference).await;
    let view = api.until(&user, &conference, "Ana is in", |view| state_of(view, "Ana") == Some("in")).await;
    let ana = view["participants"].as_array().unwrap().iter().find(|person| person["name"] == "Ana").unwrap();
    assert_eq!((&ana["way_of_entry"], &ana["attempts"]), (&json!("onnet_short"), &json!(1)), "she is not called: {ana}");
}

#[tokio::test]
async fn a_caller_is_called_again_only_at_a_number_that_may_be_called() {
    let Some(api) = Api::fresh().await else { return };
    let user = api.user("100200").await;
    let abroad = json!({"name": "Ana", "phone": "+442071838750"});
    let made = api.post(&user, "/api/v1/contacts", abroad).await.expect(201);
    let conference = planned(&api, &user, "Sestanek", &[]).await;
    started(&api, &user, &conference).await;
    let leg = dials(&api, "013099396", "+38659900001", &[made["code"].as_str().unwrap()]);
    let view = api.until(&user, &conference, "Ana is in", |view| state_of(view, "Ana") == Some("in")).await;
    api.simulator.hang_up(leg);
    api.until(&user, &conference, "Ana has left", |view| state_of(view, "Ana") == Some("left")).await;
    let ana = text(&view["participants"].as_array().unwrap().iter().find(|person| person["name"] == "Ana").unwrap()["id"]);
    let path = format!("/api/v1/conferences/{conference}");
    api.press(&user, &format!("{path}/participants/{ana}/call")).await.problem(409, "number_not_allowed");
    api.press(&user, &format!("{path}/call_missing")).await.problem(409, "number_not_allowed");
    let call = format!("{path}/participants/{ana}/call");
    api.post(&user, &call, json!({"phone": "+38659900002"})).await.expect(202);
    api.until(&user, &conference, "Ana is in again", |view| state_of(view, "Ana") == Some("in")).await;
}

#[tokio::test]
async fn on_the_short_number_somebody_must_vouch_for_the_line() {
    let Some(api) = Api::fresh().await else { return };
    let call = |asserted: Vec<String>, trunk: &str| CallIn {
        dialled: "19819".into(),
        asserted,
        presented: "+38640123456".into(),
        trunk: trunk.into(),
        ..CallIn::default()
    };
    for (asserted, trunk) in [
        (Vec::new(), "trunk"),
        (vec!["<sip:+38640123456@example.test>".to_owned()], "somebody-elses"),
        (vec!["\"'); DROP TABLE accounts; --\" <sip:\u{0}\r\n@@>".to_owned(), "x".repeat(256)], "trunk"),
    ] {
        let leg = api.simulator.call_in(call(asserted, trunk));
        hears(&api, leg, Phrase::NoIdentity).await;
    }
}

#[tokio::test]
async fn a_private_number_is_told_to_the_billing_and_not_to_the_convener() {
    let Some(api) = Api::fresh().await else { return };
    let user = api.user("100200").await;
    let (_, ana_code) = contact(&api, &user, "Ana").await;
    let (_, bor_code) = contact(&api, &user, "Bor").await;
    let conference = planned(&api, &user, "Sestanek", &[]).await;
    started(&api, &user, &conference).await;
    let calls = |line: &str, private: bool, code: &str| {
        api.simulator.call_in(CallIn {
            dialled: "19819".into(),
            asserted: vec![format!("<sip:{line}@example.test>")],
            presented: if private { "anonymous" } else { line }.into(),
            private,
            trunk: "trunk".into(),
            keys: vec![format!("{code}#")],
            ..CallIn::default()
        })
    };
    let (hidden, shown) = (calls("+38659900005", true, &ana_code), calls("+38659900006", false, &bor_code));
    let both = |state: &'static str| move |view: &Value| state_of(view, "Ana") == Some(state) && state_of(view, "Bor") == Some(state);
    api.until(&user, &conference, "both are in", both("in")).await;
    api.simulator.hang_up(hidden);
    api.simulator.hang_up(shown);
    api.until(&user, &conference, "both have left", both("left")).await;
    let listed = api.get(&user, "/api/v1/charges").await.expect(200);
    let told = |leg: LegId| -> Vec<Value> {
        let all = listed["charges"].as_array().unwrap().iter();
        all.filter(|charge| charge["leg"] == json!(leg)).map(|charge| charge["line"].clone()).collect()
    };
    // Call and conference of each.
    assert_eq!(told(hidden), [Value::Null, Value::Null], "{listed}");
    assert_eq!(told(shown), [json!("+38659900006"), json!("+38659900006")], "{listed}");
    let kept = sklic::storage::charges::list_of_legs(&mut *api.database.connection().await, &[hidden]).await.unwrap();
    let line = Some("+38659900005".to_owned());
    assert!(kept.len() == 2 && kept.iter().all(|charge| charge.payer == sklic::billing::Payer::Caller { line: line.clone() }), "{kept:?}");
}

#[tokio::test]
async fn guessing_locks_the_line_out_and_the_lock_outlives_a_restart() {
    let Some(api) = Api::fresh().await else { return };
    let user = api.user("100200").await;
    let (ana, code) = contact(&api, &user, "Ana").await;
    let conference = planned(&api, &user, "Sestanek", &[&ana]).await;
    for _ in 0..2 {
        let leg = dials(&api, "013099396", "+38659900001", &["11111111", "22222222", "33333333"]);
        hears(&api, leg, Phrase::TooManyTries).await;
    }
    hears(&api, dials(&api, "013099396", "+38659900001", &[&code]), Phrase::WrongCode).await;
    // Another line is not locked out.
    hears(&api, dials(&api, "013099396", "+38659900002", &[&code]), Phrase::Waiting).await;
    let again = api.again_with(Default::default(), Default::default()).await;
    hears(&again, dials(&again, "013099396", "+38659900001", &[&code]), Phrase::WrongCode).await;
    drop(conference);
}

#[tokio::test]
async fn failures_at_the_same_moment_all_count() {
    let Some(api) = Api::fresh().await else { return };
    let rules = LockOutRules { line_failures: 1000, ..LockOutRules::default() };
    let now = sklic::clock::now();
    let guess = async || {
        let mut connection = api.database.connection().await;
        dial_in::count_failure(&mut connection, Subject::Line, "+38659900001", &rules, now).await.unwrap();
    };
    futures_util::future::join_all((0..20).map(|_| guess())).await;
    let counter = dial_in::lock_out(&mut *api.database.connection().await, Subject::Line, "+38659900001").await.unwrap();
    assert_eq!(counter.failures, 20);
}

#[tokio::test]
async fn the_pin_starts_conferences_and_only_the_right_one() {
    let Some(api) = Api::fresh().await else { return };
    let user = api.user("100200").await;
    let session = api.login("100200", PASSWORD).await;
    assert_eq!(session.status, 200, "{}", session.text());
    dial_in::set_pin(&mut *api.database.connection().await, user.account, Some(&sklic::http::secrets::hash_password("730519").unwrap()))
        .await
        .unwrap();
    assert_eq!(api.get(&user, "/api/v1/me").await.expect(200)["has_pin"], true);
    // A program's token must not be enough to set it.
    api.put(&user, "/api/v1/me/pin", json!({"current_password": PASSWORD, "pin": "730520"})).await.problem(403, "forbidden");
    let conference = api.plan(&user, &["+38659900002"]).await;
    let wrong = dials(&api, "19819", "+38659900009", &["100200", "730518", "0", "1"]);
    hears(&api, wrong, Phrase::TooManyTries).await;
    let id = text(&conference["id"]);
    assert_eq!(api.get(&user, &format!("/api/v1/conferences/{id}")).await.expect(200)["state"], "planned");
    dials(&api, "19819", "+38659900008", &["100200", "730519"]);
    let view = api.until(&user, &id, "everybody is in", |view| view["participants"].as_array().unwrap().iter().all(|person| person["state"] == "in"));
    let view = view.await;
    assert_eq!(view["participants"][0]["way_of_entry"], "onnet_short", "the convener was not called: {view}");
    assert_eq!(view["participants"][1]["way_of_entry"], "web_out");
}

#[tokio::test]
async fn guesses_at_the_same_moment_are_compared_one_after_the_other() {
    let Some(api) = Api::fresh().await else { return };
    let user = api.user("100200").await;
    let pin = sklic::http::secrets::hash_password("730519").unwrap();
    dial_in::set_pin(&mut *api.database.connection().await, user.account, Some(&pin)).await.unwrap();
    let id = text(&api.plan(&user, &["+38659900002"]).await["id"]);
    // The right one is the last of thirty, and five wrong ones lock the account out.
    for line in 10..39 {
        dials(&api, "19819", &format!("+386599000{line}"), &["100200", "730518"]);
    }
    let right = dials(&api, "19819", "+38659900039", &["100200", "730519"]);
    hears(&api, right, Phrase::WrongPin).await;
    assert_eq!(api.get(&user, &format!("/api/v1/conferences/{id}")).await.expect(200)["state"], "planned");
    let counter = dial_in::lock_out(&mut *api.database.connection().await, Subject::Code, &user.account.to_string()).await.unwrap();
    assert_eq!(counter.failures, LockOutRules::default().code_failures);
}

#[tokio::test]
async fn while_the_database_is_away_callers_still_hear_what_needs_none() {
    for mode in [Mode::Refuse, Mode::Freeze] {
        let Some((api, proxy)) = behind_proxy().await else { return };
        proxy.set(mode);
        // Spread over more than the time for which a lease stands: without the database it cannot be renewed, and nobody else can take it.
        for at in 0..20 {
            hears(&api, dials(&api, "099", &format!("+386599000{at:02}"), &[]), Phrase::Apology).await;
            tokio::time::sleep(std::time::Duration::from_millis(250)).await;
        }
    }
}

#[tokio::test]
async fn a_right_code_never_sounds_wrong_for_the_database() {
    let Some((api, proxy)) = behind_proxy().await else { return };
    let user = api.user("100200").await;
    let (_, code) = contact(&api, &user, "Ana").await;
    let leg = dials(&api, "013099396", "+38659900001", &[]);
    hears(&api, leg, Phrase::EnterCode).await;
    proxy.set(Mode::Refuse);
    api.simulator.key(leg, &format!("{code}#"));
    hears_within(&api, leg, Phrase::Apology, 2 * PATIENCE).await;
    assert!(!api.simulator.heard(leg).iter().any(|(_, phrase)| *phrase == Phrase::WrongCode));
}

#[tokio::test]
async fn callers_of_whom_nothing_is_known_do_not_lock_each_other_out() {
    let Some(api) = Api::fresh().await else { return };
    let user = api.user("100200").await;
    let (ana, code) = contact(&api, &user, "Ana").await;
    planned(&api, &user, "Sestanek", &[&ana]).await;
    let anonymous = |keys: &[&str]| {
        let keys = keys.iter().map(|keys| format!("{keys}#")).collect();
        api.simulator.call_in(CallIn { dialled: "013099396".into(), presented: "anonymous".into(), trunk: "trunk".into(), keys, ..CallIn::default() })
    };
    for _ in 0..3 {
        hears(&api, anonymous(&["11111111", "22222222", "33333333"]), Phrase::TooManyTries).await;
    }
    hears(&api, anonymous(&[&code]), Phrase::Waiting).await;
    let counter = dial_in::lock_out(&mut *api.database.connection().await, Subject::AccessNumber, "+386 1 309 93 96").await.unwrap();
    assert_eq!(counter.failures, 9, "they count for all");
}

#[tokio::test]
async fn a_convener_whose_line_still_hangs_starts_no_other_conference_by_redialling() {
    let Some(api) = Api::fresh().await else { return };
    let user = api.user("100200").await;
    let pin = sklic::http::secrets::hash_password("730519").unwrap();
    dial_in::set_pin(&mut *api.database.connection().await, user.account, Some(&pin)).await.unwrap();
    let (ana, _) = contact(&api, &user, "Ana").await;
    let running = planned(&api, &user, "Teče", &[&ana]).await;
    started(&api, &user, &running).await;
    let next = planned(&api, &user, "Naslednja", &[&ana]).await;
    // As when his line has died and the switch has not noticed yet.
    let leg = dials(&api, "013099396", "+38659900001", &["100200", "730519"]);
    hears(&api, leg, Phrase::NotPossible).await;
    let all = api.get(&user, "/api/v1/conferences").await.expect(200);
    let mut states: Vec<_> = all["conferences"].as_array().unwrap().iter().map(|one| (text(&one["id"]), text(&one["state"]))).collect();
    let mut expected = [(running, "running".to_owned()), (next, "planned".to_owned())];
    states.sort();
    expected.sort();
    assert_eq!(states, expected);
    // By another telephone he may hold two at the same time.
    dials(&api, "013099396", "+38659900008", &["100200", "730519"]);
    api.until(&user, &expected.iter().find(|(_, state)| state == "planned").unwrap().0, "it runs too", |view| view["state"] == "running").await;
}

#[tokio::test]
async fn failures_leak_and_right_codes_hasten_it() {
    let Some(api) = Api::fresh().await else { return };
    let rules = LockOutRules { line_failures: 4, forgive_after_seconds: 4 * 3600, longest_seconds: 3600, ..LockOutRules::default() };
    let start = sklic::clock::now();
    let after = |minutes: i64| start + jiff::SignedDuration::from_mins(minutes);
    let mut connection = api.database.connection().await;
    for at in [after(0), after(50), after(100), after(150), after(200), after(250)] {
        let counter = dial_in::count_failure(&mut connection, Subject::Line, "+38659900001", &rules, at).await.unwrap();
        assert_eq!(counter.locked_until, None, "one an hour is let off");
        assert_eq!(dial_in::lock_out(&mut connection, Subject::Line, "+38659900001").await.unwrap(), counter, "it is kept as it is");
    }
    dial_in::relieve(&mut connection, Subject::Line, "+38659900001", &rules, after(256)).await.unwrap();
    let counter = dial_in::lock_out(&mut connection, Subject::Line, "+38659900001").await.unwrap();
    assert_eq!((counter.failures, counter.last_failed_at), (0, None), "sixteen minutes count like more than two hours");
}
