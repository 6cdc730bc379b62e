//! The imperative shell: one owner task for each running conference, the links to the switches, timers, resynchronisation.
//!
//! It carries and never decides: what an input means is `conference`'s business.

mod bringing;
mod crossing;
mod entering;
mod erased;
mod follow;
mod gauges;
mod guessing;
mod homeless;
mod lease;
mod limits;
mod live;
mod node;
mod owner;
mod reception;
mod recovery;
mod reporting;
mod retention;
mod rows;
mod scheduler;
mod spending;
mod start;
mod sweep;
mod telling;
mod watch;
mod yielding;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::sync::{broadcast, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};
use utoipa::ToSchema;

use crate::accounting::Prices;
use crate::billing::{Currency, PayerTable};
use crate::conference::{ConferenceView, Control, Delta, Refusal};
use crate::config::{AccessNumber, ConferenceConfig, DialInConfig};
use crate::delivery::Branding;
use crate::ids::{AccountId, ConferenceId};
use crate::lines::Lines;
use crate::numbers::Numbering;
use crate::pbx::{EventSender, Pbx};
use crate::storage::crossings::Channel;
use crate::storage::{self, Pool, StorageError, Writer};
use crate::telemetry::names;
use lease::{Keeper, Membership};
pub use limits::Limits;
use live::Hubs;
use node::{Inbox, Nodes};
use owner::Message;
use spending::Spending;

/// Why a request about a conference was not taken.
#[derive(Debug, thiserror::Error, Serialize, Deserialize)]
#[serde(tag = "error", rename_all = "snake_case")]
pub enum ControlError {
    /// There is no such conference on this account.
    #[error("there is no such conference")]
    NotFound,
    /// The rules refuse it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It has been started already, or is over.
    #[error("the conference is {state}")]
    NotPlanned {
        /// Its state.
        state: String,
    },
    /// The account runs as many conferences as it may (R13).
    #[error("{limit} conferences run already, which is the limit")]
    TooManyConferences {
        /// The limit.
        limit: u32,
    },
    /// A person's number is beyond what the account may call (R13).
    #[error("calls to the number of {name} are not allowed")]
    NumberNotAllowed {
        /// The person.
        name: String,
    },
    /// The operator has locked the account.
    #[error("this account is locked; ask the operator")]
    AccountDisabled,
    /// The account has spent what it may in a day (R13).
    #[error("what may be spent in a day is spent")]
    SpendReached,
    /// The account's line is not in the operator's network any more.
    #[error("the line of this account is not in the operator's network any more; ask the operator")]
    LineGone,
    /// It is taken and waits for the database: it is not to be sent again.
    #[error("the database is not available; the request is kept and is carried out as soon as it is back: do not send it again")]
    Queued,
    /// No switch, or no database, or it takes too long: nothing is lost, try again.
    #[error("{}", unavailable(what))]
    Unavailable {
        /// What: `database`, `switch`, `conference`.
        #[serde(deserialize_with = "part")]
        what: Part,
    },
    /// A fault of ours, logged where it happened.
    #[error("internal error")]
    Internal,
}

/// The name of a part of the service.
pub type Part = &'static str;

/// What is told of a part that is not there; a start is told `switch`, whether none is linked or none has room.
fn unavailable(what: &str) -> String {
    if what == "switch" {
        return "No switch is linked that has room for all people of this conference. Nothing was changed; try again soon.".to_owned();
    }
    format!("{what} is not available")
}

/// Reads it as another service node has told it.
fn part<'de, D: serde::Deserializer<'de>>(words: D) -> Result<Part, D::Error> {
    let word = String::deserialize(words)?;
    Ok(["database", "switch", "conference on this switch"].into_iter().find(|known| *known == word).unwrap_or("conference"))
}

/// A numbered change, as sent to the convener's windows.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct LiveDelta {
    /// Number of the change; a window that misses one asks for a new snapshot.
    pub seq: u64,
    /// The change.
    #[serde(flatten)]
    pub delta: Delta,
}

/// A window's subscription: the picture now, and what changes from here on.
pub struct Live {
    /// The picture.
    pub view: ConferenceView,
    /// The changes after `view.seq`. A receiver that lags behind gets an error and starts again with a new picture.
    pub changes: tokio::sync::broadcast::Receiver<std::sync::Arc<LiveDelta>>,
}

