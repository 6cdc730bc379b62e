//! iCalendar files (RFC 5545) for invitations by mail (RFC 5546, RFC 6047).
//!
//! Times are given in the plan's own time zone, whose rules go with the file: calendars then keep the time on the wall.
//! Each person's file names that person only, so that nobody learns another's address or code.

use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};
use jiff::{Span, Timestamp};

/// What a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// To invite, or to tell of a change.
    Request,
    /// To call off.
    Cancel,
}

impl Method {
    /// As it is written.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Request => "REQUEST",
            Self::Cancel => "CANCEL",
        }
    }
}

/// A person in a calendar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// The name.
    pub name: String,
    /// The address.
    pub email: String,
}

/// A calendar file.
#[derive(Clone, Debug)]
pub struct Calendar {
    /// What it is for.
    pub method: Method,
    /// Names the plan in calendars, for ever.
    pub uid: String,
    /// Counts its changes.
    pub sequence: i32,
    /// When the file was made.
    pub stamp: Timestamp,
    /// The time zone of all times in it (IANA name).
    pub time_zone: String,
    /// Who invites.
    pub organizer: Person,
    /// Who is invited.
    pub attendee: Person,
    /// The series, or single conferences of it.
    pub events: Vec<Event>,
}

/// One conference, or a series.
#[derive(Clone, Debug)]
pub struct Event {
    /// When it begins, in wall-clock time.
    pub starts: DateTime,
    /// When it ends.
    pub ends: DateTime,
    /// The rule of the series with its count; `None` for a single conference.
    pub rule: Option<String>,
    /// Starts of the series that do not take place.
    pub left_out: Vec<DateTime>,
    /// For one conference of a series: the start that the series gives it.
    pub replaces: Option<DateTime>,
    /// The title.
    pub summary: String,
    /// The agenda, and how to come in.
    pub description: String,
    /// The access number.
    pub location: String,
}

/// The file.
#[must_use]
pub fn render(calendar: &Calendar) -> String {
    let mut file = File::default();
    file.line("BEGIN:VCALENDAR");
    file.line("PRODID:-//Sklic//Sklic//EN");
    file.line("VERSION:2.0");
    file.line("CALSCALE:GREGORIAN");
    file.line(&format!("METHOD:{}", calendar.method.word()));
    time_zone(&mut file, calendar);
    for event in &calendar.events {
        event_lines(&mut file, calendar, event);
    }
    file.line("END:VCALENDAR");
    file.0
}

fn event_lines(file: &mut File, calendar: &Calendar, event: &Event) {
    let zone = parameter(&calendar.time_zone);
    file.line("BEGIN:VEVENT");
    file.line(&format!("UID:{}", text(&calendar.uid)));
    file.line(&format!("SEQUENCE:{}", calendar.sequence));
    file.line(&format!("DTSTAMP:{}", calendar.stamp.strftime("%Y%m%dT%H%M%SZ")));
    if let Some(replaces) = event.replaces {
        file.line(&format!("RECURRENCE-ID;TZID={zone}:{}", local(replaces)));
    }
    file.line(&format!("DTSTART;TZID={zone}:{}", local(event.starts)));
    file.line(&format!("DTEND;TZID={zone}:{}", local(event.ends)));
    if let Some(rule) = &event.rule {
        file.line(&format!("RRULE:{rule}"));
    }
    for left_out in &event.left_out {
        file.line(&format!("EXDATE;TZID={zone}:{}", local(*left_out)));
    }
    file.line(&format!("SUMMARY:{}", text(&event.summary)));
    if !event.description.is_empty() {
        file.line(&format!("DESCRIPTION:{}", text(&event.description)));
    }
    if !event.location.is_empty() {
        file.line(&format!("LOCATION:{}", text(&event.location)));
    }
    let (organizer, attendee) = (&calendar.organizer, &calendar.attendee);
    file.line(&format!("ORGANIZER;CN={}:mailto:{}", parameter(&organizer.name), address(&organizer.email)));
    let answer = if calendar.method == Method::Request { ";PARTSTAT=NEEDS-ACTION;RSVP=TRUE" } else { "" };
    file.line(&format!(
        "ATTENDEE;CUTYPE=INDIVIDUAL;ROLE=REQ-PARTICIPANT{answer};CN={}:mailto:{}",
        parameter(&attendee.name),
        address(&attendee.email)
    ));
    file.line(if calendar.method == Method::Cancel { "STATUS:CANCELLED" } else { "STATUS:CONFIRMED" });
    file.line("TRANSP:OPAQUE");
    file.line("END:VEVENT");
}

/// The rules of the time zone for the years around the events: each change of the clock is written out (RFC 5545 §3.6.5).
fn time_zone(file: &mut File, calendar: &Calendar) {
    let zone = TimeZone::get(&calendar.time_zone).unwrap_or(TimeZone::UTC);
    let starts = calendar.events.iter().map(|event| event.starts);
    let (Some(first), Some(last)) = (starts.clone().min(), starts.max()) else { return };
    let moment = |at: DateTime, years: i64| {
        let at = zone.to_ambiguous_timestamp(at).compatible().ok()?;
        at.to_zoned(TimeZone::UTC).checked_add(Span::new().years(years)).ok().map(|zoned| zoned.timestamp())
    };
    let (Some(from), Some(to)) = (moment(first, -1), moment(last, 3)) else { return };
    file.line("BEGIN:VTIMEZONE");
    file.line(&format!("TZID:{}", text(&calendar.time_zone)));
    let before = zone.to_offset_info(from);
    let mut offset = before.offset();
    observance(file, before.dst().is_dst(), "19700101T000000", (offset, offset), before.abbreviation());
    for change in zone.following(from).take_while(|change| change.timestamp() < to) {
        // The moment of a change is told by the clock as it went before.
        let clock = offset.to_datetime(change.timestamp());
        observance(file, change.dst().is_dst(), &local(clock), (offset, change.offset()), change.abbreviation());
        offset = change.offset();
    }
    file.line("END:VTIMEZONE");
}

