//! The switch: one port, and an adapter for each kind.
//!
//! An adapter translates and never decides: it turns [`Command`]s into the switch's words and the switch's words into [`Event`]s.
//! A command is a wish; only an event says that something has happened.
//! What an event means for a conference is decided in `conference`, so that the same phone gets the same outcome on every switch.

pub mod asterisk;
mod caller;
mod far_clock;
pub mod freeswitch;
mod jobs;
mod keying;
pub mod lane;
mod phrase;
mod progress;
pub mod simulator;
pub mod wire;

pub use caller::{Admit, Ask, Bring, Caller, Keys, MemberKey};
pub use phrase::{LARGEST_NUMBER, Phrase, files};

use std::collections::BTreeMap;

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ids::{LegId, Room};

/// Languages of prompts, mail and console.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// Slovene.
    #[default]
    Sl,
    /// English.
    En,
}

impl Language {
    /// The code of ISO 639-1, which is also the name of the prompts' folder.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Sl => "sl",
            Self::En => "en",
        }
    }
}

impl std::str::FromStr for Language {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        match s {
            "sl" => Ok(Self::Sl),
            "en" => Ok(Self::En),
            other => Err(format!("unknown language {other:?}: use sl or en")),
        }
    }
}

/// Who a leg belongs to: the convener's leaving ends the conference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The convener's own leg.
    Convener,
    /// Everybody else's.
    Participant,
}

/// A call to be placed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dial {
    /// The leg; its [`LegId::channel_id`] names the channel on the switch.
    pub leg: LegId,
    /// The conference it will enter.
    pub room: Room,
    /// What to dial: `+` and digits, or a short number. Already allowed by the limits.
    pub number: String,
    /// Convener or participant.
    pub role: Role,
    /// Joins muted.
    pub muted: bool,
    /// Language of the prompts.
    pub language: Language,
    /// How long the others wait when the convener's call ends, in seconds; 0 ends the conference with him, by the dialplan alone.
    pub grace_seconds: u32,
    /// How long to let it ring, in seconds.
    pub ring_timeout_seconds: u32,
}

/// A fixed announcement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Prompt {
    /// One short beep: somebody came in.
    Beep,
}

/// A wish to the switch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    /// Place a call; greeting, beep and the room follow from the dialplan once it is answered.
    Dial(Dial),
    /// End a leg in whatever state it is, without an announcement.
    HangUp {
        /// The leg.
        leg: LegId,
    },
    /// Close or open one member's microphone.
    Mute {
        /// The conference.
        room: Room,
        /// The member's leg.
        leg: LegId,
        /// `true` closes the microphone.
        muted: bool,
    },
    /// Close or open everybody's microphone but the convener's.
    MuteAll {
        /// The conference.
        room: Room,
        /// `true` closes the microphones.
        muted: bool,
    },
    /// Take one member out; he hears goodbye and is disconnected.
    Remove {
        /// The conference.
        room: Room,
        /// The member's leg.
        leg: LegId,
    },
    /// Let nobody else in, or again.
    Lock {
        /// The conference.
        room: Room,
        /// `true` locks.
        locked: bool,
    },
    /// Play a fixed announcement to everybody inside, the mix going on.
    Announce {
        /// The conference.
        room: Room,
        /// What to play.
        prompt: Prompt,
    },
    /// End for all: everybody inside hears the closing announcement and is disconnected.
    Close {
        /// The conference.
        room: Room,
    },
    /// Ask a caller for digits; answered by [`Event::Keyed`]. A later command to the same leg takes the question back.
    Ask(Ask),
    /// Say something to a caller, then waiting music until another command.
    Hold {
        /// The caller's leg.
        leg: LegId,
        /// Language of the prompts.
        language: Language,
        /// What is said.
        say: Vec<Phrase>,
    },
    /// Say something to a caller, then end his call.
    Dismiss {
        /// The caller's leg.
        leg: LegId,
        /// Language of the prompts.
        language: Language,
        /// What is said.
        say: Vec<Phrase>,
    },
    /// Let a caller in.
    Admit(Admit),
    /// Bring a caller to another switch.
    Bring(Bring),
    /// Say something to one member that only he hears.
    Tell {
        /// The conference.
        room: Room,
        /// The member's leg.
        leg: LegId,
        /// Language of the prompts.
        language: Language,
        /// What is said.
        say: Vec<Phrase>,
    },
    /// The conference has ended and its report is written: the switch may drop what it kept about it.
    Forget {
        /// The conference.
        room: Room,
    },
}

