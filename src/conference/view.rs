//! What the convener is shown: derived from the state, never stored.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Outcome;
use super::limits::SpendState;
use super::state::{Conference, ControlKind, LegPhase, Link, Participant, Request, RequestState, WayOfEntry};
use crate::billing::{Currency, Money};
use crate::ids::ParticipantId;

/// A participant's rectangle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ParticipantState {
    /// Not called yet.
    NotCalled,
    /// Waits for his turn to be called.
    Queued,
    /// Being called.
    Calling,
    /// His phone rings.
    Ringing,
    /// Has called in and waits with music: for the convener, or to be let in by him.
    Waiting,
    /// Answered: hears greeting and beep.
    Greeting,
    /// In the conference.
    In,
    /// Has left and hears the closing or goodbye.
    Leaving,
    /// Was in and has left.
    Left,
    /// Answered, but hung up or was not let in.
    NotIn,
    /// Busy.
    Busy,
    /// Did not answer.
    NoAnswer,
    /// Declined.
    Rejected,
    /// Out of reach.
    Unreachable,
    /// There is no such number.
    InvalidNumber,
    /// The network had no room.
    Congested,
    /// Answered, but not by a person who wanted to come in.
    NotAccepted,
    /// The call was given up.
    Cancelled,
    /// The call failed.
    Failed,
    /// The switch has been silent for too long.
    Unknown,
}

/// A control that is not confirmed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Pending {
    /// What was asked for.
    pub control: ControlKind,
    /// `requested` or `failed`.
    pub state: String,
    /// Why it failed: `not_confirmed`, `no_link`, `gone`, `refused`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl From<&Request> for Pending {
    fn from(request: &Request) -> Self {
        match &request.state {
            RequestState::Requested { .. } => Self { control: request.control, state: "requested".into(), reason: None },
            RequestState::Failed { reason } => Self { control: request.control, state: "failed".into(), reason: Some(reason.clone()) },
        }
    }
}

/// Whether the switch is heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LinkView {
    /// Events arrive.
    Up,
    /// They do not: the states of those called are unknown.
    Unknown,
}

/// One participant as shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ParticipantView {
    /// The participant.
    #[schema(value_type = uuid::Uuid)]
    pub id: ParticipantId,
    /// Name.
    pub name: String,
    /// The number that was called last, or will be.
    pub phone: String,
    /// Where messages go.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The directory's entry, if he came from there.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<uuid::Uuid>)]
    pub contact_id: Option<crate::ids::ContactId>,
    /// Is the convener.
    pub convener: bool,
    /// The rectangle's state.
    pub state: ParticipantState,
    /// His microphone is closed.
    pub muted: bool,
    /// He has closed his microphone himself, by phone: the convener cannot open it.
    #[serde(default)]
    pub self_muted: bool,
    /// His hand is raised, and since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hand_raised_at: Option<Timestamp>,
    /// He waits until the convener lets him in, and pays for him.
    #[serde(default)]
    pub needs_consent: bool,
    /// He is talking.
    pub talking: bool,
    /// How his last call ended up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// How he came in, or is coming in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub way_of_entry: Option<WayOfEntry>,
    /// Since when he is in his state, as long as his call is not over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// When he came in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub joined_at: Option<Timestamp>,
    /// When his last call ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// Controls that are not confirmed.
    pub pending: Vec<Pending>,
    /// How often he was called.
    pub attempts: u32,
}

/// What a running conference costs its convener, and what his account has spent today.
///
/// What callers pay themselves is not in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunningCost {
    /// Of this conference so far, without VAT.
    pub net: Money,
    /// The same with VAT.
    pub gross: Money,
    /// Of all the account's conferences today, with VAT; absent until it was looked up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spent_today: Option<Money>,
    /// What the account may spend in a day, with VAT; absent without a cap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub daily_cap: Option<Money>,
    /// The currency of the amounts (ISO 4217).
    #[schema(value_type = String, example = "EUR")]
    pub currency: Currency,
    /// Calls or conference times that have no price and are not in it.
    pub without_price: u32,
}

/// A conference as shown, without its people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConferenceHead {
    /// `planned`, `calling_convener`, `running`, `closing`, `ended`, `failed`.
    pub state: String,
    /// Why it ends, ended or failed; of a planned one, why the service could not start it at its time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When Start was pressed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When the convener came in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub running_since: Option<Timestamp>,
    /// When it was over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// The convener is away and the others wait; until when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub away_until: Option<Timestamp>,
    /// "Mute all" is on: those who join now join muted.
    pub all_muted: bool,
    /// Nobody else is let in.
    pub locked: bool,
    /// When it ends at the latest, while it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub must_end_at: Option<Timestamp>,
    /// How far the account's spending of the day is.
    #[serde(default)]
    pub spend: SpendState,
    /// What it has cost so far and what the account has spent today; told anew every ten seconds while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Box<RunningCost>>,
    /// Whether the switch is heard.
    pub link: LinkView,
    /// Controls over the whole that are not confirmed.
    pub pending: Vec<Pending>,
}

/// A conference as shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConferenceView {
    /// The conference.
    #[schema(value_type = uuid::Uuid)]
    pub id: crate::ids::ConferenceId,
    /// As the convener named it.
    pub title: String,
    /// The convener's own entry on the roster.
    #[schema(value_type = uuid::Uuid)]
    pub convener_participant_id: ParticipantId,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it is planned for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheduled_at: Option<Timestamp>,
    /// The rest of the head.
    #[serde(flatten)]
    pub head: ConferenceHead,
    /// Number of the last change that is in here; later changes have higher ones.
    pub seq: u64,
    /// The people, convener first.
    pub participants: Vec<ParticipantView>,
}

