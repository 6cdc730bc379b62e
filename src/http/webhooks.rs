//! An account's webhooks: other systems that are told what happens.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::Caller;
use super::check::Checks;
use super::extract::{JsonBody, PathId};
use super::problem::{Kind, Problem};
use super::secrets::new_api_token;
use super::state::AppState;
use crate::clock;
use crate::delivery::{EVENT_KINDS, Reach, UrlError, check_endpoint, check_resolved};
use crate::ids::{ConferenceId, WebhookId};
use crate::storage::webhooks::{self, Webhook};

/// The most events that one replay queues.
const REPLAY_LIMIT: i64 = 10_000;
/// How many deliveries are listed.
const DELIVERIES: i64 = 100;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list_webhooks, add_webhook))
        .routes(routes!(delete_webhook))
        .routes(routes!(list_webhook_deliveries))
        .routes(routes!(replay_webhook))
}

/// A webhook to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "CRM", "url": "https://crm.example.com/hooks/sklic", "events": ["conference.ended", "report.ready"]}))]
pub(super) struct WebhookInput {
    /// What you call it: one line of at most 200 characters.
    #[schema(max_length = 200)]
    name: String,
    /// Where events are sent to: `https://…`. Addresses of this machine and of private networks are refused.
    #[schema(max_length = 2000)]
    url: String,
    /// Which events; all if not given: `conference.started`, `participant.in`, `participant.out`, `participant.failed`,
    /// `conference.ended`, `report.ready`, `charge.written`.
    #[serde(default)]
    events: Vec<String>,
}

/// A webhook.
#[derive(Serialize, ToSchema)]
pub(super) struct WebhookView {
    /// The webhook.
    #[schema(value_type = uuid::Uuid)]
    id: WebhookId,
    /// What you call it.
    name: String,
    /// Where events are sent to.
    url: String,
    /// Which events; all if empty.
    events: Vec<String>,
    /// When it was made.
    created_at: Timestamp,
    /// Signs what is sent; told only once, when the webhook is made. `Sklic-Signature` holds `t=<seconds>,v1=<hex>`, with HMAC-SHA256 by
    /// this secret over `<seconds>.<body>`.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

/// The account's webhooks.
#[derive(Serialize, ToSchema)]
pub(super) struct WebhookList {
    /// The webhooks.
    webhooks: Vec<WebhookView>,
}

/// What became of an event.
#[derive(Serialize, ToSchema)]
pub(super) struct WebhookDeliveryView {
    /// The delivery, as the header `Sklic-Delivery` names it.
    id: uuid::Uuid,
    /// The event's kind.
    #[serde(rename = "type")]
    kind: String,
    /// The event.
    event_id: String,
    /// The conference.
    conference_id: String,
    /// The event's number in its conference.
    sequence: i64,
    /// `queued`, `sent` or `failed`.
    state: String,
    /// How often it was tried.
    attempts: i32,
    /// Why the last attempt failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// When it was queued.
    created_at: Timestamp,
}

/// The last deliveries of a webhook, the newest first.
#[derive(Serialize, ToSchema)]
pub(super) struct WebhookDeliveryList {
    /// The deliveries.
    deliveries: Vec<WebhookDeliveryView>,
}

/// Which events are sent once more.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReplayInput {
    /// From this time on.
    since: Timestamp,
    /// Of this conference only.
    #[serde(default)]
    #[schema(value_type = Option<uuid::Uuid>)]
    conference_id: Option<ConferenceId>,
}

/// Events that were queued.
#[derive(Serialize, ToSchema)]
pub(super) struct Replayed {
    /// How many.
    events: usize,
}

fn view(webhook: Webhook, secret: Option<String>) -> WebhookView {
    let events = webhook.kinds.into_iter().flatten().collect();
    WebhookView { id: webhook.id, name: webhook.name, url: webhook.url, events, created_at: webhook.created_at, secret }
}

/// List webhooks
#[utoipa::path(get, path = "/webhooks", tag = "webhooks", responses((status = OK, body = WebhookList)))]
async fn list_webhooks(State(state): State<AppState>, caller: Caller) -> Result<Json<WebhookList>, Problem> {
    let found = webhooks::list(&mut *state.pool.get().await?, caller.account).await?;
    Ok(Json(WebhookList { webhooks: found.into_iter().map(|webhook| view(webhook, None)).collect() }))
}

/// Make a webhook
///
/// Its secret is told in the answer, and never again.
#[utoipa::path(post, path = "/webhooks", tag = "webhooks", request_body = WebhookInput,
    responses((status = CREATED, body = WebhookView), (status = CONFLICT, description = "The account has as many as it may")))]
