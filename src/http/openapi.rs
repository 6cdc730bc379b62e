//! The description of the API (OpenAPI 3.1), made from the handlers.

use std::sync::LazyLock;

use axum::Json;
use utoipa::OpenApi;
use utoipa::openapi::path::{Operation, ParameterIn, PathItem};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContentBuilder, HeaderBuilder, ObjectBuilder, Ref, RefOr, Response, ResponseBuilder, Type};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::problem::ProblemDocument;
use super::state::AppState;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Sklic",
        description = "Self-service telephone conferencing on the operator's own PBX.\n\n\
            Browsers sign in with `POST /api/v1/login` and send the cookie; requests that change something must come from the service's own page \
            (`Origin` or `Sec-Fetch-Site`). Programs send an API token: `Authorization: Bearer sklic_…`.\n\n\
            Times are UTC (RFC 3339), amounts integers in 1/10000 of the currency's unit, errors problem documents (RFC 9457)."
    ),
    security(("session" = []), ("api_token" = [])),
    components(schemas(ProblemDocument)),
    tags(
        (name = "account", description = "Signing in and out, the account itself"),
        (name = "directory", description = "Contacts and groups"),
        (name = "conferences", description = "Planning, starting and watching conferences"),
        (name = "controls", description = "Controls of a running conference: accepted here, confirmed by the switch"),
        (name = "plans", description = "Conferences at a time, once or again and again, with invitations"),
        (name = "messages", description = "SMS and e-mail to the people of a conference, and what became of each"),
        (name = "webhooks", description = "Telling other systems what happens, by signed requests"),
        (name = "report", description = "The report of a conference"),
        (name = "charges", description = "What it cost"),
        (name = "operator", description = "For the operator's staff: the service as a whole"),
        (name = "health", description = "For the operator's machines")
    )
)]
struct Description;

/// A router that gathers the description of its routes.
pub(super) fn described() -> OpenApiRouter<AppState> {
    OpenApiRouter::with_openapi(Description::openapi())
}

/// Finishes the description: what every operation can answer, and how callers prove who they are.
pub(super) fn finish(mut document: utoipa::openapi::OpenApi) -> utoipa::openapi::OpenApi {
    let components = document.components.get_or_insert_default();
    let session = SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::with_description(
        "sklic_session",
        "The cookie of POST /api/v1/login; `__Host-sklic_session` where the service is reached over TLS",
    )));
    components.add_security_scheme("session", session);
    let bearer = |words: &str| SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(words)).build());
    components.add_security_scheme("api_token", bearer("A token made by `sklic account token`"));
    components.add_security_scheme("metrics_token", bearer("The configuration's `http.metrics_token`"));
    for item in document.paths.paths.values_mut() {
        let PathItem { get, put, post, delete, patch, .. } = item;
        for (operation, changes) in [(get, false), (put, true), (post, true), (delete, true), (patch, true)] {
            if let Some(operation) = operation {
                add_problems(operation, changes);
            }
        }
    }
    document
}

/// The problems that follow from an operation's shape.
fn add_problems(operation: &mut Operation, changes: bool) {
    let open = operation.security.is_some();
    let has_body = operation.request_body.is_some();
    let parameters = operation.parameters.as_deref().unwrap_or_default();
    let is_there =
        |place: ParameterIn| parameters.iter().any(|parameter| matches!(parameter, RefOr::T(parameter) if parameter.parameter_in == place));
    let (in_path, in_query) = (is_there(ParameterIn::Path), is_there(ParameterIn::Query));
    let problems = [
        ("400", has_body, "The body cannot be read"),
        ("401", !open, "Not signed in"),
        ("403", changes, "The request comes from another site's page"),
        ("404", in_path, "There is no such thing, or it is another account's"),
        ("408", has_body, "The body was too long in coming"),
        ("413", has_body, "The body is too big"),
        ("415", has_body, "The content type is not the expected one"),
        ("422", has_body || in_query, "Fields are not right; `errors` names them"),
        ("429", true, "Too many requests; `Retry-After` says when to try again"),
        ("500", true, "A fault of the service"),
        ("503", true, "Database or switch is away; `Retry-After` says when to try again"),
    ];
    // What a handler says of its own problems lacks only the form that all of them have.
    for (status, response) in &mut operation.responses.responses {
        if let RefOr::T(response) = response
            && status.starts_with(['4', '5'])
            && response.content.is_empty()
        {
            *response = problem(status, &response.description);
        }
    }
    for (status, possible, words) in problems {
        if possible {
            operation.responses.responses.entry(status.to_owned()).or_insert_with(|| RefOr::T(problem(status, words)));
        }
    }
}

fn problem(status: &str, words: &str) -> Response {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    let mut response = ResponseBuilder::new().description(words).content("application/problem+json", content);
    if matches!(status, "429" | "503") {
        let seconds = HeaderBuilder::new().schema(Some(ObjectBuilder::new().schema_type(Type::Integer))).description(Some("Seconds")).build();
        response = response.header("Retry-After", seconds);
    }
    response.build()
}

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(show_description))
}

/// This description
#[utoipa::path(get, path = "/openapi.json", tag = "health", security(()), responses((status = OK, body = serde_json::Value, description = "OpenAPI 3.1")))]
async fn show_description() -> Json<&'static utoipa::openapi::OpenApi> {
    static DOCUMENT: LazyLock<utoipa::openapi::OpenApi> = LazyLock::new(super::openapi);
    Json(&DOCUMENT)
}
