//! Plans: conferences at a time, once or again and again, with invitations, changes and cancellations.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::Caller;
use super::contacts::page_limit;
use super::extract::{JsonBody, KeyedBody, LIST_LIMIT, PathId, PathIds, QueryOf};
use super::message_views::{MessageList, view as message_view};
use super::messages::{Lacking, MessageChannel};
use super::people::PersonInput;
use super::planner::{Draft, PlanDraft};
use super::problem::Problem;
use super::state::AppState;
use crate::ids::{ConferenceId, PlanId};
use crate::planning::{Every, RepeatEnd};
use crate::storage::series::{self, Apart, Plan, PlanFault, PlannedConference};
use crate::storage::{Connection, messages};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list_plans, make_plan))
        .routes(routes!(check_plan))
        .routes(routes!(show_plan, change_whole_plan, cancel_plan))
        .routes(routes!(move_occurrence, cancel_occurrence))
        .routes(routes!(list_plan_messages))
}

/// Who begins a planned conference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum StartMode {
    /// At its time the service calls the convener, and then everybody else.
    CallConvener,
    /// The convener presses Start.
    Wait,
}

impl StartMode {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::CallConvener => "call_convener",
            Self::Wait => "wait",
        }
    }
}

/// How a conference repeats: with `count` or with `until`.
#[derive(Clone, Copy, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"every": "week", "count": 10}))]
pub(super) struct RepeatInput {
    /// How often.
    pub(super) every: Every,
    /// How many conferences, the first included: 2 to 104.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 2, maximum = 104)]
    pub(super) count: Option<u32>,
    /// Until this day, which is included; at most two years after the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Date, example = "2027-06-30")]
    pub(super) until: Option<Date>,
}

/// A plan to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"title": "Uprava", "starts": "2027-03-22T09:00", "time_zone": "Europe/Ljubljana", "length_minutes": 45,
    "repeat": {"every": "week", "count": 10}, "start_mode": "call_convener", "channels": ["email"], "reminders": [15],
    "participants": [{"name": "Žiga Čopič", "phone": "040 123 456", "email": "ziga@example.com"}]}))]
pub(super) struct PlanInput {
    /// The title: one line of at most 200 characters.
    #[schema(max_length = 200)]
    pub(super) title: String,
    /// The agenda: several lines of at most 2000 characters.
    #[serde(default)]
    #[schema(max_length = 2000)]
    pub(super) agenda: Option<String>,
    /// The people. The convener is added from the account and is not among them.
    #[serde(default)]
    pub(super) participants: Vec<PersonInput>,
    /// The (first) start by the clock on the wall, without an offset.
    #[schema(value_type = String, example = "2027-03-22T09:00")]
    pub(super) starts: DateTime,
    /// The time zone of that clock (IANA name); the account's if not given.
    #[serde(default)]
    #[schema(example = "Europe/Ljubljana")]
    pub(super) time_zone: Option<String>,
    /// How long it is to take, in minutes: 5 to 1440.
    #[serde(default = "usual_length")]
    #[schema(minimum = 5, maximum = 1440)]
    pub(super) length_minutes: u32,
    /// How it repeats; once if not given.
    #[serde(default)]
    pub(super) repeat: Option<RepeatInput>,
    /// Who begins it.
    #[serde(default = "usual_start")]
    pub(super) start_mode: StartMode,
    /// By which channels people are invited, told of changes and reminded; nobody is told anything by none.
    #[serde(default)]
    pub(super) channels: Vec<MessageChannel>,
    /// When people are reminded, in minutes before the start: 1 to 10080, at most five.
    #[serde(default)]
    pub(super) reminders: Vec<u32>,
    /// Go on though somebody lacks an address or a number for one of the channels.
    #[serde(default)]
    pub(super) skip_lacking: bool,
}

fn usual_length() -> u32 {
    60
}

fn usual_start() -> StartMode {
    StartMode::Wait
}

/// What is to change about a plan; what is left out stays. All conferences that have not been started follow.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PlanUpdate {
    /// The title.
    #[serde(default)]
    #[schema(max_length = 200)]
    pub(super) title: Option<String>,
    /// The agenda; empty takes it away.
    #[serde(default)]
    #[schema(max_length = 2000)]
    pub(super) agenda: Option<String>,
    /// All people instead of those who are there; who is new is invited, who is gone gets a cancellation.
    #[serde(default)]
    pub(super) participants: Option<Vec<PersonInput>>,
    /// The first start by the clock on the wall; the whole series moves with it, as long as none of it has been started.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "2027-03-22T10:00")]
    pub(super) starts: Option<DateTime>,
    /// The time zone of that clock.
    #[serde(default)]
    pub(super) time_zone: Option<String>,
    /// How long each takes, in minutes.
    #[serde(default)]
    #[schema(minimum = 5, maximum = 1440)]
    pub(super) length_minutes: Option<u32>,
    /// Who begins it.
    #[serde(default)]
    pub(super) start_mode: Option<StartMode>,
    /// By which channels people are told.
    #[serde(default)]
    pub(super) channels: Option<Vec<MessageChannel>>,
    /// When people are reminded, in minutes before the start.
    #[serde(default)]
    pub(super) reminders: Option<Vec<u32>>,
    /// Go on though somebody lacks an address or a number for one of the channels.
    #[serde(default)]
    pub(super) skip_lacking: bool,
}

