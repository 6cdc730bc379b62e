//! The requests that commands become. Pure, so that what is sent can be read in tests.
//!
//! Every value is digits, hexadecimal digits or a word from here; names and other free text never go to the switch.
//! A member is addressed by the variable `uuid`, never by a number of the room's own, which begins anew with each room.

use uuid::Uuid;

use super::FreeswitchConfig;
use super::codec::Request;
use crate::ids::{LegId, Room};
use crate::pbx::wire::{self, UnsafeField};
use crate::pbx::{Dial, Language, Prompt, Role};

/// The realm of the switch's database in which the dialplan writes down how each leg ends.
const ENDS: &str = "sklic-end";
/// How much longer than the grace the switch itself waits for the convener: the service ends the conference before.
const GUARD_SECONDS: u32 = 30;

/// The name of a room on the switch.
#[must_use]
pub fn room_name(room: Room) -> String {
    format!("sklic-{room}")
}

/// The room of a name made by [`room_name`].
#[must_use]
pub fn room_of(name: &str) -> Option<Room> {
    let digits = name.strip_prefix("sklic-")?;
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    if plain { digits.parse().ok().map(Room) } else { None }
}

/// The name of a leg's channel. A leg that we dial has our name; a caller's channel has its own, and gives the leg.
///
/// Ours are derived (version 5, `LegId::derive`), those of the switch are drawn: so each shows which it is.
#[must_use]
pub fn channel(leg: LegId) -> String {
    if leg.0.get_version_num() == DERIVED { leg.channel_id() } else { leg.0.hyphenated().to_string() }
}

/// The leg of a channel's name; one that is not ours by its name may be anybody's call.
#[must_use]
pub fn leg_of_channel(name: &str) -> Option<LegId> {
    let drawn = || (name.len() == 36).then(|| Uuid::try_parse(name).ok().filter(|uuid| uuid.get_version_num() != DERIVED).map(LegId))?;
    LegId::from_channel_id(name).or_else(drawn)
}

/// The version of the UUIDs (RFC 9562) that are derived from a name.
const DERIVED: usize = 5;

/// Places a call; `job` is told with the result.
///
/// # Errors
/// [`UnsafeField`] when the number is none.
pub fn originate(config: &FreeswitchConfig, dial: &Dial, job: &str) -> Result<Request, UnsafeField> {
    wire::check_number("number", &dial.number)?;
    let exten = role_word(dial.role);
    let hex = dial.leg.0.simple();
    let guard = if dial.grace_seconds == 0 { 0 } else { dial.grace_seconds.saturating_add(GUARD_SECONDS) };
    let mut variables = vec![
        format!("origination_uuid={}", channel(dial.leg)),
        format!("CONF_NO={}", dial.room),
        format!("LEG_ID={hex}"),
        format!("SKLIC_LANG={}", dial.language.code()),
        format!("SKLIC_GRACE={}", dial.grace_seconds),
        format!("SKLIC_GUARD={guard}"),
        format!("SKLIC_MUTED={}", u8::from(dial.muted)),
        // For a service that is started anew while he rings.
        format!("SKLIC_ROLE={exten}"),
        format!("originate_timeout={}", dial.ring_timeout_seconds),
        // Otherwise sound before the answer counts as one, and the greeting is played to nobody.
        "ignore_early_media=true".to_owned(),
        // A phone that sends our call elsewhere (302) is not followed: the new number has passed no limit.
        "outbound_redirect_fatal=true".to_owned(),
        // The dialplan has the switch write down how the leg ends, whatever becomes of us; run before the call goes out.
        "execute_on_originate='execute_extension record XML sklic-out'".to_owned(),
    ];
    if !config.caller_id.is_empty() {
        variables.push(format!("origination_caller_id_number={}", config.caller_id));
        variables.push(format!("origination_caller_id_name={}", config.caller_id));
    }
    let destination = config.dial.replace("{number}", &dial.number);
    let line = format!("bgapi originate {{{}}}{destination} {exten} XML sklic-out", variables.join(","));
    Ok(Request::new(line).with("Job-UUID", job))
}

/// Who somebody is to the dialplan: where his leg goes in, and his `SKLIC_ROLE`.
#[must_use]
pub fn role_word(role: Role) -> &'static str {
    match role {
        Role::Convener => "convener",
        Role::Participant => "participant",
    }
}

/// A leg's name in the switch's database: a dialplan cannot take the hyphens out of a channel's own name.
fn key(leg: LegId) -> String {
    channel(leg).trim_start_matches("sklic-").to_owned()
}

/// Asks for the record of a leg's end.
pub fn ask_end(leg: LegId) -> Request {
    Request::new(format!("api db select/{ENDS}/{}", key(leg)))
}

