//! Guesses of codes and PINs, one after the other: who guesses with many calls at once gains no guess by it.
//!
//! A guess looks whether its line or user number is locked out, is compared, and is counted when it is wrong. If another one came
//! between the first and the last, as many would be compared as there are calls. Each service node has its own order.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{OwnedMutexGuard, Semaphore};

use crate::http::secrets::verify_password;
use crate::reception::Subject;
use crate::storage::StorageError;

/// How long a guess waits for those before it; they wait for nothing but the database.
const PATIENCE: Duration = Duration::from_secs(20);

type Turn = tokio::sync::Mutex<()>;

/// The order of guesses at this service node.
pub(super) struct Guesses {
    turns: Mutex<HashMap<(Subject, String), Weak<Turn>>>,
    hashing: Semaphore,
}

impl Default for Guesses {
    fn default() -> Self {
        // A hash takes 19 MiB and a core for tens of milliseconds: never more at once than there are cores.
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Self { turns: Mutex::default(), hashing: Semaphore::new(cores) }
    }
}

impl Guesses {
    /// Waits for the turn of a guess that is counted on these, and keeps it until what is given is dropped.
    ///
    /// All callers of an access number have no order among them: its lock-out is for floods, and one slow look-up is not to stop everybody.
    pub(super) async fn turn(&self, keys: &[(Subject, String)]) -> Result<Vec<OwnedMutexGuard<()>>, StorageError> {
        let mut wanted: Vec<&(Subject, String)> = keys.iter().filter(|(subject, _)| *subject != Subject::AccessNumber).collect();
        // In one order for all, so that no two wait for each other.
        wanted.sort();
        let turns: Vec<Arc<Turn>> = wanted.into_iter().map(|key| self.of(key)).collect();
        let waiting = async {
            let mut held = Vec::with_capacity(turns.len());
            for turn in turns {
                held.push(turn.lock_owned().await);
            }
            held
        };
        tokio::time::timeout(PATIENCE, waiting).await.map_err(|late| StorageError::Unavailable { source: late.into() })
    }

    fn of(&self, key: &(Subject, String)) -> Arc<Turn> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(turn) = turns.get(key).and_then(Weak::upgrade) {
            return turn;
        }
        // Nobody has these or waits for them any more.
        turns.retain(|_, turn| turn.strong_count() > 0);
        let turn = Arc::new(Turn::new(()));
        turns.insert(key.clone(), Arc::downgrade(&turn));
        turn
    }

    /// Compares a PIN with a hash, on a thread of its own.
    pub(super) async fn is_right(&self, pin: String, hash: Option<String>) -> bool {
        // It is never closed.
        let Ok(_place) = self.hashing.acquire().await else { return false };
        tokio::task::spawn_blocking(move || verify_password(&pin, hash.as_deref())).await.unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn keys(line: &str, account: &str) -> Vec<(Subject, String)> {
        [(Subject::Line, line), (Subject::AccessNumber, "1"), (Subject::Code, account)].map(|(subject, key)| (subject, key.to_owned())).into()
    }

    /// The most that were at work at once.
    async fn most_at_once(guesses: &Guesses, wanted: &[Vec<(Subject, String)>]) -> u32 {
        let (now, most) = (AtomicU32::new(0), AtomicU32::new(0));
        let guess = async |keys: &[(Subject, String)]| {
            let _turn = guesses.turn(keys).await.unwrap();
            most.fetch_max(now.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
            tokio::task::yield_now().await;
            now.fetch_sub(1, Ordering::Relaxed);
        };
        futures_util::future::join_all(wanted.iter().map(|keys| guess(keys))).await;
        most.load(Ordering::Relaxed)
    }

    #[tokio::test]
    async fn guesses_at_one_account_or_from_one_line_take_turns_and_others_do_not() {
        let guesses = Guesses::default();
        let of_account: Vec<_> = (0..20).map(|line| keys(&line.to_string(), "ana")).collect();
        assert_eq!(most_at_once(&guesses, &of_account).await, 1);
        let of_line: Vec<_> = (0..20).map(|account| keys("2", &account.to_string())).collect();
        assert_eq!(most_at_once(&guesses, &of_line).await, 1);
        let apart: Vec<_> = (0..20).map(|number: u32| keys(&number.to_string(), &number.to_string())).collect();
        assert_eq!(most_at_once(&guesses, &apart).await, 20, "the access number alone orders nobody");
        // What nobody waits for is forgotten with the next one.
        let _turn = guesses.turn(&keys("1", "bor")).await.unwrap();
        assert_eq!(guesses.turns.lock().unwrap().len(), 2);
    }
}
