//! Group commit: what the running conferences write, in few transactions and in order.
//!
//! One task takes whatever waits, writes it in one transaction and answers each batch.
//! - The batches of a conference are written in the order in which they were submitted, and its journal never has a gap.
//! - A batch that the database refuses for its own fault fails alone; what was submitted with it is written.
//!   Later batches of its conference fail as well, because their journal entries would follow a gap.
//! - While the database is away the batches wait in order, and are written when it is back.
//! - When the answer to a commit is lost, the batches are written again; entries that are there already with the same content count as written.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::future::Future;
use std::hash::Hash;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use diesel_async::{AsyncConnection as _, RunQueryDsl as _};
use jiff::Timestamp;
use tokio::sync::{Notify, mpsc, oneshot, watch};

use super::conferences::{self, ConferenceHead};
use super::crossings::{self, Channel};
use super::journal::{self, Lines, NewJournalEntry};
use super::leases::{self, Fence};
use super::legs::{self, Leg};
use super::outbox::{self, NewJob};
use super::participants::{self, Participant};
use super::text::Text as _;
use super::webhooks::{self, NewEvent};
use super::{Connection, Pool, StorageError, StorageResult, charges};
use crate::billing::Charge;
use crate::ids::ConferenceId;

/// What is written together or not at all.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The conference whose journal and rows these are. Its own row is there already.
    pub conference: ConferenceId,
    /// By which right: refused when the switch has another owner by now. `None`: by nobody's, for what no switch carries.
    pub fence: Option<Fence>,
    /// The entries to append, in order and following those already submitted.
    pub journal: Vec<NewJournalEntry>,
    /// The rows that have changed; of two with one identifier the later one stands.
    pub rows: Vec<RowChange>,
}

/// One row to be written.
#[derive(Clone, Debug)]
pub enum RowChange {
    /// The conference's own row changes.
    Head(ConferenceHead),
    /// A participant is new or has changed.
    Participant(Participant),
    /// A leg is new or has changed; its participant is there or in the same batch.
    Leg(Box<Leg>),
    /// A charge is due; one that is there already stays as it is.
    Charge {
        /// The charge.
        charge: Box<Charge>,
        /// When it was rated.
        at: Timestamp,
    },
    /// A message is due; one whose key is there already is dropped.
    Job(NewJob),
    /// Something is to be told to webhooks; one whose key is there already is dropped.
    Event(NewEvent),
}

/// How the writer works.
#[derive(Clone, Copy, Debug)]
pub struct WriterOptions {
    /// The most batches in one transaction.
    pub group: usize,
    /// How long a transaction may take before its connection is given up.
    pub transaction: Duration,
    /// The first pause when the database is away; it doubles each time.
    pub pause: Duration,
    /// The longest pause.
    pub longest_pause: Duration,
    /// How often one batch is tried that the database refuses for no reason known to be the batch's own nor to pass by itself.
    pub tries: u32,
}

impl Default for WriterOptions {
    fn default() -> Self {
        Self { group: 500, transaction: Duration::from_secs(10), pause: Duration::from_millis(50), longest_pause: Duration::from_secs(1), tries: 6 }
    }
}

/// The answer to a submitted batch: `Ok` once it is committed. Dropping it takes nothing back.
#[derive(Debug)]
pub struct Ticket(oneshot::Receiver<StorageResult<()>>);

impl Future for Ticket {
    type Output = StorageResult<()>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map(|answer| answer.unwrap_or(Err(StorageError::Closed)))
    }
}

/// The handle of the writing task; cheap to clone.
#[derive(Clone, Debug)]
pub struct Writer {
    queue: mpsc::UnboundedSender<Request>,
    available: watch::Receiver<bool>,
    told: Arc<AtomicBool>,
}

#[derive(Debug)]
enum Request {
    Write(Waiting),
    Close(oneshot::Sender<()>),
}

#[derive(Debug)]
struct Waiting {
    batch: Batch,
    since: Instant,
    answer: oneshot::Sender<StorageResult<()>>,
}

impl Writer {
    /// Starts the task. `jobs_due` is notified after each commit that queued jobs.
    #[must_use]
    pub fn start(pool: Pool, options: WriterOptions, jobs_due: Arc<Notify>) -> Self {
        let (queue, requests) = mpsc::unbounded_channel();
        let (available_tx, available) = watch::channel(true);
        gauge_available(true);
        let told = Arc::new(AtomicBool::new(false));
        let task = Task { pool, options, jobs_due, requests, available: available_tx, told: Arc::clone(&told), connection: None };
        tokio::spawn(task.run());
        Self { queue, available, told }
    }

