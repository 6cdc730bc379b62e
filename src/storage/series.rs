//! Plans: what a convener has planned, one conference or a series, with what goes out about it.

use diesel::prelude::*;
use diesel_async::{AsyncConnection as _, RunQueryDsl};
use jiff::civil::DateTime;
use jiff::{SignedDuration, Timestamp};
use jiff_diesel::{NullableTimestamp, ToDiesel};
use serde_json::Value;

use super::conferences::{self, NewConference};
use super::messages::{self, NewMessage, OverQuota, Quota};
use super::outbox::{self, NewJob};
use super::participants::{self, Participant};
use super::plans::{self as planning, Known, RequestKey};
use super::schema::{accounts, conferences as rows, participants as people, plan_reminders, plans};
use super::text::refuse_nul;
use super::{Connection, StorageError, StorageResult};
use crate::ids::{AccountId, ConferenceId, PlanId};
use crate::planning::{Schedule, free_places};

/// How long a conference is taken to last that was planned without a length, in minutes.
const USUAL_LENGTH: i32 = 60;

/// A plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The plan.
    pub id: PlanId,
    /// Whose it is.
    pub account: AccountId,
    /// The title.
    pub title: String,
    /// The agenda; empty when there is none.
    pub agenda: String,
    /// When its conferences take place.
    pub schedule: Schedule,
    /// `call_convener` or `wait`.
    pub start_mode: String,
    /// By which channels people are told: `sms`, `email`.
    pub channels: Vec<String>,
    /// Minutes before the start at which they are reminded.
    pub reminders: Vec<i32>,
    /// Counts the changes.
    pub sequence: i32,
    /// Starts of the series that were cancelled.
    pub left_out: Vec<DateTime>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was cancelled as a whole.
    pub cancelled_at: Option<Timestamp>,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = plans, check_for_backend(diesel::pg::Pg))]
struct PlanRow {
    id: PlanId,
    account: AccountId,
    title: String,
    agenda: String,
    schedule: Value,
    start_mode: String,
    channels: Vec<Option<String>>,
    reminders: Vec<Option<i32>>,
    sequence: i32,
    left_out: Value,
    #[diesel(deserialize_as = jiff_diesel::Timestamp)]
    created_at: Timestamp,
    #[diesel(deserialize_as = NullableTimestamp)]
    cancelled_at: Option<Timestamp>,
}

impl TryFrom<PlanRow> for Plan {
    type Error = StorageError;

    fn try_from(row: PlanRow) -> StorageResult<Self> {
        let unreadable = |what, value: &Value| StorageError::Unreadable { what, value: value.to_string() };
        Ok(Self {
            schedule: serde_json::from_value(row.schedule.clone()).map_err(|_| unreadable("schedule", &row.schedule))?,
            left_out: serde_json::from_value(row.left_out.clone()).map_err(|_| unreadable("list of starts", &row.left_out))?,
            id: row.id,
            account: row.account,
            title: row.title,
            agenda: row.agenda,
            start_mode: row.start_mode,
            channels: row.channels.into_iter().flatten().collect(),
            reminders: row.reminders.into_iter().flatten().collect(),
            sequence: row.sequence,
            created_at: row.created_at,
            cancelled_at: row.cancelled_at,
        })
    }
}

/// One conference of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = rows, check_for_backend(diesel::pg::Pg))]
pub struct PlannedConference {
    /// The conference.
    pub id: ConferenceId,
    /// `planned` until it is started.
    pub state: String,
    /// When it is to start.
    #[diesel(deserialize_as = NullableTimestamp)]
    pub scheduled_at: Option<Timestamp>,
    /// The wall-clock start that the series gives it.
    pub plan_start: Option<String>,
    /// Which of the series it is, from 0.
    pub plan_index: Option<i32>,
}

/// A conference to be added to a plan.
#[derive(Clone, Debug)]
pub struct Addition {
    /// The conference with its people.
    pub conference: NewConference,
    /// The wall-clock start.
    pub starts: DateTime,
    /// Which of the series it is.
    pub index: i32,
}

/// A planned conference that takes place at another time, or under another title.
#[derive(Clone, Debug)]
pub struct Move {
    /// The conference.
    pub conference: ConferenceId,
    /// When.
    pub scheduled_at: Timestamp,
    /// The start that the series gives it.
    pub starts: DateTime,
}

