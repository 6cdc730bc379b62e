use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::ids::ConferenceId;
use crate::pbx::Event;
use crate::pbx::asterisk::legs::SURELY_GONE_AFTER;
use crate::pbx::asterisk::translate::{Told, What};
use crate::pbx::wire::LineEnd;

fn leg(number: u32) -> LegId {
    LegId::derive(ConferenceId(uuid::Uuid::nil()), number)
}

fn block(lines: &str) -> HeaderBlock {
    HeaderBlock::new(Bytes::from(lines.replace('\n', "\r\n")), LineEnd::CrLf)
}

fn reply(items: &[String]) -> Reply {
    Reply { response: block("Response: Success\n"), items: items.iter().map(|lines| block(lines)).collect() }
}

fn status(id: LegId, state: u8) -> String {
    let id = id.channel_id();
    format!(
        "Event: Status\nChannel: PJSIP/trunk-00000001\nChannelState: {state}\nCallerIDName: Variable: CONF_NO=9\nUniqueid: {id}\n\
         Variable: CONF_NO=1001\nVariable: SKLIC_ANSWERED=1795364582.218\nVariable: SKLIC_JOINED=1795364585.382\n"
    )
}

fn time(millis: i64) -> Option<Timestamp> {
    Timestamp::from_millisecond(millis).ok()
}

#[test]
fn channels_of_others_are_left_out() {
    let foreign = "Event: Status\nChannel: PJSIP/office-1\nChannelState: 6\nUniqueid: 1795356473.77\n".to_owned();
    let read = channels(&reply(&[foreign, status(leg(1), 5)]), "pbx1");
    assert_eq!(read.len(), 1);
    assert_eq!(read[0].leg, leg(1));
    assert_eq!(read[0].phase, LegSnapshotPhase::Ringing);
    assert_eq!(read[0].room, Some(Room(1001)));
    assert_eq!(read[0].answered_at, time(1_795_364_582_218));
    assert_eq!(read[0].joined_at, time(1_795_364_585_382));
}

#[test]
fn end_records_of_the_real_dialplan() {
    let joined = end_record("1|1795364588.717|1795364591.881|1795364594.416|1795364599.104|16|200|").expect("a record");
    assert_eq!(joined.cause, EndCause { q850: Some(16), ..EndCause::default() });
    assert_eq!(joined.answered_at, time(1_795_364_588_717));
    assert_eq!(joined.joined_at, time(1_795_364_591_881));
    assert_eq!(joined.left_at, time(1_795_364_594_416));
    assert_eq!(Some(joined.at), time(1_795_364_599_104));

    let hung_up_inside = end_record("1|1795364582.218|1795364585.382||1795364594.414|16|200|").expect("a record");
    assert_eq!(hung_up_inside.left_at, time(1_795_364_594_414), "who hangs up in the room leaves it with the call");

    let busy = end_record("1||||1795364581.916|17|486|").expect("a record");
    assert_eq!(busy.cause, EndCause { q850: Some(17), sip: Some(486), ..EndCause::default() });
    let no_answer = end_record("1||||1795364583.919|19|180|").expect("a record");
    assert_eq!(no_answer.cause, EndCause { q850: Some(19), ring_timeout: true, ..EndCause::default() });
    let refused = end_record("1|1795364588.717|||1795364599.104|16|200|1").expect("a record");
    assert!(refused.cause.join_refused && refused.joined_at.is_none() && refused.left_at.is_none());

    for bad in ["", "1|", "2||||1795364581.916|17|486|", "1||||x|17|486|", "1||||1795364581.916|17|486||"] {
        assert_eq!(end_record(bad), None, "{bad}");
    }
}

#[test]
fn records_are_found_by_their_key() {
    let id = leg(4).0.simple().to_string();
    let entry = |key: &str| format!("Event: DBGetTreeResponse\nKey: {key}\nVal: 1||||1795364581.916|17|486|\n");
    let read = ends(&reply(&[entry(&format!("/sklic-end/1001/{id}")), entry("/sklic-end/1001/x"), entry("")]), "pbx1");
    assert_eq!(read.keys().copied().collect::<Vec<_>>(), [leg(4)]);
}

