//! What every adapter must do, told as small stories. Each waits for what must happen, never for a time.

use sklic::ids::Room;
use sklic::pbx::Role::{Convener, Participant};
use sklic::pbx::{Command, CommandFailure, EndCause, Event, LegSnapshotPhase, Prompt};

pub use crate::dial_in::*;
pub use crate::injections::what_could_break_out_is_refused;
use crate::rig::{Hands, Rig};

fn normal() -> EndCause {
    EndCause { q850: Some(16), ..EndCause::default() }
}

pub async fn answered_call_rings_and_joins(mut rig: Rig) {
    let leg = rig.call("001", Convener).await;
    let joined = rig.joined(leg).await;
    assert!(matches!(joined, Event::Joined { room, muted: false, .. } if room == rig.room));
    rig.must(Command::HangUp { leg }).await;
    assert_eq!(rig.ended(leg).await, normal());
    assert_eq!(rig.story(leg), ["ringing", "answered", "joined", "left", "ended"]);
    let times: Vec<_> = rig
        .seen
        .iter()
        .filter_map(|event| match event {
            Event::Ringing { leg: id, at }
            | Event::Answered { leg: id, at }
            | Event::Joined { leg: id, at, .. }
            | Event::Left { leg: id, at, .. }
            | Event::Ended { leg: id, at, .. } => (*id == leg).then_some(*at),
            _ => None,
        })
        .collect();
    assert!(times.is_sorted(), "the switch's times go forward: {times:?}");
}

pub async fn snapshot_shows_each_phase(mut rig: Rig) {
    let convener = rig.call("001", Convener).await;
    let asked_for = rig.snapshot(&[]).await;
    assert!(asked_for.legs.contains_key(&convener), "a call that was taken is there at once");
    rig.until(|event| matches!(event, Event::Answered { leg, .. } if *leg == convener)).await;
    assert_eq!(rig.snapshot(&[]).await.legs[&convener].phase, LegSnapshotPhase::Answered, "in the greeting");
    rig.joined(convener).await;
    let silent = rig.call("000", Participant).await;
    let ringing = rig.call("408", Participant).await;
    rig.until(|event| matches!(event, Event::Ringing { leg, .. } if *leg == ringing)).await;
    let snapshot = rig.snapshot(&[convener, silent, ringing]).await;
    assert_eq!(snapshot.legs[&ringing].phase, LegSnapshotPhase::Ringing);
    let held = snapshot.legs[&convener];
    assert_eq!(held.phase, LegSnapshotPhase::Inside { room: rig.room, muted: false });
    assert!(held.answered_at.is_some() && held.answered_at < held.joined_at, "{held:?}");
    assert_eq!(snapshot.legs[&silent].phase, LegSnapshotPhase::Dialling);
    assert_eq!(snapshot.rooms.get(&rig.room), Some(&false));
    assert!(snapshot.booted_at <= snapshot.at);
    rig.must(Command::Mute { room: rig.room, leg: convener, muted: true }).await;
    rig.must(Command::Lock { room: rig.room, locked: true }).await;
    let snapshot = rig.snapshot(&[]).await;
    assert_eq!(snapshot.legs[&convener].phase, LegSnapshotPhase::Inside { room: rig.room, muted: true });
    assert_eq!(snapshot.rooms.get(&rig.room), Some(&true));
    for leg in [silent, ringing, convener] {
        rig.must(Command::HangUp { leg }).await;
    }
    rig.ended(silent).await;
    rig.ended(ringing).await;
    rig.ended(convener).await;
    let snapshot = rig.snapshot(&[convener, silent]).await;
    assert!(!snapshot.legs.contains_key(&convener) && !snapshot.legs.contains_key(&silent));
    assert!(!snapshot.rooms.contains_key(&rig.room));
    assert_eq!(snapshot.ended[&convener].cause, normal());
    assert!(snapshot.ended[&convener].joined_at.is_some());
}

