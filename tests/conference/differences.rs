//! What we believe, what the switch holds, and the inputs that make the two agree: the whole table.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use sklic::conference::{Control, Input, Outcome, Settings, reconcile};
use sklic::ids::{ConferenceId, LegId, Room};
use sklic::pbx::{Command, CommandFailure, EndCause, EndRecord, Event, Evidence, LegSnapshot, LegSnapshotPhase, Snapshot};

use crate::outcomes::{dialled, dialled_in};
use crate::world::{ROOM, World, ZERO, person, spec};

/// The only participant's leg in the phase of this name, half a minute ago.
fn believed(phase: &str) -> (World, LegId) {
    let mut world = dialled();
    let ana = person(1, "").id;
    let (leg, at) = (world.leg_of(ana, None).unwrap(), world.now);
    let said = |event| Input::Switch { event };
    let joined = said(Event::Joined { leg, room: ROOM, muted: false, at });
    let inputs = match phase {
        "queued" => {
            let Some(dial) = world.commands.iter().rev().find(|command| matches!(command, Command::Dial(_))).cloned() else { unreachable!() };
            vec![Input::LinkLost { last_heard: at }, Input::CommandFailed { command: dial, failure: CommandFailure::NoLink }]
        }
        "dialling" => vec![],
        "media" => vec![said(Event::EarlyMedia { leg, at })],
        "ringing" => vec![said(Event::Ringing { leg, at })],
        "greeting" => vec![said(Event::Answered { leg, at })],
        "inside" => vec![joined],
        "muted" => vec![joined, said(Event::Muted { leg, muted: true, at })],
        "leaving" => vec![joined, said(Event::Left { leg, room: ROOM, at })],
        "ended" => vec![joined, said(Event::Ended { leg, cause: EndCause::default(), at })],
        _ => unreachable!("{phase}"),
    };
    for input in inputs {
        world.feed(input).unwrap().unwrap();
    }
    world.now += SignedDuration::from_secs(30);
    (world, leg)
}

fn snapshot(world: &World, leg: LegId, held: &str) -> Snapshot {
    let at = world.now;
    let mut snapshot = Snapshot {
        at,
        booted_at: ZERO - SignedDuration::from_hours(1),
        legs: BTreeMap::new(),
        callers: BTreeMap::new(),
        rooms: BTreeMap::new(),
        ended: BTreeMap::new(),
    };
    let inside = |muted| LegSnapshotPhase::Inside { room: ROOM, muted };
    let convener = world.leg_of(person(0, "").id, None).unwrap();
    snapshot.legs.insert(convener, LegSnapshot { phase: inside(false), answered_at: None, joined_at: None, left_at: None });
    let phase = match held {
        "absent" => None,
        "recorded" => {
            snapshot.ended.insert(leg, EndRecord { cause: EndCause::default(), answered_at: None, joined_at: None, left_at: None, at });
            None
        }
        "restarted" => {
            snapshot.booted_at = at;
            snapshot.legs.insert(convener, LegSnapshot { phase: inside(false), answered_at: None, joined_at: None, left_at: None });
            None
        }
        "dialling" => Some(LegSnapshotPhase::Dialling),
        "ringing" => Some(LegSnapshotPhase::Ringing),
        "answered" => Some(LegSnapshotPhase::Answered),
        "inside" => Some(inside(false)),
        "muted" => Some(inside(true)),
        "elsewhere" => Some(LegSnapshotPhase::Inside { room: Room(ROOM.0 + 1), muted: false }),
        _ => unreachable!("{held}"),
    };
    if let Some(phase) = phase {
        snapshot.legs.insert(leg, LegSnapshot { phase, answered_at: None, joined_at: None, left_at: None });
    }
    snapshot
}

