//! Accounts: subscribers of the service.

use diesel::dsl::exists;
use diesel::prelude::*;
use diesel_async::{AsyncConnection as _, RunQueryDsl};
use jiff::Timestamp;
use jiff_diesel::{NullableTimestamp, ToDiesel};

use super::schema::{accounts, contacts};
use super::text::refuse_nul;
use super::{Connection, StorageError, StorageResult};
use crate::ids::AccountId;

/// An account, without its password.
#[derive(Clone, Debug, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = accounts, check_for_backend(diesel::pg::Pg))]
pub struct Account {
    /// The account.
    pub id: AccountId,
    /// The digits with which one logs in.
    pub user_number: String,
    /// The convener's name.
    pub name: String,
    /// Where the convener is called, in normal form.
    pub phone: String,
    /// Where reports go.
    pub email: String,
    /// ISO 639-1 code.
    pub language: String,
    /// IANA name.
    pub time_zone: String,
    /// May see what concerns the service as a whole.
    pub staff: bool,
    /// How long the others wait for a convener whose call has ended, in seconds.
    pub grace_seconds: i32,
    /// Those inside hear a beep when somebody comes in.
    pub entry_beep: bool,
    /// The most participants of one conference; `None`: the configuration's limit.
    pub max_participants: Option<i32>,
    /// When it was made.
    #[diesel(deserialize_as = jiff_diesel::Timestamp)]
    pub created_at: Timestamp,
    /// Since when it cannot be used.
    #[diesel(deserialize_as = NullableTimestamp)]
    pub disabled_at: Option<Timestamp>,
    /// It has a PIN, with which the convener starts conferences by phone.
    #[diesel(select_expression = accounts::pin_hash.is_not_null())]
    pub has_pin: bool,
    /// The tariff by which its conferences are charged; `None`: the configuration's.
    pub tariff: Option<String>,
    /// The line in the operator's network that makes it eligible. `None`, which means its telephone, only from an earlier release.
    pub line: Option<String>,
    /// Beginnings of numbers that it may call, a JSON array; `None`: those of the configuration.
    pub allowed_prefixes: Option<serde_json::Value>,
    /// Conferences at once; `None`: as the configuration says.
    pub max_conferences: Option<i32>,
    /// Length of a conference, in seconds; `None`: as the configuration says.
    pub max_length_seconds: Option<i32>,
    /// What it may cost a day with VAT, in 1/10000 of the unit; `None`: as the configuration says.
    pub daily_spend_cap: Option<i64>,
    /// `no_new_calls` or `end`; `None`: as the configuration says.
    pub at_cap: Option<String>,
    /// Whom its owner lets his conferences call: `all`, `national` or `directory`.
    pub callable: String,
}

/// What an account is made from.
#[derive(Clone, Insertable)]
#[diesel(table_name = accounts)]
pub struct NewAccount {
    /// The account.
    pub id: AccountId,
    /// The digits with which one logs in.
    pub user_number: String,
    /// The convener's name.
    pub name: String,
    /// Where the convener is called, in normal form.
    pub phone: String,
    /// Where reports go.
    pub email: String,
    /// ISO 639-1 code.
    pub language: String,
    /// IANA name.
    pub time_zone: String,
    /// Argon2id in PHC string form.
    pub password_hash: String,
    /// May see what concerns the service as a whole.
    pub staff: bool,
    /// How long the others wait for a convener whose call has ended, in seconds.
    pub grace_seconds: i32,
    /// Those inside hear a beep when somebody comes in.
    pub entry_beep: bool,
    /// The most participants of one conference; `None`: the configuration's limit.
    pub max_participants: Option<i32>,
    /// Now.
    #[diesel(serialize_as = jiff_diesel::Timestamp)]
    pub created_at: Timestamp,
}

/// What a login is checked against.
#[derive(Clone, Queryable)]
pub struct Credentials {
    /// The account.
    pub account: AccountId,
    /// Argon2id in PHC string form.
    pub password_hash: String,
}

/// What an account's owner may change.
#[derive(Clone, Debug, Default, AsChangeset)]
#[diesel(table_name = accounts)]
pub struct Preferences {
    /// The convener's name.
    pub name: Option<String>,
    /// Where the convener is called, in normal form.
    pub phone: Option<String>,
    /// Where reports go.
    pub email: Option<String>,
    /// ISO 639-1 code.
    pub language: Option<String>,
    /// IANA name.
    pub time_zone: Option<String>,
    /// How long the others wait for a convener whose call has ended, in seconds.
    pub grace_seconds: Option<i32>,
    /// Those inside hear a beep when somebody comes in.
    pub entry_beep: Option<bool>,
    /// Whom its conferences may call: `all`, `national` or `directory`.
    pub callable: Option<String>,
}

/// What the operator sets about an account; what is left out stays, `Some(None)` gives it back to the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, AsChangeset)]
#[diesel(table_name = accounts)]
pub struct Terms {
    /// The tariff by which its conferences are charged from their next start on.
    pub tariff: Option<Option<String>>,
    /// The line in the operator's network that makes it eligible, in normal form. It is never without one.
    pub line: Option<String>,
    /// Beginnings of numbers that it may call, a JSON array of texts.
    pub allowed_prefixes: Option<Option<serde_json::Value>>,
    /// People in one conference.
    pub max_participants: Option<Option<i32>>,
    /// Conferences at once.
    pub max_conferences: Option<Option<i32>>,
    /// Length of a conference, in seconds.
    pub max_length_seconds: Option<Option<i32>>,
    /// What it may cost a day with VAT, in 1/10000 of the unit.
    pub daily_spend_cap: Option<Option<i64>>,
    /// `no_new_calls` or `end`.
    pub at_cap: Option<Option<String>>,
    /// Days after which the personal data of its conferences are erased; 0 keeps them.
    pub retention_days: Option<Option<i32>>,
}