/// Asks for the legs of a room whose records are kept, or for some of them: the answer has a size.
pub fn ask_room_legs(room: Room) -> Request {
    Request::new(format!("api db list/{}", room_realm(room)))
}

/// Drops the record of a leg, and its entry among the legs of its room.
pub fn drop_record(room: Room, leg: LegId) -> [Request; 2] {
    let hex = key(leg);
    [Request::new(format!("api db delete/{ENDS}/{hex}")), Request::new(format!("api db delete/{}/{hex}", room_realm(room)))]
}

/// The realm with the legs of a room, which the dialplan writes too.
fn room_realm(room: Room) -> String {
    format!("sklic-room-{room}")
}

/// Ends a call.
pub fn hang_up(leg: LegId, answered: bool) -> Request {
    // The cause is the switch's word for "the one who called gave up", which the far end is told before the answer.
    let cause = if answered { "NORMAL_CLEARING" } else { "ORIGINATOR_CANCEL" };
    Request::new(format!("api uuid_kill {} {cause}", channel(leg)))
}

/// Closes or opens one microphone, without words to the member.
pub fn mute(room: Room, leg: LegId, muted: bool) -> Request {
    conference(room, &format!("{} uuid={} quiet", mute_word(muted), channel(leg)))
}

/// Closes or opens all microphones but the convener's.
pub fn mute_all(room: Room, muted: bool) -> Request {
    conference(room, &format!("{} non_moderator quiet", mute_word(muted)))
}

fn mute_word(muted: bool) -> &'static str {
    if muted { "mute" } else { "unmute" }
}

/// Takes one member out; the dialplan then says goodbye instead of closing.
pub fn remove(room: Room, leg: LegId) -> [Request; 2] {
    let id = channel(leg);
    [Request::new(format!("api uuid_setvar {id} SKLIC_END removed")), conference(room, &format!("hup uuid={id}"))]
}

/// Locks or unlocks a conference.
pub fn lock(room: Room, locked: bool) -> Request {
    conference(room, if locked { "lock" } else { "unlock" })
}

/// Plays a fixed announcement to all, the mix going on. The room looks the file up below the prompts' folder.
pub fn announce(room: Room, prompt: Prompt) -> Request {
    let name = match prompt {
        Prompt::Beep => "beep",
    };
    // The beep is the same in every language.
    conference(room, &format!("play {}/{name}.wav", Language::default().code()))
}

/// Takes everybody out; the dialplan of each leg plays the closing and hangs up.
pub fn close(room: Room) -> Request {
    conference(room, "hup all")
}

pub(super) fn conference(room: Room, rest: &str) -> Request {
    Request::new(format!("api conference {} {rest}", room_name(room)))
}

/// Asks for every channel. The list lags behind the events by up to a second.
pub fn ask_channels() -> Request {
    Request::new("api show channels as json")
}

/// Asks for every conference with its members.
pub fn ask_rooms() -> Request {
    Request::new("api conference json_list")
}

/// Asks for all about one channel.
pub fn ask_channel(leg: LegId) -> Request {
    Request::new(format!("api uuid_dump {} json", channel(leg)))
}

/// Asks for the switch's clock, in microseconds since 1970: the sign of life.
pub fn ask_clock() -> Request {
    Request::new("api strmicroepoch")
}

/// Asks for the identifier of this run of the switch.
pub fn ask_core() -> Request {
    Request::new("api global_getvar core_uuid")
}

/// Asks how many seconds the switch runs.
pub fn ask_uptime() -> Request {
    Request::new("api uptime s")
}

/// The switch's variable in which the first service that came wrote down when this run of the switch began.
const BOOTED_AT: &str = "sklic_booted_at";

/// Asks when this run of the switch began, in microseconds since 1970, as it was written down.
pub fn ask_boot() -> Request {
    Request::new(format!("api global_getvar {BOOTED_AT}"))
}

/// Writes it down for as long as the switch runs: worked out from two clocks it would come out different each time.
pub fn note_boot(micros: i64) -> Request {
    Request::new(format!("api global_setvar {BOOTED_AT}={micros}"))
}

/// Asks for the events. `CUSTOM` is last, for everything after it is a subclass.
pub fn subscribe() -> Request {
    Request::new(
        "event json CHANNEL_CREATE CHANNEL_PROGRESS CHANNEL_PROGRESS_MEDIA CHANNEL_ANSWER CHANNEL_PARK CHANNEL_HANGUP_COMPLETE DTMF \
         BACKGROUND_JOB HEARTBEAT SHUTDOWN CUSTOM conference::maintenance",
    )
}

#[cfg(test)]
#[path = "requests_tests.rs"]
mod tests;
