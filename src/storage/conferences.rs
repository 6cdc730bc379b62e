//! Conferences.

use diesel::prelude::*;
use diesel_async::{AsyncConnection as _, RunQueryDsl};
use jiff::Timestamp;
use jiff_diesel::{NullableTimestamp, ToDiesel};
use serde_json::Value;

use super::leases::{self, Fence};
use super::participants::{self, Participant};
use super::schema::{accounts, conferences};
use super::text::refuse_nul;
use super::{Connection, StorageResult};
use crate::ids::{AccountId, ConferenceId, Room};

/// The states in which a conference needs an owner.
pub const OPEN: &[&str] = &["calling_convener", "running", "closing"];

/// A conference.
#[derive(Clone, Debug, PartialEq, Queryable, Selectable)]
#[diesel(table_name = conferences, check_for_backend(diesel::pg::Pg))]
pub struct Conference {
    /// The conference.
    pub id: ConferenceId,
    /// Whose it is.
    pub account: AccountId,
    /// Its number on the switch.
    #[diesel(deserialize_as = i64)]
    pub room: Room,
    /// As the convener named it.
    pub title: String,
    /// `planned`, `calling_convener`, `running`, `closing`, `ended` or `failed`.
    pub state: String,
    /// Why it ended or failed, or why the service could not start it at its time.
    pub reason: Option<String>,
    /// When it is to start.
    #[diesel(deserialize_as = NullableTimestamp)]
    pub scheduled_at: Option<Timestamp>,
    /// When it was started.
    #[diesel(deserialize_as = NullableTimestamp)]
    pub started_at: Option<Timestamp>,
    /// When the convener came in.
    #[diesel(deserialize_as = NullableTimestamp)]
    pub running_since: Option<Timestamp>,
    /// When it was over.
    #[diesel(deserialize_as = NullableTimestamp)]
    pub ended_at: Option<Timestamp>,
    /// The settings it was made with.
    pub settings: Value,
    /// The switch on which it runs.
    pub node: Option<String>,
    /// When it was planned.
    #[diesel(deserialize_as = jiff_diesel::Timestamp)]
    pub created_at: Timestamp,
    /// The tariff by which it is charged, fixed at its start; `None` before it, and in rows older than that: the account's.
    pub tariff: Option<String>,
    /// When the personal data of its people were erased.
    #[diesel(deserialize_as = NullableTimestamp)]
    pub erased_at: Option<Timestamp>,
}

impl From<i64> for Room {
    fn from(number: i64) -> Self {
        Self(number)
    }
}

/// What a conference is planned from.
#[derive(Clone, Debug)]
pub struct NewConference {
    /// The conference.
    pub id: ConferenceId,
    /// As the convener named it, at most 200 characters.
    pub title: String,
    /// When it is to start.
    pub scheduled_at: Option<Timestamp>,
    /// The settings, a JSON object.
    pub settings: Value,
    /// Now.
    pub created_at: Timestamp,
    /// The people, the convener included; their `conference` is this one.
    pub participants: Vec<Participant>,
}

/// What changes about a conference while it runs; [`RowChange::Head`](super::RowChange::Head) writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConferenceHead {
    /// The conference, which is there already.
    pub id: ConferenceId,
    /// `planned`, `calling_convener`, `running`, `closing`, `ended` or `failed`.
    pub state: &'static str,
    /// Why it ended or failed.
    pub reason: Option<&'static str>,
    /// When it was started.
    pub started_at: Option<Timestamp>,
    /// When the convener came in.
    pub running_since: Option<Timestamp>,
    /// When it was over; set in the states `ended` and `failed`, and only there.
    pub ended_at: Option<Timestamp>,
    /// The switch on which it runs.
    pub node: Option<String>,
}

