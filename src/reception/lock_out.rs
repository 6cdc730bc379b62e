//! Lock-out against guessing: counters of failures, and times that grow.

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// The line from which somebody calls.
    Line,
    /// The user number whose PIN is guessed.
    Code,
    /// The access number that was dialled.
    AccessNumber,
}

impl Subject {
    /// The word used in the database and in metrics.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Line => "line",
            Self::Code => "code",
            Self::AccessNumber => "access_number",
        }
    }
}

/// When lock-outs begin and how long they are.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LockOutRules {
    /// Failures of one line after which it is locked out, and at each further one again; 0 switches it off.
    pub line_failures: u32,
    /// The same for the PIN of one user number.
    pub code_failures: u32,
    /// The same for one access number: all its callers are locked out then, so this is for floods.
    pub access_number_failures: u32,
    /// The first lock-out, in seconds; each further one is twice as long.
    pub first_seconds: u32,
    /// The longest lock-out, in seconds.
    pub longest_seconds: u32,
    /// Without a failure for so long everything is forgiven, in seconds.
    pub forgive_after_seconds: u32,
}

impl Default for LockOutRules {
    fn default() -> Self {
        Self {
            line_failures: 6,
            code_failures: 5,
            access_number_failures: 200,
            first_seconds: 60,
            longest_seconds: 86_400,
            forgive_after_seconds: 86_400,
        }
    }
}

impl LockOutRules {
    /// What types alone cannot say.
    ///
    /// # Errors
    /// Names the setting.
    pub fn check(&self) -> Result<(), String> {
        if self.first_seconds == 0 || self.first_seconds > self.longest_seconds {
            return Err(format!("first_seconds: {} is not between 1 and longest_seconds", self.first_seconds));
        }
        if self.longest_seconds > 30 * 86_400 {
            return Err(format!("longest_seconds: {} is more than 30 days", self.longest_seconds));
        }
        Ok(())
    }

    fn threshold(&self, subject: Subject) -> u32 {
        match subject {
            Subject::Line => self.line_failures,
            Subject::Code => self.code_failures,
            Subject::AccessNumber => self.access_number_failures,
        }
    }
}

/// The failures of one line, user number or access number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counter {
    /// How many.
    pub failures: u32,
    /// The last one.
    pub last_failed_at: Option<Timestamp>,
    /// Locked out until then.
    pub locked_until: Option<Timestamp>,
}

impl Counter {
    /// Whether it is locked out.
    #[must_use]
    pub fn is_locked(&self, now: Timestamp) -> bool {
        self.locked_until.is_some_and(|until| now < until)
    }

    /// One more failure. While it is locked out nothing is counted, so that one who keeps trying is not locked out for ever.
    #[must_use]
    pub fn fail(self, subject: Subject, rules: &LockOutRules, now: Timestamp) -> Self {
        if self.is_locked(now) {
            return self;
        }
        let forgiven = SignedDuration::from_secs(i64::from(rules.forgive_after_seconds));
        let before = if self.last_failed_at.is_some_and(|last| now.duration_since(last) < forgiven) { self.failures } else { 0 };
        let failures = before.saturating_add(1);
        let threshold = rules.threshold(subject);
        let locked_until = (threshold > 0 && failures >= threshold).then(|| {
            let doublings = (failures - threshold).min(31);
            let seconds = (u64::from(rules.first_seconds) << doublings).min(u64::from(rules.longest_seconds));
            now + SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX / 2_000_000_000))
        });
        Self { failures, last_failed_at: Some(now), locked_until }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ZERO: Timestamp = Timestamp::constant(1_767_258_000, 0);

    fn at(seconds: i64) -> Timestamp {
        ZERO + SignedDuration::from_secs(seconds)
    }

    fn rules() -> LockOutRules {
        LockOutRules { line_failures: 3, first_seconds: 10, longest_seconds: 60, forgive_after_seconds: 3600, ..LockOutRules::default() }
    }

    #[test]
    fn times_grow_up_to_the_longest() {
        let mut counter = Counter::default();
        let mut now = 0;
        let mut locks = Vec::new();
        for _ in 0..8 {
            counter = counter.fail(Subject::Line, &rules(), at(now));
            let until = counter.locked_until.map_or(now, |until| until.as_second() - ZERO.as_second());
            locks.push(until - now);
            now = until.max(now + 1);
        }
        assert_eq!(locks, [0, 0, 10, 20, 40, 60, 60, 60]);
    }

    #[test]
    fn while_locked_nothing_is_counted_and_afterwards_it_is_open() {
        let counter = (0..3).fold(Counter::default(), |counter, n| counter.fail(Subject::Line, &rules(), at(n)));
        assert!(counter.is_locked(at(11)) && !counter.is_locked(at(12)));
        assert_eq!(counter.fail(Subject::Line, &rules(), at(11)), counter);
    }

    #[test]
    fn a_long_silence_forgives() {
        let counter = (0..3).fold(Counter::default(), |counter, n| counter.fail(Subject::Line, &rules(), at(n)));
        let later = counter.fail(Subject::Line, &rules(), at(3700));
        assert_eq!((later.failures, later.locked_until), (1, None));
    }

    #[test]
    fn zero_switches_it_off() {
        let rules = LockOutRules { access_number_failures: 0, ..rules() };
        let counter = (0..1000).fold(Counter::default(), |counter, n| counter.fail(Subject::AccessNumber, &rules, at(n)));
        assert_eq!(counter.locked_until, None);
    }
}
