//! Live changes by server-sent events: a snapshot, then deltas.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use serde::Serialize;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::{Caller, Proof, account_of};
use super::extract::PathId;
use super::problem::{Kind, Problem};
use super::state::AppState;
use crate::clock;
use crate::conference::ConferenceView;
use crate::ids::{AccountId, ConferenceId};
use crate::runtime::{ControlError, Live, LiveDelta};
use crate::storage::sessions::TokenHash;

/// How often a comment is sent, so that proxies and browsers know that the connection lives.
const KEEP_ALIVE: Duration = Duration::from_secs(5);
/// How long to wait before asking for a picture again that could not be had.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// Events that may wait for a slow window; while it is full, changes wait in the runtime's channel, and if that overflows, a new picture is sent.
const QUEUE: usize = 16;
/// Ends of sessions that a busy window may be behind with before it looks at its own whatever they were.
const SIGN_OUTS: usize = 64;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(live))
}

/// Sessions that were ended here, whose windows look at theirs again at once.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum SignedOut {
    /// This session.
    Session(TokenHash),
    /// Sessions of this account.
    Account(AccountId),
}

/// How many streams each account has open, and what ends them before their time.
pub struct Streams {
    open: Mutex<HashMap<AccountId, u32>>,
    signed_out: broadcast::Sender<SignedOut>,
}

impl Default for Streams {
    fn default() -> Self {
        Self { open: Mutex::default(), signed_out: broadcast::Sender::new(SIGN_OUTS) }
    }
}

impl Streams {
    /// Has the windows of these sessions look whether they may still watch. Those of other service nodes do so in their time.
    pub(super) fn look_again(&self, signed_out: SignedOut) {
        // Nobody watching is no fault.
        let _ = self.signed_out.send(signed_out);
    }

    fn open(&self, account: AccountId, most: u32) -> bool {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(account).or_insert(0);
        if *count >= most {
            return false;
        }
        *count += 1;
        true
    }

    fn close(&self, account: AccountId) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&account) {
            *count -= 1;
            if *count == 0 {
                open.remove(&account);
            }
        }
    }
}

/// A stream's place among those of its account; given back when dropped.
struct Place {
    state: AppState,
    account: AccountId,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.state.streams.close(self.account);
    }
}

/// Live changes
///
/// Server-sent events. First `event: snapshot` with a ConferenceView, then `event: delta` with what has changed; `id` is the number of the change.
/// A new `snapshot` comes whenever deltas would not be enough. `event: signed_out` comes before the end when the session is over.
/// A window that reconnects gets a new snapshot; `Last-Event-ID` is not needed.
#[utoipa::path(get, path = "/conferences/{id}/live", tag = "conferences", params(("id" = uuid::Uuid, Path, description = "The conference")),
    responses((status = OK, body = LiveDelta, content_type = "text/event-stream", description = "The data of `delta` events; those of `snapshot` are a ConferenceView")))]
async fn live(State(state): State<AppState>, caller: Caller, PathId(id): PathId<ConferenceId>) -> Result<impl IntoResponse, Problem> {
    let most = state.config.live_streams_per_account;
    if !state.streams.open(caller.account, most) {
        return Err(super::limits::too_many(5).detail(format!("At most {most} windows may be open at once.")));
    }
    let place = Place { state: state.clone(), account: caller.account };
    let (edited, signed_out) = (state.runtime.edits(), state.streams.signed_out.subscribe());
    let live = state.runtime.live(caller.account, id).await?;
    let (sender, receiver) = mpsc::channel(QUEUE);
    let window = Window { state, caller, id, sender, edited, signed_out, _place: place };
    tokio::spawn(window.run(live));
    let events = Sse::new(ReceiverStream::new(receiver)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE).text("keep-alive"));
    // nginx would hold events back until its buffer is full.
    Ok(([("x-accel-buffering", "no")], events))
}

