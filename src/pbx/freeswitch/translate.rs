//! Events of the switch in the words of this adapter: which leg, what, when. Pure; it keeps nothing between two events.
//!
//! Only events of our own legs and rooms come out: the same switch serves others, whose calls are none of our business.
//! What each event means was seen on FreeSWITCH 1.10.12; the tests hold lines of that switch.

use jiff::Timestamp;

use super::callers;
use super::fields::Fields;
use super::requests::{leg_of_channel, room_of};
use crate::ids::{LegId, Room};
use crate::pbx::{Caller, EndCause, LegSnapshotPhase, MemberKey};

/// What the switch told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// Something happened to one of our legs.
    Leg {
        /// The leg.
        leg: LegId,
        /// By the switch's clock.
        at: Option<Timestamp>,
        /// What.
        what: What,
        /// The room that it has left, and when, where the end of a call tells it: nobody may have heard it leave.
        left: Option<(Room, Timestamp)>,
    },
    /// A conference of ours was locked or unlocked.
    Locked {
        /// The conference.
        room: Room,
        /// `true`: locked.
        locked: bool,
    },
    /// What was asked for by `bgapi` is done.
    Job {
        /// The name that we gave it.
        job: String,
        /// Why it failed, in the switch's words; absent when it did not.
        failure: Option<String>,
    },
    /// A sign of life.
    Heartbeat {
        /// By the switch's clock.
        at: Option<Timestamp>,
    },
    /// The switch ends in order.
    Shutdown {
        /// By the switch's clock.
        at: Option<Timestamp>,
    },
}

/// What happened to a leg.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// Somebody called in and has been answered.
    Arrived(Box<Caller>),
    /// A caller has heard a question to its end.
    Said {
        /// The question's number.
        ask: u32,
    },
    /// A key of the phone.
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
    /// It is a member.
    Joined {
        /// The conference.
        room: Room,
        /// With a closed microphone.
        muted: bool,
        /// The room's number for the member.
        member: Option<u32>,
        /// A convener.
        convener: bool,
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
    /// The call is over.
    Ended(EndCause),
}

impl What {
    /// Whether it changes what the lists show of a leg in this phase; lists from before it are old then.
    #[must_use]
    pub fn is_listed(&self, phase: LegSnapshotPhase) -> bool {
        match self {
            Self::Talking(_) | Self::Key(_) | Self::Pressed(_) | Self::Said { .. } => false,
            // Who is not known to be inside is to be found there by the lists.
            Self::Muted(_) => matches!(phase, LegSnapshotPhase::Inside { .. }),
            _ => true,
        }
    }
}

/// Reads one event; `None` when it is none of our business.
#[must_use]
pub fn translate(event: &Fields) -> Option<Told> {
    let at = micros(event, "Event-Date-Timestamp");
    // Before the dialplan has answered a caller his call is none of our business.
    let dialled = |at, what| Some(Told::Leg { leg: LegId::from_channel_id(event.get("Unique-ID")?)?, at, what, left: None });
    let leg = |at, what| Some(Told::Leg { leg: leg_of(event)?, at, what, left: None });
    match event.get("Event-Name")? {
        "CHANNEL_CREATE" => dialled(at, What::Created),
        "CHANNEL_PROGRESS" => dialled(at, What::Ringing),
        "CHANNEL_PROGRESS_MEDIA" => dialled(at, What::EarlyMedia),
        "CHANNEL_ANSWER" => dialled(micros(event, "Caller-Channel-Answered-Time").or(at), What::Answered),
        "CHANNEL_PARK" => match event.number("variable_SKLIC_ASK") {
            Some(ask) => leg(at, What::Said { ask }),
            None => leg(at, What::Arrived(Box::new(callers::who(event)?))),
        },
        // It has no variables of the channel: whose it is, those know who know him.
        "DTMF" => {
            let key = What::Key(event.get("DTMF-Digit")?.chars().next()?);
            Some(Told::Leg { leg: leg_of_channel(event.get("Unique-ID")?)?, at, what: key, left: None })
        }
        "CHANNEL_HANGUP_COMPLETE" => {
            let at = micros(event, "Caller-Channel-Hangup-Time").or(at);
            Some(Told::Leg { leg: leg_of(event)?, at, what: What::Ended(end_cause(event)), left: left(event) })
        }
        "BACKGROUND_JOB" => {
            let body = event.get("_body").unwrap_or_default().trim();
            let failure = (!body.starts_with("+OK")).then(|| body.trim_start_matches("-ERR ").chars().take(200).collect());
            Some(Told::Job { job: event.get("Job-UUID")?.to_owned(), failure })
        }
        "HEARTBEAT" => Some(Told::Heartbeat { at }),
        "SHUTDOWN" => Some(Told::Shutdown { at }),
        "CUSTOM" if event.get("Event-Subclass") == Some("conference::maintenance") => maintenance(event, at),
        _ => None,
    }
}

