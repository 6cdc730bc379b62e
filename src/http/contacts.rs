//! The directory: contacts.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::Caller;
use super::check::Checks;
use super::extract::{JsonBody, PathId, QueryOf};
use super::problem::{Kind, Problem};
use super::state::AppState;
use crate::clock;
use crate::ids::ContactId;
use crate::storage::contacts::{self, Contact, ContactFields, ContactPage};
use crate::storage::dial_in;

/// The most contacts of an account.
pub const MOST_CONTACTS: usize = 10_000;
/// The most contacts of one page.
const LONGEST_PAGE: i64 = 1000;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list_contacts, add_contact))
        .routes(routes!(show_contact, change_contact, delete_contact))
        .routes(routes!(renew_code))
        .routes(routes!(super::import::import_contacts))
        .routes(routes!(super::export::contacts_csv))
        .routes(routes!(super::export::contacts_vcard))
}

/// A person in the directory.
#[derive(Serialize, ToSchema)]
pub(super) struct ContactView {
    /// The contact.
    #[schema(value_type = uuid::Uuid)]
    id: ContactId,
    /// The name.
    #[schema(example = "Žiga Čopič")]
    name: String,
    /// The number in normal form.
    #[schema(example = "+38640123456")]
    phone: String,
    /// Where messages go.
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<String>,
    /// A note.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    /// What the person keys on the phone to come into a conference; nobody else has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "20419387")]
    code: Option<String>,
}

impl From<Contact> for ContactView {
    fn from(contact: Contact) -> Self {
        Self { id: contact.id, name: contact.name, phone: contact.phone, email: contact.email, note: contact.note, code: contact.code }
    }
}

/// A contact as written by its owner.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ContactInput {
    /// The name: one line of at most 200 characters.
    #[schema(example = "Žiga Čopič", max_length = 200)]
    name: String,
    /// The number, as people write numbers.
    #[schema(example = "040 123 456", max_length = 40)]
    phone: String,
    /// Where messages go.
    #[schema(example = "ziga@example.test")]
    #[serde(default)]
    email: Option<String>,
    /// A note of at most 2000 characters, on several lines if wanted.
    #[schema(max_length = 2000)]
    #[serde(default)]
    note: Option<String>,
}

impl ContactInput {
    fn checked(&self, state: &AppState) -> Result<ContactFields, Problem> {
        let mut checks = Checks::default();
        let fields = check_fields(&mut checks, state, "", &self.name, &self.phone, self.email.as_deref(), self.note.as_deref());
        checks.done()?;
        Ok(fields)
    }
}

/// Checks a contact's fields; `at` is what goes before their names in the errors' paths.
pub(super) fn check_fields(
    checks: &mut Checks,
    state: &AppState,
    at: &str,
    name: &str,
    phone: &str,
    email: Option<&str>,
    note: Option<&str>,
) -> ContactFields {
    ContactFields {
        name: checks.name(&format!("{at}name"), name),
        phone: checks.phone(state, &format!("{at}phone"), phone).unwrap_or_default(),
        email: checks.email(&format!("{at}email"), email),
        note: checks.note(&format!("{at}note"), note),
    }
}

/// Give a contact another code
///
/// The old one leads nowhere from now on.
#[utoipa::path(post, path = "/contacts/{id}/code", tag = "directory", params(("id" = uuid::Uuid, Path, description = "The contact")),
    responses((status = OK, body = ContactView)))]
async fn renew_code(State(state): State<AppState>, caller: Caller, PathId(id): PathId<ContactId>) -> Result<Json<ContactView>, Problem> {
    let mut connection = state.pool.get().await?;
    dial_in::renew_code(&mut connection, caller.account, id, clock::now()).await?.ok_or(Problem::not_found())?;
    let contact = contacts::lookup(&mut connection, caller.account, id).await?.ok_or(Problem::not_found())?;
    Ok(Json(contact.into()))
}

/// Which part of the directory.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ContactQuery {
    /// Only contacts whose name or number holds this, in whatever case.
    search: Option<String>,
    /// At most this many: 1 to 1000, 200 if not given.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<i64>,
    /// Begin after this: the `next` of the page before.
    after: Option<String>,
}

