//! People who call in (R7): waiting, being let in, being turned away.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::spec::NewParticipant;
use super::state::{Conference, ControlKind, DialIn, Leg, LegPhase, Phase, Request, WayOfEntry};
use super::{Out, Outcome, Refusal};
use crate::ids::{LegId, ParticipantId};
use crate::pbx::{Admit, Command, Phrase, Role};

/// A caller who has said by his code, or by user number and PIN, who he is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewCaller {
    /// His leg, named by the switch's channel.
    pub leg: LegId,
    /// Who he is; the identifier is used when he is not on the roster yet.
    pub person: NewParticipant,
    /// He is the convener, by user number and PIN.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub convener: bool,
    /// How he came.
    pub way_of_entry: WayOfEntry,
    /// The access number that he dialled, as the configuration names it.
    pub access_number: String,
    /// The line that the network vouches for, in normal form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calling_line: Option<String>,
    /// The number to show: the calling line, or what he presents unless he keeps it private.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub number: String,
    /// Nobody can be charged for his line: the convener must accept to pay before he is let in.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub needs_consent: bool,
    /// Letting him in costs the convener's account, by the payers of his access number.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub convener_owes: bool,
    /// When the switch answered him: his call component begins.
    pub answered_at: Timestamp,
    /// Since when he has waited for the conference to be started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_since: Option<Timestamp>,
}

impl Conference {
    /// A caller is at the door.
    pub(super) fn on_caller(&mut self, now: Timestamp, caller: NewCaller, out: &mut Out) -> Result<(), Refusal> {
        if self.legs.contains_key(&caller.leg) {
            // Said twice: the first time counts.
            return Err(Refusal::AlreadyCalled);
        }
        if caller.convener { self.convener_calls(now, caller, out) } else { self.participant_calls(now, caller, out) }
    }

    fn convener_calls(&mut self, now: Timestamp, caller: NewCaller, out: &mut Out) -> Result<(), Refusal> {
        let id = self.spec.convener.id;
        if let Some(inside) = self.live_leg(id).filter(|leg| leg.is_in_hand()) {
            return Err(if inside.is_on_line_of(&caller) { Refusal::LineInside } else { Refusal::AlreadyCalled });
        }
        match self.phase {
            Phase::Planned => {
                self.phase = Phase::CallingConvener { since: now };
                self.started_at = Some(now);
                out.head = true;
                out.participants.extend(self.roster.iter().copied());
            }
            Phase::CallingConvener { .. } | Phase::Running { away: Some(_), .. } => {}
            Phase::Running { away: None, .. } => return Err(Refusal::AlreadyCalled),
            phase => return Err(Refusal::WrongPhase { phase }),
        }
        let leg = caller.leg;
        self.take_leg(now, id, caller, out);
        self.let_in(now, leg, out);
        Ok(())
    }

    fn participant_calls(&mut self, now: Timestamp, caller: NewCaller, out: &mut Out) -> Result<(), Refusal> {
        if self.phase == Phase::Planned {
            return Err(Refusal::WrongPhase { phase: self.phase });
        }
        // Somebody with the same code who is in or waiting already stays: this one gets a rectangle of his own.
        let known = caller.person.contact.and_then(|contact| {
            let free = |id: &&ParticipantId| {
                let same = self.participants.get(id).is_some_and(|p| !p.convener && !p.removed && p.person.contact == Some(contact));
                same && !self.live_leg(**id).is_some_and(Leg::is_in_hand)
            };
            self.roster.iter().find(free).copied()
        });
        if self.participants.contains_key(&caller.person.id) {
            return Err(Refusal::AlreadyCalled);
        }
        let full = if self.is_of_edition(1) {
            self.has_place_for(known).is_err()
        } else {
            let members = self.legs.values().filter(|leg| leg.is_in_hand() && leg.phase != LegPhase::Leaving).count();
            members >= usize::try_from(self.spec.settings.max_participants).unwrap_or(usize::MAX)
        };
        let id = known.unwrap_or_else(|| self.enrol(caller.person.clone(), false));
        let (leg, needs_consent, since) = (caller.leg, caller.needs_consent, caller.waiting_since.unwrap_or(now));
        // Who pays for himself is let in at the cap as well: he costs the account nothing.
        let unaffordable = caller.convener_owes && self.may_spend().is_err();
        self.take_leg(now, id, caller, out);
        match self.phase {
            Phase::Closing { .. } => self.turn_away(now, leg, vec![Phrase::Closing], out),
            _ if full => self.turn_away(now, leg, vec![Phrase::Full], out),
            _ if unaffordable => self.turn_away(now, leg, vec![Phrase::NotPossible, Phrase::Goodbye], out),
            _ if self.locked && !self.spec.settings.callers_wait_at_lock => self.turn_away(now, leg, vec![Phrase::Locked], out),
            _ if needs_consent || self.locked => self.keep_waiting(since, leg, Phrase::AwaitAdmission, out),
            Phase::Running { away: None, .. } => self.let_in(now, leg, out),
            _ => self.keep_waiting(since, leg, Phrase::Waiting, out),
        }
        Ok(())
    }