/// Plans a conference and its participants, and gives it its number on the switch.
///
/// # Errors
/// [`StorageError::Invalid`](super::StorageError::Invalid) when a value does not fit.
pub async fn add(connection: &mut Connection, account: AccountId, conference: NewConference) -> StorageResult<Room> {
    refuse_nul(&[("title", &conference.title), ("settings", &conference.settings)])?;
    connection
        .transaction(async |connection| {
            let room: i64 = diesel::insert_into(conferences::table)
                .values((
                    conferences::id.eq(conference.id),
                    conferences::account.eq(account),
                    conferences::title.eq(&conference.title),
                    conferences::state.eq("planned"),
                    conferences::scheduled_at.eq(conference.scheduled_at.to_diesel()),
                    conferences::settings.eq(&conference.settings),
                    conferences::created_at.eq(conference.created_at.to_diesel()),
                ))
                .returning(conferences::room)
                .get_result(connection)
                .await?;
            participants::save(connection, conference.participants).await?;
            Ok(Room(room))
        })
        .await
}

/// The account's conference.
///
/// # Errors
/// A fault of the database.
pub async fn lookup(connection: &mut Connection, account: AccountId, conference: ConferenceId) -> StorageResult<Option<Conference>> {
    let found = conferences::table.find(conference).filter(conferences::account.eq(account)).select(Conference::as_select());
    Ok(found.first(connection).await.optional()?)
}

/// The account's conferences, in these states or in any, the newest first, at most `limit`, beginning before the given one.
///
/// # Errors
/// A fault of the database.
pub async fn list(
    connection: &mut Connection,
    account: AccountId,
    states: Option<&[&str]>,
    before: Option<ConferenceId>,
    limit: i64,
) -> StorageResult<Vec<Conference>> {
    let mut found = conferences::table.filter(conferences::account.eq(account)).into_boxed();
    if let Some(states) = states {
        found = found.filter(conferences::state.eq_any(states));
    }
    if let Some(before) = before {
        found = found.filter(conferences::id.lt(before));
    }
    // Identifiers sort by the time at which they were made.
    Ok(found.order(conferences::id.desc()).limit(limit).select(Conference::as_select()).load(connection).await?)
}

/// Changes title and time of a conference that has not been started; `false` when the account has no such planned conference.
///
/// # Errors
/// [`StorageError::Invalid`](super::StorageError::Invalid) when a value does not fit.
pub async fn change_plan(
    connection: &mut Connection,
    account: AccountId,
    conference: ConferenceId,
    title: &str,
    scheduled_at: Option<Timestamp>,
) -> StorageResult<bool> {
    refuse_nul(&[("title", &title.to_owned())])?;
    let planned = conferences::table.find(conference).filter(conferences::account.eq(account)).filter(conferences::state.eq("planned"));
    let changed = diesel::update(planned)
        .set((conferences::title.eq(title), conferences::scheduled_at.eq(scheduled_at.to_diesel())))
        .execute(connection)
        .await?;
    Ok(changed == 1)
}

/// What became of an attempt to take a conference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// It is taken.
    Taken,
    /// The account has no such conference that is still planned.
    NotPlanned,
    /// As many of the account's conferences are open as may be.
    TooMany,
}

/// Takes a planned conference for starting on a switch and by a tariff, unless `most` of the account's conferences are open already.
/// `now` marks it as this start's.
///
/// Its first journal entry follows; until then [`unclaim`] gives it back.
///
/// # Errors
/// A fault of the database; [`StorageError::Fenced`](super::StorageError::Fenced) when the switch has another owner, whose taking over would not see this start.
pub async fn claim(
    connection: &mut Connection,
    account: AccountId,
    conference: ConferenceId,
    (fence, tariff): (&Fence, &str),
    most: u32,
    now: Timestamp,
) -> StorageResult<Claim> {
    connection
        .transaction(async |connection| {
            // One start of the account at a time, whichever node it is at: otherwise two would count the same conferences.
            accounts::table.find(account).select(accounts::id).for_no_key_update().first::<AccountId>(connection).await?;
            leases::hold(connection, std::slice::from_ref(fence)).await?;
            let others = conferences::table.filter(conferences::account.eq(account)).filter(conferences::id.ne(conference));
            let open: i64 = others.filter(conferences::state.eq_any(OPEN)).count().get_result(connection).await?;
            if open >= i64::from(most) {
                return Ok(Claim::TooMany);
            }
            let planned = conferences::table.find(conference).filter(conferences::account.eq(account)).filter(conferences::state.eq("planned"));
            let claimed = diesel::update(planned)
                .set((
                    conferences::state.eq("calling_convener"),
                    conferences::node.eq(&fence.switch),
                    conferences::tariff.eq(tariff),
                    conferences::reason.eq(None::<String>),
                    conferences::started_at.eq(Some(now).to_diesel()),
                ))
                .execute(connection)
                .await?;
            Ok(if claimed == 1 { Claim::Taken } else { Claim::NotPlanned })
        })
        .await
}

