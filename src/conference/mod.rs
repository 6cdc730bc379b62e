//! The rules of a conference, pure.
//!
//! [`Conference::handle`] takes one [`Input`] and the time, and returns [`Effect`]s as data.
//! There is no clock, randomness, I/O or async in here, and no float; `tests/tidy.rs` keeps it so.
//! An input that does not fit is a typed [`Refusal`], and the state stays as it was.
//! Replaying the journal ([`Entry`]s) gives the same state and the same effects.

mod caller;
mod control;
mod dialling;
mod effect;
mod ending;
mod events;
mod input;
mod keys;
mod limits;
mod outcome;
mod reconcile;
mod replay;
mod spec;
mod state;
mod view;

pub use caller::NewCaller;
pub use effect::{Effect, Entry};
pub use input::{Control, Input, Refusal};
pub use limits::{AtCap, SpendState};
pub use outcome::{Outcome, outcome_of, unanswered};
pub use reconcile::reconcile;
pub use replay::ReplayFault;
pub use spec::{NewParticipant, Settings, Spec};
pub use state::{Conference, ControlKind, DialIn, EndReason, Leg, LegPhase, Link, Participant, Phase, Request, RequestState, WayOfEntry};
pub use view::{ConferenceHead, ConferenceView, Delta, LinkView, ParticipantState, ParticipantView, Pending, RunningCost};

use jiff::Timestamp;

impl Conference {
    /// Takes one input at `now` and says what follows.
    ///
    /// # Errors
    /// A [`Refusal`] when the input does not fit the state; the state is then unchanged.
    pub fn handle(&mut self, now: Timestamp, input: Input) -> Result<Vec<Effect>, Refusal> {
        self.check(&input)?;
        let mut out = Out::default();
        match input {
            Input::Control { control } => self.on_control(now, control, &mut out)?,
            Input::Arrived { caller } => self.on_caller(now, *caller, &mut out)?,
            Input::StillHeld { leg } => self.on_still_held(now, leg, &mut out)?,
            Input::Switch { event } => self.on_event(now, event, &mut out)?,
            Input::CommandFailed { command, failure } => self.on_command_failed(now, &command, &failure, &mut out)?,
            Input::LegGone { leg, record, at, evidence } => self.on_leg_gone(now, leg, record, at, evidence, &mut out)?,
            Input::NeverPlaced { leg } => self.on_never_placed(now, leg, &mut out)?,
            Input::StillWaiting { leg } => self.on_still_waiting(now, leg)?,
            Input::SwitchGone { last_heard } => self.on_switch_gone(now, last_heard, &mut out),
            Input::LinkLost { last_heard } => self.on_link_lost(now, last_heard, &mut out),
            Input::LinkRestored => self.on_link_restored(now, &mut out),
            Input::Spend { spent } => self.on_spend(now, spent, &mut out),
            Input::Tick => {}
        }
        self.run_deadlines(now, &mut out);
        self.drain_queue(now, &mut out);
        self.settle_end(now, &mut out);
        Ok(self.finish(out))
    }
}

/// What one input gathers: commands in order, and what was touched.
#[derive(Default)]
struct Out {
    commands: Vec<crate::pbx::Command>,
    head: bool,
    participants: std::collections::BTreeSet<crate::ids::ParticipantId>,
    legs: std::collections::BTreeSet<crate::ids::LegId>,
    ended_legs: Vec<crate::ids::LegId>,
    finished: bool,
}
