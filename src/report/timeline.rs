//! The picture of who was in when: one row for each participant, in local time.
//!
//! Drawn twice from the same rows: as SVG for page and attachment, and as coloured table cells for mail programs, which show no SVG.

use std::fmt::Write;

use jiff::Timestamp;

use super::data::{Report, ReportLeg, ReportParticipant};
use super::format::{Format, shorten};
use super::view;
use crate::conference::Outcome;
use crate::pbx::Evidence;

/// What a stretch of a row means. Later ones are painted over earlier ones where both fall on the same place.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Kind {
    /// Being called.
    Ring,
    /// Connected, but outside the conference: greeting, waiting, closing.
    Call,
    /// In the conference.
    In,
    /// The end was not seen.
    Unsure,
    /// The call failed.
    Fail,
}

impl Kind {
    /// Every kind, in the order of the legend, with the message that names it.
    pub const LEGEND: [(Self, &str); 5] = [
        (Self::In, "legend-in"),
        (Self::Call, "legend-call"),
        (Self::Ring, "legend-ring"),
        (Self::Fail, "legend-fail"),
        (Self::Unsure, "legend-unsure"),
    ];

    fn class(self) -> &'static str {
        match self {
            Self::Ring => "tl-ring",
            Self::Call => "tl-call",
            Self::In => "tl-in",
            Self::Unsure => "tl-unsure",
            Self::Fail => "tl-fail",
        }
    }

    fn message(self) -> &'static str {
        Self::LEGEND.iter().find(|(kind, _)| *kind == self).map_or("", |(_, message)| message)
    }
}

/// A stretch of a row.
struct Segment {
    kind: Kind,
    from: Timestamp,
    to: Timestamp,
}

/// A participant's row.
struct Row {
    name: String,
    segments: Vec<Segment>,
    /// Said beside the row when he was never in.
    caption: Option<Caption>,
}

/// Words beside a row.
struct Caption {
    text: String,
    failed: bool,
}

/// The picture before it is drawn.
pub struct Timeline<'a> {
    format: Format,
    report: &'a Report,
    from: Timestamp,
    to: Timestamp,
    rows: Vec<Row>,
}

/// The stretches of a leg.
fn segments(leg: &ReportLeg, now: Timestamp) -> Vec<Segment> {
    let end = leg.ended_at.unwrap_or(now);
    let mut segments = Vec::new();
    let mut add = |kind, from: Option<Timestamp>, to: Timestamp| {
        if let Some(from) = from.filter(|from| *from <= to) {
            segments.push(Segment { kind, from, to });
        }
    };
    add(Kind::Ring, leg.dialled_at, leg.answered_at.unwrap_or(end));
    add(Kind::Call, leg.answered_at, end);
    add(Kind::In, leg.joined_at, leg.left_at.unwrap_or(end));
    if matches!(leg.evidence, Some(Evidence::Snapshot | Evidence::ProofOfLife)) {
        add(Kind::Unsure, Some(end), end);
    }
    if leg.outcome.is_some_and(|outcome| outcome != Outcome::Answered) {
        add(Kind::Fail, Some(end), end);
    }
    segments
}

/// Why a participant never was in.
fn caption(participant: &ReportParticipant, format: &Format) -> Caption {
    let Some(last) = participant.legs.last() else {
        return Caption { text: format.words.text("outcome-not-called"), failed: false };
    };
    if last.outcome == Some(Outcome::Answered) {
        return Caption { text: format.words.text("not-admitted"), failed: false };
    }
    let outcome = format.words.text(view::outcome_id(last.outcome));
    let attempts = format.words.with("attempts-count", &[("count", participant.legs.len().into())]);
    let text = if participant.legs.len() > 1 { format!("{outcome}, {attempts}") } else { outcome };
    Caption { text, failed: last.outcome.is_some() }
}

impl<'a> Timeline<'a> {
    /// The timeline of a report; `None` when nobody was called.
    pub fn of(report: &'a Report) -> Option<Self> {
        let moments =
            || report.legs().flat_map(|(_, leg)| [leg.dialled_at, leg.answered_at, leg.joined_at, leg.left_at, leg.ended_at].into_iter().flatten());
        let from = moments().min()?;
        let last = moments().chain(report.ended_at).max()?;
        let to = if last.as_second() > from.as_second() { last } else { from.checked_add(jiff::SignedDuration::from_secs(60)).ok()? };
        let format = view::format_of(report);
        let rows = report.participants.iter().map(|participant| {
            let caption = (!participant.was_in).then(|| caption(participant, &format));
            Row { name: shorten(&participant.name, 60), segments: participant.legs.iter().flat_map(|leg| segments(leg, to)).collect(), caption }
        });
        Some(Self { rows: rows.collect(), report, from, to, format })
    }

