//! What the switch says, and what it means.

use jiff::{SignedDuration, Timestamp};

use super::state::{Away, Conference, ControlKind, EndReason, LegPhase, Link, Phase, RequestState};
use super::{Input, Out, Refusal, outcome_of};
use crate::ids::{LegId, ParticipantId};
use crate::pbx::{Command, EndCause, EndRecord, Event, Evidence, Phrase, Prompt};

/// How soon the convener is called back after his call has ended.
const CALL_BACK_AFTER: SignedDuration = SignedDuration::from_secs(2);
/// How soon he is called back again when that did not reach him: a busy or declining person is not called every other second.
const CALL_BACK_AGAIN: SignedDuration = SignedDuration::from_secs(10);
/// Beeps to those inside are at least this far apart: a queue of beeps would block the room.
const BEEP_GAP: SignedDuration = SignedDuration::from_secs(1);

impl Conference {
    /// Refuses what can be seen to be wrong before anything is touched.
    pub(super) fn check(&self, input: &Input) -> Result<(), Refusal> {
        if self.phase.is_over() {
            return Err(Refusal::WrongPhase { phase: self.phase });
        }
        if let Input::Switch { event: Event::Talking { .. } | Event::LinkUp { .. } | Event::LinkDown { .. } } = input {
            return Err(Refusal::UnexpectedEvent { phase: "not an input of the state machine" });
        }
        if let Input::Switch { event: Event::Joined { room, .. } | Event::Left { room, .. } | Event::Locked { room, .. } } = input
            && *room != self.spec.room
        {
            return Err(Refusal::UnexpectedEvent { phase: "of another conference" });
        }
        Ok(())
    }

    pub(super) fn on_event(&mut self, now: Timestamp, event: Event, out: &mut Out) -> Result<(), Refusal> {
        if let Event::Ringing { leg, .. } | Event::EarlyMedia { leg, .. } | Event::Answered { leg, .. } | Event::Joined { leg, .. } = event
            && self.legs.get(&leg).is_some_and(|leg| leg.phase == LegPhase::Ended)
        {
            // It was given up for gone and lives: nobody stays on a line that is counted nowhere.
            out.commands.push(Command::HangUp { leg });
            return Ok(());
        }
        match event {
            Event::Ringing { leg, at } => self.on_ringing(now, leg, at, out),
            Event::EarlyMedia { leg, at } => self.on_early_media(now, leg, at, out),
            Event::Answered { leg, at } => self.on_answered(now, leg, at, out),
            Event::Joined { leg, muted, at, .. } => self.on_joined(now, leg, muted, at, out),
            Event::Left { leg, at, .. } => self.on_left(now, leg, at, out),
            Event::Ended { leg, cause, at } => self.on_ended(now, leg, cause, at, out),
            Event::Muted { leg, muted, at } => self.on_muted(now, leg, muted, at, out),
            Event::Pressed { leg, key, at } => self.on_pressed(now, leg, key, at, out),
            Event::Locked { locked, .. } => {
                self.locked = locked;
                self.lock_at = Some(now);
                self.tell_confirmed(if locked { ControlKind::Lock } else { ControlKind::Unlock }, out);
                if !locked && matches!(self.phase, Phase::Running { away: None, .. }) {
                    self.let_in_waiting(now, out);
                }
                self.requests.remove(&ControlKind::Lock);
                self.requests.remove(&ControlKind::Unlock);
                out.head = true;
                Ok(())
            }
            Event::Arrived { .. } | Event::Keyed { .. } | Event::Talking { .. } | Event::LinkUp { .. } | Event::LinkDown { .. } => Ok(()),
        }
    }

    /// Notes that a leg was heard of, and refuses events that its phase does not allow.
    pub(super) fn touch(&mut self, now: Timestamp, id: LegId, at: Timestamp, allowed: &[LegPhase], out: &mut Out) -> Result<(), Refusal> {
        let leg = self.legs.get_mut(&id).ok_or(Refusal::UnknownLeg)?;
        if !allowed.contains(&leg.phase) {
            return Err(Refusal::UnexpectedEvent { phase: leg.phase.word() });
        }
        leg.touched_at = now;
        // Until the switch has spoken of the leg, the proof is by our clock, and not comparable.
        let heard = leg.phase != LegPhase::Dialling || leg.early_media;
        leg.proof_at = if heard { leg.proof_at.max(at) } else { at };
        out.legs.insert(id);
        out.participants.insert(leg.participant);
        Ok(())
    }

