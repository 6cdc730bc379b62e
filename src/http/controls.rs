//! Controls of a running conference (R4): requested here, confirmed by the switch.

use axum::Json;
use axum::extract::{FromRequest as _, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::Caller;
use super::check::Checks;
use super::conferences::participant_of;
use super::extract::{JsonBody, PathId, PathIds};
use super::people::check_wish;
use super::problem::Problem;
use super::state::AppState;
use crate::conference::{ConferenceView, Control, ParticipantView};
use crate::ids::{ConferenceId, ParticipantId};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(call_participant))
        .routes(routes!(mute_participant))
        .routes(routes!(unmute_participant))
        .routes(routes!(remove_participant))
        .routes(routes!(admit_participant))
        .routes(routes!(lower_hand))
        .routes(routes!(call_missing))
        .routes(routes!(mute_all))
        .routes(routes!(unmute_all))
        .routes(routes!(lock))
        .routes(routes!(unlock))
        .routes(routes!(end))
}

type One = Result<(StatusCode, Json<ParticipantView>), Problem>;
type Whole = Result<(StatusCode, Json<ConferenceView>), Problem>;

async fn over_one(state: &AppState, caller: &Caller, conference: ConferenceId, participant: ParticipantId, control: Control) -> One {
    let view = state.runtime.control(caller.account, conference, control).await?;
    participant_of(view, participant).map(|view| (StatusCode::ACCEPTED, Json(view)))
}

async fn over_all(state: &AppState, caller: &Caller, conference: ConferenceId, control: Control) -> Whole {
    let view = state.runtime.control(caller.account, conference, control).await?;
    Ok((StatusCode::ACCEPTED, Json(view)))
}

/// How to call a person.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CallInput {
    /// Another number than the last one.
    #[schema(example = "040 123 456", max_length = 40)]
    phone: Option<String>,
}

/// Call a participant again
///
/// At the same number, or at another one. The body may be left out.
#[utoipa::path(post, path = "/conferences/{id}/participants/{pid}/call", tag = "controls",
    params(("id" = uuid::Uuid, Path, description = "The conference"), ("pid" = uuid::Uuid, Path, description = "The participant")),
    request_body = Option<CallInput>,
    responses((status = ACCEPTED, body = ParticipantView), (status = CONFLICT, description = "He is in or being called, or the conference does not run")))]
async fn call_participant(
    State(state): State<AppState>,
    caller: Caller,
    PathIds(id, pid): PathIds<ConferenceId, ParticipantId>,
    request: Request,
) -> One {
    // Whatever the header says: many programs send one with every request.
    let empty = axum::body::HttpBody::is_end_stream(request.body());
    let input = if empty { CallInput::default() } else { JsonBody::<CallInput>::from_request(request, &state).await?.0 };
    let account = super::me::account_of(&state, &caller).await?;
    let mut checks = Checks::within(crate::runtime::Limits::of(&state.rules, &account));
    let number = input.phone.and_then(|phone| checks.callable(&state, "phone", &phone));
    if let Some(number) = &number {
        let account = super::me::account_of(&state, &caller).await?;
        check_wish(&state, &account, &mut checks, "phone", number).await?;
    }
    checks.done()?;
    over_one(&state, &caller, id, pid, Control::Call { participant: pid, number }).await
}

/// Mute a participant
#[utoipa::path(post, path = "/conferences/{id}/participants/{pid}/mute", tag = "controls",
    params(("id" = uuid::Uuid, Path, description = "The conference"), ("pid" = uuid::Uuid, Path, description = "The participant")),
    responses((status = ACCEPTED, body = ParticipantView), (status = CONFLICT, description = "He is not in, or the conference does not run")))]
async fn mute_participant(State(state): State<AppState>, caller: Caller, PathIds(id, pid): PathIds<ConferenceId, ParticipantId>) -> One {
    over_one(&state, &caller, id, pid, Control::Mute { participant: pid, muted: true }).await
}

/// Unmute a participant
#[utoipa::path(post, path = "/conferences/{id}/participants/{pid}/unmute", tag = "controls",
    params(("id" = uuid::Uuid, Path, description = "The conference"), ("pid" = uuid::Uuid, Path, description = "The participant")),
    responses((status = ACCEPTED, body = ParticipantView), (status = CONFLICT, description = "He is not in, or the conference does not run")))]
async fn unmute_participant(State(state): State<AppState>, caller: Caller, PathIds(id, pid): PathIds<ConferenceId, ParticipantId>) -> One {
    over_one(&state, &caller, id, pid, Control::Mute { participant: pid, muted: false }).await
}

/// Remove a participant
///
/// Disconnects him, or gives up calling him. One who was not called yet is off the list at once, and nothing is answered about him.
#[utoipa::path(post, path = "/conferences/{id}/participants/{pid}/remove", tag = "controls",
    params(("id" = uuid::Uuid, Path, description = "The conference"), ("pid" = uuid::Uuid, Path, description = "The participant")),
    responses((status = ACCEPTED, body = ParticipantView), (status = NO_CONTENT, description = "He had not been called yet, and is off the list"),
        (status = CONFLICT, description = "He is the convener or not in, or the conference does not run")))]
