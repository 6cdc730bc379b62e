//! Cases that only a real switch can show, or that its adapter alone has.

use std::time::Duration;

use sklic::conference::{Outcome, unanswered};
use sklic::ids::LegId;
use sklic::pbx::Role::{Convener, Participant};
use sklic::pbx::{Command, EndCause, Event, LegSnapshotPhase, MemberKey};
use tokio::time::Instant;

use crate::lab::{Case, Kind, Lab};
use crate::phones::Refusal;
use crate::rig::{Hands, Rig};

/// The names of all for one switch.
pub fn cases(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Asterisk => &[
            "second_service_takes_over",
            "caller_is_brought_between_the_kinds",
            "paced_calls_can_be_cancelled",
            "redirection_to_a_technology_is_ended",
            "each_refusal_has_the_same_outcome",
            "closed_trunk_is_out_of_reach",
            "hostile_names_stop_nothing",
            "what_callers_send_is_data",
            "wave_of_calls_joins_whole",
            "without_service_the_conveners_end_ends_all",
            "without_service_the_grace_time_ends",
        ],
        Kind::Freeswitch => &[
            "second_service_takes_over",
            "paced_calls_can_be_cancelled",
            "each_refusal_has_the_same_outcome",
            "closed_trunk_is_out_of_reach",
            "hostile_names_stop_nothing",
            "what_callers_send_is_data",
            "wave_of_calls_joins_whole",
            "without_service_the_conveners_end_ends_all",
            "without_service_the_grace_time_ends",
        ],
    }
}

/// One of them.
pub fn case(name: &str, rig: Rig) -> Option<Case> {
    match name {
        "second_service_takes_over" => Some(Box::pin(second_service_takes_over(rig))),
        "caller_is_brought_between_the_kinds" => Some(Box::pin(caller_is_brought_between_the_kinds(rig))),
        "paced_calls_can_be_cancelled" => Some(Box::pin(paced_calls_can_be_cancelled(rig))),
        "redirection_to_a_technology_is_ended" => Some(Box::pin(redirection_to_a_technology_is_ended(rig))),
        "each_refusal_has_the_same_outcome" => Some(Box::pin(each_refusal_has_the_same_outcome(rig))),
        "closed_trunk_is_out_of_reach" => Some(Box::pin(closed_trunk_is_out_of_reach(rig))),
        "hostile_names_stop_nothing" => Some(Box::pin(hostile_names_stop_nothing(rig))),
        "what_callers_send_is_data" => Some(Box::pin(crate::injections::what_callers_send_is_data(rig))),
        "wave_of_calls_joins_whole" => Some(Box::pin(wave_of_calls_joins_whole(rig))),
        "without_service_the_conveners_end_ends_all" => Some(Box::pin(without_service_the_conveners_end_ends_all(rig))),
        "without_service_the_grace_time_ends" => Some(Box::pin(without_service_the_grace_time_ends(rig))),
        _ => None,
    }
}

fn lab(rig: &Rig) -> &'static Lab {
    match &rig.hands {
        Hands::Lab { lab, .. } => lab,
        Hands::Simulator(_) => unreachable!("these cases run on the lab's switches"),
    }
}

/// The service dies and another one starts: it knows nothing and finds everything.
async fn second_service_takes_over(mut first: Rig) {
    let convener = first.bring_in("001", Convener).await;
    let member = first.bring_in("002", Participant).await;
    let ringing = first.call("408", Participant).await;
    first.until(|event| matches!(event, Event::Ringing { leg, .. } if *leg == ringing)).await;
    let room = first.room;
    let before = first.snapshot(&[]).await;
    first.pbx.close().await;

    let mut second = Rig::lab(lab(&first)).await;
    let after = second.snapshot(&[convener, member, ringing]).await;
    for leg in [convener, member, ringing] {
        assert_eq!(after.legs[&leg].phase, before.legs[&leg].phase);
    }
    let gap = |leg| {
        let (Some(before), Some(after)) = (before.legs[&leg].answered_at, after.legs[&leg].answered_at) else { panic!("answered") };
        before.duration_since(after).abs()
    };
    assert!(gap(convener) < jiff::SignedDuration::from_millis(250));
    assert_eq!(after.booted_at, before.booted_at);
    second.must(Command::Mute { room, leg: member, muted: true }).await;
    second.until(|event| matches!(event, Event::Muted { leg, muted: true, .. } if *leg == member)).await;
    second.must(Command::HangUp { leg: ringing }).await;
    assert_eq!(second.ended(ringing).await, EndCause { q850: Some(16), ..EndCause::default() });
    first.hangs_up(convener).await;
    second.ended(convener).await;
    second.ended(member).await;
    assert_eq!(second.story(member), ["muted", "left", "ended"]);
}

