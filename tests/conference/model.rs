//! A small switch that keeps its own books: what really happened, against which the conference's belief is measured.

use std::collections::{BTreeMap, VecDeque};

use jiff::{SignedDuration, Timestamp};
use sklic::ids::{LegId, Room};
use sklic::pbx::{Command, CommandFailure, EndCause, EndRecord, Event, LegSnapshot, LegSnapshotPhase, Role, Snapshot};

use crate::world::{ROOM, ZERO};

/// How far a call really is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Real {
    Trying,
    Ringing,
    Greeting,
    Inside { muted: bool },
    Closing,
    Over,
}

/// What really happened to a call, by the switch's clock.
#[derive(Clone, Debug)]
pub struct Call {
    pub real: Real,
    pub convener: bool,
    pub starts_muted: bool,
    pub answered: Option<Timestamp>,
    pub joined: Option<Timestamp>,
    pub left: Option<Timestamp>,
    pub ended: Option<Timestamp>,
    pub cause: EndCause,
    /// Its dialplan has run, so that its end is written down.
    pub recorded: bool,
}

/// The switch.
pub struct Switch {
    pub calls: BTreeMap<LegId, Call>,
    pub locked: bool,
    booted_at: Timestamp,
    /// Its clock minus ours.
    skew: SignedDuration,
    /// Writes down the leaving and the end of calls that were answered.
    keeps_records: bool,
    grace: bool,
    /// Events on their way, for each leg in order; the room's under `None`.
    pub events: BTreeMap<Option<LegId>, VecDeque<(Timestamp, Event)>>,
    /// Events that reach nobody since the link is cut.
    pub connected: bool,
}

impl Switch {
    pub fn new(skew: SignedDuration, keeps_records: bool, grace: bool) -> Self {
        let booted_at = ZERO - SignedDuration::from_hours(1);
        Self { calls: BTreeMap::new(), locked: false, booted_at, skew, keeps_records, grace, events: BTreeMap::new(), connected: true }
    }

    /// The switch's clock when ours shows `now`.
    pub fn clock(&self, now: Timestamp) -> Timestamp {
        now + self.skew
    }

    fn tell(&mut self, now: Timestamp, leg: Option<LegId>, event: Event) {
        if self.connected {
            let at = self.clock(now);
            self.events.entry(leg).or_default().push_back((at, event));
        }
    }

    /// Obeys a command.
    pub fn obey(&mut self, now: Timestamp, command: &Command) -> Result<(), CommandFailure> {
        let at = self.clock(now);
        match command {
            Command::Dial(dial) => {
                if self.alive(dial.leg) {
                    return Err(CommandFailure::Refused("in use".to_owned()));
                }
                let call = Call {
                    real: Real::Trying,
                    convener: dial.role == Role::Convener,
                    starts_muted: dial.muted,
                    answered: None,
                    joined: None,
                    left: None,
                    ended: None,
                    cause: EndCause::default(),
                    recorded: false,
                };
                self.calls.insert(dial.leg, call);
            }
            Command::Ask(_) | Command::Hold { .. } | Command::Dismiss { .. } | Command::Admit(_) | Command::Bring(_) | Command::Tell { .. } => {
                return Err(CommandFailure::Gone);
            }
            Command::HangUp { leg } => {
                if !self.alive(*leg) {
                    return Err(CommandFailure::Gone);
                }
                self.end(now, *leg, EndCause { q850: Some(16), ..EndCause::default() });
            }
            Command::Mute { leg, muted, .. } => self.mute(now, *leg, *muted)?,
            Command::MuteAll { muted, .. } => {
                for leg in self.inside(false) {
                    self.mute(now, leg, *muted)?;
                }
            }
            Command::Remove { leg, .. } => {
                if !matches!(self.calls.get(leg), Some(Call { real: Real::Inside { .. }, .. })) {
                    return Err(CommandFailure::Gone);
                }
                self.leave(at, now, *leg);
            }
            Command::Lock { locked, .. } => {
                if self.inside(true).is_empty() {
                    return Err(CommandFailure::Gone);
                }
                self.locked = *locked;
                self.tell(now, None, Event::Locked { room: ROOM, locked: *locked });
            }
            Command::Close { .. } => {
                for leg in self.inside(true) {
                    self.leave(at, now, leg);
                }
            }
            Command::Announce { .. } | Command::Forget { .. } => {}
        }
        Ok(())
    }

    pub fn alive(&self, leg: LegId) -> bool {
        self.calls.get(&leg).is_some_and(|call| call.real != Real::Over)
    }

    fn inside(&self, convener_too: bool) -> Vec<LegId> {
        let inside = |call: &Call| matches!(call.real, Real::Inside { .. }) && (convener_too || !call.convener);
        self.calls.iter().filter(|(_, call)| inside(call)).map(|(leg, _)| *leg).collect()
    }

