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
    if let Some(sign) = first_sign(leg) {
        let delay = sign.duration_since(dialled).as_secs_f64().max(0.0);
        metrics::histogram!("sklic_post_dial_delay_seconds", "switch" => switch.to_owned()).record(delay);
    }
}

/// When the far end was first heard of: some networks send sound and never say that it rings.
fn first_sign(leg: &Leg) -> Option<Timestamp> {
    [leg.early_media_at, leg.ringing_at, leg.answered_at].into_iter().flatten().min()
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A leg as an earlier release has written it, with these times.
    fn leg(times: &[(&str, &str)]) -> Leg {
        let mut leg = serde_json::json!({
            "id": "9275ae18-63f8-5a59-a1ee-35232adf42cf", "participant": "00000000-0000-0000-0000-000000001000", "number": "+38659900000",
            "way_of_entry": "web_out", "phase": "greeting", "queued_at": "2026-01-01T09:00:00Z", "dialled_at": "2026-01-01T09:00:00Z",
            "ringing_at": null, "early_media": false, "answered_at": null, "joined_at": null, "left_at": null, "ended_at": null,
            "outcome": null, "evidence": null, "cause": {}, "dial_in": null, "muted": false, "convener_muted": false, "self_muted": false,
            "self_wish": null, "hand_at": null, "hang_up_asked": false, "overdue": false, "retries": 0, "deadline": null,
            "touched_at": "2026-01-01T09:00:00Z", "proof_at": "2026-01-01T09:00:00Z"
        });
        for (key, second) in times {
            leg[*key] = format!("2026-01-01T09:00:{second}Z").into();
        }
        serde_json::from_value(leg).expect("a leg")
    }

    #[test]
    fn the_first_sign_of_the_far_end_is_the_earliest() {
        let sign = |times: &[(&str, &str)]| first_sign(&leg(times)).map(|at| at.strftime("%S").to_string());
        assert_eq!(sign(&[]), None);
        assert_eq!(sign(&[("answered_at", "09")]).as_deref(), Some("09"));
        assert_eq!(sign(&[("ringing_at", "03"), ("answered_at", "09")]).as_deref(), Some("03"));
        assert_eq!(sign(&[("early_media_at", "02"), ("answered_at", "09")]).as_deref(), Some("02"));
        assert_eq!(sign(&[("early_media_at", "05"), ("ringing_at", "03"), ("answered_at", "09")]).as_deref(), Some("03"));
    }
}