    fn on_ringing(&mut self, now: Timestamp, id: LegId, at: Timestamp, out: &mut Out) -> Result<(), Refusal> {
        self.touch(now, id, at, &[LegPhase::Dialling], out)?;
        if let Some(leg) = self.legs.get_mut(&id) {
            leg.phase = LegPhase::Ringing;
            leg.ringing_at = Some(at);
        }
        self.renew_patience(now, id);
        self.insist(id, out);
        Ok(())
    }

    fn on_early_media(&mut self, now: Timestamp, id: LegId, at: Timestamp, out: &mut Out) -> Result<(), Refusal> {
        self.touch(now, id, at, &[LegPhase::Dialling, LegPhase::Ringing], out)?;
        let mut first = false;
        if let Some(leg) = self.legs.get_mut(&id) {
            first = !std::mem::replace(&mut leg.early_media, true) && leg.phase == LegPhase::Dialling;
            leg.early_media_at = leg.early_media_at.or(Some(at));
        }
        if first {
            self.renew_patience(now, id);
        }
        self.insist(id, out);
        Ok(())
    }

    /// A leg that was to be hung up shows life: the first wish may have come before the switch had the leg.
    fn insist(&self, id: LegId, out: &mut Out) {
        if self.legs.get(&id).is_some_and(|leg| leg.hang_up_asked) {
            out.commands.push(Command::HangUp { leg: id });
        }
    }

    fn on_answered(&mut self, now: Timestamp, id: LegId, at: Timestamp, out: &mut Out) -> Result<(), Refusal> {
        self.touch(now, id, at, &[LegPhase::Dialling, LegPhase::Ringing], out)?;
        let greeting = SignedDuration::from_secs(i64::from(self.spec.settings.greeting_seconds));
        let closing = self.spec.settings.closing_time();
        if let Some(leg) = self.legs.get_mut(&id) {
            leg.phase = LegPhase::Greeting;
            leg.answered_at = Some(at);
            leg.overdue = false;
            leg.deadline = Some(now + if leg.hang_up_asked { closing } else { greeting });
        }
        self.insist(id, out);
        Ok(())
    }

    fn on_joined(&mut self, now: Timestamp, id: LegId, muted: bool, at: Timestamp, out: &mut Out) -> Result<(), Refusal> {
        let from = [LegPhase::Dialling, LegPhase::Ringing, LegPhase::Waiting, LegPhase::Greeting, LegPhase::Leaving];
        self.touch(now, id, at, &from, out)?;
        let closing = matches!(self.phase, Phase::Closing { .. });
        let settle_by = now + self.spec.settings.closing_time();
        let Some(leg) = self.legs.get_mut(&id) else { return Ok(()) };
        let again = leg.joined_at.is_some();
        leg.answered_at.get_or_insert(at);
        leg.joined_at.get_or_insert(at);
        leg.left_at = None;
        leg.order_times();
        let at = leg.joined_at.unwrap_or(at);
        leg.phase = LegPhase::Inside;
        leg.muted = muted;
        leg.convener_muted = muted;
        leg.self_muted = false;
        leg.self_wish = None;
        leg.overdue = false;
        leg.hang_up_asked |= closing;
        leg.deadline = leg.hang_up_asked.then_some(settle_by);
        let participant = leg.participant;
        if leg.hang_up_asked {
            // He came in between our decision and the switch's hearing of it.
            out.commands.push(Command::HangUp { leg: id });
            return Ok(());
        }
        self.settle_request(participant, |control| control == ControlKind::Admit);
        if participant == self.spec.convener.id {
            self.convener_came(now, at, out);
        } else if self.all_muted != muted {
            // "Mute all" was pressed, or taken back, after he was dialled.
            self.ask_mute(now, participant, self.all_muted, out);
        }
        if !again {
            self.beep(now, participant, out);
        }
        Ok(())
    }

