//! What a running conference costs, looked at now and then; and whether anybody is in it at all.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::time::Instant;
use tracing::warn;

use super::super::limits::day_of;
use super::{COST_EVERY, Draft, Message, Owner};
use crate::billing::Money;
use crate::clock;
use crate::conference::{Control, Delta, Input, RunningCost};
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
        let before = self.cost.take();
        let cost = self.paperwork.cost(&self.conference, &self.shared, now);
        self.cost = Some(RunningCost { spent_today: before.as_ref().and_then(|cost| cost.spent_today), ..cost });
        if self.cost != before {
            self.shared.abroad.tell(self.conference.id(), &self.talking, self.cost.as_ref());
            self.push(Delta { conference: Some(self.conference.head_view()), ..Delta::default() });
        }
        let (shared, inbox, account) = (Arc::clone(&self.shared), self.own_inbox.clone(), self.paperwork.account.id);
        let since = day_of(now, &shared.rules);
        tokio::spawn(async move {
            let charged = async { charges::spent(&mut *shared.pool.get().await?, account, since).await };
            // While the database is away nothing new is known, and what runs goes on.
            if let Ok(charged) = charged.await {
                let _ = inbox.send(Message::Charged(charged));
            }
        });
    }

    pub(super) fn on_charged(&mut self, draft: &mut Draft, now: Timestamp, charged: Money) {
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
