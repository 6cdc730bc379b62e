//! Signing in and out, and the list of sessions.

use std::time::Instant;

use axum::extract::State;
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use axum::{Extension, Json};
use axum_extra::extract::CookieJar;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::{Caller, Proof, guard_cross_site, says_same_site, session_cookie};
use super::extract::{JsonBody, PathId};
use super::limits::{ClientAddress, too_many};
use super::live::SignedOut;
use super::me::Me;
use super::problem::{Kind, Problem};
use super::secrets::{PASSWORD_LENGTH, new_token, token_hash, verify_password};
use super::state::AppState;
use crate::clock;
use crate::storage::sessions::NewSession;
use crate::storage::{accounts, sessions};

/// How long a login waits for its turn to be hashed.
const HASHING_WAIT: std::time::Duration = std::time::Duration::from_secs(5);

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(login)).routes(routes!(logout)).routes(routes!(list_sessions, end_sessions)).routes(routes!(end_session))
}

/// A login.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Login {
    /// The user number: digits.
    #[schema(example = "100200")]
    user_number: String,
    /// The password.
    #[schema(example = "dolgo geslo", format = Password)]
    password: String,
}

/// Sign in
///
/// Opens a session; its token is in the cookie that comes with the answer.
/// After several wrong passwords the user number has to wait, longer each time (429 with `Retry-After`).
#[utoipa::path(post, path = "/login", tag = "account", request_body = Login, security(()),
    responses((status = OK, body = Me, headers(("Set-Cookie" = String, description = "The session's cookie"))),
              (status = UNAUTHORIZED, description = "User number or password is wrong")))]
async fn login(
    State(state): State<AppState>,
    Extension(ClientAddress(address)): Extension<ClientAddress>,
    headers: HeaderMap,
    JsonBody(login): JsonBody<Login>,
) -> Result<impl IntoResponse, Problem> {
    if says_same_site(&state, &headers) == Some(false) {
        return Err(Problem::new(Kind::CrossSite));
    }
    if login.user_number.is_empty() {
        return Err(Problem::field("user_number", "required", "this is needed"));
    }
    if login.password.is_empty() {
        return Err(Problem::field("password", "required", "this is needed"));
    }
    if login.user_number.len() > 20 || login.password.len() > PASSWORD_LENGTH {
        return Err(Problem::new(Kind::WrongLogin));
    }
    state.limiters.login(address)?;
    let user_number = login.user_number;
    if let Some(wait) = state.lockout.wait(&user_number, address, Instant::now()) {
        return Err(too_many(wait.as_millis().div_ceil(1000)).word("locked_out"));
    }
    let credentials = accounts::find_credentials(&mut *state.pool.get().await?, &user_number).await?;
    let (account, hash) = credentials.map(|credentials| (credentials.account, credentials.password_hash)).unzip();
    let right = verify(&state, login.password, hash).await?;
    let Some(account) = account.filter(|_| right) else {
        state.lockout.failed(&user_number, address, Instant::now());
        metrics::counter!("sklic_logins_total", "result" => "refused").increment(1);
        return Err(Problem::new(Kind::WrongLogin));
    };
    state.lockout.succeeded(&user_number, address);
    metrics::counter!("sklic_logins_total", "result" => "accepted").increment(1);
    let token = new_token();
    let now = clock::now();
    let mut connection = state.pool.get().await?;
    let session = NewSession {
        token_hash: token_hash(&token),
        account,
        created_at: now,
        expires_at: now.saturating_add(SignedDuration::from_hours(i64::from(state.config.session_hours))).unwrap_or(Timestamp::MAX),
        user_agent: headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).map(str::to_owned),
    };
    sessions::add(&mut connection, session).await?;
    // Seldom enough, and nobody waits for it who is not signing in.
    sessions::sweep(&mut connection, now).await?;
    let account = accounts::lookup(&mut connection, account).await?.ok_or(Problem::new(Kind::WrongLogin))?;
    Ok(([(SET_COOKIE, session_cookie(&state, Some(&token))?)], Json(Me::from(account))))
}

