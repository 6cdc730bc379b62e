//! What the convener asks for: requested until the switch's own event confirms it (R4).

use jiff::{SignedDuration, Timestamp};

use super::spec::NewParticipant;
use super::state::{Conference, ControlKind, EndReason, LegPhase, Link, Phase, Request, RequestState};
use super::{Control, Out, Outcome, Refusal};
use crate::ids::{LegId, ParticipantId};
use crate::pbx::{Command, CommandFailure, Phrase};

impl Conference {
    pub(super) fn on_control(&mut self, now: Timestamp, control: Control, out: &mut Out) -> Result<(), Refusal> {
        match control {
            Control::Start => self.start(now, out),
            Control::Add { participant } => self.add(now, participant, out),
            Control::Call { participant, number } => self.call(now, participant, number, out),
            Control::CallMissing => self.call_missing(now, out),
            Control::Mute { participant, muted } => self.mute(now, participant, muted, out),
            Control::MuteAll { muted } => self.mute_all(now, muted, out),
            Control::Remove { participant } => self.remove(now, participant, out),
            Control::Lock { locked } => self.lock(now, locked, out),
            Control::Admit { participant } => self.admit(now, participant, out),
            Control::LowerHand { participant } => self.lower_hand(now, participant, out),
            Control::End => self.end(now, out),
        }
    }

    fn running(&self) -> Result<(), Refusal> {
        match self.phase {
            Phase::Running { .. } => Ok(()),
            phase => Err(Refusal::WrongPhase { phase }),
        }
    }

    fn start(&mut self, now: Timestamp, out: &mut Out) -> Result<(), Refusal> {
        if self.phase != Phase::Planned {
            return Err(Refusal::WrongPhase { phase: self.phase });
        }
        self.phase = Phase::CallingConvener { since: now };
        self.started_at = Some(now);
        out.head = true;
        out.participants.extend(self.roster.iter().copied());
        self.line_up(now, self.spec.convener.id, None, out);
        Ok(())
    }

    fn add(&mut self, now: Timestamp, person: NewParticipant, out: &mut Out) -> Result<(), Refusal> {
        if !matches!(self.phase, Phase::CallingConvener { .. } | Phase::Running { .. }) {
            return Err(Refusal::WrongPhase { phase: self.phase });
        }
        if self.participants.contains_key(&person.id) {
            return Err(Refusal::AlreadyCalled);
        }
        self.may_spend()?;
        if !self.allows(&person.phone) {
            return Err(Refusal::NumberNotAllowed);
        }
        // A request that was sent again does not call him twice.
        if self.is_of_edition(1) && person.contact.is_some_and(|contact| self.has_contact(contact)) {
            return Err(Refusal::AlreadyCalled);
        }
        let limit = self.spec.settings.max_participants;
        let here = self.participants.values().filter(|p| !p.removed).count();
        if here >= usize::try_from(limit).unwrap_or(usize::MAX) {
            return Err(Refusal::Full { limit });
        }
        let id = self.enrol(person, false);
        out.participants.insert(id);
        if matches!(self.phase, Phase::Running { .. }) {
            self.line_up(now, id, None, out);
        }
        Ok(())
    }

    fn call(&mut self, now: Timestamp, id: ParticipantId, number: Option<String>, out: &mut Out) -> Result<(), Refusal> {
        self.running()?;
        self.may_spend()?;
        let person = self.participants.get(&id).filter(|p| !p.removed).ok_or(Refusal::UnknownParticipant)?;
        if self.live_leg(id).is_some() {
            return Err(Refusal::AlreadyCalled);
        }
        self.may_be_called(person, number.as_deref())?;
        self.line_up(now, id, number, out);
        Ok(())
    }

