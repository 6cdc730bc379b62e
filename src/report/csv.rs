//! The report as a spreadsheet: a header and a row for each leg, a row without times for who was not called.
//!
//! It is made for the convener's spreadsheet; programs read the JSON.
//! Header and words are in the account's language, and so are the separators, because spreadsheets open a file by the rules of
//! their own language: Slovene has semicolons and decimal commas, English has commas and decimal points (RFC 4180 otherwise).
//! UTF-8 with a byte-order mark, without which spreadsheets take `č` for two other letters. Lines end with CR LF.
//! Times are local, `2026-11-22 10:00:12`; amounts are exact, with four decimals, without VAT unless the column says so.
//!
//! A value that begins with `=`, `+`, `-`, `@`, a tab or a carriage return would be a formula (OWASP "CSV injection"), so an apostrophe
//! is put before it, which spreadsheets show as the beginning of a text.
//! Telephone numbers are left alone: `+` followed by digits and spaces only computes nothing, and the spaces
//! (`+386 1 555 02 11`) keep a spreadsheet from turning it into a plain number without its `+`.

use ::csv::{Terminator, WriterBuilder};

use super::data::{Report, ReportCharge, ReportLeg, ReportParticipant};
use super::format::{Format, number, shorten};
use super::view;
use crate::billing::{ChargeStatus, PaidBy};
use crate::pbx::{Evidence, Language};

/// The columns, as messages, in order.
pub const COLUMNS: [&str; 24] = [
    "csv-participant",
    "csv-convener",
    "csv-number",
    "csv-attempt",
    "csv-way",
    "csv-access-number",
    "csv-called-at",
    "csv-answered-at",
    "csv-joined-at",
    "csv-left-at",
    "csv-ended-at",
    "csv-seconds",
    "csv-outcome",
    "csv-evidence",
    "csv-call-payer",
    "csv-call-seconds",
    "csv-call-net",
    "csv-call-vat",
    "csv-conference-payer",
    "csv-conference-seconds",
    "csv-conference-net",
    "csv-conference-vat",
    "csv-currency",
    "csv-time-zone",
];

/// The report as CSV text.
pub fn render(report: &Report) -> String {
    let format = view::format_of(report);
    let delimiter = match report.language {
        Language::Sl => b';',
        Language::En => b',',
    };
    let mut writer = WriterBuilder::new().delimiter(delimiter).terminator(Terminator::CRLF).from_writer(Vec::new());
    let mut rows = vec![COLUMNS.map(|column| format.words.text(column)).to_vec()];
    for participant in &report.participants {
        if participant.legs.is_empty() {
            rows.push(row(report, participant, None, &format));
        }
        rows.extend(participant.legs.iter().map(|leg| row(report, participant, Some(leg), &format)));
    }
    for row in rows {
        // All rows have the same length, and writing to memory does not fail.
        let _ = writer.write_record(row.iter().map(|value| guarded(value)));
    }
    let bytes = writer.into_inner().unwrap_or_default();
    format!("\u{feff}{}", String::from_utf8_lossy(&bytes))
}

/// The value, unless a spreadsheet would take it for a formula.
pub(super) fn guarded(value: &str) -> String {
    let dangerous = value.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || byte == b' ');
    let is_number = value.strip_prefix('+').is_some_and(digits);
    let is_amount = value.strip_prefix('-').is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b',')));
    if dangerous && !is_number && !is_amount { format!("'{value}") } else { value.to_owned() }
}

fn row(report: &Report, participant: &ReportParticipant, leg: Option<&ReportLeg>, format: &Format) -> Vec<String> {
    let words = format.words;
    let text = |id: &str| words.text(id);
    let time = |at: Option<jiff::Timestamp>| at.map(|at| format.sortable(at)).unwrap_or_default();
    let mut row = vec![
        shorten(&participant.name, 1_000),
        text(if participant.convener { "csv-yes" } else { "csv-no" }),
        number(leg.map_or(&participant.number, |leg| &leg.number)),
    ];
    match leg {
        Some(leg) => {
            row.extend([
                leg.attempt.to_string(),
                view::way_of(&ReportLeg { access_number: None, ..leg.clone() }, words),
                leg.access_number.as_deref().map(number).unwrap_or_default(),
                time(leg.dialled_at),
                time(leg.answered_at),
                time(leg.joined_at),
                time(leg.left_at),
                time(leg.ended_at),
                leg.seconds.to_string(),
                text(view::outcome_id(leg.outcome)),
                leg.evidence.map(|evidence| text(evidence_id(evidence))).unwrap_or_default(),
            ]);
            row.extend(cost(leg.call.as_ref(), format));
            row.extend(cost(leg.conference.as_ref(), format));
        }
        None => {
            row.resize(12, String::new());
            row.push(text("outcome-not-called"));
            row.resize(22, String::new());
        }
    }
    row.extend([report.currency.to_string(), shorten(&report.time_zone, 60)]);
    row
}

fn evidence_id(evidence: Evidence) -> &'static str {
    match evidence {
        Evidence::Event => "csv-evidence-event",
        Evidence::SwitchRecord => "csv-evidence-switch-record",
        Evidence::Snapshot => "csv-evidence-snapshot",
        Evidence::ProofOfLife => "csv-evidence-proof-of-life",
    }
}

/// Payer, charged seconds, net and VAT; what the caller pays, and what has no price, has no amount here.
fn cost(charge: Option<&ReportCharge>, format: &Format) -> [String; 4] {
    let Some(charge) = charge else {
        return Default::default();
    };
    let payer = match charge.payer {
        PaidBy::Convener => "csv-payer-convener",
        PaidBy::Caller => "csv-payer-caller",
    };
    let payer = format.words.text(payer);
    match (charge.status, charge.payer) {
        (ChargeStatus::Unrated | ChargeStatus::Error, _) => [payer, String::new(), format.words.text("report-not-priced"), String::new()],
        (ChargeStatus::Rated, PaidBy::Convener) => {
            [payer, charge.billed_seconds.to_string(), format.bare_amount(charge.net), format.bare_amount(charge.vat)]
        }
        _ => [payer, String::new(), String::new(), String::new()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_be_a_formula_is_a_text() {
        for (value, written) in [
            ("=1+1", "'=1+1"),
            ("+SUM(A1)", "'+SUM(A1)"),
            ("+386 1 555 02 11", "+386 1 555 02 11"),
            ("+386-1", "'+386-1"),
            ("-1+1", "'-1+1"),
            ("-12,3400", "-12,3400"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "'\t=1"),
            ("Ana =1", "Ana =1"),
            ("", ""),
        ] {
            assert_eq!(guarded(value), written);
        }
    }
}
