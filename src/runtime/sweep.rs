//! What switches still keep of conferences that are over: the command to drop it may have been lost with a link or with the service.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;
use tracing::{debug, info};

use super::Runtime;
use super::node::Node;
use crate::pbx::Command;
use crate::storage::{StorageError, conferences};

/// How often a switch is asked while its link is up; beside this, each time that the link has come up.
const SWEEP_EVERY: Duration = Duration::from_secs(300);

impl Runtime {
    /// Sweeps the switches whose turn it is; `swept` tells when each was last.
    pub(super) fn sweep(&self, swept: &mut HashMap<String, Instant>) {
        for node in self.inner.nodes.all() {
            if !node.is_ready() {
                swept.remove(&node.name);
            } else if swept.get(&node.name).is_none_or(|at| at.elapsed() >= SWEEP_EVERY) {
                swept.insert(node.name.clone(), Instant::now());
                let runtime = self.clone();
                self.inner.tasks.spawn(async move {
                    tokio::select! {
                        () = node.stop.cancelled() => {}
                        () = runtime.sweep_node(&node) => {}
                    }
                });
            }
        }
    }

    async fn sweep_node(&self, node: &Node) {
        let Ok(rooms) = node.pbx.kept_rooms().await else { return };
        for room in rooms {
            let over = async {
                let found = conferences::find_by_room(&mut *self.inner.shared.pool.get().await?, room).await?;
                // A number that is not in our books may be another service's.
                Ok::<_, StorageError>(
                    found.is_some_and(|plan| matches!(plan.state.as_str(), "ended" | "failed") && plan.node.as_deref() == Some(&node.name)),
                )
            };
            match over.await {
                Ok(true) => {
                    info!(switch.name = %node.name, %room, "the switch still kept records of a conference that is over");
                    // If it fails, the next sweep finds them again.
                    let _ = node.execute(Command::Forget { room }).await;
                }
                Ok(false) => {}
                Err(fault) => {
                    debug!(switch.name = %node.name, %fault, "what the switch keeps could not be looked up");
                    return;
                }
            }
        }
    }
}
