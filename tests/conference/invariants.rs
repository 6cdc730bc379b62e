//! What must hold after every step, whatever the switch, the network and the people do.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use sklic::conference::{Conference, Delta, Effect, Leg, LegPhase, Link, ParticipantState, Phase};
use sklic::ids::{LegId, ParticipantId};
use sklic::pbx::{Command, Evidence};

macro_rules! ensure {
    ($holds:expr, $($why:tt)+) => {
        if !$holds {
            return Err(format!($($why)+));
        }
    };
}

/// Checks one accepted step, from `before` to `after`.
pub fn check(before: &Conference, after: &Conference, effects: &[Effect], now: Timestamp) -> Result<(), String> {
    legs(before, after, effects)?;
    people(after)?;
    ending(before, after, effects)?;
    dialling(before, after, effects)?;
    rows_and_windows(before, after, effects)?;
    order(effects)?;
    let next = after.next_deadline();
    ensure!(next.is_none_or(|next| next > now), "the next deadline {next:?} is not after now ({now}): a tick makes no progress");
    Ok(())
}

fn legs(before: &Conference, after: &Conference, effects: &[Effect]) -> Result<(), String> {
    let told: Vec<LegId> = effects.iter().filter_map(|effect| if let Effect::LegEnded { leg } = effect { Some(*leg) } else { None }).collect();
    let unique: BTreeSet<LegId> = told.iter().copied().collect();
    ensure!(told.len() == unique.len(), "a leg ended twice in one step");
    for leg in after.legs() {
        let was = before.leg(leg.id);
        let was_over = was.is_some_and(|leg| leg.phase == LegPhase::Ended);
        let over = leg.phase == LegPhase::Ended;
        ensure!(unique.contains(&leg.id) == (over && !was_over), "leg {} went from {was:?} to {leg:?}, `leg ended` told: {unique:?}", leg.id);
        ensure!(!was_over || was == Some(leg), "an ended leg changed from {was:?} to {leg:?}");
        ensure!(leg.outcome.is_some() == over, "outcome and end of a leg disagree: {leg:?}");
        ensure!(leg.evidence.is_some() == over && leg.ended_at.is_some() == over, "end and evidence of a leg disagree: {leg:?}");
        spans(leg)?;
    }
    ensure!(before.legs().all(|leg| after.leg(leg.id).is_some()), "a leg has vanished");
    Ok(())
}

fn spans(leg: &Leg) -> Result<(), String> {
    ensure!(leg.joined_at.is_none() || leg.joined_at >= leg.answered_at, "joined before the answer: {leg:?}");
    // Further back than a correction of the switch's clock they are as they were told.
    let concluded = matches!(leg.evidence, Some(Evidence::Snapshot | Evidence::ProofOfLife));
    for (at, told, before) in
        [(leg.left_at, true, [leg.answered_at, leg.joined_at, None]), (leg.ended_at, !concluded, [leg.answered_at, leg.joined_at, leg.left_at])]
    {
        let furthest = before.into_iter().flatten().filter_map(|earlier| at.map(|at| earlier.duration_since(at))).max().unwrap_or_default();
        let fits = furthest <= SignedDuration::ZERO || told && furthest > SignedDuration::from_secs(2);
        ensure!(fits, "answered, joined, left and ended are out of order: {leg:?}");
    }
    ensure!(leg.joined_at.is_none() || leg.answered_at.is_some(), "joined without an answer: {leg:?}");
    ensure!(leg.left_at.is_none() || leg.joined_at.is_some(), "left without having joined: {leg:?}");
    ensure!(leg.phase != LegPhase::Ended || leg.joined_at.is_some() == leg.left_at.is_some(), "conference time without an end: {leg:?}");
    ensure!(leg.phase != LegPhase::Inside || (leg.joined_at.is_some() && leg.left_at.is_none()), "inside without having joined: {leg:?}");
    Ok(())
}

fn people(after: &Conference) -> Result<(), String> {
    for person in after.participants() {
        let live: Vec<LegId> = person.legs.iter().copied().filter(|id| after.leg(*id).is_some_and(Leg::is_live)).collect();
        // A call that is being taken back because he has called in himself may take its time to end.
        let kept: Vec<LegId> = live.iter().copied().filter(|id| !after.leg(*id).is_some_and(|leg| leg.hang_up_asked)).collect();
        ensure!(kept.len() <= 1, "{} has {} live legs", person.person.name, kept.len());
        ensure!(kept.is_empty() || kept.last() == person.legs.last(), "{}'s live leg is not his newest", person.person.name);
        ensure!(live.is_empty() || !person.removed, "{} is off the roster and has a live leg", person.person.name);
    }
    let owned: usize = after.participants().map(|person| person.legs.len()).sum();
    ensure!(owned == after.legs().count(), "a leg belongs to nobody");
    for view in after.participant_views() {
        let inside = after.live_leg(view.id).is_some_and(|leg| leg.phase == LegPhase::Inside);
        let known = after.link() == Link::Up;
        ensure!(
            (view.state == ParticipantState::In) == (inside && known),
            "{} is shown {:?}, inside: {inside}, link up: {known}",
            view.name,
            view.state
        );
    }
    Ok(())
}

