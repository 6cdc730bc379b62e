//! What every adapter must do with people who call in. Each waits for what must happen, never for a time.

use sklic::numbers::Numbering;
use sklic::pbx::Role::{Convener, Participant};
use sklic::pbx::{Admit, Command, CommandFailure, EndCause, Event, Language, LegSnapshotPhase, MemberKey, Phrase};
use sklic::reception::identify;

use crate::rig::Rig;

const LANGUAGE: Language = Language::En;

fn normal() -> EndCause {
    EndCause { q850: Some(16), ..EndCause::default() }
}

fn hold(leg: sklic::ids::LegId, say: &[Phrase]) -> Command {
    Command::Hold { leg, language: LANGUAGE, say: say.to_vec() }
}

fn dismiss(leg: sklic::ids::LegId, say: &[Phrase]) -> Command {
    Command::Dismiss { leg, language: LANGUAGE, say: say.to_vec() }
}

pub async fn caller_is_asked_and_let_in(mut rig: Rig) {
    assert!(rig.pbx.capabilities().dial_in);
    let convener = rig.bring_in("001", Convener).await;
    let caller = rig.calls_in("+38613099396").await;
    let leg = caller.leg;
    assert_eq!(caller.dialled, "+38613099396");
    assert_eq!(caller.asserted.len(), 1, "{:?}", caller.asserted);
    // Each switch gives it in a form that is read for the line that pays.
    let numbering = Numbering { accept_prefixes: vec!["+386598".into()], ..Numbering::default() };
    let identity = identify(&caller, std::slice::from_ref(&caller.trunk), &numbering);
    let shown = numbering.normalise(&caller.presented).expect("the phone shows a number");
    assert_eq!(identity.calling_line, Some(shown), "{:?}", caller.asserted);
    assert!(!caller.private && !caller.call_id.is_empty());
    let snapshot = rig.snapshot(&[leg]).await;
    assert_eq!(snapshot.legs[&leg].phase, LegSnapshotPhase::Held);
    assert_eq!(snapshot.callers[&leg], caller);
    // During the prompt, which would last for half a minute.
    rig.must(rig.ask(leg, 1, &[Phrase::Welcome, Phrase::EnterCode, Phrase::NoIdentity, Phrase::WaitedTooLong])).await;
    rig.keys(leg, "40123456#").await;
    assert_eq!(rig.keyed(leg, 1).await, "40123456");
    rig.must(hold(leg, &[Phrase::Waiting])).await;
    assert_eq!(rig.phase(leg).await, Some(LegSnapshotPhase::Held));
    rig.let_in(leg, Participant).await;
    let snapshot = rig.snapshot(&[leg]).await;
    assert_eq!(snapshot.legs[&leg].phase, LegSnapshotPhase::Inside { room: rig.room, muted: false });
    assert_eq!(snapshot.legs[&leg].answered_at, Some(caller.answered_at));
    assert!(!snapshot.callers.contains_key(&leg), "he is a member now");
    let room = rig.room;
    rig.must(Command::Tell { room, leg, language: LANGUAGE, say: vec![Phrase::Inside, Phrase::Number(2)] }).await;
    for key in MemberKey::ALL {
        rig.presses(leg, key).await;
        rig.until(|event| matches!(event, Event::Pressed { leg: id, key: pressed, .. } if *id == leg && *pressed == key)).await;
    }
    rig.must(Command::Mute { room, leg, muted: true }).await;
    rig.until(|event| matches!(event, Event::Muted { leg: id, muted: true, .. } if *id == leg)).await;
    rig.must(Command::Remove { room, leg }).await;
    assert_eq!(rig.ended(leg).await, normal());
    let story: Vec<_> = rig.story(leg).into_iter().filter(|word| *word != "pressed").collect();
    assert_eq!(story, ["arrived", "keyed", "joined", "muted", "left", "ended"]);
    let record = rig.snapshot(&[leg]).await.ended[&leg];
    assert!(record.answered_at.is_some() && record.joined_at.is_some() && record.left_at.is_some_and(|left| left <= record.at), "{record:?}");
    rig.must(Command::HangUp { leg: convener }).await;
    rig.ended(convener).await;
}