/// Compares a password with a hash, on a thread of its own and only so many at once.
pub(super) async fn verify(state: &AppState, password: String, hash: Option<String>) -> Result<bool, Problem> {
    let turn = tokio::time::timeout(HASHING_WAIT, state.hashing.acquire());
    let Ok(Ok(_turn)) = turn.await else { return Err(Problem::new(Kind::Unavailable).detail("Too many people are signing in.")) };
    let done = tokio::task::spawn_blocking(move || verify_password(&password, hash.as_deref())).await;
    done.map_err(|_| Problem::new(Kind::Internal))
}

/// Sign out
///
/// Ends the session of this cookie. Does no harm without one.
#[utoipa::path(post, path = "/logout", tag = "account", security(()), responses((status = NO_CONTENT, description = "The session is over")))]
async fn logout(State(state): State<AppState>, headers: HeaderMap, jar: CookieJar) -> Result<impl IntoResponse, Problem> {
    if let Some(cookie) = jar.get(super::auth::cookie_name(&state)) {
        guard_cross_site(&state, &axum::http::Method::POST, &headers)?;
        let session = token_hash(cookie.value());
        sessions::revoke(&mut *state.pool.get().await?, &session).await?;
        state.streams.look_again(SignedOut::Session(session));
    }
    Ok((StatusCode::NO_CONTENT, [(SET_COOKIE, session_cookie(&state, None)?)]))
}

/// A browser that is signed in.
#[derive(Serialize, ToSchema)]
pub(super) struct SessionView {
    /// Names the session, to end it.
    #[schema(example = "3f2a9c0d1e4b5a6978c0ffee12345678")]
    id: String,
    /// When it was opened.
    created_at: Timestamp,
    /// When it was last used, to the minute.
    last_seen_at: Timestamp,
    /// When it ends whatever happens.
    expires_at: Timestamp,
    /// What the browser calls itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<String>,
    /// It is the one that asks.
    current: bool,
}

/// A part of the hash names the session: it does not help anybody to the token.
fn session_name(hash: &[u8]) -> String {
    hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// List sessions
///
/// The browsers in which this account is signed in, the last used first.
#[utoipa::path(get, path = "/sessions", tag = "account", responses((status = OK, body = Vec<SessionView>)))]
async fn list_sessions(State(state): State<AppState>, caller: Caller) -> Result<Json<Vec<SessionView>>, Problem> {
    let listed = sessions::list(&mut *state.pool.get().await?, caller.account, clock::now()).await?;
    let view = |session: sessions::ListedSession| SessionView {
        id: session_name(&session.token_hash),
        created_at: session.created_at,
        last_seen_at: session.last_seen_at,
        expires_at: session.expires_at,
        user_agent: session.user_agent,
        current: matches!(caller.proof, Proof::Session(hash) if hash[..] == session.token_hash),
    };
    Ok(Json(listed.into_iter().map(view).collect()))
}

/// Sign out everywhere
///
/// Ends all sessions of the account, this one included. API tokens stay.
#[utoipa::path(delete, path = "/sessions", tag = "account", responses((status = NO_CONTENT, description = "The sessions are over")))]
async fn end_sessions(State(state): State<AppState>, caller: Caller) -> Result<impl IntoResponse, Problem> {
    sessions::revoke_all(&mut *state.pool.get().await?, caller.account).await?;
    state.streams.look_again(SignedOut::Account(caller.account));
    Ok((StatusCode::NO_CONTENT, [(SET_COOKIE, session_cookie(&state, None)?)]))
}

/// End a session
#[utoipa::path(delete, path = "/sessions/{id}", tag = "account", params(("id" = String, Path, description = "The session's name")),
    responses((status = NO_CONTENT, description = "The session is over")))]
async fn end_session(State(state): State<AppState>, caller: Caller, PathId(id): PathId<String>) -> Result<StatusCode, Problem> {
    let mut connection = state.pool.get().await?;
    let listed = sessions::list(&mut connection, caller.account, clock::now()).await?;
    let session = listed.into_iter().find(|session| session_name(&session.token_hash) == id).ok_or_else(Problem::not_found)?;
    let hash = session.token_hash.try_into().map_err(|_| Problem::not_found())?;
    sessions::revoke(&mut connection, &hash).await?;
    state.streams.look_again(SignedOut::Session(hash));
    Ok(StatusCode::NO_CONTENT)
}
