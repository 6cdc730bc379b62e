//! Messages: looked at, sent to all or to nobody, and told person by person what became of them.

use std::sync::Arc;

use axum::http::Method;
use jiff::SignedDuration;
use serde_json::{Value, json};
use sklic::billing::WayOfEntry;
use sklic::delivery::sms::{Gateways, SmsChannel, SmsGatewayConfig};
use sklic::delivery::{Bell, Desk, Mailer, MessagesConfig, Patience};
use sklic::storage::Pool;
use tokio_util::sync::CancellationToken;

use crate::api::{Api, User};
use crate::database::Database;
use crate::delivery::{PACE, config as mail_config, patience};
use crate::sms_gateway::{Answer, Breaking, SmsGateway};
use crate::smtp::{MailServer, until};

/// The secret of delivery reports.
pub const REPORT_SECRET: &str = "report-secret-of-the-tests";

/// A Kannel at this address.
pub fn kannel(address: std::net::SocketAddr, more: &str) -> SmsGatewayConfig {
    let text = format!(
        "name = \"kannel\"\nkind = \"kannel\"\nurl = \"http://{address}/cgi-bin/sendsms\"\nusername = \"sklic\"\nsecret = \"s3cret\"\nsender = \"Sklic\"\n\
        {more}\n[report]\nsecret = \"{REPORT_SECRET}\"\nurl = \"http://127.0.0.1:9\"\n"
    );
    toml::from_str(&text).unwrap()
}

/// A desk that sends by this gateway.
pub fn desk(gateways: &[SmsGatewayConfig]) -> Desk {
    Desk {
        has_mail: true,
        gateways: Gateways::new(gateways, "http://127.0.0.1:8080").unwrap(),
        access_numbers: vec![(WayOfEntry::National, "013099396".into()), (WayOfEntry::International, "+38613099396".into())],
        ..Desk::default()
    }
}