    /// Lines up a batch. Never waits; await the ticket before anything outside follows from the batch.
    ///
    /// The queue has no limit of its own: who awaits his tickets bounds it.
    ///
    /// # Errors
    /// The ticket gives [`StorageError::Fenced`] when the switch has another owner, [`StorageError::Conflict`] when another entry has an entry's place in the journal, [`StorageError::Gap`] when an
    /// earlier batch of the conference failed, [`StorageError::Closed`] after [`Writer::close`], and what the database has against the rows.
    /// It never gives [`StorageError::Unavailable`]: the batch waits.
    pub fn submit(&self, batch: Batch) -> Ticket {
        let (answer, ticket) = oneshot::channel();
        match check(&batch) {
            Ok(()) => {
                // When the task has ended, the answer is dropped with the request, which the ticket tells as `Closed`.
                drop(self.queue.send(Request::Write(Waiting { batch, since: Instant::now(), answer })));
            }
            Err(error) => drop(answer.send(Err(error))),
        }
        Ticket(ticket)
    }

    /// Whether the last write got through. `false`: the database is away, and what was submitted waits.
    #[must_use]
    pub fn is_available(&self) -> bool {
        *self.available.borrow()
    }

    /// Follows [`Writer::is_available`].
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<bool> {
        self.available.clone()
    }

    /// Whether other processes of the service are told which journals grow; they are not while there are none.
    pub fn tell_others(&self, told: bool) {
        self.told.store(told, Ordering::Relaxed);
    }

    /// Writes what was submitted so far and ends the task; later batches are refused. Waits for as long as the database is away.
    pub async fn close(&self) {
        let (done, closed) = oneshot::channel();
        if self.queue.send(Request::Close(done)).is_ok() {
            // An error means that the task has ended, which is what was asked for.
            drop(closed.await);
        }
    }
}

/// What would be refused for certain.
fn check(batch: &Batch) -> StorageResult<()> {
    if batch.journal.iter().any(|line| line.entry.holds_nul()) {
        return Err(StorageError::Unstorable { field: "entry" });
    }
    for row in &batch.rows {
        let conference = match row {
            RowChange::Head(head) => Some(head.id),
            RowChange::Participant(participant) => {
                participant.check()?;
                Some(participant.conference)
            }
            RowChange::Leg(leg) => {
                leg.check()?;
                Some(leg.conference)
            }
            RowChange::Charge { charge, .. } => {
                charges::check(charge)?;
                Some(charge.conference)
            }
            RowChange::Job(job) => {
                job.check()?;
                job.conference
            }
            RowChange::Event(event) => {
                event.check()?;
                Some(event.conference)
            }
        };
        if conference.is_some_and(|conference| conference != batch.conference) {
            return Err(StorageError::Invalid { what: "a row of another conference".to_owned() });
        }
    }
    Ok(())
}

struct Task {
    pool: Pool,
    options: WriterOptions,
    jobs_due: Arc<Notify>,
    requests: mpsc::UnboundedReceiver<Request>,
    available: watch::Sender<bool>,
    told: Arc<AtomicBool>,
    connection: Option<Connection>,
}

impl Task {
    async fn run(mut self) {
        let mut taken = Vec::new();
        while self.requests.recv_many(&mut taken, self.options.group.max(1)).await > 0 {
            metrics::gauge!("sklic_writer_queue_batches").set(self.requests.len() as f64);
            let mut group = Vec::with_capacity(taken.len());
            let mut closed = None;
            for request in taken.drain(..) {
                match request {
                    Request::Write(waiting) if closed.is_none() => group.push(waiting),
                    // Dropped: it came after the closing.
                    Request::Write(_) => {}
                    Request::Close(done) => closed = Some(done),
                }
            }
            self.write(group).await;
            if let Some(done) = closed {
                // No receiver: nobody waits for it any more.
                let _ = done.send(());
                return;
            }
        }
    }

    /// Writes a group and answers each batch; a part that is refused is halved until the batch at fault is alone.
    async fn write(&mut self, group: Vec<Waiting>) {
        let mut parts = VecDeque::from([group]);
        while let Some(mut part) = parts.pop_front() {
            if part.is_empty() {
                continue;
            }
            match self.write_patiently(&part).await {
                Ok(()) => {
                    if part.iter().any(|waiting| waiting.batch.rows.iter().any(|row| matches!(row, RowChange::Job(_) | RowChange::Event(_)))) {
                        self.jobs_due.notify_one();
                    }
                    for waiting in part {
                        metrics::histogram!("sklic_writer_wait_seconds").record(waiting.since.elapsed());
                        let _ = waiting.answer.send(Ok(()));
                    }
                }
                Err(_) if part.len() > 1 => {
                    let second = part.split_off(part.len() / 2);
                    parts.push_front(second);
                    parts.push_front(part);
                }
                Err(error) => {
                    if let Some(waiting) = part.pop() {
                        tracing::error!(conference.id = %waiting.batch.conference, error = %cause(&error), "a batch was refused: {error}");
                        metrics::counter!("sklic_writer_refused_batches_total").increment(1);
                        let _ = waiting.answer.send(Err(error));
                    }
                }
            }
        }
    }

