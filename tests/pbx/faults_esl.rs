//! FreeSWITCH's link misbehaves: the adapter gets over it, and nobody gets a wrong answer.
//!
//! The same as `faults`, and the dialogues of the real switch played back with what a network or a switch may do to them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use sklic::ids::{LegId, Room};
use sklic::pbx::freeswitch::{self, FreeswitchConfig};
use sklic::pbx::{Command, CommandFailure, Dial, Event, Language, LegSnapshotPhase, Pbx, Role};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

use crate::fake_esl::{Connection, FakeEsl, event};

const PATIENCE: Duration = Duration::from_secs(20);
pub const CORE: &str = "ea0f5d14-3239-4868-bba3-1b272a9ece40";
pub const ROOM: Room = Room(1001);

/// Every event of a conference with a convener who was called, a participant, one who is busy, mute, lock and the end,
/// in the order in which FreeSWITCH 1.10.12 sent them, one in a line.
pub const CONFERENCE: &str = include_str!("recorded/conference.jsonl");

/// Two people in a conference on a FreeSWITCH 1.10.12 that is ended in order and holds the convener's call up for ten seconds.
const SHUTDOWN: &str = include_str!("recorded/shutdown.jsonl");

fn connect(server: &FakeEsl, change: impl FnOnce(&mut FreeswitchConfig)) -> (Arc<dyn Pbx>, UnboundedReceiver<Event>) {
    let mut config = FreeswitchConfig::new("fake", &server.address, "", "secret".to_owned().into(), "sofia/gateway/trunk/{number}");
    change(&mut config);
    let (sender, events) = unbounded_channel();
    (freeswitch::connect(config, sender), events)
}

pub async fn linked() -> (FakeEsl, Connection, Arc<dyn Pbx>, UnboundedReceiver<Event>) {
    linked_with(|_| {}).await
}

async fn linked_with(change: impl FnOnce(&mut FreeswitchConfig)) -> (FakeEsl, Connection, Arc<dyn Pbx>, UnboundedReceiver<Event>) {
    let server = FakeEsl::start().await;
    let (pbx, mut events) = connect(&server, change);
    let connection = server.session(CORE).await;
    assert!(matches!(next(&mut events).await, Event::LinkUp { .. }));
    (server, connection, pbx, events)
}

pub async fn next(events: &mut UnboundedReceiver<Event>) -> Event {
    timeout(PATIENCE, events.recv()).await.expect("an event in time").expect("the adapter lives")
}

/// The legs of the recording, in the order in which they were called.
pub fn legs() -> Vec<LegId> {
    let mut legs = Vec::new();
    for line in CONFERENCE.lines() {
        let event: serde_json::Value = serde_json::from_str(line).expect("recorded");
        if let Some(leg) = event["Unique-ID"].as_str().and_then(LegId::from_channel_id).filter(|leg| !legs.contains(leg)) {
            legs.push(leg);
        }
    }
    legs
}

pub fn dial(leg: LegId) -> Dial {
    Dial {
        leg,
        room: ROOM,
        number: "+38659900001".into(),
        role: Role::Convener,
        muted: false,
        language: Language::Sl,
        grace_seconds: 0,
        ring_timeout_seconds: 30,
    }
}

/// What the adapter tells of the recording, each event as a word.
async fn story(events: &mut UnboundedReceiver<Event>) -> Vec<String> {
    let legs = legs();
    let mut story = Vec::new();
    let mut ended = 0;
    while ended < legs.len() {
        let event = next(events).await;
        let (leg, word) = match &event {
            Event::Ringing { leg, .. } => (*leg, "ringing".to_owned()),
            Event::EarlyMedia { leg, .. } => (*leg, "early media".to_owned()),
            Event::Answered { leg, .. } => (*leg, "answered".to_owned()),
            Event::Joined { leg, room, .. } => (*leg, format!("joined {room}")),
            Event::Left { leg, .. } => (*leg, "left".to_owned()),
            Event::Muted { leg, muted, .. } => (*leg, format!("muted {muted}")),
            Event::Ended { leg, cause, .. } => {
                ended += 1;
                (*leg, format!("ended {:?} {:?}", cause.q850, cause.sip))
            }
            Event::Locked { locked, .. } => {
                story.push(format!("locked {locked}"));
                continue;
            }
            Event::Arrived { .. }
            | Event::Keyed { .. }
            | Event::Pressed { .. }
            | Event::Talking { .. }
            | Event::LinkUp { .. }
            | Event::LinkDown { .. } => continue,
        };
        let name = legs.iter().position(|known| *known == leg).expect("recorded");
        story.push(format!("{name} {word}"));
    }
    story
}

