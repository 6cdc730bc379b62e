//! What this adapter knows of each living leg, and the port's events that follow from what the switch tells.
//!
//! It draws no outcome and times nothing but one thing: how a call that nobody answered has ended is told by two events
//! (`Hangup` and `OriginateResponse`, in either order), so the verdict is held until both are there or [`VERDICT_WITHIN`] is over.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::translate::{Names, Told, What};
use crate::ids::{LegId, Room};
use crate::pbx::keying::Question;
use crate::pbx::progress::Progress;
use crate::pbx::{Caller, EndCause, Event, LegSnapshotPhase};

/// How long the second of the two events is waited for.
pub const VERDICT_WITHIN: Duration = Duration::from_secs(1);
/// How long a failed dialling without a channel waits for one: what is said of it goes past the queue of the channels' events.
const LATE_CHANNEL_WITHIN: Duration = Duration::from_secs(3);
/// How long a failed dialling waits for its channel's end, which always came within milliseconds.
const CHANNEL_END_WITHIN: Duration = Duration::from_secs(5);
/// How long a leg that was asked for may stay without a channel; if it is only late, asking again would call somebody twice.
pub const CHANNEL_WITHIN: Duration = Duration::from_secs(10);
/// After this no list can be so old that it still holds a leg that has ended: two lists were asked for, one after the other.
pub const SURELY_GONE_AFTER: Duration = Duration::from_secs(30);
/// How long an ended leg is remembered, so that a late event does not end it again.
const ENDED_FOR: Duration = Duration::from_secs(120);
/// The same key within this time is told twice: nobody presses so fast.
const TOLD_TWICE_WITHIN: SignedDuration = SignedDuration::from_millis(75);
/// SIP 480, which Asterisk 22 makes up when our time to ring is over (`chan_pjsip`).
const MADE_UP_SIP: u16 = 480;
/// Q.850 cause 16: normal clearing.
const NORMAL: u16 = 16;
/// Q.850 cause 23: redirected to a new destination.
const REDIRECTED: u16 = 23;
/// Q.850 cause 19: user alerting, no answer.
const NO_ANSWER: u16 = 19;

/// One living leg.
#[derive(Clone, Debug)]
pub struct Leg {
    /// Its conference, where known.
    pub room: Option<Room>,
    /// The full name of its channel, which the conference module wants.
    pub channel: Option<String>,
    /// How far it is.
    pub phase: LegSnapshotPhase,
    /// When it was answered, by the switch.
    pub answered_at: Option<Timestamp>,
    /// When it became a member, by the switch.
    pub joined_at: Option<Timestamp>,
    /// When it was one no more, by the switch.
    pub left_at: Option<Timestamp>,
    /// When this process asked for it.
    pub asked: Option<Instant>,
    /// It is to be hung up as soon as its channel exists.
    pub hang_up_wanted: bool,
    /// Who called in, and his channel's id; absent for a leg that was dialled.
    pub caller: Option<(Box<Caller>, String)>,
    /// What the caller is being asked.
    pub question: Option<Question>,
    /// The channel that whispers to this member.
    pub whisper: Option<String>,
    /// The last key, and when.
    last_key: Option<(char, Timestamp)>,
    /// The number of the last change; snapshots compare it with the one at their beginning.
    pub changed: u64,
    created: bool,
    early_media: bool,
    far_end_ended: bool,
    progress: Progress,
    arrival_told: bool,
    redirected: bool,
    refused: bool,
    originated: Option<Originated>,
    hung_up: Option<HungUp>,
    due: Option<Instant>,
}

/// The switch's last word on the dialling.
#[derive(Clone, Copy, Debug)]
struct Originated {
    answered: bool,
    reason: u16,
}

#[derive(Clone, Copy, Debug)]
struct HungUp {
    q850: Option<u16>,
    sip: Option<u16>,
    at: Timestamp,
}

impl Leg {
    fn new(room: Option<Room>) -> Self {
        Self {
            room,
            channel: None,
            phase: LegSnapshotPhase::Dialling,
            answered_at: None,
            joined_at: None,
            left_at: None,
            asked: None,
            hang_up_wanted: false,
            caller: None,
            question: None,
            whisper: None,
            last_key: None,
            changed: 0,
            created: false,
            early_media: false,
            far_end_ended: false,
            progress: Progress::default(),
            arrival_told: false,
            redirected: false,
            refused: false,
            originated: None,
            hung_up: None,
            due: None,
        }
    }

    /// Its channel exists, as far as the switch has told.
    #[must_use]
    pub fn is_created(&self) -> bool {
        self.created
    }

