//! Callers at the access numbers: how the dialplan's words about them are read, and what commands to them become.
//!
//! `[sklic-caller]` of the dialplan answers a caller, writes down who he is in one variable and tells it; from then on every command
//! sets variables of his channel and sends him to another step of that context, so that what was begun before is over at once.
//! His keys come as the switch's events of class `dtmf`, one by one: the dialplan's own way to read them would write codes and PINs
//! to the switch's log, and commands of asynchronous AGI (`GET DATA`) stay in line when he is sent on, and play to the next question.

use jiff::Timestamp;

use super::AsteriskConfig;
use super::codec::Action;
use super::translate::parse_epoch;
use crate::ids::{LegId, PassId};
use crate::pbx::wire::{self, UnsafeField};
use crate::pbx::{Admit, Bring, Caller, Language, Phrase, Role, files};

/// The variables in which the dialplan writes down who a caller is, in pieces: the list of channels cuts values at 511 characters.
pub const WHO: [&str; 7] = ["SKLIC_WHO1", "SKLIC_WHO2", "SKLIC_WHO3", "SKLIC_WHO4", "SKLIC_WHO5", "SKLIC_WHO6", "SKLIC_WHO7"];
/// The variable that tells whether a caller is in the service's hands.
pub const STATE: &str = "SKLIC_CALLER";
/// Its value while he is.
pub const HELD: &str = "held";
/// Its value once another switch has him.
pub const BROUGHT: &str = "brought";
/// So many bytes of a field the dialplan keeps, and so many characters of their encoded form with the dot before them.
const MOST_BYTES: usize = 256;
const MOST_ENCODED: usize = 400;
/// The switch's global variable with the last moment at which the service was there.
const ALIVE: &str = "SKLIC_ALIVE";

/// The leg of a caller's channel. Only what the dialplan can write into the key of its record is looked at.
#[must_use]
pub fn leg_of(switch: &str, uniqueid: &str) -> LegId {
    let kept: String = uniqueid.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')).collect();
    LegId::of_channel(switch, &kept)
}

/// Reads who a caller is: `answered|dialled|asserted|asserted|asserted|from|privacy|endpoint|call-id|pass`,
/// each but the first a dot and URL-encoded text, the last one not in an include of version 1; see `dialplan/asterisk/README.md`.
#[must_use]
pub fn who(leg: LegId, text: &str) -> Option<Caller> {
    let fields: Vec<&str> = text.split('|').collect();
    let [answered, dialled, first, second, third, from, privacy, trunk, call_id, ref pass @ ..] = fields[..] else { return None };
    if pass.len() > 1 {
        return None;
    }
    let bytes = |field: &str| wire::percent_decode(field.strip_prefix('.').unwrap_or(field).as_bytes());
    let text = |field: &str| Caller::text(&bytes(field));
    // Of a long one the dialplan leaves the end. What is left of a name in quotes may look like anything; the address is what comes last.
    let asserted = |field: &str| {
        let told = bytes(field);
        if field.starts_with('.') && field.len() < MOST_ENCODED && told.len() < MOST_BYTES {
            return Caller::text(&told);
        }
        told.iter().rposition(|byte| *byte == b'<').map(|at| Caller::text(&told[at..])).unwrap_or_default()
    };
    Some(Caller {
        leg,
        dialled: text(dialled),
        asserted: [first, second, third].map(asserted).into_iter().filter(|value| !value.is_empty()).collect(),
        presented: Caller::text(&wire::percent_decode(Caller::user_of(&text(from)).as_bytes())),
        private: Caller::is_private(&text(privacy)),
        trunk: text(trunk),
        call_id: text(call_id),
        answered_at: parse_epoch(answered)?,
        pass: pass.first().and_then(|pass| PassId::from_hex(&text(pass))),
    })
}

/// What is played one after the other, as full names of files.
///
/// # Errors
/// [`UnsafeField`] when the switch has not told where the prompts lie, or in an odd way.
pub fn say(sounds: &str, say: &[Phrase], language: Language) -> Result<String, UnsafeField> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/-_.".contains(c);
    if sounds.is_empty() || !sounds.chars().all(plain) {
        return Err(UnsafeField::new("SKLIC_SOUNDS", "is not set on the switch, or is no plain path"));
    }
    Ok(files(say, language).iter().map(|file| format!("{sounds}/{file}")).collect::<Vec<_>>().join("&"))
}

fn set(channel: &str, name: &str, value: impl Into<String>) -> Action {
    Action::new("Setvar").with("Channel", channel).with("Variable", name).with("Value", value)
}

