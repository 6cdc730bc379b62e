//! What a conference may cost and how long it may last (R13): a warning that the convener alone hears, then what the account says.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::state::{Conference, EndReason, LegPhase, Phase};
use super::{Out, Outcome, Refusal};
use crate::billing::Money;
use crate::ids::LegId;
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