    /// It lives, whatever was said of its dialling.
    fn forgive(&mut self) {
        if self.hung_up.is_none() {
            self.due = None;
        }
    }

    fn is_answered(&self) -> bool {
        matches!(self.phase, LegSnapshotPhase::Held | LegSnapshotPhase::Brought | LegSnapshotPhase::Answered | LegSnapshotPhase::Inside { .. })
    }

    fn cause(&self, end: HungUp) -> EndCause {
        if self.is_answered() {
            // Whose goodbye comes during an announcement has cause 0 on Asterisk 22.10, in the room 16: it is the same goodbye.
            let q850 = end.q850.or(self.far_end_ended.then_some(NORMAL));
            return EndCause { q850, join_refused: self.refused, ..EndCause::default() };
        }
        if self.redirected {
            // Asterisk 22.10 forgets the cause of about every sixth redirected call.
            return EndCause { q850: Some(REDIRECTED), sip: end.sip, ..EndCause::default() };
        }
        let ring_timeout = match self.originated {
            Some(last_word) => last_word.reason == 3,
            // Without that event: the far end's own 480 is announced by HangupRequest, the made-up one by nothing.
            None => !self.far_end_ended && end.q850 == Some(NO_ANSWER) && end.sip == Some(MADE_UP_SIP),
        };
        EndCause { q850: end.q850, sip: end.sip.filter(|_| !ring_timeout), ring_timeout, join_refused: self.refused }
    }
}

/// What the adapter has to do because of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FollowUp {
    /// The channel exists now, and its hang-up was asked for before.
    HangUp(LegId),
    /// The far end sent the call elsewhere: the channel of that call is to be found and ended.
    EndRedirected(LegId),
    /// The caller has interrupted what is said to him.
    Quiet(LegId),
}

/// All living legs.
#[derive(Debug, Default)]
pub struct Legs {
    living: BTreeMap<LegId, Leg>,
    ended: HashMap<LegId, Instant>,
    /// Callers by their channels' ids.
    callers: HashMap<String, LegId>,
    changes: u64,
}

impl Legs {
    /// A leg that is asked for now.
    pub fn ask(&mut self, id: LegId, room: Room, now: Instant) {
        self.changes += 1;
        let leg = Leg { asked: Some(now), changed: self.changes, ..Leg::new(Some(room)) };
        self.ended.remove(&id);
        self.living.insert(id, leg);
    }

    /// A leg that the switch holds, found in a list.
    pub fn found(&mut self, id: LegId, room: Option<Room>, channel: &str) -> &mut Leg {
        let leg = self.living.entry(id).or_insert_with(|| Leg::new(room));
        leg.created = true;
        leg.room = leg.room.or(room);
        leg.channel = Some(channel.to_owned());
        leg
    }

    /// A caller that the switch holds, found in a list.
    pub fn found_caller(&mut self, caller: Caller, uniqueid: &str, channel: &str) -> &mut Leg {
        self.callers.insert(uniqueid.to_owned(), caller.leg);
        let leg = self.found(caller.leg, None, channel);
        leg.caller.get_or_insert_with(|| (Box::new(caller), uniqueid.to_owned()));
        leg.progress = Progress::Answered;
        leg
    }

    /// Which channels are whose.
    #[must_use]
    pub fn names<'a>(&'a self, switch: &'a str) -> Names<'a> {
        Names { switch, callers: &self.callers }
    }

    /// The callers who are in the service's hands.
    #[must_use]
    pub fn callers(&self) -> BTreeMap<LegId, Caller> {
        let held = self.living.iter().filter(|(_, leg)| leg.phase == LegSnapshotPhase::Held);
        held.filter_map(|(id, leg)| Some((*id, leg.caller.as_ref()?.0.as_ref().clone()))).collect()
    }

    /// The caller is no longer in the service's hands: he is on his way in, or out.
    pub fn release(&mut self, id: LegId, room: Option<Room>) {
        if let Some(leg) = self.living.get_mut(&id) {
            self.changes += 1;
            leg.changed = self.changes;
            leg.phase = LegSnapshotPhase::Answered;
            leg.question = None;
            leg.room = leg.room.or(room);
        }
    }

    /// The caller is another switch's from now on.
    pub fn brought(&mut self, id: LegId) {
        self.release(id, None);
        if let Some(leg) = self.living.get_mut(&id) {
            leg.phase = LegSnapshotPhase::Brought;
        }
    }

