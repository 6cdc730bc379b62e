//! Conferences: planning, listing, starting, and the people in them.

use std::collections::HashMap;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::Caller;
use super::check::Checks;
use super::contacts::page_limit;
use super::extract::{JsonBody, KeyedBody, PathId, PathIds, QueryOf};
use super::people::{PersonInput, check_people};
use super::planner::key_is_taken;
use super::problem::{Kind, Problem};
use super::state::AppState;
use crate::clock;
use crate::conference::{ConferenceView, Control, NewParticipant, ParticipantView};
use crate::ids::{ConferenceId, ParticipantId};
use crate::runtime::Limits;
use crate::storage::accounts::Account;
use crate::storage::conferences::{self, NewConference};
use crate::storage::participants::{self, Participant};
use crate::storage::plans::{self, Added, Planned};
use crate::storage::series::{Apart, Places};
use crate::storage::{Connection, series};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list_conferences, plan_conference))
        .routes(routes!(show_conference, change_plan, delete_plan))
        .routes(routes!(start_conference))
        .routes(routes!(add_participant))
        .routes(routes!(delete_participant))
}

/// A conference to be planned.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ConferenceInput {
    /// Its title: one line of at most 200 characters.
    #[schema(example = "Jutranji sestanek", max_length = 200)]
    title: String,
    /// The people, in the order of dialling. The convener is added from the account and is not among them.
    #[serde(default)]
    participants: Vec<PersonInput>,
    /// When it is planned for.
    #[serde(default)]
    scheduled_at: Option<Timestamp>,
    /// Those inside hear a beep when somebody comes in; the account's setting if not given.
    #[serde(default)]
    entry_beep: Option<bool>,
    /// How long the others wait for a convener whose call has ended, 0 to 3600 seconds; the account's setting if not given.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 3600)]
    grace_seconds: Option<u32>,
}

/// What a convener may set for one conference, as kept in its row.
#[derive(Serialize)]
struct Wishes {
    #[serde(skip_serializing_if = "Option::is_none")]
    grace_seconds: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entry_beep: Option<bool>,
}

/// The most people of one of the account's conferences, the convener included.
pub(super) fn most_participants(state: &AppState, account: &Account) -> usize {
    let own = account.max_participants.and_then(|limit| u32::try_from(limit).ok()).unwrap_or(u32::MAX);
    own.min(state.rules.max_participants) as usize
}

fn check_time(checks: &mut Checks, scheduled_at: Option<Timestamp>, now: Timestamp) {
    const BACK: SignedDuration = SignedDuration::from_hours(24);
    const AHEAD: SignedDuration = SignedDuration::from_hours(2 * 366 * 24);
    if scheduled_at.is_some_and(|at| now.duration_since(at) > BACK || at.duration_since(now) > AHEAD) {
        checks.refuse("scheduled_at", "out_of_range", "a time from now to two years ahead");
    }
}

/// The places that a conference for a date wants; at its start a switch is looked for, whatever was planned.
fn places_at(state: &AppState, scheduled_at: Option<Timestamp>, now: Timestamp, people: usize, apart: Apart) -> Option<Places> {
    let at = scheduled_at.filter(|at| *at > now)?;
    Some(Places::at(at, state.runtime.capacities(), u32::try_from(people).unwrap_or(u32::MAX), apart))
}

/// Plan a conference
///
/// Nobody is called before it is started.
/// A request that is sent again with the same `Idempotency-Key` within 24 hours plans nothing twice and answers with the conference of the first.
#[utoipa::path(post, path = "/conferences", tag = "conferences", request_body = ConferenceInput,
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 200 characters that the sender chooses for this request")),
    responses((status = CREATED, body = ConferenceView), (status = CONFLICT, description = "As many are planned as may be, or there is not enough room at that time")))]