async fn add_webhook(
    State(state): State<AppState>,
    caller: Caller,
    JsonBody(input): JsonBody<WebhookInput>,
) -> Result<(StatusCode, Json<WebhookView>), Problem> {
    let mut checks = Checks::default();
    let name = checks.name("name", &input.name);
    let url = endpoint(&input.url, state.webhooks.reach()).await.unwrap_or_else(|error| {
        checks.refuse("url", refusal(&error), error.to_string());
        String::new()
    });
    for (at, kind) in input.events.iter().enumerate() {
        if !EVENT_KINDS.contains(&kind.as_str()) {
            checks.refuse(format!("events[{at}]"), "invalid", format!("there are {}", EVENT_KINDS.join(", ")));
        }
    }
    if input.events.len() > EVENT_KINDS.len() {
        checks.refuse("events", "too_many", "each event once");
    }
    checks.done()?;
    let secret = new_api_token();
    let webhook = Webhook {
        id: WebhookId::fresh(),
        account: Some(caller.account),
        name,
        url,
        secret: secret.clone(),
        kinds: input.events.into_iter().map(Some).collect(),
        created_at: clock::now(),
        disabled_at: None,
    };
    let most = state.webhooks.most_per_account;
    let added = webhooks::add(&mut *state.pool.get().await?, webhook.clone(), i64::from(most)).await?;
    added.ok_or_else(|| Problem::new(Kind::Conflict).word("too_many").detail(format!("An account may have {most} webhooks.")))?;
    Ok((StatusCode::CREATED, Json(view(webhook, Some(secret)))))
}

/// Where events are to be sent to, as it is kept: in the form in which it is read at each delivery.
async fn endpoint(text: &str, reach: Reach) -> Result<String, UrlError> {
    let url = check_endpoint(text, reach)?;
    if reach == Reach::Public {
        check_resolved(&url).await?;
    }
    Ok(url.to_string())
}

/// The word for what is wrong with a URL.
fn refusal(error: &UrlError) -> &'static str {
    match error {
        UrlError::NotPublic => "not_allowed",
        UrlError::ControlCharacter => "control_character",
        UrlError::TooLong => "too_long",
        UrlError::NotAUrl | UrlError::Scheme | UrlError::Credentials => "invalid",
    }
}

/// Delete a webhook
///
/// What is still queued for it is given up.
#[utoipa::path(delete, path = "/webhooks/{id}", tag = "webhooks", params(("id" = uuid::Uuid, Path, description = "The webhook")),
    responses((status = NO_CONTENT, description = "The webhook is gone")))]
async fn delete_webhook(State(state): State<AppState>, caller: Caller, PathId(id): PathId<WebhookId>) -> Result<StatusCode, Problem> {
    let removed = webhooks::remove(&mut *state.pool.get().await?, caller.account, id).await?;
    if removed { Ok(StatusCode::NO_CONTENT) } else { Err(Problem::not_found()) }
}

/// List the deliveries of a webhook
#[utoipa::path(get, path = "/webhooks/{id}/deliveries", tag = "webhooks", params(("id" = uuid::Uuid, Path, description = "The webhook")),
    responses((status = OK, body = WebhookDeliveryList)))]
async fn list_webhook_deliveries(
    State(state): State<AppState>,
    caller: Caller,
    PathId(id): PathId<WebhookId>,
) -> Result<Json<WebhookDeliveryList>, Problem> {
    let mut connection = state.pool.get().await?;
    webhooks::lookup(&mut connection, caller.account, id).await?.ok_or_else(Problem::not_found)?;
    let found = webhooks::list_deliveries(&mut connection, caller.account, id, DELIVERIES).await?;
    let text = |event: &serde_json::Value, field: &str| event[field].as_str().unwrap_or_default().to_owned();
    let view = |delivery: webhooks::WebhookDelivery| WebhookDeliveryView {
        id: delivery.id,
        kind: text(&delivery.event, "type"),
        event_id: text(&delivery.event, "id"),
        conference_id: text(&delivery.event, "conference_id"),
        sequence: delivery.event["sequence"].as_i64().unwrap_or_default(),
        state: if delivery.state == "sending" { "queued".to_owned() } else { delivery.state },
        attempts: delivery.attempts,
        reason: delivery.last_error,
        created_at: delivery.created_at,
    };
    Ok(Json(WebhookDeliveryList { deliveries: found.into_iter().map(view).collect() }))
}

/// Send events once more
///
/// In their order, with the same identifiers and the header `Sklic-Replay: true`; also those from before the webhook was made.
#[utoipa::path(post, path = "/webhooks/{id}/replay", tag = "webhooks", params(("id" = uuid::Uuid, Path, description = "The webhook")),
    request_body = ReplayInput, responses((status = ACCEPTED, body = Replayed)))]
async fn replay_webhook(
    State(state): State<AppState>,
    caller: Caller,
    PathId(id): PathId<WebhookId>,
    JsonBody(input): JsonBody<ReplayInput>,
) -> Result<(StatusCode, Json<Replayed>), Problem> {
    let mut checks = Checks::default();
    checks.time("since", Some(input.since));
    checks.done()?;
    let mut connection = state.pool.get().await?;
    let webhook = webhooks::lookup(&mut connection, caller.account, id).await?.ok_or_else(Problem::not_found)?;
    let events = webhooks::replay(&mut connection, caller.account, &webhook, input.since, input.conference_id, clock::now(), REPLAY_LIMIT).await?;
    state.bell.ring();
    Ok((StatusCode::ACCEPTED, Json(Replayed { events })))
}
