//! What one process of the service asks of another: the convener's browser talks to any of them, his conference runs on one.
//!
//! A request is a row, `NOTIFY` wakes the one who is asked and the one who waits; both look by themselves, too, for a notice can be missed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::time::Instant;
use tracing::{debug, warn};
use uuid::Uuid;

use super::{ControlError, REPLY_WITHIN, Runtime};
use crate::conference::{ConferenceView, Control};
use crate::ids::{AccountId, ConferenceId, ServiceNodeId};
use crate::storage::{StorageError, conferences, crossings};

/// How soon an answer is looked for that no notice has told of.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// How long the taking back of a request may take.
const TAKEN_BACK_WITHIN: Duration = Duration::from_secs(2);

/// What is asked.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub(super) enum Request {
    /// A control on a running conference.
    Control { account: AccountId, conference: ConferenceId, control: Control },
    /// The start of a planned conference, on one of the asked one's switches.
    Start { account: AccountId, conference: ConferenceId },
    /// The lease of a switch, for a process that has just reached it.
    Yield { switch: String, epoch: i64, to: ServiceNodeId },
}

/// What is answered; the picture is in the journal.
pub(super) type Answer = Result<(), ControlError>;

/// Reads it as another service node has written it.
fn read(answer: serde_json::Value) -> Answer {
    serde_json::from_value(answer).unwrap_or(Err(ControlError::Internal))
}

/// Who waits for which answer.
#[derive(Default)]
pub(super) struct Waiting(Mutex<HashMap<Uuid, Arc<Notify>>>);

impl Waiting {
    fn all(&self) -> std::sync::MutexGuard<'_, HashMap<Uuid, Arc<Notify>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An answer is there.
    pub(super) fn ring(&self, id: &str) {
        if let Some(bell) = id.parse().ok().and_then(|id: Uuid| self.all().get(&id).cloned()) {
            bell.notify_one();
        }
    }
}