    /// Where a moment lies between the beginning (0) and the end (1).
    #[expect(clippy::cast_precision_loss, reason = "a place in a picture")]
    fn place(&self, at: Timestamp) -> f64 {
        let whole = self.to.as_millisecond() - self.from.as_millisecond();
        let part = at.as_millisecond() - self.from.as_millisecond();
        (part as f64 / whole.max(1) as f64).clamp(0.0, 1.0)
    }

    /// Round moments of local time for the axis, at most nine, and their labels.
    fn ticks(&self) -> Vec<(Timestamp, String)> {
        const STEPS: [i64; 17] = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 14_400, 43_200, 86_400];
        let (from, to) = (self.from.as_second(), self.to.as_second());
        let Some(step) = STEPS.into_iter().find(|step| (to - from) / step <= 8) else {
            return Vec::new();
        };
        let offset = i64::from(self.format.local(self.from).offset().seconds());
        let first = (from + offset).div_euclid(step) * step - offset;
        let moments = (0..).map(|count| first + count * step).take_while(|second| *second <= to);
        let ticks = moments.filter(|second| *second >= from).filter_map(|second| Timestamp::from_second(second).ok());
        let label = |at| match step {
            ..60 => self.format.time(at),
            60..86_400 => self.format.clock(at),
            _ => self.format.date(at),
        };
        ticks.map(|at| (at, label(at))).collect()
    }

    fn tooltip(&self, row: &Row, segment: &Segment) -> String {
        let what = self.format.words.text(segment.kind.message());
        let (from, to) = (self.format.time(segment.from), self.format.time(segment.to));
        if from == to { format!("{}: {what}, {from}", row.name) } else { format!("{}: {what}, {from}–{to}", row.name) }
    }

    /// The picture as SVG: complete in itself, with its own colours, title and description.
    pub fn svg(&self) -> String {
        const WIDTH: f64 = 960.0;
        const NAMES: f64 = 176.0;
        const TOP: f64 = 34.0;
        const ROW: f64 = 32.0;
        const RIGHT: f64 = 24.0;
        let x = |at| NAMES + self.place(at) * (WIDTH - NAMES - RIGHT);
        let rows = u32::try_from(self.rows.len()).unwrap_or(u32::MAX);
        let height = TOP + ROW * f64::from(rows) + 4.0;
        let words = self.format.words;
        let (start, end) = (self.format.time(self.from), self.format.time(self.to));
        let description = words.with("report-timeline-alt", &[("start", start.as_str().into()), ("end", end.as_str().into())]);
        let mut svg = String::new();
        let mut draw = |text: std::fmt::Arguments| {
            // Writing to a string cannot fail.
            let _ = svg.write_fmt(text);
        };
        draw(format_args!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" lang=\"{}\" role=\"img\" aria-labelledby=\"tl-title tl-desc\">\
             <title id=\"tl-title\">{}: {}</title><desc id=\"tl-desc\">{}</desc>",
            words.language().code(),
            escape(&words.text("report-timeline")),
            escape(&view::title_of(self.report, words)),
            escape(&description),
        ));
        draw(format_args!("<style>{STYLE}</style>{DEFINITIONS}"));
        draw(format_args!("<clipPath id=\"tl-names\"><rect width=\"{}\" height=\"{height}\"/></clipPath>", NAMES - 12.0));
        draw(format_args!("<rect class=\"tl-paper\" width=\"{WIDTH}\" height=\"{height}\"/>"));
        for (at, label) in self.ticks() {
            let x = x(at);
            draw(format_args!(
                "<line class=\"tl-grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{:.1}\" y2=\"{height}\"/><text class=\"tl-axis\" x=\"{x:.1}\" y=\"18\" text-anchor=\"middle\">{}</text>",
                TOP - 8.0,
                escape(&label),
            ));
        }
        for (place, row) in (0_u32..).zip(&self.rows) {
            let top = TOP + ROW * f64::from(place);
            let middle = top + ROW / 2.0;
            draw(format_args!("<g><line class=\"tl-grid\" x1=\"0\" x2=\"{WIDTH}\" y1=\"{top:.1}\" y2=\"{top:.1}\"/>"));
            draw(format_args!(
                "<text class=\"tl-name\" x=\"0\" y=\"{:.1}\" clip-path=\"url(#tl-names)\">{}</text>",
                middle + 5.0,
                escape(&shorten(&row.name, 24)),
            ));
            for segment in &row.segments {
                let (from, width) = (x(segment.from), x(segment.to) - x(segment.from));
                let title = escape(&self.tooltip(row, segment));
                let class = segment.kind.class();
                match segment.kind {
                    Kind::Fail => draw(format_args!(
                        "<path class=\"{class}\" d=\"M{:.1} {:.1}l10 10m0 -10l-10 10\"><title>{title}</title></path>",
                        from - 5.0,
                        middle - 5.0,
                    )),
                    kind => {
                        let half = match kind {
                            Kind::Ring => 3.0,
                            Kind::Call => 5.0,
                            _ => 9.0,
                        };
                        let width = if kind == Kind::Unsure { 12.0 } else { width.max(3.0) };
                        draw(format_args!(
                            "<rect class=\"{class}\" x=\"{from:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"{:.1}\" rx=\"2\"><title>{title}</title></rect>",
                            middle - half,
                            half * 2.0,
                        ));
                    }
                }
            }
            if let Some(caption) = &row.caption {
                let after = row.segments.last().map_or(NAMES + 6.0, |last| x(last.to) + 12.0);
                // Beside the mark, on the side where there is room.
                let (at, anchor) = if after < WIDTH * 0.7 { (after, "start") } else { (after - 24.0, "end") };
                draw(format_args!(
                    "<text class=\"tl-caption{}\" x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{}</text>",
                    if caption.failed { " tl-bad" } else { "" },
                    middle + 4.5,
                    escape(&caption.text),
                ));
            }
            draw(format_args!("</g>"));
        }
        draw(format_args!("</svg>"));
        svg
    }

    /// The rows as cells of a table: for each participant stretches of a hundred parts that add up to a hundred.
    pub fn cells(&self) -> Vec<Vec<(Option<Kind>, usize)>> {
        let part = |at| {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`place` lies between 0 and 1")]
            let part = (self.place(at) * 100.0) as usize;
            part.min(99)
        };
        let cells_of = |row: &Row| {
            let mut parts = [None; 100];
            for segment in &row.segments {
                for place in &mut parts[part(segment.from)..=part(segment.to)] {
                    *place = (*place).max(Some(segment.kind));
                }
            }
            let mut cells: Vec<(Option<Kind>, usize)> = Vec::new();
            for kind in parts {
                match cells.last_mut() {
                    Some((last, width)) if *last == kind => *width += 1,
                    _ => cells.push((kind, 1)),
                }
            }
            cells
        };
        self.rows.iter().map(cells_of).collect()
    }

    /// When the picture begins and ends, as local times.
    pub fn ends(&self) -> (String, String) {
        (self.format.time(self.from), self.format.time(self.to))
    }
}