pub async fn answers_come_as_they_are_keyed(mut rig: Rig) {
    let leg = rig.calls_in("19819").await.leg;
    // After the prompt: there is none.
    rig.must(rig.ask(leg, 1, &[])).await;
    rig.keys(leg, "1*2#").await;
    assert_eq!(rig.keyed(leg, 1).await, "1*2");
    rig.must(rig.ask_waiting(leg, 2, &[], 2)).await;
    assert_eq!(rig.keyed(leg, 2).await, "", "he keyed nothing");
    rig.must(rig.ask_waiting(leg, 3, &[], 5)).await;
    rig.keys(leg, "77").await;
    assert_eq!(rig.keyed(leg, 3).await, "77", "without the hash key");
    rig.must(rig.ask(leg, 4, &[])).await;
    rig.keys(leg, "123456789012").await;
    assert_eq!(rig.keyed(leg, 4).await, "123456789012", "as many as there may be");
    rig.must(rig.ask(leg, 5, &[])).await;
    rig.keys(leg, "#").await;
    assert_eq!(rig.keyed(leg, 5).await, "");
    // What is said next in the same breath does not wait for anything.
    rig.must(rig.ask(leg, 6, &[Phrase::NothingKeyed, Phrase::EnterCode])).await;
    rig.keys(leg, "1#").await;
    assert_eq!(rig.keyed(leg, 6).await, "1");
    rig.must(dismiss(leg, &[])).await;
    assert_eq!(rig.ended(leg).await, normal());
    assert_eq!(rig.story(leg), ["arrived", "keyed", "keyed", "keyed", "keyed", "keyed", "keyed", "ended"]);
}

pub async fn question_taken_back_is_not_answered(mut rig: Rig) {
    let leg = rig.calls_in("19819").await.leg;
    rig.must(rig.ask(leg, 1, &[Phrase::Welcome, Phrase::EnterCode])).await;
    rig.must(rig.ask(leg, 2, &[Phrase::EnterPin])).await;
    rig.keys(leg, "5#").await;
    assert_eq!(rig.keyed(leg, 2).await, "5");
    rig.must(rig.ask(leg, 3, &[])).await;
    rig.must(hold(leg, &[])).await;
    rig.keys(leg, "6#").await;
    rig.must(rig.ask(leg, 4, &[])).await;
    rig.keys(leg, "7#").await;
    assert_eq!(rig.keyed(leg, 4).await, "7");
    rig.hangs_up(leg).await;
    assert_eq!(rig.ended(leg).await, normal());
    assert_eq!(rig.story(leg), ["arrived", "keyed", "keyed", "ended"]);
}

pub async fn caller_hangs_up_in_each_step(mut rig: Rig) {
    let convener = rig.bring_in("001", Convener).await;
    let mut legs = Vec::new();
    for step in ["arrived", "asked", "held", "dismissed", "let in", "inside"] {
        let leg = rig.calls_in("19819").await.leg;
        match step {
            "asked" => rig.must(rig.ask(leg, 1, &[Phrase::Welcome, Phrase::EnterCode])).await,
            "held" => rig.must(hold(leg, &[Phrase::Waiting])).await,
            "dismissed" => rig.must(dismiss(leg, &[Phrase::TooManyTries, Phrase::NoIdentity])).await,
            "let in" => rig.must(Command::Admit(rig.admission(leg, Participant))).await,
            "inside" => rig.let_in(leg, Participant).await,
            _ => {}
        }
        rig.hangs_up(leg).await;
        assert_eq!(rig.ended(leg).await, normal(), "{step}");
        legs.push(leg);
    }
    let snapshot = rig.snapshot_until(&legs, |snapshot| legs.iter().all(|leg| snapshot.ended.contains_key(leg))).await;
    for leg in &legs {
        let record = snapshot.ended[leg];
        assert_eq!(record.cause, normal());
        assert!(record.answered_at.is_some_and(|answered| answered <= record.at), "{record:?}");
        assert_eq!(record.joined_at.is_some(), Some(leg) == legs.last(), "{record:?}");
        assert_eq!(rig.run(rig.ask(*leg, 9, &[])).await, Err(CommandFailure::Gone));
        assert_eq!(rig.run(dismiss(*leg, &[])).await, Err(CommandFailure::Gone));
    }
    assert_eq!(rig.run(Command::Admit(Admit { leg: convener, ..rig.admission(convener, Convener) })).await, Err(CommandFailure::Gone));
    rig.must(Command::HangUp { leg: convener }).await;
    rig.ended(convener).await;
}