    fn convener_came(&mut self, now: Timestamp, at: Timestamp, out: &mut Out) {
        match self.phase {
            Phase::CallingConvener { .. } => {
                self.phase = Phase::Running { since: at, away: None };
                self.running_since = Some(at);
                self.must_end_at = Some(now + SignedDuration::from_secs(i64::from(self.spec.settings.max_length_seconds)));
                out.head = true;
                self.call_others(now, out);
                self.let_in_waiting(now, out);
            }
            Phase::Running { since, away: Some(_) } => {
                self.phase = Phase::Running { since, away: None };
                out.head = true;
                if self.locked {
                    // The switch forgets the lock of a conference that everybody has left.
                    self.lock_at = Some(now);
                    out.commands.push(Command::Lock { room: self.spec.room, locked: true });
                }
                self.let_in_waiting(now, out);
            }
            _ => {}
        }
    }

    /// Everybody else is called, unless the cap was reached while the convener was: then he hears why nobody is.
    fn call_others(&mut self, now: Timestamp, out: &mut Out) {
        if self.may_spend().is_err() {
            return self.tell_convener(Phrase::SpendReached, out);
        }
        // Who called in while he was called, and is gone, is called only within the limits.
        let due = |p: &super::Participant| self.is_awaited(p) && self.allows(&p.person.phone);
        let others: Vec<ParticipantId> = self.roster.iter().copied().filter(|id| self.participants.get(id).is_some_and(due)).collect();
        for id in others.into_iter().filter(|id| self.live_leg(*id).is_none()).collect::<Vec<_>>() {
            self.line_up(now, id, None, out);
        }
    }

    fn beep(&mut self, now: Timestamp, newcomer: ParticipantId, out: &mut Out) {
        let heard = self.legs.values().any(|leg| leg.phase == LegPhase::Inside && leg.participant != newcomer);
        let due = self.last_beep.is_none_or(|last| now >= last + BEEP_GAP);
        if self.spec.settings.entry_beep && heard && due {
            self.last_beep = Some(now);
            out.commands.push(Command::Announce { room: self.spec.room, prompt: Prompt::Beep });
        }
    }

    fn on_left(&mut self, now: Timestamp, id: LegId, at: Timestamp, out: &mut Out) -> Result<(), Refusal> {
        self.touch(now, id, at, &[LegPhase::Inside], out)?;
        let settle_by = now + self.spec.settings.closing_time();
        let Some(leg) = self.legs.get_mut(&id) else { return Ok(()) };
        leg.phase = LegPhase::Leaving;
        leg.left_at = Some(at);
        leg.order_times();
        leg.overdue = false;
        leg.deadline = Some(settle_by);
        let participant = leg.participant;
        // Removed, or there is nobody left to mute.
        self.settle_request(participant, |_| true);
        self.settle_mute_all(out);
        if participant == self.spec.convener.id && self.live_leg(participant).is_none_or(|newest| newest.id == id) {
            self.convener_gone(now, EndReason::ConvenerLeft, out);
        }
        Ok(())
    }

    pub(super) fn on_ended(&mut self, now: Timestamp, id: LegId, cause: EndCause, at: Timestamp, out: &mut Out) -> Result<(), Refusal> {
        let in_sight = self.link_is_up();
        let patience = SignedDuration::from_secs(i64::from(self.spec.settings.link_patience_seconds));
        let leg = self.legs.get_mut(&id).ok_or(Refusal::UnknownLeg)?;
        if matches!(leg.phase, LegPhase::Ended | LegPhase::Queued) || leg.end_told_at.is_some() {
            return Err(Refusal::UnexpectedEvent { phase: leg.phase.word() });
        }
        leg.cause = cause;
        if in_sight || leg.phase == LegPhase::Leaving {
            self.close_leg(now, id, at, Evidence::Event, out);
        } else {
            // Its answer, its coming in or its leaving may lie in the gap: the snapshot that is on its way knows them (R14).
            leg.end_told_at = Some(at);
            leg.deadline = Some(now + patience);
            out.legs.insert(id);
        }
        Ok(())
    }

    /// The snapshot after a gap had nothing to say of these legs: each ends as its event told, inside no longer than was seen.
    fn end_the_told(&mut self, now: Timestamp, last_heard: Timestamp, out: &mut Out) {
        let told = self.convener_last().filter(|leg| leg.end_told_at.is_some()).map(|leg| (leg.id, leg.proof_at));
        for (id, proof_at) in told.collect::<Vec<_>>() {
            self.close_leg(now, id, last_heard.max(proof_at), Evidence::Event, out);
        }
    }