fn show(input: &Input) -> &'static str {
    match input {
        Input::Switch { event } => match event {
            Event::Ringing { .. } => "ringing",
            Event::Answered { .. } => "answered",
            Event::Joined { muted: false, .. } => "joined",
            Event::Joined { muted: true, .. } => "joined_muted",
            Event::Left { .. } => "left",
            Event::Muted { muted: true, .. } => "muted",
            Event::Muted { muted: false, .. } => "unmuted",
            Event::Locked { .. } => "locked",
            other => unreachable!("{other:?}"),
        },
        Input::NeverPlaced { .. } => "never_placed",
        Input::LegGone { evidence: Evidence::SwitchRecord, record: Some(_), .. } => "gone_by_record",
        Input::LegGone { evidence: Evidence::Snapshot, record: None, .. } => "gone_by_snapshot",
        Input::LegGone { evidence: Evidence::ProofOfLife, record: None, .. } => "gone_by_proof",
        other => unreachable!("{other:?}"),
    }
}

fn differences(world: &World, snapshot: &Snapshot, last_proof: Timestamp) -> Vec<Input> {
    reconcile(&world.conference, snapshot, last_proof, world.now)
}

#[test]
fn each_pair_of_belief_and_snapshot() {
    let held = ["absent", "recorded", "restarted", "dialling", "ringing", "answered", "inside", "muted", "elsewhere"];
    let gone = "gone_by_snapshot | gone_by_record | gone_by_proof";
    for (phase, expected) in [
        ("queued", " | | | | | | | | ".to_owned()),
        (
            "dialling",
            "never_placed | gone_by_record | gone_by_proof | | ringing | answered | answered joined | answered joined_muted | answered".to_owned(),
        ),
        ("media", format!("{gone} | | ringing | answered | answered joined | answered joined_muted | answered")),
        ("ringing", format!("{gone} | | | answered | answered joined | answered joined_muted | answered")),
        ("greeting", format!("{gone} | | | | joined | joined_muted | ")),
        ("inside", format!("{gone} | | | left | | muted | left")),
        ("muted", format!("{gone} | | | left | unmuted | | left")),
        ("leaving", format!("{gone} | | | | joined | joined_muted | ")),
        // A leg that lives after its end: any sign of life has it hung up.
        ("ended", " | | | ringing | ringing | ringing | ringing | ringing | ringing".to_owned()),
    ] {
        let expected: Vec<&str> = expected.split('|').map(str::trim).collect();
        assert_eq!(expected.len(), held.len());
        for (held, expected) in held.iter().zip(expected) {
            let (world, leg) = believed(phase);
            let snapshot = snapshot(&world, leg, held);
            let inputs = differences(&world, &snapshot, ZERO);
            let shown: Vec<&str> = inputs.iter().map(show).collect();
            assert_eq!(shown.join(" "), expected, "believed {phase}, held {held}");
            settles(world, inputs, &snapshot, phase, held);
        }
    }
}

/// The differences are taken, and after them there is none of that leg any more.
fn settles(mut world: World, inputs: Vec<Input>, snapshot: &Snapshot, phase: &str, held: &str) {
    for input in inputs {
        world.feed(input.clone()).unwrap().unwrap_or_else(|refusal| panic!("believed {phase}, held {held}: {input:?} is refused: {refusal}"));
    }
    if phase == "ended" {
        return;
    }
    let link_lost = Input::LinkLost { last_heard: world.now };
    world.feed(link_lost).unwrap().unwrap();
    let again: Vec<&str> = differences(&world, snapshot, ZERO).iter().map(show).collect();
    assert!(again.iter().all(|input| *input == "never_placed"), "believed {phase}, held {held}: still {again:?}");
}

#[test]
fn a_leg_just_heard_of_is_left_alone_while_the_link_is_up() {
    for phase in ["dialling", "ringing", "greeting", "inside", "leaving", "ended"] {
        let (mut world, leg) = believed(phase);
        world.now -= SignedDuration::from_secs(28);
        for held in ["absent", "recorded", "ringing", "answered", "inside"] {
            let inputs = differences(&world, &snapshot(&world, leg, held), ZERO);
            assert!(inputs.is_empty(), "believed {phase}, held {held}: {inputs:?}");
        }
    }
}

