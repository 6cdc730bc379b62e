//! Windows on conferences that another process owns: the journal tells what has happened, notices tell what is in no journal.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::Instant;
use tracing::{debug, warn};

use super::live::{Hub, Picture};
use super::{ControlError, Runtime, rows};
use crate::conference::{Conference, ConferenceView, Delta, Entry, RunningCost};
use crate::ids::{AccountId, ConferenceId, LegId};
use crate::storage::crossings::{self, Channel, Listener};
use crate::storage::{conferences, journal};

/// How often others are told what is watched here, and followers look by themselves.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How long such a word stands.
const WATCHED_FOR: Duration = Duration::from_secs(15);
/// How long what passes is gathered before it is told.
const GATHER: Duration = Duration::from_millis(100);

/// What windows are told and is in no journal.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Passing {
    conference: ConferenceId,
    talking: BTreeSet<LegId>,
    cost: Option<RunningCost>,
}

/// Tells other processes what passes in conferences that they watch.
pub(super) struct Abroad {
    watched: Mutex<HashMap<ConferenceId, Instant>>,
    telling: UnboundedSender<Passing>,
}

impl Abroad {
    pub(super) fn new() -> (Self, UnboundedReceiver<Passing>) {
        let (telling, told) = unbounded_channel();
        (Self { watched: Mutex::default(), telling }, told)
    }

    /// Another process has windows on this conference.
    fn is_watched(&self, conference: ConferenceId) {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        watched.retain(|_, at| at.elapsed() < WATCHED_FOR);
        watched.insert(conference, Instant::now());
    }

    /// Tells who talks and what it costs, if anybody else watches.
    pub(super) fn tell(&self, conference: ConferenceId, talking: &BTreeSet<LegId>, cost: Option<&RunningCost>) {
        let watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        if watched.get(&conference).is_some_and(|at| at.elapsed() < WATCHED_FOR) {
            let _ = self.telling.send(Passing { conference, talking: talking.clone(), cost: cost.cloned() });
        }
    }
}

/// A conference that runs elsewhere and has windows here.
struct Follower {
    plan: conferences::Conference,
    /// As the journal has it up to `seq`.
    conference: Conference,
    seq: i64,
    hub: Arc<Hub>,
    picture: Picture,
    passing: Passing,
}

/// All of them.
#[derive(Default)]
pub(super) struct Followers(Mutex<HashMap<ConferenceId, Follower>>);

impl Followers {
    fn all(&self) -> std::sync::MutexGuard<'_, HashMap<ConferenceId, Follower>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn account_of(&self, conference: ConferenceId) -> Option<AccountId> {
        self.all().get(&conference).map(|follower| follower.plan.account)
    }

    /// The picture that windows have been told of a conference that has begun; a plan is what its rows say.
    pub(super) fn picture(&self, account: AccountId, conference: ConferenceId) -> Option<ConferenceView> {
        let all = self.all();
        let follower = all.get(&conference).filter(|follower| follower.plan.account == account && follower.seq > 0)?;
        Some(follower.picture.at(follower.hub.seq()))
    }
}

impl Follower {
    /// Tells windows what differs from what they have.
    fn show(&mut self) {
        let mut now = rows::view(&self.conference, &self.plan, 0);
        now.head.cost = self.passing.cost.clone().map(Box::new);
        for person in &mut now.participants {
            person.talking = self.conference.live_leg(person.id).is_some_and(|leg| self.passing.talking.contains(&leg.id));
        }
        let delta = difference(&self.picture.at(0), &now);
        if delta != Delta::default() {
            self.picture.apply(&delta);
            self.hub.push(delta);
        }
    }
}

/// What makes one picture of the other.
fn difference(before: &ConferenceView, now: &ConferenceView) -> Delta {
    let changed = now.participants.iter().filter(|person| !before.participants.contains(person)).cloned().collect();
    let removed = before.participants.iter().map(|person| person.id).filter(|id| now.participants.iter().all(|person| person.id != *id)).collect();
    Delta { conference: (before.head != now.head).then(|| now.head.clone()), participants: changed, removed }
}

impl Runtime {
    /// Windows here follow a conference that this process does not own.
    pub(super) async fn follow(&self, account: AccountId, conference: ConferenceId) -> Result<(), ControlError> {
        if self.owners().contains_key(&conference) || self.inner.followers.account_of(conference).is_some() {
            return Ok(());
        }
        let past = self.read(account, conference).await?;
        let hub = self.inner.shared.hubs.of(conference);
        let picture = Picture::new(rows::view(&past.conference, &past.plan, 0));
        let passing = Passing { conference, talking: BTreeSet::new(), cost: None };
        let follower = Follower { plan: past.plan, conference: past.conference, seq: past.seq, hub, picture, passing };
        self.inner.followers.all().entry(conference).or_insert(follower);
        self.tell_others(Channel::Watched, conference.to_string());
        Ok(())
    }