    /// Drops a leg without an event: it was never taken by the switch, or the switch does not have it any more.
    pub fn drop_silently(&mut self, id: LegId) {
        if let Some((_, uniqueid)) = self.living.remove(&id).and_then(|leg| leg.caller) {
            self.callers.remove(&uniqueid);
        }
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

    /// Forgets the end of a leg that the switch lists so long after it that the end cannot be true; says whether it was such a leg.
    pub fn lives_on(&mut self, id: LegId, now: Instant) -> bool {
        let lives = self.ended.get(&id).is_some_and(|ended| now.saturating_duration_since(*ended) > SURELY_GONE_AFTER);
        if lives {
            tracing::error!(leg.id = %id, "a leg that was told to have ended lives on the switch");
            self.ended.remove(&id);
        }
        lives
    }

    /// The number of the last change.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// Takes in what the switch told. `now_at` stands in where the switch gave no time.
    pub fn take(&mut self, told: Told, now: Instant, now_at: Timestamp) -> (Vec<Event>, Option<FollowUp>) {
        let id = told.leg;
        if self.ended.contains_key(&id) {
            return (Vec::new(), None);
        }
        let at = told.at.unwrap_or(now_at);
        // A leg that this process did not ask for: the service was started anew.
        let leg = self.living.entry(id).or_insert_with(|| Leg::new(None));
        if told.channel.is_some() {
            leg.channel = told.channel;
            leg.created = true;
        }
        if told.what == What::Nothing {
            return (Vec::new(), None);
        }
        if told.what.is_listed(leg.phase) {
            self.changes += 1;
            leg.changed = self.changes;
        }
        let mut events = Vec::new();
        let mut follow_up = None;
        let mut over = false;
        match told.what {
            What::Arrived { caller, uniqueid } => {
                self.callers.insert(uniqueid.clone(), id);
                leg.progress = Progress::Answered;
                if !std::mem::replace(&mut leg.arrival_told, true) {
                    if leg.caller.is_none() {
                        leg.phase = LegSnapshotPhase::Held;
                        leg.answered_at = Some(caller.answered_at);
                        leg.caller = Some((caller.clone(), uniqueid));
                    }
                    events.push(Event::Arrived { caller });
                }
            }
            What::Said { ask } => {
                if let Some(question) = &mut leg.question {
                    question.said(ask, now);
                }
            }
            What::Key(key) => {
                // Keys that come closer than 45 ms (packets that were late together) Asterisk 22.10 puts in line, and tells each twice.
                let again = leg.last_key.is_some_and(|(last, told)| last == key && at.duration_since(told).abs() < TOLD_TWICE_WITHIN);
                leg.last_key = Some((key, at));
                if let (false, Some(question)) = (again, &mut leg.question) {
                    // The first key ends the saying.
                    follow_up = question.interrupts().then_some(FollowUp::Quiet(id));
                    if let Some(keys) = question.key(key, now) {
                        events.push(Event::Keyed { leg: id, ask: question.ask, keys });
                        leg.question = None;
                    }
                }
            }
            What::Pressed(key) => events.push(Event::Pressed { leg: id, key, at }),
            What::Created => {
                // Under load the good news overtakes the channel as well as the bad; only the bad has an end to wait for.
                if leg.originated.is_some_and(|last_word| !last_word.answered) && !leg.is_answered() {
                    leg.due = Some(now + CHANNEL_END_WITHIN);
                }
                if std::mem::take(&mut leg.hang_up_wanted) {
                    follow_up = Some(FollowUp::HangUp(id));
                }
            }
            What::Ringing => {
                if leg.phase == LegSnapshotPhase::Dialling {
                    leg.phase = LegSnapshotPhase::Ringing;
                }
                if leg.progress.reach(Progress::Ringing) {
                    events.push(Event::Ringing { leg: id, at });
                }
            }
            What::EarlyMedia => {
                if leg.progress < Progress::Answered && !std::mem::replace(&mut leg.early_media, true) {
                    events.push(Event::EarlyMedia { leg: id, at });
                }
            }
            What::Answered => {
                if !leg.redirected && leg.progress.reach(Progress::Answered) {
                    leg.forgive();
                    if !leg.is_answered() {
                        leg.phase = LegSnapshotPhase::Answered;
                    }
                    leg.answered_at = Some(at);
                    events.push(Event::Answered { leg: id, at });
                }
            }
            What::FarEndEnded => leg.far_end_ended = true,
            What::Redirected => {
                leg.redirected = true;
                follow_up = Some(FollowUp::EndRedirected(id));
            }
            What::Originated { answered, reason } => {
                leg.originated = Some(Originated { answered, reason });
                if leg.hung_up.is_some() {
                    over = true;
                } else if !answered && !leg.is_answered() {
                    // Without a channel this is all that is ever said about it, unless the channel's events are only late:
                    // this one goes past the queue that those go through, and has been seen to overtake them.
                    leg.due = Some(now + if leg.created { CHANNEL_END_WITHIN } else { LATE_CHANNEL_WITHIN });
                }
            }
            What::Refused => leg.refused = true,
            What::Joined { room, muted } => {
                leg.forgive();
                leg.progress = Progress::Answered;
                leg.room = Some(room);
                leg.phase = LegSnapshotPhase::Inside { room, muted };
                leg.joined_at = Some(at);
                leg.left_at = None;
                events.push(Event::Joined { leg: id, room, muted, at });
            }
            What::Left { room } => {
                leg.phase = LegSnapshotPhase::Answered;
                leg.left_at = Some(at);
                events.push(Event::Left { leg: id, room, at });
            }
            What::Muted(muted) => {
                if let LegSnapshotPhase::Inside { muted: now_muted, .. } = &mut leg.phase {
                    *now_muted = muted;
                }
                events.push(Event::Muted { leg: id, muted, at });
            }
            What::Talking(talking) => events.push(Event::Talking { leg: id, talking }),
            What::HungUp { q850, sip } => {
                leg.hung_up = Some(HungUp { q850, sip, at });
                over = leg.is_answered() || leg.originated.is_some();
                leg.due = Some(now + VERDICT_WITHIN);
            }
            What::Nothing => {}
        }
        if over {
            events.extend(self.end(id, now, at));
        }
        (events, follow_up)
    }

    /// When the next held verdict is to be spoken, or a question has waited long enough.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        self.living.values().flat_map(|leg| [leg.due, leg.question.as_ref().map(Question::due)]).flatten().min()
    }

