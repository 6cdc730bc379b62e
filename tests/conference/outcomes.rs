//! What the switch says about an end, and the outcome that is drawn from it: the same on every switch (R16).

use sklic::conference::{Control, Input, Outcome, ParticipantState, Settings, Spec};
use sklic::pbx::{EndCause, Event};

use crate::words::{cause, word};
use crate::world::{ROOM, World, person, spec};

/// A conference that runs, with one participant whose call has just been placed.
pub fn dialled() -> World {
    dialled_in(spec(person(0, "convener"), vec![person(1, "ana")], Settings::default()))
}

/// The same of another conference with the same people.
pub fn dialled_in(opening: Spec) -> World {
    let mut world = World::open(opening);
    world.feed(Input::Control { control: Control::Start }).unwrap().unwrap();
    world.now += jiff::SignedDuration::from_secs(3);
    let convener = world.leg_of(person(0, "").id, None).unwrap();
    let at = world.now;
    world.feed(Input::Switch { event: Event::Joined { leg: convener, room: ROOM, muted: false, at } }).unwrap().unwrap();
    world
}

/// What was heard before the end.
const SILENCE: &str = "";
const RANG: &str = "rang";
const MEDIA: &str = "media";
const ANSWERED: &str = "answered";
const CAME_IN: &str = "came_in";
const GIVEN_UP: &str = "given_up";

fn outcome(heard: &str, cause: EndCause) -> (Outcome, ParticipantState) {
    let mut world = dialled();
    let ana = person(1, "").id;
    let (leg, at) = (world.leg_of(ana, None).unwrap(), world.now);
    let before: &[Input] = &match heard {
        RANG => vec![Input::Switch { event: Event::Ringing { leg, at } }],
        MEDIA => vec![Input::Switch { event: Event::EarlyMedia { leg, at } }],
        ANSWERED => vec![Input::Switch { event: Event::Answered { leg, at } }],
        CAME_IN => vec![Input::Switch { event: Event::Joined { leg, room: ROOM, muted: false, at } }],
        GIVEN_UP => vec![Input::Control { control: Control::Remove { participant: ana } }],
        _ => vec![],
    };
    for input in before.iter().cloned().chain([Input::Switch { event: Event::Ended { leg, cause, at } }]) {
        world.feed(input).unwrap().unwrap();
    }
    let outcome = world.conference.leg(leg).unwrap().outcome.unwrap();
    (outcome, world.conference.participant_views()[1].state)
}

