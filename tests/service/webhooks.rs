//! Webhooks: signed, in order, repeated, told again, and never to where they should not.

use serde_json::{Value, json};
use sklic::delivery::{Bell, Desk, Pace, WebhookChannel, WebhooksConfig, run, webhook_signature};
use sklic::storage::webhooks;
use tokio_util::sync::CancellationToken;

use crate::api::{Api, User};
use crate::database::Database;
use crate::delivery::patience;
use crate::sms_gateway::{Answer, SmsGateway, Taken};
use crate::smtp::until;

const WEBHOOKS: &str = "/api/v1/webhooks";

struct Bench {
    api: Api,
    user: User,
    stop: CancellationToken,
}

impl Bench {
    /// A service whose webhooks may lead to this machine, if `allow_private`.
    async fn new(config: WebhooksConfig) -> Option<Self> {
        let database = Database::fresh().await?;
        let (pool, stop, mut bell) = (database.pool.clone(), CancellationToken::new(), Bell::default());
        let channel = WebhookChannel::new(pool.clone(), &config, "example.test".into()).unwrap();
        tokio::spawn(run(pool.clone(), channel, Pace { at_once: 8, per_second: 1_000 }, patience(), bell.add(), stop.clone()));
        let operators = config.operators(sklic::clock::now()).unwrap();
        webhooks::set_operators(&mut *database.connection().await, &operators).await.unwrap();
        let api = Api::built_with(database, pool, Desk::default(), bell, config).await;
        let user = api.user("100200").await;
        Some(Self { api, user, stop })
    }

