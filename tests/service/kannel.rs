//! Messages through a real Kannel to its fake message centre, in the lab.

use std::process::Command;

use serde_json::json;
use sklic::delivery::Bell;
use sklic::delivery::sms::SmsGatewayConfig;
use tokio::net::TcpListener;

use crate::api::Api;
use crate::database::Database;
use crate::delivery::patience;
use crate::messages::{REPORT_SECRET, Workers, desk};
use crate::smtp::until;

/// The lab's Kannel, started if it does not run; `None`, said aloud, outside of the lab.
fn lab() -> Option<(String, String)> {
    let (Ok(url), Ok(log)) = (std::env::var("SKLIC_LAB_SMS_URL"), std::env::var("SKLIC_LAB_SMS_LOG")) else {
        eprintln!("SKIPPED: there is no lab (vagrant/provision/lab.sh run -- cargo test)");
        return None;
    };
    let started = Command::new("vagrant/provision/lab.sh").args(["start", "sms"]).status().unwrap();
    assert!(started.success());
    Some((url, log))
}

/// A line of the fake centre, which prints bytes percent-encoded and blanks as plus signs.
fn decoded(line: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = line.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escaped = (*first == b'%').then(|| after.get(..2)).flatten().and_then(|digits| std::str::from_utf8(digits).ok());
        if let Some(byte) = escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            bytes.push(byte);
            rest = &after[2..];
        } else {
            bytes.push(if *first == b'+' { b' ' } else { *first });
            rest = after;
        }
    }
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_gateway_delivers_every_letter_and_reports_back() {
    let Some((url, log)) = lab() else { return };
    let Some(database) = Database::fresh().await else { return };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let secret = std::env::var("SKLIC_LAB_SMS_SECRET").unwrap();
    let config = format!(
        "name = \"kannel\"\nkind = \"kannel\"\nurl = \"{url}\"\nusername = \"sklic\"\nsecret = \"{secret}\"\nsender = \"Sklic\"\n\
        report = {{ secret = \"{REPORT_SECRET}\", url = \"http://{}\" }}",
        listener.local_addr().unwrap()
    );
    let gateway: SmsGatewayConfig = toml::from_str(&config).unwrap();
    let (desk, mut bell) = (desk(&[gateway]), Bell::default());
    let workers = Workers::start(&database.pool, &desk, None, &mut bell, patience());
    let pool = database.pool.clone();
    let api = Api::built_on(database, pool, desk, bell).await;
    tokio::spawn(sklic::http::serve(listener, api.state.clone(), api.stop.clone()));
    let user = api.user("100200").await;
    // A number of its own, so that its lines in the log are told from those of others.
    let number = format!("+386599{:08}", uuid::Uuid::now_v7().as_u128() % 100_000_000);
    let view = api.plan(&user, &[&number]).await;
    let path = format!("/api/v1/conferences/{}/messages", view["id"].as_str().unwrap());
    let arrived = || std::fs::read_to_string(&log).unwrap().lines().filter(|line| line.contains(&number)).map(str::to_owned).collect::<Vec<_>>();
    let long = format!("{}€{}", "a".repeat(152), "b".repeat(152));
    let emoji = format!("{}🎉{}", "č".repeat(66), "š".repeat(66));
    let mut parts_so_far = 0;
    let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<u8>>();
    for (text, bytes) in [
        ("Živjo, čšž".to_owned(), utf16("Živjo, čšž")),
        ("Zivjo [1] ~ 2 = 3%".to_owned(), b"Zivjo [1] ~ 2 = 3%".to_vec()),
        (long, format!("€{}", "b".repeat(151)).into_bytes()),
        (emoji, utf16(&"č".repeat(66))),
    ] {
        let body = json!({"channels": ["sms"], "text": text});
        let counted = api.post(&user, &format!("{path}/preview"), body.clone()).await.expect(200)["sms_parts"].as_u64().unwrap();
        api.post(&user, &path, body).await.expect(202);
        parts_so_far += usize::try_from(counted).unwrap();
        until("all parts have arrived", async || arrived().len() >= parts_so_far).await;
        until("the report is there", async || {
            let list = api.get(&user, &path).await.expect(200);
            list["messages"].as_array().unwrap().last().unwrap()["deliveries"][0]["state"] == "delivered"
        })
        .await;
        let lines = arrived();
        assert_eq!(lines.len(), parts_so_far, "as many parts as were counted: {lines:?}");
        let holds = |line: &String| decoded(line).windows(bytes.len()).any(|window| window == bytes);
        assert!(lines.iter().any(holds), "{text} in {lines:?}");
    }
    workers.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_gateway_that_refuses_the_login_keeps_the_message_waiting() {
    let Some((url, _)) = lab() else { return };
    let config = format!("name = \"kannel\"\nkind = \"kannel\"\nurl = \"{url}\"\nusername = \"sklic\"\nsecret = \"wrong\"");
    let gateways = desk(&[toml::from_str(&config).unwrap()]).gateways;
    let gateway = gateways.by_name("kannel").unwrap();
    let message = sklic::delivery::sms::SmsContent { to: "+38659900002".into(), text: "a".into(), coding: sklic::delivery::sms::Coding::Gsm7 };
    let failure = gateway.send(uuid::Uuid::nil(), sklic::clock::now(), &message).await.unwrap_err();
    assert_eq!((failure.kind, failure.status, failure.lasting), ("refused", Some(403), false));
    assert!(!failure.words.contains("wrong"));
}