    pub(super) fn on_leg_gone(
        &mut self,
        now: Timestamp,
        id: LegId,
        record: Option<EndRecord>,
        at: Timestamp,
        evidence: Evidence,
        out: &mut Out,
    ) -> Result<(), Refusal> {
        let leg = self.legs.get_mut(&id).ok_or(Refusal::UnknownLeg)?;
        if matches!(leg.phase, LegPhase::Ended | LegPhase::Queued) {
            return Err(Refusal::UnexpectedEvent { phase: leg.phase.word() });
        }
        if let Some(record) = record {
            leg.answered_at = leg.answered_at.or(record.answered_at);
            leg.joined_at = leg.joined_at.or(record.joined_at);
            leg.left_at = leg.left_at.or(record.left_at);
            leg.cause = record.cause;
        }
        self.close_leg(now, id, at, evidence, out);
        Ok(())
    }

    /// A leg is over, in one place whatever brought it about: exactly one outcome.
    ///
    /// `at` is its end; where the switch has told that already ([`Leg::end_told_at`](super::Leg::end_told_at)) and kept no record,
    /// it is how long the leg is known to have been inside.
    pub(super) fn close_leg(&mut self, now: Timestamp, id: LegId, at: Timestamp, evidence: Evidence, out: &mut Out) {
        let Some(leg) = self.legs.get_mut(&id) else { return };
        if leg.phase == LegPhase::Ended {
            return;
        }
        let was_inside = leg.phase == LegPhase::Inside;
        let told = leg.end_told_at.take().filter(|_| evidence != Evidence::SwitchRecord);
        // What is concluded rather than told says nothing about the switch's clock.
        let concluded = told.is_some() || matches!(evidence, Evidence::Snapshot | Evidence::ProofOfLife);
        let at = told.map_or(at, |told| told.min(at));
        let at = leg.last_time().filter(|_| concluded).map_or(at, |last| last.max(at));
        let evidence = if told.is_some() { Evidence::Event } else { evidence };
        leg.phase = LegPhase::Ended;
        leg.ended_at = told.or(Some(at));
        if leg.joined_at.is_some() {
            leg.left_at.get_or_insert(at);
        }
        leg.order_times();
        let at = leg.ended_at.unwrap_or(at);
        leg.evidence = Some(evidence);
        leg.deadline = None;
        leg.touched_at = now;
        let outcome = leg.outcome.unwrap_or_else(|| outcome_of(leg, leg.cause));
        leg.outcome = Some(outcome);
        let participant = leg.participant;
        let came_in = leg.joined_at;
        let answered = leg.answered_at.is_some();
        out.legs.insert(id);
        out.ended_legs.push(id);
        out.participants.insert(participant);
        self.settle_request(participant, |_| true);
        self.settle_mute_all(out);
        // A call to the convener that was taken back because he has called himself decides nothing.
        if participant != self.spec.convener.id || self.live_leg(participant).is_some() {
            return;
        }
        let lost = evidence == Evidence::ProofOfLife;
        match self.phase {
            Phase::CallingConvener { .. } => {
                let reason = if lost {
                    EndReason::SwitchFailed
                } else if answered {
                    EndReason::ConvenerHungUp
                } else {
                    EndReason::ConvenerNotReached { outcome }
                };
                // He may have been in and out again while nobody listened: then it has run.
                if let Some(joined_at) = came_in {
                    self.running_since = Some(joined_at);
                    self.begin_closing(now, EndReason::ConvenerLeft, out);
                } else if self.legs.values().any(super::Leg::is_live) {
                    // Callers wait for him: they hear that it will not be.
                    self.begin_closing(now, reason, out);
                } else {
                    self.phase = Phase::Failed { at, reason };
                    out.head = true;
                    out.finished = true;
                }
            }
            Phase::Running { away: None, .. } if was_inside || came_in.is_some() => {
                self.convener_gone(now, if lost { EndReason::SwitchFailed } else { EndReason::ConvenerLeft }, out);
            }
            Phase::Running { since, away: Some(away) } => {
                let wait = if came_in.is_some() { CALL_BACK_AFTER } else { CALL_BACK_AGAIN };
                self.phase = Phase::Running { since, away: Some(Away { next_call_at: now + wait, ..away }) };
            }
            _ => {}
        }
    }