async fn remove_participant(
    State(state): State<AppState>,
    caller: Caller,
    PathIds(id, pid): PathIds<ConferenceId, ParticipantId>,
) -> Result<Response, Problem> {
    let view = state.runtime.control(caller.account, id, Control::Remove { participant: pid }).await?;
    Ok(match participant_of(view, pid) {
        Ok(view) => (StatusCode::ACCEPTED, Json(view)).into_response(),
        Err(_) => StatusCode::NO_CONTENT.into_response(),
    })
}

/// Let a waiting caller in
///
/// One who waits at a locked conference, or until somebody pays for him: then the convener does.
#[utoipa::path(post, path = "/conferences/{id}/participants/{pid}/admit", tag = "controls",
    params(("id" = uuid::Uuid, Path, description = "The conference"), ("pid" = uuid::Uuid, Path, description = "The participant")),
    responses((status = ACCEPTED, body = ParticipantView), (status = CONFLICT, description = "He is not waiting, or the convener is not in")))]
async fn admit_participant(State(state): State<AppState>, caller: Caller, PathIds(id, pid): PathIds<ConferenceId, ParticipantId>) -> One {
    over_one(&state, &caller, id, pid, Control::Admit { participant: pid }).await
}

/// Lower a raised hand
///
/// The microphone stays as it is.
#[utoipa::path(post, path = "/conferences/{id}/participants/{pid}/lower-hand", tag = "controls",
    params(("id" = uuid::Uuid, Path, description = "The conference"), ("pid" = uuid::Uuid, Path, description = "The participant")),
    responses((status = ACCEPTED, body = ParticipantView), (status = CONFLICT, description = "His hand is not raised")))]
async fn lower_hand(State(state): State<AppState>, caller: Caller, PathIds(id, pid): PathIds<ConferenceId, ParticipantId>) -> One {
    over_one(&state, &caller, id, pid, Control::LowerHand { participant: pid }).await
}

/// Call everybody who is missing
#[utoipa::path(post, path = "/conferences/{id}/call_missing", tag = "controls", params(("id" = uuid::Uuid, Path, description = "The conference")),
    responses((status = ACCEPTED, body = ConferenceView), (status = CONFLICT, description = "Nobody is missing, or the conference does not run")))]
async fn call_missing(State(state): State<AppState>, caller: Caller, PathId(id): PathId<ConferenceId>) -> Whole {
    over_all(&state, &caller, id, Control::CallMissing).await
}

/// Mute everybody but the convener
///
/// Those who come in while it is on come in muted.
#[utoipa::path(post, path = "/conferences/{id}/mute", tag = "controls", params(("id" = uuid::Uuid, Path, description = "The conference")),
    responses((status = ACCEPTED, body = ConferenceView), (status = CONFLICT, description = "The conference does not run")))]
async fn mute_all(State(state): State<AppState>, caller: Caller, PathId(id): PathId<ConferenceId>) -> Whole {
    over_all(&state, &caller, id, Control::MuteAll { muted: true }).await
}

/// Unmute everybody
#[utoipa::path(post, path = "/conferences/{id}/unmute", tag = "controls", params(("id" = uuid::Uuid, Path, description = "The conference")),
    responses((status = ACCEPTED, body = ConferenceView), (status = CONFLICT, description = "The conference does not run")))]
async fn unmute_all(State(state): State<AppState>, caller: Caller, PathId(id): PathId<ConferenceId>) -> Whole {
    over_all(&state, &caller, id, Control::MuteAll { muted: false }).await
}

/// Lock the conference
///
/// Nobody else is let in.
#[utoipa::path(post, path = "/conferences/{id}/lock", tag = "controls", params(("id" = uuid::Uuid, Path, description = "The conference")),
    responses((status = ACCEPTED, body = ConferenceView), (status = CONFLICT, description = "The conference does not run")))]
async fn lock(State(state): State<AppState>, caller: Caller, PathId(id): PathId<ConferenceId>) -> Whole {
    over_all(&state, &caller, id, Control::Lock { locked: true }).await
}

/// Unlock the conference
#[utoipa::path(post, path = "/conferences/{id}/unlock", tag = "controls", params(("id" = uuid::Uuid, Path, description = "The conference")),
    responses((status = ACCEPTED, body = ConferenceView), (status = CONFLICT, description = "The conference does not run")))]
async fn unlock(State(state): State<AppState>, caller: Caller, PathId(id): PathId<ConferenceId>) -> Whole {
    over_all(&state, &caller, id, Control::Lock { locked: false }).await
}

/// End the conference
///
/// Everybody hears the closing announcement and is disconnected.
#[utoipa::path(post, path = "/conferences/{id}/end", tag = "controls", params(("id" = uuid::Uuid, Path, description = "The conference")),
    responses((status = ACCEPTED, body = ConferenceView), (status = CONFLICT, description = "The conference does not run")))]
async fn end(State(state): State<AppState>, caller: Caller, PathId(id): PathId<ConferenceId>) -> Whole {
    over_all(&state, &caller, id, Control::End).await
}
