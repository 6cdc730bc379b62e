//! Judges a played scenario: every expectation against what was seen, heard, written and mailed.

mod ears;
mod papers;
mod sums;

use crate::api::View;
use crate::expect::{Expectation, Kind};
use crate::mail::Mail;
use crate::network::{Call, Side};
use crate::play::Play;
use anyhow::Result;
use serde_json::Value;
use std::time::Duration;

pub use sums::{amount, decimal};

/// What came of one expectation.
#[derive(Clone, Debug)]
pub struct Judgement {
    /// The expectation in words.
    pub expected: String,
    /// What was seen instead; `None` = it was so.
    pub instead: Option<String>,
    /// What was measured, for the demo.
    pub measured: String,
}

/// What the service has written about the conference.
#[derive(Clone, Debug, Default)]
pub struct Papers {
    /// The report as JSON.
    pub report: Value,
    /// The charges as JSON.
    pub charges: Vec<Value>,
    /// The mails.
    pub mails: Vec<Mail>,
}

/// Fetches report, charges and mails, as far as the expectations need them.
pub async fn fetch(play: &Play<'_>) -> Result<Papers> {
    let mut papers = Papers::default();
    let kinds = || play.scenario.expectations.iter().map(|expectation| &expectation.kind);
    let Some(conference) = &play.conference else {
        return Ok(papers);
    };
    if kinds().any(|kind| matches!(kind, Kind::Report(_) | Kind::Charge(_) | Kind::NoCharge(_) | Kind::ChargeRows(_))) {
        papers.report = papers::report(play, conference).await?;
        papers.charges = papers::charges(play, conference, &papers.report).await?;
    }
    if kinds().any(|kind| matches!(kind, Kind::Mail(_))) {
        papers.mails = papers::mails(play).await?;
    }
    Ok(papers)
}

/// Judges every expectation that can be judged on this switch.
pub fn judge(play: &Play<'_>, papers: &Papers) -> Vec<Judgement> {
    let expectations = play.scenario.expectations.iter();
    let judged = expectations.filter(|expectation| !expectation.kind.needs_phones() || play.stage.pbx != "simulator");
    judged
        .map(|expectation| {
            let (expected, verdict) = verdict(play, papers, expectation);
            let expected = expectation.say.clone().unwrap_or(expected);
            match verdict {
                Ok(measured) => Judgement { expected, instead: None, measured },
                Err(instead) => Judgement { expected, instead: Some(format!("{instead:#}")), measured: String::new() },
            }
        })
        .collect()
}

/// The expectation in words, and what was measured or what was seen instead.
fn verdict(play: &Play<'_>, papers: &Papers, expectation: &Expectation) -> (String, Result<String>) {
    match &expectation.kind {
        Kind::States(states) => (
            format!("{} goes through {}", states.who.0.join(", "), states.are.join(" → ")),
            in_view(play, |view| {
                for name in &states.who.0 {
                    for id in play.ids(name)? {
                        in_order(name, &view.states(&id), &states.are)?;
                    }
                }
                Ok(String::new())
            }),
        ),
        Kind::ConferenceStates(states) => (
            format!("the conference goes through {}", states.join(" → ")),
            in_view(play, |view| in_order("the conference", &view.states(""), states)),
        ),
        Kind::Reason(reason) => {
            (format!("the conference's reason is `{reason}`"), in_view(play, |view| same("the reason", reason, &view.head("reason"))))
        }
        Kind::Outcome(outcome) => (
            format!("the outcome of {} is `{}`", outcome.who.0.join(", "), outcome.outcome),
            in_view(play, |view| {
                for name in &outcome.who.0 {
                    for id in play.ids(name)? {
                        same(&format!("the outcome of {name}"), &outcome.outcome, &view.field(&id, "outcome"))?;
                    }
                }
                Ok(String::new())
            }),
        ),
        Kind::Heard(heard) => (ears::words(heard, "hears"), ears::heard(play, heard)),
        Kind::NotHeard(heard) => (ears::words(heard, "does not hear"), ears::not_heard(play, heard)),
        Kind::FirstAndAlone(name) => (format!("{name} is called first and alone"), ears::first_and_alone(play, name)),
        Kind::Called(names) => (called_words(names), called(play, names)),
        Kind::Calls(calls) => (
            format!("{} is called {} times", calls.who.0.join(", "), calls.count),
            calls
                .who
                .0
                .iter()
                .try_fold(String::new(), |_, name| same(&format!("the number of calls to {name}"), &calls.count, &play.calls(name).len())),
        ),
        Kind::EndedBy(ended) => {
            (format!("the call of {} is ended by the {}", ended.who.0.join(", "), ended.side), ended_by(play, &ended.who.0, &ended.side))
        }
        Kind::Report(row) => (format!("the report has the row of {}", row.who.0.join(", ")), papers::report_row(play, papers, row)),
        Kind::Charge(charge) => (
            format!("{} pays the {} component of {} at the price `{}`", charge.payer, charge.component, charge.who.0.join(", "), charge.price),
            papers::charge(play, papers, charge),
        ),
        Kind::NoCharge(who) => (format!("{} costs nothing", who.0.join(", ")), papers::no_charge(play, papers, &who.0)),
        Kind::ChargeRows(count) => (format!("there are {count} charges"), same("the number of charges", count, &papers.charges.len())),
        Kind::Mail(mail) => (format!("{} mail(s) arrive", mail.count), papers::mail(play, papers, mail)),
        Kind::Took(took) => (
            format!("from `{}` to `{}` it takes at most {} s", took.from.as_ref().unwrap_or(&took.step), took.step, took.at_most_s),
            took_at_most(play, took.from.as_ref().unwrap_or(&took.step), &took.step, took.at_most_s),
        ),
    }
}

