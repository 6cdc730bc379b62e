//! Coming to an end: closing, deadlines, and the certainty that every conference gets there.

use jiff::{SignedDuration, Timestamp};

use super::effect::Effect;
use super::state::{Away, Conference, EndReason, LegPhase, Link, Phase, RequestState};
use super::view::Delta;
use super::{Out, Outcome, Settings};
use crate::ids::LegId;
use crate::pbx::{Command, Evidence, Phrase};

/// How long the switch may take to end a leg that it was asked to hang up.
const HANG_UP_PATIENCE: SignedDuration = SignedDuration::from_secs(30);

impl Settings {
    /// How long legs may take to end.
    pub(super) fn closing_time(&self) -> SignedDuration {
        SignedDuration::from_secs(i64::from(self.closing_seconds))
    }
}

impl Conference {
    /// Begins to end for all. With the convener's leaving the dialplan closes the room by itself; else the switch is asked to.
    pub(super) fn begin_closing(&mut self, now: Timestamp, reason: EndReason, out: &mut Out) {
        if !matches!(self.phase, Phase::CallingConvener { .. } | Phase::Running { .. }) {
            return;
        }
        let dialplan_closes = matches!(reason, EndReason::ConvenerLeft | EndReason::SwitchFailed) && self.spec.settings.grace_seconds == 0;
        self.phase = Phase::Closing { since: now, reason };
        self.requests.clear();
        out.head = true;
        let settle_by = now + self.spec.settings.closing_time();
        let mut members = false;
        for (id, phase) in self.legs.values().map(|leg| (leg.id, leg.phase)).collect::<Vec<_>>() {
            match phase {
                LegPhase::Ended => {}
                LegPhase::Queued => self.end_unplaced(now, id, Outcome::Cancelled, out),
                LegPhase::Waiting => {
                    let words = if self.running_since.is_some() { Phrase::Closing } else { Phrase::WaitedTooLong };
                    self.turn_away(now, id, vec![words], out);
                }
                LegPhase::Dialling | LegPhase::Ringing | LegPhase::Greeting => self.hang_up(now, id, out),
                LegPhase::Inside | LegPhase::Leaving => {
                    members |= phase == LegPhase::Inside;
                    if let Some(leg) = self.legs.get_mut(&id) {
                        leg.deadline = Some(settle_by);
                    }
                }
            }
        }
        if members && !dialplan_closes {
            out.commands.push(Command::Close { room: self.spec.room });
        }
    }

    /// After a gap: what was to end may still live. It is asked for again, and what grew overdue meanwhile gets its time anew.
    pub(super) fn resume_ending(&mut self, now: Timestamp, out: &mut Out) {
        let closing = matches!(self.phase, Phase::Closing { .. });
        if closing && self.legs.values().any(|leg| leg.phase == LegPhase::Inside && !leg.hang_up_asked) {
            out.commands.push(Command::Close { room: self.spec.room });
        }
        let waited: Vec<LegId> = self.legs.values().filter(|leg| leg.phase == LegPhase::Waiting && leg.overdue).map(|leg| leg.id).collect();
        for id in waited {
            self.turn_away(now, id, vec![Phrase::WaitedTooLong], out);
        }
        let settle_by = now + self.spec.settings.closing_time();
        for leg in self.legs.values_mut().filter(|leg| leg.is_on_switch()) {
            let late = leg.deadline.is_some_and(|deadline| deadline <= now) || leg.overdue;
            if closing && leg.phase == LegPhase::Inside && !leg.hang_up_asked {
                leg.overdue = false;
            } else if leg.hang_up_asked || leg.overdue {
                out.commands.push(Command::HangUp { leg: leg.id });
            }
            if late {
                leg.deadline = Some(settle_by);
                out.legs.insert(leg.id);
            }
        }
    }

    /// Asks the switch to end a leg, and gives it a deadline to do so.
    pub(super) fn hang_up(&mut self, now: Timestamp, id: LegId, out: &mut Out) {
        let settle_by = now + self.spec.settings.closing_time();
        if let Some(leg) = self.legs.get_mut(&id) {
            leg.hang_up_asked = true;
            leg.deadline = Some(leg.deadline.map_or(settle_by, |deadline| deadline.min(settle_by)));
            out.legs.insert(id);
            out.participants.insert(leg.participant);
            out.commands.push(Command::HangUp { leg: id });
        }
    }