impl Command {
    /// What it is, in a word for metrics.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Dial(_) => "dial",
            Self::HangUp { .. } => "hang_up",
            Self::Mute { .. } => "mute",
            Self::MuteAll { .. } => "mute_all",
            Self::Remove { .. } => "remove",
            Self::Lock { .. } => "lock",
            Self::Announce { .. } => "announce",
            Self::Close { .. } => "close",
            Self::Ask(_) => "ask",
            Self::Hold { .. } => "hold",
            Self::Dismiss { .. } => "dismiss",
            Self::Admit(_) => "admit",
            Self::Bring(_) => "bring",
            Self::Tell { .. } => "tell",
            Self::Forget { .. } => "forget",
        }
    }

    /// The leg that the command is about, if one.
    #[must_use]
    pub fn leg(&self) -> Option<LegId> {
        match self {
            Self::Dial(dial) => Some(dial.leg),
            Self::Ask(ask) => Some(ask.leg),
            Self::Admit(admit) => Some(admit.leg),
            Self::Bring(bring) => Some(bring.leg),
            Self::HangUp { leg }
            | Self::Mute { leg, .. }
            | Self::Remove { leg, .. }
            | Self::Hold { leg, .. }
            | Self::Dismiss { leg, .. }
            | Self::Tell { leg, .. } => Some(*leg),
            Self::MuteAll { .. } | Self::Lock { .. } | Self::Announce { .. } | Self::Close { .. } | Self::Forget { .. } => None,
        }
    }
}

/// Why the switch did not take a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "failure", content = "detail", rename_all = "snake_case")]
pub enum CommandFailure {
    /// There is no link to the switch: nothing was sent.
    #[error("no link to the switch")]
    NoLink,
    /// The switch says that it is asked too often; the same command may succeed later.
    #[error("the switch takes no more calls for now")]
    RateLimited,
    /// The leg or conference is not there (any more).
    #[error("not there any more")]
    Gone,
    /// The switch refused, in its own words.
    #[error("the switch refused: {0}")]
    Refused(String),
    /// A field would have broken out of the protocol; nothing was sent.
    #[error("a field holds what may not reach the switch: {0}")]
    Unsafe(String),
    /// No answer in time, or the link was lost after sending: it may or may not have happened.
    #[error("no answer from the switch")]
    NoReply,
}

/// Why a call ended, as the switch tells it; the outcome is drawn from it in `conference`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndCause {
    /// ITU-T Q.850 cause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub q850: Option<u16>,
    /// Final SIP status that the far end really sent; not one that the switch made up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sip: Option<u16>,
    /// The switch gave up because our ring timeout was over.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ring_timeout: bool,
    /// The call was answered but not let into the conference: locked or full.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub join_refused: bool,
}

/// Where the knowledge of a leg's end comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// The switch's own event, seen as it happened.
    Event,
    /// The switch's own record, read afterwards (its CDR, or what its dialplan wrote down).
    SwitchRecord,
    /// A snapshot no longer showed the leg; the end is the last moment at which it was known to live.
    Snapshot,
    /// The switch died or stayed away; the end is the last moment at which it was known to live.
    ProofOfLife,
}

/// What the switch says. `at` is always the switch's time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// Somebody has dialled an access number and has been answered; he waits for [`Command::Ask`], `Hold`, `Admit` or `Dismiss`.
    /// Told again after each [`Event::LinkUp`] by the snapshot's [`callers`](Snapshot::callers).
    Arrived {
        /// Who.
        caller: Box<Caller>,
    },
    /// A caller's answer to a question; empty when he keyed nothing.
    Keyed {
        /// The leg.
        leg: LegId,
        /// The question's number.
        ask: u32,
        /// What he keyed, without the hash key.
        keys: Keys,
    },
    /// A member has pressed one of the conference's keys.
    Pressed {
        /// The leg.
        leg: LegId,
        /// Which.
        key: MemberKey,
        /// When.
        at: Timestamp,
    },
    /// The far end is alerting.
    Ringing {
        /// The leg.
        leg: LegId,
        /// When.
        at: Timestamp,
    },
    /// The far end sends sound before the answer; nobody hears it.
    EarlyMedia {
        /// The leg.
        leg: LegId,
        /// When.
        at: Timestamp,
    },
    /// The far end answered; greeting and beep follow.
    Answered {
        /// The leg.
        leg: LegId,
        /// When.
        at: Timestamp,
    },
    /// The leg is a member now.
    Joined {
        /// The leg.
        leg: LegId,
        /// The conference.
        room: Room,
        /// Came in with a closed microphone.
        muted: bool,
        /// When.
        at: Timestamp,
    },
    /// The leg is no member any more; the call may go on for an announcement.
    Left {
        /// The leg.
        leg: LegId,
        /// The conference.
        room: Room,
        /// When.
        at: Timestamp,
    },
    /// The call is over, or never came to be. Once for each leg.
    Ended {
        /// The leg.
        leg: LegId,
        /// Why.
        cause: EndCause,
        /// When.
        at: Timestamp,
    },
    /// A microphone was closed or opened.
    Muted {
        /// The leg.
        leg: LegId,
        /// `true`: closed.
        muted: bool,
        /// When.
        at: Timestamp,
    },
    /// Somebody began or stopped talking.
    Talking {
        /// The leg.
        leg: LegId,
        /// `true`: began.
        talking: bool,
    },
    /// The conference was locked or unlocked.
    Locked {
        /// The conference.
        room: Room,
        /// `true`: locked.
        locked: bool,
    },
    /// Logged in and ready for commands; a snapshot is due now.
    LinkUp {
        /// When the switch itself was started: later than before means that all its legs are gone.
        booted_at: Timestamp,
    },
    /// The link is lost; events are missed from here on.
    LinkDown {
        /// The last moment at which the switch was heard, by its own clock where it says so, else by ours.
        last_heard: Timestamp,
        /// Why, for the log.
        reason: String,
    },
}