async fn plan_conference(
    State(state): State<AppState>,
    caller: Caller,
    KeyedBody { value: input, key }: KeyedBody<ConferenceInput>,
) -> Result<(StatusCode, Json<ConferenceView>), Problem> {
    let account = super::me::account_of(&state, &caller).await?;
    let now = clock::now();
    let limits = Limits::of(&state.rules, &account);
    let most_planned = limits.max_planned;
    let convener_allowed = limits.allows(&account.phone);
    let mut checks = Checks::within(limits);
    let title = checks.name("title", &input.title);
    check_time(&mut checks, input.scheduled_at, now);
    if input.grace_seconds.is_some_and(|seconds| seconds > 3600) {
        checks.refuse("grace_seconds", "out_of_range", "0 to 3600");
    }
    if !convener_allowed {
        checks.refuse("", "not_allowed", "calls to the convener's own number are not allowed; change it in the account");
    }
    let most = most_participants(&state, &account);
    if input.participants.len() >= most {
        checks.refuse("participants", "too_many", format!("a conference holds at most {most} people, the convener included"));
        checks.done()?;
        return Err(Problem::new(Kind::Internal));
    }
    let people = check_people(&state, &caller, &mut checks, "participants", &input.participants).await?;
    checks.done()?;
    let id = ConferenceId::fresh();
    let convener = NewParticipant { id: ParticipantId::fresh(), name: account.name, phone: account.phone, email: Some(account.email), contact: None };
    let roster = std::iter::once(convener).chain(people).zip(0..);
    let wishes = Wishes { grace_seconds: input.grace_seconds, entry_beep: input.entry_beep };
    let conference = NewConference {
        id,
        title,
        scheduled_at: input.scheduled_at,
        settings: serde_json::to_value(wishes).map_err(|_| Problem::new(Kind::Internal))?,
        created_at: now,
        participants: roster.map(|(person, place)| Participant::of(id, place, person)).collect(),
    };
    let places = places_at(&state, input.scheduled_at, now, conference.participants.len(), Apart::Nothing);
    let id = match plans::plan(&mut *state.pool.get().await?, caller.account, conference, i64::from(most_planned), key, places).await? {
        Planned::New => id,
        Planned::Before(id) => id,
        Planned::OtherRequest => return Err(key_is_taken()),
        Planned::NoPlaces(short) => return Err(short.into()),
        Planned::TooMany => {
            let words = format!("{most_planned} conferences are planned already, which is the limit");
            return Err(Problem::new(Kind::Conflict).word("too_many_planned").detail(words));
        }
    };
    Ok((StatusCode::CREATED, Json(state.runtime.view(caller.account, id).await?)))
}

/// Which part of the list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ConferenceQuery {
    /// At most this many: 1 to 200, 50 if not given.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<i64>,
    /// Begin before this conference: the `next` of the page before.
    #[param(value_type = Option<uuid::Uuid>)]
    before: Option<ConferenceId>,
    /// Only those that are to come, go on now, or are over.
    #[param(inline)]
    state: Option<Stage>,
}

/// Where conferences stand.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Stage {
    /// Not started.
    Planned,
    /// The convener is called, it runs, or it is closing.
    Open,
    /// Ended or failed.
    Over,
}

impl Stage {
    fn states(self) -> &'static [&'static str] {
        match self {
            Self::Planned => &["planned"],
            Self::Open => conferences::OPEN,
            Self::Over => &["ended", "failed"],
        }
    }
}

/// A conference in the list.
#[derive(Serialize, ToSchema)]
pub(super) struct ConferenceSummary {
    /// The conference.
    #[schema(value_type = uuid::Uuid)]
    id: ConferenceId,
    /// As the convener named it.
    title: String,
    /// `planned`, `calling_convener`, `running`, `closing`, `ended`, `failed`.
    state: String,
    /// Why it ended or failed; of a planned one, why the service could not start it at its time.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// When it was made.
    created_at: Timestamp,
    /// When it is planned for.
    #[serde(skip_serializing_if = "Option::is_none")]
    scheduled_at: Option<Timestamp>,
    /// When Start was pressed.
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<Timestamp>,
    /// When the convener came in.
    #[serde(skip_serializing_if = "Option::is_none")]
    running_since: Option<Timestamp>,
    /// When it was over.
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<Timestamp>,
    /// How many people it has, the convener included.
    participants: i64,
}

