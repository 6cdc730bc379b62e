//! Placing calls: the queue, its pace, and what to do when a call was not placed.

use jiff::{SignedDuration, Timestamp};

use super::limits::SpendState;
use super::state::{Conference, Leg, LegPhase, Link, Phase};
use super::{Out, Outcome, Refusal, Settings};
use crate::ids::{LegId, ParticipantId};
use crate::pbx::{Command, CommandFailure, Dial, Evidence, Role};

/// How often a call that the switch did not take is tried again before it counts as congested.
const MOST_RETRIES: u32 = 30;
/// How often a call that the switch never heard of is placed anew.
const MOST_REPLACEMENTS: u32 = 3;
/// The queue moves in steps of this, so that a fast pace does not mean a journal line for each call.
const STEP: SignedDuration = SignedDuration::from_millis(100);
/// How much longer than the ring timeout the switch may stay silent about a call.
const DIAL_MARGIN_SECONDS: i64 = 20;
/// How soon a call that could not be handed over is tried again if the link's loss is not told meanwhile.
const NO_LINK_WAIT: SignedDuration = SignedDuration::from_secs(1);
/// How soon a call that the switch refused for its rate is tried again.
const RATE_WAIT: SignedDuration = SignedDuration::from_secs(1);

impl Settings {
    /// How long a call may take to be answered, the switch's own slowness included.
    fn dial_patience(&self) -> SignedDuration {
        SignedDuration::from_secs(i64::from(self.ring_timeout_seconds) + DIAL_MARGIN_SECONDS)
    }
}

impl Conference {
    /// Lines up a new leg for a participant.
    pub(super) fn line_up(&mut self, now: Timestamp, participant: ParticipantId, number: Option<String>, out: &mut Out) {
        let Some(person) = self.participants.get_mut(&participant) else { return };
        let id = LegId::derive(self.spec.id, self.leg_count);
        self.leg_count += 1;
        person.legs.push(id);
        person.request = None;
        let number = number.unwrap_or_else(|| person.person.phone.clone());
        let leg = Leg::new(id, participant, number, now);
        self.legs.insert(id, leg);
        self.enqueue(id);
        out.legs.insert(id);
        out.participants.insert(participant);
    }

    /// Puts a leg where it belongs in the queue: the convener's first, for everybody waits for him, then by the time of lining up, then by roster.
    fn enqueue(&mut self, id: LegId) {
        let Some(leg) = self.legs.get_mut(&id) else { return };
        if matches!(self.phase, Phase::CallingConvener { .. }) {
            // Nothing else would end a conference whose convener cannot even be dialled.
            leg.deadline = Some(leg.queued_at + self.spec.settings.dial_patience());
        }
        let key = self.queue_key(id);
        let place = self.queue.iter().rposition(|other| self.queue_key(*other) <= key).map_or(0, |before| before + 1);
        self.queue.insert(place, id);
    }

    fn queue_key(&self, id: LegId) -> Option<(bool, Timestamp, u32)> {
        let leg = self.legs.get(&id)?;
        let person = self.participants.get(&leg.participant)?;
        Some((!person.convener, leg.queued_at, person.position))
    }

    /// Places as many calls as the pace allows now.
    pub(super) fn drain_queue(&mut self, now: Timestamp, out: &mut Out) {
        let dialling = matches!(self.phase, Phase::CallingConvener { .. } | Phase::Running { .. });
        if !dialling || self.link != Link::Up || self.queue.is_empty() || now < self.queue_at {
            return;
        }
        let pace = i64::from(self.spec.settings.calls_per_second.max(1));
        let batch = usize::try_from((pace * i64::try_from(STEP.as_millis()).unwrap_or(100) / 1000).max(1)).unwrap_or(1);
        let placed = batch.min(self.queue.len());
        for id in self.queue.drain(..placed).collect::<Vec<_>>() {
            self.place(now, id, out);
        }
        let gap = i64::try_from(placed).unwrap_or(1) * 1000 / pace;
        self.queue_at = now + SignedDuration::from_millis(gap.max(1));
    }

    fn place(&mut self, now: Timestamp, id: LegId, out: &mut Out) {
        let Some(leg) = self.legs.get_mut(&id) else { return };
        let Some(person) = self.participants.get(&leg.participant) else { return };
        let settings = &self.spec.settings;
        leg.phase = LegPhase::Dialling;
        leg.dialled_at = Some(now);
        leg.touched_at = now;
        leg.proof_at = now;
        leg.deadline = Some(now + settings.dial_patience());
        out.legs.insert(id);
        out.participants.insert(leg.participant);
        out.commands.push(Command::Dial(Dial {
            leg: id,
            room: self.spec.room,
            number: leg.number.clone(),
            role: if person.convener { Role::Convener } else { Role::Participant },
            muted: self.all_muted && !person.convener,
            language: settings.language,
            grace_seconds: settings.grace_seconds,
            ring_timeout_seconds: settings.ring_timeout_seconds,
        }));
    }