    /// Writes a part, waiting while the database is away.
    async fn write_patiently(&mut self, part: &[Waiting]) -> StorageResult<()> {
        let mut pause = self.options.pause;
        let mut refusals = 0;
        loop {
            let started = Instant::now();
            let Err(error) = self.try_write(part).await else {
                metrics::histogram!("sklic_writer_group_batches").record(part.len() as f64);
                metrics::histogram!("sklic_writer_transaction_seconds").record(started.elapsed());
                self.set_available(true);
                return Ok(());
            };
            if error.is_passing() {
                if *self.available.borrow() {
                    tracing::warn!(error = %cause(&error), "the database is away, writes wait");
                }
                self.set_available(false);
            } else {
                // The database is there.
                self.set_available(true);
                refusals += 1;
                if !matches!(error, StorageError::Database { .. }) || part.len() > 1 || refusals >= self.options.tries {
                    return Err(error);
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(self.options.longest_pause);
        }
    }

    fn set_available(&self, available: bool) {
        let changed = self.available.send_if_modified(|was| std::mem::replace(was, available) != available);
        if changed {
            gauge_available(available);
            if available {
                tracing::info!("the database takes writes again");
            }
        }
    }

    async fn try_write(&mut self, part: &[Waiting]) -> StorageResult<()> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.pool.take().await?,
        };
        let told = AtomicBool::load(&self.told, Ordering::Relaxed);
        let transaction = connection.transaction(async |connection| write_in_transaction(connection, part, told).await);
        let result = match tokio::time::timeout(self.options.transaction, transaction).await {
            Ok(result) => result,
            // The connection is dropped here, in whatever state it is.
            Err(late) => return Err(StorageError::unavailable(late)),
        };
        match result {
            Err(error) if error.is_passing() => Err(error),
            Err(error) => {
                // What the driver calls an unknown fault may be a connection that is going down.
                let probe = diesel::sql_query("SELECT 1").execute(&mut connection);
                match tokio::time::timeout(self.options.transaction, probe).await {
                    Ok(Ok(_)) => {
                        self.connection = Some(connection);
                        Err(error)
                    }
                    Ok(Err(_)) | Err(_) => Err(StorageError::unavailable(error)),
                }
            }
            Ok(()) => {
                self.connection = Some(connection);
                Ok(())
            }
        }
    }
}

/// Says whether the database takes writes. Also said at the start and when there is nothing to write, or no alert would hear of it.
pub(crate) fn gauge_available(available: bool) {
    metrics::gauge!("sklic_writer_database_available").set(if available { 1.0 } else { 0.0 });
}

/// The innermost reason, for the log.
fn cause(error: &StorageError) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// Rows in the order of their first appearance, each with its last content.
struct Latest<K, V> {
    places: HashMap<K, usize>,
    rows: Vec<V>,
}

impl<K: Eq + Hash, V> Latest<K, V> {
    fn new() -> Self {
        Self { places: HashMap::new(), rows: Vec::new() }
    }

    fn put(&mut self, key: K, row: V) {
        match self.places.entry(key) {
            std::collections::hash_map::Entry::Occupied(place) => self.rows[*place.get()] = row,
            std::collections::hash_map::Entry::Vacant(place) => {
                place.insert(self.rows.len());
                self.rows.push(row);
            }
        }
    }
}

async fn write_in_transaction(connection: &mut Connection, part: &[Waiting], told: bool) -> StorageResult<()> {
    let mut heads = Latest::new();
    let mut people = Latest::new();
    let mut calls = Latest::new();
    let mut priced: Vec<(&Charge, Timestamp)> = Vec::new();
    let mut jobs = Vec::new();
    let mut events = Vec::new();
    for row in part.iter().flat_map(|waiting| &waiting.batch.rows) {
        match row {
            RowChange::Head(head) => heads.put(head.id, head.clone()),
            RowChange::Participant(participant) => people.put(participant.id, participant.clone()),
            RowChange::Leg(leg) => calls.put(leg.id, leg.as_ref().clone()),
            RowChange::Charge { charge, at } => priced.push((charge.as_ref(), *at)),
            RowChange::Job(job) => jobs.push(job.clone()),
            RowChange::Event(event) => events.push(event.clone()),
        }
    }
    let fences: BTreeSet<&Fence> = part.iter().filter_map(|waiting| waiting.batch.fence.as_ref()).collect();
    leases::hold(connection, &fences.into_iter().cloned().collect::<Vec<_>>()).await?;
    let lines: Vec<Lines<'_>> = part.iter().map(|waiting| Lines { conference: waiting.batch.conference, entries: &waiting.batch.journal }).collect();
    journal::append(connection, &lines).await?;
    conferences::save_heads(connection, &heads.rows).await?;
    participants::save(connection, people.rows).await?;
    legs::save(connection, &calls.rows).await?;
    charges::save(connection, &priced).await?;
    outbox::add(connection, &jobs).await?;
    webhooks::add_events(connection, &events).await?;
    if told {
        let grown: BTreeSet<ConferenceId> = part.iter().map(|waiting| waiting.batch.conference).collect();
        crossings::notify(connection, Channel::Journal, &grown.iter().map(ToString::to_string).collect::<Vec<_>>()).await?;
    }
    Ok(())
}