    /// Holds a conference with one who comes in and one who is busy, to its end.
    async fn conference(&self) -> String {
        let view = self.api.plan(&self.user, &["+38659900002", "+38659900003"]).await;
        let id = view["id"].as_str().unwrap().to_owned();
        self.api.press(&self.user, &format!("/api/v1/conferences/{id}/start")).await.expect(202);
        self.api.until(&self.user, &id, "running", |view| view["state"] == "running").await;
        self.api.press(&self.user, &format!("/api/v1/conferences/{id}/end")).await;
        self.api.until(&self.user, &id, "ended", |view| view["state"] == "ended").await;
        id
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn private() -> WebhooksConfig {
    WebhooksConfig { allow_private: true, timeout_seconds: 1, ..WebhooksConfig::default() }
}

fn events(taken: &[Taken]) -> Vec<Value> {
    taken.iter().map(|request| serde_json::from_str(&request.body).unwrap()).collect()
}

fn kinds(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["type"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_signed_in_order_repeated_and_told_again() {
    let answers = [Answer::Says(500, "no"), Answer::Hangs, Answer::Says(302, "elsewhere"), Answer::Says(204, "")];
    let receiver = SmsGateway::start(&answers, Answer::Says(200, "")).await;
    let Some(bench) = Bench::new(private()).await else { return };
    let made = bench.api.post(&bench.user, WEBHOOKS, json!({"name": "CRM", "url": format!("http://{}/hook", receiver.address)})).await.expect(201);
    let secret = made["secret"].as_str().unwrap();
    let listed = bench.api.get(&bench.user, WEBHOOKS).await.expect(200);
    assert!(listed["webhooks"][0].get("secret").is_none(), "told once");
    let id = bench.conference().await;
    let is_last = |event: &Value| event["type"] == "report.ready";
    until("all is told", async || events(&receiver.taken()).iter().any(is_last)).await;
    let all = events(&receiver.taken());
    // The first was tried four times; then each came once, in order and without a gap.
    assert!(all[..4].iter().all(|event| event["sequence"] == 1), "{all:?}");
    let told = &all[3..];
    assert!(told.iter().zip(1..).all(|(event, number)| event["sequence"] == number && event["conference_id"] == id), "{told:?}");
    let kinds = kinds(told);
    for (kind, least) in [
        ("conference.started", 1),
        ("participant.in", 1),
        ("participant.out", 1),
        ("charge.written", 1),
        ("conference.ended", 1),
        ("report.ready", 1),
    ] {
        assert!(kinds.iter().filter(|found| **found == kind).count() >= least, "{kind} in {kinds:?}");
    }
    let first_in = told.iter().find(|event| event["type"] == "participant.in").unwrap();
    assert_eq!((&first_in["data"]["convener"], &first_in["data"]["way_of_entry"]), (&json!(true), &json!("web_out")));
    for request in receiver.taken() {
        let signature = &request.headers["sklic-signature"];
        let seconds = signature.strip_prefix("t=").unwrap().split(',').next().unwrap().parse().unwrap();
        assert_eq!(*signature, webhook_signature(secret, seconds, request.body.as_bytes()));
    }
    let path = format!("{WEBHOOKS}/{}", made["id"].as_str().unwrap());
    until("all is noted", async || {
        let list = bench.api.get(&bench.user, &format!("{path}/deliveries")).await.expect(200);
        list["deliveries"].as_array().unwrap().iter().all(|delivery| delivery["state"] == "sent")
    })
    .await;
    let before = receiver.taken().len();
    let again = json!({"since": "2020-01-01T00:00:00Z", "conference_id": id});
    let queued = bench.api.post(&bench.user, &format!("{path}/replay"), again).await.expect(202);
    assert_eq!(queued["events"], told.len());
    until("all is told again", async || receiver.taken().len() == before + told.len()).await;
    let replayed = receiver.taken().split_off(before);
    assert!(replayed.iter().all(|request| request.headers["sklic-replay"] == "true"));
    assert_eq!(events(&replayed), told, "the same events with the same identifiers, in order");
    bench.api.delete(&bench.user, &path).await.expect(204);
    bench.api.delete(&bench.user, &path).await.problem(404, "not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operators_webhook_hears_what_it_wants_of_all_accounts() {
    let receiver = SmsGateway::start(&[], Answer::Says(200, "")).await;
    let text = format!(
        "[[endpoint]]\nname = \"billing\"\nurl = \"http://{}/charges\"\nsecret = \"0123456789abcdef\"\nevents = [\"conference.ended\", \"charge.written\"]",
        receiver.address
    );
    let Some(bench) = Bench::new(toml::from_str(&text).unwrap()).await else { return };
    let first = bench.conference().await;
    until("it hears", async || {
        kinds(&events(&receiver.taken())).contains(&"charge.written") && kinds(&events(&receiver.taken())).contains(&"conference.ended")
    })
    .await;
    assert!(kinds(&events(&receiver.taken())).iter().all(|kind| ["conference.ended", "charge.written"].contains(kind)));
    assert_eq!(bench.api.get(&bench.user, WEBHOOKS).await.expect(200), json!({"webhooks": []}), "it is not the account's");
    // Taken out of the configuration, it hears no more.
    webhooks::set_operators(&mut *bench.api.database.connection().await, &[]).await.unwrap();
    let second = bench.conference().await;
    let webhooks = "SELECT count(*) AS count FROM outbox WHERE kind = 'webhook' AND state IN ('queued', 'sending')";
    until("nothing waits", async || {
        let mut connection = bench.api.database.connection().await;
        let waiting: crate::delivery::Count = diesel_async::RunQueryDsl::get_result(diesel::sql_query(webhooks), &mut connection).await.unwrap();
        waiting.count == 0
    })
    .await;
    let heard = events(&receiver.taken());
    assert!(heard.iter().any(|event| event["conference_id"] == first) && heard.iter().all(|event| event["conference_id"] != second));
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_inside_are_refused_when_set_and_when_sent_to() {
    let receiver = SmsGateway::start(&[], Answer::Says(200, "")).await;
    let Some(bench) = Bench::new(WebhooksConfig { timeout_seconds: 1, ..WebhooksConfig::default() }).await else { return };
    let make = async |url: &str| bench.api.post(&bench.user, WEBHOOKS, json!({"name": "a", "url": url})).await;
    for url in ["http://127.0.0.1/", "http://localhost:8080/", "http://[::1]/", "http://10.1.2.3/", "http://169.254.169.254/latest", "http://0x7f.1/"]
    {
        make(url).await.fields(&[("url", "not_allowed")]);
    }
    for url in ["ftp://example.com/", "example.com", "https://a:b@example.com/"] {
        make(url).await.fields(&[("url", "invalid")]);
    }
    let bad = json!({"name": "a\r\nb", "url": "https://example.invalid/", "events": ["x"]});
    bench.api.post(&bench.user, WEBHOOKS, bad).await.fields(&[("name", "control_character"), ("events[0]", "invalid")]);
    assert_eq!(bench.api.get(&bench.user, WEBHOOKS).await.expect(200), json!({"webhooks": []}));
    // One that was let in while it was allowed, or whose name has come to lead inside.
    let mut connection = bench.api.database.connection().await;
    for url in [format!("http://{}/literal", receiver.address), format!("http://localhost:{}/by-name", receiver.address.port())] {
        let webhook = webhooks::Webhook {
            id: sklic::ids::WebhookId::fresh(),
            account: Some(bench.user.account),
            name: url.clone(),
            url,
            secret: "0123456789abcdef".into(),
            kinds: vec![Some("conference.ended".into())],
            created_at: sklic::clock::now(),
            disabled_at: None,
        };
        webhooks::add(&mut connection, webhook, 5).await.unwrap().unwrap();
    }
    bench.conference().await;
    let listed = bench.api.get(&bench.user, WEBHOOKS).await.expect(200);
    for webhook in listed["webhooks"].as_array().unwrap() {
        let path = format!("{WEBHOOKS}/{}/deliveries", webhook["id"].as_str().unwrap());
        until("it was refused", async || {
            let list = bench.api.get(&bench.user, &path).await.expect(200);
            list["deliveries"][0]["reason"].as_str().is_some_and(|reason| reason.contains("private network"))
        })
        .await;
    }
    assert!(receiver.taken().is_empty());
}
