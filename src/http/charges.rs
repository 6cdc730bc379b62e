//! Charges: what calls and conferences cost.

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::Caller;
use super::check::Checks;
use super::contacts::page_limit;
use super::extract::QueryOf;
use super::problem::Problem;
use super::state::AppState;
use crate::billing::{Charge, ChargeId, Payer};
use crate::ids::{ConferenceId, LegId};
use crate::storage::charges::{self, ChargeFilter};
use crate::storage::{Connection, StorageError, conferences, legs};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list_charges))
}

/// Which charges.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ChargeQuery {
    /// Of this conference only.
    #[param(value_type = Option<uuid::Uuid>)]
    conference: Option<ConferenceId>,
    /// Of what started at this time or later.
    from: Option<Timestamp>,
    /// Of what started before this time.
    to: Option<Timestamp>,
    /// At most this many: 1 to 5000, 1000 if not given.
    #[param(minimum = 1, maximum = 5000)]
    limit: Option<i64>,
    /// Begin after this: the `next` of the page before.
    after: Option<String>,
}

/// A part of the charges, by the start of what is charged.
#[derive(Serialize, ToSchema)]
pub(super) struct ChargeList {
    /// The charges. Amounts are in 1/10000 of the currency's unit.
    charges: Vec<Charge>,
    /// Where the next page begins (`after`); absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// List charges
#[utoipa::path(get, path = "/charges", tag = "charges", params(ChargeQuery), responses((status = OK, body = ChargeList)))]
async fn list_charges(State(state): State<AppState>, caller: Caller, QueryOf(query): QueryOf<ChargeQuery>) -> Result<Json<ChargeList>, Problem> {
    let limit = page_limit(query.limit, 1000, 5000)?;
    let after = query.after.as_deref().map(read_cursor).transpose()?;
    let mut checks = Checks::default();
    checks.time("from", query.from);
    checks.time("to", query.to);
    checks.done()?;
    let mut connection = state.pool.get().await?;
    if let Some(conference) = query.conference {
        conferences::lookup(&mut connection, caller.account, conference).await?.ok_or_else(Problem::not_found)?;
    }
    let filter = ChargeFilter { conference: query.conference, from: query.from, to: query.to, after };
    let mut charges = charges::list(&mut connection, caller.account, &filter, limit + 1).await?;
    let more = i64::try_from(charges.len()).is_ok_and(|count| count > limit);
    if more {
        charges.pop();
    }
    hide_withheld(&mut connection, &mut charges).await?;
    let next = charges.last().filter(|_| more).map(|last| format!("{}_{}", last.id, last.started_at));
    Ok(Json(ChargeList { charges, next }))
}

/// Takes out the lines of callers who keep their number private, as roster, report and webhooks do: only billing knows them.
async fn hide_withheld(connection: &mut Connection, charges: &mut [Charge]) -> Result<(), StorageError> {
    let of_callers = charges.iter().filter(|charge| matches!(charge.payer, Payer::Caller { line: Some(_) }));
    let of_callers: Vec<LegId> = of_callers.map(|charge| charge.leg).collect();
    if of_callers.is_empty() {
        return Ok(());
    }
    let withheld = legs::withheld(connection, &of_callers).await?;
    for charge in charges.iter_mut().filter(|charge| withheld.contains(&charge.leg)) {
        if let Payer::Caller { line } = &mut charge.payer {
            *line = None;
        }
    }
    Ok(())
}

fn read_cursor(text: &str) -> Result<(Timestamp, ChargeId), Problem> {
    let cursor = text.split_once('_').and_then(|(id, start)| Some((start.parse().ok()?, id.parse().ok()?)));
    cursor
        .filter(|(start, _)| *start >= Timestamp::UNIX_EPOCH)
        .ok_or_else(|| Problem::field("after", "invalid", "take it from `next` of the page before"))
}