pub async fn one_is_muted_and_unmuted(mut rig: Rig) {
    let convener = rig.bring_in("001", Convener).await;
    let (first, second) = (rig.call("002", Participant).await, rig.call("003", Participant).await);
    rig.joined(first).await;
    rig.joined(second).await;
    let room = rig.room;
    rig.must(Command::Mute { room, leg: first, muted: true }).await;
    rig.until(|event| matches!(event, Event::Muted { leg, muted: true, .. } if *leg == first)).await;
    rig.must(Command::Mute { room, leg: first, muted: false }).await;
    rig.until(|event| matches!(event, Event::Muted { leg, muted: false, .. } if *leg == first)).await;
    assert_eq!(rig.story(first), ["ringing", "answered", "joined", "muted", "unmuted"]);
    assert_eq!(rig.story(second), ["ringing", "answered", "joined"]);
    assert_eq!(rig.story(convener), ["ringing", "answered", "joined"]);
    rig.must(Command::Close { room }).await;
    rig.ended(second).await;
}

pub async fn all_but_the_convener_are_muted(mut rig: Rig) {
    let convener = rig.bring_in("001", Convener).await;
    let (first, second) = (rig.call("002", Participant).await, rig.call("003", Participant).await);
    rig.joined(first).await;
    rig.joined(second).await;
    let room = rig.room;
    for muted in [true, false] {
        rig.must(Command::MuteAll { room, muted }).await;
        for one in [first, second] {
            rig.until(|event| matches!(event, Event::Muted { leg, muted: now, .. } if *leg == one && *now == muted)).await;
        }
        let snapshot = rig.snapshot(&[]).await;
        assert_eq!(snapshot.legs[&convener].phase, LegSnapshotPhase::Inside { room, muted: false });
        assert_eq!(snapshot.legs[&first].phase, LegSnapshotPhase::Inside { room, muted });
    }
    rig.must(Command::Close { room }).await;
    rig.ended(first).await;
}

pub async fn late_joiner_comes_in_muted(mut rig: Rig) {
    rig.bring_in("001", Convener).await;
    rig.muted = true;
    let late = rig.call("002", Participant).await;
    let joined = rig.joined(late).await;
    assert!(matches!(joined, Event::Joined { muted: true, .. }), "{joined:?}");
    let room = rig.room;
    rig.must(Command::Mute { room, leg: late, muted: false }).await;
    rig.until(|event| matches!(event, Event::Muted { leg, muted: false, .. } if *leg == late)).await;
    rig.must(Command::Close { room }).await;
    rig.ended(late).await;
}

pub async fn talking_is_told(mut rig: Rig) {
    let convener = rig.bring_in("001", Convener).await;
    assert!(rig.pbx.capabilities().talking);
    // Who is alone listens to music, and nobody listens to him.
    rig.bring_in("002", Participant).await;
    rig.talks(convener).await;
    rig.until(|event| *event == Event::Talking { leg: convener, talking: true }).await;
    rig.until(|event| *event == Event::Talking { leg: convener, talking: false }).await;
    rig.must(Command::HangUp { leg: convener }).await;
    rig.ended(convener).await;
}

pub async fn removed_member_leaves_and_ends(mut rig: Rig) {
    let convener = rig.bring_in("001", Convener).await;
    let (removed, stays) = (rig.call("002", Participant).await, rig.call("003", Participant).await);
    rig.joined(removed).await;
    rig.joined(stays).await;
    let room = rig.room;
    rig.must(Command::Remove { room, leg: removed }).await;
    assert_eq!(rig.ended(removed).await, normal());
    assert_eq!(rig.story(removed), ["ringing", "answered", "joined", "left", "ended"]);
    let snapshot = rig.snapshot(&[]).await;
    for leg in [convener, stays] {
        assert!(matches!(snapshot.legs[&leg].phase, LegSnapshotPhase::Inside { .. }));
    }
    rig.must(Command::Close { room }).await;
    rig.ended(stays).await;
}

pub async fn locked_room_refuses_and_unlocked_admits(mut rig: Rig) {
    let room = rig.room;
    assert!(rig.pbx.capabilities().lock);
    assert_eq!(rig.run(Command::Lock { room, locked: true }).await, Err(CommandFailure::Gone), "there is no room yet");
    let convener = rig.bring_in("001", Convener).await;
    rig.must(Command::Lock { room, locked: true }).await;
    rig.until(|event| *event == Event::Locked { room, locked: true }).await;
    let refused = rig.call("002", Participant).await;
    let cause = rig.ended(refused).await;
    assert!(cause.join_refused, "{cause:?}");
    assert_eq!(rig.story(refused), ["ringing", "answered", "ended"]);
    rig.must(Command::Lock { room, locked: false }).await;
    rig.until(|event| *event == Event::Locked { room, locked: false }).await;
    let admitted = rig.bring_in("003", Participant).await;
    rig.must(Command::HangUp { leg: convener }).await;
    assert!(!rig.ended(admitted).await.join_refused);
    let snapshot = rig.snapshot(&[refused, admitted]).await;
    assert!(snapshot.ended[&refused].cause.join_refused, "the record tells it, too");
    assert!(snapshot.ended[&refused].joined_at.is_none());
    assert!(!snapshot.ended[&admitted].cause.join_refused);
}

