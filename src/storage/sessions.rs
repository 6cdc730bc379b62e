//! Browser sessions.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use jiff::Timestamp;
use jiff_diesel::ToDiesel;

use super::schema::{accounts, sessions};
use super::text::refuse_nul;
use super::{Connection, StorageResult};
use crate::ids::AccountId;

/// The SHA-256 of a token.
pub type TokenHash = [u8; 32];

/// What a session is made from.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// The SHA-256 of the cookie's token.
    pub token_hash: TokenHash,
    /// Who has logged in.
    pub account: AccountId,
    /// Now.
    pub created_at: Timestamp,
    /// When it ends whatever happens.
    pub expires_at: Timestamp,
    /// What the browser calls itself; cut to 400 characters.
    pub user_agent: Option<String>,
}

/// A session that is valid.
#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct Session {
    /// Who has logged in.
    pub account: AccountId,
    /// When.
    #[diesel(deserialize_as = jiff_diesel::Timestamp)]
    pub created_at: Timestamp,
    /// When it was last used, as far as [`touch`] was told.
    #[diesel(deserialize_as = jiff_diesel::Timestamp)]
    pub last_seen_at: Timestamp,
    /// When it ends whatever happens.
    #[diesel(deserialize_as = jiff_diesel::Timestamp)]
    pub expires_at: Timestamp,
}

/// A session in its owner's list.
#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct ListedSession {
    /// The SHA-256 of the cookie's token.
    pub token_hash: Vec<u8>,
    /// When it was opened.
    #[diesel(deserialize_as = jiff_diesel::Timestamp)]
    pub created_at: Timestamp,
    /// When it was last used, as far as [`touch`] was told.
    #[diesel(deserialize_as = jiff_diesel::Timestamp)]
    pub last_seen_at: Timestamp,
    /// When it ends whatever happens.
    #[diesel(deserialize_as = jiff_diesel::Timestamp)]
    pub expires_at: Timestamp,
    /// What the browser calls itself.
    pub user_agent: Option<String>,
}

/// Opens a session.
///
/// # Errors
/// A fault of the database.
pub async fn add(connection: &mut Connection, session: NewSession) -> StorageResult<()> {
    refuse_nul(&[("user_agent", &session.user_agent)])?;
    let user_agent = session.user_agent.map(|text| text.chars().take(400).collect::<String>());
    diesel::insert_into(sessions::table)
        .values((
            sessions::token_hash.eq(&session.token_hash[..]),
            sessions::account.eq(session.account),
            sessions::created_at.eq(session.created_at.to_diesel()),
            sessions::last_seen_at.eq(session.created_at.to_diesel()),
            sessions::expires_at.eq(session.expires_at.to_diesel()),
            sessions::user_agent.eq(user_agent),
        ))
        .execute(connection)
        .await?;
    Ok(())
}

/// The session of a token; `None` when it is unknown, over, or its account is disabled.
///
/// # Errors
/// A fault of the database.
pub async fn find(connection: &mut Connection, token_hash: &TokenHash, now: Timestamp) -> StorageResult<Option<Session>> {
    let found = sessions::table
        .inner_join(accounts::table)
        .filter(sessions::token_hash.eq(&token_hash[..]))
        .filter(sessions::expires_at.gt(now.to_diesel()))
        .filter(accounts::disabled_at.is_null())
        .select((sessions::account, sessions::created_at, sessions::last_seen_at, sessions::expires_at));
    Ok(found.first(connection).await.optional()?)
}

/// Notes that a session was used. Callers do so once in a while, not on each request.
///
/// # Errors
/// A fault of the database.
pub async fn touch(connection: &mut Connection, token_hash: &TokenHash, now: Timestamp) -> StorageResult<()> {
    diesel::update(sessions::table.find(&token_hash[..])).set(sessions::last_seen_at.eq(now.to_diesel())).execute(connection).await?;
    Ok(())
}

/// The account's sessions that are not over, the last used first.
///
/// # Errors
/// A fault of the database.
pub async fn list(connection: &mut Connection, account: AccountId, now: Timestamp) -> StorageResult<Vec<ListedSession>> {
    let found = sessions::table
        .filter(sessions::account.eq(account).and(sessions::expires_at.gt(now.to_diesel())))
        .order((sessions::last_seen_at.desc(), sessions::token_hash))
        .select((sessions::token_hash, sessions::created_at, sessions::last_seen_at, sessions::expires_at, sessions::user_agent));
    Ok(found.load(connection).await?)
}

/// Ends the session of a token; `false` when there is none.
///
/// # Errors
/// A fault of the database.
pub async fn revoke(connection: &mut Connection, token_hash: &TokenHash) -> StorageResult<bool> {
    Ok(diesel::delete(sessions::table.find(&token_hash[..])).execute(connection).await? == 1)
}

/// Ends all sessions of an account, and says how many.
///
/// # Errors
/// A fault of the database.
pub async fn revoke_all(connection: &mut Connection, account: AccountId) -> StorageResult<usize> {
    Ok(diesel::delete(sessions::table.filter(sessions::account.eq(account))).execute(connection).await?)
}

/// Ends all sessions of an account but one, and says how many.
///
/// # Errors
/// A fault of the database.
pub async fn revoke_others(connection: &mut Connection, account: AccountId, kept: &TokenHash) -> StorageResult<usize> {
    let others = sessions::table.filter(sessions::account.eq(account).and(sessions::token_hash.ne(&kept[..])));
    Ok(diesel::delete(others).execute(connection).await?)
}

/// Deletes the sessions that are over, and says how many. Crosses accounts: housekeeping.
///
/// # Errors
/// A fault of the database.
pub async fn sweep(connection: &mut Connection, now: Timestamp) -> StorageResult<usize> {
    Ok(diesel::delete(sessions::table.filter(sessions::expires_at.le(now.to_diesel()))).execute(connection).await?)
}
