//! The convener is away and is being called back: the others wait with music, and who answers meanwhile waits with them.
//!
//! `mod_conference` keeps the room for the time of grace, but plays nothing and has no room for one who comes when the convener was alone.
//! Both are told to it here, by what the events tell and, after a gap, by what a snapshot shows; the guards that end the waiting are in the dialplan and work without the service.

use std::collections::BTreeSet;

use super::adapter::Actor;
use super::client::Client;
use super::codec::Request;
use super::requests::{channel, conference};
use crate::ids::{LegId, Room};
use crate::pbx::{Event, LegSnapshotPhase};

/// The dialplan's variable of a leg that may make its conference's room anew.
fn await_convener(leg: LegId, waits: bool) -> Request {
    Request::new(format!("api uuid_setvar {} SKLIC_AWAIT {}", channel(leg), u8::from(waits)))
}

/// Nobody need apologise to a leg, or end its waiting, any more.
fn no_guard(leg: LegId) -> Request {
    Request::new(format!("api sched_del {}", channel(leg)))
}

impl Actor {
    /// Does what follows from an event for those who wait.
    pub(super) fn follow_convener(&mut self, client: &mut Client, event: &Event) {
        match event {
            Event::Left { leg, room, .. } => {
                let graced = self.legs.get(*leg).is_some_and(|leg| leg.convener && leg.grace_seconds > 0);
                if graced && !self.closed.contains(room) && !self.has_convener(*room, Some(*leg)) {
                    self.begin_waiting(client, *room);
                }
            }
            Event::Answered { leg, .. } => {
                let known = self.legs.get(*leg).filter(|leg| !leg.convener);
                let Some((room, grace_seconds)) = known.and_then(|leg| Some((leg.room?, leg.grace_seconds))) else { return };
                if self.is_awaited(room, grace_seconds) {
                    drop(client.submit(await_convener(*leg, true)));
                }
            }
            Event::Joined { leg, room, .. } => {
                let Some(known) = self.legs.get(*leg) else { return };
                if known.convener {
                    if self.awaiting.contains(room) {
                        self.end_waiting(client, *room);
                    }
                } else if known.grace_seconds > 0 && self.has_convener(*room, None) {
                    // He may have taken a guard along a moment before the convener came.
                    drop(client.submit(no_guard(*leg)));
                }
            }
            _ => {}
        }
    }

    /// Whether one who comes into a conference now waits for its convener. From here on it is known that somebody may.
    pub(super) fn is_awaited(&mut self, room: Room, grace_seconds: u32) -> bool {
        let awaited = self.awaiting.contains(&room) || (grace_seconds > 0 && !self.closed.contains(&room) && !self.has_convener(room, None));
        if awaited {
            self.awaiting.insert(room);
        }
        awaited
    }

    /// What a snapshot tells of conveners who went or came while nobody listened.
    pub(super) fn find_absences(&mut self, client: &mut Client) {
        let after_gap = std::mem::take(&mut self.after_gap);
        let graced = self.legs.iter().filter(|(_, leg)| leg.grace_seconds > 0).filter_map(|(_, leg)| leg.room).collect::<BTreeSet<Room>>();
        for room in graced.difference(&self.closed).copied().collect::<Vec<_>>() {
            let others = self.inside(room).next().is_some() || self.in_greeting(room).next().is_some();
            if self.has_convener(room, None) {
                // Before the gap, or before this service, he may have been waited for.
                if after_gap || self.awaiting.contains(&room) {
                    self.end_waiting(client, room);
                }
            } else if others && !self.awaiting.contains(&room) {
                self.begin_waiting(client, room);
            }
        }
    }

    fn begin_waiting(&mut self, client: &mut Client, room: Room) {
        self.awaiting.insert(room);
        for leg in self.in_greeting(room) {
            drop(client.submit(await_convener(leg, true)));
        }
        // When nobody is left there is no room, and nobody to hear it.
        if !self.music.is_empty() {
            drop(client.submit(conference(room, &format!("play {} async", self.music))));
        }
    }

    fn end_waiting(&mut self, client: &mut Client, room: Room) {
        self.awaiting.remove(&room);
        drop(client.submit(conference(room, "stop async")));
        for leg in self.inside(room) {
            drop(client.submit(no_guard(leg)));
        }
        for leg in self.in_greeting(room) {
            drop(client.submit(await_convener(leg, false)));
        }
    }

    /// The conference ends: who is still in the greeting makes no room.
    pub(super) fn await_no_longer(&mut self, client: &mut Client, room: Room) {
        self.closed.insert(room);
        if self.awaiting.remove(&room) {
            for leg in self.in_greeting(room) {
                drop(client.submit(await_convener(leg, false)));
            }
        }
    }

    /// The conference is over and forgotten.
    pub(super) fn forget_waiting(&mut self, room: Room) {
        self.awaiting.remove(&room);
        self.closed.remove(&room);
    }

    fn has_convener(&self, room: Room, but: Option<LegId>) -> bool {
        self.inside(room).any(|id| Some(id) != but && self.legs.get(id).is_some_and(|leg| leg.convener))
    }

    fn inside(&self, room: Room) -> impl Iterator<Item = LegId> {
        self.legs.iter().filter(move |(_, leg)| matches!(leg.phase, LegSnapshotPhase::Inside { room: at, .. } if at == room)).map(|(id, _)| id)
    }

    fn in_greeting(&self, room: Room) -> impl Iterator<Item = LegId> {
        self.legs
            .iter()
            .filter(move |(_, leg)| leg.room == Some(room) && !leg.convener && leg.phase == LegSnapshotPhase::Answered && leg.joined_at.is_none())
            .map(|(id, _)| id)
    }
}
