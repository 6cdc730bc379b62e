//! The state of a conference: plain values, changed only by `handle`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::limits::SpendState;
use super::outcome::Outcome;
use super::spec::{NewParticipant, Spec};
pub use crate::billing::WayOfEntry;
use crate::ids::{ConferenceId, LegId, ParticipantId};
use crate::pbx::{EndCause, Evidence};

/// Why a conference ended or failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum EndReason {
    /// The convener's call ended.
    ConvenerLeft,
    /// The convener ended it: on the page, by the API or with `*9`.
    EndedByConvener,
    /// The convener did not come back in the grace time.
    ConvenerAway,
    /// It had lasted as long as it may.
    MaxLength,
    /// The account had spent what it may in a day.
    SpendCap,
    /// The switch died or lost it.
    SwitchFailed,
    /// The convener answered and hung up before he was inside.
    ConvenerHungUp,
    /// The convener was not reached.
    ConvenerNotReached {
        /// How his leg ended up.
        outcome: Outcome,
    },
}

impl EndReason {
    /// It means that the conference never ran, if it did not.
    pub(super) fn is_failure(self) -> bool {
        matches!(self, Self::ConvenerHungUp | Self::ConvenerNotReached { .. } | Self::SwitchFailed)
    }

    /// The word used in the API, the journal and the database.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::ConvenerLeft => "convener_left",
            Self::EndedByConvener => "ended_by_convener",
            Self::ConvenerAway => "convener_away",
            Self::MaxLength => "max_length",
            Self::SpendCap => "spend_cap",
            Self::SwitchFailed => "switch_failed",
            Self::ConvenerHungUp => "convener_hung_up",
            Self::ConvenerNotReached { outcome } => match outcome {
                Outcome::Busy => "convener_busy",
                Outcome::NoAnswer => "convener_no_answer",
                Outcome::Rejected => "convener_rejected",
                Outcome::Unreachable => "convener_unreachable",
                Outcome::InvalidNumber => "convener_invalid_number",
                Outcome::Congested => "convener_congested",
                Outcome::Cancelled => "ended_by_convener",
                Outcome::NotAccepted => "convener_not_accepted",
                Outcome::Answered | Outcome::Failed => "convener_failed",
            },
        }
    }
}

/// The convener's absence in a conference that waits for him.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Away {
    /// Since when.
    pub since: Timestamp,
    /// When the waiting ends.
    pub deadline: Timestamp,
    /// When he is called next.
    pub next_call_at: Timestamp,
}

/// Where a conference is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "phase", rename_all = "snake_case")]
pub enum Phase {
    /// Nothing has been dialled.
    Planned,
    /// The convener is called, and nobody else (R1).
    CallingConvener {
        /// Since when.
        since: Timestamp,
    },
    /// The convener has been inside.
    Running {
        /// When he came in, by the switch's clock.
        since: Timestamp,
        /// He is away and the others wait (R6).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        away: Option<Away>,
    },
    /// The closing announcement plays and legs are ending.
    Closing {
        /// Since when.
        since: Timestamp,
        /// Why it ends.
        reason: EndReason,
    },
    /// Over.
    Ended {
        /// When the last leg ended.
        at: Timestamp,
        /// Why it ended.
        reason: EndReason,
    },
    /// It never ran: the convener was not reached.
    Failed {
        /// When.
        at: Timestamp,
        /// Why.
        reason: EndReason,
    },
}

impl Phase {
    /// The word used in the API, the journal and the database.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::CallingConvener { .. } => "calling_convener",
            Self::Running { .. } => "running",
            Self::Closing { .. } => "closing",
            Self::Ended { .. } => "ended",
            Self::Failed { .. } => "failed",
        }
    }

    /// Why it ends or ended, if it does.
    #[must_use]
    pub fn reason(&self) -> Option<EndReason> {
        match self {
            Self::Closing { reason, .. } | Self::Ended { reason, .. } | Self::Failed { reason, .. } => Some(*reason),
            _ => None,
        }
    }

    /// Nothing more can happen.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self, Self::Ended { .. } | Self::Failed { .. })
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// How far a leg is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LegPhase {
    /// Waits for its turn to be dialled.
    Queued,
    /// The switch has been asked; nothing heard from the far end.
    Dialling,
    /// A caller who waits with music for the convener, or for being let in by him.
    Waiting,
    /// The far end is alerting.
    Ringing,
    /// Answered: greeting and beep.
    Greeting,
    /// A member.
    Inside,
    /// No member any more; hears the closing or goodbye.
    Leaving,
    /// Over.
    Ended,
}

