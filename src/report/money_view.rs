//! Figures, cost and notes of the report in words.

use super::data::{Report, ReportCharge};
use super::format::{Format, clean, duration};
use super::view::{Cost, DASH, Figure};
use crate::billing::{ChargeStatus, Money, PaidBy, WayOfEntry};

/// The figures at the top: length, how many were in, legs, cost.
pub fn figures(report: &Report, format: &Format) -> Vec<Figure> {
    let words = format.words;
    let were_in = words.with("report-in-value", &[("count", report.were_in.into()), ("total", report.participants.len().into())]);
    [
        ("report-length", duration(report.seconds)),
        ("report-in", were_in),
        ("report-legs", report.legs().count().to_string()),
        ("report-cost", format.cents(report.totals.gross)),
    ]
    .into_iter()
    .map(|(id, value)| Figure { label: words.text(id), value })
    .collect()
}

/// The lines of the convener's cost above the total.
pub fn cost_lines(report: &Report, format: &Format) -> Vec<Figure> {
    let words = format.words;
    let totals = &report.totals;
    let mut lines = vec![
        Figure { label: words.text("report-total-calls"), value: format.amount(totals.call_net) },
        Figure { label: words.text("report-total-conference"), value: format.amount(totals.conference_net) },
        Figure { label: words.text("report-total-net"), value: format.amount(totals.net) },
    ];
    lines.extend(totals.vat_lines.iter().map(|line| {
        let (percent, net) = (format.percent(line.percent), format.amount(line.net));
        let label = words.with("report-total-vat", &[("percent", percent.as_str().into()), ("net", net.as_str().into())]);
        Figure { label, value: format.amount(line.vat) }
    }));
    lines
}

/// What has to be said about prices, payers and times.
pub fn notes(report: &Report, format: &Format) -> Vec<String> {
    let words = format.words;
    let mut notes = Vec::new();
    if report.totals.not_priced > 0 {
        notes.push(words.with("not-priced", &[("count", report.totals.not_priced.into())]));
    }
    if report.legs().any(|(_, leg)| leg.way_of_entry != WayOfEntry::WebOut) {
        notes.push(words.text("report-cost-note"));
    }
    notes.push(words.text("report-net-hint"));
    let zone = clean(&report.time_zone);
    let known = report.zone().iana_name().is_some_and(|name| name.eq_ignore_ascii_case(&report.time_zone));
    notes.push(words.with(if known { "report-zone-note" } else { "report-zone-unknown" }, &[("zone", zone.as_str().into())]));
    notes
}

/// What a component of a leg costs, or why no amount stands there.
pub fn cost(charge: Option<&ReportCharge>, format: &Format) -> Cost {
    let words = format.words;
    let (text, amount) = match charge {
        None => (DASH.to_owned(), false),
        Some(ReportCharge { status: ChargeStatus::Unrated | ChargeStatus::Error, .. }) => (words.text("report-not-priced"), false),
        Some(ReportCharge { payer: PaidBy::Caller, .. }) => (words.text("report-caller-pays"), false),
        // Nobody asks the convener for it.
        Some(ReportCharge { status: ChargeStatus::Informational, .. }) => (format.amount(Money::ZERO), true),
        Some(charge) => (format.amount(charge.net), true),
    };
    Cost { text, amount }
}