/// Makes an account. The line that makes it eligible is its telephone, as it is now: later only the operator changes it.
///
/// # Errors
/// [`StorageError::Conflict`](super::StorageError::Conflict) of `accounts_user_number_key` when the user number is taken, as another account's
/// or as somebody's code: whoever keys it is to be one person.
pub async fn add(connection: &mut Connection, account: NewAccount) -> StorageResult<()> {
    refuse_nul(&[
        ("user_number", &account.user_number),
        ("name", &account.name),
        ("phone", &account.phone),
        ("email", &account.email),
        ("language", &account.language),
        ("time_zone", &account.time_zone),
        ("password_hash", &account.password_hash),
    ])?;
    let line = accounts::line.eq(account.phone.clone());
    connection
        .transaction(async |connection| {
            let code = contacts::table.filter(contacts::code.eq(&account.user_number));
            if diesel::select(exists(code)).get_result::<bool>(connection).await? {
                return Err(StorageError::Conflict { what: "accounts_user_number_key".into() });
            }
            diesel::insert_into(accounts::table).values((account, line)).execute(connection).await?;
            Ok(())
        })
        .await
}

/// Makes an account with the operator's terms, or nothing.
///
/// # Errors
/// As [`add`] and [`set_terms`].
pub async fn add_with_terms(connection: &mut Connection, account: NewAccount, terms: Terms) -> StorageResult<()> {
    let id = account.id;
    connection
        .transaction(async |connection| {
            add(connection, account).await?;
            set_terms(connection, id, terms).await.map(drop)
        })
        .await
}

/// The account, disabled or not.
///
/// # Errors
/// A fault of the database.
pub async fn lookup(connection: &mut Connection, account: AccountId) -> StorageResult<Option<Account>> {
    Ok(accounts::table.find(account).select(Account::as_select()).first(connection).await.optional()?)
}

/// The account with this user number, disabled or not. Crosses accounts: for the command line.
///
/// # Errors
/// A fault of the database.
pub async fn find_by_user_number(connection: &mut Connection, user_number: &str) -> StorageResult<Option<Account>> {
    if user_number.contains('\0') {
        return Ok(None);
    }
    let found = accounts::table.filter(accounts::user_number.eq(user_number)).select(Account::as_select());
    Ok(found.first(connection).await.optional()?)
}

/// What the login with this user number is checked against; `None` also when the account is disabled.
///
/// # Errors
/// A fault of the database.
pub async fn find_credentials(connection: &mut Connection, user_number: &str) -> StorageResult<Option<Credentials>> {
    if user_number.contains('\0') {
        return Ok(None);
    }
    let found = accounts::table
        .filter(accounts::user_number.eq(user_number).and(accounts::disabled_at.is_null()))
        .select((accounts::id, accounts::password_hash));
    Ok(found.first(connection).await.optional()?)
}

/// All accounts by user number, at most `limit`, beginning after the given one. Crosses accounts: for the command line.
///
/// # Errors
/// A fault of the database.
pub async fn list(connection: &mut Connection, after: Option<&str>, limit: i64) -> StorageResult<Vec<Account>> {
    let found =
        accounts::table.filter(accounts::user_number.gt(after.unwrap_or(""))).order(accounts::user_number).limit(limit).select(Account::as_select());
    Ok(found.load(connection).await?)
}

/// Changes what is given; `false` when there is no such account or nothing to change.
///
/// # Errors
/// [`StorageError::Invalid`](super::StorageError::Invalid) when a value does not fit.
pub async fn change_preferences(connection: &mut Connection, account: AccountId, preferences: Preferences) -> StorageResult<bool> {
    refuse_nul(&[
        ("name", &preferences.name),
        ("phone", &preferences.phone),
        ("email", &preferences.email),
        ("language", &preferences.language),
        ("time_zone", &preferences.time_zone),
    ])?;
    let changed = diesel::update(accounts::table.find(account)).set(preferences).execute(connection).await.optional_empty_changeset()?;
    Ok(changed.unwrap_or(0) == 1)
}

/// Sets what is given; `false` when there is no such account or nothing to set. Crosses accounts: for the operator.
///
/// # Errors
/// [`StorageError::Invalid`](super::StorageError::Invalid) when a value does not fit.
pub async fn set_terms(connection: &mut Connection, account: AccountId, terms: Terms) -> StorageResult<bool> {
    refuse_nul(&[("tariff", &terms.tariff.clone().flatten()), ("line", &terms.line)])?;
    let changed = diesel::update(accounts::table.find(account)).set(terms).execute(connection).await.optional_empty_changeset()?;
    Ok(changed.unwrap_or(0) == 1)
}

/// Replaces the password's hash; `false` when there is no such account.
///
/// # Errors
/// A fault of the database.
pub async fn set_password(connection: &mut Connection, account: AccountId, password_hash: &str) -> StorageResult<bool> {
    refuse_nul(&[("password_hash", &password_hash.to_owned())])?;
    let changed = diesel::update(accounts::table.find(account)).set(accounts::password_hash.eq(password_hash)).execute(connection).await?;
    Ok(changed == 1)
}

/// Disables the account, or (`None`) enables it again; `false` when there is no such account. Sessions and tokens stop working with it.
///
/// # Errors
/// A fault of the database.
pub async fn set_disabled(connection: &mut Connection, account: AccountId, since: Option<Timestamp>) -> StorageResult<bool> {
    let changed = diesel::update(accounts::table.find(account)).set(accounts::disabled_at.eq(since.to_diesel())).execute(connection).await?;
    Ok(changed == 1)
}