#[test]
fn a_lock_just_told_is_left_alone_unless_a_gap_came_after_it() {
    for told in [false, true] {
        let (mut world, leg) = believed("inside");
        world.feed(Input::Control { control: Control::Lock { locked: true } }).unwrap().unwrap();
        if told {
            world.feed(Input::Switch { event: Event::Locked { room: ROOM, locked: true } }).unwrap().unwrap();
        }
        let mut held = snapshot(&world, leg, "inside");
        held.rooms.insert(ROOM, !told);
        let shown = |world: &World| differences(world, &held, ZERO).iter().map(show).collect::<Vec<_>>();
        // What was told is newer than the lists, which were asked for before; what was only asked for they may confirm.
        assert_eq!(shown(&world), if told { vec![] } else { vec!["locked"] }, "told: {told}");
        let mut cut = world.conference.clone();
        cut.handle(world.now, Input::LinkLost { last_heard: world.now }).unwrap();
        assert_eq!(reconcile(&cut, &held, ZERO, world.now).iter().map(show).collect::<Vec<_>>(), ["locked"], "after a gap the switch knows best");
        world.now += SignedDuration::from_secs(11);
        assert_eq!(shown(&world), ["locked"], "told: {told}");
    }
}

#[test]
fn a_restarted_switch_holds_nothing_however_fresh() {
    for phase in ["dialling", "ringing", "greeting", "inside", "leaving"] {
        let (mut world, leg) = believed(phase);
        world.now -= SignedDuration::from_secs(28);
        let inputs = differences(&world, &snapshot(&world, leg, "restarted"), ZERO);
        assert_eq!(inputs.iter().map(show).collect::<Vec<_>>(), ["gone_by_proof"], "{phase}");
    }
}

#[test]
fn after_a_gap_only_a_call_just_handed_over_is_left_alone() {
    for (phase, left_alone) in [("dialling", true), ("ringing", false), ("greeting", false), ("inside", false), ("leaving", false)] {
        let (mut world, leg) = believed(phase);
        world.now -= SignedDuration::from_secs(29);
        let last_heard = world.now;
        world.feed(Input::LinkLost { last_heard }).unwrap().unwrap();
        let inputs = differences(&world, &snapshot(&world, leg, "absent"), ZERO);
        assert_eq!(inputs.is_empty(), left_alone, "{phase}: {inputs:?}");
    }
}

#[test]
fn who_was_busy_in_the_gap_was_so_whichever_leg_has_the_lower_name() {
    let mut orders = BTreeSet::new();
    for number in 0..16 {
        let mut opening = spec(person(0, "convener"), vec![person(1, "ana")], Settings::default());
        opening.id = ConferenceId(uuid::Uuid::from_u128(0xC0 + number));
        let mut world = dialled_in(opening);
        let (his, hers) = (world.leg_of(person(0, "").id, None).unwrap(), world.leg_of(person(1, "").id, None).unwrap());
        orders.insert(his < hers);
        world.now += SignedDuration::from_secs(30);
        let mut snapshot = snapshot(&world, hers, "recorded");
        snapshot.legs.remove(&his);
        let record = snapshot.ended[&hers];
        snapshot.ended.insert(his, record);
        snapshot.ended.insert(hers, EndRecord { cause: EndCause { sip: Some(486), ..EndCause::default() }, ..record });
        for input in differences(&world, &snapshot, ZERO) {
            world.feed(input).unwrap().unwrap();
        }
        assert!(world.conference.phase().is_over());
        assert_eq!(world.conference.leg(hers).unwrap().outcome, Some(Outcome::Busy), "his end cancels nothing that was over before");
    }
    assert_eq!(orders.len(), 2, "both orders were tried");
}

