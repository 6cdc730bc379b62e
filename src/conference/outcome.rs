//! How a leg ended up, drawn from what the switch said: one reading for every switch (R16).

use serde::{Deserialize, Serialize};

use super::state::Leg;
use crate::pbx::EndCause;

/// How a leg ended up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The person answered.
    Answered,
    /// The line was busy.
    Busy,
    /// It rang and nobody answered.
    NoAnswer,
    /// The person declined.
    Rejected,
    /// The phone was off or out of reach: it never rang.
    Unreachable,
    /// There is no such number.
    InvalidNumber,
    /// The network or the switch had no room.
    Congested,
    /// Answered, but not let in.
    NotAccepted,
    /// We gave up the call ourselves.
    Cancelled,
    /// Anything else.
    Failed,
}

impl Outcome {
    /// The word used in the API, the journal and the database.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Busy => "busy",
            Self::NoAnswer => "no_answer",
            Self::Rejected => "rejected",
            Self::Unreachable => "unreachable",
            Self::InvalidNumber => "invalid_number",
            Self::Congested => "congested",
            Self::NotAccepted => "not_accepted",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
        }
    }
}

/// The outcome of a leg that is over.
///
/// The SIP status that the far end really sent decides first (RFC 3261 §21), then the Q.850 cause, then what was seen before.
#[must_use]
pub fn outcome_of(leg: &Leg, cause: EndCause) -> Outcome {
    if leg.answered_at.is_some() {
        let turned_away = leg.joined_at.is_none() && leg.dial_in.as_ref().is_some_and(|dial_in| dial_in.turned_away);
        return if turned_away { Outcome::NotAccepted } else { Outcome::Answered };
    }
    if leg.hang_up_asked {
        return Outcome::Cancelled;
    }
    // Overdue: the switch overslept its own timeout, and we hung up for it.
    let ring_timeout = cause.ring_timeout || (leg.overdue && cause.sip.is_none());
    unanswered(leg.ringing_at.is_some() || leg.early_media, EndCause { ring_timeout, ..cause })
}

/// The outcome of a call that nobody answered and that we did not give up; `rang`: it alerted, or sent sound.
#[must_use]
pub fn unanswered(rang: bool, cause: EndCause) -> Outcome {
    if cause.ring_timeout {
        return if rang { Outcome::NoAnswer } else { Outcome::Unreachable };
    }
    if let Some(outcome) = cause.sip.and_then(|status| by_sip(status, rang)) {
        return outcome;
    }
    cause.q850.map_or(Outcome::Failed, |q850| by_q850(q850, rang))
}

/// RFC 3261 §21; 607 is RFC 8197, 608 RFC 8688.
fn by_sip(status: u16, rang: bool) -> Option<Outcome> {
    Some(match status {
        486 | 600 => Outcome::Busy,
        403 | 603 | 607 | 608 => Outcome::Rejected,
        404 | 410 | 416 | 484 | 485 | 604 => Outcome::InvalidNumber,
        408 | 480 if rang => Outcome::NoAnswer,
        408 | 430 | 480 => Outcome::Unreachable,
        487 => Outcome::Cancelled,
        500 | 502..=504 | 580 => Outcome::Congested,
        // 3xx: sent elsewhere, where nobody follows; the switches have different Q.850 causes beside it.
        300..=699 => Outcome::Failed,
        _ => return None,
    })
}

/// ITU-T Q.850 table 1.
fn by_q850(cause: u16, rang: bool) -> Outcome {
    match cause {
        17 => Outcome::Busy,
        18 | 19 if rang => Outcome::NoAnswer,
        18..=20 | 27 => Outcome::Unreachable,
        21 | 55 | 57 | 87 => Outcome::Rejected,
        1 | 2 | 3 | 5 | 22 | 28 => Outcome::InvalidNumber,
        34 | 38 | 41 | 42 | 43 | 44 | 46 | 47 | 58 => Outcome::Congested,
        _ => Outcome::Failed,
    }
}
