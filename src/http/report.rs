//! The report of a conference: JSON, page, spreadsheet.

use axum::Json;
use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::IntoResponse;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::Caller;
use super::extract::PathId;
use super::problem::Problem;
use super::state::AppState;
use crate::ids::ConferenceId;
use crate::report::{self, Report};

/// The page has its styles in itself, and needs nothing else.
const PAGE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(report_json)).routes(routes!(report_json_file)).routes(routes!(report_html)).routes(routes!(report_csv))
}

/// Report
///
/// Who was called, who was in when, how each attempt ended up, and what it cost. While the conference runs: of what has been so far.
#[utoipa::path(get, path = "/conferences/{id}/report", tag = "report", params(("id" = uuid::Uuid, Path, description = "The conference")),
    responses((status = OK, body = Report), (status = CONFLICT, description = "It has not been started")))]
async fn report_json(State(state): State<AppState>, caller: Caller, PathId(id): PathId<ConferenceId>) -> Result<Json<Report>, Problem> {
    Ok(Json(state.runtime.report(caller.account, id).await?))
}

/// Report as a JSON file
///
/// The same as without the ending.
#[utoipa::path(get, path = "/conferences/{id}/report.json", tag = "report", params(("id" = uuid::Uuid, Path, description = "The conference")),
    responses((status = OK, body = Report), (status = CONFLICT, description = "It has not been started")))]
async fn report_json_file(State(state): State<AppState>, caller: Caller, PathId(id): PathId<ConferenceId>) -> Result<Json<Report>, Problem> {
    Ok(Json(state.runtime.report(caller.account, id).await?))
}

/// Report as a page
///
/// To be read on a screen or printed, in the account's language and time zone.
#[utoipa::path(get, path = "/conferences/{id}/report.html", tag = "report", params(("id" = uuid::Uuid, Path, description = "The conference")),
    responses((status = OK, body = String, content_type = "text/html"), (status = CONFLICT, description = "It has not been started")))]
async fn report_html(State(state): State<AppState>, caller: Caller, PathId(id): PathId<ConferenceId>) -> Result<impl IntoResponse, Problem> {
    let report = state.runtime.report(caller.account, id).await?;
    let page = report::render_html(&report);
    Ok(([(CONTENT_TYPE, "text/html; charset=utf-8"), (CONTENT_SECURITY_POLICY, PAGE_POLICY)], page))
}

/// Report as a spreadsheet
///
/// A row for each attempt to call.
#[utoipa::path(get, path = "/conferences/{id}/report.csv", tag = "report", params(("id" = uuid::Uuid, Path, description = "The conference")),
    responses((status = OK, body = String, content_type = "text/csv"), (status = CONFLICT, description = "It has not been started")))]
async fn report_csv(State(state): State<AppState>, caller: Caller, PathId(id): PathId<ConferenceId>) -> Result<impl IntoResponse, Problem> {
    let report = state.runtime.report(caller.account, id).await?;
    let name = format!("attachment; filename=\"{}.csv\"", report::file_name(&report));
    Ok(([(CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()), (CONTENT_DISPOSITION, name)], report::render_csv(&report)))
}
