//! Anything in any order: no input, however absurd, breaks an invariant, and every conference comes to its end.

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use proptest::sample::Index;
use sklic::conference::{Control, Input, NewCaller, NewParticipant, Settings, WayOfEntry};
use sklic::ids::{LegId, Room};
use sklic::pbx::{Command, CommandFailure, EndCause, EndRecord, Event, Evidence, MemberKey};
use uuid::Uuid;

use crate::world::{ROOM, World, ZERO, person, spec};

/// One step, with indices instead of identifiers, so that it fits whatever there is by then.
#[derive(Clone, Debug)]
enum Step {
    Control(Kind, Index),
    Event(Said, Index, i64),
    Failed(Index, CommandFailure),
    Gone(Index, Option<[Option<i64>; 4]>, i64, Evidence),
    NeverPlaced(Index),
    Arrived(Index, bool, i64),
    StillHeld(Index),
    StillWaiting(Index),
    SwitchGone(i64),
    LinkLost(i64),
    LinkRestored,
    Tick,
    Wait(i64),
    Jump(i64),
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Start,
    Add,
    Call,
    CallMissing,
    Mute(bool),
    MuteAll(bool),
    Remove,
    Lock(bool),
    Admit,
    LowerHand,
    End,
}

#[derive(Clone, Copy, Debug)]
enum Said {
    Ringing,
    EarlyMedia,
    Answered,
    Joined(bool),
    JoinedElsewhere,
    Left,
    Ended(EndCause),
    Muted(bool),
    Pressed(Index),
    Talking,
    Locked(bool),
    Link,
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        4 => Just(Kind::Start),
        2 => Just(Kind::Add),
        2 => Just(Kind::Call),
        1 => Just(Kind::CallMissing),
        2 => any::<bool>().prop_map(Kind::Mute),
        2 => any::<bool>().prop_map(Kind::MuteAll),
        2 => Just(Kind::Remove),
        1 => any::<bool>().prop_map(Kind::Lock),
        2 => Just(Kind::Admit),
        1 => Just(Kind::LowerHand),
        1 => Just(Kind::End),
    ]
}

fn cause() -> impl Strategy<Value = EndCause> {
    let code = || prop_oneof![Just(None), Just(Some(486)), Just(Some(16)), any::<Option<u16>>()];
    (code(), code(), any::<bool>(), any::<bool>()).prop_map(|(q850, sip, ring_timeout, join_refused)| EndCause {
        q850,
        sip,
        ring_timeout,
        join_refused,
    })
}

fn said() -> impl Strategy<Value = Said> {
    prop_oneof![
        3 => Just(Said::Ringing),
        1 => Just(Said::EarlyMedia),
        4 => Just(Said::Answered),
        6 => any::<bool>().prop_map(Said::Joined),
        1 => Just(Said::JoinedElsewhere),
        2 => Just(Said::Left),
        3 => cause().prop_map(Said::Ended),
        2 => any::<bool>().prop_map(Said::Muted),
        3 => any::<Index>().prop_map(Said::Pressed),
        1 => Just(Said::Talking),
        1 => any::<bool>().prop_map(Said::Locked),
        1 => Just(Said::Link),
    ]
}

/// Milliseconds by which the switch's clock differs: mostly little, sometimes absurdly much.
fn skew() -> impl Strategy<Value = i64> {
    prop_oneof![6 => -5..=5_i64, 2 => -10_000..=10_000_i64, 1 => any::<i64>()]
}

fn failure() -> impl Strategy<Value = CommandFailure> {
    prop_oneof![
        Just(CommandFailure::NoLink),
        Just(CommandFailure::RateLimited),
        Just(CommandFailure::Gone),
        Just(CommandFailure::Refused("no".to_owned())),
        Just(CommandFailure::Unsafe("number".to_owned())),
        Just(CommandFailure::NoReply),
    ]
}

fn evidence() -> impl Strategy<Value = Evidence> {
    prop_oneof![Just(Evidence::SwitchRecord), Just(Evidence::Snapshot), Just(Evidence::ProofOfLife)]
}

