//! The report as ready-made words: what every renderer of people's pages shows, so that text and HTML say the same.

use serde::Serialize;

use super::data::{ConferenceState, Report, ReportLeg, ReportParticipant};
use super::format::{Format, clean, duration, number, shorten};
use super::money_view::{cost, cost_lines, figures, notes};
use super::timeline::{Kind, Timeline};
use super::words::Words;
use crate::billing::{PaidBy, WayOfEntry};
use crate::conference::Outcome;
use crate::pbx::Evidence;

/// A report in words.
#[derive(Serialize)]
pub struct View {
    /// The language's code.
    pub language: &'static str,
    /// The mail's subject.
    pub subject: String,
    /// The name of its files without ending.
    pub file_name: String,
    /// The conference's title.
    pub title: String,
    /// Date and times, `Sunday, 22 November 2026, 10:00–10:47`.
    pub when: Option<String>,
    /// What kind of document this is.
    pub kind: String,
    /// It failed, or is still running; in a sentence.
    pub alert: Option<String>,
    /// Failed, not only incomplete.
    pub failed: bool,
    /// Why it ended, in a sentence.
    pub reason: Option<String>,
    /// How many were in, in a sentence.
    pub were_in: String,
    /// Name and number of the convener.
    pub convener: Person,
    /// The figures at the top: label and value.
    pub figures: Vec<Figure>,
    /// Everybody.
    pub participants: Vec<Person>,
    /// The lines of the cost: label, amount.
    pub cost: Vec<Figure>,
    /// Their sum.
    pub total: Figure,
    /// Sentences at the end.
    pub notes: Vec<String>,
    /// Beginning and end of the bars.
    pub bars: Option<(String, String)>,
    /// What the bars mean: picture's kind and words.
    pub legend: Vec<Legend>,
    /// The forms, for amounts in text.
    #[serde(skip)]
    pub words: &'static Words,
}

/// A label and its value.
#[derive(Serialize)]
pub struct Figure {
    /// What it is.
    pub label: String,
    /// What it amounts to.
    pub value: String,
}

/// A line of the legend.
#[derive(Serialize)]
pub struct Legend {
    /// A small picture, as SVG.
    pub picture: String,
    /// The colour of its cells.
    pub colour: &'static str,
    /// The words.
    pub words: String,
}

/// A participant in words.
#[derive(Serialize)]
pub struct Person {
    /// Name; the number when there is none.
    pub name: String,
    /// Number as people write it.
    pub number: String,
    /// Is the convener.
    pub convener: bool,
    /// Each connection and attempt.
    pub legs: Vec<Leg>,
    /// Said instead, when there is none.
    pub not_called: Option<String>,
    /// The row of bars: colour (`None` for nothing) and width in hundredths.
    pub bars: Vec<(Option<&'static str>, usize)>,
}

/// A leg in words.
#[derive(Serialize)]
pub struct Leg {
    /// `attempt 2` or, of a caller, `call 2`; from the second on.
    pub attempt: Option<String>,
    /// The way of entry.
    pub way: String,
    /// The number, when it is not the participant's.
    pub number: Option<String>,
    /// When it came in, or a dash.
    pub time_in: String,
    /// When it left, or a dash.
    pub time_out: String,
    /// How long it was in, or a dash.
    pub duration: String,
    /// How it ended up.
    pub outcome: String,
    /// `in`, `fail` or `idle`: the colour of the outcome.
    pub tone: &'static str,
    /// More about it, each in a few words or a sentence.
    pub details: Vec<String>,
    /// What the call costs.
    pub call: Cost,
    /// What the conference costs.
    pub conference: Cost,
}

/// What a component costs, in words.
#[derive(Serialize)]
pub struct Cost {
    /// The amount, or why there is none.
    pub text: String,
    /// It is an amount.
    pub amount: bool,
}

/// A number as people write it, that is not broken over two lines.
fn unbroken(of: &str) -> String {
    number(of).replace(' ', "\u{a0}")
}

/// What stands for nothing.
pub const DASH: &str = "–";

/// The title as it is shown.
pub fn title_of(report: &Report, words: &Words) -> String {
    let title = clean(&report.title);
    if title.is_empty() { words.text("report-conference") } else { title }
}

/// The message that names an outcome.
pub fn outcome_id(outcome: Option<Outcome>) -> &'static str {
    match outcome {
        Some(Outcome::Answered) => "outcome-answered",
        Some(Outcome::Busy) => "outcome-busy",
        Some(Outcome::NoAnswer) => "outcome-no-answer",
        Some(Outcome::Rejected) => "outcome-rejected",
        Some(Outcome::Unreachable) => "outcome-unreachable",
        Some(Outcome::InvalidNumber) => "outcome-invalid-number",
        Some(Outcome::Congested) => "outcome-congested",
        Some(Outcome::NotAccepted) => "outcome-not-accepted",
        Some(Outcome::Cancelled) => "outcome-cancelled",
        Some(Outcome::Failed) => "outcome-failed",
        None => "outcome-open",
    }
}

