//! Contacts: people in an account's directory.

use diesel::prelude::*;
use diesel_async::{AsyncConnection as _, RunQueryDsl};
use jiff::Timestamp;
use jiff_diesel::ToDiesel;

use super::schema::contacts;
use super::text::{pattern, refuse_nul};
use super::{Connection, StorageResult};
use crate::ids::{AccountId, ContactId};

/// A person in the directory.
#[derive(Clone, Debug, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = contacts, check_for_backend(diesel::pg::Pg))]
pub struct Contact {
    /// The person.
    pub id: ContactId,
    /// The name.
    pub name: String,
    /// The number in normal form.
    pub phone: String,
    /// Where messages go.
    pub email: Option<String>,
    /// What the account's owner wrote about the person.
    pub note: Option<String>,
    /// What the person keys to come into a conference.
    pub code: Option<String>,
    /// When it was made.
    #[diesel(deserialize_as = jiff_diesel::Timestamp)]
    pub created_at: Timestamp,
    /// When it was last changed.
    #[diesel(deserialize_as = jiff_diesel::Timestamp)]
    pub updated_at: Timestamp,
}

/// What a contact is made from or changed to, as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContactFields {
    /// The name, 1 to 200 characters.
    pub name: String,
    /// The number in normal form.
    pub phone: String,
    /// Where messages go.
    pub email: Option<String>,
    /// A note of at most 2000 characters.
    pub note: Option<String>,
}

impl ContactFields {
    fn check(&self) -> StorageResult<()> {
        refuse_nul(&[("name", &self.name), ("phone", &self.phone), ("email", &self.email), ("note", &self.note)])
    }
}

/// Which part of the directory, by name.
#[derive(Clone, Debug)]
pub struct ContactPage {
    /// Only contacts whose name or number holds this, in whatever case.
    pub search: Option<String>,
    /// Begin after the contact with this name and identifier: the last one of the page before.
    pub after: Option<(String, ContactId)>,
    /// At most this many.
    pub limit: i64,
}

/// The account's contact.
///
/// # Errors
/// A fault of the database.
pub async fn lookup(connection: &mut Connection, account: AccountId, contact: ContactId) -> StorageResult<Option<Contact>> {
    let found = contacts::table.find(contact).filter(contacts::account.eq(account)).select(Contact::as_select());
    Ok(found.first(connection).await.optional()?)
}

/// Those of the given contacts that are the account's, in no order.
///
/// # Errors
/// A fault of the database.
pub async fn find(connection: &mut Connection, account: AccountId, wanted: &[ContactId]) -> StorageResult<Vec<Contact>> {
    let found = contacts::table.filter(contacts::account.eq(account)).filter(contacts::id.eq_any(wanted)).select(Contact::as_select());
    Ok(found.load(connection).await?)
}

/// A page of the directory, by name.
///
/// # Errors
/// A fault of the database.
pub async fn list(connection: &mut Connection, account: AccountId, page: &ContactPage) -> StorageResult<Vec<Contact>> {
    let mut found = contacts::table.filter(contacts::account.eq(account)).into_boxed();
    if let Some(search) = &page.search {
        if search.contains('\0') {
            return Ok(Vec::new());
        }
        let pattern = pattern(search);
        found = found.filter(contacts::name.ilike(pattern.clone()).or(contacts::phone.like(pattern)));
    }
    if let Some((name, id)) = &page.after {
        refuse_nul(&[("after", name)])?;
        found = found.filter(contacts::name.gt(name).or(contacts::name.eq(name).and(contacts::id.gt(id))));
    }
    Ok(found.order((contacts::name, contacts::id)).limit(page.limit).select(Contact::as_select()).load(connection).await?)
}

/// How many contacts the account has.
///
/// # Errors
/// A fault of the database.
pub async fn count(connection: &mut Connection, account: AccountId) -> StorageResult<i64> {
    Ok(contacts::table.filter(contacts::account.eq(account)).count().get_result(connection).await?)
}

/// Whether the account's directory holds this number, given in normal form.
///
/// # Errors
/// A fault of the database.
pub async fn has_number(connection: &mut Connection, account: AccountId, phone: &str) -> StorageResult<bool> {
    refuse_nul(&[("phone", &phone.to_owned())])?;
    let found = contacts::table.filter(contacts::account.eq(account).and(contacts::phone.eq(phone)));
    Ok(diesel::select(diesel::dsl::exists(found)).get_result(connection).await?)
}

/// Adds contacts, all or none.
///
/// # Errors
/// [`StorageError::Invalid`](super::StorageError::Invalid) when a value does not fit.
pub async fn add(connection: &mut Connection, account: AccountId, new: &[(ContactId, ContactFields)], now: Timestamp) -> StorageResult<()> {
    for (_, fields) in new {
        fields.check()?;
    }
    let codes = super::dial_in::draw_codes(connection, new.len()).await?;
    let rows: Vec<_> = new
        .iter()
        .zip(codes)
        .map(|((id, fields), code)| {
            (
                contacts::code.eq(code),
                contacts::id.eq(id),
                contacts::account.eq(account),
                contacts::name.eq(&fields.name),
                contacts::phone.eq(&fields.phone),
                contacts::email.eq(&fields.email),
                contacts::note.eq(&fields.note),
                contacts::created_at.eq(now.to_diesel()),
                contacts::updated_at.eq(now.to_diesel()),
            )
        })
        .collect();
    connection
        .transaction(async |connection| {
            // A statement takes 65535 values (PostgreSQL's protocol counts them in 16 bits).
            for part in rows.chunks(5_000) {
                diesel::insert_into(contacts::table).values(part).execute(connection).await?;
            }
            Ok(())
        })
        .await
}

/// Changes a contact; `None` when the account has no such contact.
///
/// # Errors
/// [`StorageError::Invalid`](super::StorageError::Invalid) when a value does not fit.
pub async fn change(
    connection: &mut Connection,
    account: AccountId,
    contact: ContactId,
    fields: &ContactFields,
    now: Timestamp,
) -> StorageResult<Option<Contact>> {
    fields.check()?;
    let changed = diesel::update(contacts::table.find(contact).filter(contacts::account.eq(account)))
        .set((
            contacts::name.eq(&fields.name),
            contacts::phone.eq(&fields.phone),
            contacts::email.eq(&fields.email),
            contacts::note.eq(&fields.note),
            contacts::updated_at.eq(now.to_diesel()),
        ))
        .returning(Contact::as_select());
    Ok(changed.get_result(connection).await.optional()?)
}

/// Deletes a contact, also from the groups; `false` when the account has no such contact.
///
/// # Errors
/// A fault of the database.
pub async fn remove(connection: &mut Connection, account: AccountId, contact: ContactId) -> StorageResult<bool> {
    Ok(diesel::delete(contacts::table.find(contact).filter(contacts::account.eq(account))).execute(connection).await? == 1)
}