fn step() -> impl Strategy<Value = Step> {
    let record = proptest::option::of(proptest::array::uniform4(proptest::option::of(skew())));
    prop_oneof![
        5 => (kind(), any::<Index>()).prop_map(|(kind, who)| Step::Control(kind, who)),
        12 => (said(), any::<Index>(), skew()).prop_map(|(said, leg, skew)| Step::Event(said, leg, skew)),
        3 => (any::<Index>(), failure()).prop_map(|(command, failure)| Step::Failed(command, failure)),
        1 => (any::<Index>(), record, skew(), evidence()).prop_map(|(leg, record, skew, evidence)| Step::Gone(leg, record, skew, evidence)),
        1 => any::<Index>().prop_map(Step::NeverPlaced),
        3 => (any::<Index>(), any::<bool>(), skew()).prop_map(|(who, needs_consent, skew)| Step::Arrived(who, needs_consent, skew)),
        1 => any::<Index>().prop_map(Step::StillHeld),
        1 => any::<Index>().prop_map(Step::StillWaiting),
        1 => skew().prop_map(Step::SwitchGone),
        1 => skew().prop_map(Step::LinkLost),
        2 => Just(Step::LinkRestored),
        2 => Just(Step::Tick),
        3 => (0..120_000_i64).prop_map(Step::Wait),
        1 => (0..3_600_000_i64).prop_map(Step::Jump),
    ]
}

fn settings() -> impl Strategy<Value = Settings> {
    let seconds = || prop_oneof![1..=3_u32, 5..=90_u32];
    (
        prop_oneof![Just(0_u32), 1..=120_u32],
        any::<bool>(),
        (seconds(), seconds(), seconds(), seconds(), seconds()),
        (1..=60_u32, seconds(), any::<bool>()),
        2..=8_u32,
        prop_oneof![60..=600_u32, Just(12 * 3600)],
    )
        .prop_map(
            |(
                grace_seconds,
                entry_beep,
                (ring, control, closing, patience, greeting),
                (calls_per_second, wait_limit_seconds, callers_wait_at_lock),
                max_participants,
                max_length_seconds,
            )| {
                Settings {
                    grace_seconds,
                    entry_beep,
                    ring_timeout_seconds: ring,
                    control_timeout_seconds: control,
                    closing_seconds: closing,
                    link_patience_seconds: patience,
                    greeting_seconds: greeting,
                    wait_limit_seconds,
                    callers_wait_at_lock,
                    calls_per_second,
                    max_participants,
                    max_length_seconds,
                    ..Settings::default()
                }
            },
        )
}

fn moment(now: Timestamp, skew: i64) -> Timestamp {
    now.checked_add(SignedDuration::from_millis(skew)).unwrap_or(if skew < 0 { Timestamp::MIN } else { Timestamp::MAX })
}

/// One of the legs there are, or a stranger's.
fn leg(world: &World, index: Index) -> LegId {
    let legs: Vec<LegId> = world.conference.legs().map(|leg| leg.id).chain([LegId(Uuid::from_u128(0xBAD))]).collect();
    legs[index.index(legs.len())]
}