/// The words for a way of entry; with the number that the caller dialled where it is known.
pub fn way_of(leg: &ReportLeg, words: &Words) -> String {
    let id = match (leg.way_of_entry, &leg.access_number) {
        (WayOfEntry::WebOut, _) => "way-web-out",
        (_, Some(access_number)) => {
            return words.with("way-dialled", &[("number", unbroken(access_number).as_str().into())]);
        }
        (WayOfEntry::OnnetShort, None) => "way-onnet-short",
        (WayOfEntry::National, None) => "way-national",
        (WayOfEntry::International, None) => "way-international",
    };
    words.text(id)
}

/// The forms of a report.
pub fn format_of(report: &Report) -> Format {
    let costs = report.legs().flat_map(|(_, leg)| [&leg.call, &leg.conference]).flatten();
    let totals = &report.totals;
    let amounts = costs.filter(|cost| cost.payer == PaidBy::Convener).map(|cost| cost.net);
    let amounts = amounts.chain([totals.net, totals.gross]).chain(totals.vat_lines.iter().map(|line| line.vat));
    let start = report.started_at.or(report.running_since);
    Format::new(report.language, report.zone(), report.currency, start, amounts)
}

impl View {
    /// The words of a report.
    pub fn of(report: &Report) -> Self {
        let format = format_of(report);
        let words = format.words;
        let title = title_of(report, words);
        let failed = report.state == ConferenceState::Failed;
        let start = report.started_at.or(report.running_since);
        let date = start.map(|start| format.date(start)).unwrap_or_default();
        let subject = words.with(
            if failed { "report-subject-failed" } else { "report-subject" },
            &[("title", title.as_str().into()), ("date", date.as_str().into())],
        );
        let when = start.map(|start| match report.ended_at {
            Some(end) => format!("{}, {}–{}", format.long_date(start), format.clock(start), format.clock(end)),
            None => format!("{}, {}", format.long_date(start), format.clock(start)),
        });
        let timeline = Timeline::of(report);
        let mut bars = timeline.as_ref().map(Timeline::cells).unwrap_or_default();
        bars.resize_with(report.participants.len(), Vec::new);
        let participants: Vec<Person> = report.participants.iter().zip(bars).map(|(participant, bars)| person(participant, bars, &format)).collect();
        let were_in = words.with("were-in", &[("count", report.were_in.into()), ("total", report.participants.len().into())]);
        let erased = report.erased_at.map(|at| words.with("report-erased", &[("date", format.long_date(at).as_str().into())]));
        let alert = match report.state {
            _ if erased.is_some() => erased,
            ConferenceState::Running => Some(words.text("report-running")),
            ConferenceState::Failed => Some(words.text("report-failed")),
            ConferenceState::Ended => None,
        };
        Self {
            language: words.language().code(),
            subject: shorten(&subject, 200),
            file_name: file_name(report, &format),
            when,
            kind: words.text("report-kind"),
            alert,
            failed,
            reason: report.reason.as_deref().and_then(|reason| words.find(&reason_id(reason), &[])),
            were_in,
            convener: convener(report, &format),
            figures: figures(report, &format),
            participants,
            cost: cost_lines(report, &format),
            total: Figure { label: words.text("report-total"), value: format.amount(report.totals.gross) },
            notes: notes(report, &format),
            bars: timeline.as_ref().map(Timeline::ends),
            legend: Kind::LEGEND
                .into_iter()
                .map(|(kind, id)| Legend { picture: super::timeline::legend_picture(kind), colour: colour(kind), words: words.text(id) })
                .collect(),
            title,
            words,
        }
    }
}

