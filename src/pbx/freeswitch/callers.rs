//! Callers at the access numbers: how the switch's words about them are read, and what commands to them become.
//!
//! The context `sklic-in` of the dialplan answers a caller and parks him; from then on every command sets variables of his channel
//! and transfers him to another step of that context, so that what was begun before is over at once.
//! His keys come as the switch's events, one by one, as on Asterisk.

use super::codec::Request;
use super::fields::Fields;
use super::requests::{channel, conference, leg_of_channel, role_word};
use super::translate::micros;
use crate::ids::{LegId, PassId, Room};
use crate::pbx::wire::UnsafeField;
use crate::pbx::{Admit, Bring, Caller, Language, LegSnapshotPhase, Phrase, files};

/// How much longer than the grace the switch itself waits for the convener.
const GUARD_SECONDS: u32 = 30;
/// How long a caller who waits is kept when the service has gone, in seconds; told again and again while it is there.
const KEEP_SECONDS: u32 = 120;

/// Who a caller is, from an event or a dump of his channel; `None` when the channel is not one that the dialplan answered.
#[must_use]
pub fn who(fields: &Fields) -> Option<Caller> {
    if fields.get("variable_SKLIC_IN") != Some("1") {
        return None;
    }
    let text = |name| Caller::text(fields.get(name).unwrap_or_default().as_bytes());
    let asserted = text("variable_sip_P-Asserted-Identity");
    Some(Caller {
        leg: leg_of_channel(fields.get("Unique-ID")?)?,
        dialled: text("variable_SKLIC_DNIS"),
        asserted: Some(asserted).into_iter().filter(|value| !value.is_empty()).map(address).collect(),
        presented: text("variable_sip_from_user"),
        private: Caller::is_private(&text("variable_sip_Privacy")) || fields.get("Caller-Privacy-Hide-Number") == Some("true"),
        // Never the gateway: mod_sofia takes that from the address that the caller himself has called (`;gw=NAME`, `gw+NAME`).
        trunk: text("variable_sofia_profile_name"),
        call_id: text("variable_sip_call_id"),
        answered_at: micros(fields, "Caller-Channel-Answered-Time")?,
        pass: fields.get("variable_sip_h_X-Sklic-Pass").and_then(PassId::from_hex),
    })
}

/// An asserted identity as an address: `mod_sofia` (FreeSWITCH 1.10.12) keeps nothing of it but the user part, of a `tel:` address the number.
fn address(asserted: String) -> String {
    let is_user = asserted.chars().all(|c| c.is_ascii_alphanumeric() || "+-._*#;=".contains(c));
    // A host that nobody has (RFC 2606): the real one is not told.
    if is_user { format!("<sip:{asserted}@freeswitch.invalid>") } else { asserted }
}

/// In whose hands a caller is: the service's, or another switch's; `None` when the dialplan alone has him.
#[must_use]
pub fn hands(fields: &Fields) -> Option<LegSnapshotPhase> {
    match fields.get("variable_SKLIC_CALLER")? {
        "held" => Some(LegSnapshotPhase::Held),
        "brought" => Some(LegSnapshotPhase::Brought),
        _ => None,
    }
}

/// What is played one after the other, as one name; silence when it is nothing.
///
/// # Errors
/// [`UnsafeField`] when the switch has not told where the prompts lie, or in an odd way.
pub fn say(sounds: &str, say: &[Phrase], language: Language) -> Result<String, UnsafeField> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/-_.".contains(c);
    if sounds.is_empty() || !sounds.chars().all(plain) {
        return Err(UnsafeField::new("sklic_sounds", "is not set on the switch, or is no plain path"));
    }
    let files: Vec<String> = files(say, language).iter().map(|file| format!("{sounds}/{file}.wav")).collect();
    Ok(match files.len() {
        0 => "silence_stream://20".to_owned(),
        1 => files.concat(),
        _ => format!("file_string://{}", files.join("!")),
    })
}

fn set(leg: LegId, variables: &[(&str, String)]) -> Request {
    let pairs: Vec<String> = variables.iter().map(|(name, value)| format!("{name}={value}")).collect();
    Request::new(format!("api uuid_setvar_multi {} {}", channel(leg), pairs.join(";")))
}

fn send_to(leg: LegId, exten: &str, context: &str) -> Request {
    Request::new(format!("api uuid_transfer {} {exten} XML {context}", channel(leg)))
}

/// Words, and silence for his keys; the switch tells that he is parked when the words are over.
/// The dialplan may have begun to apologise to him: he is held again.
#[must_use]
pub fn ask(leg: LegId, said: String, ask: u32) -> [Request; 2] {
    [set(leg, &[("SKLIC_SAY", said), ("SKLIC_ASK", ask.to_string()), ("SKLIC_CALLER", "held".into())]), send_to(leg, "ask", "sklic-in")]
}

/// Silence in place of the words that he has interrupted.
#[must_use]
pub fn quiet(leg: LegId) -> Request {
    Request::new(format!("api uuid_break {} all", channel(leg)))
}