/// Another time for one conference of a plan.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OccurrenceMove {
    /// When it takes place, by the clock on the wall in the plan's time zone.
    #[schema(value_type = String, example = "2027-03-23T11:00")]
    starts: DateTime,
}

/// One conference of a plan.
#[derive(Serialize, ToSchema)]
pub(super) struct OccurrenceView {
    /// The conference, which can be shown, started and deleted like any other.
    #[schema(value_type = uuid::Uuid)]
    conference_id: ConferenceId,
    /// Its state.
    #[schema(example = "planned")]
    state: String,
    /// Where the series has it, by the clock on the wall.
    series_start: String,
    /// When it takes place.
    scheduled_at: Option<Timestamp>,
}

/// A plan.
#[derive(Serialize, ToSchema)]
pub(super) struct PlanView {
    /// The plan.
    #[schema(value_type = uuid::Uuid)]
    id: PlanId,
    /// The title.
    title: String,
    /// The agenda.
    agenda: String,
    /// The first start by the clock on the wall.
    #[schema(value_type = String)]
    starts: DateTime,
    /// The time zone of that clock.
    time_zone: String,
    /// How long each takes, in minutes.
    length_minutes: u32,
    /// How it repeats.
    #[serde(skip_serializing_if = "Option::is_none")]
    repeat: Option<RepeatInput>,
    /// `call_convener` or `wait`.
    start_mode: String,
    /// `sms`, `email`.
    channels: Vec<String>,
    /// Minutes before the start.
    reminders: Vec<i32>,
    /// How often people were told of changes.
    sequence: i32,
    /// When it was made.
    created_at: Timestamp,
    /// When it was cancelled as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    cancelled_at: Option<Timestamp>,
    /// Its conferences, those that were cancelled left out.
    occurrences: Vec<OccurrenceView>,
    /// Who was not told by each channel, because of what is lacking.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    skipped: Vec<Lacking>,
}

/// A time of a plan that is being made.
#[derive(Serialize, ToSchema)]
pub(super) struct CheckedOccurrence {
    /// By the clock on the wall.
    #[schema(value_type = String)]
    pub(super) starts: DateTime,
    /// The moment.
    pub(super) scheduled_at: Timestamp,
    /// How many people could be in one conference then.
    pub(super) free_places: u32,
    /// Whether these people could.
    pub(super) enough: bool,
}

/// A plan before it is made.
#[derive(Serialize, ToSchema)]
pub(super) struct PlanCheck {
    /// How many people it would have, the convener included.
    people: u32,
    /// Its times.
    occurrences: Vec<CheckedOccurrence>,
    /// Who lacks an address or a number for one of the channels.
    lacking: Vec<Lacking>,
}

/// The answer with a plan as it stands now.
async fn shown(connection: &mut Connection, plan: Plan, skipped: Vec<Lacking>) -> Result<Json<PlanView>, Problem> {
    let conferences = series::list_conferences(connection, plan.account, plan.id).await?;
    let occurrence = |one: PlannedConference| OccurrenceView {
        conference_id: one.id,
        state: one.state,
        series_start: one.plan_start.unwrap_or_default(),
        scheduled_at: one.scheduled_at,
    };
    let repeat = plan.schedule.repeat.map(|repeat| match repeat.end {
        RepeatEnd::Count(count) => RepeatInput { every: repeat.every, count: Some(count), until: None },
        RepeatEnd::Until(until) => RepeatInput { every: repeat.every, count: None, until: Some(until) },
    });
    Ok(Json(PlanView {
        id: plan.id,
        title: plan.title,
        agenda: plan.agenda,
        starts: plan.schedule.starts,
        time_zone: plan.schedule.time_zone,
        length_minutes: plan.schedule.length_minutes,
        repeat,
        start_mode: plan.start_mode,
        channels: plan.channels,
        reminders: plan.reminders,
        sequence: plan.sequence,
        created_at: plan.created_at,
        cancelled_at: plan.cancelled_at,
        occurrences: conferences.into_iter().map(occurrence).collect(),
        skipped,
    }))
}

