//! A question to a caller, and the keys that come one by one.

use std::time::Duration;

use tokio::time::Instant;

use crate::pbx::{Ask, Keys};

/// How long the end of the saying is waited for before the question is taken for unanswered; nothing that is said is so long.
const SAID_WITHIN: Duration = Duration::from_secs(90);

/// A question that is open.
#[derive(Clone, Debug)]
pub struct Question {
    /// Its number.
    pub ask: u32,
    digits: String,
    most: usize,
    wait: Duration,
    saying: bool,
    due: Instant,
}

impl Question {
    /// A question that begins now.
    #[must_use]
    pub fn new(ask: &Ask, now: Instant) -> Self {
        Self {
            ask: ask.ask,
            digits: String::new(),
            most: ask.most_digits.max(1).into(),
            wait: Duration::from_secs(ask.wait_seconds.max(1).into()),
            saying: true,
            due: now + SAID_WITHIN,
        }
    }

    /// The words are over: from here on the first key is waited for.
    pub fn said(&mut self, ask: u32, now: Instant) {
        if self.ask == ask && std::mem::take(&mut self.saying) {
            self.due = now + self.wait;
        }
    }

    /// Whether a key that comes now ends the saying.
    #[must_use]
    pub fn interrupts(&self) -> bool {
        self.saying
    }

    /// Takes a key in; the answer, when it is complete.
    pub fn key(&mut self, key: char, now: Instant) -> Option<Keys> {
        self.saying = false;
        if key == '#' {
            return Some(self.keys());
        }
        self.digits.push(key);
        self.due = now + self.wait;
        (self.digits.len() >= self.most).then(|| self.keys())
    }

    /// When what has been keyed up to then is the answer.
    #[must_use]
    pub fn due(&self) -> Instant {
        self.due
    }

    /// What has been keyed.
    #[must_use]
    pub fn keys(&self) -> Keys {
        Keys::new(&self.digits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{ConferenceId, LegId};
    use crate::pbx::Language;

    fn question(now: Instant) -> Question {
        let leg = LegId::derive(ConferenceId(uuid::Uuid::nil()), 1);
        Question::new(&Ask { leg, ask: 7, language: Language::Sl, say: Vec::new(), most_digits: 3, wait_seconds: 5 }, now)
    }

    #[test]
    fn keys_end_the_saying_and_the_hash_key_the_answer() {
        let now = Instant::now();
        let mut asked = question(now);
        assert!(asked.interrupts());
        assert_eq!(asked.key('1', now), None);
        assert!(!asked.interrupts());
        assert_eq!(asked.key('#', now), Some(Keys::new("1")));
        assert_eq!(question(now).key('#', now), Some(Keys::default()));
        let mut full = question(now);
        assert_eq!([full.key('1', now), full.key('*', now), full.key('3', now)], [None, None, Some(Keys::new("1*3"))]);
    }

    #[test]
    fn keys_are_waited_for_from_the_end_of_the_words_and_from_each_key() {
        let (now, wait) = (Instant::now(), Duration::from_secs(5));
        let mut asked = question(now);
        asked.said(6, now);
        assert_eq!(asked.due(), now + SAID_WITHIN, "another question's words");
        let said = now + Duration::from_secs(2);
        asked.said(7, said);
        assert_eq!(asked.due(), said + wait);
        let keyed = said + Duration::from_secs(1);
        asked.key('1', keyed);
        assert_eq!(asked.due(), keyed + wait);
        // Words that end late do not shorten it.
        asked.said(7, said);
        assert_eq!(asked.due(), keyed + wait);
    }
}
