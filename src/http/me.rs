//! The account that asks, and what its owner may change about it.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::{Caller, Proof};
use super::check::Checks;
use super::extract::JsonBody;
use super::live::SignedOut;
use super::login::verify;
use super::problem::{Kind, Problem};
use super::secrets::{PASSWORD_LENGTH, check_password, check_pin, hash_password};
use super::state::AppState;
use crate::ids::AccountId;
use crate::runtime::Limits;
use crate::storage::accounts::{Account, Preferences};
use crate::storage::sessions::TokenHash;
use crate::storage::{accounts, dial_in, sessions};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(show_me, change_me)).routes(routes!(change_password)).routes(routes!(change_pin))
}

/// The account that is signed in.
#[derive(Serialize, ToSchema)]
pub(super) struct Me {
    /// The account.
    #[schema(value_type = uuid::Uuid)]
    account_id: AccountId,
    /// The digits with which one signs in.
    #[schema(example = "100200")]
    user_number: String,
    /// The convener's name.
    #[schema(example = "Ana Novak")]
    name: String,
    /// Where the convener is called, in normal form.
    #[schema(example = "+38613099396")]
    phone: String,
    /// Where reports go.
    email: String,
    /// Language of mail, prompts and pages (ISO 639-1).
    #[schema(example = "sl")]
    language: String,
    /// Time zone of mail and pages (IANA).
    #[schema(example = "Europe/Ljubljana")]
    time_zone: String,
    /// How long the others wait for a convener whose call has ended, in seconds; 0 ends the conference with it.
    grace_seconds: i32,
    /// Those inside hear a beep when somebody comes in.
    entry_beep: bool,
    /// A PIN is set, with which conferences are started by phone.
    has_pin: bool,
    /// Whom his conferences may call, within what the operator allows: `all`, `national` (numbers of the operator's country), `directory` (his own contacts).
    #[schema(example = "all")]
    callable: String,
    /// May see what concerns the service as a whole.
    staff: bool,
}

impl From<Account> for Me {
    fn from(account: Account) -> Self {
        Self {
            account_id: account.id,
            user_number: account.user_number,
            name: account.name,
            phone: account.phone,
            email: account.email,
            language: account.language,
            time_zone: account.time_zone,
            grace_seconds: account.grace_seconds,
            entry_beep: account.entry_beep,
            has_pin: account.has_pin,
            callable: account.callable,
            staff: account.staff,
        }
    }
}

/// The caller's account.
pub(super) async fn account_of(state: &AppState, caller: &Caller) -> Result<Account, Problem> {
    let found = accounts::lookup(&mut *state.pool.get().await?, caller.account).await?;
    found.ok_or(Problem::new(Kind::NotSignedIn))
}

/// Show the account
#[utoipa::path(get, path = "/me", tag = "account", responses((status = OK, body = Me)))]
async fn show_me(State(state): State<AppState>, caller: Caller) -> Result<Json<Me>, Problem> {
    account_of(&state, &caller).await.map(|account| Json(account.into()))
}

/// What is to change about the account; what is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AccountChange {
    /// The convener's name.
    name: Option<String>,
    /// Where the convener is called.
    phone: Option<String>,
    /// Where reports go.
    email: Option<String>,
    /// `sl` or `en`.
    #[schema(example = "en")]
    language: Option<String>,
    /// An IANA name.
    #[schema(example = "Europe/Ljubljana")]
    time_zone: Option<String>,
    /// 0 to 3600.
    grace_seconds: Option<i32>,
    /// Those inside hear a beep when somebody comes in.
    entry_beep: Option<bool>,
    /// Whom conferences may call: `all`, `national` or `directory`.
    #[schema(example = "national")]
    callable: Option<String>,
}

/// Change the account
#[utoipa::path(patch, path = "/me", tag = "account", request_body = AccountChange, responses((status = OK, body = Me)))]
async fn change_me(State(state): State<AppState>, caller: Caller, JsonBody(change): JsonBody<AccountChange>) -> Result<Json<Me>, Problem> {
    let mut checks = Checks::within(Limits::of(&state.rules, &account_of(&state, &caller).await?));
    let name = change.name.map(|name| checks.name("name", &name));
    let phone = change.phone.and_then(|phone| checks.callable(&state, "phone", &phone));
    let email = change.email.map(|email| checks.own_email("email", &email));
    if change.language.as_deref().is_some_and(|language| !matches!(language, "sl" | "en")) {
        checks.refuse("language", "invalid", "sl or en");
    }
    let time_zone = change.time_zone.map(|zone| checks.time_zone("time_zone", &zone));
    if change.grace_seconds.is_some_and(|seconds| !(0..=3600).contains(&seconds)) {
        checks.refuse("grace_seconds", "out_of_range", "0 to 3600");
    }
    if change.callable.as_deref().is_some_and(|callable| !matches!(callable, "all" | "national" | "directory")) {
        checks.refuse("callable", "invalid", "all, national or directory");
    }
    checks.done()?;
    let preferences = Preferences {
        name,
        phone,
        email,
        language: change.language,
        time_zone,
        grace_seconds: change.grace_seconds,
        entry_beep: change.entry_beep,
        callable: change.callable,
    };
    accounts::change_preferences(&mut *state.pool.get().await?, caller.account, preferences).await?;
    account_of(&state, &caller).await.map(|account| Json(account.into()))
}

