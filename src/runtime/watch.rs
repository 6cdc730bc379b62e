//! Watchers: what should not happen, is seen all the same, said with what to do, and healed where it can be.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use jiff::SignedDuration;
use tokio::time::Instant;
use tracing::warn;

use super::Runtime;
use super::gauges::number;
use crate::clock;
use crate::conference::{Conference, Phase};

/// A switch that has proved nothing for so long is silent: six times the pace of its snapshots.
const SILENT_AFTER: SignedDuration = SignedDuration::from_secs(30);
/// A conference that has run without a living leg for so long was deserted: its rules should have ended it.
const DESERTED_AFTER: Duration = Duration::from_secs(120);
/// A message that waits longer than this is worth a line.
const OUTBOX_STUCK_AFTER: Duration = Duration::from_secs(900);

/// The switches of which it was said already.
#[derive(Default)]
pub(super) struct Watch {
    silent: HashSet<String>,
}

/// When it was last said of a kind of message that it does not move.
#[derive(Default)]
pub(super) struct Said(HashMap<&'static str, Instant>);

impl Runtime {
    /// Looks for conferences whose switch says nothing.
    pub(super) fn watch_switches(&self, watch: &mut Watch) {
        let now = clock::now();
        for node in self.inner.nodes.all() {
            let waiting = if now.duration_since(node.heard().0) > SILENT_AFTER { node.conferences().len() } else { 0 };
            metrics::gauge!("sklic_conferences_in_silence", "switch" => node.name.clone()).set(number(waiting));
            if waiting == 0 {
                watch.silent.remove(&node.name);
            } else if watch.silent.insert(node.name.clone()) {
                warn!(switch.name = %node.name, conferences = waiting,
                    "the switch has said nothing for half a minute; its conferences are shown with unknown states and go on when it is heard again: \
                    run `sklic check`, look whether the switch runs and its control port answers");
            }
        }
    }
}

impl Said {
    /// Says when messages do not move.
    pub(super) fn watch_outbox(&mut self, kind: &'static str, oldest: Duration, waiting: usize) {
        if oldest < OUTBOX_STUCK_AFTER {
            self.0.remove(kind);
        } else if self.0.get(kind).is_none_or(|at| at.elapsed() >= OUTBOX_STUCK_AFTER) {
            self.0.insert(kind, Instant::now());
            warn!(
                job.kind = kind,
                waiting,
                oldest_seconds = oldest.as_secs(),
                "messages have waited for long: run `sklic check`, look whether the mail server and the SMS gateways take what they are given"
            );
        }
    }
}

/// Since when a running conference has had no living leg.
#[derive(Default)]
pub(super) struct Deserted(Option<Instant>);

impl Deserted {
    /// Whether it is to be ended for that.
    pub(super) fn is_over_due(&mut self, conference: &Conference) -> bool {
        if !matches!(conference.phase(), Phase::Running { .. }) || conference.legs().any(crate::conference::Leg::is_live) {
            self.0 = None;
            return false;
        }
        self.0.get_or_insert_with(Instant::now).elapsed() >= DESERTED_AFTER
    }
}
