//! Around every request: its identifier, the access log, metrics, the time limit, and what happens when a handler panics.
//!
//! The log names a request by its route's pattern, never by its address: no number, token or search word gets into it.

use std::any::Any;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::HeaderValue;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use uuid::Uuid;

use super::problem::{Kind, Problem, REQUEST_ID};
use super::state::AppState;
use crate::ids::AccountId;

/// What handlers add to the line that the access log writes about their request.
#[derive(Clone, Default)]
pub(super) struct RequestLog {
    account: Arc<OnceLock<AccountId>>,
}

impl RequestLog {
    pub(super) fn set_account(&self, account: AccountId) {
        // The first one stands; a request has one account.
        let _ = self.account.set(account);
    }
}

/// Gives the request an identifier and writes it down when it is answered.
pub(super) async fn access_log(mut request: Request, next: Next) -> Response {
    let id = Uuid::now_v7();
    let begin = Instant::now();
    let method = method_word(request.method());
    let route = request.extensions().get::<MatchedPath>().map_or_else(|| "-".to_owned(), |path| path.as_str().to_owned());
    let log = RequestLog::default();
    request.extensions_mut().insert(log.clone());
    let mut response = REQUEST_ID.scope(id, next.run(request)).await;
    let status = response.status().as_u16();
    let taken = begin.elapsed();
    let account = log.account.get().map(tracing::field::display);
    tracing::info!(
        request.id = %id,
        http.method = method,
        http.route = route,
        http.status = status,
        account.id = account,
        duration_ms = u64::try_from(taken.as_millis()).unwrap_or(u64::MAX),
        "request answered"
    );
    metrics::counter!("sklic_http_requests_total", "method" => method, "route" => route.clone(), "status" => status.to_string()).increment(1);
    metrics::histogram!("sklic_http_request_seconds", "method" => method, "route" => route).record(taken.as_secs_f64());
    if let Ok(value) = HeaderValue::from_str(&id.to_string()) {
        response.headers_mut().insert("x-request-id", value);
    }
    response
}

/// The method as a word of the log and the metrics: an invented one does not become a label of its own.
fn method_word(method: &axum::http::Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

/// Answers in time, whatever a handler waits for.
pub(super) async fn time_limit(State(state): State<AppState>, request: Request, next: Next) -> Response {
    match tokio::time::timeout(state.config.request_timeout(), next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::new(Kind::Unavailable).word("timeout").detail("The service did not answer in time.").into_response(),
    }
}

/// What is answered when a handler panics. Its words stay in the log.
pub(super) fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let words = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no words");
    tracing::error!(panic = words, "a request handler panicked");
    metrics::counter!("sklic_http_panics_total").increment(1);
    Problem::new(Kind::Internal).into_response()
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::middleware::from_fn;
    use axum::routing::get;
    use tower::ServiceExt as _;
    use tower_http::catch_panic::CatchPanicLayer;

    use super::*;

    #[tokio::test]
    async fn a_panic_becomes_a_problem_that_tells_nothing() {
        let fault = async || -> &'static str { panic!("the number is +38640123456") };
        let router: Router = Router::new().route("/", get(fault)).layer(CatchPanicLayer::custom(panicked)).layer(from_fn(access_log));
        let answer = router.oneshot(Request::get("/").body(Body::empty()).expect("a request")).await.expect("cannot fail");
        assert_eq!(answer.status(), 500);
        assert!(answer.headers().contains_key("x-request-id"));
        let body = axum::body::to_bytes(answer.into_body(), 10_000).await.expect("is short");
        let problem: serde_json::Value = serde_json::from_slice(&body).expect("is JSON");
        assert_eq!(problem["type"], "urn:sklic:problem:internal");
        assert!(!problem.to_string().contains("386"), "{problem}");
    }
}
