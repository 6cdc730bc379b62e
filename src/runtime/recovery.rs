//! Taking over after a stop: every open conference gets its owner back from the journal.

use std::sync::{Arc, PoisonError};

use jiff::Timestamp;
use tokio::sync::mpsc::unbounded_channel;
use tracing::{error, info, warn};

use super::node::Node;
use super::owner::Owner;
use super::rows::Paperwork;
use super::start::spec;
use super::{ControlError, Runtime};
use crate::clock;
use crate::conference::{Conference, Entry, Settings};
use crate::ids::{AccountId, ConferenceId, LegId};
use crate::storage::{Connection, StorageError, accounts, charges, conferences, journal, legs, participants};

impl Runtime {
    /// Gives every conference of this switch that is started and not over its owner. `all`: also those whose start is under way here,
    /// for a start from before this process drove the switch comes to nothing.
    ///
    /// One that cannot be taken over does not keep the others from it; the fault is told when all were tried.
    pub(super) async fn take_over(&self, node: &Node, all: bool) -> Result<(), StorageError> {
        // One at a time: two would give a conference two owners.
        let _turn = node.taking.lock().await;
        let taken = self.take_over_each(node, all).await;
        node.set_orphans(taken.is_err());
        taken
    }

    async fn take_over_each(&self, node: &Node, all: bool) -> Result<(), StorageError> {
        let mut first = None;
        let open = conferences::list_open(&mut *self.inner.shared.pool.get().await?).await?;
        for plan in open.into_iter().filter(|plan| plan.node.as_deref() == Some(&node.name)) {
            // Looked at before the owners: a start ends only when its conference has one, or is given back.
            let begins = !all && self.inner.starting.lock().unwrap_or_else(PoisonError::into_inner).contains(&plan.id);
            if begins || node.stop.is_cancelled() {
                continue;
            }
            if self.owners().contains_key(&plan.id) {
                // A task of an earlier tenure still writes: until it has ended its legs are nobody's here, and yet no strays.
                if !node.holds(plan.id) {
                    first.get_or_insert_with(|| StorageError::unavailable("the conference's former task still writes"));
                }
                continue;
            }
            let (account, id) = (plan.account, plan.id);
            match self.resume(plan, None).await {
                Ok(Some((sender, task))) => {
                    info!(conference.id = %id, "conference is taken over from the journal");
                    self.own(account, id, sender, task);
                }
                Ok(None) => {}
                Err(fault) => {
                    warn!(conference.id = %id, switch.name = %node.name, %fault, "the conference could not be taken over; it is tried again every few seconds");
                    if fault.is_passing() && !self.inner.shared.pool.answers().await {
                        return Err(fault);
                    }
                    first.get_or_insert(fault);
                }
            }
        }
        first.map_or(Ok(()), Err)
    }

    /// A new owner for a conference whose task has broken when the switch had last been heard at `proof`; `None` when it is over.
    pub(super) async fn rebuild(&self, conference: ConferenceId, proof: Timestamp) -> Result<Option<Owner>, StorageError> {
        let open = conferences::list_open(&mut *self.inner.shared.pool.get().await?).await?;
        let Some(plan) = open.into_iter().find(|plan| plan.id == conference) else { return Ok(None) };
        let account = plan.account;
        let Some((sender, task)) = self.resume(plan, Some(proof)).await? else { return Ok(None) };
        self.owners().insert(conference, (account, sender));
        for node in self.inner.nodes.all() {
            node.ask_sync(node.stop.clone());
        }
        Ok(Some(task))
    }

    /// `proof`: until when an owner here has heard its legs; without one it was another process, or this one's predecessor.
    async fn resume(&self, plan: conferences::Conference, proof: Option<Timestamp>) -> Result<Option<(super::Inbox, Owner)>, StorageError> {
        let Some(node) = plan.node.as_deref().and_then(|name| self.inner.nodes.by_name(name)) else {
            // Another service node drives it.
            return Ok(None);
        };
        let proof = proof.unwrap_or(node.inherited);
        let Some((sender, mut task)) = self.bring_back(plan, node).await? else { return Ok(None) };
        task.resume(clock::now(), proof);
        Ok(Some((sender, task)))
    }

