//! Which switches this process drives. Several processes of the service share one database; each switch has one owner at a time.
//!
//! An owner renews its row in the database; one that has not done so for [`TTL`] counts as dead, and another takes its switches.
//! Each change of the owner raises the switch's epoch, and whatever a former owner would still write is refused by the database ([`Fence`]).
//! Since nothing is said to a switch that was not written first, a process that slept through its own end does no harm:
//! it does not speak before it has renewed its row, and by then it knows.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::{error, info, warn};

use super::node::{Feeds, Node};
use super::yielding::{Asking, Handing};
use super::{Runtime, Switch};
use crate::clock;
use crate::ids::{AccountId, ConferenceId, ServiceNodeId};
use crate::pbx::Event;
use crate::storage::crossings::{self, Channel};
use crate::storage::leases::{self, Fence, Lease};
use crate::storage::{Connection, StorageError, Writer, switch_nodes};

/// How long a process counts as living after it has renewed its row, by the clock of the database.
pub(super) const TTL: Duration = Duration::from_secs(3);
/// How often it renews it, and looks at the leases. With [`TTL`] it bounds how long a switch is without an owner.
const RENEW_EVERY: Duration = Duration::from_millis(500);
/// How often the conferences of a switch are tried to be taken over before it is heard without those that could not be.
const TAKE_OVER_TRIES: u32 = 3;
/// How often conferences of our switches are looked for that have no task.
const HEAL_EVERY: Duration = Duration::from_secs(5);
/// A lease that changes its owner more often than [`FLAPS`] times in this while flaps.
const FLAP_WINDOW: Duration = Duration::from_secs(300);
/// See [`FLAP_WINDOW`]; a rolling upgrade changes an owner twice.
const FLAPS: i64 = 6;

/// The right to drive one switch.
pub(super) struct Tenure {
    fence: Fence,
    sure_until: watch::Receiver<Instant>,
    writer: Writer,
}

impl Tenure {
    pub(super) fn fence(&self) -> Fence {
        self.fence.clone()
    }

    /// Whether something may be said to the switch now: this process has renewed its row lately, or nobody else was there when it did last.
    pub(super) fn is_sure(&self) -> bool {
        Instant::now() < *self.sure_until.borrow()
    }

    /// Whether a call that this process knows may be ended, or a microphone closed: also while the database is away, though somebody
    /// who still reaches it may have taken over. It harms nobody, and whoever takes over finds it so.
    pub(super) fn may_end(&self) -> bool {
        self.is_sure() || !self.writer.is_available()
    }

    /// Waits until [`Self::is_sure`].
    pub(super) async fn sure(&self) {
        let mut renewed = self.sure_until.clone();
        while !self.is_sure() {
            if renewed.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }
}

/// This process among those that share the database.
pub(super) struct Membership {
    pub(super) me: ServiceNodeId,
    /// The same at the next start of this process.
    name: String,
    switches: Vec<Switch>,
    sure_until: watch::Sender<Instant>,
    /// The leases at the last look.
    seen: Mutex<Vec<Lease>>,
    others: AtomicUsize,
    /// What is on its way to another process.
    pub(super) handing: Handing,
    /// Rung when the leases are to be looked at at once.
    pub(super) doubt: Notify,
}

impl Membership {
    pub(super) fn new(name: String, switches: Vec<Switch>) -> Self {
        Self {
            me: ServiceNodeId::fresh(),
            name,
            switches,
            sure_until: watch::Sender::new(Instant::now()),
            seen: Mutex::default(),
            others: AtomicUsize::new(0),
            handing: Handing::default(),
            doubt: Notify::new(),
        }
    }

    /// The switches of the configuration.
    pub(super) fn switches(&self) -> &[Switch] {
        &self.switches
    }

    /// Other processes live.
    pub(super) fn has_others(&self) -> bool {
        self.others.load(Ordering::Relaxed) > 0
    }

    /// How many switches a process drives when none has too many.
    pub(super) fn fair_share(&self) -> usize {
        self.leases().len().div_ceil(self.others.load(Ordering::Relaxed) + 1)
    }

    /// The leases at the last look.
    pub(super) fn leases(&self) -> Vec<Lease> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The living process other than this one that drives a switch.
    pub(super) fn driver(&self, switch: &str) -> Option<ServiceNodeId> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.iter().find(|lease| lease.switch == switch && lease.alive).and_then(|lease| lease.owner).filter(|owner| *owner != self.me)
    }