/// One browser window that watches a conference.
struct Window {
    state: AppState,
    caller: Caller,
    id: ConferenceId,
    sender: mpsc::Sender<Result<Event, Infallible>>,
    edited: broadcast::Receiver<ConferenceId>,
    signed_out: broadcast::Receiver<SignedOut>,
    _place: Place,
}

/// The window is gone, or must not be told more.
struct Over;

impl Window {
    async fn run(mut self, live: Live) {
        // Ends when the window goes away, the session is over, or the service stops.
        let shutdown = self.state.shutdown.clone();
        tokio::select! {
            () = shutdown.cancelled() => {}
            Over = self.watch(live) => {}
        }
    }

    async fn watch(&mut self, mut live: Live) -> Over {
        let every = Duration::from_secs(self.state.config.live_check_seconds.max(1));
        let mut check = tokio::time::interval_at(tokio::time::Instant::now() + every, every);
        let mut seq = live.view.seq;
        if self.snapshot(&live.view).await.is_err() {
            return Over;
        }
        loop {
            let sender = self.sender.clone();
            tokio::select! {
                () = sender.closed() => return Over,
                _ = check.tick() => match self.look().await {
                    Ok(()) => continue,
                    Err(over) => return over,
                },
                ended = self.signed_out.recv() => {
                    let is_about = match ended {
                        Ok(SignedOut::Session(hash)) => self.caller.proof == Proof::Session(hash),
                        Ok(SignedOut::Account(account)) => self.caller.account == account,
                        Err(RecvError::Lagged(_)) => true,
                        Err(RecvError::Closed) => return Over,
                    };
                    if is_about && let Err(over) = self.look().await {
                        return over;
                    }
                    continue;
                }
                change = live.changes.recv() => match change {
                    Ok(change) if change.seq == seq + 1 => {
                        seq = change.seq;
                        if self.send("delta", Some(seq), &*change).await.is_err() {
                            return Over;
                        }
                        continue;
                    }
                    Ok(change) if change.seq <= seq => continue,
                    // Something was missed: only a new picture helps.
                    Ok(_) | Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => tokio::time::sleep(AGAIN_AFTER).await,
                },
                edited = self.edited.recv() => match edited {
                    Ok(id) if id != self.id => continue,
                    Ok(_) | Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return Over,
                },
            }
            let Ok(again) = self.picture().await else { return Over };
            live = again;
            seq = live.view.seq;
            if self.snapshot(&live.view).await.is_err() {
                return Over;
            }
        }
    }

    /// A new picture, as soon as it can be had.
    async fn picture(&self) -> Result<Live, Over> {
        loop {
            match self.state.runtime.live(self.caller.account, self.id).await {
                Ok(live) => return Ok(live),
                Err(ControlError::NotFound) => return Err(Over),
                Err(_) => tokio::select! {
                    () = self.sender.closed() => return Err(Over),
                    () = tokio::time::sleep(AGAIN_AFTER) => {}
                },
            }
        }
    }

    /// Says goodbye if the proof does not hold any more.
    async fn look(&self) -> Result<(), Over> {
        if self.may_watch().await {
            return Ok(());
        }
        // If the window does not take it any more, it will find out by itself.
        let _ = self.send("signed_out", None, &serde_json::json!({})).await;
        Err(Over)
    }

    /// Whether the proof still holds. While the database is away it does: the conference must not go dark because of that.
    async fn may_watch(&self) -> bool {
        match account_of(&self.state, &self.caller.proof, clock::now()).await {
            Ok(account) => account == Some(self.caller.account),
            Err(problem) => problem.status() == Problem::new(Kind::Unavailable).status(),
        }
    }

    async fn snapshot(&self, view: &ConferenceView) -> Result<(), Over> {
        self.send("snapshot", Some(view.seq), view).await
    }

    async fn send(&self, name: &str, id: Option<u64>, data: &impl Serialize) -> Result<(), Over> {
        let event = Event::default().event(name).json_data(data).map_err(|_| Over)?;
        let event = match id {
            Some(id) => event.id(id.to_string()),
            None => event,
        };
        self.sender.send(Ok(event)).await.map_err(|_| Over)
    }
}