    /// He has come by himself: a call to him that has not reached him is taken back.
    fn take_back(&mut self, now: Timestamp, call: Option<(LegId, LegPhase)>, out: &mut Out) {
        match call {
            Some((leg, LegPhase::Queued)) => self.end_unplaced(now, leg, Outcome::Cancelled, out),
            Some((leg, LegPhase::Dialling | LegPhase::Ringing)) => self.hang_up(now, leg, out),
            _ => {}
        }
    }

    fn take_leg(&mut self, now: Timestamp, participant: ParticipantId, caller: NewCaller, out: &mut Out) {
        let call = self.live_leg(participant).map(|leg| (leg.id, leg.phase));
        let Some(person) = self.participants.get_mut(&participant) else { return };
        person.legs.push(caller.leg);
        person.request = None;
        let dial_in = DialIn {
            access_number: caller.access_number,
            calling_line: caller.calling_line,
            // The convener pays for himself whatever line he calls from.
            needs_consent: caller.needs_consent && !caller.convener,
            convener_pays: caller.needs_consent && caller.convener,
            convener_owes: caller.convener_owes,
            past_lock: false,
            turned_away: false,
        };
        let mut leg = Leg::new(caller.leg, participant, caller.number, now);
        leg.way_of_entry = caller.way_of_entry;
        leg.dial_in = Some(dial_in);
        leg.answered_at = Some(caller.answered_at);
        leg.proof_at = caller.answered_at;
        out.legs.insert(leg.id);
        out.participants.insert(participant);
        self.legs.insert(leg.id, leg);
        // Only now, for the convener without any leg would have failed the conference.
        self.take_back(now, call, out);
    }

    /// Lets a caller in: greeting, beep and the room.
    pub(super) fn let_in(&mut self, now: Timestamp, id: LegId, out: &mut Out) {
        let greeting = SignedDuration::from_secs(i64::from(self.spec.settings.greeting_seconds));
        let Some(leg) = self.legs.get_mut(&id) else { return };
        leg.phase = LegPhase::Greeting;
        leg.overdue = false;
        leg.deadline = Some(now + greeting);
        leg.touched_at = now;
        out.legs.insert(id);
        out.participants.insert(leg.participant);
        self.say_admit(id, out);
    }

    fn say_admit(&self, id: LegId, out: &mut Out) {
        let Some(leg) = self.legs.get(&id) else { return };
        let convener = leg.participant == self.spec.convener.id;
        out.commands.push(Command::Admit(Admit {
            leg: id,
            room: self.spec.room,
            role: if convener { Role::Convener } else { Role::Participant },
            muted: self.all_muted && !convener,
            language: self.spec.settings.language,
            grace_seconds: self.spec.settings.grace_seconds,
            past_lock: leg.past_lock(),
        }));
    }