fn ending(before: &Conference, after: &Conference, effects: &[Effect]) -> Result<(), String> {
    let finished = effects.iter().filter(|effect| **effect == Effect::Finished).count();
    ensure!(!before.phase().is_over(), "an input was taken after the end");
    ensure!(finished == usize::from(after.phase().is_over()), "`finished` was told {finished} times in phase {}", after.phase());
    if after.phase().is_over() {
        ensure!(!after.legs().any(Leg::is_live), "the conference is {} and a leg lives", after.phase());
        ensure!(after.next_deadline().is_none(), "a deadline after the end");
    }
    let rank = |phase: &Phase| match phase {
        Phase::Planned => 0,
        Phase::CallingConvener { .. } => 1,
        Phase::Running { .. } => 2,
        Phase::Closing { .. } => 3,
        Phase::Ended { .. } | Phase::Failed { .. } => 4,
    };
    ensure!(rank(before.phase()) <= rank(after.phase()), "the phase went back from {} to {}", before.phase(), after.phase());
    let (_, running_since) = after.times();
    ensure!(!matches!(after.phase(), Phase::Running { .. }) || running_since.is_some(), "running since when?");
    Ok(())
}

fn dialling(before: &Conference, after: &Conference, effects: &[Effect]) -> Result<(), String> {
    let mut dialled = BTreeSet::new();
    for command in super::world::commands(effects) {
        if let Some(leg) = command.leg() {
            ensure!(after.leg(leg).is_some(), "a command about an unknown leg: {command:?}");
        }
        let Command::Dial(dial) = command else { continue };
        ensure!(matches!(after.phase(), Phase::CallingConvener { .. } | Phase::Running { .. }), "dialled while {}", after.phase());
        ensure!(before.link() == Link::Up || after.link() == Link::Up, "dialled without a link");
        ensure!(dialled.insert(dial.leg), "dialled twice in one step");
        let leg = after.leg(dial.leg).ok_or("dialled an unknown leg")?;
        ensure!(leg.phase == LegPhase::Dialling && leg.number == dial.number, "{dial:?} does not fit {leg:?}");
        let convener = leg.participant == after.spec().convener.id;
        let (_, running_since) = after.times();
        ensure!(convener || running_since.is_some(), "somebody was dialled before the convener was inside");
    }
    let pace = i64::from(after.spec().settings.calls_per_second.max(1));
    let burst = usize::try_from((pace / 10).max(1)).unwrap_or(1);
    ensure!(dialled.len() <= burst, "{} calls in one step at a pace of {pace} a second", dialled.len());
    Ok(())
}

/// Rows and windows never show a state that is over: whatever changed is saved and pushed.
fn rows_and_windows(before: &Conference, after: &Conference, effects: &[Effect]) -> Result<(), String> {
    let delta = effects.iter().find_map(|effect| if let Effect::Push { delta } = effect { Some(delta.clone()) } else { None });
    let delta: Delta = delta.unwrap_or_default();
    // When a leg is overdue is the state machine's own affair and in no row.
    let row = |leg: &Leg| Leg { deadline: None, overdue: false, ..leg.clone() };
    let saved_leg = |leg: &Leg| effects.iter().any(|effect| matches!(effect, Effect::SaveLeg { leg: saved } if **saved == *leg));
    for leg in after.legs() {
        ensure!(
            before.leg(leg.id).map(row) == Some(row(leg)) || saved_leg(leg),
            "a change of a leg is not saved: {:?} to {leg:?}",
            before.leg(leg.id)
        );
    }
    for person in after.participants() {
        let id = person.person.id;
        let saved = effects.iter().any(|effect| matches!(effect, Effect::SaveParticipant { participant } if **participant == *person));
        ensure!(
            before.participant(id) == Some(person) || saved,
            "a change of a participant is not saved: {:?} to {person:?}",
            before.participant(id)
        );
    }
    let shown = |conference: &Conference, id: ParticipantId| conference.participant_views().into_iter().find(|view| view.id == id);
    for view in after.participant_views() {
        let pushed = delta.participants.iter().find(|pushed| pushed.id == view.id);
        ensure!(pushed.is_none_or(|pushed| *pushed == view), "a window is told {pushed:?} instead of {view:?}");
        ensure!(pushed.is_some() || shown(before, view.id).as_ref() == Some(&view), "a window is not told of {view:?}");
    }
    for gone in before.participant_views().iter().filter(|view| shown(after, view.id).is_none()) {
        ensure!(delta.removed.contains(&gone.id), "a window is not told that {} is off the roster", gone.name);
    }
    ensure!(delta.conference.is_some() || before.head_view() == after.head_view(), "a window is not told of {:?}", after.head_view());
    ensure!(delta.conference.is_none_or(|head| head == after.head_view()), "a window is told another head");
    let saved = effects.iter().any(|effect| matches!(effect, Effect::SaveHead { phase } if phase == after.phase()));
    ensure!(before.phase().word() == after.phase().word() || saved, "the phase {} is not saved", after.phase());
    Ok(())
}

/// Rows go before commands, commands before the push (section 3 of the design: write, then speak).
fn order(effects: &[Effect]) -> Result<(), String> {
    let rank = |effect: &Effect| match effect {
        Effect::SaveHead { .. } | Effect::SaveParticipant { .. } | Effect::SaveLeg { .. } | Effect::LegEnded { .. } | Effect::Finished => 0,
        Effect::Command { .. } => 1,
        Effect::Push { .. } => 2,
    };
    ensure!(effects.iter().map(rank).is_sorted(), "effects are out of order: {effects:#?}");
    Ok(())
}
