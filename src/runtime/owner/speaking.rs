//! Write, then speak: what is decided goes to the ledger first, then to the switch and the windows, in order.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::mpsc::UnboundedSender;
use tracing::{debug, warn};

use super::{Draft, Flight, LATE, Message, Owner, SETTLING};
use crate::clock;
use crate::ids::LegId;
use crate::pbx::{Command, CommandFailure};
use crate::storage::{Batch, RowChange, StorageError};

/// How often an owner is told that its call still waits at the switch: oftener than the shortest time that a call is given.
const WAITS_EVERY: Duration = Duration::from_secs(10);

impl Owner {
    pub(super) fn submit(&mut self, draft: Draft) {
        if draft.journal.is_empty() {
            return;
        }
        let now = clock::now();
        let charged = draft.rows.iter().any(|row| matches!(row, RowChange::Charge { .. }));
        if charged {
            self.shared.spending.write_begins(self.paperwork.account.id, self.conference.id());
            self.paperwork.note_living(&self.conference, &self.shared, now);
        }
        let ticket = self.shared.writer.submit(Batch {
            conference: self.conference.id(),
            fence: Some(self.node.tenure.fence()),
            journal: draft.journal,
            rows: draft.rows,
        });
        self.flights.push_back(Flight { submitted: now, ticket, charged, commands: draft.commands, deltas: draft.deltas, replies: draft.replies });
        if !self.shared.writer.is_available() {
            self.speak_early();
        }
    }

    /// The oldest write is in the ledger: now speak.
    pub(super) fn land(&mut self) {
        let Some(flight) = self.flights.pop_front() else { return };
        let now = clock::now();
        if flight.commands.iter().any(is_dial) && now > flight.submitted + LATE {
            self.settles_at = now + SETTLING;
        }
        for command in flight.commands {
            self.speak(command);
        }
        for delta in flight.deltas {
            self.push(delta);
        }
        if flight.charged {
            self.charges_landed(now);
        }
        if flight.replies.is_empty() {
            return;
        }
        let view = self.picture.at(self.hub.seq());
        for reply in flight.replies {
            let _ = reply.send(Ok(view.clone()));
        }
    }

    /// A decided call waits for the database, or until it is sure that this process still drives the switch.
    pub(super) fn holds_dials(&self) -> bool {
        self.flights.iter().flat_map(|flight| &flight.commands).chain(&self.unspoken).any(is_dial)
    }

    /// While the database is away: what ends calls and closes microphones does not wait for it.
    pub(super) fn speak_early(&mut self) {
        let mut early = Vec::new();
        let mut held = BTreeSet::new();
        for flight in &mut self.flights {
            held.extend(flight.commands.iter().filter(|command| is_dial(command)).filter_map(Command::leg));
            let (now, later): (Vec<_>, Vec<_>) = std::mem::take(&mut flight.commands).into_iter().partition(|command| {
                matches!(
                    command,
                    Command::HangUp { .. } | Command::Mute { .. } | Command::MuteAll { .. } | Command::Remove { .. } | Command::Close { .. }
                )
            });
            early.extend(now);
            flight.commands = later;
        }
        for command in early {
            if let Command::HangUp { leg } = command
                && held.contains(&leg)
            {
                // Its call has not been handed over: it never will be, and there is nothing to hang up.
                for flight in &mut self.flights {
                    flight.commands.retain(|command| !is_dial(command) || command.leg() != Some(leg));
                }
                let _ = self.own_inbox.send(Message::Unplaced(leg));
                continue;
            }
            warn!(conference.id = %self.conference.id(), leg.id = command.leg().map(tracing::field::display), "the database is away: a command goes out before it is written");
            self.speak(command);
        }
    }

    /// Says it to the switch; holds it back while it is not sure that this process still drives it.
    fn speak(&mut self, command: Command) {
        if let Command::HangUp { leg } = command
            && let Some(at) = self.unspoken.iter().position(|held| is_dial(held) && held.leg() == Some(leg))
        {
            // As above: its call is still here.
            self.unspoken.remove(at);
            let _ = self.own_inbox.send(Message::Unplaced(leg));
            return;
        }
        let sure = self.unspoken.is_empty() && self.node.tenure.is_sure();
        if sure || (self.goes_ahead(&command) && self.node.tenure.may_end()) {
            self.say(command);
        } else {
            self.unspoken.push_back(command);
        }
    }

    /// Ends a call that this owner knows, or closes a microphone before which nothing is held back.
    fn goes_ahead(&self, command: &Command) -> bool {
        match command {
            Command::HangUp { .. } | Command::Remove { .. } => true,
            Command::Mute { muted: true, .. } | Command::MuteAll { muted: true, .. } => self.unspoken.is_empty(),
            _ => false,
        }
    }

    pub(super) fn say_unspoken(&mut self) {
        if self.unspoken.iter().any(is_dial) {
            self.settles_at = clock::now() + SETTLING;
        }
        for command in std::mem::take(&mut self.unspoken) {
            self.say(command);
        }
    }

    fn say(&self, command: Command) {
        debug!(conference.id = %self.conference.id(), leg.id = command.leg().map(tracing::field::display), "command to the switch");
        let answer = self.node.pbx.execute(command.clone());
        let inbox = self.own_inbox.clone();
        let timing = crate::runtime::gauges::Timing::begin(&self.node.name, &command);
        tokio::spawn(async move {
            let answer = match &command {
                Command::Dial(dial) => dialled(dial.leg, answer, &inbox).await,
                _ => answer.await,
            };
            timing.end(answer.is_ok());
            if let Err(failure) = answer {
                let _ = inbox.send(Message::CommandFailed { command, failure });
            }
        });
    }
}

/// Waits for the switch's taking a call. All conferences share the switch's lane: as long as the call waits there, its owner is told so,
/// and once more when its turn has come.
async fn dialled(
    leg: LegId,
    mut answer: BoxFuture<'static, Result<(), CommandFailure>>,
    inbox: &UnboundedSender<Message>,
) -> Result<(), CommandFailure> {
    let mut waited = false;
    loop {
        match tokio::time::timeout(WAITS_EVERY, &mut answer).await {
            Ok(answer) => {
                if waited && answer.is_ok() {
                    let _ = inbox.send(Message::StillWaiting(leg));
                }
                return answer;
            }
            Err(_) => {
                waited = true;
                // The conference may be over by now.
                let _ = inbox.send(Message::StillWaiting(leg));
            }
        }
    }
}

fn is_dial(command: &Command) -> bool {
    matches!(command, Command::Dial(_))
}

/// Waits for the oldest write; leaves it in its place, so that it can be waited for again.
pub(super) async fn next_landing(flights: &mut VecDeque<Flight>) -> Result<(), StorageError> {
    match flights.front_mut() {
        Some(flight) => (&mut flight.ticket).await,
        None => std::future::pending().await,
    }
}