    fn mute(&mut self, now: Timestamp, leg: LegId, muted: bool) -> Result<(), CommandFailure> {
        let at = self.clock(now);
        let Some(Call { real: Real::Inside { muted: closed }, .. }) = self.calls.get_mut(&leg) else { return Err(CommandFailure::Gone) };
        *closed = muted;
        self.tell(now, Some(leg), Event::Muted { leg, muted, at });
        Ok(())
    }

    /// The phone does the next thing on the way into the conference.
    pub fn advance(&mut self, now: Timestamp, leg: LegId) {
        let at = self.clock(now);
        let locked = self.locked;
        let Some(call) = self.calls.get_mut(&leg) else { return };
        let event = match call.real {
            Real::Trying => {
                call.real = Real::Ringing;
                Event::Ringing { leg, at }
            }
            Real::Ringing => {
                call.real = Real::Greeting;
                call.answered = Some(at);
                call.recorded = true;
                Event::Answered { leg, at }
            }
            Real::Greeting if locked && !call.convener => {
                self.end(now, leg, EndCause { join_refused: true, q850: Some(16), ..EndCause::default() });
                return;
            }
            Real::Greeting => {
                let muted = call.starts_muted;
                call.real = Real::Inside { muted };
                call.joined = Some(at);
                Event::Joined { leg, room: ROOM, muted, at }
            }
            Real::Closing => {
                self.end(now, leg, EndCause { q850: Some(16), ..EndCause::default() });
                return;
            }
            Real::Inside { .. } | Real::Over => return,
        };
        self.tell(now, Some(leg), event);
    }

    fn leave(&mut self, at: Timestamp, now: Timestamp, leg: LegId) {
        let Some(call) = self.calls.get_mut(&leg) else { return };
        call.real = Real::Closing;
        call.left = Some(at);
        let convener = call.convener;
        self.tell(now, Some(leg), Event::Left { leg, room: ROOM, at });
        self.after_leaving(now, convener);
    }

    /// The dialplan ends the conference with its convener, and an empty room forgets its lock.
    fn after_leaving(&mut self, now: Timestamp, convener: bool) {
        if convener && !self.grace {
            let at = self.clock(now);
            for leg in self.inside(false) {
                self.leave(at, now, leg);
            }
        }
        if self.inside(true).is_empty() {
            self.locked = false;
        }
    }

    /// A call is over, by whomsoever.
    pub fn end(&mut self, now: Timestamp, leg: LegId, cause: EndCause) {
        let at = self.clock(now);
        let Some(call) = self.calls.get_mut(&leg).filter(|call| call.real != Real::Over) else { return };
        let was_inside = matches!(call.real, Real::Inside { .. });
        let convener = call.convener;
        if was_inside {
            call.left = Some(at);
        }
        call.real = Real::Over;
        call.ended = Some(at);
        call.cause = cause;
        if was_inside {
            self.tell(now, Some(leg), Event::Left { leg, room: ROOM, at });
        }
        self.tell(now, Some(leg), Event::Ended { leg, cause, at });
        if was_inside {
            self.after_leaving(now, convener);
        }
    }

    /// The switch dies and is started again: its calls are gone, and nobody is told.
    pub fn restart(&mut self, now: Timestamp) {
        let at = self.clock(now);
        for call in self.calls.values_mut().filter(|call| call.real != Real::Over) {
            if matches!(call.real, Real::Inside { .. }) {
                call.left = Some(at);
            }
            call.real = Real::Over;
            call.ended = Some(at);
            call.recorded = false;
        }
        self.booted_at = at + SignedDuration::from_millis(1);
        self.locked = false;
        self.events.clear();
    }

    /// What it holds, and what it wrote down about those who are expected.
    pub fn snapshot(&self, now: Timestamp, expected: impl Iterator<Item = LegId>) -> Snapshot {
        let held = |call: &Call| match call.real {
            Real::Trying => LegSnapshotPhase::Dialling,
            Real::Ringing => LegSnapshotPhase::Ringing,
            Real::Greeting | Real::Closing => LegSnapshotPhase::Answered,
            Real::Inside { muted } => LegSnapshotPhase::Inside { room: ROOM, muted },
            Real::Over => unreachable!("filtered"),
        };
        let living = self.calls.iter().filter(|(_, call)| call.real != Real::Over);
        let left = |call: &Call| call.left.filter(|_| self.keeps_records);
        let legs = living
            .map(|(leg, call)| (*leg, LegSnapshot { phase: held(call), answered_at: call.answered, joined_at: call.joined, left_at: left(call) }))
            .collect();
        let record = |leg: LegId| {
            let call = self.calls.get(&leg).filter(|call| self.keeps_records && call.recorded)?;
            let record = EndRecord { cause: call.cause, answered_at: call.answered, joined_at: call.joined, left_at: call.left, at: call.ended? };
            Some((leg, record))
        };
        let rooms: BTreeMap<Room, bool> = if self.inside(true).is_empty() { BTreeMap::new() } else { BTreeMap::from([(ROOM, self.locked)]) };
        Snapshot {
            at: self.clock(now),
            booted_at: self.booted_at,
            legs,
            callers: BTreeMap::new(),
            rooms,
            ended: expected.filter_map(record).collect(),
        }
    }
}
