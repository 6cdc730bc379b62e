//! A switch goes to a process that reaches it: one that its owner does not hear, and one of too many that its owner drives.
//!
//! Who wants a switch tries it first and asks then, so that no lease goes to a process without a link. The owner closes its own link
//! before the lease moves: at no moment do two drive a switch. One that nobody reaches stays where it is.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::crossing::{Answer, Request};
use super::lease::TTL;
use super::node::Node;
use super::{ControlError, REPLY_WITHIN, Runtime};
use crate::ids::ServiceNodeId;
use crate::storage::crossings::{self, Channel};
use crate::storage::leases::{self, Fence, Lease};
use crate::storage::{StorageError, switch_nodes};

/// The longest time that an owner without a link keeps a switch which another process reaches.
const YIELD_WITHIN: Duration = Duration::from_secs(30);
/// How long a process drives nothing, while another drives more than its share, before it asks for something.
const UNEVEN_FOR: Duration = Duration::from_secs(30);
/// How long the writes of a switch's conferences are waited for before its lease moves.
const LANDED_WITHIN: Duration = Duration::from_secs(2);
/// How often it is looked whether they have landed.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// How long the move of a lease may take: more than a statement may run.
const MOVED_WITHIN: Duration = Duration::from_secs(20);

/// How long an owner may be without its link before it yields: a small part of the patience with a lost switch, so that its conferences outlive it.
fn patience(link_patience_seconds: u32) -> Duration {
    Duration::from_secs(u64::from(link_patience_seconds / 60)).clamp(TTL, YIELD_WITHIN)
}

/// The leases that are on their way to another process, each with the epoch that ends thereby.
#[derive(Default)]
pub(super) struct Handing(Mutex<HashMap<String, i64>>);

impl Handing {
    fn all(&self) -> MutexGuard<'_, HashMap<String, i64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lease is handed on from here; `false` when it was already. Epochs only grow, so that nobody need take this back when it has moved.
    fn begin(&self, fence: &Fence) -> bool {
        self.all().insert(fence.switch.clone(), fence.epoch) != Some(fence.epoch)
    }

    /// It stays after all.
    fn give_up(&self, fence: &Fence) {
        self.all().remove(&fence.switch);
    }

    pub(super) fn is_under_way(&self, lease: &Lease) -> bool {
        self.all().get(&lease.switch) == Some(&lease.epoch)
    }
}

/// For what a process is about to ask.
#[derive(Default)]
pub(super) struct Asking {
    /// The switches that their living owners do not hear: under which epoch, and when they are asked for.
    unheard: HashMap<String, (i64, Instant)>,
    uneven_since: Option<Instant>,
}

impl Asking {
    /// Whether a switch that its owner does not hear is to be asked for now.
    fn is_due(&mut self, lease: &Lease, patience: Duration, now: Instant) -> bool {
        let first = (lease.epoch, now + patience);
        let noted = self.unheard.entry(lease.switch.clone()).or_insert(first);
        if noted.0 != lease.epoch {
            *noted = first;
        }
        let due = now >= noted.1;
        if due {
            noted.1 = now + patience + REPLY_WITHIN;
        }
        due
    }
}

/// The switch for which a process that drives none asks: of those whose owner drives more than its share, the one with the most room.
fn to_share(seen: &[Lease], fair: usize, me: ServiceNodeId) -> Option<(ServiceNodeId, &Lease)> {
    let drives = |owner: ServiceNodeId| seen.iter().filter(|lease| lease.owner == Some(owner)).count();
    if drives(me) > 0 {
        return None;
    }
    let linked = seen.iter().filter(|lease| lease.alive && lease.ready);
    let theirs = linked.filter_map(|lease| lease.owner.map(|owner| (owner, lease)));
    theirs.filter(|(owner, _)| drives(*owner) > fair).max_by_key(|(_, lease)| lease.room)
}

impl Runtime {
    fn yield_patience(&self) -> Duration {
        patience(self.inner.rules.conference.link_patience_seconds)
    }

