//! What a conference would cost, before anybody is called.

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::Caller;
use super::check::Checks;
use super::conferences::most_participants;
use super::extract::{JsonBody, LIST_LIMIT, PathId};
use super::people::{PersonInput, check_people};
use super::problem::{Kind, Problem};
use super::state::AppState;
use crate::billing::{Currency, Estimate, EstimateSums, Money};
use crate::clock;
use crate::ids::{ConferenceId, ParticipantId};
use crate::runtime::Limits;
use crate::storage::accounts::Account;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(show_estimate)).routes(routes!(estimate_draft))
}

/// What calling one person costs the convener.
#[derive(Serialize, ToSchema)]
pub(super) struct PersonEstimate {
    /// The participant.
    #[schema(value_type = uuid::Uuid)]
    participant_id: ParticipantId,
    /// Name.
    name: String,
    /// The number that would be called.
    phone: String,
    /// The prices.
    #[serde(flatten)]
    estimate: Estimate,
    /// What they come to for this person.
    #[serde(flatten)]
    sums: EstimateSums,
    /// The account may not call this number: Start would be refused.
    not_allowed: bool,
}

/// What a conference would cost the convener if everybody were called now, or at its planned time if that is to come.
#[derive(Serialize, ToSchema)]
pub(super) struct ConferenceEstimate {
    /// The tariff that would be applied.
    #[schema(example = "base")]
    tariff: String,
    /// The currency of the amounts (ISO 4217).
    #[schema(value_type = String, example = "EUR")]
    currency: Currency,
    /// Everybody together.
    #[serde(flatten)]
    sums: EstimateSums,
    /// The people, convener first.
    participants: Vec<PersonEstimate>,
    /// How many of them have no price.
    unrated: usize,
    /// What the account has spent today, with VAT.
    spent_today: Money,
    /// What it may spend in a day, with VAT; absent without a cap.
    #[serde(skip_serializing_if = "Option::is_none")]
    daily_cap: Option<Money>,
}

/// Estimate the cost
///
/// Of calling everybody once; those who call in themselves cost what their access number says. Numbers without a price are marked.
#[utoipa::path(get, path = "/conferences/{id}/estimate", tag = "conferences", params(("id" = uuid::Uuid, Path, description = "The conference")),
    responses((status = OK, body = ConferenceEstimate)))]
async fn show_estimate(State(state): State<AppState>, caller: Caller, PathId(id): PathId<ConferenceId>) -> Result<Json<ConferenceEstimate>, Problem> {
    let account = super::me::account_of(&state, &caller).await?;
    let view = state.runtime.view(caller.account, id).await?;
    let people = view.participants.into_iter().map(|person| (person.id, person.name, person.phone));
    estimated(&state, &account, people, view.scheduled_at).await
}

/// A conference that is being put together.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DraftInput {
    /// The people. The convener is added from the account and is not among them.
    #[serde(default)]
    participants: Vec<PersonInput>,
    /// When it is to take place; now if not given.
    #[serde(default)]
    scheduled_at: Option<Timestamp>,
}

/// Estimate the cost of a draft
///
/// The same before there is a conference. The people come back in their order, after the convener; nothing is kept.
#[utoipa::path(post, path = "/estimate", tag = "conferences", request_body = DraftInput, responses((status = OK, body = ConferenceEstimate)))]
async fn estimate_draft(
    State(state): State<AppState>,
    caller: Caller,
    JsonBody(draft): JsonBody<DraftInput, LIST_LIMIT>,
) -> Result<Json<ConferenceEstimate>, Problem> {
    let account = super::me::account_of(&state, &caller).await?;
    let mut checks = Checks::within(Limits::of(&state.rules, &account));
    if draft.participants.len() >= most_participants(&state, &account) {
        checks.refuse("participants", "too_many", "more people than a conference may hold");
        checks.done()?;
        return Err(Problem::new(Kind::Internal));
    }
    let people = check_people(&state, &caller, &mut checks, "participants", &draft.participants).await?;
    checks.done()?;
    let convener = (ParticipantId::fresh(), account.name.clone(), account.phone.clone());
    let others = people.into_iter().map(|person| (person.id, person.name, person.phone));
    estimated(&state, &account, std::iter::once(convener).chain(others), draft.scheduled_at).await
}

async fn estimated(
    state: &AppState,
    account: &Account,
    people: impl Iterator<Item = (ParticipantId, String, String)>,
    scheduled_at: Option<Timestamp>,
) -> Result<Json<ConferenceEstimate>, Problem> {
    let spent_today = state.runtime.spent_today(&mut *state.pool.get().await?, account.id).await?;
    let limits = Limits::of(&state.rules, account);
    let prices = state.runtime.prices();
    let tariff = prices.name(account.tariff.as_deref());
    let now = clock::now();
    let at = scheduled_at.map_or(now, |planned| planned.max(now));
    let mut sums = EstimateSums::default();
    let people = people.map(|(participant_id, name, phone)| {
        let estimate = prices.estimate(tariff, &phone, at);
        sums.add(&estimate);
        let mut own = EstimateSums::default();
        own.add(&estimate);
        let not_allowed = !limits.allows(&phone);
        PersonEstimate { participant_id, name, phone, estimate, sums: own, not_allowed }
    });
    let participants: Vec<PersonEstimate> = people.collect();
    Ok(Json(ConferenceEstimate {
        tariff: tariff.to_owned(),
        currency: prices.currency(),
        sums,
        unrated: participants.iter().filter(|person| person.estimate.unrated).count(),
        participants,
        spent_today,
        daily_cap: limits.daily_spend_cap,
    }))
}