/// From Asterisk to FreeSWITCH and the other way, with a service that starts anew in the middle.
async fn caller_is_brought_between_the_kinds(mut asterisk: Rig) {
    let found = tokio::task::spawn_blocking(|| Lab::get(Kind::Freeswitch)).await.expect("it ran");
    // That it is skipped has been said.
    let Some(other) = found else { return };
    let mut freeswitch = Rig::lab(other).await;
    for turned in [false, true] {
        let (from, to) = if turned { (&mut freeswitch, &mut asterisk) } else { (&mut asterisk, &mut freeswitch) };
        let first = from.calls_in("19819").await.leg;
        let there = from.brings(first, to).await;
        // His keys reach the switch that he was brought to: the answer to its question, and those of a member.
        to.must(to.ask(there, 1, &[])).await;
        from.keys(first, "8341#").await;
        assert_eq!(to.keyed(there, 1).await, "8341");
        to.let_in(there, Convener).await;
        from.presses(first, MemberKey::MuteAll).await;
        to.until(|event| matches!(event, Event::Pressed { leg, key: MemberKey::MuteAll, .. } if *leg == there)).await;
        let next = Rig::lab(lab(from)).await.snapshot(&[]).await;
        assert_eq!(next.legs[&first].phase, LegSnapshotPhase::Brought, "the next service does not take him for a stray");
        from.hangs_up(first).await;
        from.ended(first).await;
        assert_eq!(to.ended(there).await.q850, Some(16));
        to.another_room();
        // The other way round: the room ends, and he hears it and is let go.
        let second = from.calls_in("19819").await.leg;
        let there = from.brings(second, to).await;
        to.let_in(there, Convener).await;
        to.must(Command::Close { room: to.room }).await;
        to.ended(there).await;
        from.ended(second).await;
        to.another_room();
    }
}

async fn paced_calls_can_be_cancelled(rig: Rig) {
    let mut rig = Rig::lab_with(lab(&rig), |pace| *pace = 2).await;
    let dials: Vec<_> = (0..6).map(|_| rig.dial("408", Participant)).collect();
    let started = Instant::now();
    let answers: Vec<_> = dials.iter().map(|dial| rig.pbx.execute(Command::Dial(dial.clone()))).collect();
    let last = dials[5].leg;
    // What waits for its turn is in a snapshot, and ends without ever being dialled.
    assert_eq!(rig.snapshot(&[]).await.legs[&last].phase, LegSnapshotPhase::Dialling);
    rig.must(Command::HangUp { leg: last }).await;
    assert_eq!(rig.ended(last).await, EndCause { q850: Some(16), ..EndCause::default() });
    for answer in answers {
        answer.await.expect("taken or cancelled");
    }
    assert!(started.elapsed() >= Duration::from_millis(1_900), "five calls at two a second");
    assert!(!rig.was_called(&dials[5].number));
    for dial in &dials[..5] {
        rig.must(Command::HangUp { leg: dial.leg }).await;
        rig.ended(dial.leg).await;
    }
}

