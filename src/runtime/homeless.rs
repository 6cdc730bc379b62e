//! Conferences whose switch nobody knows any more: it was taken out of the configuration while they ran. None of them stays open for ever (R14).
//!
//! After the patience that a lost switch gets, each is closed from its journal by the last moment at which the switch was heard,
//! with report and charges as always. Until then the switch may be put back.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::Instant;
use tracing::{error, info, warn};

use super::lease::TTL;
use super::node::Node;
use super::owner::Outcome;
use super::{Runtime, Switch};
use crate::clock;
use crate::ids::LegId;
use crate::pbx::{Capabilities, Command, CommandFailure, Pbx, Snapshot};
use crate::storage::conferences::Conference;
use crate::storage::leases::{self, Fence};
use crate::storage::{StorageError, conferences, switch_nodes};

/// How often is looked.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// In the place of a switch that is gone.
struct Gone;

impl Pbx for Gone {
    fn capabilities(&self) -> Capabilities {
        Capabilities { talking: false, lock: false, end_records: false, dial_in: false }
    }

    fn execute(&self, _: Command) -> BoxFuture<'static, Result<(), CommandFailure>> {
        Box::pin(std::future::ready(Err(CommandFailure::NoLink)))
    }

    fn snapshot(&self, _: Vec<LegId>) -> BoxFuture<'static, Result<Snapshot, CommandFailure>> {
        Box::pin(std::future::ready(Err(CommandFailure::NoLink)))
    }

    fn close(&self) -> BoxFuture<'static, ()> {
        Box::pin(std::future::ready(()))
    }
}

impl Runtime {
    /// Ends conferences whose switch is gone, until the service stops.
    pub(super) async fn end_homeless(self) {
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut since = HashMap::new();
        loop {
            tokio::select! {
                () = self.inner.stop.cancelled() => return,
                _ = look.tick() => {}
            }
            if let Err(fault) = self.look_for_homeless(&mut since).await {
                warn!(%fault, "conferences whose switch is gone could not be looked for");
            }
        }
    }

    /// `since` says when each unknown switch was first found without anybody who drives it.
    async fn look_for_homeless(&self, since: &mut HashMap<String, Instant>) -> Result<(), StorageError> {
        let membership = &self.inner.membership;
        let mut lost: BTreeMap<String, Vec<Conference>> = BTreeMap::new();
        let open = conferences::list_open(&mut *self.inner.shared.pool.get().await?).await?;
        for plan in open {
            if let Some(name) = plan.node.clone().filter(|name| membership.switch(name).is_none()) {
                lost.entry(name).or_default().push(plan);
            }
        }
        since.retain(|name, _| lost.contains_key(name));
        let patience = Duration::from_secs(u64::from(self.inner.rules.conference.link_patience_seconds));
        for (name, plans) in lost {
            let lease = leases::list(&mut *self.inner.shared.pool.get().await?, std::slice::from_ref(&name), TTL).await?.pop();
            let Some(lease) = lease.filter(|lease| !lease.alive || lease.owner == Some(membership.me)) else {
                // Another service node has it in its configuration.
                since.remove(&name);
                continue;
            };
            let noticed = *since.entry(name.clone()).or_insert_with(|| {
                error!(
                    switch.name = name,
                    conferences = plans.len(),
                    patience_seconds = patience.as_secs(),
                    "conferences run on a switch that is not in the configuration any more; they are ended after the patience, unless it is put back"
                );
                Instant::now()
            });
            if noticed.elapsed() < patience {
                continue;
            }
            // Whoever is quicker ends them; and nobody who had it writes any more.
            let taken = leases::take(&mut *self.inner.shared.pool.get().await?, &lease, membership.me, false, TTL).await?;
            let Some(epoch) = taken else { continue };
            let fence = Fence { switch: name, epoch };
            let ended = self.end_all(&fence, plans).await;
            leases::give_back(&mut *self.inner.shared.pool.get().await?, &fence).await?;
            ended?;
        }
        Ok(())
    }

    async fn end_all(&self, fence: &Fence, plans: Vec<Conference>) -> Result<(), StorageError> {
        let known = switch_nodes::lookup(&mut *self.inner.shared.pool.get().await?, &fence.switch).await?;
        let tenure = || self.inner.membership.tenure(fence.clone(), &self.inner.shared.writer);
        for plan in plans {
            let id = plan.id;
            // Without any word of the switch nothing is proven after the start.
            let last_heard = known.as_ref().map(|known| known.last_heard_at).or(plan.started_at).unwrap_or(plan.created_at).min(clock::now());
            let switch = Switch {
                name: fence.switch.clone(),
                open: Box::new(|_| -> Arc<dyn Pbx> { Arc::new(Gone) }),
                reach: Box::new(|| -> BoxFuture<'static, bool> { Box::pin(std::future::ready(false)) }),
                calls_per_second: 1,
                max_members: 0,
                sip_address: None,
                drain: true,
            };
            let (node, _feeds) = Node::new(&switch, Arc::new(Gone), last_heard, tenure(), self.inner.stop.child_token());
            let Some((_, mut task)) = self.bring_back(plan, Arc::new(node)).await? else { continue };
            task.abandon(clock::now(), last_heard);
            let stop = task.stop();
            if matches!(task.run(stop).await, Outcome::Over) {
                info!(conference.id = %id, switch.name = fence.switch, "the conference is ended by the last moment at which its switch was heard");
                metrics::counter!("sklic_conferences_homeless_total").increment(1);
            }
        }
        Ok(())
    }
}
