//! Growing delays after wrong passwords.
//!
//! Two counts are kept: for a user number from one address, which soon has to wait long, and for a user number from anywhere,
//! which waits much later and never long, so that nobody can lock another person out for good.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a failure is remembered.
const MEMORY: Duration = Duration::from_secs(3600);
/// The longest wait for a user number from one address.
const LONGEST: Duration = Duration::from_secs(15 * 60);
/// How many times more failures a user number may have from all addresses.
const SHARED_FACTOR: u32 = 10;
/// The longest wait for a user number from an address that did nothing wrong.
const LONGEST_SHARED: Duration = Duration::from_secs(30);
/// The most user numbers that are remembered.
const MOST: usize = 100_000;

#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    user_number: String,
    address: Option<IpAddr>,
}

struct Failures {
    count: u32,
    last: Instant,
}

/// Who has to wait before trying a password again.
pub struct Lockout {
    free: u32,
    failures: Mutex<HashMap<Key, Failures>>,
}

impl Lockout {
    /// `free` wrong passwords cost nothing.
    #[must_use]
    pub fn new(free: u32) -> Self {
        Self { free: free.max(1), failures: Mutex::new(HashMap::new()) }
    }

    /// How long this user number has to wait from this address.
    #[must_use]
    pub fn wait(&self, user_number: &str, address: IpAddr, now: Instant) -> Option<Duration> {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let left = |key: &Key, free: u32, longest: Duration| {
            let failures = failures.get(key)?;
            let over = failures.count.checked_sub(free)?;
            let delay = Duration::from_secs(2_u64.saturating_pow(over.saturating_add(1))).min(longest);
            (failures.last + delay).checked_duration_since(now).filter(|left| !left.is_zero())
        };
        let own = left(&own(user_number, address), self.free, LONGEST);
        let shared = left(&shared(user_number), self.free.saturating_mul(SHARED_FACTOR), LONGEST_SHARED);
        own.max(shared)
    }

    /// Notes a wrong password.
    pub fn failed(&self, user_number: &str, address: IpAddr, now: Instant) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.len() >= MOST {
            failures.retain(|_, failures| now.duration_since(failures.last) < MEMORY);
        }
        if failures.len() >= MOST {
            // Limits on requests keep one address from filling this; if many do, the oldest half is forgotten.
            let mut times: Vec<Instant> = failures.values().map(|failures| failures.last).collect();
            let middle = times.len() / 2;
            let (_, middle, _) = times.select_nth_unstable(middle);
            let middle = *middle;
            failures.retain(|_, failures| failures.last > middle);
        }
        for key in [own(user_number, address), shared(user_number)] {
            let entry = failures.entry(key).or_insert(Failures { count: 0, last: now });
            entry.count = if now.duration_since(entry.last) < MEMORY { entry.count.saturating_add(1) } else { 1 };
            entry.last = now;
        }
    }

    /// Forgets the failures of one who knew the password.
    pub fn succeeded(&self, user_number: &str, address: IpAddr) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.remove(&own(user_number, address));
        failures.remove(&shared(user_number));
    }
}

fn own(user_number: &str, address: IpAddr) -> Key {
    Key { user_number: user_number.to_owned(), address: Some(address) }
}

fn shared(user_number: &str) -> Key {
    Key { user_number: user_number.to_owned(), address: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const ELSEWHERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 2));

    #[test]
    fn waits_grow_and_end() {
        let lockout = Lockout::new(3);
        let mut now = Instant::now();
        for _ in 0..2 {
            lockout.failed("100200", HERE, now);
            assert_eq!(lockout.wait("100200", HERE, now), None);
        }
        let mut last = Duration::ZERO;
        for _ in 0..20 {
            lockout.failed("100200", HERE, now);
            let wait = lockout.wait("100200", HERE, now).expect("has to wait");
            assert!(wait > last || wait == LONGEST, "{wait:?} after {last:?}");
            last = wait;
            assert_eq!(lockout.wait("100201", HERE, now), None, "another user number");
            assert_eq!(lockout.wait("100200", ELSEWHERE, now), None, "another address");
            now += wait;
            assert_eq!(lockout.wait("100200", HERE, now), None, "the wait is over");
        }
        assert_eq!(last, LONGEST);
        lockout.succeeded("100200", HERE);
        lockout.failed("100200", HERE, now);
        assert_eq!(lockout.wait("100200", HERE, now), None, "it begins anew");
    }

    #[test]
    fn many_addresses_slow_a_user_number_down_for_a_short_while_only() {
        let lockout = Lockout::new(3);
        let now = Instant::now();
        for last in 0..200 {
            lockout.failed("100200", IpAddr::from([10, 0, 0, last]), now);
        }
        assert_eq!(lockout.wait("100200", HERE, now), Some(LONGEST_SHARED));
    }
}
