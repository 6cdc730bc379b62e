//! What the operator's staff sets about an account.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::check::Checks;
use super::extract::{JsonBody, PathId};
use super::operator::Staff;
use super::problem::Problem;
use super::state::AppState;
use crate::billing::Money;
use crate::conference::AtCap;
use crate::config::is_prefix;
use crate::lines::Standing;
use crate::storage::accounts::{self, Account, Terms};
use crate::storage::tariffs;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(show_terms, change_terms))
}

/// The operator's terms for an account; what is `null` is as the configuration says.
#[derive(Serialize, ToSchema)]
pub(super) struct AccountTerms {
    /// The tariff by which its conferences are charged.
    tariff: Option<String>,
    /// The line in the operator's network that makes it eligible.
    line: Option<String>,
    /// Beginnings of numbers that it may call.
    #[schema(value_type = Option<Vec<String>>)]
    allowed_prefixes: Option<serde_json::Value>,
    /// People in one conference, the convener included.
    max_participants: Option<i32>,
    /// Conferences at once.
    max_conferences: Option<i32>,
    /// Length of a conference, in seconds.
    max_length_seconds: Option<i32>,
    /// What it may cost a day, with VAT.
    daily_spend_cap: Option<Money>,
    /// What happens then.
    at_cap: Option<AtCap>,
}

impl From<Account> for AccountTerms {
    fn from(account: Account) -> Self {
        Self {
            tariff: account.tariff,
            line: account.line,
            allowed_prefixes: account.allowed_prefixes,
            max_participants: account.max_participants,
            max_conferences: account.max_conferences,
            max_length_seconds: account.max_length_seconds,
            daily_spend_cap: account.daily_spend_cap.map(Money),
            at_cap: account.at_cap.as_deref().and_then(AtCap::from_word),
        }
    }
}

/// What is to change; what is left out stays, `null` gives a setting back to the configuration.
#[derive(Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct TermsChange {
    /// A tariff that has been imported.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    tariff: Option<Option<String>>,
    /// A line of the operator's inventory; `null` is its telephone as it is now.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    line: Option<Option<String>>,
    /// `+` and digits, `+` alone for every number, or short numbers.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<Vec<String>>)]
    allowed_prefixes: Option<Option<Vec<String>>>,
    /// 2 to 10000.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<i32>)]
    max_participants: Option<Option<i32>>,
    /// 0 to 10000.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<i32>)]
    max_conferences: Option<Option<i32>>,
    /// 60 to 604800.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<i32>)]
    max_length_seconds: Option<Option<i32>>,
    /// An amount such as `50.00`.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<Money>)]
    daily_spend_cap: Option<Option<Money>>,
    /// What happens at the cap.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<AtCap>)]
    at_cap: Option<Option<AtCap>>,
}

/// Tells a field that is `null` from one that is absent.
fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// An account's terms
#[utoipa::path(get, path = "/operator/accounts/{user_number}/terms", tag = "operator",
    params(("user_number" = String, Path, description = "The account's user number")), responses((status = OK, body = AccountTerms)))]
async fn show_terms(State(state): State<AppState>, _staff: Staff, PathId(user_number): PathId<String>) -> Result<Json<AccountTerms>, Problem> {
    let found = accounts::find_by_user_number(&mut *state.pool.get().await?, &user_number).await?;
    Ok(Json(found.ok_or_else(Problem::not_found)?.into()))
}

/// Change an account's terms
///
/// A line is looked up in the operator's inventory, where one is configured. A tariff counts from the account's next conference on.
#[utoipa::path(patch, path = "/operator/accounts/{user_number}/terms", tag = "operator",
    params(("user_number" = String, Path, description = "The account's user number")), request_body = TermsChange,
    responses((status = OK, body = AccountTerms)))]
async fn change_terms(
    State(state): State<AppState>,
    _staff: Staff,
    PathId(user_number): PathId<String>,
    JsonBody(change): JsonBody<TermsChange>,
) -> Result<Json<AccountTerms>, Problem> {
    let account = accounts::find_by_user_number(&mut *state.pool.get().await?, &user_number).await?.ok_or_else(Problem::not_found)?;
    let terms = checked(&state, change, &account).await?;
    let mut connection = state.pool.get().await?;
    accounts::set_terms(&mut connection, account.id, terms).await?;
    let account = accounts::lookup(&mut connection, account.id).await?.ok_or_else(Problem::not_found)?;
    Ok(Json(account.into()))
}

async fn checked(state: &AppState, change: TermsChange, account: &Account) -> Result<Terms, Problem> {
    let mut checks = Checks::default();
    if let Some(Some(name)) = &change.tariff
        && !tariffs::exists(&mut *state.pool.get().await?, name).await?
    {
        checks.refuse("tariff", "unknown_tariff", "there is no such tariff");
    }
    let line = match change.line {
        Some(Some(typed)) => checks.phone(state, "line", &typed),
        // Written down rather than left open: the telephone is his to change, the line is not.
        Some(None) => Some(account.phone.clone()),
        None => None,
    };
    for (at, prefix) in change.allowed_prefixes.iter().flatten().flatten().enumerate() {
        if !is_prefix(prefix) {
            checks.refuse(format!("allowed_prefixes[{at}]"), "invalid", "+ and digits, + alone for every number, or a short number");
        }
    }
    for (field, value, least, most) in [
        ("max_participants", change.max_participants, 2, 10_000),
        ("max_conferences", change.max_conferences, 0, 10_000),
        ("max_length_seconds", change.max_length_seconds, 60, 604_800),
    ] {
        if value.flatten().is_some_and(|value| !(least..=most).contains(&value)) {
            checks.refuse(field, "out_of_range", format!("{least} to {most}"));
        }
    }
    if change.daily_spend_cap.flatten().is_some_and(|cap| cap < Money::ZERO) {
        checks.refuse("daily_spend_cap", "out_of_range", "not negative");
    }
    if let (Some(line), Some(lines)) = (&line, state.runtime.lines()) {
        match lines.standing(line).await {
            Ok(Standing::Owned) => {}
            Ok(Standing::Gone) => checks.refuse("line", "unknown_line", "this line is not in the operator's inventory"),
            // Unlike a start, a change can wait until the inventory answers.
            Err(fault) => {
                tracing::warn!(%fault, "the inventory of lines could not be asked");
                return Err(
                    Problem::new(super::problem::Kind::Unavailable).detail("The inventory of lines does not answer. Nothing was changed; try again.")
                );
            }
        }
    }
    checks.done()?;
    Ok(Terms {
        tariff: change.tariff,
        line,
        allowed_prefixes: change.allowed_prefixes.map(|list| list.map(Into::into)),
        max_participants: change.max_participants,
        max_conferences: change.max_conferences,
        max_length_seconds: change.max_length_seconds,
        daily_spend_cap: change.daily_spend_cap.map(|cap| cap.map(|cap| cap.0)),
        at_cap: change.at_cap.map(|at_cap| at_cap.map(|at_cap| at_cap.word().to_owned())),
        // Set with `sklic account set`.
        retention_days: None,
    })
}
