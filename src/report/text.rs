//! The plain-text part of the mail: readable in columns, at most 78 characters a line but for long names.

use super::view::{Leg, Person, View};
use crate::delivery::Branding;

/// The plain-text part of the mail: the report, and whose service it is.
pub fn mail(view: &View, branding: &Branding) -> String {
    let mut text = render(view);
    for line in [&branding.name, &branding.footer].into_iter().filter(|line| !line.is_empty()) {
        text.push_str(&wrapped(line, "").join("\n"));
        text.push('\n');
    }
    text
}

/// The report as plain text.
pub fn render(view: &View) -> String {
    let words = view.words;
    let mut lines = vec![view.kind.clone(), view.title.clone()];
    lines.extend(view.when.clone());
    lines.push(String::new());
    for sentence in [&view.alert, &view.reason].into_iter().flatten() {
        lines.extend(wrapped(sentence, ""));
    }
    lines.extend(wrapped(&view.were_in, ""));
    lines.push(String::new());
    let convener = joined(&[&view.convener.name, &view.convener.number]);
    let label = words.text("report-convener");
    let facts: Vec<(&str, &str)> = std::iter::once((label.as_str(), convener.as_str()))
        .chain(view.figures.iter().map(|figure| (figure.label.as_str(), figure.value.as_str())))
        .collect();
    let widest = facts.iter().map(|(label, _)| width(label)).max().unwrap_or(0);
    lines.extend(facts.iter().map(|(label, value)| format!("{}  {value}", padded(label, widest))));

    heading(&mut lines, &words.text("report-entries"));
    for person in &view.participants {
        entries(&mut lines, person, view);
    }

    heading(&mut lines, &words.text("report-cost-heading"));
    let cost: Vec<(&str, &str)> =
        view.cost.iter().chain(std::iter::once(&view.total)).map(|line| (line.label.as_str(), line.value.as_str())).collect();
    let labels = cost.iter().map(|(label, _)| width(label)).max().unwrap_or(0);
    let values = cost.iter().map(|(_, value)| width(value)).max().unwrap_or(0);
    for (place, (label, value)) in cost.iter().enumerate() {
        if place + 1 == cost.len() {
            lines.push("-".repeat(labels + 2 + values));
        }
        lines.push(format!("{}  {}{value}", padded(label, labels), " ".repeat(values - width(value))));
    }
    lines.push(String::new());
    for note in &view.notes {
        lines.extend(wrapped(note, ""));
    }
    if view.bars.is_some() {
        lines.extend(wrapped(&words.text("report-attachments"), ""));
    }
    lines.extend(wrapped(&words.text("report-automatic"), ""));
    lines.push(String::new());
    // Lines end where this file ends them, so nothing has to be held together.
    lines.join("\n").replace('\u{a0}', " ")
}

/// The longest line.
const WIDTH: usize = 78;

fn heading(lines: &mut Vec<String>, text: &str) {
    lines.push(String::new());
    lines.push(text.to_owned());
    lines.push("=".repeat(width(text)));
}

fn entries(lines: &mut Vec<String>, person: &Person, view: &View) {
    let tag = if person.convener { format!(" ({})", view.words.text("report-convener-tag")) } else { String::new() };
    let number = if person.number == person.name { "" } else { person.number.as_str() };
    lines.push(joined(&[&format!("{}{tag}", person.name), number]));
    for leg in &person.legs {
        lines.extend(entry(leg, view));
    }
    if let Some(not_called) = &person.not_called {
        lines.push(format!("  {not_called}"));
    }
}

fn entry(leg: &Leg, view: &View) -> Vec<String> {
    let words = view.words;
    let times =
        if leg.duration == leg.time_in { padded("–", 29) } else { padded(&format!("{}–{}  {}", leg.time_in, leg.time_out, leg.duration), 29) };
    let way = joined(&[&leg.way, leg.attempt.as_deref().unwrap_or(""), leg.number.as_deref().unwrap_or("")]);
    let mut lines = vec![format!("  {times}{}{way}", padded(&leg.outcome, 20))];
    for detail in &leg.details {
        lines.extend(wrapped(detail, "    "));
    }
    let costs = [("report-call", &leg.call), ("report-conference-component", &leg.conference)];
    let costs: Vec<String> = costs
        .into_iter()
        .filter(|(_, cost)| cost.amount || cost.text != "–")
        .map(|(id, cost)| format!("{}: {}", words.text(id), cost.text))
        .collect();
    if !costs.is_empty() {
        lines.push(format!("    {}", costs.join("   ")));
    }
    lines
}

/// The parts that are not empty, with commas between them.
fn joined(parts: &[&str]) -> String {
    parts.iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join(", ")
}

/// How many characters wide a text is; enough for our own words, which are in Latin letters.
fn width(text: &str) -> usize {
    text.chars().count()
}

fn padded(text: &str, to: usize) -> String {
    format!("{text}{}", " ".repeat(to.saturating_sub(width(text))))
}

/// A sentence over as many lines as it needs.
fn wrapped(text: &str, indent: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = indent.to_owned();
    for word in text.split(' ') {
        if line.len() > indent.len() && width(&line) + 1 + width(word) > WIDTH {
            lines.push(std::mem::replace(&mut line, indent.to_owned()));
        }
        if line.len() > indent.len() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines
}
