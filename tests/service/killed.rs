//! The service itself, killed between sending and noting.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use serde_json::json;
use sklic::storage::messages;
use tokio::sync::Notify;

use crate::api::Api;
use crate::messages::{desk, kannel};
use crate::sms_gateway::{Answer, SmsGateway};
use crate::smtp::until;

/// The service's own process.
struct Service(Child);

impl Service {
    fn start(file: &std::path::Path) -> Self {
        let binary = env!("CARGO_BIN_EXE_sklic");
        Self(Command::new(binary).args(["serve", "--config"]).arg(file).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    /// SIGKILL.
    fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_not_lost_and_its_repeat_names_itself() {
    // The gateway has the message, and answers only when the service is dead.
    let never = Arc::new(Notify::new());
    let gateway = SmsGateway::start(&[Answer::Waits(never, 202, "0: Accepted for delivery")], Answer::Says(202, "0: Accepted for delivery")).await;
    let Some(api) = Api::with_messages(desk(&[kannel(gateway.address, "")]), sklic::delivery::Bell::default()).await else { return };
    let user = api.user("100200").await;
    let view = api.plan(&user, &["+38659900002"]).await;
    let path = format!("/api/v1/conferences/{}/messages", view["id"].as_str().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sklic.toml");
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = format!(
        "[database]\nurl = \"{}\"\n[http]\nlisten = \"127.0.0.1:{port}\"\n[[sms_gateway]]\nname = \"kannel\"\nkind = \"kannel\"\n\
        url = \"http://{}/cgi-bin/sendsms\"\nusername = \"sklic\"\nsecret = \"s3cret\"\ntimeout_seconds = 1\n",
        api.database.url, gateway.address
    );
    std::fs::write(&file, config).unwrap();
    let first = Service::start(&file);
    api.post(&user, &path, json!({"channels": ["sms"], "text": "Živjo"})).await.expect(202);
    until("the gateway has the message", async || gateway.taken().len() == 1).await;
    first.kill();
    let conference = view["id"].as_str().unwrap().parse().unwrap();
    let deliveries = async || messages::list(&mut *api.database.connection().await, user.account, conference).await.unwrap().remove(0).1;
    assert_eq!(deliveries().await[0].job_state, "sending");
    // The claim stands for a while, in case its worker only slept; here it is as if that while had passed.
    let past = "UPDATE outbox SET claimed_at = claimed_at - interval '10 minutes'";
    diesel_async::RunQueryDsl::execute(diesel::sql_query(past), &mut *api.database.connection().await).await.unwrap();
    let second = Service::start(&file);
    until("it is sent", async || deliveries().await[0].job_state == "sent").await;
    second.kill();
    let third = Service::start(&file);
    until("the service is ready", async || tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok()).await;
    drop(third);
    let taken = gateway.taken();
    assert_eq!((taken.len(), deliveries().await[0].attempts), (2, 2), "nothing more is repeated");
    assert_eq!(taken[0].query["binfo"], taken[1].query["binfo"], "by this the gateway and its operator know the repeat");
    assert_eq!(taken[0].query, taken[1].query);
}