/// How the parts are, for `/readyz` and the operator.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Readiness {
    /// The database answers.
    pub database: bool,
    /// Each switch by name.
    pub switches: Vec<SwitchReadiness>,
    /// Conferences that run now.
    pub conferences: usize,
}

/// How one switch is.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct SwitchReadiness {
    /// Its name in the configuration.
    pub name: String,
    /// The link is up and has been resynchronised.
    pub up: bool,
    /// When it was last heard here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_heard: Option<Timestamp>,
    /// The service node that drives it: one of those that share the database.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driven_by: Option<String>,
    /// It gets no new conferences; those that run there finish.
    #[serde(default)]
    pub draining: bool,
}

/// What every owner uses.
pub(crate) struct Shared {
    pool: Pool,
    writer: Writer,
    hubs: Hubs,
    prices: Prices,
    spending: Spending,
    rules: ConferenceConfig,
    membership: Arc<Membership>,
    abroad: follow::Abroad,
    branding: Branding,
}

/// Opens a switch's adapter, which connects by itself and says there what the switch tells.
pub type Opener = Box<dyn Fn(EventSender) -> Arc<dyn Pbx> + Send + Sync>;

/// Tries whether this process reaches a switch; drives nothing.
pub type Reach = Box<dyn Fn() -> BoxFuture<'static, bool> + Send + Sync>;

/// One switch of the configuration. It is driven by one of the service nodes that share the database.
pub struct Switch {
    /// Its name in the configuration.
    pub name: String,
    /// Opens it when this service node drives it.
    pub open: Opener,
    /// Tries it while another service node drives it.
    pub reach: Reach,
    /// Calls placed in a second.
    pub calls_per_second: u32,
    /// The most members at once.
    pub max_members: u32,
    /// Where it takes calls of the other switches, as `host:port`; without it nobody is brought there.
    pub sip_address: Option<String>,
    /// It gets no new conferences.
    pub drain: bool,
}

/// The rules and prices by which a runtime works.
#[derive(Clone)]
pub struct Rules {
    /// The operator's rules of conferences.
    pub conference: ConferenceConfig,
    /// The numbers that callers dial.
    pub access_numbers: Vec<AccessNumber>,
    /// How callers are received.
    pub dial_in: DialInConfig,
    /// What numbers this operator knows.
    pub numbering: Numbering,
    /// Who pays what.
    pub payers: PayerTable,
    /// The name of the tariff by which accounts are charged that have none of their own.
    pub tariff: String,
    /// The currency of all tariffs.
    pub currency: Currency,
    /// Under whose name reports are mailed.
    pub branding: Branding,
    /// The inventory of lines; without it no account's line is checked.
    pub lines: Option<Arc<Lines>>,
}

