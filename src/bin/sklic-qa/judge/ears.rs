//! Judges recordings.

use crate::expect::{Heard, Sound};
use crate::hearing::{self, Stretch};
use crate::play::Play;
use crate::rtp::Recording;
use crate::sound::RATE;
use anyhow::{Context, Result, bail, ensure};
use std::time::{Duration, Instant};

/// What was said before a control took effect may still be on its way for so long.
const ON_ITS_WAY: Duration = Duration::from_millis(250);

/// The expectation in words.
pub fn words(heard: &Heard, verb: &str) -> String {
    let mut words = format!("{} {verb} {}", heard.by.0.join(", "), heard.what);
    for (when, step) in [("during", &heard.during), ("after", &heard.after), ("before", &heard.before)] {
        if let Some(step) = step {
            words.push_str(&format!(" {when} `{step}`"));
        }
    }
    words
}

/// The time in which to listen.
///
/// Something that is to be heard after a step may begin while the step is being done;
/// what is not to be heard any more may still sound until it is done.
fn window(play: &Play<'_>, heard: &Heard, wanted: bool) -> Result<(Instant, Instant)> {
    let mark = |name: &Option<String>| match name {
        None => Ok(None),
        Some(name) => play.marks.get(name).copied().map(Some).with_context(|| format!("the step `{name}` was not played")),
    };
    let (during, after, before) = (mark(&heard.during)?, mark(&heard.after)?, mark(&heard.before)?);
    let from = during.map(|mark| mark.began).or(after.map(|mark| if wanted { mark.began } else { mark.done })).unwrap_or(play.began);
    let to = during.map(|mark| mark.done).or(before.map(|mark| mark.began)).unwrap_or_else(Instant::now);
    Ok((from, to))
}

fn find(play: &Play<'_>, name: &str, sound: &Sound, from: Instant, to: Instant) -> Result<(Vec<i16>, Vec<Stretch>)> {
    let samples = play.ears(name)?.heard(from, to);
    let found = sound.find(&samples, |prompt| play.stage.prompt(&play.scenario.account.language, prompt))?;
    Ok((samples, found))
}

/// Judges `heard`.
pub fn heard(play: &Play<'_>, heard: &Heard) -> Result<String> {
    let (from, to) = window(play, heard, true)?;
    let mut measured = Vec::new();
    for name in &heard.by.0 {
        let (samples, found) = find(play, name, &heard.what, from, to)?;
        let ms: usize = found.iter().map(Stretch::ms).sum();
        let instead = || format!("{name} {} in {:.1} s", what_was_heard(play, &samples), samples.len() as f64 / RATE as f64);
        ensure!(!found.is_empty(), "not heard: {}", instead());
        if let Some(times) = heard.times {
            ensure!(found.len() == times, "{name} heard {} {} times", heard.what, found.len());
        }
        let wanted = heard.min_ms.unwrap_or(1);
        ensure!(ms >= wanted, "heard for {ms} ms only, not {wanted}: {}", instead());
        measured.push(format!("{name}: {}", stretches(&found)));
    }
    Ok(measured.join("; "))
}

/// Judges `not_heard`.
pub fn not_heard(play: &Play<'_>, heard: &Heard) -> Result<String> {
    let (from, to) = window(play, heard, false)?;
    // What was said before the window opened arrives a moment later.
    let from = if heard.during.is_some() || heard.after.is_some() { from + ON_ITS_WAY } else { from };
    ensure!(to > from + ON_ITS_WAY, "the time to listen in is only {} ms long", to.saturating_duration_since(from).as_millis());
    let mut measured = Vec::new();
    for name in &heard.by.0 {
        let (samples, found) = find(play, name, &heard.what, from, to)?;
        if !found.is_empty() {
            bail!("{name} heard {}: {}", heard.what, stretches(&found));
        }
        // Only audio that was really received can prove silence.
        let received = play.ears(name)?.recordings().iter().map(|recording| overlap(recording, from, to)).sum::<usize>();
        ensure!(
            heard.during.is_none() || received * 2 > samples.len(),
            "{name} received only {} ms of audio in {} ms: that proves nothing",
            received * 1000 / RATE,
            samples.len() * 1000 / RATE
        );
        measured.push(format!("{name}: nothing in {} ms", samples.len() * 1000 / RATE));
    }
    Ok(measured.join("; "))
}

