//! The link to one switch: events to their owners, snapshots at the right moments.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::Switch;
use super::lease::Tenure;
use super::owner::Message;
use crate::clock;
use crate::ids::{ConferenceId, LegId, Room};
use crate::pbx::{Caller, Command, CommandFailure, Event, LegSnapshotPhase, Pbx, Snapshot};
use crate::telemetry::calls;

/// How often the switch is asked what it holds while the link is up. It bounds how far a lost event can go unnoticed.
const SNAPSHOT_EVERY: Duration = Duration::from_secs(5);
/// How soon a snapshot that failed is asked for again.
const SNAPSHOT_RETRY: Duration = Duration::from_millis(500);

/// Where an owner takes its messages.
pub(super) type Inbox = UnboundedSender<Message>;

/// What is known of the link.
#[derive(Clone, Copy, Debug)]
struct LinkState {
    connected: bool,
    synced: bool,
    booted_at: Option<Timestamp>,
    /// The last moment at which the switch was known to hold what we believe.
    proof: Timestamp,
    /// Since when the link has been down while the switch was listened to.
    down_since: Option<Instant>,
}

/// One switch of the configuration.
pub(super) struct Node {
    pub(super) name: String,
    pub(super) pbx: Arc<dyn Pbx>,
    pub(super) calls_per_second: u32,
    pub(super) max_members: u32,
    /// By which right it is driven.
    pub(super) tenure: Tenure,
    /// Ends what this process does with it.
    pub(super) stop: CancellationToken,
    /// It gets no new conferences, by the configuration or as the operator has decided.
    draining: AtomicBool,
    heard: AtomicBool,
    orphans: AtomicBool,
    /// The last moment at which whoever drove it before heard it.
    pub(super) inherited: Timestamp,
    /// Held while conferences are taken over.
    pub(super) taking: tokio::sync::Mutex<()>,
    routes: Mutex<Routes>,
    link: Mutex<LinkState>,
    taken: UnboundedSender<Taken>,
    arrivals: UnboundedSender<Arrival>,
}

/// A caller who has just arrived, and what is told about him from here on.
pub(super) struct Arrival {
    pub(super) caller: Caller,
    /// When he was answered, by a clock that only runs on: the switch's own may show anything.
    pub(super) answered: Instant,
    pub(super) inbox: UnboundedReceiver<Message>,
}

/// What a switch's task reads beside the switch itself.
pub(super) struct Feeds {
    pub(super) snapshots: UnboundedReceiver<Taken>,
    pub(super) arrivals: UnboundedReceiver<Arrival>,
}

impl LinkState {
    /// The link is lost. Gives whether it was there, and until when it has proved that calls lived.
    fn lose(&mut self, last_heard: Timestamp) -> (bool, Timestamp) {
        // A link tells of its legs only after a snapshot: a switch that is on its way out still answers, and holds nothing any more.
        // And a snapshot may already have told of a later moment.
        if self.synced {
            self.proof = self.proof.max(last_heard);
        }
        self.synced = false;
        let was_up = std::mem::replace(&mut self.connected, false);
        if was_up {
            self.down_since = Some(Instant::now());
        }
        (was_up, self.proof)
    }

    /// How long the link has been down.
    fn down_for(&self, now: Instant) -> Duration {
        self.down_since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }
}

/// A snapshot, and the last proof of what we believed before it.
pub(super) struct Taken {
    snapshot: Arc<Snapshot>,
    last_proof: Timestamp,
    /// The first one after a gap.
    restoring: bool,
}

#[derive(Default)]
struct Routes {
    legs: HashMap<LegId, Inbox>,
    /// Of these legs, those of conferences, and whose each is.
    places: HashMap<LegId, ConferenceId>,
    /// How many people each conference was placed here for, from before its first leg until its end.
    planned: HashMap<ConferenceId, usize>,
    /// Of these legs, the callers that no conference has taken yet.
    callers: BTreeSet<LegId>,
    rooms: HashMap<Room, Inbox>,
    conferences: HashMap<ConferenceId, Inbox>,
}

impl Routes {
    /// How many members the switch is to hold: each conference counts its people as long as fewer of them are on the switch,
    /// for the others are about to be called.
    fn committed(&self) -> usize {
        let mut living: HashMap<ConferenceId, usize> = HashMap::new();
        for conference in self.legs.keys().filter_map(|leg| self.places.get(leg)) {
            *living.entry(*conference).or_default() += 1;
        }
        let to_come = self.planned.iter().map(|(conference, planned)| planned.saturating_sub(living.get(conference).copied().unwrap_or(0)));
        self.legs.len() + to_come.sum::<usize>()
    }

