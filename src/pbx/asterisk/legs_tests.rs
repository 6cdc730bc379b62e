use std::time::Duration;

use super::*;
use crate::ids::ConferenceId;

const ROOM: Room = Room(1001);

fn leg() -> LegId {
    LegId::derive(ConferenceId(uuid::Uuid::nil()), 1)
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).expect("a time")
}

fn told(what: What) -> Told {
    let channel = !matches!(what, What::Originated { .. });
    Told { leg: leg(), at: Some(at(1)), channel: channel.then(|| "PJSIP/trunk-00000001".into()), what }
}

/// Plays what the switch told at one moment and gives the events of the port.
fn play(script: &[What]) -> (Legs, Vec<Event>) {
    let now = Instant::now();
    let mut legs = Legs::default();
    legs.ask(leg(), ROOM, now);
    let events = script.iter().flat_map(|what| legs.take(told(what.clone()), now, at(9)).0).collect();
    (legs, events)
}

fn cause(script: &[What]) -> Option<EndCause> {
    play(script).1.iter().find_map(|event| match event {
        Event::Ended { cause, .. } => Some(*cause),
        _ => None,
    })
}

const fn hung_up(q850: u16, sip: Option<u16>) -> What {
    What::HungUp { q850: Some(q850), sip }
}

const FAILED: What = What::Originated { answered: false, reason: 0 };
const TIMED_OUT: What = What::Originated { answered: false, reason: 3 };

#[test]
fn unanswered_calls_end_once_in_either_order() {
    let busy = EndCause { q850: Some(17), sip: Some(486), ..EndCause::default() };
    let timed_out = EndCause { q850: Some(19), ring_timeout: true, ..EndCause::default() };
    let unavailable = EndCause { q850: Some(19), sip: Some(480), ..EndCause::default() };
    let table =
        [(hung_up(17, Some(486)), FAILED, busy), (hung_up(19, Some(480)), TIMED_OUT, timed_out), (hung_up(19, Some(480)), FAILED, unavailable)];
    for (end, response, expected) in table {
        for script in [[What::Created, end.clone(), response.clone()], [What::Created, response, end]] {
            assert_eq!(cause(&script), Some(expected), "{script:?}");
            let ends = play(&script).1.len();
            assert_eq!(ends, 1, "{script:?}");
        }
    }
}

#[test]
fn the_verdict_is_held_for_a_second() {
    let (mut legs, events) = play(&[What::Created, What::Ringing, hung_up(19, Some(480))]);
    assert_eq!(events, [Event::Ringing { leg: leg(), at: at(1) }]);
    let due = legs.due().expect("a verdict is held");
    assert!(due <= Instant::now() + VERDICT_WITHIN);
    assert!(legs.expire(due - Duration::from_millis(1), at(9)).is_empty());
    let cause = EndCause { q850: Some(19), ring_timeout: true, ..EndCause::default() };
    assert_eq!(legs.expire(due, at(9)), [Event::Ended { leg: leg(), cause, at: at(1) }]);
    assert!(legs.take(told(TIMED_OUT), Instant::now(), at(9)).0.is_empty(), "a late word ends nothing twice");
}

#[test]
fn without_the_response_the_far_ends_own_word_counts() {
    let (mut legs, _) = play(&[What::Created, What::FarEndEnded, hung_up(19, Some(480))]);
    let events = legs.settle(Instant::now(), at(9));
    let cause = EndCause { q850: Some(19), sip: Some(480), ..EndCause::default() };
    assert_eq!(events, [Event::Ended { leg: leg(), cause, at: at(1) }]);
}

#[test]
fn a_failure_without_a_channel_is_the_end_after_a_while() {
    let (mut legs, events) = play(&[FAILED]);
    assert!(events.is_empty());
    let due = legs.due().expect("a verdict is held");
    assert_eq!(legs.expire(due, at(9)), [Event::Ended { leg: leg(), cause: EndCause::default(), at: at(9) }]);
}

#[test]
fn a_failure_that_overtakes_its_channel_is_no_end_yet() {
    let cause = EndCause { q850: Some(23), sip: Some(302), ..EndCause::default() };
    let (_, events) = play(&[FAILED, What::Created, What::FarEndEnded, hung_up(23, Some(302))]);
    assert_eq!(events, [Event::Ended { leg: leg(), cause, at: at(1) }]);
}

