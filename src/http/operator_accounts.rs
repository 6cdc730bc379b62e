//! What the operator's staff sees of one account, and of the prices: to answer a customer's question.

use std::collections::HashMap;

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::contacts::page_limit;
use super::extract::{PathId, QueryOf};
use super::operator::Staff;
use super::problem::Problem;
use super::state::AppState;
use crate::billing::{Money, Percent};
use crate::clock;
use crate::ids::ConferenceId;
use crate::storage::accounts::{self, Account};
use crate::storage::tariffs::TariffSummary;
use crate::storage::{conferences, operator, participants, tariffs};

/// The most rates of one answer.
const MOST_RATES: i64 = 5_000;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(find_accounts)).routes(routes!(show_history)).routes(routes!(list_tariffs)).routes(routes!(list_rates))
}

/// An account, as the staff sees it.
#[derive(Serialize, ToSchema)]
pub(super) struct AccountLine {
    /// The digits with which one signs in.
    user_number: String,
    /// The convener's name.
    name: String,
    /// Where the convener is called.
    phone: String,
    /// Where reports go.
    email: String,
    /// When it was made.
    created_at: Timestamp,
    /// Since when it cannot be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    disabled_at: Option<Timestamp>,
    /// It is the operator's own.
    staff: bool,
}

impl From<Account> for AccountLine {
    fn from(account: Account) -> Self {
        let Account { user_number, name, phone, email, created_at, disabled_at, staff, .. } = account;
        Self { user_number, name, phone, email, created_at, disabled_at, staff }
    }
}

/// Which accounts.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AccountQuery {
    /// Only those whose user number, name or telephone holds this, in whatever case.
    search: Option<String>,
    /// At most this many: 1 to 500, 50 if not given.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<i64>,
}

/// Find accounts
///
/// By user number.
#[utoipa::path(get, path = "/operator/accounts", tag = "operator", params(AccountQuery), responses((status = OK, body = Vec<AccountLine>)))]
async fn find_accounts(
    State(state): State<AppState>,
    _staff: Staff,
    QueryOf(query): QueryOf<AccountQuery>,
) -> Result<Json<Vec<AccountLine>>, Problem> {
    let limit = page_limit(query.limit, 50, 500)?;
    let search = query.search.as_deref().map(str::trim).filter(|search| !search.is_empty());
    if search.is_some_and(|search| search.chars().count() > 200) {
        return Err(Problem::field("search", "too_long", "at most 200 characters"));
    }
    let found = operator::find_accounts(&mut *state.pool.get().await?, search, limit).await?;
    Ok(Json(found.into_iter().map(AccountLine::from).collect()))
}

/// What one account did.
#[derive(Serialize, ToSchema)]
pub(super) struct AccountHistory {
    /// The account.
    account: AccountLine,
    /// Its conferences, the newest first.
    conferences: Vec<PastConference>,
    /// Where the next page begins (`before`); absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Uuid>)]
    next: Option<ConferenceId>,
}

/// A conference in an account's history.
#[derive(Serialize, ToSchema)]
pub(super) struct PastConference {
    /// The conference.
    #[schema(value_type = Uuid)]
    id: ConferenceId,
    /// As the convener named it.
    title: String,
    /// `planned`, `calling_convener`, `running`, `closing`, `ended` or `failed`.
    state: String,
    /// Why it ended or failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// The switch on which it ran.
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<String>,
    /// When it was made.
    created_at: Timestamp,
    /// When Start was pressed.
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<Timestamp>,
    /// When the convener came in.
    #[serde(skip_serializing_if = "Option::is_none")]
    running_since: Option<Timestamp>,
    /// When it was over.
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<Timestamp>,
    /// How many people it has, the convener included.
    participants: i64,
    /// What the account owes for it, with VAT; one for each currency.
    owed: Vec<Owed>,
}

/// An amount that is owed.
#[derive(Clone, Serialize, ToSchema)]
pub(super) struct Owed {
    /// With VAT.
    gross: Money,
    /// ISO 4217 code.
    #[schema(example = "EUR")]
    currency: String,
}

/// Which part of the history.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct HistoryQuery {
    /// At most this many conferences: 1 to 200, 50 if not given.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<i64>,
    /// Begin before this conference: the `next` of the page before.
    #[param(value_type = Option<Uuid>)]
    before: Option<ConferenceId>,
}

/// One account's history
#[utoipa::path(get, path = "/operator/accounts/{user_number}", tag = "operator",
    params(("user_number" = String, Path, description = "The account's user number"), HistoryQuery), responses((status = OK, body = AccountHistory)))]
