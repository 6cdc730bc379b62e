//! The directory as a file: for a spreadsheet, or for another address book. What is exported here can be imported again.

use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::IntoResponse;

use super::auth::Caller;
use super::contacts::MOST_CONTACTS;
use super::problem::{Kind, Problem};
use super::state::AppState;
use super::vcard;
use crate::report;
use crate::storage::contacts::{self, Contact, ContactPage};

async fn all(state: &AppState, caller: &Caller) -> Result<Vec<Contact>, Problem> {
    let page = ContactPage { search: None, after: None, limit: i64::try_from(MOST_CONTACTS).unwrap_or(i64::MAX) };
    Ok(contacts::list(&mut *state.pool.get().await?, caller.account, &page).await?)
}

/// Contacts as a spreadsheet
///
/// CSV in UTF-8 with the columns of the import, divided as spreadsheets of the account's language expect: `;` in Slovene, `,` in English.
/// A value that a spreadsheet would take for a formula has an apostrophe before it, which the import takes off again.
#[utoipa::path(get, path = "/contacts.csv", tag = "directory", responses((status = OK, body = String, content_type = "text/csv")))]
pub(super) async fn contacts_csv(State(state): State<AppState>, caller: Caller) -> Result<impl IntoResponse, Problem> {
    let account = super::me::account_of(&state, &caller).await?;
    let delimiter = if account.language == "sl" { b';' } else { b',' };
    let mut writer = csv::WriterBuilder::new().delimiter(delimiter).terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    let failed = |_: csv::Error| Problem::new(Kind::Internal);
    writer.write_record(["name", "phone", "email", "note"]).map_err(failed)?;
    for Contact { name, phone, email, note, .. } in all(&state, &caller).await? {
        let row = [name, report::spaced_number(&phone), email.unwrap_or_default(), note.unwrap_or_default()];
        writer.write_record(row.iter().map(|value| report::spreadsheet_value(value))).map_err(failed)?;
    }
    let bytes = writer.into_inner().map_err(|_| Problem::new(Kind::Internal))?;
    let text = format!("\u{feff}{}", String::from_utf8_lossy(&bytes));
    Ok(([(CONTENT_TYPE, "text/csv; charset=utf-8"), (CONTENT_DISPOSITION, "attachment; filename=\"sklic.csv\"")], text))
}

/// Contacts as vCards
///
/// Version 3.0, one after the other.
#[utoipa::path(get, path = "/contacts.vcf", tag = "directory", responses((status = OK, body = String, content_type = "text/vcard")))]
pub(super) async fn contacts_vcard(State(state): State<AppState>, caller: Caller) -> Result<impl IntoResponse, Problem> {
    let text: String = all(&state, &caller).await?.iter().map(vcard::write).collect();
    Ok(([(CONTENT_TYPE, "text/vcard; charset=utf-8"), (CONTENT_DISPOSITION, "attachment; filename=\"sklic.vcf\"")], text))
}