#[test]
fn a_success_that_overtakes_its_channel_ends_nothing() {
    // The order of a busy Asterisk 22.10: the call was ended here five seconds later, and went on there.
    let script = [What::Originated { answered: true, reason: 4 }, What::Created, What::Answered, What::Joined { room: ROOM, muted: false }];
    let (mut legs, events) = play(&script);
    assert_eq!(events.len(), 2, "answered, and in: {events:?}");
    assert_eq!(legs.due(), None);
    let later = Instant::now() + CHANNEL_END_WITHIN * 2;
    assert_eq!(legs.expire(later, at(9)), []);
    let end = legs.take(told(hung_up(16, None)), later, at(9)).0;
    assert!(matches!(end[..], [Event::Left { .. }, Event::Ended { cause: EndCause { q850: Some(16), .. }, .. }]), "{end:?}");
}

#[test]
fn a_call_that_is_answered_outlives_the_failure_of_its_double() {
    // Placed again while its channel was late: the switch refuses the second one, and the first is answered.
    for living in [vec![What::Answered], vec![What::Answered, What::Joined { room: ROOM, muted: false }]] {
        let script: Vec<What> = [FAILED, What::Created].into_iter().chain(living).collect();
        let (mut legs, _) = play(&script);
        assert_eq!(legs.expire(Instant::now() + CHANNEL_END_WITHIN * 2, at(9)), []);
        assert_eq!(legs.take(told(FAILED), Instant::now(), at(9)).0, []);
        assert_eq!(legs.due(), None);
    }
    // One that has ended may be asked for again.
    let (mut legs, _) = play(&[What::Created, What::Answered, hung_up(16, None)]);
    assert!(legs.has_ended(leg()));
    legs.ask(leg(), ROOM, Instant::now());
    assert!(!legs.has_ended(leg()));
}

#[test]
fn the_last_word_on_the_dialling_may_come_at_any_place() {
    // It goes past the queue that all other events go through.
    let answered = What::Originated { answered: true, reason: 4 };
    let joined = What::Joined { room: ROOM, muted: false };
    let left = What::Left { room: ROOM };
    let calls: [(What, Vec<What>); 4] = [
        (answered.clone(), vec![What::Created, What::Ringing, What::Answered, joined.clone(), What::Talking(true), left.clone(), hung_up(16, None)]),
        (answered, vec![What::Created, What::Answered, What::FarEndEnded, hung_up(16, None)]),
        (FAILED, vec![What::Created, What::Ringing, What::FarEndEnded, hung_up(17, Some(486))]),
        (TIMED_OUT, vec![What::Created, What::Ringing, hung_up(19, Some(480))]),
    ];
    for (last_word, rest) in calls {
        let without_it = play(&rest).1;
        for place in 0..=rest.len() {
            let mut script = rest.clone();
            script.insert(place, last_word.clone());
            for cut in 1..script.len() {
                let (mut legs, _) = play(&script[..cut]);
                let alive = script[..cut].contains(&What::Answered);
                if alive && !script[..cut].contains(&hung_up(16, None)) {
                    let later = Instant::now() + CHANNEL_END_WITHIN * 2;
                    assert_eq!(legs.expire(later, at(9)), [], "{:?}", &script[..cut]);
                }
            }
            let (mut legs, mut events) = play(&script);
            events.extend(legs.settle(Instant::now(), at(9)));
            let mut expected = without_it.clone();
            if !matches!(expected.last(), Some(Event::Ended { .. })) {
                let (mut legs, _) = play(&rest);
                expected.extend(legs.settle(Instant::now(), at(9)));
            }
            assert_eq!(events, expected, "{script:?}");
        }
    }
}

#[test]
fn an_answered_call_goes_its_way() {
    let script = [
        What::Created,
        What::Ringing,
        What::Ringing,
        What::Answered,
        What::Answered,
        What::Originated { answered: true, reason: 4 },
        What::Joined { room: ROOM, muted: true },
        What::Muted(false),
        What::Talking(true),
        What::Left { room: ROOM },
        hung_up(16, None),
    ];
    let leg = leg();
    let at = at(1);
    let expected = [
        Event::Ringing { leg, at },
        Event::Answered { leg, at },
        Event::Joined { leg, room: ROOM, muted: true, at },
        Event::Muted { leg, muted: false, at },
        Event::Talking { leg, talking: true },
        Event::Left { leg, room: ROOM, at },
        Event::Ended { leg, cause: EndCause { q850: Some(16), ..EndCause::default() }, at },
    ];
    assert_eq!(play(&script).1, expected);
}