    /// Nobody has the legs that this conference had. A caller whom its task had taken, and whose taking was refused by the ledger,
    /// would be nobody's guest and wait for ever: so the next snapshot shows him to the reception as one who has just arrived.
    fn forget_legs(&mut self, conference: ConferenceId) {
        let Self { places, legs, .. } = self;
        for (leg, _) in places.extract_if(|_, of| *of == conference) {
            legs.remove(&leg);
        }
    }
}

/// A conference's place on a switch, kept free until the conference has an owner; given up when it gets none.
pub(super) struct Place {
    pub(super) node: Arc<Node>,
    conference: ConferenceId,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut routes = self.node.routes();
        if !routes.conferences.contains_key(&self.conference) {
            routes.planned.remove(&self.conference);
        }
    }
}

impl Node {
    /// `proof` is the last moment at which a former run of the service heard this switch.
    pub(super) fn new(switch: &Switch, pbx: Arc<dyn Pbx>, proof: Timestamp, tenure: Tenure, stop: CancellationToken) -> (Self, Feeds) {
        let (name, calls_per_second, max_members) = (switch.name.clone(), switch.calls_per_second, switch.max_members);
        let link = LinkState { connected: false, synced: false, booted_at: None, proof, down_since: None };
        let (taken, snapshots) = unbounded_channel();
        let (arrivals, arrived) = unbounded_channel();
        let (routes, link) = (Mutex::default(), Mutex::new(link));
        let draining = AtomicBool::new(switch.drain);
        let (heard, orphans, taking) = (AtomicBool::new(false), AtomicBool::new(false), tokio::sync::Mutex::default());
        let node = Self {
            name,
            pbx,
            calls_per_second,
            max_members,
            tenure,
            stop,
            draining,
            heard,
            orphans,
            inherited: proof,
            taking,
            routes,
            link,
            taken,
            arrivals,
        };
        (node, Feeds { snapshots, arrivals: arrived })
    }

    /// Every conference on it has its owner, and its events are listened to.
    pub(super) fn is_heard(&self) -> bool {
        self.heard.load(Ordering::Relaxed)
    }

    /// See [`Self::is_heard`].
    pub(super) fn set_heard(&self) {
        {
            let mut link = self.link();
            // What the adapter has told already is read from here on.
            if !link.connected {
                link.down_since = Some(Instant::now());
            }
        }
        self.heard.store(true, Ordering::Relaxed);
    }

    /// Conferences on it have no owner, because they could not be read: their legs are nobody's, and no strays.
    pub(super) fn set_orphans(&self, orphans: bool) {
        self.orphans.store(orphans, Ordering::Relaxed);
    }

    /// It gets no new conferences; those that run there finish.
    pub(super) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// It is drained, or no longer.
    pub(super) fn drain(&self, draining: bool) {
        if self.draining.swap(draining, Ordering::Relaxed) != draining {
            info!(switch.name = %self.name, draining, "whether the switch gets new conferences has changed");
        }
    }

    /// How many more it has room for; `None` when even these do not fit.
    pub(super) fn room_for(&self, people: usize) -> Option<usize> {
        self.most().checked_sub(self.routes().committed() + people)
    }

    /// Whether it can hold so many more legs now, whoever else is expected.
    pub(super) fn can_hold(&self, more: usize) -> bool {
        self.load() + more <= self.most()
    }

    fn most(&self) -> usize {
        usize::try_from(self.max_members).unwrap_or(usize::MAX)
    }

    /// Keeps the places of a conference's people free, though there may not be so many.
    pub(super) fn keep_place(self: &Arc<Self>, conference: ConferenceId, people: usize) -> Place {
        self.routes().planned.insert(conference, people);
        Place { node: Arc::clone(self), conference }
    }

    /// The link is up and the switch's state is known.
    pub(super) fn is_ready(&self) -> bool {
        let link = self.link();
        link.connected && link.synced
    }

    /// The link is up, whether or not the switch has told yet what it holds.
    pub(super) fn is_linked(&self) -> bool {
        self.link().connected
    }

    /// How long this process has tried in vain to reach the switch; nothing while it is still being taken over.
    pub(super) fn unreached_for(&self) -> Duration {
        if self.is_heard() { self.link().down_for(Instant::now()) } else { Duration::ZERO }
    }

