//! Planned conferences: series that keep their time, invitations that calendars read, and the start at the right moment.

use std::io::Write as _;
use std::process::{Command, Stdio};

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use sklic::clock;
use sklic::delivery::{Bell, Desk};

use crate::api::{Api, User};
use crate::database::Database;
use crate::delivery::patience;
use crate::messages::{Workers, desk, kannel};
use crate::sms_gateway::SmsGateway;
use crate::smtp::{MailServer, until};

pub const PLANS: &str = "/api/v1/plans";

/// Reads a mail's calendar with a parser that is not ours; `None`, said aloud, where it is not installed.
fn calendar(mail: &str) -> Option<Value> {
    let has_it = Command::new("/usr/bin/python3").args(["-c", "import icalendar, dateutil"]).stderr(Stdio::null()).status().unwrap().success();
    if !has_it {
        eprintln!("SKIPPED: python3-icalendar is not installed (vagrant/provision/lab.sh install)");
        return None;
    }
    let mut reader =
        Command::new("/usr/bin/python3").arg("tests/service/read_calendar.py").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    reader.stdin.take().unwrap().write_all(mail.as_bytes()).unwrap();
    let output = reader.wait_with_output().unwrap();
    assert!(output.status.success(), "{mail}");
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

/// The last Sunday of a month that lies ahead.
fn last_sunday(month: i8) -> Date {
    let now = clock::now().to_zoned(TimeZone::UTC);
    (0..3)
        .filter_map(|years| Date::new(now.year() + years, month, 1).ok()?.nth_weekday_of_month(-1, jiff::civil::Weekday::Sunday).ok())
        .find(|date| *date > now.date().checked_add(jiff::Span::new().days(14)).unwrap())
        .unwrap()
}

pub fn input(starts: DateTime) -> Value {
    json!({
        "title": "Uprava, čšž", "agenda": "1. Pregled; 2. Razno", "starts": starts.to_string(), "time_zone": "Europe/Ljubljana", "length_minutes": 45,
        "channels": ["email"],
        "participants": [{"name": "Žiga \"Z\" Čopič", "phone": "+38659900002", "email": "ziga@example.test"}],
    })
}

struct Bench {
    api: Api,
    user: User,
    mail: MailServer,
    gateway: SmsGateway,
    workers: Workers,
    desk: Desk,
    bell: Bell,
}

impl Bench {
    async fn new() -> Option<Self> {
        let mail = MailServer::start().await?;
        let gateway = SmsGateway::willing().await;
        let (desk, mut bell) = (desk(&[kannel(gateway.address, "")]), Bell::default());
        let database = Database::fresh().await?;
        let workers = Workers::start(&database.pool, &desk, Some(&mail), &mut bell, patience());
        let pool = database.pool.clone();
        let api = Api::built_on(database, pool, desk.clone(), bell.clone()).await;
        let user = api.user("100200").await;
        Some(Self { api, user, mail, gateway, workers, desk, bell })
    }

    /// The mails to this address, once there are so many.
    async fn mails_to(&self, address: &str, count: usize) -> Vec<String> {
        let to = format!("X-Envelope-To: {address}\r\n");
        let found = || self.mail.mails().into_iter().filter(|mail| mail.contains(&to)).collect::<Vec<_>>();
        until("the mails are there", async || found().len() >= count).await;
        assert_eq!(found().len(), count);
        found()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_series_over_both_changes_of_the_clock_keeps_its_time_in_calendars_too() {
    let Some(bench) = Bench::new().await else { return };
    let week = |date: Date, weeks: i64| date.checked_add(jiff::Span::new().weeks(weeks)).unwrap();
    for (at, month) in [(0, 3), (1, 10)] {
        let sunday = last_sunday(month);
        let starts = week(sunday, -1).at(9, 0, 0, 0);
        let mut plan = input(starts);
        plan["repeat"] = json!({"every": "week", "count": 3});
        let made = bench.api.post(&bench.user, PLANS, plan).await.expect(201);
        let times: Vec<Timestamp> =
            made["occurrences"].as_array().unwrap().iter().map(|one| one["scheduled_at"].as_str().unwrap().parse().unwrap()).collect();
        let zone = TimeZone::get("Europe/Ljubljana").unwrap();
        for (time, weeks) in times.iter().zip(-1..) {
            assert_eq!(zone.to_datetime(*time), week(sunday, weeks).at(9, 0, 0, 0), "nine on the wall");
        }
        assert_eq!(times[1].duration_since(times[0]), SignedDuration::from_hours(if month == 3 { 7 * 24 - 1 } else { 7 * 24 + 1 }));
        let mails = bench.mails_to("ziga@example.test", at + 1).await;
        let Some(read) = calendar(&mails[at]) else { return };
        assert_eq!((&read["method"], &read["type"]), (&json!("REQUEST"), &json!("REQUEST")));
        let event = &read["events"][0];
        let wanted: Vec<Value> = times.iter().map(|at| json!([zone.to_datetime(*at).to_string(), at.as_second().to_string()])).collect();
        assert_eq!((&event["by_system"], &event["by_file"]), (&json!(wanted), &json!(wanted)), "{}", mails[at]);
        assert_eq!((&event["summary"], &event["minutes"], &event["sequence"]), (&json!("Uprava, čšž"), &json!(45), &json!(0)));
        assert_eq!((&event["organizer"], &event["attendee"]), (&json!("mailto:ana@example.test"), &json!("mailto:ziga@example.test")));
    }
    bench.mails_to("ana@example.test", 2).await;
    bench.workers.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_and_cancellations_speak_of_the_same_event_with_a_higher_number() {
    let Some(bench) = Bench::new().await else { return };
    let (api, user) = (&bench.api, &bench.user);
    let monday = clock::now().to_zoned(TimeZone::UTC).date().nth_weekday(2, jiff::civil::Weekday::Monday).unwrap();
    let mut plan = input(monday.at(9, 0, 0, 0));
    plan["repeat"] = json!({"every": "two_weeks", "count": 4});
    let made = api.post(user, PLANS, plan).await.expect(201);
    let path = format!("{PLANS}/{}", made["id"].as_str().unwrap());
    let one = |at: usize| format!("{path}/conferences/{}", made["occurrences"][at]["conference_id"].as_str().unwrap());
    let conference = |at: usize| format!("/api/v1/conferences/{}", made["occurrences"][at]["conference_id"].as_str().unwrap());
    // The conference's own address would tell nobody.
    api.delete(user, &conference(1)).await.problem(409, "belongs_to_plan");
    api.patch(user, &conference(1), json!({"scheduled_at": clock::now()})).await.problem(409, "belongs_to_plan");
    let people = format!("{}/participants", conference(1));
    let ziga = api.get(user, &conference(1)).await.expect(200)["participants"][1]["id"].clone();
    api.post(user, &people, json!({"name": "Bor", "phone": "+38659900003"})).await.problem(409, "belongs_to_plan");
    api.delete(user, &format!("{people}/{}", ziga.as_str().unwrap())).await.problem(409, "belongs_to_plan");
    let moved_to = monday.checked_add(jiff::Span::new().days(15)).unwrap().at(11, 0, 0, 0);
    api.patch(user, &one(1), json!({"starts": moved_to.to_string()})).await.expect(200);
    api.delete(user, &one(2)).await.expect(200);
    let new = json!([{"name": "Eva", "phone": "+38659900004", "email": "eva@example.test"}]);
    let changed = api.patch(user, &path, json!({"title": "Uprava II", "participants": new})).await.expect(200);
    assert_eq!((&changed["sequence"], changed["occurrences"].as_array().unwrap().len()), (&json!(3), 3));
    assert_eq!(api.get(user, &conference(0)).await.expect(200)["participants"][1]["name"], "Eva");
    // Which plan a conference belongs to, and the conferences by where they stand.
    let found = api.get(user, &format!("{PLANS}?conference={}", changed["occurrences"][0]["conference_id"].as_str().unwrap())).await.expect(200);
    assert_eq!((&found["plans"][0]["id"], found["plans"].as_array().unwrap().len()), (&changed["id"], 1));
    assert_eq!(api.get(user, &format!("{PLANS}?conference={}", sklic::ids::ConferenceId::fresh())).await.expect(200), json!({"plans": []}));
    for (state, count) in [("planned", 3), ("open", 0), ("over", 0)] {
        let listed = api.get(user, &format!("/api/v1/conferences?state={state}")).await.expect(200);
        assert_eq!(listed["conferences"].as_array().unwrap().len(), count, "{state}");
    }
    let to_ziga = bench.mails_to("ziga@example.test", 4).await;
    let Some(read) = calendar(&to_ziga[1]) else { return };
    let event = &read["events"][0];
    let series_start = monday.checked_add(jiff::Span::new().weeks(2)).unwrap().at(9, 0, 0, 0).to_string();
    assert_eq!((&read["method"], &event["sequence"], &event["recurrence_id"]), (&json!("REQUEST"), &json!(1), &json!(series_start)));
    assert_eq!(event["by_system"][0][0], moved_to.to_string());
    let read = calendar(&to_ziga[2]).unwrap();
    assert_eq!((&read["method"], &read["events"][0]["sequence"], &read["events"][0]["status"]), (&json!("CANCEL"), &json!(2), &json!("CANCELLED")));
    let gone = calendar(&to_ziga[3]).unwrap();
    assert_eq!((&gone["method"], &gone["events"][0]["recurrence_id"]), (&json!("CANCEL"), &Value::Null));
    let to_eva = calendar(&bench.mails_to("eva@example.test", 1).await[0]).unwrap();
    assert_eq!(to_eva["events"].as_array().unwrap().len(), 2, "the series, and the one that was moved");
    assert_eq!(to_eva["events"][0]["by_system"].as_array().unwrap().len(), 3, "the cancelled one is left out");
    assert_eq!((&to_eva["events"][1]["recurrence_id"], &to_eva["events"][1]["by_file"][0][0]), (&json!(series_start), &json!(moved_to.to_string())));
    let uids: std::collections::HashSet<String> =
        to_ziga.iter().map(|mail| calendar(mail).unwrap()["events"][0]["uid"].as_str().unwrap().to_owned()).collect();
    assert_eq!(uids.len(), 1);
    let cancelled = api.delete(user, &path).await.expect(200);
    assert!(cancelled["cancelled_at"].is_string() && cancelled["occurrences"].as_array().unwrap().is_empty());
    let last = calendar(&bench.mails_to("eva@example.test", 2).await[1]).unwrap();
    assert_eq!((&last["method"], &last["events"][0]["sequence"]), (&json!("CANCEL"), &json!(4)));
    api.delete(user, &path).await.problem(409, "wrong_phase");
    api.get(user, &conference(0)).await.problem(404, "not_found");
    let told = api.get(user, &format!("{path}/messages")).await.expect(200);
    let purposes: Vec<&str> = told["messages"].as_array().unwrap().iter().map(|message| message["purpose"].as_str().unwrap()).collect();
    assert_eq!(purposes, ["invitation", "change", "cancellation", "change", "invitation", "cancellation", "cancellation"]);
    bench.workers.stop().await;
}

#[tokio::test]
async fn what_is_wrong_is_told_and_nothing_is_planned() {
    let Some(api) = Api::with_messages(desk(&[]), Bell::default()).await else { return };
    let user = api.user("100200").await;
    let tomorrow = clock::now().to_zoned(TimeZone::UTC).date().checked_add(jiff::Span::new().days(2)).unwrap().at(9, 0, 0, 0);
    let with = |change: Value| {
        let mut plan = input(tomorrow);
        plan.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        plan
    };
    for (change, fields) in [
        (json!({"title": "a\r\nBcc: x@y.si"}), vec![("title", "control_character")]),
        (json!({"starts": "2020-01-01T09:00"}), vec![("starts", "out_of_range")]),
        (json!({"starts": "never"}), vec![("starts", "invalid")]),
        (json!({"time_zone": "Mars/Olympus"}), vec![("time_zone", "invalid")]),
        (json!({"time_zone": "Etc/Unknown"}), vec![("time_zone", "invalid")]),
        (json!({"length_minutes": 4}), vec![("length_minutes", "out_of_range")]),
        (json!({"repeat": {"every": "week"}}), vec![("repeat", "invalid")]),
        (json!({"repeat": {"every": "week", "count": 500}}), vec![("repeat", "out_of_range")]),
        (json!({"repeat": {"every": "day", "count": 5}}), vec![("repeat.every", "invalid")]),
        (json!({"channels": ["sms"]}), vec![("channels[0]", "not_available")]),
        (json!({"reminders": [0, 99999]}), vec![("reminders[0]", "out_of_range"), ("reminders[1]", "out_of_range")]),
        (json!({"participants": [{"name": "Bor", "phone": "+38659900003"}]}), vec![("participants[0]", "lacks_email")]),
    ] {
        api.post(&user, PLANS, with(change)).await.fields(&fields);
    }
    // The only switch takes 400; each conference at most 20, so that others must be there first.
    let mut connection = api.database.connection().await;
    let id = sklic::ids::ConferenceId::fresh();
    let other = crate::database::account(&api.database, "100300").await;
    let at = TimeZone::get("Europe/Ljubljana").unwrap().to_timestamp(tomorrow).unwrap() + SignedDuration::from_mins(30);
    let new = sklic::storage::conferences::NewConference {
        id,
        title: "Velika".into(),
        scheduled_at: Some(at),
        settings: json!({}),
        created_at: clock::now(),
        participants: (0..399).map(|at| crate::database::person(id, at)).collect(),
    };
    sklic::storage::conferences::add(&mut connection, other, new).await.unwrap();
    let checked = api.post(&user, &format!("{PLANS}/check"), with(json!({}))).await.expect(200);
    assert_eq!(
        (&checked["people"], &checked["occurrences"][0]["free_places"], &checked["occurrences"][0]["enough"]),
        (&json!(2), &json!(1), &json!(false))
    );
    api.post(&user, PLANS, with(json!({}))).await.problem(409, "no_places");
    let nobodys = format!("{PLANS}/check?plan={}", sklic::ids::PlanId::fresh());
    api.post(&user, &nobodys, with(json!({}))).await.problem(404, "not_found");
    assert_eq!(api.get(&user, PLANS).await.expect(200), json!({"plans": []}));
    assert_eq!(api.get(&user, "/api/v1/conferences").await.expect(200)["conferences"], json!([]));
    // A quarter of an hour before, both are over in time.
    let earlier = tomorrow.checked_sub(jiff::Span::new().minutes(15)).unwrap();
    let made = api.post(&user, PLANS, with(json!({"starts": earlier.to_string(), "channels": []}))).await.expect(201);
    let stranger = api.user("100201").await;
    api.get(&stranger, &format!("{PLANS}/{}", made["id"].as_str().unwrap())).await.problem(404, "not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn at_its_time_the_convener_is_called_once_and_people_were_reminded_once() {
    let Some(bench) = Bench::new().await else { return };
    let (api, user) = (&bench.api, &bench.user);
    let mut tasks = Vec::new();
    for starts_by_itself in [true, false] {
        let starts = clock::now().to_zoned(TimeZone::get("Europe/Ljubljana").unwrap()).datetime().checked_add(jiff::Span::new().hours(1)).unwrap();
        let mut plan = input(starts);
        plan["start_mode"] = json!(if starts_by_itself { "call_convener" } else { "wait" });
        plan["channels"] = json!(["sms", "email"]);
        plan["reminders"] = json!([10]);
        let made = api.post(user, PLANS, plan).await.expect(201);
        tasks.push(made["occurrences"][0]["conference_id"].as_str().unwrap().to_owned());
    }
    until("both are invited", async || bench.gateway.taken().len() == 2).await;
    // Nobody waits an hour: the plans were made an hour and a half ago, and begin in five minutes.
    let mut connection = api.database.connection().await;
    let shift = "UPDATE conferences SET scheduled_at = now() + interval '5 minutes', created_at = now() - interval '90 minutes'";
    diesel_async::RunQueryDsl::execute(diesel::sql_query(shift), &mut connection).await.unwrap();
    // Two nodes of the service look at the same plans.
    let other = api.again_with(bench.desk.clone(), bench.bell.clone()).await;
    for node in [api, &other] {
        tokio::spawn(node.runtime().follow_plans(bench.desk.clone(), bench.bell.clone()));
    }
    until("all are reminded", async || bench.gateway.taken().len() >= 6).await;
    let due = "UPDATE conferences SET scheduled_at = now() - interval '1 second'";
    diesel_async::RunQueryDsl::execute(diesel::sql_query(due), &mut connection).await.unwrap();
    let path = format!("/api/v1/conferences/{}", tasks[0]);
    let state = async |path: &str| api.get(user, path).await.expect(200)["state"].as_str().unwrap().to_owned();
    until("it is started", async || state(&path).await != "planned").await;
    assert_eq!(state(&format!("/api/v1/conferences/{}", tasks[1])).await, "planned", "it waits for its convener");
    let started = "SELECT count(*) AS count FROM journal WHERE seq = 1";
    let started: crate::delivery::Count = diesel_async::RunQueryDsl::get_result(diesel::sql_query(started), &mut connection).await.unwrap();
    assert_eq!(started.count, 1);
    let reminders: Vec<_> = bench.gateway.taken().into_iter().filter(|request| request.query["text"].starts_with("Opomnik")).collect();
    assert_eq!(reminders.len(), 4, "each conference's convener and people once");
    bench.workers.stop().await;
}