    pub(super) fn call_missing(&mut self, now: Timestamp, out: &mut Out) -> Result<(), Refusal> {
        self.running()?;
        self.may_spend()?;
        let missing: Vec<ParticipantId> = self
            .roster
            .iter()
            .copied()
            .filter(|id| self.participants.get(id).is_some_and(|p| !p.removed && !p.convener) && self.live_leg(*id).is_none())
            .collect();
        let mut called = Err(Refusal::NobodyMissing);
        for id in missing {
            let Some(person) = self.participants.get(&id) else { continue };
            match self.may_be_called(person, None) {
                Ok(()) => {
                    self.line_up(now, id, None, out);
                    called = Ok(());
                }
                // Some may be called and others not: those who may are.
                Err(refusal) => called = called.or(Err(refusal)),
            }
        }
        called
    }

    fn mute(&mut self, now: Timestamp, id: ParticipantId, muted: bool, out: &mut Out) -> Result<(), Refusal> {
        self.running()?;
        self.participants.get(&id).ok_or(Refusal::UnknownParticipant)?;
        let leg = self.live_leg(id).filter(|leg| leg.phase == LegPhase::Inside).ok_or(Refusal::NotInside)?;
        if !muted && leg.self_muted && !leg.convener_muted {
            return Err(Refusal::ClosedByOwner);
        }
        let stays_closed = !muted && leg.self_muted;
        let id_of_leg = leg.id;
        if let Some(leg) = self.legs.get_mut(&id_of_leg) {
            leg.convener_muted = muted;
            if !muted {
                leg.hand_at = None;
            }
            out.legs.insert(id_of_leg);
            out.participants.insert(id);
        }
        if !stays_closed {
            self.ask_mute(now, id, muted, out);
        }
        Ok(())
    }

    pub(super) fn requested(&self, now: Timestamp) -> RequestState {
        RequestState::Requested { deadline: now + SignedDuration::from_secs(i64::from(self.spec.settings.control_timeout_seconds)) }
    }

    /// Asks the switch for one microphone; the participant must be inside.
    pub(super) fn ask_mute(&mut self, now: Timestamp, id: ParticipantId, muted: bool, out: &mut Out) {
        let state = self.requested(now);
        let Some(leg) = self.live_leg(id).map(|leg| leg.id) else { return };
        let control = if muted { ControlKind::Mute } else { ControlKind::Unmute };
        if let Some(person) = self.participants.get_mut(&id) {
            person.request = Some(Request { control, state });
        }
        out.participants.insert(id);
        out.commands.push(Command::Mute { room: self.spec.room, leg, muted });
    }

    pub(super) fn mute_all(&mut self, now: Timestamp, muted: bool, out: &mut Out) -> Result<(), Refusal> {
        self.running()?;
        let state = self.requested(now);
        self.all_muted = muted;
        self.requests.remove(&ControlKind::MuteAll);
        self.requests.remove(&ControlKind::UnmuteAll);
        let (control, each) = if muted { (ControlKind::MuteAll, ControlKind::Mute) } else { (ControlKind::UnmuteAll, ControlKind::Unmute) };
        let concerned: Vec<ParticipantId> = self
            .legs
            .values()
            .filter(|leg| leg.phase == LegPhase::Inside && leg.muted != muted && leg.participant != self.spec.convener.id)
            .filter(|leg| muted || !leg.self_muted)
            .map(|leg| leg.participant)
            .collect();
        let mut one_by_one = Vec::new();
        for leg in self.legs.values_mut().filter(|leg| leg.phase == LegPhase::Inside && leg.participant != self.spec.convener.id) {
            leg.convener_muted = muted;
            out.legs.insert(leg.id);
            // A microphone that its owner closed is never opened for him, and who came in past the lock counts as staff on some switches.
            if (!muted && leg.self_muted) || leg.past_lock() {
                one_by_one.push(leg.id);
            }
        }
        for id in &concerned {
            if let Some(person) = self.participants.get_mut(id) {
                person.request = Some(Request { control: each, state: state.clone() });
                out.participants.insert(*id);
            }
        }
        if !concerned.is_empty() {
            self.requests.insert(control, Request { control, state });
        }
        out.head = true;
        // Even with nobody to change: a member on his way in may be seen by the switch before us.
        let room = self.spec.room;
        if !muted && !one_by_one.is_empty() {
            let open = concerned.iter().filter_map(|id| self.live_leg(*id)).map(|leg| Command::Mute { room, leg: leg.id, muted });
            out.commands.extend(open);
        } else if self.legs.values().any(|leg| leg.phase == LegPhase::Inside) {
            out.commands.push(Command::MuteAll { room, muted });
            out.commands.extend(one_by_one.into_iter().map(|leg| Command::Mute { room, leg, muted }));
        }
        Ok(())
    }