    /// Does what is due at `now`.
    pub(super) fn run_deadlines(&mut self, now: Timestamp, out: &mut Out) {
        self.fail_requests(now, false, "not_confirmed", out);
        self.warn_of_length(now, out);
        if matches!(self.phase, Phase::Running { .. }) {
            if self.must_end_at.is_some_and(|at| now >= at) {
                self.begin_closing(now, EndReason::MaxLength, out);
            } else if self.waited_for_nothing(now) {
                self.begin_closing(now, EndReason::ConvenerAway, out);
            } else if self.nobody_waits() {
                self.begin_closing(now, EndReason::ConvenerLeft, out);
            } else if self.link_is_up() {
                self.call_back(now, out);
            }
        }
        let overdue: Vec<LegId> =
            self.legs.values().filter(|leg| leg.is_live() && leg.deadline.is_some_and(|deadline| deadline <= now)).map(|leg| leg.id).collect();
        for id in overdue {
            self.leg_overdue(now, id, out);
        }
        // The leg that was given up may have been the convener's, on his way back.
        if self.waited_for_nothing(now) {
            self.begin_closing(now, EndReason::ConvenerAway, out);
        } else if self.nobody_waits() {
            self.begin_closing(now, EndReason::ConvenerLeft, out);
        }
    }

    /// The convener is away, and nobody is in, waits or is called for whom he would come back.
    /// While the switch is not heard he may be back already, and whom he lost with the switch he can call again.
    fn nobody_waits(&self) -> bool {
        let away = matches!(self.phase, Phase::Running { away: Some(_), .. }) && self.link_is_up();
        if !away || !self.is_of_edition(1) || self.convener_comes_back() || self.convener_was_lost() {
            return false;
        }
        let convener = self.spec.convener.id;
        !self.legs.values().any(|leg| leg.participant != convener && leg.has_place())
    }

    /// He is away because the switch died, and not because he left.
    fn convener_was_lost(&self) -> bool {
        let Some(convener) = self.participants.get(&self.spec.convener.id) else { return false };
        let was_in = convener.legs.iter().rev().filter_map(|leg| self.legs.get(leg)).find(|leg| leg.joined_at.is_some());
        was_in.is_some_and(|leg| leg.evidence == Some(Evidence::ProofOfLife))
    }

    /// The convener is away, the others have waited long enough, and he is not about to come in.
    fn waited_for_nothing(&self, now: Timestamp) -> bool {
        matches!(self.phase, Phase::Running { away: Some(away), .. } if now >= self.waits_until(away)) && !self.convener_comes_back()
    }

    /// When the others have waited long enough. While the switch is not heard the convener may be back already: its patience comes on top.
    fn waits_until(&self, away: Away) -> Timestamp {
        let patience = if self.link_is_up() { 0 } else { self.spec.settings.link_patience_seconds };
        away.deadline + SignedDuration::from_secs(i64::from(patience))
    }

    /// The convener has answered his call-back and is about to come in: the others do not lose him for a second.
    fn convener_comes_back(&self) -> bool {
        self.live_leg(self.spec.convener.id).is_some_and(|leg| leg.phase == LegPhase::Greeting)
    }

    fn leg_overdue(&mut self, now: Timestamp, id: LegId, out: &mut Out) {
        let up = self.link_is_up();
        let patience = if up { HANG_UP_PATIENCE } else { SignedDuration::from_secs(i64::from(self.spec.settings.link_patience_seconds)) };
        let heard = match self.link {
            Link::Up => None,
            Link::Unknown { last_heard } => Some(last_heard),
        };
        let Some(leg) = self.legs.get_mut(&id) else { return };
        if leg.phase == LegPhase::Queued {
            self.end_queued(now, id, out);
            return;
        }
        if leg.phase == LegPhase::Waiting && !leg.overdue && up {
            self.turn_away(now, id, vec![Phrase::WaitedTooLong], out);
            return;
        }
        if leg.overdue || leg.end_told_at.is_some() {
            // Its time was over long ago and nothing came back: closed by the last moment at which it was known to live.
            // As long as the switch was heard and did not tell the leg's end, it lived.
            let at = heard.map_or(leg.proof_at, |heard| heard.max(leg.proof_at));
            self.close_leg(now, id, at, Evidence::ProofOfLife, out);
            return;
        }
        leg.overdue = true;
        leg.deadline = Some(now + patience);
        out.legs.insert(id);
        if up {
            out.commands.push(Command::HangUp { leg: id });
        }
    }

