//! A link that misbehaves: the adapter gets over it, and nobody gets a wrong answer.

use std::sync::Arc;
use std::time::Duration;

use sklic::ids::{ConferenceId, LegId, Room};
use sklic::pbx::asterisk::{self, AsteriskConfig};
use sklic::pbx::{Ask, Command, CommandFailure, Event, Language, Pbx, Phrase};
use sklic::telemetry::calls;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;
use uuid::Uuid;

use crate::fake_ami::{Connection, FakeAmi};

const PATIENCE: Duration = Duration::from_secs(20);

fn leg(number: u32) -> LegId {
    LegId::derive(ConferenceId(Uuid::nil()), number)
}

fn connect(server: &FakeAmi, change: impl FnOnce(&mut AsteriskConfig)) -> (Arc<dyn Pbx>, UnboundedReceiver<Event>) {
    let mut config = AsteriskConfig::new("fake", &server.address, "sklic", "secret".to_owned().into(), "PJSIP/{number}@trunk");
    change(&mut config);
    let (sender, events) = unbounded_channel();
    (asterisk::connect(config, sender), events)
}

async fn linked() -> (FakeAmi, Connection, Arc<dyn Pbx>, UnboundedReceiver<Event>) {
    linked_with(|_| {}).await
}

async fn linked_with(change: impl FnOnce(&mut AsteriskConfig)) -> (FakeAmi, Connection, Arc<dyn Pbx>, UnboundedReceiver<Event>) {
    let server = FakeAmi::start().await;
    let (pbx, mut events) = connect(&server, change);
    let connection = server.session().await;
    assert!(matches!(next(&mut events).await, Event::LinkUp { .. }));
    (server, connection, pbx, events)
}

async fn next(events: &mut UnboundedReceiver<Event>) -> Event {
    timeout(PATIENCE, events.recv()).await.expect("an event in time").expect("the adapter lives")
}

fn ringing(leg: LegId) -> Vec<u8> {
    format!(
        "Event: Newstate\r\nTimestamp: 1795364581.916577\r\nChannel: PJSIP/trunk-00000001\r\nChannelState: 5\r\nUniqueid: {}\r\n\r\n",
        leg.channel_id()
    )
    .into_bytes()
}

#[tokio::test]
async fn link_cut_in_the_middle_of_a_message_is_sought_again() {
    let (server, mut connection, _pbx, mut events) = linked().await;
    let whole = ringing(leg(1));
    connection.write(&whole[..whole.len() - 9]).await;
    drop(connection);
    assert!(matches!(next(&mut events).await, Event::LinkDown { .. }), "half an event is none");
    let mut connection = server.session().await;
    assert!(matches!(next(&mut events).await, Event::LinkUp { .. }));
    connection.write(&whole).await;
    assert!(matches!(next(&mut events).await, Event::Ringing { leg: id, .. } if id == leg(1)));
}

#[tokio::test]
async fn silence_is_a_lost_link() {
    let short = |config: &mut AsteriskConfig| {
        config.ping_interval = Duration::from_millis(100);
        config.silence_limit = Duration::from_millis(400);
    };
    let (server, connection, pbx, mut events) = linked_with(short).await;
    let waiting = pbx.execute(Command::HangUp { leg: leg(1) });
    let Event::LinkDown { reason, last_heard } = next(&mut events).await else { panic!("the link is lost") };
    assert!(reason.contains("silence"), "{reason}");
    assert!(last_heard + Duration::from_millis(300) < sklic::clock::now(), "nothing is known of the time in which it was silent");
    assert_eq!(waiting.await, Err(CommandFailure::NoReply), "it may have happened");
    drop(connection);
    server.session().await;
    assert!(matches!(next(&mut events).await, Event::LinkUp { .. }));
}

#[tokio::test]
async fn who_speaks_another_language_is_left_and_tried_again() {
    let server = FakeAmi::start().await;
    let (_pbx, mut events) = connect(&server, |_| {});
    let mut wrong = server.accept().await;
    wrong.write(b"SSH-2.0-OpenSSH_9.2\r\n").await;
    let mut refusing = server.accept().await;
    refusing.write(b"Asterisk Call Manager/11.0.0\r\n").await;
    let login = refusing.action().await;
    refusing.answer(&login, &["Response: Error", "Message: Authentication failed"]).await;
    server.session().await;
    assert!(matches!(next(&mut events).await, Event::LinkUp { .. }), "nothing was told of the attempts");
}

