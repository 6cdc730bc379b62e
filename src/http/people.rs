//! People who are to be called: from the directory, or typed.

use std::collections::{HashMap, HashSet};

use serde::Deserialize;
use utoipa::ToSchema;

use super::auth::Caller;
use super::check::Checks;
use super::problem::Problem;
use super::state::AppState;
use crate::conference::NewParticipant;
use crate::ids::{ContactId, ParticipantId};
use crate::storage::accounts::Account;
use crate::storage::contacts::{self, Contact};

/// A person to be called: either `contact_id` alone, or `name` and `phone`, and `email` if wanted.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({"contact_id": "019aa7c4-6c0e-7b3c-8b8e-0d7a3f1e2c4d"}), json!({"name": "Žiga Čopič", "phone": "040 123 456"})))]
pub(super) struct PersonInput {
    /// A contact of the directory.
    #[serde(default)]
    #[schema(value_type = Option<uuid::Uuid>)]
    contact_id: Option<ContactId>,
    /// The name: one line of at most 200 characters.
    #[serde(default)]
    #[schema(max_length = 200)]
    name: Option<String>,
    /// The number, as people write numbers.
    #[serde(default)]
    #[schema(max_length = 40)]
    phone: Option<String>,
    /// Where messages go.
    #[serde(default)]
    email: Option<String>,
}

/// Whether the account's owner lets his conferences call a typed number, in normal form; if not, that is noted in `checks`.
pub(super) async fn check_wish(state: &AppState, account: &Account, checks: &mut Checks, field: &str, number: &str) -> Result<(), Problem> {
    if account.callable == "directory" && !contacts::has_number(&mut *state.pool.get().await?, account.id, number).await? {
        checks.refuse(field, "not_in_directory", "the account's setting lets conferences call people of the directory only");
    }
    check_country(state, account, checks, field, number);
    Ok(())
}

fn check_country(state: &AppState, account: &Account, checks: &mut Checks, field: &str, number: &str) {
    if account.callable == "national" && !state.numbering.is_national(number) {
        checks.refuse(field, "not_national", "the account's setting lets conferences call numbers of this country only");
    }
}

/// Checks people and looks up those of the directory. What is wrong is noted in `checks`, by path `at[n].field`, or `field` if `at` is empty.
/// The result holds everybody only if nothing was noted.
pub(super) async fn check_people(
    state: &AppState,
    caller: &Caller,
    checks: &mut Checks,
    at: &str,
    people: &[PersonInput],
) -> Result<Vec<NewParticipant>, Problem> {
    let account = super::me::account_of(state, caller).await?;
    let wanted: Vec<ContactId> = people.iter().filter_map(|person| person.contact_id).collect();
    let known: HashMap<ContactId, Contact> = if wanted.is_empty() {
        HashMap::new()
    } else {
        let found = contacts::find(&mut *state.pool.get().await?, caller.account, &wanted).await?;
        found.into_iter().map(|contact| (contact.id, contact)).collect()
    };
    let mut seen = HashSet::new();
    let mut checked = Vec::with_capacity(people.len());
    for (index, person) in people.iter().enumerate() {
        let path = |field: &str| if at.is_empty() { field.to_owned() } else { format!("{at}[{index}].{field}") };
        let Some(id) = person.contact_id else {
            if let Some(person) = check_typed(state, checks, person, path) {
                check_wish(state, &account, checks, &path("phone"), &person.phone).await?;
                checked.push(person);
            }
            continue;
        };
        for (field, given) in [("name", person.name.is_some()), ("phone", person.phone.is_some()), ("email", person.email.is_some())] {
            if given {
                checks.refuse(path(field), "conflict", "comes from the contact");
            }
        }
        if !seen.insert(id) {
            checks.refuse(path("contact_id"), "duplicate", "this contact is there already");
        }
        let Some(contact) = known.get(&id) else {
            checks.refuse(path("contact_id"), "unknown_contact", "there is no such contact");
            continue;
        };
        check_country(state, &account, checks, &path("contact_id"), &contact.phone);
        if checks.allowed(state, &path("contact_id"), &contact.phone) {
            checked.push(NewParticipant {
                id: ParticipantId::fresh(),
                name: contact.name.clone(),
                phone: contact.phone.clone(),
                email: contact.email.clone(),
                contact: Some(id),
            });
        }
    }
    Ok(checked)
}

fn check_typed(state: &AppState, checks: &mut Checks, person: &PersonInput, path: impl Fn(&str) -> String) -> Option<NewParticipant> {
    let name = checks.name(&path("name"), person.name.as_deref().unwrap_or(""));
    let phone = checks.callable(state, &path("phone"), person.phone.as_deref().unwrap_or(""));
    let email = checks.email(&path("email"), person.email.as_deref());
    Some(NewParticipant { id: ParticipantId::fresh(), name, phone: phone?, email, contact: None })
}
