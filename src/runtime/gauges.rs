//! What the runtime counts and measures, under the names of [`crate::telemetry::names`].

use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::watch::Said;
use super::{Runtime, rows};
use crate::clock;
use crate::conference::{Leg, Outcome};
use crate::delivery::{KINDS, WEBHOOK};
use crate::pbx::{Command, Event};
use crate::storage::{StorageResult, gauge_available, outbox};

/// A count as a gauge's value; counts that a machine can hold are exact in it.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
pub(super) fn number(count: usize) -> f64 {
    count as f64
}

/// When the switch says that something happened, if the event says so.
pub(super) fn told_at(event: &Event) -> Option<Timestamp> {
    match event {
        Event::Ringing { at, .. }
        | Event::EarlyMedia { at, .. }
        | Event::Answered { at, .. }
        | Event::Joined { at, .. }
        | Event::Left { at, .. }
        | Event::Ended { at, .. }
        | Event::Muted { at, .. } => Some(*at),
        _ => None,
    }
}

/// Counts a leg that is over.
pub(super) fn count_ended(leg: &Leg, switch: &str) {
    let outcome = leg.outcome.map_or("", Outcome::word);
    metrics::counter!("sklic_legs_ended_total", "switch" => switch.to_owned(), "outcome" => outcome, "way" => leg.way_of_entry.word()).increment(1);
    if let Some(evidence) = leg.evidence {
        metrics::counter!("sklic_leg_evidence_total", "switch" => switch.to_owned(), "evidence" => rows::evidence_word(evidence)).increment(1);
    }
    // A seizure is a call that was placed: neither a caller nor a call that was taken back while it waited.
    let Some(dialled) = leg.dialled_at.filter(|_| leg.dial_in.is_none()) else { return };
    metrics::counter!("sklic_seizures_total", "switch" => switch.to_owned()).increment(1);
    metrics::counter!("sklic_answers_total", "switch" => switch.to_owned()).increment(u64::from(leg.answered_at.is_some()));
    if let Some(sign) = leg.ringing_at.or(leg.answered_at) {
        let delay = sign.duration_since(dialled).as_secs_f64().max(0.0);
        metrics::histogram!("sklic_post_dial_delay_seconds", "switch" => switch.to_owned()).record(delay);
    }
}

/// What the owner of a switch tells of it.
const OF_A_SWITCH: [&str; 5] =
    ["sklic_members", "sklic_legs", "sklic_switch_link_up", "sklic_switch_last_heard_seconds", "sklic_conferences_in_silence"];

/// Sets back what is told of a switch that this process does not drive: its owner tells it now, and two would be added up.
fn forget(switch: &str) {
    for name in OF_A_SWITCH {
        metrics::gauge!(name, "switch" => switch.to_owned()).set(0.0);
    }
}

/// The time that a command takes until the switch has acknowledged it.
pub(super) struct Timing {
    begun: Instant,
    switch: String,
    command: &'static str,
}

impl Timing {
    pub(super) fn begin(switch: &str, command: &Command) -> Self {
        Self { begun: Instant::now(), switch: switch.to_owned(), command: command.word() }
    }

    pub(super) fn end(self, taken: bool) {
        metrics::histogram!("sklic_command_seconds", "switch" => self.switch.clone(), "command" => self.command)
            .record(self.begun.elapsed().as_secs_f64());
        // Also 0, so that the first failure of a kind of command is a step of its counter.
        metrics::counter!("sklic_command_failures_total", "switch" => self.switch, "command" => self.command).increment(u64::from(!taken));
    }
}

impl Runtime {
    /// Sets what can be told without the database.
    pub(super) fn set_gauges(&self) {
        metrics::gauge!("sklic_conferences").set(number(self.owners().len()));
        let now = clock::now();
        for switch in self.inner.membership.switches() {
            let Some(node) = self.inner.nodes.by_name(&switch.name) else {
                forget(&switch.name);
                continue;
            };
            node.gauge_link();
            metrics::gauge!("sklic_legs", "switch" => node.name.clone()).set(number(node.load()));
            let silent = now.duration_since(node.heard().0).as_secs_f64().max(0.0);
            metrics::gauge!("sklic_switch_last_heard_seconds", "switch" => node.name.clone()).set(silent);
        }
    }

    /// Sets what the outbox holds, by kind.
    pub(super) async fn gauge_outbox(&self, said: &mut Said) -> StorageResult<()> {
        let found = outbox::waiting(&mut *self.inner.shared.pool.get().await?).await?;
        let now = clock::now();
        for kind in KINDS {
            let waiting = found.iter().find(|waiting| waiting.kind == kind);
            let count = waiting.map_or(0, |waiting| usize::try_from(waiting.count).unwrap_or(0));
            let oldest = waiting.and_then(|waiting| waiting.oldest);
            let age = oldest.map_or(0.0, |oldest| now.duration_since(oldest).as_secs_f64().max(0.0));
            metrics::gauge!("sklic_outbox_waiting", "kind" => kind).set(number(count));
            metrics::gauge!("sklic_outbox_oldest_seconds", "kind" => kind).set(age);
            // A customer's webhook that takes nothing waits for days; that is his to mend, and each attempt is in the log.
            if kind != WEBHOOK {
                said.watch_outbox(kind, Duration::from_secs_f64(age), count);
            }
        }
        Ok(())
    }

    /// Says whether the database is there, after a look at it: it may be away while nothing is to be written.
    pub(super) fn gauge_database(&self, looked: &StorageResult<()>) {
        let away = looked.as_ref().is_err_and(|fault| fault.is_passing());
        gauge_available(!away && self.inner.shared.writer.is_available());
    }
}