/// A called phone answers 302 with an address that Asterisk 22 takes for a channel of its own to dial.
async fn redirection_to_a_technology_is_ended(mut rig: Rig) {
    rig.bring_in("001", Convener).await;
    let dial = rig.dial("302", Participant);
    let target = rig.dial("001", Participant).number;
    lab(&rig).phones.redirect(&dial.number, &format!("<sip:PJSIP/{target}%40trunk@127.0.0.1>"));
    let leg = dial.leg;
    rig.must(Command::Dial(dial)).await;
    let cause = rig.ended(leg).await;
    assert_eq!(cause.q850, Some(23));
    assert_eq!(rig.story(leg), ["ended"], "an answer elsewhere is none");
    // Asterisk may have called it before we could stop it; then it is over at once.
    let deadline = Instant::now() + Duration::from_secs(10);
    while let Some(call) = lab(&rig).phones.call(&target) {
        if call.ended {
            break;
        }
        assert!(Instant::now() < deadline, "the call to where nobody allowed it goes on");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    rig.must(Command::Close { room: rig.room }).await;
}

/// The outcome that the event and the record of a leg's end give; both switches must give the same for the same phone (R16).
async fn outcomes(rig: &mut Rig, legs: &[LegId]) -> Vec<[Outcome; 2]> {
    let mut ends = Vec::new();
    for leg in legs {
        let cause = rig.ended(*leg).await;
        let rang = rig.story(*leg).iter().any(|word| matches!(*word, "ringing" | "early media"));
        ends.push((rang, cause));
    }
    let snapshot = rig.snapshot_until(legs, |snapshot| legs.iter().all(|leg| snapshot.ended.contains_key(leg))).await;
    let both = |(leg, (rang, cause)): (&LegId, &(bool, EndCause))| [unanswered(*rang, *cause), unanswered(*rang, snapshot.ended[leg].cause)];
    legs.iter().zip(&ends).map(both).collect()
}

/// Every status with which a phone may refuse, before and after it has rung or sent sound.
async fn each_refusal_has_the_same_outcome(rig: Rig) {
    // Other cases call at the same time, and the lab's switch takes so many calls in a second.
    let mut rig = Rig::lab_with(lab(&rig), |pace| *pace = 10).await;
    const STATUSES: &[u16] = &[
        300, 301, 302, 305, 380, 400, 401, 402, 403, 404, 405, 406, 407, 408, 410, 413, 414, 415, 416, 420, 421, 423, 430, 480, 481, 482, 483, 484,
        485, 486, 487, 488, 491, 493, 500, 501, 502, 503, 504, 505, 513, 580, 600, 603, 604, 606, 607, 608,
    ];
    let mut wrong = Vec::new();
    for first in [None, Some("180 Ringing"), Some("183 Session Progress")] {
        let mut legs = Vec::new();
        for &status in STATUSES {
            let dial = rig.dial("001", Participant);
            lab(&rig).phones.refuse(&dial.number, Refusal { first, status });
            legs.push(dial.leg);
            rig.must(Command::Dial(dial)).await;
        }
        for (status, found) in STATUSES.iter().zip(outcomes(&mut rig, &legs).await) {
            let expected = unanswered(first.is_some(), EndCause { sip: Some(*status), ..EndCause::default() });
            if found != [expected; 2] {
                wrong.push(format!("{first:?} {status}: {expected:?} expected, not {found:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Nothing listens at the trunk's far end: one switch is told so by the network and the other does not look.
async fn closed_trunk_is_out_of_reach(rig: Rig) {
    let mut rig = Rig::with_closed_trunk(lab(&rig)).await;
    rig.ring_timeout_seconds = 3;
    let leg = rig.call("001", Convener).await;
    assert_eq!(outcomes(&mut rig, &[leg]).await, [[Outcome::Unreachable; 2]]);
    assert_eq!(rig.story(leg), ["ended"]);
}

/// Another caller of the same switch has a name that is no text; the reader goes on.
async fn hostile_names_stop_nothing(mut rig: Rig) {
    let Lab { phones, sip, .. } = lab(&rig);
    phones.call_in(*sip, b"\xff\xfe\xc3\x28 evil ${SHELL(x)} \\\" Uniqueid: x").await;
    phones.call_in(*sip, "n".repeat(4_000).as_bytes()).await;
    let convener = rig.bring_in("001", Convener).await;
    rig.must(Command::HangUp { leg: convener }).await;
    rig.ended(convener).await;
}

async fn wave_of_calls_joins_whole(rig: Rig) {
    let mut rig = Rig::lab_with(lab(&rig), |pace| *pace = (*pace).max(30)).await;
    let convener = rig.bring_in("001", Convener).await;
    let dials: Vec<_> = (0..60).map(|_| rig.dial("001", Participant)).collect();
    let answers: Vec<_> = dials.iter().map(|dial| rig.pbx.execute(Command::Dial(dial.clone()))).collect();
    for answer in answers {
        answer.await.expect("taken");
    }
    for dial in &dials {
        rig.joined(dial.leg).await;
    }
    rig.must(Command::MuteAll { room: rig.room, muted: true }).await;
    for dial in &dials {
        rig.until(|event| matches!(event, Event::Muted { leg, muted: true, .. } if *leg == dial.leg)).await;
    }
    let snapshot = rig.snapshot(&[]).await;
    let inside = snapshot.legs.values().filter(|leg| matches!(leg.phase, LegSnapshotPhase::Inside { room, .. } if room == rig.room));
    assert_eq!(inside.count(), 61);
    rig.must(Command::HangUp { leg: convener }).await;
    for dial in &dials {
        assert_eq!(rig.ended(dial.leg).await.q850, Some(16));
        assert_eq!(rig.story(dial.leg), ["ringing", "answered", "joined", "muted", "left", "ended"]);
    }
}

/// Waits until the switch has ended a call at its phone, whoever listens to the switch.
async fn phone_is_told(lab: &Lab, number: &str) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !lab.phones.call(number).is_some_and(|call| call.ended) {
        assert!(Instant::now() < deadline, "somebody is left alone in a conference that has ended");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn without_service_the_conveners_end_ends_all(mut rig: Rig) {
    let lab = lab(&rig);
    let convener = rig.bring_in("001", Convener).await;
    let inside = rig.bring_in("002", Participant).await;
    let in_greeting = rig.call("003", Participant).await;
    rig.until(|event| matches!(event, Event::Answered { leg, .. } if *leg == in_greeting)).await;
    rig.pbx.close().await;
    rig.hangs_up(convener).await;
    phone_is_told(lab, rig.number(inside)).await;
    phone_is_told(lab, rig.number(in_greeting)).await;
    // The next service reads how it went.
    let mut next = Rig::lab(lab).await;
    let snapshot = next.snapshot(&[convener, inside, in_greeting]).await;
    let (member, late) = (snapshot.ended[&inside], snapshot.ended[&in_greeting]);
    assert!(member.left_at.is_some_and(|left| left < member.at), "the closing lies between: {member:?}");
    assert!(late.answered_at.is_some() && late.joined_at.is_none(), "{late:?}");
    assert!(snapshot.ended[&convener].at <= member.at);
}

async fn without_service_the_grace_time_ends(mut rig: Rig) {
    let lab = lab(&rig);
    rig.grace_seconds = 1;
    let convener = rig.bring_in("001", Convener).await;
    let waiting = rig.bring_in("002", Participant).await;
    rig.pbx.close().await;
    rig.hangs_up(convener).await;
    tokio::select! {
        () = phone_is_told(lab, rig.number(waiting)) => {}
        () = lab.phones.breathe(rig.number(waiting)) => panic!("nobody ended it"),
    }
    let snapshot = Rig::lab(lab).await.snapshot(&[convener, waiting]).await;
    let (away, waited) = (snapshot.ended[&convener].at, snapshot.ended[&waiting].left_at.expect("he was inside"));
    let wait = waited.duration_since(away);
    assert!(wait >= jiff::SignedDuration::from_secs(30) && wait < jiff::SignedDuration::from_secs(40), "grace and margin: {wait}");
}
