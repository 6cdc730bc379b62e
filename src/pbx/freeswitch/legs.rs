//! What this adapter knows of each living leg, and the port's events that follow from what the switch tells.
//!
//! It draws no outcome and times nothing: how a call has ended is told by one event of the switch.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::translate::What;
use crate::ids::{LegId, Room};
use crate::pbx::keying::Question;
use crate::pbx::progress::Progress;
use crate::pbx::{Admit, Caller, EndCause, Event, LegSnapshotPhase, Role};

/// How long an ended leg is remembered, so that a late event does not end it again.
const ENDED_FOR: Duration = Duration::from_secs(120);
/// So many ended legs are kept before the old ones are looked for.
const TIDY_AT: usize = 1_024;

/// One living leg.
#[derive(Clone, Debug)]
pub struct Leg {
    /// Its conference, where known.
    pub room: Option<Room>,
    /// How far it is.
    pub phase: LegSnapshotPhase,
    /// When it was answered, by the switch.
    pub answered_at: Option<Timestamp>,
    /// When it came into the room, by the switch.
    pub joined_at: Option<Timestamp>,
    /// Its channel exists, as far as the switch has told.
    pub created: bool,
    /// It is to be hung up as soon as its channel exists.
    pub hang_up_wanted: bool,
    /// Who called in; absent for a leg that was dialled.
    pub caller: Option<Box<Caller>>,
    /// What the caller is being asked.
    pub question: Option<Question>,
    /// The room's number for the member.
    pub member: Option<u32>,
    /// A convener, as was asked for or as the room says.
    pub convener: bool,
    /// How long the others wait for him, in seconds.
    pub grace_seconds: u32,
    /// The number of the last change; snapshots compare it with the one at their beginning.
    pub changed: u64,
    progress: Progress,
    arrival_told: bool,
    early_media: bool,
    /// When it left the room, by the switch; told as an event, or in a snapshot.
    pub left_at: Option<Timestamp>,
}

impl Leg {
    fn new(room: Option<Room>) -> Self {
        Self {
            room,
            phase: LegSnapshotPhase::Dialling,
            answered_at: None,
            joined_at: None,
            created: false,
            hang_up_wanted: false,
            caller: None,
            question: None,
            member: None,
            convener: false,
            grace_seconds: 0,
            changed: 0,
            progress: Progress::default(),
            arrival_told: false,
            early_media: false,
            left_at: None,
        }
    }

    /// It is no member any more.
    fn leave(&mut self, id: LegId, room: Room, at: Timestamp) -> Event {
        self.phase = LegSnapshotPhase::Answered;
        self.left_at = Some(at);
        Event::Left { leg: id, room, at }
    }

    /// Somebody answered, in the room or not.
    #[must_use]
    pub fn is_answered(&self) -> bool {
        matches!(self.phase, LegSnapshotPhase::Held | LegSnapshotPhase::Brought | LegSnapshotPhase::Answered | LegSnapshotPhase::Inside { .. })
    }
}

/// All living legs.
#[derive(Debug, Default)]
pub struct Legs {
    living: BTreeMap<LegId, Leg>,
    ended: HashMap<LegId, Instant>,
    changes: u64,
}

impl Legs {
    /// A leg that is asked for now: a convener or not, and how long he is waited for.
    pub fn ask(&mut self, id: LegId, room: Room, (convener, grace_seconds): (bool, u32)) {
        self.changes += 1;
        let leg = Leg { changed: self.changes, convener, grace_seconds, ..Leg::new(Some(room)) };
        self.ended.remove(&id);
        self.living.insert(id, leg);
    }

    /// A leg that the switch holds, found in a list.
    pub fn found(&mut self, id: LegId) -> &mut Leg {
        let leg = self.living.entry(id).or_insert_with(|| Leg::new(None));
        leg.created = true;
        leg
    }

    /// Drops a leg without an event: it was never taken by the switch, or the switch does not have it any more.
    pub fn drop_silently(&mut self, id: LegId) {
        self.living.remove(&id);
    }