    /// When the switch was last heard, and when it was started.
    pub(super) fn heard(&self) -> (Timestamp, Option<Timestamp>) {
        let link = self.link();
        (link.proof, link.booted_at)
    }

    /// How many legs it holds for us.
    pub(super) fn load(&self) -> usize {
        self.routes().legs.len()
    }

    /// How many members of new conferences it takes: none while it is drained.
    pub(super) fn room(&self) -> i32 {
        if self.is_draining() {
            return 0;
        }
        i32::try_from(self.room_for(0).unwrap_or(0)).unwrap_or(i32::MAX)
    }

    /// The conferences that are on it.
    pub(super) fn conferences(&self) -> Vec<ConferenceId> {
        self.routes().conferences.keys().copied().collect()
    }

    /// Waits until it is sure that this process drives the switch; `false` when another one does.
    pub(super) async fn is_ours(&self) -> bool {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => false,
            () = self.tenure.sure() => true,
        }
    }

    /// Says something to the switch as soon as it is sure that this process drives it.
    pub(super) async fn execute(&self, command: Command) -> Result<(), CommandFailure> {
        if self.is_ours().await { self.pbx.execute(command).await } else { Err(CommandFailure::NoLink) }
    }

    fn link(&self) -> std::sync::MutexGuard<'_, LinkState> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn routes(&self) -> std::sync::MutexGuard<'_, Routes> {
        self.routes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Events of this conference go to this inbox from now on, and its people have their places here.
    pub(super) fn attach(&self, conference: ConferenceId, room: Room, people: usize, inbox: Inbox) {
        let mut routes = self.routes();
        routes.forget_legs(conference);
        routes.planned.insert(conference, people);
        routes.rooms.insert(room, inbox.clone());
        routes.conferences.insert(conference, inbox);
    }

    /// The conference is over.
    pub(super) fn detach(&self, conference: ConferenceId, room: Room) {
        let mut routes = self.routes();
        routes.rooms.remove(&room);
        routes.conferences.remove(&conference);
        routes.planned.remove(&conference);
    }

    /// Events of this leg of a conference go to this inbox from now on.
    pub(super) fn attach_leg(&self, leg: LegId, conference: ConferenceId, inbox: Inbox) {
        let mut routes = self.routes();
        routes.callers.remove(&leg);
        routes.places.insert(leg, conference);
        routes.legs.insert(leg, inbox);
    }

    /// A caller has arrived: what is told about him goes to the reception, until a conference takes him.
    /// `age` is for how long he has been there.
    fn take_in(&self, caller: Caller, age: Duration) {
        let now = Instant::now();
        let answered = now.checked_sub(age).unwrap_or(now);
        calls::has_call_id(caller.leg, &caller.call_id);
        let (sender, inbox) = unbounded_channel();
        {
            let mut routes = self.routes();
            if routes.legs.contains_key(&caller.leg) {
                return;
            }
            routes.callers.insert(caller.leg);
            routes.legs.insert(caller.leg, sender);
        }
        let _ = self.arrivals.send(Arrival { caller, answered, inbox });
    }

    /// The reception has done with a caller: he is a conference's, or gone.
    pub(super) fn release(&self, leg: LegId) {
        let mut routes = self.routes();
        if routes.callers.remove(&leg) {
            routes.legs.remove(&leg);
        }
    }

    /// Who has this leg.
    pub(super) fn owner_of(&self, leg: LegId) -> Option<Inbox> {
        self.routes().legs.get(&leg).cloned()
    }

    /// The conference is on this switch.
    pub(super) fn holds(&self, conference: ConferenceId) -> bool {
        self.routes().conferences.contains_key(&conference)
    }

    /// Compares the callers with what the switch holds: new ones are taken in, those that are gone are told so,
    /// and after a gap all hear again what they may have missed.
    fn compare_callers(&self, taken: &Taken, missed: &mut BTreeSet<LegId>) {
        let snapshot = &taken.snapshot;
        for caller in snapshot.callers.values() {
            self.take_in(caller.clone(), clock::until(caller.answered_at, snapshot.at));
        }
        let routes = self.routes();
        let gone: BTreeSet<LegId> = routes.callers.iter().copied().filter(|leg| !snapshot.legs.contains_key(leg)).collect();
        for (leg, inbox) in routes.callers.iter().filter_map(|leg| routes.legs.get(leg).map(|inbox| (leg, inbox))) {
            if taken.restoring && snapshot.callers.contains_key(leg) {
                let _ = inbox.send(Message::CallerHeld);
            } else if missed.contains(leg) && gone.contains(leg) {
                let _ = inbox.send(Message::CallerGone);
            }
        }
        drop(routes);
        // Once may be the snapshot's being older than his arrival.
        *missed = gone;
    }

    /// The leg is over.
    pub(super) fn detach_leg(&self, leg: LegId) {
        let mut routes = self.routes();
        routes.legs.remove(&leg);
        routes.places.remove(&leg);
    }

    fn everybody(&self) -> Vec<Inbox> {
        self.routes().conferences.values().cloned().collect()
    }

    fn inbox_of(&self, event: &Event) -> Option<Inbox> {
        let routes = self.routes();
        let by_leg = |leg: &LegId| routes.legs.get(leg).cloned();
        match event {
            Event::Ringing { leg, .. }
            | Event::EarlyMedia { leg, .. }
            | Event::Answered { leg, .. }
            | Event::Ended { leg, .. }
            | Event::Muted { leg, .. }
            | Event::Talking { leg, .. }
            | Event::Keyed { leg, .. }
            | Event::Pressed { leg, .. }
            | Event::Joined { leg, .. }
            | Event::Left { leg, .. } => by_leg(leg),
            Event::Locked { room, .. } => routes.rooms.get(room).cloned(),
            Event::Arrived { .. } | Event::LinkUp { .. } | Event::LinkDown { .. } => None,
        }
    }

    /// Reads the adapter's events until it is closed, and keeps the picture true by snapshots.
    pub(super) async fn run(self: Arc<Self>, mut events: UnboundedReceiver<Event>, mut snapshots: UnboundedReceiver<Taken>, stop: CancellationToken) {
        let mut timer = tokio::time::interval(SNAPSHOT_EVERY);
        timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut strays = BTreeSet::new();
        let mut missed = BTreeSet::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                event = events.recv() => match event {
                    Some(event) => self.on_event(event, &stop),
                    None => return,
                },
                Some(taken) = snapshots.recv() => {
                    // The adapter had handed over every event from before the snapshot's end: those first.
                    while let Ok(event) = events.try_recv() {
                        self.on_event(event, &stop);
                    }
                    let inside = taken.snapshot.legs.values().filter(|leg| matches!(leg.phase, LegSnapshotPhase::Inside { .. })).count();
                    metrics::gauge!("sklic_members", "switch" => self.name.clone()).set(super::gauges::number(inside));
                    self.compare_callers(&taken, &mut missed);
                    self.end_strays(&taken.snapshot, &mut strays);
                    for inbox in self.everybody() {
                        let _ = inbox.send(Message::Snapshot { snapshot: Arc::clone(&taken.snapshot), last_proof: taken.last_proof });
                    }
                }
                _ = timer.tick() => {
                    if self.is_ready() {
                        self.sync(stop.clone());
                    }
                }
            }
        }
    }

    /// Ends legs of ours that no conference has claimed in two snapshots: nobody stays on a line that is counted nowhere.
    fn end_strays(self: &Arc<Self>, snapshot: &Snapshot, before: &mut BTreeSet<LegId>) {
        let unclaimed: BTreeSet<LegId> = {
            let routes = self.routes();
            // Who was brought to another switch is that one's: his call ends with the other end.
            let ours = snapshot.legs.iter().filter(|(_, leg)| leg.phase != LegSnapshotPhase::Brought).map(|(id, _)| *id);
            ours.filter(|leg| !routes.legs.contains_key(leg)).collect()
        };
        if self.orphans.load(Ordering::Relaxed) {
            before.clear();
            return;
        }
        for leg in unclaimed.intersection(before) {
            warn!(switch.name = %self.name, leg.id = %leg, "a leg on the switch belongs to no conference; it is hung up");
            metrics::counter!("sklic_stray_legs_total", "switch" => self.name.clone()).increment(1);
            let (node, leg) = (Arc::clone(self), *leg);
            tokio::spawn(async move { node.execute(Command::HangUp { leg }).await });
        }
        *before = unclaimed;
    }

    fn on_event(self: &Arc<Self>, event: Event, stop: &CancellationToken) {
        if let Some(at) = super::gauges::told_at(&event) {
            // A switch whose clock is ahead of ours is not quicker than light.
            let lag = clock::now().duration_since(at).as_secs_f64().max(0.0);
            metrics::histogram!("sklic_switch_event_lag_seconds", "switch" => self.name.clone()).record(lag);
        }
        match event {
            Event::LinkUp { booted_at } => {
                info!(switch.name = %self.name, switch.booted_at = %booted_at, "link to the switch is up");
                {
                    let mut link = self.link();
                    link.connected = true;
                    link.synced = false;
                    link.booted_at = Some(booted_at);
                    link.down_since = None;
                }
                self.sync(stop.clone());
            }
            Event::LinkDown { last_heard, reason } => {
                let (was_up, last_heard) = self.link().lose(last_heard);
                if was_up {
                    warn!(switch.name = %self.name, reason, "link to the switch is lost; states are unknown until it is back");
                    metrics::counter!("sklic_switch_link_losses_total", "switch" => self.name.clone()).increment(1);
                }
                for inbox in self.everybody() {
                    let _ = inbox.send(Message::LinkLost { last_heard });
                }
            }
            Event::Arrived { caller } => self.take_in(*caller, Duration::ZERO),
            event => {
                if let Some(inbox) = self.inbox_of(&event) {
                    let _ = inbox.send(Message::Event(event));
                } else {
                    metrics::counter!("sklic_switch_events_unclaimed_total", "switch" => self.name.clone()).increment(1);
                }
            }
        }
        self.gauge_link();
    }

    /// Tells whether the link is up; of one that never was, no event says so.
    pub(super) fn gauge_link(&self) {
        metrics::gauge!("sklic_switch_link_up", "switch" => self.name.clone()).set(if self.link().connected { 1.0 } else { 0.0 });
    }

    /// Takes a snapshot in a task of its own and hands it to every owner; they find the differences.
    fn sync(self: &Arc<Self>, stop: CancellationToken) {
        let node = Arc::clone(self);
        tokio::spawn(async move {
            loop {
                let before = node.link().booted_at;
                let expected: Vec<LegId> = node.routes().legs.keys().copied().collect();
                let answer = node.pbx.snapshot(expected).await;
                let restoring = {
                    let link = node.link();
                    if !link.connected || link.booted_at != before || stop.is_cancelled() {
                        // The link was lost meanwhile; its return asks again.
                        return;
                    }
                    !link.synced
                };
                match answer {
                    Ok(snapshot) => {
                        let last_proof = {
                            let mut link = node.link();
                            let last_proof = link.proof;
                            link.proof = snapshot.at;
                            link.synced = true;
                            last_proof
                        };
                        let _ = node.taken.send(Taken { snapshot: Arc::new(snapshot), last_proof, restoring });
                        return;
                    }
                    Err(failure) => {
                        warn!(switch.name = %node.name, %failure, "the switch did not tell what it holds");
                        if !restoring {
                            return;
                        }
                        tokio::time::sleep(SNAPSHOT_RETRY).await;
                    }
                }
            }
        });
    }

    /// A conference that starts up while the link is up needs a snapshot of its own.
    pub(super) fn ask_sync(self: &Arc<Self>, stop: CancellationToken) {
        if self.link().connected {
            self.sync(stop);
        }
    }
}