struct Inner {
    shared: Arc<Shared>,
    nodes: Nodes,
    owners: Mutex<HashMap<ConferenceId, (AccountId, Inbox)>>,
    /// Rung when a conference has been started: callers who wait look whether it is theirs.
    begun: tokio::sync::Notify,
    /// The conferences whose start is under way.
    starting: Arc<Mutex<HashSet<ConferenceId>>>,
    rules: Rules,
    /// The order of those who key codes and PINs.
    guesses: guessing::Guesses,
    membership: Arc<Membership>,
    /// Answers of other service nodes that are waited for.
    waiting: crossing::Waiting,
    /// Windows on conferences that other service nodes own.
    followers: follow::Followers,
    /// Planned conferences that were edited, on whichever service node.
    edited: broadcast::Sender<ConferenceId>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// How long a caller waits for a control to be journalled.
const REPLY_WITHIN: Duration = Duration::from_secs(5);
/// How often the proof of life of the switches is written down. With the snapshots' pace it bounds an end by proof of life.
const NOTE_EVERY: Duration = Duration::from_secs(2);
/// How often it is counted what waits in the outbox.
const OUTBOX_EVERY: Duration = Duration::from_secs(10);
/// How long that may take before the database counts as away.
const OUTBOX_WITHIN: Duration = Duration::from_secs(5);
/// How often old lock-outs are dropped.
const FORGET_EVERY: Duration = Duration::from_secs(3600);
/// How often the tariff is read again.
const TARIFF_EVERY: Duration = Duration::from_secs(10);

/// The running service, for the HTTP side. Cheap to clone.
#[derive(Clone)]
pub struct Runtime {
    inner: Arc<Inner>,
}

impl Runtime {
    /// Takes over what was running when the service last stopped, and drives the switches until `stop`.
    ///
    /// `name` is the same at each start of this service node and no other's: what a predecessor of this name drove is taken at once.
    ///
    /// # Errors
    /// A fault of the database that asking again does not mend.
    pub async fn launch(
        name: String,
        pool: Pool,
        writer: Writer,
        rules: Rules,
        switches: Vec<Switch>,
        stop: CancellationToken,
    ) -> Result<Self, StorageError> {
        for switch in &switches {
            names::begin_switch(&switch.name);
        }
        let prices = Prices::new(rules.tariff.clone(), rules.payers.clone(), rules.currency, rules.numbering.clone());
        patiently(&stop, async || prices.refresh(&pool, &mut None).await).await?;
        let membership = Arc::new(Membership::new(name, switches));
        let (abroad, passing) = follow::Abroad::new();
        let shared = Arc::new(Shared {
            pool,
            writer,
            hubs: Hubs::default(),
            prices,
            spending: Spending::default(),
            rules: rules.conference.clone(),
            membership: Arc::clone(&membership),
            abroad,
            branding: rules.branding.clone(),
        });
        let inner = Inner {
            shared,
            nodes: Nodes::default(),
            owners: Mutex::default(),
            starting: Arc::default(),
            begun: tokio::sync::Notify::new(),
            rules,
            guesses: guessing::Guesses::default(),
            membership,
            waiting: crossing::Waiting::default(),
            followers: follow::Followers::default(),
            edited: broadcast::Sender::new(256),
            tasks: TaskTracker::new(),
            stop,
        };
        let runtime = Self { inner: Arc::new(inner) };
        let shared = Arc::clone(&runtime.inner.shared);
        let stop = runtime.inner.stop.clone();
        let filled = patiently(&stop, async || storage::dial_in::fill_codes(&mut *shared.pool.get().await?).await).await?;
        if filled > 0 {
            info!(contacts = filled, "contacts of an earlier release have got their codes");
        }
        let mut keeper = Keeper::new();
        let begun = patiently(&stop, async || runtime.tend(&mut keeper).await).await?;
        // Before what runs is taken over, which may last longer than a lease.
        runtime.inner.tasks.spawn(runtime.clone().keep_leases(keeper));
        for task in begun {
            // It ends early only with the service.
            let _ = task.await;
        }
        runtime.inner.tasks.spawn(runtime.clone().hear_others());
        runtime.inner.tasks.spawn(runtime.clone().tell_passing(passing));
        runtime.inner.tasks.spawn(runtime.clone().housekeeping());
        runtime.inner.tasks.spawn(runtime.clone().look_at_outbox());
        runtime.inner.tasks.spawn(runtime.clone().end_homeless());
        Ok(runtime)
    }

    /// Waits until every owner has written what it had decided, then closes the links. Calls go on.
    pub async fn close(&self) {
        self.inner.stop.cancel();
        self.inner.tasks.close();
        if tokio::time::timeout(Duration::from_secs(10), self.inner.tasks.wait()).await.is_err() {
            warn!("some conferences had writes under way; their journal and the next snapshot make up for it");
        }
        for node in self.inner.nodes.all() {
            node.pbx.close().await;
        }
        self.leave().await;
    }