/// Make a plan
///
/// Plans the conferences and invites the people, all or nothing. There must be room at each of the times.
/// A request that is sent again with the same `Idempotency-Key` within 24 hours plans nothing twice and answers with the plan of the first.
#[utoipa::path(post, path = "/plans", tag = "plans", request_body = PlanInput,
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 200 characters that the sender chooses for this request")),
    responses((status = CREATED, body = PlanView),
        (status = CONFLICT, description = "There is not enough room at one of the times, or as many are planned as may be")))]
async fn make_plan(
    State(state): State<AppState>,
    caller: Caller,
    KeyedBody { value: input, key }: KeyedBody<PlanInput>,
) -> Result<(StatusCode, Json<PlanView>), Problem> {
    let PlanDraft { change, lacking, .. } = Draft::new(&state, &caller).await?.make(input, key).await?;
    let plan = change.plan.clone();
    let mut connection = state.pool.get().await?;
    let plan = match series::apply(&mut connection, change).await {
        Ok(()) => plan,
        Err(PlanFault::Before(before)) => series::lookup(&mut connection, caller.account, before).await?.ok_or_else(Problem::not_found)?,
        Err(fault) => return Err(fault.into()),
    };
    state.bell.ring();
    Ok((StatusCode::CREATED, shown(&mut connection, plan, lacking).await?))
}

/// What a plan is checked against.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct CheckQuery {
    /// The plan that is to be changed: its own conferences take no places.
    #[param(value_type = Option<uuid::Uuid>)]
    plan: Option<PlanId>,
}

/// Check a plan
///
/// Its times, the free places at each, and who cannot be told. Nothing is planned.
#[utoipa::path(post, path = "/plans/check", tag = "plans", params(CheckQuery), request_body = PlanInput,
    responses((status = OK, body = PlanCheck)))]
async fn check_plan(
    State(state): State<AppState>,
    caller: Caller,
    QueryOf(query): QueryOf<CheckQuery>,
    JsonBody(input): JsonBody<PlanInput, LIST_LIMIT>,
) -> Result<Json<PlanCheck>, Problem> {
    let draft = Draft::new(&state, &caller).await?.make(PlanInput { skip_lacking: true, ..input }, None).await?;
    let mut connection = state.pool.get().await?;
    let apart = match query.plan {
        Some(plan) => Apart::Plan(series::lookup(&mut connection, caller.account, plan).await?.ok_or_else(Problem::not_found)?.id),
        None => Apart::Nothing,
    };
    let (people, occurrences) = draft.room(&mut connection, apart).await?;
    Ok(Json(PlanCheck { people, occurrences, lacking: draft.lacking }))
}

/// Which part of the list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PlanQuery {
    /// At most this many: 1 to 100, 50 if not given.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<i64>,
    /// Begin before this plan: the last of the page before.
    #[param(value_type = Option<uuid::Uuid>)]
    before: Option<PlanId>,
    /// Only the plan to which this conference belongs.
    #[param(value_type = Option<uuid::Uuid>)]
    conference: Option<ConferenceId>,
}

/// A part of the plans, the newest first.
#[derive(Serialize, ToSchema)]
pub(super) struct PlanList {
    /// The plans.
    plans: Vec<PlanView>,
}

/// List plans
#[utoipa::path(get, path = "/plans", tag = "plans", params(PlanQuery), responses((status = OK, body = PlanList)))]
async fn list_plans(State(state): State<AppState>, caller: Caller, QueryOf(query): QueryOf<PlanQuery>) -> Result<Json<PlanList>, Problem> {
    let limit = page_limit(query.limit, 50, 100)?;
    let mut connection = state.pool.get().await?;
    let mut list = Vec::new();
    let found = match query.conference {
        Some(conference) => series::of_conference(&mut connection, caller.account, conference).await?.into_iter().collect(),
        None => series::list(&mut connection, caller.account, query.before, limit).await?,
    };
    for plan in found {
        list.push(shown(&mut connection, plan, Vec::new()).await?.0);
    }
    Ok(Json(PlanList { plans: list }))
}

/// Show a plan
#[utoipa::path(get, path = "/plans/{id}", tag = "plans", params(("id" = uuid::Uuid, Path, description = "The plan")),
    responses((status = OK, body = PlanView)))]
async fn show_plan(State(state): State<AppState>, caller: Caller, PathId(id): PathId<PlanId>) -> Result<Json<PlanView>, Problem> {
    let mut connection = state.pool.get().await?;
    let plan = series::lookup(&mut connection, caller.account, id).await?.ok_or_else(Problem::not_found)?;
    shown(&mut connection, plan, Vec::new()).await
}

