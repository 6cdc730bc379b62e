//! Two service nodes on one database: who drives the switch, and that any browser reaches any conference through either.

use std::collections::BTreeSet;
use std::time::Duration;

use diesel_async::{RunQueryDsl, SimpleAsyncConnection as _};
use serde_json::{Value, json};
use sklic::clock;
use sklic::ids::ServiceNodeId;
use sklic::pbx::Phrase;
use sklic::runtime::Live;
use sklic::storage::conferences::{self, Claim};
use sklic::storage::leases::{self, Fence};
use sklic::storage::{StorageError, Writer, WriterOptions, crossings};
use tokio::time::timeout;

use crate::api::{Api, PATIENCE, User};
use crate::dial_in;
use crate::smtp::until;

pub const ANA: &str = "+38659900001";
pub const BOR: &str = "+38659900002";

/// Two service nodes with one simulated switch; the first drives it.
async fn two() -> Option<(Api, Api, User)> {
    Some(with_second(Api::fresh().await?).await)
}

/// A second service node beside this one, which drives the switch.
pub async fn with_second(first: Api) -> (Api, Api, User) {
    let second = first.beside("second").await;
    let user = first.user("100200").await;
    until("each knows of the other", async || {
        let (one, other) = (first.runtime().readiness().await, second.runtime().readiness().await);
        one.switches[0].up && other.switches[0].up && other.switches[0].driven_by.as_deref() == Some("test")
    })
    .await;
    (first, second, user)
}

pub fn path(conference: &Value, rest: &str) -> String {
    format!("/api/v1/conferences/{}{rest}", conference["id"].as_str().unwrap())
}

pub fn id(conference: &Value) -> &str {
    conference["id"].as_str().unwrap()
}

/// The person with this number.
pub fn person<'a>(view: &'a Value, phone: &str) -> &'a Value {
    view["participants"].as_array().unwrap().iter().find(|person| person["phone"] == phone).unwrap()
}

pub async fn running(api: &Api, user: &User, people: &[&str]) -> Value {
    let view = api.plan(user, people).await;
    api.press(user, &path(&view, "/start")).await.expect(202);
    all_in(api, user, &view, people).await
}

pub async fn all_in(api: &Api, user: &User, view: &Value, people: &[&str]) -> Value {
    api.until(user, id(view), "all are in", |view| people.iter().all(|phone| person(view, phone)["state"] == "in")).await
}

/// Waits until a window has been told something that fits.
async fn told(live: &mut Live, what: &str, wanted: impl Fn(&Value) -> bool) {
    let waiting = async {
        loop {
            let change = live.changes.recv().await.expect("the window is open");
            if wanted(&serde_json::to_value(&change.delta).unwrap()) {
                return;
            }
        }
    };
    timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("the window was not told that {what}"));
}

fn some_person(delta: &Value, phone: &str, wanted: impl Fn(&Value) -> bool) -> bool {
    delta["participants"].as_array().is_some_and(|people| people.iter().any(|person| person["phone"] == phone && wanted(person)))
}

#[tokio::test]
async fn either_node_starts_controls_and_shows_a_conference() {
    let Some((first, second, user)) = two().await else { return };
    let view = second.plan(&user, &[ANA, BOR]).await;
    let conference = id(&view).parse().unwrap();
    let mut window = second.runtime().live(user.account, conference).await.unwrap();
    // What is edited on one is seen on the other.
    let mut edits = second.runtime().edits();
    first.post(&user, &path(&view, "/participants"), json!({"name": "Cene", "phone": "+38659900003"})).await.expect(201);
    told(&mut window, "Cene is to come", |delta| some_person(delta, "+38659900003", |_| true)).await;
    // What was told before each knew of the other is not told again.
    until("the second hears of it", async || {
        first.runtime().was_edited(conference);
        timeout(Duration::from_millis(200), edits.recv()).await.is_ok_and(|edited| edited.unwrap() == conference)
    })
    .await;
    // The second drives no switch: the first does what it asks.
    second.press(&user, &path(&view, "/start")).await.expect(202);
    told(&mut window, "Ana is in", |delta| some_person(delta, ANA, |person| person["state"] == "in")).await;
    let view = all_in(&second, &user, &view, &[ANA, BOR]).await;
    let ana = person(&view, ANA);
    second.press(&user, &path(&view, &format!("/participants/{}/mute", ana["id"].as_str().unwrap()))).await.expect(202);
    told(&mut window, "Ana is muted", |delta| some_person(delta, ANA, |person| person["muted"] == true)).await;
    let seen = first.until(&user, id(&view), "she is muted here, too", |view| person(view, ANA)["muted"] == true).await;
    assert_eq!(person(&seen, BOR)["muted"], false);
    // Who talks is in no journal.
    let leg = first.simulator_leg(&user, &view, BOR).await;
    let mut talking = false;
    let spoken = async {
        while !talking {
            first.simulator.talk(leg, false);
            first.simulator.talk(leg, true);
            talking = timeout(
                Duration::from_millis(500),
                told(&mut window, "Bor talks", |delta| some_person(delta, BOR, |person| person["talking"] == true)),
            )
            .await
            .is_ok();
        }
    };
    timeout(PATIENCE, spoken).await.expect("the window is told that Bor talks");
    // A refusal comes through as it is.
    let unknown = format!("/participants/{}/mute", sklic::ids::ParticipantId::fresh());
    let (here, there) = (first.press(&user, &path(&view, &unknown)).await, second.press(&user, &path(&view, &unknown)).await);
    assert_eq!((here.status, here.json()["detail"].clone()), (there.status, there.json()["detail"].clone()));
    second.press(&user, &path(&view, "/end")).await.expect(202);
    second.until(&user, id(&view), "it is over", |view| view["state"] == "ended").await;
    // Somebody else's conference is found on neither.
    let other = first.user("100300").await;
    second.press(&other, &path(&view, "/end")).await.problem(404, "not_found");
}

