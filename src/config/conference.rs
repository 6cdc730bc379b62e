//! Section `[conference]`: the rules that the operator sets.

use serde::Deserialize;

use crate::billing::Money;
use crate::conference::{AtCap, Settings};
use crate::pbx::Language;

/// Rules of conferences.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConferenceConfig {
    /// How long a phone rings, in seconds.
    pub ring_timeout_seconds: u32,
    /// How long a control may stay unconfirmed, in seconds.
    pub command_timeout_seconds: u32,
    /// The most people in one conference, the convener included.
    pub max_participants: u32,
    /// The longest a conference may last, in seconds.
    pub max_length_seconds: u32,
    /// How long the closing announcement and the hang-ups may take, in seconds.
    pub closing_seconds: u32,
    /// How long greeting and beep may take, in seconds.
    pub greeting_seconds: u32,
    /// How long an ending conference waits for a lost switch, in seconds.
    pub link_patience_seconds: u32,
    /// The most conferences of one account at the same time.
    pub max_conferences_per_account: u32,
    /// The most conferences of one account that are planned and not started.
    pub max_planned_per_account: u32,
    /// Beginnings of numbers that may be dialled, in normal form; an empty list allows every number in the world.
    pub allowed_prefixes: Vec<String>,
    /// How long before the greatest length the convener hears a warning, in seconds; 0 warns him not.
    pub length_warning_seconds: u32,
    /// What an account may cost in a day, with VAT; without it there is no cap.
    pub daily_spend_cap: Option<Money>,
    /// At which part of the cap the convener hears a warning, in percent.
    pub spend_warning_percent: u32,
    /// What happens at the cap.
    pub at_cap: AtCap,
    /// Where the days begin over which spending is summed (IANA name).
    pub spend_time_zone: String,
}

impl Default for ConferenceConfig {
    fn default() -> Self {
        let rules = Settings::default();
        Self {
            ring_timeout_seconds: rules.ring_timeout_seconds,
            command_timeout_seconds: rules.control_timeout_seconds,
            max_participants: rules.max_participants,
            max_length_seconds: rules.max_length_seconds,
            closing_seconds: rules.closing_seconds,
            greeting_seconds: rules.greeting_seconds,
            link_patience_seconds: rules.link_patience_seconds,
            max_conferences_per_account: 20,
            max_planned_per_account: 1_000,
            allowed_prefixes: Vec::new(),
            length_warning_seconds: 300,
            daily_spend_cap: None,
            spend_warning_percent: 80,
            at_cap: AtCap::NoNewCalls,
            spend_time_zone: "Europe/Ljubljana".into(),
        }
    }
}

/// Whether a text is the beginning of numbers in normal form: `+` and digits, `+` alone for all that are not short, or a short number.
#[must_use]
pub fn is_prefix(text: &str) -> bool {
    let digits = text.strip_prefix('+').unwrap_or(text);
    !text.is_empty() && text.len() <= 16 && digits.bytes().all(|byte| byte.is_ascii_digit())
}

impl ConferenceConfig {
    pub(super) fn check(&self) -> Result<(), String> {
        let within = |key: &str, value: u32, least: u32, most: u32| {
            if (least..=most).contains(&value) { Ok(()) } else { Err(format!("{key}: {value} is not between {least} and {most}")) }
        };
        within("ring_timeout_seconds", self.ring_timeout_seconds, 3, 300)?;
        within("command_timeout_seconds", self.command_timeout_seconds, 1, 60)?;
        within("max_participants", self.max_participants, 2, 5000)?;
        within("max_length_seconds", self.max_length_seconds, 60, 7 * 86_400)?;
        within("closing_seconds", self.closing_seconds, 5, 300)?;
        within("greeting_seconds", self.greeting_seconds, 5, 300)?;
        within("link_patience_seconds", self.link_patience_seconds, 10, 86_400)?;
        within("max_conferences_per_account", self.max_conferences_per_account, 1, 10_000)?;
        within("max_planned_per_account", self.max_planned_per_account, 1, 1_000_000)?;
        within("length_warning_seconds", self.length_warning_seconds, 0, 3_600)?;
        within("spend_warning_percent", self.spend_warning_percent, 1, 100)?;
        if self.daily_spend_cap.is_some_and(|cap| cap < Money::ZERO) {
            return Err("daily_spend_cap: is negative".into());
        }
        jiff::tz::TimeZone::get(&self.spend_time_zone).map_err(|_| format!("spend_time_zone: there is no time zone {:?}", self.spend_time_zone))?;
        for (at, prefix) in self.allowed_prefixes.iter().enumerate() {
            if !is_prefix(prefix) {
                return Err(format!("allowed_prefixes[{at}]: {prefix:?} is not + and digits, or a short number"));
            }
        }
        Ok(())
    }

    /// Whether a number in normal form may be dialled (R13).
    #[must_use]
    pub fn allows(&self, number: &str) -> bool {
        self.allowed_prefixes.is_empty() || self.allowed_prefixes.iter().any(|prefix| number.starts_with(prefix.as_str()))
    }

    /// The settings of a conference that starts now on a switch with this pace.
    #[must_use]
    pub fn settings(&self, language: Language, calls_per_second: u32) -> Settings {
        Settings {
            language,
            ring_timeout_seconds: self.ring_timeout_seconds,
            control_timeout_seconds: self.command_timeout_seconds,
            calls_per_second,
            max_participants: self.max_participants,
            max_length_seconds: self.max_length_seconds,
            closing_seconds: self.closing_seconds,
            greeting_seconds: self.greeting_seconds,
            link_patience_seconds: self.link_patience_seconds,
            length_warning_seconds: self.length_warning_seconds,
            edition: Settings::EDITION,
            ..Settings::default()
        }
    }
}