fn overlap(recording: &Recording, from: Instant, to: Instant) -> usize {
    let end = recording.began + Duration::from_millis((recording.samples.len() * 1000 / RATE) as u64);
    let common = end.min(to).saturating_duration_since(recording.began.max(from));
    common.as_millis() as usize * RATE / 1000
}

/// Judges `first_and_alone`: nobody else is called before the convener's beep is over.
pub fn first_and_alone(play: &Play<'_>, name: &str) -> Result<String> {
    let first = play.calls(name).into_iter().next().with_context(|| format!("{name} was never called"))?;
    let recording = play.ears(name)?.recordings().into_iter().next().with_context(|| format!("{name} heard nothing"))?;
    let beep = hearing::beep(&recording.samples).into_iter().next().with_context(|| format!("{name} heard no beep"))?;
    // The recording hears a beep a little late, never early; a packet and a look of tolerance.
    let over = recording.began + Duration::from_millis((beep.end * 1000 / RATE) as u64) - Duration::from_millis(80);
    let mut gap = Duration::MAX;
    for other in play.members.keys().filter(|other| *other != name) {
        for call in play.calls(other) {
            ensure!(call.invited > first.invited, "{other} was called before {name}");
            ensure!(
                call.invited >= over,
                "{other} was called {} ms before the beep of {name} was over",
                over.duration_since(call.invited).as_millis()
            );
            gap = gap.min(call.invited.duration_since(over));
        }
    }
    let alone = over.duration_since(first.invited).as_secs_f64();
    let others = if gap == Duration::MAX { String::new() } else { format!(", the next call {} ms after the beep", gap.as_millis()) };
    Ok(format!("alone for {alone:.1} s{others}"))
}

fn stretches(found: &[Stretch]) -> String {
    let at = |sample: usize| sample as f64 / RATE as f64;
    let mut words: Vec<String> = found.iter().take(4).map(|stretch| format!("{:.2}–{:.2} s", at(stretch.start), at(stretch.end))).collect();
    if found.len() > 4 {
        words.push(format!("and {} more", found.len() - 4));
    }
    words.join(", ")
}

/// Everything that can be recognised in samples, for the message of a failed expectation.
fn what_was_heard(play: &Play<'_>, samples: &[i16]) -> String {
    let mut heard = Vec::new();
    for phone in &play.scenario.phones {
        if let Some(Ok(hertz)) = phone.says.strip_prefix("tone ").map(str::parse::<u32>) {
            let found = hearing::tone(samples, hertz);
            if !found.is_empty() {
                heard.push(format!("{} Hz of {} ({})", hertz, phone.name, stretches(&found)));
            }
        }
    }
    let beeps = hearing::beep(samples);
    if !beeps.is_empty() {
        heard.push(format!("the beep ({})", stretches(&beeps)));
    }
    for prompt in ["greeting", "closing", "goodbye", "locked", "apology", "waiting"] {
        let found = play.stage.prompt(&play.scenario.account.language, prompt).map(|wanted| hearing::prompt(samples, &wanted)).unwrap_or_default();
        if let Some((stretch, score)) = found.first() {
            heard.push(format!("`{prompt}` ({}, alike {score:.2})", stretches(&[*stretch])));
        }
    }
    if heard.is_empty() { format!("heard nothing known (loudness {:.4})", hearing::loudness(samples)) } else { format!("heard {}", heard.join(", ")) }
}

/// When a phone was inside the conference, as it heard it: from the end of its entry beep to the closing or goodbye.
pub fn inside(play: &Play<'_>, name: &str, index: usize) -> Option<(Instant, Instant)> {
    let recording = play.ears(name).ok()?.recordings().into_iter().nth(index)?;
    let moment = |sample: usize| recording.began + Duration::from_millis((sample * 1000 / RATE) as u64);
    let beep = hearing::beep(&recording.samples).into_iter().next()?;
    let language = &play.scenario.account.language;
    let mut end = recording.samples.len();
    for prompt in ["closing", "goodbye"] {
        let wanted = play.stage.prompt(language, prompt).ok()?;
        for (stretch, _) in hearing::prompt(&recording.samples, &wanted) {
            end = end.min(stretch.start);
        }
    }
    Some((moment(beep.end), moment(end)))
}