#[test]
fn an_event_that_overtook_the_snapshot_counts() {
    let (mut world, leg) = believed("ringing");
    let old = snapshot(&world, leg, "ringing");
    world.now += SignedDuration::from_millis(500);
    let at = world.now;
    world.feed(Input::Switch { event: Event::Joined { leg, room: ROOM, muted: false, at } }).unwrap().unwrap();
    // However long the snapshot lay about: it is older than the event, by the switch's own clock.
    world.now += SignedDuration::from_secs(20);
    let mut absent = old.clone();
    absent.legs.remove(&leg);
    let mut answered = old.clone();
    answered.legs.insert(leg, LegSnapshot { phase: LegSnapshotPhase::Answered, answered_at: None, joined_at: None, left_at: None });
    for snapshot in [old, absent, answered] {
        assert_eq!(differences(&world, &snapshot, ZERO), vec![]);
    }
}

#[test]
fn the_end_is_the_best_evidence_and_never_before_what_was_seen() {
    let (world, leg) = believed("inside");
    let seen = ZERO + SignedDuration::from_secs(3);
    for (last_proof, end) in [(ZERO, seen), (ZERO + SignedDuration::from_secs(13), ZERO + SignedDuration::from_secs(13))] {
        let inputs = differences(&world, &snapshot(&world, leg, "absent"), last_proof);
        assert_eq!(inputs, vec![Input::LegGone { leg, record: None, at: end, evidence: Evidence::Snapshot }]);
        let inputs = differences(&world, &snapshot(&world, leg, "answered"), last_proof);
        assert_eq!(inputs, vec![Input::Switch { event: Event::Left { leg, room: ROOM, at: end } }]);
    }
}

#[test]
fn a_proof_from_a_clock_that_was_ahead_lengthens_no_call() {
    let (world, leg) = believed("inside");
    let ahead = world.now + SignedDuration::from_hours(25);
    let ends = |held: &str, booted_at: Timestamp| {
        let mut snapshot = snapshot(&world, leg, held);
        snapshot.booted_at = booted_at;
        differences(&world, &snapshot, ahead)
    };
    let gone = |at, evidence| vec![Input::LegGone { leg, record: None, at, evidence }];
    assert_eq!(ends("absent", ZERO - SignedDuration::from_hours(1)), gone(world.now, Evidence::Snapshot));
    let booted_at = world.now - SignedDuration::from_secs(4);
    // The convener's leg is still in the picture of a switch that has been started anew, and so is left as it is.
    let own: Vec<Input> =
        ends("absent", booted_at).into_iter().filter(|input| matches!(input, Input::LegGone { leg: of, .. } if *of == leg)).collect();
    assert_eq!(own, gone(booted_at, Evidence::ProofOfLife), "whoever was on the switch before its start was not after it");
}

#[test]
fn nothing_is_compared_before_the_start() {
    let world = World::open(crate::world::spec(person(0, "convener"), vec![], sklic::conference::Settings::default()));
    let mut snapshot = Snapshot {
        at: ZERO,
        booted_at: ZERO,
        legs: BTreeMap::new(),
        callers: BTreeMap::new(),
        rooms: BTreeMap::from([(ROOM, true)]),
        ended: BTreeMap::new(),
    };
    snapshot
        .legs
        .insert(LegId(uuid::Uuid::nil()), LegSnapshot { phase: LegSnapshotPhase::Dialling, answered_at: None, joined_at: None, left_at: None });
    assert_eq!(differences(&world, &snapshot, ZERO), vec![]);
}

#[test]
fn the_conveners_call_that_was_never_placed_is_seen() {
    let mut world = World::open(crate::world::spec(person(0, "convener"), vec![], sklic::conference::Settings::default()));
    world.feed(Input::Control { control: Control::Start }).unwrap().unwrap();
    world.now += SignedDuration::from_secs(30);
    let snapshot =
        Snapshot { at: world.now, booted_at: ZERO, legs: BTreeMap::new(), callers: BTreeMap::new(), rooms: BTreeMap::new(), ended: BTreeMap::new() };
    let inputs = differences(&world, &snapshot, ZERO);
    assert_eq!(inputs.iter().map(show).collect::<Vec<_>>(), ["never_placed"]);
}
