//! Health and metrics, for the operator's machines.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::{Extension, Json};
use secrecy::ExposeSecret as _;
use serde::Serialize;
use subtle::ConstantTimeEq as _;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::limits::ClientAddress;
use super::problem::{Kind, Problem};
use super::secrets::token_hash;
use super::state::AppState;
use crate::runtime::Readiness;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(healthz)).routes(routes!(readyz)).routes(routes!(metrics))
}

/// The process lives.
#[derive(Serialize, ToSchema)]
pub(super) struct Alive {
    /// `ok`.
    #[schema(example = "ok")]
    status: &'static str,
}

/// Liveness
///
/// Answers as long as the process does.
#[utoipa::path(get, path = "/healthz", tag = "health", security(()), responses((status = OK, body = Alive)))]
async fn healthz() -> Json<Alive> {
    Json(Alive { status: "ok" })
}

/// Readiness
///
/// 200 while the database and at least one switch are there; the body tells of each part.
#[utoipa::path(get, path = "/readyz", tag = "health", security(()),
    responses((status = OK, body = Readiness),
        (status = SERVICE_UNAVAILABLE, body = Readiness, description = "The database is away, or no switch is there, or the service stops")))]
async fn readyz(State(state): State<AppState>) -> (StatusCode, Json<Readiness>) {
    let mut readiness = state.runtime.readiness().await;
    readiness.database &= state.pool.answers().await;
    let ready = readiness.database && readiness.switches.iter().any(|switch| switch.up) && !state.shutdown.is_cancelled();
    (if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, Json(readiness))
}

/// Metrics
///
/// In the text format of Prometheus. From this machine, or with the configured token.
#[utoipa::path(get, path = "/metrics", tag = "health", security((), ("metrics_token" = [])),
    responses((status = OK, body = String, content_type = "text/plain"), (status = FORBIDDEN, description = "From elsewhere, without the token")))]
async fn metrics(
    State(state): State<AppState>,
    Extension(ClientAddress(address)): Extension<ClientAddress>,
    headers: HeaderMap,
) -> Result<([(header::HeaderName, &'static str); 1], String), Problem> {
    // A request that a proxy on this machine passed on comes from elsewhere.
    let from_here = address.is_loopback() && !headers.contains_key("x-forwarded-for") && !headers.contains_key(header::FORWARDED);
    if !from_here && !has_token(&state, &headers) {
        return Err(Problem::new(Kind::Forbidden));
    }
    let text = state.metrics.as_ref().map(metrics_exporter_prometheus::PrometheusHandle::render).unwrap_or_default();
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text))
}

fn has_token(state: &AppState, headers: &HeaderMap) -> bool {
    let Some(wanted) = &state.config.metrics_token else { return false };
    let Some(given) = super::auth::bearer(headers) else { return false };
    // Hashed first, so that not even the length shows in the time.
    bool::from(token_hash(given).ct_eq(&token_hash(wanted.expose_secret())))
}