/// Colours and type of the picture; the classes have a name of their own, as the style of an inline picture holds for its whole page.
const STYLE: &str = ".tl-paper{fill:#fff}.tl-name,.tl-axis,.tl-caption{font-family:-apple-system,'Segoe UI',Roboto,'Noto Sans','Liberation Sans',Arial,sans-serif}\
.tl-name{font-size:14px;fill:#131c1b}.tl-axis{font-size:13px;fill:#465250;font-variant-numeric:tabular-nums}.tl-caption{font-size:13px;fill:#465250}.tl-bad{fill:#86231a}\
.tl-grid{stroke:#d3d9d5;stroke-width:1}.tl-in{fill:#1d7544}.tl-call{fill:#8fc3a4}.tl-ring{fill:#fff;stroke:#1d5ba3;stroke-width:1.5}\
.tl-fail{fill:none;stroke:#ad3125;stroke-width:2.5;stroke-linecap:round}.tl-unsure{fill:url(#tl-hatch);stroke:#6a6157;stroke-width:1}";

/// The hatching of what was not seen.
const DEFINITIONS: &str = "<defs><pattern id=\"tl-hatch\" width=\"5\" height=\"5\" patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\">\
<rect width=\"5\" height=\"5\" fill=\"#f3f0ea\"/><path d=\"M0 0V5\" stroke=\"#6a6157\" stroke-width=\"2\"/></pattern></defs>";

/// A small picture of a kind, for the legend.
pub fn legend_picture(kind: Kind) -> String {
    let class = kind.class();
    let shape = match kind {
        Kind::Ring => {
            format!("<rect class=\"{class}\" x=\"1\" y=\"4\" width=\"24\" height=\"6\" rx=\"2\"/>")
        }
        Kind::Call => {
            format!("<rect class=\"{class}\" y=\"2\" width=\"26\" height=\"10\" rx=\"2\"/>")
        }
        Kind::In => format!("<rect class=\"{class}\" width=\"26\" height=\"14\" rx=\"2\"/>"),
        Kind::Unsure => {
            format!("<rect class=\"{class}\" x=\"7\" y=\"1\" width=\"12\" height=\"12\" rx=\"2\"/>")
        }
        Kind::Fail => format!("<path class=\"{class}\" d=\"M8 2l10 10m0 -10l-10 10\"/>"),
    };
    format!("<svg width=\"26\" height=\"14\" viewBox=\"0 0 26 14\" aria-hidden=\"true\">{shape}</svg>")
}

/// Text as it may stand in XML between tags and in quotes.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}