/// A change of password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PasswordChange {
    /// The password until now.
    #[schema(format = Password)]
    current_password: String,
    /// The new one: at least 10 characters.
    #[schema(format = Password, min_length = 10)]
    new_password: String,
}

/// Change the password
///
/// All other sessions of the account end.
#[utoipa::path(put, path = "/me/password", tag = "account", request_body = PasswordChange, responses((status = NO_CONTENT, description = "The password is changed")))]
async fn change_password(State(state): State<AppState>, caller: Caller, JsonBody(change): JsonBody<PasswordChange>) -> Result<StatusCode, Problem> {
    let own = session_of(&caller)?;
    check_password(&change.new_password).map_err(|(code, why)| Problem::field("new_password", code, why))?;
    confirm_password(&state, &caller, change.current_password).await?;
    let hash = hashed(change.new_password).await?;
    let mut connection = state.pool.get().await?;
    accounts::set_password(&mut connection, caller.account, &hash).await?;
    sessions::revoke_others(&mut connection, caller.account, &own).await?;
    drop(connection);
    state.streams.look_again(SignedOut::Account(caller.account));
    Ok(StatusCode::NO_CONTENT)
}

/// A new PIN.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PinChange {
    /// The password.
    #[schema(format = Password)]
    current_password: String,
    /// 4 to 10 digits that are neither all the same nor in a row; without it the PIN is taken away.
    #[schema(format = Password, pattern = "^[0-9]{4,10}$")]
    #[serde(default)]
    pin: Option<String>,
}

/// Set the PIN
///
/// With user number and PIN the convener starts conferences by phone. Without a PIN nobody can.
#[utoipa::path(put, path = "/me/pin", tag = "account", request_body = PinChange, responses((status = NO_CONTENT, description = "The PIN is set, or taken away")))]
async fn change_pin(State(state): State<AppState>, caller: Caller, JsonBody(change): JsonBody<PinChange>) -> Result<StatusCode, Problem> {
    session_of(&caller)?;
    if let Some(pin) = &change.pin {
        check_pin(pin).map_err(|why| Problem::field("pin", "bad_form", why))?;
    }
    confirm_password(&state, &caller, change.current_password).await?;
    let hash = match change.pin {
        Some(pin) => Some(hashed(pin).await?),
        None => None,
    };
    dial_in::set_pin(&mut *state.pool.get().await?, caller.account, hash.as_deref()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The caller's browser session: a program's token must not be enough to take an account over.
fn session_of(caller: &Caller) -> Result<TokenHash, Problem> {
    match caller.proof {
        Proof::Session(own) => Ok(own),
        Proof::ApiToken(_) => Err(Problem::new(Kind::Forbidden).detail("This is changed from a signed-in browser.")),
    }
}

async fn hashed(secret: String) -> Result<String, Problem> {
    tokio::task::spawn_blocking(move || hash_password(&secret)).await.ok().and_then(Result::ok).ok_or(Problem::new(Kind::Internal))
}

/// Whoever changes a secret says the password again; wrong ones are counted as at the login.
async fn confirm_password(state: &AppState, caller: &Caller, password: String) -> Result<(), Problem> {
    if password.len() > PASSWORD_LENGTH {
        return Err(Problem::field("current_password", "wrong_password", "this is not the password"));
    }
    let account = account_of(state, caller).await?;
    let credentials = accounts::find_credentials(&mut *state.pool.get().await?, &account.user_number).await?;
    let address = std::net::IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED);
    let now = std::time::Instant::now();
    if let Some(wait) = state.lockout.wait(&account.user_number, address, now) {
        return Err(super::limits::too_many(wait.as_millis().div_ceil(1000)).word("locked_out"));
    }
    if !verify(state, password, credentials.map(|credentials| credentials.password_hash)).await? {
        state.lockout.failed(&account.user_number, address, now);
        return Err(Problem::field("current_password", "wrong_password", "this is not the password"));
    }
    Ok(())
}
