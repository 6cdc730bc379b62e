//! The demo: one scenario told aloud, then what it left behind.

use crate::api::words;
use crate::judge::{amount, decimal};
use crate::run::{self, Left};
use crate::scenario::Scenario;
use crate::stage::Stage;
use crate::tell::{Teller, person_words};
use serde_json::Value;

/// Plays the demo; true if everything was right.
pub async fn demo(scenario: &Scenario, stage: &Stage) -> bool {
    println!("\n{}\n", scenario.summary);
    let (verdict, left) = run::run(scenario, stage, Teller::aloud(), true).await;
    if let Some(left) = &left {
        show(left);
    }
    for failure in &verdict.failures {
        println!("NOT AS IT SHOULD BE  {failure}");
    }
    if let Some(kept) = &verdict.kept {
        println!("\nRecordings of what the phones heard, SIP traces and logs: {}", kept.display());
    }
    let judged = if verdict.passed() { "everything was right" } else { "something was wrong" };
    println!(
        "\n{} of {} expectations met in {:.0} s: {judged}",
        verdict.judged.saturating_sub(verdict.failures.len()),
        verdict.judged,
        verdict.took.as_secs_f64()
    );
    verdict.passed()
}

fn show(left: &Left) {
    heading("Measured");
    for judgement in &left.judgements {
        match &judgement.instead {
            None if judgement.measured.is_empty() => println!("  ✓ {}", judgement.expected),
            None => println!("  ✓ {} [{}]", judgement.expected, judgement.measured),
            Some(instead) => println!("  ✗ {}: {instead}", judgement.expected),
        }
    }
    heading("Roster");
    roster(&left.papers.report);
    for mail in &left.papers.mails {
        heading("The mail as it arrived");
        println!("  Subject: {}\n", mail.subject);
        for line in mail.text.lines() {
            println!("  {line}");
        }
        for (kind, content) in &mail.parts {
            println!("  [{}: {} bytes]", kind.split(';').next().unwrap_or(kind), content.len());
        }
    }
    heading("Charges");
    charges(&left.papers.report, &left.papers.charges);
}

fn heading(words: &str) {
    println!("\n── {words} {}", "─".repeat(70usize.saturating_sub(words.chars().count())));
}

fn roster(report: &Value) {
    let rows = report["participants"].as_array().into_iter().flatten().flat_map(|person| {
        let legs = person["legs"].as_array().cloned().unwrap_or_default();
        legs.into_iter().map(move |leg| {
            vec![
                words(&person["name"]),
                words(&leg["number"]),
                person_words(&words(&leg["outcome"])).trim_start_matches("… ").to_owned(),
                words(&leg["way_of_entry"]),
                time_of_day(&leg["joined_at"]),
                time_of_day(&leg["left_at"]),
                words(&leg["seconds"]),
            ]
        })
    });
    table(&["name", "number", "outcome", "way", "in", "out", "s"], rows.collect());
}

fn charges(report: &Value, charges: &[Value]) {
    let name_of = |leg: &Value| {
        let people = report["participants"].as_array().into_iter().flatten();
        let mut owners = people.filter(|person| person["legs"].as_array().is_some_and(|legs| legs.iter().any(|other| other["leg"] == *leg)));
        owners.next().map_or_else(String::new, |person| words(&person["name"]))
    };
    let mut sums = [0i128; 3];
    let mut rows: Vec<Vec<String>> = Vec::new();
    for charge in charges {
        for (sum, field) in sums.iter_mut().zip(["net", "vat", "gross"]) {
            *sum += decimal(&words(&charge[field])).unwrap_or(0);
        }
        let mut row = vec![name_of(&charge["leg"])];
        row.extend(["component", "payer", "seconds", "billed_seconds", "net", "vat", "gross"].map(|field| words(&charge[field])));
        rows.push(row);
    }
    let mut last = vec!["together".to_owned(), String::new(), String::new(), String::new(), String::new()];
    last.extend(sums.map(amount));
    rows.push(last);
    table(&["name", "component", "payer", "s", "billed s", "net", "VAT", "gross"], rows);
}

fn time_of_day(value: &Value) -> String {
    let moment = value.as_str().and_then(|text| text.parse::<jiff::Timestamp>().ok());
    moment.map_or_else(|| "–".to_owned(), |moment| moment.to_zoned(jiff::tz::TimeZone::system()).strftime("%H:%M:%S").to_string())
}

/// Prints a table with columns as wide as they need.
pub fn table(head: &[&str], rows: Vec<Vec<String>>) {
    let mut all = vec![head.iter().map(ToString::to_string).collect::<Vec<_>>()];
    all.extend(rows);
    let width = |column: usize| all.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    for row in &all {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell}{}", " ".repeat(width - cell.chars().count())));
        println!("  {}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
}
