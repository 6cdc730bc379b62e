//! Starting a planned conference, and owning it until its end.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use tokio::sync::mpsc::unbounded_channel;
use tokio::sync::oneshot;
use tracing::{error, info};

use super::node::Node;
use super::owner::{Outcome, Owner};
use super::rows::Paperwork;
use super::{ControlError, Runtime, await_reply};
use crate::clock;
use crate::conference::{Conference, ConferenceView, Control, Input, NewCaller, Settings, Spec};
use crate::ids::{AccountId, ConferenceId};
use crate::pbx::Language;
use crate::storage::conferences::Claim;
use crate::storage::{self, StorageError, accounts, conferences, participants};

/// How soon a conference is given back again while the database is away.
const GIVE_BACK_AGAIN: Duration = Duration::from_millis(500);

/// What a convener may set for one conference, as kept in its row.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Wishes {
    grace_seconds: Option<u32>,
    entry_beep: Option<bool>,
}

type Answer = oneshot::Receiver<Result<ConferenceView, ControlError>>;

/// A conference whose start is under way, so that nobody else begins one until it is known what became of this.
struct Starting {
    all: Arc<Mutex<HashSet<ConferenceId>>>,
    conference: ConferenceId,
}

impl Starting {
    /// `None` when its start is under way already.
    fn new(all: &Arc<Mutex<HashSet<ConferenceId>>>, conference: ConferenceId) -> Option<Self> {
        let first = all.lock().unwrap_or_else(PoisonError::into_inner).insert(conference);
        first.then(|| Self { all: Arc::clone(all), conference })
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.conference);
    }
}

/// What starts a conference.
pub(super) enum Opening {
    /// The convener's press on Start: he is called.
    Web,
    /// The convener's own call, which is on this switch already.
    Phone(Box<NewCaller>, Arc<Node>),
}

impl Runtime {
    /// Starts a planned conference (R1).
    ///
    /// # Errors
    /// See [`ControlError`].
    pub async fn start(&self, account: AccountId, conference: ConferenceId) -> Result<ConferenceView, ControlError> {
        match self.start_with(account, conference, Opening::Web).await {
            // Another service node may drive a switch that has room.
            Err(ControlError::Unavailable { what: "switch" }) if self.inner.membership.has_others() => {
                let people = participants::list(&mut *self.inner.shared.pool.get().await?, account, conference).await?.len();
                self.start_elsewhere(account, conference, people).await
            }
            started => started,
        }
    }

    pub(super) async fn start_with(&self, account: AccountId, conference: ConferenceId, opening: Opening) -> Result<ConferenceView, ControlError> {
        // In a task of its own: a caller who goes away in the middle leaves nothing half done.
        let runtime = self.clone();
        let begun = self.inner.tasks.spawn(async move { runtime.begin(account, conference, opening).await });
        await_reply(begun.await.map_err(|_| ControlError::Internal)??).await
    }

    async fn begin(&self, account: AccountId, conference: ConferenceId, opening: Opening) -> Result<Answer, ControlError> {
        let Some(starting) = Starting::new(&self.inner.starting, conference) else {
            return Err(ControlError::NotPlanned { state: "calling_convener".to_owned() });
        };
        let mut connection = self.inner.shared.pool.get().await?;
        let plan = conferences::lookup(&mut connection, account, conference).await?.ok_or(ControlError::NotFound)?;
        if plan.state != "planned" {
            return Err(ControlError::NotPlanned { state: plan.state });
        }
        let owner = accounts::lookup(&mut connection, account).await?.ok_or(ControlError::NotFound)?;
        let people = participants::list(&mut connection, account, conference).await?;
        self.may_start(&mut connection, &owner, &people).await?;
        // The inventory of lines may take its time: no connection is held meanwhile, for there are only so many.
        drop(connection);
        self.owns_line(&owner).await?;
        let mut connection = self.inner.shared.pool.get().await?;
        // Its people have their places from here on, or until it has failed to start.
        let (place, start) = match opening {
            Opening::Web => {
                let place = self.inner.nodes.place(conference, people.len()).ok_or(ControlError::Unavailable { what: "switch" })?;
                (place, Input::Control { control: Control::Start })
            }
            Opening::Phone(caller, node) => (node.keep_place(conference, people.len()), Input::Arrived { caller }),
        };
        let now = clock::now();
        let claimed = self.claim(&mut connection, (plan, owner), Arc::clone(&place.node), start, now).await;
        drop(connection);
        if matches!(claimed, Err(ControlError::Unavailable { .. } | ControlError::Internal)) {
            self.give_back(starting, now);
        }
        claimed
    }

