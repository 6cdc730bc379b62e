//! The adapter's commands to callers and to single members.

use tokio::time::Instant;
use uuid::Uuid;

use super::adapter::{Actor, Work, unsafe_field};
use super::callers;
use super::client::Client;
use crate::ids::LegId;
use crate::pbx::jobs::Answer;
use crate::pbx::keying::Question;
use crate::pbx::wire;
use crate::pbx::{Command, CommandFailure, Language, LegSnapshotPhase, Phrase};

impl Actor {
    /// Who waits goes on waiting. Without an answer the link will be found lost anyway.
    pub(super) fn show_life(&self, client: &mut Client) {
        drop(client.submit(callers::alive(self.now())));
    }

    /// A command to a caller who is in our hands. What is sent before the last action cannot fail unless that does.
    pub(super) fn caller(&mut self, client: &mut Client, work: &mut Work, command: Command, answer: Answer<()>) {
        let held = command.leg().and_then(|leg| self.legs.get_mut(leg)).filter(|leg| leg.phase == LegSnapshotPhase::Held);
        let Some((known, channel)) = held.and_then(|leg| leg.caller.as_ref().map(|(_, id)| id.clone()).map(|id| (leg, id))) else {
            return drop(answer.send(Err(CommandFailure::Gone)));
        };
        // A question that is still open is taken back by whatever comes after it.
        known.question = None;
        let said = |say: &[_], language| callers::say(&self.sounds, say, language);
        let actions = match command {
            Command::Ask(ask) => said(&ask.say, ask.language).map(|said| {
                known.question = Some(Question::new(&ask, Instant::now()));
                callers::ask(&channel, said, ask.ask)
            }),
            Command::Hold { language, say, .. } => said(&say, language).map(|said| callers::hold(&channel, said)),
            Command::Dismiss { leg, language, say } => said(&say, language).map(|said| {
                self.legs.release(leg, None);
                callers::dismiss(&channel, said)
            }),
            Command::Admit(admit) => {
                self.legs.release(admit.leg, Some(admit.room));
                Ok(callers::admit(&channel, &admit, self.now()))
            }
            Command::Bring(bring) => wire::switch_destination(&self.config.dial_switch, &bring.number, &bring.to).map(|destination| {
                self.legs.brought(bring.leg);
                callers::bring(&channel, &bring, destination)
            }),
            _ => Ok(Vec::new()),
        };
        match actions {
            Ok(mut actions) => {
                let Some(last) = actions.pop() else { return };
                for action in actions {
                    drop(client.submit(action));
                }
                self.simple(client, work, last, answer);
            }
            Err(error) => drop(answer.send(Err(unsafe_field(error)))),
        }
    }

    /// The caller has begun to key: he need not hear more.
    pub(super) fn quiet(&self, client: &mut Client, leg: LegId) {
        if let Some((_, channel)) = self.legs.get(leg).and_then(|leg| leg.caller.as_ref()) {
            // When he has gone meanwhile, that is told.
            drop(client.submit(callers::quiet(channel)));
        }
    }

    /// Words to one member; newer ones take the place of those that he is still hearing.
    pub(super) fn whisper(&mut self, client: &mut Client, work: &mut Work, leg: LegId, (say, language): (&[Phrase], Language), answer: Answer<()>) {
        let said = callers::say(&self.sounds, say, language);
        let inside = self.legs.get_mut(leg).filter(|leg| matches!(leg.phase, LegSnapshotPhase::Inside { .. }));
        match (said, inside.and_then(|leg| leg.channel.clone().map(|channel| (leg, channel)))) {
            (Err(error), _) => drop(answer.send(Err(unsafe_field(error)))),
            (Ok(_), None) => drop(answer.send(Err(CommandFailure::Gone))),
            (Ok(said), Some((member, channel))) => {
                let name = format!("sklic-whisper-{}", Uuid::new_v4().simple());
                if let Some(before) = member.whisper.replace(name.clone()) {
                    // Mostly it is over already.
                    drop(client.submit(callers::stop_telling(&before)));
                }
                self.simple(client, work, callers::tell(&channel, &said, &name), answer);
            }
        }
    }
}
