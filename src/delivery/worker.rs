//! The worker that every channel shares: claims due jobs, has them sent, notes how it went, repeats what passes.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::clock;
use crate::storage::outbox::{self, Attempt, ClaimedJob};
use crate::storage::{Pool, StorageResult};

/// How long a worker rests at most, though nobody has woken it.
const POLL: Duration = Duration::from_secs(15);
/// How long to wait when the database is away.
const DATABASE_PAUSE: Duration = Duration::from_secs(1);

/// One way of sending: mail, SMS, webhooks.
pub trait Channel: Send + Sync + 'static {
    /// The kind of its jobs in the outbox.
    const KIND: &'static str;

    /// The domain of the Message-IDs that its jobs are given.
    fn domain(&self) -> &str;

    /// Sends one job; the answer is what the receiving side calls it, if it says so.
    fn send(&self, job: &ClaimedJob) -> impl Future<Output = Result<Option<String>, Failure>> + Send;
}

/// Why a job was not sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{words}")]
pub struct Failure {
    /// A stable word for logs: `connect`, `refused`, `timed_out`, `unreadable`, `configuration`.
    pub kind: &'static str,
    /// The status that the other side gave.
    pub status: Option<u16>,
    /// The same job will never be taken.
    pub lasting: bool,
    /// How long the other side asks to wait.
    pub wait: Option<Duration>,
    /// The reason in words, the other side's if it gave any. It may hold addresses: into the job's row, never into the log.
    pub words: String,
}

impl Failure {
    /// A job that is not what it should be.
    #[must_use]
    pub fn unreadable(words: impl Into<String>) -> Self {
        Self { kind: "unreadable", status: None, lasting: true, wait: None, words: words.into() }
    }

    /// One that may pass.
    #[must_use]
    pub fn passing(kind: &'static str, words: impl Into<String>) -> Self {
        Self { kind, status: None, lasting: false, wait: None, words: words.into() }
    }
}

/// When an attempt is repeated, and when no more.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// The pause after the first attempt; it doubles with each.
    pub pause: SignedDuration,
    /// The longest pause.
    pub longest_pause: SignedDuration,
    /// How long after a message was queued it is given up.
    pub end: SignedDuration,
    /// How long after a claim its worker is taken for dead; longer than any attempt.
    pub abandoned: SignedDuration,
}

impl Patience {
    /// Ten seconds, doubling up to an hour, for three days; a claim stands half a minute longer than an attempt may take.
    #[must_use]
    pub fn with_timeout(seconds: u32) -> Self {
        Self {
            pause: SignedDuration::from_secs(10),
            longest_pause: SignedDuration::from_hours(1),
            end: SignedDuration::from_hours(72),
            abandoned: SignedDuration::from_secs(i64::from(seconds) + 30),
        }
    }

    /// When attempt number `attempts` (from 1), which failed at `now`, is repeated; `None` when it was the last.
    #[must_use]
    pub fn next(&self, created_at: Timestamp, now: Timestamp, attempts: i32) -> Option<Timestamp> {
        let doublings = u32::try_from(attempts.saturating_sub(1)).unwrap_or(0).min(20);
        let pause = self.pause.checked_mul(1 << doublings).unwrap_or(self.longest_pause).min(self.longest_pause);
        let next = now.checked_add(pause).ok()?;
        (next.duration_since(created_at) <= self.end).then_some(next)
    }
}

/// How much is sent at once and in a second.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Jobs at once.
    pub at_once: usize,
    /// Jobs that are begun in a second.
    pub per_second: u32,
}