pub async fn convener_who_calls_in_ends_it_with_his_call(mut rig: Rig) {
    let convener = rig.calls_in("01 309 93 96".replace(' ', "").as_str()).await.leg;
    let waiting = rig.calls_in("+38613099396").await.leg;
    rig.must(hold(waiting, &[Phrase::Waiting])).await;
    rig.let_in(convener, Convener).await;
    rig.muted = true;
    rig.must(Command::Admit(rig.admission(waiting, Participant))).await;
    let joined = rig.joined(waiting).await;
    assert!(matches!(joined, Event::Joined { muted: true, .. }), "{joined:?}");
    rig.muted = false;
    let dialled = rig.bring_in("002", Participant).await;
    rig.hangs_up(convener).await;
    for leg in [convener, waiting, dialled] {
        assert_eq!(rig.ended(leg).await, normal());
    }
    assert_eq!(rig.story(waiting), ["arrived", "joined", "left", "ended"]);
    // Who is let in a moment too late hears that it is over, and does not sit alone.
    let late = rig.calls_in("19819").await.leg;
    rig.must(Command::Admit(rig.admission(late, Participant))).await;
    assert_eq!(rig.ended(late).await, normal());
    assert_eq!(rig.story(late), ["arrived", "ended"]);
}

pub async fn locked_room_refuses_a_caller(mut rig: Rig) {
    let room = rig.room;
    let convener = rig.bring_in("001", Convener).await;
    rig.must(Command::Lock { room, locked: true }).await;
    let leg = rig.calls_in("19819").await.leg;
    rig.must(Command::Admit(rig.admission(leg, Participant))).await;
    let cause = rig.ended(leg).await;
    assert!(cause.join_refused, "{cause:?}");
    assert_eq!(rig.story(leg), ["arrived", "ended"]);
    // The convener lets one in by name.
    let named = rig.calls_in("19819").await.leg;
    rig.must(Command::Admit(Admit { past_lock: true, ..rig.admission(named, Participant) })).await;
    rig.joined(named).await;
    rig.must(Command::HangUp { leg: convener }).await;
    rig.ended(named).await;
}

pub async fn callers_are_found_again_after_a_cut(mut rig: Rig) {
    let asked = rig.calls_in("19819").await;
    let held = rig.calls_in("19819").await;
    let gone = rig.calls_in("19819").await;
    rig.must(rig.ask(asked.leg, 1, &[Phrase::Welcome, Phrase::EnterCode])).await;
    rig.must(hold(held.leg, &[Phrase::Waiting])).await;
    rig.must(hold(gone.leg, &[Phrase::Waiting])).await;
    rig.cut().await;
    assert_eq!(rig.run(rig.ask(asked.leg, 2, &[])).await, Err(CommandFailure::NoLink));
    rig.hangs_up(gone.leg).await;
    rig.over_unseen(gone.leg).await;
    rig.mend().await;
    let expected = [asked.leg, held.leg, gone.leg];
    let snapshot = rig.snapshot_until(&expected, |snapshot| snapshot.ended.contains_key(&gone.leg)).await;
    assert_eq!(snapshot.callers.get(&asked.leg), Some(&asked));
    assert_eq!(snapshot.callers.get(&held.leg), Some(&held));
    assert!(!snapshot.callers.contains_key(&gone.leg));
    assert_eq!(snapshot.ended[&gone.leg].cause, normal());
    // They are asked anew and go on as if nothing had been.
    rig.must(rig.ask(asked.leg, 3, &[Phrase::EnterCode])).await;
    rig.keys(asked.leg, "42#").await;
    assert_eq!(rig.keyed(asked.leg, 3).await, "42");
    rig.let_in(held.leg, Convener).await;
    rig.let_in(asked.leg, Participant).await;
    assert!(!rig.story(asked.leg).contains(&"ended"));
    rig.must(Command::Close { room: rig.room }).await;
    assert_eq!(rig.ended(asked.leg).await, normal());
    assert_eq!(rig.ended(held.leg).await, normal());
}

