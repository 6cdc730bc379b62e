//! A caller's whole way through FreeSWITCH, played back with what a network or a switch may do to it.
//!
//! He was answered, keyed his code while he was still being spoken to, was let in, closed and opened his microphone, raised a hand, and left with the room.

use sklic::ids::LegId;
use sklic::numbers::Numbering;
use sklic::pbx::{Admit, Ask, Command, CommandFailure, Event, Language, LegSnapshotPhase, MemberKey, Pbx, Phrase, Role};
use sklic::reception::identify;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::fake_esl::{Connection, event};
use crate::faults_esl::{CORE, linked, next};

/// Every event of the caller, in the order in which FreeSWITCH 1.10.12 sent them, one in a line.
const DIAL_IN: &str = include_str!("recorded/dial_in.jsonl");
/// His room in the recording.
const ROOM: sklic::ids::Room = sklic::ids::Room(100_004);

/// The recording up to his answer, up to the hash key, and the rest.
fn parts() -> (&'static str, Vec<&'static str>, Vec<&'static str>) {
    let mut lines = DIAL_IN.lines();
    let arrival = lines.next().expect("recorded");
    let rest: Vec<_> = lines.collect();
    let hash = rest.iter().position(|line| line.contains(r##""DTMF-Digit":"#""##)).expect("recorded") + 1;
    (arrival, rest[..hash].to_vec(), rest[hash..].to_vec())
}

/// Answers what a command becomes: variables, and the step to which he is sent.
async fn obeys(connection: &mut Connection, step: &str) {
    let line = connection.wish().await.line;
    assert!(line.starts_with("api uuid_setvar_multi "), "{line}");
    connection.answer("+OK\n").await;
    let line = connection.wish().await.line;
    assert!(line.starts_with("api uuid_transfer ") && line.ends_with(step), "{line}");
    connection.answer("+OK\n").await;
}

async fn arrives(events: &mut UnboundedReceiver<Event>) -> LegId {
    let Event::Arrived { caller } = next(events).await else { panic!("somebody has arrived") };
    assert_eq!((caller.dialled.as_str(), caller.trunk.as_str(), caller.private, caller.pass), ("013099396", "lab", false, None));
    let identity = identify(&caller, &["lab".to_owned()], &Numbering::default());
    assert_eq!(identity.calling_line.as_deref(), Some("+38640200012"), "the line that the network vouches for");
    caller.leg
}

/// He is asked for his code.
async fn is_asked(connection: &mut Connection, pbx: &dyn Pbx, leg: LegId) {
    let ask = Ask { leg, ask: 1, language: Language::Sl, say: vec![Phrase::Welcome, Phrase::EnterCode], most_digits: 12, wait_seconds: 10 };
    let asked = pbx.execute(Command::Ask(ask));
    obeys(connection, " ask XML sklic-in").await;
    assert_eq!(asked.await, Ok(()));
}

async fn is_let_in(connection: &mut Connection, pbx: &dyn Pbx, leg: LegId) {
    let (language, role) = (Language::Sl, Role::Participant);
    let admitted = pbx.execute(Command::Admit(Admit { leg, room: ROOM, role, muted: false, language, grace_seconds: 0, past_lock: false }));
    obeys(connection, " participant XML sklic-out").await;
    assert_eq!(admitted.await, Ok(()));
}

/// The digits of his answer; the first key has ended the saying.
async fn answers(connection: &mut Connection, events: &mut UnboundedReceiver<Event>) {
    let line = connection.wish().await.line;
    assert!(line.starts_with("api uuid_break ") && line.ends_with(" all"), "{line}");
    connection.answer("+OK\n").await;
    let Event::Keyed { ask: 1, keys, .. } = next(events).await else { panic!("his answer") };
    assert_eq!(keys.expose(), "91222962");
}

/// What is told from his joining to his end, but for talking.
async fn story(events: &mut UnboundedReceiver<Event>) -> Vec<&'static str> {
    let mut story = Vec::new();
    loop {
        story.push(match next(events).await {
            Event::Talking { .. } => continue,
            Event::Joined { room, muted: false, .. } if room == ROOM => "joined",
            Event::Pressed { key: MemberKey::Mute, .. } => "pressed mute",
            Event::Pressed { key: MemberKey::Hand, .. } => "pressed hand",
            Event::Muted { muted: true, .. } => "muted",
            Event::Muted { muted: false, .. } => "unmuted",
            Event::Left { .. } => "left",
            Event::Ended { cause, .. } => {
                assert_eq!(cause.q850, Some(16));
                story.push("ended");
                return story;
            }
            other => panic!("unexpected {other:?}"),
        });
    }
}

const STORY: [&str; 8] = ["joined", "pressed mute", "muted", "pressed mute", "unmuted", "pressed hand", "left", "ended"];

#[tokio::test]
async fn a_recorded_caller_is_told_as_he_was() {
    let (_server, mut connection, pbx, mut events) = linked().await;
    let (arrival, keyed, rest) = parts();
    connection.event(arrival).await;
    let leg = arrives(&mut events).await;
    is_asked(&mut connection, &*pbx, leg).await;
    for line in keyed {
        connection.event(line).await;
    }
    answers(&mut connection, &mut events).await;
    is_let_in(&mut connection, &*pbx, leg).await;
    for line in rest {
        connection.event(line).await;
    }
    assert_eq!(story(&mut events).await, STORY);
    assert_eq!(pbx.execute(Command::HangUp { leg }).await, Err(CommandFailure::Gone));
}

#[tokio::test]
async fn a_caller_in_pieces_and_twice_is_one_caller() {
    let (_server, mut connection, pbx, mut events) = linked().await;
    let (arrival, keyed, rest) = parts();
    for piece in [event(arrival), event(arrival)].concat().chunks(7) {
        connection.write(piece).await;
    }
    let leg = arrives(&mut events).await;
    is_asked(&mut connection, &*pbx, leg).await;
    // The end of the words is told late, after all his keys.
    let (said, keys): (Vec<_>, Vec<_>) = keyed.into_iter().partition(|line| line.contains("CHANNEL_PARK"));
    for line in keys {
        for piece in event(line).chunks(11) {
            connection.write(piece).await;
        }
    }
    answers(&mut connection, &mut events).await;
    for line in said {
        connection.event(line).await;
    }
    is_let_in(&mut connection, &*pbx, leg).await;
    for line in rest {
        connection.event(line).await;
        if line.contains("CHANNEL_HANGUP_COMPLETE") {
            connection.event(line).await;
            // Nothing that comes after his end brings him back.
            connection.event(arrival).await;
        }
    }
    assert_eq!(story(&mut events).await, STORY);
    assert_eq!(pbx.execute(Command::HangUp { leg }).await, Err(CommandFailure::Gone));
    assert!(events.try_recv().is_err(), "he is told once");
}

/// Tells what the switch holds: this caller and nobody else. A dump has the fields of an event.
async fn shows(connection: &mut Connection, arrival: &str) {
    let id = serde_json::from_str::<serde_json::Value>(arrival).expect("recorded")["Unique-ID"].clone();
    assert_eq!(connection.wish().await.line, "api show channels as json");
    connection.answer(&format!(r#"{{"row_count":1,"rows":[{{"uuid":{id},"callstate":"ACTIVE","context":"sklic-in"}}]}}"#)).await;
    assert_eq!(connection.wish().await.line, "api conference json_list");
    connection.answer("[]").await;
    assert_eq!(connection.wish().await.line, format!("api uuid_dump {} json", id.as_str().expect("text")));
    connection.answer(arrival).await;
}

#[tokio::test]
async fn a_caller_whose_arrival_was_cut_off_is_in_the_snapshot() {
    let (server, mut connection, pbx, mut events) = linked().await;
    let (arrival, ..) = parts();
    let whole = event(arrival);
    connection.write(&whole[..whole.len() / 2]).await;
    drop(connection);
    assert!(matches!(next(&mut events).await, Event::LinkDown { .. }), "half a caller is none");
    let mut connection = server.session(CORE).await;
    assert!(matches!(next(&mut events).await, Event::LinkUp { .. }));
    let snapshot = pbx.snapshot(Vec::new());
    shows(&mut connection, arrival).await;
    let snapshot = snapshot.await.expect("taken");
    let (leg, caller) = snapshot.callers.first_key_value().expect("he is there");
    assert_eq!((snapshot.legs[leg].phase, caller.dialled.as_str()), (LegSnapshotPhase::Held, "013099396"));
    // One who was brought to another switch is nobody's stray and in no hands here.
    let brought = arrival.replace(r#""variable_SKLIC_CALLER":"held""#, r#""variable_SKLIC_CALLER":"brought""#);
    let (_server, mut connection, pbx, _events) = linked().await;
    let snapshot = pbx.snapshot(Vec::new());
    shows(&mut connection, &brought).await;
    let snapshot = snapshot.await.expect("taken");
    assert_eq!((snapshot.legs[leg].phase, snapshot.callers.len()), (LegSnapshotPhase::Brought, 0));
}

#[tokio::test]
async fn a_caller_who_goes_while_he_is_asked_is_gone() {
    let (_server, mut connection, pbx, mut events) = linked().await;
    let (arrival, keyed, rest) = parts();
    connection.event(arrival).await;
    let leg = arrives(&mut events).await;
    is_asked(&mut connection, &*pbx, leg).await;
    connection.event(keyed[0]).await;
    let line = connection.wish().await.line;
    assert!(line.starts_with("api uuid_break "), "{line}");
    connection.answer("-ERR No such channel!\n").await;
    connection.event(rest.last().expect("recorded")).await;
    let mut told = next(&mut events).await;
    if matches!(told, Event::Left { .. }) {
        // The end of this recording tells that he was inside.
        told = next(&mut events).await;
    }
    assert!(matches!(told, Event::Ended { .. }), "{told:?}");
    let ask = Ask { leg, ask: 2, language: Language::Sl, say: Vec::new(), most_digits: 12, wait_seconds: 10 };
    assert_eq!(pbx.execute(Command::Ask(ask)).await, Err(CommandFailure::Gone));
}

#[tokio::test]
async fn a_lost_link_answers_no_question() {
    let (server, mut connection, pbx, mut events) = linked().await;
    let (arrival, keyed, rest) = parts();
    connection.event(arrival).await;
    let leg = arrives(&mut events).await;
    is_asked(&mut connection, &*pbx, leg).await;
    drop(connection);
    assert!(matches!(next(&mut events).await, Event::LinkDown { .. }));
    let mut connection = server.session(CORE).await;
    assert!(matches!(next(&mut events).await, Event::LinkUp { .. }));
    // The first of his keys were lost: what is left of them is another number.
    for line in &keyed[keyed.len() / 2..] {
        connection.event(line).await;
    }
    connection.event(rest.last().expect("recorded")).await;
    let told = next(&mut events).await;
    assert!(matches!(told, Event::Left { .. } | Event::Ended { .. }), "{told:?}");
}