/// A part of the conferences, the newest first.
#[derive(Serialize, ToSchema)]
pub(super) struct ConferenceList {
    /// The conferences.
    conferences: Vec<ConferenceSummary>,
    /// Where the next page begins (`before`); absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<uuid::Uuid>)]
    next: Option<ConferenceId>,
}

/// List conferences
#[utoipa::path(get, path = "/conferences", tag = "conferences", params(ConferenceQuery), responses((status = OK, body = ConferenceList)))]
async fn list_conferences(
    State(state): State<AppState>,
    caller: Caller,
    QueryOf(query): QueryOf<ConferenceQuery>,
) -> Result<Json<ConferenceList>, Problem> {
    let limit = page_limit(query.limit, 50, 200)?;
    let mut connection = state.pool.get().await?;
    let mut found = conferences::list(&mut connection, caller.account, query.state.map(Stage::states), query.before, limit + 1).await?;
    let more = i64::try_from(found.len()).is_ok_and(|count| count > limit);
    if more {
        found.pop();
    }
    let next = found.last().filter(|_| more).map(|last| last.id);
    let ids: Vec<ConferenceId> = found.iter().map(|conference| conference.id).collect();
    let counts: HashMap<ConferenceId, i64> = participants::count(&mut connection, caller.account, &ids).await?.into_iter().collect();
    let summary = |conference: conferences::Conference| ConferenceSummary {
        participants: counts.get(&conference.id).copied().unwrap_or(0),
        id: conference.id,
        title: conference.title,
        state: conference.state,
        reason: conference.reason,
        created_at: conference.created_at,
        scheduled_at: conference.scheduled_at,
        started_at: conference.started_at,
        running_since: conference.running_since,
        ended_at: conference.ended_at,
    };
    Ok(Json(ConferenceList { conferences: found.into_iter().map(summary).collect(), next }))
}

/// Show a conference
///
/// With everybody in it, as things stand now.
#[utoipa::path(get, path = "/conferences/{id}", tag = "conferences", params(("id" = uuid::Uuid, Path, description = "The conference")),
    responses((status = OK, body = ConferenceView)))]
async fn show_conference(State(state): State<AppState>, caller: Caller, PathId(id): PathId<ConferenceId>) -> Result<Json<ConferenceView>, Problem> {
    Ok(Json(state.runtime.view(caller.account, id).await?))
}

/// What is to change about a planned conference; what is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PlanChange {
    /// Its title.
    #[schema(max_length = 200)]
    title: Option<String>,
    /// When it is planned for; `null` takes the time away.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<Timestamp>)]
    scheduled_at: Option<Option<Timestamp>>,
}

/// Tells a field that is `null` from one that is absent.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<Timestamp>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// The problem of a change that only a planned conference takes.
async fn not_planned(state: &AppState, caller: &Caller, id: ConferenceId) -> Problem {
    match state.runtime.view(caller.account, id).await {
        Ok(view) => Problem::new(Kind::Conflict).word("wrong_phase").detail(format!("the conference is {}", view.head.state)),
        Err(error) => error.into(),
    }
}

/// Change a planned conference
#[utoipa::path(patch, path = "/conferences/{id}", tag = "conferences", params(("id" = uuid::Uuid, Path, description = "The conference")),
    request_body = PlanChange,
    responses((status = OK, body = ConferenceView), (status = CONFLICT, description = "It has been started, or there is not enough room at that time")))]
