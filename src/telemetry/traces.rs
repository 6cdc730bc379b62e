//! Traces for OpenTelemetry, when they are switched on: a trace for each conference, and in it a span for each leg.
//!
//! Spans are made when a leg or a conference is over, from the times that the ledger has, and sent in batches over OTLP/HTTP with JSON
//! (OpenTelemetry protocol 1.x, `opentelemetry/proto/trace/v1`). The trace's identifier is that of the conference:
//! a log line that names the conference leads to its trace.

use std::sync::OnceLock;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::Url;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::calls;
use crate::conference::{Conference, Leg, Outcome};
use crate::delivery::{Reach, client};

/// Spans that wait for the collector; more are dropped and counted.
const WAITING: usize = 8_192;
/// Spans in one request.
const BATCH: usize = 512;
/// How long spans are gathered.
const GATHER: Duration = Duration::from_secs(1);
/// How long the collector may take for a batch.
const WITHIN: Duration = Duration::from_secs(10);
/// `SPAN_KIND_INTERNAL` and `SPAN_KIND_CLIENT`.
const INTERNAL: u8 = 1;
const CLIENT: u8 = 3;
/// `STATUS_CODE_ERROR`.
const FAILED: u8 = 2;

static SENDER: OnceLock<Sender<Value>> = OnceLock::new();

/// Section `[telemetry]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TelemetryConfig {
    /// Where traces go: a collector's OTLP/HTTP address, such as `http://127.0.0.1:4318`; absent: there are none.
    pub otlp: Option<String>,
}

impl TelemetryConfig {
    /// Whether the address can be used.
    ///
    /// # Errors
    /// What is wrong, with the key.
    pub fn check(&self) -> Result<(), String> {
        let Some(otlp) = &self.otlp else { return Ok(()) };
        match Url::parse(otlp) {
            Ok(url) if url.scheme() == "http" && url.host_str().is_some() => Ok(()),
            _ => Err(format!("otlp: {otlp:?} is not an address such as http://127.0.0.1:4318")),
        }
    }
}

/// Starts sending; a second start changes nothing.
pub fn start(config: &TelemetryConfig, service: &str, stop: CancellationToken) {
    let Some(otlp) = &config.otlp else { return };
    let (sender, spans) = channel(WAITING);
    if SENDER.set(sender).is_ok() {
        let address = format!("{}/v1/traces", otlp.trim_end_matches('/'));
        tokio::spawn(send_all(address, service.to_owned(), spans, stop));
    }
}

/// A leg is over.
pub fn leg_ended(conference: &Conference, leg: &Leg, switch: &str) {
    offer(|| {
        let begun = leg.dialled_at.unwrap_or(leg.queued_at);
        let steps = [("ringing", leg.ringing_at), ("answered", leg.answered_at), ("joined", leg.joined_at), ("left", leg.left_at)];
        let outcome = leg.outcome.map_or("", Outcome::word);
        json!({
            "traceId": hex(conference.id().0.as_bytes()),
            "spanId": span_id(leg.id.0),
            "parentSpanId": span_id(conference.id().0),
            "name": "leg",
            "kind": CLIENT,
            "startTimeUnixNano": nanos(begun),
            "endTimeUnixNano": nanos(leg.ended_at.unwrap_or(begun).max(begun)),
            "attributes": attributes(&[
                ("conference.id", Some(conference.id().to_string())),
                ("leg.id", Some(leg.id.to_string())),
                ("sip.call_id", calls::known(leg.id).call_id),
                ("switch.name", Some(switch.to_owned())),
                ("way_of_entry", Some(leg.way_of_entry.word().to_owned())),
                ("outcome", Some(outcome.to_owned())),
                ("hangup.q850", leg.cause.q850.map(|cause| cause.to_string())),
                ("hangup.sip", leg.cause.sip.map(|status| status.to_string())),
            ]),
            "events": steps.iter().filter_map(|(name, at)| Some(json!({"name": name, "timeUnixNano": nanos((*at)?)}))).collect::<Vec<_>>(),
            "status": if leg.outcome == Some(Outcome::Answered) { json!({}) } else { json!({"code": FAILED, "message": outcome}) },
        })
    });
}