/// Sends a channel's queued jobs until `stop`; what is being sent then is finished first.
///
/// Wakes when `jobs_due` is notified, when a repeat is due, and now and then by itself.
pub async fn run<C: Channel>(pool: Pool, channel: C, pace: Pace, patience: Patience, jobs_due: Arc<Notify>, stop: CancellationToken) {
    let worker = Arc::new(Worker { pool, channel, patience, taken: Mutex::default() });
    let mut under_way: JoinSet<()> = JoinSet::new();
    let mut allowance = Allowance::new(pace.per_second);
    let mut away = false;
    while !stop.is_cancelled() {
        while under_way.try_join_next().is_some() {}
        let free = pace.at_once.max(1).saturating_sub(under_way.len()).min(allowance.left());
        let rest = if free == 0 {
            allowance.pause()
        } else {
            match worker.claim(free).await {
                Ok(jobs) if jobs.is_empty() => {
                    away = false;
                    worker.until_due().await
                }
                Ok(jobs) => {
                    allowance.take(jobs.len());
                    for job in jobs {
                        let worker = Arc::clone(&worker);
                        under_way.spawn(async move { worker.attempt(&job).await });
                    }
                    continue;
                }
                Err(error) => {
                    if !std::mem::replace(&mut away, true) {
                        tracing::warn!(%error, kind = C::KIND, "the outbox cannot be read, messages wait");
                    }
                    DATABASE_PAUSE
                }
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = jobs_due.notified(), if free > 0 => {}
            // One that is done makes room, and may let the next of its order go.
            Some(_) = under_way.join_next() => {}
            () = tokio::time::sleep(rest) => {}
        }
    }
    while under_way.join_next().await.is_some() {}
}

/// How many jobs may still be begun in this second.
struct Allowance {
    per_second: usize,
    since: Instant,
    begun: usize,
}

impl Allowance {
    fn new(per_second: u32) -> Self {
        Self { per_second: usize::try_from(per_second.max(1)).unwrap_or(usize::MAX), since: Instant::now(), begun: 0 }
    }

    fn left(&mut self) -> usize {
        if self.since.elapsed() >= Duration::from_secs(1) {
            (self.since, self.begun) = (Instant::now(), 0);
        }
        self.per_second.saturating_sub(self.begun)
    }

    fn take(&mut self, jobs: usize) {
        self.begun += jobs;
    }

    /// How long to wait when nothing may be begun.
    fn pause(&self) -> Duration {
        if self.begun < self.per_second { POLL } else { Duration::from_secs(1).saturating_sub(self.since.elapsed()).max(Duration::from_millis(1)) }
    }
}

struct Worker<C> {
    pool: Pool,
    channel: C,
    patience: Patience,
    /// When the jobs were claimed that are being sent, or whose outcome waits for the database to be noted.
    taken: Mutex<HashMap<Uuid, Timestamp>>,
}

/// A job is in this process's hands; dropped when it is no longer, however that came about.
struct Taken<'a> {
    all: &'a Mutex<HashMap<Uuid, Timestamp>>,
    job: Uuid,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.job);
    }
}

/// Which claims count as abandoned: those that are old enough. What is in this process's own hands is not, though the database was away
/// or the clock was set meanwhile: what was sent would be sent again.
fn abandoned(now: Timestamp, after: SignedDuration, taken: &HashMap<Uuid, Timestamp>) -> Timestamp {
    let old = now.saturating_sub(after).unwrap_or(Timestamp::MIN);
    let first = taken.values().min().map(|at| at.saturating_sub(SignedDuration::from_micros(1)).unwrap_or(Timestamp::MIN));
    first.map_or(old, |first| first.min(old))
}

impl<C: Channel> Worker<C> {
    async fn claim(&self, limit: usize) -> StorageResult<Vec<ClaimedJob>> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        // The connection is given back at once: one that is idle while servers are talked to would only be missing elsewhere.
        let mut connection = self.pool.get().await?;
        let now = clock::now();
        let abandoned = abandoned(now, self.patience.abandoned, &self.taken());
        let jobs = outbox::claim(&mut connection, &[C::KIND], self.channel.domain(), now, abandoned, limit).await?;
        self.taken().extend(jobs.iter().map(|job| (job.id, now)));
        Ok(jobs)
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<Uuid, Timestamp>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long it is until the next job is due, at most [`POLL`].
    async fn until_due(&self) -> Duration {
        let due = async { outbox::next_due(&mut *self.pool.get().await?, &[C::KIND]).await };
        let rest = match due.await {
            Ok(Some(due)) => clock::until(clock::now(), due).min(POLL),
            Ok(None) | Err(_) => POLL,
        };
        // A job that became due since the claim is taken at once, but never in a busy loop.
        rest.max(Duration::from_millis(10))
    }

