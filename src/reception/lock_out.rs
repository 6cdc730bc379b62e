//! Lock-out against guessing: counters of failures that leak, and times that grow.
//!
//! As many failures as lock somebody out are let off in each `forgive_after_seconds`, one after the other, whether more come or not:
//! the everyday mistakes of a busy line or access number never add up to a lock-out, and guessing goes no faster than that.

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
    /// Every subject.
    pub const ALL: [Self; 3] = [Self::Line, Self::Code, Self::AccessNumber];

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
    /// In so long as many failures are let off as lock somebody out, in seconds; without a failure for so long, all of them.
    /// Not shorter than the longest lock-out.
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
        if self.forgive_after_seconds < self.longest_seconds {
            return Err(format!("forgive_after_seconds: {} is less than longest_seconds", self.forgive_after_seconds));
        }
        Ok(())
    }

    fn forgive_after(&self) -> SignedDuration {
        SignedDuration::from_secs(i64::from(self.forgive_after_seconds))
    }

    /// In what time one failure is let off.
    fn leak_every(&self, subject: Subject) -> SignedDuration {
        let least = SignedDuration::from_millis(1);
        self.forgive_after().checked_div(i32::try_from(self.threshold(subject).max(1)).unwrap_or(i32::MAX)).map_or(least, |every| every.max(least))
    }

    fn threshold(&self, subject: Subject) -> u32 {
        match subject {
            Subject::Line => self.line_failures,
            Subject::Code => self.code_failures,
            Subject::AccessNumber => self.access_number_failures,
        }
    }
}

/// How much faster the failures of a line are let off over the time in which right codes come from it.
const FASTER_WHEN_RIGHT: i32 = 10;

