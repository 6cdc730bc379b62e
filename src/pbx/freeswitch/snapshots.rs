//! The adapter's snapshots: what is asked for one after the other, and what is asked again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use super::adapter::{Actor, LISTS_WITHIN, Outcome, Work};
use super::client::Client;
use super::requests;
use super::snapshot::{self, Lists};
use crate::ids::LegId;
use crate::pbx::jobs::Answer;
use crate::pbx::{CommandFailure, EndRecord, LegSnapshotPhase, Snapshot};

/// How often the record of a leg is asked for that is neither there nor written down, and how long is waited in between:
/// a busy machine has been seen to write it seconds after the call.
const RECORD_TRIES: u32 = 5;
const RECORD_PAUSE: Duration = Duration::from_millis(500);

/// A snapshot under way.
pub(super) struct SnapshotJob {
    expected: Vec<LegId>,
    lists: Lists,
    ended: BTreeMap<LegId, EndRecord>,
    tries: u32,
    answer: Answer<Snapshot>,
}

impl Actor {
    pub(super) fn begin_snapshot(&self, client: &mut Client, work: &mut Work, expected: Vec<LegId>, answer: Answer<Snapshot>) {
        if self.ends {
            return drop(answer.send(Err(CommandFailure::Refused("it ends".into()))));
        }
        let begun = self.legs.changes();
        let channels = self.submit(client, requests::ask_channels(), LISTS_WITHIN);
        let rooms = self.submit(client, requests::ask_rooms(), LISTS_WITHIN);
        work.push(Box::pin(async move {
            let unreadable = |what: &str| CommandFailure::Refused(format!("its list of {what} cannot be read"));
            let lists = async {
                let channels = snapshot::channels(&channels.await?).ok_or_else(|| unreadable("channels"))?;
                let (rooms, members) = snapshot::rooms(&rooms.await?).ok_or_else(|| unreadable("conferences"))?;
                Ok(Lists { begun, channels, rooms, members, ..Lists::default() })
            };
            match lists.await {
                Ok(lists) => Outcome::Listed(Box::new(SnapshotJob { expected, lists, ended: BTreeMap::new(), tries: 0, answer })),
                Err(failure) => {
                    let _ = answer.send(Err(failure));
                    Outcome::Answered
                }
            }
        }));
    }

    /// The legs that are in doubt, each by itself, and what was written down about those who are missing.
    pub(super) fn continue_snapshot(&self, client: &mut Client, work: &mut Work, mut job: Box<SnapshotJob>) {
        let doubtful = job.lists.doubtful(&self.legs, &job.expected, self.after_gap);
        let asked: Vec<_> = doubtful.iter().map(|leg| (*leg, self.submit(client, requests::ask_channel(*leg), LISTS_WITHIN))).collect();
        let records: Vec<_> = doubtful
            .iter()
            .filter(|leg| job.expected.contains(leg))
            .map(|leg| (*leg, self.submit(client, requests::ask_end(*leg), LISTS_WITHIN)))
            .collect();
        work.push(Box::pin(async move {
            let answers = async {
                let mut dumps = BTreeMap::new();
                for (_, reply) in asked {
                    dumps.extend(snapshot::dump(&reply.await?));
                }
                let mut ended = BTreeMap::new();
                for (leg, reply) in records {
                    ended.extend(snapshot::end_record(&reply.await?).map(|record| (leg, record)));
                }
                Ok((dumps, ended))
            };
            match answers.await {
                Ok((dumps, ended)) => {
                    // The list of channels lags behind: what is not there when asked for by itself is not there.
                    job.lists.channels.retain(|leg, _| !doubtful.contains(leg) || dumps.contains_key(leg));
                    job.lists.dumps = dumps;
                    job.ended = ended;
                    job.tries += 1;
                    Outcome::Complete(job)
                }
                Err(failure) => {
                    let _ = job.answer.send(Err(failure));
                    Outcome::Answered
                }
            }
        }));
    }

    pub(super) fn finish_snapshot(&mut self, client: &mut Client, work: &mut Work, mut job: Box<SnapshotJob>, booted_at: Timestamp) {
        let waiting: BTreeSet<LegId> = self.lane.legs().chain(self.dials.legs()).collect();
        let told = |leg: &LegId| {
            job.lists.channels.contains_key(leg) || job.lists.dumps.contains_key(leg) || job.ended.contains_key(leg) || waiting.contains(leg)
        };
        // After a gap the record of an end that was told is waited for, too: it tells what the gap hid before it.
        let wanted = |leg: &LegId| !told(leg) && (self.after_gap || !self.legs.has_ended(*leg));
        if job.tries < RECORD_TRIES && job.expected.iter().any(wanted) {
            // The switch no longer knows the channel and has not written down its end yet: that comes a moment later.
            return work.push(Box::pin(async move {
                tokio::time::sleep(RECORD_PAUSE).await;
                Outcome::Listed(job)
            }));
        }
        let at = self.now();
        // They hear the closing, and nobody was there to hear them leave. Of those whose coming in nobody heard either, the snapshot tells both.
        let inside = |leg: &LegId| self.legs.get(*leg).is_some_and(|leg| matches!(leg.phase, LegSnapshotPhase::Inside { .. }));
        let left: Vec<_> = job.lists.dumps.iter().filter(|&(leg, _)| inside(leg)).map(|(leg, dump)| (*leg, dump.left)).collect();
        for (leg, left) in left {
            self.note_left(client, leg, left);
        }
        let (legs, rooms) = snapshot::merge(&job.lists, &mut self.legs, &waiting);
        self.find_absences(client);
        let ended: BTreeMap<_, _> = std::mem::take(&mut job.ended).into_iter().filter(|(leg, _)| !legs.contains_key(leg)).collect();
        let inside = legs.values().filter(|leg| matches!(leg.phase, LegSnapshotPhase::Inside { .. })).count();
        tracing::debug!(pbx = %self.config.name, legs = legs.len(), inside, ended = ended.len(), "snapshot");
        let _ = job.answer.send(Ok(Snapshot { at, booted_at, legs, callers: self.legs.callers(), rooms, ended }));
    }
}