pub async fn closing_ends_all(mut rig: Rig) {
    let convener = rig.bring_in("001", Convener).await;
    let inside = rig.bring_in("002", Participant).await;
    let in_greeting = rig.call("003", Participant).await;
    rig.until(|event| matches!(event, Event::Answered { leg, .. } if *leg == in_greeting)).await;
    rig.must(Command::Close { room: rig.room }).await;
    for leg in [convener, inside, in_greeting] {
        assert_eq!(rig.ended(leg).await, normal());
    }
    assert_eq!(rig.story(inside), ["ringing", "answered", "joined", "left", "ended"]);
    assert_eq!(rig.story(in_greeting), ["ringing", "answered", "ended"], "nobody comes into a conference that has ended");
    // The closing announcement lies between leaving and the end.
    let position = |wanted: &dyn Fn(&Event) -> bool| rig.seen.iter().position(wanted).expect("it was told");
    let left = position(&|event| matches!(event, Event::Left { leg, .. } if *leg == inside));
    let ended = position(&|event| matches!(event, Event::Ended { leg, .. } if *leg == convener));
    assert!(left < ended);
    // Closing what is closed does no harm.
    rig.must(Command::Close { room: rig.room }).await;
}

pub async fn conveners_end_ends_all(mut rig: Rig) {
    let convener = rig.bring_in("001", Convener).await;
    let (first, second) = (rig.call("002", Participant).await, rig.call("003", Participant).await);
    rig.joined(first).await;
    rig.joined(second).await;
    rig.hangs_up(convener).await;
    for leg in [convener, first, second] {
        assert_eq!(rig.ended(leg).await, normal());
        assert_eq!(rig.story(leg), ["ringing", "answered", "joined", "left", "ended"]);
    }
}

pub async fn grace_keeps_the_others_until_he_is_back(mut rig: Rig) {
    rig.grace_seconds = 600;
    let convener = rig.bring_in("001", Convener).await;
    let other = rig.bring_in("002", Participant).await;
    rig.hangs_up(convener).await;
    rig.ended(convener).await;
    // One who answers while he is away waits with the others.
    let late = rig.bring_in("003", Participant).await;
    let back = rig.bring_in("004", Convener).await;
    for leg in [other, late, back] {
        assert_eq!(rig.story(leg), ["ringing", "answered", "joined"]);
    }
    rig.must(Command::Close { room: rig.room }).await;
    for leg in [other, late, back] {
        rig.ended(leg).await;
    }
}

pub async fn grace_lets_one_wait_who_comes_while_nobody_is_inside(mut rig: Rig) {
    rig.grace_seconds = 600;
    let convener = rig.bring_in("001", Convener).await;
    rig.hangs_up(convener).await;
    rig.ended(convener).await;
    // Dialled while nobody is inside, and somebody who calls in: both wait, and neither hears that it is over.
    let late = rig.call("002", Participant).await;
    let caller = rig.calls_in("19819").await.leg;
    rig.must(Command::Admit(rig.admission(caller, Participant))).await;
    rig.joined(late).await;
    rig.joined(caller).await;
    let back = rig.bring_in("003", Convener).await;
    let snapshot = rig.snapshot(&[]).await;
    for leg in [late, caller, back] {
        assert!(matches!(snapshot.legs[&leg].phase, LegSnapshotPhase::Inside { room, .. } if room == rig.room), "{:?}", rig.story(leg));
    }
    // The convener's end is for good when the service says so.
    rig.must(Command::Close { room: rig.room }).await;
    for leg in [late, caller, back] {
        rig.ended(leg).await;
    }
    let after = rig.call("004", Participant).await;
    rig.ended(after).await;
    assert_eq!(rig.story(after), ["ringing", "answered", "ended"]);
}

