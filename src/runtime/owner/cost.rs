//! What a running conference costs, looked at now and then; and whether anybody is in it at all.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::time::Instant;
use tracing::warn;

use super::super::limits::day_of;
use super::{COST_EVERY, Draft, Message, Owner};
use crate::billing::Money;
use crate::clock;
use crate::conference::{Control, Delta, Input, Phase, RunningCost};
use crate::storage::charges;

impl Owner {
    /// Says what the conference costs by now, and asks what the account has been charged today.
    pub(super) fn weigh(&mut self) {
        let now = clock::now();
        if self.deserted.is_over_due(&self.conference) {
            warn!(conference.id = %self.conference.id(), "the conference runs with nobody in it, which its rules should not let happen; it is ended: \
                keep what `sklic replay` prints of it and report it");
            metrics::counter!("sklic_conferences_deserted_total").increment(1);
            let mut draft = Draft::default();
            self.take(&mut draft, now, Input::Control { control: Control::End });
            self.submit(draft);
        }
        self.count_up(now);
    }

    /// Tells the windows what it costs by now, and asks what is charged.
    fn count_up(&mut self, now: Timestamp) {
        let before = self.cost.take();
        let cost = self.paperwork.cost(&self.conference, &self.shared, now);
        self.cost = Some(RunningCost { spent_today: before.as_ref().and_then(|cost| cost.spent_today), ..cost });
        if self.cost != before {
            self.shared.abroad.tell(self.conference.id(), &self.talking, self.cost.as_ref());
            self.push(Delta { conference: Some(self.conference.head_view()), ..Delta::default() });
        }
        let (shared, inbox, account) = (Arc::clone(&self.shared), self.own_inbox.clone(), self.paperwork.account.id);
        // While charges are on their way nobody can tell whether the answer would hold them.
        let Some(mark) = shared.spending.mark(account) else { return };
        let since = day_of(now, &shared.rules);
        tokio::spawn(async move {
            let currency = shared.prices.currency();
            let charged = async { charges::spent(&mut *shared.pool.get().await?, account, since, currency).await };
            // While the database is away nothing new is known, and what runs goes on.
            if let Ok(charged) = charged.await {
                let _ = inbox.send(Message::Charged { charged, mark });
            }
        });
    }

    /// Charges have landed: they count in the database from here on. While it closes nothing follows from what is spent.
    pub(super) fn charges_landed(&mut self, now: Timestamp) {
        self.shared.spending.write_lands(self.paperwork.account.id, self.conference.id());
        let runs = matches!(self.conference.phase(), Phase::CallingConvener { .. } | Phase::Running { .. });
        if runs && self.conference.spec().settings.spend_cap.is_some() {
            self.count_up(now);
        }
    }

    /// What is charged to the account today, as of `mark`; what has moved since then makes it worthless.
    pub(super) fn on_charged(&mut self, draft: &mut Draft, now: Timestamp, charged: Money, mark: u64) {
        if self.shared.spending.mark(self.paperwork.account.id) != Some(mark) {
            return;
        }
        let spent = charged.plus(self.shared.spending.running(self.paperwork.account.id)).unwrap_or(Money(i64::MAX));
        if let Some(cost) = self.cost.as_mut().filter(|cost| cost.spent_today != Some(spent)) {
            cost.spent_today = Some(spent);
            self.push(Delta { conference: Some(self.conference.head_view()), ..Delta::default() });
        }
        // The journal holds what changes something, not every look.
        if self.conference.spend_state_of(spent) != self.conference.spend_state() {
            self.take(draft, now, Input::Spend { spent });
        }
    }
}

/// The pace at which the cost is looked at: calm, and the first time soon.
pub(super) fn pace() -> tokio::time::Interval {
    let mut pace = tokio::time::interval_at(Instant::now() + COST_EVERY, COST_EVERY);
    pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    pace
}