    /// No question is open any more.
    pub fn take_back_questions(&mut self) {
        self.living.values_mut().for_each(|leg| leg.question = None);
    }

    /// Speaks the verdicts whose time has come.
    pub fn expire(&mut self, now: Instant, now_at: Timestamp) -> Vec<Event> {
        let due: Vec<LegId> = self.living.iter().filter(|(_, leg)| leg.due.is_some_and(|due| due <= now)).map(|(id, _)| *id).collect();
        self.ended.retain(|_, ended| now.saturating_duration_since(*ended) < ENDED_FOR);
        let mut events: Vec<Event> = due.into_iter().flat_map(|id| self.end(id, now, now_at)).collect();
        for (id, leg) in &mut self.living {
            if let Some(question) = leg.question.take_if(|question| question.due() <= now) {
                events.push(Event::Keyed { leg: *id, ask: question.ask, keys: question.keys() });
            }
        }
        events
    }

    /// Speaks the verdicts on all channels that are gone, before somebody misses them in a snapshot.
    pub fn settle(&mut self, now: Instant, now_at: Timestamp) -> Vec<Event> {
        let gone: Vec<LegId> = self.living.iter().filter(|(_, leg)| leg.hung_up.is_some()).map(|(id, _)| *id).collect();
        gone.into_iter().flat_map(|id| self.end(id, now, now_at)).collect()
    }

    fn end(&mut self, id: LegId, now: Instant, now_at: Timestamp) -> Vec<Event> {
        let Some(leg) = self.living.remove(&id) else { return Vec::new() };
        if let Some((_, uniqueid)) = &leg.caller {
            self.callers.remove(uniqueid);
        }
        self.ended.insert(id, now);
        let end = leg.hung_up.unwrap_or(HungUp { q850: None, sip: None, at: now_at });
        let mut events = Vec::new();
        // The events of conference and channel take two ways: the hang-up has been seen to overtake the leaving.
        // After a gap it may lie back; then the dialplan's note of it was among what the switch told at the login.
        if let LegSnapshotPhase::Inside { room, .. } = leg.phase {
            events.push(Event::Left { leg: id, room, at: leg.left_at.unwrap_or(end.at) });
        }
        events.push(Event::Ended { leg: id, cause: leg.cause(end), at: end.at });
        events
    }

    /// Ends a leg that never left our own line.
    pub fn cancelled(&mut self, id: LegId, now: Instant, now_at: Timestamp) -> Event {
        self.living.remove(&id);
        self.ended.insert(id, now);
        // What a hang-up while ringing gives, too.
        Event::Ended { leg: id, cause: EndCause { q850: Some(NORMAL), ..EndCause::default() }, at: now_at }
    }
}

#[cfg(test)]
#[path = "legs_tests.rs"]
mod tests;