pub async fn grace_brings_the_convener_back_into_a_locked_room(mut rig: Rig) {
    rig.grace_seconds = 600;
    let room = rig.room;
    let convener = rig.bring_in("001", Convener).await;
    let other = rig.bring_in("002", Participant).await;
    rig.must(Command::Lock { room, locked: true }).await;
    rig.until(|event| *event == Event::Locked { room, locked: true }).await;
    rig.hangs_up(convener).await;
    rig.ended(convener).await;
    let refused = rig.call("003", Participant).await;
    assert!(rig.ended(refused).await.join_refused, "the lock holds while he is away");
    // Called back, and again by his own call.
    let back = rig.bring_in("004", Convener).await;
    rig.hangs_up(back).await;
    rig.ended(back).await;
    let caller = rig.calls_in("19819").await.leg;
    rig.let_in(caller, Convener).await;
    assert_eq!(rig.story(other), ["ringing", "answered", "joined"], "he has waited all the time");
    rig.must(Command::Close { room }).await;
    for leg in [other, caller] {
        rig.ended(leg).await;
    }
}

pub async fn grace_is_given_again_in_a_room_that_a_waiting_one_made(mut rig: Rig) {
    rig.grace_seconds = 600;
    let convener = rig.bring_in("001", Convener).await;
    rig.hangs_up(convener).await;
    rig.ended(convener).await;
    let waiting = rig.bring_in("002", Participant).await;
    let back = rig.bring_in("003", Convener).await;
    rig.hangs_up(back).await;
    rig.ended(back).await;
    // Who comes now finds him still there, and so does the convener when he is back for the second time.
    let late = rig.bring_in("004", Participant).await;
    let again = rig.bring_in("005", Convener).await;
    for leg in [waiting, late, again] {
        assert_eq!(rig.story(leg), ["ringing", "answered", "joined"]);
    }
    rig.must(Command::Close { room: rig.room }).await;
    for leg in [waiting, late, again] {
        rig.ended(leg).await;
    }
}

pub async fn every_outcome_is_told_apart(mut rig: Rig) {
    rig.bring_in("001", Convener).await;
    let sip = |q850, sip| EndCause { q850: Some(q850), sip: Some(sip), ..EndCause::default() };
    let timed_out = EndCause { q850: Some(19), ring_timeout: true, ..EndCause::default() };
    rig.ring_timeout_seconds = 3;
    let table = [
        ("486", &["ended"][..], sip(17, 486)),
        ("603", &["ringing", "ended"], sip(21, 603)),
        ("404", &["ended"], sip(1, 404)),
        ("480", &["ringing", "ended"], EndCause { q850: rig.q850(19, 18), ..sip(19, 480) }),
        ("503", &["ended"], EndCause { q850: rig.q850(34, 41), ..sip(34, 503) }),
        ("408", &["ringing", "ended"], timed_out),
        ("000", &["ended"], timed_out),
    ];
    let mut legs = Vec::new();
    for (suffix, ..) in &table {
        legs.push(rig.call(suffix, Participant).await);
    }
    for (leg, (suffix, story, cause)) in legs.iter().zip(&table) {
        assert_eq!(rig.ended(*leg).await, *cause, "{suffix}");
        assert_eq!(rig.story(*leg), *story, "{suffix}");
    }
    let snapshot = rig.snapshot(&legs).await;
    for (leg, (suffix, _, cause)) in legs.iter().zip(&table) {
        assert_eq!(snapshot.ended[leg].cause, *cause, "the record of {suffix}");
        assert_eq!(snapshot.ended[leg].answered_at, None, "the record of {suffix}");
    }
    rig.must(Command::Close { room: rig.room }).await;
}

pub async fn early_media_is_told_before_the_answer(mut rig: Rig) {
    let convener = rig.bring_in("183", Convener).await;
    assert_eq!(rig.story(convener), ["early media", "answered", "joined"]);
    rig.must(Command::HangUp { leg: convener }).await;
    rig.ended(convener).await;
}

pub async fn hang_up_in_the_greeting_never_joins(mut rig: Rig) {
    let convener = rig.call("201", Convener).await;
    assert_eq!(rig.ended(convener).await, normal());
    assert_eq!(rig.story(convener), ["ringing", "answered", "ended"]);
    let record = rig.snapshot(&[convener]).await.ended[&convener];
    assert!(record.answered_at.is_some() && record.joined_at.is_none() && record.left_at.is_none(), "{record:?}");
}

pub async fn hang_up_while_ringing_is_cancelled(mut rig: Rig) {
    let leg = rig.call("408", Convener).await;
    rig.until(|event| matches!(event, Event::Ringing { leg: id, .. } if *id == leg)).await;
    rig.must(Command::HangUp { leg }).await;
    assert_eq!(rig.ended(leg).await, normal());
    assert_eq!(rig.story(leg), ["ringing", "ended"]);
}