/// The workers of mail and SMS, as the service runs them.
pub struct Workers {
    stop: CancellationToken,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Workers {
    pub fn start(pool: &Pool, desk: &Desk, mail: Option<&MailServer>, bell: &mut Bell, patience: Patience) -> Self {
        let stop = CancellationToken::new();
        let sms = SmsChannel::new(desk.gateways.clone(), "example.test".into());
        let mut tasks = vec![tokio::spawn(sklic::delivery::run(pool.clone(), sms, PACE, patience, bell.add(), stop.clone()))];
        if let Some(mail) = mail {
            let mailer = Mailer::new(&mail_config(&mail.url())).unwrap();
            tasks.push(tokio::spawn(sklic::delivery::run(pool.clone(), mailer, PACE, patience, bell.add(), stop.clone())));
        }
        Self { stop, tasks }
    }

    pub async fn stop(self) {
        self.stop.cancel();
        for task in self.tasks {
            task.await.unwrap();
        }
    }
}

async fn planned(api: &Api, user: &User) -> (String, Value) {
    let people = json!([
        {"name": "Žiga Čopič", "phone": "+38659900002", "email": "ziga@example.test"},
        {"name": "Bor {code}", "phone": "+38659900003"},
        {"name": "Eva", "phone": "+38659900004", "email": "eva@example.test"},
    ]);
    let at = sklic::clock::now() + SignedDuration::from_hours(48);
    let view = api.post(user, "/api/v1/conferences", json!({"title": "Uprava", "participants": people, "scheduled_at": at})).await.expect(201);
    (format!("/api/v1/conferences/{}/messages", view["id"].as_str().unwrap()), view)
}

/// Waits until no delivery is queued, and gives the last message.
async fn settled(api: &Api, user: &User, path: &str) -> Value {
    until("all is settled", async || {
        let list = api.get(user, path).await.expect(200);
        list["messages"].as_array().unwrap().last().unwrap()["counts"]["queued"] == 0
    })
    .await;
    api.get(user, path).await.expect(200)["messages"].as_array().unwrap().last().unwrap().clone()
}

fn delivery<'a>(message: &'a Value, name: &str, channel: &str) -> &'a Value {
    let found = message["deliveries"].as_array().unwrap().iter().find(|delivery| delivery["name"] == name && delivery["channel"] == channel);
    found.unwrap_or_else(|| panic!("{name} by {channel} in {message}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_goes_out_by_sms_and_mail_and_reports_come_back() {
    let Some(mail) = MailServer::start().await else { return };
    let gateway = SmsGateway::willing().await;
    let (desk, mut bell) = (desk(&[kannel(gateway.address, "")]), Bell::default());
    let Some(database) = Database::fresh().await else { return };
    let workers = Workers::start(&database.pool, &desk, Some(&mail), &mut bell, patience());
    let pool = database.pool.clone();
    let api = Api::built_on(database, pool, desk, bell).await;
    let user = api.user("100200").await;
    let (path, _) = planned(&api, &user).await;
    let text = "{name}, dobimo se {date} ob {time}.\nKličite {access_number}. <b>Čšž</b>";
    let body = json!({"channels": ["sms", "email"], "text": text, "skip_lacking": true});
    let sent = api.post(&user, &path, body).await.expect(202);
    assert_eq!(sent["skipped"].as_array().unwrap().len(), 1);
    assert_eq!(sent["skipped"][0]["lacks"], json!(["email"]));
    let message = settled(&api, &user, &path).await;
    assert_eq!(message["counts"], json!({"queued": 0, "sent": 5, "delivered": 0, "failed": 0}));
    let taken = gateway.taken();
    assert_eq!(taken.len(), 3);
    let to_bor = taken.iter().find(|request| request.query["to"] == "+38659900003").unwrap();
    assert!(
        to_bor.query["text"].starts_with("Bor {code}, dobimo se ") && to_bor.query["text"].ends_with("Kličite 013099396. <b>Čšž</b>"),
        "{to_bor:?}"
    );
    assert_eq!((to_bor.query["coding"].as_str(), to_bor.query["from"].as_str()), ("2", "Sklic"));
    let mails = mail.mails();
    assert_eq!(mails.len(), 2);
    assert!(mails.iter().all(|mail| mail.contains("Reply-To: ana@example.test") && mail.contains("&lt;b&gt;=C4=8C")), "{}", mails[0]);
    // The gateway reports by the address that came with each message.
    let report = |status: &str, request: &crate::sms_gateway::Taken| {
        let url = request.query["dlr-url"].replace("%d", status).replace("%A", "NACK%2F12");
        url.strip_prefix("http://127.0.0.1:9").unwrap().to_owned()
    };
    let answer = api.get(&user, &report("1", to_bor)).await.expect(200);
    assert_eq!(answer, json!({"taken": true}));
    let to_eva = taken.iter().find(|request| request.query["to"] == "+38659900004").unwrap();
    api.get(&user, &report("8", to_eva)).await.expect(200);
    api.get(&user, &report("16", to_eva)).await.expect(200);
    let forged = report("1", to_eva).replace("proof=", "proof=0");
    api.get(&user, &forged).await.problem(403, "forbidden");
    let message = settled(&api, &user, &path).await;
    assert_eq!(delivery(&message, "Bor {code}", "sms")["state"], "delivered");
    let eva = delivery(&message, "Eva", "sms");
    assert_eq!((eva["state"].as_str(), eva["reason"].as_str()), (Some("failed"), Some("refused by the message centre: NACK/12")));
    assert_eq!(delivery(&message, "Eva", "email")["state"], "sent");
    workers.stop().await;
}

#[tokio::test]
async fn a_message_is_looked_at_before_it_is_sent() {
    let Some(api) = Api::with_messages(desk(&[kannel("127.0.0.1:9".parse().unwrap(), "")]), Bell::default()).await else { return };
    let user = api.user("100200").await;
    let (path, view) = planned(&api, &user).await;
    let preview = format!("{path}/preview");
    let body = json!({"channels": ["sms", "email"], "text": format!("{{name}} {}", "a".repeat(60))});
    let seen = api.post(&user, &preview, body.clone()).await.expect(200);
    assert_eq!((seen["recipients"].as_u64(), seen["mails"].as_u64(), seen["sms_parts"].as_u64()), (Some(3), Some(2), Some(4)));
    assert_eq!(seen["most_parts"], 2);
    let longest = &seen["examples"][0];
    assert_eq!((longest["name"].as_str(), &longest["sms"]["coding"], &longest["sms"]["length"]), (Some("Žiga Čopič"), &json!("ucs2"), &json!(71)));
    assert_eq!(seen["lacking"], json!([{"participant_id": view["participants"][2]["id"], "name": "Bor {code}", "lacks": ["email"]}]));
    // Not sent as it is, and to nobody.
    let person = &view["participants"][2]["id"];
    api.post(&user, &path, body).await.fields(&[("participants", "lacks_email")]);
    api.post(&user, &path, json!({"channels": ["email"], "text": "a", "participants": [person]})).await.fields(&[("participants[0]", "lacks_email")]);
    let nobody = json!({"channels": ["email"], "text": "a", "participants": [person], "skip_lacking": true});
    api.post(&user, &path, nobody).await.fields(&[("participants", "required")]);
    let code = json!({"channels": ["sms"], "text": "koda {code}"});
    api.post(&user, &path, code).await.fields(&[("participants", "lacks_code"), ("participants", "lacks_code"), ("participants", "lacks_code")]);
    assert_eq!(api.get(&user, &path).await.expect(200), json!({"messages": []}));
}

#[tokio::test]
async fn what_is_wrong_is_told_by_field_and_nothing_is_sent() {
    let Some(api) = Api::with_messages(desk(&[kannel("127.0.0.1:9".parse().unwrap(), "")]), Bell::default()).await else { return };
    let user = api.user("100200").await;
    let (path, view) = planned(&api, &user).await;
    let convener = view["participants"][0]["id"].clone();
    let other = api.user("100201").await;
    for (body, fields) in [
        (json!({"channels": [], "text": "a"}), vec![("channels", "required")]),
        (json!({"channels": ["sms", "sms"], "text": "a"}), vec![("channels[1]", "duplicate")]),
        (json!({"channels": ["sms"], "text": " "}), vec![("text", "required")]),
        (json!({"channels": ["sms"], "text": "a".repeat(2001)}), vec![("text", "too_long")]),
        (json!({"channels": ["sms"], "text": "a\u{0}b"}), vec![("text", "control_character")]),
        (json!({"channels": ["sms"], "text": "a\rBcc: x@y.si"}), vec![("text", "control_character")]),
        (json!({"channels": ["sms"], "text": "Živjo {ime}"}), vec![("text", "unknown_placeholder")]),
        (json!({"channels": ["sms"], "text": "Živjo {"}), vec![("text", "invalid")]),
        (json!({"channels": ["email"], "text": "a", "subject": "a\r\nBcc: x@y.si"}), vec![("subject", "control_character")]),
        (json!({"channels": ["sms"], "text": "č".repeat(500)}), vec![("text", "too_many_parts")]),
        (json!({"channels": ["sms"], "text": "a", "participants": [convener]}), vec![("participants[0]", "unknown_participant")]),
        (json!({"channels": ["sms"], "text": "a", "participants": []}), vec![("participants", "required")]),
        (json!({"channels": ["sms"], "text": "a", "to": "all"}), vec![("to", "unknown_field")]),
        (json!({"channels": ["fax"], "text": "a"}), vec![("channels[0]", "invalid")]),
    ] {
        api.post(&user, &path, body).await.fields(&fields);
    }
    let many: Vec<String> = (0..5_000).map(|n| uuid::Uuid::from_u128(n).to_string()).collect();
    api.post(&user, &path, json!({"channels": ["sms"], "text": "a", "participants": many})).await.fields(&[("participants", "too_many")]);
    api.post(&other, &path, json!({"channels": ["sms"], "text": "a"})).await.problem(404, "not_found");
    assert_eq!(api.get(&user, &path).await.expect(200), json!({"messages": []}));
    let Some(bare) = Api::fresh().await else { return };
    let user = bare.user("100200").await;
    let (path, _) = planned(&bare, &user).await;
    let both = json!({"channels": ["sms", "email"], "text": "a"});
    bare.post(&user, &path, both).await.fields(&[("channels[0]", "not_available"), ("channels[1]", "not_available")]);
}

#[tokio::test]
async fn an_account_has_a_limit_in_an_hour_and_passes_it_with_nothing() {
    let limits = MessagesConfig { sms_parts_per_hour: 5, mails_per_hour: 2, ..MessagesConfig::default() };
    let desk = Desk { limits, ..desk(&[kannel("127.0.0.1:9".parse().unwrap(), "")]) };
    let Some(api) = Api::with_messages(desk, Bell::default()).await else { return };
    let user = api.user("100200").await;
    let (path, _) = planned(&api, &user).await;
    let body = json!({"channels": ["sms", "email"], "text": "a", "skip_lacking": true});
    api.post(&user, &path, body.clone()).await.expect(202);
    let answer = api.post(&user, &path, body).await;
    assert!(answer.header("retry-after").parse::<u32>().is_ok());
    answer.problem(429, "over_quota");
    api.post(&user, &path, json!({"channels": ["email"], "text": "a", "skip_lacking": true})).await.problem(429, "over_quota");
    assert_eq!(api.get(&user, &path).await.expect(200)["messages"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_that_pass_and_those_that_last() {
    let answers = [
        Answer::Says(503, "Temporal failure, try again later."),
        Answer::Hangs,
        Answer::Says(403, "Authorization failed for sendsms"),
        Answer::Says(202, "3: Queued for later delivery"),
    ];
    let gateway = SmsGateway::start(&answers, Answer::Says(400, "Invalid receiver number\r\n, rejected")).await;
    let (desk, mut bell) = (desk(&[kannel(gateway.address, "timeout_seconds = 1")]), Bell::default());
    let Some(database) = Database::fresh().await else { return };
    let workers = Workers::start(&database.pool, &desk, None, &mut bell, patience());
    let pool = database.pool.clone();
    let api = Api::built_on(database, pool, desk, bell).await;
    let user = api.user("100200").await;
    let (path, view) = planned(&api, &user).await;
    let one = |at: usize| json!({"channels": ["sms"], "text": "a", "participants": [view["participants"][at]["id"]]});
    api.post(&user, &path, one(1)).await.expect(202);
    let message = settled(&api, &user, &path).await;
    assert_eq!((&message["deliveries"][0]["state"], &message["deliveries"][0]["attempts"]), (&json!("sent"), &json!(4)));
    // Each attempt names the same message.
    let named: std::collections::HashSet<String> = gateway.taken().iter().map(|request| request.query["binfo"].clone()).collect();
    assert_eq!((gateway.taken().len(), named.len()), (4, 1));
    api.post(&user, &path, one(2)).await.expect(202);
    let message = settled(&api, &user, &path).await;
    let failed = &message["deliveries"][0];
    assert_eq!((&failed["state"], &failed["attempts"]), (&json!("failed"), &json!(1)));
    assert_eq!(failed["reason"], "the gateway answered 400: Invalid receiver number, rejected");
    workers.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_closes_in_mid_dialogue_gets_the_same_message_again() {
    // Nothing at all, half a status line, a head without its end, half a body: none of them says that the message was taken.
    const CUTS: [&str; 4] = ["", "HTTP/1.1 20", "HTTP/1.1 202 Accepted\r\nContent-Le", "HTTP/1.1 202 Accepted\r\nContent-Length: 25\r\n\r\n0: Accep"];
    let gateway = SmsGateway::willing().await;
    let breaking = Breaking::before(&gateway, &CUTS).await;
    let (desk, mut bell) = (desk(&[kannel(breaking.address, "timeout_seconds = 5")]), Bell::default());
    let Some(database) = Database::fresh().await else { return };
    let workers = Workers::start(&database.pool, &desk, None, &mut bell, patience());
    let pool = database.pool.clone();
    let api = Api::built_on(database, pool, desk, bell).await;
    let user = api.user("100200").await;
    let (path, view) = planned(&api, &user).await;
    let one = json!({"channels": ["sms"], "text": "a", "participants": [view["participants"][1]["id"]]});
    api.post(&user, &path, one).await.expect(202);
    let message = settled(&api, &user, &path).await;
    assert_eq!((&message["deliveries"][0]["state"], &message["deliveries"][0]["attempts"]), (&json!("sent"), &json!(5)));
    workers.stop().await;
    let taken = gateway.taken();
    assert_eq!(taken.len(), 1, "one message is taken");
    // What was cut off named the same message, so that a gateway that had taken it could know it again.
    let name = format!("binfo={}", taken[0].query["binfo"]);
    let cut_off = breaking.cut_off.lock().unwrap();
    assert!(cut_off.len() == 4 && cut_off.iter().all(|request| request.contains(&name)), "{cut_off:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_gateway_is_described_and_chosen_by_number() {
    let (at_home, abroad) = (SmsGateway::willing().await, SmsGateway::start(&[], Answer::Says(200, r#"{"ok":true,"message":{"id":"m-77"}}"#)).await);
    let described = format!(
        "name = \"abroad\"\nkind = \"template\"\nurl = \"http://{}/send/{{username}}\"\nusername = \"a/b\"\nsecret = \"k3y\"\nprefixes = [\"+386599000\"]\n\
        alphabet = \"transliterate\"\nbody = '{{\"to\":\"{{to}}\",\"text\":\"{{text}}\",\"ref\":\"{{id}}\"}}'\n\
        accepted = {{ body = '\"ok\":true', id = '/message/id' }}\n\
        headers = {{ Content-Type = 'application/json', X-Key = '{{secret}}' }}\n\
        report = {{ secret = \"{REPORT_SECRET}\", id = 'messageId', state = 'state', delivered = ['OK'] }}\n",
        abroad.address
    );
    let gateways = [kannel(at_home.address, ""), toml::from_str(&described).unwrap()];
    let (desk, mut bell) = (desk(&gateways), Bell::default());
    let Some(database) = Database::fresh().await else { return };
    let workers = Workers::start(&database.pool, &desk, None, &mut bell, patience());
    let pool = database.pool.clone();
    let api = Api::built_on(database, pool, desk, bell).await;
    let user = api.user("100200").await;
    let (path, view) = planned(&api, &user).await;
    let body = json!({"channels": ["sms"], "text": "Živjo \"{name}\"", "participants": [view["participants"][1]["id"]]});
    api.post(&user, &path, body).await.expect(202);
    settled(&api, &user, &path).await;
    assert!(at_home.taken().is_empty(), "the longer prefix decides");
    let request = abroad.taken().remove(0);
    assert_eq!((request.path.as_str(), request.headers["x-key"].as_str()), ("/send/a%2Fb", "k3y"));
    let sent: Value = serde_json::from_str(&request.body).unwrap();
    assert_eq!((&sent["to"], &sent["text"]), (&json!("+38659900002"), &json!("Zivjo \"Ziga Copic\"")));
    // The gateway reports by its own identifier, as a form.
    let gateway_itself = User { token: REPORT_SECRET.into(), ..user.clone() };
    let report = "messageId=m-77&state=OK";
    // Another gateway may count alike, and has nothing to say of what it has not sent.
    for foreign in [json!({"id": "m-77", "status": "1"}), json!({"id": "abroad:m-77", "status": "1"}), json!({"job": sent["ref"], "status": "1"})] {
        let to_kannel = "/api/v1/delivery_reports/kannel";
        api.text(Method::POST, &gateway_itself, to_kannel, "application/json", foreign.to_string()).await.problem(404, "not_found");
    }
    assert_eq!(settled(&api, &user, &path).await["deliveries"][0]["state"], "sent");
    api.text(Method::POST, &gateway_itself, "/api/v1/delivery_reports/abroad", "application/x-www-form-urlencoded", report).await.expect(200);
    assert_eq!(settled(&api, &user, &path).await["deliveries"][0]["state"], "delivered");
    workers.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_overtakes_the_answer_keeps_the_message_from_going_twice() {
    let go = Arc::new(tokio::sync::Notify::new());
    let gateway = SmsGateway::start(&[Answer::Waits(Arc::clone(&go), 202, "0: Accepted for delivery")], Answer::Says(202, "0: again")).await;
    let (desk, mut bell) = (desk(&[kannel(gateway.address, "timeout_seconds = 30")]), Bell::default());
    let Some(database) = Database::fresh().await else { return };
    let workers = Workers::start(&database.pool, &desk, None, &mut bell, patience());
    let pool = database.pool.clone();
    let api = Api::built_on(database, pool, desk, bell).await;
    let user = api.user("100200").await;
    let (path, view) = planned(&api, &user).await;
    api.post(&user, &path, json!({"channels": ["sms"], "text": "a", "participants": [view["participants"][1]["id"]]})).await.expect(202);
    until("the gateway has it", async || gateway.taken().len() == 1).await;
    let job = gateway.taken()[0].query["binfo"].clone();
    // By the secret instead of the proof, and by POST: as a gateway with one address for all does.
    let report = json!({"job": job, "status": 1, "secret": REPORT_SECRET});
    let report = api
        .text(
            Method::POST,
            &User { token: REPORT_SECRET.into(), ..user.clone() },
            "/api/v1/delivery_reports/kannel",
            "application/json",
            report.to_string(),
        )
        .await;
    report.expect(200);
    let message = settled(&api, &user, &path).await;
    assert_eq!(message["deliveries"][0]["state"], "delivered");
    go.notify_one();
    workers.stop().await;
    assert_eq!(gateway.taken().len(), 1);
    let unknown = json!({"job": uuid::Uuid::nil(), "status": "1", "secret": REPORT_SECRET}).to_string();
    let gateway_itself = User { token: REPORT_SECRET.into(), ..user.clone() };
    api.text(Method::POST, &gateway_itself, "/api/v1/delivery_reports/kannel", "application/json", unknown).await.problem(404, "not_found");
    api.get(&user, "/api/v1/delivery_reports/nothing?job=1").await.problem(403, "forbidden");
}

#[tokio::test(flavor = "multi_thread")]
async fn five_thousand_people_get_it_or_nobody_does() {
    let limits = MessagesConfig { most_recipients: 5_000, sms_parts_per_hour: 4_999, ..MessagesConfig::default() };
    let gateway = SmsGateway::willing().await;
    let base = desk(&[kannel(gateway.address, "")]);
    let (desk, mut bell) = (Desk { limits, ..base }, Bell::default());
    let Some(database) = Database::fresh().await else { return };
    let account = crate::database::account(&database, "100300").await;
    let id = sklic::ids::ConferenceId::fresh();
    let people = (0..=5_000).map(|at| crate::database::person(id, at)).collect();
    let new = sklic::storage::conferences::NewConference {
        id,
        title: "Vsi".into(),
        scheduled_at: None,
        settings: json!({}),
        created_at: sklic::clock::now(),
        participants: people,
    };
    sklic::storage::conferences::add(&mut *database.connection().await, account, new).await.unwrap();
    let patience = Patience { abandoned: SignedDuration::from_secs(60), ..patience() };
    let workers = Workers::start(&database.pool, &desk, None, &mut bell, patience);
    let pool = database.pool.clone();
    let api = Api::built_on(database, pool, desk.clone(), bell.clone()).await;
    let user = api.token_of(account).await;
    let path = format!("/api/v1/conferences/{id}/messages");
    api.post(&user, &path, json!({"channels": ["sms"], "text": "a"})).await.problem(429, "over_quota");
    assert_eq!(api.get(&user, &path).await.expect(200), json!({"messages": []}));
    assert!(gateway.taken().is_empty());
    let limits = MessagesConfig { sms_parts_per_hour: 5_000, ..desk.limits.clone() };
    let api = api.again_with(Desk { limits, ..desk }, bell).await;
    let sent = api.post(&user, &path, json!({"channels": ["sms"], "text": "a"})).await.expect(202);
    assert_eq!(sent["message"]["deliveries"].as_array().unwrap().len(), 5_000);
    for some in (250..=5_000).step_by(250) {
        until("some more have it", async || gateway.taken().len() >= some).await;
    }
    workers.stop().await;
    let numbers: std::collections::HashSet<String> = gateway.taken().iter().map(|request| request.query["to"].clone()).collect();
    assert_eq!((gateway.taken().len(), numbers.len()), (5_000, 5_000), "each once");
}
