//! Delivery reports of SMS gateways.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{RawQuery, Request, State};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::bearer;
use super::extract::{PathId, read_small};
use super::problem::{Kind, Problem};
use super::state::AppState;
use crate::clock;
use crate::delivery::sms::{DeliveryReport, ReportRefusal, Subject, read_report};
use crate::storage::messages::{self, Reported, ReportedJob};

/// The biggest report, in bytes.
const REPORT_LIMIT: usize = 16 * 1024;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(take_delivery_report, take_delivery_report_by_post))
}

/// A report was taken.
#[derive(Serialize, ToSchema)]
pub(super) struct ReportTaken {
    /// Always true.
    taken: bool,
}

/// Report a delivery
///
/// For SMS gateways: by the address that each message was sent with, or with the gateway's secret.
#[utoipa::path(get, path = "/delivery_reports/{gateway}", tag = "messages", security(()),
    params(("gateway" = String, Path, description = "The gateway's name in the configuration")), responses((status = OK, body = ReportTaken)))]
async fn take_delivery_report(
    State(state): State<AppState>,
    PathId(gateway): PathId<String>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Result<Json<ReportTaken>, Problem> {
    take(&state, &gateway, pairs(query.as_deref().unwrap_or_default()), bearer(request.headers())).await
}

/// Report a delivery by POST
///
/// As by GET; the fields may be in the query, a form or a flat JSON object.
#[utoipa::path(post, path = "/delivery_reports/{gateway}", tag = "messages", security(()),
    params(("gateway" = String, Path, description = "The gateway's name in the configuration")), responses((status = OK, body = ReportTaken)))]
async fn take_delivery_report_by_post(
    State(state): State<AppState>,
    PathId(gateway): PathId<String>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Result<Json<ReportTaken>, Problem> {
    let mut fields = pairs(query.as_deref().unwrap_or_default());
    let token = bearer(request.headers()).map(str::to_owned);
    let body = read_small(request, REPORT_LIMIT).await?;
    match serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(&body) {
        Ok(object) => fields.extend(object.into_iter().filter_map(|(name, value)| match value {
            serde_json::Value::String(text) => Some((name, text)),
            serde_json::Value::Number(number) => Some((name, number.to_string())),
            _ => None,
        })),
        Err(_) => fields.extend(pairs(&String::from_utf8_lossy(&body))),
    }
    take(&state, &gateway, fields, token.as_deref()).await
}

/// The fields of a query or form; of two with one name the last stands.
fn pairs(text: &str) -> BTreeMap<String, String> {
    reqwest::Url::parse(&format!("http://localhost/?{text}")).map(|url| url.query_pairs().into_owned().collect()).unwrap_or_default()
}

async fn take(state: &AppState, gateway: &str, fields: BTreeMap<String, String>, token: Option<&str>) -> Result<Json<ReportTaken>, Problem> {
    let gateway = state.desk.gateways.by_name(gateway);
    // A gateway that is not known, or reports nothing, is not told apart from one that proves nothing.
    let not_proved = || Problem::new(Kind::Forbidden).detail("The report does not prove where it comes from.");
    let (gateway, key) = gateway.and_then(|gateway| Some((gateway, gateway.report_key()?))).ok_or_else(not_proved)?;
    let (subject, report) = read_report(gateway.config(), key, &fields, token).map_err(|refusal| match refusal {
        ReportRefusal::NotProved => not_proved(),
        ReportRefusal::NotUnderstood => Problem::new(Kind::Malformed).detail("The report names no message, or a state that is not known."),
    })?;
    let (word, reported) = match report {
        DeliveryReport::Underway => ("underway", Reported { state: None, reason: None }),
        DeliveryReport::Delivered => ("delivered", Reported { state: Some("delivered"), reason: None }),
        DeliveryReport::Failed { reason } => ("failed", Reported { state: Some("failed"), reason: Some(reason) }),
    };
    let job = match subject {
        Subject::Job(id) => ReportedJob::Job(id),
        Subject::Remote(id) => ReportedJob::Remote { kept: gateway.remote_id(&id), id },
    };
    // A gateway speaks of the messages that go through it, and of no other's.
    let is_its = |number: &str| state.desk.gateways.for_number(number).is_some_and(|serves| serves.name() == gateway.name());
    let noted = messages::note_report(&mut *state.pool.get().await?, job, is_its, reported, clock::now()).await?;
    metrics::counter!("sklic_delivery_reports_total", "gateway" => gateway.name().to_owned(), "state" => word).increment(1);
    if noted { Ok(Json(ReportTaken { taken: true })) } else { Err(Problem::not_found()) }
}