/// The room that is wanted.
#[derive(Clone, Debug)]
pub struct Places {
    /// The most members of each switch.
    pub switches: Vec<u32>,
    /// The starts.
    pub starts: Vec<Timestamp>,
    /// How long each lasts, in minutes.
    pub length_minutes: u32,
    /// How many people.
    pub people: u32,
    /// What takes none of them.
    pub apart: Apart,
}

impl Places {
    /// For one conference that was planned without a length.
    #[must_use]
    pub fn at(start: Timestamp, switches: Vec<u32>, people: u32, apart: Apart) -> Self {
        Self { switches, starts: vec![start], length_minutes: USUAL_LENGTH.unsigned_abs(), people, apart }
    }
}

/// What counts as not there while places are looked for: it is planned anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Apart {
    /// All that is planned counts.
    Nothing,
    /// The conferences of a plan that have not been started.
    Plan(PlanId),
    /// One conference.
    Conference(ConferenceId),
}

/// There is not enough room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoPlaces {
    /// When.
    pub at: Timestamp,
    /// How many places there are then.
    pub free: u32,
}

/// What changes about a plan, together or not at all.
#[derive(Clone, Debug)]
pub struct Change {
    /// The plan as it is to be.
    pub plan: Plan,
    /// The sequence that it has now; `None`: it is new.
    pub sequence: Option<i32>,
    /// Conferences that are new.
    pub add: Vec<Addition>,
    /// Conferences that take place at another time.
    pub moves: Vec<Move>,
    /// Conferences that do not take place.
    pub remove: Vec<ConferenceId>,
    /// The people of planned conferences, the convener not among them.
    pub people: Vec<(ConferenceId, Vec<Participant>)>,
    /// What goes out.
    pub messages: Vec<NewMessage>,
    /// How much the account may send.
    pub quota: Quota,
    /// The room that is wanted, if any.
    pub places: Option<Places>,
    /// The most conferences that the account may have planned, where some are added.
    pub most_planned: i64,
    /// The key of the request that makes a new plan.
    pub key: Option<RequestKey>,
}

/// Why a plan was not changed. Nothing was.
#[derive(Debug, thiserror::Error)]
pub enum PlanFault {
    /// A fault of the database.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The messages would be more than the account may send.
    #[error("more messages than the account may send")]
    OverQuota(OverQuota),
    /// There is not enough room.
    #[error("there are {} free places at {}", .0.free, .0.at)]
    NoPlaces(NoPlaces),
    /// The account would have more planned than it may.
    #[error("more conferences than the account may have planned")]
    TooMany,
    /// The same request has been made before, with this plan.
    #[error("the plan was made before")]
    Before(PlanId),
    /// The key was used for another request.
    #[error("the key was used for another request")]
    OtherRequest,
    /// Somebody else has changed or started it meanwhile.
    #[error("the plan has changed meanwhile")]
    Changed,
}

impl From<diesel::result::Error> for PlanFault {
    fn from(error: diesel::result::Error) -> Self {
        Self::Storage(error.into())
    }
}

/// Carries out a change of a plan.
///
/// # Errors
/// [`PlanFault`].
pub async fn apply(connection: &mut Connection, change: Change) -> Result<(), PlanFault> {
    refuse_nul(&[("title", &change.plan.title), ("agenda", &change.plan.agenda)])?;
    connection.transaction(async |connection| apply_in_transaction(connection, change).await).await
}