    fn convener_gone(&mut self, now: Timestamp, reason: EndReason, out: &mut Out) {
        let Phase::Running { since, away: None } = self.phase else { return };
        let grace = i64::from(self.spec.settings.grace_seconds);
        if grace == 0 {
            self.begin_closing(now, reason, out);
            return;
        }
        let away = Away { since: now, deadline: now + SignedDuration::from_secs(grace), next_call_at: now + CALL_BACK_AFTER };
        self.phase = Phase::Running { since, away: Some(away) };
        out.head = true;
    }

    /// Calls the convener back while the others wait for him.
    pub(super) fn call_back(&mut self, now: Timestamp, out: &mut Out) {
        let Phase::Running { since, away: Some(away) } = self.phase else { return };
        if now < away.next_call_at {
            return;
        }
        self.phase = Phase::Running { since, away: Some(Away { next_call_at: now + CALL_BACK_AFTER, ..away }) };
        if self.live_leg(self.spec.convener.id).is_none() {
            self.line_up(now, self.spec.convener.id, None, out);
        }
    }

    fn on_muted(&mut self, now: Timestamp, id: LegId, muted: bool, at: Timestamp, out: &mut Out) -> Result<(), Refusal> {
        self.touch(now, id, at, &[LegPhase::Inside], out)?;
        let Some(leg) = self.legs.get_mut(&id) else { return Ok(()) };
        leg.muted = muted;
        let by_owner = leg.self_wish.take() == Some(muted);
        if by_owner || !muted {
            leg.self_muted = muted && by_owner;
        }
        let participant = leg.participant;
        if by_owner {
            self.tell(id, vec![if muted { Phrase::MicrophoneClosed } else { Phrase::MicrophoneOpen }], out);
        }
        let confirmed = if muted { ControlKind::Mute } else { ControlKind::Unmute };
        self.settle_request(participant, |control| control == confirmed);
        self.settle_mute_all(out);
        Ok(())
    }

    /// Drops a participant's request when `settles` says that what happened is what was asked for.
    fn settle_request(&mut self, participant: ParticipantId, settles: impl Fn(ControlKind) -> bool) {
        if let Some(person) = self.participants.get_mut(&participant)
            && person.request.as_ref().is_some_and(|request| settles(request.control))
        {
            person.request = None;
        }
    }

    pub(super) fn on_link_lost(&mut self, now: Timestamp, last_heard: Timestamp, out: &mut Out) {
        if matches!(self.link, Link::Unknown { .. }) {
            return;
        }
        self.link = Link::Unknown { last_heard };
        self.lock_at = None;
        // What was asked for and not confirmed is in doubt now.
        self.fail_requests(now, true, "no_link", out);
        out.head = true;
        out.participants.extend(self.roster.iter().copied());
    }

    pub(super) fn on_link_restored(&mut self, now: Timestamp, out: &mut Out) {
        let Link::Unknown { last_heard } = self.link else { return };
        self.end_the_told(now, last_heard, out);
        self.link = Link::Up;
        self.queue_at = self.queue_at.min(now);
        self.resume_ending(now, out);
        out.head = true;
        out.participants.extend(self.roster.iter().copied());
    }

    /// Turns unconfirmed requests into visible failures: all of them, or those whose deadline is over.
    pub(super) fn fail_requests(&mut self, now: Timestamp, all: bool, reason: &str, out: &mut Out) {
        let overdue = |state: &RequestState| matches!(state, RequestState::Requested { deadline } if all || *deadline <= now);
        for (id, person) in &mut self.participants {
            if let Some(request) = &mut person.request
                && overdue(&request.state)
            {
                request.state = RequestState::Failed { reason: reason.to_owned() };
                out.participants.insert(*id);
            }
        }
        for request in self.requests.values_mut() {
            if overdue(&request.state) {
                request.state = RequestState::Failed { reason: reason.to_owned() };
                out.head = true;
            }
        }
    }
}