    /// Closes every leg by the last moment at which it was known to live, and the conference with them.
    pub(super) fn on_switch_gone(&mut self, now: Timestamp, last_heard: Timestamp, out: &mut Out) {
        self.on_link_lost(now, last_heard, out);
        // It may have been lost before.
        let Link::Unknown { last_heard: heard } = self.link else { return };
        let living = self.convener_last().filter(|leg| leg.is_live()).map(|leg| (leg.id, leg.phase, leg.proof_at));
        for (id, phase, proof_at) in living.collect::<Vec<_>>() {
            if phase == LegPhase::Queued {
                self.end_queued(now, id, out);
            } else {
                self.close_leg(now, id, heard.max(proof_at), Evidence::ProofOfLife, out);
            }
        }
        self.begin_closing(now, EndReason::SwitchFailed, out);
        if self.phase == Phase::Planned {
            self.phase = Phase::Failed { at: now, reason: EndReason::SwitchFailed };
            out.head = true;
            out.finished = true;
        }
    }

    /// All legs, the convener's last: his end decides about the others.
    pub(super) fn convener_last(&self) -> impl Iterator<Item = &super::Leg> {
        let convener = self.spec.convener.id;
        let (his, others): (Vec<_>, Vec<_>) = self.legs.values().partition(|leg| leg.participant == convener);
        others.into_iter().chain(his)
    }

    /// Ends the conference once no leg lives.
    pub(super) fn settle_end(&mut self, now: Timestamp, out: &mut Out) {
        if let Phase::Closing { reason, .. } = self.phase
            && !self.legs.values().any(super::Leg::is_live)
        {
            // The switch's clock says when the last leg ended; without any leg it is ours.
            let at = self.legs.values().filter_map(|leg| leg.ended_at).max().unwrap_or(now);
            let failed = self.running_since.is_none() && reason.is_failure();
            self.phase = if failed { Phase::Failed { at, reason } } else { Phase::Ended { at, reason } };
            out.head = true;
            out.finished = true;
        }
        if out.finished {
            self.queue.clear();
            out.participants.extend(self.roster.iter().copied());
            out.commands.push(Command::Forget { room: self.spec.room });
        }
    }

    /// The next moment at which a [`Tick`](super::Input::Tick) is due, if any.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Timestamp> {
        if self.phase.is_over() {
            return None;
        }
        let requested = |state: &RequestState| match state {
            RequestState::Requested { deadline } => Some(*deadline),
            RequestState::Failed { .. } => None,
        };
        let requests =
            self.participants.values().filter_map(|p| p.request.as_ref()).chain(self.requests.values()).filter_map(|r| requested(&r.state));
        let legs = self.legs.values().filter(|leg| leg.is_live()).filter_map(|leg| leg.deadline);
        let phase = match self.phase {
            Phase::Running { away: Some(away), .. } if self.link_is_up() && self.live_leg(self.spec.convener.id).is_none() => {
                Some(away.next_call_at.min(away.deadline))
            }
            // Then his leg's own deadline comes first.
            Phase::Running { away: Some(_), .. } if self.convener_comes_back() => None,
            Phase::Running { away: Some(away), .. } => Some(self.waits_until(away)),
            _ => None,
        };
        let length = self.must_end_at.filter(|_| matches!(self.phase, Phase::Running { .. }));
        requests.chain(legs).chain(phase).chain(length).chain(self.length_warning_at()).chain(self.queue_deadline()).min()
    }

    /// Turns what one input touched into effects, rows first.
    pub(super) fn finish(&self, out: Out) -> Vec<Effect> {
        let mut effects = Vec::new();
        if out.head {
            effects.push(Effect::SaveHead { phase: self.phase });
        }
        let participants = out.participants.iter().filter_map(|id| self.participants.get(id));
        effects.extend(participants.map(|p| Effect::SaveParticipant { participant: Box::new(p.clone()) }));
        let legs = out.legs.iter().filter_map(|id| self.legs.get(id));
        effects.extend(legs.map(|leg| Effect::SaveLeg { leg: Box::new(leg.clone()) }));
        effects.extend(out.ended_legs.iter().map(|leg| Effect::LegEnded { leg: *leg }));
        if out.finished {
            effects.push(Effect::Finished);
        }
        effects.extend(out.commands.into_iter().map(|command| Effect::Command { command }));
        let (removed, changed): (Vec<_>, Vec<_>) = out.participants.iter().filter_map(|id| self.participants.get(id)).partition(|p| p.removed);
        let delta = Delta {
            conference: out.head.then(|| self.head_view()),
            participants: changed.into_iter().map(|p| self.participant_view(p)).collect(),
            removed: removed.into_iter().map(|p| p.person.id).collect(),
        };
        if !delta.is_empty() {
            effects.push(Effect::Push { delta });
        }
        effects
    }
}
