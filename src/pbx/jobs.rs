//! What stands between the port and an adapter's task: the task alone owns the link, everybody else hands it jobs.
//!
//! A caller who goes away drops his end of a channel and nothing else; the task goes on and shifts no reply.

use std::time::Duration;

use futures_util::future::BoxFuture;
use jiff::SignedDuration;
use tokio::sync::{mpsc, oneshot};

use super::{Capabilities, Command, CommandFailure, Pbx, Snapshot};
use crate::ids::{LegId, Room};

/// The longest pause between two attempts to reach a switch.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How long the login of a process that only tries a switch may take.
const REACHED_WITHIN: Duration = Duration::from_secs(5);

/// How long the end of a caller who was never let in is kept on a switch: no service was away for so long and still wants to know.
pub const CALLERS_KEPT: SignedDuration = SignedDuration::from_hours(24 * 7);

/// Whether this login succeeds soon; its session is dropped.
pub async fn reached<Session, Fault>(login: impl Future<Output = Result<Session, Fault>>) -> bool {
    tokio::time::timeout(REACHED_WITHIN, login).await.is_ok_and(|made| made.is_ok())
}

/// Where the answer to a job goes.
pub type Answer<T> = oneshot::Sender<Result<T, CommandFailure>>;

/// What the task of an adapter is asked for.
pub enum Job {
    /// See [`Pbx::execute`].
    Execute(Command, Answer<()>),
    /// See [`Pbx::snapshot`].
    Snapshot(Vec<LegId>, Answer<Snapshot>),
    /// See [`Pbx::close`].
    Close(oneshot::Sender<()>),
}

impl Job {
    /// Answers that there is no link; `true` when the job was to close it.
    pub fn refuse(self) -> bool {
        // Whoever does not wait any more for the answer needs none.
        match self {
            Self::Execute(_, answer) => drop(answer.send(Err(CommandFailure::NoLink))),
            Self::Snapshot(_, answer) => drop(answer.send(Err(CommandFailure::NoLink))),
            Self::Close(answer) => {
                let _ = answer.send(());
                return true;
            }
        }
        false
    }
}

/// The port's side of an adapter: every call becomes a job for the task.
pub struct Handle {
    jobs: mpsc::UnboundedSender<Job>,
    /// [`Pbx::kept_rooms`]: while there is no link the question waits for one, where a job would be refused.
    kept: mpsc::UnboundedSender<Answer<Vec<Room>>>,
    capabilities: Capabilities,
}

/// Where a handle's jobs come out, and its questions for what is kept.
pub type Inboxes = (mpsc::UnboundedReceiver<Job>, mpsc::UnboundedReceiver<Answer<Vec<Room>>>);

impl Handle {
    /// A handle, and where its jobs and questions come out.
    #[must_use]
    pub fn new(capabilities: Capabilities) -> (Self, Inboxes) {
        let (jobs, inbox) = mpsc::unbounded_channel();
        let (kept, questions) = mpsc::unbounded_channel();
        (Self { jobs, kept, capabilities }, (inbox, questions))
    }

    fn ask<T: Send + 'static>(&self, job: impl FnOnce(Answer<T>) -> Job) -> BoxFuture<'static, Result<T, CommandFailure>> {
        let (answer, receiver) = oneshot::channel();
        let sent = self.jobs.send(job(answer)).is_ok();
        Box::pin(async move {
            if !sent {
                return Err(CommandFailure::NoLink);
            }
            receiver.await.unwrap_or(Err(CommandFailure::NoLink))
        })
    }
}

impl Pbx for Handle {
    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn execute(&self, command: Command) -> BoxFuture<'static, Result<(), CommandFailure>> {
        self.ask(|answer| Job::Execute(command, answer))
    }

    fn snapshot(&self, expected: Vec<LegId>) -> BoxFuture<'static, Result<Snapshot, CommandFailure>> {
        self.ask(|answer| Job::Snapshot(expected, answer))
    }

    fn kept_rooms(&self) -> BoxFuture<'static, Result<Vec<Room>, CommandFailure>> {
        let (answer, receiver) = oneshot::channel();
        // When the task is gone, its end of the answer is, too.
        let _ = self.kept.send(answer);
        Box::pin(async move { receiver.await.unwrap_or(Err(CommandFailure::NoLink)) })
    }

    fn close(&self) -> BoxFuture<'static, ()> {
        let (answer, receiver) = oneshot::channel();
        // When the task is gone already, the link is closed.
        let _ = self.jobs.send(Job::Close(answer));
        Box::pin(async move {
            let _ = receiver.await;
        })
    }
}

/// How long to wait before the next attempt to reach a switch after so many failures.
///
/// Doubles from 0.1 s; `random` in 0..1 takes up to half of it away, so that many services do not knock at once.
#[must_use]
pub fn pause(failures: u32, random: f64) -> Duration {
    if failures == 0 {
        return Duration::ZERO;
    }
    let full = Duration::from_millis(100).saturating_mul(1 << failures.min(10)).min(LONGEST_PAUSE);
    full.mul_f64(1.0 - random / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_differ() {
        assert_eq!(pause(0, 0.5), Duration::ZERO);
        assert_eq!(pause(1, 0.0), Duration::from_millis(200));
        assert_eq!(pause(1, 1.0), Duration::from_millis(100));
        assert_eq!(pause(60, 0.0), LONGEST_PAUSE);
    }
}
