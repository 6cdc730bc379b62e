use bytes::Bytes;
use tokio::time::Instant;

use super::*;
use crate::ids::ConferenceId;
use crate::pbx::freeswitch::translate::What;
use crate::pbx::{EndCause, Event};

const ROOM: Room = Room(1001);

fn leg(number: u32) -> LegId {
    LegId::derive(ConferenceId(uuid::Uuid::nil()), number)
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).expect("a time")
}

fn reply(text: &str) -> Reply {
    Reply { body: Bytes::from(text.to_owned()) }
}

/// Lists of FreeSWITCH 1.10.12, shortened.
#[test]
fn lists_of_the_real_switch() {
    let (one, two) = (leg(1), leg(2));
    let list = format!(
        r#"{{"row_count":3,"rows":[{{"uuid":"{}","direction":"outbound","callstate":"ACTIVE","cid_name":"x"}},
            {{"uuid":"{}","callstate":"RINGING"}},{{"uuid":"f86add92-c5c9-4a75-a17d-ecadb504f3db","callstate":"ACTIVE"}}]}}"#,
        one.channel_id(),
        two.channel_id()
    );
    let read = channels(&reply(&list)).expect("a list");
    assert_eq!(read, BTreeMap::from([(one, LegSnapshotPhase::Answered), (two, LegSnapshotPhase::Ringing)]));
    assert_eq!(channels(&reply("{\"row_count\": 0}\n")), Some(BTreeMap::new()));
    let mut bytes = list.into_bytes();
    let name = memchr::memmem::find(&bytes, b"\"x\"").expect("it is there");
    bytes[name + 1] = 0xff;
    assert_eq!(channels(&Reply { body: Bytes::from(bytes) }), Some(read), "a name that is no text");

    let list = format!(
        r#"[{{"conference_name":"sklic-1001","member_count":2,"locked":true,"members":[
            {{"type":"caller","id":5,"flags":{{"can_hear":true,"can_speak":false}},"uuid":"{}","caller_id_name":"x"}},
            {{"type":"recording_node"}}]}},{{"conference_name":"3000","locked":false,"members":[{{"uuid":"{}"}}]}}]"#,
        one.channel_id(),
        two.channel_id()
    );
    let read = rooms(&reply(&list)).expect("a list");
    assert_eq!(read, (BTreeMap::from([(ROOM, true)]), BTreeMap::from([(one, Member { room: ROOM, muted: true, member: Some(5), convener: false })])));
    let nothing = Some((BTreeMap::new(), BTreeMap::new()));
    assert_eq!(rooms(&reply("[]")), nothing);
    assert_eq!(rooms(&reply("+OK No active conferences.\n")), nothing);
    for bad in ["", "-ERR no reply\n", "-USAGE: x", "{", "[{\"locked\":1}]"] {
        assert_eq!((channels(&reply(bad)), rooms(&reply(bad))), (None, None), "{bad}");
    }
}

#[test]
fn one_channel_by_itself() {
    let told = |answered: u32, progress: u32| {
        let text = format!(
            r#"{{"Event-Name":"CHANNEL_DATA","Channel-State":"CS_EXECUTE","Unique-ID":"{}","Answer-State":"ringing",
                "Caller-Channel-Progress-Time":"{progress}","Caller-Channel-Answered-Time":"{answered}000000",
                "variable_CONF_NO":"1001","variable_SKLIC_JOINED":"7000000"}}"#,
            leg(1).channel_id()
        );
        dump(&reply(&text))
    };
    let answered = Dump {
        phase: LegSnapshotPhase::Answered,
        room: Some(ROOM),
        answered_at: Some(at(5)),
        joined_at: Some(at(7)),
        left: None,
        caller: None,
        grace_seconds: 0,
        convener: false,
    };
    assert_eq!(told(5, 1), Some((leg(1), answered)));
    assert_eq!(told(0, 1).map(|(_, dump)| dump.phase), Some(LegSnapshotPhase::Ringing));
    assert_eq!(told(0, 0).map(|(_, dump)| dump.phase), Some(LegSnapshotPhase::Dialling));
    assert_eq!(dump(&reply("-ERR No such channel!\n")), None);
    let role = |role: &str| {
        let text = format!(r#"{{"Unique-ID":"{}","variable_CONF_NO":"1001","variable_SKLIC_ROLE":"{role}"}}"#, leg(1).channel_id());
        dump(&reply(&text)).map(|(_, dump)| dump.convener)
    };
    assert_eq!((role("convener"), role("participant")), (Some(true), Some(false)));
}