    /// He waits; his limit counts from `since`, whatever he has waited for.
    fn keep_waiting(&mut self, since: Timestamp, id: LegId, words: Phrase, out: &mut Out) {
        let limit = SignedDuration::from_secs(i64::from(self.spec.settings.wait_limit_seconds));
        let language = self.spec.settings.language;
        let Some(leg) = self.legs.get_mut(&id) else { return };
        leg.phase = LegPhase::Waiting;
        leg.deadline = Some(since + limit);
        out.commands.push(Command::Hold { leg: id, language, say: vec![words] });
    }

    /// Words, then the end of his call: he was not let in.
    pub(super) fn turn_away(&mut self, now: Timestamp, id: LegId, say: Vec<Phrase>, out: &mut Out) {
        let settle_by = now + self.spec.settings.closing_time();
        let language = self.spec.settings.language;
        let Some(leg) = self.legs.get_mut(&id) else { return };
        leg.phase = LegPhase::Leaving;
        if let Some(dial_in) = &mut leg.dial_in {
            dial_in.turned_away = true;
        }
        leg.overdue = false;
        leg.deadline = Some(settle_by);
        leg.touched_at = now;
        out.legs.insert(id);
        out.participants.insert(leg.participant);
        out.commands.push(Command::Dismiss { leg: id, language, say });
    }

    /// The convener is inside: those who have waited for that come in.
    pub(super) fn let_in_waiting(&mut self, now: Timestamp, out: &mut Out) {
        if self.locked {
            return;
        }
        let due = |leg: &&Leg| leg.phase == LegPhase::Waiting && !leg.needs_consent();
        for (id, owes) in self.legs.values().filter(due).map(|leg| (leg.id, leg.convener_owes())).collect::<Vec<_>>() {
            if owes && self.may_spend().is_err() {
                self.turn_away(now, id, vec![Phrase::NotPossible, Phrase::Goodbye], out);
            } else {
                self.let_in(now, id, out);
            }
        }
    }

    /// The convener lets one waiting caller in, and pays for him where nobody else can be charged.
    pub(super) fn admit(&mut self, now: Timestamp, id: ParticipantId, out: &mut Out) -> Result<(), Refusal> {
        if !matches!(self.phase, Phase::Running { away: None, .. }) {
            return Err(Refusal::WrongPhase { phase: self.phase });
        }
        self.participants.get(&id).ok_or(Refusal::UnknownParticipant)?;
        let waiting = self.live_leg(id).filter(|leg| leg.phase == LegPhase::Waiting).ok_or(Refusal::NotWaiting)?;
        let (leg, owes) = (waiting.id, waiting.convener_owes());
        if owes {
            self.may_spend()?;
        }
        let locked = self.locked;
        if let Some(dial_in) = self.legs.get_mut(&leg).and_then(|leg| leg.dial_in.as_mut()) {
            dial_in.convener_pays |= dial_in.needs_consent;
            dial_in.needs_consent = false;
            dial_in.past_lock = locked;
        }
        let state = self.requested(now + SignedDuration::from_secs(i64::from(self.spec.settings.greeting_seconds)));
        self.note_request(id, Request { control: ControlKind::Admit, state }, out);
        self.let_in(now, leg, out);
        Ok(())
    }

    /// The switch still has a caller in hand who was let in: the command was lost.
    pub(super) fn on_still_held(&mut self, now: Timestamp, id: LegId, out: &mut Out) -> Result<(), Refusal> {
        let leg = self.legs.get(&id).ok_or(Refusal::UnknownLeg)?;
        if leg.dial_in.is_none() {
            return Err(Refusal::UnexpectedEvent { phase: leg.phase.word() });
        }
        match leg.phase {
            LegPhase::Greeting => self.let_in(now, id, out),
            LegPhase::Waiting => out.commands.push(Command::Hold { leg: id, language: self.spec.settings.language, say: Vec::new() }),
            LegPhase::Leaving => self.turn_away(now, id, vec![Phrase::Goodbye], out),
            phase => return Err(Refusal::UnexpectedEvent { phase: phase.word() }),
        }
        Ok(())
    }
}