    /// One living leg.
    #[must_use]
    pub fn get(&self, id: LegId) -> Option<&Leg> {
        self.living.get(&id)
    }

    /// One living leg, to be changed.
    pub fn get_mut(&mut self, id: LegId) -> Option<&mut Leg> {
        self.living.get_mut(&id)
    }

    /// All living legs.
    pub fn iter(&self) -> impl Iterator<Item = (LegId, &Leg)> {
        self.living.iter().map(|(id, leg)| (*id, leg))
    }

    /// Whether a leg's end has been told already.
    #[must_use]
    pub fn has_ended(&self, id: LegId) -> bool {
        self.ended.contains_key(&id)
    }

    /// The number of the last change.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// When the next question has waited long enough.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        self.living.values().filter_map(|leg| leg.question.as_ref().map(Question::due)).min()
    }

    /// No question is open any more.
    pub fn take_back_questions(&mut self) {
        self.living.values_mut().for_each(|leg| leg.question = None);
    }

    /// The answers to the questions that have waited long enough.
    pub fn expire(&mut self, now: Instant) -> Vec<Event> {
        let mut events = Vec::new();
        for (id, leg) in &mut self.living {
            if let Some(question) = leg.question.take_if(|question| question.due() <= now) {
                events.push(Event::Keyed { leg: *id, ask: question.ask, keys: question.keys() });
            }
        }
        events
    }

    /// The callers who are in the service's hands.
    #[must_use]
    pub fn callers(&self) -> BTreeMap<LegId, Caller> {
        let held = self.living.iter().filter(|(_, leg)| leg.phase == LegSnapshotPhase::Held);
        held.filter_map(|(id, leg)| Some((*id, leg.caller.as_deref()?.clone()))).collect()
    }

    /// The caller is no longer in the service's hands: he is on his way in, or out.
    pub fn release(&mut self, id: LegId, admitted: Option<&Admit>) {
        if let Some(leg) = self.living.get_mut(&id) {
            self.changes += 1;
            leg.changed = self.changes;
            leg.phase = LegSnapshotPhase::Answered;
            leg.question = None;
            if let Some(admit) = admitted {
                leg.room = Some(admit.room);
                leg.convener = admit.role == Role::Convener;
                leg.grace_seconds = admit.grace_seconds;
            }
        }
    }

    /// The caller is another switch's from now on.
    pub fn brought(&mut self, id: LegId) {
        self.release(id, None);
        if let Some(leg) = self.living.get_mut(&id) {
            leg.phase = LegSnapshotPhase::Brought;
        }
    }

    /// Takes in what the switch told of one leg.
    pub fn take(&mut self, id: LegId, at: Timestamp, what: What, now: Instant) -> Option<Event> {
        if self.ended.contains_key(&id) {
            return None;
        }
        // Keys come of every call on the switch.
        if matches!(what, What::Key(_)) && self.living.get(&id).is_none_or(|leg| leg.question.is_none()) {
            return None;
        }
        // A leg that this process did not ask for: the service was started anew.
        let leg = self.living.entry(id).or_insert_with(|| Leg::new(None));
        if what.is_listed(leg.phase) {
            self.changes += 1;
            leg.changed = self.changes;
        }
        leg.created = true;
        match what {
            What::Arrived(caller) => {
                leg.progress = Progress::Answered;
                if std::mem::replace(&mut leg.arrival_told, true) {
                    return None;
                }
                if leg.caller.is_none() {
                    leg.phase = LegSnapshotPhase::Held;
                    leg.answered_at = Some(caller.answered_at);
                    leg.caller = Some(caller.clone());
                }
                Some(Event::Arrived { caller })
            }
            What::Said { ask } => {
                if let Some(question) = &mut leg.question {
                    question.said(ask, now);
                }
                None
            }
            What::Key(key) => {
                let question = leg.question.as_mut()?;
                let keys = question.key(key, now)?;
                let ask = question.ask;
                leg.question = None;
                Some(Event::Keyed { leg: id, ask, keys })
            }
            What::Pressed(key) => Some(Event::Pressed { leg: id, key, at }),
            What::Created => None,
            What::Ringing if leg.progress.reach(Progress::Ringing) => {
                if leg.phase == LegSnapshotPhase::Dialling {
                    leg.phase = LegSnapshotPhase::Ringing;
                }
                Some(Event::Ringing { leg: id, at })
            }
            What::EarlyMedia if leg.progress < Progress::Answered && !leg.early_media => {
                leg.early_media = true;
                Some(Event::EarlyMedia { leg: id, at })
            }
            What::Answered if leg.progress.reach(Progress::Answered) => {
                if !leg.is_answered() {
                    leg.phase = LegSnapshotPhase::Answered;
                }
                leg.answered_at = Some(at);
                Some(Event::Answered { leg: id, at })
            }
            What::Ringing | What::EarlyMedia | What::Answered => None,
            What::Joined { room, muted, member, convener } => {
                leg.member = member;
                leg.convener |= convener;
                leg.progress = Progress::Answered;
                leg.room = Some(room);
                leg.phase = LegSnapshotPhase::Inside { room, muted };
                leg.joined_at = Some(at);
                leg.left_at = None;
                Some(Event::Joined { leg: id, room, muted, at })
            }
            What::Left { .. } if leg.left_at.is_some() => None,
            What::Left { room } => Some(leg.leave(id, room, at)),
            What::Muted(muted) => {
                if let LegSnapshotPhase::Inside { muted: now_muted, .. } = &mut leg.phase {
                    *now_muted = muted;
                }
                Some(Event::Muted { leg: id, muted, at })
            }
            What::Talking(talking) => Some(Event::Talking { leg: id, talking }),
            What::Ended(cause) => Some(self.end(id, cause, at, now)),
        }
    }

    /// A leg has left its room, as is seen only afterwards; `None` when that has been told already.
    pub fn note_left(&mut self, id: LegId, room: Room, at: Timestamp) -> Option<Event> {
        if self.ended.contains_key(&id) {
            return None;
        }
        let leg = self.living.entry(id).or_insert_with(|| Leg::new(Some(room)));
        if leg.left_at.is_some() {
            return None;
        }
        leg.created = true;
        Some(leg.leave(id, room, at))
    }

    /// The switch ends: nobody is in a room any more, whenever it comes to tell so of each.
    ///
    /// It tells every call to end at once, and then takes its modules down. A call that has not gone by then is held up, without sound,
    /// until the switch gives up waiting for it after 10 s, and its room says only then that it has left (seen on FreeSWITCH 1.10.12).
    pub fn leave_all(&mut self, at: Timestamp) -> Vec<Event> {
        let mut events = Vec::new();
        for (id, leg) in &mut self.living {
            if let LegSnapshotPhase::Inside { room, .. } = leg.phase {
                self.changes += 1;
                leg.changed = self.changes;
                events.push(leg.leave(*id, room, at));
            }
        }
        events
    }

    /// Ends a leg that never left our own line.
    pub fn cancelled(&mut self, id: LegId, at: Timestamp, now: Instant) -> Event {
        // Q.850 cause 16, normal clearing: what a hang-up while ringing gives, too.
        self.end(id, EndCause { q850: Some(16), ..EndCause::default() }, at, now)
    }

    fn end(&mut self, id: LegId, cause: EndCause, at: Timestamp, now: Instant) -> Event {
        let left_at = self.living.remove(&id).and_then(|leg| leg.left_at);
        if self.ended.len() >= TIDY_AT {
            self.ended.retain(|_, ended| now.saturating_duration_since(*ended) < ENDED_FOR);
        }
        self.ended.insert(id, now);
        // The room notices a moment later than the line that a phone has hung up: nobody leaves after his end.
        Event::Ended { leg: id, cause, at: left_at.map_or(at, |left_at| left_at.max(at)) }
    }
}

#[cfg(test)]
#[path = "legs_tests.rs"]
mod tests;