async fn apply_in_transaction(connection: &mut Connection, change: Change) -> Result<(), PlanFault> {
    let (account, plan) = (change.plan.account, change.plan.id);
    // The account before everything else, as whoever plans or starts for it takes them: two that wait for each other would wait for ever.
    accounts::table.find(account).select(accounts::id).for_no_key_update().first::<AccountId>(connection).await?;
    if change.sequence.is_none() {
        may_be_made(connection, &change).await?;
    }
    save_plan(connection, &change).await?;
    if let Some(places) = &change.places
        && let Some(short) = short_of_places(connection, places).await?
    {
        return Err(PlanFault::NoPlaces(short));
    }
    let length = i32::try_from(change.plan.schedule.length_minutes).unwrap_or(USUAL_LENGTH);
    for addition in change.add {
        let id = addition.conference.id;
        conferences::add(connection, account, addition.conference).await?;
        diesel::update(rows::table.find(id))
            .set((
                rows::plan.eq(Some(plan)),
                rows::plan_start.eq(Some(addition.starts.to_string())),
                rows::plan_index.eq(Some(addition.index)),
                rows::length_minutes.eq(Some(length)),
            ))
            .execute(connection)
            .await?;
    }
    let planned = |id: ConferenceId| rows::table.find(id).filter(rows::account.eq(account).and(rows::plan.eq(plan)).and(rows::state.eq("planned")));
    for moved in &change.moves {
        // A reminder that was sent for this time is not sent again; at another time there is something to be reminded of.
        let elsewhere = || planned(moved.conference).filter(rows::scheduled_at.is_distinct_from(Some(moved.scheduled_at).to_diesel()));
        diesel::delete(plan_reminders::table.filter(plan_reminders::conference.eq_any(elsewhere().select(rows::id)))).execute(connection).await?;
        // Nor does it matter any more why it was not started at the time before.
        let anew = (rows::reason.eq(None::<String>), rows::lapsed_at.eq(None::<Timestamp>.to_diesel()));
        diesel::update(elsewhere()).set(anew).execute(connection).await?;
        let set = (
            rows::scheduled_at.eq(Some(moved.scheduled_at).to_diesel()),
            rows::plan_start.eq(Some(moved.starts.to_string())),
            rows::length_minutes.eq(Some(length)),
            rows::title.eq(&change.plan.title),
        );
        if diesel::update(planned(moved.conference)).set(set).execute(connection).await? != 1 {
            return Err(PlanFault::Changed);
        }
    }
    for id in &change.remove {
        if diesel::delete(planned(*id)).execute(connection).await? != 1 {
            return Err(PlanFault::Changed);
        }
    }
    for (id, members) in change.people {
        if diesel::update(planned(id)).set(rows::plan.eq(Some(plan))).execute(connection).await? != 1 {
            return Err(PlanFault::Changed);
        }
        diesel::delete(people::table.filter(people::conference.eq(id).and(people::convener.eq(false)))).execute(connection).await?;
        participants::save(connection, members).await?;
    }
    for message in change.messages {
        messages::add(connection, message, Some(change.quota)).await?.map_err(PlanFault::OverQuota)?;
    }
    Ok(())
}

/// Refuses a new plan whose request was made before, or that is more than the account may have planned.
async fn may_be_made(connection: &mut Connection, change: &Change) -> Result<(), PlanFault> {
    let (plan, account) = (&change.plan, change.plan.account);
    if let Some(key) = &change.key {
        match planning::known(connection, account, key, plan.created_at).await? {
            Some(Known::Before(plan)) => return Err(PlanFault::Before(PlanId(plan))),
            Some(Known::OtherRequest) => return Err(PlanFault::OtherRequest),
            None => planning::remember(connection, account, key, plan.id.0, plan.created_at).await?,
        }
    }
    let planned: i64 = rows::table.filter(rows::account.eq(account).and(rows::state.eq("planned"))).count().get_result(connection).await?;
    let new = i64::try_from(change.add.len()).unwrap_or(i64::MAX);
    if planned.saturating_add(new) > change.most_planned { Err(PlanFault::TooMany) } else { Ok(()) }
}

async fn save_plan(connection: &mut Connection, change: &Change) -> Result<(), PlanFault> {
    let plan = &change.plan;
    let values = (
        plans::title.eq(&plan.title),
        plans::agenda.eq(&plan.agenda),
        plans::schedule.eq(serde_json::to_value(&plan.schedule).unwrap_or(Value::Null)),
        plans::start_mode.eq(&plan.start_mode),
        plans::channels.eq(&plan.channels),
        plans::reminders.eq(&plan.reminders),
        plans::sequence.eq(plan.sequence),
        plans::left_out.eq(serde_json::to_value(&plan.left_out).unwrap_or(Value::Null)),
        plans::cancelled_at.eq(plan.cancelled_at.to_diesel()),
    );
    let Some(sequence) = change.sequence else {
        let made = (plans::id.eq(plan.id), plans::account.eq(plan.account), plans::created_at.eq(plan.created_at.to_diesel()));
        diesel::insert_into(plans::table).values((made, values)).execute(connection).await?;
        return Ok(());
    };
    let now = plans::table.find(plan.id).filter(plans::account.eq(plan.account).and(plans::sequence.eq(sequence)).and(plans::cancelled_at.is_null()));
    if diesel::update(now).set(values).execute(connection).await? == 1 { Ok(()) } else { Err(PlanFault::Changed) }
}

