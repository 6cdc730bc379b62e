//! What a conference may cost and how long it may last (R13): a warning that the convener alone hears, then what the account says.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::state::{Conference, EndReason, LegPhase, Participant, Phase};
use super::{Out, Outcome, Refusal};
use crate::billing::Money;
use crate::ids::{ContactId, LegId, ParticipantId};
use crate::pbx::Phrase;

/// What happens when what may be spent in a day is spent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AtCap {
    /// Nobody else is called; those inside go on.
    #[default]
    NoNewCalls,
    /// The conference ends with the closing announcement.
    End,
}

impl AtCap {
    /// The stable word in configuration, API and database.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::NoNewCalls => "no_new_calls",
            Self::End => "end",
        }
    }

    /// What a stable word means; `None` for any other text.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::NoNewCalls, Self::End].into_iter().find(|at_cap| at_cap.word() == word)
    }
}

/// How far spending is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SpendState {
    /// Below the warning.
    #[default]
    Free,
    /// The convener has been warned.
    Warned,
    /// The cap is reached.
    Reached,
}

impl Conference {
    /// How far spending is when the account has spent so much today, with VAT, what runs now included.
    #[must_use]
    pub fn spend_state_of(&self, spent: Money) -> SpendState {
        let settings = &self.spec.settings;
        if settings.spend_cap.is_some_and(|cap| spent >= cap) {
            SpendState::Reached
        } else if settings.spend_warning.is_some_and(|warning| spent >= warning) {
            SpendState::Warned
        } else {
            SpendState::Free
        }
    }

    /// How far spending is, as it was last told.
    #[must_use]
    pub fn spend_state(&self) -> SpendState {
        self.spend
    }

    /// The account's spending was looked at.
    pub(super) fn on_spend(&mut self, now: Timestamp, spent: Money, out: &mut Out) {
        let state = self.spend_state_of(spent);
        // A new day, or a correction, gives a lower state again, and with it another warning.
        let rises = state > self.spend;
        if state == self.spend || !matches!(self.phase, Phase::CallingConvener { .. } | Phase::Running { .. }) {
            return;
        }
        self.spend = state;
        out.head = true;
        match state {
            SpendState::Warned if rises => self.tell_convener(Phrase::SpendWarning, out),
            SpendState::Reached if self.spec.settings.at_cap == AtCap::End => {
                self.tell_convener(Phrase::SpendReached, out);
                self.begin_closing(now, EndReason::SpendCap, out);
            }
            SpendState::Reached => {
                self.tell_convener(Phrase::SpendReached, out);
                self.cancel_queued(now, out);
            }
            SpendState::Free | SpendState::Warned => {}
        }
    }

    /// Gives up the calls that wait for their turn. The convener's own stays: his way back costs less than a conference without him.
    fn cancel_queued(&mut self, now: Timestamp, out: &mut Out) {
        let convener = self.spec.convener.id;
        let waiting: Vec<LegId> =
            self.legs.values().filter(|leg| leg.phase == LegPhase::Queued && leg.participant != convener).map(|leg| leg.id).collect();
        for id in waiting {
            self.end_unplaced(now, id, Outcome::Cancelled, out);
        }
    }

    /// Refuses new calls when nothing may be spent any more.
    pub(super) fn may_spend(&self) -> Result<(), Refusal> {
        if self.spend == SpendState::Reached { Err(Refusal::SpendReached) } else { Ok(()) }
    }

    /// Whether a number in normal form may be called (R13).
    pub(super) fn allows(&self, number: &str) -> bool {
        let begins = |list: &Vec<String>| list.iter().any(|prefix| number.starts_with(prefix.as_str()));
        let settings = &self.spec.settings;
        let wished = !number.starts_with('+') || settings.wished_prefixes.as_ref().is_none_or(begins);
        wished && settings.allowed_prefixes.as_ref().is_none_or(begins)
    }

    /// Refuses to call somebody whose number is beyond the limits, or for whom there is no place.
    /// The convener's own number was looked at when he started, and his place is kept.
    pub(super) fn may_be_called(&self, person: &Participant, number: Option<&str>) -> Result<(), Refusal> {
        let own = person.convener && number.is_none();
        if !(own || self.allows(number.unwrap_or(&person.person.phone))) {
            return Err(Refusal::NumberNotAllowed);
        }
        if person.convener || !self.is_of_edition(1) { Ok(()) } else { self.has_place_for(Some(person.person.id)) }
    }

    /// Refuses one more person when as many are in, wait or are called as may be. The place that he has already is his, and the convener's is kept.
    pub(super) fn has_place_for(&self, id: Option<ParticipantId>) -> Result<(), Refusal> {
        let limit = self.spec.settings.max_participants;
        // As soon as the convener is in, everybody is called.
        let soon = matches!(self.phase, Phase::CallingConvener { .. });
        let is_in = |p: &Participant| p.legs.iter().filter_map(|leg| self.legs.get(leg)).any(super::Leg::has_place);
        let others = self.participants.values().filter(|p| !p.convener && Some(p.person.id) != id);
        let taken = 1 + others.filter(|p| is_in(p) || (soon && self.is_awaited(p))).count();
        if taken >= usize::try_from(limit).unwrap_or(usize::MAX) { Err(Refusal::Full { limit }) } else { Ok(()) }
    }

    /// He is called as soon as the convener is in, unless he is there by then: all but those who came without being invited and were turned away.
    pub(super) fn is_awaited(&self, person: &Participant) -> bool {
        let last = person.legs.last().and_then(|leg| self.legs.get(leg));
        let turned_away = last.is_some_and(|leg| leg.dial_in.as_ref().is_some_and(|dial_in| dial_in.turned_away));
        let invited = || self.spec.participants.iter().any(|invited| invited.id == person.person.id);
        !person.convener && !person.removed && (!turned_away || !self.is_of_edition(1) || invited())
    }

    /// This person of the directory is in, waits, is called, or will be as soon as the convener is in.
    pub(super) fn has_contact(&self, contact: ContactId) -> bool {
        let soon = matches!(self.phase, Phase::CallingConvener { .. });
        let mut same = self.participants.values().filter(|p| !p.removed && p.person.contact == Some(contact));
        same.any(|p| (soon && self.is_awaited(p)) || self.live_leg(p.person.id).is_some_and(super::Leg::has_place))
    }

    /// When the convener is to hear that the conference has nearly lasted as long as it may; `None` when he has, or is not to.
    pub(super) fn length_warning_at(&self) -> Option<Timestamp> {
        let before = self.spec.settings.length_warning_seconds;
        let warn = before > 0 && !self.length_warned && matches!(self.phase, Phase::Running { .. });
        self.must_end_at.filter(|_| warn).map(|end| end - SignedDuration::from_secs(i64::from(before)))
    }

    /// Warns of the end by length, once.
    pub(super) fn warn_of_length(&mut self, now: Timestamp, out: &mut Out) {
        if self.length_warning_at().is_some_and(|at| now >= at) {
            self.length_warned = true;
            out.head = true;
            self.tell_convener(Phrase::LengthWarning, out);
        }
    }
}