    /// Takes the conference, and opens it. When the database fails in the middle it may be taken all the same.
    async fn claim(
        &self,
        connection: &mut storage::Connection,
        (plan, owner): (conferences::Conference, accounts::Account),
        node: Arc<Node>,
        start: Input,
        now: Timestamp,
    ) -> Result<Answer, ControlError> {
        let (account, conference) = (owner.id, plan.id);
        // From here on nobody else can start it, nor change its plan.
        let tariff = self.inner.shared.prices.name(owner.tariff.as_deref()).to_owned();
        let most = super::Limits::of(&self.inner.rules.conference, &owner).max_conferences;
        match conferences::claim(connection, account, conference, (&node.tenure.fence(), &tariff), most, now).await? {
            Claim::Taken => {}
            Claim::TooMany => return Err(ControlError::TooManyConferences { limit: most }),
            Claim::NotPlanned => {
                let plan = conferences::lookup(connection, account, conference).await?.ok_or(ControlError::NotFound)?;
                return Err(ControlError::NotPlanned { state: plan.state });
            }
        }
        let people = participants::list(connection, account, conference).await?;
        let settings = self.settings(&plan, &owner, node.calls_per_second);
        let state = Conference::open(now, spec(&plan, people, settings).ok_or(ControlError::Internal)?);
        let plan = conferences::Conference { tariff: Some(tariff), ..plan };
        let paperwork = Paperwork::new(plan, owner, Vec::new());
        let (reply, answer) = oneshot::channel();
        let (sender, inbox) = unbounded_channel();
        let mut task = Owner::new(state, 0, paperwork, node, Arc::clone(&self.inner.shared), (sender.clone(), inbox));
        task.open(now, start, reply);
        info!(conference.id = %conference, "conference is started");
        self.own(account, conference, sender, task);
        self.inner.begun.notify_waiters();
        Ok(answer)
    }

    /// Makes a conference planned again whose start has failed with the database: nothing has happened yet.
    fn give_back(&self, starting: Starting, claimed: Timestamp) {
        let runtime = self.clone();
        self.inner.tasks.spawn(async move {
            while let Err(fault) = runtime.unclaim(starting.conference, claimed).await {
                if !fault.is_passing() {
                    error!(conference.id = %starting.conference, %fault, "the conference could not be given back; the look for conferences without a task tries again");
                    return;
                }
                tokio::select! {
                    () = runtime.inner.stop.cancelled() => return,
                    () = tokio::time::sleep(GIVE_BACK_AGAIN) => {}
                }
            }
        });
    }

    async fn unclaim(&self, conference: ConferenceId, claimed: Timestamp) -> Result<(), StorageError> {
        conferences::unclaim(&mut *self.inner.shared.pool.get().await?, conference, Some(claimed)).await
    }

    /// The settings with which a conference of this account is started on a switch with this pace.
    pub(super) fn settings(&self, plan: &conferences::Conference, account: &accounts::Account, calls_per_second: u32) -> Settings {
        let wishes: Wishes = serde_json::from_value(plan.settings.clone()).unwrap_or_default();
        let language: Language = account.language.parse().unwrap_or_default();
        let rules = self.inner.rules.conference.settings(language, calls_per_second);
        let dial_in = &self.inner.rules.dial_in;
        let limits = super::Limits::of(&self.inner.rules.conference, account);
        limits.settings(Settings {
            grace_seconds: wishes.grace_seconds.unwrap_or_else(|| u32::try_from(account.grace_seconds).unwrap_or(0)),
            wait_limit_seconds: dial_in.wait_limit_seconds,
            callers_wait_at_lock: dial_in.wait_at_lock,
            entry_beep: wishes.entry_beep.unwrap_or(account.entry_beep),
            wished_prefixes: self.wished_prefixes(account),
            ..rules
        })
    }

    /// Runs an owner until its conference is over; rebuilds it from the journal if it breaks.
    pub(super) fn own(&self, account: AccountId, conference: ConferenceId, inbox: super::Inbox, task: Owner) {
        self.owners().insert(conference, (account, inbox));
        let runtime = self.clone();
        let (stop, node) = (task.stop(), task.node());
        self.inner.tasks.spawn(async move {
            let mut ended = tokio::spawn(task.run(stop.clone())).await;
            // From here on nobody hears its legs, until it is rebuilt.
            let mut proof = node.heard().0;
            let mut wait = Duration::from_millis(500);
            while !matches!(ended, Ok(Outcome::Over | Outcome::Stopped)) {
                if let Err(fault) = &ended {
                    error!(conference.id = %conference, %fault, "the conference's task has failed; it is rebuilt from the journal");
                    metrics::counter!("sklic_owners_broken_total").increment(1);
                }
                tokio::select! {
                    () = stop.cancelled() => break,
                    () = tokio::time::sleep(wait) => {}
                }
                wait = (wait * 2).min(Duration::from_secs(30));
                match runtime.rebuild(conference, proof).await {
                    Ok(Some(task)) => {
                        ended = tokio::spawn(task.run(stop.clone())).await;
                        proof = node.heard().0;
                    }
                    Ok(None) => break,
                    Err(fault) => error!(conference.id = %conference, %fault, "the conference cannot be rebuilt yet"),
                }
            }
            runtime.owners().remove(&conference);
        });
    }
}

/// What a conference is started with, from its rows; `None` without a convener.
pub(super) fn spec(plan: &conferences::Conference, people: Vec<storage::participants::Participant>, settings: Settings) -> Option<Spec> {
    let (conveners, others): (Vec<_>, Vec<_>) = people.into_iter().filter(|row| !row.removed).partition(|row| row.convener);
    Some(Spec {
        id: plan.id,
        account: plan.account,
        room: plan.room,
        title: plan.title.clone(),
        convener: conveners.into_iter().next().map(storage::participants::Participant::person)?,
        participants: others.into_iter().map(storage::participants::Participant::person).collect(),
        settings,
    })
}