impl Runtime {
    /// Hands a control to whoever owns the conference, which is not this process; waits while it changes hands.
    pub(super) async fn control_elsewhere(
        &self,
        account: AccountId,
        conference: ConferenceId,
        control: Control,
    ) -> Result<ConferenceView, ControlError> {
        let until = Instant::now() + REPLY_WITHIN;
        loop {
            let plan = conferences::lookup(&mut *self.inner.shared.pool.get().await?, account, conference).await?;
            let plan = plan.ok_or(ControlError::NotFound)?;
            let running = matches!(plan.state.as_str(), "calling_convener" | "running" | "closing");
            let Some(switch) = plan.node.filter(|_| running) else {
                return Err(ControlError::NotPlanned { state: plan.state });
            };
            if let Some(inbox) = self.inbox(account, conference) {
                return self.control_here(inbox, control).await;
            }
            if let Some(owner) = self.inner.membership.driver(&switch) {
                match self.cross(owner, &Request::Control { account, conference, control: control.clone() }, until).await {
                    Ok(()) => return self.view(account, conference).await,
                    // It has lost the switch meanwhile, or is just taking it over.
                    Err(ControlError::Unavailable { what: "conference" }) if Instant::now() < until => {}
                    Err(fault) => return Err(fault),
                }
            }
            if Instant::now() >= until {
                return Err(ControlError::Unavailable { what: "conference" });
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// Has a conference started by another process, for this one drives no switch with room.
    pub(super) async fn start_elsewhere(&self, account: AccountId, conference: ConferenceId, people: usize) -> Result<ConferenceView, ControlError> {
        let other = self.inner.membership.with_room(people).ok_or(ControlError::Unavailable { what: "switch" })?;
        self.cross(other, &Request::Start { account, conference }, Instant::now() + REPLY_WITHIN).await?;
        self.view(account, conference).await
    }

    /// Asks, and waits for the answer.
    pub(super) async fn cross(&self, to: ServiceNodeId, request: &Request, until: Instant) -> Answer {
        let id = Uuid::now_v7();
        let bell = Arc::new(Notify::new());
        self.inner.waiting.all().insert(id, Arc::clone(&bell));
        let answered = self.await_answer(id, to, request, &bell, until).await;
        self.inner.waiting.all().remove(&id);
        let runtime = self.clone();
        // Nobody waits for the cleaning.
        self.inner.tasks.spawn(async move {
            if let Ok(mut connection) = runtime.inner.shared.pool.get().await
                && let Err(fault) = crossings::forget(&mut connection, id).await
            {
                debug!(%fault, "an answered request between service nodes stays for a while");
            }
        });
        answered
    }

    async fn await_answer(&self, id: Uuid, to: ServiceNodeId, request: &Request, bell: &Notify, until: Instant) -> Answer {
        let request = serde_json::to_value(request).map_err(|_| ControlError::Internal)?;
        crossings::ask(&mut *self.inner.shared.pool.get().await?, id, to, &request).await?;
        if let Ok(answer) = tokio::time::timeout_at(until, self.hear_answer(id, bell)).await {
            return answer;
        }
        // Taken back it is never done, and may be asked again. Else, and in doubt, it is not to be done twice.
        let settled = async {
            let mut connection = self.inner.shared.pool.get().await?;
            if crossings::withdraw(&mut connection, id).await? {
                return Ok(Some(Err(ControlError::Unavailable { what: "conference" })));
            }
            let answer = crossings::answer_of(&mut connection, id).await?;
            Ok::<_, StorageError>(answer.map(read))
        };
        match tokio::time::timeout(TAKEN_BACK_WITHIN, settled).await {
            Ok(Ok(Some(answer))) => answer,
            _ => Err(ControlError::Queued),
        }
    }

    /// Waits for an answer, also while the database is away: what was asked may be done all the same.
    async fn hear_answer(&self, id: Uuid, bell: &Notify) -> Answer {
        loop {
            tokio::select! {
                () = bell.notified() => {}
                () = tokio::time::sleep(LOOK_AGAIN) => {}
            }
            let found = async { crossings::answer_of(&mut *self.inner.shared.pool.get().await?, id).await };
            match found.await {
                Ok(Some(answer)) => return read(answer),
                Ok(None) => {}
                Err(fault) if fault.is_passing() => debug!(%fault, "whether another service node has answered cannot be looked up now"),
                Err(fault) => return Err(fault.into()),
            }
        }
    }

    /// Does what other processes ask of this one.
    pub(super) async fn serve_crossings(&self) -> Result<(), StorageError> {
        let asked = crossings::take(&mut *self.inner.shared.pool.get().await?, self.inner.membership.me).await?;
        for one in asked {
            let runtime = self.clone();
            self.inner.tasks.spawn(async move {
                let answer = match serde_json::from_value::<Request>(one.request) {
                    Ok(request) => runtime.serve(request).await,
                    // A process of a later release asks something that this one does not know.
                    Err(_) => Err(ControlError::Unavailable { what: "conference" }),
                };
                metrics::counter!("sklic_crossings_total").increment(1);
                let Ok(answer) = serde_json::to_value(&answer) else { return };
                let told = async { crossings::answer(&mut *runtime.inner.shared.pool.get().await?, one.id, &answer).await };
                if let Err(fault) = told.await {
                    warn!(%fault, "another service node could not be answered");
                }
            });
        }
        Ok(())
    }

    async fn serve(&self, request: Request) -> Answer {
        match request {
            Request::Control { account, conference, control } => {
                let inbox = self.inbox(account, conference).ok_or(ControlError::Unavailable { what: "conference" })?;
                self.control_here(inbox, control).await.map(drop)
            }
            Request::Start { account, conference } => self.start_with(account, conference, super::start::Opening::Web).await.map(drop),
            Request::Yield { switch, epoch, to } => self.hand_over(&switch, epoch, to).await,
        }
    }
}
