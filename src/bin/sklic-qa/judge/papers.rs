//! Judges what the service wrote: report, charges, mail.

use super::{Papers, answered, ears, same, sums};
use crate::api::words;
use crate::expect::{Charge, Mail, ReportRow};
use crate::network::Call;
use crate::play::Play;
use anyhow::{Context, Result, bail, ensure};
use jiff::Timestamp;
use serde_json::Value;
use std::time::{Duration, Instant};

/// Times of the service and of the phone may differ by so much.
const TOLERANCE_S: f64 = 1.0;
/// The papers come at most so long after the end.
const PATIENCE: Duration = Duration::from_secs(15);

/// Fetches the report, once it says that the conference is over.
pub async fn report(play: &Play<'_>, conference: &str) -> Result<Value> {
    let began = Instant::now();
    loop {
        let (status, report) = play.account.api.send("GET", &format!("/api/v1/conferences/{conference}/report.json"), None).await?;
        if status == 200 && ["ended", "failed"].contains(&words(&report["state"]).as_str()) {
            return Ok(report);
        }
        ensure!(began.elapsed() < PATIENCE, "no report of the ended conference after {} s: {status} {report}", PATIENCE.as_secs());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Fetches the charges, once there are two for each answered leg of the report or time is up.
pub async fn charges(play: &Play<'_>, conference: &str, report: &Value) -> Result<Vec<Value>> {
    let began = Instant::now();
    loop {
        let answer = play.account.api.call("GET", &format!("/api/v1/charges?conference={conference}"), None).await?;
        let rows = ["charges", "items", "rows"].iter().find_map(|name| answer[*name].as_array()).or(answer.as_array());
        let rows = rows.with_context(|| format!("GET /charges gave no list: {answer}"))?.clone();
        let people = report["participants"].as_array().into_iter().flatten();
        let legs = people.flat_map(|person| person["legs"].as_array().into_iter().flatten());
        let written = legs.filter(|leg| !leg["answered_at"].is_null()).count();
        let seen: usize = play.members.keys().map(|name| answered(play, name).len()).sum();
        let answered = written.max(seen);
        if rows.len() >= answered || began.elapsed() > PATIENCE {
            // Both components of a leg come in one transaction, but those of the last leg may be on their way.
            if rows.len() >= 2 * answered || began.elapsed() > Duration::from_secs(3) {
                return Ok(rows);
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Waits for the mails that are expected, and a little longer for those that are not.
pub async fn mails(play: &Play<'_>) -> Result<Vec<crate::mail::Mail>> {
    let wanted = play.scenario.expectations.iter().find_map(|expectation| match &expectation.kind {
        crate::expect::Kind::Mail(mail) => Some(mail.count),
        _ => None,
    });
    let began = Instant::now();
    while play.stage.mails(&play.account.email)?.len() < wanted.unwrap_or(0) && began.elapsed() < PATIENCE {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // A second mail, sent by mistake, would follow closely.
    tokio::time::sleep(Duration::from_millis(500)).await;
    play.stage.mails(&play.account.email)
}

/// The legs of a person in the report.
fn legs<'a>(play: &Play<'_>, papers: &'a Papers, name: &str) -> Result<&'a Vec<Value>> {
    let person = &play.members[name][0].person;
    let people = papers.report["participants"].as_array().context("the report has no participants")?;
    let row = people.iter().find(|row| words(&row["name"]) == *person).with_context(|| format!("{person} is not in the report"))?;
    row["legs"].as_array().with_context(|| format!("{person} has no legs in the report"))
}

fn time(leg: &Value, field: &str) -> Option<Timestamp> {
    leg[field].as_str()?.parse().ok()
}

fn seconds_between(from: Instant, to: Instant) -> f64 {
    to.saturating_duration_since(from).as_secs_f64()
}

fn close(what: &str, written: f64, seen: f64) -> Result<String> {
    ensure!((written - seen).abs() <= TOLERANCE_S, "{what}: the service wrote {written:.1} s, the phone saw {seen:.1} s");
    Ok(format!("{what}: written {written:.1} s, seen {seen:.1} s"))
}

/// Judges `report`.
pub fn report_row(play: &Play<'_>, papers: &Papers, row: &ReportRow) -> Result<String> {
    let mut measured = Vec::new();
    for name in &row.who.0 {
        let legs = legs(play, papers, name)?;
        if let Some(rows) = row.rows {
            same(&format!("the number of rows of {name}"), &rows, &legs.len())?;
        }
        let index = row.call.map_or(legs.len().saturating_sub(1), |call| call.saturating_sub(1));
        let leg = legs.get(index).with_context(|| format!("{name} has only {} rows", legs.len()))?;
        for (field, wanted) in [("outcome", &row.outcome), ("way_of_entry", &row.way), ("evidence", &row.evidence)] {
            if let Some(wanted) = wanted {
                same(&format!("{field} of {name}"), wanted, &words(&leg[field]))?;
            }
        }
        let calls = play.calls(name);
        if let Some(call) = calls.get(index) {
            measured.extend(times_fit(play, name, index, leg, call, row.evidence.is_some())?);
        }
    }
    Ok(measured.join("; "))
}

/// Compares the times of a leg with what its phone saw.
fn times_fit(play: &Play<'_>, name: &str, index: usize, leg: &Value, call: &Call, guessed: bool) -> Result<Option<String>> {
    let Some(answered_at) = call.answered else {
        ensure!(time(leg, "answered_at").is_none(), "{name} never answered, and the report says when he did");
        return Ok(None);
    };
    let written = time(leg, "answered_at").with_context(|| format!("the report does not say when {name} answered"))?;
    let ended = time(leg, "ended_at").with_context(|| format!("the report does not say when the call of {name} ended"))?;
    let Some((ended_at, _)) = call.ended else {
        return Ok(None);
    };
    if guessed {
        // The end comes from other evidence than the event; it is never later than the phone's.
        ensure!(
            ended.duration_since(written).as_secs_f64() <= seconds_between(answered_at, ended_at) + TOLERANCE_S,
            "{name} is in the report past the end of the call"
        );
        return Ok(None);
    }
    let measured = close(&format!("call of {name}"), ended.duration_since(written).as_secs_f64(), seconds_between(answered_at, ended_at))?;
    let answered_before = play.calls(name).iter().take(index).filter(|call| call.answered.is_some()).count();
    if let (Some(joined), Some(left), Some((from, to))) = (time(leg, "joined_at"), time(leg, "left_at"), ears::inside(play, name, answered_before)) {
        let inside = close(&format!("conference of {name}"), left.duration_since(joined).as_secs_f64(), seconds_between(from, to))?;
        return Ok(Some(format!("{measured}; {inside}")));
    }
    Ok(Some(measured))
}

/// Judges `charge`.
pub fn charge(play: &Play<'_>, papers: &Papers, charge: &Charge) -> Result<String> {
    let price = &play.scenario.prices[&charge.price];
    let mut measured = Vec::new();
    for name in &charge.who.0 {
        let index = charge.call.map_or(0, |call| call.saturating_sub(1));
        let legs = legs(play, papers, name)?;
        let leg = legs
            .iter()
            .filter(|leg| !leg["answered_at"].is_null())
            .nth(index)
            .with_context(|| format!("{name} has no answered call {} in the report", index + 1))?;
        let row = only_row(papers, &leg["leg"], &charge.component).with_context(|| format!("the {} component of {name}", charge.component))?;
        same("the payer", &charge.payer, &words(&row["payer"]))?;
        same("the status", &charge.status, &words(&row["status"]))?;
        let seconds = row["seconds"].as_u64().context("the charge has no seconds")?;
        let seen = seen_seconds(play, name, index, &charge.component)?;
        if let Some(seen) = seen {
            // Seconds are rounded up, so the written value may be one higher as well.
            ensure!((seconds as f64 - seen).abs() <= TOLERANCE_S + 1.0, "{name}: {seconds} s are charged, the phone saw {seen:.1} s");
        }
        let sum = sums::sum(price, seconds)?;
        let money = |field: &str| sums::decimal(&words(&row[field])).with_context(|| format!("the charge's {field}"));
        same("the billed seconds", &sum.billed, &words(&row["billed_seconds"]).parse::<u64>().context("the charge's billed_seconds")?)?;
        for (field, wanted) in [("net", sum.net), ("vat", sum.vat), ("gross", sum.net + sum.vat)] {
            let is = money(field)?;
            ensure!(is == wanted, "{name}: {field} for {seconds} s is {}, not {}", sums::amount(is), sums::amount(wanted));
        }
        if let Some(by_hand) = &charge.net {
            ensure!(
                sums::decimal(by_hand)? == sum.net,
                "{name}: net for {seconds} s is {}, not {by_hand} as written in the scenario",
                sums::amount(sum.net)
            );
        }
        measured.push(format!("{name}: {seconds} s, billed {} s, net {}, VAT {}", sum.billed, sums::amount(sum.net), sums::amount(sum.vat)));
    }
    Ok(measured.join("; "))
}

/// The one row of a leg's component; reversed rows and their reversals have no place in a scenario.
fn only_row<'a>(papers: &'a Papers, leg: &Value, component: &str) -> Result<&'a Value> {
    let rows: Vec<&Value> = papers.charges.iter().filter(|row| row["leg"] == *leg && words(&row["component"]) == component).collect();
    match rows[..] {
        [row] => Ok(row),
        [] => bail!("is not charged"),
        _ => bail!("is charged {} times", rows.len()),
    }
}

/// How long a phone saw its answered call, or heard itself inside the conference.
fn seen_seconds(play: &Play<'_>, name: &str, index: usize, component: &str) -> Result<Option<f64>> {
    if component == "conference" {
        return Ok(ears::inside(play, name, index).map(|(from, to)| seconds_between(from, to)));
    }
    if play.stage.pbx == "simulator" {
        return Ok(None);
    }
    let calls = answered(play, name);
    let call = calls.get(index).with_context(|| format!("{name} answered only {} calls", calls.len()))?;
    Ok(call.answered.zip(call.ended).map(|(from, (to, _))| seconds_between(from, to)))
}

/// Judges `no_charge`.
pub fn no_charge(play: &Play<'_>, papers: &Papers, names: &[String]) -> Result<String> {
    for name in names {
        for leg in legs(play, papers, name)? {
            let rows = papers.charges.iter().filter(|row| row["leg"] == leg["leg"]).count();
            ensure!(rows == 0, "{name} has {rows} charges");
        }
    }
    Ok(String::new())
}

/// Judges `mail`.
pub fn mail(play: &Play<'_>, papers: &Papers, wanted: &Mail) -> Result<String> {
    let mails = &papers.mails;
    ensure!(mails.len() == wanted.count, "{} mails arrived for {}", mails.len(), play.account.email);
    let Some(mail) = mails.first() else {
        return Ok(String::new());
    };
    if let Some(subject) = &wanted.subject {
        ensure!(mail.subject.contains(subject.as_str()), "the subject is `{}`", mail.subject);
    }
    for text in &wanted.contains {
        ensure!(mail.text.contains(text.as_str()), "the text lacks `{text}`:\n{}", mail.text);
    }
    let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
    for name in &wanted.names {
        let member = &play.members[name][0];
        ensure!(mail.text.contains(&member.person), "the text lacks {}:\n{}", member.person, mail.text);
        // The number may be written with spaces, or in its national form.
        let number = digits(&member.number);
        ensure!(
            digits(&mail.text).contains(number.strip_prefix("386").unwrap_or(&number)),
            "the text lacks the number {}:\n{}",
            member.number,
            mail.text
        );
    }
    Ok(format!("\"{}\"", mail.subject))
}
