//! Keys that members press, and words that only one of them hears: a person can run a whole conference without the web.

use jiff::{SignedDuration, Timestamp};

use super::state::{Conference, ControlKind, EndReason, LegPhase, Phase};
use super::{Out, Refusal};
use crate::ids::{LegId, ParticipantId};
use crate::pbx::{Command, MemberKey, Phrase};

/// How soon the keys that end the conference must be pressed again to mean it.
const END_AGAIN_WITHIN: SignedDuration = SignedDuration::from_secs(10);

impl Conference {
    pub(super) fn on_pressed(&mut self, now: Timestamp, id: LegId, key: MemberKey, at: Timestamp, out: &mut Out) -> Result<(), Refusal> {
        if !matches!(self.phase, Phase::Running { .. }) {
            return Err(Refusal::WrongPhase { phase: self.phase });
        }
        self.touch(now, id, at, &[LegPhase::Inside], out)?;
        let convener = self.legs.get(&id).is_some_and(|leg| leg.participant == self.spec.convener.id);
        match key {
            MemberKey::Mute => self.own_microphone(id, out),
            MemberKey::Hand => self.own_hand(id, at, out),
            _ if !convener => self.tell(id, vec![Phrase::NotPossible], out),
            MemberKey::Count => {
                let inside = self.legs.values().filter(|leg| leg.phase == LegPhase::Inside).count();
                self.tell(id, vec![Phrase::Inside, Phrase::Number(u16::try_from(inside).unwrap_or(u16::MAX))], out);
            }
            MemberKey::MuteAll => {
                let muted = !self.all_muted;
                let control = if muted { ControlKind::MuteAll } else { ControlKind::UnmuteAll };
                self.mute_all(now, muted, out)?;
                self.told_by_phone.insert(control);
                if !self.requests.contains_key(&control) {
                    self.tell_confirmed(control, out);
                }
            }
            MemberKey::Lock => {
                let locked = !self.locked;
                self.lock(now, locked, out)?;
                self.told_by_phone.insert(if locked { ControlKind::Lock } else { ControlKind::Unlock });
            }
            MemberKey::CallMissing => {
                let words = match self.call_missing(now, out) {
                    Ok(()) => Phrase::CallingMissing,
                    Err(Refusal::NobodyMissing) => Phrase::NobodyMissing,
                    Err(Refusal::SpendReached) => Phrase::SpendReached,
                    Err(_) => Phrase::NotPossible,
                };
                self.tell(id, vec![words], out);
            }
            MemberKey::End => {
                if self.end_pressed_at.is_some_and(|first| now <= first + END_AGAIN_WITHIN) {
                    self.begin_closing(now, EndReason::EndedByConvener, out);
                } else {
                    self.end_pressed_at = Some(now);
                    self.tell(id, vec![Phrase::EndAgain], out);
                }
            }
        }
        Ok(())
    }

    fn own_microphone(&mut self, id: LegId, out: &mut Out) {
        let Some(leg) = self.legs.get_mut(&id) else { return };
        let convener = leg.participant == self.spec.convener.id;
        if leg.muted && leg.convener_muted && !convener {
            // What the convener closed only he opens; that the owner wants it closed too, or not any more, is kept.
            leg.self_muted = false;
            self.tell(id, vec![Phrase::ClosedByConvener], out);
            return;
        }
        let muted = !leg.self_wish.unwrap_or(leg.muted);
        leg.self_wish = Some(muted);
        out.commands.push(Command::Mute { room: self.spec.room, leg: id, muted });
    }

    fn own_hand(&mut self, id: LegId, at: Timestamp, out: &mut Out) {
        let Some(leg) = self.legs.get_mut(&id) else { return };
        leg.hand_at = if leg.hand_at.is_some() { None } else { Some(at) };
        let words = if leg.hand_at.is_some() { Phrase::HandRaised } else { Phrase::HandLowered };
        self.tell(id, vec![words], out);
    }

    /// The convener lowers a hand without opening the microphone.
    pub(super) fn lower_hand(&mut self, now: Timestamp, id: ParticipantId, out: &mut Out) -> Result<(), Refusal> {
        if !matches!(self.phase, Phase::Running { .. }) {
            return Err(Refusal::WrongPhase { phase: self.phase });
        }
        self.participants.get(&id).ok_or(Refusal::UnknownParticipant)?;
        let leg = self.live_leg(id).filter(|leg| leg.hand_at.is_some()).map(|leg| leg.id).ok_or(Refusal::NoHand)?;
        if let Some(leg) = self.legs.get_mut(&leg) {
            leg.hand_at = None;
            leg.touched_at = now;
        }
        out.legs.insert(leg);
        out.participants.insert(id);
        self.tell(leg, vec![Phrase::HandLowered], out);
        Ok(())
    }

    /// Words that only this member hears.
    pub(super) fn tell(&self, leg: LegId, say: Vec<Phrase>, out: &mut Out) {
        if self.legs.get(&leg).is_some_and(|leg| leg.phase == LegPhase::Inside) && self.link_is_up() {
            out.commands.push(Command::Tell { room: self.spec.room, leg, language: self.spec.settings.language, say });
        }
    }

    /// Words that only the convener hears.
    pub(super) fn tell_convener(&self, words: Phrase, out: &mut Out) {
        if let Some(leg) = self.live_leg(self.spec.convener.id).map(|leg| leg.id) {
            self.tell(leg, vec![words], out);
        }
    }

    /// What the convener asked for by phone has happened.
    pub(super) fn tell_confirmed(&mut self, control: ControlKind, out: &mut Out) {
        let words = match control {
            ControlKind::MuteAll => Phrase::AllClosed,
            ControlKind::UnmuteAll => Phrase::AllOpen,
            ControlKind::Lock => Phrase::NowLocked,
            ControlKind::Unlock => Phrase::NowUnlocked,
            ControlKind::Mute | ControlKind::Unmute | ControlKind::Remove | ControlKind::Admit => return,
        };
        if self.told_by_phone.remove(&control) {
            self.tell_convener(words, out);
        }
    }

    /// What the convener asked for by phone has not happened.
    pub(super) fn tell_failed(&mut self, control: ControlKind, out: &mut Out) {
        if self.told_by_phone.remove(&control) {
            self.tell_convener(Phrase::NotPossible, out);
        }
    }
}
