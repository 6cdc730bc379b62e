//! What the convener's windows are told: one hub for each conference that is watched or runs.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::broadcast;

use super::LiveDelta;
use crate::conference::{ConferenceView, Delta};
use crate::ids::ConferenceId;

/// How many changes a slow window may lag behind before it has to start again with a new picture.
const BACKLOG: usize = 512;

/// Sends one conference's changes to its windows.
pub(super) struct Hub {
    changes: broadcast::Sender<Arc<LiveDelta>>,
    seq: AtomicU64,
}

impl Hub {
    fn new() -> Self {
        Self { changes: broadcast::Sender::new(BACKLOG), seq: AtomicU64::new(0) }
    }

    /// The number of the last change.
    pub(super) fn seq(&self) -> u64 {
        self.seq.load(Ordering::Acquire)
    }

    /// Tells all windows. Called by the conference's owner alone, so that numbers and order agree.
    pub(super) fn push(&self, delta: Delta) {
        let seq = self.seq.fetch_add(1, Ordering::AcqRel) + 1;
        // Nobody watching is no fault.
        let _ = self.changes.send(Arc::new(LiveDelta { seq, delta }));
    }

    /// Somebody has a window open.
    pub(super) fn is_watched(&self) -> bool {
        self.changes.receiver_count() > 0
    }

    pub(super) fn subscribe(&self) -> broadcast::Receiver<Arc<LiveDelta>> {
        self.changes.subscribe()
    }
}

/// The hubs by conference. A window may watch a planned conference before anybody starts it.
#[derive(Default)]
pub(super) struct Hubs {
    hubs: Mutex<HashMap<ConferenceId, Arc<Hub>>>,
}

impl Hubs {
    /// The conference's hub, made if there is none.
    pub(super) fn of(&self, conference: ConferenceId) -> Arc<Hub> {
        let mut hubs = self.hubs.lock().unwrap_or_else(PoisonError::into_inner);
        // Windows come and go: those that nobody watches or feeds are dropped when the next one is asked for.
        hubs.retain(|id, hub| *id == conference || Arc::strong_count(hub) > 1 || hub.changes.receiver_count() > 0);
        Arc::clone(hubs.entry(conference).or_insert_with(|| Arc::new(Hub::new())))
    }
}

/// The picture that windows have been told so far: the state may be ahead of it, by what is not written yet.
pub(super) struct Picture(ConferenceView);

impl Picture {
    pub(super) fn new(view: ConferenceView) -> Self {
        Self(view)
    }

    /// As windows have it after the change `seq`.
    pub(super) fn at(&self, seq: u64) -> ConferenceView {
        ConferenceView { seq, ..self.0.clone() }
    }

    /// Draws in what they are told now.
    pub(super) fn apply(&mut self, delta: &Delta) {
        if let Some(head) = &delta.conference {
            self.0.head = head.clone();
        }
        for changed in &delta.participants {
            match self.0.participants.iter_mut().find(|shown| shown.id == changed.id) {
                Some(shown) => shown.clone_from(changed),
                None => self.0.participants.push(changed.clone()),
            }
        }
        self.0.participants.retain(|shown| !delta.removed.contains(&shown.id));
    }
}
