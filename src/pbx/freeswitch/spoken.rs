//! The adapter's commands to callers and to single members.

use tokio::time::Instant;

use super::adapter::{Actor, Work};
use super::callers;
use super::client::Client;
use crate::ids::{LegId, Room};
use crate::pbx::jobs::Answer;
use crate::pbx::keying::Question;
use crate::pbx::wire;
use crate::pbx::{Command, CommandFailure, Language, LegSnapshotPhase, Phrase, Role};

impl Actor {
    /// A command to a caller who is in our hands. What is sent before the last request cannot fail unless that does.
    pub(super) fn caller(&mut self, client: &mut Client, work: &mut Work, command: Command, answer: Answer<()>) {
        let held = command.leg().and_then(|leg| self.legs.get_mut(leg)).filter(|leg| leg.phase == LegSnapshotPhase::Held);
        let Some(known) = held.filter(|leg| leg.caller.is_some()) else {
            return drop(answer.send(Err(CommandFailure::Gone)));
        };
        // A question that is still open is taken back by whatever comes after it.
        known.question = None;
        let said = |say: &[_], language| callers::say(&self.sounds, say, language);
        let requests = match command {
            Command::Ask(ask) => said(&ask.say, ask.language).map(|said| {
                known.question = Some(Question::new(&ask, Instant::now()));
                callers::ask(ask.leg, said, ask.ask)
            }),
            Command::Hold { leg, language, say } => said(&say, language).map(|said| callers::hold(leg, said)),
            Command::Dismiss { leg, language, say } => said(&say, language).map(|said| {
                self.legs.release(leg, None);
                callers::dismiss(leg, said)
            }),
            Command::Admit(admit) => {
                self.legs.release(admit.leg, Some(&admit));
                let awaited = admit.role == Role::Participant && self.is_awaited(admit.room, admit.grace_seconds);
                Ok(callers::admit(&admit, awaited))
            }
            Command::Bring(bring) => wire::switch_destination(&self.config.dial_switch, &bring.number, &bring.to).map(|destination| {
                self.legs.brought(bring.leg);
                drop(client.submit(callers::towards(bring.leg, &destination)));
                callers::bring(&bring)
            }),
            _ => return drop(answer.send(Err(CommandFailure::Refused("this is no command to a caller".into())))),
        };
        match requests {
            Ok([first, last]) => {
                drop(client.submit(first));
                self.simple(client, work, last, answer);
            }
            Err(error) => drop(answer.send(Err(error.into()))),
        }
    }

    /// Who is held goes on being held.
    pub(super) fn show_life(&self, client: &mut Client) {
        for leg in self.legs.callers().into_keys() {
            for request in callers::keep(leg) {
                // When he has gone meanwhile, that is told.
                drop(client.submit(request));
            }
        }
    }

    /// Words to one member.
    pub(super) fn tell_member(
        &mut self,
        client: &mut Client,
        work: &mut Work,
        (room, leg): (Room, LegId),
        (say, language): (&[Phrase], Language),
        answer: Answer<()>,
    ) {
        let inside = self.legs.get(leg).filter(|leg| matches!(leg.phase, LegSnapshotPhase::Inside { .. }));
        match (callers::say(&self.sounds, say, language), inside.and_then(|leg| leg.member)) {
            (Err(error), _) => drop(answer.send(Err(error.into()))),
            (Ok(_), None) => drop(answer.send(Err(CommandFailure::Gone))),
            (Ok(said), Some(member)) => {
                let [stop, play] = callers::tell(room, member, &said);
                drop(client.submit(stop));
                self.simple(client, work, play, answer);
            }
        }
    }
}