async fn change_plan(
    State(state): State<AppState>,
    caller: Caller,
    PathId(id): PathId<ConferenceId>,
    JsonBody(change): JsonBody<PlanChange>,
) -> Result<Json<ConferenceView>, Problem> {
    let mut checks = Checks::default();
    let title = change.title.map(|title| checks.name("title", &title));
    check_time(&mut checks, change.scheduled_at.flatten(), clock::now());
    checks.done()?;
    let mut connection = state.pool.get().await?;
    let plan = conferences::lookup(&mut connection, caller.account, id).await?.ok_or_else(Problem::not_found)?;
    let title = title.unwrap_or(plan.title);
    let scheduled_at = change.scheduled_at.unwrap_or(plan.scheduled_at);
    let mut places = None;
    if scheduled_at != plan.scheduled_at {
        guard_plan(&mut connection, &caller, id).await?;
        let people = participants::count(&mut connection, caller.account, &[id]).await?.first().map_or(0, |(_, count)| *count);
        places = places_at(&state, scheduled_at, clock::now(), usize::try_from(people).unwrap_or(0), Apart::Conference(id));
    }
    let changed = plans::change(&mut connection, caller.account, id, (&title, scheduled_at), places).await??;
    drop(connection);
    if !changed {
        return Err(not_planned(&state, &caller, id).await);
    }
    state.was_edited(id);
    Ok(Json(state.runtime.view(caller.account, id).await?))
}

/// A conference whose people were invited is moved, cancelled and gets others by its plan, so that they are told.
async fn guard_plan(connection: &mut Connection, caller: &Caller, id: ConferenceId) -> Result<(), Problem> {
    match series::of_conference(connection, caller.account, id).await? {
        Some(plan) => {
            let words = format!("It belongs to the plan {0}: use /plans/{0} or /plans/{0}/conferences/{id}, so that people are told.", plan.id);
            Err(Problem::new(Kind::Conflict).word("belongs_to_plan").detail(words))
        }
        None => Ok(()),
    }
}

/// Delete a planned conference
#[utoipa::path(delete, path = "/conferences/{id}", tag = "conferences", params(("id" = uuid::Uuid, Path, description = "The conference")),
    responses((status = NO_CONTENT, description = "The conference is gone"), (status = CONFLICT, description = "It has been started")))]
async fn delete_plan(State(state): State<AppState>, caller: Caller, PathId(id): PathId<ConferenceId>) -> Result<StatusCode, Problem> {
    let mut connection = state.pool.get().await?;
    guard_plan(&mut connection, &caller, id).await?;
    let removed = conferences::remove_planned(&mut connection, caller.account, id).await?;
    drop(connection);
    if !removed {
        return Err(not_planned(&state, &caller, id).await);
    }
    state.was_edited(id);
    Ok(StatusCode::NO_CONTENT)
}

/// Start a conference
///
/// The convener is called, and when he is in, everybody else.
#[utoipa::path(post, path = "/conferences/{id}/start", tag = "conferences", params(("id" = uuid::Uuid, Path, description = "The conference")),
    responses((status = ACCEPTED, body = ConferenceView), (status = CONFLICT, description = "It has been started before, or too many run already")))]
async fn start_conference(
    State(state): State<AppState>,
    caller: Caller,
    PathId(id): PathId<ConferenceId>,
) -> Result<(StatusCode, Json<ConferenceView>), Problem> {
    let view = state.runtime.start(caller.account, id).await?;
    Ok((StatusCode::ACCEPTED, Json(view)))
}

/// Add a participant
///
/// Before the start he is only added; while the conference runs he is also called.
/// The people of a plan are changed by the plan, so that they are told.
#[utoipa::path(post, path = "/conferences/{id}/participants", tag = "conferences", params(("id" = uuid::Uuid, Path, description = "The conference")),
    request_body = PersonInput,
    responses((status = CREATED, body = ParticipantView), (status = CONFLICT, description = "It is over, full or of a plan, or there is not enough room")))]