    /// "Mute all" is confirmed when nobody's own request of that kind is open any more.
    pub(super) fn settle_mute_all(&mut self, out: &mut Out) {
        for (all, each) in [(ControlKind::MuteAll, ControlKind::Mute), (ControlKind::UnmuteAll, ControlKind::Unmute)] {
            let open = |p: &super::Participant| p.request.as_ref().is_some_and(|request| request.control == each);
            if self.requests.contains_key(&all) && !self.participants.values().any(open) {
                self.requests.remove(&all);
                out.head = true;
                self.tell_confirmed(all, out);
            }
        }
    }

    fn remove(&mut self, now: Timestamp, id: ParticipantId, out: &mut Out) -> Result<(), Refusal> {
        if !matches!(self.phase, Phase::CallingConvener { .. } | Phase::Running { .. }) {
            return Err(Refusal::WrongPhase { phase: self.phase });
        }
        let person = self.participants.get(&id).filter(|p| !p.removed).ok_or(Refusal::UnknownParticipant)?;
        if person.convener {
            return Err(Refusal::Convener);
        }
        let Some((leg, phase)) = self.live_leg(id).map(|leg| (leg.id, leg.phase)) else {
            if person.legs.is_empty()
                && let Some(person) = self.participants.get_mut(&id)
            {
                person.removed = true;
                out.participants.insert(id);
                return Ok(());
            }
            return Err(Refusal::NotInside);
        };
        match phase {
            LegPhase::Queued => self.end_unplaced(now, leg, Outcome::Cancelled, out),
            LegPhase::Waiting => self.turn_away(now, leg, vec![Phrase::Goodbye], out),
            LegPhase::Inside => {
                let state = self.requested(now);
                self.note_request(id, Request { control: ControlKind::Remove, state }, out);
                out.commands.push(Command::Remove { room: self.spec.room, leg });
            }
            _ => {
                let state = self.requested(now);
                self.note_request(id, Request { control: ControlKind::Remove, state }, out);
                self.hang_up(now, leg, out);
            }
        }
        Ok(())
    }

    pub(super) fn note_request(&mut self, id: ParticipantId, request: Request, out: &mut Out) {
        if let Some(person) = self.participants.get_mut(&id) {
            person.request = Some(request);
            out.participants.insert(id);
        }
    }

    pub(super) fn lock(&mut self, now: Timestamp, locked: bool, out: &mut Out) -> Result<(), Refusal> {
        self.running()?;
        let control = if locked { ControlKind::Lock } else { ControlKind::Unlock };
        self.requests.remove(&ControlKind::Lock);
        self.requests.remove(&ControlKind::Unlock);
        self.requests.insert(control, Request { control, state: self.requested(now) });
        out.head = true;
        out.commands.push(Command::Lock { room: self.spec.room, locked });
        Ok(())
    }

    fn end(&mut self, now: Timestamp, out: &mut Out) -> Result<(), Refusal> {
        match self.phase {
            Phase::CallingConvener { .. } | Phase::Running { .. } => {
                self.begin_closing(now, EndReason::EndedByConvener, out);
                Ok(())
            }
            phase => Err(Refusal::WrongPhase { phase }),
        }
    }