    async fn attempt(&self, job: &ClaimedJob) {
        let _taken = Taken { all: &self.taken, job: job.id };
        let sent = self.channel.send(job).await;
        let now = clock::now();
        let (result, attempt) = match sent {
            Ok(remote_id) => ("sent", Attempt::Sent { remote_id }),
            Err(failure) => {
                let next = if failure.lasting { None } else { self.patience.next(job.created_at, now, job.attempts) };
                let asked = failure.wait.and_then(|wait| now.checked_add(SignedDuration::try_from(wait).ok()?).ok());
                match next.map(|at| asked.map_or(at, |asked| at.max(asked))) {
                    Some(at) => {
                        tracing::warn!(job.id = %job.id, job.kind = C::KIND, job.attempts, error.kind = failure.kind, status = failure.status, %at,
                            "a message was not taken, it is tried again");
                        ("repeated", Attempt::Retry { at, error: failure.words })
                    }
                    None => {
                        tracing::error!(job.id = %job.id, job.kind = C::KIND, job.attempts, error.kind = failure.kind, status = failure.status,
                            "a message was given up");
                        ("failed", Attempt::Failed { error: failure.words })
                    }
                }
            }
        };
        metrics::counter!("sklic_delivery_attempts_total", "kind" => C::KIND, "result" => result).increment(1);
        self.note(job, attempt, now).await;
    }

    /// Notes how it went, however long the database is away: a sent message that is not noted is sent again.
    async fn note(&self, job: &ClaimedJob, attempt: Attempt, now: Timestamp) {
        let mut pause = Duration::from_millis(50);
        loop {
            let noted = match self.pool.get().await {
                Ok(mut connection) => outbox::note(&mut connection, job, attempt.clone(), now).await,
                Err(error) => Err(error),
            };
            match noted {
                Ok(true) => return,
                Ok(false) => {
                    tracing::warn!(job.id = %job.id, job.attempts, "how a message went was noted already, or another worker has taken it over");
                    return;
                }
                Err(error) if error.is_passing() => {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(DATABASE_PAUSE);
                }
                Err(error) => {
                    tracing::error!(job.id = %job.id, %error, "how a message went could not be noted");
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_end() {
        let patience = Patience {
            pause: SignedDuration::from_secs(10),
            longest_pause: SignedDuration::from_secs(60),
            end: SignedDuration::from_secs(3_600),
            abandoned: SignedDuration::from_secs(60),
        };
        let start: Timestamp = "2026-03-01T11:00:00Z".parse().unwrap();
        let pause = |attempts| patience.next(start, start, attempts).map(|at| at.duration_since(start).as_secs());
        for (attempts, wanted) in [(0, 10), (1, 10), (2, 20), (3, 40), (4, 60), (5, 60), (1_000, 60), (i32::MAX, 60)] {
            assert_eq!(pause(attempts), Some(wanted), "{attempts}");
        }
        assert!(patience.next(start, start + SignedDuration::from_secs(3_540), 9).is_some());
        assert_eq!(patience.next(start, start + SignedDuration::from_secs(3_541), 9), None);
    }

    #[test]
    fn what_is_in_our_own_hands_is_not_abandoned() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let after = SignedDuration::from_secs(90);
        let mut taken = HashMap::new();
        assert_eq!(abandoned(at(1_000), after, &taken), at(910));
        taken.insert(Uuid::from_u128(1), at(950));
        assert_eq!(abandoned(at(1_000), after, &taken), at(910), "others are found as ever");
        // The database was away, or the clock was set.
        let later = abandoned(at(90_000), after, &taken);
        assert!(later < at(950) && later > at(949));
        let all = Mutex::new(taken);
        drop(Taken { all: &all, job: Uuid::from_u128(1) });
        assert!(all.into_inner().unwrap().is_empty());
    }

    #[test]
    fn no_more_is_begun_in_a_second_than_allowed() {
        let mut allowance = Allowance::new(3);
        assert_eq!(allowance.left(), 3);
        allowance.take(2);
        assert_eq!(allowance.left(), 1);
        assert_eq!(allowance.pause(), POLL);
        allowance.take(1);
        assert_eq!(allowance.left(), 0);
        assert!(allowance.pause() <= Duration::from_secs(1));
    }
}