/// Events of the conference module.
fn maintenance(event: &Fields, at: Option<Timestamp>) -> Option<Told> {
    let room = room_of(event.get("Conference-Name")?)?;
    let what = match event.get("Action")? {
        "lock" => return Some(Told::Locked { room, locked: true }),
        "unlock" => return Some(Told::Locked { room, locked: false }),
        "add-member" => What::Joined {
            room,
            muted: event.get("Speak") == Some("false"),
            member: event.number("Member-ID"),
            convener: event.get("Member-Type") == Some("moderator"),
        },
        "dtmf" => What::Pressed(event.get("DTMF-Key")?.strip_prefix('*')?.chars().next().and_then(MemberKey::from_digit)?),
        "del-member" => What::Left { room },
        "mute-member" => What::Muted(true),
        "unmute-member" => What::Muted(false),
        "start-talking" => What::Talking(true),
        "stop-talking" => What::Talking(false),
        _ => return None,
    };
    // Nobody but ours is in our rooms.
    Some(Told::Leg { leg: leg_of_channel(event.get("Unique-ID")?)?, at, what, left: None })
}

/// The leg that an event of a channel or a dump is about, if it is ours.
#[must_use]
pub fn leg_of(fields: &Fields) -> Option<LegId> {
    let name = fields.get("Unique-ID")?;
    let answered = || if fields.get("variable_SKLIC_IN") == Some("1") { leg_of_channel(name) } else { None };
    LegId::from_channel_id(name).or_else(answered)
}

/// The room that a leg has left and when, as the dialplan noted it.
#[must_use]
pub fn left(fields: &Fields) -> Option<(Room, Timestamp)> {
    Some((room_number(fields)?, micros(fields, "variable_SKLIC_LEFT")?))
}

/// The room of a leg; 0 is none.
#[must_use]
pub fn room_number(fields: &Fields) -> Option<Room> {
    fields.number("variable_CONF_NO").filter(|number| *number > 0).map(Room)
}

/// A time in microseconds since 1970; 0 is the switch's "never".
#[must_use]
pub fn micros(fields: &Fields, name: &str) -> Option<Timestamp> {
    parse_micros(fields.get(name)?)
}

/// Reads microseconds since 1970; 0 is the switch's "never".
#[must_use]
pub fn parse_micros(text: &str) -> Option<Timestamp> {
    let micros: i64 = text.trim().parse().ok()?;
    if micros > 0 { Timestamp::from_microsecond(micros).ok() } else { None }
}

fn end_cause(event: &Fields) -> EndCause {
    let word = |name| event.get(name).unwrap_or_default();
    cause(&Ending {
        answered: micros(event, "Caller-Channel-Answered-Time").is_some(),
        q850: word("variable_hangup_cause_q850"),
        sip: word("variable_sip_term_status"),
        refused: word("variable_SKLIC_REFUSED"),
        word: word("Hangup-Cause"),
        disposition: word("variable_sip_hangup_disposition"),
        specific: word("variable_proto_specific_hangup_cause"),
        port: word("variable_sip_reply_port"),
    })
}

/// What the switch says about the end of a leg, in an event or in the record of its database; empty where it says nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ending<'a> {
    /// It had been answered.
    pub answered: bool,
    /// `hangup_cause_q850`.
    pub q850: &'a str,
    /// `sip_term_status`.
    pub sip: &'a str,
    /// `SKLIC_REFUSED` of the dialplan.
    pub refused: &'a str,
    /// The switch's own word, as `NO_ANSWER`.
    pub word: &'a str,
    /// Who said goodbye and how, as `send_cancel`.
    pub disposition: &'a str,
    /// The protocol's own cause, as `sip:486`.
    pub specific: &'a str,
    /// `sip_reply_port`: from which port the last response came; 0 for one that the switch has made itself.
    pub port: &'a str,
}

/// Q.850 cause 27: destination out of order.
const OUT_OF_ORDER: u16 = 27;

/// Why a leg ended.
#[must_use]
pub fn cause(ending: &Ending<'_>) -> EndCause {
    // Causes above 127 are the switch's own and no Q.850; 0 is "unknown".
    let q850 = ending.q850.parse().ok().filter(|cause| (1..=127).contains(cause));
    let join_refused = ending.refused == "1";
    if ending.answered {
        return EndCause { q850, join_refused, ..EndCause::default() };
    }
    // A status of the far end is there only when it refused; when we gave up there is none.
    let refused_by_far_end = ending.disposition == "recv_refuse";
    if refused_by_far_end && ending.port == "0" {
        // Nobody did: the trunk's host takes nothing there, or has no address, and mod_sofia answers for it with 503 or 408.
        return EndCause { q850: Some(OUT_OF_ORDER), join_refused, ..EndCause::default() };
    }
    let status = ending.sip.parse().ok().or_else(|| ending.specific.strip_prefix("sip:")?.parse().ok());
    let sip = status.filter(|status| *status >= 300 && (refused_by_far_end || (300..400).contains(status)));
    let ring_timeout = sip.is_none() && ending.word == "NO_ANSWER";
    EndCause { q850, sip, ring_timeout, join_refused }
}

#[cfg(test)]
#[path = "translate_tests.rs"]
mod tests;
