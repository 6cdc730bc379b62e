//! What the simulated switch holds, and how it changes. Events are told here and nowhere else.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::call::{self, NORMAL, cause};
use super::callers::Calling;
use super::exchange::Peer;
use super::{SimulatorConfig, lock};
use crate::ids::{LegId, Room};
use crate::pbx::far_clock::FarClock;
use crate::pbx::{
    CommandFailure, Dial, EndCause, EndRecord, Event, EventSender, Language, LegSnapshot, LegSnapshotPhase, MemberKey, Phrase, Role, Snapshot,
};

/// How much longer than the grace time the dialplan waits for the convener.
const GUARD_MARGIN: Duration = Duration::from_secs(30);

pub(super) struct Leg {
    dial: Dial,
    pub(super) phase: LegSnapshotPhase,
    pub(super) answered_at: Option<Timestamp>,
    joined_at: Option<Timestamp>,
    left_at: Option<Timestamp>,
    tasks: Vec<AbortHandle>,
    /// For one who called in: his side of it.
    pub(super) calling: Option<Calling>,
    past_lock: bool,
    /// The other end, for a call between two switches.
    peer: Option<Peer>,
}

impl Leg {
    pub(super) fn new(dial: Dial) -> Self {
        Self {
            dial,
            phase: LegSnapshotPhase::Dialling,
            answered_at: None,
            joined_at: None,
            left_at: None,
            tasks: Vec::new(),
            calling: None,
            past_lock: false,
            peer: None,
        }
    }
}

#[derive(Default)]
struct RoomState {
    locked: bool,
    closed: bool,
    /// The convener's leg whose leaving is being guarded.
    away: Option<LegId>,
}

/// Everything that the simulated switch holds.
pub(super) struct World {
    config: SimulatorConfig,
    events: EventSender,
    linked: bool,
    unplugged: bool,
    losing: bool,
    /// Its own, which nobody sets: as with a real switch, setting the service's moves nothing here.
    clock: FarClock,
    booted_at: Timestamp,
    legs: BTreeMap<LegId, Leg>,
    rooms: BTreeMap<Room, RoomState>,
    ended: BTreeMap<LegId, (Room, EndRecord)>,
    calls: Vec<Instant>,
    /// What was said to one leg alone, in order.
    heard: BTreeMap<LegId, Vec<(Language, Phrase)>>,
    /// How often the link was lost.
    losses: u64,
    /// How often it was opened anew.
    openings: u64,
}

impl World {
    pub(super) fn new(config: SimulatorConfig, events: EventSender) -> Self {
        let clock = FarClock::unheard();
        Self {
            config,
            events,
            linked: false,
            unplugged: false,
            losing: false,
            clock,
            booted_at: clock.now(),
            legs: BTreeMap::new(),
            rooms: BTreeMap::new(),
            ended: BTreeMap::new(),
            calls: Vec::new(),
            heard: BTreeMap::new(),
            openings: 0,
            losses: 0,
        }
    }

    /// The time by the switch's clock.
    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(super) fn config(&self) -> &SimulatorConfig {
        &self.config
    }

    pub(super) fn scaled(&self, duration: Duration) -> Duration {
        duration.mul_f64(self.config.time_scale.max(0.0))
    }

    pub(super) fn is_linked(&self) -> bool {
        self.linked
    }

    /// Tells an event, unless the link is down or events get lost.
    pub(super) fn tell(&self, event: Event) {
        if self.linked && !self.losing {
            // Nobody listens any more while the service shuts down.
            let _ = self.events.send(event);
        }
    }

    /// Whether other switches can call this one.
    pub(super) fn is_running(&self) -> bool {
        !self.unplugged
    }

    pub(super) fn unplug(&mut self, unplugged: bool) {
        self.unplugged = unplugged;
    }

    pub(super) fn link_up(&mut self) {
        if !std::mem::replace(&mut self.linked, true) {
            let _ = self.events.send(Event::LinkUp { booted_at: self.booted_at });
        }
    }

    pub(super) fn link_down(&mut self, reason: &str) {
        if std::mem::replace(&mut self.linked, false) {
            self.losses += 1;
            let _ = self.events.send(Event::LinkDown { last_heard: self.now(), reason: reason.into() });
        }
    }

    pub(super) fn lose_events(&mut self, lose: bool) {
        self.losing = lose;
    }

    pub(super) fn restart(&mut self) {
        self.link_down("the switch was killed");
        self.drop_legs();
        self.rooms.clear();
        self.booted_at = self.now();
        self.link_up();
    }

    /// Another service opens the link; gives the number of this opening.
    pub(super) fn reopen(&mut self, events: EventSender) -> u64 {
        self.link_down("another service has opened the link");
        self.events = events;
        self.openings += 1;
        self.link_up();
        self.openings
    }

