//! Starts that are disturbed in the middle.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use serde_json::Value;
use sklic::storage::{Pool, PoolOptions};

use crate::api::{Answer, Api, PATIENCE, User, generous};
use crate::database::Database;
use crate::proxy::{Mode, Proxy};

/// More polls than a whole start ever took.
const MOST_POLLS: usize = 60;

/// Presses Start and lets the request be polled only so often; its answer, if that was enough.
async fn start_polled(api: &Api, user: &User, conference: &str, polls: usize) -> Option<Answer> {
    let path = format!("/api/v1/conferences/{conference}/start");
    let mut pressing = pin!(api.press(user, &path));
    let mut left = polls;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        pressing.as_mut().poll(context).map(Some)
    })
    .await
}

async fn behind_proxy() -> Option<(Api, Proxy)> {
    let database = Database::fresh().await?;
    let proxy = Proxy::before(database.server_address()).await;
    let options = PoolOptions { wait: Duration::from_secs(1), ..PoolOptions::default() };
    let pool = Pool::new(&database.url_at(proxy.address), options).unwrap();
    Some((Api::on(database, pool, generous()).await, proxy))
}

async fn healed(api: &Api, user: &User) {
    let healed = async {
        while api.get(user, "/api/v1/me").await.status != 200 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, healed).await.expect("the database is back");
}

fn id(view: &Value) -> String {
    view["id"].as_str().unwrap().to_owned()
}

/// Waits until Start is taken, or has been: nothing hangs between the two.
async fn started(api: &Api, user: &User, conference: &str) {
    let path = format!("/api/v1/conferences/{conference}");
    let starting = async {
        loop {
            let again = api.press(user, &format!("{path}/start")).await;
            let view = api.get(user, &path).await.expect(200);
            if again.status == 202 || (again.status == 409 && view["state"] != "planned") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, starting).await.expect("it is begun, or can be");
}

#[tokio::test]
async fn a_start_whose_caller_goes_away_is_done_or_not_begun() {
    let Some(api) = Api::fresh().await else { return };
    let user = api.user("100200").await;
    for polls in 0..MOST_POLLS {
        let conference = id(&api.plan(&user, &[]).await);
        let answer = start_polled(&api, &user, &conference, polls).await;
        started(&api, &user, &conference).await;
        api.press(&user, &format!("/api/v1/conferences/{conference}/end")).await.expect(202);
        if answer.is_some() {
            return;
        }
    }
    panic!("a start took more than {MOST_POLLS} polls");
}

#[tokio::test]
async fn a_start_in_which_the_database_goes_away_can_be_repeated() {
    let Some((api, proxy)) = behind_proxy().await else { return };
    let user = api.user("100200").await;
    for polls in 0..MOST_POLLS {
        let conference = id(&api.plan(&user, &[]).await);
        let answer = start_polled(&api, &user, &conference, polls).await;
        proxy.set(Mode::Refuse);
        tokio::time::sleep(Duration::from_millis(20)).await;
        proxy.set(Mode::Pass);
        healed(&api, &user).await;
        started(&api, &user, &conference).await;
        api.press(&user, &format!("/api/v1/conferences/{conference}/end")).await.expect(202);
        if answer.is_some() {
            return;
        }
    }
    panic!("a start took more than {MOST_POLLS} polls");
}

#[tokio::test]
async fn people_lined_up_without_the_database_are_called_when_it_is_back() {
    let Some((api, proxy)) = behind_proxy().await else { return };
    let user = api.user("100200").await;
    let conference = id(&api.plan(&user, &["+38659900002", "+38659900003"]).await);
    api.press(&user, &format!("/api/v1/conferences/{conference}/start")).await.expect(202);
    proxy.set(Mode::Refuse);
    // Long enough for two pictures of the switch, which holds none of them yet.
    tokio::time::sleep(Duration::from_secs(12)).await;
    proxy.set(Mode::Pass);
    healed(&api, &user).await;
    let inside = |view: &Value| view["participants"].as_array().is_some_and(|all| all.iter().all(|person| person["state"] == "in"));
    api.until(&user, &conference, "everybody inside", inside).await;
}