/// A conference is over.
pub fn conference_over(conference: &Conference, switch: &str, now: Timestamp) {
    offer(|| {
        let begun = conference.legs().map(|leg| leg.queued_at).min().unwrap_or(now);
        json!({
            "traceId": hex(conference.id().0.as_bytes()),
            "spanId": span_id(conference.id().0),
            "name": "conference",
            "kind": INTERNAL,
            "startTimeUnixNano": nanos(begun),
            "endTimeUnixNano": nanos(now),
            "attributes": attributes(&[
                ("conference.id", Some(conference.id().to_string())),
                ("switch.name", Some(switch.to_owned())),
                ("conference.phase", Some(conference.phase().to_string())),
                ("conference.legs", Some(conference.legs().count().to_string())),
            ]),
        })
    });
}

fn offer(span: impl FnOnce() -> Value) {
    if let Some(sender) = SENDER.get()
        && sender.try_send(span()).is_err()
    {
        metrics::counter!("sklic_trace_spans_dropped_total").increment(1);
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The second half of the identifier, which is its random part.
fn span_id(id: Uuid) -> String {
    hex(&id.as_bytes()[8..])
}

/// 64-bit integers are strings in the JSON form.
fn nanos(at: Timestamp) -> String {
    at.as_nanosecond().max(0).to_string()
}

fn attributes(pairs: &[(&str, Option<String>)]) -> Value {
    pairs.iter().filter_map(|(key, value)| Some(json!({"key": key, "value": {"stringValue": value.as_ref()?}}))).collect()
}

async fn send_all(address: String, service: String, mut spans: Receiver<Value>, stop: CancellationToken) {
    let client = match client(Reach::Everywhere, WITHIN) {
        Ok(client) => client,
        Err(fault) => {
            tracing::error!(%fault, "traces cannot be sent");
            return;
        }
    };
    let mut failing = false;
    let mut stopping = false;
    while !stopping {
        let mut batch = Vec::new();
        tokio::select! {
            () = stop.cancelled() => stopping = true,
            taken = spans.recv_many(&mut batch, BATCH) => {
                if taken == 0 {
                    return;
                }
                tokio::select! {
                    () = stop.cancelled() => stopping = true,
                    () = tokio::time::sleep(GATHER) => {}
                }
            }
        }
        while let Ok(span) = spans.try_recv() {
            batch.push(span);
        }
        if batch.is_empty() {
            continue;
        }
        let count = batch.len();
        let resource = attributes(&[
            ("service.name", Some("sklic".into())),
            ("service.instance.id", Some(service.clone())),
            ("service.version", Some(env!("CARGO_PKG_VERSION").into())),
        ]);
        let body = json!({"resourceSpans": [{"resource": {"attributes": resource}, "scopeSpans": [{"scope": {"name": "sklic"}, "spans": batch}]}]});
        let answer = client.post(&address).json(&body).send().await.and_then(reqwest::Response::error_for_status);
        if let Err(fault) = answer {
            metrics::counter!("sklic_trace_spans_dropped_total").increment(u64::try_from(count).unwrap_or(0));
            if !std::mem::replace(&mut failing, true) {
                tracing::warn!(fault = &fault as &dyn std::error::Error, "the trace collector takes no spans; they are dropped");
            }
        } else if std::mem::take(&mut failing) {
            tracing::info!("the trace collector takes spans again");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_addresses_are_taken() {
        let config = |otlp: &str| TelemetryConfig { otlp: Some(otlp.into()) };
        assert_eq!(TelemetryConfig::default().check(), Ok(()));
        assert_eq!(config("http://127.0.0.1:4318").check(), Ok(()));
        for bad in ["127.0.0.1:4318", "https://collector", "http://", ""] {
            assert!(config(bad).check().is_err_and(|why| why.starts_with("otlp: ")), "{bad}");
        }
    }

    #[test]
    fn identifiers_and_times_have_the_protocols_form() {
        let id: Uuid = "0199aabb-ccdd-7eff-8123-456789abcdef".parse().expect("an id");
        assert_eq!(hex(id.as_bytes()), "0199aabbccdd7eff8123456789abcdef");
        assert_eq!(span_id(id), "8123456789abcdef");
        assert_eq!(nanos("1970-01-01T00:00:01.5Z".parse().expect("a time")), "1500000000");
        assert_eq!(attributes(&[("a", None), ("b", Some("c".into()))]), json!([{"key": "b", "value": {"stringValue": "c"}}]));
    }
}