    /// A switch of another process that has room for new conferences, the one with the most first.
    pub(super) fn switch_with_room(&self, people: usize) -> Option<&Switch> {
        let people = i32::try_from(people).unwrap_or(i32::MAX);
        let leases = self.leases();
        let theirs = leases.iter().filter(|lease| lease.alive && lease.ready && lease.room >= people && lease.owner != Some(self.me));
        theirs.max_by_key(|lease| lease.room).and_then(|lease| self.switch(&lease.switch))
    }

    /// The switch of this name in the configuration.
    pub(super) fn switch(&self, name: &str) -> Option<&Switch> {
        self.switches.iter().find(|switch| switch.name == name)
    }

    /// Another process whose switches have room, the one with the most first.
    pub(super) fn with_room(&self, people: usize) -> Option<ServiceNodeId> {
        let people = i32::try_from(people).unwrap_or(i32::MAX);
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let theirs = seen.iter().filter(|lease| lease.alive && lease.ready && lease.room >= people && lease.owner != Some(self.me));
        theirs.max_by_key(|lease| lease.room).and_then(|lease| lease.owner)
    }

    pub(super) fn tenure(&self, fence: Fence, writer: &Writer) -> Tenure {
        Tenure { fence, sure_until: self.sure_until.subscribe(), writer: writer.clone() }
    }
}

/// What the keeper of the leases remembers between two looks.
pub(super) struct Keeper {
    /// At the first look our own predecessor's switches are taken at once; one that a write of his still uses, at the next.
    first: bool,
    /// Since when every look has succeeded: who was cut off himself calls nobody else dead.
    steady_since: Instant,
    last: Option<Instant>,
    healed: Instant,
    asking: Asking,
    epochs: HashMap<String, VecDeque<(Instant, i64)>>,
    /// Its own: a queue for the others' may be longer than a lease lasts.
    connection: Option<Connection>,
}

impl Keeper {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self { first: true, steady_since: now, last: None, healed: now, asking: Asking::default(), epochs: HashMap::new(), connection: None }
    }

    /// Notes a look that has succeeded.
    fn succeeded(&mut self, sent: Instant) {
        if self.last.is_none_or(|last| sent.duration_since(last) > TTL) {
            self.steady_since = sent;
        }
        self.last = Some(sent);
    }

    /// Counts the changes of a lease, and says when there are too many.
    fn watch(&mut self, lease: &Lease, now: Instant) {
        let history = self.epochs.entry(lease.switch.clone()).or_default();
        if history.back().is_none_or(|(_, epoch)| *epoch != lease.epoch) {
            history.push_back((now, lease.epoch));
            if history.len() > 1 {
                metrics::counter!("sklic_lease_changes_total", "switch" => lease.switch.clone()).increment(1);
            }
        }
        while history.front().is_some_and(|(at, _)| now.duration_since(*at) > FLAP_WINDOW) && history.len() > 1 {
            history.pop_front();
        }
        let changes = history.front().map_or(0, |(_, epoch)| lease.epoch - epoch);
        if changes >= FLAPS {
            warn!(switch.name = %lease.switch, changes,
                "the lease of this switch changes hands again and again: look at the load of the service nodes and of the database, \
                and whether two service nodes have the same name and address");
            metrics::counter!("sklic_lease_flaps_total", "switch" => lease.switch.clone()).increment(1);
            history.clear();
            history.push_back((now, lease.epoch));
        }
    }
}