async fn show_history(
    State(state): State<AppState>,
    _staff: Staff,
    PathId(user_number): PathId<String>,
    QueryOf(query): QueryOf<HistoryQuery>,
) -> Result<Json<AccountHistory>, Problem> {
    let limit = page_limit(query.limit, 50, 200)?;
    let mut connection = state.pool.get().await?;
    let account = accounts::find_by_user_number(&mut connection, &user_number).await?.ok_or_else(Problem::not_found)?;
    let mut found = conferences::list(&mut connection, account.id, None, query.before, limit + 1).await?;
    let more = i64::try_from(found.len()).is_ok_and(|count| count > limit);
    if more {
        found.pop();
    }
    let next = found.last().filter(|_| more).map(|last| last.id);
    let ids: Vec<ConferenceId> = found.iter().map(|conference| conference.id).collect();
    let counts: HashMap<ConferenceId, i64> = participants::count(&mut connection, account.id, &ids).await?.into_iter().collect();
    let mut owed: HashMap<ConferenceId, Vec<Owed>> = HashMap::new();
    for (conference, currency, gross) in operator::sum_charges(&mut connection, account.id, &ids).await? {
        owed.entry(conference).or_default().push(Owed { gross: Money(gross), currency });
    }
    let line = |conference: conferences::Conference| PastConference {
        participants: counts.get(&conference.id).copied().unwrap_or(0),
        owed: owed.get(&conference.id).cloned().unwrap_or_default(),
        id: conference.id,
        title: conference.title,
        state: conference.state,
        reason: conference.reason,
        node: conference.node,
        created_at: conference.created_at,
        started_at: conference.started_at,
        running_since: conference.running_since,
        ended_at: conference.ended_at,
    };
    Ok(Json(AccountHistory { account: account.into(), conferences: found.into_iter().map(line).collect(), next }))
}

/// A version of a tariff.
#[derive(Serialize, ToSchema)]
pub(super) struct TariffLine {
    /// The version.
    id: Uuid,
    /// The tariff's name.
    name: String,
    /// The version's number, from 1.
    version: i32,
    /// ISO 4217 code.
    #[schema(example = "EUR")]
    currency: String,
    /// When it comes into force.
    valid_from: Timestamp,
    /// When it was imported.
    imported_at: Timestamp,
    /// It is the one by which calls that begin now are priced.
    in_force: bool,
}

/// Tariffs
///
/// All versions, by name and number; which of them are in force.
#[utoipa::path(get, path = "/operator/tariffs", tag = "operator", responses((status = OK, body = Vec<TariffLine>)))]
async fn list_tariffs(State(state): State<AppState>, _staff: Staff) -> Result<Json<Vec<TariffLine>>, Problem> {
    let now = clock::now();
    let all = tariffs::list(&mut *state.pool.get().await?).await?;
    let in_force = |one: &TariffSummary| {
        let valid = all.iter().filter(|other| other.name == one.name && other.valid_from <= now);
        valid.max_by_key(|other| (other.valid_from, other.version)).is_some_and(|last| last.id == one.id)
    };
    let line = |one: &TariffSummary| TariffLine {
        id: one.id,
        name: one.name.clone(),
        version: one.version,
        currency: one.currency.clone(),
        valid_from: one.valid_from,
        imported_at: one.imported_at,
        in_force: in_force(one),
    };
    Ok(Json(all.iter().map(line).collect()))
}

/// One price of a tariff.
#[derive(Serialize, ToSchema)]
pub(super) struct RateView {
    /// `call` or `conference`.
    component: String,
    /// What the number begins with.
    #[schema(example = "+386")]
    prefix: String,
    /// What the operator calls it.
    description: String,
    /// Once for each leg, without VAT.
    connect_fee: Money,
    /// For each minute, without VAT.
    price_per_minute: Money,
    /// The first step of billing, in seconds.
    first_increment: i64,
    /// Each further step, in seconds.
    next_increment: i64,
    /// Seconds that cost nothing.
    free_seconds: i64,
    /// VAT on it.
    vat_percent: Percent,
}

/// Prices of a tariff
///
/// The rates of a version that hold now, by component and prefix, at most 5000.
#[utoipa::path(get, path = "/operator/tariffs/{id}/rates", tag = "operator", params(("id" = Uuid, Path, description = "The tariff's version")),
    responses((status = OK, body = Vec<RateView>)))]
async fn list_rates(State(state): State<AppState>, _staff: Staff, PathId(id): PathId<Uuid>) -> Result<Json<Vec<RateView>>, Problem> {
    let mut connection = state.pool.get().await?;
    if !tariffs::list(&mut connection).await?.iter().any(|version| version.id == id) {
        return Err(Problem::not_found());
    }
    let view = |rate: operator::RateLine| RateView {
        component: rate.component,
        prefix: rate.prefix,
        description: rate.description,
        connect_fee: Money(rate.connect_fee),
        price_per_minute: Money(rate.price_per_minute),
        first_increment: rate.first_increment,
        next_increment: rate.next_increment,
        free_seconds: rate.free_seconds,
        vat_percent: Percent(u32::try_from(rate.vat_percent).unwrap_or(0)),
    };
    Ok(Json(operator::rates(&mut connection, id, clock::now(), MOST_RATES).await?.into_iter().map(view).collect()))
}
