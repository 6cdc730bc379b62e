//! What the operator's staff sees: the service as a whole, over all accounts and switches. Every handler takes [`Staff`].

use std::collections::HashMap;

use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::auth::Caller;
use super::contacts::page_limit;
use super::extract::{PathId, QueryOf};
use super::problem::{Kind, Problem};
use super::state::AppState;
use crate::clock;
use crate::ids::ConferenceId;
use crate::runtime::SwitchReadiness;
use crate::storage::{operator, outbox};

/// The most rows of one answer.
const MOST: i64 = 500;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(show_health)).routes(routes!(list_open)).routes(routes!(list_deliveries)).routes(routes!(retry_delivery))
}

/// A caller whose account is the operator's own. Everybody else is refused, whatever he asks for.
pub(super) struct Staff;

impl FromRequestParts<AppState> for Staff {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        let caller = Caller::from_request_parts(parts, state).await?;
        let account = super::me::account_of(state, &caller).await?;
        if account.staff { Ok(Self) } else { Err(Problem::new(Kind::Forbidden)) }
    }
}

/// How the service is.
#[derive(Serialize, ToSchema)]
pub(super) struct Health {
    /// The version of the service that answers.
    #[schema(example = "0.1.0")]
    version: &'static str,
    /// The database answers.
    database: bool,
    /// The switches of the service that answers.
    switches: Vec<SwitchReadiness>,
    /// Every switch that any service has driven.
    heard: Vec<HeardSwitch>,
    /// Conferences that run on the service that answers.
    conferences: usize,
    /// Messages that wait to be sent.
    queued: i64,
    /// Messages that have failed for good.
    failed: i64,
    /// Charges without a price: calls that nobody is billed for.
    unrated: i64,
}

/// When a switch was last heard, whichever service drives it.
#[derive(Serialize, ToSchema)]
pub(super) struct HeardSwitch {
    /// Its name in the configuration.
    name: String,
    /// When it was started, as it said.
    #[serde(skip_serializing_if = "Option::is_none")]
    booted_at: Option<Timestamp>,
    /// When it was last heard.
    last_heard_at: Timestamp,
}

/// Health of the service
#[utoipa::path(get, path = "/operator/health", tag = "operator", responses((status = OK, body = Health)))]
async fn show_health(State(state): State<AppState>, _staff: Staff) -> Result<Json<Health>, Problem> {
    let readiness = state.runtime.readiness().await;
    let mut connection = state.pool.get().await?;
    let jobs: HashMap<String, i64> = outbox::count_by_state(&mut connection).await?.into_iter().collect();
    let heard = operator::switches(&mut connection).await?;
    let count = |state: &str| jobs.get(state).copied().unwrap_or(0);
    Ok(Json(Health {
        version: env!("CARGO_PKG_VERSION"),
        database: readiness.database,
        switches: readiness.switches,
        heard: heard.into_iter().map(|node| HeardSwitch { name: node.name, booted_at: node.booted_at, last_heard_at: node.last_heard_at }).collect(),
        conferences: readiness.conferences,
        queued: count("queued") + count("sending"),
        failed: count("failed"),
        unrated: operator::count_unrated(&mut connection).await?,
    }))
}

/// A conference that runs, as the staff sees it: without the people's names and numbers.
#[derive(Serialize, ToSchema)]
pub(super) struct OpenConference {
    /// The conference.
    #[schema(value_type = Uuid)]
    id: ConferenceId,
    /// The account's user number.
    user_number: String,
    /// The convener's name.
    convener: String,
    /// As the convener named it.
    title: String,
    /// `calling_convener`, `running` or `closing`.
    state: String,
    /// The switch on which it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<String>,
    /// When it was started.
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<Timestamp>,
    /// When the convener came in.
    #[serde(skip_serializing_if = "Option::is_none")]
    running_since: Option<Timestamp>,
    /// How many people it has, the convener included.
    participants: i64,
    /// How many are inside.
    inside: i64,
}

/// Conferences that run
///
/// On all switches and services, the longest first, at most 500.
#[utoipa::path(get, path = "/operator/conferences", tag = "operator", responses((status = OK, body = Vec<OpenConference>)))]
async fn list_open(State(state): State<AppState>, _staff: Staff) -> Result<Json<Vec<OpenConference>>, Problem> {
    let mut connection = state.pool.get().await?;
    let open = operator::open_conferences(&mut connection, MOST).await?;
    let ids: Vec<ConferenceId> = open.iter().map(|one| one.id).collect();
    let people: HashMap<ConferenceId, i64> = operator::count_people(&mut connection, &ids).await?.into_iter().collect();
    let inside: HashMap<ConferenceId, i64> = operator::count_inside(&mut connection, &ids).await?.into_iter().collect();
    let view = |one: operator::OpenConference| OpenConference {
        participants: people.get(&one.id).copied().unwrap_or(0),
        inside: inside.get(&one.id).copied().unwrap_or(0),
        id: one.id,
        user_number: one.user_number,
        convener: one.convener,
        title: one.title,
        state: one.state,
        node: one.node,
        started_at: one.started_at,
        running_since: one.running_since,
    };
    Ok(Json(open.into_iter().map(view).collect()))
}

/// A message that did not go out at once.
#[derive(Serialize, ToSchema)]
pub(super) struct Delivery {
    /// The message.
    id: Uuid,
    /// What it is, such as `mail`.
    kind: String,
    /// The account's user number.
    user_number: String,
    /// The conference that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Uuid>)]
    conference: Option<ConferenceId>,
    /// `queued`: it is tried again; `sending`: just now; `failed`: it is not.
    state: String,
    /// How often it was tried.
    attempts: i32,
    /// Why the last attempt failed, as the other side said it.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<String>,
    /// When it was made.
    created_at: Timestamp,
    /// When it is tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_attempt_at: Option<Timestamp>,
}

/// How many.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct DeliveryQuery {
    /// At most this many: 1 to 500, 100 if not given.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<i64>,
}

/// Messages that do not go out
///
/// Those that have failed for good, and those that failed and are tried again; the newest first.
#[utoipa::path(get, path = "/operator/deliveries", tag = "operator", params(DeliveryQuery), responses((status = OK, body = Vec<Delivery>)))]
async fn list_deliveries(
    State(state): State<AppState>,
    _staff: Staff,
    QueryOf(query): QueryOf<DeliveryQuery>,
) -> Result<Json<Vec<Delivery>>, Problem> {
    let limit = page_limit(query.limit, 100, MOST)?;
    let found = operator::troubled_jobs(&mut *state.pool.get().await?, limit).await?;
    let view = |job: operator::TroubledJob| Delivery {
        next_attempt_at: (job.state == "queued").then_some(job.next_attempt_at),
        id: job.id,
        kind: job.kind,
        user_number: job.user_number,
        conference: job.conference,
        state: job.state,
        attempts: job.attempts,
        last_error: job.last_error,
        created_at: job.created_at,
    };
    Ok(Json(found.into_iter().map(view).collect()))
}

/// Send a message after all
///
/// One that has failed for good is tried again.
#[utoipa::path(post, path = "/operator/deliveries/{id}/retry", tag = "operator", params(("id" = Uuid, Path, description = "The message")),
    responses((status = NO_CONTENT, description = "It is tried again")))]
async fn retry_delivery(State(state): State<AppState>, _staff: Staff, PathId(id): PathId<Uuid>) -> Result<StatusCode, Problem> {
    let again = operator::retry_job(&mut *state.pool.get().await?, id, clock::now()).await?;
    if again { Ok(StatusCode::NO_CONTENT) } else { Err(Problem::not_found()) }
}
