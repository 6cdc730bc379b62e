//! Which conference a leg belongs to and what its SIP Call-ID is, for the log: whoever writes a line about a leg names the leg only,
//! and the line gets the rest from here.
//!
//! The Call-ID is how an engineer finds the same call in the traces of switch and trunk.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::ids::{ConferenceId, LegId};

/// Legs that are remembered; the oldest are forgotten first, long after they have ended.
const MOST: usize = 20_000;
/// Bytes of a Call-ID that are kept.
const LONGEST: usize = 128;

/// What is known of a leg.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Its conference.
    pub conference: Option<ConferenceId>,
    /// The Call-ID of its SIP dialogue, as the switch tells it; printable ASCII, cut where it is too long.
    pub call_id: Option<String>,
}

#[derive(Default)]
struct Register {
    legs: HashMap<LegId, Known>,
    order: VecDeque<LegId>,
}

static REGISTER: Mutex<Option<Register>> = Mutex::new(None);

fn register() -> MutexGuard<'static, Option<Register>> {
    REGISTER.lock().unwrap_or_else(PoisonError::into_inner)
}

fn change(leg: LegId, change: impl FnOnce(&mut Known)) {
    let mut guard = register();
    let register = guard.get_or_insert_default();
    if !register.legs.contains_key(&leg) {
        if register.order.len() >= MOST
            && let Some(oldest) = register.order.pop_front()
        {
            register.legs.remove(&oldest);
        }
        register.order.push_back(leg);
    }
    change(register.legs.entry(leg).or_default());
}

/// The leg belongs to this conference.
pub fn belongs(leg: LegId, conference: ConferenceId) {
    change(leg, |known| known.conference = Some(conference));
}

/// The switch has told the Call-ID of the leg's SIP dialogue.
pub fn has_call_id(leg: LegId, call_id: &str) {
    let printable: String = call_id.chars().filter(char::is_ascii_graphic).take(LONGEST).collect();
    if !printable.is_empty() {
        change(leg, |known| known.call_id = Some(printable));
    }
}

/// What is known of a leg.
#[must_use]
pub fn known(leg: LegId) -> Known {
    register().as_ref().and_then(|register| register.legs.get(&leg)).cloned().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_comes_together_and_hostile_bytes_stay_out() {
        let (leg, conference) = (LegId::fresh(), ConferenceId::fresh());
        assert_eq!(known(leg), Known::default());
        has_call_id(leg, "");
        has_call_id(leg, "ab\r\nc d\u{fffd}\"{}@host");
        belongs(leg, conference);
        assert_eq!(known(leg), Known { conference: Some(conference), call_id: Some("abcd\"{}@host".into()) });
        has_call_id(leg, &"x".repeat(5_000));
        assert_eq!(known(leg).call_id.map(|id| id.len()), Some(LONGEST));
    }

    #[test]
    fn the_register_does_not_grow_for_ever() {
        let first = LegId::fresh();
        has_call_id(first, "first");
        for _ in 0..MOST {
            has_call_id(LegId::fresh(), "x");
        }
        assert_eq!(known(first), Known::default());
        assert!(register().as_ref().is_some_and(|register| register.legs.len() <= MOST));
    }
}