#[test]
fn who_ends_inside_has_left() {
    let inside = [What::Created, What::Answered, What::Joined { room: ROOM, muted: false }, hung_up(16, None), What::Left { room: ROOM }];
    let (leg, at) = (leg(), at(1));
    let end = Event::Ended { leg, cause: EndCause { q850: Some(16), ..EndCause::default() }, at };
    assert_eq!(play(&inside).1[2..], [Event::Left { leg, room: ROOM, at }, end]);
}

#[test]
fn who_left_in_a_gap_and_ends_after_it_has_left_when_the_dialplan_noted_it() {
    let (mut legs, _) = play(&[What::Created, What::Answered, What::Joined { room: ROOM, muted: false }]);
    // The list of channels at the login: the members are not known yet, the note is.
    legs.get_mut(leg()).unwrap().left_at = Some(at(5));
    let end = legs.take(Told { at: Some(at(9)), ..told(hung_up(16, None)) }, Instant::now(), at(9)).0;
    assert_eq!(end[0], Event::Left { leg: leg(), room: ROOM, at: at(5) });
    assert!(matches!(end[1], Event::Ended { at, .. } if at == self::at(9)), "{end:?}");
}

#[test]
fn an_answer_elsewhere_is_no_answer() {
    // The order of a real 302 whose target answered, Asterisk 22.10.
    let script = [What::Created, What::FarEndEnded, What::Redirected, What::Originated { answered: true, reason: 4 }, hung_up(23, Some(302))];
    let cause = EndCause { q850: Some(23), sip: Some(302), ..EndCause::default() };
    let forgotten = [What::Created, What::Redirected, FAILED, What::HungUp { q850: None, sip: None }];
    assert_eq!(self::cause(&forgotten), Some(EndCause { sip: None, ..cause }));
    assert_eq!(play(&script).1, [Event::Ended { leg: leg(), cause, at: at(1) }]);
}

#[test]
fn a_goodbye_is_a_goodbye_wherever_it_comes() {
    let silent_end = What::HungUp { q850: None, sip: None };
    let normal = EndCause { q850: Some(16), ..EndCause::default() };
    assert_eq!(cause(&[What::Created, What::Answered, What::FarEndEnded, silent_end.clone()]), Some(normal));
    assert_eq!(cause(&[What::Created, What::Answered, silent_end]), Some(EndCause::default()));
}

#[test]
fn a_refused_join_is_told_with_the_end() {
    let script = [What::Created, What::Answered, What::Refused, hung_up(16, None)];
    assert_eq!(cause(&script), Some(EndCause { q850: Some(16), join_refused: true, ..EndCause::default() }));
}

#[test]
fn a_hang_up_waits_for_the_channel() {
    let now = Instant::now();
    let mut legs = Legs::default();
    legs.ask(leg(), ROOM, now);
    legs.get_mut(leg()).expect("asked for").hang_up_wanted = true;
    assert_eq!(legs.take(told(What::Created), now, at(9)).1, Some(FollowUp::HangUp(leg())));
    assert_eq!(legs.take(told(What::Created), now, at(9)).1, None);
}

#[test]
fn keys_that_are_told_twice_count_once() {
    let now = Instant::now();
    let mut legs = Legs::default();
    let asked = crate::pbx::Ask { leg: leg(), ask: 1, language: crate::pbx::Language::Sl, say: Vec::new(), most_digits: 12, wait_seconds: 5 };
    legs.found(leg(), None, "PJSIP/trunk-00000001").question = Some(Question::new(&asked, now));
    // Times of a real switch on a busy machine: 2, 5 and 0 were pressed once, 7 twice.
    let pressed = [(0, '7'), (220, '7'), (440, '2'), (486, '2'), (720, '5'), (720, '5'), (890, '0'), (912, '0'), (1_170, '#')];
    let mut events = Vec::new();
    for (millis, key) in pressed {
        let at = Timestamp::from_millisecond(1_795_381_852_000 + millis).ok();
        let (told, _) = legs.take(Told { leg: leg(), at, channel: None, what: What::Key(key) }, now, at.expect("a time"));
        events.extend(told);
    }
    assert_eq!(events, [Event::Keyed { leg: leg(), ask: 1, keys: crate::pbx::Keys::new("77250") }]);
}