impl Runtime {
    /// Keeps this process's leases until the service stops.
    pub(super) async fn keep_leases(self, mut keeper: Keeper) {
        let mut tick = tokio::time::interval(RENEW_EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut away = false;
        loop {
            tokio::select! {
                () = self.inner.stop.cancelled() => return,
                _ = tick.tick() => {}
                () = self.inner.membership.doubt.notified() => {}
            }
            let looked = tokio::time::timeout(TTL, self.tend(&mut keeper)).await;
            match looked.unwrap_or_else(|late| Err(StorageError::unavailable(late))) {
                Ok(_) => away = false,
                Err(fault) => {
                    if !std::mem::replace(&mut away, true) {
                        warn!(%fault, "the leases of the switches could not be renewed");
                    }
                    // Nobody else was there at the last look, and without the database nobody takes anything over.
                    if !self.inner.membership.has_others() {
                        // A look that fails may take all of its time.
                        self.inner.membership.sure_until.send_replace(Instant::now() + TTL * 2);
                    }
                }
            }
        }
    }

    /// Renews this process's row, gives up what is another's by now, and takes what is nobody's.
    /// Gives the tasks that take over what runs on the switches that are new here.
    pub(super) async fn tend(&self, keeper: &mut Keeper) -> Result<Vec<JoinHandle<()>>, StorageError> {
        let membership = &self.inner.membership;
        let sent = Instant::now();
        let names: Vec<String> = membership.switches.iter().map(|switch| switch.name.clone()).collect();
        // It comes back only when all has gone well: one that has failed, or that was given up in the middle, is dropped.
        let mut connection = match keeper.connection.take() {
            Some(connection) => connection,
            None => self.inner.shared.pool.take().await?,
        };
        leases::renew(&mut connection, membership.me, &membership.name).await?;
        let seen = leases::list(&mut connection, &names, TTL).await?;
        let others = leases::others(&mut connection, membership.me, TTL).await?;
        keeper.succeeded(sent);
        membership.others.store(others, Ordering::Relaxed);
        self.inner.shared.writer.tell_others(others > 0);
        membership.seen.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&seen);
        for lease in &seen {
            if let Some(node) = self.inner.nodes.by_name(&lease.switch)
                && !(lease.owner == Some(membership.me) && node.tenure.fence.epoch == lease.epoch)
            {
                self.lose(&node);
            }
        }
        // Only now: what was lost has been given up before anybody may speak again. And before anything that may take its time.
        membership.sure_until.send_replace(sent + TTL);
        let mut begun = Vec::new();
        let mut in_use = false;
        let settled = keeper.steady_since.elapsed() >= TTL;
        for lease in &seen {
            keeper.watch(lease, sent);
            let mine = lease.owner == Some(membership.me);
            match self.inner.nodes.by_name(&lease.switch) {
                Some(node) => {
                    leases::note(&mut connection, &node.tenure.fence, node.is_ready(), node.room()).await?;
                }
                // On its way to another: the row does not say so yet.
                None if mine && membership.handing.is_under_way(lease) => {}
                None if mine => begun.extend(self.gain(&mut connection, lease.switch.clone(), lease.epoch).await?),
                None => {
                    let free = lease.owner.is_none() || (!lease.alive && settled);
                    let again = keeper.first && lease.owner_name.as_deref() == Some(&*membership.name);
                    if (free || again)
                        && let Some(epoch) = leases::take(&mut connection, lease, membership.me, again, TTL).await?
                    {
                        begun.extend(self.gain(&mut connection, lease.switch.clone(), epoch).await?);
                    } else {
                        // The predecessor's last write may not have ended yet.
                        in_use |= again;
                        self.ask_for_unheard(&mut keeper.asking, lease);
                    }
                }
            }
            let driven = if self.inner.nodes.by_name(&lease.switch).is_some() { 1.0 } else { 0.0 };
            metrics::gauge!("sklic_lease_owner", "switch" => lease.switch.clone()).set(driven);
        }
        keeper.first = in_use;
        self.ask_for_share(&mut keeper.asking, &seen);
        if keeper.healed.elapsed() >= HEAL_EVERY {
            keeper.healed = Instant::now();
            // What was taken over just now has not got its owners yet.
            for node in self.inner.nodes.all().into_iter().filter(|node| node.is_heard()) {
                let runtime = self.clone();
                self.inner.tasks.spawn(async move {
                    if let Err(fault) = runtime.take_over(&node, false).await {
                        warn!(switch.name = %node.name, %fault, "conferences without a task could not be looked for");
                    }
                });
            }
        }
        keeper.connection = Some(connection);
        Ok(begun)
    }

    /// This process drives the switch from here on.
    async fn gain(&self, connection: &mut Connection, name: String, epoch: i64) -> Result<Option<JoinHandle<()>>, StorageError> {
        let membership = &self.inner.membership;
        let Some(switch) = membership.switches.iter().find(|switch| switch.name == name) else { return Ok(None) };
        let known = switch_nodes::lookup(connection, &name).await?;
        // Not later than now, in case it was noted by a clock that went wrong.
        let proof = known.as_ref().map_or_else(clock::now, |known| known.last_heard_at.min(clock::now()));
        let (sender, events) = tokio::sync::mpsc::unbounded_channel();
        let tenure = membership.tenure(Fence { switch: name, epoch }, &self.inner.shared.writer);
        let stop = self.inner.stop.child_token();
        let (node, feeds) = Node::new(switch, (switch.open)(sender), proof, tenure, stop);
        node.drain(switch.drain || known.is_some_and(|known| known.draining));
        let node = Arc::new(node);
        self.inner.nodes.add(Arc::clone(&node));
        info!(switch.name = %node.name, lease.epoch = epoch, "this service node drives the switch");
        // At once: whoever waits for this may give up meanwhile.
        Ok(Some(self.inner.tasks.spawn(self.clone().drive(node, events, feeds))))
    }

