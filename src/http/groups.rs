//! The directory: groups of contacts.

use std::collections::HashSet;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::Caller;
use super::check::Checks;
use super::contacts::MOST_CONTACTS;
use super::extract::{JsonBody, LIST_LIMIT, PathId};
use super::problem::{Kind, Problem};
use super::state::AppState;
use crate::clock;
use crate::ids::{ContactId, GroupId};
use crate::storage::groups::{self, Group};
use crate::storage::{StorageError, contacts};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list_groups, add_group)).routes(routes!(show_group, change_group, delete_group))
}

/// A group of contacts.
#[derive(Serialize, ToSchema)]
pub(super) struct GroupView {
    /// The group.
    #[schema(value_type = uuid::Uuid)]
    id: GroupId,
    /// Its name, which no other group of the account has.
    #[schema(example = "Uprava")]
    name: String,
    /// Its contacts, in the order in which they were given.
    #[schema(value_type = Vec<uuid::Uuid>)]
    contact_ids: Vec<ContactId>,
}

impl From<Group> for GroupView {
    fn from(group: Group) -> Self {
        Self { id: group.id, name: group.name, contact_ids: group.contacts }
    }
}

/// A group as written by its owner.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct GroupInput {
    /// Its name: one line of at most 200 characters.
    #[schema(example = "Uprava", max_length = 200)]
    name: String,
    /// Its contacts.
    #[serde(default)]
    #[schema(value_type = Vec<uuid::Uuid>)]
    contact_ids: Vec<ContactId>,
}

impl GroupInput {
    async fn checked(&self, state: &AppState, caller: &Caller) -> Result<String, Problem> {
        let mut checks = Checks::default();
        let name = checks.name("name", &self.name);
        if self.contact_ids.len() > MOST_CONTACTS {
            checks.refuse("contact_ids", "too_many", format!("at most {MOST_CONTACTS}"));
            return checks.done().map(|()| name);
        }
        let known = contacts::find(&mut *state.pool.get().await?, caller.account, &self.contact_ids).await?;
        let known: HashSet<ContactId> = known.into_iter().map(|contact| contact.id).collect();
        for (at, id) in self.contact_ids.iter().enumerate() {
            if !known.contains(id) {
                checks.refuse(format!("contact_ids[{at}]"), "unknown_contact", "there is no such contact");
            }
        }
        checks.done().map(|()| name)
    }
}

/// The two errors that can come between the check and the writing.
fn written(error: StorageError) -> Problem {
    if error.is_of("groups_account_name_key") {
        return Problem::new(Kind::Conflict).word("name_taken").detail("There is a group of this name already.");
    }
    if error.is_of("group_members_contact_fkey") {
        return Problem::field("contact_ids", "unknown_contact", "a contact is gone");
    }
    error.into()
}

/// List groups
#[utoipa::path(get, path = "/groups", tag = "directory", responses((status = OK, body = Vec<GroupView>)))]
async fn list_groups(State(state): State<AppState>, caller: Caller) -> Result<Json<Vec<GroupView>>, Problem> {
    let found = groups::list(&mut *state.pool.get().await?, caller.account).await?;
    Ok(Json(found.into_iter().map(GroupView::from).collect()))
}

/// Add a group
#[utoipa::path(post, path = "/groups", tag = "directory", request_body = GroupInput,
    responses((status = CREATED, body = GroupView), (status = CONFLICT, description = "The name is taken")))]
async fn add_group(
    State(state): State<AppState>,
    caller: Caller,
    JsonBody(input): JsonBody<GroupInput, LIST_LIMIT>,
) -> Result<(StatusCode, Json<GroupView>), Problem> {
    let name = input.checked(&state, &caller).await?;
    let id = GroupId::fresh();
    let mut connection = state.pool.get().await?;
    groups::add(&mut connection, caller.account, id, &name, &input.contact_ids, clock::now()).await.map_err(written)?;
    let added = groups::lookup(&mut connection, caller.account, id).await?.ok_or_else(Problem::not_found)?;
    Ok((StatusCode::CREATED, Json(added.into())))
}

/// Show a group
#[utoipa::path(get, path = "/groups/{id}", tag = "directory", params(("id" = uuid::Uuid, Path, description = "The group")),
    responses((status = OK, body = GroupView)))]
async fn show_group(State(state): State<AppState>, caller: Caller, PathId(id): PathId<GroupId>) -> Result<Json<GroupView>, Problem> {
    let found = groups::lookup(&mut *state.pool.get().await?, caller.account, id).await?;
    found.map(|group| Json(group.into())).ok_or_else(Problem::not_found)
}

/// Change a group
///
/// As a whole: the contacts given are its contacts afterwards.
#[utoipa::path(put, path = "/groups/{id}", tag = "directory", params(("id" = uuid::Uuid, Path, description = "The group")), request_body = GroupInput,
    responses((status = OK, body = GroupView), (status = CONFLICT, description = "The name is taken")))]
async fn change_group(
    State(state): State<AppState>,
    caller: Caller,
    PathId(id): PathId<GroupId>,
    JsonBody(input): JsonBody<GroupInput, LIST_LIMIT>,
) -> Result<Json<GroupView>, Problem> {
    let name = input.checked(&state, &caller).await?;
    let mut connection = state.pool.get().await?;
    groups::change(&mut connection, caller.account, id, &name, &input.contact_ids, clock::now()).await.map_err(written)?;
    let changed = groups::lookup(&mut connection, caller.account, id).await?;
    changed.map(|group| Json(group.into())).ok_or_else(Problem::not_found)
}

/// Delete a group
///
/// Its contacts stay.
#[utoipa::path(delete, path = "/groups/{id}", tag = "directory", params(("id" = uuid::Uuid, Path, description = "The group")),
    responses((status = NO_CONTENT, description = "The group is gone")))]
async fn delete_group(State(state): State<AppState>, caller: Caller, PathId(id): PathId<GroupId>) -> Result<StatusCode, Problem> {
    let removed = groups::remove(&mut *state.pool.get().await?, caller.account, id).await?;
    if removed { Ok(StatusCode::NO_CONTENT) } else { Err(Problem::not_found()) }
}