pub async fn hang_up_right_after_dialling_is_cancelled(mut rig: Rig) {
    let dial = rig.dial("408", Convener);
    let leg = dial.leg;
    // Both are handed over before either is answered.
    let (dialled, hung_up) = (rig.pbx.execute(Command::Dial(dial)), rig.pbx.execute(Command::HangUp { leg }));
    drop(dialled);
    hung_up.await.expect("it is on its way");
    assert_eq!(rig.ended(leg).await, normal());
}

pub async fn redirected_call_is_not_followed(mut rig: Rig) {
    let leg = rig.call("302", Convener).await;
    // Asterisk does not remember every time which 3xx it was.
    let cause = rig.ended(leg).await;
    assert_eq!(EndCause { sip: None, ..cause }, EndCause { q850: rig.q850(23, 44), ..EndCause::default() });
    assert!(cause.sip.is_none_or(|status| status == 302), "{cause:?}");
    assert_eq!(rig.story(leg), ["ended"]);
    assert!(!rig.was_called("+38659900000200"), "the phone that it was sent to does not ring");
}

pub async fn answer_after_the_end_is_not_left_alone(mut rig: Rig) {
    // Nobody is in this room: its convener has gone, or never came.
    let leg = rig.call("001", Participant).await;
    assert_eq!(rig.ended(leg).await, normal());
    assert_eq!(rig.story(leg), ["ringing", "answered", "ended"]);
}

pub async fn second_command_on_a_gone_leg_is_gone(mut rig: Rig) {
    let convener = rig.bring_in("001", Convener).await;
    let gone = rig.bring_in("002", Participant).await;
    rig.hangs_up(gone).await;
    rig.ended(gone).await;
    let room = rig.room;
    for command in [Command::HangUp { leg: gone }, Command::Mute { room, leg: gone, muted: true }, Command::Remove { room, leg: gone }] {
        let text = format!("{command:?}");
        assert_eq!(rig.run(command).await, Err(CommandFailure::Gone), "{text}");
    }
    let never = rig.dial("003", Participant).leg;
    assert_eq!(rig.run(Command::HangUp { leg: never }).await, Err(CommandFailure::Gone));
    let elsewhere = Room(room.0 + 1_000_000_000_000);
    assert_eq!(rig.run(Command::MuteAll { room: elsewhere, muted: true }).await, Err(CommandFailure::Gone));
    rig.must(Command::HangUp { leg: convener }).await;
    rig.ended(convener).await;
}

pub async fn beep_disturbs_no_roster(mut rig: Rig) {
    let convener = rig.bring_in("001", Convener).await;
    let other = rig.bring_in("002", Participant).await;
    let room = rig.room;
    for _ in 0..3 {
        rig.must(Command::Announce { room, prompt: Prompt::Beep }).await;
        let snapshot = rig.snapshot(&[]).await;
        assert_eq!(snapshot.rooms.get(&room), Some(&false));
        let inside = snapshot.legs.values().filter(|leg| matches!(leg.phase, LegSnapshotPhase::Inside { room: at, .. } if at == room));
        assert_eq!(inside.count(), 2);
    }
    rig.must(Command::HangUp { leg: convener }).await;
    rig.ended(other).await;
    // A beep into a room that is over makes no room.
    rig.must(Command::Announce { room, prompt: Prompt::Beep }).await;
    assert!(!rig.snapshot(&[]).await.rooms.contains_key(&room));
}

pub async fn cut_link_is_told_and_resynchronised(mut rig: Rig) {
    let room = rig.room;
    let convener = rig.bring_in("001", Convener).await;
    let other = rig.bring_in("002", Participant).await;
    let booted = rig.snapshot(&[]).await.booted_at;
    let last_heard = rig.cut().await;
    let now = sklic::clock::now();
    assert!(last_heard <= now + std::time::Duration::from_secs(1) && last_heard > now - std::time::Duration::from_secs(10));
    assert_eq!(rig.run(Command::Mute { room, leg: other, muted: true }).await, Err(CommandFailure::NoLink));
    assert_eq!(rig.pbx.snapshot(vec![]).await.map(|_| ()), Err(CommandFailure::NoLink));
    assert_eq!(rig.mend().await, booted, "the switch is the same");
    let snapshot = rig.snapshot(&[convener, other]).await;
    for leg in [convener, other] {
        assert_eq!(snapshot.legs[&leg].phase, LegSnapshotPhase::Inside { room, muted: false });
    }
    // It can be steered as before.
    rig.must(Command::Mute { room, leg: other, muted: true }).await;
    rig.until(|event| matches!(event, Event::Muted { leg, muted: true, .. } if *leg == other)).await;
    rig.must(Command::Close { room }).await;
    rig.ended(convener).await;
    rig.ended(other).await;
}

