//! Every metric that the service exports: its name, what it is, and in which unit. Dashboards and alert rules name no other.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

use crate::billing::ChargeStatus;
use crate::reception::Subject;

/// What kind of metric it is, and for a histogram in which range its values lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// A histogram of milliseconds.
    Quick,
    /// A histogram of seconds.
    Slow,
    /// A histogram of counts.
    Counts,
}

/// One metric.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// Its kind.
    pub kind: Kind,
    /// What it is, with its labels.
    pub help: &'static str,
}

const fn counter(name: &'static str, help: &'static str) -> Metric {
    Metric { name, kind: Kind::Counter, help }
}

const fn gauge(name: &'static str, help: &'static str) -> Metric {
    Metric { name, kind: Kind::Gauge, help }
}

const fn histogram(name: &'static str, kind: Kind, help: &'static str) -> Metric {
    Metric { name, kind, help }
}

/// All of them.
pub const ALL: &[Metric] = &[
    gauge("sklic_build_info", "1, with the release as label `version`."),
    counter("sklic_seizures_total", "Calls that the service has placed and that have ended, by switch: the seizures of the answer-seizure ratio."),
    counter("sklic_answers_total", "Of these, the ones that were answered, by switch: answers / seizures is the answer-seizure ratio (ITU-T E.411)."),
    counter("sklic_legs_ended_total", "Legs that have ended, by switch, outcome and way of entry."),
    counter("sklic_leg_evidence_total", "How the ends of legs were known, by switch: event, switch_record, snapshot, proof_of_life."),
    histogram("sklic_post_dial_delay_seconds", Kind::Slow, "From dialling to the first sign of the far end, by switch (ITU-T E.721)."),
    gauge("sklic_conferences", "Conferences that run."),
    gauge("sklic_members", "Legs inside conferences, by switch."),
    gauge("sklic_legs", "Legs that are being dialled, ring or talk, by switch."),
    gauge("sklic_switch_link_up", "1 while the link to the switch is up, by switch; 0 on service nodes that do not drive it."),
    gauge(
        "sklic_switch_last_heard_seconds",
        "How long ago the switch last proved what it holds, by switch; 0 on service nodes that do not drive it.",
    ),
    counter("sklic_switch_link_losses_total", "Losses of the link, by switch."),
    counter("sklic_switch_events_unclaimed_total", "Events about legs that no conference claims, by switch."),
    histogram(
        "sklic_switch_event_lag_seconds",
        Kind::Quick,
        "From an event on the switch, by its clock, until it is in the hands of its conference, by switch.",
    ),
    histogram("sklic_command_seconds", Kind::Quick, "From handing a command over until the switch has acknowledged it, by switch and command."),
    counter("sklic_command_failures_total", "Commands that the switch did not take, by switch and command."),
    counter("sklic_stray_legs_total", "Legs on the switch that no conference claims and that were hung up, by switch."),
    counter("sklic_owners_broken_total", "Conferences whose task had to be rebuilt from the journal."),
    gauge("sklic_lease_owner", "1 on the service node that drives the switch, 0 on the others, by switch."),
    counter("sklic_lease_changes_total", "Changes of the service node that drives a switch, by switch."),
    counter("sklic_lease_flaps_total", "Times at which the lease of a switch changed hands again and again, by switch."),
    counter("sklic_switches_handed_over_total", "Switches that were handed to another service node, which reaches them, by switch."),
    counter("sklic_crossings_total", "Requests of other service nodes that were served."),
    gauge("sklic_conferences_in_silence", "Conferences whose switch has said nothing for half a minute, by switch."),
    counter("sklic_conferences_deserted_total", "Conferences that ran without anybody in them for two minutes and were ended."),
    counter("sklic_inputs_refused_total", "Inputs that did not fit the state of their conference."),
    counter("sklic_journal_entries_skipped_total", "Entries of journals that cannot be read, or that the rules of this release refuse."),
    counter("sklic_conferences_homeless_total", "Conferences that were ended because their switch is in no configuration any more."),
    counter("sklic_charges_without_price_total", "Charges that could not be priced, by status."),
    counter("sklic_retention_erased_conferences_total", "Conferences whose personal data were erased after the time for which they are kept."),
    counter("sklic_retention_failures_total", "Looks at which what was due could not be erased."),
    gauge("sklic_outbox_waiting", "Messages that wait to be sent, by kind: mail, sms, webhook."),
    gauge("sklic_outbox_oldest_seconds", "Age of the oldest message that waits, by kind; 0 when none does."),
    counter("sklic_delivery_attempts_total", "Attempts to send a message, by kind and result."),
    counter("sklic_delivery_reports_total", "Delivery reports of SMS gateways, by gateway and state."),
    counter("sklic_callers_total", "Callers on access numbers, by result."),
    counter("sklic_callers_locked_out_total", "Callers who met a lock-out, by what was locked."),
    counter("sklic_lock_outs_total", "Lock-outs after wrong codes and PINs, by what was locked."),
    counter("sklic_codes_wrong_total", "Wrong codes and PINs."),
    counter("sklic_starts_without_line_total", "Conferences that were not started because the account's line is gone."),
    counter("sklic_line_checks_failed_total", "Times at which the inventory of lines could not be asked; what was last known of the line held."),
    gauge("sklic_writer_database_available", "1 while the database takes writes; looked at also when there is nothing to write."),
    gauge("sklic_writer_queue_batches", "Batches that wait to be written."),
    histogram("sklic_writer_wait_seconds", Kind::Quick, "How long a batch waited until it was written."),
    histogram("sklic_writer_transaction_seconds", Kind::Quick, "How long a transaction of the writer took."),
    histogram("sklic_writer_group_batches", Kind::Counts, "Batches in one transaction."),
    counter("sklic_writer_refused_batches_total", "Batches that the database refused for good."),
    counter("sklic_http_requests_total", "Requests, by method, route and status."),
    histogram("sklic_http_request_seconds", Kind::Quick, "How long requests took, by method and route."),
    counter("sklic_http_panics_total", "Request handlers that panicked."),
    counter("sklic_logins_total", "Sign-ins, by result."),
    counter("sklic_trace_spans_dropped_total", "Spans that the trace collector did not take in time."),
];