/// The switches that this process drives.
#[derive(Default)]
pub(super) struct Nodes(RwLock<Vec<Arc<Node>>>);

impl Nodes {
    /// All of them.
    pub(super) fn all(&self) -> Vec<Arc<Node>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn add(&self, node: Arc<Node>) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).push(node);
    }

    pub(super) fn remove(&self, node: &Arc<Node>) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).retain(|other| !Arc::ptr_eq(other, node));
    }

    /// The ready switch with the most room for `people` more, of those that are not drained.
    pub(super) fn with_room(&self, people: usize) -> Option<Arc<Node>> {
        Self::roomiest(&self.all(), people)
    }

    /// The same for a conference with these people, whose places are kept from here on.
    pub(super) fn place(&self, conference: ConferenceId, people: usize) -> Option<Place> {
        // One after the other, so that no two get the same places.
        let all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        Some(Self::roomiest(&all, people)?.keep_place(conference, people))
    }

    fn roomiest(nodes: &[Arc<Node>], people: usize) -> Option<Arc<Node>> {
        let ready = nodes.iter().filter(|node| node.is_ready() && !node.is_draining());
        ready.filter_map(|node| node.room_for(people).map(|left| (left, node))).max_by_key(|(left, _)| *left).map(|(_, node)| Arc::clone(node))
    }

    /// The switch of this name.
    pub(super) fn by_name(&self, name: &str) -> Option<Arc<Node>> {
        self.all().into_iter().find(|node| node.name == name)
    }
}

#[cfg(test)]
#[path = "node_tests.rs"]
mod tests;
