//! What follows from an input, as data.

use serde::{Deserialize, Serialize};

use super::input::Input;
use super::spec::Spec;
use super::state::{Leg, Participant, Phase};
use super::view::Delta;
use crate::ids::LegId;
use crate::pbx::Command;

/// One line of the journal. The first of a conference opens it, the others are its inputs; in order they are the whole conference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "snake_case")]
pub enum Entry {
    /// The conference as it was planned.
    Open {
        /// What it starts from.
        spec: Box<Spec>,
    },
    /// Something happened.
    Input {
        /// What.
        #[serde(flatten)]
        input: Input,
    },
}

/// What is to be done about an input. Rows are written with the journal in one transaction, then commands go out in order, then the push.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "effect", rename_all = "snake_case")]
pub enum Effect {
    /// The conference itself has changed.
    SaveHead {
        /// Its phase now.
        phase: Phase,
    },
    /// A participant has changed or is new.
    SaveParticipant {
        /// As he is now.
        participant: Box<Participant>,
    },
    /// A leg has changed or is new.
    SaveLeg {
        /// As it is now.
        leg: Box<Leg>,
    },
    /// A leg is over; it can be rated. Once for each leg.
    LegEnded {
        /// The leg, as saved beside this.
        leg: LegId,
    },
    /// The conference is over; report and mail are due. Once for each conference.
    Finished,
    /// A wish to the switch.
    Command {
        /// Which.
        command: Command,
    },
    /// What the convener's windows are told.
    Push {
        /// The difference.
        delta: Delta,
    },
}