/// Records as the dialplan has the switch write them.
#[test]
fn records_of_ends() {
    let read = |text: &str| end_record(&reply(text));
    let record = read("1|5000000|7000000||9000000|16|||NORMAL_CLEARING|recv_bye|").expect("a record");
    let normal = EndCause { q850: Some(16), ..EndCause::default() };
    assert_eq!(record, EndRecord { cause: normal, answered_at: Some(at(5)), joined_at: Some(at(7)), left_at: Some(at(9)), at: at(9) });
    assert_eq!(read("1|5000000|7000000|8000000|9000000|16|||NORMAL_CLEARING|send_bye|").and_then(|record| record.left_at), Some(at(8)));
    let busy = read("1|0|||9000000|17|486||USER_BUSY|recv_refuse|sip:486").expect("a record");
    assert_eq!((busy.cause.sip, busy.cause.q850, busy.answered_at, busy.left_at), (Some(486), Some(17), None, None));
    assert!(read("1|0|||9000000|19|||NO_ANSWER|send_cancel|").is_some_and(|record| record.cause.ring_timeout && record.cause.sip.is_none()));
    assert!(read("1|5000000|||9000000|16||1|NORMAL_CLEARING|send_bye|").is_some_and(|record| record.cause.join_refused));
    // The dialplan of today: the port from which the last response came.
    let busy = read("2|0|||9000000|17|486||USER_BUSY|recv_refuse|sip:486|27683").expect("a record");
    assert_eq!((busy.cause.q850, busy.cause.sip), (Some(17), Some(486)));
    let away = read("2|0|||9000000|41|503||NORMAL_TEMPORARY_FAILURE|recv_refuse|sip:503|0").expect("a record");
    assert_eq!((away.cause.q850, away.cause.sip), (Some(27), None));
    for bad in ["-ERR no reply\n", "", "1||||||||||", "2|5|7||9|16|||NORMAL_CLEARING|recv_bye|", "1|5|7||9|16", "!err!"] {
        assert_eq!(read(bad), None, "{bad}");
    }
    let (one, two) = (leg(1), leg(2));
    assert_eq!(room_legs(&reply(&format!("{},{}", one.0.simple(), two.0.simple()))), [one, two]);
    // The list has a size; what is cut off is no leg.
    assert_eq!(room_legs(&reply(&format!("{},01234", one.0.simple()))), [one]);
    assert_eq!(room_legs(&reply("-ERR no reply\n")), []);
}

