//! What can happen to a conference.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::caller::NewCaller;
use super::spec::NewParticipant;
use super::state::Phase;
use crate::billing::Money;
use crate::ids::{LegId, ParticipantId};
use crate::pbx::{Command, CommandFailure, EndRecord, Event, Evidence};

/// What the convener asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "control", rename_all = "snake_case")]
pub enum Control {
    /// Dial the convener (R1).
    Start,
    /// Add a person; while the conference runs he is called at once (R5).
    Add {
        /// The person.
        participant: NewParticipant,
    },
    /// Call one person again, at another number if one is given.
    Call {
        /// Who.
        participant: ParticipantId,
        /// Another number in normal form, already allowed by the limits.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        number: Option<String>,
    },
    /// Call everybody again who is not in.
    CallMissing,
    /// Close or open one microphone.
    Mute {
        /// Whose.
        participant: ParticipantId,
        /// `true` closes.
        muted: bool,
    },
    /// Close or open all microphones but the convener's.
    MuteAll {
        /// `true` closes.
        muted: bool,
    },
    /// Take one person out.
    Remove {
        /// Whom.
        participant: ParticipantId,
    },
    /// Let nobody else in, or again.
    Lock {
        /// `true` locks.
        locked: bool,
    },
    /// Let one waiting caller in, and pay for him where nobody else can be charged.
    Admit {
        /// Whom.
        participant: ParticipantId,
    },
    /// Lower a raised hand without opening the microphone.
    LowerHand {
        /// Whose.
        participant: ParticipantId,
    },
    /// End for all.
    End,
}

/// One input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "input", rename_all = "snake_case")]
pub enum Input {
    /// From the convener.
    Control {
        /// What he asks for.
        control: Control,
    },
    /// Somebody has called in and said who he is.
    Arrived {
        /// Who.
        caller: Box<NewCaller>,
    },
    /// A caller who was let in, or waits, is still in the service's hands on the switch: the last command about him was lost.
    StillHeld {
        /// His leg.
        leg: LegId,
    },
    /// From the switch. [`Event::Talking`] and the link's events do not come in here: the first changes no state that outlives it,
    /// the others have inputs of their own.
    Switch {
        /// What it said.
        event: Event,
    },
    /// The switch did not take a command.
    CommandFailed {
        /// The command.
        command: Command,
        /// Why.
        failure: CommandFailure,
    },
    /// A leg that was taken for living is not on the switch.
    LegGone {
        /// The leg.
        leg: LegId,
        /// What the switch wrote down about its end, if anything.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        record: Option<EndRecord>,
        /// The end that the evidence gives.
        at: Timestamp,
        /// The evidence.
        evidence: Evidence,
    },
    /// A leg was to be dialled and the switch has never heard of it: the service died between deciding and speaking.
    NeverPlaced {
        /// The leg.
        leg: LegId,
    },
    /// A call that was handed over still waits for its turn at the switch, behind those of other conferences.
    StillWaiting {
        /// The leg.
        leg: LegId,
    },
    /// The switch is gone for good: it is in nobody's configuration any more, and nobody will tell of its legs.
    SwitchGone {
        /// The last moment at which it was heard.
        last_heard: Timestamp,
    },
    /// The link to the switch is lost: what happens there is not seen.
    LinkLost {
        /// The last moment at which the switch was heard.
        last_heard: Timestamp,
    },
    /// The link is back and the differences have been fed in.
    LinkRestored,
    /// What the account has spent today was looked at and means something else than before.
    Spend {
        /// With VAT: what is charged already, and what runs now in all its conferences.
        spent: Money,
    },
    /// A deadline of [`Conference::next_deadline`](super::Conference::next_deadline) is due.
    Tick,
}

/// A word of the state machine.
pub type Word = &'static str;

/// Why an input was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(tag = "refusal", rename_all = "snake_case")]
pub enum Refusal {
    /// The control does not fit the conference's phase.
    #[error("not possible while the conference is {phase}")]
    WrongPhase {
        /// The phase it is in.
        phase: Phase,
    },
    /// There is no such participant.
    #[error("there is no such participant in this conference")]
    UnknownParticipant,
    /// There is no such leg.
    #[error("there is no such leg in this conference")]
    UnknownLeg,
    /// The person is being called or is in already.
    #[error("this person is being called or is in already")]
    AlreadyCalled,
    /// The convener calls from the line on which he is inside, as far as the switch has noticed.
    #[error("a call from this line is in the conference already")]
    LineInside,
    /// The person is not in the conference now.
    #[error("this person is not in the conference now")]
    NotInside,
    /// The convener's own leg ends by ending the conference.
    #[error("the convener cannot be removed: end the conference instead")]
    Convener,
    /// The conference holds as many people as it may.
    #[error("the conference may hold {limit} participants")]
    Full {
        /// The limit.
        limit: u32,
    },
    /// An event that does not fit the leg's state; it is logged and counted.
    #[error("the leg is {phase}, this event does not fit")]
    UnexpectedEvent {
        /// The leg's phase; it stays where the event came to.
        #[serde(skip)]
        phase: Word,
    },
    /// The person is not waiting to be let in.
    #[error("this person is not waiting to be let in")]
    NotWaiting,
    /// The person has closed the microphone by phone.
    #[error("this person has closed the microphone on the phone, and opens it there")]
    ClosedByOwner,
    /// The person's hand is not raised.
    #[error("this person's hand is not raised")]
    NoHand,
    /// The account has spent what it may in a day.
    #[error("what may be spent in a day is spent: nobody else is called")]
    SpendReached,
    /// Calls to this number are not allowed to the account.
    #[error("calls to this number are not allowed")]
    NumberNotAllowed,
    /// There is nobody to call.
    #[error("there is nobody to call: everybody is in or being called")]
    NobodyMissing,
}