#[tokio::test]
async fn commands_wait_for_the_boot() {
    let server = FakeAmi::start().await;
    let (pbx, mut events) = connect(&server, |_| {});
    let mut connection = server.accept().await;
    connection.log_in().await;
    assert_eq!(pbx.execute(Command::Close { room: Room(1) }).await, Err(CommandFailure::NoLink));
    assert!(events.try_recv().is_err());
    // What is told while the switch boots is passed on, after the link is up.
    connection.write(&ringing(leg(1))).await;
    connection.boot().await;
    assert!(matches!(next(&mut events).await, Event::LinkUp { .. }));
    assert!(matches!(next(&mut events).await, Event::Ringing { .. }));
}

#[tokio::test]
async fn a_caller_who_goes_away_shifts_nothing() {
    let (_server, mut connection, pbx, _events) = linked().await;
    let first = timeout(Duration::from_millis(20), pbx.execute(Command::HangUp { leg: leg(1) })).await;
    assert!(first.is_err(), "he did not wait for the answer");
    drop(pbx.execute(Command::HangUp { leg: leg(2) }));
    let third = pbx.execute(Command::HangUp { leg: leg(3) });
    let mut asked = Vec::new();
    for number in 1..=3 {
        let action = connection.wish().await;
        assert_eq!(action["Channel"], leg(number).channel_id(), "sent in the order of the calls, waited for or not");
        asked.push(action);
    }
    connection.answer(&asked[0], &["Response: Success", "Message: Channel Hungup"]).await;
    connection.answer(&asked[1], &["Response: Success", "Message: Channel Hungup"]).await;
    connection.answer(&asked[2], &["Response: Error", "Message: No such channel"]).await;
    assert_eq!(third.await, Err(CommandFailure::Gone), "his own answer and no other");
}

#[tokio::test]
async fn answers_in_another_order_find_their_commands() {
    let (_server, mut connection, pbx, _events) = linked().await;
    let first = pbx.execute(Command::HangUp { leg: leg(1) });
    let second = pbx.execute(Command::HangUp { leg: leg(2) });
    let (one, two) = (connection.wish().await, connection.wish().await);
    connection.answer(&two, &["Response: Error", "Message: Permission denied"]).await;
    connection.answer(&two, &["Response: Success", "Message: a second answer to the same"]).await;
    connection.say(&["Response: Success", "ActionID: nobody's", "Message: never asked"]).await;
    connection.say(&["Response: Success", "Message: without an id"]).await;
    connection.answer(&one, &["Response: Success", "Message: Channel Hungup"]).await;
    assert_eq!(first.await, Ok(()));
    assert_eq!(second.await, Err(CommandFailure::Refused("Permission denied".into())));
}

#[tokio::test]
async fn no_answer_is_told_in_time() {
    let (_server, mut connection, pbx, _events) = linked_with(|config| config.reply_within = Duration::from_millis(200)).await;
    let waiting = pbx.execute(Command::HangUp { leg: leg(1) });
    let action = connection.wish().await;
    assert_eq!(waiting.await, Err(CommandFailure::NoReply));
    // It comes after all, and is nobody's.
    connection.answer(&action, &["Response: Success", "Message: Channel Hungup"]).await;
    let next = pbx.execute(Command::HangUp { leg: leg(2) });
    let action = connection.wish().await;
    connection.answer(&action, &["Response: Error", "Message: No such channel"]).await;
    assert_eq!(next.await, Err(CommandFailure::Gone));
}

#[tokio::test]
async fn monstrous_messages_do_not_stop_the_reader() {
    let (_server, mut connection, pbx, mut events) = linked().await;
    let mut monster = b"Event: Newchannel\r\nCallerIDName: ".to_vec();
    monster.extend(std::iter::repeat_n(0xc3, 1 << 20));
    monster.extend(b"\r\nUniqueid: 1795356473.77\r\n\r\n");
    connection.write(&monster).await;
    let mut flood = b"Event: Newchannel\r\n".to_vec();
    for _ in 0..50_000 {
        flood.extend(b"ChanVariable: X=y\r\n");
    }
    flood.extend(b"\r\nno colon at all\r\n\r\n\r\n\r\n: : :\r\n\r\n");
    connection.write(&flood).await;
    connection.write(&ringing(leg(1))).await;
    assert!(matches!(next(&mut events).await, Event::Ringing { leg: id, .. } if id == leg(1)));
    let waiting = pbx.execute(Command::HangUp { leg: leg(1) });
    let action = connection.wish().await;
    connection.answer(&action, &["Response: Success", "Message: Channel Hungup"]).await;
    assert_eq!(waiting.await, Ok(()));
}