/// Words, then waiting music; held again, as at [`ask`].
#[must_use]
pub fn hold(leg: LegId, said: String) -> [Request; 2] {
    [set(leg, &[("SKLIC_SAY", said), ("SKLIC_CALLER", "held".into())]), send_to(leg, "hold", "sklic-in")]
}

/// Words, then the end: from here on the dialplan does it alone.
#[must_use]
pub fn dismiss(leg: LegId, said: String) -> [Request; 2] {
    [set(leg, &[("SKLIC_SAY", said), ("SKLIC_CALLER", "dismissed".into())]), send_to(leg, "told", "sklic-in")]
}

/// Into the conference, by the way of those who were dialled; `awaited`: its convener is away and is being called back.
#[must_use]
pub fn admit(admit: &Admit, awaited: bool) -> [Request; 2] {
    let exten = role_word(admit.role);
    let guard = if admit.grace_seconds == 0 { 0 } else { admit.grace_seconds.saturating_add(GUARD_SECONDS) };
    let variables = [
        ("CONF_NO", admit.room.to_string()),
        ("LEG_ID", admit.leg.0.simple().to_string()),
        ("SKLIC_LANG", admit.language.code().to_owned()),
        ("SKLIC_GRACE", admit.grace_seconds.to_string()),
        ("SKLIC_GUARD", guard.to_string()),
        ("SKLIC_MUTED", u8::from(admit.muted).to_string()),
        ("SKLIC_ROLE", exten.to_owned()),
        ("SKLIC_PAST_LOCK", u8::from(admit.past_lock).to_string()),
        ("SKLIC_AWAIT", u8::from(awaited).to_string()),
        ("SKLIC_CALLER", "admitted".to_owned()),
    ];
    [set(admit.leg, &variables), send_to(admit.leg, exten, "sklic-out")]
}

/// How another switch is called, before [`bring`]. By itself, for a list of variables would end at the first `;` of it.
#[must_use]
pub fn towards(leg: LegId, destination: &str) -> Request {
    Request::new(format!("api uuid_setvar {} SKLIC_TO {destination}", channel(leg)))
}

/// To another switch.
#[must_use]
pub fn bring(bring: &Bring) -> [Request; 2] {
    let variables = [("SKLIC_PASS", bring.pass.hex()), ("SKLIC_LANG", bring.language.code().to_owned()), ("SKLIC_CALLER", "brought".to_owned())];
    [set(bring.leg, &variables), send_to(bring.leg, "bring", "sklic-in")]
}

/// Who waits goes on waiting, for the service is there.
#[must_use]
pub fn keep(leg: LegId) -> [Request; 2] {
    let channel = channel(leg);
    [Request::new(format!("api sched_del {channel}")), Request::new(format!("api sched_transfer +{KEEP_SECONDS} {channel} apology XML sklic-in"))]
}

/// Words to one member, the mix going on; `member` is the room's number for him.
#[must_use]
pub fn tell(room: Room, member: u32, said: &str) -> [Request; 2] {
    // Newer words take the place of those that he is still hearing.
    [conference(room, &format!("stop all {member}")), conference(room, &format!("play {said} {member}"))]
}

/// Asks what the waiting music is.
#[must_use]
pub fn ask_music() -> Request {
    Request::new("api global_getvar sklic_music")
}

/// The waiting music, when the switch has told it in a way that can be sent back.
#[must_use]
pub fn music(told: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/-_.:".contains(c);
    if told.chars().all(plain) { told.to_owned() } else { String::new() }
}

/// Asks where the prompts lie.
#[must_use]
pub fn ask_sounds() -> Request {
    Request::new("api global_getvar sklic_sounds")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trunk_is_the_profile_and_never_what_the_caller_says() {
        let event = br#"{"Unique-ID":"f86add92-c5c9-4a75-a17d-ecadb504f3db","Caller-Channel-Answered-Time":"1000","variable_SKLIC_IN":"1",
            "variable_SKLIC_DNIS":"19819","variable_sip_gateway":"trunk","variable_sofia_profile_name":"public"}"#;
        let fields = Fields::parse(event).expect("an event");
        assert_eq!(who(&fields).map(|caller| caller.trunk).as_deref(), Some("public"));
    }

    #[test]
    fn how_another_switch_is_called_is_told_whole() {
        let leg = LegId::derive(crate::ids::ConferenceId(uuid::Uuid::nil()), 1);
        let mut sent = bytes::BytesMut::new();
        let request = towards(leg, "sofia/internal/19819@198.51.100.8:5060;transport=tcp");
        tokio_util::codec::Encoder::encode(&mut crate::pbx::freeswitch::codec::EslCodec::default(), &request, &mut sent).expect("safe");
        let expected = format!("api uuid_setvar {} SKLIC_TO sofia/internal/19819@198.51.100.8:5060;transport=tcp\n\n", leg.channel_id());
        assert_eq!(sent, expected.as_bytes());
    }
}