impl LegPhase {
    /// The word used in the API, the journal and the database.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Dialling => "dialling",
            Self::Waiting => "waiting",
            Self::Ringing => "ringing",
            Self::Greeting => "greeting",
            Self::Inside => "inside",
            Self::Leaving => "leaving",
            Self::Ended => "ended",
        }
    }
}

/// What only a leg that called in has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DialIn {
    /// The access number that he dialled, as the configuration names it.
    pub access_number: String,
    /// The line that the network vouches for, in normal form: the payer of an on-net leg.
    pub calling_line: Option<String>,
    /// He waits until the convener accepts to pay for him.
    pub needs_consent: bool,
    /// The convener has accepted to pay.
    pub convener_pays: bool,
    /// Letting him in costs the convener's account.
    pub convener_owes: bool,
    /// He was let in although the conference was locked.
    pub past_lock: bool,
    /// He heard that he may not come in, or not any more.
    pub turned_away: bool,
}

fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// One telephone connection, or the attempt at one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leg {
    /// The leg.
    pub id: LegId,
    /// Whose it is.
    pub participant: ParticipantId,
    /// The number dialled, in normal form; of a caller the number to show, empty if he keeps it private.
    pub number: String,
    /// How it came into being.
    pub way_of_entry: WayOfEntry,
    /// How far it is.
    pub phase: LegPhase,
    /// When it was lined up for dialling (our clock).
    pub queued_at: Timestamp,
    /// When the switch was asked to dial (our clock).
    pub dialled_at: Option<Timestamp>,
    /// When the far end began to alert (the switch's clock, as all below).
    pub ringing_at: Option<Timestamp>,
    /// Sound came before the answer.
    pub early_media: bool,
    /// When it first did; a leg of an earlier release does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub early_media_at: Option<Timestamp>,
    /// When it was answered: the call component begins.
    pub answered_at: Option<Timestamp>,
    /// When it first became a member: the conference component begins.
    pub joined_at: Option<Timestamp>,
    /// When it last stopped being a member: the conference component ends.
    pub left_at: Option<Timestamp>,
    /// When it was over: the call component ends.
    pub ended_at: Option<Timestamp>,
    /// How it ended up.
    pub outcome: Option<Outcome>,
    /// How its end is known.
    pub evidence: Option<Evidence>,
    /// What the switch said about its end.
    pub cause: EndCause,
    /// Set for a leg that called in.
    pub dial_in: Option<DialIn>,
    /// Its microphone is closed, as the switch confirmed.
    pub muted: bool,
    /// The convener wants it closed: its owner cannot open it.
    pub convener_muted: bool,
    /// Its owner has closed it by phone: the convener cannot open it.
    pub self_muted: bool,
    /// What its owner has just asked for by phone.
    pub self_wish: Option<bool>,
    /// Its owner's hand is raised, and since when.
    pub hand_at: Option<Timestamp>,
    /// We have asked the switch to end it.
    pub hang_up_asked: bool,
    /// It has stayed in a phase for too long and was hung up for that.
    pub overdue: bool,
    /// How often it was put back into the queue.
    pub retries: u32,
    /// How often it was placed anew because the switch had never heard of it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub replacements: u32,
    /// When it is overdue (our clock).
    pub deadline: Option<Timestamp>,
    /// When something was last heard of it (our clock).
    pub touched_at: Timestamp,
    /// The last moment at which it was known to live, by the switch's clock.
    pub proof_at: Timestamp,
    /// Its end was told after a gap, and what came before it within the gap was not: a snapshot tells that, and then it is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_told_at: Option<Timestamp>,
}

/// How far a switch's clock may go back within a call, by small corrections and by records that keep whole seconds.
const CLOCK_SLACK: SignedDuration = SignedDuration::from_secs(2);

/// `at`, or `floor` when it lies only a little before that.
fn not_before(floor: Timestamp, at: Timestamp) -> Timestamp {
    if floor.duration_since(at) > CLOCK_SLACK { at } else { at.max(floor) }
}

impl Leg {
    /// A leg about which nothing is known yet.
    pub(super) fn new(id: LegId, participant: ParticipantId, number: String, now: Timestamp) -> Self {
        Self {
            id,
            participant,
            number,
            way_of_entry: WayOfEntry::WebOut,
            phase: LegPhase::Queued,
            queued_at: now,
            dialled_at: None,
            ringing_at: None,
            early_media: false,
            early_media_at: None,
            answered_at: None,
            joined_at: None,
            left_at: None,
            ended_at: None,
            outcome: None,
            evidence: None,
            cause: EndCause::default(),
            dial_in: None,
            muted: false,
            convener_muted: false,
            self_muted: false,
            self_wish: None,
            hand_at: None,
            hang_up_asked: false,
            overdue: false,
            retries: 0,
            replacements: 0,
            deadline: None,
            touched_at: now,
            proof_at: now,
            end_told_at: None,
        }
    }