    /// Asks for a switch of another process when that one has not heard it for a while.
    pub(super) fn ask_for_unheard(&self, asking: &mut Asking, lease: &Lease) {
        let Some(owner) = lease.owner.filter(|_| lease.alive && !lease.ready) else {
            asking.unheard.remove(&lease.switch);
            return;
        };
        if asking.is_due(lease, self.yield_patience(), Instant::now()) {
            self.ask_for(owner, lease);
        }
    }

    /// Asks for a switch when this process drives none and another has driven more than its share for a while.
    pub(super) fn ask_for_share(&self, asking: &mut Asking, seen: &[Lease]) {
        let membership = &self.inner.membership;
        let Some((owner, lease)) = to_share(seen, membership.fair_share(), membership.me) else {
            asking.uneven_since = None;
            return;
        };
        if asking.uneven_since.get_or_insert_with(Instant::now).elapsed() >= UNEVEN_FOR {
            asking.uneven_since = None;
            self.ask_for(owner, lease);
        }
    }

    /// In a task of its own: a switch that is not reached takes its time.
    fn ask_for(&self, owner: ServiceNodeId, lease: &Lease) {
        let (runtime, switch, epoch) = (self.clone(), lease.switch.clone(), lease.epoch);
        self.inner.tasks.spawn(async move {
            tokio::select! {
                () = runtime.inner.stop.cancelled() => {}
                () = runtime.reach_and_ask(owner, &switch, epoch) => {}
            }
        });
    }

    async fn reach_and_ask(&self, owner: ServiceNodeId, switch: &str, epoch: i64) {
        let membership = &self.inner.membership;
        let Some(reached) = membership.switch(switch).map(|switch| (switch.reach)()) else { return };
        if !reached.await {
            debug!(switch.name = switch, "a switch that another service node drives is not reached from here");
            return;
        }
        let request = Request::Yield { switch: switch.to_owned(), epoch, to: membership.me };
        match self.cross(owner, &request, Instant::now() + REPLY_WITHIN).await {
            Ok(()) => membership.doubt.notify_one(),
            Err(fault) => debug!(switch.name = switch, %fault, "another service node keeps its switch"),
        }
    }