    /// The service of this opening ends its link; `false` when another has opened it since.
    pub(super) fn end_opening(&mut self, opening: u64) -> bool {
        let current = self.openings == opening;
        if current {
            self.link_down("the link was cut");
        }
        current
    }

    pub(super) fn holds(&self, leg: LegId) -> bool {
        self.legs.contains_key(&leg)
    }

    /// The number of the last opening.
    pub(super) fn openings(&self) -> u64 {
        self.openings
    }

    pub(super) fn close(&mut self) {
        self.linked = false;
        self.drop_legs();
    }

    fn drop_legs(&mut self) {
        for leg in std::mem::take(&mut self.legs).into_values() {
            leg.tasks.iter().for_each(AbortHandle::abort);
        }
    }

    /// Takes a call on, or says why not.
    pub(super) fn admit_call(&mut self, dial: &Dial) -> Result<(), CommandFailure> {
        if self.legs.contains_key(&dial.leg) {
            return Err(CommandFailure::Refused("this leg is being dialled already".into()));
        }
        if let Some(limit) = self.config.calls_per_second {
            let (now, second) = (Instant::now(), self.scaled(Duration::from_secs(1)));
            self.calls.retain(|call| now.duration_since(*call) < second);
            if self.calls.len() >= usize::try_from(limit).unwrap_or(usize::MAX) {
                return Err(CommandFailure::RateLimited);
            }
            self.calls.push(now);
        }
        self.legs.insert(dial.leg, Leg::new(dial.clone()));
        Ok(())
    }

    /// How often the link was lost.
    pub(super) fn losses(&self) -> u64 {
        self.losses
    }

    pub(super) fn arrive(&mut self, calling: Calling) {
        self.legs.insert(calling.caller.leg, Leg::of_caller(calling));
    }

    /// The callers who are in the service's hands.
    pub(super) fn held(&self) -> Vec<LegId> {
        self.legs.iter().filter(|(_, leg)| leg.phase == LegSnapshotPhase::Held).map(|(id, _)| *id).collect()
    }

    /// A caller who is in the service's hands.
    pub(super) fn calling(&self, leg: LegId) -> Option<&Calling> {
        self.legs.get(&leg).filter(|leg| leg.phase == LegSnapshotPhase::Held)?.calling.as_ref()
    }

    /// The same, to be changed.
    pub(super) fn calling_mut(&mut self, leg: LegId) -> Option<&mut Calling> {
        self.legs.get_mut(&leg).filter(|leg| leg.phase == LegSnapshotPhase::Held)?.calling.as_mut()
    }

    /// A caller is no longer in the service's hands.
    pub(super) fn release(&mut self, leg: LegId) {
        if let Some(leg) = self.legs.get_mut(&leg) {
            leg.phase = LegSnapshotPhase::Answered;
        }
    }

    /// A caller is another switch's from now on.
    pub(super) fn hand_on(&mut self, leg: LegId) {
        if let Some(leg) = self.legs.get_mut(&leg) {
            leg.phase = LegSnapshotPhase::Brought;
        }
    }

    /// The two ends of a call between switches end together.
    pub(super) fn connect(&mut self, leg: LegId, peer: Peer) -> Option<()> {
        self.legs.get_mut(&leg)?.peer = Some(peer);
        Some(())
    }

    /// A caller is on his way into a conference.
    pub(super) fn let_in(&mut self, dial: Dial, past_lock: bool) {
        self.release(dial.leg);
        if let Some(leg) = self.legs.get_mut(&dial.leg) {
            leg.dial = dial;
            leg.past_lock = past_lock;
        }
    }

    /// Something is said to one leg alone.
    pub(super) fn hear(&mut self, leg: LegId, say: &[Phrase], language: Language) {
        self.heard.entry(leg).or_default().extend(say.iter().map(|phrase| (language, *phrase)));
    }

    /// All that was said to one leg alone.
    pub(super) fn heard(&self, leg: LegId) -> Vec<(Language, Phrase)> {
        self.heard.get(&leg).cloned().unwrap_or_default()
    }

    /// Something is said to a member.
    pub(super) fn tell_member(&mut self, room: Room, leg: LegId, say: &[Phrase], language: Language) -> Result<(), CommandFailure> {
        self.member(room, leg)?;
        self.hear(leg, say, language);
        Ok(())
    }

    /// Remembers a task that ends with the leg.
    pub(super) fn watch(&mut self, leg: LegId, task: AbortHandle) {
        match self.legs.get_mut(&leg) {
            Some(leg) => leg.tasks.push(task),
            None => task.abort(),
        }
    }

