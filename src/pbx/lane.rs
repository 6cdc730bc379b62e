//! Calls that wait for their turn at a switch: in order, and never more in a second than it takes.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::jobs::Answer;
use super::{CommandFailure, Dial};
use crate::ids::LegId;

/// A call whose turn was so long ago waited for a process that slept: stopped, or without a processor.
const SLEPT: Duration = Duration::from_secs(1);

/// The lane of one switch.
pub struct Lane {
    waiting: VecDeque<(Dial, Answer<()>)>,
    next: Instant,
    step: Duration,
}

impl Lane {
    /// An empty lane for so many calls in a second.
    #[must_use]
    pub fn new(calls_per_second: u32) -> Self {
        Self { waiting: VecDeque::new(), next: Instant::now(), step: Duration::from_secs(1) / calls_per_second.max(1) }
    }

    /// Puts a call at the end.
    pub fn push(&mut self, dial: Dial, answer: Answer<()>, now: Instant) {
        if self.waiting.is_empty() {
            // A pause gives no right to a burst.
            self.next = self.next.max(now);
        }
        self.waiting.push_back((dial, answer));
    }

    /// When the next call may be placed; `None` when none waits.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        (!self.waiting.is_empty()).then_some(self.next)
    }

    /// The next call, if its time has come.
    ///
    /// After a sleep all are given back instead: whoever had them placed asks again, if he still may. Another may have driven the switch meanwhile.
    pub fn pop(&mut self, now: Instant) -> Option<(Dial, Answer<()>)> {
        if now < self.next {
            return None;
        }
        if now.duration_since(self.next) > SLEPT {
            self.next = now;
            self.refuse_all();
            return None;
        }
        let first = self.waiting.pop_front()?;
        // Not from `now`: a wake-up that is a little late does not lower the rate.
        self.next += self.step;
        Some(first)
    }

    /// Takes a call out that was not placed yet; says whether it was here.
    pub fn cancel(&mut self, leg: LegId) -> bool {
        let Some((_, answer)) = self.waiting.iter().position(|(dial, _)| dial.leg == leg).and_then(|at| self.waiting.remove(at)) else {
            return false;
        };
        // Nobody waits for it any more when this fails.
        let _ = answer.send(Ok(()));
        true
    }

    /// Nothing of this was sent, and is not going to be.
    pub fn refuse_all(&mut self) {
        for (_, answer) in self.waiting.drain(..) {
            // As above.
            let _ = answer.send(Err(CommandFailure::NoLink));
        }
    }

    /// The legs that wait.
    pub fn legs(&self) -> impl Iterator<Item = LegId> {
        self.waiting.iter().map(|(dial, _)| dial.leg)
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;
    use crate::ids::{ConferenceId, Room};
    use crate::pbx::{Language, Role};

    fn dial(number: u32) -> Dial {
        Dial {
            leg: LegId::derive(ConferenceId(uuid::Uuid::nil()), number),
            room: Room(1),
            number: "+38640123456".into(),
            role: Role::Participant,
            muted: false,
            language: Language::Sl,
            grace_seconds: 0,
            ring_timeout_seconds: 30,
        }
    }

    #[tokio::test]
    async fn calls_go_in_order_and_at_their_pace() {
        let now = Instant::now();
        let mut lane = Lane::new(10);
        assert_eq!(lane.due(), None);
        let later = now + Duration::from_secs(5);
        let mut receivers = Vec::new();
        for number in 1..=3 {
            let (answer, receiver) = oneshot::channel();
            lane.push(dial(number), answer, later);
            receivers.push(receiver);
        }
        let taken = |lane: &mut Lane, at| lane.pop(at).map(|(dial, _)| dial.leg);
        assert_eq!(taken(&mut lane, later), Some(dial(1).leg));
        assert_eq!(taken(&mut lane, later), None, "a pause before gives no burst");
        assert!(lane.cancel(dial(2).leg) && !lane.cancel(dial(2).leg));
        assert_eq!(receivers[1].try_recv(), Ok(Ok(())));
        assert_eq!(lane.due(), Some(later + Duration::from_millis(100)));
        lane.refuse_all();
        assert_eq!(receivers[2].try_recv(), Ok(Err(CommandFailure::NoLink)));
    }

    #[tokio::test]
    async fn what_waited_while_the_process_slept_is_given_back() {
        let now = Instant::now();
        let mut lane = Lane::new(10);
        let mut receivers = Vec::new();
        for number in 1..=3 {
            let (answer, receiver) = oneshot::channel();
            lane.push(dial(number), answer, now);
            receivers.push(receiver);
        }
        assert!(lane.pop(now + Duration::from_millis(900)).is_some(), "a slow machine does not sleep");
        let awake = now + Duration::from_secs(12);
        assert!(lane.pop(awake).is_none() && lane.due().is_none());
        for receiver in &mut receivers[1..] {
            assert_eq!(receiver.try_recv(), Ok(Err(CommandFailure::NoLink)));
        }
        // What is asked for from then on goes at its pace.
        for number in 4..=5 {
            lane.push(dial(number), oneshot::channel().0, awake);
        }
        assert!(lane.pop(awake).is_some() && lane.pop(awake).is_none());
    }
}