/// The account's plan.
///
/// # Errors
/// A fault of the database.
pub async fn lookup(connection: &mut Connection, account: AccountId, plan: PlanId) -> StorageResult<Option<Plan>> {
    let found = plans::table.find(plan).filter(plans::account.eq(account)).select(PlanRow::as_select()).first(connection).await.optional()?;
    found.map(Plan::try_from).transpose()
}

/// The plan to which the account's conference belongs.
///
/// # Errors
/// A fault of the database.
pub async fn of_conference(connection: &mut Connection, account: AccountId, conference: ConferenceId) -> StorageResult<Option<Plan>> {
    let plan =
        rows::table.find(conference).filter(rows::account.eq(account)).select(rows::plan).first::<Option<PlanId>>(connection).await.optional()?;
    match plan.flatten() {
        Some(plan) => lookup(connection, account, plan).await,
        None => Ok(None),
    }
}

/// The account's plans, the newest first, at most `limit`, beginning before the given one.
///
/// # Errors
/// A fault of the database.
pub async fn list(connection: &mut Connection, account: AccountId, before: Option<PlanId>, limit: i64) -> StorageResult<Vec<Plan>> {
    let mut found = plans::table.filter(plans::account.eq(account)).into_boxed();
    if let Some(before) = before {
        found = found.filter(plans::id.lt(before));
    }
    let found = found.order(plans::id.desc()).limit(limit).select(PlanRow::as_select()).load(connection).await?;
    found.into_iter().map(Plan::try_from).collect()
}

/// The conferences of the account's plan that were not cancelled, in order.
///
/// # Errors
/// A fault of the database.
pub async fn list_conferences(connection: &mut Connection, account: AccountId, plan: PlanId) -> StorageResult<Vec<PlannedConference>> {
    let found = rows::table.filter(rows::account.eq(account).and(rows::plan.eq(plan))).order(rows::plan_index).select(PlannedConference::as_select());
    Ok(found.load(connection).await?)
}

/// Lets nobody else look for room until the transaction ends: what is planned at once does not see each other's conferences.
/// Taken before any conference's row is.
pub(super) async fn lock_places(connection: &mut Connection) -> StorageResult<()> {
    diesel::sql_query("SELECT pg_advisory_xact_lock(7363)").execute(connection).await?;
    Ok(())
}

/// The first of the wanted times at which there is not enough room.
pub(super) async fn short_of_places(connection: &mut Connection, places: &Places) -> StorageResult<Option<NoPlaces>> {
    lock_places(connection).await?;
    let free = free_at(connection, places).await?;
    Ok(free.into_iter().find(|(_, free)| *free < places.people).map(|(at, free)| NoPlaces { at, free }))
}

