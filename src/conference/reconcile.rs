//! Comparing what we believe with what the switch holds; the differences are ordinary inputs.

use jiff::{SignedDuration, Timestamp};

use super::input::Input;
use super::state::{Conference, Leg, LegPhase, Link, Phase};
use crate::pbx::{EndRecord, Event, Evidence, LegSnapshot, LegSnapshotPhase, Snapshot};

/// A leg heard of within this time is left alone while the link is up: its events may have overtaken the snapshot.
/// After a gap only a call that was just handed over and of which the switch knows nothing is, for it may not hold it yet.
const FRESH: SignedDuration = SignedDuration::from_secs(3);
/// A lock that was told within this time, and since the last gap, is left alone: the lists of a snapshot may take as long.
const LOCK_SETTLES: SignedDuration = SignedDuration::from_secs(10);
/// An event may be this much younger than a snapshot; one that seems younger still comes from a clock that was set back.
const OVERTAKES: SignedDuration = SignedDuration::from_secs(30);

/// The inputs that make the conference agree with the snapshot.
///
/// `last_proof` is the last moment at which the switch was known to hold what we believed, by its own clock:
/// when the link was lost, or the time of the snapshot before.
#[must_use]
pub fn reconcile(conference: &Conference, snapshot: &Snapshot, last_proof: Timestamp, now: Timestamp) -> Vec<Input> {
    let mut inputs = Vec::new();
    for leg in conference.convener_last() {
        let restarted = snapshot.booted_at > leg.proof_at;
        let unknown = !snapshot.legs.contains_key(&leg.id) && !snapshot.ended.contains_key(&leg.id);
        let fresh = now < leg.touched_at + FRESH && (conference.link() == Link::Up || (leg.phase == LegPhase::Dialling && unknown));
        let ahead = leg.proof_at.duration_since(snapshot.at);
        let overtaken = leg.phase != LegPhase::Dialling && ahead > SignedDuration::ZERO && ahead < OVERTAKES;
        if !restarted && (fresh || overtaken) && leg.end_told_at.is_none() {
            continue;
        }
        // A proof that is younger than the picture, or than the switch's own start, comes from a clock that was set: nobody pays for that.
        let last_proof = last_proof.min(if restarted { snapshot.booted_at } else { snapshot.at });
        match (snapshot.legs.get(&leg.id), leg.phase) {
            (_, LegPhase::Queued) | (None, LegPhase::Ended) => {}
            (Some(held), _) => present(conference, leg, held, snapshot.at, last_proof, &mut inputs),
            (None, _) => inputs.push(absent(leg, snapshot, last_proof, restarted)),
        }
    }
    let room = conference.spec().room;
    if let (Phase::Running { .. }, Some(locked)) = (conference.phase(), snapshot.rooms.get(&room))
        && *locked != conference.locked
        && !conference.lock_at.is_some_and(|at| at <= now && now < at + LOCK_SETTLES)
    {
        inputs.push(Input::Switch { event: Event::Locked { room, locked: *locked } });
    }
    inputs
}

fn present(conference: &Conference, leg: &Leg, held: &LegSnapshot, at: Timestamp, last_proof: Timestamp, inputs: &mut Vec<Input>) {
    let room = conference.spec().room;
    let id = leg.id;
    if let Some(ended_at) = leg.end_told_at {
        // The picture was taken before the end that has been told since: what it shows was so, and who is inside in it was so till then.
        let LegSnapshot { answered_at, joined_at, left_at, .. } = *held;
        let record = EndRecord { cause: leg.cause, answered_at, joined_at, left_at, at: ended_at };
        let seen = if matches!(held.phase, LegSnapshotPhase::Inside { .. }) { at } else { leg.proof_at.max(last_proof) };
        inputs.push(Input::LegGone { leg: id, record: Some(record), at: seen, evidence: Evidence::Event });
        return;
    }
    // After a gap whoever waits is taken in hand anew; else only who should have left our hands.
    if held.phase == LegSnapshotPhase::Held && (leg.phase == LegPhase::Greeting || conference.link() != Link::Up) && leg.is_in_hand() {
        inputs.push(Input::StillHeld { leg: id });
        return;
    }
    let mut feed = |event| inputs.push(Input::Switch { event });
    let unanswered = matches!(leg.phase, LegPhase::Dialling | LegPhase::Ringing);
    if leg.phase == LegPhase::Ended {
        // It lives though it was given up for gone: any sign of life has it hung up.
        feed(Event::Ringing { leg: id, at });
        return;
    }
    match held.phase {
        LegSnapshotPhase::Dialling | LegSnapshotPhase::Held | LegSnapshotPhase::Brought => {}
        LegSnapshotPhase::Ringing => {
            if leg.phase == LegPhase::Dialling {
                feed(Event::Ringing { leg: id, at });
            }
        }
        LegSnapshotPhase::Inside { room: held_in, muted } if held_in == room => {
            if unanswered {
                feed(Event::Answered { leg: id, at: held.answered_at.or(held.joined_at).unwrap_or(at) });
            }
            if leg.phase != LegPhase::Inside {
                feed(Event::Joined { leg: id, room, muted, at: held.joined_at.unwrap_or(at) });
            } else if leg.muted != muted {
                feed(Event::Muted { leg: id, muted, at });
            }
        }
        // Inside another conference is not inside.
        LegSnapshotPhase::Answered | LegSnapshotPhase::Inside { .. } => {
            if unanswered {
                feed(Event::Answered { leg: id, at: held.answered_at.unwrap_or(at) });
            }
            if leg.phase == LegPhase::Inside {
                // He left unseen; where nobody wrote down when, conference time is not counted past the last proof of it.
                feed(Event::Left { leg: id, room, at: held.left_at.unwrap_or_else(|| leg.proof_at.max(last_proof)) });
            } else if leg.phase != LegPhase::Leaving
                && conference.link() != Link::Up
                && let Some((joined_at, left_at)) = held.joined_at.zip(held.left_at)
            {
                // He came and left within the gap.
                feed(Event::Joined { leg: id, room, muted: conference.all_muted, at: joined_at });
                feed(Event::Left { leg: id, room, at: left_at });
            }
        }
    }
}

fn absent(leg: &Leg, snapshot: &Snapshot, last_proof: Timestamp, restarted: bool) -> Input {
    if let Some(record) = snapshot.ended.get(&leg.id) {
        return Input::LegGone { leg: leg.id, record: Some(*record), at: record.at, evidence: Evidence::SwitchRecord };
    }
    if leg.phase == LegPhase::Dialling && !leg.early_media && !restarted && leg.end_told_at.is_none() {
        return Input::NeverPlaced { leg: leg.id };
    }
    let at = leg.proof_at.max(last_proof);
    Input::LegGone { leg: leg.id, record: None, at, evidence: if restarted { Evidence::ProofOfLife } else { Evidence::Snapshot } }
}
