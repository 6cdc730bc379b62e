//! AMI events in the words of this adapter: which leg, what, when. Pure; it keeps nothing between two events.
//!
//! Only events of our own legs come out: the same switch serves others, whose channels are none of our business.
//! Local channels (announcements, guards, errands) have other ids than legs and fall out by themselves.
//! What each event means was seen on Asterisk 22.10; the tests hold lines of that switch.

use std::collections::HashMap;

use jiff::Timestamp;

use super::callers;
use crate::ids::{LegId, Room};
use crate::pbx::wire::HeaderBlock;
use crate::pbx::{Caller, LegSnapshotPhase, MemberKey};

/// The prefix of our rooms among the switch's other conferences.
const ROOM_PREFIX: &str = "sklic-";

/// The name of a room on the switch.
#[must_use]
pub fn room_name(room: Room) -> String {
    format!("{ROOM_PREFIX}{room}")
}

/// The room of a name made by [`room_name`].
#[must_use]
pub fn room_of(name: &str) -> Option<Room> {
    let digits = name.strip_prefix(ROOM_PREFIX)?;
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    if plain { digits.parse().ok().map(Room) } else { None }
}

/// Which leg a channel is: those that we dial have our names, those of callers are kept.
#[derive(Clone, Copy, Debug)]
pub struct Names<'a> {
    /// The switch's name.
    pub switch: &'a str,
    /// Callers by their channels' ids.
    pub callers: &'a HashMap<String, LegId>,
}

impl Names<'_> {
    fn leg(&self, uniqueid: &str) -> Option<LegId> {
        LegId::from_channel_id(uniqueid).or_else(|| self.callers.get(uniqueid).copied())
    }
}

/// What the switch told about one of our legs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The leg.
    pub leg: LegId,
    /// By the switch's clock; absent when `timestampevents` is off.
    pub at: Option<Timestamp>,
    /// The channel's present name, where the event has it.
    pub channel: Option<String>,
    /// What.
    pub what: What,
}

/// What happened to a leg.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// Somebody called in and has been answered.
    Arrived {
        /// Who.
        caller: Box<Caller>,
        /// His channel's id.
        uniqueid: String,
    },
    /// A caller has heard a question to its end.
    Said {
        /// The question's number.
        ask: u32,
    },
    /// A key of the phone, as somebody let go of it.
    Key(char),
    /// A member has pressed a key.
    Pressed(MemberKey),
    /// Its channel exists now.
    Created,
    /// The far end alerts.
    Ringing,
    /// The far end sends sound before the answer.
    EarlyMedia,
    /// The far end answered.
    Answered,
    /// The far end ended or refused the call, or the switch could not reach it; never our own ring timeout.
    FarEndEnded,
    /// The far end sent the call elsewhere; that call is not ours and gets nowhere.
    Redirected,
    /// The switch's last word on the dialling.
    Originated {
        /// Somebody answered.
        answered: bool,
        /// 3 when the time to ring was over (`AST_CONTROL_RINGING`, Asterisk 22 `main/pbx.c`).
        reason: u16,
    },
    /// The dialplan did not let it in, or ConfBridge did not.
    Refused,
    /// It is a member.
    Joined {
        /// The conference.
        room: Room,
        /// With a closed microphone.
        muted: bool,
    },
    /// It is no member any more.
    Left {
        /// The conference.
        room: Room,
    },
    /// Its microphone was closed or opened.
    Muted(bool),
    /// It began or stopped talking.
    Talking(bool),
    /// The channel is gone.
    HungUp {
        /// ITU-T Q.850 cause; absent when the switch says 0, "unknown".
        q850: Option<u16>,
        /// The SIP status behind it, real or made up.
        sip: Option<u16>,
    },
    /// Something else; only its channel name is of use.
    Nothing,
}

impl What {
    /// Whether it changes what a list of channels or members shows of a leg in this phase; a list from before it is old then.
    #[must_use]
    pub fn is_listed(&self, phase: LegSnapshotPhase) -> bool {
        match self {
            Self::Talking(_) | Self::Key(_) | Self::Pressed(_) | Self::Said { .. } | Self::Nothing => false,
            // Who is not known to be inside is to be found there by the list.
            Self::Muted(_) => matches!(phase, LegSnapshotPhase::Inside { .. }),
            _ => true,
        }
    }
}