/// What has changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Delta {
    /// The head, if it has changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conference: Option<ConferenceHead>,
    /// Those who are new or have changed, whole.
    pub participants: Vec<ParticipantView>,
    /// Those who were taken off the roster.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<uuid::Uuid>)]
    pub removed: Vec<ParticipantId>,
}

impl Delta {
    /// Nothing has changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.conference.is_none() && self.participants.is_empty() && self.removed.is_empty()
    }
}

impl Conference {
    /// The head as shown.
    #[must_use]
    pub fn head_view(&self) -> ConferenceHead {
        use super::Phase;
        ConferenceHead {
            state: self.phase.word().to_owned(),
            reason: self.phase.reason().map(|reason| reason.word().to_owned()),
            started_at: self.started_at,
            running_since: self.running_since,
            ended_at: match self.phase {
                Phase::Ended { at, .. } | Phase::Failed { at, .. } => Some(at),
                _ => None,
            },
            away_until: match self.phase {
                Phase::Running { away: Some(away), .. } => Some(away.deadline),
                _ => None,
            },
            all_muted: self.all_muted,
            locked: self.locked,
            must_end_at: self.must_end_at.filter(|_| matches!(self.phase, Phase::Running { .. })),
            spend: self.spend,
            cost: None,
            link: if self.link == Link::Up { LinkView::Up } else { LinkView::Unknown },
            pending: self.requests.values().map(Pending::from).collect(),
        }
    }

    /// The people as shown, convener first.
    #[must_use]
    pub fn participant_views(&self) -> Vec<ParticipantView> {
        self.participants().filter(|p| !p.removed).map(|p| self.participant_view(p)).collect()
    }

    pub(super) fn participant_view(&self, participant: &Participant) -> ParticipantView {
        let leg = participant.legs.last().and_then(|id| self.legs.get(id));
        let inside = leg.filter(|leg| leg.phase == LegPhase::Inside);
        let state = match leg {
            None => ParticipantState::NotCalled,
            Some(leg) if leg.is_on_switch() && self.link != Link::Up => ParticipantState::Unknown,
            Some(leg) => match leg.phase {
                LegPhase::Queued => ParticipantState::Queued,
                LegPhase::Dialling => ParticipantState::Calling,
                LegPhase::Ringing => ParticipantState::Ringing,
                LegPhase::Waiting => ParticipantState::Waiting,
                LegPhase::Greeting => ParticipantState::Greeting,
                LegPhase::Inside => ParticipantState::In,
                LegPhase::Leaving => ParticipantState::Leaving,
                LegPhase::Ended => ended_state(leg.outcome, leg.joined_at.is_some()),
            },
        };
        ParticipantView {
            id: participant.person.id,
            name: participant.person.name.clone(),
            phone: leg.map_or_else(|| participant.person.phone.clone(), |leg| leg.number.clone()),
            email: participant.person.email.clone(),
            contact_id: participant.person.contact,
            convener: participant.convener,
            state,
            muted: inside.is_some_and(|leg| leg.muted),
            self_muted: inside.is_some_and(|leg| leg.muted && leg.self_muted),
            hand_raised_at: inside.and_then(|leg| leg.hand_at),
            needs_consent: leg.is_some_and(|leg| leg.phase == LegPhase::Waiting && leg.needs_consent()),
            talking: false,
            outcome: leg.and_then(|leg| leg.outcome),
            way_of_entry: leg.map(|leg| leg.way_of_entry),
            since: leg.and_then(since),
            joined_at: leg.and_then(|leg| leg.joined_at),
            ended_at: leg.and_then(|leg| leg.ended_at),
            pending: participant.request.as_ref().map(Pending::from).into_iter().collect(),
            attempts: u32::try_from(participant.legs.len()).unwrap_or(u32::MAX),
        }
    }
}

fn since(leg: &super::Leg) -> Option<Timestamp> {
    match leg.phase {
        LegPhase::Queued => Some(leg.queued_at),
        LegPhase::Dialling => leg.dialled_at,
        LegPhase::Ringing => leg.ringing_at,
        LegPhase::Waiting | LegPhase::Greeting => leg.answered_at,
        LegPhase::Inside => leg.joined_at,
        LegPhase::Leaving => leg.left_at,
        LegPhase::Ended => None,
    }
}

fn ended_state(outcome: Option<Outcome>, came_in: bool) -> ParticipantState {
    match outcome {
        Some(Outcome::Answered) if came_in => ParticipantState::Left,
        Some(Outcome::Answered) => ParticipantState::NotIn,
        Some(Outcome::Busy) => ParticipantState::Busy,
        Some(Outcome::NoAnswer) => ParticipantState::NoAnswer,
        Some(Outcome::Rejected) => ParticipantState::Rejected,
        Some(Outcome::Unreachable) => ParticipantState::Unreachable,
        Some(Outcome::InvalidNumber) => ParticipantState::InvalidNumber,
        Some(Outcome::Congested) => ParticipantState::Congested,
        Some(Outcome::NotAccepted) => ParticipantState::NotAccepted,
        Some(Outcome::Cancelled) => ParticipantState::Cancelled,
        Some(Outcome::Failed) | None => ParticipantState::Failed,
    }
}