    pub(super) fn on_command_failed(&mut self, now: Timestamp, command: &Command, failure: &CommandFailure, out: &mut Out) -> Result<(), Refusal> {
        let reason = failure_word(failure);
        match command {
            Command::Dial(dial) => self.on_dial_failed(now, dial.leg, failure, out)?,
            Command::Mute { leg, muted: true, .. } => self.fail_request(*leg, ControlKind::Mute, reason, out)?,
            Command::Mute { leg, muted: false, .. } => self.fail_request(*leg, ControlKind::Unmute, reason, out)?,
            Command::Remove { leg, .. } => self.fail_request(*leg, ControlKind::Remove, reason, out)?,
            Command::MuteAll { muted, .. } => {
                self.fail_control(if *muted { ControlKind::MuteAll } else { ControlKind::UnmuteAll }, reason, out);
                self.fail_each(if *muted { ControlKind::Mute } else { ControlKind::Unmute }, reason, out);
            }
            Command::Lock { locked, .. } => self.fail_control(if *locked { ControlKind::Lock } else { ControlKind::Unlock }, reason, out),
            Command::HangUp { leg } => {
                // It has just ended, or is still being placed. The next try comes soon, and then the end without one;
                // between the two a snapshot has time to tell what the switch wrote down.
                let soon = now + SignedDuration::from_secs(4);
                if let Some(leg) = self.legs.get_mut(leg).filter(|leg| leg.is_on_switch() && *failure == CommandFailure::Gone) {
                    leg.deadline = Some(leg.deadline.map_or(soon, |deadline| deadline.min(soon)));
                    out.legs.insert(leg.id);
                }
            }
            // The legs' own deadlines finish what these could not.
            Command::Close { .. }
            | Command::Announce { .. }
            | Command::Forget { .. }
            | Command::Ask(_)
            | Command::Hold { .. }
            | Command::Dismiss { .. }
            | Command::Admit(_)
            | Command::Bring(_)
            | Command::Tell { .. } => {}
        }
        Ok(())
    }

    /// Fails a person's request, if it is still the one that the command was for.
    fn fail_request(&mut self, leg: LegId, control: ControlKind, reason: &str, out: &mut Out) -> Result<(), Refusal> {
        let participant = self.legs.get(&leg).ok_or(Refusal::UnknownLeg)?.participant;
        if self.live_leg(participant).is_none_or(|live| live.id != leg) {
            return Ok(());
        }
        if let Some(request) = self.participants.get_mut(&participant).and_then(|p| p.request.as_mut()).filter(|request| request.control == control) {
            request.state = RequestState::Failed { reason: reason.to_owned() };
            out.participants.insert(participant);
        }
        Ok(())
    }

    fn fail_control(&mut self, control: ControlKind, reason: &str, out: &mut Out) {
        self.tell_failed(control, out);
        if let Some(request) = self.requests.get_mut(&control) {
            request.state = RequestState::Failed { reason: reason.to_owned() };
            out.head = true;
        }
    }

    fn fail_each(&mut self, control: ControlKind, reason: &str, out: &mut Out) {
        for (id, person) in &mut self.participants {
            if let Some(request) = person.request.as_mut().filter(|request| request.control == control) {
                request.state = RequestState::Failed { reason: reason.to_owned() };
                out.participants.insert(*id);
            }
        }
    }

    /// Whether commands can reach the switch now.
    pub(super) fn link_is_up(&self) -> bool {
        self.link == Link::Up
    }
}

fn failure_word(failure: &CommandFailure) -> &'static str {
    match failure {
        CommandFailure::NoLink => "no_link",
        CommandFailure::Gone => "gone",
        CommandFailure::NoReply => "not_confirmed",
        CommandFailure::RateLimited | CommandFailure::Refused(_) | CommandFailure::Unsafe(_) => "refused",
    }
}