/// Gives back a conference that was claimed at `claimed` and whose journal never began; another start's claim stands.
/// Crosses accounts: for the service's start.
///
/// # Errors
/// A fault of the database.
pub async fn unclaim(connection: &mut Connection, conference: ConferenceId, claimed: Option<Timestamp>) -> StorageResult<()> {
    let begun = diesel::dsl::exists(super::schema::journal::table.filter(super::schema::journal::conference.eq(conference)));
    let unbegun = conferences::table.find(conference).filter(conferences::state.eq("calling_convener")).filter(diesel::dsl::not(begun));
    diesel::update(unbegun.filter(conferences::started_at.is_not_distinct_from(claimed.to_diesel())))
        .set((
            conferences::state.eq("planned"),
            conferences::node.eq(None::<String>),
            conferences::tariff.eq(None::<String>),
            conferences::started_at.eq(None::<Timestamp>.to_diesel()),
        ))
        .execute(connection)
        .await?;
    Ok(())
}

/// Deletes a conference that has not been started; `false` when the account has no such planned conference.
///
/// # Errors
/// A fault of the database.
pub async fn remove_planned(connection: &mut Connection, account: AccountId, conference: ConferenceId) -> StorageResult<bool> {
    let planned = conferences::table.find(conference).filter(conferences::account.eq(account)).filter(conferences::state.eq("planned"));
    Ok(diesel::delete(planned).execute(connection).await? == 1)
}

/// The conferences that need an owner: started and not over. Crosses accounts: for the service's start.
///
/// # Errors
/// A fault of the database.
pub async fn list_open(connection: &mut Connection) -> StorageResult<Vec<Conference>> {
    let open = conferences::table.filter(conferences::state.eq_any(OPEN)).order(conferences::id).select(Conference::as_select());
    Ok(open.load(connection).await?)
}

/// Planned conferences whose time has come, the earliest first. Crosses accounts: for the service itself.
///
/// # Errors
/// A fault of the database.
pub async fn list_due(connection: &mut Connection, now: Timestamp, limit: i64) -> StorageResult<Vec<Conference>> {
    let due = conferences::table
        .filter(conferences::state.eq("planned").and(conferences::scheduled_at.le(Some(now).to_diesel())))
        .order(conferences::scheduled_at)
        .limit(limit)
        .select(Conference::as_select());
    Ok(due.load(connection).await?)
}

/// The conference that has this number on the switch. Crosses accounts: for the service itself.
///
/// # Errors
/// A fault of the database.
pub async fn find_by_room(connection: &mut Connection, room: Room) -> StorageResult<Option<Conference>> {
    let found = conferences::table.filter(conferences::room.eq(room.0)).select(Conference::as_select());
    Ok(found.first(connection).await.optional()?)
}

/// Writes the heads, one by one: few of a group's batches change one, and the statement is prepared once.
pub(super) async fn save_heads(connection: &mut Connection, heads: &[ConferenceHead]) -> StorageResult<()> {
    for head in heads {
        diesel::update(conferences::table.find(head.id))
            .set((
                conferences::state.eq(head.state),
                conferences::reason.eq(head.reason),
                conferences::started_at.eq(head.started_at.to_diesel()),
                conferences::running_since.eq(head.running_since.to_diesel()),
                conferences::ended_at.eq(head.ended_at.to_diesel()),
                conferences::node.eq(&head.node),
            ))
            .execute(connection)
            .await?;
    }
    Ok(())
}
