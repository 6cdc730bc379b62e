//! Says aloud what happens, for the demo; the other scenarios are played in silence.

use crate::api::View;
use std::time::Instant;

/// A voice, or none.
#[derive(Debug, Default)]
pub struct Teller {
    aloud: bool,
    told: usize,
}

impl Teller {
    /// One that speaks.
    pub fn aloud() -> Self {
        Self { aloud: true, told: 0 }
    }

    /// Says something that happens now.
    pub fn say(&self, words: &str) {
        if self.aloud {
            println!("{}  {words}", clock(Instant::now()));
        }
    }

    /// Says what the stream has shown since the last time.
    pub fn narrate(&mut self, view: &View, convener: Option<&str>) {
        for seen in view.history.iter().skip(self.told) {
            let what = if seen.who.is_empty() {
                format!("── the conference is {}", conference_words(&seen.state, &view.head("reason")))
            } else {
                let name = view.field(&seen.who, "name");
                let role = if Some(name.as_str()) == convener { " (convener)" } else { "" };
                format!("   {name}{role} {}", person_words(&seen.state))
            };
            if self.aloud {
                println!("{}  {what}", clock(seen.at));
            }
        }
        self.told = view.history.len();
    }
}

/// The wall clock at a moment, in local time.
pub fn clock(moment: Instant) -> String {
    let ago = jiff::SignedDuration::try_from(moment.elapsed()).unwrap_or_default();
    let at = sklic::clock::now().checked_sub(ago).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    at.to_zoned(jiff::tz::TimeZone::system()).strftime("%H:%M:%S%.1f").to_string()
}

fn conference_words(state: &str, reason: &str) -> String {
    let words = match state {
        "planned" => "planned",
        "calling_convener" => "calling its convener",
        "running" => "running",
        "closing" => "closing",
        "ended" => "over",
        "failed" => "off",
        other => other,
    };
    if reason.is_empty() { words.to_owned() } else { format!("{words} ({reason})") }
}

/// A participant's state in words.
pub fn person_words(state: &str) -> &str {
    match state {
        "not_called" => "is on the list",
        "queued" => "waits for the call",
        "calling" => "is called",
        "ringing" => "… ringing",
        "greeting" => "… answered, hears the greeting",
        "in" => "… is in the conference",
        "leaving" => "hears the goodbye",
        "left" => "has left",
        "not_in" => "answered and hung up before coming in",
        "busy" => "… is busy",
        "no_answer" => "… does not answer",
        "rejected" => "… rejects the call",
        "unreachable" => "… cannot be reached",
        "invalid_number" => "… has a number that does not exist",
        "congested" => "… cannot be called: no circuit",
        "not_accepted" => "… did not accept",
        "cancelled" => "… is no longer called",
        "failed" => "… could not be called",
        "unknown" => "is in an unknown state: the switch is silent",
        other => other,
    }
}