/// The free places at each of the wanted times, the other wanted ones taken. Crosses accounts: all share the switches.
///
/// A conference that runs now counts where the wanted time begins within its usual length.
///
/// # Errors
/// A fault of the database.
pub async fn free_at(connection: &mut Connection, places: &Places) -> StorageResult<Vec<(Timestamp, u32)>> {
    let (Some(first), Some(last)) = (places.starts.iter().min(), places.starts.iter().max()) else { return Ok(Vec::new()) };
    let length = SignedDuration::from_mins(i64::from(places.length_minutes));
    let day = SignedDuration::from_hours(24);
    let from = first.checked_sub(day).unwrap_or(Timestamp::MIN);
    let to = last.checked_add(length).unwrap_or(Timestamp::MAX);
    let begins = diesel::dsl::sql::<diesel::sql_types::Timestamptz>("coalesce(conferences.started_at, conferences.scheduled_at)");
    let mut others = rows::table
        .left_join(people::table.on(people::conference.eq(rows::id).and(people::removed.eq(false))))
        .filter(rows::state.eq_any(["planned", "calling_convener", "running"]))
        .filter(begins.clone().ge(from.to_diesel()).and(begins.clone().lt(to.to_diesel())))
        .group_by(rows::id)
        .select((begins, rows::length_minutes, diesel::dsl::count(people::id.nullable())))
        .into_boxed();
    others = match places.apart {
        Apart::Nothing => others,
        Apart::Plan(plan) => others.filter(rows::plan.is_distinct_from(plan).or(rows::state.ne("planned"))),
        Apart::Conference(conference) => others.filter(rows::id.ne(conference)),
    };
    let others: Vec<(jiff_diesel::Timestamp, Option<i32>, i64)> = others.load(connection).await?;
    let free = |wanted: usize, at: Timestamp| {
        let end = at.checked_add(length).unwrap_or(Timestamp::MAX);
        let is_meanwhile = |begins: Timestamp, length| begins < end && begins.checked_add(length).unwrap_or(Timestamp::MAX) > at;
        let meanwhile = others
            .iter()
            .filter(|(begins, minutes, _)| is_meanwhile(begins.to_jiff(), SignedDuration::from_mins(i64::from(minutes.unwrap_or(USUAL_LENGTH)))));
        let beside = places.starts.iter().enumerate().filter(|(other, begins)| *other != wanted && is_meanwhile(**begins, length));
        let sizes = meanwhile.map(|(.., size)| u32::try_from(*size).unwrap_or(u32::MAX)).chain(beside.map(|_| places.people));
        free_places(&places.switches, &sizes.collect::<Vec<u32>>())
    };
    Ok(places.starts.iter().enumerate().map(|(wanted, at)| (*at, free(wanted, *at))).collect())
}

/// A planned conference that the service is to start by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// The conference.
    pub conference: ConferenceId,
    /// Whose it is.
    pub account: AccountId,
}

/// The planned conferences whose convener is to be called now: their time has come, and was not before `since`. A locked account's are not.
/// Those that `rest` are passed over, so that they keep no others waiting. Crosses accounts: for the service itself.
///
/// # Errors
/// A fault of the database.
pub async fn list_due(connection: &mut Connection, rest: &[ConferenceId], since: Timestamp, now: Timestamp) -> StorageResult<Vec<Due>> {
    let due = rows::table
        .inner_join(plans::table.on(rows::plan.eq(plans::id.nullable())))
        .inner_join(accounts::table.on(rows::account.eq(accounts::id)))
        .filter(rows::state.eq("planned").and(plans::start_mode.eq("call_convener")).and(accounts::disabled_at.is_null()))
        .filter(rows::scheduled_at.le(Some(now).to_diesel()).and(rows::scheduled_at.gt(Some(since).to_diesel())))
        .filter(rows::id.ne_all(rest))
        .order(rows::scheduled_at)
        .limit(100)
        .select((rows::id, rows::account));
    let due: Vec<(ConferenceId, AccountId)> = due.load(connection).await?;
    Ok(due.into_iter().map(|(conference, account)| Due { conference, account }).collect())
}

/// Notes why a planned conference could not be started by now; `false` when that was known, or it is not planned any more.
///
/// # Errors
/// A fault of the database.
pub async fn note_refusal(connection: &mut Connection, due: Due, reason: &str) -> StorageResult<bool> {
    let planned = rows::table.find(due.conference).filter(rows::account.eq(due.account).and(rows::state.eq("planned")));
    let noted = diesel::update(planned.filter(rows::reason.is_distinct_from(reason))).set(rows::reason.eq(reason));
    Ok(noted.execute(connection).await? == 1)
}

/// Planned conferences that were to be started after `since` and until `until`, were not, and nobody was told so. Crosses accounts: for the
/// service itself.
///
/// # Errors
/// A fault of the database.
pub async fn list_lapsed(connection: &mut Connection, since: Timestamp, until: Timestamp) -> StorageResult<Vec<Due>> {
    let lapsed = rows::table
        .inner_join(plans::table.on(rows::plan.eq(plans::id.nullable())))
        .filter(rows::state.eq("planned").and(plans::start_mode.eq("call_convener")).and(rows::lapsed_at.is_null()))
        .filter(rows::scheduled_at.le(Some(until).to_diesel()).and(rows::scheduled_at.gt(Some(since).to_diesel())))
        .order(rows::scheduled_at)
        .limit(100)
        .select((rows::id, rows::account));
    let lapsed: Vec<(ConferenceId, AccountId)> = lapsed.load(connection).await?;
    Ok(lapsed.into_iter().map(|(conference, account)| Due { conference, account }).collect())
}

