//! Taking over after a stop: every open conference gets its owner back from the journal.

use std::collections::HashSet;
use std::sync::Arc;

use jiff::SignedDuration;
use tokio::sync::mpsc::unbounded_channel;
use tracing::{error, info};

use super::node::Node;
use super::owner::Owner;
use super::rows::Paperwork;
use super::start::spec;
use super::{ControlError, Runtime};
use crate::clock;
use crate::conference::{Conference, Entry, Settings};
use crate::ids::{AccountId, ConferenceId};
use crate::storage::{StorageError, accounts, charges, conferences, journal, participants};

/// A conference that was claimed for so long and has no task was abandoned.
const ABANDONED_AFTER: SignedDuration = SignedDuration::from_secs(30);

impl Runtime {
    /// Says which conferences no switch of the configuration holds.
    pub(super) async fn look_for_homeless(&self) -> Result<(), StorageError> {
        let open = conferences::list_open(&mut *self.inner.shared.pool.get().await?).await?;
        let known = |name: &str| self.inner.membership.switches().iter().any(|switch| switch.name == name);
        for plan in open.iter().filter(|plan| plan.node.as_deref().is_some_and(|name| !known(name))) {
            error!(conference.id = %plan.id, switch.name = plan.node, "the conference's switch is not in the configuration any more; put it back, so that the conference can be ended");
        }
        Ok(())
    }

    /// Gives every conference of this switch that is started and not over its owner. `all`: also those that were claimed just now and have
    /// no journal yet, for nobody here is about to begin them.
    pub(super) async fn take_over(&self, node: &Node, all: bool) -> Result<(), StorageError> {
        let open = conferences::list_open(&mut *self.inner.shared.pool.get().await?).await?;
        let abandoned = clock::now() - ABANDONED_AFTER;
        for plan in open.into_iter().filter(|plan| plan.node.as_deref() == Some(&node.name)) {
            let begins = !all && plan.started_at.is_none_or(|at| at > abandoned);
            if begins || node.stop.is_cancelled() || self.owners().contains_key(&plan.id) {
                continue;
            }
            let (account, id) = (plan.account, plan.id);
            if let Some((sender, task)) = self.resume(plan).await? {
                info!(conference.id = %id, "conference is taken over from the journal");
                self.own(account, id, sender, task);
            }
        }
        Ok(())
    }

    /// A new owner for a conference whose task has broken; `None` when it is over.
    pub(super) async fn rebuild(&self, conference: ConferenceId) -> Result<Option<Owner>, StorageError> {
        let open = conferences::list_open(&mut *self.inner.shared.pool.get().await?).await?;
        let Some(plan) = open.into_iter().find(|plan| plan.id == conference) else { return Ok(None) };
        let account = plan.account;
        let Some((sender, task)) = self.resume(plan).await? else { return Ok(None) };
        self.owners().insert(conference, (account, sender));
        for node in self.inner.nodes.all() {
            node.ask_sync(node.stop.clone());
        }
        Ok(Some(task))
    }

    async fn resume(&self, plan: conferences::Conference) -> Result<Option<(super::Inbox, Owner)>, StorageError> {
        let id = plan.id;
        let mut connection = self.inner.shared.pool.get().await?;
        let entries = journal::list_all(&mut connection, id).await?;
        let Some(last) = entries.last().map(|entry| entry.seq) else {
            // It was claimed and the service died before the first word of its journal: nothing has happened yet.
            conferences::unclaim(&mut connection, id).await?;
            info!(conference.id = %id, "conference had been claimed and not begun; it is planned again");
            return Ok(None);
        };
        let Some(node) = plan.node.as_deref().and_then(|name| self.inner.nodes.by_name(name)) else {
            // Another service node drives it.
            return Ok(None);
        };
        let conference = match replayed(entries) {
            Ok(conference) => conference,
            Err(fault) => {
                error!(conference.id = %id, %fault, "the journal does not replay; look at it with `sklic replay`");
                return Ok(None);
            }
        };
        let Some(account) = accounts::lookup(&mut connection, plan.account).await? else { return Ok(None) };
        let charges = charges::list_of_conference(&mut connection, id).await?;
        drop(connection);
        let (sender, inbox) = unbounded_channel();
        let paperwork = Paperwork { plan, account, charges, told: HashSet::new() };
        let (proof, _) = node.heard();
        let mut task = Owner::new(conference, last, paperwork, node, Arc::clone(&self.inner.shared), (sender.clone(), inbox));
        task.resume(clock::now(), proof);
        Ok(Some((sender, task)))
    }

    /// A conference that nobody owns, from its rows or its journal.
    pub(super) async fn read(&self, account: AccountId, id: ConferenceId) -> Result<Past, ControlError> {
        let mut connection = self.inner.shared.pool.get().await?;
        let plan = conferences::lookup(&mut connection, account, id).await?.ok_or(ControlError::NotFound)?;
        let entries = journal::list_all(&mut connection, id).await?;
        if entries.is_empty() {
            let people = participants::list(&mut connection, account, id).await?;
            let spec = spec(&plan, people, Settings::default()).ok_or(ControlError::Internal)?;
            return Ok(Past { conference: Conference::open(plan.created_at, spec), plan, seq: 0 });
        }
        let seq = entries.last().map_or(0, |entry| entry.seq);
        let conference = replayed(entries).map_err(|fault| {
            error!(conference.id = %id, %fault, "the journal does not replay; look at it with `sklic replay`");
            ControlError::Internal
        })?;
        Ok(Past { conference, plan, seq })
    }
}

/// A conference as its rows and its journal tell.
pub(super) struct Past {
    pub(super) conference: Conference,
    pub(super) plan: conferences::Conference,
    /// The journal's last entry; 0 while it has none.
    pub(super) seq: i64,
}

/// Why a journal cannot be used.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error("entry {seq} cannot be read: {fault}")]
    Unreadable { seq: i64, fault: serde_json::Error },
    #[error(transparent)]
    Replay(#[from] crate::conference::ReplayFault),
}

fn replayed(entries: Vec<journal::JournalEntry>) -> Result<Conference, Unusable> {
    let read = |line: journal::JournalEntry| {
        serde_json::from_value::<Entry>(line.entry).map(|entry| (line.at, entry)).map_err(|fault| Unusable::Unreadable { seq: line.seq, fault })
    };
    let entries = entries.into_iter().map(read).collect::<Result<Vec<_>, _>>()?;
    Ok(Conference::replay_past(entries, |seq, refusal| {
        metrics::counter!("sklic_journal_entries_skipped_total").increment(1);
        error!(journal.seq = seq, %refusal, "the rules of this release refuse an entry of the journal; it is passed over");
    })?)
}