    /// Hands a switch to a process that has just reached it, if this one has not for a while, or drives more than its share and that one none.
    pub(super) async fn hand_over(&self, switch: &str, epoch: i64, to: ServiceNodeId) -> Answer {
        const KEPT: ControlError = ControlError::Unavailable { what: "switch" };
        let membership = &self.inner.membership;
        let Some(node) = self.inner.nodes.by_name(switch) else { return Err(KEPT) };
        let fence = node.tenure.fence();
        let unreached = node.unreached_for() >= self.yield_patience();
        let uneven = self.inner.nodes.all().len() > membership.fair_share() && membership.leases().iter().all(|lease| lease.owner != Some(to));
        let granted = fence.epoch == epoch && (unreached || uneven);
        // Of two who ask the first has it.
        if !granted || !membership.handing.begin(&fence) {
            return Err(KEPT);
        }
        info!(switch.name = switch, service_node.id = %to, unreached, "the switch is handed to another service node, which reaches it");
        self.lose(&node);
        // Before the lease moves, for the next owner opens its link at once.
        node.pbx.close().await;
        let landed = async {
            let _turn = node.taking.lock().await;
            while node.conferences().iter().any(|conference| self.owners().contains_key(conference)) {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        };
        // What is later than this is refused, and the next owner decides it anew.
        let _ = tokio::time::timeout(LANDED_WITHIN, landed).await;
        let moved = tokio::time::timeout(MOVED_WITHIN, self.move_lease(&node, &fence, to)).await;
        match moved.unwrap_or_else(|late| Err(StorageError::unavailable(late))) {
            Ok(true) => {
                metrics::counter!("sklic_switches_handed_over_total", "switch" => node.name.clone()).increment(1);
                Ok(())
            }
            Ok(false) => Err(KEPT),
            Err(fault) => {
                warn!(switch.name = switch, %fault, "the lease could not be handed on; if it is still this service node's, it goes on driving the switch");
                membership.handing.give_up(&fence);
                membership.doubt.notify_one();
                Err(fault.into())
            }
        }
    }

    /// `false`: the one who asked has died meanwhile, and the lease is anybody's.
    async fn move_lease(&self, node: &Node, fence: &Fence, to: ServiceNodeId) -> Result<bool, StorageError> {
        let mut connection = self.inner.shared.pool.get().await?;
        // Until then calls have lived, by what the next owner knows. A link that never was has proved nothing.
        if let (heard, Some(booted_at)) = node.heard() {
            switch_nodes::note(&mut connection, &node.name, Some(booted_at), heard).await?;
        }
        let handed = leases::hand_over(&mut connection, fence, to, TTL).await?;
        if !handed {
            leases::give_back(&mut connection, fence).await?;
        }
        // Who misses it looks by himself soon.
        if let Err(fault) = crossings::notify(&mut connection, Channel::Lease, std::slice::from_ref(&node.name)).await {
            debug!(%fault, "other service nodes could not be told of a lease");
        }
        Ok(handed)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn process(number: u128) -> ServiceNodeId {
        ServiceNodeId(Uuid::from_u128(number))
    }

    /// A lease of this process, whose link is up and whose switch has so much room.
    fn lease(switch: &str, owner: u128, room: i32) -> Lease {
        Lease { switch: switch.into(), owner: Some(process(owner)), epoch: 1, owner_name: None, alive: true, ready: true, room }
    }

    #[test]
    fn an_owner_without_a_link_yields_long_before_its_conferences_end() {
        assert_eq!([0, 60, 600, 1_800, 86_400].map(|seconds| patience(seconds).as_secs()), [3, 3, 10, 30, 30]);
    }

    #[test]
    fn an_unheard_switch_is_asked_for_after_the_patience_and_not_all_the_time() {
        let (patience, start) = (Duration::from_secs(10), Instant::now());
        let mut asking = Asking::default();
        let mut due = |epoch, second| asking.is_due(&Lease { epoch, ..lease("pbx1", 1, 0) }, patience, start + Duration::from_secs(second));
        assert_eq!([0, 9, 10, 11, 24, 25, 26].map(|second| due(1, second)), [false, false, true, false, false, true, false]);
        // The next owner has its time, too.
        assert_eq!([30, 39, 40].map(|second| due(2, second)), [false, false, true]);
    }

    #[test]
    fn who_drives_nothing_asks_for_the_switch_with_the_most_room_of_one_who_drives_too_many() {
        let wanted = |seen: &[Lease], fair, me| to_share(seen, fair, process(me)).map(|(owner, lease)| (owner, lease.switch.clone()));
        let seen = [lease("pbx1", 1, 10), lease("pbx2", 1, 30), lease("pbx3", 1, 20), lease("pbx4", 2, 400)];
        assert_eq!(wanted(&seen, 2, 3), Some((process(1), "pbx2".into())));
        assert_eq!(wanted(&seen, 3, 3), None, "nobody drives more than his share");
        assert_eq!(wanted(&seen, 2, 2), None, "it drives one itself");
        let seen = [lease("pbx1", 1, 10), Lease { ready: false, ..lease("pbx2", 1, 30) }];
        assert_eq!(wanted(&seen, 1, 3), Some((process(1), "pbx1".into())), "one that its owner does not hear is another matter");
        assert_eq!(wanted(&[lease("pbx1", 1, 1), lease("pbx2", 1, 1)].map(|lease| Lease { alive: false, ..lease }), 1, 3), None);
    }

    #[test]
    fn a_lease_is_handed_once_under_each_epoch() {
        let (handing, seen) = (Handing::default(), lease("pbx1", 1, 0));
        let fence = Fence { switch: "pbx1".into(), epoch: 1 };
        assert!(!handing.is_under_way(&seen));
        assert!(handing.begin(&fence) && !handing.begin(&fence));
        assert!(handing.is_under_way(&seen) && !handing.is_under_way(&Lease { epoch: 3, ..seen.clone() }));
        handing.give_up(&fence);
        assert!(!handing.is_under_way(&seen) && handing.begin(&fence));
        assert!(handing.begin(&Fence { epoch: 3, ..fence }));
    }
}
