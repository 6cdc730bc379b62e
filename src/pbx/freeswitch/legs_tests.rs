use super::*;
use crate::ids::ConferenceId;

fn leg(number: u32) -> LegId {
    LegId::derive(ConferenceId(uuid::Uuid::nil()), number)
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).expect("a time")
}

fn play(legs: &mut Legs, script: &[(i64, What)]) -> Vec<Event> {
    script.iter().filter_map(|(seconds, what)| legs.take(leg(1), at(*seconds), what.clone(), Instant::now())).collect()
}

const CAUSE: EndCause = EndCause { q850: Some(16), sip: None, ring_timeout: false, join_refused: false };
const ROOM: Room = Room(1001);

#[tokio::test]
async fn a_leg_from_the_call_to_its_end() {
    let mut legs = Legs::default();
    legs.ask(leg(1), ROOM, (false, 0));
    let id = leg(1);
    let told = play(
        &mut legs,
        &[
            (1, What::Created),
            (2, What::Ringing),
            (3, What::Answered),
            (4, What::Joined { room: ROOM, muted: false, member: Some(7), convener: false }),
            (5, What::Muted(true)),
            (6, What::Talking(true)),
            (8, What::Left { room: ROOM }),
            (7, What::Ended(CAUSE)),
        ],
    );
    assert_eq!(
        told,
        [
            Event::Ringing { leg: id, at: at(2) },
            Event::Answered { leg: id, at: at(3) },
            Event::Joined { leg: id, room: ROOM, muted: false, at: at(4) },
            Event::Muted { leg: id, muted: true, at: at(5) },
            Event::Talking { leg: id, talking: true },
            Event::Left { leg: id, room: ROOM, at: at(8) },
            // The room noticed later than the line; nobody leaves after his end.
            Event::Ended { leg: id, cause: CAUSE, at: at(8) },
        ]
    );
    assert!(legs.has_ended(id) && legs.get(id).is_none());
}

#[tokio::test]
async fn what_comes_twice_or_late_is_told_once() {
    let mut legs = Legs::default();
    let told = play(
        &mut legs,
        &[
            (1, What::EarlyMedia),
            (1, What::EarlyMedia),
            (2, What::Ringing),
            (2, What::Ringing),
            (3, What::Answered),
            (3, What::Answered),
            (3, What::Ringing),
            (3, What::EarlyMedia),
            (4, What::Ended(CAUSE)),
            (4, What::Ended(CAUSE)),
            (4, What::Answered),
        ],
    );
    let id = leg(1);
    assert_eq!(
        told,
        [
            Event::EarlyMedia { leg: id, at: at(1) },
            Event::Ringing { leg: id, at: at(2) },
            Event::Answered { leg: id, at: at(3) },
            Event::Ended { leg: id, cause: CAUSE, at: at(4) },
        ]
    );
}

#[tokio::test]
async fn a_leg_that_never_left_our_line_ends_once() {
    let mut legs = Legs::default();
    assert_eq!(legs.cancelled(leg(1), at(1), Instant::now()), Event::Ended { leg: leg(1), cause: CAUSE, at: at(1) });
    assert_eq!(play(&mut legs, &[(2, What::Ended(CAUSE))]), []);
    // The same leg may be asked for again when the switch never had it.
    legs.ask(leg(1), ROOM, (false, 0));
    assert!(!legs.has_ended(leg(1)));
}

#[tokio::test]
async fn leaving_that_nobody_heard_is_told_once() {
    let mut legs = Legs::default();
    assert_eq!(legs.note_left(leg(1), ROOM, at(5)), Some(Event::Left { leg: leg(1), room: ROOM, at: at(5) }));
    assert_eq!(legs.note_left(leg(1), ROOM, at(5)), None);
    assert_eq!(play(&mut legs, &[(9, What::Ended(CAUSE))]), [Event::Ended { leg: leg(1), cause: CAUSE, at: at(9) }]);
    assert_eq!(legs.note_left(leg(1), ROOM, at(5)), None);
}

#[tokio::test]
async fn whoever_is_inside_has_left_when_the_switch_ends() {
    let mut legs = Legs::default();
    let inside = What::Joined { room: ROOM, muted: false, member: Some(7), convener: true };
    play(&mut legs, &[(3, What::Answered), (4, inside)]);
    legs.take(leg(2), at(5), What::Answered, Instant::now());
    let id = leg(1);
    let before = legs.changes();
    assert_eq!(legs.leave_all(at(8)), [Event::Left { leg: id, room: ROOM, at: at(8) }], "who is in the greeting is in no room");
    assert!(legs.get(id).is_some_and(|leg| leg.changed > before), "lists from before are old");
    assert_eq!(legs.leave_all(at(9)), []);
    // Ten seconds later the switch gives up waiting for the call.
    let told = play(&mut legs, &[(18, What::Left { room: ROOM }), (18, What::Ended(CAUSE))]);
    assert_eq!(told, [Event::Ended { leg: id, cause: CAUSE, at: at(18) }]);
}

#[tokio::test]
async fn who_comes_back_leaves_again() {
    let mut legs = Legs::default();
    let inside = || What::Joined { room: ROOM, muted: false, member: Some(7), convener: false };
    let left = || What::Left { room: ROOM };
    let told = play(&mut legs, &[(1, inside()), (2, left()), (3, left()), (4, inside()), (5, left())]);
    let times: Vec<_> = told.iter().filter_map(|event| if let Event::Left { at, .. } = event { Some(*at) } else { None }).collect();
    assert_eq!(times, [at(2), at(5)]);
}