impl Event {
    /// The leg that the event is about, if one.
    #[must_use]
    pub fn leg(&self) -> Option<LegId> {
        match self {
            Self::Arrived { caller } => Some(caller.leg),
            Self::Ringing { leg, .. }
            | Self::EarlyMedia { leg, .. }
            | Self::Answered { leg, .. }
            | Self::Ended { leg, .. }
            | Self::Muted { leg, .. }
            | Self::Talking { leg, .. }
            | Self::Keyed { leg, .. }
            | Self::Pressed { leg, .. }
            | Self::Joined { leg, .. }
            | Self::Left { leg, .. } => Some(*leg),
            Self::Locked { .. } | Self::LinkUp { .. } | Self::LinkDown { .. } => None,
        }
    }
}

/// One leg as the switch holds it now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LegSnapshot {
    /// How far it is.
    pub phase: LegSnapshotPhase,
    /// When it was answered, if the switch can tell.
    pub answered_at: Option<Timestamp>,
    /// When it came into the room, if the switch can tell.
    pub joined_at: Option<Timestamp>,
    /// When it left the room again, if it has and the switch can tell; never without `joined_at`.
    pub left_at: Option<Timestamp>,
}

/// How far a leg is, in a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LegSnapshotPhase {
    /// Asked for, nothing heard from the far end yet.
    Dialling,
    /// The far end is alerting.
    Ringing,
    /// A caller in the service's hands: asked, waiting, or not heeded yet. His [`Caller`] is in the snapshot, too.
    Held,
    /// A caller who was brought to another switch, which has him now.
    Brought,
    /// Answered and not in the room: in the greeting, or hearing the closing.
    Answered,
    /// A member.
    Inside {
        /// The conference.
        room: Room,
        /// Its microphone is closed.
        muted: bool,
    },
}

/// The end of a leg as the switch wrote it down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndRecord {
    /// Why.
    pub cause: EndCause,
    /// When it was answered, if it was and the record says so.
    pub answered_at: Option<Timestamp>,
    /// When it came into the room, if the record says so.
    pub joined_at: Option<Timestamp>,
    /// When it left the room, if the record says so.
    pub left_at: Option<Timestamp>,
    /// When it ended.
    pub at: Timestamp,
}

/// What the switch holds now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// When it was taken, by the switch's clock.
    pub at: Timestamp,
    /// When the switch was started.
    pub booted_at: Timestamp,
    /// Each living leg of ours.
    pub legs: BTreeMap<LegId, LegSnapshot>,
    /// Each caller that is [`Held`](LegSnapshotPhase::Held).
    pub callers: BTreeMap<LegId, Caller>,
    /// Each conference with members, and whether it is locked.
    pub rooms: BTreeMap<Room, bool>,
    /// What the switch wrote down about the ends of the expected legs that no longer live.
    pub ended: BTreeMap<LegId, EndRecord>,
}

/// What an adapter's switch can do; the console hides what is absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Capabilities {
    /// Tells who is talking.
    pub talking: bool,
    /// Can lock a conference.
    pub lock: bool,
    /// Keeps a record of a leg's end that can be asked for afterwards.
    pub end_records: bool,
    /// Takes callers on access numbers, with their keys.
    pub dial_in: bool,
}

/// The port. An adapter owns its link: it connects, keeps alive, reconnects with backoff and tells all this by events.
pub trait Pbx: Send + Sync + 'static {
    /// What this switch can do.
    fn capabilities(&self) -> Capabilities;

    /// Hands a command over. It is in line to be sent, in the order of the calls, when this returns;
    /// the future resolves with the switch's own acknowledgement and may be dropped without harm.
    fn execute(&self, command: Command) -> BoxFuture<'static, Result<(), CommandFailure>>;

    /// Asks for what the switch holds, after all commands handed over before.
    /// `expected` are the legs that we take for living; of those that no longer live the record of their end is looked up.
    fn snapshot(&self, expected: Vec<LegId>) -> BoxFuture<'static, Result<Snapshot, CommandFailure>>;

    /// The conferences of which the switch keeps records; none for a switch that keeps none.
    fn kept_rooms(&self) -> BoxFuture<'static, Result<Vec<Room>, CommandFailure>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    /// Ends the link for good (shutdown of the service). Calls go on.
    fn close(&self) -> BoxFuture<'static, ()>;
}

/// Where an adapter puts its events. The receiver reads at once and queues by itself, so that the link's reader never waits.
pub type EventSender = tokio::sync::mpsc::UnboundedSender<Event>;