/// Tells the recorder what each metric is.
pub fn describe() {
    for metric in ALL {
        match metric.kind {
            Kind::Counter => describe_counter!(metric.name, metric.help),
            Kind::Gauge => describe_gauge!(metric.name, metric.help),
            Kind::Quick | Kind::Slow => describe_histogram!(metric.name, Unit::Seconds, metric.help),
            Kind::Counts => describe_histogram!(metric.name, metric.help),
        }
    }
}

/// Tells the counters that alert rules watch with 0: to Prometheus a series that begins with 1 has not grown.
pub fn begin() {
    for name in ["sklic_owners_broken_total", "sklic_conferences_deserted_total", "sklic_writer_refused_batches_total"] {
        metrics::counter!(name).increment(0);
    }
    for status in [ChargeStatus::Unrated, ChargeStatus::Error] {
        metrics::counter!("sklic_charges_without_price_total", "status" => status.word()).increment(0);
    }
    for subject in Subject::ALL {
        metrics::counter!("sklic_lock_outs_total", "subject" => subject.word()).increment(0);
    }
}

/// Does the same for what is counted by switch.
pub fn begin_switch(switch: &str) {
    for name in ["sklic_stray_legs_total", "sklic_lease_flaps_total", "sklic_seizures_total", "sklic_answers_total"] {
        metrics::counter!(name, "switch" => switch.to_owned()).increment(0);
    }
    // Other commands follow with the first of their kind.
    metrics::counter!("sklic_command_failures_total", "switch" => switch.to_owned(), "command" => "dial").increment(0);
}