/// A part of the directory, by name.
#[derive(Serialize, ToSchema)]
pub(super) struct ContactList {
    /// The contacts.
    contacts: Vec<ContactView>,
    /// Where the next page begins (`after`); absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// The limit of a page as asked for.
pub(super) fn page_limit(asked: Option<i64>, usual: i64, most: i64) -> Result<i64, Problem> {
    let limit = asked.unwrap_or(usual);
    if (1..=most).contains(&limit) { Ok(limit) } else { Err(Problem::field("limit", "out_of_range", format!("1 to {most}"))) }
}

/// List contacts
#[utoipa::path(get, path = "/contacts", tag = "directory", params(ContactQuery), responses((status = OK, body = ContactList)))]
async fn list_contacts(State(state): State<AppState>, caller: Caller, QueryOf(query): QueryOf<ContactQuery>) -> Result<Json<ContactList>, Problem> {
    let limit = page_limit(query.limit, 200, LONGEST_PAGE)?;
    let after = query.after.as_deref().map(read_cursor).transpose()?;
    if query.search.as_ref().is_some_and(|search| search.chars().count() > 200) {
        return Err(Problem::field("search", "too_long", "at most 200 characters"));
    }
    // One more than asked for tells whether there is a next page.
    let page = ContactPage {
        search: query.search.filter(|search| !search.trim().is_empty()).map(|search| search.trim().to_owned()),
        after,
        limit: limit + 1,
    };
    let mut found = contacts::list(&mut *state.pool.get().await?, caller.account, &page).await?;
    let more = i64::try_from(found.len()).is_ok_and(|count| count > limit);
    if more {
        found.pop();
    }
    let next = found.last().filter(|_| more).map(|last| format!("{}:{}", last.id, last.name));
    Ok(Json(ContactList { contacts: found.into_iter().map(ContactView::from).collect(), next }))
}

fn read_cursor(text: &str) -> Result<(String, ContactId), Problem> {
    let cursor = text.split_once(':').and_then(|(id, name)| Some((name.to_owned(), id.parse().ok()?))).filter(|(name, _)| !name.contains('\0'));
    cursor.ok_or_else(|| Problem::field("after", "invalid", "take it from `next` of the page before"))
}

/// Refuses contacts that would be too many.
pub(super) async fn check_room(state: &AppState, caller: &Caller, more: usize) -> Result<(), Problem> {
    let have = contacts::count(&mut *state.pool.get().await?, caller.account).await?;
    if usize::try_from(have).unwrap_or(usize::MAX).saturating_add(more) > MOST_CONTACTS {
        let words = format!("A directory holds at most {MOST_CONTACTS} contacts; this one has {have}.");
        return Err(Problem::new(Kind::Conflict).word("directory_full").detail(words));
    }
    Ok(())
}

/// Add a contact
#[utoipa::path(post, path = "/contacts", tag = "directory", request_body = ContactInput,
    responses((status = CREATED, body = ContactView), (status = CONFLICT, description = "The directory is full")))]
async fn add_contact(
    State(state): State<AppState>,
    caller: Caller,
    JsonBody(input): JsonBody<ContactInput>,
) -> Result<(StatusCode, Json<ContactView>), Problem> {
    let fields = input.checked(&state)?;
    check_room(&state, &caller, 1).await?;
    let id = ContactId::fresh();
    let mut connection = state.pool.get().await?;
    contacts::add(&mut connection, caller.account, &[(id, fields)], clock::now()).await?;
    let added = contacts::lookup(&mut connection, caller.account, id).await?.ok_or(Problem::not_found())?;
    Ok((StatusCode::CREATED, Json(added.into())))
}

/// Show a contact
#[utoipa::path(get, path = "/contacts/{id}", tag = "directory", params(("id" = uuid::Uuid, Path, description = "The contact")),
    responses((status = OK, body = ContactView)))]
async fn show_contact(State(state): State<AppState>, caller: Caller, PathId(id): PathId<ContactId>) -> Result<Json<ContactView>, Problem> {
    let found = contacts::lookup(&mut *state.pool.get().await?, caller.account, id).await?;
    found.map(|contact| Json(contact.into())).ok_or_else(Problem::not_found)
}

/// Change a contact
///
/// As a whole: what is left out is emptied.
#[utoipa::path(put, path = "/contacts/{id}", tag = "directory", params(("id" = uuid::Uuid, Path, description = "The contact")),
    request_body = ContactInput, responses((status = OK, body = ContactView)))]
async fn change_contact(
    State(state): State<AppState>,
    caller: Caller,
    PathId(id): PathId<ContactId>,
    JsonBody(input): JsonBody<ContactInput>,
) -> Result<Json<ContactView>, Problem> {
    let fields = input.checked(&state)?;
    let changed = contacts::change(&mut *state.pool.get().await?, caller.account, id, &fields, clock::now()).await?;
    changed.map(|contact| Json(contact.into())).ok_or_else(Problem::not_found)
}

/// Delete a contact
///
/// Also from the groups; conferences keep what they have.
#[utoipa::path(delete, path = "/contacts/{id}", tag = "directory", params(("id" = uuid::Uuid, Path, description = "The contact")),
    responses((status = NO_CONTENT, description = "The contact is gone")))]
async fn delete_contact(State(state): State<AppState>, caller: Caller, PathId(id): PathId<ContactId>) -> Result<StatusCode, Problem> {
    let removed = contacts::remove(&mut *state.pool.get().await?, caller.account, id).await?;
    if removed { Ok(StatusCode::NO_CONTENT) } else { Err(Problem::not_found()) }
}