    /// The conference's switch is driven by another process now: windows that are open here stay.
    pub(super) async fn go_on_watching(&self, account: AccountId, conference: ConferenceId) {
        if !self.inner.shared.hubs.of(conference).is_watched() {
            return;
        }
        // Its task here ends by itself.
        for _ in 0..100 {
            if !self.owners().contains_key(&conference) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        if let Err(fault) = self.follow(account, conference).await {
            warn!(conference.id = %conference, %fault, "windows cannot follow a conference that another service node has taken over");
        }
    }

    /// Reads what a followed conference's journal holds by now.
    async fn advance(&self, conference: ConferenceId) {
        let Some((account, seq)) = self.inner.followers.all().get(&conference).map(|follower| (follower.plan.account, follower.seq)) else { return };
        if self.owners().contains_key(&conference) {
            // It has come home: its owner tells the windows.
            self.inner.followers.all().remove(&conference);
            return;
        }
        let read = if seq == 0 { self.read(account, conference).await.map(Some) } else { self.read_on(conference, seq).await.map(|()| None) };
        match read {
            Ok(None) => {}
            Ok(Some(past)) => {
                if let Some(follower) = self.inner.followers.all().get_mut(&conference) {
                    (follower.plan, follower.conference, follower.seq) = (past.plan, past.conference, past.seq);
                    follower.show();
                }
            }
            Err(ControlError::NotFound) => drop(self.inner.followers.all().remove(&conference)),
            Err(fault) => debug!(conference.id = %conference, %fault, "a conference of another service node cannot be read now"),
        }
    }

    /// Reads what has been added to a journal since the last look.
    async fn read_on(&self, conference: ConferenceId, after: i64) -> Result<(), ControlError> {
        let added = journal::list(&mut *self.inner.shared.pool.get().await?, conference, after, i64::MAX).await?;
        let mut all = self.inner.followers.all();
        let Some(follower) = all.get_mut(&conference).filter(|follower| follower.seq == after) else { return Ok(()) };
        for line in added {
            follower.seq = line.seq;
            if let Ok(Entry::Input { input }) = serde_json::from_value(line.entry) {
                // What the rules of this release refuse changes nothing, as in a replay.
                let _ = follower.conference.handle(line.at, input);
            }
        }
        follower.show();
        Ok(())
    }

    /// Tells other processes, if there are any. What they miss they find by themselves.
    pub(super) fn tell_others(&self, channel: Channel, payload: String) {
        if !self.inner.membership.has_others() {
            return;
        }
        let runtime = self.clone();
        self.inner.tasks.spawn(async move {
            let told = async { crossings::notify(&mut *runtime.inner.shared.pool.get().await?, channel, &[payload]).await };
            if let Err(fault) = told.await {
                debug!(%fault, "other service nodes could not be told");
            }
        });
    }

    /// Hears what other processes tell, until the service stops.
    pub(super) async fn hear_others(self) {
        let mut pause = Duration::from_millis(200);
        while !self.inner.stop.is_cancelled() {
            if let Ok(listener) = Listener::open(&self.inner.shared.pool).await {
                pause = Duration::from_millis(200);
                self.hear(listener).await;
            }
            tokio::select! {
                () = self.inner.stop.cancelled() => return,
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(Duration::from_secs(3)),
            }
        }
    }

    async fn hear(&self, mut listener: Listener) {
        // The first look makes up for what was told while nobody listened.
        let mut look = tokio::time::interval(LOOK_EVERY);
        loop {
            tokio::select! {
                () = self.inner.stop.cancelled() => return,
                notice = listener.next() => match notice {
                    Ok((channel, payload)) => self.on_notice(channel, &payload).await,
                    Err(_) => return,
                },
                _ = look.tick() => {
                    if listener.probe().await.is_err() {
                        return;
                    }
                    self.look_after_followers().await;
                }
            }
        }
    }

    async fn on_notice(&self, channel: Channel, payload: &str) {
        let conference = || payload.parse::<ConferenceId>().ok();
        match channel {
            Channel::Asked if payload == self.inner.membership.me.to_string() => {
                if let Err(fault) = self.serve_crossings().await {
                    debug!(%fault, "what other service nodes ask cannot be read now");
                }
            }
            Channel::Asked => {}
            Channel::Answered => self.inner.waiting.ring(payload),
            Channel::Journal => {
                if let Some(conference) = conference() {
                    self.advance(conference).await;
                }
            }
            Channel::Edited => {
                if let Some(conference) = conference() {
                    let _ = self.inner.edited.send(conference);
                }
            }
            Channel::Watched => {
                if let Some(conference) = conference() {
                    self.inner.shared.abroad.is_watched(conference);
                }
            }
            Channel::Passing => {
                let Ok(passing) = serde_json::from_str::<Passing>(payload) else { return };
                if let Some(follower) = self.inner.followers.all().get_mut(&passing.conference) {
                    follower.passing = passing;
                    follower.show();
                }
            }
            Channel::Lease => self.inner.membership.doubt.notify_one(),
        }
    }

    async fn look_after_followers(&self) {
        let _ = self.serve_crossings().await;
        let followed: Vec<ConferenceId> = {
            let mut all = self.inner.followers.all();
            all.retain(|_, follower| follower.hub.is_watched());
            all.keys().copied().collect()
        };
        for conference in followed {
            self.tell_others(Channel::Watched, conference.to_string());
            self.advance(conference).await;
        }
    }

    /// Tells other processes what passes, a few times a second at most.
    pub(super) async fn tell_passing(self, mut told: UnboundedReceiver<Passing>) {
        loop {
            let first = tokio::select! {
                () = self.inner.stop.cancelled() => return,
                passing = told.recv() => passing,
            };
            let Some(first) = first else { return };
            tokio::time::sleep(GATHER).await;
            let mut latest = HashMap::from([(first.conference, first)]);
            while let Ok(passing) = told.try_recv() {
                latest.insert(passing.conference, passing);
            }
            let payloads: Vec<String> = latest.values().filter_map(|passing| serde_json::to_string(passing).ok()).collect();
            let sent = async { crossings::notify(&mut *self.inner.shared.pool.get().await?, Channel::Passing, &payloads).await };
            if let Err(fault) = sent.await {
                debug!(%fault, "other service nodes could not be told who talks");
            }
        }
    }
}