    /// Whether this caller rings from the telephone at its other end.
    pub(super) fn is_on_line_of(&self, caller: &super::NewCaller) -> bool {
        let line = self.dial_in.as_ref().and_then(|dial_in| dial_in.calling_line.as_deref());
        let ends = [Some(self.number.as_str()), line];
        [Some(caller.number.as_str()), caller.calling_line.as_deref()].into_iter().flatten().any(|its| !its.is_empty() && ends.contains(&Some(its)))
    }

    /// It has been answered and is not over: in the service's hands, in the greeting, inside or on its way out.
    #[must_use]
    pub fn is_in_hand(&self) -> bool {
        matches!(self.phase, LegPhase::Waiting | LegPhase::Greeting | LegPhase::Inside | LegPhase::Leaving)
    }

    /// It waits until the convener accepts to pay for it.
    #[must_use]
    pub fn needs_consent(&self) -> bool {
        self.dial_in.as_ref().is_some_and(|dial_in| dial_in.needs_consent)
    }

    /// Letting it in costs the convener's account.
    #[must_use]
    pub fn convener_owes(&self) -> bool {
        self.dial_in.as_ref().is_some_and(|dial_in| dial_in.convener_owes)
    }

    /// It was let in although the conference was locked.
    #[must_use]
    pub fn past_lock(&self) -> bool {
        self.dial_in.as_ref().is_some_and(|dial_in| dial_in.past_lock)
    }

    /// The switch holds it, or may.
    #[must_use]
    pub fn is_on_switch(&self) -> bool {
        !matches!(self.phase, LegPhase::Queued | LegPhase::Ended)
    }

    /// Keeps answer, coming in, leaving and end in this order: the switch's clock may go back a few milliseconds between events,
    /// records may have gaps, and no span is negative for that.
    ///
    /// A leaving or an end that lies further back than one of those before it stays as it was told: then the clock was set within the
    /// call, nobody knows how long it was, and its charge is an error that somebody looks at rather than a call for nothing
    /// (R12, point 2).
    pub(super) fn order_times(&mut self) {
        self.answered_at = self.answered_at.or(self.joined_at);
        self.joined_at = self.joined_at.map(|at| at.max(self.answered_at.unwrap_or(at)));
        self.left_at = self.joined_at.and_then(|joined| self.left_at.map(|at| not_before(joined, at)));
        let floor = self.last_time();
        self.ended_at = self.ended_at.map(|at| floor.map_or(at, |floor| not_before(floor, at)));
    }

    /// The last that is known of it before its end.
    pub(super) fn last_time(&self) -> Option<Timestamp> {
        [self.answered_at, self.joined_at, self.left_at].into_iter().flatten().max()
    }

    /// It is in the conference, or on its way there, and is not to be ended: it has a place.
    #[must_use]
    pub fn has_place(&self) -> bool {
        self.is_live() && self.phase != LegPhase::Leaving && !self.hang_up_asked
    }

    /// It is not over.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.phase != LegPhase::Ended
    }
}

/// What a control is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ControlKind {
    /// Close a microphone.
    Mute,
    /// Open it.
    Unmute,
    /// Take a person out.
    Remove,
    /// Close all microphones.
    MuteAll,
    /// Open them.
    UnmuteAll,
    /// Let nobody else in.
    Lock,
    /// Let others in again.
    Unlock,
    /// Let one waiting caller in.
    Admit,
}

/// How far a control is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum RequestState {
    /// Asked for; the switch has not confirmed it.
    Requested {
        /// When it has failed if still not confirmed.
        deadline: Timestamp,
    },
    /// It did not happen.
    Failed {
        /// Why, as a stable word: `not_confirmed`, `no_link`, `gone`, `refused`.
        reason: String,
    },
}

/// A control that the switch has not confirmed (R4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// What was asked for.
    pub control: ControlKind,
    /// How far it is.
    #[serde(flatten)]
    pub state: RequestState,
}

/// A person in the conference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Participant {
    /// Who, with name and number.
    #[serde(flatten)]
    pub person: NewParticipant,
    /// Place on the roster; the convener's is 0.
    pub position: u32,
    /// Is the convener.
    pub convener: bool,
    /// Taken off the roster before ever being called.
    pub removed: bool,
    /// His legs, the newest last.
    pub legs: Vec<LegId>,
    /// The last control about him that is not confirmed.
    pub request: Option<Request>,
}

/// What is known of the link to the switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "link", rename_all = "snake_case")]
pub enum Link {
    /// Events arrive.
    Up,
    /// They do not: the state of every leg on the switch is unknown (R3).
    Unknown {
        /// The last moment at which the switch was heard.
        last_heard: Timestamp,
    },
}