pub async fn end_in_the_gap_is_on_record(mut rig: Rig) {
    let convener = rig.bring_in("001", Convener).await;
    let leaver = rig.bring_in("002", Participant).await;
    let ringing = rig.call("408", Participant).await;
    rig.until(|event| matches!(event, Event::Ringing { leg, .. } if *leg == ringing)).await;
    rig.cut().await;
    rig.hangs_up(leaver).await;
    rig.over_unseen(leaver).await;
    rig.mend().await;
    let snapshot = rig.snapshot_until(&[convener, leaver, ringing], |snapshot| snapshot.ended.contains_key(&leaver)).await;
    let record = snapshot.ended[&leaver];
    assert_eq!(record.cause, normal());
    let told = |wanted: &dyn Fn(&Event) -> Option<jiff::Timestamp>| rig.seen.iter().find_map(wanted).expect("it was told");
    let answered = told(&|event| match event {
        Event::Answered { leg, at } if *leg == leaver => Some(*at),
        _ => None,
    });
    let joined = told(&|event| match event {
        Event::Joined { leg, at, .. } if *leg == leaver => Some(*at),
        _ => None,
    });
    let near = |recorded: Option<jiff::Timestamp>, told: jiff::Timestamp| {
        recorded.expect("on record").duration_since(told).abs() < jiff::SignedDuration::from_millis(250)
    };
    assert!(near(record.answered_at, answered) && near(record.joined_at, joined), "{record:?} {answered} {joined}");
    assert!(record.left_at.is_some_and(|left| left > joined && left <= record.at), "{record:?}");
    assert_eq!(snapshot.legs[&ringing].phase, LegSnapshotPhase::Ringing);
    assert!(matches!(snapshot.legs[&convener].phase, LegSnapshotPhase::Inside { .. }));
    // The one who still rings ends on the new link with the same words as ever.
    rig.must(Command::HangUp { leg: ringing }).await;
    assert_eq!(rig.ended(ringing).await, normal());
    assert!(!rig.story(leaver).contains(&"ended"), "what was missed is not told afterwards");
    rig.must(Command::HangUp { leg: convener }).await;
    rig.ended(convener).await;
}

pub async fn forgotten_records_are_gone(mut rig: Rig) {
    assert!(rig.pbx.capabilities().end_records);
    let leg = rig.call("486", Convener).await;
    rig.ended(leg).await;
    assert!(rig.snapshot(&[leg]).await.ended.contains_key(&leg));
    let elsewhere = rig.room;
    // The simulator keeps its records in memory and tells of none that were left.
    let keeps = matches!(rig.hands, Hands::Lab { .. });
    assert_eq!(rig.pbx.kept_rooms().await.expect("the link is up").contains(&elsewhere), keeps);
    rig.must(Command::Forget { room: elsewhere }).await;
    rig.snapshot_until(&[leg], |snapshot| !snapshot.ended.contains_key(&leg)).await;
    assert!(!rig.pbx.kept_rooms().await.expect("the link is up").contains(&elsewhere));
}

pub async fn restarted_switch_has_no_legs(mut rig: Rig) {
    let convener = rig.bring_in("001", Convener).await;
    let booted = rig.snapshot(&[]).await.booted_at;
    rig.seen.retain(|event| !matches!(event, Event::LinkUp { .. } | Event::LinkDown { .. }));
    rig.restart_switch().await;
    rig.until(|event| matches!(event, Event::LinkDown { .. })).await;
    let again = rig.link_up().await;
    assert!(again > booted, "{again} {booted}");
    let snapshot = rig.snapshot(&[convener]).await;
    assert_eq!(snapshot.booted_at, again);
    assert!(snapshot.legs.is_empty() && snapshot.rooms.is_empty() && snapshot.ended.is_empty(), "{snapshot:?}");
    // And it takes calls.
    let next = rig.call("486", Convener).await;
    rig.ended(next).await;
}