fn observance(file: &mut File, is_dst: bool, starts: &str, (from, to): (Offset, Offset), name: &str) {
    let kind = if is_dst { "DAYLIGHT" } else { "STANDARD" };
    file.line(&format!("BEGIN:{kind}"));
    file.line(&format!("DTSTART:{starts}"));
    file.line(&format!("TZOFFSETFROM:{}", offset_words(from)));
    file.line(&format!("TZOFFSETTO:{}", offset_words(to)));
    file.line(&format!("TZNAME:{}", text(name)));
    file.line(&format!("END:{kind}"));
}

fn offset_words(offset: Offset) -> String {
    let seconds = offset.seconds();
    let (sign, seconds) = (if seconds < 0 { '-' } else { '+' }, seconds.abs());
    let rest = if seconds % 60 == 0 { String::new() } else { format!("{:02}", seconds % 60) };
    format!("{sign}{:02}{:02}{rest}", seconds / 3600, seconds / 60 % 60)
}

fn local(at: DateTime) -> String {
    at.strftime("%Y%m%dT%H%M%S").to_string()
}

/// RFC 5545 §3.3.11; other control characters have no place in a file.
fn text(words: &str) -> String {
    let mut escaped = String::with_capacity(words.len());
    for c in words.chars() {
        match c {
            '\\' | ';' | ',' => escaped.extend(['\\', c]),
            '\n' => escaped.push_str("\\n"),
            c if c.is_control() => {}
            c => escaped.push(c),
        }
    }
    escaped
}

/// A parameter's value (RFC 5545 §3.2): quoted, and without what cannot be in quotes.
fn parameter(words: &str) -> String {
    let clean: String = words.chars().filter(|c| !c.is_control()).map(|c| if c == '"' { '\'' } else { c }).collect();
    if clean.contains([':', ';', ',', ' ']) || clean.is_empty() { format!("\"{clean}\"") } else { clean }
}

fn address(email: &str) -> String {
    email.chars().filter(|c| !c.is_control() && !c.is_whitespace()).collect()
}

/// Lines that end with CR LF and are folded at 75 octets, never within a character (RFC 5545 §3.1).
#[derive(Default)]
struct File(String);

impl File {
    fn line(&mut self, line: &str) {
        let mut octets = 0;
        for c in line.chars() {
            if octets + c.len_utf8() > 75 {
                self.0.push_str("\r\n ");
                octets = 1;
            }
            self.0.push(c);
            octets += c.len_utf8();
        }
        self.0.push_str("\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calendar(summary: &str) -> String {
        let at = |text: &str| text.parse().unwrap();
        let event = Event {
            starts: at("2027-03-21T09:00"),
            ends: at("2027-03-21T10:00"),
            rule: Some("FREQ=WEEKLY;BYDAY=SU;COUNT=3".into()),
            left_out: vec![at("2027-04-04T09:00")],
            replaces: None,
            summary: summary.into(),
            description: "Dnevni red;\n1, 2".into(),
            location: "19819".into(),
        };
        render(&Calendar {
            method: Method::Request,
            uid: "1@example.test".into(),
            sequence: 2,
            stamp: "2027-01-01T10:00:00Z".parse().unwrap(),
            time_zone: "Europe/Ljubljana".into(),
            organizer: Person { name: "Ana \"A\"; Novak".into(), email: "ana@example.test".into() },
            attendee: Person { name: "Žiga".into(), email: "ziga@example.test\r\nX:y".into() },
            events: vec![event],
        })
    }

    #[test]
    fn lines_are_folded_and_texts_escaped() {
        let file = calendar(&"čšž, ".repeat(40));
        for line in file.split_terminator("\r\n") {
            assert!(line.len() <= 75 && !line.contains(['\r', '\n']), "{line}");
        }
        let unfolded = file.replace("\r\n ", "");
        for line in [
            "DTSTART;TZID=Europe/Ljubljana:20270321T090000",
            "EXDATE;TZID=Europe/Ljubljana:20270404T090000",
            "DESCRIPTION:Dnevni red\\;\\n1\\, 2",
            "ORGANIZER;CN=\"Ana 'A'; Novak\":mailto:ana@example.test",
            "TZOFFSETFROM:+0100",
        ] {
            assert!(unfolded.contains(&format!("{line}\r\n")), "{line} in {unfolded}");
        }
        assert!(!unfolded.contains("\r\nX:y"), "no line of its own");
        assert!(unfolded.contains("DTSTART:20270328T020000\r\nTZOFFSETFROM:+0100\r\nTZOFFSETTO:+0200\r\nTZNAME:CEST\r\n"), "{unfolded}");
    }

    #[test]
    fn nothing_breaks_out_of_its_line() {
        let file = calendar("a\r\nEND:VEVENT\r\nBEGIN:VALARM\u{0}");
        assert_eq!(file.matches("\r\nEND:VEVENT").count(), 1);
        assert!(!file.contains("\r\nBEGIN:VALARM"));
    }
}