#[test]
fn each_cause_has_its_outcome() {
    for (heard, why, expected) in [
        // The SIP status that the far end sent (RFC 3261 §21).
        (RANG, "sip=486 q850=17", "busy"),
        (SILENCE, "sip=600", "busy"),
        (RANG, "sip=603 q850=21", "rejected"),
        (SILENCE, "sip=403", "rejected"),
        (RANG, "sip=607", "rejected"),
        (RANG, "sip=608", "rejected"),
        (SILENCE, "sip=404 q850=1", "invalid_number"),
        (MEDIA, "sip=404 q850=1", "invalid_number"),
        (SILENCE, "sip=410", "invalid_number"),
        (SILENCE, "sip=416", "invalid_number"),
        (SILENCE, "sip=484", "invalid_number"),
        (SILENCE, "sip=485", "invalid_number"),
        (SILENCE, "sip=604", "invalid_number"),
        (RANG, "sip=480 q850=19", "no_answer"),
        (MEDIA, "sip=480 q850=19", "no_answer"),
        (SILENCE, "sip=480 q850=19", "unreachable"),
        (RANG, "sip=408", "no_answer"),
        (SILENCE, "sip=408", "unreachable"),
        (SILENCE, "sip=430", "unreachable"),
        (RANG, "sip=487", "cancelled"),
        (SILENCE, "sip=503 q850=34", "congested"),
        (SILENCE, "sip=500", "congested"),
        (SILENCE, "sip=502", "congested"),
        (SILENCE, "sip=504", "congested"),
        (SILENCE, "sip=580", "congested"),
        (SILENCE, "sip=488", "failed"),
        (SILENCE, "sip=606", "failed"),
        (SILENCE, "sip=400", "failed"),
        // A status that decides nothing leaves it to the cause.
        (SILENCE, "sip=200 q850=34", "congested"),
        // Sent elsewhere: Asterisk's cause, with and without the status, and FreeSWITCH's.
        (SILENCE, "sip=302 q850=23", "failed"),
        (SILENCE, "q850=23", "failed"),
        (SILENCE, "sip=302 q850=44", "failed"),
        (RANG, "sip=301 q850=44", "failed"),
        (SILENCE, "sip=380 q850=31", "failed"),
        (SILENCE, "sip=399 q850=17", "failed"),
        // The status goes before the cause: 603 with cause 17 was seen from gateways.
        (RANG, "sip=603 q850=17", "rejected"),
        // Q.850 alone (ITU-T Q.850 table 1).
        (RANG, "q850=17", "busy"),
        (RANG, "q850=18", "no_answer"),
        (RANG, "q850=19", "no_answer"),
        (SILENCE, "q850=18", "unreachable"),
        (SILENCE, "q850=19", "unreachable"),
        (SILENCE, "q850=20", "unreachable"),
        (SILENCE, "q850=27", "unreachable"),
        (RANG, "q850=21", "rejected"),
        (SILENCE, "q850=55", "rejected"),
        (SILENCE, "q850=57", "rejected"),
        (SILENCE, "q850=87", "rejected"),
        (SILENCE, "q850=1", "invalid_number"),
        (SILENCE, "q850=2", "invalid_number"),
        (SILENCE, "q850=3", "invalid_number"),
        (SILENCE, "q850=22", "invalid_number"),
        (SILENCE, "q850=28", "invalid_number"),
        (SILENCE, "q850=34", "congested"),
        (SILENCE, "q850=38", "congested"),
        (SILENCE, "q850=41", "congested"),
        (SILENCE, "q850=42", "congested"),
        (SILENCE, "q850=44", "congested"),
        (SILENCE, "q850=47", "congested"),
        (SILENCE, "q850=58", "congested"),
        (RANG, "q850=16", "failed"),
        (SILENCE, "q850=0", "failed"),
        (SILENCE, "q850=65535 sip=65535", "failed"),
        (SILENCE, "", "failed"),
        // Our own ring timeout; the status that the switch makes up for it is not the far end's.
        (RANG, "ring_timeout q850=19", "no_answer"),
        (MEDIA, "ring_timeout q850=19", "no_answer"),
        (SILENCE, "ring_timeout q850=19", "unreachable"),
        // An answer decides, whatever comes after.
        (ANSWERED, "q850=16", "answered"),
        (ANSWERED, "q850=44", "answered"),
        (ANSWERED, "sip=486", "answered"),
        (ANSWERED, "join_refused q850=16", "answered"),
        (CAME_IN, "q850=16", "answered"),
        // We gave up the call.
        (GIVEN_UP, "q850=16", "cancelled"),
        (GIVEN_UP, "sip=487 q850=16", "cancelled"),
        (GIVEN_UP, "sip=486", "cancelled"),
    ] {
        let words: Vec<&str> = why.split_whitespace().collect();
        let (outcome, shown) = outcome(heard, cause(&words).unwrap());
        assert_eq!(outcome.word(), expected, "{heard} {why}");
        let rectangle = match (heard, expected) {
            (CAME_IN, _) => "left",
            (ANSWERED, _) => "not_in",
            _ => expected,
        };
        assert_eq!(word(&shown), rectangle, "{heard} {why}");
    }
}

/// No status and no cause that a switch can send is without an outcome, and each has its word in the API.
#[test]
fn every_number_has_an_outcome() {
    for number in 0..=1000 {
        for heard in [SILENCE, RANG] {
            for cause in [EndCause { sip: Some(number), ..EndCause::default() }, EndCause { q850: Some(number), ..EndCause::default() }] {
                let (outcome, shown) = outcome(heard, cause);
                assert_ne!(outcome, Outcome::Answered, "{cause:?}");
                assert_eq!(word(&shown), outcome.word(), "{cause:?}");
            }
        }
    }
}
