//! The report of a conference (R8): data first, then pure renderers of it.
//!
//! The runtime fills a [`ReportInput`] from storage; [`Report::of`] weighs it; [`render_mail`] and the other functions here turn it
//! into mail, page, text, CSV and picture, in the account's language and time zone.
//! Nothing here reads a clock, a file or the network: the same report gives the same bytes, so a mail that is sent again is the same mail.
//!
//! What people and phones put into names and numbers is data (R16): templates escape it, [`format::clean`] takes control characters and
//! direction overrides out and shortens it, and the CSV keeps it from becoming a formula.

mod csv;
mod data;
mod format;
mod html;
mod money_view;
mod text;
mod timeline;
mod view;
mod words;

use crate::delivery::Branding;

pub use data::{ConferenceState, LegInput, ParticipantInput, Report, ReportCharge, ReportInput, ReportLeg, ReportParticipant, Totals, VatLine};
pub use words::{Amount, Words};

/// A mail that is ready to be sent, but for its addresses.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mail {
    /// The subject, without control characters and not longer than a line.
    pub subject: String,
    /// The plain-text part.
    pub text: String,
    /// The HTML part; it needs no other file to be understood.
    pub html: String,
    /// The CSV and the timeline.
    pub attachments: Vec<Attachment>,
}

/// A file that goes with a mail.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Attachment {
    /// Its name: ASCII letters, digits, hyphens and a point.
    pub name: String,
    /// Its media type.
    pub media_type: &'static str,
    /// Its bytes.
    pub content: Vec<u8>,
}

/// The mail to the convener: text, HTML, CSV and timeline, under the name of the operator's service.
///
/// A conference in which nobody was called has no timeline.
#[must_use]
pub fn render_mail(report: &Report, branding: &Branding) -> Mail {
    let view = view::View::of(report);
    let csv = Attachment { name: format!("{}.csv", view.file_name), media_type: "text/csv; charset=utf-8", content: render_csv(report).into_bytes() };
    let svg = render_timeline(report).map(|picture| Attachment {
        name: format!("{}.svg", view.file_name),
        media_type: "image/svg+xml",
        content: picture.into_bytes(),
    });
    Mail {
        subject: view.subject.clone(),
        text: text::mail(&view, branding),
        html: html::mail(&view, branding),
        attachments: std::iter::once(csv).chain(svg).collect(),
    }
}

/// The report as a page of its own: to be read on a screen or printed.
#[must_use]
pub fn render_html(report: &Report) -> String {
    html::page(&view::View::of(report), render_timeline(report))
}

/// The report as plain text.
#[must_use]
pub fn render_text(report: &Report) -> String {
    text::render(&view::View::of(report))
}

/// The report as a spreadsheet: a row for each leg. See `src/report/csv.rs` for its form.
#[must_use]
pub fn render_csv(report: &Report) -> String {
    csv::render(report)
}

/// Who was in when, as an SVG picture; `None` when nobody was called.
#[must_use]
pub fn render_timeline(report: &Report) -> Option<String> {
    timeline::Timeline::of(report).map(|timeline| timeline.svg())
}

/// A value as it is written into a spreadsheet: with an apostrophe before it if it would be taken for a formula.
#[must_use]
pub fn spreadsheet_value(value: &str) -> String {
    csv::guarded(value)
}

/// A number as people write it: `+386 1 555 02 11`; short numbers and what is no number as they are.
#[must_use]
pub fn spaced_number(number: &str) -> String {
    format::number(number)
}

/// The name of the report's file without its ending: ASCII, such as `porocilo-2026-11-22`.
#[must_use]
pub fn file_name(report: &Report) -> String {
    view::View::of(report).file_name
}