#[test]
fn events_since_the_beginning_are_newer_than_the_lists() {
    let now = Instant::now();
    let at = Timestamp::UNIX_EPOCH;
    let mut legs = Legs::default();
    for number in 1..=3 {
        legs.ask(leg(number), Room(1001), now);
    }
    let told = |number: u32, what: What| Told { leg: leg(number), at: None, channel: Some("PJSIP/trunk-00000001".into()), what };
    for number in 1..=2 {
        legs.take(told(number, What::Created), now, at);
    }
    let mut lists = Lists { begun: legs.changes(), ..Lists::default() };
    let came_and_went = format!("{}Variable: SKLIC_LEFT=1795364594.416\n", status(leg(8), 6));
    lists.channels = channels(&reply(&[status(leg(1), 5), status(leg(2), 6), came_and_went, status(leg(9), 6)]), "pbx1");
    lists.members = Some(vec![(leg(2), Room(1001), true, "PJSIP/trunk-00000001".into())]);
    lists.rooms = BTreeMap::from([(Room(1001), true), (Room(7), false)]);
    // After the list of channels, the first answered and the one from before our start left.
    legs.take(told(1, What::Answered), now, at);
    legs.take(told(9, What::HungUp { q850: Some(16), sip: None }), now, at);
    legs.settle(now, at);

    let (living, rooms) = merge(&lists, &mut legs, [leg(5)].into_iter(), now);
    let phases: Vec<_> = living.iter().map(|(id, leg)| (*id, leg.phase)).collect();
    let mut expected = vec![
        (leg(1), LegSnapshotPhase::Answered),
        (leg(2), LegSnapshotPhase::Inside { room: Room(1001), muted: true }),
        (leg(3), LegSnapshotPhase::Dialling),
        (leg(5), LegSnapshotPhase::Dialling),
        (leg(8), LegSnapshotPhase::Answered),
    ];
    expected.sort_by_key(|(id, _)| *id);
    assert_eq!(phases, expected);
    assert_eq!((living[&leg(8)].joined_at, living[&leg(8)].left_at), (time(1_795_364_585_382), time(1_795_364_594_416)));
    assert_eq!(living[&leg(2)].left_at, None);
    assert_eq!(rooms, BTreeMap::from([(Room(1001), true)]), "a room without a member of ours is not ours");

    // Later a leg that never got a channel is no longer believed in, and one that vanished is dropped.
    let listed = channels(&reply(&[status(leg(1), 6)]), "pbx1");
    let later = Lists { begun: legs.changes(), channels: listed, members: Some(Vec::new()), ..Lists::default() };
    let (living, _) = merge(&later, &mut legs, std::iter::empty(), now + CHANNEL_WITHIN);
    assert_eq!(living.keys().copied().collect::<Vec<_>>(), [leg(1)]);
}

#[test]
fn an_ended_leg_that_is_listed_for_long_lives() {
    let now = Instant::now();
    let mut legs = Legs::default();
    legs.ask(leg(1), Room(1001), now);
    for what in [What::Created, What::Answered, What::HungUp { q850: Some(16), sip: None }] {
        legs.take(Told { leg: leg(1), at: None, channel: Some("PJSIP/trunk-00000001".into()), what }, now, Timestamp::UNIX_EPOCH);
    }
    assert!(legs.has_ended(leg(1)));
    let lists = Lists { begun: legs.changes(), channels: channels(&reply(&[status(leg(1), 6)]), "pbx1"), ..Lists::default() };
    let mut listed = |at| merge(&lists, &mut legs, std::iter::empty(), at).0.into_keys().collect::<Vec<_>>();
    assert_eq!(listed(now + SURELY_GONE_AFTER), [], "the list may be from before");
    assert_eq!(listed(now + SURELY_GONE_AFTER + Duration::from_millis(1)), [leg(1)]);
    assert!(!legs.has_ended(leg(1)), "it can be hung up");
}

#[test]
fn who_talks_while_the_lists_come_stays_inside() {
    // A link that has come back: the channels first, then a snapshot, and the convener speaks in its middle.
    let inside = LegSnapshotPhase::Inside { room: Room(1001), muted: false };
    let joined = [What::Created, What::Answered, What::Joined { room: Room(1001), muted: false }];
    let told = |what: What| Told { leg: leg(1), at: None, channel: Some("PJSIP/trunk-00000001".into()), what };
    let (now, at) = (Instant::now(), Timestamp::UNIX_EPOCH);
    for (known, said) in
        [(true, What::Talking(true)), (false, What::Talking(true)), (true, What::Muted(true)), (false, What::Muted(true)), (true, What::Key('5'))]
    {
        let mut legs = Legs::default();
        if known {
            joined.iter().for_each(|what| drop(legs.take(told(what.clone()), now, at)));
        }
        let listed = channels(&reply(&[status(leg(1), 6)]), "pbx1");
        merge(&Lists { begun: legs.changes(), channels: listed.clone(), ..Lists::default() }, &mut legs, std::iter::empty(), now);
        let begun = legs.changes();
        legs.take(told(said.clone()), now, at);
        let members = Some(vec![(leg(1), Room(1001), false, "PJSIP/trunk-00000001".into())]);
        let (living, _) = merge(&Lists { begun, channels: listed, members, ..Lists::default() }, &mut legs, std::iter::empty(), now);
        let phase = living[&leg(1)].phase;
        assert!(matches!(phase, LegSnapshotPhase::Inside { room: Room(1001), .. }), "{known} {said:?}: {phase:?} instead of {inside:?}");
    }
}

#[test]
fn what_a_list_has_shown_is_still_told_by_its_event() {
    // The lists ran ahead of the events, and the service passed them over: it had just asked for the call.
    let (now, at) = (Instant::now(), Timestamp::UNIX_EPOCH);
    for shown in [5, 6] {
        let mut legs = Legs::default();
        legs.ask(leg(1), Room(1001), now);
        let listed = channels(&reply(&[status(leg(1), shown)]), "pbx1");
        let lists = Lists { begun: legs.changes(), channels: listed, members: Some(Vec::new()), ..Lists::default() };
        merge(&lists, &mut legs, std::iter::empty(), now);
        let told = |what: What| Told { leg: leg(1), at: None, channel: Some("PJSIP/trunk-00000001".into()), what };
        let heard: Vec<_> =
            [What::Created, What::Ringing, What::Answered, What::Answered].into_iter().flat_map(|what| legs.take(told(what), now, at).0).collect();
        assert_eq!(heard, [Event::Ringing { leg: leg(1), at }, Event::Answered { leg: leg(1), at }], "{shown}");
        assert!(legs.get(leg(1)).is_some_and(|leg| leg.phase == LegSnapshotPhase::Answered), "{shown}");
    }
}
