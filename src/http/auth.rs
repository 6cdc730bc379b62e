//! Who asks: cookie sessions of browsers and API tokens of programs, and the guard against other sites' pages.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum_extra::extract::CookieJar;
use jiff::{SignedDuration, Timestamp};

use super::problem::{Kind, Problem};
use super::secrets::token_hash;
use super::state::AppState;
use super::trace::RequestLog;
use crate::clock;
use crate::ids::AccountId;
use crate::storage::sessions::{Session, TokenHash};
use crate::storage::{Connection, StorageResult, api_tokens, sessions};

/// A session's last use is written down at most so often.
const TOUCH_EVERY: SignedDuration = SignedDuration::from_secs(60);

/// How a caller proved who he is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// A browser's session.
    Session(TokenHash),
    /// A program's token.
    ApiToken(TokenHash),
}

/// Who asks. A handler that takes this is reached only by a request that proved its account, did not come from another site's page,
/// and was within the account's rate.
#[derive(Clone, Copy)]
pub struct Caller {
    /// The account.
    pub account: AccountId,
    /// How it was proved.
    pub proof: Proof,
}

impl FromRequestParts<AppState> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        let proof = if let Some(token) = bearer(&parts.headers) {
            Proof::ApiToken(token_hash(token))
        } else {
            let jar = CookieJar::from_headers(&parts.headers);
            let cookie = jar.get(cookie_name(state)).ok_or(Problem::new(Kind::NotSignedIn))?;
            guard_cross_site(state, &parts.method, &parts.headers)?;
            Proof::Session(token_hash(cookie.value()))
        };
        let account = account_of(state, &proof, clock::now()).await?.ok_or(Problem::new(Kind::NotSignedIn))?;
        if let Some(log) = parts.extensions.get::<RequestLog>() {
            log.set_account(account);
        }
        state.limiters.account(account)?;
        Ok(Self { account, proof })
    }
}

/// The account that a proof stands for now; `None` when it stands for none, or no more. Notes the use.
pub(super) async fn account_of(state: &AppState, proof: &Proof, now: Timestamp) -> Result<Option<AccountId>, Problem> {
    let mut connection = state.pool.get().await?;
    Ok(match proof {
        Proof::Session(hash) => live_session(state, &mut connection, hash, now).await?.map(|session| session.account),
        Proof::ApiToken(hash) => {
            let account = api_tokens::find_account(&mut connection, hash).await?;
            if account.is_some() && state.touched.is_due(hash, now) {
                api_tokens::touch(&mut connection, hash, now).await?;
            }
            account
        }
    })
}

async fn live_session(state: &AppState, connection: &mut Connection, hash: &TokenHash, now: Timestamp) -> StorageResult<Option<Session>> {
    let Some(session) = sessions::find(connection, hash, now).await? else { return Ok(None) };
    let unused = now.duration_since(session.last_seen_at);
    if unused > SignedDuration::from_mins(i64::from(state.config.session_idle_minutes)) {
        sessions::revoke(connection, hash).await?;
        return Ok(None);
    }
    if unused > TOUCH_EVERY {
        sessions::touch(connection, hash, now).await?;
    }
    Ok(Some(session))
}

/// The token of `Authorization: Bearer`.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The session cookie's name. Under TLS the prefix makes browsers refuse one that another host or an unsafe page has set.
pub(super) fn cookie_name(state: &AppState) -> &'static str {
    if state.config.is_https() { "__Host-sklic_session" } else { "sklic_session" }
}

/// The `Set-Cookie` of a session (RFC 6265): of a new one with its token, of one that is over without.
pub(super) fn session_cookie(state: &AppState, token: Option<&str>) -> Result<HeaderValue, Problem> {
    let age = if token.is_some() { u64::from(state.config.session_hours) * 3600 } else { 0 };
    let secure = if state.config.is_https() { "; Secure" } else { "" };
    let cookie = format!("{}={}; Path=/; Max-Age={age}; HttpOnly; SameSite=Lax{secure}", cookie_name(state), token.unwrap_or(""));
    HeaderValue::from_str(&cookie).map_err(|_| Problem::new(Kind::Internal))
}

/// Refuses what another site's page makes a browser send.
///
/// A request that changes something must say that it comes from the service's own page: by `Sec-Fetch-Site`, which pages cannot forge,
/// or, from browsers that do not send it, by an `Origin` that is this service's.
pub(super) fn guard_cross_site(state: &AppState, method: &Method, headers: &HeaderMap) -> Result<(), Problem> {
    if method.is_safe() {
        return Ok(());
    }
    match says_same_site(state, headers) {
        Some(true) => Ok(()),
        Some(false) => Err(Problem::new(Kind::CrossSite)),
        None => Err(Problem::new(Kind::CrossSite).detail("Send the header Origin or Sec-Fetch-Site, or use an API token.")),
    }
}

/// What the browser says about where the request comes from; `None` when it says nothing.
pub(super) fn says_same_site(state: &AppState, headers: &HeaderMap) -> Option<bool> {
    if let Some(site) = headers.get("sec-fetch-site") {
        return Some(site == "same-origin");
    }
    let origin = headers.get(header::ORIGIN)?.to_str().unwrap_or("null");
    // A page that a browser got under this very host name is ours: the cookie is bound to the host as well.
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let of_host = origin.split_once("://").map(|(_, rest)| rest);
    Some(origin == state.config.public_origin() || (of_host.is_some() && of_host == host))
}

/// When API tokens were last noted as used: so that not every request writes.
#[derive(Default)]
pub struct Touched {
    last: std::sync::Mutex<std::collections::HashMap<TokenHash, Timestamp>>,
}

impl Touched {
    fn is_due(&self, hash: &TokenHash, now: Timestamp) -> bool {
        let mut last = self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let due = last.get(hash).is_none_or(|last| now.duration_since(*last) > TOUCH_EVERY);
        if due {
            // Only tokens that are valid get here, so that this holds as many as there are.
            last.insert(*hash, now);
        }
        due
    }
}
