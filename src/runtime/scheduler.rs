//! What planned conferences wait for: their time, when the convener is to be called by himself, and their reminders.
//!
//! Every node of the service looks. A conference is started by the one that claims its row, a reminder is sent by the one that notes it,
//! and a convener is told that his conference was not started by the one that notes that.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::StreamExt as _;
use jiff::{SignedDuration, Timestamp};
use tracing::{info, warn};

use super::{ControlError, Runtime};
use crate::clock;
use crate::delivery::{Bell, Desk, Purpose, Recipient, Scope, lapsed, tell};
use crate::ids::{ConferenceId, MessageId};
use crate::storage::messages::NewMessage;
use crate::storage::series::{Due, DueReminder};
use crate::storage::{StorageError, accounts, conferences, messages, participants, series};

/// How often is looked.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How late a conference is still started by itself, when no switch or no service was there at its time.
const LATEST: SignedDuration = SignedDuration::from_mins(15);
/// How long after that its convener is still told, when no service was there then either.
const TOLD_WITHIN: SignedDuration = SignedDuration::from_hours(72);
/// How many starts are begun at once: one that waits for the inventory of lines keeps few others waiting.
const AT_ONCE: usize = 4;
/// How long a refused conference rests before it is tried again; each time twice as long.
const REST: SignedDuration = SignedDuration::from_secs(2);
/// The longest rest.
const LONGEST_REST: SignedDuration = SignedDuration::from_secs(60);

/// The conferences whose start was refused: when each is tried again, and how long it rests.
#[derive(Default)]
struct Refused(HashMap<ConferenceId, (Timestamp, SignedDuration)>);

impl Refused {
    /// Those that rest now; what is too late to be tried again is forgotten.
    fn resting(&mut self, now: Timestamp) -> Vec<ConferenceId> {
        self.0.retain(|_, (until, _)| now.duration_since(*until) < LATEST);
        self.0.iter().filter(|(_, (until, _))| *until > now).map(|(conference, _)| *conference).collect()
    }

    fn rest(&mut self, conference: ConferenceId, now: Timestamp) {
        let rest = self.0.get(&conference).map_or(REST, |(_, rest)| (*rest * 2).min(LONGEST_REST));
        self.0.insert(conference, (now.checked_add(rest).unwrap_or(Timestamp::MAX), rest));
    }
}

/// Why a conference is not started, as a word of the API.
fn reason(error: &ControlError) -> &'static str {
    match error {
        ControlError::AccountDisabled => "account_disabled",
        ControlError::SpendReached => "spend_reached",
        ControlError::NumberNotAllowed { .. } => "number_not_allowed",
        ControlError::LineGone => "line_gone",
        ControlError::TooManyConferences { .. } => "too_many_conferences",
        _ => NOT_STARTED,
    }
}

/// No switch was there, or no service.
const NOT_STARTED: &str = "not_started";

impl Runtime {
    /// Starts planned conferences at their time and sends reminders, until the service stops.
    pub async fn follow_plans(self, desk: Desk, bell: Bell) {
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut away, mut refused) = (false, Refused::default());
        loop {
            tokio::select! {
                () = self.inner.stop.cancelled() => return,
                _ = look.tick() => {}
            }
            match self.look_at_plans(&desk, &bell, &mut refused).await {
                Ok(()) => away = false,
                Err(fault) => {
                    if !std::mem::replace(&mut away, true) {
                        warn!(%fault, "plans cannot be looked at; conferences that are due wait");
                    }
                }
            }
        }
    }

    async fn look_at_plans(&self, desk: &Desk, bell: &Bell, refused: &mut Refused) -> Result<(), StorageError> {
        let now = clock::now();
        let since = now.checked_sub(LATEST).unwrap_or(Timestamp::MIN);
        let pool = &self.inner.shared.pool;
        let due = series::list_due(&mut *pool.get().await?, &refused.resting(now), since, now).await?;
        let starts = due.into_iter().map(async |one| (one, self.start(one.account, one.conference).await));
        let mut starts = futures_util::stream::iter(starts).buffer_unordered(AT_ONCE);
        while let Some((one, started)) = starts.next().await {
            match started {
                Ok(_) => info!(conference.id = %one.conference, "a planned conference is started at its time"),
                // Another node was first, or the convener himself.
                Err(ControlError::NotPlanned { .. } | ControlError::NotFound) => {}
                // It is tried again after a rest, for as long as it is not too late.
                Err(error) => {
                    warn!(conference.id = %one.conference, %error, "a planned conference cannot be started yet");
                    refused.rest(one.conference, now);
                    if series::note_refusal(&mut *pool.get().await?, one, reason(&error)).await? {
                        self.was_edited(one.conference);
                    }
                }
            }
        }
        drop(starts);
        let told_since = since.checked_sub(TOLD_WITHIN).unwrap_or(Timestamp::MIN);
        let late = series::list_lapsed(&mut *pool.get().await?, told_since, since).await?;
        for one in late {
            if self.lapse(desk, one, now).await? {
                bell.ring();
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

    /// Tells a convener that his conference was not started; a locked-out account is told nothing.
    async fn lapse(&self, desk: &Desk, due: Due, now: Timestamp) -> Result<bool, StorageError> {
        let mut connection = self.inner.shared.pool.get().await?;
        let plan = series::of_conference(&mut connection, due.account, due.conference).await?;
        let account = accounts::lookup(&mut connection, due.account).await?;
        let conference = conferences::lookup(&mut connection, due.account, due.conference).await?;
        let (Some(plan), Some(account), Some(conference)) = (plan, account, conference) else { return Ok(false) };
        let Some(at) = conference.scheduled_at else { return Ok(false) };
        let locked = account.disabled_at.is_some();
        let reason = if locked { "account_disabled" } else { conference.reason.as_deref().unwrap_or(NOT_STARTED) };
        let told = if locked { None } else { lapsed(desk, &plan, &account, due.conference, at, reason, now) };
        let is_told = series::lapse(&mut connection, due, at, reason, told, now).await?;
        if is_told {
            warn!(conference.id = %due.conference, reason, "a planned conference was not started at its time, and now it is too late");
            self.was_edited(due.conference);
        }
        Ok(is_told)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_conference_rests_longer_each_time_and_is_forgotten_when_it_is_too_late() {
        let (mut refused, one) = (Refused::default(), ConferenceId::fresh());
        let start: Timestamp = "2026-03-01T11:00:00Z".parse().unwrap();
        let at = |seconds| start + SignedDuration::from_secs(seconds);
        refused.rest(one, start);
        assert_eq!((refused.resting(at(1)), refused.resting(at(2))), (vec![one], vec![]));
        refused.rest(one, at(2));
        assert_eq!((refused.resting(at(5)), refused.resting(at(6))), (vec![one], vec![]));
        for _ in 0..9 {
            refused.rest(one, at(6));
        }
        assert_eq!((refused.resting(at(65)), refused.resting(at(66))), (vec![one], vec![]));
        assert_eq!(refused.resting(at(66 + 15 * 60)), vec![]);
        assert!(refused.0.is_empty());
    }
}
