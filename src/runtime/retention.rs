//! Erases personal data whose time is over, a little at a time.

use std::time::Duration;

use tracing::{info, warn};

use super::Runtime;
use crate::clock;
use crate::config::RetentionConfig;
use crate::storage::StorageError;
use crate::storage::retention::{Erased, erase};

/// How often is looked whether something is due.
const LOOK_EVERY: Duration = Duration::from_secs(600);
/// How many conferences, plans and messages are erased in one transaction: few enough that what runs does not wait for it.
const BATCH: u32 = 50;
/// Between two batches, so that a first look at the ledger of years leaves the database to others.
const BETWEEN: Duration = Duration::from_millis(200);

impl Runtime {
    /// Erases what is due until the service stops. Several nodes of the service may do so at once.
    pub async fn keep_retention(self, retention: RetentionConfig) {
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.inner.stop.cancelled() => return,
                _ = look.tick() => {}
            }
            match self.erase_due(retention).await {
                Ok(erased) if erased.is_nothing() => {}
                Ok(Erased { conferences, plans, messages }) => info!(conferences, plans, messages, "personal data whose time is over were erased"),
                Err(fault) => {
                    metrics::counter!("sklic_retention_failures_total").increment(1);
                    warn!(%fault, "personal data that are due could not be erased; they are tried again in ten minutes");
                }
            }
        }
    }

    async fn erase_due(&self, retention: RetentionConfig) -> Result<Erased, StorageError> {
        let mut whole = Erased::default();
        loop {
            let erased = erase(&mut *self.inner.shared.pool.get().await?, clock::now(), retention.days, BATCH).await?;
            metrics::counter!("sklic_retention_erased_conferences_total").increment(u64::try_from(erased.conferences).unwrap_or(u64::MAX));
            whole.conferences += erased.conferences;
            whole.plans += erased.plans;
            whole.messages += erased.messages;
            if erased.is_nothing() || self.inner.stop.is_cancelled() {
                return Ok(whole);
            }
            tokio::time::sleep(BETWEEN).await;
        }
    }
}