/// Change a plan
///
/// Conferences that have not been started follow, those that were moved one by one too. People are told by the plan's channels.
#[utoipa::path(patch, path = "/plans/{id}", tag = "plans", params(("id" = uuid::Uuid, Path, description = "The plan")), request_body = PlanUpdate,
    responses((status = OK, body = PlanView), (status = CONFLICT, description = "It is cancelled, over or, for another time, under way, or there is not enough room")))]
async fn change_whole_plan(
    State(state): State<AppState>,
    caller: Caller,
    PathId(id): PathId<PlanId>,
    JsonBody(update): JsonBody<PlanUpdate, LIST_LIMIT>,
) -> Result<Json<PlanView>, Problem> {
    let PlanDraft { change, lacking, .. } = Draft::of(&state, &caller, id).await?.change(update).await?;
    let plan = change.plan.clone();
    let mut connection = state.pool.get().await?;
    series::apply(&mut connection, change).await?;
    state.bell.ring();
    let conferences = series::list_conferences(&mut connection, plan.account, plan.id).await?;
    conferences.iter().for_each(|one| state.was_edited(one.id));
    shown(&mut connection, plan, lacking).await
}

/// Cancel a plan
///
/// Its conferences that have not been started are deleted, and people are told.
#[utoipa::path(delete, path = "/plans/{id}", tag = "plans", params(("id" = uuid::Uuid, Path, description = "The plan")),
    responses((status = OK, body = PlanView), (status = CONFLICT, description = "It is cancelled already")))]
async fn cancel_plan(State(state): State<AppState>, caller: Caller, PathId(id): PathId<PlanId>) -> Result<Json<PlanView>, Problem> {
    let change = Draft::of(&state, &caller, id).await?.cancel().await?;
    carried_out(&state, change).await
}

/// Move one conference of a plan
#[utoipa::path(patch, path = "/plans/{id}/conferences/{pid}", tag = "plans", request_body = OccurrenceMove,
    params(("id" = uuid::Uuid, Path, description = "The plan"), ("pid" = uuid::Uuid, Path, description = "The conference")),
    responses((status = OK, body = PlanView), (status = CONFLICT, description = "It has been started, or there is not enough room")))]
async fn move_occurrence(
    State(state): State<AppState>,
    caller: Caller,
    PathIds(id, conference): PathIds<PlanId, ConferenceId>,
    JsonBody(moved): JsonBody<OccurrenceMove>,
) -> Result<Json<PlanView>, Problem> {
    let change = Draft::of(&state, &caller, id).await?.move_one(conference, moved.starts).await?;
    carried_out(&state, change).await
}

/// Cancel one conference of a plan
///
/// With the last one the plan itself is cancelled.
#[utoipa::path(delete, path = "/plans/{id}/conferences/{pid}", tag = "plans",
    params(("id" = uuid::Uuid, Path, description = "The plan"), ("pid" = uuid::Uuid, Path, description = "The conference")),
    responses((status = OK, body = PlanView), (status = CONFLICT, description = "It has been started")))]
async fn cancel_occurrence(
    State(state): State<AppState>,
    caller: Caller,
    PathIds(id, conference): PathIds<PlanId, ConferenceId>,
) -> Result<Json<PlanView>, Problem> {
    let change = Draft::of(&state, &caller, id).await?.cancel_one(conference).await?;
    carried_out(&state, change).await
}

async fn carried_out(state: &AppState, change: series::Change) -> Result<Json<PlanView>, Problem> {
    let plan = change.plan.clone();
    let touched: Vec<ConferenceId> = change.remove.iter().copied().chain(change.moves.iter().map(|moved| moved.conference)).collect();
    let mut connection = state.pool.get().await?;
    series::apply(&mut connection, change).await?;
    state.bell.ring();
    touched.into_iter().for_each(|conference| state.was_edited(conference));
    shown(&mut connection, plan, Vec::new()).await
}

/// List the messages of a plan
///
/// Invitations, changes and cancellations, with what became of each.
#[utoipa::path(get, path = "/plans/{id}/messages", tag = "plans", params(("id" = uuid::Uuid, Path, description = "The plan")),
    responses((status = OK, body = MessageList)))]
async fn list_plan_messages(State(state): State<AppState>, caller: Caller, PathId(id): PathId<PlanId>) -> Result<Json<MessageList>, Problem> {
    let mut connection = state.pool.get().await?;
    series::lookup(&mut connection, caller.account, id).await?.ok_or_else(Problem::not_found)?;
    let found = messages::list_of_plan(&mut connection, caller.account, id).await?;
    Ok(Json(MessageList { messages: found.into_iter().map(message_view).collect() }))
}