#[tokio::test]
async fn a_list_that_never_ends_fails_the_snapshot_only() {
    let (server, mut connection, pbx, mut events) = linked().await;
    let snapshot = pbx.snapshot(vec![]);
    let status = connection.wish().await;
    assert_eq!(status["Action"], "Status");
    connection.answer(&status, &["Response: Success", "EventList: start"]).await;
    drop(connection);
    assert_eq!(snapshot.await.map(|_| ()), Err(CommandFailure::NoReply));
    assert!(matches!(next(&mut events).await, Event::LinkDown { .. }));
    server.session().await;
    assert!(matches!(next(&mut events).await, Event::LinkUp { .. }));
}

#[tokio::test]
async fn the_call_id_of_a_leg_that_was_there_before_us_is_asked_for() {
    let (_server, mut connection, pbx, _events) = linked().await;
    // Of no other test: what is known of legs is known to the whole process.
    let leg = LegId::fresh();
    let snapshot = pbx.snapshot(vec![]);
    let status = connection.wish().await;
    let rooms = connection.wish().await;
    assert_eq!((status["Action"].as_str(), rooms["Action"].as_str()), ("Status", "ConfbridgeListRooms"));
    let (id, uniqueid) = (format!("ActionID: {}", status["ActionID"]), format!("Uniqueid: {}", leg.channel_id()));
    connection.answer(&status, &["Response: Success", "EventList: start", "Message: Channel status will follow"]).await;
    let channel = ["Event: Status", id.as_str(), "Channel: PJSIP/trunk-00000001", "ChannelState: 6", uniqueid.as_str(), "Variable: CONF_NO=1001"];
    connection.say(&channel).await;
    connection.say(&["Event: StatusComplete", id.as_str(), "EventList: Complete", "ListItems: 1"]).await;
    connection.answer(&rooms, &["Response: Error", "Message: No active conferences."]).await;
    assert!(snapshot.await.expect("a snapshot").legs.contains_key(&leg));
    let asked = loop {
        let action = connection.action().await;
        if action.get("Variable").map(String::as_str) == Some("CHANNEL(pjsip,call-id)") {
            break action;
        }
    };
    assert_eq!(asked["Channel"], "PJSIP/trunk-00000001");
    connection.answer(&asked, &["Response: Success", "Value: found@127.0.0.1"]).await;
    let known = async {
        while calls::known(leg).call_id.as_deref() != Some("found@127.0.0.1") {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, known).await.expect("the Call-ID is kept");
}

#[tokio::test]
async fn closing_ends_the_link_for_good() {
    let (_server, _connection, pbx, mut events) = linked().await;
    pbx.close().await;
    assert_eq!(pbx.execute(Command::Close { room: Room(1) }).await, Err(CommandFailure::NoLink));
    assert_eq!(timeout(PATIENCE, events.recv()).await.expect("in time"), None, "no more events");
}

#[tokio::test]
async fn a_lost_link_answers_no_question() {
    let (server, mut connection, pbx, mut events) = linked().await;
    let of_caller = ["Timestamp: 1795356010.100000", "Channel: PJSIP/trunk-00000011", "Uniqueid: 1795356010.24"];
    let who = "1795356010.1|.19819|.|.|.|.sip:1@x|.|.trunk|.c";
    let (told, kept) = (format!("Who: {who}"), format!("Variable: SKLIC_WHO1={who}"));
    let arrived = [&["Event: UserEvent", "UserEvent: SklicArrived", told.as_str()][..], &of_caller].concat();
    connection.say(&arrived).await;
    let Event::Arrived { caller } = next(&mut events).await else { panic!("somebody has arrived") };
    let ask = Ask { leg: caller.leg, ask: 1, language: Language::Sl, say: vec![Phrase::EnterCode], most_digits: 12, wait_seconds: 10 };
    let asked = pbx.execute(Command::Ask(ask));
    loop {
        let action = connection.wish().await;
        connection.answer(&action, &["Response: Success"]).await;
        if action["Action"] == "Redirect" {
            break;
        }
    }
    assert_eq!(asked.await, Ok(()));
    drop(connection);
    assert!(matches!(next(&mut events).await, Event::LinkDown { .. }));
    let mut connection = server.accept().await;
    connection.log_in().await;
    connection
        .boot_with(&[&["Channel: PJSIP/trunk-00000011", "ChannelState: 6", "Uniqueid: 1795356010.24", "Variable: SKLIC_CALLER=held", &kept]])
        .await;
    assert!(matches!(next(&mut events).await, Event::LinkUp { .. }));
    // The first of his keys were lost: what is left of them is another number.
    for digit in ["Digit: 7", "Digit: #"] {
        connection.say(&[&["Event: DTMFEnd", "Direction: Received", digit][..], &of_caller].concat()).await;
    }
    connection.say(&[&["Event: Hangup", "Cause: 16"][..], &of_caller].concat()).await;
    let told = next(&mut events).await;
    assert!(matches!(told, Event::Ended { .. }), "{told:?}");
}
