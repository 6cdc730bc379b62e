//! The journal: every input that changed a conference.

use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{Array, BigInt, Jsonb, Timestamptz, Untyped, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use jiff::Timestamp;
use jiff_diesel::ToDiesel;
use serde_json::Value;

use super::schema::{conferences, journal};
use super::{Connection, StorageError, StorageResult};
use crate::ids::{AccountId, ConferenceId};

/// The sequence number of a conference's first entry.
pub const FIRST_SEQ: i64 = 1;

/// One line of a conference's journal.
#[derive(Clone, Debug, PartialEq, Queryable, Selectable)]
#[diesel(table_name = journal, check_for_backend(diesel::pg::Pg))]
pub struct JournalEntry {
    /// Its place, from [`FIRST_SEQ`] and without a gap.
    pub seq: i64,
    /// When the input came, by our clock; kept to the microsecond.
    #[diesel(deserialize_as = jiff_diesel::Timestamp)]
    pub at: Timestamp,
    /// The input.
    pub entry: Value,
}

/// A line that is to be written.
pub type NewJournalEntry = JournalEntry;

/// A conference's journal after the entry `after` (0: from the beginning), at most `limit` entries. Crosses accounts: for the service itself.
///
/// # Errors
/// A fault of the database.
pub async fn list(connection: &mut Connection, conference: ConferenceId, after: i64, limit: i64) -> StorageResult<Vec<JournalEntry>> {
    let found = journal::table
        .filter(journal::conference.eq(conference).and(journal::seq.gt(after)))
        .order(journal::seq)
        .limit(limit)
        .select(JournalEntry::as_select());
    Ok(found.load(connection).await?)
}

/// The whole journal of a conference. Crosses accounts: for the service itself.
///
/// # Errors
/// A fault of the database.
pub async fn list_all(connection: &mut Connection, conference: ConferenceId) -> StorageResult<Vec<JournalEntry>> {
    list(connection, conference, 0, i64::MAX).await
}

/// The last sequence number of the account's conference; `None` when it has no journal yet.
///
/// # Errors
/// A fault of the database.
pub async fn last_seq(connection: &mut Connection, account: AccountId, conference: ConferenceId) -> StorageResult<Option<i64>> {
    let of_account = conferences::table.filter(conferences::account.eq(account)).select(conferences::id);
    let last =
        journal::table.filter(journal::conference.eq(conference).and(journal::conference.eq_any(of_account))).select(diesel::dsl::max(journal::seq));
    Ok(last.first(connection).await?)
}

/// A conference's entries of one write.
pub(super) struct Lines<'a> {
    pub(super) conference: ConferenceId,
    pub(super) entries: &'a [NewJournalEntry],
}

#[derive(QueryableByName)]
struct Place {
    #[diesel(sql_type = SqlUuid)]
    conference: ConferenceId,
    #[diesel(sql_type = BigInt)]
    seq: i64,
}

/// Appends lines that are not there yet. Every write does it: prepared once on each connection, as is [`FindGap`].
struct Append<'a> {
    conferences: &'a [ConferenceId],
    seqs: &'a [i64],
    times: &'a [jiff_diesel::Timestamp],
    entries: &'a [&'a Value],
}

impl QueryId for Append<'_> {
    type QueryId = Append<'static>;
}

impl QueryFragment<Pg> for Append<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("INSERT INTO journal (conference, seq, at, entry) SELECT * FROM unnest(");
        out.push_bind_param::<Array<SqlUuid>, _>(self.conferences)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<BigInt>, _>(self.seqs)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Timestamptz>, _>(self.times)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Jsonb>, _>(self.entries)?;
        out.push_sql(") ON CONFLICT (conference, seq) DO NOTHING");
        Ok(())
    }
}

/// The first line that is there already with another content.
const FIND_OTHER: &str = "SELECT n.conference, n.seq FROM unnest($1, $2, $3, $4) AS n (conference, seq, at, entry) \
    JOIN journal j ON j.conference = n.conference AND j.seq = n.seq \
    WHERE (j.at, j.entry) IS DISTINCT FROM (n.at, n.entry) ORDER BY n.seq LIMIT 1";

/// The first line whose predecessor is not there.
struct FindGap<'a> {
    conferences: &'a [ConferenceId],
    seqs: &'a [i64],
}

impl Query for FindGap<'_> {
    type SqlType = Untyped;
}

impl QueryId for FindGap<'_> {
    type QueryId = FindGap<'static>;
}

impl QueryFragment<Pg> for FindGap<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("SELECT n.conference, n.seq - 1 AS seq FROM unnest(");
        out.push_bind_param::<Array<SqlUuid>, _>(self.conferences)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<BigInt>, _>(self.seqs)?;
        out.push_sql(
            ") AS n (conference, seq) WHERE n.seq > 1 \
             AND NOT EXISTS (SELECT FROM journal j WHERE j.conference = n.conference AND j.seq = n.seq - 1) LIMIT 1",
        );
        Ok(())
    }
}

/// Appends lines; those that are there already with the same content are taken as written, because the answer to a commit can be lost.
///
/// # Errors
/// [`StorageError::Conflict`] when another line has a line's place: the conference has two owners.
/// [`StorageError::Gap`] when a line's predecessor is missing.
pub(super) async fn append(connection: &mut Connection, lines: &[Lines<'_>]) -> StorageResult<()> {
    let mut conferences = Vec::new();
    let mut seqs = Vec::new();
    let mut times = Vec::new();
    let mut entries = Vec::new();
    for of in lines {
        for line in of.entries {
            conferences.push(of.conference);
            seqs.push(line.seq);
            times.push(line.at.to_diesel());
            entries.push(&line.entry);
        }
    }
    if seqs.is_empty() {
        return Ok(());
    }
    let written = Append { conferences: &conferences, seqs: &seqs, times: &times, entries: &entries }.execute(connection).await?;
    if written != seqs.len() {
        let other: Option<Place> = diesel::sql_query(FIND_OTHER)
            .bind::<Array<SqlUuid>, _>(&conferences)
            .bind::<Array<BigInt>, _>(&seqs)
            .bind::<Array<Timestamptz>, _>(&times)
            .bind::<Array<Jsonb>, _>(&entries)
            .get_result(connection)
            .await
            .optional()?;
        if let Some(other) = other {
            return Err(StorageError::Conflict { what: format!("entry {} in the journal of conference {}", other.seq, other.conference) });
        }
    }
    // Only where lines of one conference do not follow each other in this write can a predecessor be missing.
    let mut starts: Vec<(ConferenceId, i64)> = Vec::new();
    let mut last: std::collections::HashMap<ConferenceId, i64> = std::collections::HashMap::new();
    for (conference, seq) in conferences.iter().zip(&seqs) {
        if last.insert(*conference, *seq) != Some(*seq - 1) {
            starts.push((*conference, *seq));
        }
    }
    let (conferences, seqs): (Vec<ConferenceId>, Vec<i64>) = starts.into_iter().unzip();
    let gap: Option<Place> = FindGap { conferences: &conferences, seqs: &seqs }.get_result(connection).await.optional()?;
    match gap {
        Some(gap) => Err(StorageError::Gap { conference: gap.conference, missing: gap.seq }),
        None => Ok(()),
    }
}