    fn owners(&self) -> std::sync::MutexGuard<'_, HashMap<ConferenceId, (AccountId, Inbox)>> {
        self.inner.owners.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The inbox of a running conference; one that is just being started is waited for.
    async fn inbox_of(&self, account: AccountId, conference: ConferenceId) -> Option<Inbox> {
        for _ in 0..20 {
            if let Some(inbox) = self.inbox(account, conference) {
                return Some(inbox);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        None
    }

    fn inbox(&self, account: AccountId, conference: ConferenceId) -> Option<Inbox> {
        self.owners().get(&conference).filter(|(of, _)| *of == account).map(|(_, inbox)| inbox.clone())
    }

    /// Hands a control to a running conference and answers when it is journalled.
    ///
    /// # Errors
    /// See [`ControlError`].
    pub async fn control(&self, account: AccountId, conference: ConferenceId, control: Control) -> Result<ConferenceView, ControlError> {
        match self.inbox(account, conference) {
            Some(inbox) => self.control_here(inbox, control).await,
            // Planned or over, none of this account's, or another service node's.
            None => self.control_elsewhere(account, conference, control).await,
        }
    }

    async fn control_here(&self, inbox: Inbox, control: Control) -> Result<ConferenceView, ControlError> {
        let (reply, answer) = oneshot::channel();
        // It is over, or being rebuilt.
        inbox.send(Message::Control { control, reply }).map_err(|_| ControlError::Unavailable { what: "conference" })?;
        await_reply(answer).await
    }

    /// The conference as it is now: planned, running or over.
    ///
    /// # Errors
    /// See [`ControlError`].
    pub async fn view(&self, account: AccountId, conference: ConferenceId) -> Result<ConferenceView, ControlError> {
        if let Some(inbox) = self.inbox(account, conference) {
            let (reply, answer) = oneshot::channel();
            if inbox.send(Message::View(reply)).is_ok()
                && let Ok(view) = answer.await
            {
                return Ok(view);
            }
        }
        if let Some(view) = self.inner.followers.picture(account, conference) {
            return Ok(view);
        }
        let seq = self.inner.shared.hubs.of(conference).seq();
        {
            let mut connection = self.inner.shared.pool.get().await?;
            let plan = storage::conferences::lookup(&mut connection, account, conference).await?.ok_or(ControlError::NotFound)?;
            if plan.erased_at.is_some() {
                return self.erased_view(&mut connection, plan, account, seq).await;
            }
        }
        let past = self.read(account, conference).await?;
        let mut view = rows::view(&past.conference, &past.plan, seq);
        if past.plan.state == "planned" {
            // Why it was not started at its time; the rules know nothing of that.
            view.head.reason = past.plan.reason;
        }
        Ok(view)
    }

    /// A window's subscription; a conference that does not run gives a picture and no changes until it is started.
    ///
    /// # Errors
    /// See [`ControlError`].
    pub async fn live(&self, account: AccountId, conference: ConferenceId) -> Result<Live, ControlError> {
        // Subscribed before the picture is taken, so that no change falls between.
        let changes = self.inner.shared.hubs.of(conference).subscribe();
        self.follow(account, conference).await?;
        let view = self.view(account, conference).await?;
        Ok(Live { view, changes })
    }

    /// A planned conference was edited: windows on every service node show it anew.
    pub fn was_edited(&self, conference: ConferenceId) {
        // Nobody watching is no fault.
        let _ = self.inner.edited.send(conference);
        self.tell_others(Channel::Edited, conference.to_string());
    }

    /// Planned conferences that are edited from here on.
    #[must_use]
    pub fn edits(&self) -> broadcast::Receiver<ConferenceId> {
        self.inner.edited.subscribe()
    }

    /// How the parts are.
    pub async fn readiness(&self) -> Readiness {
        let leases = self.inner.membership.leases();
        let switches = self.inner.membership.switches().iter().map(|switch| {
            let node = self.inner.nodes.by_name(&switch.name);
            let lease = leases.iter().find(|lease| lease.switch == switch.name);
            SwitchReadiness {
                name: switch.name.clone(),
                up: node.as_ref().map_or_else(|| lease.is_some_and(|lease| lease.alive && lease.ready), |node| node.is_ready()),
                last_heard: node.as_ref().map(|node| node.heard().0),
                driven_by: lease.filter(|lease| lease.alive).and_then(|lease| lease.owner_name.clone()),
                draining: switch.drain || node.is_some_and(|node| node.is_draining()),
            }
        });
        Readiness { database: self.inner.shared.writer.is_available(), switches: switches.collect(), conferences: self.owners().len() }
    }

    /// Writes down when switches were heard, reads the tariff again, and keeps the gauges.
    async fn housekeeping(self) {
        let mut note = tokio::time::interval(NOTE_EVERY);
        let mut tariff = tokio::time::interval(TARIFF_EVERY);
        note.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        tariff.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut forget = tokio::time::interval(FORGET_EVERY);
        let mut watch = watch::Watch::default();
        let mut mark = None;
        let mut swept = HashMap::new();
        loop {
            tokio::select! {
                () = self.inner.stop.cancelled() => return,
                _ = note.tick() => {
                    self.set_gauges();
                    self.watch_switches(&mut watch);
                    if let Err(fault) = self.note_proofs().await {
                        warn!(%fault, "when the switches were heard could not be written down");
                    }
                    self.follow_drains().await;
                    self.sweep(&mut swept);
                }
                _ = forget.tick() => {
                    if let Err(fault) = self.forget_callers().await {
                        warn!(%fault, "old lock-outs of callers could not be dropped");
                    }
                }
                _ = tariff.tick() => {
                    if let Err(fault) = self.inner.shared.prices.refresh(&self.inner.shared.pool, &mut mark).await {
                        warn!(%fault, "the tariffs could not be read again; the last ones stay in force");
                    }
                }
            }
        }
    }

    /// Counts what waits in the outbox, and says by that whether the database is there while nothing is to be written.
    /// A task of its own: the other looks may hang with the database.
    async fn look_at_outbox(self) {
        let mut tick = tokio::time::interval(OUTBOX_EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut said = watch::Said::default();
        loop {
            tokio::select! {
                () = self.inner.stop.cancelled() => return,
                _ = tick.tick() => {}
            }
            let looked = tokio::time::timeout(OUTBOX_WITHIN, self.gauge_outbox(&mut said)).await;
            let looked = looked.unwrap_or_else(|late| Err(StorageError::unavailable(late)));
            self.gauge_database(&looked);
            if let Err(fault) = looked {
                tracing::debug!(%fault, "what waits in the outbox could not be counted");
            }
        }
    }

    /// Drops what is kept about callers and means nothing any more.
    async fn forget_callers(&self) -> Result<(), StorageError> {
        let rules = &self.inner.rules.dial_in;
        let mut connection = self.inner.shared.pool.get().await?;
        let (now, seconds) = (crate::clock::now(), |seconds: u32| SignedDuration::from_secs(i64::from(seconds)));
        let longest = seconds(rules.lock_out.forgive_after_seconds.max(rules.lock_out.longest_seconds));
        storage::leases::forget_dead(&mut connection).await?;
        storage::dial_in::forget_lock_outs(&mut connection, now - longest).await?;
        // Twice, so that a caller who hears the apology at this moment is still known.
        storage::dial_in::forget_waiting(&mut connection, now - seconds(rules.wait_limit_seconds) * 2).await?;
        // A caller whom a service that starts anew finds still in hand shows his pass again.
        storage::passes::forget(&mut connection, now - SignedDuration::from_hours(1)).await?;
        Ok(())
    }

    async fn note_proofs(&self) -> Result<(), StorageError> {
        for node in self.inner.nodes.all().into_iter().filter(|node| node.is_ready()) {
            let (heard, booted_at) = node.heard();
            storage::switch_nodes::note(&mut *self.inner.shared.pool.get().await?, &node.name, booted_at, heard).await?;
        }
        Ok(())
    }
}

async fn await_reply(answer: oneshot::Receiver<Result<ConferenceView, ControlError>>) -> Result<ConferenceView, ControlError> {
    await_reply_within(REPLY_WITHIN, answer).await
}

async fn await_reply_within(
    within: Duration,
    answer: oneshot::Receiver<Result<ConferenceView, ControlError>>,
) -> Result<ConferenceView, ControlError> {
    match tokio::time::timeout(within, answer).await {
        Ok(Ok(result)) => result,
        // The owner ended in between: the conference is over, or is being rebuilt.
        Ok(Err(_)) => Err(ControlError::Unavailable { what: "conference" }),
        // It is decided, or is next to be, and goes out once it is written.
        Err(_) => Err(ControlError::Queued),
    }
}

/// Asks again until the database is there, or refuses for another reason.
async fn patiently<T>(stop: &CancellationToken, mut ask: impl AsyncFnMut() -> Result<T, StorageError>) -> Result<T, StorageError> {
    let mut wait = Duration::from_millis(200);
    loop {
        match ask().await {
            Err(fault) if fault.is_passing() && !stop.is_cancelled() => {
                warn!(%fault, "waiting for the database");
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(Duration::from_secs(3));
            }
            result => return result,
        }
    }
}

impl From<StorageError> for ControlError {
    fn from(fault: StorageError) -> Self {
        if fault.is_passing() {
            return Self::Unavailable { what: "database" };
        }
        if matches!(fault, StorageError::Fenced { .. }) {
            // Somebody else drives it now, and may be asked.
            return Self::Unavailable { what: "switch" };
        }
        error!(fault = &fault as &dyn std::error::Error, "the database refused a query");
        Self::Internal
    }
}