fn input(world: &World, step: Step, added: &mut u128) -> Option<Input> {
    let now = world.now;
    Some(match step {
        Step::Control(kind, who) => {
            let people: Vec<_> = world.conference.participants().map(|p| p.person.id).collect();
            let participant = people[who.index(people.len())];
            let control = match kind {
                Kind::Start => Control::Start,
                Kind::Add => {
                    *added += 1;
                    Control::Add { participant: person(100 + *added / 2, "added") }
                }
                Kind::Call => Control::Call { participant, number: None },
                Kind::CallMissing => Control::CallMissing,
                Kind::Mute(muted) => Control::Mute { participant, muted },
                Kind::MuteAll(muted) => Control::MuteAll { muted },
                Kind::Remove => Control::Remove { participant },
                Kind::Lock(locked) => Control::Lock { locked },
                Kind::Admit => Control::Admit { participant },
                Kind::LowerHand => Control::LowerHand { participant },
                Kind::End => Control::End,
            };
            Input::Control { control }
        }
        Step::Event(said, index, skew) => {
            let (leg, at) = (leg(world, index), moment(now, skew));
            let event = match said {
                Said::Ringing => Event::Ringing { leg, at },
                Said::EarlyMedia => Event::EarlyMedia { leg, at },
                Said::Answered => Event::Answered { leg, at },
                Said::Pressed(key) => Event::Pressed { leg, key: MemberKey::ALL[key.index(MemberKey::ALL.len())], at },
                Said::Joined(muted) => Event::Joined { leg, room: ROOM, muted, at },
                Said::JoinedElsewhere => Event::Joined { leg, room: Room(0), muted: false, at },
                Said::Left => Event::Left { leg, room: ROOM, at },
                Said::Ended(cause) => Event::Ended { leg, cause, at },
                Said::Muted(muted) => Event::Muted { leg, muted, at },
                Said::Talking => Event::Talking { leg, talking: true },
                Said::Locked(locked) => Event::Locked { room: ROOM, locked },
                Said::Link => Event::LinkUp { booted_at: at },
            };
            Input::Switch { event }
        }
        Step::Failed(index, failure) => {
            let commands: &Vec<Command> = &world.commands;
            let command = commands.get(index.index(commands.len().max(1)))?.clone();
            Input::CommandFailed { command, failure }
        }
        Step::Gone(index, record, skew, evidence) => {
            let at = moment(now, skew);
            let time = |offset: Option<i64>| offset.map(|offset| moment(now, offset));
            let record = record.map(|[answered, joined, left, ended]| EndRecord {
                cause: EndCause::default(),
                answered_at: time(answered),
                joined_at: time(joined),
                left_at: time(left),
                at: time(ended).unwrap_or(at),
            });
            Input::LegGone { leg: leg(world, index), record, at, evidence }
        }
        Step::NeverPlaced(index) => Input::NeverPlaced { leg: leg(world, index) },
        Step::StillHeld(index) => Input::StillHeld { leg: leg(world, index) },
        Step::StillWaiting(index) => Input::StillWaiting { leg: leg(world, index) },
        Step::SwitchGone(skew) => Input::SwitchGone { last_heard: moment(now, skew) },
        Step::Arrived(index, needs_consent, skew) => {
            *added += 1;
            let people: Vec<_> = world.conference.participants().collect();
            // One more than there are: somebody whom nobody expects.
            let who = people.get(index.index(people.len() + 1));
            let fresh = person(0x1_0000 + *added, "caller");
            Input::Arrived {
                caller: Box::new(NewCaller {
                    waiting_since: None,
                    // Now and then the same one twice.
                    leg: LegId(Uuid::from_u128(0x5000 + *added / 4 * 4 + u128::from(needs_consent))),
                    convener: who.is_some_and(|who| who.convener),
                    number: fresh.phone.clone(),
                    calling_line: (!needs_consent).then(|| fresh.phone.clone()),
                    person: NewParticipant { contact: who.map_or(fresh.contact, |who| who.person.contact), ..fresh },
                    way_of_entry: WayOfEntry::National,
                    access_number: "01 309 93 96".to_owned(),
                    needs_consent,
                    convener_owes: true,
                    answered_at: moment(now, skew),
                }),
            }
        }
        Step::LinkLost(skew) => Input::LinkLost { last_heard: moment(now, skew) },
        Step::LinkRestored => Input::LinkRestored,
        Step::Tick => Input::Tick,
        Step::Wait(_) | Step::Jump(_) => return None,
    })
}

fn run(settings: Settings, steps: Vec<Step>) -> Result<(), String> {
    let people = (1..=4).map(|number| person(number, "somebody")).collect();
    let mut world = World::open(spec(person(0, "convener"), people, settings));
    world.feed(Input::Control { control: Control::Start })?.map_err(|refusal| format!("Start is refused: {refusal}"))?;
    let mut added = 0;
    for step in steps {
        match step {
            Step::Wait(millis) => _ = world.wait(SignedDuration::from_millis(millis))?,
            Step::Jump(millis) => world.now += SignedDuration::from_millis(millis),
            step => {
                if let Some(input) = input(&world, step, &mut added) {
                    // A refusal is as good as anything: what matters is that nothing changed with it.
                    let _ = world.feed(input)?;
                }
            }
        }
    }
    world.check_replay()?;
    world.run_out()?;
    world.check_replay()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_invariants_hold_and_it_ends(settings in settings(), steps in proptest::collection::vec(step(), 0..120)) {
        if let Err(fault) = run(settings, steps) {
            return Err(TestCaseError::fail(fault));
        }
    }
}

#[test]
fn a_moment_stays_in_range() {
    assert_eq!(moment(ZERO, i64::MAX), Timestamp::MAX);
    assert_eq!(moment(ZERO, i64::MIN), Timestamp::MIN);
}