    /// Takes over what runs on a switch, then hears it.
    async fn drive(self, node: Arc<Node>, events: UnboundedReceiver<Event>, feeds: Feeds) {
        let stop = node.stop.clone();
        let mut tries = 0;
        while let Err(fault) = self.take_over(&node, true).await {
            error!(switch.name = %node.name, %fault, "conferences of this switch could not be taken over; it is tried again");
            // Those that were taken over do not wait for ever for one that cannot be read.
            tries += u32::from(!fault.is_passing() || self.inner.shared.pool.answers().await);
            if tries >= TAKE_OVER_TRIES {
                break;
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(RENEW_EVERY) => {}
            }
        }
        if stop.is_cancelled() {
            return;
        }
        // The switch is heard only now that every conference has its owner.
        node.set_heard();
        self.inner.tasks.spawn(self.clone().receive(Arc::clone(&node), feeds.arrivals));
        self.inner.tasks.spawn(node.run(events, feeds.snapshots, stop));
    }

    /// Another process drives the switch: everything here that did is let go. Calls go on.
    pub(super) fn lose(&self, node: &Arc<Node>) {
        warn!(switch.name = %node.name, lease.epoch = node.tenure.fence.epoch, "another service node drives the switch from now on");
        // Before they are stopped: whose a conference was is known only as long as its task runs.
        let running = node.conferences();
        let watched: Vec<(AccountId, ConferenceId)> = {
            let owners = self.owners();
            running.into_iter().filter_map(|conference| owners.get(&conference).map(|(account, _)| (*account, conference))).collect()
        };
        self.inner.nodes.remove(node);
        node.stop.cancel();
        let (runtime, node) = (self.clone(), Arc::clone(node));
        self.inner.tasks.spawn(async move {
            node.pbx.close().await;
            for (account, conference) in watched {
                runtime.go_on_watching(account, conference).await;
            }
        });
    }

    /// Gives everything back, so that another process need not wait.
    pub(super) async fn leave(&self) {
        let left = async {
            let mut connection = self.inner.shared.pool.get().await?;
            leases::leave(&mut connection, self.inner.membership.me).await?;
            crossings::notify(&mut connection, Channel::Lease, &[String::new()]).await
        };
        if let Err(fault) = left.await {
            warn!(%fault, "the leases could not be given back; they run out by themselves");
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;
    use crate::storage::journal::NewJournalEntry;
    use crate::storage::{Batch, Pool, PoolOptions, WriterOptions};

    #[tokio::test]
    async fn who_is_not_sure_waits_and_is_not_turned_away() {
        // Port 1 (tcpmux) is never a database; nothing is written here.
        let pool = Pool::new("postgres://sklic@127.0.0.1:1/sklic", PoolOptions::default()).expect("a pool");
        let writer = Writer::start(pool, WriterOptions::default(), Arc::default());
        let sure_until = watch::Sender::new(Instant::now());
        let fence = Fence { switch: "pbx1".into(), epoch: 1 };
        let tenure = Tenure { fence, sure_until: sure_until.subscribe(), writer };
        assert!(!tenure.is_sure());
        let mut waiting = Box::pin(tenure.sure());
        assert!(waiting.as_mut().now_or_never().is_none());
        sure_until.send_replace(Instant::now() + TTL);
        tokio::time::timeout(TTL, waiting).await.expect("the renewal wakes it");
        assert!(tenure.is_sure());
        sure_until.send_replace(Instant::now());
        assert!(tenure.sure().now_or_never().is_none());
    }

    #[tokio::test]
    async fn who_is_cut_off_from_the_database_may_end_what_he_knows_and_is_sure_of_nothing() {
        let pool = Pool::new("postgres://sklic@127.0.0.1:1/sklic", PoolOptions::default()).expect("a pool");
        let writer = Writer::start(pool, WriterOptions::default(), Arc::default());
        let sure_until = watch::Sender::new(Instant::now());
        let tenure = Tenure { fence: Fence { switch: "pbx1".into(), epoch: 1 }, sure_until: sure_until.subscribe(), writer: writer.clone() };
        assert!(!tenure.may_end());
        let line = NewJournalEntry { seq: 1, at: clock::now(), entry: serde_json::Value::Null };
        let conference = ConferenceId(uuid::Uuid::nil());
        let _waits = writer.submit(Batch { conference, fence: None, journal: vec![line], rows: Vec::new() });
        let mut available = writer.subscribe();
        tokio::time::timeout(TTL * 4, available.wait_for(|available| !available)).await.expect("it is noticed").expect("the writer lives");
        assert!(tenure.may_end() && !tenure.is_sure());
    }
}
