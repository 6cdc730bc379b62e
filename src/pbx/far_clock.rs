//! A switch's clock as the service knows it: what the switch said last, and how long ago that was.
//!
//! Money depends on it, so our own wall clock has no part in it: when that is set, forward or back,
//! the time between two answers of the switch is still measured by a clock that only runs on.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

use crate::clock;

/// A switch's clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct FarClock {
    said: Timestamp,
    at: Instant,
}

impl FarClock {
    /// The switch says that it is this late now.
    pub(super) fn says(said: Timestamp) -> Self {
        Self { said, at: Instant::now() }
    }

    /// A switch that has not said anything yet: our own clock.
    pub(super) fn unheard() -> Self {
        Self::says(clock::now())
    }

    /// The switch's time now, as well as we know, to the microsecond.
    pub(super) fn now(&self) -> Timestamp {
        self.after(self.at.elapsed())
    }

    /// The last moment at which the switch is known to have lived: now, when it has told its time within the `usual` while,
    /// else what it told last. A link that is half open, or a service that stood still, notices late.
    pub(super) fn proof(&self, usual: Duration) -> Timestamp {
        self.proof_after(self.at.elapsed(), usual)
    }

    fn proof_after(&self, elapsed: Duration, usual: Duration) -> Timestamp {
        if elapsed <= usual { self.after(elapsed) } else { self.said }
    }

    fn after(&self, elapsed: Duration) -> Timestamp {
        let elapsed = i64::try_from(elapsed.as_micros()).unwrap_or(i64::MAX);
        self.said.checked_add(SignedDuration::from_micros(elapsed)).unwrap_or(self.said)
    }

    /// The switch's clock minus ours.
    pub(super) fn skew(&self) -> SignedDuration {
        self.now().duration_since(clock::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_runs_on_from_what_the_switch_said_whatever_our_clock_says() {
        let said: Timestamp = "2020-02-02T02:02:02Z".parse().unwrap();
        let far = FarClock::says(said);
        assert_eq!(far.after(Duration::from_millis(1_500)), "2020-02-02T02:02:03.5Z".parse().unwrap());
        let now = far.now();
        assert!(now >= said && now < said + SignedDuration::from_secs(3_600), "{now}");
        assert!(far.skew() < SignedDuration::from_hours(-24 * 365));
        assert!(FarClock::unheard().skew().abs() < SignedDuration::from_secs(3_600));
    }

    #[test]
    fn a_switch_that_was_silent_longer_than_usual_lived_when_it_spoke_last() {
        let said: Timestamp = "2020-02-02T02:02:02Z".parse().unwrap();
        let (far, usual) = (FarClock::says(said), Duration::from_secs(4));
        assert_eq!(far.proof_after(usual, usual), "2020-02-02T02:02:06Z".parse().unwrap(), "an end at once is exact");
        assert_eq!(far.proof_after(usual + Duration::from_micros(1), usual), said);
        assert_eq!(far.proof_after(Duration::from_secs(600), usual), said);
        assert!(far.proof(Duration::from_secs(3_600)) >= said);
    }
}
