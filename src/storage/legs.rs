//! Legs: telephone connections, and the attempts at one.

use std::collections::{HashMap, HashSet};

use diesel::prelude::*;
use diesel::upsert::excluded;
use diesel_async::RunQueryDsl;
use jiff::Timestamp;
use jiff_diesel::NullableTimestamp;

use super::schema::{conferences, legs};
use super::text::refuse_nul;
use super::{Connection, StorageResult};
use crate::ids::{AccountId, ConferenceId, LegId, ParticipantId};

/// A leg.
#[derive(Clone, Debug, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = legs, check_for_backend(diesel::pg::Pg))]
pub struct Leg {
    /// The leg.
    pub id: LegId,
    /// Its conference.
    pub conference: ConferenceId,
    /// Whose it is.
    pub participant: ParticipantId,
    /// The number at the other end.
    pub number: String,
    /// The number that a caller dialled.
    pub access_number: Option<String>,
    /// The calling line that the network vouches for.
    pub calling_line: Option<String>,
    /// `web_out`, `onnet_short`, `national` or `international`.
    pub way_of_entry: String,
    /// How far it is.
    pub phase: String,
    /// How it ended up; set with `ended_at` and only then.
    pub outcome: Option<String>,
    /// How its end is known; set with `ended_at` and only then.
    pub evidence: Option<String>,
    /// When it was lined up for dialling.
    #[diesel(serialize_as = jiff_diesel::Timestamp, deserialize_as = jiff_diesel::Timestamp)]
    pub queued_at: Timestamp,
    /// When the switch was asked to dial.
    #[diesel(serialize_as = NullableTimestamp, deserialize_as = NullableTimestamp)]
    pub dialled_at: Option<Timestamp>,
    /// When the far end began to alert.
    #[diesel(serialize_as = NullableTimestamp, deserialize_as = NullableTimestamp)]
    pub ringing_at: Option<Timestamp>,
    /// Sound came before the answer.
    pub early_media: bool,
    /// When it was answered.
    #[diesel(serialize_as = NullableTimestamp, deserialize_as = NullableTimestamp)]
    pub answered_at: Option<Timestamp>,
    /// When it first became a member.
    #[diesel(serialize_as = NullableTimestamp, deserialize_as = NullableTimestamp)]
    pub joined_at: Option<Timestamp>,
    /// When it last stopped being a member.
    #[diesel(serialize_as = NullableTimestamp, deserialize_as = NullableTimestamp)]
    pub left_at: Option<Timestamp>,
    /// When it was over.
    #[diesel(serialize_as = NullableTimestamp, deserialize_as = NullableTimestamp)]
    pub ended_at: Option<Timestamp>,
    /// ITU-T Q.850 cause of the end.
    pub q850: Option<i32>,
    /// Final SIP status that the far end sent.
    pub sip: Option<i32>,
    /// The convener has accepted to pay for a caller for whom the network does not vouch.
    pub convener_pays: bool,
}

impl Leg {
    pub(super) fn check(&self) -> StorageResult<()> {
        refuse_nul(&[
            ("number", &self.number),
            ("access_number", &self.access_number),
            ("calling_line", &self.calling_line),
            ("way_of_entry", &self.way_of_entry),
            ("phase", &self.phase),
            ("outcome", &self.outcome),
            ("evidence", &self.evidence),
        ])
    }
}

/// The legs of the account's conference, in the order in which they were lined up.
///
/// # Errors
/// A fault of the database.
pub async fn list(connection: &mut Connection, account: AccountId, conference: ConferenceId) -> StorageResult<Vec<Leg>> {
    let found = legs::table
        .inner_join(conferences::table.on(conferences::id.eq(legs::conference)))
        .filter(legs::conference.eq(conference).and(conferences::account.eq(account)))
        .order((legs::queued_at, legs::id))
        .select(Leg::as_select());
    Ok(found.load(connection).await?)
}

/// When each leg of a conference was lined up. Crosses accounts: for the service itself.
///
/// # Errors
/// A fault of the database.
pub async fn list_queued(connection: &mut Connection, conference: ConferenceId) -> StorageResult<HashMap<LegId, Timestamp>> {
    let found = legs::table.filter(legs::conference.eq(conference)).select((legs::id, legs::queued_at));
    let found: Vec<(LegId, jiff_diesel::Timestamp)> = found.load(connection).await?;
    Ok(found.into_iter().map(|(leg, queued_at)| (leg, queued_at.to_jiff())).collect())
}

/// Of these legs those whose number no convener is shown: the caller keeps it private, or it was erased.
/// Crosses accounts: the legs are those of charges that were read for one.
///
/// # Errors
/// A fault of the database.
pub async fn withheld(connection: &mut Connection, wanted: &[LegId]) -> StorageResult<HashSet<LegId>> {
    let found = legs::table.filter(legs::id.eq_any(wanted).and(legs::number.eq(""))).select(legs::id);
    let found: Vec<LegId> = found.load(connection).await?;
    Ok(found.into_iter().collect())
}

/// Writes rows whose participant is there, new or changed, each identifier once.
pub(super) async fn save(connection: &mut Connection, rows: &[Leg]) -> StorageResult<()> {
    for part in rows.chunks(1_000) {
        diesel::insert_into(legs::table)
            .values(part.to_vec())
            .on_conflict(legs::id)
            .do_update()
            .set((
                legs::number.eq(excluded(legs::number)),
                legs::access_number.eq(excluded(legs::access_number)),
                legs::calling_line.eq(excluded(legs::calling_line)),
                legs::way_of_entry.eq(excluded(legs::way_of_entry)),
                legs::phase.eq(excluded(legs::phase)),
                legs::outcome.eq(excluded(legs::outcome)),
                legs::evidence.eq(excluded(legs::evidence)),
                legs::queued_at.eq(excluded(legs::queued_at)),
                legs::dialled_at.eq(excluded(legs::dialled_at)),
                legs::ringing_at.eq(excluded(legs::ringing_at)),
                legs::early_media.eq(excluded(legs::early_media)),
                legs::answered_at.eq(excluded(legs::answered_at)),
                legs::joined_at.eq(excluded(legs::joined_at)),
                legs::left_at.eq(excluded(legs::left_at)),
                legs::ended_at.eq(excluded(legs::ended_at)),
                legs::q850.eq(excluded(legs::q850)),
                legs::sip.eq(excluded(legs::sip)),
                legs::convener_pays.eq(excluded(legs::convener_pays)),
            ))
            .execute(connection)
            .await?;
    }
    Ok(())
}
