//! Tokens with which programs use the API.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use jiff::Timestamp;
use jiff_diesel::{NullableTimestamp, ToDiesel};
use uuid::Uuid;

use super::schema::{accounts, api_tokens};
use super::sessions::TokenHash;
use super::text::refuse_nul;
use super::{Connection, StorageResult};
use crate::ids::AccountId;

/// A token as its owner sees it: the token itself is not kept.
#[derive(Clone, Debug, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = api_tokens, check_for_backend(diesel::pg::Pg))]
pub struct ApiToken {
    /// The token's identifier, to revoke it.
    pub id: Uuid,
    /// What its owner calls it.
    pub name: String,
    /// When it was made.
    #[diesel(deserialize_as = jiff_diesel::Timestamp)]
    pub created_at: Timestamp,
    /// When it was last used, as far as [`touch`] was told.
    #[diesel(deserialize_as = NullableTimestamp)]
    pub last_used_at: Option<Timestamp>,
    /// Since when it is not valid any more.
    #[diesel(deserialize_as = NullableTimestamp)]
    pub revoked_at: Option<Timestamp>,
}

/// Adds a token and gives its identifier.
///
/// # Errors
/// A fault of the database.
pub async fn add(connection: &mut Connection, account: AccountId, name: &str, token_hash: &TokenHash, now: Timestamp) -> StorageResult<Uuid> {
    refuse_nul(&[("name", &name.to_owned())])?;
    let id = Uuid::now_v7();
    diesel::insert_into(api_tokens::table)
        .values((
            api_tokens::id.eq(id),
            api_tokens::token_hash.eq(&token_hash[..]),
            api_tokens::account.eq(account),
            api_tokens::name.eq(name),
            api_tokens::created_at.eq(now.to_diesel()),
        ))
        .execute(connection)
        .await?;
    Ok(id)
}

/// The account of a token; `None` when it is unknown, revoked, or its account is disabled.
///
/// # Errors
/// A fault of the database.
pub async fn find_account(connection: &mut Connection, token_hash: &TokenHash) -> StorageResult<Option<AccountId>> {
    let found = api_tokens::table
        .inner_join(accounts::table)
        .filter(api_tokens::token_hash.eq(&token_hash[..]))
        .filter(api_tokens::revoked_at.is_null().and(accounts::disabled_at.is_null()))
        .select(api_tokens::account);
    Ok(found.first(connection).await.optional()?)
}

/// Notes that a token was used. Callers do so once in a while, not on each request.
///
/// # Errors
/// A fault of the database.
pub async fn touch(connection: &mut Connection, token_hash: &TokenHash, now: Timestamp) -> StorageResult<()> {
    diesel::update(api_tokens::table.filter(api_tokens::token_hash.eq(&token_hash[..])))
        .set(api_tokens::last_used_at.eq(Some(now).to_diesel()))
        .execute(connection)
        .await?;
    Ok(())
}

/// An account's tokens, the newest first, revoked ones included.
///
/// # Errors
/// A fault of the database.
pub async fn list(connection: &mut Connection, account: AccountId) -> StorageResult<Vec<ApiToken>> {
    let found = api_tokens::table.filter(api_tokens::account.eq(account)).order(api_tokens::id.desc()).select(ApiToken::as_select());
    Ok(found.load(connection).await?)
}

/// Revokes a token; `false` when the account has no such valid token.
///
/// # Errors
/// A fault of the database.
pub async fn revoke(connection: &mut Connection, account: AccountId, token: Uuid, now: Timestamp) -> StorageResult<bool> {
    let valid = api_tokens::table.find(token).filter(api_tokens::account.eq(account)).filter(api_tokens::revoked_at.is_null());
    Ok(diesel::update(valid).set(api_tokens::revoked_at.eq(Some(now).to_diesel())).execute(connection).await? == 1)
}