/// A reason's message; a word from elsewhere cannot name another message.
fn reason_id(reason: &str) -> String {
    format!("reason-{}", reason.replace('_', "-"))
}

/// The colour of a cell; a failed call and an end that was not seen are marked, not only coloured, in the words beside the bar.
fn colour(kind: Kind) -> &'static str {
    match kind {
        Kind::Ring => "#9dbfe6",
        Kind::Call => "#8fc3a4",
        Kind::In => "#1d7544",
        Kind::Unsure => "#6a6157",
        Kind::Fail => "#ad3125",
    }
}

fn file_name(report: &Report, format: &Format) -> String {
    let kind = format.words.text("report-file");
    match report.started_at.or(report.running_since) {
        Some(start) => format!("{kind}-{}", format.local(start).strftime("%Y-%m-%d")),
        None => kind,
    }
}

fn convener(report: &Report, format: &Format) -> Person {
    let of_roster = report.participants.iter().find(|participant| participant.convener);
    Person {
        name: clean(&report.convener),
        number: of_roster.map(|participant| unbroken(&participant.number)).unwrap_or_default(),
        convener: true,
        legs: Vec::new(),
        not_called: of_roster.filter(|convener| convener.legs.is_empty()).map(|_| format.words.text("outcome-not-called")),
        bars: Vec::new(),
    }
}

fn person(participant: &ReportParticipant, bars: Vec<(Option<Kind>, usize)>, format: &Format) -> Person {
    let shown = unbroken(&participant.number);
    let name = clean(&participant.name);
    Person {
        name: if name.is_empty() { shown.clone() } else { name },
        convener: participant.convener,
        legs: participant.legs.iter().map(|each| leg(each, &participant.number, format)).collect(),
        not_called: participant.legs.is_empty().then(|| format.words.text("outcome-not-called")),
        number: shown,
        bars: bars.into_iter().map(|(kind, width)| (kind.map(colour), width)).collect(),
    }
}

fn leg(leg: &ReportLeg, own_number: &str, format: &Format) -> Leg {
    let words = format.words;
    let mut details = Vec::new();
    if leg.joined_at.is_none() {
        if leg.outcome == Some(Outcome::Answered) {
            details.push(words.text("not-admitted"));
        }
        if let Some(at) = leg.dialled_at {
            details.push(words.with("called-at", &[("time", format.time(at).as_str().into())]));
        }
    }
    let evidence = match leg.evidence {
        Some(Evidence::SwitchRecord) => Some("evidence-switch-record"),
        Some(Evidence::Snapshot) => Some("evidence-snapshot"),
        Some(Evidence::ProofOfLife) => Some("evidence-proof-of-life"),
        Some(Evidence::Event) | None => None,
    };
    details.extend(evidence.map(|id| words.text(id)));
    let time = |at: Option<jiff::Timestamp>| at.map_or_else(|| DASH.to_owned(), |at| format.time(at));
    Leg {
        attempt: (leg.attempt > 1).then(|| {
            let id = if leg.way_of_entry == WayOfEntry::WebOut { "attempt" } else { "call-in" };
            words.with(id, &[("number", leg.attempt.into())])
        }),
        way: way_of(leg, words),
        number: (leg.number != own_number).then(|| unbroken(&leg.number)),
        time_in: time(leg.joined_at),
        time_out: time(leg.left_at.filter(|_| leg.joined_at.is_some())),
        duration: leg.joined_at.map_or_else(|| DASH.to_owned(), |_| duration(leg.seconds)),
        outcome: words.text(outcome_id(leg.outcome)),
        tone: match leg.outcome {
            Some(Outcome::Answered) => "in",
            Some(Outcome::Cancelled) | None => "idle",
            Some(_) => "fail",
        },
        details,
        call: cost(leg.call.as_ref(), format),
        conference: cost(leg.conference.as_ref(), format),
    }
}