/// One conference from Start to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Conference {
    pub(super) spec: Spec,
    pub(super) phase: Phase,
    pub(super) opened_at: Timestamp,
    pub(super) started_at: Option<Timestamp>,
    pub(super) running_since: Option<Timestamp>,
    /// When it has lasted as long as it may (our clock, so that a switch's wrong clock cannot move it).
    pub(super) must_end_at: Option<Timestamp>,
    /// The convener has heard that this is near.
    pub(super) length_warned: bool,
    /// How far the account's spending is.
    pub(super) spend: SpendState,
    pub(super) participants: BTreeMap<ParticipantId, Participant>,
    pub(super) roster: Vec<ParticipantId>,
    pub(super) legs: BTreeMap<LegId, Leg>,
    pub(super) leg_count: u32,
    pub(super) queue: VecDeque<LegId>,
    pub(super) queue_at: Timestamp,
    pub(super) all_muted: bool,
    pub(super) locked: bool,
    /// When that was last told, if the link has been up since.
    pub(super) lock_at: Option<Timestamp>,
    pub(super) requests: BTreeMap<ControlKind, Request>,
    pub(super) link: Link,
    pub(super) last_beep: Option<Timestamp>,
    /// What the convener has asked for by phone and is to be told once it is confirmed.
    pub(super) told_by_phone: BTreeSet<ControlKind>,
    /// When the convener first pressed the keys that end the conference.
    pub(super) end_pressed_at: Option<Timestamp>,
}

impl Conference {
    /// A planned conference; `now` is when it was opened.
    #[must_use]
    pub fn open(now: Timestamp, spec: Spec) -> Self {
        let mut conference = Self {
            phase: Phase::Planned,
            opened_at: now,
            started_at: None,
            running_since: None,
            must_end_at: None,
            length_warned: false,
            spend: SpendState::Free,
            participants: BTreeMap::new(),
            roster: Vec::new(),
            legs: BTreeMap::new(),
            leg_count: 0,
            queue: VecDeque::new(),
            queue_at: now,
            all_muted: false,
            locked: false,
            lock_at: None,
            requests: BTreeMap::new(),
            link: Link::Up,
            last_beep: None,
            told_by_phone: BTreeSet::new(),
            end_pressed_at: None,
            spec: spec.clone(),
        };
        conference.enrol(spec.convener, true);
        for person in spec.participants {
            conference.enrol(person, false);
        }
        conference
    }

    pub(super) fn enrol(&mut self, person: NewParticipant, convener: bool) -> ParticipantId {
        let id = person.id;
        if self.participants.contains_key(&id) {
            return id;
        }
        let position = u32::try_from(self.roster.len()).unwrap_or(u32::MAX);
        self.roster.push(id);
        self.participants.insert(id, Participant { person, position, convener, removed: false, legs: Vec::new(), request: None });
        id
    }

    /// Which conference this is.
    #[must_use]
    pub fn id(&self) -> ConferenceId {
        self.spec.id
    }

    /// What it was started with.
    #[must_use]
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// Where it is in its life.
    #[must_use]
    pub fn phase(&self) -> &Phase {
        &self.phase
    }

    /// When it was started, and since when it runs.
    #[must_use]
    pub fn times(&self) -> (Option<Timestamp>, Option<Timestamp>) {
        (self.started_at, self.running_since)
    }

    /// The participants in roster order, those taken off it included.
    pub fn participants(&self) -> impl Iterator<Item = &Participant> {
        self.roster.iter().filter_map(|id| self.participants.get(id))
    }

    /// One participant.
    #[must_use]
    pub fn participant(&self, id: ParticipantId) -> Option<&Participant> {
        self.participants.get(&id)
    }

    /// All legs.
    pub fn legs(&self) -> impl Iterator<Item = &Leg> {
        self.legs.values()
    }

    /// One leg.
    #[must_use]
    pub fn leg(&self, id: LegId) -> Option<&Leg> {
        self.legs.get(&id)
    }

    /// Whether it was started by the rules of this edition or a later one.
    pub(super) fn is_of_edition(&self, edition: u32) -> bool {
        self.spec.settings.edition >= edition
    }

    /// What is known of the link to the switch.
    #[must_use]
    pub fn link(&self) -> Link {
        self.link
    }

    /// The leg of a participant that is not over, if there is one.
    #[must_use]
    pub fn live_leg(&self, participant: ParticipantId) -> Option<&Leg> {
        let newest = self.participants.get(&participant)?.legs.last()?;
        self.legs.get(newest).filter(|leg| leg.is_live())
    }
}