/// Notes that a planned conference was not started, and why, and queues what its convener is told; `false` when another node of the
/// service was first, or it was started or moved meanwhile.
///
/// # Errors
/// A fault of the database.
pub async fn lapse(
    connection: &mut Connection,
    due: Due,
    scheduled_at: Timestamp,
    reason: &str,
    told: Option<NewJob>,
    now: Timestamp,
) -> StorageResult<bool> {
    connection
        .transaction(async |connection| {
            let open = rows::table
                .find(due.conference)
                .filter(rows::account.eq(due.account).and(rows::state.eq("planned")).and(rows::lapsed_at.is_null()))
                .filter(rows::scheduled_at.eq(Some(scheduled_at).to_diesel()));
            let lapsed = (rows::lapsed_at.eq(Some(now).to_diesel()), rows::reason.eq(Some(reason)));
            if diesel::update(open).set(lapsed).execute(connection).await? == 0 {
                return Ok(false);
            }
            outbox::add(connection, told.as_slice()).await.map(|()| true)
        })
        .await
}

/// A reminder that is due.
#[derive(Clone, Debug, PartialEq, Eq, QueryableByName)]
#[diesel(check_for_backend(diesel::pg::Pg))]
pub struct DueReminder {
    /// The conference.
    #[diesel(sql_type = diesel::sql_types::Uuid)]
    pub conference: ConferenceId,
    /// Whose it is.
    #[diesel(sql_type = diesel::sql_types::Uuid)]
    pub account: AccountId,
    /// Its plan.
    #[diesel(sql_type = diesel::sql_types::Uuid)]
    pub plan: PlanId,
    /// How long before the start.
    #[diesel(sql_type = diesel::sql_types::Integer)]
    pub minutes_before: i32,
}

/// The reminders whose time has come and that nobody has sent; one for a conference that has begun is not sent any more, nor one of a
/// locked account, whose conference will not take place.
/// Crosses accounts: for the service itself.
///
/// # Errors
/// A fault of the database.
pub async fn list_due_reminders(connection: &mut Connection, now: Timestamp) -> StorageResult<Vec<DueReminder>> {
    const DUE: &str = "SELECT conferences.id AS conference, conferences.account, plans.id AS plan, minutes_before \
        FROM conferences JOIN plans ON plans.id = conferences.plan \
            JOIN accounts ON accounts.id = conferences.account AND accounts.disabled_at IS NULL CROSS JOIN LATERAL unnest(plans.reminders) AS minutes_before \
        WHERE conferences.state = 'planned' AND conferences.scheduled_at > $1 AND cardinality(plans.channels) > 0 \
            AND conferences.scheduled_at - minutes_before * interval '1 minute' <= $1 \
            AND conferences.created_at < conferences.scheduled_at - minutes_before * interval '1 minute' \
            AND NOT EXISTS (SELECT FROM plan_reminders WHERE conference = conferences.id AND plan_reminders.minutes_before = minutes_before.minutes_before) \
        ORDER BY conferences.scheduled_at LIMIT 50";
    Ok(diesel::sql_query(DUE).bind::<diesel::sql_types::Timestamptz, _>(now.to_diesel()).load(connection).await?)
}

/// Sends a reminder, unless another node of the service was first. `false`: it was.
///
/// # Errors
/// A fault of the database.
pub async fn remind(connection: &mut Connection, due: &DueReminder, message: NewMessage, now: Timestamp) -> StorageResult<bool> {
    connection
        .transaction(async |connection| {
            let done = (
                plan_reminders::conference.eq(due.conference),
                plan_reminders::minutes_before.eq(due.minutes_before),
                plan_reminders::done_at.eq(now.to_diesel()),
            );
            if diesel::insert_into(plan_reminders::table).values(done).on_conflict_do_nothing().execute(connection).await? == 0 {
                return Ok(false);
            }
            // Reminders were asked for with the plan; no limit of this hour keeps them back.
            messages::add(connection, message, None).await.map(|_| true)
        })
        .await
}