    /// Puts a leg that was not placed back to where it was in the queue.
    fn put_back(&mut self, now: Timestamp, id: LegId, wait: SignedDuration, out: &mut Out) {
        let Some(leg) = self.legs.get_mut(&id) else { return };
        if self.spec.settings.edition >= 1 && self.spend == SpendState::Reached && leg.participant != self.spec.convener.id {
            // It is to be placed once more, and by now nothing may be spent: like those that waited in the queue at that moment.
            self.end_unplaced(now, id, Outcome::Cancelled, out);
            return;
        }
        leg.phase = LegPhase::Queued;
        leg.dialled_at = None;
        leg.deadline = None;
        leg.overdue = false;
        leg.touched_at = now;
        out.legs.insert(id);
        out.participants.insert(leg.participant);
        self.enqueue(id);
        self.queue_at = self.queue_at.max(now + wait);
    }

    fn count_retry(&mut self, id: LegId) {
        if let Some(leg) = self.legs.get_mut(&id) {
            leg.retries += 1;
        }
    }

    fn count_replacement(&mut self, id: LegId) {
        if let Some(leg) = self.legs.get_mut(&id) {
            leg.replacements += 1;
        }
    }

    /// The switch has begun with a call, or has it still before it: the time for its answer begins now.
    pub(super) fn renew_patience(&mut self, now: Timestamp, id: LegId) {
        let patience = self.spec.settings.dial_patience();
        if !self.is_of_edition(1) {
            return;
        }
        if let Some(leg) = self.legs.get_mut(&id).filter(|leg| !leg.hang_up_asked && !leg.overdue) {
            leg.deadline = Some(now + patience);
        }
    }

    pub(super) fn on_still_waiting(&mut self, now: Timestamp, id: LegId) -> Result<(), Refusal> {
        let leg = self.legs.get(&id).ok_or(Refusal::UnknownLeg)?;
        if leg.phase != LegPhase::Dialling {
            return Err(Refusal::UnexpectedEvent { phase: leg.phase.word() });
        }
        self.renew_patience(now, id);
        Ok(())
    }

    pub(super) fn on_dial_failed(&mut self, now: Timestamp, id: LegId, failure: &CommandFailure, out: &mut Out) -> Result<(), Refusal> {
        let leg = self.legs.get(&id).ok_or(Refusal::UnknownLeg)?;
        if leg.phase != LegPhase::Dialling {
            return Err(Refusal::UnexpectedEvent { phase: leg.phase.word() });
        }
        let unwanted = leg.hang_up_asked || matches!(self.phase, Phase::Closing { .. });
        match failure {
            // It may have been placed: the leg's own events, a snapshot or its deadline tell.
            CommandFailure::NoReply => {}
            CommandFailure::NoLink | CommandFailure::RateLimited if unwanted => self.end_unplaced(now, id, Outcome::Cancelled, out),
            // No try was made, so none is counted.
            CommandFailure::NoLink => self.put_back(now, id, NO_LINK_WAIT, out),
            CommandFailure::RateLimited if leg.retries < MOST_RETRIES => {
                self.count_retry(id);
                self.put_back(now, id, RATE_WAIT, out);
            }
            CommandFailure::RateLimited => self.end_unplaced(now, id, Outcome::Congested, out),
            CommandFailure::Gone | CommandFailure::Refused(_) | CommandFailure::Unsafe(_) => self.end_unplaced(now, id, Outcome::Failed, out),
        }
        Ok(())
    }

    pub(super) fn on_never_placed(&mut self, now: Timestamp, id: LegId, out: &mut Out) -> Result<(), Refusal> {
        let leg = self.legs.get(&id).ok_or(Refusal::UnknownLeg)?;
        if leg.phase != LegPhase::Dialling {
            return Err(Refusal::UnexpectedEvent { phase: leg.phase.word() });
        }
        let apart = self.is_of_edition(1);
        if leg.hang_up_asked || matches!(self.phase, Phase::Closing { .. }) {
            self.end_unplaced(now, id, Outcome::Cancelled, out);
        } else if (if apart { leg.replacements } else { leg.retries }) < MOST_REPLACEMENTS {
            if apart {
                self.count_replacement(id);
            } else {
                self.count_retry(id);
            }
            self.put_back(now, id, SignedDuration::ZERO, out);
        } else {
            self.end_unplaced(now, id, Outcome::Failed, out);
        }
        Ok(())
    }

    /// Ends a leg that the switch does not hold.
    pub(super) fn end_unplaced(&mut self, now: Timestamp, id: LegId, outcome: Outcome, out: &mut Out) {
        self.queue.retain(|queued| *queued != id);
        let Some(leg) = self.legs.get_mut(&id) else { return };
        leg.outcome = Some(outcome);
        self.close_leg(now, id, now, Evidence::Event, out);
    }

    /// Gives up a leg that waits in the queue for too long: the switch had no room for it, or was not there.
    pub(super) fn end_queued(&mut self, now: Timestamp, id: LegId, out: &mut Out) {
        self.queue.retain(|queued| *queued != id);
        let (outcome, evidence) = if self.link_is_up() { (Outcome::Congested, Evidence::Event) } else { (Outcome::Failed, Evidence::ProofOfLife) };
        let Some(leg) = self.legs.get_mut(&id) else { return };
        leg.outcome = Some(outcome);
        self.close_leg(now, id, now, evidence, out);
    }

    /// The next moment at which the queue can move.
    pub(super) fn queue_deadline(&self) -> Option<Timestamp> {
        let dialling = matches!(self.phase, Phase::CallingConvener { .. } | Phase::Running { .. });
        (dialling && self.link == Link::Up && !self.queue.is_empty()).then_some(self.queue_at)
    }
}
