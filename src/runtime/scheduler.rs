//! What planned conferences wait for: their time, when the convener is to be called by himself, and their reminders.
//!
//! Every node of the service looks. A conference is started by the one that claims its row, a reminder is sent by the one that notes it.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tracing::{info, warn};

use super::{ControlError, Runtime};
use crate::clock;
use crate::delivery::{Bell, Desk, Purpose, Recipient, Scope, tell};
use crate::ids::MessageId;
use crate::storage::messages::NewMessage;
use crate::storage::series::DueReminder;
use crate::storage::{StorageError, accounts, conferences, messages, participants, series};

/// How often is looked.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How late a conference is still started by itself, when no switch or no service was there at its time.
const LATEST: SignedDuration = SignedDuration::from_mins(15);

impl Runtime {
    /// Starts planned conferences at their time and sends reminders, until the service stops.
    pub async fn follow_plans(self, desk: Desk, bell: Bell) {
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut away = false;
        loop {
            tokio::select! {
                () = self.inner.stop.cancelled() => return,
                _ = look.tick() => {}
            }
            match self.look_at_plans(&desk, &bell).await {
                Ok(()) => away = false,
                Err(fault) => {
                    if !std::mem::replace(&mut away, true) {
                        warn!(%fault, "plans cannot be looked at; conferences that are due wait");
                    }
                }
            }
        }
    }

    async fn look_at_plans(&self, desk: &Desk, bell: &Bell) -> Result<(), StorageError> {
        let now = clock::now();
        let since = now.checked_sub(LATEST).unwrap_or(Timestamp::MIN);
        let pool = &self.inner.shared.pool;
        let due = series::list_due(&mut *pool.get().await?, since, now).await?;
        for one in due {
            match self.start(one.account, one.conference).await {
                Ok(_) => info!(conference.id = %one.conference, "a planned conference is started at its time"),
                // Another node was first, or the convener himself.
                Err(ControlError::NotPlanned { .. } | ControlError::NotFound) => {}
                // It is tried again at the next look, for as long as it is not too late.
                Err(error) => warn!(conference.id = %one.conference, %error, "a planned conference cannot be started yet"),
            }
        }
        let due = series::list_due_reminders(&mut *pool.get().await?, now).await?;
        for reminder in due {
            if self.remind(desk, &reminder, now).await? {
                bell.ring();
            }
        }
        Ok(())
    }

    async fn remind(&self, desk: &Desk, due: &DueReminder, now: Timestamp) -> Result<bool, StorageError> {
        let mut connection = self.inner.shared.pool.get().await?;
        let plan = series::lookup(&mut connection, due.account, due.plan).await?;
        let account = accounts::lookup(&mut connection, due.account).await?;
        let conference = conferences::lookup(&mut connection, due.account, due.conference).await?;
        let (Some(plan), Some(account), Some(conference)) = (plan, account, conference) else { return Ok(false) };
        let Some(at) = conference.scheduled_at else { return Ok(false) };
        let mut codes = messages::codes(&mut connection, due.account, due.conference).await?;
        let people = participants::list(&mut connection, due.account, due.conference).await?;
        let people: Vec<Recipient> = people
            .into_iter()
            .filter(|person| !person.removed)
            .map(|person| Recipient {
                code: codes.remove(&person.id),
                id: person.id,
                name: person.name,
                phone: person.phone,
                email: person.email,
                by_mail_only: false,
            })
            .collect();
        let scope = Scope::One { starts: plan.schedule.starts, at };
        let deliveries = tell(desk, &plan, &account, Purpose::Reminder, &scope, &people, now);
        let message = NewMessage {
            id: MessageId::fresh(),
            account: due.account,
            conference: Some(due.conference),
            plan: None,
            purpose: Purpose::Reminder.word(),
            text: plan.title.clone(),
            created_at: now,
            deliveries,
        };
        series::remind(&mut connection, due, message, now).await
    }

    /// The most members of each switch.
    #[must_use]
    pub fn capacities(&self) -> Vec<u32> {
        self.inner.membership.switches().iter().map(|switch| switch.max_members).collect()
    }
}