/// One leg's part of a story.
fn part(story: &[String], leg: usize) -> Vec<&str> {
    story.iter().filter_map(|line| line.strip_prefix(&format!("{leg} "))).collect()
}

fn is_right(story: &[String]) {
    let member = ["ringing", "answered", "joined 1001", "left", "ended Some(16) None"];
    assert_eq!(part(story, 0), member, "the convener");
    let muted = ["ringing", "answered", "joined 1001", "muted true", "muted false", "left", "ended Some(16) None"];
    assert_eq!(part(story, 1), muted, "the participant");
    assert_eq!(part(story, 2), ["ended Some(17) Some(486)"], "the busy one");
    assert!(story.contains(&"locked true".to_owned()) && story.contains(&"locked false".to_owned()));
}

#[tokio::test]
async fn a_recorded_conference_is_told_as_it_was() {
    let (_server, mut connection, _pbx, mut events) = linked().await;
    for line in CONFERENCE.lines() {
        connection.event(line).await;
    }
    is_right(&story(&mut events).await);
}

#[tokio::test]
async fn however_the_network_cuts_it() {
    for size in [1, 7, 1_000] {
        let (_server, mut connection, _pbx, mut events) = linked().await;
        let bytes: Vec<u8> = CONFERENCE.lines().flat_map(event).collect();
        let writing = tokio::spawn(async move {
            for part in bytes.chunks(size) {
                connection.write(part).await;
            }
            connection
        });
        is_right(&story(&mut events).await);
        drop(writing.await.expect("written"));
    }
}

#[tokio::test]
async fn what_comes_twice_is_told_once() {
    let (_server, mut connection, _pbx, mut events) = linked().await;
    for line in CONFERENCE.lines() {
        connection.event(line).await;
        // A leg comes into a room and is muted as often as the switch says; all else happens once.
        if !line.contains("conference::maintenance") {
            connection.event(line).await;
        }
    }
    is_right(&story(&mut events).await);
}

