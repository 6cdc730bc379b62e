//! The small parts of the scenarios' language: durations, moments, causes, stable words.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sklic::pbx::EndCause;

use crate::world::ZERO;

/// `3s`, `100ms`, `5m`, `2h`.
pub fn duration(text: &str) -> Result<SignedDuration, String> {
    let digits = text.trim_end_matches(char::is_alphabetic);
    let number: i64 = digits.parse().map_err(|_| format!("{text}: no duration"))?;
    match &text[digits.len()..] {
        "ms" => Ok(SignedDuration::from_millis(number)),
        "s" => Ok(SignedDuration::from_secs(number)),
        "m" => Ok(SignedDuration::from_mins(number)),
        "h" => Ok(SignedDuration::from_hours(number)),
        _ => Err(format!("{text}: no duration")),
    }
}

/// A moment, given as the time since the beginning; `never` lies long before it.
pub fn moment(text: &str) -> Result<Timestamp, String> {
    match text.strip_prefix('-') {
        Some(before) => Ok(ZERO - duration(before)?),
        None => Ok(ZERO + duration(text)?),
    }
}

/// `sip=486 q850=17 ring_timeout join_refused`.
pub fn cause(words: &[&str]) -> Result<EndCause, String> {
    let mut cause = EndCause::default();
    for word in words.iter().filter(|word| !word.is_empty()) {
        match word.split_once('=') {
            Some(("sip", code)) => cause.sip = Some(code.parse().map_err(|_| format!("{word}: no SIP status"))?),
            Some(("q850", code)) => cause.q850 = Some(code.parse().map_err(|_| format!("{word}: no Q.850 cause"))?),
            None if *word == "ring_timeout" => cause.ring_timeout = true,
            None if *word == "join_refused" => cause.join_refused = true,
            _ => return Err(format!("{word}: no such cause")),
        }
    }
    Ok(cause)
}

/// `key=value`.
pub fn split_pair(text: &str) -> Result<(&str, &str), String> {
    text.split_once('=').ok_or_else(|| format!("{text}: use key=value"))
}

/// The stable word of a value, as in the API.
pub fn word<T: Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        other => format!("{other:?}"),
    }
}

/// The value of a stable word.
pub fn parse_word<T: DeserializeOwned>(word: &str) -> Result<T, String> {
    serde_json::from_value(serde_json::Value::String(word.to_owned())).map_err(|fault| format!("{word}: {fault}"))
}