/// The last of the actions sends the caller on; the switch's answer to it is the one that counts.
fn send_to(channel: &str, context: &str, exten: &str) -> Action {
    Action::new("Redirect").with("Channel", channel).with("Context", context).with("Exten", exten).with("Priority", "1")
}

/// Words, and silence for his keys; the dialplan tells when the words are over.
/// The dialplan may have begun to apologise to him: he is held again.
pub fn ask(channel: &str, said: String, ask: u32) -> Vec<Action> {
    vec![
        set(channel, "SKLIC_SAY", said),
        set(channel, "SKLIC_ASK", ask.to_string()),
        set(channel, STATE, HELD),
        send_to(channel, "sklic-caller", "ask"),
    ]
}

/// Silence in place of the words that he has interrupted.
pub fn quiet(channel: &str) -> Action {
    send_to(channel, "sklic-caller", "quiet")
}

/// Words, then waiting music; held again, as at [`ask`].
pub fn hold(channel: &str, said: String) -> Vec<Action> {
    vec![set(channel, "SKLIC_SAY", said), set(channel, STATE, HELD), send_to(channel, "sklic-caller", "hold")]
}

/// Words, then the end: from here on the dialplan does it alone.
pub fn dismiss(channel: &str, said: String) -> Vec<Action> {
    vec![set(channel, "SKLIC_SAY", said), set(channel, STATE, "dismissed"), send_to(channel, "sklic-leave", "told")]
}

/// Into the conference, by the way of those who were dialled. `now` is the switch's time.
pub fn admit(channel: &str, admit: &Admit, now: Timestamp) -> Vec<Action> {
    let exten = match admit.role {
        Role::Convener => "convener",
        Role::Participant => "participant",
    };
    vec![
        set(channel, "CONF_NO", admit.room.to_string()),
        set(channel, "LEG_ID", admit.leg.0.simple().to_string()),
        set(channel, "SKLIC_LANG", admit.language.code()),
        set(channel, "SKLIC_GRACE", admit.grace_seconds.to_string()),
        set(channel, "SKLIC_MUTED", u8::from(admit.muted).to_string()),
        set(channel, "SKLIC_PAST_LOCK", u8::from(admit.past_lock).to_string()),
        set(channel, "SKLIC_DIALLED", now.as_second().to_string()),
        set(channel, STATE, "admitted"),
        send_to(channel, "sklic-out", exten),
    ]
}

/// To another switch; `destination` is how this one calls it.
pub fn bring(channel: &str, bring: &Bring, destination: String) -> Vec<Action> {
    vec![
        set(channel, "SKLIC_TO", destination),
        set(channel, "SKLIC_PASS", bring.pass.hex()),
        set(channel, "SKLIC_LANG", bring.language.code()),
        set(channel, STATE, BROUGHT),
        send_to(channel, "sklic-caller", "bring"),
    ]
}

/// Words to one member: a Local channel whispers to him, the mix going on. `name` is that channel's.
pub fn tell(channel: &str, said: &str, name: &str) -> Action {
    Action::new("Originate")
        .with("Channel", "Local/s@sklic-whisper/n")
        .with("Context", "sklic-play")
        .with("Exten", "told")
        .with("Priority", "1")
        .with("Timeout", "5000")
        .with("Async", "true")
        .with("ChannelId", format!("{name}-1"))
        .with("OtherChannelId", format!("{name}-2"))
        .with("Variable", format!("__SKLIC_TO={channel}"))
        .with("Variable", format!("SKLIC_SAY={said}"))
}

/// Ends such words before their time.
pub fn stop_telling(name: &str) -> Action {
    super::actions::hang_up_channel(format!("{name}-1"))
}

/// Tells the dialplan that the service is there: who waits goes on waiting. `now` is the switch's time.
pub fn alive(now: Timestamp) -> Action {
    Action::new("Setvar").with("Variable", ALIVE).with("Value", now.as_second().to_string())
}

/// Where the prompts lie when the switch's variable names no other folder; the dialplan has the same.
pub const SOUNDS: &str = "/usr/share/sklic/prompts";

/// Asks where the prompts lie.
pub fn ask_sounds() -> Action {
    Action::new("Getvar").with("Variable", "SKLIC_SOUNDS")
}

/// Whether a switch can be told what to say at all, in words for the log.
pub fn check_sounds(config: &AsteriskConfig, sounds: &str) {
    if let Err(error) = say(sounds, &[], Language::Sl) {
        tracing::warn!(pbx = %config.name, %error, "callers cannot be spoken to on this switch");
    }
}

#[cfg(test)]
#[path = "callers_tests.rs"]
mod tests;
