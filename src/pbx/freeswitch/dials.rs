//! Calls that were asked for by `bgapi` and of which nothing has been seen yet.
//!
//! The switch takes every such request at once and tells later what became of it.
//! The first sign of the channel is its real answer; a failure without any channel comes only as the result of the job
//! (no such gateway, too many calls in a second), and so does every failure with one.
//! Which of the two comes first is not certain: a failed job waits a moment for a channel to show up.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::ids::LegId;
use crate::pbx::CommandFailure;
use crate::pbx::jobs::Answer;

/// How long a failed job waits for a sign of its channel; both came within 40 ms on FreeSWITCH 1.10.12, events up to 500 ms late on a busy one.
const VERDICT_AFTER: Duration = Duration::from_secs(1);

struct Pending {
    leg: LegId,
    answer: Answer<()>,
    /// Until when there must be a sign.
    deadline: Instant,
    failure: Option<CommandFailure>,
}

/// All calls that wait for a sign, by their job.
#[derive(Default)]
pub struct Dials {
    pending: HashMap<String, Pending>,
}

impl Dials {
    /// A call is asked for now.
    pub fn ask(&mut self, job: String, leg: LegId, answer: Answer<()>, deadline: Instant) {
        self.pending.insert(job, Pending { leg, answer, deadline, failure: None });
    }

    /// There is a sign of the leg's channel: the switch has taken the call.
    pub fn seen(&mut self, leg: LegId) {
        if self.pending.is_empty() {
            return;
        }
        let seen: Vec<String> = self.pending.iter().filter(|(_, pending)| pending.leg == leg).map(|(job, _)| job.clone()).collect();
        for pending in seen.iter().filter_map(|job| self.pending.remove(job)) {
            // Nobody waits for it any more when this fails.
            let _ = pending.answer.send(Ok(()));
        }
    }

    /// The job has failed; `starting`: the switch has only just been started.
    pub fn failed(&mut self, job: &str, words: String, starting: bool, now: Instant) {
        if let Some(pending) = self.pending.get_mut(job) {
            pending.failure = Some(failure(words, starting));
            pending.deadline = now + VERDICT_AFTER;
        }
    }

    /// The switch refused the request itself.
    pub fn refused(&mut self, job: &str, failure: CommandFailure, now: Instant) {
        if let Some(pending) = self.pending.get_mut(job) {
            pending.failure = Some(failure);
            pending.deadline = now;
        }
    }

    /// When the next verdict is due.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        self.pending.values().map(|pending| pending.deadline).min()
    }

    /// Speaks the verdicts whose time has come; returns the legs that will never be.
    pub fn expire(&mut self, now: Instant) -> Vec<LegId> {
        let due: Vec<String> = self.pending.iter().filter(|(_, pending)| pending.deadline <= now).map(|(job, _)| job.clone()).collect();
        let mut never = Vec::new();
        for pending in due.iter().filter_map(|job| self.pending.remove(job)) {
            if pending.failure.is_some() {
                never.push(pending.leg);
            }
            // As above.
            let _ = pending.answer.send(Err(pending.failure.unwrap_or(CommandFailure::NoReply)));
        }
        never
    }

    /// The legs of which nothing has been seen yet.
    pub fn legs(&self) -> impl Iterator<Item = LegId> {
        self.pending.values().map(|pending| pending.leg)
    }

    /// The link is lost: nobody knows what became of them.
    pub fn lose_all(&mut self) {
        for (_, pending) in self.pending.drain() {
            // As above.
            let _ = pending.answer.send(Err(CommandFailure::NoReply));
        }
    }
}

/// What a failed job means that had no channel.
fn failure(words: String, starting: bool) -> CommandFailure {
    match words.as_str() {
        // Too many calls in a second or at once, too little CPU, or the switch is paused: it uses one word for all of them.
        "DESTINATION_OUT_OF_ORDER" => CommandFailure::RateLimited,
        // The event socket is there before the SIP profiles and their gateways are.
        "INVALID_GATEWAY" | "INVALID_PROFILE" | "CHAN_NOT_IMPLEMENTED" if starting => CommandFailure::RateLimited,
        _ => CommandFailure::Refused(words),
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;
    use crate::ids::ConferenceId;

    fn leg(number: u32) -> LegId {
        LegId::derive(ConferenceId(uuid::Uuid::nil()), number)
    }

    #[tokio::test]
    async fn the_first_sign_of_a_channel_is_the_answer() {
        let (now, mut dials) = (Instant::now(), Dials::default());
        let (answer, mut first) = oneshot::channel();
        dials.ask("a".into(), leg(1), answer, now + Duration::from_secs(5));
        let (answer, mut second) = oneshot::channel();
        dials.ask("b".into(), leg(2), answer, now + Duration::from_secs(5));
        dials.seen(leg(1));
        assert_eq!(first.try_recv(), Ok(Ok(())));
        // A failure of the job after that is the end of the leg, which is told by itself.
        dials.failed("a", "USER_BUSY".into(), false, now);
        assert_eq!(dials.legs().collect::<Vec<_>>(), [leg(2)]);

        // The order of the two is not certain.
        dials.failed("b", "USER_BUSY".into(), false, now);
        assert_eq!(dials.expire(now), []);
        dials.seen(leg(2));
        assert_eq!(second.try_recv(), Ok(Ok(())));
        assert_eq!(dials.due(), None);
    }

    #[tokio::test]
    async fn a_failure_without_a_channel_is_told_apart() {
        let refused = CommandFailure::Refused("INVALID_GATEWAY".into());
        for (words, starting, expected) in [
            ("DESTINATION_OUT_OF_ORDER", false, CommandFailure::RateLimited),
            ("INVALID_GATEWAY", false, refused),
            ("INVALID_GATEWAY", true, CommandFailure::RateLimited),
            ("INVALID_PROFILE", true, CommandFailure::RateLimited),
            ("CHAN_NOT_IMPLEMENTED", true, CommandFailure::RateLimited),
            ("USER_BUSY", true, CommandFailure::Refused("USER_BUSY".into())),
        ] {
            let (now, mut dials) = (Instant::now(), Dials::default());
            let (answer, mut receiver) = oneshot::channel();
            dials.ask("a".into(), leg(1), answer, now + Duration::from_secs(5));
            dials.failed("a", words.into(), starting, now);
            assert_eq!(dials.due(), Some(now + VERDICT_AFTER));
            assert_eq!(dials.expire(now + VERDICT_AFTER), [leg(1)]);
            assert_eq!(receiver.try_recv(), Ok(Err(expected)));
        }
    }

    #[tokio::test]
    async fn silence_is_no_verdict_on_the_leg() {
        let (now, mut dials) = (Instant::now(), Dials::default());
        let (answer, mut receiver) = oneshot::channel();
        dials.ask("a".into(), leg(1), answer, now);
        assert_eq!(dials.expire(now), []);
        assert_eq!(receiver.try_recv(), Ok(Err(CommandFailure::NoReply)));
    }
}