    pub(super) fn ring(&mut self, id: LegId) {
        if let Some(leg) = self.legs.get_mut(&id) {
            leg.phase = LegSnapshotPhase::Ringing;
            self.tell(Event::Ringing { leg: id, at: self.now() });
        }
    }

    pub(super) fn answer(&mut self, id: LegId) {
        let at = self.now();
        if let Some(leg) = self.legs.get_mut(&id) {
            leg.phase = LegSnapshotPhase::Answered;
            leg.answered_at = Some(at);
            self.tell(Event::Answered { leg: id, at });
        }
    }

    pub(super) fn join(&mut self, id: LegId) {
        let at = self.now();
        let Some(leg) = self.legs.get_mut(&id) else { return };
        let (room, muted) = (leg.dial.room, leg.dial.muted);
        leg.phase = LegSnapshotPhase::Inside { room, muted };
        leg.joined_at = Some(at);
        self.rooms.entry(room).or_default();
        self.tell(Event::Joined { leg: id, room, muted, at });
    }

    fn members(&self, room: Room) -> Vec<LegId> {
        let inside = |leg: &Leg| matches!(leg.phase, LegSnapshotPhase::Inside { room: at, .. } if at == room);
        self.legs.iter().filter(|(_, leg)| inside(leg)).map(|(id, _)| *id).collect()
    }

    fn has_convener(&self, room: Room) -> bool {
        self.members(room).iter().any(|id| self.legs[id].dial.role == Role::Convener)
    }

    /// Whether the conference has ended for one who is about to enter.
    pub(super) fn is_over_for(&self, leg: LegId) -> bool {
        let Some(leg) = self.legs.get(&leg) else { return true };
        let room = self.rooms.get(&leg.dial.room);
        if room.is_some_and(|room| room.closed) {
            return true;
        }
        let awaited = leg.dial.grace_seconds > 0 && room.is_some_and(|room| room.away.is_some());
        leg.dial.role == Role::Participant && !self.has_convener(leg.dial.room) && !awaited
    }

    pub(super) fn is_locked_for(&self, leg: LegId) -> bool {
        self.legs
            .get(&leg)
            .is_some_and(|leg| leg.dial.role == Role::Participant && !leg.past_lock && self.rooms.get(&leg.dial.room).is_some_and(|room| room.locked))
    }

    pub(super) fn is_still_away(&self, room: Room, leg: LegId) -> bool {
        self.rooms.get(&room).is_some_and(|state| state.away == Some(leg)) && !self.has_convener(room)
    }

    fn member(&mut self, room: Room, id: LegId) -> Result<&mut bool, CommandFailure> {
        match self.legs.get_mut(&id).map(|leg| &mut leg.phase) {
            Some(LegSnapshotPhase::Inside { room: inside, muted }) if *inside == room => Ok(muted),
            _ => Err(CommandFailure::Gone),
        }
    }

    pub(super) fn mute(&mut self, room: Room, leg: LegId, muted: bool) -> Result<(), CommandFailure> {
        *self.member(room, leg)? = muted;
        self.tell(Event::Muted { leg, muted, at: self.now() });
        Ok(())
    }

    /// A member presses a key.
    pub(super) fn press(&self, leg: LegId, key: MemberKey) {
        if self.legs.get(&leg).is_some_and(|leg| matches!(leg.phase, LegSnapshotPhase::Inside { .. })) {
            self.tell(Event::Pressed { leg, key, at: self.now() });
        }
    }

    pub(super) fn mute_all(&mut self, room: Room, muted: bool) -> Result<(), CommandFailure> {
        let members = self.members(room);
        if members.is_empty() {
            return Err(CommandFailure::Gone);
        }
        for leg in members {
            // Who came in past the lock counts as staff, as on Asterisk.
            if self.legs[&leg].dial.role == Role::Participant && !self.legs[&leg].past_lock {
                self.mute(room, leg, muted)?;
            }
        }
        Ok(())
    }

    pub(super) fn lock(&mut self, room: Room, locked: bool) -> Result<(), CommandFailure> {
        if self.members(room).is_empty() {
            return Err(CommandFailure::Gone);
        }
        self.rooms.entry(room).or_default().locked = locked;
        self.tell(Event::Locked { room, locked });
        Ok(())
    }

    pub(super) fn forget(&mut self, room: Room) {
        self.rooms.remove(&room);
        self.ended.retain(|_, (of, _)| *of != room);
    }

    /// Takes a leg out of its room; says whether the conference ends with it.
    fn leave(&mut self, id: LegId) -> Option<(Room, bool)> {
        let at = self.now();
        let leg = self.legs.get_mut(&id)?;
        let LegSnapshotPhase::Inside { room, .. } = leg.phase else { return None };
        leg.phase = LegSnapshotPhase::Answered;
        leg.left_at = Some(at);
        let was_convener = leg.dial.role == Role::Convener;
        self.tell(Event::Left { leg: id, room, at });
        if self.members(room).is_empty() {
            // A lock is a property of the living room.
            self.rooms.entry(room).or_default().locked = false;
        }
        Some((room, was_convener && !self.has_convener(room)))
    }