/// Reads one event; `None` when it is about none of our legs.
#[must_use]
pub fn translate(event: &HeaderBlock, names: Names<'_>) -> Option<Told> {
    let name = event.get("Event")?;
    // Dial events are about the channel that is being called.
    let dialled = name.starts_with(b"Dial");
    let (id, channel) = if dialled { ("DestUniqueid", "DestChannel") } else { ("Uniqueid", "Channel") };
    let uniqueid = event.text(id)?;
    let user = if name == b"UserEvent" { event.get("UserEvent") } else { None };
    let leg = match user {
        Some(b"SklicArrived") => callers::leg_of(names.switch, &uniqueid),
        _ => names.leg(&uniqueid)?,
    };
    let what = match name {
        b"Newchannel" => What::Created,
        b"Newstate" => match event.get("ChannelState")? {
            b"5" => What::Ringing,
            b"6" => What::Answered,
            _ => What::Nothing,
        },
        b"DialState" => match event.get("DialStatus")? {
            b"RINGING" => What::Ringing,
            b"PROGRESS" => What::EarlyMedia,
            _ => What::Nothing,
        },
        b"DialEnd" if event.get("Forward").is_some() => What::Redirected,
        b"DialEnd" if event.get("DialStatus") == Some(b"ANSWER") => What::Answered,
        b"HangupRequest" => What::FarEndEnded,
        b"OriginateResponse" => What::Originated { answered: event.get("Response") == Some(b"Success"), reason: event.number("Reason").unwrap_or(0) },
        b"ConfbridgeJoin" => What::Joined { room: room(event)?, muted: is_yes(event, "Muted") },
        b"ConfbridgeLeave" => What::Left { room: room(event)? },
        b"ConfbridgeMute" => What::Muted(true),
        b"ConfbridgeUnmute" => What::Muted(false),
        b"ConfbridgeTalking" => What::Talking(event.get("TalkingStatus") == Some(b"on")),
        b"UserEvent" => match user? {
            b"SklicArrived" => What::Arrived { caller: Box::new(callers::who(leg, &event.text("Who")?)?), uniqueid: uniqueid.into_owned() },
            b"SklicPressed" => What::Pressed(event.text("Key")?.chars().next().and_then(MemberKey::from_digit)?),
            b"SklicSaid" => What::Said { ask: event.number("Ask")? },
            b"SklicRefused" => What::Refused,
            _ => What::Nothing,
        },
        b"DTMFEnd" if event.get("Direction") == Some(b"Received") => What::Key(event.text("Digit")?.chars().next()?),
        b"Hangup" => What::HungUp { q850: event.number("Cause").filter(|cause| *cause != 0), sip: event.number("TechCause") },
        _ => What::Nothing,
    };
    // The dial string of a failed OriginateResponse stands where a channel's name would.
    let channel = if name == b"OriginateResponse" { None } else { event.text(channel).map(|name| name.into_owned()) };
    Some(Told { leg, at: timestamp(event), channel, what })
}

/// The event's own time (`timestampevents = yes`).
#[must_use]
pub fn timestamp(event: &HeaderBlock) -> Option<Timestamp> {
    parse_epoch(&event.text("Timestamp")?)
}

/// Reads `seconds.fraction` since 1970 as Asterisk writes it.
#[must_use]
pub fn parse_epoch(text: &str) -> Option<Timestamp> {
    let (seconds, fraction) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if seconds.is_empty() || seconds.len() > 12 || fraction.len() > 9 || !digits(seconds) || !digits(fraction) {
        return None;
    }
    let nanoseconds: i32 = format!("{fraction:0<9}").parse().ok()?;
    Timestamp::new(seconds.parse().ok()?, nanoseconds).ok()
}

/// The room of an event of the conference module, if it is ours.
#[must_use]
pub fn room(event: &HeaderBlock) -> Option<Room> {
    room_of(&event.text("Conference")?)
}

/// Whether a header says yes.
#[must_use]
pub fn is_yes(event: &HeaderBlock, key: &str) -> bool {
    event.get(key).is_some_and(|value| value.eq_ignore_ascii_case(b"yes"))
}

#[cfg(test)]
#[path = "translate_tests.rs"]
mod tests;