#[tokio::test]
async fn legs_out_of_step_with_each_other_are_told_rightly() {
    let (_server, mut connection, _pbx, mut events) = linked().await;
    // All of the last leg first, and so on: between legs the switch promises no order.
    for leg in legs().iter().rev() {
        let id = leg.channel_id();
        for line in CONFERENCE.lines().filter(|line| line.contains(&id)) {
            connection.event(line).await;
        }
    }
    for line in CONFERENCE.lines().filter(|line| line.contains(r#""lock""#) || line.contains(r#""unlock""#)) {
        connection.event(line).await;
    }
    let mut told = story(&mut events).await;
    for _ in 0..2 {
        if let Event::Locked { locked, .. } = next(&mut events).await {
            told.push(format!("locked {locked}"));
        }
    }
    is_right(&told);
}

#[tokio::test]
async fn link_cut_in_the_middle_of_a_frame_is_sought_again() {
    let (server, mut connection, _pbx, mut events) = linked().await;
    let ringing = CONFERENCE.lines().find(|line| line.contains("CHANNEL_PROGRESS")).expect("recorded");
    let whole = event(ringing);
    connection.write(&whole[..whole.len() - 9]).await;
    drop(connection);
    assert!(matches!(next(&mut events).await, Event::LinkDown { .. }), "half an event is none");
    let mut connection = server.session(CORE).await;
    let Event::LinkUp { booted_at } = next(&mut events).await else { panic!("the link is up") };
    connection.write(&whole).await;
    assert!(matches!(next(&mut events).await, Event::Ringing { leg, .. } if leg == legs()[0]));
    // The same run of the switch began at the same time; another one is another.
    drop(connection);
    assert!(matches!(next(&mut events).await, Event::LinkDown { .. }));
    let _connection = server.session(CORE).await;
    assert_eq!(next(&mut events).await, Event::LinkUp { booted_at });
}

#[tokio::test]
async fn missed_events_are_made_good_by_a_snapshot() {
    let (_server, mut connection, pbx, mut events) = linked().await;
    let (convener, gone) = (legs()[0], legs()[1]);
    for line in CONFERENCE.lines().filter(|line| line.contains("CHANNEL_PROGRESS")) {
        connection.event(line).await;
        next(&mut events).await;
    }
    let snapshot = pbx.snapshot(vec![convener, gone]);
    assert_eq!(connection.wish().await.line, "api show channels as json");
    connection.answer(&format!(r#"{{"row_count":1,"rows":[{{"uuid":"{}","callstate":"ACTIVE"}}]}}"#, convener.channel_id())).await;
    assert_eq!(connection.wish().await.line, "api conference json_list");
    let member = format!(r#"{{"uuid":"{}","flags":{{"can_speak":true}}}}"#, convener.channel_id());
    connection.answer(&format!(r#"[{{"conference_name":"sklic-1001","locked":false,"members":[{member}]}}]"#)).await;
    // The convener's room is not known from events, and the other is not in the list: both are asked for.
    for _ in 0..2 {
        let line = connection.wish().await.line;
        // The recording's legs have drawn identifiers, as callers do: those are their channels' ids as they are.
        assert!(line.starts_with("api uuid_dump "), "{line}");
        if line.contains(&convener.0.to_string()) {
            let dump =
                format!(r#"{{"Unique-ID":"{}","Caller-Channel-Answered-Time":"1795366275337796","variable_CONF_NO":"1001"}}"#, convener.channel_id());
            connection.answer(&dump).await;
        } else {
            connection.answer("-ERR No such channel!\n").await;
        }
    }
    for _ in 0..2 {
        let line = connection.wish().await.line;
        assert!(line.starts_with("api db select/sklic-end/"), "{line}");
        let known = line.ends_with(&gone.0.to_string());
        let record = "1|1795366281337785|1795366284517793||1795366300000000|16|||NORMAL_CLEARING|recv_bye|";
        connection.answer(if known { record } else { "-ERR no reply\n" }).await;
    }
    let snapshot = snapshot.await.expect("taken");
    assert_eq!(snapshot.legs[&convener].phase, LegSnapshotPhase::Inside { room: ROOM, muted: false });
    assert!(snapshot.legs[&convener].answered_at.is_some() && !snapshot.legs.contains_key(&gone));
    assert_eq!(snapshot.ended[&gone].cause.q850, Some(16));
    assert_eq!(snapshot.ended[&gone].left_at, Some(snapshot.ended[&gone].at));
}

#[tokio::test]
async fn nobody_is_in_a_room_of_a_switch_that_has_ended() {
    let (server, mut connection, pbx, mut events) = linked().await;
    let (before, after): (Vec<_>, Vec<_>) =
        SHUTDOWN.lines().partition(|line| line.contains("switch_core_destroy") || !line.contains("SYSTEM_SHUTDOWN"));
    for line in before {
        connection.event(line).await;
    }
    let mut left = Vec::new();
    while left.len() < 2 {
        if let Event::Left { leg, at, .. } = next(&mut events).await {
            left.push((leg, at));
        }
    }
    assert_eq!(left[0].1, left[1].1, "the switch ends for all at once");
    // It goes on answering while it takes itself down, and its lists are true no more.
    assert!(matches!(pbx.snapshot(vec![left[0].0, left[1].0]).await, Err(CommandFailure::Refused(_))));
    // The link is sought anew meanwhile, and the same switch answers.
    drop(connection);
    assert!(matches!(next(&mut events).await, Event::LinkDown { .. }));
    let mut connection = server.session(CORE).await;
    assert!(matches!(next(&mut events).await, Event::LinkUp { .. }));
    assert!(matches!(pbx.snapshot(vec![]).await, Err(CommandFailure::Refused(_))));
    for line in after {
        connection.event(line).await;
    }
    let mut ended = BTreeMap::new();
    while ended.len() < 2 {
        let Event::Ended { leg, at, .. } = next(&mut events).await else { panic!("nobody leaves twice") };
        ended.insert(leg, at.duration_since(left[0].1).as_secs());
    }
    let mut seconds: Vec<_> = ended.into_values().collect();
    seconds.sort_unstable();
    assert_eq!(seconds, [0, 10], "the calls ended when their phones heard it");
    // Another run of the switch has lists again.
    drop(connection);
    assert!(matches!(next(&mut events).await, Event::LinkDown { .. }));
    let mut connection = server.session("00000000-3239-4868-bba3-1b272a9ece40").await;
    assert!(matches!(next(&mut events).await, Event::LinkUp { .. }));
    drop(pbx.snapshot(vec![]));
    assert_eq!(connection.wish().await.line, "api show channels as json");
}

#[tokio::test]
async fn too_many_calls_are_told_as_that() {
    let (_server, mut connection, pbx, mut events) = linked().await;
    let leg = legs()[0];
    let first = pbx.execute(Command::Dial(dial(leg)));
    let request = connection.wish().await;
    assert!(request.line.starts_with(&format!("bgapi originate {{origination_uuid={}", leg.0)), "{}", request.line);
    connection.reply(&format!("+OK Job-UUID: {}", request.job)).await;
    connection.event(&format!(r#"{{"Event-Name":"BACKGROUND_JOB","Job-UUID":"{}","_body":"-ERR DESTINATION_OUT_OF_ORDER\n"}}"#, request.job)).await;
    assert_eq!(first.await, Err(CommandFailure::RateLimited));
    // The same leg again, and now it rings: the first sign of the channel is the answer.
    let second = pbx.execute(Command::Dial(dial(leg)));
    let request = connection.wish().await;
    connection.reply(&format!("+OK Job-UUID: {}", request.job)).await;
    for line in CONFERENCE.lines().filter(|line| line.contains(&leg.channel_id())).take(2) {
        connection.event(line).await;
    }
    assert_eq!(second.await, Ok(()));
    assert!(matches!(next(&mut events).await, Event::Ringing { .. }));
}

#[tokio::test]
async fn a_caller_who_goes_away_shifts_nothing() {
    let (_server, mut connection, pbx, _events) = linked().await;
    let legs = legs();
    let first = timeout(Duration::from_millis(20), pbx.execute(Command::HangUp { leg: legs[0] })).await;
    assert!(first.is_err(), "he did not wait for the answer");
    drop(pbx.execute(Command::HangUp { leg: legs[1] }));
    let third = pbx.execute(Command::HangUp { leg: legs[2] });
    for leg in &legs[..3] {
        let line = connection.wish().await.line;
        assert!(line.starts_with(&format!("api uuid_kill {}", leg.0)), "in the order of the calls, waited for or not: {line}");
    }
    connection.answer("+OK\n").await;
    connection.answer("+OK\n").await;
    connection.answer("-ERR No such channel!\n").await;
    assert_eq!(third.await, Err(CommandFailure::Gone), "his own answer and no other");
}

#[tokio::test]
async fn the_switch_is_woken_for_what_a_control_has_done() {
    // No sign of life comes between the answer and the waking.
    let (_server, mut connection, pbx, _events) = linked_with(|config| config.ping_interval = PATIENCE).await;
    let muted = pbx.execute(Command::Mute { room: ROOM, leg: legs()[0], muted: true });
    let line = connection.wish().await.line;
    assert!(line.starts_with("api conference sklic-1001 mute"), "{line}");
    connection.answer("+OK mute 1\n").await;
    // Its event may come to the socket a moment after the answer.
    for turn in ["with the answer", "a moment later", "and once more"] {
        timeout(PATIENCE, connection.is_woken()).await.expect(turn);
    }
    assert_eq!(muted.await, Ok(()));
    assert!(timeout(Duration::from_millis(100), connection.is_woken()).await.is_err(), "and then no more");
}

#[tokio::test]
async fn no_answer_is_told_in_time_and_shifts_nothing() {
    let (_server, mut connection, pbx, _events) = linked_with(|config| config.reply_within = Duration::from_millis(200)).await;
    let legs = legs();
    let waiting = pbx.execute(Command::HangUp { leg: legs[0] });
    connection.wish().await;
    assert_eq!(waiting.await, Err(CommandFailure::NoReply));
    // It comes after all, and is nobody's.
    let next = pbx.execute(Command::HangUp { leg: legs[1] });
    connection.answer("+OK\n").await;
    connection.wish().await;
    connection.answer("-ERR No such channel!\n").await;
    assert_eq!(next.await, Err(CommandFailure::Gone));
}

#[tokio::test]
async fn an_answer_that_nobody_asked_for_ends_the_link() {
    let (_server, mut connection, _pbx, mut events) = linked().await;
    connection.answer("+OK\n").await;
    assert!(matches!(next(&mut events).await, Event::LinkDown { .. }), "nobody could tell any more whose answer is whose");
}

#[tokio::test]
async fn silence_is_a_lost_link() {
    let short = |config: &mut FreeswitchConfig| {
        config.ping_interval = Duration::from_millis(100);
        config.silence_limit = Duration::from_millis(400);
    };
    let (server, connection, pbx, mut events) = linked_with(short).await;
    let waiting = pbx.execute(Command::HangUp { leg: legs()[0] });
    let Event::LinkDown { reason, last_heard } = next(&mut events).await else { panic!("the link is lost") };
    assert!(reason.contains("silence"), "{reason}");
    assert!(last_heard + Duration::from_millis(300) < sklic::clock::now(), "nothing is known of the time in which it was silent");
    assert_eq!(waiting.await, Err(CommandFailure::NoReply), "it may have happened");
    drop(connection);
    server.session(CORE).await;
    assert!(matches!(next(&mut events).await, Event::LinkUp { .. }));
}

#[tokio::test]
async fn who_speaks_another_language_or_refuses_is_tried_again() {
    let server = FakeEsl::start().await;
    let (_pbx, mut events) = connect(&server, |_| {});
    let mut wrong = server.accept().await;
    wrong.write(b"HTTP/1.1 400 Bad Request\nContent-Length: x\n\n").await;
    let mut rude = server.accept().await;
    rude.write(b"Content-Type: text/rude-rejection\nContent-Length: 24\n\nAccess Denied, go away.\n").await;
    let mut refusing = server.accept().await;
    refusing.write(b"Content-Type: auth/request\n\n").await;
    refusing.request().await;
    refusing.reply("-ERR invalid").await;
    server.session(CORE).await;
    assert!(matches!(next(&mut events).await, Event::LinkUp { .. }), "nothing was told of the attempts");
}

#[tokio::test]
async fn monstrous_and_broken_events_do_not_stop_the_reader() {
    let (_server, mut connection, pbx, mut events) = linked().await;
    for broken in ["", "{", "null", "[]", "{\"Event-Name\":7}", "{\"Event-Name\":\"CHANNEL_ANSWER\",\"Unique-ID\":[]}"] {
        connection.event(broken).await;
    }
    let monster = format!(r#"{{"Event-Name":"CHANNEL_CREATE","Caller-Caller-ID-Name":"{}"}}"#, "x".repeat(4 << 20));
    connection.event(&monster).await;
    let mut hostile = event("{\"Event-Name\":\"CHANNEL_CREATE\",\"Caller-Caller-ID-Name\":\"__\"}");
    let name = hostile.windows(2).position(|pair| pair == b"__").expect("it is there");
    hostile[name] = 0xff;
    connection.write(&hostile).await;
    connection.write(b"Content-Type: log/data\nContent-Length: 3\n\nx\n\n").await;
    let ringing = CONFERENCE.lines().find(|line| line.contains("CHANNEL_PROGRESS")).expect("recorded");
    connection.event(ringing).await;
    assert!(matches!(next(&mut events).await, Event::Ringing { .. }));
    let waiting = pbx.execute(Command::HangUp { leg: legs()[0] });
    connection.wish().await;
    connection.answer("+OK\n").await;
    assert_eq!(waiting.await, Ok(()));
}

#[tokio::test]
async fn a_switch_that_says_goodbye_is_sought_again() {
    let (server, mut connection, pbx, mut events) = linked().await;
    connection.write(b"Content-Type: text/disconnect-notice\nContent-Length: 14\n\nDisconnected.\n").await;
    assert!(matches!(next(&mut events).await, Event::LinkDown { .. }));
    assert_eq!(pbx.execute(Command::Close { room: ROOM }).await, Err(CommandFailure::NoLink));
    let _connection = server.session("00000000-3239-4868-bba3-1b272a9ece40").await;
    assert!(matches!(next(&mut events).await, Event::LinkUp { .. }));
    pbx.close().await;
    assert_eq!(timeout(PATIENCE, events.recv()).await.expect("in time"), None, "no more events");
}

#[tokio::test]
async fn records_that_the_switch_does_not_drop_are_not_asked_for_for_ever() {
    let (_server, mut connection, pbx, _events) = linked().await;
    let (first, second) = (legs()[0].0, legs()[1].0);
    let forgotten = pbx.execute(Command::Forget { room: ROOM });
    // The list comes in parts; the second part stays as it is.
    for (list, dropped) in [(first, true), (second, true), (second, false)] {
        assert_eq!(connection.wish().await.line, "api db list/sklic-room-1001");
        connection.answer(&list.to_string()).await;
        for realm in ["sklic-end", "sklic-room-1001"].into_iter().filter(|_| dropped) {
            assert_eq!(connection.wish().await.line, format!("api db delete/{realm}/{list}"));
            connection.answer("!err!").await;
        }
    }
    assert_eq!(forgotten.await, Ok(()));
    let next = pbx.execute(Command::Close { room: ROOM });
    assert_eq!(connection.wish().await.line, "api conference sklic-1001 hup all", "nothing else was asked meanwhile");
    connection.answer("+OK\n").await;
    assert_eq!(next.await, Ok(()));
}

#[tokio::test]
async fn records_that_nobody_has_had_dropped_are_told_and_those_of_old_callers_go() {
    let (_server, mut connection, pbx, _events) = linked().await;
    let kept = pbx.kept_rooms();
    assert_eq!(connection.wish().await.line, "api db list");
    connection.answer("sklic-end,sklic-room-0,sklic-room-7,sklic-room-1001,theirs").await;
    assert_eq!(connection.wish().await.line, "api db list/sklic-room-0");
    let (old, young) = ("f86add92-c5c9-4a75-a17d-ecadb504f3db", "5f0f8f1e-6a57-4a3b-9d0a-0c9e1c3c2f10");
    connection.answer(&format!("{old},{young}")).await;
    assert_eq!(kept.await, Ok(vec![Room(7), ROOM]));
    let days_ago = |days: i64| sklic::clock::now().as_microsecond() - days * 86_400_000_000;
    for (name, ended) in [(old, days_ago(8)), (young, days_ago(6))] {
        assert_eq!(connection.wish().await.line, format!("api db select/sklic-end/{name}"));
        connection.answer(&format!("1|{}|||{ended}|16|||NORMAL_CLEARING|recv_bye|", ended - 1_000_000)).await;
    }
    for realm in ["sklic-end", "sklic-room-0"] {
        assert_eq!(connection.wish().await.line, format!("api db delete/{realm}/{old}"));
        connection.answer("+OK").await;
    }
    let next = pbx.execute(Command::Close { room: ROOM });
    assert_eq!(connection.wish().await.line, "api conference sklic-1001 hup all", "the young one stays");
    connection.answer("+OK\n").await;
    assert_eq!(next.await, Ok(()));
}