/// The failures of one line, user number or access number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counter {
    /// How many, as of `leaked_at`.
    pub failures: u32,
    /// The last one.
    pub last_failed_at: Option<Timestamp>,
    /// Up to when failures have been let off; without it, up to the last one.
    pub leaked_at: Option<Timestamp>,
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
        let before = self.leak(subject, rules, now, 1);
        let failures = before.failures.saturating_add(1);
        let threshold = rules.threshold(subject);
        let locked_until = (threshold > 0 && failures >= threshold).then(|| {
            let doublings = (failures - threshold).min(31);
            let seconds = (u64::from(rules.first_seconds) << doublings).min(u64::from(rules.longest_seconds));
            now + SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX / 2_000_000_000))
        });
        Self { failures, last_failed_at: Some(now), locked_until, ..before }
    }

    /// A right code, or a right PIN, came from this line: many people may share it.
    ///
    /// The failures are not forgiven, for one who knows a code could guess others in between as he likes;
    /// the time since some were last let off counts [`FASTER_WHEN_RIGHT`] times. Who guesses on such a line gains that and no more.
    #[must_use]
    pub fn relieve(self, subject: Subject, rules: &LockOutRules, now: Timestamp) -> Self {
        if subject != Subject::Line || self.is_locked(now) { self } else { self.leak(subject, rules, now, FASTER_WHEN_RIGHT) }
    }

    /// Lets off what time has made due. A lock-out of a line or user number is no such time: whoever waits for its end only to fail again
    /// waits longer each time. That of an access number, which locks everybody out, is.
    fn leak(self, subject: Subject, rules: &LockOutRules, now: Timestamp, faster: i32) -> Self {
        let Some(last) = self.last_failed_at else { return Self { leaked_at: Some(now), ..self } };
        let (rested_from, from) = (self.locked_until.map_or(last, |until| until.max(last)), self.leaked_at.unwrap_or(last));
        if now.duration_since(rested_from) >= rules.forgive_after() {
            return Self { failures: 0, leaked_at: Some(now), ..self };
        }
        let from = if subject == Subject::AccessNumber { from } else { self.locked_until.map_or(from, |until| until.max(from)) };
        let every = rules.leak_every(subject).checked_div(faster).unwrap_or(SignedDuration::MAX).as_nanos().max(1);
        let due = u32::try_from((now.duration_since(from).as_nanos() / every).max(0)).unwrap_or(u32::MAX);
        if due >= self.failures {
            return Self { failures: 0, leaked_at: Some(now), ..self };
        }
        // What is left of the time goes towards the next one.
        let passed = i64::try_from(every * i128::from(due)).unwrap_or(i64::MAX);
        Self { failures: self.failures - due, leaked_at: Some(from + SignedDuration::from_nanos(passed)), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ZERO: Timestamp = Timestamp::constant(1_767_258_000, 0);
    const HOUR: i64 = 3600;
    const DAY: i64 = 24 * HOUR;

    fn at(seconds: i64) -> Timestamp {
        ZERO + SignedDuration::from_secs(seconds)
    }

    fn rules() -> LockOutRules {
        LockOutRules { line_failures: 3, first_seconds: 10, longest_seconds: 60, forgive_after_seconds: 3600, ..LockOutRules::default() }
    }

    /// For how long each of these failures locks out.
    fn lock_outs(subject: Subject, rules: &LockOutRules, times: impl Iterator<Item = i64>) -> Vec<i64> {
        let mut counter = Counter::default();
        let mut locks = Vec::new();
        for now in times {
            let before = counter;
            counter = counter.fail(subject, rules, at(now));
            let until = counter.locked_until.filter(|until| before != counter && *until > at(now));
            locks.extend(until.map(|until| until.as_second() - at(now).as_second()));
        }
        locks
    }

    /// One who fails again as soon as he may: the failures that were counted within a time.
    fn most_failures(subject: Subject, rules: &LockOutRules, within: i64) -> usize {
        let (mut counter, mut now, mut counted) = (Counter::default(), 0, 0);
        while now < within {
            counter = counter.fail(subject, rules, at(now));
            counted += 1;
            now = counter.locked_until.map_or(now, |until| until.as_second() - ZERO.as_second()).max(now + 1);
        }
        counted
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

    #[test]
    fn everyday_mistakes_on_a_busy_access_number_lock_nobody_out() {
        let rules = LockOutRules::default();
        // A hundred a day, for a year.
        let mistakes = (0..365 * 100).map(|n| n * DAY / 100);
        assert_eq!(lock_outs(Subject::AccessNumber, &rules, mistakes), [0; 0]);
        // More than it bears: it opens again soon, however long it goes on.
        let flood = lock_outs(Subject::AccessNumber, &rules, (0..30 * 1000).map(|n| n * DAY / 1000));
        assert!(!flood.is_empty() && flood.iter().all(|&seconds| seconds <= 20 * 60), "{flood:?}");
        let guesses = most_failures(Subject::AccessNumber, &rules, 30 * DAY);
        assert!(guesses <= 200 + 30 * 201, "{guesses} guesses in a month");
    }

    #[test]
    fn a_line_with_a_mistake_now_and_then_is_not_locked_out() {
        let rules = LockOutRules::default();
        assert_eq!(lock_outs(Subject::Line, &rules, (0..1000).map(|n| n * 5 * HOUR)), [0; 0]);
        // Who fails as soon as he may soon waits for most of a day each time.
        let guesses = most_failures(Subject::Line, &rules, 30 * DAY);
        assert!((30..60).contains(&guesses), "{guesses} guesses in a month");
    }

    /// Failures and right codes that come from one line in turn; how often it is locked out, and how many failures count.
    fn shared(rules: &LockOutRules, right_every: i64, fail_every: i64, within: i64) -> (usize, usize) {
        let (mut counter, mut locks, mut counted) = (Counter::default(), 0, 0);
        for now in 0..within {
            let open = !counter.is_locked(at(now));
            if now % right_every == 0 {
                counter = counter.relieve(Subject::Line, rules, at(now));
            }
            if open && now % fail_every == 0 {
                counter = counter.fail(Subject::Line, rules, at(now));
                counted += 1;
                locks += usize::from(counter.is_locked(at(now)));
            }
        }
        (locks, counted)
    }

    #[test]
    fn right_codes_from_a_line_let_mistakes_off_sooner() {
        let rules = LockOutRules::default();
        // A company's main number: a right code every ten minutes, forty mistakes a day.
        assert_eq!(shared(&rules, 600, DAY / 40, 5 * DAY).0, 0);
        assert_ne!(shared(&rules, 100 * DAY, DAY / 40, 5 * DAY).0, 0);
        let counter = (0..2).fold(Counter::default(), |counter, n| counter.fail(Subject::Line, &rules, at(n)));
        assert_eq!(counter.relieve(Subject::AccessNumber, &rules, at(2 * HOUR)), counter);
        assert_eq!(counter.relieve(Subject::Line, &rules, at(25 * 60)).failures, 1);
    }

    #[test]
    fn one_right_code_does_not_buy_guesses() {
        let rules = LockOutRules::default();
        let (_, guesses) = shared(&rules, 10, 10, 5 * DAY);
        assert!(guesses <= 6 + 5 * 60, "{guesses} guesses in five days");
        let locked = (0..6).fold(Counter::default(), |counter, n| counter.fail(Subject::Line, &rules, at(n)));
        assert_eq!(locked.relieve(Subject::Line, &rules, at(7)), locked, "a lock-out stays");
    }

    #[test]
    fn forgiving_takes_no_less_than_the_longest_lock_out() {
        let rules = |longest_seconds, forgive_after_seconds| LockOutRules { longest_seconds, forgive_after_seconds, ..LockOutRules::default() };
        assert_eq!(rules(3600, 3600).check(), Ok(()));
        for (longest, forgive) in [(3600, 3599), (3600, 0), (86_400, 60)] {
            assert_eq!(rules(longest, forgive).check(), Err(format!("forgive_after_seconds: {forgive} is less than longest_seconds")));
        }
    }
}
