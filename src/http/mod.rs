//! The API, authentication, live push.
//!
//! Handlers read a request, check all of it, ask storage or the runtime, and answer; they decide nothing about conferences.
//! Whatever a handler refuses has changed nothing.

mod auth;
mod charges;
pub(crate) mod check;
mod conferences;
mod config;
mod console;
mod contacts;
mod controls;
mod delivery_reports;
mod estimate;
mod export;
mod extract;
mod groups;
mod health;
mod import;
mod limits;
mod live;
mod lockout;
mod login;
mod me;
mod message_views;
mod messages;
mod openapi;
mod operator;
mod operator_accounts;
mod operator_terms;
mod page;
mod people;
mod planner;
mod plans;
mod problem;
mod report;
pub mod secrets;
mod serve;
mod state;
mod trace;
mod vcard;
mod webhooks;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use tower_http::catch_panic::CatchPanicLayer;

pub use config::HttpConfig;
pub use problem::{FieldError, ProblemDocument};
pub use serve::serve;
pub use state::AppState;

use problem::{Kind, Problem};

/// The routes and their description.
fn described() -> (Router<AppState>, utoipa::openapi::OpenApi) {
    let api = utoipa_axum::router::OpenApiRouter::new()
        .merge(login::routes())
        .merge(me::routes())
        .merge(contacts::routes())
        .merge(groups::routes())
        .merge(conferences::routes())
        .merge(controls::routes())
        .merge(messages::routes())
        .merge(plans::routes())
        .merge(webhooks::routes())
        .merge(delivery_reports::routes())
        .merge(live::routes())
        .merge(report::routes())
        .merge(charges::routes())
        .merge(estimate::routes())
        .merge(operator_terms::routes())
        .merge(operator::routes())
        .merge(operator_accounts::routes())
        .merge(openapi::routes());
    let (router, document) = openapi::described().nest("/api/v1", api).merge(health::routes()).split_for_parts();
    (router, openapi::finish(document))
}

/// The description of the API (OpenAPI 3.1).
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    described().1
}

/// The whole HTTP side as one router. [`serve`] adds the network; tests call it directly.
pub fn router(state: AppState) -> Router {
    let (router, description) = described();
    router
        .merge(console::routes())
        .fallback(async || Problem::not_found())
        .method_not_allowed_fallback(async || Problem::new(Kind::MethodNotAllowed))
        .layer(from_fn_with_state(extract::BodyTakers::of(&description), extract::read_idle_body))
        .layer(from_fn_with_state(state.clone(), limits::by_address))
        .layer(from_fn_with_state(state.clone(), trace::time_limit))
        .layer(CatchPanicLayer::custom(trace::panicked))
        .layer(from_fn(page::secure_headers))
        .layer(from_fn(trace::access_log))
        .with_state(state)
}