async fn add_participant(
    State(state): State<AppState>,
    caller: Caller,
    PathId(id): PathId<ConferenceId>,
    JsonBody(input): JsonBody<PersonInput>,
) -> Result<(StatusCode, Json<ParticipantView>), Problem> {
    // One connection at a time: requests that hold one and wait for another would starve each other.
    let plan = conferences::lookup(&mut *state.pool.get().await?, caller.account, id).await?.ok_or_else(Problem::not_found)?;
    let account = super::me::account_of(&state, &caller).await?;
    let mut checks = Checks::within(Limits::of(&state.rules, &account));
    let people = check_people(&state, &caller, &mut checks, "", std::slice::from_ref(&input)).await?;
    checks.done()?;
    let person = people.into_iter().next().ok_or(Problem::new(Kind::Internal))?;
    let person_id = person.id;
    if plan.state == "planned" {
        guard_plan(&mut *state.pool.get().await?, &caller, id).await?;
        let most = most_participants(&state, &account);
        // Not the convener; its place on the roster is the next one.
        let row = Participant { convener: false, ..Participant::of(id, 0, person.clone()) };
        // How many people there are is counted when nobody else can be added.
        let places = places_at(&state, plan.scheduled_at, clock::now(), 0, Apart::Conference(id));
        let added = plans::add_person(&mut *state.pool.get().await?, caller.account, row, i64::try_from(most).unwrap_or(i64::MAX), places).await?;
        match added {
            Added::Yes => {
                state.was_edited(id);
                let view = state.runtime.view(caller.account, id).await?;
                return created(view, person_id);
            }
            Added::Full => return Err(Problem::new(Kind::Conflict).word("full").detail(format!("the conference may hold {most} participants"))),
            Added::NoPlaces(short) => return Err(short.into()),
            // It was started in this very moment: then its owner adds the person.
            Added::NotPlanned => {}
        }
    }
    let view = state.runtime.control(caller.account, id, Control::Add { participant: person }).await?;
    created(view, person_id)
}

fn created(view: ConferenceView, person: ParticipantId) -> Result<(StatusCode, Json<ParticipantView>), Problem> {
    participant_of(view, person).map(|view| (StatusCode::CREATED, Json(view)))
}

/// One participant of a conference.
pub(super) fn participant_of(view: ConferenceView, person: ParticipantId) -> Result<ParticipantView, Problem> {
    view.participants.into_iter().find(|participant| participant.id == person).ok_or_else(Problem::not_found)
}

/// Delete a participant
///
/// Of a planned conference; in a running one use `remove`. The convener cannot be deleted, and people of a plan are changed by the plan.
#[utoipa::path(delete, path = "/conferences/{id}/participants/{pid}", tag = "conferences",
    params(("id" = uuid::Uuid, Path, description = "The conference"), ("pid" = uuid::Uuid, Path, description = "The participant")),
    responses((status = NO_CONTENT, description = "The participant is gone"), (status = CONFLICT, description = "It has been started, or is of a plan, or this is the convener")))]
async fn delete_participant(
    State(state): State<AppState>,
    caller: Caller,
    PathIds(id, pid): PathIds<ConferenceId, ParticipantId>,
) -> Result<StatusCode, Problem> {
    let mut connection = state.pool.get().await?;
    let plan = conferences::lookup(&mut connection, caller.account, id).await?.ok_or_else(Problem::not_found)?;
    if plan.state == "planned" {
        guard_plan(&mut connection, &caller, id).await?;
    }
    let removed = participants::remove(&mut connection, caller.account, id, pid).await?;
    drop(connection);
    if removed {
        state.was_edited(id);
        return Ok(StatusCode::NO_CONTENT);
    }
    let view = state.runtime.view(caller.account, id).await?;
    let phase = view.head.state.clone();
    let participant = participant_of(view, pid)?;
    if participant.convener {
        return Err(Problem::new(Kind::Conflict).word("convener").detail("the convener belongs to the conference"));
    }
    Err(Problem::new(Kind::Conflict).word("wrong_phase").detail(format!("the conference is {phase}")))
}