#[tokio::test]
async fn a_control_that_waits_at_the_other_node_says_so_and_is_carried_out() {
    let Some((first, second, user)) = two().await else { return };
    let view = running(&first, &user, &[ANA]).await;
    // Nothing is added to a journal now; all else is as ever.
    let mut held = first.database.connection().await;
    held.batch_execute("SET idle_in_transaction_session_timeout = 0").await.unwrap();
    held.batch_execute("BEGIN; LOCK TABLE journal IN SHARE MODE").await.unwrap();
    let answer = second.press(&user, &path(&view, "/lock")).await;
    assert_eq!(answer.header("retry-after"), "", "it is not to be sent again");
    answer.problem(503, "queued");
    held.batch_execute("COMMIT").await.unwrap();
    second.until(&user, id(&view), "the lock", |view| view["locked"] == true).await;
    // What nobody has taken is taken back, once and for all.
    let (asked, nobody) = (uuid::Uuid::now_v7(), ServiceNodeId::fresh());
    crossings::ask(&mut held, asked, nobody, &json!({})).await.unwrap();
    assert!(crossings::withdraw(&mut held, asked).await.unwrap());
    assert_eq!(crossings::take(&mut held, nobody).await.unwrap().len(), 0);
    crossings::ask(&mut held, asked, nobody, &json!({})).await.unwrap();
    assert_eq!(crossings::take(&mut held, nobody).await.unwrap().len(), 1);
    assert!(!crossings::withdraw(&mut held, asked).await.unwrap());
}

#[tokio::test]
async fn a_node_that_ends_hands_over_at_once_and_nothing_is_lost() {
    let Some((first, second, user)) = two().await else { return };
    let view = running(&first, &user, &[ANA, BOR]).await;
    first.close().await;
    until("the second drives the switch", async || second.runtime().readiness().await.switches[0].last_heard.is_some()).await;
    let view = all_in(&second, &user, &view, &[ANA, BOR]).await;
    assert_eq!(person(&view, ANA)["attempts"], 1, "nobody was called again");
    second.press(&user, &path(&view, "/end")).await.expect(202);
    second.until(&user, id(&view), "it is over", |view| view["state"] == "ended").await;
    let legs = sklic::storage::legs::list(&mut *second.database.connection().await, user.account, id(&view).parse().unwrap()).await.unwrap();
    assert_eq!(legs.len(), 3, "the convener, Ana and Bor");
    assert!(legs.iter().all(|leg| leg.ended_at.is_some()), "{legs:?}");
}

#[tokio::test]
async fn a_node_that_dies_is_taken_over() {
    let Some((first, second, user)) = two().await else { return };
    let view = running(&first, &user, &[ANA, BOR]).await;
    // It says nothing any more and gives nothing back.
    first.stop.cancel();
    until("the second drives the switch", async || second.runtime().readiness().await.switches[0].last_heard.is_some()).await;
    let view = all_in(&second, &user, &view, &[ANA, BOR]).await;
    second.press(&user, &path(&view, "/mute")).await.expect(202);
    second.until(&user, id(&view), "all are muted", |view| person(view, BOR)["muted"] == true).await;
}