#[tokio::test]
async fn events_since_the_beginning_are_newer_than_the_lists() {
    let now = Instant::now();
    let mut legs = Legs::default();
    let (ringing, inside, asked, waiting, stranger, gone, left) = (leg(1), leg(2), leg(3), leg(4), leg(5), leg(6), leg(7));
    for id in [ringing, inside, asked, gone, left] {
        legs.ask(id, ROOM, (false, 0));
    }
    for id in [ringing, inside, gone, left] {
        legs.take(id, at(1), What::Created, now);
    }
    legs.take(left, at(1), What::Joined { room: ROOM, muted: false, member: Some(7), convener: false }, now);
    let mut lists = Lists { begun: legs.changes(), ..Lists::default() };
    lists.channels = [(ringing, LegSnapshotPhase::Ringing), (left, LegSnapshotPhase::Answered), (stranger, LegSnapshotPhase::Answered)].into();
    lists.members = [(inside, Member { room: ROOM, muted: true, member: None, convener: false })].into();
    lists.rooms = [(ROOM, true), (Room(7), false)].into();
    // After the list was asked for, the first answered.
    legs.take(ringing, at(2), What::Answered, now);
    // What one side knows and the other does not is asked for by itself: the list of channels lags behind.
    assert_eq!(lists.doubtful(&legs, &[waiting], false), BTreeSet::from([inside, stranger, gone, waiting]));
    let all = BTreeSet::from([inside, stranger, gone, waiting, ringing, left]);
    assert_eq!(lists.doubtful(&legs, &[waiting], true), all, "after a gap whoever is answered and in no room may have been in one");
    let dump = Dump {
        phase: LegSnapshotPhase::Answered,
        room: Some(ROOM),
        answered_at: Some(at(1)),
        joined_at: Some(at(2)),
        left: None,
        caller: None,
        grace_seconds: 0,
        convener: false,
    };
    let came_and_went = Dump { left: Some((ROOM, at(3))), ..dump.clone() };
    lists.dumps = [(inside, dump), (stranger, came_and_went)].into();

    let (living, rooms) = merge(&lists, &mut legs, &BTreeSet::from([asked, waiting]));
    let phases: BTreeMap<_, _> = living.iter().map(|(id, leg)| (*id, leg.phase)).collect();
    let expected = BTreeMap::from([
        (ringing, LegSnapshotPhase::Answered),
        (inside, LegSnapshotPhase::Inside { room: ROOM, muted: true }),
        (asked, LegSnapshotPhase::Dialling),
        (waiting, LegSnapshotPhase::Dialling),
        (stranger, LegSnapshotPhase::Answered),
        (left, LegSnapshotPhase::Answered),
    ]);
    assert_eq!(phases, expected, "the one that the switch does not have is gone");
    assert_eq!((living[&inside].joined_at, living[&inside].left_at), (Some(at(2)), None));
    assert_eq!((living[&stranger].joined_at, living[&stranger].left_at), (Some(at(2)), Some(at(3))), "both are told of whom nobody heard");
    assert_eq!(rooms, BTreeMap::from([(ROOM, true)]), "a room without a member of ours is not ours");

    // Later a leg of which the switch never told is no longer believed in.
    let later = Lists { begun: legs.changes(), channels: [(ringing, LegSnapshotPhase::Ringing)].into(), ..Lists::default() };
    let (living, _) = merge(&later, &mut legs, &BTreeSet::new());
    assert_eq!(
        living.into_iter().map(|(id, leg)| (id, leg.phase)).collect::<Vec<_>>(),
        [(ringing, LegSnapshotPhase::Answered)],
        "it does not go back"
    );
}

#[test]
fn who_talks_while_the_lists_come_is_inside() {
    // The service was started anew, and hears of a member first that he talks.
    let now = Instant::now();
    for said in [What::Talking(true), What::Muted(true), What::Key('5')] {
        let mut legs = Legs::default();
        let mut lists = Lists { begun: legs.changes(), ..Lists::default() };
        legs.take(leg(1), at(1), said.clone(), now);
        lists.channels = [(leg(1), LegSnapshotPhase::Answered)].into();
        lists.members = [(leg(1), Member { room: ROOM, muted: false, member: Some(5), convener: true })].into();
        let (living, _) = merge(&lists, &mut legs, &BTreeSet::new());
        assert_eq!(living[&leg(1)].phase, LegSnapshotPhase::Inside { room: ROOM, muted: false }, "{said:?}");
        assert!(legs.get(leg(1)).is_some_and(|leg| leg.convener), "{said:?}");
    }
}

#[test]
fn what_a_list_has_shown_is_still_told_by_its_event() {
    // The lists ran ahead of the events, and the service passed them over: it had just asked for the call.
    let now = Instant::now();
    for shown in [LegSnapshotPhase::Ringing, LegSnapshotPhase::Answered] {
        let mut legs = Legs::default();
        legs.ask(leg(1), ROOM, (false, 0));
        let lists = Lists { begun: legs.changes(), channels: [(leg(1), shown)].into(), ..Lists::default() };
        merge(&lists, &mut legs, &BTreeSet::new());
        let heard = [What::Created, What::Ringing, What::Answered, What::Answered].map(|what| legs.take(leg(1), at(2), what, now));
        let (ringing, answered) = (Event::Ringing { leg: leg(1), at: at(2) }, Event::Answered { leg: leg(1), at: at(2) });
        assert_eq!(heard, [None, Some(ringing), Some(answered), None], "{shown:?}");
        assert!(legs.get(leg(1)).is_some_and(|leg| leg.phase == LegSnapshotPhase::Answered), "{shown:?}");
    }
}
