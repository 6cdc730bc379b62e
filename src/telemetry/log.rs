//! The form of a log line: one JSON object, or text on a terminal.
//!
//! A line that names a leg (`leg.id`) also gets its conference and its SIP Call-ID, whoever wrote it.

use std::fmt;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{Format, Full, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::calls;
use crate::clock;
use crate::ids::LegId;

/// The field that names a leg.
const LEG: &str = "leg.id";

/// Formats lines.
pub struct Lines {
    /// For terminals; `None` writes JSON.
    text: Option<Format<Full>>,
}

impl Lines {
    /// One JSON object a line.
    pub fn json() -> Self {
        Self { text: None }
    }

    /// Text for people.
    pub fn text() -> Self {
        Self { text: Some(Format::default()) }
    }
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let more = fields.more();
        if let Some(text) = &self.text {
            for (key, value) in &more {
                write!(writer, "{key}={} ", value.as_str().unwrap_or_default())?;
            }
            return text.format_event(context, writer, event);
        }
        let metadata = event.metadata();
        let mut line = Map::new();
        line.insert("timestamp".into(), clock::now().to_string().into());
        line.insert("level".into(), metadata.level().as_str().into());
        line.insert("target".into(), metadata.target().into());
        line.extend(fields.0);
        line.extend(more);
        writeln!(writer, "{}", Value::Object(line))
    }
}

/// The fields of an event, in order.
#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    /// What is known of the leg that the line names, and the line does not say itself.
    fn more(&self) -> Vec<(String, Value)> {
        let leg = self.0.get(LEG).and_then(Value::as_str).and_then(|text| text.parse::<LegId>().ok());
        let known = leg.map(calls::known).unwrap_or_default();
        let more = [("conference.id", known.conference.map(|conference| conference.to_string())), ("sip.call_id", known.call_id)];
        more.into_iter().filter(|(key, _)| !self.0.contains_key(*key)).filter_map(|(key, value)| Some((key.to_owned(), value?.into()))).collect()
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.0.insert(field.name().into(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.insert(field.name().into(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().into(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(field.name().into(), value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().into(), value.into());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let mut words = value.to_string();
        let mut source = value.source();
        while let Some(cause) = source {
            words.push_str(": ");
            words.push_str(&cause.to_string());
            source = cause.source();
        }
        self.0.insert(field.name().into(), words.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().into(), format!("{value:?}").into());
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::ids::ConferenceId;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("nobody panics").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn written(lines: Lines, write: impl FnOnce()) -> String {
        let kept = Kept::default();
        let sink = kept.clone();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).event_format(lines).with_writer(move || sink.clone()).finish();
        tracing::subscriber::with_default(subscriber, write);
        String::from_utf8(kept.0.lock().expect("nobody panics").clone()).expect("text")
    }

    #[test]
    fn a_line_of_a_leg_carries_conference_leg_and_call_id() {
        let (leg, conference) = (LegId::fresh(), ConferenceId::fresh());
        calls::belongs(leg, conference);
        calls::has_call_id(leg, "a84b4c76e66710@pc33");
        let line = written(Lines::json(), || tracing::info!(leg.id = %leg, hangup.q850 = 17, "leg ended"));
        let line: Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(line["leg.id"], leg.to_string());
        assert_eq!(line["conference.id"], conference.to_string());
        assert_eq!(line["sip.call_id"], "a84b4c76e66710@pc33");
        assert_eq!((&line["hangup.q850"], &line["message"], &line["level"]), (&17.into(), &"leg ended".into(), &"INFO".into()));
        assert!(line["timestamp"].as_str().is_some_and(|time| time.ends_with('Z')));
        let text = written(Lines::text(), || tracing::warn!(leg.id = %leg, "stray"));
        assert!(text.contains("sip.call_id=a84b4c76e66710@pc33") && text.contains("stray"), "{text}");
    }

    #[test]
    fn what_the_line_says_itself_stands_and_other_lines_get_nothing() {
        let leg = LegId::fresh();
        calls::belongs(leg, ConferenceId::fresh());
        let line = written(Lines::json(), || tracing::info!(leg.id = %leg, conference.id = "own", "x"));
        assert!(line.contains("\"conference.id\":\"own\""), "{line}");
        let line = written(Lines::json(), || tracing::info!(leg.id = "no leg", "two\nlines \u{7}"));
        assert!(!line.contains("conference.id") && line.lines().count() == 1, "{line}");
    }
}