#[tokio::test]
async fn a_node_that_freezes_in_the_middle_of_a_write_is_taken_over() {
    let Some((first, second, user)) = two().await else { return };
    let view = running(&first, &user, &[ANA, BOR]).await;
    // Its transaction holds the epoch, and it neither ends it nor renews its row.
    let mut frozen = first.database.connection().await;
    frozen.batch_execute("BEGIN; SELECT * FROM switch_leases FOR SHARE").await.unwrap();
    first.stop.cancel();
    until("the second drives the switch", async || second.runtime().readiness().await.switches[0].last_heard.is_some()).await;
    let fault = frozen.batch_execute("COMMIT").await.unwrap_err();
    assert!(StorageError::from(fault).is_passing(), "when it wakes up its write is void, and tried again under its epoch");
    all_in(&second, &user, &view, &[ANA, BOR]).await;
}

#[tokio::test]
async fn a_former_owner_does_no_harm() {
    let Some((first, second, user)) = two().await else { return };
    let view = running(&first, &user, &[ANA]).await;
    // As if the first had slept and somebody else, who lives, had taken the switch.
    let (me, name) = (ServiceNodeId::fresh(), "a third");
    let mut connection = first.database.connection().await;
    leases::renew(&mut connection, me, name).await.unwrap();
    let steal = "UPDATE switch_leases SET owner = (SELECT id FROM service_nodes WHERE name = 'a third'), epoch = epoch + 1";
    RunQueryDsl::execute(diesel::sql_query(steal), &mut connection).await.unwrap();
    // Whether or not the first has noticed: it neither writes nor speaks.
    let leg = first.simulator_leg(&user, &view, ANA).await;
    let end = path(&view, "/end");
    let (answer, ()) = tokio::join!(first.press(&user, &end), async {
        for _ in 0..60 {
            leases::renew(&mut *second.database.connection().await, me, name).await.unwrap();
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    assert!(answer.status.is_server_error(), "{} {}", answer.status, answer.text());
    let journal = first.get(&user, &path(&view, "")).await.expect(200);
    assert_eq!(journal["state"], "running", "{journal}");
    assert!(first.simulator.is_there(leg), "nobody was hung up");
    // The thief has died: the conference goes on where it was.
    let ends = async |api: &Api| api.press(&user, &end).await.status.is_success();
    until("it can be ended again", async || ends(&second).await || ends(&first).await).await;
    second.until(&user, id(&view), "it is over", |view| view["state"] == "ended").await;
}

#[tokio::test]
async fn what_a_former_owner_would_write_is_refused() {
    let Some(api) = Api::fresh().await else { return };
    let user = api.user("100200").await;
    let view = api.plan(&user, &[ANA]).await;
    let writer = Writer::start(api.database.pool.clone(), WriterOptions::default(), std::sync::Arc::default());
    let fence = |epoch| Some(Fence { switch: "pbx1".into(), epoch });
    let epoch = leases::list(&mut *api.database.connection().await, &["pbx1".into()], Duration::from_secs(3)).await.unwrap()[0].epoch;
    let line = |seq| sklic::storage::journal::NewJournalEntry { seq, at: clock::now(), entry: json!({"seq": seq}) };
    let batch = |seq, fence| sklic::storage::Batch { conference: id(&view).parse().unwrap(), fence, journal: vec![line(seq)], rows: Vec::new() };
    // Together with others in one transaction: those stand.
    let tickets = [writer.submit(batch(1, fence(epoch))), writer.submit(batch(2, fence(epoch - 1))), writer.submit(batch(2, fence(epoch)))];
    let [first, second, third] = tickets;
    first.await.unwrap();
    assert!(matches!(second.await, Err(StorageError::Fenced { switch }) if switch == "pbx1"));
    third.await.unwrap();
    writer.close().await;
}

#[tokio::test]
async fn what_a_former_owner_would_start_stays_planned() {
    let Some(api) = Api::fresh().await else { return };
    let user = api.user("100200").await;
    let plan: sklic::ids::ConferenceId = id(&api.plan(&user, &[ANA]).await).parse().unwrap();
    let mut connection = api.database.connection().await;
    // A switch that is in nobody's configuration: nobody looks for conferences without a task there.
    let epoch = leases::list(&mut connection, &["pbx9".into()], Duration::from_secs(3)).await.unwrap()[0].epoch;
    let fence = |epoch| Fence { switch: "pbx9".into(), epoch };
    let now = clock::now();
    let mut claim = async |epoch| conferences::claim(&mut connection, user.account, plan, (&fence(epoch), "base"), 5, now).await;
    assert!(matches!(claim(epoch - 1).await, Err(StorageError::Fenced { switch }) if switch == "pbx9"));
    // Nothing was changed by that.
    assert_eq!(claim(epoch).await.unwrap(), Claim::Taken);
    // Only the start that has claimed it gives it back.
    conferences::unclaim(&mut connection, plan, Some(now - Duration::from_micros(1))).await.unwrap();
    let state = async |connection: &mut _| conferences::lookup(connection, user.account, plan).await.unwrap().unwrap().state;
    assert_eq!(state(&mut connection).await, "calling_convener");
    conferences::unclaim(&mut connection, plan, Some(now)).await.unwrap();
    assert_eq!(state(&mut connection).await, "planned");
}

#[tokio::test]
async fn a_former_owner_tells_nothing_of_the_switch_any_more() {
    let recorder = sklic::telemetry::metrics().unwrap().build_recorder();
    let handle = recorder.handle();
    // One thread runs all of this test, so that this recorder hears everything and nothing else.
    let _heard = metrics::set_default_local_recorder(&recorder);
    let Some(api) = Api::fresh().await else { return };
    let user = api.user("100200").await;
    running(&api, &user, &[ANA, BOR]).await;
    let tells = |name: &str, value: &str| handle.render().lines().any(|line| line == format!("{name}{{switch=\"pbx1\"}} {value}"));
    until("its owner tells of it", async || {
        tells("sklic_members", "3")
            && tells("sklic_legs", "3")
            && tells("sklic_switch_link_up", "1")
            && !tells("sklic_switch_last_heard_seconds", "0")
    })
    .await;
    // Somebody else, who lives, has the switch.
    let (other, name) = (ServiceNodeId::fresh(), "another");
    let mut connection = api.database.connection().await;
    leases::renew(&mut connection, other, name).await.unwrap();
    let steal = "UPDATE switch_leases SET owner = (SELECT id FROM service_nodes WHERE name = 'another'), epoch = epoch + 1";
    RunQueryDsl::execute(diesel::sql_query(steal), &mut connection).await.unwrap();
    let all = ["sklic_members", "sklic_legs", "sklic_switch_link_up", "sklic_switch_last_heard_seconds", "sklic_conferences_in_silence"];
    until("it is told by the other alone", async || {
        leases::renew(&mut connection, other, name).await.unwrap();
        tells("sklic_lease_owner", "0") && all.iter().all(|name| tells(name, "0"))
    })
    .await;
}

#[tokio::test]
async fn a_successor_takes_the_switch_as_soon_as_its_predecessors_last_write_has_ended() {
    let Some(first) = Api::fresh().await else { return };
    let mut watching = first.database.connection().await;
    let ready = "SELECT count(*)::int4 AS number, '' AS at FROM switch_leases WHERE ready";
    until("the predecessor has noted that its switch is ready, and writes no more", async || {
        let noted: Seen = RunQueryDsl::get_result(diesel::sql_query(ready), &mut watching).await.unwrap();
        noted.number == 1
    })
    .await;
    let mut writing = first.database.connection().await;
    // However long the looks take on a busy machine.
    writing.batch_execute("SET idle_in_transaction_session_timeout = 0; BEGIN; SELECT FROM switch_leases FOR SHARE").await.unwrap();
    let second = first.again_with(Default::default(), Default::default()).await;
    let looks = "SELECT 0 AS number, renewed_at::text AS at FROM service_nodes ORDER BY started_at DESC LIMIT 1";
    let mut seen = BTreeSet::new();
    until("the successor has looked twice", async || {
        let look: Seen = RunQueryDsl::get_result(diesel::sql_query(looks), &mut watching).await.unwrap();
        seen.insert(look.at);
        seen.len() > 2
    })
    .await;
    writing.batch_execute("COMMIT").await.unwrap();
    // The predecessor lives on, as far as anybody can see: its lease does not run out.
    let leg = dial_in::dials(&second, "013099396", ANA, &["11111111"]);
    dial_in::hears(&second, leg, Phrase::WrongCode).await;
    drop(first);
}

/// What a new connection costs (a process of the server, a login) is not paid for every renewal.
#[tokio::test]
async fn the_leases_are_renewed_on_one_connection() {
    let Some(api) = Api::fresh().await else { return };
    let mut connection = api.database.connection().await;
    let query = "SELECT a.pid AS number, n.renewed_at::text AS at FROM pg_stat_activity a, service_nodes n \
        WHERE a.datname = current_database() AND a.pid <> pg_backend_pid() AND a.query LIKE '%switch_leases%'";
    let (mut processes, mut renewals) = (BTreeSet::new(), BTreeSet::new());
    until("they were renewed six times", async || {
        let seen: Vec<Seen> = RunQueryDsl::load(diesel::sql_query(query), &mut connection).await.unwrap();
        for one in seen {
            processes.insert(one.number);
            renewals.insert(one.at);
        }
        renewals.len() > 6
    })
    .await;
    assert_eq!(processes.len(), 1, "of the server, one for each connection");
}

#[derive(diesel::QueryableByName)]
struct Seen {
    #[diesel(sql_type = diesel::sql_types::Integer)]
    number: i32,
    #[diesel(sql_type = diesel::sql_types::Text)]
    at: String,
}