    /// An owner for a conference on this switch, from its journal; `None` when it had not begun.
    pub(super) async fn bring_back(&self, plan: conferences::Conference, node: Arc<Node>) -> Result<Option<(super::Inbox, Owner)>, StorageError> {
        let id = plan.id;
        let mut connection = self.inner.shared.pool.get().await?;
        let entries = journal::list_all(&mut connection, id).await?;
        let Some(last) = entries.last().map(|entry| entry.seq) else {
            // It was claimed and the service died before the first word of its journal: nothing has happened yet.
            conferences::unclaim(&mut connection, id, plan.started_at).await?;
            info!(conference.id = %id, "conference had been claimed and not begun; it is planned again");
            return Ok(None);
        };
        let Some(conference) = self.replayed(&mut connection, &plan, entries).await? else { return Ok(None) };
        let Some(account) = accounts::lookup(&mut connection, plan.account).await? else { return Ok(None) };
        let charges = charges::list_of_conference(&mut connection, id).await?;
        drop(connection);
        let (sender, inbox) = unbounded_channel();
        let paperwork = Paperwork::new(plan, account, charges);
        let task = Owner::new(conference, last, paperwork, node, Arc::clone(&self.inner.shared), (sender.clone(), inbox));
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
        let conference = self.replayed(&mut connection, &plan, entries).await?.ok_or(ControlError::Internal)?;
        Ok(Past { conference, plan, seq })
    }

    /// The conference of a journal. What cannot be read, and what the rules of this release refuse, is passed over: nothing keeps a conference
    /// open for ever. Without a readable opening its rows give what it was started with, within the limits of today. `None`, logged, when these
    /// know no convener.
    async fn replayed(
        &self,
        connection: &mut Connection,
        plan: &conferences::Conference,
        journal: Vec<journal::JournalEntry>,
    ) -> Result<Option<Conference>, StorageError> {
        let skipped = |seq: i64, why: &dyn std::fmt::Display| {
            metrics::counter!("sklic_journal_entries_skipped_total").increment(1);
            error!(conference.id = %plan.id, journal.seq = seq, %why, "an entry of the journal is passed over; look at it with `sklic replay`");
        };
        let mut opening = None;
        let mut places = Vec::with_capacity(journal.len());
        let mut entries = Vec::with_capacity(journal.len());
        for line in journal {
            let entry = match serde_json::from_value::<Entry>(line.entry) {
                Ok(entry @ Entry::Open { .. }) if opening.is_none() => {
                    opening = Some((line.at, Some(entry)));
                    continue;
                }
                Ok(Entry::Open { .. }) => {
                    skipped(line.seq, &"it opens the conference a second time");
                    None
                }
                Ok(entry) => Some(entry),
                Err(fault) => {
                    skipped(line.seq, &fault);
                    None
                }
            };
            places.push(line.seq);
            entries.push((line.at, entry));
        }
        let opening = match opening {
            Some(opening) => opening,
            None => {
                let people = participants::list(connection, plan.account, plan.id).await?;
                let Some(spec) = spec(plan, people, self.settings_of(connection, plan).await?) else {
                    error!(conference.id = %plan.id, "the journal does not say what the conference was started with, and its rows know no convener");
                    return Ok(None);
                };
                (plan.started_at.unwrap_or(plan.created_at), Some(Entry::Open { spec: Box::new(spec) }))
            }
        };
        let whole = entries.iter().all(|(_, entry)| entry.is_some());
        let lines: Vec<_> = std::iter::once(opening).chain(entries).collect();
        let replay = |lines: Vec<(Timestamp, Option<Entry>)>, queued: &[Timestamp]| {
            let mut refused = Vec::new();
            let replayed = Conference::replay_past(lines, queued, |place, refusal| refused.push((place, refusal.clone())));
            (replayed, refused)
        };
        let (mut replayed, mut refused) = replay(lines.clone(), &[]);
        if !whole || !refused.is_empty() {
            // What is passed over may have lined up legs: their rows say which.
            (replayed, refused) = replay(lines, &queued(connection, plan.id).await?);
        }
        for (place, refusal) in refused {
            skipped(places.get(place - 2).copied().unwrap_or_default(), &refusal);
        }
        Ok(replayed.inspect_err(|fault| error!(conference.id = %plan.id, %fault, "the journal does not replay")).ok())
    }

    /// The settings with which a conference on its switch would be started now.
    async fn settings_of(&self, connection: &mut Connection, plan: &conferences::Conference) -> Result<Settings, StorageError> {
        let account = accounts::lookup(connection, plan.account).await?;
        let switch = plan.node.as_deref().and_then(|name| self.inner.membership.switch(name));
        let calls_per_second = switch.map_or(1, |switch| switch.calls_per_second);
        Ok(account.map(|account| self.settings(plan, &account, calls_per_second)).unwrap_or_default())
    }
}

/// A conference as its rows and its journal tell.
pub(super) struct Past {
    pub(super) conference: Conference,
    pub(super) plan: conferences::Conference,
    /// The journal's last entry; 0 while it has none.
    pub(super) seq: i64,
}

/// When the legs of a conference that have rows were lined up, by their numbers; callers have none.
async fn queued(connection: &mut Connection, conference: ConferenceId) -> Result<Vec<Timestamp>, StorageError> {
    let rows = legs::list_queued(connection, conference).await?;
    Ok((0..).map_while(|number| rows.get(&LegId::derive(conference, number)).copied()).collect())
}
