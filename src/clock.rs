//! The only place that reads the clock.
//!
//! `clippy.toml` refuses `Timestamp::now` elsewhere, so that rules and rating get their time as an argument.

use std::time::Duration;

use jiff::Timestamp;

/// The service's wall clock, UTC, to the microsecond: the precision that the journal keeps, so that a replay sees the same times.
#[must_use]
pub fn now() -> Timestamp {
    #[expect(clippy::disallowed_methods, reason = "this is the one place")]
    let now = Timestamp::now();
    Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
}

/// How long it is from `now` to `then`; nothing when `then` is over.
#[must_use]
pub fn until(now: Timestamp, then: Timestamp) -> Duration {
    Duration::try_from(then.duration_since(now)).unwrap_or(Duration::ZERO)
}