pub async fn caller_whom_nobody_takes_is_let_go(mut rig: Rig) {
    let leg = rig.calls_in("19819").await.leg;
    // The switch alone says that it is sorry, and hangs up.
    assert_eq!(rig.ended(leg).await, normal());
    assert_eq!(rig.story(leg), ["arrived", "ended"]);
}

pub async fn caller_is_hung_up_without_words(mut rig: Rig) {
    let leg = rig.calls_in("19819").await.leg;
    rig.must(rig.ask(leg, 1, &[Phrase::EnterCode])).await;
    rig.must(Command::HangUp { leg }).await;
    assert_eq!(rig.ended(leg).await, normal());
    assert_eq!(rig.run(Command::HangUp { leg }).await, Err(CommandFailure::Gone));
}

/// A switch that calls itself stands for two: each end is told about by itself.
pub async fn brought_caller_arrives_with_his_pass(mut rig: Rig) {
    let first = rig.calls_in("19819").await.leg;
    let address = rig.sip_address();
    let (pass, bring) = rig.bring(first, &address);
    rig.must(bring.clone()).await;
    let number = rig.number(first).to_owned();
    let there = rig.arrives_with(pass, &number).await;
    assert_ne!(there, first);
    let snapshot = rig.snapshot(&[first, there]).await;
    assert_eq!((snapshot.legs[&first].phase, snapshot.legs[&there].phase), (LegSnapshotPhase::Brought, LegSnapshotPhase::Held));
    // Other cases have callers of their own on this switch.
    assert!(snapshot.callers.contains_key(&there) && !snapshot.callers.contains_key(&first), "the first switch has him in hand no more");
    assert_eq!(rig.run(bring).await, Err(CommandFailure::Gone));
    assert_eq!(rig.run(rig.ask(first, 1, &[])).await, Err(CommandFailure::Gone));
    // FreeSWITCH sends keys on only beside sound, and the phones of these tests send none.
    if !rig.is_freeswitch() {
        rig.must(rig.ask(there, 1, &[])).await;
        rig.keys(there, "42#").await;
        assert_eq!(rig.keyed(there, 1).await, "42", "his keys go through");
    }
    rig.let_in(there, Convener).await;
    assert_eq!(rig.phase(first).await, Some(LegSnapshotPhase::Brought));
    if rig.is_freeswitch() {
        // It takes half a minute over a goodbye to itself; to another switch it is quick (`caller_is_brought_between_the_kinds`).
        rig.must(Command::HangUp { leg: there }).await;
    } else {
        rig.hangs_up(first).await;
    }
    assert_eq!(rig.ended(first).await, normal());
    assert_eq!(rig.ended(there).await, normal());
    assert_eq!(rig.story(first), ["arrived", "ended"]);
}

pub async fn brought_caller_is_let_go_with_the_room(mut rig: Rig) {
    let first = rig.calls_in("19819").await.leg;
    let address = rig.sip_address();
    let (pass, bring) = rig.bring(first, &address);
    rig.must(bring).await;
    let number = rig.number(first).to_owned();
    let there = rig.arrives_with(pass, &number).await;
    rig.let_in(there, Convener).await;
    rig.must(Command::Close { room: rig.room }).await;
    assert_eq!(rig.ended(there).await, normal());
    assert_eq!(rig.ended(first).await, normal());
}

pub async fn caller_who_cannot_be_brought_is_let_go(mut rig: Rig) {
    let leg = rig.calls_in("19819").await.leg;
    for (to, number) in
        [("127.0.0.1:5060&PJSIP/x", "19819"), ("127.0.0.1", "19819"), ("a b:1", "19819"), ("127.0.0.1:5060", "1,2"), ("x:5060", "1@y")]
    {
        let (_, bring) = rig.bring(leg, to);
        let Command::Bring(bring) = bring else { unreachable!() };
        let failure = rig.run(Command::Bring(sklic::pbx::Bring { number: number.into(), ..bring })).await;
        assert!(matches!(failure, Err(CommandFailure::Unsafe(_))), "{to} {number}: {failure:?}");
    }
    // The discard port: nobody is there.
    let (_, bring) = rig.bring(leg, "127.0.0.1:9");
    rig.must(bring).await;
    assert_eq!(rig.ended(leg).await, normal());
    assert_eq!(rig.story(leg), ["arrived", "ended"]);
}