    /// A leg has left its room: what the dialplan does about the others.
    fn after_leaving(shared: &Arc<Mutex<Self>>, id: LegId, room: Room) {
        let mut world = lock(shared);
        if world.rooms.get(&room).is_some_and(|state| state.closed) {
            return;
        }
        let grace = world.legs.get(&id).map_or(0, |leg| leg.dial.grace_seconds);
        if grace == 0 {
            drop(world);
            Self::take_all_out(shared, room);
        } else {
            world.rooms.entry(room).or_default().away = Some(id);
            drop(world);
            call::guard(shared, id, room, Duration::from_secs(u64::from(grace)) + GUARD_MARGIN);
        }
    }

    fn take_all_out(shared: &Arc<Mutex<Self>>, room: Room) {
        let (members, closing) = {
            let world = lock(shared);
            (world.members(room), world.config.closing)
        };
        for leg in members {
            lock(shared).leave(leg);
            call::say_and_end(shared, leg, closing);
        }
    }

    pub(super) fn close_room(shared: &Arc<Mutex<Self>>, room: Room) {
        lock(shared).rooms.entry(room).or_default().closed = true;
        Self::take_all_out(shared, room);
    }

    pub(super) fn remove(shared: &Arc<Mutex<Self>>, room: Room, leg: LegId) -> Result<(), CommandFailure> {
        let (left, goodbye) = {
            let mut world = lock(shared);
            world.member(room, leg)?;
            (world.leave(leg), world.config.goodbye)
        };
        if let Some((room, true)) = left {
            Self::after_leaving(shared, leg, room);
        }
        call::say_and_end(shared, leg, goodbye);
        Ok(())
    }

    pub(super) fn hang_up(shared: &Arc<Mutex<Self>>, leg: LegId) -> Result<(), CommandFailure> {
        if !lock(shared).legs.contains_key(&leg) {
            return Err(CommandFailure::Gone);
        }
        Self::end(shared, leg, cause(NORMAL));
        Ok(())
    }

    /// The far end hangs up; before its answer that is a refusal.
    pub(super) fn far_end_hangs_up(shared: &Arc<Mutex<Self>>, leg: LegId) {
        let answered = lock(shared).legs.get(&leg).is_some_and(|leg| leg.answered_at.is_some());
        // Q.850 cause 21 and SIP 603: the call is rejected.
        let why = if answered { cause(NORMAL) } else { EndCause { sip: Some(603), ..cause(21) } };
        Self::end(shared, leg, why);
    }

    /// The call is over.
    pub(super) fn end(shared: &Arc<Mutex<Self>>, id: LegId, cause: EndCause) {
        let left = lock(shared).leave(id);
        if let Some((room, true)) = left {
            Self::after_leaving(shared, id, room);
        }
        let mut world = lock(shared);
        let Some(leg) = world.legs.remove(&id) else { return };
        let at = world.now();
        let record = EndRecord { cause, answered_at: leg.answered_at, joined_at: leg.joined_at, left_at: leg.left_at, at };
        world.ended.insert(id, (leg.dial.room, record));
        world.tell(Event::Ended { leg: id, cause, at });
        drop(world);
        if let Some(peer) = &leg.peer {
            peer.hang_up();
        }
        // Last, for one of them may be the task that this runs in.
        leg.tasks.iter().for_each(AbortHandle::abort);
    }

    pub(super) fn snapshot(&self, expected: &[LegId]) -> Snapshot {
        let held = |leg: &Leg| {
            let left_at = leg.left_at.filter(|_| leg.phase == LegSnapshotPhase::Answered);
            LegSnapshot { phase: leg.phase, answered_at: leg.answered_at, joined_at: leg.joined_at, left_at }
        };
        let legs: BTreeMap<LegId, LegSnapshot> = self.legs.iter().map(|(id, leg)| (*id, held(leg))).collect();
        let rooms = self.rooms.iter().filter(|(room, _)| !self.members(**room).is_empty());
        Snapshot {
            at: self.now(),
            booted_at: self.booted_at,
            callers: self.held().into_iter().filter_map(|id| Some((id, self.calling(id)?.caller.clone()))).collect(),
            rooms: rooms.map(|(room, state)| (*room, state.locked)).collect(),
            ended: expected.iter().filter(|id| !legs.contains_key(id)).filter_map(|id| Some((*id, self.ended.get(id)?.1))).collect(),
            legs,
        }
    }
}