fn in_view(play: &Play<'_>, look: impl FnOnce(&View) -> Result<String>) -> Result<String> {
    let Some(live) = &play.live else { anyhow::bail!("there was no conference") };
    // Cloned, because looking up people takes the view too.
    let view = live.view().clone();
    look(&view)
}

fn same<T: PartialEq<U> + std::fmt::Display + ?Sized, U: std::fmt::Display + ?Sized>(what: &str, wanted: &T, is: &U) -> Result<String> {
    anyhow::ensure!(*wanted == *is, "{what} is `{is}`, not `{wanted}`");
    Ok(String::new())
}

/// The wanted states come in this order, others may lie between, and the last one is the last.
fn in_order(who: &str, seen: &[&str], wanted: &[String]) -> Result<String> {
    let mut rest = seen.iter();
    for state in wanted {
        anyhow::ensure!(rest.any(|seen| seen == state), "{who}: no `{state}` at its place in {}", seen.join(" → "));
    }
    anyhow::ensure!(seen.last().copied() == wanted.last().map(String::as_str), "{who}: the last state is not the last of {}", seen.join(" → "));
    Ok(String::new())
}

fn called_words(names: &[String]) -> String {
    if names.is_empty() { "nobody is called".to_owned() } else { format!("nobody is called but {}", names.join(", ")) }
}

fn called(play: &Play<'_>, names: &[String]) -> Result<String> {
    // A phone that calls the switch by itself is not called.
    let calls_to = |name: &String| play.calls(name).iter().filter(|call| !call.by_phone).count();
    for name in names {
        anyhow::ensure!(calls_to(name) > 0, "{name} was never called");
    }
    for name in play.members.keys().filter(|name| !names.contains(name)) {
        let calls = calls_to(name);
        anyhow::ensure!(calls == 0, "{name} was called {calls} times");
    }
    let ours: Vec<String> = play.members.values().flatten().map(|member| crate::network::normal(&member.number)).collect();
    // Other scenarios may be played at the same time; their numbers are known to the network.
    let strangers: Vec<String> = play
        .stage
        .network
        .calls_since(play.began)
        .into_iter()
        .map(|call| call.number)
        .filter(|number| !ours.contains(number) && !play.stage.network.knows(number) && !play.stage.was_given(number))
        .collect();
    anyhow::ensure!(strangers.is_empty(), "numbers that nobody has were called: {}", strangers.join(", "));
    Ok(String::new())
}

fn ended_by(play: &Play<'_>, names: &[String], side: &str) -> Result<String> {
    for name in names {
        let ended = play.calls(name).last().and_then(|call| call.ended);
        let is = match ended {
            Some((_, Side::Phone)) => "phone",
            Some((_, Side::Switch)) => "switch",
            None => "nobody",
        };
        same(&format!("the one who ended the call of {name}"), side, is)?;
    }
    Ok(String::new())
}

fn took_at_most(play: &Play<'_>, from: &str, to: &str, at_most: f64) -> Result<String> {
    let took = match (play.marks.get(from), play.marks.get(to)) {
        (Some(from), Some(to)) => to.done.saturating_duration_since(from.began),
        _ => anyhow::bail!("the steps were not played"),
    };
    anyhow::ensure!(took <= Duration::from_secs_f64(at_most), "it took {:.1} s", took.as_secs_f64());
    Ok(format!("{:.1} s", took.as_secs_f64()))
}

/// The answered calls of a phone, oldest first.
fn answered(play: &Play<'_>, name: &str) -> Vec<Call> {
    play.calls(name).into_iter().filter(|call| call.answered.is_some()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_compared_in_order_and_to_the_end() {
        let wanted = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
        let seen = ["not_called", "queued", "calling", "in", "left"];
        assert!(in_order("ana", &seen, &wanted(&["calling", "in", "left"])).is_ok());
        assert!(in_order("ana", &seen, &wanted(&["in", "calling", "left"])).is_err(), "wrong order");
        assert!(in_order("ana", &seen, &wanted(&["calling", "in"])).is_err(), "something came after");
        assert!(in_order("ana", &seen, &wanted(&["ringing", "left"])).is_err(), "never seen");
    }
}
